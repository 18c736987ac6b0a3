//! Bytes of the bus to messages, strictly.

use super::{Endian, Message, Value, alignment_of};

/// How long the message at the start of `bytes` is, once its first 16 bytes are there.
pub(in crate::harness) fn message_size(bytes: &[u8]) -> Option<usize> {
    if bytes.len() < 16 {
        return None;
    }
    let mut decoder = Decoder::new(endian_of(bytes[0]), bytes);
    decoder.position = 4;
    let body_size = decoder.u32();
    decoder.position = 12;
    let fields_size = decoder.u32();
    Some((16 + fields_size as usize).next_multiple_of(8) + body_size as usize)
}

fn endian_of(order: u8) -> Endian {
    match order {
        b'l' => Endian::Little,
        b'B' => Endian::Big,
        other => panic!("byte order {other:#x} in a message of the bus"),
    }
}

/// Reads one whole message and checks every rule that a bus could break.
pub(in crate::harness) fn decode(bytes: &[u8]) -> Message {
    let endian = endian_of(bytes[0]);
    let mut decoder = Decoder::new(endian, bytes);
    decoder.position = 4;
    let body_size = decoder.u32() as usize;
    let serial = decoder.u32();
    let fields = decoder.header_fields();
    decoder.align(8);
    let body_start = decoder.position;
    assert_eq!(body_start + body_size, bytes.len(), "size of a message of the bus");
    assert_ne!(serial, 0, "serial of a message of the bus");
    let mut message = Message {
        endian,
        kind: bytes[1],
        flags: bytes[2],
        version: bytes[3],
        serial,
        fields,
        body: Vec::new(),
    };
    message.body = decode_body(endian, &message.signature(), &bytes[body_start..]);
    message
}

fn decode_body(endian: Endian, signature: &str, bytes: &[u8]) -> Vec<Value> {
    let mut decoder = Decoder::new(endian, bytes);
    let values =
        complete_types(signature).into_iter().map(|single| decoder.value(single)).collect();
    assert_eq!(decoder.position, bytes.len(), "bytes left after the body ({signature})");
    values
}

/// Splits a signature into single complete types.
fn complete_types(signature: &str) -> Vec<&str> {
    let mut types = Vec::new();
    let mut rest = signature;
    while !rest.is_empty() {
        let (single, after) = rest.split_at(complete_type_size(rest.as_bytes()));
        types.push(single);
        rest = after;
    }
    types
}

fn complete_type_size(signature: &[u8]) -> usize {
    match signature[0] {
        b'a' => 1 + complete_type_size(&signature[1..]),
        b'(' | b'{' => {
            let mut size = 1;
            while !matches!(signature[size], b')' | b'}') {
                size += complete_type_size(&signature[size..]);
            }
            size + 1
        }
        _ => 1,
    }
}

struct Decoder<'a> {
    endian: Endian,
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Decoder<'a> {
    fn new(endian: Endian, bytes: &'a [u8]) -> Self {
        Self { endian, bytes, position: 0 }
    }

    fn align(&mut self, alignment: usize) {
        let padding = self.take(self.position.next_multiple_of(alignment) - self.position);
        assert!(padding.iter().all(|byte| *byte == 0), "padding is not NUL");
    }

    fn take(&mut self, size: usize) -> &'a [u8] {
        let taken = &self.bytes[self.position..self.position + size];
        self.position += size;
        taken
    }

    fn number<const SIZE: usize>(&mut self) -> [u8; SIZE] {
        self.align(SIZE);
        let mut bytes: [u8; SIZE] = self.take(SIZE).try_into().unwrap();
        if self.endian == Endian::Big {
            bytes.reverse();
        }
        bytes
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.number())
    }

    fn text(&mut self) -> String {
        let size = self.u32() as usize;
        self.terminated(size)
    }

    fn signature(&mut self) -> String {
        let size = usize::from(self.take(1)[0]);
        self.terminated(size)
    }

    fn terminated(&mut self, size: usize) -> String {
        let text = String::from_utf8(self.take(size).to_vec()).expect("text of the bus is UTF-8");
        assert_eq!(self.take(1), [0], "text of the bus ends with NUL");
        text
    }

    fn header_fields(&mut self) -> Vec<(u8, Value)> {
        let end = self.u32() as usize + 16;
        let mut fields = Vec::new();
        while self.position < end {
            self.align(8);
            let code = self.take(1)[0];
            let signature = self.signature();
            fields.push((code, self.value(&signature)));
        }
        assert_eq!(self.position, end, "size of the header fields");
        fields
    }

    fn value(&mut self, signature: &str) -> Value {
        match signature.as_bytes()[0] {
            b'y' => Value::Byte(self.take(1)[0]),
            b'b' => Value::Boolean(self.boolean()),
            b'n' => Value::Int16(i16::from_le_bytes(self.number())),
            b'q' => Value::Uint16(u16::from_le_bytes(self.number())),
            b'i' => Value::Int32(i32::from_le_bytes(self.number())),
            b'u' => Value::Uint32(self.u32()),
            b'x' => Value::Int64(i64::from_le_bytes(self.number())),
            b't' => Value::Uint64(u64::from_le_bytes(self.number())),
            b'd' => Value::Double(f64::from_le_bytes(self.number())),
            b's' => Value::String(self.text()),
            b'o' => Value::Path(self.text()),
            b'g' => Value::Signature(self.signature()),
            b'h' => Value::Fd(self.u32()),
            b'v' => {
                let inner = self.signature();
                assert_eq!(complete_types(&inner).len(), 1, "variant of several types");
                Value::Variant(Box::new(self.value(&inner)))
            }
            b'a' => self.array(&signature[1..]),
            b'(' => Value::Struct(self.members(signature)),
            b'{' => {
                let mut members = self.members(signature).into_iter();
                Value::entry(members.next().unwrap(), members.next().unwrap())
            }
            other => panic!("type code {:?} from the bus", char::from(other)),
        }
    }

    fn boolean(&mut self) -> bool {
        match self.u32() {
            0 => false,
            1 => true,
            other => panic!("boolean {other}"),
        }
    }

    fn array(&mut self, element: &str) -> Value {
        let size = self.u32() as usize;
        self.align(alignment_of(element.as_bytes()[0]));
        let end = self.position + size;
        let mut elements = Vec::new();
        while self.position < end {
            elements.push(self.value(element));
        }
        assert_eq!(self.position, end, "size of an array");
        Value::Array(element.to_owned(), elements)
    }

    fn members(&mut self, signature: &str) -> Vec<Value> {
        self.align(8);
        let inside = &signature[1..signature.len() - 1];
        complete_types(inside).into_iter().map(|single| self.value(single)).collect()
    }
}
