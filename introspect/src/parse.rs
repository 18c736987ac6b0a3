//! XML into the model (protocol.md A212–A214).
//!
//! The document must be well-formed XML. Elements that the format does not know are left out with
//! all they hold, as GLib does, since other formats are mixed in for documentation; elements that
//! it knows must stand where they belong, with the attributes they need. Every complaint has a line
//! and a column.
//!
//! Bounds: [`XML_SIZE_MAX`] bytes, elements [`XML_DEPTH_MAX`] deep (and the reader recurses no
//! deeper), entities that expand to little.

use std::fmt;

use xml::attribute::OwnedAttribute;
use xml::common::Position;
use xml::reader::{ErrorKind, ParserConfig, XmlEvent};
use xml::{Encoding, EventReader};

use crate::model::{Access, Annotation, Arg, Interface, Method, Node, Property, Signal};

/// Longest document, in bytes.
pub const XML_SIZE_MAX: usize = 4 << 20;

/// Elements inside one another.
pub const XML_DEPTH_MAX: usize = 64;

/// Attributes of one element.
const ATTRIBUTE_COUNT_MAX: usize = 32;

/// Longest attribute value, in bytes.
const ATTRIBUTE_SIZE_MAX: usize = 64 << 10;

/// Longest name of an element or an attribute, in bytes.
const NAME_SIZE_MAX: usize = 1024;

/// What is wrong with a document, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The line, from 1.
    pub line: u64,
    /// The column in characters, from 1.
    pub column: u64,
    /// What is wrong.
    pub kind: ParseErrorKind,
}

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParseErrorKind {
    /// It is longer than [`XML_SIZE_MAX`].
    TooLarge,
    /// Elements are more than [`XML_DEPTH_MAX`] deep.
    TooDeep,
    /// It is not well-formed XML, in the words of the XML reader.
    NotXml(String),
    /// It defines entities.
    DefinesEntities,
    /// The outermost element is not `node`.
    NoNode {
        /// What it is.
        found: String,
    },
    /// An element is not where it belongs.
    Misplaced {
        /// The element.
        element: String,
        /// The element around it.
        parent: &'static str,
    },
    /// An attribute is missing.
    MissingAttribute {
        /// The element.
        element: &'static str,
        /// The attribute.
        attribute: &'static str,
    },
    /// An attribute has a value that it may not have.
    InvalidAttribute {
        /// The element.
        element: &'static str,
        /// The attribute.
        attribute: &'static str,
        /// Its value.
        value: String,
    },
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.kind)
    }
}

impl std::error::Error for ParseError {}

impl fmt::Display for ParseErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "the document is longer than {XML_SIZE_MAX} bytes"),
            Self::TooDeep => write!(f, "elements are more than {XML_DEPTH_MAX} deep"),
            Self::NotXml(reason) => write!(f, "not well-formed XML: {reason}"),
            Self::DefinesEntities => f.write_str("the document defines entities"),
            Self::NoNode { found } => write!(f, "the outermost element is <{found}>, not <node>"),
            Self::Misplaced { element, parent } => {
                write!(f, "<{element}> does not belong inside <{parent}>")
            }
            Self::MissingAttribute { element, attribute } => {
                write!(f, "<{element}> lacks the attribute {attribute}")
            }
            Self::InvalidAttribute { element, attribute, value } => {
                write!(f, "<{element}> has the attribute {attribute}={value:?}, which is not valid")
            }
        }
    }
}

impl Node {
    /// Reads an answer to Introspect.
    pub fn from_xml(xml: &str) -> Result<Self, ParseError> {
        if xml.len() > XML_SIZE_MAX {
            return Err(error_after("", ParseErrorKind::TooLarge));
        }
        // Anywhere, since the XML reader expands some entities while it reads their definitions.
        if let Some((before, _)) = xml.split_once("<!ENTITY") {
            return Err(error_after(before, ParseErrorKind::DefinesEntities));
        }
        let events = EventReader::new_with_config(xml.as_bytes(), config());
        Reader { xml, events, depth: 0 }.document()
    }
}

fn config() -> ParserConfig {
    let mut config = ParserConfig::new();
    config.allow_multiple_root_elements = false;
    // The text is UTF-8 whatever its XML declaration says: it came in a D-Bus string.
    config.override_encoding = Some(Encoding::Utf8);
    config.ignore_invalid_encoding_declarations = true;
    config.max_attributes = ATTRIBUTE_COUNT_MAX;
    // The XML reader compares before it adds a byte.
    config.max_attribute_length = ATTRIBUTE_SIZE_MAX - 1;
    config.max_name_length = NAME_SIZE_MAX - 1;
    config.max_data_length = XML_SIZE_MAX;
    config
}

