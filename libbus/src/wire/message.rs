//! What every message has: a byte order, a type, flags and two sizes; and every way in which one
//! can be malformed.

use std::fmt;

use super::signature::SignatureError;
use crate::limits::{ARRAY_SIZE_MAX, MESSAGE_SIZE_MAX};

/// Size in bytes of the header up to its field array, the array's length included (A031).
pub const FIXED_HEADER_SIZE: usize = 16;

/// The one version of the protocol there is (A035).
pub(super) const PROTOCOL_VERSION: u8 = 1;

/// The order of the bytes of a number (A032).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endian {
    /// Lowest byte first; `l` on the wire.
    Little,
    /// Highest byte first; `B` on the wire.
    Big,
}

impl Endian {
    /// The byte order of this machine.
    pub const NATIVE: Self = if cfg!(target_endian = "big") { Self::Big } else { Self::Little };

    /// The first byte of a message in this order.
    pub const fn code(self) -> u8 {
        match self {
            Self::Little => b'l',
            Self::Big => b'B',
        }
    }

    /// The order that a message's first byte names.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            b'l' => Some(Self::Little),
            b'B' => Some(Self::Big),
            _ => None,
        }
    }

    #[inline]
    pub(super) const fn u16_from(self, bytes: [u8; 2]) -> u16 {
        let value = u16::from_le_bytes(bytes);
        if let Self::Little = self { value } else { value.swap_bytes() }
    }

    #[inline]
    pub(super) const fn u32_from(self, bytes: [u8; 4]) -> u32 {
        let value = u32::from_le_bytes(bytes);
        if let Self::Little = self { value } else { value.swap_bytes() }
    }

    #[inline]
    pub(super) const fn u64_from(self, bytes: [u8; 8]) -> u64 {
        let value = u64::from_le_bytes(bytes);
        if let Self::Little = self { value } else { value.swap_bytes() }
    }

    #[inline]
    pub(super) const fn u32_to(self, value: u32) -> [u8; 4] {
        let value = if let Self::Little = self { value } else { value.swap_bytes() };
        value.to_le_bytes()
    }
}

/// What a message is for (A033).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// Asks an object to do something.
    MethodCall,
    /// Answers a call with its results.
    MethodReturn,
    /// Answers a call with an error.
    Error,
    /// Tells whoever listens that something happened.
    Signal,
    /// A type of a later specification, to be ignored: 5 or more.
    Unknown(u8),
}

impl MessageType {
    /// The type's number on the wire.
    pub const fn code(self) -> u8 {
        match self {
            Self::MethodCall => 1,
            Self::MethodReturn => 2,
            Self::Error => 3,
            Self::Signal => 4,
            Self::Unknown(code) => code,
        }
    }

    /// The type that a number on the wire names; 0 names none.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => None,
            1 => Some(Self::MethodCall),
            2 => Some(Self::MethodReturn),
            3 => Some(Self::Error),
            4 => Some(Self::Signal),
            _ => Some(Self::Unknown(code)),
        }
    }
}

/// The flags of a message that the specification knows (A034).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u8);

impl Flags {
    /// The caller does not wait for a reply (A061).
    pub const NO_REPLY_EXPECTED: Self = Self(1);
    /// The destination must not be started for this message (A064).
    pub const NO_AUTO_START: Self = Self(2);
    /// The caller can wait until a person has answered a question (A065).
    pub const ALLOW_INTERACTIVE_AUTHORIZATION: Self = Self(4);

    /// No flags.
    pub const fn empty() -> Self {
        Self(0)
    }

    /// The known flags among `bits`.
    pub const fn from_bits_truncate(bits: u8) -> Self {
        Self(bits & 7)
    }

    /// The flags as on the wire.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether all of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flags set in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Sizes of a message, as its first 16 bytes announce them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Bytes of the header, its padding to a multiple of 8 included.
    pub header_size: usize,
    /// Bytes of the body.
    pub body_size: usize,
}

impl Frame {
    /// Bytes of the whole message.
    pub fn message_size(&self) -> usize {
        self.header_size + self.body_size
    }
}

