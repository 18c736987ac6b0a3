//! The names of the D-Bus specification, parsed once and then trusted.
//!
//! A value of one of these types is the proof that its text is valid: code that takes a
//! [`WellKnownName`] does not check it again. They borrow their text, so that a header can be
//! checked in place without allocating. Every header field of every message passes through here,
//! so a check is one look at each byte through a table of byte classes, and nothing else.
//! Section: message-protocol-names.

mod label;

use std::fmt;

pub use self::label::{decode_label, decode_path, encode_label, encode_path};
use crate::limits::NAME_SIZE_MAX;

/// Why a text is not a valid name (one variant a rule).
///
/// ```
/// use libbus::names::{BusName, InterfaceName, NameError, ObjectPath};
///
/// assert_eq!(InterfaceName::parse("org"), Err(NameError::SingleElement));
/// assert_eq!(ObjectPath::parse("org"), Err(NameError::MissingSlash));
/// let name = BusName::parse(":1.42")?;
/// assert!(matches!(name, BusName::Unique(_)));
/// // One that the source spells out is checked by the compiler.
/// const CLOCK: InterfaceName<'static> = InterfaceName::from_static("org.example.Clock");
/// assert_eq!(CLOCK.as_str(), "org.example.Clock");
/// # Ok::<(), NameError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// The text is empty.
    Empty,
    /// The name is longer than [`NAME_SIZE_MAX`] bytes; object paths have no such bound.
    TooLong,
    /// Two separators in a row, or one at the beginning or the end of a dotted name.
    EmptyElement,
    /// No `.` in a name that needs two elements.
    SingleElement,
    /// An element starts with a digit where only a letter may begin one.
    LeadingDigit,
    /// A byte that this kind of name may not contain.
    InvalidCharacter {
        /// Where the byte is, counted from 0.
        index: usize,
    },
    /// A unique name that does not start with `:`.
    MissingColon,
    /// An object path that does not start with `/`.
    MissingSlash,
    /// An object path other than `/` that ends with `/`.
    TrailingSlash,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameError::Empty => f.write_str("it is empty"),
            NameError::TooLong => write!(f, "it is longer than {NAME_SIZE_MAX} bytes"),
            NameError::EmptyElement => f.write_str("one of its elements is empty"),
            NameError::SingleElement => f.write_str("it has one element and needs two"),
            NameError::LeadingDigit => f.write_str("one of its elements starts with a digit"),
            NameError::InvalidCharacter { index } => {
                write!(f, "the character at byte {index} is not allowed")
            }
            NameError::MissingColon => f.write_str("it does not start with ':'"),
            NameError::MissingSlash => f.write_str("it does not start with '/'"),
            NameError::TrailingSlash => f.write_str("it ends with '/'"),
        }
    }
}

impl std::error::Error for NameError {}

macro_rules! try_from_text {
    ($name:ident) => {
        impl<'a> TryFrom<&'a str> for $name<'a> {
            type Error = NameError;

            fn try_from(text: &'a str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }

        impl<'a> TryFrom<&'a String> for $name<'a> {
            type Error = NameError;

            fn try_from(text: &'a String) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }
    };
}

macro_rules! name_type {
    ($(#[$meta:meta])* $name:ident, $check:path) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name<'a>(&'a str);

        impl<'a> $name<'a> {
            /// Checks a text. The error tells the first broken rule.
            #[inline]
            pub fn parse(text: &'a str) -> Result<Self, NameError> {
                $check(text.as_bytes()).map(|()| Self(text))
            }

            /// The name's text.
            pub const fn as_str(self) -> &'a str {
                self.0
            }
        }

        impl $name<'static> {
            /// A name that the source code spells out; meant for constants, where an invalid name
            /// is an error of the compiler. Called anywhere else it panics on one.
            pub const fn from_static(text: &'static str) -> Self {
                assert!($check(text.as_bytes()).is_ok(), "this constant is not a valid name");
                Self(text)
            }
        }

        impl fmt::Display for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0)
            }
        }

        impl AsRef<str> for $name<'_> {
            fn as_ref(&self) -> &str {
                self.0
            }
        }

        try_from_text!($name);
    };
}

name_type!(/// A unique name such as `:1.42` (protocol.md A029).
    UniqueName, check_unique_name);
name_type!(/// A well-known name such as `org.example.Service` (protocol.md A028).
    WellKnownName, check_well_known_name);
name_type!(/// An interface name (protocol.md A025).
    InterfaceName, check_interface_name);
name_type!(/// A method's or a signal's name (protocol.md A027).
    MemberName, check_member_name);
name_type!(/// An error's name: the rules of an interface name (protocol.md A026).
    ErrorName, check_interface_name);
