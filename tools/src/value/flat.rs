//! busctl's form (tools.md D030–D032): each basic value is a word; an array is its length and its elements, a
//! dictionary the number of its entries and their keys and values, a structure its fields, a variant its type and its
//! value. What is printed on one line can be typed again.

use std::fmt::Write as _;
use std::str::FromStr;

use libbus::limits::{ARRAY_SIZE_MAX, SIGNATURE_SIZE_MAX};
use libbus::names::ObjectPath;
use libbus::wire::Signature;

use super::words::{ArgumentError, Words};
use super::{Kind, Value, kind, types};
use crate::output::escape::quoted;

/// A value of the type `wanted` from the next words.
///
/// # Errors
/// A word does not fit, or one is missing.
pub(crate) fn value(wanted: &str, words: &mut Words<'_>) -> Result<Value, ArgumentError> {
    match kind(wanted) {
        Some(Kind::Basic('h')) => words.take_fd(),
        Some(Kind::Basic(_)) | None => {
            let word = words.take(wanted)?;
            basic(wanted, word).map_err(|what| words.error(0, what, wanted))
        }
        Some(Kind::Variant) => {
            let inner = words.take("g")?;
            let is_one = inner.len() <= SIGNATURE_SIZE_MAX && types(inner).len() == 1;
            if !is_one {
                return Err(words.error(0, "this is not one complete type", "g"));
            }
            Ok(Value::Variant(Box::new(value(inner, words)?)))
        }
        Some(Kind::Array(element)) => {
            let count = length(wanted, words)?;
            let elements = (0..count).map(|_| value(element, words));
            Ok(Value::array(element, elements.collect::<Result<_, _>>()?))
        }
        Some(Kind::Dict(key, inner)) => {
            let count = length(wanted, words)?;
            let entries = (0..count).map(|_| Ok((value(key, words)?, value(inner, words)?)));
            let entries = entries.collect::<Result<_, _>>()?;
            Ok(Value::Dict { key: key.to_owned(), value: inner.to_owned(), entries })
        }
        Some(Kind::Struct(fields)) => {
            let fields = types(fields).into_iter().map(|field| value(&field, words));
            Ok(Value::Struct(fields.collect::<Result<_, _>>()?))
        }
    }
}

fn length(wanted: &str, words: &mut Words<'_>) -> Result<u32, ArgumentError> {
    let word = words.take(wanted)?;
    let count = word.parse().ok().filter(|count| *count <= ARRAY_SIZE_MAX);
    count.ok_or_else(|| words.error(0, "an array begins with the number of its elements", wanted))
}

/// The value of a basic type that `word` says.
///
/// # Errors
/// It says none; what is wrong.
pub(crate) fn basic(wanted: &str, word: &str) -> Result<Value, &'static str> {
    Ok(match wanted {
        "y" => Value::Byte(whole(word)?),
        "b" => Value::Boolean(boolean(word).ok_or("this is neither true nor false")?),
        "n" => Value::Int16(whole(word)?),
        "q" => Value::Uint16(whole(word)?),
        "i" => Value::Int32(whole(word)?),
        "u" => Value::Uint32(whole(word)?),
        "x" => Value::Int64(whole(word)?),
        "t" => Value::Uint64(whole(word)?),
        "d" => Value::Double(word.trim().parse().map_err(|_| "this is no number")?),
        "s" if word.contains('\0') => return Err("a string has no NUL"),
        "s" => Value::String(word.to_owned()),
        "o" => match ObjectPath::parse(word) {
            Ok(_) => Value::ObjectPath(word.to_owned()),
            Err(_) => return Err("this is no object path"),
        },
        "g" => match Signature::parse(word) {
            Ok(_) => Value::Signature(word.to_owned()),
            Err(_) => return Err("this is no signature"),
        },
        _ => return Err("there is no value of this type"),
    })
}

fn boolean(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "on" | "t" | "1" => Some(true),
        "false" | "no" | "n" | "off" | "f" | "0" => Some(false),
        _ => None,
    }
}

/// A whole number: decimal, or with `0x`, `0o` or `0b` before it.
pub(crate) fn whole<T: FromStr + TryFrom<i128>>(word: &str) -> Result<T, &'static str> {
    let word = word.trim();
    let (negative, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    let (digits, radix) = match digits.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (digits.get(2..), 16),
        Some("0o") => (digits.get(2..), 8),
        Some("0b") => (digits.get(2..), 2),
        _ => (Some(digits), 10),
    };
    let digits = digits.filter(|digits| digits.starts_with(|c: char| c.is_ascii_hexdigit()));
    let number = digits.and_then(|digits| i128::from_str_radix(digits, radix).ok());
    let number = number.ok_or("this is no whole number")?;
    T::try_from(if negative { -number } else { number }).map_err(|_| "the number is out of range")
}

