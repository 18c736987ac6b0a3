//! The document as a row of events, each with its place.
//!
//! What the XML reader gets may differ from the document at its beginning (`mending.rs`). What
//! follows is the same bytes, so that places are found by what is still unread and are right for
//! the document as it came.

use xml::common::Position;
use xml::reader::{ErrorKind, ParserConfig, XmlEvent};
use xml::{Encoding, EventReader};

use super::faults::error_after;
use super::{
    ATTRIBUTE_COUNT_MAX, ATTRIBUTE_SIZE_MAX, NAME_SIZE_MAX, ParseError, ParseErrorKind,
    XML_DEPTH_MAX, XML_SIZE_MAX,
};

/// How the definition of an entity begins.
pub(super) const ENTITY: &str = "<!ENTITY";

pub(super) struct Source<'a> {
    /// The document as it came.
    xml: &'a str,
    events: EventReader<&'a [u8]>,
    /// Whether the XML reader counts other lines and columns than the document has.
    is_mended: bool,
    /// Elements that began and did not end, at most [`XML_DEPTH_MAX`].
    depth: usize,
}

impl<'a> Source<'a> {
    /// A document that is read as it is.
    pub(super) fn strict(xml: &'a str) -> Result<Self, ParseError> {
        check_size(xml)?;
        // Anywhere, since the XML reader expands some entities while it reads their definitions.
        if let Some((before, _)) = xml.split_once(ENTITY) {
            return Err(error_after(before, ParseErrorKind::DefinesEntities));
        }
        let events = EventReader::new_with_config(xml.as_bytes(), config());
        Ok(Self { xml, events, is_mended: false, depth: 0 })
    }

    /// The document `xml`, of which `mended` is read.
    pub(super) fn lenient(xml: &'a str, mended: &'a str) -> Self {
        let config = config().ignore_comments(false);
        let events = EventReader::new_with_config(mended.as_bytes(), config);
        Self { xml, events, is_mended: mended.len() != xml.len(), depth: 0 }
    }

    pub(super) fn next_event(&mut self) -> Result<XmlEvent, ParseError> {
        let event = self.events.next().map_err(|cause| self.not_xml(&cause))?;
        match event {
            XmlEvent::StartElement { .. } if self.depth >= XML_DEPTH_MAX => {
                return Err(error_after(self.before_tag(), ParseErrorKind::TooDeep));
            }
            XmlEvent::StartElement { .. } => self.depth += 1,
            XmlEvent::EndElement { .. } => self.depth = self.depth.saturating_sub(1),
            XmlEvent::EndDocument => self.depth = 0,
            _ => {}
        }
        Ok(event)
    }

    /// Skips to the end of the element that began last.
    pub(super) fn skip_element(&mut self) -> Result<(), ParseError> {
        let outer_depth = self.depth.saturating_sub(1);
        while self.depth > outer_depth {
            self.next_event()?;
        }
        Ok(())
    }

    /// The document as far as it has been read.
    pub(super) fn read(&self) -> &'a str {
        let read_size = self.xml.len().checked_sub(self.events.source().len());
        read_size.and_then(|size| self.xml.get(..size)).unwrap_or_default()
    }

    /// The document up to the last `<` that was read. In a tag that is where it begins, since
    /// values cannot hold one.
    pub(super) fn before_tag(&self) -> &'a str {
        let read = self.read();
        read.rsplit_once('<').map_or(read, |(before, _)| before)
    }

    /// An error where reading has come to.
    pub(super) fn error(&self, kind: ParseErrorKind) -> ParseError {
        error_after(self.read(), kind)
    }

    fn not_xml(&self, cause: &xml::reader::Error) -> ParseError {
        let position = cause.position();
        let reason = match cause.kind() {
            ErrorKind::Syntax(reason) => reason.to_string(),
            _ => "the document ends too early".to_owned(),
        };
        let kind = ParseErrorKind::NotXml(reason);
        if self.is_mended {
            return self.error(kind);
        }
        // The XML reader counts from 0.
        ParseError { line: position.row() + 1, column: position.column() + 1, kind }
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

pub(super) fn check_size(xml: &str) -> Result<(), ParseError> {
    match xml.len() > XML_SIZE_MAX {
        true => Err(error_after("", ParseErrorKind::TooLarge)),
        false => Ok(()),
    }
}
