//! Arguments in GVariant's text form (tools.md D037): of the type that is wanted, or of the one that they look like;
//! a text without quotes is a text.

use super::{Result, because};
use crate::value::gvariant::{self, TextError};
use crate::value::{Arguments, Value};

/// The values that the words say. `types` are those that are known of the first of them.
///
/// # Errors
/// One does not fit, or a descriptor is not open.
pub(super) fn arguments(words: &[String], types: &[String]) -> Result<Arguments> {
    let mut made = Arguments::default();
    for (index, word) in words.iter().enumerate() {
        let wanted = types.get(index).map(String::as_str);
        let value = value(word, wanted).map_err(|error| {
            let of_type = wanted.map(|wanted| format!(" of type “{wanted}”")).unwrap_or_default();
            let place = word.get(..error.offset).unwrap_or_default().chars().count();
            let caret = " ".repeat(place);
            because(format!(
                "Error parsing parameter {}{of_type}: {}:\n  {word}\n  {caret}^\n",
                index + 1,
                error.what
            ))
        })?;
        let value = with_fds(value, &mut made)?;
        made.values.push(value);
    }
    Ok(made)
}

fn value(word: &str, wanted: Option<&str>) -> std::result::Result<Value, TextError> {
    let parsed = gvariant::parse(word, wanted);
    let is_number = word.trim_start().starts_with(|c: char| c == '-' || c.is_ascii_digit());
    match (parsed, wanted) {
        // What is no text in quotes is one without; so is a number that is none of 32 bits.
        (Ok(Value::Int64(_)), None) if is_number => Ok(Value::String(word.to_owned())),
        (Err(_), None) => Ok(Value::String(word.to_owned())),
        (Err(error), Some("s" | "o" | "g")) => {
            let quoted: String = word
                .chars()
                .flat_map(|c| (c == '\\' || c == '\'').then_some('\\').into_iter().chain([c]))
                .collect();
            gvariant::parse(&format!("'{quoted}'"), wanted).map_err(|_| error)
        }
        (parsed, _) => parsed,
    }
}

/// Numbers of descriptors that are open become places in the table of the message.
fn with_fds(value: Value, made: &mut Arguments) -> Result<Value> {
    Ok(match value {
        Value::UnixFd(number) => {
            let wrong = |why: String| because(format!("Error adding handle {number}: {why}"));
            let opened = i32::try_from(number).map_err(|_| wrong("no descriptor".to_owned()))?;
            let opened = libbus::host::inherited_fd(opened)
                .map_err(|error| wrong(libbus::host::phrase(&error)))?;
            let index = made.fds.len();
            made.fds.push(opened);
            Value::UnixFd(u32::try_from(index).unwrap_or(u32::MAX))
        }
        Value::Variant(inner) => Value::Variant(Box::new(with_fds(*inner, made)?)),
        Value::Struct(fields) => Value::Struct(each(fields, made)?),
        Value::Array { element, elements } => {
            Value::Array { element, elements: each(elements, made)? }
        }
        Value::Dict { key, value, entries } => {
            let entries = entries.into_iter().map(|(entry_key, entry_value)| {
                Ok((with_fds(entry_key, made)?, with_fds(entry_value, made)?))
            });
            let entries = entries.collect::<Result<_>>()?;
            Value::Dict { key, value, entries }
        }
        other => other,
    })
}

fn each(values: Vec<Value>, made: &mut Arguments) -> Result<Vec<Value>> {
    values.into_iter().map(|value| with_fds(value, made)).collect()
}
