//! The faults that lenient reading got over, each with its place in the document.
//!
//! Faults come in the order of the document, more or less, and lines are counted from one to the
//! next, so that a document full of faults is still read in one go. At most [`FAULT_COUNT_MAX`].

use super::{FAULT_COUNT_MAX, ParseError, ParseErrorKind};
use crate::origin::Position;

#[derive(Clone)]
pub(super) struct Faults<'a> {
    xml: &'a str,
    list: Vec<ParseError>,
    places: Places<'a>,
}

/// Finds lines and columns one after the other, each from the one before.
#[derive(Clone)]
pub(super) struct Places<'a> {
    xml: &'a str,
    last: Place,
}

impl<'a> Places<'a> {
    pub(super) fn new(xml: &'a str) -> Self {
        Self { xml, last: BEGINNING }
    }

    /// That of what follows the text `before`.
    pub(super) fn find(&mut self, before: &str) -> Position {
        let start = if before.len() < self.last.offset { BEGINNING } else { self.last };
        self.last = start.after(self.xml.get(start.offset..before.len()).unwrap_or_default());
        let Place { line, column, .. } = self.last;
        Position { line, column }
    }
}

/// A place in the document.
#[derive(Clone, Copy)]
struct Place {
    /// Bytes before it.
    offset: usize,
    line: u64,
    column: u64,
}

const BEGINNING: Place = Place { offset: 0, line: 1, column: 1 };

impl<'a> Faults<'a> {
    pub(super) fn new(xml: &'a str) -> Self {
        Self { xml, list: Vec::new(), places: Places::new(xml) }
    }

    /// Lists a fault in what follows the text `before`.
    pub(super) fn add(&mut self, before: &str, kind: ParseErrorKind) {
        let kind = match self.list.len() {
            FAULT_COUNT_MAX => ParseErrorKind::MoreFaults,
            count if count > FAULT_COUNT_MAX => return,
            _ => kind,
        };
        let Position { line, column } = self.places.find(before);
        self.list.push(ParseError { line, column, kind });
    }

    /// Lists a fault in what follows the text `before` and blanks.
    pub(super) fn add_after_blanks(&mut self, before: &str, kind: ParseErrorKind) {
        let rest = self.xml.get(before.len()..).unwrap_or_default();
        let text_offset = self.xml.len() - rest.trim_start().len();
        let xml = self.xml;
        self.add(xml.get(..text_offset).unwrap_or(before), kind);
    }

    /// All of them, in the order of the document.
    pub(super) fn into_list(mut self) -> Vec<ParseError> {
        self.list.sort_by_key(|fault| (fault.line, fault.column));
        self.list
    }
}

impl Place {
    /// The place that `text` leads to from here.
    fn after(self, text: &str) -> Self {
        let offset = self.offset + text.len();
        match text.rsplit_once('\n') {
            None => Self { offset, column: self.column + text.chars().count() as u64, ..self },
            Some((lines, last_line)) => Self {
                offset,
                line: self.line + lines.matches('\n').count() as u64 + 1,
                column: last_line.chars().count() as u64 + 1,
            },
        }
    }
}

/// An error in what follows the text `before`.
pub(super) fn error_after(before: &str, kind: ParseErrorKind) -> ParseError {
    let Place { line, column, .. } = BEGINNING.after(before);
    ParseError { line, column, kind }
}
