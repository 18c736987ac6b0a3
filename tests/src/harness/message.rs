//! Messages as bytes, in both byte orders, written and read independently of `libbus`.
//!
//! The encoder writes whatever it is told, so that a test can break one rule at a time. The decoder
//! is strict: a message of the bus that breaks a rule of the specification fails the test that
//! received it.

mod decoder;

use std::fmt::Write as _;

pub(super) use decoder::{decode, message_size};

/// Message types, the second byte of a message.
pub mod kind {
    /// A call of a method.
    pub const METHOD_CALL: u8 = 1;
    /// The reply that carries results.
    pub const METHOD_RETURN: u8 = 2;
    /// The reply that carries a failure.
    pub const ERROR: u8 = 3;
    /// A signal.
    pub const SIGNAL: u8 = 4;
}

/// Header flags, the third byte of a message.
pub mod flag {
    /// The caller wants no reply.
    pub const NO_REPLY_EXPECTED: u8 = 1;
    /// The bus must not start the destination.
    pub const NO_AUTO_START: u8 = 2;
    /// The user may be asked.
    pub const ALLOW_INTERACTIVE_AUTHORIZATION: u8 = 4;
}

/// Codes of the header fields.
pub mod field {
    /// PATH, an object path.
    pub const PATH: u8 = 1;
    /// INTERFACE, a string.
    pub const INTERFACE: u8 = 2;
    /// MEMBER, a string.
    pub const MEMBER: u8 = 3;
    /// `ERROR_NAME`, a string.
    pub const ERROR_NAME: u8 = 4;
    /// `REPLY_SERIAL`, a `UINT32`.
    pub const REPLY_SERIAL: u8 = 5;
    /// DESTINATION, a string.
    pub const DESTINATION: u8 = 6;
    /// SENDER, a string.
    pub const SENDER: u8 = 7;
    /// SIGNATURE, a signature.
    pub const SIGNATURE: u8 = 8;
    /// `UNIX_FDS`, a `UINT32`.
    pub const UNIX_FDS: u8 = 9;
}

/// The byte order of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endian {
    /// `l`
    Little,
    /// `B`
    Big,
}

impl Endian {
    /// Both, for tests that run a case in each.
    pub const BOTH: [Self; 2] = [Self::Little, Self::Big];
}

/// A value with its type.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the variants are the types of the specification")]
pub enum Value {
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
    Path(String),
    Signature(String),
    Fd(u32),
    Variant(Box<Value>),
    /// Element signature and elements.
    Array(String, Vec<Value>),
    Struct(Vec<Value>),
    Entry(Box<Value>, Box<Value>),
    /// What no valid value can say.
    Written(Written),
}

/// Bytes that claim to be a value of type `signature`, written by hand.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// What the signature announces.
    pub signature: &'static str,
    /// Writes the bytes, alignment included.
    pub write: fn(&mut Encoder),
}

impl PartialEq for Written {
    fn eq(&self, _other: &Self) -> bool {
        false
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Uint32(number)
    }
}

impl Value {
    /// An object path.
    pub fn path(text: &str) -> Self {
        Self::Path(text.to_owned())
    }

    /// A variant that holds `value`.
    pub fn variant(value: impl Into<Self>) -> Self {
        Self::Variant(Box::new(value.into()))
    }

    /// An array of strings.
    pub fn strings(texts: &[&str]) -> Self {
        Self::Array("s".to_owned(), texts.iter().map(|text| Self::from(*text)).collect())
    }

    /// A dict entry.
    pub fn entry(key: impl Into<Self>, value: impl Into<Self>) -> Self {
        Self::Entry(Box::new(key.into()), Box::new(value.into()))
    }

    /// The type of this value.
    pub fn signature(&self) -> String {
        match self {
            Self::Byte(_) => "y".into(),
            Self::Boolean(_) => "b".into(),
            Self::Int16(_) => "n".into(),
            Self::Uint16(_) => "q".into(),
            Self::Int32(_) => "i".into(),
            Self::Uint32(_) => "u".into(),
            Self::Int64(_) => "x".into(),
            Self::Uint64(_) => "t".into(),
            Self::Double(_) => "d".into(),
            Self::String(_) => "s".into(),
            Self::Path(_) => "o".into(),
            Self::Signature(_) => "g".into(),
            Self::Fd(_) => "h".into(),
            Self::Variant(_) => "v".into(),
            Self::Array(element, _) => format!("a{element}"),
            Self::Struct(members) => format!("({})", signature_of(members)),
            Self::Entry(key, value) => format!("{{{}{}}}", key.signature(), value.signature()),
            Self::Written(written) => written.signature.into(),
        }
    }

    /// The text of a string, object path or signature.
    pub fn text(&self) -> &str {
        match self {
            Self::String(text) | Self::Path(text) | Self::Signature(text) => text,
            other => panic!("no text: {other:?}"),
        }
    }

