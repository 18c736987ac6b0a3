//! The 128-bit ids of servers, addresses and machines.
//!
//! The specification calls them UUIDs, but they have nothing of RFC 4122: 16 bytes, at least the
//! first 12 of them random, written as 32 lower-case hex digits without dashes. The randomness is
//! brought by the caller. Section: uuids; protocol.md A100, A118.

use std::fmt;

/// A GUID.
///
/// ```
/// use libbus::guid::Guid;
///
/// let text = "1234deadbeef1234deadbeef1234dead";
/// let guid = Guid::parse(text)?;
/// assert_eq!((guid.to_string().as_str(), guid.as_bytes()[0]), (text, 0x12));
/// assert!(Guid::parse("1234").is_err());
/// # Ok::<(), libbus::guid::GuidError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid([u8; 16]);

/// Why a text is not a GUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GuidError {
    /// The text has more or less than 32 characters.
    WrongSize,
    /// A character is not a hex digit.
    NotHex,
}

impl Guid {
    /// The GUID of these bytes; at least the first 12 must be random.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Guid(bytes)
    }

    /// Reads 32 hex digits. Upper-case ones are taken too: other implementations write them.
    pub fn parse(text: &str) -> Result<Self, GuidError> {
        let digits: &[u8; 32] = text.as_bytes().try_into().map_err(|_| GuidError::WrongSize)?;
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
            *byte = hex_byte(*pair).ok_or(GuidError::NotHex)?;
        }
        Ok(Guid(bytes))
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// The value of two hex digits, the upper half first.
pub(crate) fn hex_byte([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

/// The hex digits by value.
const DIGITS: [u8; 16] = *b"0123456789abcdef";

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 32];
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *pair = [byte >> 4, byte & 0xf].map(|half| DIGITS[usize::from(half)]);
        }
        f.write_str(str::from_utf8(&digits).unwrap_or_default())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guid({self})")
    }
}

impl fmt::Display for GuidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GuidError::WrongSize => "a GUID has 32 hex digits",
            GuidError::NotHex => "a GUID has only hex digits",
        })
    }
}

impl std::error::Error for GuidError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(case: &str, text: &str, expected: Result<&str, GuidError>) {
        let printed = Guid::parse(text).map(|guid| guid.to_string());
        assert_eq!(printed, expected.map(str::to_owned), "{case}");
    }

    #[test]
    fn a_guid_prints_as_it_parses() {
        // protocol.md A118
        let text = "0123456789abcdef0011223344556677";
        check("lower case", text, Ok(text));
        check("upper case becomes lower", &text.to_uppercase(), Ok(text));
        check("empty", "", Err(GuidError::WrongSize));
        check("31 digits", &text[1..], Err(GuidError::WrongSize));
        check("33 digits", &format!("{text}0"), Err(GuidError::WrongSize));
        check("dashes", "01234567-89ab-cdef-0011-22334455", Err(GuidError::NotHex));
        check("a sign", "+123456789abcdef0011223344556677", Err(GuidError::NotHex));
        check("beyond ASCII", &"\u{e9}".repeat(16), Err(GuidError::NotHex));
    }

    #[test]
    fn bytes_keep_their_order() {
        let guid = Guid::from_bytes([0xfe, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!(guid.to_string(), "fe0102030405060708090a0b0c0d0e0f");
        assert_eq!(Guid::parse(&guid.to_string()), Ok(guid));
        assert_eq!(guid.as_bytes()[0], 0xfe);
    }
}
