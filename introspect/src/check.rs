//! The rules that a description must keep: names, signatures, annotations (protocol.md A001–A027,
//! A213, A214).
//!
//! A checker reports all that it finds and where, since who wrote the description wants to mend it
//! in one go: names and, of what was read from a document, line and column. Nothing here stops a faulty description from being shown.

use std::collections::HashSet;
use std::fmt;

use libbus::names::{InterfaceName, MemberName, NameError, ObjectPath};
use libbus::wire::{Signature, SignatureError};

use crate::model::{
    Annotation, Arg, EmitsChangedSignal, Interface, Method, Node, Property, Signal, annotation,
};
use crate::origin::{Origin, Position};

/// One broken rule.
///
/// ```
/// use bus_introspect::{Fault, Interface, Method, Node};
///
/// let method = Method::new("Get").with_input("key", "ss");
/// let node = Node::new().with_interface(Interface::new("org.example.Map").with_method(method));
/// let problems = node.check();
/// assert_eq!(problems[0].place, "interface org.example.Map, method Get, input 1");
/// assert_eq!(problems[0].fault, Fault::NotOneType);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: the names from the outermost element inwards, for example
    /// `interface org.example.Map, method Store, input 1`. Empty for the outermost node.
    pub place: String,
    /// Where the element begins, if it was read from a document.
    pub position: Option<Position>,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The outermost node's name is no object path.
    Path(NameError),
    /// A child's name is no relative object path.
    RelativePath(NameError),
    /// The name is no interface name.
    InterfaceName(NameError),
    /// The name is no member name. Properties are held to it too: others are legal, but break
    /// bindings.
    MemberName(NameError),
    /// The type is no signature.
    Signature(SignatureError),
    /// The type is not one complete type but none or several.
    NotOneType,
    /// All arguments together are no signature: there are too many.
    ArgumentsTogether(SignatureError),
    /// Another of the same kind has the same name.
    Duplicate,
    /// A standard annotation has a value that it may not have (protocol.md A213).
    AnnotationValue,
    /// A method without a reply has output arguments.
    OutputWithoutReply,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = self.position {
            write!(f, "{position}: ")?;
        }
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        self.fault.fmt(f)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(error) => write!(f, "the name is not an object path: {error}"),
            Self::RelativePath(error) => {
                write!(f, "the name is not a relative object path: {error}")
            }
            Self::InterfaceName(error) => write!(f, "the name is not an interface name: {error}"),
            Self::MemberName(error) => write!(f, "the name is not a member name: {error}"),
            Self::Signature(error) => write!(f, "the type is not a signature: {error}"),
            Self::NotOneType => f.write_str("the type must be one complete type"),
            Self::ArgumentsTogether(error) => {
                write!(f, "the arguments together are not a signature: {error}")
            }
            Self::Duplicate => f.write_str("there are two of this name"),
            Self::AnnotationValue => f.write_str("the value is none of those defined"),
            Self::OutputWithoutReply => {
                f.write_str("a method annotated NoReply cannot have output arguments")
            }
        }
    }
}

impl Node {
    /// Every rule that this description breaks, in the order of the description. What was read from a document is told
    /// with its line and column there.
    ///
    /// ```
    /// use bus_introspect::Node;
    ///
    /// let xml = "<node><interface name='org.example.Map'>\n  <method name='M-x'/></interface></node>";
    /// let problems = Node::from_xml(xml).unwrap().check();
    /// let place = "line 2, column 3: interface org.example.Map, method M-x: ";
    /// assert!(problems[0].to_string().starts_with(place));
    /// ```
    pub fn check(&self) -> Vec<Problem> {
        let mut checker = Checker { place: Vec::new(), origin: self.origin, problems: Vec::new() };
        if let Some(Err(error)) = self.name.as_deref().map(ObjectPath::parse) {
            checker.report(Fault::Path(error));
        }
        checker.node(self);
        checker.problems
    }
}

struct Checker {
    place: Vec<String>,
    /// Of the innermost element.
    origin: Origin,
    problems: Vec<Problem>,
}

impl Checker {
    fn node(&mut self, node: &Node) {
        let mut names = HashSet::new();
        for interface in &node.interfaces {
            self.within(format!("interface {}", interface.name), interface.origin, |checker| {
                checker.unique(&mut names, &interface.name);
                checker.interface(interface);
            });
        }
        let mut names = HashSet::new();
        for child in &node.children {
            let name = child.name.as_deref().unwrap_or_default();
            self.within(format!("node {name}"), child.origin, |checker| {
                checker.unique(&mut names, name);
                checker.relative_path(name);
                checker.node(child);
            });
        }
    }

