//! What an object offers: interfaces with methods, signals and properties, and objects below it.
//!
//! Names and signatures are plain text here, because a description that another program sent may
//! be wrong and is still worth showing; `check.rs` knows the rules. Everything keeps the order in
//! which it was added. What was read from a document knows where it stood there.

use crate::origin::Origin;

/// Names of annotations: those that the specification defines (protocol.md A213), and documentation.
pub mod annotation {
    /// Whether something should no longer be used: `true` or `false`, which is the default.
    pub const DEPRECATED: &str = "org.freedesktop.DBus.Deprecated";
    /// The C symbol of a method or an interface.
    pub const C_SYMBOL: &str = "org.freedesktop.DBus.GLib.CSymbol";
    /// Whether callers should not expect a reply: `true` or `false`, which is the default.
    pub const NO_REPLY: &str = "org.freedesktop.DBus.Method.NoReply";
    /// What is said when a property changes: see [`EmitsChangedSignal`](super::EmitsChangedSignal).
    pub const EMITS_CHANGED_SIGNAL: &str = "org.freedesktop.DBus.Property.EmitsChangedSignal";
    /// Documentation for people, which GDBus defines: plain text, with blank lines between
    /// paragraphs.
    pub const DOC_STRING: &str = "org.gtk.GDBus.DocString";
    /// Documentation in one line.
    pub const DOC_STRING_SHORT: &str = "org.gtk.GDBus.DocString.Short";
}

/// An object.
///
/// ```
/// use bus_introspect::{Interface, Node};
///
/// let clock = Node::new().with_interface(Interface::new("org.example.Clock")).with_child("alarm");
/// assert!(clock.interface("org.example.Clock").is_some());
/// assert!(clock.to_xml().contains("<node name=\"alarm\"/>"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The object's path on the outermost node, where it may be left out; below it, the path from
    /// the node around it (protocol.md A214).
    pub name: Option<String>,
    /// The interfaces.
    pub interfaces: Vec<Interface>,
    /// The objects below. An empty one says nothing about its object but that it is there.
    pub children: Vec<Node>,
    /// Where it was read from.
    pub origin: Origin,
}

/// A set of methods, signals and properties.
///
/// ```
/// use bus_introspect::{Access, EmitsChangedSignal, Interface, Method, Property, Signal, annotation};
///
/// let zone = Property::new("Zone", "s", Access::ReadWrite);
/// let clock = Interface::new("org.example.Clock")
///     .with_method(Method::new("GetTime").with_output("seconds", "t"))
///     .with_property(zone.with_annotation(annotation::EMITS_CHANGED_SIGNAL, "invalidates"))
///     .with_signal(Signal::new("Rang").with_argument("alarm", "s"))
///     .with_documentation("Tells the time.");
/// let zone = clock.property("Zone").unwrap();
/// assert_eq!(clock.emits_changed_signal(zone), EmitsChangedSignal::Invalidates);
/// assert_eq!(clock.documentation(), Some("Tells the time."));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// The interface's name.
    pub name: String,
    /// What can be called.
    pub methods: Vec<Method>,
    /// What is announced.
    pub signals: Vec<Signal>,
    /// What can be read or written.
    pub properties: Vec<Property>,
    /// Remarks on the interface.
    pub annotations: Vec<Annotation>,
    /// Where it was read from.
    pub origin: Origin,
}

/// Something that can be called.
///
/// ```
/// use bus_introspect::{Method, annotation};
///
/// let method = Method::new("SetAlarm").with_input("name", "s").with_input("seconds", "t");
/// assert_eq!(method.input_signature(), "st");
/// assert!(!method.is_no_reply());
/// assert!(method.with_annotation(annotation::NO_REPLY, "true").is_no_reply());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Method {
    /// The method's name.
    pub name: String,
    /// What a call brings, in order.
    pub inputs: Vec<Arg>,
    /// What a reply brings, in order.
    pub outputs: Vec<Arg>,
    /// Remarks on the method.
    pub annotations: Vec<Annotation>,
    /// Where it was read from.
    pub origin: Origin,
}

