//! Writing messages of our own.
//!
//! Nothing here can fail: names and signatures are proof that they are valid, and whoever writes
//! sees to it that strings hold no NUL, that the body is what the signature says, and that arrays
//! and messages stay within 64 and 128 MiB. A debug build asserts it of bodies.

use super::body::{ArgumentSpans, check_body};
use super::header::{Header, field};
use super::message::{Endian, FIXED_HEADER_SIZE, MessageError, PROTOCOL_VERSION};
use super::signature::Signature;
use super::unmarshal::aligned;
use crate::names::ObjectPath;

/// Appends the values of a body to a buffer, aligned from the body's start.
///
/// ```
/// use libbus::wire::{BodyReader, BodyWriter, Endian, Signature};
///
/// let mut body = Vec::new();
/// let mut writer = BodyWriter::new(&mut body, Endian::Little);
/// writer.string("tea");
/// writer.array(const { Signature::from_static("u") }, |elements| {
///     elements.uint32(3);
///     elements.uint32(5);
/// });
///
/// let mut reader = BodyReader::new(&body, Endian::Little);
/// assert_eq!(reader.string()?, "tea");
/// let mut elements = reader.array(const { Signature::from_static("u") })?;
/// assert_eq!((elements.uint32()?, elements.uint32()?), (3, 5));
/// assert!(elements.is_empty() && reader.is_empty());
/// # Ok::<(), libbus::wire::MessageError>(())
/// ```
#[derive(Debug)]
pub struct BodyWriter<'b> {
    out: &'b mut Vec<u8>,
    /// Index in `out` from which alignment counts.
    start: usize,
    endian: Endian,
}

/// Where an ARRAY began that is not ended yet, as indices of the buffer.
#[derive(Debug)]
pub(crate) struct ArrayStart {
    size_at: usize,
    elements_at: usize,
}

impl<'b> BodyWriter<'b> {
    /// A writer of a body that starts at the end of `out`.
    pub const fn new(out: &'b mut Vec<u8>, endian: Endian) -> Self {
        let start = out.len();
        Self { out, start, endian }
    }

    /// A writer of the rest of a body, all of which is in `out`.
    #[cfg(feature = "client")]
    pub(crate) const fn resume(out: &'b mut Vec<u8>, endian: Endian) -> Self {
        Self { out, start: 0, endian }
    }

    /// Writes a BYTE.
    pub fn byte(&mut self, value: u8) {
        self.out.push(value);
    }

    /// Writes a BOOLEAN (A003).
    pub fn boolean(&mut self, value: bool) {
        self.uint32(u32::from(value));
    }

    /// Writes an INT16.
    pub fn int16(&mut self, value: i16) {
        self.uint16(value.cast_unsigned());
    }

    /// Writes a UINT16.
    pub fn uint16(&mut self, value: u16) {
        self.align(2);
        self.out.extend_from_slice(&match self.endian {
            Endian::Little => value.to_le_bytes(),
            Endian::Big => value.to_be_bytes(),
        });
    }

    /// Writes an INT32.
    pub fn int32(&mut self, value: i32) {
        self.uint32(value.cast_unsigned());
    }

    /// Writes a UINT32.
    pub fn uint32(&mut self, value: u32) {
        self.align(4);
        self.out.extend_from_slice(&self.endian.u32_to(value));
    }

    /// Writes an INT64.
    pub fn int64(&mut self, value: i64) {
        self.uint64(value.cast_unsigned());
    }

    /// Writes a UINT64.
    pub fn uint64(&mut self, value: u64) {
        self.align(8);
        self.out.extend_from_slice(&match self.endian {
            Endian::Little => value.to_le_bytes(),
            Endian::Big => value.to_be_bytes(),
        });
    }

    /// Writes a DOUBLE.
    pub fn double(&mut self, value: f64) {
        self.uint64(value.to_bits());
    }

    /// Writes a UNIX_FD: an index into the descriptors that go with the message (A007).
    pub fn unix_fd(&mut self, index: u32) {
        self.uint32(index);
    }

    /// Writes a STRING; `text` must be without NUL (A008).
    pub fn string(&mut self, text: &str) {
        self.size(text.len());
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(0);
    }

    /// Writes an OBJECT_PATH (A009).
    pub fn object_path(&mut self, path: ObjectPath<'_>) {
        self.string(path.as_str());
    }

    /// Writes a SIGNATURE (A010).
    pub fn signature(&mut self, signature: Signature<'_>) {
        let text = signature.as_str();
        // A signature has at most 255 bytes.
        self.out.push(text.len() as u8);
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(0);
    }