/// Reads how long the message at the start of `bytes` is; `None` while fewer than 16 bytes are
/// there. Nothing that it returns exceeds `message_size_max`, so that the caller can make room.
///
/// Checks A032, A033, A035, A036, A037 and A038.
pub fn frame(bytes: &[u8], message_size_max: u32) -> Result<Option<Frame>, MessageError> {
    let Some(fixed) = bytes.first_chunk() else { return Ok(None) };
    let fixed = FixedHeader::parse(fixed)?;
    if fixed.fields_size > ARRAY_SIZE_MAX {
        return Err(MessageError::FieldsTooLong);
    }
    if fixed.body_size > MESSAGE_SIZE_MAX {
        return Err(MessageError::BodyTooLong);
    }
    // Neither sum can overflow: the sizes are at most 2^26 and 2^27.
    let header_size = fixed.header_size();
    if header_size + fixed.body_size > message_size_max.min(MESSAGE_SIZE_MAX) {
        return Err(MessageError::MessageTooLong);
    }
    let (header_size, body_size) = (header_size as usize, fixed.body_size as usize);
    Ok(Some(Frame { header_size, body_size }))
}

/// The first 16 bytes of a message (A031).
pub(super) struct FixedHeader {
    pub(super) endian: Endian,
    pub(super) message_type: MessageType,
    pub(super) flags: Flags,
    pub(super) body_size: u32,
    pub(super) serial: std::num::NonZeroU32,
    /// Bytes of the field array, without the padding after it.
    pub(super) fields_size: u32,
}

impl FixedHeader {
    pub(super) fn parse(bytes: &[u8; FIXED_HEADER_SIZE]) -> Result<Self, MessageError> {
        let [order, kind, flags, version, rest @ ..] = *bytes;
        let endian = Endian::from_code(order).ok_or(MessageError::UnknownByteOrder)?;
        if version != PROTOCOL_VERSION {
            return Err(MessageError::UnknownProtocolVersion);
        }
        let [b0, b1, b2, b3, s0, s1, s2, s3, f0, f1, f2, f3] = rest;
        let serial = endian.u32_from([s0, s1, s2, s3]);
        Ok(Self {
            endian,
            message_type: MessageType::from_code(kind).ok_or(MessageError::InvalidMessageType)?,
            flags: Flags::from_bits_truncate(flags),
            body_size: endian.u32_from([b0, b1, b2, b3]),
            serial: std::num::NonZeroU32::new(serial).ok_or(MessageError::ZeroSerial)?,
            fields_size: endian.u32_from([f0, f1, f2, f3]),
        })
    }

    /// Bytes of the header with its padding; the field array is no longer than an array may be.
    fn header_size(&self) -> u32 {
        (FIXED_HEADER_SIZE as u32 + self.fields_size).next_multiple_of(8)
    }
}

