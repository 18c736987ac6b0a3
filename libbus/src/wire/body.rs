//! The check of a body: one pass, no allocation, every value seen (protocol.md A001–A023, A056).
//!
//! Arrays of numbers are checked by their length alone. Everything else is walked, recursively: the
//! recursion is as deep as the containers are nested, 64 at most. The work is proportional to the
//! size of the body, whatever the signature is: see [`TypeCodes::skip`].

use super::message::{Endian, MessageError};
use super::signature::{Signature, SignatureError, alignment_of, fixed_size, type_end};
use super::unmarshal::{BodyReader, aligned};
use crate::limits::{CONTAINER_DEPTH_MAX, MATCH_ARGUMENT_INDEX_MAX, SIGNATURE_SIZE_MAX};

/// How many arguments match rules can ask for.
const SPAN_COUNT: usize = MATCH_ARGUMENT_INDEX_MAX as usize + 1;

/// Where the string and object-path arguments 0–63 of a body are, noted while it is checked.
///
/// One value serves for all messages, one after another; it holds 528 bytes.
#[derive(Clone, Debug)]
pub struct ArgumentSpans {
    /// Bit N: argument N is a string or an object path, and `spans[N]` is of this message.
    noted: u64,
    /// Bit N: argument N is an object path.
    paths: u64,
    spans: [Span; SPAN_COUNT],
}

/// The text of one argument, as offsets in the body.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    end: u32,
}

impl ArgumentSpans {
    /// Nothing noted.
    pub const fn new() -> Self {
        Self { noted: 0, paths: 0, spans: [Span { start: 0, end: 0 }; SPAN_COUNT] }
    }

    fn clear(&mut self) {
        self.noted = 0;
        self.paths = 0;
    }

    fn note(&mut self, index: usize, is_path: bool, start: usize, end: usize) {
        let Some(span) = self.spans.get_mut(index) else { return };
        // A body is at most 2^27 bytes long.
        *span = Span { start: start as u32, end: end as u32 };
        self.noted |= 1 << index;
        self.paths |= u64::from(is_path) << index;
    }
}

impl Default for ArgumentSpans {
    fn default() -> Self {
        Self::new()
    }
}

/// The string and object-path arguments 0–63 of a checked body.
#[derive(Clone, Copy, Debug)]
pub struct Arguments<'a> {
    spans: &'a ArgumentSpans,
    body: &'a [u8],
}

/// An argument that a match rule can look at: the bytes of its text, which are valid UTF-8.
///
/// They are handed out as bytes, since turning them into a `str` again would cost a look at each of
/// them for each rule that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument<'a> {
    /// A STRING.
    String(&'a [u8]),
    /// An OBJECT_PATH.
    ObjectPath(&'a [u8]),
}

impl<'a> Arguments<'a> {
    /// No arguments at all.
    pub const EMPTY: Arguments<'static> =
        Arguments { spans: &const { ArgumentSpans::new() }, body: &[] };

    /// The arguments of `body`, where [`check_body`] noted them.
    pub const fn new(spans: &'a ArgumentSpans, body: &'a [u8]) -> Self {
        Self { spans, body }
    }

    /// Argument `index`, counted from 0, if it is a string or an object path.
    pub fn get(&self, index: u8) -> Option<Argument<'a>> {
        let text = self.bytes(index)?;
        let is_path = self.spans.paths >> index & 1 == 1;
        Some(if is_path { Argument::ObjectPath(text) } else { Argument::String(text) })
    }

    fn bytes(&self, index: u8) -> Option<&'a [u8]> {
        let span = self.spans.spans.get(usize::from(index))?;
        if self.spans.noted >> index & 1 == 0 {
            return None;
        }
        self.body.get(span.start as usize..span.end as usize)
    }
}

/// Checks a whole body against its signature (A001–A023, A048, A056) and notes in `spans` where its
/// string and object-path arguments 0–63 are; on an error the notes are of no use.
///
/// Descriptor indices are not compared with the number of descriptors (A058).
pub fn check_body(
    signature: Signature<'_>,
    body: &[u8],
    endian: Endian,
    spans: &mut ArgumentSpans,
) -> Result<(), MessageError> {
    spans.clear();
    let mut reader = BodyReader::new(body, endian);
    let mut types = TypeCodes::new(signature);
    let mut index = 0;
    while let Some(code) = types.peek() {
        // The text of a string starts after its length, which is aligned to 4.
        let text_start = aligned(reader.position(), 4) + 4;
        value(&mut reader, &mut types, 0)?;
        if matches!(code, b's' | b'o') {
            spans.note(index, code == b'o', text_start, reader.position() - 1);
        }
        index += 1;
    }
    if reader.is_empty() { Ok(()) } else { Err(MessageError::TooMuchData) }
}

/// Checks one value of each type of `signature`, where `depth` containers are open already.
pub(super) fn check_value(
    reader: &mut BodyReader<'_>,
    signature: Signature<'_>,
    depth: usize,
) -> Result<(), MessageError> {
    let mut types = TypeCodes::new(signature);
    while types.peek().is_some() {
        value(reader, &mut types, depth)?;
    }
    Ok(())
}

/// Checks a variant, its signature included, where `depth` containers are open already (A011).
pub(super) fn check_variant(reader: &mut BodyReader<'_>, depth: usize) -> Result<(), MessageError> {
    let depth = deeper(depth)?;
    // The usual variant holds a basic type, which needs no signature parsed.
    if let Some(code) = reader.basic_variant() {
        return basic(reader, code);
    }
    let signature = reader.variant()?;
    check_value(reader, signature, depth)
}

