//! Headers: checked in place, and written again with the true sender (protocol.md A031–A054).

use std::num::NonZeroU32;

use super::body::check_variant;
use super::message::{
    Endian, FIXED_HEADER_SIZE, FixedHeader, Flags, Frame, MessageError, MessageType,
};
use super::signature::Signature;
use super::unmarshal::{BodyReader, aligned};
use crate::names::{BusName, ErrorName, InterfaceName, MemberName, ObjectPath};

/// The header fields' codes (A040–A050).
pub(super) mod field {
    pub(crate) const INVALID: u8 = 0;
    pub(crate) const PATH: u8 = 1;
    pub(crate) const INTERFACE: u8 = 2;
    pub(crate) const MEMBER: u8 = 3;
    pub(crate) const ERROR_NAME: u8 = 4;
    pub(crate) const REPLY_SERIAL: u8 = 5;
    pub(crate) const DESTINATION: u8 = 6;
    pub(crate) const SENDER: u8 = 7;
    pub(crate) const SIGNATURE: u8 = 8;
    pub(crate) const UNIX_FDS: u8 = 9;

    /// How each field starts: its code, and its type as the signature of a variant. None has the
    /// code 0.
    pub(super) static KNOWN: [[u8; 4]; 10] = [
        [0xff; 4],
        [PATH, 1, b'o', 0],
        [INTERFACE, 1, b's', 0],
        [MEMBER, 1, b's', 0],
        [ERROR_NAME, 1, b's', 0],
        [REPLY_SERIAL, 1, b'u', 0],
        [DESTINATION, 1, b's', 0],
        [SENDER, 1, b's', 0],
        [SIGNATURE, 1, b'g', 0],
        [UNIX_FDS, 1, b'u', 0],
    ];
}

/// The path and the interface with which a library talks to itself (A054).
const LOCAL_PATH: &str = "/org/freedesktop/DBus/Local";
const LOCAL_INTERFACE: &str = "org.freedesktop.DBus.Local";

/// Containers around the value of a header field, its variant not counted: array and structure.
const FIELD_DEPTH: usize = 2;

/// What a message says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The byte order of header and body.
    pub endian: Endian,
    /// What the message is for.
    pub message_type: MessageType,
    /// The flags that are known; others were cleared.
    pub flags: Flags,
    /// The sender's number for this message.
    pub serial: NonZeroU32,
    /// The object that is called or that emits.
    pub path: Option<ObjectPath<'a>>,
    /// The interface that the member is of.
    pub interface: Option<InterfaceName<'a>>,
    /// The method or signal.
    pub member: Option<MemberName<'a>>,
    /// Which error this is.
    pub error_name: Option<ErrorName<'a>>,
    /// The serial of the call that this answers.
    pub reply_serial: Option<NonZeroU32>,
    /// Who is to have the message.
    pub destination: Option<BusName<'a>>,
    /// Who sent the message: in a message from a client, what the client claims (A047).
    pub sender: Option<BusName<'a>>,
    /// The types of the body; empty if the field is absent (A048).
    pub signature: Signature<'a>,
    /// How many file descriptors belong to the message; 0 if the field is absent (A049).
    pub unix_fds: u32,
}

impl<'a> Header<'a> {
    /// A header with nothing but what each must have, in this machine's byte order.
    pub const fn new(message_type: MessageType, serial: NonZeroU32) -> Self {
        Self {
            endian: Endian::NATIVE,
            message_type,
            flags: Flags::empty(),
            serial,
            path: None,
            interface: None,
            member: None,
            error_name: None,
            reply_serial: None,
            destination: None,
            sender: None,
            signature: Signature::EMPTY,
            unix_fds: 0,
        }
    }

    /// Refuses a message with which fewer descriptors came than it announces (A057).
    pub fn check_unix_fds(&self, received_count: usize) -> Result<(), MessageError> {
        let announced = usize::try_from(self.unix_fds);
        if announced.is_ok_and(|announced| announced <= received_count) {
            Ok(())
        } else {
            Err(MessageError::MissingUnixFds)
        }
    }

    /// Every field that the message's type requires is there (A041–A045), and none is reserved
    /// (A054). Fields without a meaning for the type are left alone (A053).
    fn check_fields(&self) -> Result<(), MessageError> {
        match self.message_type {
            MessageType::MethodCall => self.require_path_and_member()?,
            MessageType::Signal => {
                self.require_path_and_member()?;
                self.interface.ok_or(MessageError::MissingInterface)?;
            }
            MessageType::MethodReturn => self.require_reply_serial()?,
            MessageType::Error => {
                self.error_name.ok_or(MessageError::MissingErrorName)?;
                self.require_reply_serial()?;
            }
            MessageType::Unknown(_) => {}
        }
        if self.path.is_some_and(|path| path.as_str() == LOCAL_PATH) {
            return Err(MessageError::LocalPath);
        }
        if self.interface.is_some_and(|interface| interface.as_str() == LOCAL_INTERFACE) {
            return Err(MessageError::LocalInterface);
        }
        Ok(())
    }

