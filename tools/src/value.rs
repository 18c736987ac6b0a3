//! Values of D-Bus types as the command has them: read from messages, shown, typed by people, sent.
//!
//! A value knows its type, also where it is empty. Descriptors are places in a table beside it: that of the message,
//! or that of [`Arguments`]. How deep they are is bounded (protocol.md A018), so that walking through them is: what is
//! read was checked, and each form that is typed counts the containers that it opens.

pub(crate) mod flat;
pub(crate) mod gvariant;
pub(crate) mod json;
pub(crate) mod json_text;
mod read;
mod send;
pub(crate) mod words;

use std::fmt::Write as _;
use std::os::fd::OwnedFd;

use libbus::wire::Signature;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Byte(u8),
    Boolean(bool),
    Int16(i16),
    Uint16(u16),
    Int32(i32),
    Uint32(u32),
    Int64(i64),
    Uint64(u64),
    Double(f64),
    String(String),
    ObjectPath(String),
    Signature(String),
    /// Its place in the table of descriptors.
    UnixFd(u32),
    /// An array of bytes, which may be long.
    Bytes(Vec<u8>),
    Array {
        element: String,
        elements: Vec<Value>,
    },
    Dict {
        key: String,
        value: String,
        entries: Vec<(Value, Value)>,
    },
    Struct(Vec<Value>),
    Variant(Box<Value>),
}

impl Value {
    /// Its type.
    pub(crate) fn signature(&self) -> String {
        let mut signature = String::new();
        self.write_signature(&mut signature);
        signature
    }

    fn write_signature(&self, out: &mut String) {
        match self {
            Self::Bytes(_) => out.push_str("ay"),
            Self::Array { element, .. } => {
                out.push('a');
                out.push_str(element);
            }
            // Writing to a string does not fail.
            Self::Dict { key, value, .. } => drop(write!(out, "a{{{key}{value}}}")),
            Self::Struct(fields) => {
                out.push('(');
                fields.iter().for_each(|field| field.write_signature(out));
                out.push(')');
            }
            other => out.push(other.type_code()),
        }
    }

    /// The first character of its type.
    pub(crate) const fn type_code(&self) -> char {
        match self {
            Self::Byte(_) => 'y',
            Self::Boolean(_) => 'b',
            Self::Int16(_) => 'n',
            Self::Uint16(_) => 'q',
            Self::Int32(_) => 'i',
            Self::Uint32(_) => 'u',
            Self::Int64(_) => 'x',
            Self::Uint64(_) => 't',
            Self::Double(_) => 'd',
            Self::String(_) => 's',
            Self::ObjectPath(_) => 'o',
            Self::Signature(_) => 'g',
            Self::UnixFd(_) => 'h',
            Self::Bytes(_) | Self::Array { .. } | Self::Dict { .. } => 'a',
            Self::Struct(_) => '(',
            Self::Variant(_) => 'v',
        }
    }

    /// The value of a dictionary at a key that is a string, out of its variant.
    pub(crate) fn entry(&self, key: &str) -> Option<&Self> {
        let Self::Dict { entries, .. } = self else { return None };
        let is_it = |(other, _): &&(Self, Self)| matches!(other, Self::String(text) if text == key);
        entries.iter().find(is_it).map(|(_, value)| value.unwrapped())
    }

    /// What is in a variant; another value itself.
    pub(crate) fn unwrapped(&self) -> &Self {
        match self {
            Self::Variant(value) => value,
            other => other,
        }
    }

    /// The array that `elements` make, each of which is an `element`.
    pub(crate) fn array(element: &str, elements: Vec<Self>) -> Self {
        if element != "y" {
            return Self::Array { element: element.to_owned(), elements };
        }
        let byte = |value: &Self| match value {
            Self::Byte(byte) => Some(*byte),
            _ => None,
        };
        Self::Bytes(elements.iter().filter_map(byte).collect())
    }
}

/// What goes into a body: values, and the descriptors that go with them.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    pub(crate) values: Vec<Value>,
    pub(crate) fds: Vec<OwnedFd>,
}

/// A type, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    /// One of `ybnqiuxtdsogh`.
    Basic(char),
    Variant,
    /// Of the type of its elements.
    Array(&'a str),
    /// Of the types of its keys and its values.
    Dict(&'a str, &'a str),
    /// Of the types of its fields, in a row.
    Struct(&'a str),
}

impl Kind<'_> {
    /// How many containers a value of it opens: a dictionary is an array of entries.
    pub(crate) const fn depth(self) -> usize {
        match self {
            Self::Basic(_) => 0,
            Self::Variant | Self::Array(_) | Self::Struct(_) => 1,
            Self::Dict(..) => 2,
        }
    }
}

