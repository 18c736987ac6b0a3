//! JSON as busctl writes it (tools.md D033): on one line, or over several with tabs and ` : `; numbers with a point
//! have all of their digits.
//!
//! A dictionary is an object if its keys are strings, paths or signatures; a key may be there twice. deviation: with
//! other keys it is an array of pairs `[key, value]`, where busctl 252 fails; it is an object if there are none.

use libbus::message::Message;

use super::colours::{Colours, Look};
use crate::output::escape::is_harmless;
use crate::value::Value;
use crate::value::flat::c_exponent;

/// What JSON has; numbers as they are written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Boolean(bool),
    Number(String),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    pub(super) fn number(number: impl ToString) -> Self {
        Self::Number(number.to_string())
    }

    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn object<const N: usize>(entries: [(&str, Self); N]) -> Self {
        Self::Object(entries.map(|(key, value)| (key.to_owned(), value)).into())
    }

    /// The arguments of a message.
    pub(super) fn body(message: &Message, values: &[Value]) -> Self {
        Self::typed(
            message.signature().as_str(),
            Self::Array(values.iter().map(Self::of).collect()),
        )
    }

    /// What has a type.
    pub(super) fn typed(signature: &str, data: Self) -> Self {
        Self::object([("type", Self::text(signature)), ("data", data)])
    }

    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Byte(number) => Self::number(number),
            Value::Boolean(value) => Self::Boolean(*value),
            Value::Int16(number) => Self::number(number),
            Value::Uint16(number) => Self::number(number),
            Value::Int32(number) => Self::number(number),
            Value::Uint32(number) | Value::UnixFd(number) => Self::number(number),
            Value::Int64(number) => Self::number(number),
            Value::Uint64(number) => Self::number(number),
            Value::Double(number) => double(*number),
            Value::String(text) | Value::ObjectPath(text) | Value::Signature(text) => {
                Self::text(text)
            }
            Value::Bytes(bytes) => Self::Array(bytes.iter().map(Self::number).collect()),
            Value::Array { elements, .. } | Value::Struct(elements) => {
                Self::Array(elements.iter().map(Self::of).collect())
            }
            Value::Variant(value) => Self::typed(&value.signature(), Self::of(value)),
            Value::Dict { key, entries, .. } => dictionary(key, entries),
        }
    }

    /// As one line, or over several. `is_safe`: nothing of it drives a terminal, but for the colours.
    pub(super) fn to_text(&self, is_pretty: bool, is_safe: bool, colours: Colours) -> String {
        let mut writer = Writer { out: String::new(), is_pretty, is_safe, colours, depth: 0 };
        writer.value(self);
        writer.out.push('\n');
        writer.out
    }
}

/// With the digits that tell it from every other number, and more.
fn double(number: f64) -> Json {
    const DIGITS: usize = 21;
    if !number.is_finite() {
        return Json::Null;
    }
    // There is no negative zero.
    let text = format!("{:.DIGITS$e}", number + 0.0);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    Json::Number(format!("{mantissa}{}", c_exponent(exponent.parse().unwrap_or_default())))
}

fn dictionary(key: &str, entries: &[(Value, Value)]) -> Json {
    let pairs = entries.iter().map(|(key, value)| (Json::of(key), Json::of(value)));
    // Where it is empty it does not matter what keys it could have.
    if !matches!(key, "s" | "o" | "g") && !entries.is_empty() {
        return Json::Array(pairs.map(|(key, value)| Json::Array(vec![key, value])).collect());
    }
    let text = |(key, value)| match key {
        Json::Text(key) => Some((key, value)),
        _ => None,
    };
    Json::Object(pairs.filter_map(text).collect())
}

struct Writer {
    out: String,
    is_pretty: bool,
    is_safe: bool,
    colours: Colours,
    depth: usize,
}

impl Writer {
    fn value(&mut self, value: &Json) {
        match value {
            Json::Null => self.word(Look::Highlight, "null"),
            Json::Boolean(true) => self.word(Look::Highlight, "true"),
            Json::Boolean(false) => self.word(Look::Highlight, "false"),
            Json::Number(number) => self.word(Look::BoldBlue, number),
            Json::Text(text) => self.quoted(text),
            Json::Array(elements) => self.list(('[', ']'), elements, Self::value),
            Json::Object(entries) => self.list(('{', '}'), entries, |writer, (key, value)| {
                writer.quoted(key);
                writer.out.push_str(if writer.is_pretty { " : " } else { ":" });
                writer.value(value);
            }),
        }
    }

    fn word(&mut self, look: Look, word: &str) {
        self.out.extend([self.colours.start(look), word, self.colours.end()]);
    }

    fn list<T>(&mut self, (open, close): (char, char), parts: &[T], write: impl Fn(&mut Self, &T)) {
        self.out.push(open);
        self.depth += 1;
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            self.new_line();
            write(self, part);
        }
        self.depth -= 1;
        if !parts.is_empty() {
            self.new_line();
        }
        self.out.push(close);
    }

    fn new_line(&mut self) {
        if self.is_pretty {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n('\t', self.depth));
        }
    }

    fn quoted(&mut self, text: &str) {
        self.out.extend(["\"", self.colours.start(Look::Green)]);
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                c if c < ' ' || (self.is_safe && !is_harmless(c)) => {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        self.out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                c => self.out.push(c),
            }
        }
        self.out.extend([self.colours.end(), "\""]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::colours::Colours;
    use super::Json;
    use crate::value::Value;

    #[test]
    fn numbers_have_all_their_digits() {
        let shown = |number| Json::of(&Value::Double(number)).to_text(false, false, Colours::None);
        assert_eq!(shown(0.1), "1.000000000000000055511e-01\n");
        assert_eq!(shown(-0.0), "0.000000000000000000000e+00\n");
        assert_eq!(shown(1e300), "1.000000000000000052505e+300\n");
        assert_eq!(shown(f64::NAN), "null\n");
    }

    #[test]
    fn what_a_terminal_would_act_upon_is_written_by_its_number() {
        let text = Json::text("\u{1}\u{7f}\u{202e}\u{e0001}é");
        assert_eq!(
            text.to_text(false, false, Colours::None),
            "\"\\u0001\u{7f}\u{202e}\u{e0001}é\"\n"
        );
        assert_eq!(
            text.to_text(false, true, Colours::None),
            "\"\\u0001\\u007f\\u202e\\udb40\\udc01é\"\n"
        );
    }
}
