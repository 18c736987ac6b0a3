//! What a text of GVariant's format says, before it is known of which type it is.

use std::str::CharIndices;

use super::Fault;
use crate::value::gvariant::control;

/// Values inside one another, as GLib bounds them.
const DEPTH_MAX: usize = 128;

/// A value, and where it begins.
#[derive(Debug, PartialEq)]
pub(super) struct Node {
    pub(super) offset: usize,
    pub(super) form: Form,
}

#[derive(Debug, PartialEq)]
pub(super) enum Form {
    Boolean(bool),
    /// As it is written: which number it is depends on its type.
    Number(String),
    Text(String),
    /// With the NUL at its end.
    Bytes(Vec<u8>),
    Variant(Box<Node>),
    Array(Vec<Node>),
    Tuple(Vec<Node>),
    Dictionary(Vec<(Node, Node)>),
    /// `{key, value}`, an element of an array.
    Entry(Box<(Node, Node)>),
    /// `just` a value, or `nothing`.
    Maybe(Option<Box<Node>>),
    /// With its type before it.
    Typed(String, Box<Node>),
}

impl Node {
    /// Without the types that are said.
    pub(super) fn untyped(&self) -> &Form {
        match &self.form {
            Form::Typed(_, inner) => inner.untyped(),
            form => form,
        }
    }
}

type Parsed<T> = Result<T, Fault>;

/// Reads a text.
pub(super) struct Syntax<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl<'t> Syntax<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// The value that all of it is.
    pub(super) fn whole(mut self) -> Parsed<Node> {
        let node = self.node()?;
        match self.token() {
            "" => Ok(node),
            _ => Err(self.wrong("nothing is expected after the value")),
        }
    }

    fn wrong(&self, what: impl Into<String>) -> Fault {
        Fault::Wrong { offset: self.at, what: what.into() }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// What comes next: a word, a number, the type after a `@`, or one character, also that of a quote.
    fn token(&mut self) -> &'t str {
        self.at = self.text.len() - self.rest().trim_start_matches(is_blank).len();
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return "" };
        let size = |is_part: fn(char) -> bool| {
            rest.chars().skip(1).take_while(|c| is_part(*c)).map(char::len_utf8).sum::<usize>() + 1
        };
        let end = match first {
            '-' | '+' | '.' | '0'..='9' => {
                size(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.'))
            }
            'b' if rest.starts_with("b'") || rest.starts_with("b\"") => 2,
            'a'..='z' => size(|c| c.is_ascii_alphanumeric()),
            '@' => type_size(rest),
            other => other.len_utf8(),
        };
        rest.get(..end).unwrap_or(rest)
    }

    fn eat(&mut self, token: &str) -> bool {
        let is_next = self.token() == token;
        if is_next {
            self.at += token.len();
        }
        is_next
    }

    fn expect(&mut self, token: &str) -> Parsed<()> {
        match self.eat(token) {
            true => Ok(()),
            false => Err(self.wrong(format!("here should be {token}"))),
        }
    }

    fn node(&mut self) -> Parsed<Node> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.wrong("there are too many values inside one another"));
        }
        let token = self.token();
        let offset = self.at;
        let form = self.form(token)?;
        self.depth -= 1;
        Ok(Node { offset, form })
    }

    /// The value that begins with this token, which is not eaten yet.
    fn form(&mut self, token: &str) -> Parsed<Form> {
        let is_number = token.starts_with(|c: char| c.is_ascii_digit() || "-+.".contains(c));
        if let "'" | "\"" = token {
            return self.quoted().map(Form::Text);
        }
        if let "b'" | "b\"" = token {
            return self.bytes().map(Form::Bytes);
        }
        let start = self.at;
        self.at += token.len();
        match token {
            "[" => self.list("]").map(Form::Array),
            "(" => self.tuple().map(Form::Tuple),
            "{" => self.braces(),
            "<" => {
                let inner = self.node()?;
                self.expect(">")?;
                Ok(Form::Variant(Box::new(inner)))
            }
            "true" | "false" => Ok(Form::Boolean(token == "true")),
            "inf" | "nan" => Ok(Form::Number(token.to_owned())),
            _ if is_number => Ok(Form::Number(token.to_owned())),
            "nothing" => Ok(Form::Maybe(None)),
            "just" => Ok(Form::Maybe(Some(Box::new(self.node()?)))),
            _ => match type_of(token) {
                Some(signature) => Ok(Form::Typed(signature.to_owned(), Box::new(self.node()?))),
                None => {
                    self.at = start;
                    Err(self.wrong("here should be a value"))
                }
            },
        }
    }

    /// Values with commas between them, up to `close`; there is none after the last of them.
    fn list(&mut self, close: &str) -> Parsed<Vec<Node>> {
        let mut parts = Vec::new();
        while !self.eat(close) {
            if !parts.is_empty() {
                self.expect(",")?;
            }
            parts.push(self.node()?);
        }
        Ok(parts)
    }

    /// A comma stands after the first value, also where it is the only one.
    fn tuple(&mut self) -> Parsed<Vec<Node>> {
        if self.eat(")") {
            return Ok(Vec::new());
        }
        let mut parts = vec![self.node()?];
        self.expect(",")?;
        while !self.eat(")") {
            if parts.len() > 1 {
                self.expect(",")?;
            }
            parts.push(self.node()?);
        }
        Ok(parts)
    }

    /// A dictionary, or an entry of one.
    fn braces(&mut self) -> Parsed<Form> {
        if self.eat("}") {
            return Ok(Form::Dictionary(Vec::new()));
        }
        let key = self.node()?;
        if self.eat(",") {
            let value = self.node()?;
            self.expect("}")?;
            return Ok(Form::Entry(Box::new((key, value))));
        }
        self.expect(":")?;
        let mut entries = vec![(key, self.node()?)];
        while !self.eat("}") {
            self.expect(",")?;
            let key = self.node()?;
            self.expect(":")?;
            entries.push((key, self.node()?));
        }
        Ok(Form::Dictionary(entries))
    }

    fn quoted(&mut self) -> Parsed<String> {
        let mut chars = self.rest().char_indices();
        let quote = chars.next().map(|(_, quote)| quote);
        let mut text = String::new();
        while let Some((index, c)) = chars.next() {
            match c {
                c if Some(c) == quote => {
                    self.at += index + c.len_utf8();
                    return Ok(text);
                }
                '\\' => {
                    let escaped = escaped(&mut chars);
                    text.extend(escaped.ok_or_else(|| self.wrong("a wrong escape"))?);
                }
                c => text.push(c),
            }
        }
        Err(self.wrong("the quote at its end is missing"))
    }

    /// Bytes up to the first NUL, and a NUL.
    fn bytes(&mut self) -> Parsed<Vec<u8>> {
        let Some(([_, quote], mut rest)) = self.rest().as_bytes().split_first_chunk() else {
            return Err(self.wrong("here should be a quote"));
        };
        let mut bytes = Vec::new();
        loop {
            match rest {
                [] => return Err(self.wrong("the quote at its end is missing")),
                [end, after @ ..] if end == quote => {
                    self.at = self.text.len() - after.len();
                    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
                    bytes.truncate(end);
                    bytes.push(0);
                    return Ok(bytes);
                }
                [b'\\', b'0'..=b'7', ..] => {
                    let digits = rest.iter().skip(1).take(3);
                    let digits = digits.take_while(|c| (b'0'..=b'7').contains(c));
                    let (count, byte) = digits.fold((0, 0u8), |(count, byte), c| {
                        (count + 1, byte.wrapping_mul(8).wrapping_add(c.wrapping_sub(b'0')))
                    });
                    bytes.push(byte);
                    rest = rest.get(1 + count..).unwrap_or_default();
                }
                [b'\\', b'\n', after @ ..] => rest = after,
                [b'\\', c, after @ ..] => {
                    let escaped = control(char::from(*c)).and_then(|c| u8::try_from(c).ok());
                    bytes.push(escaped.unwrap_or(*c));
                    rest = after;
                }
                [c, after @ ..] => {
                    bytes.push(*c);
                    rest = after;
                }
            }
        }
    }
}