name_type!(/// An object path (protocol.md A024).
    ObjectPath, check_object_path);
name_type!(/// A group of bus names: one name and all that continue it after a `.`. Unlike a well-known
    /// name it may have a single element (protocol.md A030).
    Namespace, check_namespace);

/// Names of header fields, found again in a message that was checked.
macro_rules! checked {
    ($($name:ident),*) => { $(
        impl<'a> $name<'a> {
            /// A text that was checked before.
            #[inline]
            pub(crate) const fn checked(text: &'a str) -> Self {
                Self(text)
            }
        }
    )* };
}

checked!(UniqueName, WellKnownName, InterfaceName, MemberName, ErrorName, ObjectPath);

impl Namespace<'_> {
    /// Whether `name` is this namespace's own name or continues it after a `.` (protocol.md A166).
    pub fn contains(self, name: &str) -> bool {
        is_or_continues(name.as_bytes(), self.0.as_bytes(), b'.')
    }
}

/// Whether `text` is `base`, or `base` and more after a separator.
pub(crate) fn is_or_continues(text: &[u8], base: &[u8], separator: u8) -> bool {
    text.strip_prefix(base).is_some_and(|rest| rest.first().is_none_or(|next| *next == separator))
}

/// Either kind of bus name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BusName<'a> {
    /// Given by the bus to one connection: `:1.42`.
    Unique(UniqueName<'a>),
    /// Requested by a connection: `org.example.Service`.
    WellKnown(WellKnownName<'a>),
}

impl<'a> BusName<'a> {
    /// Checks a text: a unique name if it starts with `:`, else a well-known name.
    #[inline]
    pub fn parse(text: &'a str) -> Result<Self, NameError> {
        if text.starts_with(':') {
            UniqueName::parse(text).map(BusName::Unique)
        } else {
            WellKnownName::parse(text).map(BusName::WellKnown)
        }
    }

    /// A text that was checked before.
    #[inline]
    pub(crate) fn checked(text: &'a str) -> Self {
        match text.starts_with(':') {
            true => BusName::Unique(UniqueName::checked(text)),
            false => BusName::WellKnown(WellKnownName::checked(text)),
        }
    }

    /// The name's text.
    pub const fn as_str(self) -> &'a str {
        match self {
            BusName::Unique(name) => name.as_str(),
            BusName::WellKnown(name) => name.as_str(),
        }
    }
}

try_from_text!(BusName);

impl BusName<'static> {
    /// A name that the source code spells out; meant for constants, where an invalid name is an
    /// error of the compiler. Called anywhere else it panics on one.
    pub const fn from_static(text: &'static str) -> Self {
        match text.as_bytes() {
            [b':', ..] => BusName::Unique(UniqueName::from_static(text)),
            _ => BusName::WellKnown(WellKnownName::from_static(text)),
        }
    }
}

impl fmt::Display for BusName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl AsRef<str> for BusName<'_> {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl<'a> From<UniqueName<'a>> for BusName<'a> {
    fn from(name: UniqueName<'a>) -> Self {
        BusName::Unique(name)
    }
}

impl<'a> From<WellKnownName<'a>> for BusName<'a> {
    fn from(name: WellKnownName<'a>) -> Self {
        BusName::WellKnown(name)
    }
}

/// `A`–`Z`, `a`–`z` and `_`.
const LETTER: u8 = 1;
/// `0`–`9`.
const DIGIT: u8 = 2;
/// `-`.
const HYPHEN: u8 = 4;
/// `.`.
const DOT: u8 = 8;
/// `/`.
const SLASH: u8 = 16;

/// The class of each byte; 0 for those that no name may contain.
static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = match byte as u8 {
            b'A'..=b'Z' | b'a'..=b'z' | b'_' => LETTER,
            b'0'..=b'9' => DIGIT,
            b'-' => HYPHEN,
            b'.' => DOT,
            b'/' => SLASH,
            _ => 0,
        };
        byte += 1;
    }
    table
}

/// What one kind of name is made of, as sets of byte classes.
struct Alphabet {
    /// What an element may start with.
    first: u8,
    /// What an element may go on with.
    rest: u8,
    /// What stands between two elements.
    separator: u8,
}

// protocol.md A025, A026, A027.
const INTERFACE: Alphabet = Alphabet { first: LETTER, rest: LETTER | DIGIT, separator: DOT };
const MEMBER: Alphabet = Alphabet { first: LETTER, rest: LETTER | DIGIT, separator: 0 };
// protocol.md A028.
const WELL_KNOWN: Alphabet =
    Alphabet { first: LETTER | HYPHEN, rest: LETTER | HYPHEN | DIGIT, separator: DOT };
