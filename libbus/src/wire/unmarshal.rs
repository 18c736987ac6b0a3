//! Reading values, one after another, from bytes that may be malformed.
//!
//! [`BodyReader`] is what the checks of header and body are made of, and what reads the arguments
//! of a checked body. It never reads past its end and never goes back. Whoever reads names the
//! types: a wrong guess yields an error or a wrong value, nothing worse.

use super::body::check_value;
use super::message::{Endian, MessageError};
use super::signature::{Signature, SignatureError, is_basic};
use crate::limits::ARRAY_SIZE_MAX;
use crate::names::ObjectPath;

/// Reads the values of a body, in order.
#[derive(Clone, Debug)]
pub struct BodyReader<'a> {
    /// What is not read yet.
    rest: &'a [u8],
    /// How many bytes were read: alignment counts from there.
    position: usize,
    endian: Endian,
}

impl<'a> BodyReader<'a> {
    /// A reader at the start of a body.
    pub const fn new(body: &'a [u8], endian: Endian) -> Self {
        Self { rest: body, position: 0, endian }
    }

    /// A reader of `rest`, which `position` other bytes precede.
    pub(crate) const fn at(rest: &'a [u8], position: usize, endian: Endian) -> Self {
        Self { rest, position, endian }
    }

    /// Reads a BYTE.
    #[inline]
    pub fn byte(&mut self) -> Result<u8, MessageError> {
        let [byte] = self.chunk()?;
        Ok(*byte)
    }