const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}')
}

/// Of a type after a `@`: up to a blank, or to what can stand after it.
fn type_size(text: &str) -> usize {
    let mut open = 0usize;
    for (index, c) in text.char_indices().skip(1) {
        match c {
            ',' | ':' | '>' | ']' => return index,
            c if is_blank(c) => return index,
            '(' | '{' => open += 1,
            ')' | '}' if open == 0 => return index,
            ')' | '}' => open -= 1,
            _ => {}
        }
    }
    text.len()
}

/// The type that a word before a value says, or `@` and its signature.
fn type_of(token: &str) -> Option<&str> {
    Some(match token {
        "boolean" => "b",
        "byte" => "y",
        "int16" => "n",
        "uint16" => "q",
        "int32" => "i",
        "uint32" => "u",
        "int64" => "x",
        "uint64" => "t",
        "handle" => "h",
        "double" => "d",
        "string" => "s",
        "objectpath" => "o",
        "signature" => "g",
        other => other.strip_prefix('@').filter(|text| is_type(text))?,
    })
}

/// One complete type of GVariant, which has `m` as well, tuples of nothing, and entries outside of arrays.
fn is_type(text: &str) -> bool {
    after_type(text.as_bytes(), 0).is_some_and(<[u8]>::is_empty)
}

fn after_type(text: &[u8], depth: usize) -> Option<&[u8]> {
    const BASIC: &[u8] = b"ybnqiuxthdsog";
    let (first, mut rest) = text.split_first()?;
    if depth > DEPTH_MAX {
        return None;
    }
    match first {
        b'v' => Some(rest),
        b'a' | b'm' => after_type(rest, depth + 1),
        b'(' => loop {
            match rest.split_first()? {
                (b')', after) => return Some(after),
                _ => rest = after_type(rest, depth + 1)?,
            }
        },
        b'{' => {
            let (key, value) = rest.split_first().filter(|(key, _)| BASIC.contains(key))?;
            let _ = key;
            after_type(value, depth + 1)?.strip_prefix(b"}")
        }
        basic if BASIC.contains(basic) => Some(rest),
        _ => None,
    }
}

/// What stands after a backslash: nothing where a line is continued.
fn escaped(chars: &mut CharIndices<'_>) -> Option<Option<char>> {
    let (_, c) = chars.next()?;
    Some(match c {
        'u' => Some(hexadecimal(chars, 4)?),
        'U' => Some(hexadecimal(chars, 8)?),
        '\n' => None,
        c => control(c).or(Some(c)),
    })
}

/// A character by its number, which is not 0.
fn hexadecimal(chars: &mut CharIndices<'_>, count: usize) -> Option<char> {
    let digits: String = chars.by_ref().take(count).map(|(_, digit)| digit).collect();
    let is_whole = digits.len() == count && digits.chars().all(|c| c.is_ascii_hexdigit());
    let number = is_whole.then(|| u32::from_str_radix(&digits, 16).ok()).flatten()?;
    char::from_u32(number).filter(|c| *c != '\0')
}