    /// The number of a `UINT32`.
    pub fn number(&self) -> u32 {
        match self {
            Self::Uint32(number) => *number,
            other => panic!("not a UINT32: {other:?}"),
        }
    }

    /// The texts of an array of strings.
    pub fn texts(&self) -> Vec<&str> {
        self.elements().iter().map(Self::text).collect()
    }

    /// The elements of an array, also out of a variant.
    pub fn elements(&self) -> &[Self] {
        match self {
            Self::Array(_, elements) => elements,
            Self::Variant(inner) => inner.elements(),
            other => panic!("not an array: {other:?}"),
        }
    }

    /// The value under `key` in a dictionary with string keys, out of its variant.
    pub fn lookup(&self, key: &str) -> Option<&Self> {
        self.elements().iter().find_map(|element| match element {
            Self::Entry(entry_key, value) if entry_key.text() == key => match &**value {
                Self::Variant(inner) => Some(&**inner),
                plain => Some(plain),
            },
            _ => None,
        })
    }

    /// The keys of a dictionary with string keys, in order of appearance.
    pub fn keys(&self) -> Vec<&str> {
        let key_of = |element: &'_ Self| match element {
            Self::Entry(..) => true,
            _ => panic!("not a dictionary: {element:?}"),
        };
        self.elements()
            .iter()
            .filter(|element| key_of(element))
            .filter_map(|element| match element {
                Self::Entry(key, _) => Some(key.text()),
                _ => None,
            })
            .collect()
    }
}

/// The signature of several values in a row.
pub(super) fn signature_of(values: &[Value]) -> String {
    values.iter().map(Value::signature).collect()
}

/// Writes primitives with the alignment and byte order of the wire format, and no other rule.
#[derive(Clone, Debug)]
pub struct Encoder {
    /// The byte order.
    pub endian: Endian,
    /// What has been written.
    pub bytes: Vec<u8>,
}

impl Encoder {
    /// Starts at an aligned position.
    pub fn new(endian: Endian) -> Self {
        Self { endian, bytes: Vec::new() }
    }

    /// Pads with NULs to a multiple of `alignment`.
    pub fn align(&mut self, alignment: usize) {
        self.align_with(alignment, 0);
    }

    /// Pads with `filler`, which should be NUL and need not be.
    pub fn align_with(&mut self, alignment: usize, filler: u8) {
        while !self.bytes.len().is_multiple_of(alignment) {
            self.bytes.push(filler);
        }
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Two bytes, aligned.
    pub fn u16(&mut self, number: u16) {
        self.align(2);
        match self.endian {
            Endian::Little => self.raw(&number.to_le_bytes()),
            Endian::Big => self.raw(&number.to_be_bytes()),
        }
    }

    /// Four bytes, aligned.
    pub fn u32(&mut self, number: u32) {
        self.align(4);
        match self.endian {
            Endian::Little => self.raw(&number.to_le_bytes()),
            Endian::Big => self.raw(&number.to_be_bytes()),
        }
    }

    /// Eight bytes, aligned.
    pub fn u64(&mut self, number: u64) {
        self.align(8);
        match self.endian {
            Endian::Little => self.raw(&number.to_le_bytes()),
            Endian::Big => self.raw(&number.to_be_bytes()),
        }
    }

    /// A string or object path, whatever its bytes are.
    pub fn text(&mut self, bytes: &[u8]) {
        self.u32(u32::try_from(bytes.len()).unwrap());
        self.raw(bytes);
        self.raw(&[0]);
    }

    /// A signature, whatever its bytes are.
    pub fn signature(&mut self, bytes: &[u8]) {
        self.raw(&[u8::try_from(bytes.len()).unwrap()]);
        self.raw(bytes);
        self.raw(&[0]);
    }

    /// An array of what `write` writes; `alignment` is that of its elements.
    pub fn array(&mut self, alignment: usize, write: impl FnOnce(&mut Self)) {
        self.u32(0);
        let size_at = self.bytes.len() - 4;
        self.align(alignment);
        let start = self.bytes.len();
        write(self);
        let size = u32::try_from(self.bytes.len() - start).unwrap();
        self.patch_u32(size_at, size);
    }

    /// Overwrites the four bytes at `offset`.
    pub fn patch_u32(&mut self, offset: usize, number: u32) {
        let bytes = match self.endian {
            Endian::Little => number.to_le_bytes(),
            Endian::Big => number.to_be_bytes(),
        };
        self.bytes[offset..offset + 4].copy_from_slice(&bytes);
    }

    /// A valid value.
    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Byte(number) => self.raw(&[*number]),
            Value::Boolean(truth) => self.u32(u32::from(*truth)),
            Value::Int16(number) => self.u16(number.cast_unsigned()),
            Value::Uint16(number) => self.u16(*number),
            Value::Int32(number) => self.u32(number.cast_unsigned()),
            Value::Uint32(number) | Value::Fd(number) => self.u32(*number),
            Value::Int64(number) => self.u64(number.cast_unsigned()),
            Value::Uint64(number) => self.u64(*number),
            Value::Double(number) => self.u64(number.to_bits()),
            Value::String(text) | Value::Path(text) => self.text(text.as_bytes()),
            Value::Signature(text) => self.signature(text.as_bytes()),
            Value::Variant(inner) => {
                self.signature(inner.signature().as_bytes());
                self.value(inner);
            }
            Value::Array(element, elements) => {
                self.array(alignment_of(element.as_bytes()[0]), |encoder| encoder.values(elements));
            }
            Value::Struct(members) => {
                self.align(8);
                self.values(members);
            }
            Value::Entry(key, entry_value) => {
                self.align(8);
                self.value(key);
                self.value(entry_value);
            }
            Value::Written(written) => (written.write)(self),
        }
    }

    fn values(&mut self, values: &[Value]) {
        for value in values {
            self.value(value);
        }
    }
}