/// On one line, as it can be typed again; without its type.
pub(crate) fn write(out: &mut String, value: &Value) {
    // Writing to a string does not fail.
    let _ = match value {
        Value::Byte(value) => write!(out, "{value}"),
        Value::Boolean(value) => write!(out, "{value}"),
        Value::Int16(value) => write!(out, "{value}"),
        Value::Uint16(value) => write!(out, "{value}"),
        Value::Int32(value) => write!(out, "{value}"),
        Value::Uint32(value) => write!(out, "{value}"),
        Value::Int64(value) => write!(out, "{value}"),
        Value::Uint64(value) => write!(out, "{value}"),
        Value::Double(value) => write!(out, "{}", double(*value)),
        Value::UnixFd(index) => write!(out, "{index}"),
        Value::String(text) | Value::ObjectPath(text) | Value::Signature(text) => {
            out.push_str(&quoted(text));
            Ok(())
        }
        Value::Bytes(bytes) => {
            let _ = write!(out, "{}", bytes.len());
            bytes.iter().try_for_each(|byte| write!(out, " {byte}"))
        }
        Value::Array { elements, .. } => {
            let _ = write!(out, "{}", elements.len());
            write_after(out, elements);
            Ok(())
        }
        Value::Dict { entries, .. } => {
            let _ = write!(out, "{}", entries.len());
            for (key, value) in entries {
                write_after(out, [key, value]);
            }
            Ok(())
        }
        Value::Struct(fields) => {
            write_row(out, fields);
            Ok(())
        }
        Value::Variant(value) => {
            let _ = write!(out, "{} ", value.signature());
            write(out, value);
            Ok(())
        }
    };
}

fn write_after<'v>(out: &mut String, values: impl IntoIterator<Item = &'v Value>) {
    for value in values {
        out.push(' ');
        write(out, value);
    }
}

/// Values in a row.
pub(crate) fn write_row(out: &mut String, values: &[Value]) {
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        write(out, value);
    }
}

/// With as few digits as tell it from every other number.
pub(crate) fn double(value: f64) -> String {
    match value {
        value if value.is_nan() => "nan".to_owned(),
        value if value.is_infinite() => if value > 0.0 { "inf" } else { "-inf" }.to_owned(),
        value if value.abs() >= 1e16 || (value != 0.0 && value.abs() < 1e-5) => {
            format!("{value:e}")
        }
        value => format!("{value}"),
    }
}

/// Over several lines, with the names of types (tools.md D032).
pub(crate) fn write_verbose(out: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    let mut line = |text: String| {
        let _ = writeln!(out, "{indent}{text}");
    };
    match value {
        Value::Bytes(bytes) => {
            line("ARRAY \"y\" {".to_owned());
            for byte in bytes {
                let _ = writeln!(out, "{indent}  BYTE {byte};");
            }
            let _ = writeln!(out, "{indent}}};");
        }
        Value::Array { element, elements } => {
            line(format!("ARRAY \"{element}\" {{"));
            elements.iter().for_each(|element| write_verbose(out, element, depth + 1));
            let _ = writeln!(out, "{indent}}};");
        }
        Value::Dict { key, value, entries } => {
            line(format!("ARRAY \"{{{key}{value}}}\" {{"));
            for (key_value, entry_value) in entries {
                let _ = writeln!(out, "{indent}  DICT_ENTRY \"{key}{value}\" {{");
                write_verbose(out, key_value, depth + 2);
                write_verbose(out, entry_value, depth + 2);
                let _ = writeln!(out, "{indent}  }};");
            }
            let _ = writeln!(out, "{indent}}};");
        }
        Value::Struct(fields) => {
            let inner: String = fields.iter().map(Value::signature).collect();
            line(format!("STRUCT \"{inner}\" {{"));
            fields.iter().for_each(|field| write_verbose(out, field, depth + 1));
            let _ = writeln!(out, "{indent}}};");
        }
        Value::Variant(inner) => {
            line(format!("VARIANT \"{}\" {{", inner.signature()));
            write_verbose(out, inner, depth + 1);
            let _ = writeln!(out, "{indent}}};");
        }
        basic => {
            let mut text = format!("{} ", type_word(basic));
            write(&mut text, basic);
            line(text + ";");
        }
    }
}

/// The specification's name of a basic type.
const fn type_word(value: &Value) -> &'static str {
    match value {
        Value::Byte(_) => "BYTE",
        Value::Boolean(_) => "BOOLEAN",
        Value::Int16(_) => "INT16",
        Value::Uint16(_) => "UINT16",
        Value::Int32(_) => "INT32",
        Value::Uint32(_) => "UINT32",
        Value::Int64(_) => "INT64",
        Value::Uint64(_) => "UINT64",
        Value::Double(_) => "DOUBLE",
        Value::ObjectPath(_) => "OBJECT_PATH",
        Value::Signature(_) => "SIGNATURE",
        Value::UnixFd(_) => "UNIX_FD",
        _ => "STRING",
    }
}