/// What the one complete type `signature` is. Nothing, if it is none.
pub(crate) fn kind(signature: &str) -> Option<Kind<'_>> {
    let inside = |from: usize| signature.get(from..signature.len().checked_sub(1)?);
    match signature.as_bytes() {
        [b'v'] => Some(Kind::Variant),
        [code] => Some(Kind::Basic(char::from(*code))),
        [b'(', .., b')'] => inside(1).map(Kind::Struct),
        [b'a', b'{', .., b'}'] => inside(2)?.split_at_checked(1).map(|(k, v)| Kind::Dict(k, v)),
        [b'a', ..] => signature.get(1..).map(Kind::Array),
        _ => None,
    }
}

/// The complete types in a row.
pub(crate) fn types(signature: &str) -> Vec<String> {
    let parsed = Signature::parse(signature);
    parsed.map_or_else(
        |_| Vec::new(),
        |types| types.types().map(|part| part.as_str().to_owned()).collect(),
    )
}

/// A signature, as it is typed; the last word on what is one.
///
/// # Errors
/// It is none; why.
pub(crate) fn parse_signature(text: &str) -> Result<String, String> {
    let parsed = Signature::parse(text);
    parsed.map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Words for arguments of these types, as a shell takes them. Nothing, where they would be many, or have descriptors in
/// containers, which have no text.
pub(crate) fn example(signature: &str) -> Option<String> {
    if signature.is_empty() || signature.len() > EXAMPLE_SIGNATURE_SIZE_MAX {
        return None;
    }
    let word = |wanted: String| match kind(&wanted) {
        Some(Kind::Basic('h')) => Some("@FILE".to_owned()),
        Some(Kind::Basic('s')) => Some("text".to_owned()),
        Some(Kind::Basic('o')) => Some("/org/example".to_owned()),
        Some(Kind::Basic('g')) => Some("'a{sv}'".to_owned()),
        Some(Kind::Basic(_)) => example_text(&wanted),
        _ => example_text(&wanted).map(|text| format!("\"{text}\"")),
    };
    let words: Option<Vec<String>> = types(signature).into_iter().map(word).collect();
    words.map(|words| words.join(" "))
}

/// What is longer than this is no example that anybody reads.
const EXAMPLE_SIGNATURE_SIZE_MAX: usize = 32;

/// A value in GVariant's text form.
fn example_text(wanted: &str) -> Option<String> {
    let each = |fields: &str| {
        let fields: Option<Vec<String>> =
            types(fields).iter().map(|field| example_text(field)).collect();
        fields.map(|fields| fields.join(", "))
    };
    Some(match kind(wanted)? {
        Kind::Basic('h') => return None,
        Kind::Basic('b') => "true".to_owned(),
        Kind::Basic('d') => "0.5".to_owned(),
        Kind::Basic('s') => "'text'".to_owned(),
        Kind::Basic('o') => "'/org/example'".to_owned(),
        Kind::Basic('g') => "'a{sv}'".to_owned(),
        Kind::Basic(_) => "7".to_owned(),
        Kind::Variant => "<'text'>".to_owned(),
        Kind::Array(element) => format!("[{}]", each(element)?),
        Kind::Dict(key, value) => format!("{{{}: {}}}", each(key)?, each(value)?),
        Kind::Struct(fields) => format!("({})", each(fields)?),
    })
}

/// What people call the type, for errors: `s` is a string.
pub(crate) fn type_name(signature: &str) -> String {
    let name = match signature {
        "y" => "a byte, 0 to 255",
        "b" => "a boolean: true or false",
        "n" => "a whole number, -32768 to 32767",
        "q" => "a whole number, 0 to 65535",
        "i" => "a whole number of 32 bits",
        "u" => "a whole number of 32 bits, not below 0",
        "x" => "a whole number of 64 bits",
        "t" => "a whole number of 64 bits, not below 0",
        "d" => "a number",
        "s" => "a string",
        "o" => "an object path, such as /org/example",
        "g" => "a signature, such as a{sv}",
        "h" => "a file descriptor: fd:NUMBER, or @FILE",
        "v" => "a variant: <'text'>, <uint32 5>, or a type and a value",
        "as" => "an array of strings: ['one', 'two'], or 2 one two",
        "a{sv}" => "a dictionary: {'key': <'value'>}, or 1 key s value",
        _ => match kind(signature) {
            Some(Kind::Array(_)) => "an array: [first, second], or their number and they",
            Some(Kind::Dict(..)) => "a dictionary: {key: value}, or the number of entries and they",
            Some(Kind::Struct(_)) => "a structure: (first, second)",
            _ => "a value",
        },
    };
    format!("{name} (type {signature})")
}

#[cfg(test)]
mod tests;
