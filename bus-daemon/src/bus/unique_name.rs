//! The unique names that this bus gives out: `:1.N`, where N is never used again (protocol.md A123).

use std::fmt::{self, Write as _};
use std::num::NonZeroU8;

use libbus::names::BusName;

/// Bytes of the longest one.
const SIZE_MAX: usize = ":1.18446744073709551615".len();

/// A unique name: `:1.N`, kept as its number and as text (protocol.md A123).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniqueNameText {
    number: u64,
    /// Never 0, and so a place where one may be has no size of its own.
    size: NonZeroU8,
    text: [u8; SIZE_MAX],
}

impl UniqueNameText {
    /// The name of the connection that said Hello as number `number`.
    #[must_use]
    pub fn new(number: u64) -> Self {
        let mut name = Self { number, size: NonZeroU8::MIN, text: [b':'; SIZE_MAX] };
        // INVARIANT: there is room for every number.
        let _ = write!(name, "1.{number}");
        name
    }

    /// N of `:1.N`.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The name's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let text = self.text.get(..self.size.get().into()).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }

    /// The name as a header's field has it.
    #[must_use]
    pub fn as_bus_name(&self) -> Option<BusName<'_>> {
        BusName::parse(self.as_str()).ok()
    }

    /// N of a text `:1.N` as this bus would write it.
    #[must_use]
    pub fn parse_number(text: &str) -> Option<u64> {
        let digits = text.strip_prefix(":1.")?;
        let canonical = digits == "0" || !digits.starts_with(['0', '+']);
        digits.parse().ok().filter(|_| canonical)
    }
}

impl fmt::Write for UniqueNameText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let start = usize::from(self.size.get());
        let room = self.text.get_mut(start..start + text.len()).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        let size = u8::try_from(start + text.len()).ok().and_then(NonZeroU8::new);
        self.size = size.ok_or(fmt::Error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unique_names_print_and_parse_as_this_bus_writes_them() {
        for (number, text) in [(0, ":1.0"), (42, ":1.42"), (u64::MAX, ":1.18446744073709551615")] {
            assert_eq!(UniqueNameText::new(number).as_str(), text);
            assert_eq!(UniqueNameText::parse_number(text), Some(number));
        }
        for other in ["", ":1.", ":1.00", ":1.01", ":1.+1", ":2.1", ":1.1.1", "1.1", ":1.x"] {
            assert_eq!(UniqueNameText::parse_number(other), None, "{other}");
        }
    }
}
