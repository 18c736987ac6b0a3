//! A configuration file as XML: elements with their attributes, text and place.
//!
//! Only well-formedness is checked here, not the DTD, which the reference ships out of date
//! (config.md B006); a doctype may be there or not (B001). Bounds: [`DEPTH_MAX`],
//! [`ATTRIBUTE_COUNT_MAX`]; the file's own size bounds the rest.
//!
//! The XML reader loses count of its positions behind a doctype, so [`StartTags`] finds them in
//! the text. They only serve messages.

use std::path::Path;
use std::sync::Arc;

use xml::common::{Position, TextPosition};
use xml::name::OwnedName;
use xml::reader::{Error, ErrorKind, EventReader, ParserConfig, XmlEvent};

use super::nearest::nearest;
use super::{CONFIG_SIZE_MAX, Fault, Location, Problem};

/// Elements inside each other. `<busconfig>`, `<policy>`, `<allow>` need three.
const DEPTH_MAX: usize = 8;
/// More than `<allow>` has different ones.
const ATTRIBUTE_COUNT_MAX: usize = 64;

/// Characters of misplaced text that a message shows.
const SHOWN_TEXT_MAX: usize = 32;

/// One element of a file.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) location: Location,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Element>,
    /// All text directly in this element.
    text: String,
    /// The start tag before the first text that is not white space.
    text_location: Option<Location>,
}

/// Reads the text of `file` and returns its root element.
pub(super) fn parse_document(file: &Arc<Path>, text: &[u8]) -> Result<Element, Problem> {
    let mut reader = EventReader::new_with_config(text, parser_config());
    let mut tags = StartTags::new(file, text);
    let mut root = None;
    // The elements that are not closed yet, from the root inwards.
    let mut open: Vec<Element> = Vec::new();
    loop {
        let event = reader.next().map_err(|error| not_well_formed(file, text, &error))?;
        match event {
            XmlEvent::StartElement { name, attributes, namespace } => {
                let location = tags.advance().unwrap_or_else(|| at(file, reader.position()));
                let attributes = attributes.into_iter().map(|a| (written(&a.name), a.value));
                let element = Element::new(written(&name), location, attributes.collect());
                if !namespace.is_essentially_empty() {
                    return Err(element.unexpected_attribute("xmlns", &[]));
                }
                if open.len() == DEPTH_MAX {
                    return Err(Problem::fatal(&element.location, Fault::NestedTooDeeply));
                }
                open.push(element);
            }
            XmlEvent::Characters(text) => {
                if let Some(element) = open.last_mut() {
                    element.push_text(&text, &tags.location);
                }
            }
            XmlEvent::EndElement { .. } => match (open.pop(), open.last_mut()) {
                (Some(element), Some(parent)) => parent.children.push(element),
                (element, _) => root = element,
            },
            XmlEvent::EndDocument => {
                let missing = || Fault::NotWellFormed("there is no element".into());
                return root.ok_or_else(|| Problem::fatal(&Location::whole(file), missing()));
            }
            _ => {}
        }
    }
}

/// Comments and their surroundings count as one text, CDATA is text like any other.
fn parser_config() -> ParserConfig {
    let mut config = ParserConfig::new().cdata_to_characters(true).whitespace_to_characters(true);
    config.allow_multiple_root_elements = false;
    config.max_attributes = ATTRIBUTE_COUNT_MAX;
    config.max_data_length = CONFIG_SIZE_MAX;
    config
}

/// The name of an element or attribute as it stands in the file.
fn written(name: &OwnedName) -> String {
    match &name.prefix {
        Some(prefix) => format!("{prefix}:{}", name.local_name),
        None => name.local_name.clone(),
    }
}

fn not_well_formed(file: &Arc<Path>, text: &[u8], error: &Error) -> Problem {
    let mut location = at(file, error.position());
    let reason = match error.kind() {
        ErrorKind::Syntax(reason) => reason.replace(char::is_control, " "),
        ErrorKind::Utf8(reason) => {
            // The reader decodes ahead and does not know the place.
            let valid = text.utf8_chunks().next().map_or("", |chunk| chunk.valid());
            location = after(&start_of(file), valid);
            reason.to_string()
        }
        ErrorKind::UnexpectedEof => "it ends too early".into(),
        ErrorKind::Io(reason) => reason.to_string(),
        other => format!("{other:?}"),
    };
    Problem::fatal(&location, Fault::NotWellFormed(reason))
}

fn start_of(file: &Arc<Path>) -> Location {
    Location { file: file.clone(), line: 1, column: 1 }
}

fn at(file: &Arc<Path>, position: TextPosition) -> Location {
    Location { file: file.clone(), line: position.row() + 1, column: position.column() + 1 }
}

impl Element {
    fn new(name: String, location: Location, attributes: Vec<(String, String)>) -> Self {
        let children = Vec::new();
        Self { name, location, attributes, children, text: String::new(), text_location: None }
    }

    fn push_text(&mut self, text: &str, start_tag: &Location) {
        if self.text_location.is_none() && !text.trim_start().is_empty() {
            self.text_location = Some(start_tag.clone());
        }
        self.text.push_str(text);
    }

    /// The text of an element such as `<user>` that holds nothing else.
    ///
    /// deviation: white space around the text is not part of it; the reference takes it literally,
    /// where no value can be of use.
    pub(super) fn value(&self) -> Result<&str, Problem> {
        self.takes_attributes(&[])?;
        self.text_alone()
    }