/// One more container is open; every one of them counts, empty ones too (A019).
///
/// deviation: an array of numbers and an empty array count like any other; the reference does not
/// look inside them and so delivers them at level 65.
fn deeper(depth: usize) -> Result<usize, MessageError> {
    if depth < CONTAINER_DEPTH_MAX { Ok(depth + 1) } else { Err(MessageError::TooDeep) }
}

/// Checks one value of the next complete type, and moves past that type. Inlined, so
/// that only containers cost a call.
#[inline(always)]
fn value(
    reader: &mut BodyReader<'_>,
    types: &mut TypeCodes<'_>,
    depth: usize,
) -> Result<(), MessageError> {
    match types.next() {
        Some(code @ (b'v' | b'a' | b'(' | b'{')) => container(reader, types, code, depth),
        Some(code) => basic(reader, code),
        None => Ok(()),
    }
}

/// Checks one value of a type that starts with `code`, which `types` has passed.
fn container(
    reader: &mut BodyReader<'_>,
    types: &mut TypeCodes<'_>,
    code: u8,
    depth: usize,
) -> Result<(), MessageError> {
    match code {
        b'v' => check_variant(reader, depth),
        b'a' => array(reader, types, deeper(depth)?),
        _ => fields(reader, types, deeper(depth)?),
    }
}

/// Checks one value of a type that is not a container.
#[inline]
fn basic(reader: &mut BodyReader<'_>, code: u8) -> Result<(), MessageError> {
    match code {
        b's' => reader.check_string(),
        b'y' => reader.byte().map(drop),
        b'n' | b'q' => reader.uint16().map(drop),
        b'i' | b'u' | b'h' => reader.uint32().map(drop),
        b'x' | b't' | b'd' => reader.uint64().map(drop),
        b'b' => reader.boolean().map(drop),
        b'o' => reader.object_path().map(drop),
        b'g' => reader.signature().map(drop),
        // A valid signature has no other codes where a type starts.
        _ => Err(MessageError::InvalidSignature(SignatureError::UnknownTypeCode)),
    }
}

/// Checks the fields of a structure or dictionary entry, and moves past its closing bracket.
fn fields(
    reader: &mut BodyReader<'_>,
    types: &mut TypeCodes<'_>,
    depth: usize,
) -> Result<(), MessageError> {
    reader.structure()?;
    while !matches!(types.peek(), Some(b')' | b'}') | None) {
        value(reader, types, depth)?;
    }
    types.next();
    Ok(())
}

/// Checks an array (A012, A020, A021), and moves past its element type.
fn array(
    reader: &mut BodyReader<'_>,
    types: &mut TypeCodes<'_>,
    depth: usize,
) -> Result<(), MessageError> {
    let Some(code) = types.peek() else { return Ok(()) };
    let end = reader.array_end(alignment_of(code))?;
    if let Some(element_size) = fixed_size(code) {
        types.next();
        return numbers(reader, end, element_size);
    }
    if code == b'b' {
        types.next();
        return booleans(reader, end);
    }
    if reader.position() == end {
        types.skip();
        return Ok(());
    }
    let element = types.position;
    while reader.position() < end {
        types.position = element;
        value(reader, types, depth)?;
    }
    if reader.position() == end { Ok(()) } else { Err(MessageError::ArrayLengthInexact) }
}

/// Passes over the elements of an array of numbers, of which any bytes are valid (A021).
fn numbers(
    reader: &mut BodyReader<'_>,
    end: usize,
    element_size: usize,
) -> Result<(), MessageError> {
    let elements = reader.take(end - reader.position())?;
    // The size is a power of two.
    if elements.len() & (element_size - 1) == 0 {
        Ok(())
    } else {
        Err(MessageError::ArrayLengthInexact)
    }
}

fn booleans(reader: &mut BodyReader<'_>, end: usize) -> Result<(), MessageError> {
    let elements = reader.take(end - reader.position())?;
    let (elements, rest) = elements.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(MessageError::ArrayLengthInexact);
    }
    let endian = reader.endian();
    let all_bits = elements.iter().fold(0, |bits, element| bits | endian.u32_from(*element));
    if all_bits <= 1 { Ok(()) } else { Err(MessageError::InvalidBoolean) }
}

/// The type codes of a valid signature, one after another.
struct TypeCodes<'a> {
    codes: &'a [u8],
    position: usize,
    /// For the complete types that were passed over: index of the type -> index after it, 0 where
    /// that is not known yet.
    ends: Option<[u8; SIGNATURE_SIZE_MAX]>,
}

impl<'a> TypeCodes<'a> {
    fn new(signature: Signature<'a>) -> Self {
        Self { codes: signature.as_str().as_bytes(), position: 0, ends: None }
    }

    fn peek(&self) -> Option<u8> {
        self.codes.get(self.position).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let code = self.peek()?;
        self.position += 1;
        Some(code)
    }

    /// Moves past a complete type without a value: the element type of an empty array.
    ///
    /// Where a type ends is searched once and then remembered, or else an array of empty arrays
    /// would cost the length of the signature for every 4 bytes of the body.
    fn skip(&mut self) {
        let ends = self.ends.get_or_insert([0; SIGNATURE_SIZE_MAX]);
        let Some(end) = ends.get_mut(self.position) else { return };
        if *end == 0 {
            // A signature has at most 255 bytes.
            *end = type_end(self.codes, self.position) as u8;
        }
        self.position = usize::from(*end);
    }
}
