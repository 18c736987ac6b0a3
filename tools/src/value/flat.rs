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
    let kind = kind(wanted);
    let depth = kind.map_or(0, Kind::depth);
    words.inside(wanted, depth, |words| value_of(kind, wanted, words))
}

fn value_of(
    kind: Option<Kind<'_>>,
    wanted: &str,
    words: &mut Words<'_>,
) -> Result<Value, ArgumentError> {
    match kind {
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
        "d" => Value::Double(number(word.trim())?),
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

/// What people, and systemd's commands, take for yes and for no.
pub(crate) fn boolean(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "on" | "t" | "1" => Some(true),
        "false" | "no" | "n" | "off" | "f" | "0" => Some(false),
        _ => None,
    }
}

/// A number, unless it is so large or so small that another one would be sent.
fn number(word: &str) -> Result<f64, &'static str> {
    let number: f64 = word.parse().map_err(|_| "this is no number")?;
    let mantissa = word.split(['e', 'E']).next().unwrap_or_default();
    let is_lost = match number {
        number if number.is_infinite() => mantissa.contains(|c: char| c.is_ascii_digit()),
        number => number == 0.0 && mantissa.contains(|c: char| matches!(c, '1'..='9')),
    };
    if is_lost { Err("the number is out of range") } else { Ok(number) }
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

/// How texts and numbers look, in which the programs that use this form differ.
#[derive(Clone, Copy)]
pub(crate) struct Form {
    pub(crate) quoted: fn(&str) -> String,
    pub(crate) double: fn(f64) -> String,
    /// What each level is moved to the right by, over several lines.
    pub(crate) step: &'static str,
    /// What stands around each basic value over several lines, and within the quotes of a text.
    pub(crate) paint: (&'static str, &'static str),
}

/// That of `bus`: all digits, and nothing that a terminal would act upon.
pub(crate) const OWN: Form = Form { quoted, double, step: "  ", paint: ("", "") };

/// On one line, as it can be typed again; without its type.
pub(crate) fn write(out: &mut String, value: &Value) {
    OWN.write(out, value);
}

/// Values in a row.
pub(crate) fn write_row(out: &mut String, values: &[Value]) {
    OWN.write_row(out, values);
}

/// Over several lines, with the names of types (tools.md D032).
pub(crate) fn write_verbose(out: &mut String, value: &Value) {
    OWN.write_verbose(out, value, "");
}

impl Form {
    pub(crate) fn write(&self, out: &mut String, value: &Value) {
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
            Value::Double(value) => write!(out, "{}", (self.double)(*value)),
            Value::UnixFd(index) => write!(out, "{index}"),
            Value::String(text) | Value::ObjectPath(text) | Value::Signature(text) => {
                out.push_str(&(self.quoted)(text));
                Ok(())
            }
            Value::Bytes(bytes) => {
                let _ = write!(out, "{}", bytes.len());
                bytes.iter().try_for_each(|byte| write!(out, " {byte}"))
            }
            Value::Array { elements, .. } => {
                let _ = write!(out, "{}", elements.len());
                self.write_after(out, elements);
                Ok(())
            }
            Value::Dict { entries, .. } => {
                let _ = write!(out, "{}", entries.len());
                for (key, value) in entries {
                    self.write_after(out, [key, value]);
                }
                Ok(())
            }
            Value::Struct(fields) => {
                self.write_row(out, fields);
                Ok(())
            }
            Value::Variant(value) => {
                let _ = write!(out, "{} ", value.signature());
                self.write(out, value);
                Ok(())
            }
        };
    }

    fn write_after<'v>(&self, out: &mut String, values: impl IntoIterator<Item = &'v Value>) {
        for value in values {
            out.push(' ');
            self.write(out, value);
        }
    }

    pub(crate) fn write_row(&self, out: &mut String, values: &[Value]) {
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                out.push(' ');
            }
            self.write(out, value);
        }
    }

    /// Each line begins with `indent`.
    pub(crate) fn write_verbose(&self, out: &mut String, value: &Value, indent: &str) {
        let (word, label) = match value {
            Value::Bytes(_) => ("ARRAY", "y".to_owned()),
            Value::Array { element, .. } => ("ARRAY", element.clone()),
            Value::Dict { key, value, .. } => ("ARRAY", format!("{{{key}{value}}}")),
            Value::Struct(fields) => ("STRUCT", fields.iter().map(Value::signature).collect()),
            Value::Variant(inner) => ("VARIANT", inner.signature()),
            basic => {
                let _ = write!(out, "{indent}{} ", type_word(basic));
                self.write_painted(out, basic);
                out.push_str(";\n");
                return;
            }
        };
        let _ = writeln!(out, "{indent}{word} \"{label}\" {{");
        self.write_inner(out, value, &format!("{indent}{}", self.step));
        let _ = writeln!(out, "{indent}}};");
    }

    fn write_painted(&self, out: &mut String, basic: &Value) {
        let mut text = String::new();
        self.write(&mut text, basic);
        let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let quote = if inner.is_some() { "\"" } else { "" };
        let (start, end) = self.paint;
        out.extend([quote, start, inner.unwrap_or(&text), end, quote]);
    }

    /// What is in a container.
    fn write_inner(&self, out: &mut String, value: &Value, indent: &str) {
        match value {
            Value::Bytes(bytes) => {
                for byte in bytes {
                    let (start, end) = self.paint;
                    let _ = writeln!(out, "{indent}BYTE {start}{byte}{end};");
                }
            }
            Value::Array { elements: values, .. } | Value::Struct(values) => {
                values.iter().for_each(|value| self.write_verbose(out, value, indent));
            }
            Value::Dict { key, value, entries } => {
                let inner = format!("{indent}{}", self.step);
                for (entry_key, entry_value) in entries {
                    let _ = writeln!(out, "{indent}DICT_ENTRY \"{key}{value}\" {{");
                    self.write_verbose(out, entry_key, &inner);
                    self.write_verbose(out, entry_value, &inner);
                    let _ = writeln!(out, "{indent}}};");
                }
            }
            Value::Variant(inner) => self.write_verbose(out, inner, indent),
            _ => {}
        }
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

/// With so many digits, as C prints it by `%.17g`.
pub(crate) fn general(number: f64, digits: i32) -> String {
    match number.is_nan() && number.is_sign_negative() {
        true => return "-nan".to_owned(),
        false if !number.is_finite() => return double(number),
        false => {}
    }
    let places = |count: i32| usize::try_from(count).unwrap_or_default();
    let scientific = format!("{number:.*e}", places(digits - 1));
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let is_plain = (-4..digits).contains(&exponent);
    let mut text = match is_plain {
        true => format!("{number:.*}", places(digits - 1 - exponent)),
        false => mantissa.to_owned(),
    };
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    match is_plain {
        true => text,
        false => text + &c_exponent(exponent),
    }
}

/// As C prints it: a sign, and two digits or more.
pub(crate) fn c_exponent(exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("e{sign}{:02}", exponent.abs())
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
