//! Where elements stand in the document that they were read from.
//!
//! What a description says is the same wherever it was written, so that an [`Origin`] never tells two elements
//! apart: it is kept beside what counts, for those who complain.

use std::fmt;

/// A place in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line, from 1.
    pub line: u64,
    /// The column in characters, from 1.
    pub column: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Where an element begins in the document that it was read from, if it was read from one. All are equal.
///
/// ```
/// use bus_introspect::{Interface, Node, Position};
///
/// let node = Node::from_xml("<node>\n  <interface name='org.example.Clock'/></node>").unwrap();
/// let clock = &node.interfaces[0];
/// assert_eq!(clock.origin.position(), Some(Position { line: 2, column: 3 }));
/// assert_eq!(*clock, Interface::new("org.example.Clock"));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin(Option<Position>);

impl Origin {
    pub(crate) const fn at(position: Position) -> Self {
        Self(Some(position))
    }

    /// The place of the element's tag.
    pub const fn position(self) -> Option<Position> {
        self.0
    }
}

impl PartialEq for Origin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Origin {}
