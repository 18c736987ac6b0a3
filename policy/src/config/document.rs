//! A configuration file as XML: elements with their attributes, text and place.
//!
//! Only well-formedness is checked here, not the DTD, which the reference ships out of date
//! (config.md B006); a doctype may be there or not (B001). Bounds: [`DEPTH_MAX`],
//! [`ATTRIBUTE_COUNT_MAX`]; the file's own size bounds the rest.
//!
//! The XML reader loses count of its positions behind a doctype and has none of attributes, so
//! [`Places`] finds them in the text. They only serve messages.

use std::path::Path;
use std::sync::Arc;

use xml::common::{Position, TextPosition};
use xml::name::OwnedName;
use xml::reader::{Error, ErrorKind, EventReader, ParserConfig, XmlEvent};

use super::language::elements_in;
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
    /// Where each attribute stands.
    attribute_places: Vec<(String, Location)>,
    pub(super) children: Vec<Element>,
    /// All text directly in this element.
    text: String,
    /// The first text that is not white space.
    text_location: Option<Location>,
}

/// Reads the text of `file` and returns its root element.
pub(super) fn parse_document(file: &Arc<Path>, text: &[u8]) -> Result<Element, Problem> {
    let mut reader = EventReader::new_with_config(text, parser_config());
    let mut places = Places::new(file, text);
    let mut root = None;
    // The elements that are not closed yet, from the root inwards.
    let mut open: Vec<Element> = Vec::new();
    loop {
        let event = reader.next().map_err(|error| not_well_formed(file, text, &error))?;
        match event {
            XmlEvent::Doctype { syntax } => check_doctype(file, text, &syntax)?,
            XmlEvent::StartElement { name, attributes, namespace } => {
                let location = places.start_tag().unwrap_or_else(|| at(file, reader.position()));
                let attributes = attributes.into_iter().map(|a| (written(&a.name), a.value));
                let mut element = Element::new(written(&name), location, attributes.collect());
                element.attribute_places = places.attributes();
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
                    element.push_text(&text, || places.text());
                }
            }
            XmlEvent::EndElement { .. } => {
                places.end_tag();
                match (open.pop(), open.last_mut()) {
                    (Some(element), Some(parent)) => parent.children.push(element),
                    (element, _) => root = element,
                }
            }
            XmlEvent::EndDocument => {
                let missing = || Fault::NotWellFormed("there is no element".into());
                return root.ok_or_else(|| Problem::fatal(&Location::whole(file), missing()));
            }
            _ => {}
        }
    }
}

/// The XML reader expands entities in attributes, but not those inside of others, and takes no values from
/// declarations of attributes: what a rule denies could be lost by that.
fn check_doctype(file: &Arc<Path>, text: &[u8], doctype: &str) -> Result<(), Problem> {
    let mut rest = doctype;
    while let Some((_, declaration)) =
        rest.find("<!").and_then(|start| rest.split_at_checked(start))
    {
        let size = match markup_size(declaration) {
            _ if declaration.starts_with("<!DOCTYPE") => 2,
            Some(Markup::Other(size)) => size,
            _ => declaration.len(),
        };
        let Some((declared, behind)) = declaration.split_at_checked(size) else { break };
        rest = behind;
        let fault = match () {
            () if declared.starts_with("<!ATTLIST") => Fault::DeclaredAttributes,
            // A parameter entity, or one with another one in it.
            () if declared.starts_with("<!ENTITY") && declared.contains(['%', '&']) => {
                Fault::EntityInEntity
            }
            () => continue,
        };
        let known = std::str::from_utf8(text).ok();
        let before = known.and_then(|text| text.split_once(declared).map(|(before, _)| before));
        let place = before.map_or_else(|| Location::whole(file), |it| after(&start_of(file), it));
        return Err(Problem::fatal(&place, fault));
    }
    Ok(())
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
        Self {
            name,
            location,
            attributes,
            attribute_places: Vec::new(),
            children: Vec::new(),
            text: String::new(),
            text_location: None,
        }
    }

    fn push_text(&mut self, text: &str, place: impl FnOnce() -> Location) {
        if self.text_location.is_none() && !text.trim_start().is_empty() {
            self.text_location = Some(place());
        }
        self.text.push_str(text);
    }

    /// The text of an element such as `<user>` that holds nothing else.
    ///
    /// deviation: white space around the text is not part of it; the reference takes it literally,
    /// where no value can be of use.
    pub(super) fn value(&self) -> Result<&str, Problem> {
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
            Some(child) => Err(child.unexpected(&self.name)),
            None => Ok(()),
        }
    }

    /// A problem for every attribute that is not one of `names` (config.md B003).
    pub(super) fn unexpected_attributes(
        &self,
        names: &[&'static str],
    ) -> impl Iterator<Item = Problem> {
        let unknown = self.attributes.iter().filter(|(name, _)| !names.contains(&name.as_str()));
        unknown.map(|(name, _)| self.unexpected_attribute(name, names))
    }

    /// Where an attribute stands.
    pub(super) fn place_of(&self, attribute: &str) -> &Location {
        let found = self.attribute_places.iter().find(|(name, _)| name == attribute);
        found.map_or(&self.location, |(_, place)| place)
    }

    /// The value of the attribute `name`.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(attribute, _)| attribute == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The problem that this element may not stand in `parent`.
    pub(super) fn unexpected(&self, parent: &str) -> Problem {
        let meant = nearest(&self.name, &elements_in(parent));
        let fault =
            Fault::UnexpectedElement { element: self.name.clone(), parent: parent.into(), meant };
        Problem::fatal(&self.location, fault)
    }

    fn unexpected_attribute(&self, name: &str, permitted: &[&'static str]) -> Problem {
        let meant = nearest(name, permitted);
        let (element, attribute) = (self.name.clone(), name.to_owned());
        let fault = Fault::UnexpectedAttribute { element, attribute, meant };
        Problem::fatal(self.place_of(name), fault)
    }
}

/// Finds the tags, attributes and texts of a well-formed text one after the other.
///
/// It relies on `<` standing only before markup, and knows the kinds of markup that may hold
/// another `<`. An internal DTD subset with apostrophes in its comments would mislead it.
#[derive(Clone)]
struct Places<'a> {
    /// What was not looked at yet. Empty if the text is not UTF-8.
    rest: &'a str,
    /// Where `rest` starts.
    position: Location,
    /// Whether the last start tag is its end tag, too.
    is_closed: bool,
}

