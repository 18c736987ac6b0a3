//! What can be wrong with a document.

use std::fmt;

use super::{FAULT_COUNT_MAX, XML_DEPTH_MAX, XML_SIZE_MAX};

/// What is wrong with a document, and where.
///
/// Strict reading ends with the first; lenient reading lists those that it got over.
///
/// ```
/// use bus_introspect::Node;
///
/// let error = Node::from_xml("<node>\n  <method/></node>").unwrap_err();
/// assert_eq!((error.line, error.column), (2, 3));
/// assert_eq!(error.to_string(), "line 2, column 3: <method> does not belong inside <node>");
/// ```
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
#[non_exhaustive]
pub enum ParseErrorKind {
    /// It is longer than [`XML_SIZE_MAX`].
    TooLarge,
    /// Elements are more than [`XML_DEPTH_MAX`] deep.
    TooDeep,
    /// It is not well-formed XML, in the words of the XML reader.
    NotXml(String),
    /// It defines an entity. Lenient reading allows those that stand for plain text and do not
    /// blow up the document.
    DefinesEntities,
    /// The outermost element is not `node`. Lenient reading takes an `interface` for the only one
    /// of an unnamed node.
    NoNode {
        /// What it is.
        found: String,
    },
    /// An element is not where it belongs. Lenient reading leaves it out with all it holds.
    Misplaced {
        /// The element.
        element: String,
        /// The element around it.
        parent: &'static str,
    },
    /// An attribute is missing. Lenient reading takes it for an empty one, and a property without
    /// `access` for one that can be read.
    MissingAttribute {
        /// The element.
        element: &'static str,
        /// The attribute.
        attribute: &'static str,
    },
    /// An attribute has a value that it may not have. Lenient reading takes the one that it
    /// resembles, else the default.
    InvalidAttribute {
        /// The element.
        element: &'static str,
        /// The attribute.
        attribute: &'static str,
        /// Its value.
        value: String,
    },
    /// Lenient reading only: an element that the format does not know is left out with all it
    /// holds.
    ForeignElement {
        /// The element, with its prefix.
        element: String,
        /// The element around it.
        parent: &'static str,
    },
    /// Lenient reading only: an attribute that the format does not know is left out.
    ForeignAttribute {
        /// The element.
        element: &'static str,
        /// The attribute, with its prefix.
        attribute: String,
    },
    /// Lenient reading only: text where elements are expected is left out.
    Text,
    /// Lenient reading only: a second one of the same name is kept beside the first.
    Duplicate {
        /// The element.
        element: &'static str,
        /// The name of both.
        name: String,
    },
    /// Lenient reading only: a prefix stands for no namespace.
    UnboundPrefix {
        /// The prefix.
        prefix: String,
    },
    /// Lenient reading only: documentation is cut off because it is too long for an attribute.
    LongDocumentation,
    /// Lenient reading only: faults from here on are not listed, since there are [more than
    /// can be](FAULT_COUNT_MAX).
    MoreFaults,
}

impl ParseErrorKind {
    /// Whether only something was left out that introspection does not define, such as the markup
    /// of another program; all that it does define was understood.
    pub const fn is_foreign(&self) -> bool {
        matches!(self, Self::ForeignElement { .. } | Self::ForeignAttribute { .. })
    }
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
            Self::ForeignElement { element, parent } => {
                write!(f, "<{element}> inside <{parent}> is left out")
            }
            Self::ForeignAttribute { element, attribute } => {
                write!(f, "the attribute {attribute} of <{element}> is left out")
            }
            Self::Text => f.write_str("text between elements is left out"),
            Self::Duplicate { element, name } => {
                write!(f, "there is another <{element}> with the name {name:?} before")
            }
            Self::UnboundPrefix { prefix } => {
                write!(f, "the prefix {prefix} stands for no namespace")
            }
            Self::LongDocumentation => f.write_str("the documentation is cut off: it is too long"),
            Self::MoreFaults => {
                write!(f, "there are more than {FAULT_COUNT_MAX} faults; the others are not listed")
            }
        }
    }
}