/// Something that is announced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signal {
    /// The signal's name.
    pub name: String,
    /// What it brings, in order.
    pub arguments: Vec<Arg>,
    /// Remarks on the signal.
    pub annotations: Vec<Annotation>,
    /// Where it was read from.
    pub origin: Origin,
}

/// One argument of a method or a signal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arg {
    /// A name for people to read.
    pub name: Option<String>,
    /// The type: one complete type.
    pub signature: String,
    /// Remarks on the argument.
    pub annotations: Vec<Annotation>,
    /// Where it was read from.
    pub origin: Origin,
}

/// Something that can be read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// The property's name.
    pub name: String,
    /// The type: one complete type.
    pub signature: String,
    /// What may be done with it.
    pub access: Access,
    /// Remarks on the property.
    pub annotations: Vec<Annotation>,
    /// Where it was read from.
    pub origin: Origin,
}

/// What may be done with a property (protocol.md A214).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Both.
    ReadWrite,
}

impl Access {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::ReadWrite];

    /// The word in the XML.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::ReadWrite => "readwrite",
        }
    }

    /// Whether the property may be read.
    pub const fn is_readable(self) -> bool {
        matches!(self, Self::Read | Self::ReadWrite)
    }

    /// Whether the property may be written.
    pub const fn is_writable(self) -> bool {
        matches!(self, Self::Write | Self::ReadWrite)
    }
}

/// A remark for programs: a key and a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotation {
    /// The key.
    pub name: String,
    /// The value.
    pub value: String,
    /// Where it was read from.
    pub origin: Origin,
}

/// What is said when a property changes (protocol.md A213).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EmitsChangedSignal {
    /// PropertiesChanged with the new value.
    True,
    /// PropertiesChanged without the value.
    Invalidates,
    /// Nothing: the property never changes while its object lives.
    Const,
    /// Perhaps nothing.
    False,
}

impl EmitsChangedSignal {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::True, Self::Invalidates, Self::Const, Self::False];

    /// The annotation's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::Invalidates => "invalidates",
            Self::Const => "const",
            Self::False => "false",
        }
    }

    fn of(annotations: &[Annotation]) -> Option<Self> {
        let value = value_of(annotations, annotation::EMITS_CHANGED_SIGNAL)?;
        Self::ALL.into_iter().find(|known| known.as_str() == value)
    }
}

impl Node {
    /// An object that nothing is known about.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an interface.
    #[must_use]
    pub fn with_interface(mut self, interface: Interface) -> Self {
        self.interfaces.push(interface);
        self
    }

    /// Adds an object below, of which only the relative path is told.
    #[must_use]
    pub fn with_child(mut self, name: &str) -> Self {
        self.children.push(Self { name: Some(name.to_owned()), ..Self::default() });
        self
    }

    /// The interface with this name.
    pub fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.name == name)
    }
}

impl Interface {
    /// An interface without members.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Adds a method.
    #[must_use]
    pub fn with_method(mut self, method: Method) -> Self {
        self.methods.push(method);
        self
    }

    /// Adds a signal.
    #[must_use]
    pub fn with_signal(mut self, signal: Signal) -> Self {
        self.signals.push(signal);
        self
    }

    /// Adds a property.
    #[must_use]
    pub fn with_property(mut self, property: Property) -> Self {
        self.properties.push(property);
        self
    }

    /// Adds a remark.
    #[must_use]
    pub fn with_annotation(mut self, name: &str, value: &str) -> Self {
        self.annotations.push(Annotation::new(name, value));
        self
    }

    /// Adds what people should know, as plain text.
    #[must_use]
    pub fn with_documentation(mut self, text: &str) -> Self {
        self.annotations.push(Annotation::new(annotation::DOC_STRING, text));
        self
    }

    /// The method with this name.
    pub fn method(&self, name: &str) -> Option<&Method> {
        self.methods.iter().find(|method| method.name == name)
    }