// protocol.md A029.
const UNIQUE: Alphabet =
    Alphabet { first: LETTER | HYPHEN | DIGIT, rest: LETTER | HYPHEN | DIGIT, separator: DOT };
// protocol.md A024.
const PATH: Alphabet = Alphabet { first: LETTER | DIGIT, rest: LETTER | DIGIT, separator: SLASH };

const fn check_interface_name(text: &[u8]) -> Result<(), NameError> {
    check_two_elements(text, text, &INTERFACE)
}

const fn check_well_known_name(text: &[u8]) -> Result<(), NameError> {
    check_two_elements(text, text, &WELL_KNOWN)
}

const fn check_unique_name(text: &[u8]) -> Result<(), NameError> {
    match text {
        // deviation: the reference takes ":" and ":a" for unique names; the specification asks for
        // two elements, and no bus gives out such a name.
        [b':', elements @ ..] => check_two_elements(text, elements, &UNIQUE),
        [] => Err(NameError::Empty),
        _ => Err(NameError::MissingColon),
    }
}

const fn check_member_name(text: &[u8]) -> Result<(), NameError> {
    match check_size(text) {
        Ok(()) => without_count(count_separators(text, text, &MEMBER)),
        Err(error) => Err(error),
    }
}

const fn check_namespace(text: &[u8]) -> Result<(), NameError> {
    // deviation: the specification speaks of well-known names only; the reference also takes the
    // beginning of a unique name, as in arg0namespace=':1', and so do we.
    let (elements, alphabet) = match text {
        [b':', elements @ ..] => (elements, &UNIQUE),
        _ => (text, &WELL_KNOWN),
    };
    match check_size(text) {
        Ok(()) => without_count(count_separators(text, elements, alphabet)),
        Err(error) => Err(error),
    }
}

const fn check_object_path(text: &[u8]) -> Result<(), NameError> {
    match text {
        [] => Err(NameError::Empty),
        [b'/'] => Ok(()),
        [b'/', .., b'/'] => Err(NameError::TrailingSlash),
        [b'/', elements @ ..] => without_count(count_separators(text, elements, &PATH)),
        _ => Err(NameError::MissingSlash),
    }
}

const fn check_two_elements(
    text: &[u8],
    elements: &[u8],
    alphabet: &Alphabet,
) -> Result<(), NameError> {
    if let Err(error) = check_size(text) {
        return Err(error);
    }
    match count_separators(text, elements, alphabet) {
        Ok(0) => Err(NameError::SingleElement),
        result => without_count(result),
    }
}

const fn check_size(text: &[u8]) -> Result<(), NameError> {
    match text.len() {
        0 => Err(NameError::Empty),
        1..=NAME_SIZE_MAX => Ok(()),
        _ => Err(NameError::TooLong),
    }
}

const fn without_count(result: Result<usize, NameError>) -> Result<(), NameError> {
    match result {
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Checks the elements at the end of `text` and counts the separators between them.
///
/// The one loop of this module: what the next byte may be is a set of classes that changes after
/// each separator. It runs to the end without a branch; only a wrong text is looked at again, to
/// find the rule it breaks. Inlined, so that each kind of name has its own loop.
#[inline(always)]
const fn count_separators(
    text: &[u8],
    elements: &[u8],
    alphabet: &Alphabet,
) -> Result<usize, NameError> {
    let inside = alphabet.rest | alphabet.separator;
    let mut allowed = alphabet.first;
    let mut separators = 0;
    let mut wrong = false;
    let mut left = elements;
    while let [byte, after @ ..] = left {
        let class = CLASSES[*byte as usize];
        let is_separator = class == alphabet.separator;
        wrong |= class & allowed == 0;
        separators += is_separator as usize;
        allowed = if is_separator { alphabet.first } else { inside };
        left = after;
    }
    if wrong || allowed != inside {
        return Err(broken_rule(text, elements, alphabet));
    }
    Ok(separators)
}

/// Names the rule that the first wrong byte breaks, or that the end does.
#[cold]
const fn broken_rule(text: &[u8], elements: &[u8], alphabet: &Alphabet) -> NameError {
    let mut at_start = true;
    let mut left = elements;
    while let [byte, after @ ..] = left {
        let class = CLASSES[*byte as usize];
        let allowed = if at_start { alphabet.first } else { alphabet.rest | alphabet.separator };
        if class & allowed == 0 {
            return match class {
                class if at_start && class & alphabet.separator != 0 => NameError::EmptyElement,
                class if at_start && class & alphabet.rest != 0 => NameError::LeadingDigit,
                _ => NameError::InvalidCharacter { index: text.len() - left.len() },
            };
        }
        at_start = class == alphabet.separator;
        left = after;
    }
    NameError::EmptyElement
}

#[cfg(test)]
mod tests;
