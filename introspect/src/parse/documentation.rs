//! Documentation, as it is written by hand: as elements, comments or annotations.
//!
//! In the model all of it is the annotation [`DOC_STRING`], which every reader of introspection can
//! pass on, so that it needs no place of its own and is written as it was read.

use std::collections::HashMap;
use std::iter::Peekable;

use xml::reader::XmlEvent;

use super::source::Source;
use super::{ATTRIBUTE_SIZE_MAX, prose};
use crate::model::annotation::DOC_STRING;
use crate::model::{Annotation, Arg};

/// Whether an element holds documentation: Telepathy's `tp:docstring`, `doc:doc`, or KDE's `dox:d`.
pub(super) fn is_documentation(element: &str) -> bool {
    let local_name = element.rsplit_once(':').map_or(element, |(_, local_name)| local_name);
    matches!(local_name, "docstring" | "doc") || element == "dox:d"
}

/// Adds a text to the documentation among `annotations`. Tells whether all of it had room.
pub(super) fn add(annotations: &mut Vec<Annotation>, text: &str) -> bool {
    if text.is_empty() {
        return true;
    }
    let Some(present) = annotations.iter_mut().find(|found| found.name == DOC_STRING) else {
        annotations.push(Annotation::new(DOC_STRING, shortened(text)));
        return text.len() <= ATTRIBUTE_SIZE_MAX;
    };
    let separator = if present.value.is_empty() { "" } else { "\n\n" };
    let all = [present.value.as_str(), separator, text].concat();
    present.value = shortened(&all).to_owned();
    all.len() <= ATTRIBUTE_SIZE_MAX
}

/// As much of a text as can be read again when it is written into an attribute.
fn shortened(text: &str) -> &str {
    let is_end = |size: &usize| text.is_char_boundary(*size);
    let size = (0..=ATTRIBUTE_SIZE_MAX.min(text.len())).rev().find(is_end).unwrap_or_default();
    text.get(..size).unwrap_or_default()
}

/// A comment in the manner of gtk-doc: a name and a colon, then `@argument: what it is`, then text.
pub(super) struct Comment {
    arguments: Vec<(String, String)>,
    body: String,
}

impl Comment {
    /// The comment if it is about what has this `name`.
    pub(super) fn parse(comment: &str, name: &str) -> Option<Self> {
        let comment = comment.trim();
        let (title, rest) = comment.split_once('\n').unwrap_or((comment, ""));
        let first = title.strip_prefix(name)?.strip_prefix(':')?;
        if !first.is_empty() && !first.starts_with(char::is_whitespace) {
            return None;
        }
        let mut lines = rest.lines().peekable();
        let arguments = std::iter::from_fn(|| next_argument(&mut lines)).collect();
        let rest: Vec<&str> = lines.collect();
        let body = [first.trim(), &without_indent(&rest)].join("\n\n").trim().to_owned();
        Some(Self { arguments, body })
    }

    /// Puts what is said about arguments to them.
    pub(super) fn give_away(&mut self, arguments: &mut [&mut Arg]) {
        let mut indexes = HashMap::new();
        for (index, argument) in arguments.iter().enumerate() {
            if let Some(name) = &argument.name {
                indexes.entry(name.clone()).or_insert(index);
            }
        }
        self.arguments.retain(|(name, text)| {
            let text = &without_markup(text.clone());
            let argument = indexes.get(name).and_then(|index| arguments.get_mut(*index));
            !argument.is_some_and(|it| has_room(it, text) && add(&mut it.annotations, text))
        });
    }

    /// All that is left.
    pub(super) fn into_text(self) -> String {
        let arguments = self.arguments.iter().map(|(name, text)| match name.as_str() {
            // gtk-doc's word for what an interface is.
            "short_description" => text.clone(),
            _ => format!("{name}: {text}"),
        });
        let paragraphs: Vec<String> = arguments.chain([self.body]).collect();
        without_markup(paragraphs.join("\n\n").trim().to_owned())
    }
}

/// What the comment says about the next argument: its name and a text of one line or more.
fn next_argument<'a>(
    lines: &mut Peekable<impl Iterator<Item = &'a str>>,
) -> Option<(String, String)> {
    let is_argument = |line: &&str| line.trim_start().starts_with('@') && line.contains(':');
    let is_more = |line: &&str| !matches!(line.trim().chars().next(), None | Some('@'));
    let (name, first) = lines.next_if(is_argument)?.split_once(':')?;
    let mut text = vec![first.trim()];
    text.extend(std::iter::from_fn(|| lines.next_if(is_more)).map(str::trim));
    let name = name.trim_start().trim_start_matches('@');
    Some((name.to_owned(), text.join("\n").trim().to_owned()))
}

/// The text of a comment that has DocBook's elements in it. What only looks like markup stays.
fn without_markup(text: String) -> String {
    if !text.contains("</") {
        return text;
    }
    let document = format!("<doc>{text}</doc>");
    let mut source = Source::lenient(&document, &document);
    let is_begun = |event: Result<_, _>| matches!(event, Ok(XmlEvent::StartElement { .. }));
    // The beginning of the document, and that of its element.
    let is_xml = source.next_event().is_ok() && is_begun(source.next_event());
    let prose = if is_xml { prose::read(&mut source).ok() } else { None };
    prose.unwrap_or(text)
}

fn has_room(argument: &Arg, text: &str) -> bool {
    let used = argument.documentation().map_or(0, |present| present.len() + 2);
    used + text.len() <= ATTRIBUTE_SIZE_MAX
}

/// `lines` as one text, without the blanks that all of them begin with, or any end with.
pub(super) fn without_indent(lines: &[&str]) -> String {
    let indent_of = |line: &&str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let filled = lines.iter().filter(|line| !line.trim().is_empty());
    let indent = filled.map(indent_of).min().unwrap_or(0);
    let lines: Vec<&str> =
        lines.iter().map(|line| line.get(indent..).unwrap_or_default().trim_end()).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}