    /// Reads a BOOLEAN (A003).
    #[inline]
    pub fn boolean(&mut self) -> Result<bool, MessageError> {
        match self.uint32()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(MessageError::InvalidBoolean),
        }
    }

    /// Reads an INT16.
    pub fn int16(&mut self) -> Result<i16, MessageError> {
        self.uint16().map(u16::cast_signed)
    }

    /// Reads a UINT16.
    #[inline]
    pub fn uint16(&mut self) -> Result<u16, MessageError> {
        self.align(2)?;
        let bytes = self.chunk()?;
        Ok(self.endian.u16_from(*bytes))
    }

    /// Reads an INT32.
    pub fn int32(&mut self) -> Result<i32, MessageError> {
        self.uint32().map(u32::cast_signed)
    }

    /// Reads a UINT32.
    #[inline]
    pub fn uint32(&mut self) -> Result<u32, MessageError> {
        self.align(4)?;
        let bytes = self.chunk()?;
        Ok(self.endian.u32_from(*bytes))
    }

    /// Reads an INT64.
    pub fn int64(&mut self) -> Result<i64, MessageError> {
        self.uint64().map(u64::cast_signed)
    }

    /// Reads a UINT64.
    #[inline]
    pub fn uint64(&mut self) -> Result<u64, MessageError> {
        self.align(8)?;
        let bytes = self.chunk()?;
        Ok(self.endian.u64_from(*bytes))
    }

    /// Reads a DOUBLE.
    pub fn double(&mut self) -> Result<f64, MessageError> {
        self.uint64().map(f64::from_bits)
    }

    /// Reads a UNIX_FD: an index into the descriptors that came with the message, which may be
    /// beyond them (A007, A058).
    pub fn unix_fd(&mut self) -> Result<u32, MessageError> {
        self.uint32()
    }

    /// Reads a STRING (A008).
    pub fn string(&mut self) -> Result<&'a str, MessageError> {
        let bytes = self.string_bytes()?;
        check_text(bytes)?;
        std::str::from_utf8(bytes).map_err(|_| MessageError::InvalidUtf8)
    }

    /// Reads an OBJECT_PATH (A009).
    pub fn object_path(&mut self) -> Result<ObjectPath<'a>, MessageError> {
        let bytes = self.string_bytes()?;
        let text = std::str::from_utf8(bytes).map_err(|_| MessageError::InvalidPath)?;
        ObjectPath::parse(text).map_err(|_| MessageError::InvalidPath)
    }

    /// Reads a SIGNATURE (A010).
    pub fn signature(&mut self) -> Result<Signature<'a>, MessageError> {
        let bytes = self.signature_bytes(
            MessageError::SignatureLengthOutOfBounds,
            MessageError::SignatureNotTerminated,
        )?;
        parse_signature(bytes).map_err(MessageError::InvalidSignature)
    }

    /// Starts a VARIANT: returns its one complete type, whose value is to be read next (A011).
    pub fn variant(&mut self) -> Result<Signature<'a>, MessageError> {
        let bytes = self.signature_bytes(
            MessageError::VariantSignatureLengthOutOfBounds,
            MessageError::VariantSignatureNotTerminated,
        )?;
        let signature = parse_signature(bytes).map_err(MessageError::InvalidVariantSignature)?;
        let mut types = signature.types();
        match (types.next(), types.next()) {
            (Some(_), None) => Ok(signature),
            (None, _) => Err(MessageError::VariantSignatureEmpty),
            (Some(_), Some(_)) => Err(MessageError::VariantSignatureMultiple),
        }
    }

    /// Starts a STRUCT or DICT_ENTRY, whose fields are to be read next (A013, A014).
    pub fn structure(&mut self) -> Result<(), MessageError> {
        self.align(8)
    }

    /// Reads an ARRAY of values of the type `element`: returns a reader of its elements alone, and
    /// goes on after them (A012).
    pub fn array(&mut self, element: Signature<'_>) -> Result<Self, MessageError> {
        self.aligned_array(element.alignment())
    }

    /// Reads a dictionary, an ARRAY of DICT_ENTRY: returns a reader of its entries alone, each a
    /// [`Self::structure`] of a key and a value, and goes on after them (A014).
    pub fn dict(&mut self) -> Result<Self, MessageError> {
        self.aligned_array(8)
    }

    /// Reads an ARRAY of BYTE.
    pub fn bytes(&mut self) -> Result<&'a [u8], MessageError> {
        let end = self.array_end(1)?;
        self.take(end - self.position)
    }

    /// Reads an ARRAY of STRING.
    pub fn strings(&mut self) -> Result<Strings<'a>, MessageError> {
        self.array(Signature::from_static("s")).map(|elements| Strings { elements })
    }

    /// Passes over one value of each of the types of `signature`.
    pub fn skip(&mut self, signature: Signature<'_>) -> Result<(), MessageError> {
        check_value(self, signature, 0)
    }

    /// Whether everything was read.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes were not read.
    pub(crate) const fn rest_size(&self) -> usize {
        self.rest.len()
    }

    /// Passes over the signature of a variant that holds one basic type, and returns its code;
    /// `None` leaves the reader where it is, for [`Self::variant`] to read any signature.
    #[inline]
    pub(super) fn basic_variant(&mut self) -> Option<u8> {
        match *self.rest.first_chunk()? {
            [1, code, 0] if is_basic(code) => self.chunk::<3>().ok().map(|_| code),
            _ => None,
        }
    }

    /// Passes over a STRING.
    #[inline]
    pub(super) fn check_string(&mut self) -> Result<(), MessageError> {
        check_text(self.string_bytes()?)
    }

    /// How many bytes precede the next one.
    pub(crate) const fn position(&self) -> usize {
        self.position
    }

    pub(super) const fn endian(&self) -> Endian {
        self.endian
    }

    /// As [`BodyReader::array`], of elements that have this alignment.
    pub(crate) fn aligned_array(&mut self, alignment: usize) -> Result<Self, MessageError> {
        let end = self.array_end(alignment)?;
        let position = self.position;
        let rest = self.take(end - position)?;
        Ok(Self { rest, position, endian: self.endian })
    }

    /// Reads an array's length and the padding before its first element; returns where it ends
    /// (A012, A020).
    pub(super) fn array_end(&mut self, alignment: usize) -> Result<usize, MessageError> {
        let size = self.uint32()?;
        if size > ARRAY_SIZE_MAX {
            return Err(MessageError::ArrayTooLong);
        }
        self.align(alignment)?;
        if size as usize > self.rest.len() {
            return Err(MessageError::LengthOutOfBounds);
        }
        Ok(self.position + size as usize)
    }

    /// Passes over the padding before a value (A022); `alignment` is a power of two.
    #[inline]
    pub(super) fn align(&mut self, alignment: usize) -> Result<(), MessageError> {
        let padding = aligned(self.position, alignment) - self.position;
        if padding == 0 {
            return Ok(());
        }
        // All of the padding at once, if eight bytes are left.
        let nul = match self.rest.first_chunk() {
            Some(word) => u64::from_le_bytes(*word) << (64 - 8 * padding) == 0,
            None => self.rest.iter().take(padding).all(|byte| *byte == 0),
        };
        self.take(padding)?;
        if nul { Ok(()) } else { Err(MessageError::PaddingNotNul) }
    }

    /// The next bytes, `size` of them.
    #[inline]
    pub(super) fn take(&mut self, size: usize) -> Result<&'a [u8], MessageError> {
        let (taken, rest) = self.rest.split_at_checked(size).ok_or(MessageError::NotEnoughData)?;
        self.rest = rest;
        self.position += size;
        Ok(taken)
    }

    /// The next bytes, `SIZE` of them.
    #[inline]
    pub(super) fn chunk<const SIZE: usize>(&mut self) -> Result<&'a [u8; SIZE], MessageError> {
        let (chunk, rest) = self.rest.split_first_chunk().ok_or(MessageError::NotEnoughData)?;
        self.rest = rest;
        self.position += SIZE;
        Ok(chunk)
    }

    /// The bytes of a STRING or OBJECT_PATH, its NUL checked and passed over.
    #[inline]
    pub(super) fn string_bytes(&mut self) -> Result<&'a [u8], MessageError> {
        let size = self.uint32()? as usize;
        self.terminated(size, MessageError::LengthOutOfBounds, MessageError::StringNotTerminated)
    }

    fn signature_bytes(
        &mut self,
        out_of_bounds: MessageError,
        not_terminated: MessageError,
    ) -> Result<&'a [u8], MessageError> {
        let size = usize::from(self.byte()?);
        self.terminated(size, out_of_bounds, not_terminated)
    }

    #[inline]
    fn terminated(
        &mut self,
        size: usize,
        out_of_bounds: MessageError,
        not_terminated: MessageError,
    ) -> Result<&'a [u8], MessageError> {
        let (text, rest) = self.rest.split_at_checked(size).ok_or(out_of_bounds)?;
        match rest {
            [0, rest @ ..] => {
                self.rest = rest;
                self.position += size + 1;
                Ok(text)
            }
            [_, ..] => Err(not_terminated),
            [] => Err(out_of_bounds),
        }
    }
}