    /// As [`Self::value`], for an element that has attributes too.
    pub(super) fn text_alone(&self) -> Result<&str, Problem> {
        self.takes_no_children()?;
        match self.text.trim() {
            "" => Err(Problem::fatal(&self.location, Fault::MissingText(self.name.clone()))),
            text => Ok(text),
        }
    }

    /// Checks that there is neither text nor an element inside.
    pub(super) fn is_empty(&self) -> Result<(), Problem> {
        self.takes_no_children()?;
        self.takes_no_text()
    }

    /// Checks that there is no text but white space (config.md B003).
    pub(super) fn takes_no_text(&self) -> Result<(), Problem> {
        match &self.text_location {
            Some(location) => {
                let text = self.text.trim().chars().take_while(|c| *c != '\n');
                let text = text.take(SHOWN_TEXT_MAX).collect();
                let element = self.name.clone();
                Err(Problem::fatal(location, Fault::UnexpectedText { element, text }))
            }
            None => Ok(()),
        }
    }

    fn takes_no_children(&self) -> Result<(), Problem> {
        match self.children.first() {
            Some(child) => Err(child.unexpected(&self.name, &[])),
            None => Ok(()),
        }
    }

    /// Checks that every attribute is one of `names` (config.md B003).
    pub(super) fn takes_attributes(&self, names: &[&'static str]) -> Result<(), Problem> {
        let known = |name: &str| names.contains(&name);
        match self.attributes.iter().find(|(name, _)| !known(name)) {
            Some((name, _)) => Err(self.unexpected_attribute(name, names)),
            None => Ok(()),
        }
    }

    /// The value of the attribute `name`.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(attribute, _)| attribute == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The problem that this element may not stand in `parent`, which takes `permitted`.
    pub(super) fn unexpected(&self, parent: &str, permitted: &[&'static str]) -> Problem {
        let meant = nearest(&self.name, permitted);
        let fault =
            Fault::UnexpectedElement { element: self.name.clone(), parent: parent.into(), meant };
        Problem::fatal(&self.location, fault)
    }

    fn unexpected_attribute(&self, name: &str, permitted: &[&'static str]) -> Problem {
        let meant = nearest(name, permitted);
        let (element, attribute) = (self.name.clone(), name.to_owned());
        Problem::fatal(&self.location, Fault::UnexpectedAttribute { element, attribute, meant })
    }
}

/// Finds the start tags of a well-formed text one after the other.
///
/// It relies on `<` standing only before markup, and knows the kinds of markup that may hold
/// another `<`. An internal DTD subset with apostrophes in its comments would mislead it.
struct StartTags<'a> {
    /// What was not looked at yet. Empty if the text is not UTF-8.
    rest: &'a str,
    /// Where `rest` starts.
    position: Location,
    /// The start tag found last.
    location: Location,
}

impl<'a> StartTags<'a> {
    fn new(file: &Arc<Path>, text: &'a [u8]) -> Self {
        let rest = std::str::from_utf8(text).unwrap_or("");
        let rest = rest.strip_prefix('\u{feff}').unwrap_or(rest);
        Self { rest, position: start_of(file), location: start_of(file) }
    }

    /// Goes on to the next start tag. `None` if there is none.
    fn advance(&mut self) -> Option<Location> {
        loop {
            self.skip(self.rest.find('<')?)?;
            self.location = self.position.clone();
            match markup_size(self.rest)? {
                Markup::StartTag => break,
                Markup::Other(size) => self.skip(size)?,
            }
        }
        self.skip(1)?;
        Some(self.location.clone())
    }

    fn skip(&mut self, size: usize) -> Option<()> {
        let (skipped, rest) = self.rest.split_at_checked(size)?;
        self.position = after(&self.position, skipped);
        self.rest = rest;
        Some(())
    }
}

/// What a `<` begins.
enum Markup {
    StartTag,
    /// Anything else, and how many bytes of it may hold a `<` that means nothing.
    Other(usize),
}

fn markup_size(text: &str) -> Option<Markup> {
    let until = |end: &str| Some(Markup::Other(text.find(end)? + end.len()));
    if text.starts_with("<!--") {
        until("-->")
    } else if text.starts_with("<![CDATA[") {
        until("]]>")
    } else if text.starts_with("<?") {
        until("?>")
    } else if text.starts_with("<!") {
        Some(Markup::Other(doctype_size(text)?))
    } else if text.starts_with("</") {
        Some(Markup::Other(2))
    } else {
        Some(Markup::StartTag)
    }
}

/// The size of a doctype with all that stands in its brackets and quotes.
fn doctype_size(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quote = None;
    for (index, letter) in text.char_indices() {
        match (letter, quote) {
            (_, Some(open)) => quote = Some(open).filter(|open| *open != letter),
            ('"' | '\'', None) => quote = Some(letter),
            ('<', None) => depth += 1,
            ('>', None) if depth <= 1 => return Some(index + 1),
            ('>', None) => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The place after `text`, which starts at `start`.
fn after(start: &Location, text: &str) -> Location {
    let line = start.line + text.matches('\n').count() as u64;
    let column = match text.rsplit_once('\n') {
        Some((_, rest)) => 1 + rest.chars().count() as u64,
        None => start.column + text.chars().count() as u64,
    };
    Location { file: start.file.clone(), line, column }
}