/// The rule of the specification that a message breaks: one variant for each class of A060.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageError {
    /// The first byte is neither `l` nor `B` (A032).
    UnknownByteOrder,
    /// The message type is 0 (A033).
    InvalidMessageType,
    /// The protocol version is not 1 (A035).
    UnknownProtocolVersion,
    /// The serial is 0 (A036).
    ZeroSerial,
    /// The field array is longer than an array may be (A020, A038).
    FieldsTooLong,
    /// The body is longer than a message may be (A038).
    BodyTooLong,
    /// Header and body together are longer than this bus takes (A037).
    MessageTooLong,
    /// A header field with code 0 (A040).
    InvalidFieldCode,
    /// A known header field whose value has another type (A051).
    FieldWrongType,
    /// A known header field that appears twice (A051).
    FieldTwice,
    /// PATH, or an object path in the body, is not an object path (A024).
    InvalidPath,
    /// INTERFACE is not an interface name (A025).
    InvalidInterface,
    /// MEMBER is not a member name (A027).
    InvalidMember,
    /// ERROR_NAME is not an error name (A026).
    InvalidErrorName,
    /// REPLY_SERIAL is 0 (A045).
    ZeroReplySerial,
    /// DESTINATION is not a bus name (A046).
    InvalidDestination,
    /// SENDER is not a bus name (A047).
    InvalidSender,
    /// A method call or signal without PATH (A041).
    MissingPath,
    /// A signal without INTERFACE (A042).
    MissingInterface,
    /// A method call or signal without MEMBER (A043).
    MissingMember,
    /// An error without ERROR_NAME (A044).
    MissingErrorName,
    /// A method return or error without REPLY_SERIAL (A045).
    MissingReplySerial,
    /// PATH is the one that only a library may use (A054).
    LocalPath,
    /// INTERFACE is the one that only a library may use (A054).
    LocalInterface,
    /// Fewer descriptors came than UNIX_FDS announces (A057).
    MissingUnixFds,
    /// The bytes end before the values that the signature promises (A056).
    NotEnoughData,
    /// The bytes go on after the last value of the signature (A048, A056).
    TooMuchData,
    /// A padding byte that is not NUL (A022).
    PaddingNotNul,
    /// A boolean that is neither 0 nor 1 (A003).
    InvalidBoolean,
    /// A string or array that is longer than the rest of the message.
    LengthOutOfBounds,
    /// An array of more than 64 MiB (A020).
    ArrayTooLong,
    /// An array whose elements do not end where its length says (A021).
    ArrayLengthInexact,
    /// A string that is not UTF-8 (A008).
    InvalidUtf8,
    /// A string with a NUL in it (A008).
    NulInString,
    /// A string without the NUL after it (A008).
    StringNotTerminated,
    /// A signature that is longer than the rest of the message.
    SignatureLengthOutOfBounds,
    /// A signature without the NUL after it (A010).
    SignatureNotTerminated,
    /// SIGNATURE, or a signature in the body, is not a signature (A010).
    InvalidSignature(SignatureError),
    /// A variant whose signature is longer than the rest of the message.
    VariantSignatureLengthOutOfBounds,
    /// A variant whose signature has no NUL after it (A011).
    VariantSignatureNotTerminated,
    /// A variant whose signature is not one (A011).
    InvalidVariantSignature(SignatureError),
    /// A variant whose signature names no type (A011).
    VariantSignatureEmpty,
    /// A variant whose signature names several types (A011).
    VariantSignatureMultiple,
    /// More than 64 containers inside one another (A019).
    TooDeep,
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidSignature(error) => return write!(f, "invalid signature: {error}"),
            Self::InvalidVariantSignature(error) => {
                return write!(f, "invalid signature of a variant: {error}");
            }
            Self::UnknownByteOrder => "unknown byte order",
            Self::InvalidMessageType => "message type 0",
            Self::UnknownProtocolVersion => "unknown protocol version",
            Self::ZeroSerial => "serial 0",
            Self::FieldsTooLong => "header fields longer than 64 MiB",
            Self::BodyTooLong => "body longer than 128 MiB",
            Self::MessageTooLong => "message longer than the limit",
            Self::InvalidFieldCode => "header field with code 0",
            Self::FieldWrongType => "header field of the wrong type",
            Self::FieldTwice => "header field that appears twice",
            Self::InvalidPath => "invalid object path",
            Self::InvalidInterface => "invalid interface name",
            Self::InvalidMember => "invalid member name",
            Self::InvalidErrorName => "invalid error name",
            Self::ZeroReplySerial => "reply serial 0",
            Self::InvalidDestination => "invalid destination",
            Self::InvalidSender => "invalid sender",
            Self::MissingPath => "no object path",
            Self::MissingInterface => "no interface",
            Self::MissingMember => "no member",
            Self::MissingErrorName => "no error name",
            Self::MissingReplySerial => "no reply serial",
            Self::LocalPath => "the path /org/freedesktop/DBus/Local is reserved",
            Self::LocalInterface => "the interface org.freedesktop.DBus.Local is reserved",
            Self::MissingUnixFds => "fewer file descriptors than announced",
            Self::NotEnoughData => "not enough data",
            Self::TooMuchData => "too much data",
            Self::PaddingNotNul => "padding that is not NUL",
            Self::InvalidBoolean => "boolean that is neither 0 nor 1",
            Self::LengthOutOfBounds => "length beyond the end of the message",
            Self::ArrayTooLong => "array longer than 64 MiB",
            Self::ArrayLengthInexact => "array length that does not fit its elements",
            Self::InvalidUtf8 => "string that is not UTF-8",
            Self::NulInString => "string with a NUL in it",
            Self::StringNotTerminated => "string without its NUL",
            Self::SignatureLengthOutOfBounds => "signature beyond the end of the message",
            Self::SignatureNotTerminated => "signature without its NUL",
            Self::VariantSignatureLengthOutOfBounds => {
                "signature of a variant beyond the end of the message"
            }
            Self::VariantSignatureNotTerminated => "signature of a variant without its NUL",
            Self::VariantSignatureEmpty => "variant without a type",
            Self::VariantSignatureMultiple => "variant of more than one type",
            Self::TooDeep => "more than 64 containers inside one another",
        })
    }
}

impl std::error::Error for MessageError {}
