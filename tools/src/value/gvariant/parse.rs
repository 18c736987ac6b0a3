//! Text to values.

use std::str::CharIndices;

use libbus::limits::CONTAINER_DEPTH_MAX;

use super::super::{Kind, Value, flat, kind, type_name, types};

/// Why a text is no value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TextError {
    /// Where, in bytes.
    pub(crate) offset: usize,
    pub(crate) what: String,
    /// The type that is wanted there.
    pub(crate) wanted: String,
}

/// What is wrong with the number of a descriptor that there is not.
pub(crate) const NO_SUCH_FD: &str = "no argument before this one has a descriptor of this number";

type Parsed<T> = Result<T, TextError>;

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    /// How many descriptors there are for its numbers.
    fd_count: usize,
}

/// The value that all of `text` is: of the type `wanted`, or of the one it looks like. There are so many descriptors
/// that its numbers can mean.
///
/// # Errors
/// It is none, or one of another type.
pub(crate) fn parse(text: &str, wanted: Option<&str>, fd_count: usize) -> Parsed<Value> {
    let mut parser = Parser { text, at: 0, depth: 0, fd_count };
    let value = parser.value(wanted)?;
    parser.skip_space();
    match parser.rest().is_empty() {
        true => Ok(value),
        false => Err(parser.error("nothing is expected after the value", wanted)),
    }
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn error(&self, what: &str, wanted: Option<&str>) -> TextError {
        let wanted = wanted.map_or_else(|| "a value".to_owned(), type_name);
        TextError { offset: self.at, what: what.to_owned(), wanted }
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip_space();
        let is_next = self.rest().starts_with(token);
        if is_next {
            self.at += token.len();
        }
        is_next
    }

    fn expect(&mut self, token: &str, wanted: Option<&str>) -> Parsed<()> {
        match self.eat(token) {
            true => Ok(()),
            false => Err(self.error(&format!("here should be {token}"), wanted)),
        }
    }

    fn value(&mut self, wanted: Option<&str>) -> Parsed<Value> {
        self.depth += 1;
        if self.depth > CONTAINER_DEPTH_MAX {
            return Err(
                self.error("there are more values inside one another than D-Bus has", wanted)
            );
        }
        let value = self.typed_value(wanted);
        self.depth -= 1;
        value
    }

    fn typed_value(&mut self, wanted: Option<&str>) -> Parsed<Value> {
        if self.eat("@") {
            return self.annotated(wanted);
        }
        if let Some(code) = self.type_word() {
            return self.agreeing(code, wanted);
        }
        match wanted.map(|wanted| (wanted, kind(wanted))) {
            None => self.inferred(),
            Some((_, Some(Kind::Variant))) => self.variant(),
            Some((wanted, Some(Kind::Array("y")))) if self.rest().trim_start().starts_with("b") => {
                self.bytestring(wanted)
            }
            Some((wanted, Some(Kind::Array(element)))) => {
                let elements = self.list("[", "]", wanted, |parser| parser.value(Some(element)))?;
                Ok(Value::array(element, elements))
            }
            Some((wanted, Some(Kind::Dict(key, value)))) => {
                let entries = self.entries(wanted, Some(key), Some(value))?;
                Ok(Value::Dict { key: key.to_owned(), value: value.to_owned(), entries })
            }
            Some((wanted, Some(Kind::Struct(fields)))) => self.structure(wanted, &types(fields)),
            Some((wanted, _)) => self.basic(wanted),
        }
    }

    /// `@as []`.
    fn annotated(&mut self, wanted: Option<&str>) -> Parsed<Value> {
        let end = self.rest().find(char::is_whitespace).unwrap_or(self.rest().len());
        let signature = self.rest().get(..end).unwrap_or_default().to_owned();
        if types(&signature).len() != 1 {
            return Err(self.error("after @ there should be one complete type", Some("g")));
        }
        let start = self.at;
        self.at += end;
        self.agreeing(&signature, wanted).map_err(|error| match error.offset > start {
            true => error,
            false => TextError { offset: start, ..error },
        })
    }

    /// A value of the type that the text says, where this one is wanted.
    fn agreeing(&mut self, said: &str, wanted: Option<&str>) -> Parsed<Value> {
        match wanted {
            Some("v") => Ok(Value::Variant(Box::new(self.value(Some(said))?))),
            Some(wanted) if wanted != said => {
                Err(self.error(&format!("the text says that it is of type {said}"), Some(wanted)))
            }
            _ => self.value(Some(said)),
        }
    }

    /// `uint32` and others before a value.
    fn type_word(&mut self) -> Option<&'static str> {
        const WORDS: &[(&str, &str)] = &[
            ("boolean", "b"),
            ("byte", "y"),
            ("int16", "n"),
            ("uint16", "q"),
            ("int32", "i"),
            ("uint32", "u"),
            ("int64", "x"),
            ("uint64", "t"),
            ("handle", "h"),
            ("double", "d"),
            ("string", "s"),
            ("objectpath", "o"),
            ("signature", "g"),
        ];
        self.skip_space();
        let rest = self.rest();
        WORDS.iter().find_map(|(word, code)| {
            let after = rest.strip_prefix(word)?;
            after.starts_with(char::is_whitespace).then(|| {
                self.at += word.len();
                *code
            })
        })
    }

    fn variant(&mut self) -> Parsed<Value> {
        if self.eat("<") {
            let value = self.value(None)?;
            self.expect(">", Some("v"))?;
            return Ok(Value::Variant(Box::new(value)));
        }
        Ok(match self.value(None)? {
            variant @ Value::Variant(_) => variant,
            value => Value::Variant(Box::new(value)),
        })
    }

    /// What stands between `open` and `close`, with commas.
    fn list<T>(
        &mut self,
        open: &str,
        close: &str,
        wanted: &str,
        mut next: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        self.expect(open, Some(wanted))?;
        let mut parts = Vec::new();
        while !self.eat(close) {
            if !parts.is_empty() {
                self.expect(",", Some(wanted))?;
                if self.eat(close) {
                    break;
                }
            }
            parts.push(next(self)?);
        }
        Ok(parts)
    }

    fn entries(
        &mut self,
        wanted: &str,
        key: Option<&str>,
        value: Option<&str>,
    ) -> Parsed<Vec<(Value, Value)>> {
        self.list("{", "}", wanted, |parser| {
            let entry_key = parser.value(key)?;
            if !parser.eat(":") {
                parser.expect(",", Some(wanted))?;
            }
            Ok((entry_key, parser.value(value)?))
        })
    }

    fn structure(&mut self, wanted: &str, fields: &[String]) -> Parsed<Value> {
        let mut left = fields.iter();
        let values = self.list("(", ")", wanted, |parser| match left.next() {
            Some(field) => parser.value(Some(field)),
            None => Err(parser.error("the structure has no more fields", Some(wanted))),
        })?;
        match left.next() {
            None => Ok(Value::Struct(values)),
            Some(field) => Err(self.error("a field of the structure is missing", Some(field))),
        }
    }

    fn basic(&mut self, wanted: &str) -> Parsed<Value> {
        self.skip_space();
        if self.rest().starts_with(['\'', '"']) {
            let start = self.at;
            let text = self.quoted()?;
            return match wanted {
                "s" | "o" | "g" => flat::basic(wanted, &text),
                _ => Err("a text stands here"),
            }
            .map_err(|what| TextError { offset: start, ..self.error(what, Some(wanted)) });
        }
        let word = self.word();
        if matches!(wanted, "s" | "o" | "g") {
            return Err(self.error("here should be a text in quotes", Some(wanted)));
        }
        let value = match wanted {
            "h" => flat::basic("u", word).and_then(|value| match value {
                Value::Uint32(index) if index as usize >= self.fd_count => Err(NO_SUCH_FD),
                Value::Uint32(index) => Ok(Value::UnixFd(index)),
                _ => Err("this is no number of a file descriptor"),
            }),
            _ => flat::basic(wanted, word),
        };
        let value = value.map_err(|what| self.error(what, Some(wanted)))?;
        self.at += word.len();
        Ok(value)
    }

    /// Letters, digits and signs.
    fn word(&self) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || ",:]}>)".contains(c));
        rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()
    }

    /// A value whose type is what it looks like.
    fn inferred(&mut self) -> Parsed<Value> {
        self.skip_space();
        let rest = self.rest();
        match rest.chars().next() {
            Some('<') => self.variant(),
            Some('\'' | '"') => Ok(Value::String(self.quoted()?)),
            Some('[') => self.inferred_array(),
            Some('{') => self.inferred_dict(),
            Some('(') => self.inferred_structure(),
            Some('b') if rest.starts_with("b'") || rest.starts_with("b\"") => self.bytestring("ay"),
            _ => self.inferred_word(),
        }
    }

    fn inferred_structure(&mut self) -> Parsed<Value> {
        let start = self.at;
        let fields = self.list("(", ")", "r", |parser| parser.value(None))?;
        if fields.is_empty() {
            let error = self.error("a structure of D-Bus has a field, or more", None);
            return Err(TextError { offset: start, ..error });
        }
        Ok(Value::Struct(fields))
    }

    /// Where one element says its type, the others are of it as well: `[byte 1, 2]`.
    fn inferred_array(&mut self) -> Parsed<Value> {
        let start = self.at;
        let elements = self.list("[", "]", "av", |parser| parser.value(None))?;
        let end = self.at;
        let signatures: Vec<String> = elements.iter().map(Value::signature).collect();
        // Basic values are read again in no time, others perhaps not.
        if signatures.iter().all(|signature| matches!(kind(signature), Some(Kind::Basic(_)))) {
            for signature in &signatures {
                self.at = start;
                if signatures.iter().any(|other| other != signature)
                    && let Ok(array) = self.value(Some(&format!("a{signature}")))
                {
                    return Ok(array);
                }
            }
        }
        self.at = end;
        self.alike(elements)
    }

    fn inferred_word(&mut self) -> Parsed<Value> {
        let word = self.word();
        let value = match word {
            "true" => Some(Value::Boolean(true)),
            "false" => Some(Value::Boolean(false)),
            _ => ["i", "x", "t", "d"].iter().find_map(|code| flat::basic(code, word).ok()),
        };
        let value =
            value.ok_or_else(|| self.error("this is no value; a text is in quotes", None))?;
        self.at += word.len();
        Ok(value)
    }

    fn inferred_dict(&mut self) -> Parsed<Value> {
        let mut entries = self.entries("a{sv}", None, None)?;
        let key = entries.first().map_or_else(|| "s".to_owned(), |(key, _)| key.signature());
        let first = entries.first().map_or_else(|| "v".to_owned(), |(_, value)| value.signature());
        if entries.iter().any(|(other, _)| other.signature() != key) || kind(&key).is_none() {
            return Err(self.error("the keys are of several types", None));
        }
        let value = match entries.iter().all(|(_, value)| value.signature() == first) {
            true => first,
            // As in JSON.
            false => {
                for (_, value) in &mut entries {
                    in_variant(value);
                }
                "v".to_owned()
            }
        };
        Ok(Value::Dict { key, value, entries })
    }

    /// An array of elements of one type; of several, one of variants.
    fn alike(&self, mut elements: Vec<Value>) -> Parsed<Value> {
        let Some(first) = elements.first().map(Value::signature) else {
            return Err(self.error("the type of an empty array is not known; write @as []", None));
        };
        if elements.iter().all(|element| element.signature() == first) {
            return Ok(Value::array(&first, elements));
        }
        elements.iter_mut().for_each(in_variant);
        Ok(Value::array("v", elements))
    }

    /// `b'text'`: bytes with a NUL at the end; `\\377` is a byte in octal digits.
    fn bytestring(&mut self, wanted: &str) -> Parsed<Value> {
        self.expect("b", Some(wanted))?;
        let quote = self.rest().bytes().next().filter(|quote| b"'\"".contains(quote));
        let quote = quote.ok_or_else(|| self.error("here should be a quote", Some(wanted)))?;
        self.at += 1;
        let mut bytes = Vec::new();
        let mut rest = self.rest().as_bytes();
        loop {
            match rest {
                [] => return Err(self.error("the quote at its end is missing", Some(wanted))),
                [end, after @ ..] if *end == quote => {
                    self.at = self.text.len() - after.len();
                    bytes.push(0);
                    return Ok(Value::Bytes(bytes));
                }
                [b'\\', b'0'..=b'7', ..] => {
                    let digits =
                        rest.iter().skip(1).take(3).take_while(|c| (b'0'..=b'7').contains(c));
                    let (count, byte) = digits.fold((0, 0u8), |(count, byte), c| {
                        (count + 1, byte.wrapping_mul(8) + (c - b'0'))
                    });
                    bytes.push(byte);
                    rest = rest.get(1 + count..).unwrap_or_default();
                }
                [b'\\', c, after @ ..] => {
                    bytes.push(unescaped_byte(*c));
                    rest = after;
                }
                [c, after @ ..] => {
                    bytes.push(*c);
                    rest = after;
                }
            }
        }
    }

    fn quoted(&mut self) -> Parsed<String> {
        let mut chars = self.rest().char_indices();
        let quote = chars.next().map(|(_, quote)| quote).filter(|quote| "'\"".contains(*quote));
        let quote = quote.ok_or_else(|| self.error("here should be a quote", Some("s")))?;
        let mut text = String::new();
        while let Some((index, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.at += index + c.len_utf8();
                    return Ok(text);
                }
                '\\' => {
                    let escaped = escaped(&mut chars);
                    text.push(escaped.ok_or_else(|| self.error("a wrong escape", Some("s")))?);
                }
                c => text.push(c),
            }
        }
        Err(self.error("the quote at its end is missing", Some("s")))
    }
}

fn in_variant(value: &mut Value) {
    if !matches!(value, Value::Variant(_)) {
        let inner = std::mem::replace(value, Value::Boolean(false));
        *value = Value::Variant(Box::new(inner));
    }
}

/// What stands after a backslash.
fn escaped(chars: &mut CharIndices<'_>) -> Option<char> {
    let (_, c) = chars.next()?;
    Some(match c {
        'u' => return hexadecimal(chars, 4),
        'U' => return hexadecimal(chars, 8),
        c => control(c).unwrap_or(c),
    })
}

/// The control character that a letter after a backslash means.
pub(crate) const fn control(c: char) -> Option<char> {
    Some(match c {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        _ => return None,
    })
}

fn hexadecimal(chars: &mut CharIndices<'_>, count: usize) -> Option<char> {
    let digits: String = chars.by_ref().take(count).map(|(_, digit)| digit).collect();
    (digits.len() == count)
        .then(|| u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32))?
}

const fn unescaped_byte(c: u8) -> u8 {
    match c {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        c => c,
    }
}