/// The elements of an array of strings.
#[derive(Clone, Debug)]
pub struct Strings<'a> {
    elements: BodyReader<'a>,
}

impl<'a> Iterator for Strings<'a> {
    type Item = Result<&'a str, MessageError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.elements.is_empty() { None } else { Some(self.elements.string()) }
    }
}

/// The first multiple of `alignment`, a power of two, that is not below `position`.
pub(super) const fn aligned(position: usize, alignment: usize) -> usize {
    // Positions are below 2^28: they are inside a message.
    (position + alignment - 1) & !(alignment - 1)
}

/// Whether these bytes are a STRING's: UTF-8 without NUL (A008).
pub(super) fn check_text(bytes: &[u8]) -> Result<(), MessageError> {
    if is_ascii_without_nul(bytes) {
        return Ok(());
    }
    std::str::from_utf8(bytes).map_err(|_| MessageError::InvalidUtf8)?;
    if bytes.contains(&0) { Err(MessageError::NulInString) } else { Ok(()) }
}

/// Eight bytes at a time: a byte has its highest bit set, or gets it when 1 is taken from it, if it
/// is not one of 0x01–0x7f.
fn is_ascii_without_nul(bytes: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHEST_BITS: u64 = ONES << 7;
    let suspicious = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        word | word.wrapping_sub(ONES)
    };
    let Some(last) = bytes.last_chunk() else {
        return bytes.iter().all(|byte| (1..0x80).contains(byte));
    };
    let (words, _) = bytes.as_chunks();
    let all = words.iter().fold(suspicious(last), |all, word| all | suspicious(word));
    all & HIGHEST_BITS == 0
}

fn parse_signature(bytes: &[u8]) -> Result<Signature<'_>, SignatureError> {
    let text = std::str::from_utf8(bytes).map_err(|_| SignatureError::UnknownTypeCode)?;
    Signature::parse(text)
}
