//! Signatures: the types of a body, parsed once and then trusted (protocol.md A001, A013–A018).
//!
//! The parser is recursive, at most 96 deep: 32 arrays, 32 structures and 32 dictionary entries may
//! be open at once. It is `const`, so that the signatures in our own code are checked when it is
//! compiled.

use std::fmt;

use crate::limits::{SIGNATURE_DEPTH_MAX, SIGNATURE_SIZE_MAX};

/// A valid signature: any number of complete types, none included.
///
/// ```
/// use libbus::wire::{Signature, SignatureError};
///
/// let signature = Signature::parse("sa{sv}(ii)")?;
/// let types: Vec<&str> = signature.types().map(|one| one.as_str()).collect();
/// assert_eq!(types, ["s", "a{sv}", "(ii)"]);
/// assert!(Signature::parse("a{vs}").is_err());
/// # Ok::<(), SignatureError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Signature<'a>(&'a str);

/// Why a text is not a signature (protocol.md A060, its signature classes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureError {
    /// More than 255 bytes (A017).
    TooLong,
    /// A byte that is no type code (A001, A016).
    UnknownTypeCode,
    /// `a` with nothing after it that could be its element type.
    MissingArrayElement,
    /// More than 32 arrays inside one another (A018).
    ArraysTooDeep,
    /// More than 32 structures inside one another (A018).
    StructuresTooDeep,
    /// More than 32 dictionary entries inside one another (A018).
    DictEntriesTooDeep,
    /// `)` without its `(`.
    StructureNotStarted,
    /// `(` without its `)`.
    StructureNotEnded,
    /// `()` (A013).
    StructureEmpty,
    /// `}` without its `{`.
    DictEntryNotStarted,
    /// `{` without its `}`.
    DictEntryNotEnded,
    /// `{}` (A014).
    DictEntryEmpty,
    /// A key without a value (A014).
    DictEntryOneField,
    /// More than a key and a value (A014).
    DictEntryTooManyFields,
    /// `{` that does not follow `a` (A014).
    DictEntryOutsideArray,
    /// A dictionary entry whose key is a container (A014).
    DictKeyNotBasic,
}

impl<'a> Signature<'a> {
    /// No types at all: the signature of an empty body.
    pub const EMPTY: Signature<'static> = Signature("");

    /// Checks a text against every rule of A001 and A013–A018.
    pub const fn parse(text: &'a str) -> Result<Self, SignatureError> {
        match validate(text.as_bytes()) {
            Ok(()) => Ok(Self(text)),
            Err(error) => Err(error),
        }
    }

    /// A text that was checked before.
    #[inline]
    pub(crate) const fn checked(text: &'a str) -> Self {
        Self(text)
    }

    /// The signature's text.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Whether there are no types in it.
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The complete types it is made of, each as a signature of its own.
    pub const fn types(self) -> Types<'a> {
        Types { rest: self.0 }
    }

    /// Alignment of a value of its first type, in bytes: 1, 2, 4 or 8; 1 when there is none.
    pub const fn alignment(self) -> usize {
        match self.0.as_bytes() {
            [code, ..] => alignment_of(*code),
            [] => 1,
        }
    }
}

impl Signature<'static> {
    /// A signature known when the code is written, for constants.
    ///
    /// # Panics
    ///
    /// When the text is not a signature; in a constant that is an error of compilation.
    #[allow(clippy::panic)] // Evaluated by the compiler, where a panic is its error message.
    pub const fn from_static(text: &'static str) -> Self {
        match Self::parse(text) {
            Ok(signature) => signature,
            Err(_) => panic!("not a valid signature"),
        }
    }
}

impl fmt::Display for Signature<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The complete types of a signature, in order.
#[derive(Clone, Debug)]
pub struct Types<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Types<'a> {
    type Item = Signature<'a>;

    fn next(&mut self) -> Option<Signature<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let (first, rest) = self.rest.split_at_checked(type_end(self.rest.as_bytes(), 0))?;
        self.rest = rest;
        Some(Signature(first))
    }
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "longer than 255 bytes",
            Self::UnknownTypeCode => "an unknown type code",
            Self::MissingArrayElement => "an array without an element type",
            Self::ArraysTooDeep => "more than 32 arrays inside one another",
            Self::StructuresTooDeep => "more than 32 structures inside one another",
            Self::DictEntriesTooDeep => "more than 32 dictionary entries inside one another",
            Self::StructureNotStarted => "a structure ends that was not started",
            Self::StructureNotEnded => "a structure does not end",
            Self::StructureEmpty => "a structure without fields",
            Self::DictEntryNotStarted => "a dictionary entry ends that was not started",
            Self::DictEntryNotEnded => "a dictionary entry does not end",
            Self::DictEntryEmpty => "a dictionary entry without fields",
            Self::DictEntryOneField => "a dictionary entry without a value",
            Self::DictEntryTooManyFields => "a dictionary entry of more than two fields",
            Self::DictEntryOutsideArray => "a dictionary entry outside an array",
            Self::DictKeyNotBasic => "a dictionary key that is not of a basic type",
        })
    }
}

impl std::error::Error for SignatureError {}

