//! Arguments in GVariant's text form (tools.md D037): of the type that is wanted, or of the one that they look like;
//! what is no value is a text without its quotes.

use super::text::{self, Fault};
use super::{Result, because};
use crate::value::{Arguments, Value};

/// The values that the words say. `types` are those that are known of the first of them.
///
/// # Errors
/// One does not fit, or a descriptor is not open.
pub(super) fn arguments(words: &[String], types: &[String]) -> Result<Arguments> {
    let mut made = Arguments::default();
    for (index, word) in words.iter().enumerate() {
        let wanted = types.get(index).map(String::as_str);
        let value = value(word, wanted).map_err(|fault| {
            let (offset, what) = match fault {
                Fault::Wrong { offset, what } => (offset, what),
                Fault::Unsendable(why) => return because(format!("Error: {why}")),
            };
            let of_type = wanted.map(|wanted| format!(" of type “{wanted}”")).unwrap_or_default();
            let place = word.get(..offset).unwrap_or_default().chars().count();
            let caret = " ".repeat(place);
            let index = index + 1;
            because(format!(
                "Error parsing parameter {index}{of_type}: {what}:\n  {word}\n  {caret}^\n"
            ))
        })?;
        let value = with_fds(value, &mut made)?;
        made.values.push(value);
    }
    Ok(made)
}

fn value(word: &str, wanted: Option<&str>) -> std::result::Result<Value, Fault> {
    text::parse(word, wanted).or_else(|fault| match fault {
        Fault::Wrong { .. } => {
            let quoted = format!("\"{}\"", word.replace('"', "\\\""));
            text::parse(&quoted, wanted).map_err(|_| fault)
        }
        fault @ Fault::Unsendable(_) => Err(fault),
    })
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