impl<'a> Places<'a> {
    fn new(file: &Arc<Path>, text: &'a [u8]) -> Self {
        let rest = std::str::from_utf8(text).unwrap_or("");
        let rest = rest.strip_prefix('\u{feff}').unwrap_or(rest);
        Self { rest, position: start_of(file), is_closed: false }
    }

    /// Goes on into the next start tag. `None` if there is none.
    fn start_tag(&mut self) -> Option<Location> {
        loop {
            self.skip(self.rest.find('<')?)?;
            match markup_size(self.rest)? {
                Markup::StartTag => break,
                Markup::Other(size) => self.skip(size)?,
            }
        }
        let place = self.position.clone();
        self.skip(1)?;
        Some(place)
    }

    /// The attributes of the start tag, and goes on behind it.
    fn attributes(&mut self) -> Vec<(String, Location)> {
        let mut found = Vec::new();
        // The name of the element comes first.
        while self.skip_until(|letter| is_blank(letter) || "/>".contains(letter)).is_some()
            && self.skip_until(|letter| !is_blank(letter)).is_some()
            && !self.rest.starts_with(['/', '>'])
        {
            let place = self.position.clone();
            let name = self.skip_until(|letter| is_blank(letter) || letter == '=');
            found.extend(name.map(|name| (name.to_owned(), place)));
            let _ = self.skip_value();
        }
        self.is_closed = self.rest.starts_with('/');
        let _ = self.skip(if self.is_closed { 2 } else { 1 });
        found
    }

    /// Goes on behind an attribute's `= "value"`.
    fn skip_value(&mut self) -> Option<()> {
        self.skip_until(|letter| "\"'".contains(letter))?;
        let quote = self.rest.chars().next()?;
        self.skip(1)?;
        self.skip_until(|letter| letter == quote)?;
        self.skip(1)
    }

    /// Goes on behind the next end tag, if the element has one of its own.
    fn end_tag(&mut self) {
        if !std::mem::take(&mut self.is_closed) {
            let _ = self.skip_end_tag();
        }
    }

    fn skip_end_tag(&mut self) -> Option<()> {
        loop {
            self.skip(self.rest.find('<')?)?;
            let is_end = self.rest.starts_with("</");
            match markup_size(self.rest)? {
                Markup::Other(size) => self.skip(size)?,
                Markup::StartTag => return None,
            }
            if is_end {
                self.skip_until(|letter| letter == '>')?;
                return self.skip(1);
            }
        }
    }

    /// Where the next text starts that is not white space.
    fn text(&self) -> Location {
        const CDATA: &str = "<![CDATA[";
        let mut ahead = self.clone();
        loop {
            let found = ahead.skip_until(|letter| !is_blank(letter));
            let size = match markup_size(ahead.rest).filter(|_| found.is_some()) {
                _ if ahead.rest.starts_with(CDATA) => CDATA.len(),
                Some(Markup::Other(size)) if ahead.rest.starts_with("<") => size,
                _ => return ahead.position,
            };
            if ahead.skip(size).is_none() {
                return ahead.position;
            }
        }
    }

    /// Goes on to a letter; what is in between.
    fn skip_until(&mut self, is_it: impl Fn(char) -> bool) -> Option<&'a str> {
        let skipped = self.rest.get(..self.rest.find(is_it)?)?;
        self.skip(skipped.len())?;
        Some(skipped)
    }

    fn skip(&mut self, size: usize) -> Option<()> {
        let (skipped, rest) = self.rest.split_at_checked(size)?;
        self.position = after(&self.position, skipped);
        self.rest = rest;
        Some(())
    }
}

/// White space, as XML means it.
const fn is_blank(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\r' | '\n')
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
