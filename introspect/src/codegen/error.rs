//! Why a description has no Rust.

use std::fmt;

use libbus::names::NameError;
use libbus::wire::SignatureError;

use super::{FIELD_COUNT_MAX, RUST_SIZE_MAX, TYPE_DEPTH_MAX};
use crate::origin::{Origin, Position};
use crate::parse::ParseError;

/// Why there is no Rust for a description, and where.
///
/// ```
/// use bus_introspect::{CodegenFault, CodegenOptions, Interface, Method};
///
/// let method = Method::new("Get").with_output("", "a{ds}");
/// let interface = Interface::new("org.example.Map").with_method(method);
/// let error = interface.to_rust_proxy(&CodegenOptions::new()).unwrap_err();
/// assert_eq!(error.place, "interface org.example.Map, method Get, output 1");
/// assert_eq!(error.fault, CodegenFault::FloatKey);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodegenError {
    /// Where: the names from the outermost element inwards, for example
    /// `interface org.example.Map, method Store, input 1`. Empty where it is not about an element.
    pub place: String,
    /// Where the element begins, if it was read from a document.
    pub position: Option<Position>,
    /// What is wrong there.
    pub fault: CodegenFault,
}

/// Why there is no Rust.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodegenFault {
    /// The XML cannot be read.
    Xml(ParseError),
    /// The name is no interface name.
    InterfaceName(NameError),
    /// The name is no member name. Those of properties may have hyphens, too.
    MemberName(NameError),
    /// Another of the same kind has the same name. A proxy may have several methods of one name if
    /// their arguments' types tell them apart.
    Duplicate,
    /// The type is no signature.
    Signature(SignatureError),
    /// The type is not one complete type but none or several.
    NotOneType,
    /// A structure has more than [`FIELD_COUNT_MAX`] fields. Serde has no such tuples.
    TooManyFields,
    /// Containers are more than [`TYPE_DEPTH_MAX`] deep inside each other, which compilers do not follow.
    TooDeep,
    /// There are more than [`FIELD_COUNT_MAX`] arguments, which travel as one tuple.
    TooManyArguments,
    /// A dictionary has floating-point numbers for keys. They have no hash, and an array of pairs
    /// has another signature.
    FloatKey,
    /// What the options give for a service is no bus name.
    DefaultService(NameError),
    /// What the options give for a path is no object path.
    DefaultPath(NameError),
    /// The text would be longer than [`RUST_SIZE_MAX`].
    TooLarge,
}

impl CodegenError {
    pub(super) fn nowhere(fault: CodegenFault) -> Self {
        Self { place: String::new(), position: None, fault }
    }
}

impl CodegenFault {
    pub(super) fn at(self, place: &[&str], origin: Origin) -> CodegenError {
        CodegenError { place: place.join(", "), position: origin.position(), fault: self }
    }

    /// Whether a description without the member would do.
    const fn is_of_a_member(&self) -> bool {
        matches!(
            self,
            Self::MemberName(_)
                | Self::Duplicate
                | Self::Signature(_)
                | Self::NotOneType
                | Self::TooManyFields
                | Self::TooDeep
                | Self::TooManyArguments
                | Self::FloatKey
        )
    }
}

impl From<ParseError> for CodegenError {
    fn from(error: ParseError) -> Self {
        Self::nowhere(CodegenFault::Xml(error))
    }
}

impl fmt::Display for CodegenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = self.position {
            write!(f, "{position}: ")?;
        }
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        self.fault.fmt(f)?;
        if self.fault.is_of_a_member() {
            f.write_str("; leave the member out with CodegenOptions::without and use it by hand")?;
        }
        Ok(())
    }
}

impl std::error::Error for CodegenError {}

impl fmt::Display for CodegenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Xml(error) => error.fmt(f),
            Self::InterfaceName(error) => write!(f, "the name is not an interface name: {error}"),
            Self::MemberName(error) => write!(f, "the name is not a member name: {error}"),
            Self::Duplicate => f.write_str("there are two of this name"),
            Self::Signature(error) => write!(f, "the type is not a signature: {error}"),
            Self::NotOneType => f.write_str("the type must be one complete type"),
            Self::TooManyFields => {
                write!(
                    f,
                    "a structure has more than {FIELD_COUNT_MAX} fields, too many for a tuple"
                )
            }
            Self::TooDeep => write!(
                f,
                "arrays, dictionaries and structures are more than {TYPE_DEPTH_MAX} deep inside each other"
            ),
            Self::TooManyArguments => {
                write!(f, "there are more than {FIELD_COUNT_MAX} arguments, too many for a tuple")
            }
            Self::FloatKey => {
                f.write_str("a dictionary has keys of type d, which no hash map can hold")
            }
            Self::DefaultService(error) => {
                write!(f, "the default service is not a bus name: {error}")
            }
            Self::DefaultPath(error) => {
                write!(f, "the default path is not an object path: {error}")
            }
            Self::TooLarge => write!(f, "the text would be longer than {RUST_SIZE_MAX} bytes"),
        }
    }
}