struct Reader<'a> {
    xml: &'a str,
    events: EventReader<&'a [u8]>,
    /// Elements that began and did not end, at most [`XML_DEPTH_MAX`].
    depth: usize,
}

/// The beginning of an element.
struct Element<'a> {
    name: String,
    attributes: Vec<OwnedAttribute>,
    /// The document up to the element's tag.
    before: &'a str,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Node, ParseError> {
        let Some(root) = self.next_element()? else {
            return Err(error_after(self.xml, ParseErrorKind::NoNode { found: String::new() }));
        };
        if root.name != "node" {
            return Err(root.error(ParseErrorKind::NoNode { found: root.name.clone() }));
        }
        let node = self.node(root.optional("name"))?;
        match self.next_element()? {
            None => Ok(node),
            Some(second) => Err(second.misplaced("node")),
        }
    }

    fn node(&mut self, name: Option<String>) -> Result<Node, ParseError> {
        let mut node = Node { name, ..Node::default() };
        while let Some(element) = self.next_element()? {
            match element.name.as_str() {
                "interface" => node.interfaces.push(self.interface(&element)?),
                // protocol.md A214: only the outermost node may be unnamed.
                "node" => node.children.push(self.node(Some(element.required("node", "name")?))?),
                _ => self.leave_out(&element, "node")?,
            }
        }
        Ok(node)
    }

    fn interface(&mut self, element: &Element<'_>) -> Result<Interface, ParseError> {
        let mut interface = Interface::new(&element.required("interface", "name")?);
        while let Some(element) = self.next_element()? {
            match element.name.as_str() {
                "method" => interface.methods.push(self.method(&element)?),
                "signal" => interface.signals.push(self.signal(&element)?),
                "property" => interface.properties.push(self.property(&element)?),
                "annotation" => interface.annotations.push(self.annotation(&element)?),
                _ => self.leave_out(&element, "interface")?,
            }
        }
        Ok(interface)
    }

    fn method(&mut self, element: &Element<'_>) -> Result<Method, ParseError> {
        let mut method = Method::new(&element.required("method", "name")?);
        while let Some(element) = self.next_element()? {
            match element.name.as_str() {
                "arg" => match element.direction("in")? {
                    Direction::In => method.inputs.push(self.argument(&element)?),
                    Direction::Out => method.outputs.push(self.argument(&element)?),
                },
                "annotation" => method.annotations.push(self.annotation(&element)?),
                _ => self.leave_out(&element, "method")?,
            }
        }
        Ok(method)
    }

    fn signal(&mut self, element: &Element<'_>) -> Result<Signal, ParseError> {
        let mut signal = Signal::new(&element.required("signal", "name")?);
        while let Some(element) = self.next_element()? {
            match element.name.as_str() {
                "arg" => match element.direction("out")? {
                    Direction::Out => signal.arguments.push(self.argument(&element)?),
                    Direction::In => return Err(element.invalid("arg", "direction", "in")),
                },
                "annotation" => signal.annotations.push(self.annotation(&element)?),
                _ => self.leave_out(&element, "signal")?,
            }
        }
        Ok(signal)
    }

    fn property(&mut self, element: &Element<'_>) -> Result<Property, ParseError> {
        let name = element.required("property", "name")?;
        let signature = element.required("property", "type")?;
        let access = element.required("property", "access")?;
        let access = Access::ALL
            .into_iter()
            .find(|known| known.as_str() == access)
            .ok_or_else(|| element.invalid("property", "access", &access))?;
        let annotations = self.annotations("property")?;
        Ok(Property { name, signature, access, annotations })
    }

    fn argument(&mut self, element: &Element<'_>) -> Result<Arg, ParseError> {
        let signature = element.required("arg", "type")?;
        let name = element.optional("name").filter(|name| !name.is_empty());
        Ok(Arg { name, signature, annotations: self.annotations("arg")? })
    }

    fn annotations(&mut self, parent: &'static str) -> Result<Vec<Annotation>, ParseError> {
        let mut annotations = Vec::new();
        while let Some(element) = self.next_element()? {
            match element.name.as_str() {
                "annotation" => annotations.push(self.annotation(&element)?),
                _ => self.leave_out(&element, parent)?,
            }
        }
        Ok(annotations)
    }

    fn annotation(&mut self, element: &Element<'_>) -> Result<Annotation, ParseError> {
        let name = element.required("annotation", "name")?;
        let value = element.required("annotation", "value")?;
        while let Some(element) = self.next_element()? {
            self.leave_out(&element, "annotation")?;
        }
        Ok(Annotation { name, value })
    }

    /// Skips an element that the format does not know; one that it knows is out of place.
    fn leave_out(&mut self, element: &Element<'_>, parent: &'static str) -> Result<(), ParseError> {
        const KNOWN: [&str; 7] =
            ["node", "interface", "method", "signal", "property", "arg", "annotation"];
        if KNOWN.contains(&element.name.as_str()) {
            return Err(element.misplaced(parent));
        }
        let outer_depth = self.depth - 1;
        while self.depth > outer_depth {
            self.next_element()?;
        }
        Ok(())
    }

    /// The next element inside the one that began last, or `None` at its end. Text, comments and
    /// instructions between elements mean nothing.
    fn next_element(&mut self) -> Result<Option<Element<'a>>, ParseError> {
        loop {
            match self.events.next().map_err(|cause| not_xml(&cause))? {
                XmlEvent::StartElement { name, attributes, .. } => {
                    let name = name.borrow().to_repr();
                    let element = Element { name, attributes, before: self.before_tag() };
                    return self.enter(element).map(Some);
                }
                XmlEvent::EndElement { .. } => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(None);
                }
                XmlEvent::EndDocument => {
                    self.depth = 0;
                    return Ok(None);
                }
                _ => {}
            }
        }
    }

    /// The document up to the last `<` that was read. In a tag that is where it begins, since
    /// values cannot hold one.
    fn before_tag(&self) -> &'a str {
        let unread_size = self.events.source().len();
        let read = self.xml.get(..self.xml.len() - unread_size).unwrap_or(self.xml);
        read.rsplit_once('<').map_or(read, |(before, _)| before)
    }

    fn enter(&mut self, element: Element<'a>) -> Result<Element<'a>, ParseError> {
        if self.depth >= XML_DEPTH_MAX {
            return Err(element.error(ParseErrorKind::TooDeep));
        }
        self.depth += 1;
        Ok(element)
    }
}