    /// Writes an ARRAY of values of the type `element`, which `elements` writes (A012).
    pub fn array(&mut self, element: Signature<'_>, elements: impl FnOnce(&mut BodyWriter<'_>)) {
        self.aligned_array(element.alignment(), elements);
    }

    /// Writes a dictionary, an ARRAY of DICT_ENTRY, whose entries `entries` writes (A014).
    pub fn dict(&mut self, entries: impl FnOnce(&mut BodyWriter<'_>)) {
        self.aligned_array(8, entries);
    }

    /// Writes an ARRAY of BYTE.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.size(bytes.len());
        self.out.extend_from_slice(bytes);
    }

    /// Writes an ARRAY of STRING.
    pub fn strings<'s>(&mut self, strings: impl IntoIterator<Item = &'s str>) {
        self.array(const { Signature::from_static("s") }, |elements| {
            strings.into_iter().for_each(|text| elements.string(text));
        });
    }

    /// Writes a STRUCT, whose fields `fields` writes (A013).
    pub fn structure(&mut self, fields: impl FnOnce(&mut BodyWriter<'_>)) {
        self.align(8);
        fields(self);
    }

    /// Writes a DICT_ENTRY, whose key and value `fields` writes (A014).
    pub fn dict_entry(&mut self, fields: impl FnOnce(&mut BodyWriter<'_>)) {
        self.structure(fields);
    }

    /// Writes a VARIANT of the one complete type `signature`, whose value `value` writes (A011).
    pub fn variant(&mut self, signature: Signature<'_>, value: impl FnOnce(&mut BodyWriter<'_>)) {
        self.signature(signature);
        value(self);
    }

    fn aligned_array(&mut self, alignment: usize, elements: impl FnOnce(&mut BodyWriter<'_>)) {
        let start = self.begin_array(alignment);
        elements(self);
        self.end_array(start);
    }

    /// Begins an ARRAY whose elements have this alignment; they are written until
    /// [`BodyWriter::end_array`].
    pub(crate) fn begin_array(&mut self, alignment: usize) -> ArrayStart {
        self.size(0);
        let size_at = self.out.len() - 4;
        self.align(alignment);
        ArrayStart { size_at, elements_at: self.out.len() }
    }

    /// Ends an ARRAY.
    pub(crate) fn end_array(&mut self, start: ArrayStart) {
        let size = size_u32(self.out.len() - start.elements_at);
        self.patch(start.size_at, size);
    }

    /// Begins a STRUCT or a DICT_ENTRY, whose fields follow.
    #[cfg(feature = "client")]
    pub(crate) fn begin_structure(&mut self) {
        self.align(8);
    }

    /// Writes values that were written before from the start of a body.
    #[cfg(feature = "client")]
    pub(crate) fn encoded(&mut self, values: &[u8]) {
        self.align(8);
        self.out.extend_from_slice(values);
    }

    /// How much is written.
    #[cfg(feature = "client")]
    pub(crate) const fn position(&self) -> usize {
        self.out.len() - self.start
    }

    /// What was written after `position`.
    #[cfg(feature = "client")]
    pub(crate) fn written_since(&self, position: usize) -> &[u8] {
        self.out.get(self.start + position..).unwrap_or_default()
    }

    /// Takes back what was written after `position`.
    #[cfg(feature = "client")]
    pub(crate) fn take_back(&mut self, position: usize) {
        self.out.truncate(self.start + position);
    }

    /// Writes the padding before a value (A022).
    fn align(&mut self, alignment: usize) {
        let size = aligned(self.out.len() - self.start, alignment);
        self.out.resize(self.start + size, 0);
    }

    fn size(&mut self, size: usize) {
        self.uint32(size_u32(size));
    }

    /// Overwrites the UINT32 at `at`.
    fn patch(&mut self, at: usize, value: u32) {
        if let Some(place) = self.out.get_mut(at..at + 4) {
            place.copy_from_slice(&self.endian.u32_to(value));
        }
    }

    /// Writes a header field: code, type and, with `value`, its value.
    fn field(&mut self, code: u8, type_code: u8, value: impl FnOnce(&mut BodyWriter<'_>)) {
        self.align(8);
        self.out.extend_from_slice(&[code, 1, type_code, 0]);
        value(self);
    }

    fn text_field(&mut self, code: u8, text: Option<&str>) {
        if let Some(text) = text {
            self.field(code, b's', |value| value.string(text));
        }
    }
}

/// Appends a whole message: `header`, and the body that `body` writes, which must be of the types
/// of the header's signature. SENDER is written if the header has one.
///
/// ```
/// use std::num::NonZeroU32;
/// use libbus::names::{InterfaceName, MemberName, ObjectPath};
/// use libbus::wire::{Header, MessageType, ParsedHeader, Signature, frame, write_message};
///
/// let mut header = Header::new(MessageType::Signal, NonZeroU32::MIN);
/// header.path = Some(const { ObjectPath::from_static("/clock") });
/// header.interface = Some(const { InterfaceName::from_static("org.example.Clock") });
/// header.member = Some(const { MemberName::from_static("Rang") });
/// header.signature = const { Signature::from_static("s") };
/// let mut bytes = Vec::new();
/// write_message(&header, &mut bytes, |body| body.string("tea"));
///
/// // The first bytes tell how many there are.
/// let frame = frame(&bytes, 1 << 20)?.unwrap();
/// assert_eq!(frame.message_size(), bytes.len());
/// assert_eq!(ParsedHeader::parse(&bytes, &frame)?.header.member, header.member);
/// # Ok::<(), libbus::wire::MessageError>(())
/// ```
pub fn write_message(
    header: &Header<'_>,
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut BodyWriter<'_>),
) {
    let body_start = write_unchecked(header, out, body);
    debug_assert_eq!(check_written(header, out, body_start), Ok(()), "body of {header:?}");
}

/// As [`write_message`], where the values are somebody else's.
///
/// # Errors
/// What the recipient would say of the body: a string with a NUL, or other types than those of the
/// signature. Nothing is appended then.
pub fn write_checked_message(
    header: &Header<'_>,
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut BodyWriter<'_>),
) -> Result<(), MessageError> {
    let start = out.len();
    let body_start = write_unchecked(header, out, body);
    let result = check_written(header, out, body_start);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// Answers where the body begins.
fn write_unchecked(
    header: &Header<'_>,
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut BodyWriter<'_>),
) -> usize {
    let start = out.len();
    write_header(header, &mut BodyWriter::new(out, header.endian));
    let body_start = out.len();
    let mut writer = BodyWriter::new(out, header.endian);
    body(&mut writer);
    let body_size = size_u32(writer.out.len() - body_start);
    writer.patch(start + BODY_SIZE_AT, body_size);
    body_start
}

/// What a recipient would say of the body.
fn check_written(header: &Header<'_>, out: &[u8], body_start: usize) -> Result<(), MessageError> {
    let body = out.get(body_start..).unwrap_or_default();
    check_body(header.signature, body, header.endian, &mut ArgumentSpans::new())
}

/// Where the body's length stands in a header (A031).
const BODY_SIZE_AT: usize = 4;
/// Where the length of the field array stands in a header.
const FIELDS_SIZE_AT: usize = 12;

fn write_header(header: &Header<'_>, writer: &mut BodyWriter<'_>) {
    let start = writer.start;
    writer.byte(header.endian.code());
    writer.byte(header.message_type.code());
    writer.byte(header.flags.bits());
    writer.byte(PROTOCOL_VERSION);
    writer.uint32(0); // The body's length, known when it was written.
    writer.uint32(header.serial.get());
    writer.uint32(0); // The fields' length.
    write_fields(header, writer);
    let fields_size = size_u32(writer.out.len() - start - FIXED_HEADER_SIZE);
    writer.patch(start + FIELDS_SIZE_AT, fields_size);
    writer.align(8);
}

fn write_fields(header: &Header<'_>, writer: &mut BodyWriter<'_>) {
    if let Some(path) = header.path {
        writer.field(field::PATH, b'o', |value| value.object_path(path));
    }
    writer.text_field(field::INTERFACE, header.interface.map(|name| name.as_str()));
    writer.text_field(field::MEMBER, header.member.map(|name| name.as_str()));
    writer.text_field(field::ERROR_NAME, header.error_name.map(|name| name.as_str()));
    if let Some(serial) = header.reply_serial {
        writer.field(field::REPLY_SERIAL, b'u', |value| value.uint32(serial.get()));
    }
    writer.text_field(field::DESTINATION, header.destination.map(|name| name.as_str()));
    writer.text_field(field::SENDER, header.sender.map(|name| name.as_str()));
    if !header.signature.is_empty() {
        writer.field(field::SIGNATURE, b'g', |value| value.signature(header.signature));
    }
    if header.unix_fds != 0 {
        writer.field(field::UNIX_FDS, b'u', |value| value.uint32(header.unix_fds));
    }
}

/// A size as the wire has it; one that does not fit is of a message that nobody takes.
fn size_u32(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
