//! What the parts of this module do together: each way to break a message, and what holds of
//! messages at random.

mod bodies;
mod headers;
mod random;
mod signatures;
mod stamping;

use super::*;

/// Header fields, or any other values, put together byte by byte in little-endian order.
#[derive(Clone, Default)]
struct Raw(Vec<u8>);

impl Raw {
    fn new() -> Self {
        Self::default()
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn pad(mut self, alignment: usize) -> Self {
        self.0.resize(self.0.len().next_multiple_of(alignment), 0);
        self
    }

    fn u32(self, value: u32) -> Self {
        self.pad(4).bytes(&value.to_le_bytes())
    }

    fn string(self, text: &str) -> Self {
        self.u32(text.len() as u32).bytes(text.as_bytes()).bytes(&[0])
    }

    fn signature(self, text: &str) -> Self {
        self.bytes(&[text.len() as u8]).bytes(text.as_bytes()).bytes(&[0])
    }

    /// The start of a header field.
    fn field(self, code: u8, signature: &str) -> Self {
        self.pad(8).bytes(&[code]).signature(signature)
    }

    fn text_field(self, code: u8, text: &str) -> Self {
        self.field(code, "s").string(text)
    }

    fn path_field(self, text: &str) -> Self {
        self.field(1, "o").string(text)
    }

    /// These fields in a message; its body follows them.
    fn message(&self, message_type: u8, body: &[u8]) -> Vec<u8> {
        Self::new()
            .bytes(&[b'l', message_type, 0, 1])
            .u32(body.len() as u32)
            .u32(7)
            .u32(self.0.len() as u32)
            .bytes(&self.0)
            .pad(8)
            .bytes(body)
            .0
    }
}

/// What the bus says of a whole message.
fn verdict(message: &[u8]) -> Result<(), MessageError> {
    let frame = frame(message, u32::MAX)?.expect("at least 16 bytes");
    let parsed = ParsedHeader::parse(message, &frame)?;
    assert_eq!(frame.message_size(), message.len());
    let body = &message[parsed.size..];
    let mut spans = ArgumentSpans::new();
    check_body(parsed.header.signature, body, parsed.header.endian, &mut spans)
}
