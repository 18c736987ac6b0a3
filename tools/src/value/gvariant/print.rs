//! Values to text, as GLib prints them: types stand where a reader could not know them.

use std::fmt::Write as _;

use super::super::Value;

/// One value. `is_typed`: with the word for its type before it, where the text alone would say another one.
pub(crate) fn print(out: &mut String, value: &Value, is_typed: bool) {
    // Writing to a string does not fail.
    let _ = match value {
        Value::Byte(byte) => write!(out, "{}0x{byte:02x}", word("byte ", is_typed)),
        Value::Boolean(value) => write!(out, "{value}"),
        Value::Int16(number) => write!(out, "{}{number}", word("int16 ", is_typed)),
        Value::Uint16(number) => write!(out, "{}{number}", word("uint16 ", is_typed)),
        Value::Int32(number) => write!(out, "{number}"),
        Value::Uint32(number) => write!(out, "{}{number}", word("uint32 ", is_typed)),
        Value::Int64(number) => write!(out, "{}{number}", word("int64 ", is_typed)),
        Value::Uint64(number) => write!(out, "{}{number}", word("uint64 ", is_typed)),
        Value::UnixFd(index) => write!(out, "{}{index}", word("handle ", is_typed)),
        Value::Double(number) => write!(out, "{}", double(*number)),
        Value::String(text) => write!(out, "{}", quoted(text)),
        Value::ObjectPath(text) => write!(out, "{}{}", word("objectpath ", is_typed), quoted(text)),
        Value::Signature(text) => write!(out, "{}{}", word("signature ", is_typed), quoted(text)),
        Value::Bytes(bytes) => {
            print_bytes(out, bytes, is_typed);
            Ok(())
        }
        Value::Array { elements, .. } => {
            begin_array(out, value, elements.is_empty() && is_typed);
            print_list(out, ('[', ']'), elements, |out, index, element| {
                print(out, element, is_typed && index == 0);
            });
            Ok(())
        }
        Value::Dict { entries, .. } => {
            begin_array(out, value, entries.is_empty() && is_typed);
            print_list(out, ('{', '}'), entries, |out, index, (key, value)| {
                print(out, key, is_typed && index == 0);
                out.push_str(": ");
                print(out, value, is_typed && index == 0);
            });
            Ok(())
        }
        Value::Struct(fields) => {
            print_fields(out, fields, is_typed);
            Ok(())
        }
        Value::Variant(value) => {
            out.push('<');
            print(out, value, true);
            out.push('>');
            Ok(())
        }
    };
}

/// The arguments of a message, which GLib has as a structure.
pub(crate) fn print_tuple(out: &mut String, values: &[Value]) {
    print_fields(out, values, true);
}

fn print_fields(out: &mut String, fields: &[Value], is_typed: bool) {
    print_list(out, ('(', ')'), fields, |out, _, field| print(out, field, is_typed));
    if fields.len() == 1 {
        out.pop();
        out.push_str(",)");
    }
}

fn print_list<T>(
    out: &mut String,
    (open, close): (char, char),
    parts: &[T],
    mut print: impl FnMut(&mut String, usize, &T),
) {
    out.push(open);
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        print(out, index, part);
    }
    out.push(close);
}

const fn word(word: &'static str, is_typed: bool) -> &'static str {
    if is_typed { word } else { "" }
}

/// An empty array says what it could hold.
fn begin_array(out: &mut String, value: &Value, is_told: bool) {
    if is_told {
        let _ = write!(out, "@{} ", value.signature());
    }
}

/// Bytes that end with the only NUL among them are a text.
fn print_bytes(out: &mut String, bytes: &[u8], is_typed: bool) {
    match bytes.split_last() {
        Some((0, text)) if !text.contains(&0) => print_bytestring(out, text),
        _ => {
            begin_array(out, &Value::Bytes(Vec::new()), bytes.is_empty() && is_typed);
            print_list(out, ('[', ']'), bytes, |out, index, byte| {
                print(out, &Value::Byte(*byte), is_typed && index == 0);
            });
        }
    }
}

fn print_bytestring(out: &mut String, text: &[u8]) {
    let quote = if text.contains(&b'\'') { b'"' } else { b'\'' };
    out.push('b');
    out.push(quote.into());
    for byte in text {
        let _ = match byte {
            b'\\' => write!(out, "\\\\"),
            // Also where it is not the quote around it.
            b'"' => write!(out, "\\\""),
            8 => write!(out, "\\b"),
            11 => write!(out, "\\v"),
            12 => write!(out, "\\f"),
            b'\n' => write!(out, "\\n"),
            b'\r' => write!(out, "\\r"),
            b'\t' => write!(out, "\\t"),
            b' '..=b'~' => write!(out, "{}", char::from(*byte)),
            byte => write!(out, "\\{byte:03o}"),
        };
    }
    out.push(quote.into());
}

/// In single quotes, or in double ones if it has a single one in it; nothing in it moves a cursor.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        let _ = match c {
            '\\' => write!(out, "\\\\"),
            c if c == quote => write!(out, "\\{c}"),
            '\u{7}' => write!(out, "\\a"),
            '\u{8}' => write!(out, "\\b"),
            '\u{b}' => write!(out, "\\v"),
            '\u{c}' => write!(out, "\\f"),
            '\n' => write!(out, "\\n"),
            '\r' => write!(out, "\\r"),
            '\t' => write!(out, "\\t"),
            c if crate::output::escape::is_harmless(c) => write!(out, "{c}"),
            c if u32::from(c) <= 0xffff => write!(out, "\\u{:04x}", u32::from(c)),
            c => write!(out, "\\U{:08x}", u32::from(c)),
        };
    }
    out.push(quote);
    out
}

/// With 17 digits, and a point or an exponent in any case.
fn double(number: f64) -> String {
    let text = super::super::flat::general(number, 17);
    match number.is_finite() && !text.contains(['.', 'e']) {
        true => text + ".0",
        false => text,
    }
}