/// The alignment of a type, from the first character of its signature.
fn alignment_of(code: u8) -> usize {
    match code {
        b'y' | b'g' | b'v' => 1,
        b'n' | b'q' => 2,
        b'b' | b'i' | b'u' | b's' | b'o' | b'a' | b'h' => 4,
        b'x' | b't' | b'd' | b'(' | b'{' => 8,
        other => panic!("no type code: {:?}", char::from(other)),
    }
}

/// A message, to be sent or received.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Byte order of header and body.
    pub endian: Endian,
    /// The type, see [`kind`].
    pub kind: u8,
    /// The flags, see [`flag`].
    pub flags: u8,
    /// The protocol version, 1 in a valid message.
    pub version: u8,
    /// The serial; 0 asks the sending client for its next one.
    pub serial: u32,
    /// The header fields in order, SIGNATURE excepted unless a test sets it.
    pub fields: Vec<(u8, Value)>,
    /// The arguments.
    pub body: Vec<Value>,
}

impl Message {
    /// A message of any type without fields.
    pub fn new(kind: u8) -> Self {
        Self {
            endian: Endian::Little,
            kind,
            flags: 0,
            version: 1,
            serial: 0,
            fields: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A call of the method `member`.
    pub fn method_call(path: &str, interface: &str, member: &str) -> Self {
        Self::new(kind::METHOD_CALL)
            .with(field::PATH, Value::path(path))
            .with(field::INTERFACE, interface)
            .with(field::MEMBER, member)
    }

    /// A signal without destination.
    pub fn signal(path: &str, interface: &str, member: &str) -> Self {
        let mut message = Self::method_call(path, interface, member);
        message.kind = kind::SIGNAL;
        message
    }

    /// The successful reply to `call`.
    pub fn method_return(call: &Self) -> Self {
        Self::reply_to(kind::METHOD_RETURN, call.serial, &call.sender())
    }

    /// The failed reply to `call`.
    pub fn error(call: &Self, name: &str) -> Self {
        Self::reply_to(kind::ERROR, call.serial, &call.sender()).with(field::ERROR_NAME, name)
    }

    /// A reply to the call `serial` of `caller`.
    pub fn reply_to(kind: u8, serial: u32, caller: &str) -> Self {
        Self::new(kind).with(field::REPLY_SERIAL, serial).to(caller)
    }

    /// Adds a header field, even a second time.
    #[must_use]
    pub fn with(mut self, code: u8, value: impl Into<Value>) -> Self {
        self.fields.push((code, value.into()));
        self
    }

    /// Leaves a header field out.
    #[must_use]
    pub fn without(mut self, code: u8) -> Self {
        self.fields.retain(|(known, _)| *known != code);
        self
    }

    /// Sets DESTINATION.
    #[must_use]
    pub fn to(self, destination: &str) -> Self {
        self.without(field::DESTINATION).with(field::DESTINATION, destination)
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, value: impl Into<Value>) -> Self {
        self.body.push(value.into());
        self
    }

    /// Sets the flags.
    #[must_use]
    pub fn flags(mut self, flags: u8) -> Self {
        self.flags = flags;
        self
    }

    /// Sets the byte order.
    #[must_use]
    pub fn endian(mut self, endian: Endian) -> Self {
        self.endian = endian;
        self
    }

    /// Sets the serial.
    #[must_use]
    pub fn serial(mut self, serial: u32) -> Self {
        self.serial = serial;
        self
    }

    /// The bytes of this message; a SIGNATURE field is added if there is a body and no such field.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Encoder::new(self.endian);
        body.values(&self.body);
        let mut fields = self.fields.clone();
        if !self.body.is_empty() && self.field(field::SIGNATURE).is_none() {
            fields.push((field::SIGNATURE, Value::Signature(signature_of(&self.body))));
        }
        let mut encoder = self.encode_header(&fields, body.bytes.len());
        encoder.raw(&body.bytes);
        encoder.bytes
    }

    /// Header bytes, padded, with the given fields and body size.
    pub fn encode_header(&self, fields: &[(u8, Value)], body_size: usize) -> Encoder {
        let mut encoder = Encoder::new(self.endian);
        let order = if self.endian == Endian::Little { b'l' } else { b'B' };
        encoder.raw(&[order, self.kind, self.flags, self.version]);
        encoder.u32(u32::try_from(body_size).unwrap());
        encoder.u32(self.serial);
        encoder.array(8, |array| {
            for (code, value) in fields {
                array.align(8);
                array.raw(&[*code]);
                array.signature(value.signature().as_bytes());
                array.value(value);
            }
        });
        encoder.align(8);
        encoder
    }

    /// The field `code`, if it is there.
    pub fn field(&self, code: u8) -> Option<&Value> {
        self.fields.iter().find(|(known, _)| *known == code).map(|(_, value)| value)
    }

    fn text_field(&self, code: u8) -> String {
        self.field(code).map(|value| value.text().to_owned()).unwrap_or_default()
    }

    /// PATH, empty if absent; the same for the fields below.
    pub fn path(&self) -> String {
        self.text_field(field::PATH)
    }

    /// INTERFACE
    pub fn interface(&self) -> String {
        self.text_field(field::INTERFACE)
    }

    /// MEMBER
    pub fn member(&self) -> String {
        self.text_field(field::MEMBER)
    }

    /// `ERROR_NAME`
    pub fn error_name(&self) -> String {
        self.text_field(field::ERROR_NAME)
    }

    /// DESTINATION
    pub fn destination(&self) -> String {
        self.text_field(field::DESTINATION)
    }

    /// SENDER
    pub fn sender(&self) -> String {
        self.text_field(field::SENDER)
    }

    /// SIGNATURE
    pub fn signature(&self) -> String {
        self.text_field(field::SIGNATURE)
    }

    /// `REPLY_SERIAL`, 0 if absent.
    pub fn reply_serial(&self) -> u32 {
        self.field(field::REPLY_SERIAL).map_or(0, Value::number)
    }

    /// `UNIX_FDS`, 0 if absent.
    pub fn unix_fds(&self) -> u32 {
        self.field(field::UNIX_FDS).map_or(0, Value::number)
    }

    /// What a person needs to know of this message, in one line, without serials.
    pub fn describe(&self) -> String {
        let mut line = match self.kind {
            kind::METHOD_CALL => "call",
            kind::METHOD_RETURN => "return",
            kind::ERROR => "error",
            kind::SIGNAL => "signal",
            _ => "unknown",
        }
        .to_owned();
        for (code, label) in [
            (field::ERROR_NAME, ""),
            (field::INTERFACE, ""),
            (field::MEMBER, ""),
            (field::PATH, "path="),
            (field::SENDER, "sender="),
            (field::DESTINATION, "destination="),
        ] {
            if let Some(value) = self.field(code) {
                let _ = write!(line, " {label}{}", value.text());
            }
        }
        if !self.body.is_empty() {
            let _ = write!(line, " {:?}", self.body);
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_survives_both_byte_orders() {
        for endian in Endian::BOTH {
            let message = Message::signal("/a", "a.b", "C")
                .endian(endian)
                .serial(7)
                .arg(Value::Byte(1))
                .arg(Value::Boolean(true))
                .arg(Value::Int16(-2))
                .arg(Value::Double(1.5))
                .arg(Value::variant(Value::Array(
                    "{sv}".into(),
                    vec![Value::entry("k", Value::variant(Value::Uint64(9)))],
                )))
                .arg(Value::Struct(vec![Value::Byte(3), Value::path("/x")]));
            let bytes = message.encode();
            assert_eq!(message_size(&bytes), Some(bytes.len()));
            let mut decoded = decode(&bytes);
            decoded.fields.pop(); // the SIGNATURE that encode() added
            assert_eq!(decoded, message);
        }
    }

    #[test]
    fn a_big_endian_call_has_the_bytes_of_the_specification() {
        let bytes = Message::new(kind::METHOD_CALL)
            .endian(Endian::Big)
            .serial(1)
            .with(field::PATH, Value::path("/"))
            .encode();
        let expected =
            b"B\x01\0\x01\0\0\0\0\0\0\0\x01\0\0\0\x0a\x01\x01o\0\0\0\0\x01/\0\0\0\0\0\0\0";
        assert_eq!(bytes, expected);
    }
}
