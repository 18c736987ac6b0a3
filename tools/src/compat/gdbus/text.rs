//! GVariant's text format as GLib reads it, for the arguments of `gdbus`: a text is read first (`syntax.rs`), and then
//! made a value of the type that is wanted, or of the one that it looks like (`shape.rs`).
//!
//! The reader of `bus call` ([`crate::value::gvariant`]) takes more, since people type it. What it takes in addition
//! is refused here, as are types of GVariant that D-Bus does not have.

mod shape;
mod syntax;

use libbus::limits::CONTAINER_DEPTH_MAX;
use libbus::names::ObjectPath;
use libbus::wire::Signature;

use super::super::c_double;
use crate::value::{Kind, Value, kind, types};

use shape::Shape;
use syntax::{Form, Node, Syntax};

/// Why a text is no argument.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is no value of the type.
    Wrong { offset: usize, what: String },
    /// It is one that D-Bus cannot carry.
    Unsendable(String),
}

/// The value that all of `text` is: of the type `wanted`, or of the one it looks like.
///
/// # Errors
/// It is none, or one of another type.
pub(super) fn parse(text: &str, wanted: Option<&str>) -> Result<Value, Fault> {
    let node = Syntax::new(text).whole()?;
    match wanted {
        Some(wanted) => value(&node, wanted, 0),
        None => inferred(&node, 0),
    }
}

fn wrong(node: &Node, what: impl Into<String>) -> Fault {
    Fault::Wrong { offset: node.offset, what: what.into() }
}

fn is_not(node: &Node, wanted: &str) -> Fault {
    wrong(node, format!("this is no value of the type {wanted}"))
}

/// `depth`: how many containers are around it.
fn inferred(node: &Node, depth: usize) -> Result<Value, Fault> {
    let shape = Shape::of(node)?;
    let signature = shape
        .signature()
        .ok_or_else(|| wrong(node, "its type cannot be told; write it before the value: @as []"))?;
    match signature {
        text if text.contains("()") => {
            Err(Fault::Unsendable("Empty structures (tuples) are not allowed in D-Bus".to_owned()))
        }
        text if types(&text).len() != 1 => Err(Fault::Unsendable(format!(
            "Error serializing GVariant with type string “{text}” to the D-Bus wire format"
        ))),
        text => value(node, &text, depth),
    }
}

fn value(node: &Node, wanted: &str, depth: usize) -> Result<Value, Fault> {
    if let Form::Typed(_, inner) = &node.form {
        return value(inner, wanted, depth);
    }
    let kind = kind(wanted).ok_or_else(|| is_not(node, wanted))?;
    let depth = depth + kind.depth();
    if depth > CONTAINER_DEPTH_MAX {
        return Err(Fault::Unsendable(
            "more containers are inside one another than D-Bus has".to_owned(),
        ));
    }
    match (&node.form, kind) {
        (Form::Variant(inner), Kind::Variant) => {
            Ok(Value::Variant(Box::new(inferred(inner, depth)?)))
        }
        (Form::Bytes(bytes), Kind::Array("y")) => Ok(Value::Bytes(bytes.clone())),
        (Form::Array(parts), Kind::Array(element)) => {
            let elements = parts.iter().map(|part| value(part, element, depth));
            Ok(Value::array(element, elements.collect::<Result<_, _>>()?))
        }
        (Form::Array(_) | Form::Dictionary(_), Kind::Dict(key, inner)) => {
            dictionary(node, wanted, (key, inner), depth)
        }
        (Form::Tuple(parts), Kind::Struct(fields)) => {
            let fields = types(fields);
            if fields.len() != parts.len() {
                return Err(is_not(node, wanted));
            }
            let fields = parts.iter().zip(&fields).map(|(part, field)| value(part, field, depth));
            Ok(Value::Struct(fields.collect::<Result<_, _>>()?))
        }
        (_, Kind::Basic(_)) => basic(node, wanted),
        _ => Err(is_not(node, wanted)),
    }
}

/// `{'key': value}`, or an array of entries `{'key', value}`.
fn dictionary(
    node: &Node,
    wanted: &str,
    (key, inner): (&str, &str),
    depth: usize,
) -> Result<Value, Fault> {
    let pair = |(entry_key, entry_value): &(Node, Node)| {
        Ok((value(entry_key, key, depth)?, value(entry_value, inner, depth)?))
    };
    let entry = |part: &Node| match part.untyped() {
        Form::Entry(entry) => pair(entry),
        _ => Err(is_not(part, wanted.strip_prefix('a').unwrap_or(wanted))),
    };
    let entries = match &node.form {
        Form::Dictionary(entries) => entries.iter().map(pair).collect::<Result<_, _>>()?,
        Form::Array(parts) => parts.iter().map(entry).collect::<Result<_, _>>()?,
        _ => return Err(is_not(node, wanted)),
    };
    Ok(Value::Dict { key: key.to_owned(), value: inner.to_owned(), entries })
}

fn basic(node: &Node, wanted: &str) -> Result<Value, Fault> {
    match (&node.form, wanted) {
        (Form::Boolean(value), "b") => Ok(Value::Boolean(*value)),
        (Form::Text(text), "s") => Ok(Value::String(text.clone())),
        (Form::Text(text), "o") if ObjectPath::parse(text).is_ok() => {
            Ok(Value::ObjectPath(text.clone()))
        }
        (Form::Text(text), "g") if Signature::parse(text).is_ok() => {
            Ok(Value::Signature(text.clone()))
        }
        (Form::Number(text), "d") => double(text).map_err(|what| wrong(node, what)),
        (Form::Number(text), _) => whole(text, wanted).map_err(|what| wrong(node, what)),
        _ => Err(is_not(node, wanted)),
    }
}

/// As `strtod` reads it. A number that is too small is 0, and one that has lost digits near 0 is refused.
fn double(text: &str) -> Result<Value, &'static str> {
    let number = c_double::read(text);
    match number.size {
        _ if number.is_out_of_range && number.value != 0.0 => Err("the number is out of range"),
        size if size == 0 || size < text.len() => Err("a number has no such character"),
        _ => Ok(Value::Double(number.value)),
    }
}

/// As `strtol` reads it where it is told no base.
fn whole(text: &str, wanted: &str) -> Result<Value, &'static str> {
    const RANGE: &str = "the number is out of range";
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (digits.get(2..).unwrap_or_default(), 16),
        [b'0', _, ..] => (digits.get(1..).unwrap_or_default(), 8),
        _ => (digits, 10),
    };
    if !digits.chars().all(|c| c.is_digit(radix)) || (digits.is_empty() && text != "-") {
        return Err("a whole number has no such character");
    }
    // A sign alone is 0 there.
    let digits = if digits.is_empty() { "0" } else { digits };
    let number = i128::from(u64::from_str_radix(digits, radix).map_err(|_| RANGE)?);
    let number = if is_negative { -number } else { number };
    let value = match wanted {
        "y" => number.try_into().map(Value::Byte),
        "n" => number.try_into().map(Value::Int16),
        "q" => number.try_into().map(Value::Uint16),
        "i" => number.try_into().map(Value::Int32),
        "u" => number.try_into().map(Value::Uint32),
        "x" => number.try_into().map(Value::Int64),
        "t" => number.try_into().map(Value::Uint64),
        // The number of a descriptor, which is none below 0.
        "h" => i32::try_from(number).and_then(u32::try_from).map(Value::UnixFd),
        _ => return Err("this is a number, and not what is wanted"),
    };
    value.map_err(|_| RANGE)
}

#[cfg(test)]
mod tests;
