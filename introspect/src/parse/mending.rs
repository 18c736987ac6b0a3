//! What lenient reading mends before the XML reader sees a document.
//!
//! Everything happens at the beginning: blanks before the XML declaration are cut off, and prefixes
//! that no element binds are bound by the outermost one, as GLib reads them, for which they are
//! part of the name. Entities are let through if they do no harm.

use std::collections::HashSet;

use super::faults::{Faults, error_after};
use super::source::{ENTITY, check_size};
use super::{ParseError, ParseErrorKind, XML_SIZE_MAX};

/// Prefixes that are bound for a document that does not.
const PREFIX_COUNT_MAX: usize = 8;

/// The document without blanks before it, or an error if it must not be read.
pub(super) fn begin<'a>(xml: &'a str, faults: &mut Faults<'a>) -> Result<&'a str, ParseError> {
    check_size(xml)?;
    check_entities(xml, faults)?;
    let trimmed = xml.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    let (blanks, _) = xml.split_at(xml.len() - trimmed.len());
    if blanks.contains(char::is_whitespace) && trimmed.starts_with("<?xml") {
        let reason = "the XML declaration is not at the beginning".to_owned();
        faults.add(blanks, ParseErrorKind::NotXml(reason));
    }
    Ok(trimmed)
}

/// Real documents name a few words that they use often. Entities may not hold others, nor stand for
/// files, and all references together may not expand to more than the longest document.
fn check_entities<'a>(xml: &'a str, faults: &mut Faults<'a>) -> Result<(), ParseError> {
    let reference_count = xml.matches('&').count();
    let mut size = 0;
    for (offset, _) in xml.match_indices(ENTITY) {
        let (before, definition) = xml.split_at(offset);
        size += plain_value(definition).map_or(XML_SIZE_MAX + 1, str::len);
        if size.saturating_mul(reference_count.max(1)) > XML_SIZE_MAX {
            return Err(error_after(before, ParseErrorKind::DefinesEntities));
        }
        faults.add(before, ParseErrorKind::DefinesEntities);
    }
    Ok(())
}

/// What an entity stands for, if that is plain text.
fn plain_value(definition: &str) -> Option<&str> {
    let definition = definition.strip_prefix(ENTITY)?.trim_start();
    let (name, rest) = definition.split_once(char::is_whitespace)?;
    let rest = rest.trim_start();
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (value, _) = rest.get(1..)?.split_once(quote)?;
    let is_plain = !name.starts_with('%') && !value.contains(['&', '%']);
    is_plain.then_some(value)
}

/// The document with those prefixes bound that it uses but does not bind, or `None` if there are
/// none. `trimmed` is the end of `xml`.
pub(super) fn bind_prefixes(xml: &str, trimmed: &str, faults: &mut Faults<'_>) -> Option<String> {
    let mut known: HashSet<&str> = trimmed.split("xmlns:").skip(1).map(|it| name(it).0).collect();
    known.insert("xml");
    let known_count_max = known.len() + PREFIX_COUNT_MAX;
    let mut bindings = String::new();
    for (offset, _) in xml.match_indices('<') {
        let (before, tag) = xml.split_at(offset);
        for prefix in prefixes(tag) {
            if known.len() < known_count_max && known.insert(prefix) {
                faults.add(before, ParseErrorKind::UnboundPrefix { prefix: prefix.to_owned() });
                bindings.extend([" xmlns:", prefix, "=\"urn:", prefix, "\""]);
            }
        }
    }
    let (prolog, root) = trimmed.split_at(prolog_size(trimmed)?);
    let (root_name, rest) = name(root.strip_prefix('<')?);
    (!bindings.is_empty()).then(|| format!("{prolog}<{root_name}{bindings}{rest}"))
}

/// The prefixes of the element and the attributes in the tag at the beginning of `text`.
fn prefixes(text: &str) -> impl Iterator<Item = &str> {
    let tag = text.split(['<', '>']).nth(1).unwrap_or_default();
    let words = tag.trim_start_matches('/').split_whitespace().enumerate();
    words.filter_map(|(index, word)| {
        let (prefix, rest) = name(word);
        let (local, rest) = name(rest.strip_prefix(':')?);
        let is_name = index == 0 || rest.starts_with('=');
        (is_name && !prefix.is_empty() && !local.is_empty()).then_some(prefix)
    })
}

/// `text` after the name without a prefix that it begins with.
fn name(text: &str) -> (&str, &str) {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let size = text.find(|c| !is_part(c)).unwrap_or(text.len());
    match text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        true => text.split_at(size),
        false => ("", text),
    }
}

/// How many bytes there are before the outermost element.
fn prolog_size(xml: &str) -> Option<usize> {
    let mut rest = xml;
    loop {
        rest = rest.trim_start();
        let end = match rest {
            _ if rest.starts_with("<?") => "?>",
            _ if rest.starts_with("<!--") => "-->",
            _ if rest.starts_with("<!") && rest.split('>').next()?.contains('[') => "]>",
            _ if rest.starts_with("<!") => ">",
            _ => return Some(xml.len() - rest.len()),
        };
        rest = rest.split_once(end)?.1;
    }
}