    /// The property with this name.
    pub fn property(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|property| property.name == name)
    }

    /// What is said when `property` changes: its own annotation decides, else the interface's,
    /// else the value is sent (protocol.md A213).
    pub fn emits_changed_signal(&self, property: &Property) -> EmitsChangedSignal {
        EmitsChangedSignal::of(&property.annotations)
            .or_else(|| EmitsChangedSignal::of(&self.annotations))
            .unwrap_or(EmitsChangedSignal::True)
    }

    /// Whether the whole interface should no longer be used.
    pub fn is_deprecated(&self) -> bool {
        is_true(&self.annotations, annotation::DEPRECATED)
    }

    /// What people should know about the interface.
    pub fn documentation(&self) -> Option<&str> {
        value_of(&self.annotations, annotation::DOC_STRING)
    }
}

impl Method {
    /// A method that takes and returns nothing.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Adds an argument of the call.
    #[must_use]
    pub fn with_input(mut self, name: &str, signature: &str) -> Self {
        self.inputs.push(Arg::new(name, signature));
        self
    }

    /// Adds an argument of the reply.
    #[must_use]
    pub fn with_output(mut self, name: &str, signature: &str) -> Self {
        self.outputs.push(Arg::new(name, signature));
        self
    }

    /// Adds a remark.
    #[must_use]
    pub fn with_annotation(mut self, name: &str, value: &str) -> Self {
        self.annotations.push(Annotation::new(name, value));
        self
    }

    /// Adds what people should know, as plain text.
    #[must_use]
    pub fn with_documentation(mut self, text: &str) -> Self {
        self.annotations.push(Annotation::new(annotation::DOC_STRING, text));
        self
    }

    /// The signature of a call's body.
    pub fn input_signature(&self) -> String {
        self.inputs.iter().map(|argument| argument.signature.as_str()).collect()
    }

    /// The signature of a reply's body.
    pub fn output_signature(&self) -> String {
        self.outputs.iter().map(|argument| argument.signature.as_str()).collect()
    }

    /// Whether callers should not expect a reply.
    pub fn is_no_reply(&self) -> bool {
        is_true(&self.annotations, annotation::NO_REPLY)
    }

    /// Whether the method should no longer be used.
    pub fn is_deprecated(&self) -> bool {
        is_true(&self.annotations, annotation::DEPRECATED)
    }

    /// What people should know about the method.
    pub fn documentation(&self) -> Option<&str> {
        value_of(&self.annotations, annotation::DOC_STRING)
    }
}

impl Signal {
    /// A signal that brings nothing.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Adds an argument.
    #[must_use]
    pub fn with_argument(mut self, name: &str, signature: &str) -> Self {
        self.arguments.push(Arg::new(name, signature));
        self
    }

    /// Adds a remark.
    #[must_use]
    pub fn with_annotation(mut self, name: &str, value: &str) -> Self {
        self.annotations.push(Annotation::new(name, value));
        self
    }

    /// Adds what people should know, as plain text.
    #[must_use]
    pub fn with_documentation(mut self, text: &str) -> Self {
        self.annotations.push(Annotation::new(annotation::DOC_STRING, text));
        self
    }

    /// The signature of the signal's body.
    pub fn signature(&self) -> String {
        self.arguments.iter().map(|argument| argument.signature.as_str()).collect()
    }

    /// Whether the signal should no longer be used.
    pub fn is_deprecated(&self) -> bool {
        is_true(&self.annotations, annotation::DEPRECATED)
    }

    /// What people should know about the signal.
    pub fn documentation(&self) -> Option<&str> {
        value_of(&self.annotations, annotation::DOC_STRING)
    }
}

impl Arg {
    /// An argument; an empty `name` leaves it unnamed.
    pub fn new(name: &str, signature: &str) -> Self {
        let name = (!name.is_empty()).then(|| name.to_owned());
        Self { name, signature: signature.to_owned(), ..Self::default() }
    }

    /// Adds what people should know, as plain text.
    #[must_use]
    pub fn with_documentation(mut self, text: &str) -> Self {
        self.annotations.push(Annotation::new(annotation::DOC_STRING, text));
        self
    }

    /// What people should know about the argument.
    pub fn documentation(&self) -> Option<&str> {
        value_of(&self.annotations, annotation::DOC_STRING)
    }
}

impl Property {
    /// A property.
    pub fn new(name: &str, signature: &str, access: Access) -> Self {
        let (name, signature) = (name.to_owned(), signature.to_owned());
        Self { name, signature, access, annotations: Vec::new(), origin: Origin::default() }
    }