/// Size in bytes of a value whose every bit pattern is valid; the boolean is not among them.
pub(super) const fn fixed_size(code: u8) -> Option<usize> {
    match code {
        b'y' => Some(1),
        b'n' | b'q' => Some(2),
        b'i' | b'u' | b'h' => Some(4),
        b'x' | b't' | b'd' => Some(8),
        _ => None,
    }
}

/// Alignment in bytes of values of a type that starts with `code`.
pub(super) const fn alignment_of(code: u8) -> usize {
    match code {
        b'n' | b'q' => 2,
        b'b' | b'i' | b'u' | b'h' | b's' | b'o' | b'a' => 4,
        b'x' | b't' | b'd' | b'(' | b'{' => 8,
        _ => 1,
    }
}

/// Index after the complete type that starts at `at`, in a valid signature.
pub(super) fn type_end(codes: &[u8], mut at: usize) -> usize {
    let mut open = 0_usize;
    while let Some(code) = codes.get(at) {
        at += 1;
        match code {
            b'a' => continue,
            b'(' | b'{' => open += 1,
            b')' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        if open == 0 {
            break;
        }
    }
    at
}

/// `?`, which constant functions do not have.
macro_rules! check {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Err(error),
        }
    };
}

/// How many containers of each kind are open.
#[derive(Clone, Copy)]
struct Depth {
    arrays: usize,
    structures: usize,
    dict_entries: usize,
}

const fn validate(codes: &[u8]) -> Result<(), SignatureError> {
    if codes.len() > SIGNATURE_SIZE_MAX {
        return Err(SignatureError::TooLong);
    }
    let mut at = 0;
    while at < codes.len() {
        if is_basic(codes[at]) {
            at += 1;
            continue;
        }
        at = check!(complete_type(codes, at, Depth { arrays: 0, structures: 0, dict_entries: 0 }));
    }
    Ok(())
}

/// Checks the complete type at `at`, which is inside `codes`; returns the index after it.
const fn complete_type(codes: &[u8], at: usize, depth: Depth) -> Result<usize, SignatureError> {
    match codes[at] {
        b'v' => Ok(at + 1),
        b'a' => array(codes, at + 1, depth),
        b'(' => structure(codes, at + 1, depth),
        b')' => Err(SignatureError::StructureNotStarted),
        b'{' => Err(SignatureError::DictEntryOutsideArray),
        b'}' => Err(SignatureError::DictEntryNotStarted),
        code if is_basic(code) => Ok(at + 1),
        _ => Err(SignatureError::UnknownTypeCode),
    }
}

/// Whether `code` is the code of a type that is not a container.
pub(super) const fn is_basic(code: u8) -> bool {
    fixed_size(code).is_some() || matches!(code, b'b' | b's' | b'o' | b'g')
}

/// `at` is the index after `a`.
const fn array(codes: &[u8], at: usize, mut depth: Depth) -> Result<usize, SignatureError> {
    if depth.arrays == SIGNATURE_DEPTH_MAX {
        return Err(SignatureError::ArraysTooDeep);
    }
    depth.arrays += 1;
    if at == codes.len() {
        return Err(SignatureError::MissingArrayElement);
    }
    match codes[at] {
        b'{' => dict_entry(codes, at + 1, depth),
        b')' | b'}' => Err(SignatureError::MissingArrayElement),
        _ => complete_type(codes, at, depth),
    }
}

/// `at` is the index after `(`.
const fn structure(codes: &[u8], mut at: usize, mut depth: Depth) -> Result<usize, SignatureError> {
    if depth.structures == SIGNATURE_DEPTH_MAX {
        return Err(SignatureError::StructuresTooDeep);
    }
    depth.structures += 1;
    let fields_start = at;
    while at < codes.len() {
        if codes[at] == b')' {
            let empty = at == fields_start;
            return if empty { Err(SignatureError::StructureEmpty) } else { Ok(at + 1) };
        }
        at = check!(complete_type(codes, at, depth));
    }
    Err(SignatureError::StructureNotEnded)
}

/// `at` is the index after `{`.
const fn dict_entry(codes: &[u8], at: usize, mut depth: Depth) -> Result<usize, SignatureError> {
    if depth.dict_entries == SIGNATURE_DEPTH_MAX {
        return Err(SignatureError::DictEntriesTooDeep);
    }
    depth.dict_entries += 1;
    let value = check!(dict_field(codes, at, depth, SignatureError::DictEntryEmpty));
    if !is_basic(codes[at]) {
        return Err(SignatureError::DictKeyNotBasic);
    }
    let end = check!(dict_field(codes, value, depth, SignatureError::DictEntryOneField));
    if end == codes.len() {
        return Err(SignatureError::DictEntryNotEnded);
    }
    match codes[end] {
        b'}' => Ok(end + 1),
        _ => Err(SignatureError::DictEntryTooManyFields),
    }
}

/// A key or a value; `missing` is the error when the entry ends instead.
const fn dict_field(
    codes: &[u8],
    at: usize,
    depth: Depth,
    missing: SignatureError,
) -> Result<usize, SignatureError> {
    if at == codes.len() {
        return Err(SignatureError::DictEntryNotEnded);
    }
    match codes[at] {
        b'}' => Err(missing),
        _ => complete_type(codes, at, depth),
    }
}