    /// Takes the value of a field of type `s` or `o`.
    #[inline]
    fn set_text(&mut self, code: u8, text: &'a str) -> Result<(), MessageError> {
        match code {
            field::PATH => {
                let path = ObjectPath::parse(text).map_err(|_| MessageError::InvalidPath)?;
                self.path = Some(path);
            }
            field::INTERFACE => {
                let name =
                    InterfaceName::parse(text).map_err(|_| MessageError::InvalidInterface)?;
                self.interface = Some(name);
            }
            field::MEMBER => {
                let name = MemberName::parse(text).map_err(|_| MessageError::InvalidMember)?;
                self.member = Some(name);
            }
            field::ERROR_NAME => {
                let name = ErrorName::parse(text).map_err(|_| MessageError::InvalidErrorName)?;
                self.error_name = Some(name);
            }
            field::DESTINATION => {
                let name = BusName::parse(text).map_err(|_| MessageError::InvalidDestination)?;
                self.destination = Some(name);
            }
            _ => {
                let name = BusName::parse(text).map_err(|_| MessageError::InvalidSender)?;
                self.sender = Some(name);
            }
        }
        Ok(())
    }

    /// Takes the value of a field of type `u`.
    fn set_number(&mut self, code: u8, number: u32) -> Result<(), MessageError> {
        if code == field::UNIX_FDS {
            self.unix_fds = number;
        } else {
            let serial = NonZeroU32::new(number).ok_or(MessageError::ZeroReplySerial)?;
            self.reply_serial = Some(serial);
        }
        Ok(())
    }

    fn require_path_and_member(&self) -> Result<(), MessageError> {
        self.path.ok_or(MessageError::MissingPath)?;
        self.member.ok_or(MessageError::MissingMember)?;
        Ok(())
    }

    fn require_reply_serial(&self) -> Result<(), MessageError> {
        self.reply_serial.ok_or(MessageError::MissingReplySerial).map(drop)
    }
}

/// A header that was checked, and what writing it again needs to know.
#[derive(Clone, Copy, Debug)]
pub struct ParsedHeader<'a> {
    /// What the header says.
    pub header: Header<'a>,
    /// Bytes of the header, its padding included: where the body starts.
    pub size: usize,
    /// Index after the last field, before the padding.
    fields_end: usize,
    /// Whether some field must not be passed on: a forged SENDER or one that is not known.
    has_foreign_fields: bool,
}

impl<'a> ParsedHeader<'a> {
    /// Checks the header at the start of `message` by every rule of A031–A054.
    ///
    /// `frame` is what [`super::frame`] returned for the same bytes.
    pub fn parse(message: &'a [u8], frame: &Frame) -> Result<Self, MessageError> {
        let bytes = message.get(..frame.header_size).ok_or(MessageError::NotEnoughData)?;
        let (fixed, rest) = bytes.split_first_chunk().ok_or(MessageError::NotEnoughData)?;
        let fixed = FixedHeader::parse(fixed)?;
        let fields_size = fixed.fields_size as usize;
        let (fields, padding) =
            rest.split_at_checked(fields_size).ok_or(MessageError::NotEnoughData)?;
        let mut header = Header::new(fixed.message_type, fixed.serial);
        header.endian = fixed.endian;
        header.flags = fixed.flags;
        let has_foreign_fields = read_fields(&mut header, fields)?;
        let fields_end = FIXED_HEADER_SIZE + fields_size;
        // The padding between the fields and the body (A022, A031).
        BodyReader::at(padding, fields_end, fixed.endian).align(8)?;
        header.check_fields()?;
        Ok(Self { header, size: frame.header_size, fields_end, has_foreign_fields })
    }

    /// Appends the header as the bus passes it on: with SENDER as given, without a forged SENDER,
    /// unknown fields or unknown flags (A034, A047, A050, A052), padded to 8, in the same byte
    /// order (A059).
    ///
    /// `message` is what the header was parsed from. Alignment counts from the first byte that is
    /// appended. The new header can be longer than the old one: a message of nearly 128 MiB can
    /// pass that bound here, and whoever delivers compares the sizes.
    pub fn write_stamped(&self, message: &[u8], sender: &str, out: &mut Vec<u8>) {
        out.reserve(self.fields_end + sender.len() + SENDER_OVERHEAD);
        let start = out.len();
        let fields = message.get(..self.fields_end).unwrap_or_default();
        if self.has_foreign_fields {
            copy_known_fields(fields, self.header.endian, out);
        } else {
            out.extend_from_slice(fields);
        }
        let endian = self.header.endian;
        append_sender(sender, endian, start, out);
        // A bus name is at most 255 bytes long, the other fields have at most 64 MiB.
        let fields_size = (out.len() - start - FIXED_HEADER_SIZE) as u32;
        pad_to_8(out, start);
        if let Some([_, _, flags, _, _, _, _, _, _, _, _, _, size @ ..]) =
            out.get_mut(start..).and_then(|header| header.first_chunk_mut::<FIXED_HEADER_SIZE>())
        {
            *flags = self.header.flags.bits();
            *size = endian.u32_to(fields_size);
        }
    }
}