enum Direction {
    In,
    Out,
}

impl Element<'_> {
    fn required(
        &self,
        element: &'static str,
        attribute: &'static str,
    ) -> Result<String, ParseError> {
        let missing = ParseErrorKind::MissingAttribute { element, attribute };
        self.optional(attribute).ok_or_else(|| self.error(missing))
    }

    fn optional(&self, attribute: &str) -> Option<String> {
        let is_it = |found: &&OwnedAttribute| {
            found.name.prefix.is_none() && found.name.local_name == attribute
        };
        self.attributes.iter().find(is_it).map(|found| found.value.clone())
    }

    // protocol.md A214
    fn direction(&self, default: &str) -> Result<Direction, ParseError> {
        match self.optional("direction").as_deref().unwrap_or(default) {
            "in" => Ok(Direction::In),
            "out" => Ok(Direction::Out),
            other => Err(self.invalid("arg", "direction", other)),
        }
    }

    fn misplaced(&self, parent: &'static str) -> ParseError {
        self.error(ParseErrorKind::Misplaced { element: self.name.clone(), parent })
    }

    fn invalid(&self, element: &'static str, attribute: &'static str, value: &str) -> ParseError {
        let value = value.to_owned();
        self.error(ParseErrorKind::InvalidAttribute { element, attribute, value })
    }

    fn error(&self, kind: ParseErrorKind) -> ParseError {
        error_after(self.before, kind)
    }
}

fn not_xml(cause: &xml::reader::Error) -> ParseError {
    let position = cause.position();
    let reason = match cause.kind() {
        ErrorKind::Syntax(reason) => reason.to_string(),
        _ => "the document ends too early".to_owned(),
    };
    let kind = ParseErrorKind::NotXml(reason);
    // The XML reader counts from 0.
    ParseError { line: position.row() + 1, column: position.column() + 1, kind }
}

/// An error in what follows the text `before`.
fn error_after(before: &str, kind: ParseErrorKind) -> ParseError {
    let line = before.matches('\n').count() as u64 + 1;
    let last_line = before.rsplit('\n').next().unwrap_or_default();
    ParseError { line, column: last_line.chars().count() as u64 + 1, kind }
}

#[cfg(test)]
mod tests;
