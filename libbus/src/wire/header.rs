//! Headers: checked in place, and written again with the true sender (protocol.md A031–A054).

use std::num::NonZeroU32;

use super::body::check_variant;
use super::message::{
    Endian, FIXED_HEADER_SIZE, FixedHeader, Flags, Frame, MessageError, MessageType,
};
use super::signature::Signature;
use super::unmarshal::BodyReader;
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

    fn require_path_and_member(&self) -> Result<(), MessageError> {
        self.path.ok_or(MessageError::MissingPath)?;
        self.member.ok_or(MessageError::MissingMember)?;
        Ok(())
    }

    fn require_reply_serial(&self) -> Result<(), MessageError> {
        self.reply_serial.ok_or(MessageError::MissingReplySerial).map(drop)
    }

    /// Reads the value of one field. Returns whether the bus passes the field on as it is.
    fn read_field(&mut self, code: u8, reader: &mut BodyReader<'a>) -> Result<bool, MessageError> {
        match code {
            field::INVALID => return Err(MessageError::InvalidFieldCode),
            field::PATH => {
                expect_type(reader, b'o')?;
                self.path = Some(reader.object_path()?);
            }
            field::INTERFACE => {
                let name = InterfaceName::parse(text(reader)?);
                self.interface = Some(name.map_err(|_| MessageError::InvalidInterface)?);
            }
            field::MEMBER => {
                let name = MemberName::parse(text(reader)?);
                self.member = Some(name.map_err(|_| MessageError::InvalidMember)?);
            }
            field::ERROR_NAME => {
                let name = ErrorName::parse(text(reader)?);
                self.error_name = Some(name.map_err(|_| MessageError::InvalidErrorName)?);
            }
            field::REPLY_SERIAL => {
                expect_type(reader, b'u')?;
                let serial = NonZeroU32::new(reader.uint32()?);
                self.reply_serial = Some(serial.ok_or(MessageError::ZeroReplySerial)?);
            }
            field::DESTINATION => {
                let name = BusName::parse(text(reader)?);
                self.destination = Some(name.map_err(|_| MessageError::InvalidDestination)?);
            }
            field::SENDER => {
                let name = BusName::parse(text(reader)?);
                self.sender = Some(name.map_err(|_| MessageError::InvalidSender)?);
                return Ok(false);
            }
            field::SIGNATURE => {
                expect_type(reader, b'g')?;
                self.signature = reader.signature()?;
            }
            field::UNIX_FDS => {
                expect_type(reader, b'u')?;
                self.unix_fds = reader.uint32()?;
            }
            _ => {
                check_variant(reader, FIELD_DEPTH)?;
                return Ok(false);
            }
        }
        Ok(true)
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
        let fixed = bytes.first_chunk().ok_or(MessageError::NotEnoughData)?;
        let fixed = FixedHeader::parse(fixed)?;
        let fields_end = FIXED_HEADER_SIZE.saturating_add(fixed.fields_size as usize);
        let fields = bytes.get(..fields_end).ok_or(MessageError::NotEnoughData)?;
        let mut header = Header::new(fixed.message_type, fixed.serial);
        header.endian = fixed.endian;
        header.flags = fixed.flags;
        let has_foreign_fields = read_fields(&mut header, fields)?;
        // The padding between the fields and the body (A022, A031).
        BodyReader::at(bytes, fields_end, fixed.endian).align(8)?;
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
        self.append_sender(sender, start, out);
        if let Some(flags) = out.get_mut(start + 2) {
            *flags = self.header.flags.bits();
        }
    }

    /// Appends SENDER to the header that starts at `start`, and corrects the length of the fields.
    fn append_sender(&self, sender: &str, start: usize, out: &mut Vec<u8>) {
        let endian = self.header.endian;
        pad_to_8(out, start);
        out.extend_from_slice(&[field::SENDER, 1, b's', 0]);
        // A bus name is at most 255 bytes long, the fields at most 64 MiB.
        out.extend_from_slice(&endian.u32_to(sender.len() as u32));
        out.extend_from_slice(sender.as_bytes());
        out.push(0);
        let fields_size = (out.len() - start - FIXED_HEADER_SIZE) as u32;
        if let Some(size) = out.get_mut(start + 12..start + FIXED_HEADER_SIZE) {
            size.copy_from_slice(&endian.u32_to(fields_size));
        }
        pad_to_8(out, start);
    }
}

/// Bytes that a SENDER field adds to a header besides the name: padding before, code, type,
/// length, NUL, padding after.
const SENDER_OVERHEAD: usize = 7 + 8 + 1 + 7;

fn pad_to_8(out: &mut Vec<u8>, start: usize) {
    let size = (out.len() - start).next_multiple_of(8);
    out.resize(start + size, 0);
}

/// Reads the field array, which ends where `bytes` end. Returns whether there are fields among
/// them that must not be passed on.
fn read_fields<'a>(header: &mut Header<'a>, bytes: &'a [u8]) -> Result<bool, MessageError> {
    let mut reader = BodyReader::at(bytes, FIXED_HEADER_SIZE, header.endian);
    let mut seen = 0_u16;
    let mut has_foreign_fields = false;
    while !reader.is_empty() {
        reader.structure()?;
        let code = reader.byte()?;
        if code <= field::UNIX_FDS {
            // A051: a known field appears once.
            if seen >> code & 1 == 1 {
                return Err(MessageError::FieldTwice);
            }
            seen |= 1 << code;
        }
        has_foreign_fields |= !header.read_field(code, &mut reader)?;
    }
    Ok(has_foreign_fields)
}

/// Copies the fixed part and the fields that the bus passes on. `bytes` were checked; each field
/// starts at a multiple of 8 there and here, so that the padding inside it stays right.
fn copy_known_fields(bytes: &[u8], endian: Endian, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(bytes.get(..FIXED_HEADER_SIZE).unwrap_or_default());
    let mut reader = BodyReader::at(bytes, FIXED_HEADER_SIZE, endian);
    while let Ok(Some((code, field))) = next_field(&mut reader, bytes) {
        if matches!(code, field::PATH..=field::UNIX_FDS) && code != field::SENDER {
            pad_to_8(out, start);
            out.extend_from_slice(field);
        }
    }
}

/// The next field of a checked header: its code and all its bytes.
fn next_field<'a>(
    reader: &mut BodyReader<'_>,
    bytes: &'a [u8],
) -> Result<Option<(u8, &'a [u8])>, MessageError> {
    if reader.is_empty() {
        return Ok(None);
    }
    reader.structure()?;
    let start = reader.position();
    let code = reader.byte()?;
    check_variant(reader, FIELD_DEPTH)?;
    Ok(bytes.get(start..reader.position()).map(|field| (code, field)))
}

/// Reads the value of a field that must be a STRING. What the text may be, NUL included, is for
/// the name's own rules.
fn text<'a>(reader: &mut BodyReader<'a>) -> Result<&'a str, MessageError> {
    expect_type(reader, b's')?;
    std::str::from_utf8(reader.string_bytes()?).map_err(|_| MessageError::InvalidUtf8)
}

/// Reads the signature of a known field's variant, which must be `code` alone (A051).
fn expect_type(reader: &mut BodyReader<'_>, code: u8) -> Result<(), MessageError> {
    let mut ahead = reader.clone();
    if ahead.chunk() == Ok([1, code, 0]) {
        *reader = ahead;
        return Ok(());
    }
    // Some other value: say what is wrong with it before saying that it is the wrong one.
    check_variant(reader, FIELD_DEPTH)?;
    Err(MessageError::FieldWrongType)
}