/// Bytes that a SENDER field adds to a header besides the name: padding before, code, type,
/// length, NUL, padding after.
const SENDER_OVERHEAD: usize = 7 + 8 + 1 + 7;

/// Appends SENDER to the header that starts at `start`.
fn append_sender(sender: &str, endian: Endian, start: usize, out: &mut Vec<u8>) {
    let [a, b, c, d] = endian.u32_to(sender.len() as u32);
    // As much of the zeros as the padding needs, and the field after them: one copy.
    let field = [0, 0, 0, 0, 0, 0, 0, field::SENDER, 1, b's', 0, a, b, c, d];
    let padding = padding_to_8(out, start);
    out.extend_from_slice(field.get(7 - padding..).unwrap_or_default());
    out.extend_from_slice(sender.as_bytes());
    out.push(0);
}

/// Appends the padding before a field, or after the last one, of the header that starts at `start`.
fn pad_to_8(out: &mut Vec<u8>, start: usize) {
    let padding = padding_to_8(out, start);
    out.extend_from_slice([0; 7].get(..padding).unwrap_or_default());
}

fn padding_to_8(out: &[u8], start: usize) -> usize {
    aligned(out.len() - start, 8) - (out.len() - start)
}

/// Reads the field array. Returns whether there are fields in it that must not be passed on.
fn read_fields<'a>(header: &mut Header<'a>, bytes: &'a [u8]) -> Result<bool, MessageError> {
    // In the usual case all bytes together are UTF-8, and no text among them needs its own check.
    let all_text = std::str::from_utf8(bytes).ok();
    let mut reader = BodyReader::at(bytes, FIXED_HEADER_SIZE, header.endian);
    let mut seen = 0_u16;
    let mut has_foreign_fields = false;
    while !reader.is_empty() {
        reader.align(8)?;
        let start = reader.position() - FIXED_HEADER_SIZE;
        let head = reader.chunk()?;
        let [code, _, known_type, _] = *head;
        if field::KNOWN.get(usize::from(code)) != Some(head) {
            let field = bytes.get(start..).unwrap_or_default();
            reader = BodyReader::at(field, start + FIXED_HEADER_SIZE, header.endian);
            check_other_field(&mut reader)?;
            has_foreign_fields = true;
            continue;
        }
        // A051: a known field appears once.
        if seen >> code & 1 == 1 {
            return Err(MessageError::FieldTwice);
        }
        seen |= 1 << code;
        match known_type {
            b'u' => header.set_number(code, reader.uint32()?)?,
            b'g' => header.signature = reader.signature()?,
            _ => header.set_text(code, read_text(&mut reader, all_text)?)?,
        }
    }
    Ok(has_foreign_fields || header.sender.is_some())
}

/// Reads a STRING or OBJECT_PATH among the fields, all of which are `all_text` if they are UTF-8. A
/// NUL inside is for the rules of names to refuse.
#[inline]
fn read_text<'a>(
    reader: &mut BodyReader<'a>,
    all_text: Option<&'a str>,
) -> Result<&'a str, MessageError> {
    let bytes = reader.string_bytes()?;
    let end = reader.position() - 1 - FIXED_HEADER_SIZE;
    match all_text.and_then(|text| text.get(end - bytes.len()..end)) {
        Some(text) => Ok(text),
        None => std::str::from_utf8(bytes).map_err(|_| MessageError::InvalidUtf8),
    }
}

/// Checks a field that is not a known one of the right type: it is ignored (A052) if its code is
/// not known, and has no fault but its type (A051) if it is.
#[cold]
fn check_other_field(reader: &mut BodyReader<'_>) -> Result<(), MessageError> {
    let code = reader.byte()?;
    if code == field::INVALID {
        return Err(MessageError::InvalidFieldCode);
    }
    check_variant(reader, FIELD_DEPTH)?;
    if code <= field::UNIX_FDS { Err(MessageError::FieldWrongType) } else { Ok(()) }
}

/// Copies the fixed part and the fields that the bus passes on. `header` was checked; each field
/// starts at a multiple of 8 there and here, so that the padding inside it stays right.
#[cold]
fn copy_known_fields(header: &[u8], endian: Endian, out: &mut Vec<u8>) {
    let start = out.len();
    let (fixed, fields) = header.split_at_checked(FIXED_HEADER_SIZE).unwrap_or_default();
    out.extend_from_slice(fixed);
    let mut reader = BodyReader::at(fields, FIXED_HEADER_SIZE, endian);
    while let Ok((code, field)) = next_field(&mut reader) {
        if matches!(code, field::PATH..=field::UNIX_FDS) && code != field::SENDER {
            pad_to_8(out, start);
            out.extend_from_slice(field);
        }
    }
}

/// The next field of a checked header: its code and all its bytes. An error means that there is no
/// further field.
fn next_field<'a>(reader: &mut BodyReader<'a>) -> Result<(u8, &'a [u8]), MessageError> {
    reader.align(8)?;
    let mut field = reader.clone();
    let code = reader.byte()?;
    check_variant(reader, FIELD_DEPTH)?;
    Ok((code, field.take(reader.position() - field.position())?))
}
