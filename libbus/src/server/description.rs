//! What an interface offers, as a table, and as the XML of introspection (protocol.md A212, A213).

use std::fmt::Write as _;

use zbus::wire::Signature;

/// What an interface offers.
#[derive(Debug)]
pub struct Description {
    /// Its name.
    pub name: &'static str,
    /// What it is, for people; nothing if nothing is said.
    pub doc: &'static str,
    /// Whether a call need not wait for the end of those of the same sender before it.
    pub is_concurrent: bool,
    /// Its methods.
    pub methods: &'static [MethodDescription],
    /// Its properties.
    pub properties: &'static [PropertyDescription],
    /// Its signals.
    pub signals: &'static [SignalDescription],
}

/// An argument's name and type; without a name it is empty.
pub type Argument = (&'static str, &'static Signature);

/// A method.
#[derive(Debug)]
pub struct MethodDescription {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// What it takes.
    pub inputs: &'static [Argument],
    /// Names of what it returns; those that are missing have none.
    pub output_names: &'static [&'static str],
    /// What it returns: a structure is several values.
    pub output: &'static Signature,
    /// Whether it is better not to be called any more.
    pub is_deprecated: bool,
}

/// Whether a property's changes are told (protocol.md A213).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmitsChanged {
    /// With the new value.
    #[default]
    True,
    /// Without it.
    Invalidates,
    /// It never changes.
    Const,
    /// No.
    False,
}

/// A property.
#[derive(Debug)]
pub struct PropertyDescription {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub doc: &'static str,
    /// Its type.
    pub signature: &'static Signature,
    /// Whether it can be read.
    pub is_readable: bool,
    /// Whether it can be set.
    pub is_writable: bool,
    /// Whether changes are told.
    pub emits_changed: EmitsChanged,
    /// Whether it is better not to be used any more.
    pub is_deprecated: bool,
}

/// A signal.
#[derive(Debug)]
pub struct SignalDescription {
    /// Its name.
    pub name: &'static str,
    /// When it is emitted.
    pub doc: &'static str,
    /// What it says.
    pub arguments: &'static [Argument],
    /// Whether it is better not to be used any more.
    pub is_deprecated: bool,
}

const DOC_ANNOTATION: &str = "org.gtk.GDBus.DocString";
const DEPRECATED: &str = "org.freedesktop.DBus.Deprecated";
const EMITS_CHANGED: &str = "org.freedesktop.DBus.Property.EmitsChangedSignal";

/// The text of a `<node>`.
pub(super) struct NodeWriter {
    text: String,
}

impl NodeWriter {
    pub(super) fn new() -> Self {
        let text = "<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n \
                    \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n<node>\n";
        Self { text: text.to_owned() }
    }

    /// An interface that is written already.
    pub(super) fn raw(&mut self, interface: &str) {
        self.text.push_str(interface);
    }

    pub(super) fn child(&mut self, name: &str) {
        self.line(1, format_args!("<node name=\"{name}\"/>"));
    }

    pub(super) fn interface(&mut self, interface: &Description) {
        self.line(1, format_args!("<interface name=\"{}\">", interface.name));
        self.annotations(2, interface.doc, false);
        for method in interface.methods {
            self.line(2, format_args!("<method name=\"{}\">", method.name));
            for (name, signature) in method.inputs {
                self.argument(name, signature, " direction=\"in\"");
            }
            let outputs = parts(method.output);
            for (index, signature) in outputs.iter().enumerate() {
                let name = method.output_names.get(index).copied().unwrap_or_default();
                self.argument(name, signature, " direction=\"out\"");
            }
            self.annotations(3, method.doc, method.is_deprecated);
            self.line(2, format_args!("</method>"));
        }
        for property in interface.properties {
            self.property(property);
        }
        for signal in interface.signals {
            self.line(2, format_args!("<signal name=\"{}\">", signal.name));
            for (name, signature) in signal.arguments {
                self.argument(name, signature, "");
            }
            self.annotations(3, signal.doc, signal.is_deprecated);
            self.line(2, format_args!("</signal>"));
        }
        self.line(1, format_args!("</interface>"));
    }

    pub(super) fn finish(mut self) -> String {
        self.text.push_str("</node>\n");
        self.text
    }

    fn property(&mut self, property: &PropertyDescription) {
        let access = match (property.is_readable, property.is_writable) {
            (true, true) => "readwrite",
            (false, true) => "write",
            _ => "read",
        };
        let PropertyDescription { name, signature, .. } = property;
        self.line(
            2,
            format_args!("<property name=\"{name}\" type=\"{signature}\" access=\"{access}\">"),
        );
        let emits = match property.emits_changed {
            EmitsChanged::True => None,
            EmitsChanged::Invalidates => Some("invalidates"),
            EmitsChanged::Const => Some("const"),
            EmitsChanged::False => Some("false"),
        };
        if let Some(emits) = emits {
            self.annotation(3, EMITS_CHANGED, emits);
        }
        self.annotations(3, property.doc, property.is_deprecated);
        self.line(2, format_args!("</property>"));
    }

    fn argument(&mut self, name: &str, signature: &Signature, direction: &str) {
        let name = if name.is_empty() { String::new() } else { format!(" name=\"{name}\"") };
        self.line(3, format_args!("<arg{name} type=\"{signature}\"{direction}/>"));
    }

    fn annotations(&mut self, depth: usize, doc: &str, is_deprecated: bool) {
        if is_deprecated {
            self.annotation(depth, DEPRECATED, "true");
        }
        if !doc.is_empty() {
            self.annotation(depth, DOC_ANNOTATION, doc);
        }
    }

    fn annotation(&mut self, depth: usize, name: &str, value: &str) {
        let value = Escaped(value);
        self.line(depth, format_args!("<annotation name=\"{name}\" value=\"{value}\"/>"));
    }

    fn line(&mut self, depth: usize, text: std::fmt::Arguments<'_>) {
        self.text.extend(std::iter::repeat_n("  ", depth));
        // INVARIANT: writing to a String does not fail.
        let _ = self.text.write_fmt(text);
        self.text.push('\n');
    }
}

/// The values that a method returns.
fn parts(output: &Signature) -> Vec<&Signature> {
    match output {
        Signature::Unit => Vec::new(),
        Signature::Structure(fields) => fields.iter().collect(),
        other => vec![other],
    }
}

/// Text as the value of an attribute of XML.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\n' => f.write_str("&#10;")?,
                '\t' => f.write_str("&#9;")?,
                // XML has no way to say any other.
                control if control.is_control() => {}
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}