    /// Adds a remark.
    #[must_use]
    pub fn with_annotation(mut self, name: &str, value: &str) -> Self {
        self.annotations.push(Annotation::new(name, value));
        self
    }

    /// Adds what people should know, as plain text.
    #[must_use]
    pub fn with_documentation(mut self, text: &str) -> Self {
        self.annotations.push(Annotation::new(annotation::DOC_STRING, text));
        self
    }

    /// Whether the property should no longer be used.
    pub fn is_deprecated(&self) -> bool {
        is_true(&self.annotations, annotation::DEPRECATED)
    }

    /// What people should know about the property.
    pub fn documentation(&self) -> Option<&str> {
        value_of(&self.annotations, annotation::DOC_STRING)
    }
}

impl Annotation {
    /// A remark.
    pub fn new(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), value: value.to_owned(), origin: Origin::default() }
    }
}

pub(crate) fn is_true(annotations: &[Annotation], name: &str) -> bool {
    value_of(annotations, name) == Some("true")
}

pub(crate) fn value_of<'a>(annotations: &'a [Annotation], name: &str) -> Option<&'a str> {
    annotations.iter().find(|annotation| annotation.name == name).map(|found| found.value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emits_changed_signal_is_inherited() {
        // protocol.md A213
        let check = |interface: Option<&str>, property: Option<&str>, expected| {
            let name = annotation::EMITS_CHANGED_SIGNAL;
            let with = |value: Option<&str>| {
                value.map(|value| Annotation::new(name, value)).into_iter().collect()
            };
            let property = Property {
                annotations: with(property),
                ..Property::new("Volume", "d", Access::ReadWrite)
            };
            let interface = Interface { annotations: with(interface), ..Interface::new("a.b") };
            assert_eq!(interface.emits_changed_signal(&property), expected);
        };
        check(None, None, EmitsChangedSignal::True);
        check(None, Some("invalidates"), EmitsChangedSignal::Invalidates);
        check(Some("const"), None, EmitsChangedSignal::Const);
        check(Some("const"), Some("false"), EmitsChangedSignal::False);
        check(Some("false"), Some("true"), EmitsChangedSignal::True);
        check(Some("invalidates"), Some("perhaps"), EmitsChangedSignal::Invalidates);
        check(Some("perhaps"), None, EmitsChangedSignal::True);
    }

    #[test]
    fn annotations_speak_of_what_they_stand_on() {
        let deprecated = |value: &str| Annotation::new(annotation::DEPRECATED, value);
        let method = Method::new("M").with_annotation(annotation::NO_REPLY, "true");
        assert!(method.is_no_reply() && !method.is_deprecated());
        let interface =
            Interface { annotations: vec![deprecated("true")], ..Interface::new("a.b") };
        assert!(interface.is_deprecated());
        let signal = Signal::new("S").with_annotation(annotation::DEPRECATED, "TRUE");
        assert!(!signal.is_deprecated());
        let property = Property::new("P", "s", Access::Read);
        assert!(property.with_annotation(annotation::DEPRECATED, "true").is_deprecated());
    }

    #[test]
    fn finds_members_and_signatures() {
        let method =
            Method::new("M").with_input("a", "s").with_input("", "a{sv}").with_output("", "u");
        let signal = Signal::new("S").with_argument("", "o").with_argument("", "as");
        assert_eq!(
            (method.input_signature(), method.output_signature()),
            ("sa{sv}".into(), "u".into())
        );
        assert_eq!(signal.signature(), "oas");
        let property = Property::new("P", "s", Access::Read);
        let interface = Interface::new("a.b").with_method(method).with_property(property);
        let node = Node::new().with_interface(interface);
        let found = node.interface("a.b").unwrap();
        assert!(found.method("M").is_some() && found.method("P").is_none());
        assert!(found.property("P").is_some() && found.property("M").is_none());
        assert!(node.interface("a.c").is_none());
    }

    #[test]
    fn access_tells_directions() {
        let directions = Access::ALL.map(|access| (access.is_readable(), access.is_writable()));
        assert_eq!(directions, [(true, false), (false, true), (true, true)]);
    }
}