    fn interface(&mut self, interface: &Interface) {
        if let Err(error) = InterfaceName::parse(&interface.name) {
            self.report(Fault::InterfaceName(error));
        }
        let mut names = HashSet::new();
        for method in &interface.methods {
            self.member(("method", &method.name, method.origin), &mut names, |checker| {
                checker.method(method)
            });
        }
        let mut names = HashSet::new();
        for signal in &interface.signals {
            self.member(("signal", &signal.name, signal.origin), &mut names, |checker| {
                checker.signal(signal)
            });
        }
        let mut names = HashSet::new();
        for property in &interface.properties {
            self.member(("property", &property.name, property.origin), &mut names, |checker| {
                checker.property(property);
            });
        }
        self.annotations(&interface.annotations);
    }

    fn method(&mut self, method: &Method) {
        self.arguments("input", &method.inputs);
        self.arguments("output", &method.outputs);
        if method.is_no_reply() && !method.outputs.is_empty() {
            self.report(Fault::OutputWithoutReply);
        }
        self.annotations(&method.annotations);
    }

    fn signal(&mut self, signal: &Signal) {
        self.arguments("argument", &signal.arguments);
        self.annotations(&signal.annotations);
    }

    fn property(&mut self, property: &Property) {
        self.one_type(&property.signature);
        self.annotations(&property.annotations);
    }

    fn arguments(&mut self, kind: &str, arguments: &[Arg]) {
        let problem_count = self.problems.len();
        for (index, argument) in arguments.iter().enumerate() {
            self.within(format!("{kind} {}", index + 1), argument.origin, |checker| {
                checker.one_type(&argument.signature);
                checker.annotations(&argument.annotations);
            });
        }
        if self.problems.len() == problem_count {
            let signature: String = arguments.iter().map(|it| it.signature.as_str()).collect();
            if let Err(error) = Signature::parse(&signature) {
                self.report(Fault::ArgumentsTogether(error));
            }
        }
    }

    fn annotations(&mut self, annotations: &[Annotation]) {
        let mut names = HashSet::new();
        for annotation in annotations {
            self.within(format!("annotation {}", annotation.name), annotation.origin, |checker| {
                checker.unique(&mut names, &annotation.name);
                if !has_valid_value(annotation) {
                    checker.report(Fault::AnnotationValue);
                }
            });
        }
    }

    fn member<'a>(
        &mut self,
        (kind, name, origin): (&str, &'a str, Origin),
        names: &mut HashSet<&'a str>,
        content: impl FnOnce(&mut Self),
    ) {
        self.within(format!("{kind} {name}"), origin, |checker| {
            checker.unique(names, name);
            if let Err(error) = MemberName::parse(name) {
                checker.report(Fault::MemberName(error));
            }
            content(checker);
        });
    }

    fn unique<'a>(&mut self, names: &mut HashSet<&'a str>, name: &'a str) {
        if !names.insert(name) {
            self.report(Fault::Duplicate);
        }
    }

    fn relative_path(&mut self, name: &str) {
        if let Err(error) = check_relative_path(name) {
            self.report(Fault::RelativePath(error));
        }
    }

    fn one_type(&mut self, signature: &str) {
        match Signature::parse(signature) {
            Ok(signature) if signature.types().count() == 1 => {}
            Ok(_) => self.report(Fault::NotOneType),
            Err(error) => self.report(Fault::Signature(error)),
        }
    }

    fn within(&mut self, place: String, origin: Origin, content: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.origin, origin);
        self.place.push(place);
        content(self);
        self.place.pop();
        self.origin = outer;
    }

    fn report(&mut self, fault: Fault) {
        let (place, position) = (self.place.join(", "), self.origin.position());
        self.problems.push(Problem { place, position, fault });
    }
}

// protocol.md A214
fn check_relative_path(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    match ObjectPath::parse(&format!("/{name}")) {
        Ok(_) => Ok(()),
        // Where it is in the name, not in the path made of it.
        Err(NameError::InvalidCharacter { index }) => {
            Err(NameError::InvalidCharacter { index: index.saturating_sub(1) })
        }
        Err(error) => Err(error),
    }
}

// protocol.md A213
fn has_valid_value(Annotation { name, value, .. }: &Annotation) -> bool {
    match name.as_str() {
        annotation::DEPRECATED | annotation::NO_REPLY => matches!(value.as_str(), "true" | "false"),
        annotation::EMITS_CHANGED_SIGNAL => {
            EmitsChangedSignal::ALL.iter().any(|known| known.as_str() == value)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests;
