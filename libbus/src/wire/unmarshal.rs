//! Reading values, one after another, from bytes that may be malformed.
//!
//! [`BodyReader`] is what the checks of header and body are made of, and what reads the arguments
//! of a checked body. It never reads past its end and never goes back. Whoever reads names the
//! types: a wrong guess yields an error or a wrong value, nothing worse.

use super::body::check_value;
use super::message::{Endian, MessageError};
use super::signature::{Signature, SignatureError};
use crate::limits::ARRAY_SIZE_MAX;
use crate::names::ObjectPath;

/// Reads the values of a body, in order.
#[derive(Clone, Debug)]
pub struct BodyReader<'a> {
    /// Alignment counts from the first byte.
    bytes: &'a [u8],
    /// Never beyond the end of `bytes`.
    position: usize,
    endian: Endian,
}

impl<'a> BodyReader<'a> {
    /// A reader at the start of a body.
    pub const fn new(body: &'a [u8], endian: Endian) -> Self {
        Self { bytes: body, position: 0, endian }
    }

    /// A reader in the midst of bytes; `position` is inside or at the end.
    pub(super) const fn at(bytes: &'a [u8], position: usize, endian: Endian) -> Self {
        Self { bytes, position, endian }
    }

    /// Reads a BYTE.
    pub fn byte(&mut self) -> Result<u8, MessageError> {
        let byte = *self.bytes.get(self.position).ok_or(MessageError::NotEnoughData)?;
        self.position += 1;
        Ok(byte)
    }

    /// Reads a BOOLEAN (A003).
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
    pub fn uint16(&mut self) -> Result<u16, MessageError> {
        self.align(2)?;
        let bytes = self.chunk()?;
        Ok(match self.endian {
            Endian::Little => u16::from_le_bytes(bytes),
            Endian::Big => u16::from_be_bytes(bytes),
        })
    }

    /// Reads an INT32.
    pub fn int32(&mut self) -> Result<i32, MessageError> {
        self.uint32().map(u32::cast_signed)
    }

    /// Reads a UINT32.
    pub fn uint32(&mut self) -> Result<u32, MessageError> {
        self.align(4)?;
        let bytes = self.chunk()?;
        Ok(self.endian.u32_from(bytes))
    }

    /// Reads an INT64.
    pub fn int64(&mut self) -> Result<i64, MessageError> {
        self.uint64().map(u64::cast_signed)
    }

    /// Reads a UINT64.
    pub fn uint64(&mut self) -> Result<u64, MessageError> {
        self.align(8)?;
        let bytes = self.chunk()?;
        Ok(match self.endian {
            Endian::Little => u64::from_le_bytes(bytes),
            Endian::Big => u64::from_be_bytes(bytes),
        })
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
        let text = std::str::from_utf8(bytes).map_err(|_| MessageError::InvalidUtf8)?;
        if bytes.contains(&0) {
            return Err(MessageError::NulInString);
        }
        Ok(text)
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
        let bytes = self.bytes.get(self.position..end).ok_or(MessageError::LengthOutOfBounds)?;
        self.position = end;
        Ok(bytes)
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
        self.position == self.bytes.len()
    }

    /// Index of the next byte.
    pub(super) const fn position(&self) -> usize {
        self.position
    }

    pub(super) const fn endian(&self) -> Endian {
        self.endian
    }

    fn aligned_array(&mut self, alignment: usize) -> Result<Self, MessageError> {
        let end = self.array_end(alignment)?;
        let bytes = self.bytes.get(..end).ok_or(MessageError::LengthOutOfBounds)?;
        let elements = Self { bytes, ..*self };
        self.position = end;
        Ok(elements)
    }

    /// Reads an array's length and the padding before its first element; returns where it ends
    /// (A012, A020).
    pub(super) fn array_end(&mut self, alignment: usize) -> Result<usize, MessageError> {
        let size = self.uint32()?;
        if size > ARRAY_SIZE_MAX {
            return Err(MessageError::ArrayTooLong);
        }
        self.align(alignment)?;
        if size as usize > self.bytes.len() - self.position {
            return Err(MessageError::LengthOutOfBounds);
        }
        Ok(self.position + size as usize)
    }

    /// Passes over the padding before a value (A022); `alignment` is a power of two.
    #[inline]
    pub(super) fn align(&mut self, alignment: usize) -> Result<(), MessageError> {
        let aligned = self.position.next_multiple_of(alignment);
        if aligned == self.position {
            return Ok(());
        }
        let padding = self.bytes.get(self.position..aligned).ok_or(MessageError::NotEnoughData)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(MessageError::PaddingNotNul);
        }
        self.position = aligned;
        Ok(())
    }

    /// The next bytes, `size` of them.
    pub(super) fn take(&mut self, size: usize) -> Result<&'a [u8], MessageError> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let taken = rest.get(..size).ok_or(MessageError::NotEnoughData)?;
        self.position += size;
        Ok(taken)
    }

    #[inline]
    pub(super) fn chunk<const SIZE: usize>(&mut self) -> Result<[u8; SIZE], MessageError> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let chunk = *rest.first_chunk().ok_or(MessageError::NotEnoughData)?;
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
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let (text, rest) = rest.split_at_checked(size).ok_or(out_of_bounds)?;
        match rest.first() {
            Some(0) => {
                self.position += size + 1;
                Ok(text)
            }
            Some(_) => Err(not_terminated),
            None => Err(out_of_bounds),
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

fn parse_signature(bytes: &[u8]) -> Result<Signature<'_>, SignatureError> {
    let text = std::str::from_utf8(bytes).map_err(|_| SignatureError::UnknownTypeCode)?;
    Signature::parse(text)
}
