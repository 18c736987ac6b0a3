//! What an object has, as an outline (tools.md D035).

use std::io::IsTerminal as _;

use bus_introspect::{Access, Annotation, Arg, Interface, Method, Node, Property, Signal};
use libbus::MethodCall;
use libbus::blocking::Connection;
use libbus::limits::NAME_SIZE_MAX;

use super::options::{Given, Options, Takes};
use super::{Failed, Result, because, say, text_of};
use crate::failure::Failure;
use crate::introspection;
use crate::output::escape::plain;
use crate::output::out::Out;
use crate::output::style::{ColorChoice, Style};
use crate::output::table::blanks;
use crate::value::{Value, gvariant};

pub(super) const OPTIONS: Options = Options(&[
    ("dest", 'd', Takes::Text),
    ("object-path", 'o', Takes::Text),
    ("xml", 'x', Takes::Nothing),
    ("recurse", 'r', Takes::Nothing),
    ("only-properties", 'p', Takes::Nothing),
]);

pub(super) const USAGE: &str = "\
Usage:
  gdbus introspect [OPTION…]

What an object has.

What is looked at:
  -d, --dest            Whose object
  -o, --object-path     Which object
  -x, --xml             The XML as the object sent it
  -r, --recurse         Also the objects below
  -p, --only-properties Properties alone
";

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// Objects below one another that are looked at: a service could go on for ever.
const DEPTH_MAX: usize = 64;
const OBJECTS_MAX: usize = 65_536;

/// What a part of the outline looks like on a terminal.
#[derive(Clone, Copy)]
enum Look {
    Plain,
    Title,
    Interface,
    Member,
    Property,
    Type,
}

/// Writes the outline.
struct Outline<'a> {
    connection: &'a Connection,
    destination: Option<&'a str>,
    has_colours: bool,
    recurses: bool,
    only_properties: bool,
    objects_left: usize,
    out: Out,
}

pub(super) fn introspect(given: &Given) -> Result<()> {
    let connection = given.connect(given.has("dest"))?;
    let destination = given.destination(&connection)?;
    let path = given.path()?;
    let reply = introspection::ask(&connection, destination, path)?.wait()?;
    let mut out = Out::plain();
    if given.has("xml") {
        // As it came, whether it can be read or not.
        let xml = introspection::xml(&reply).map_err(unreadable)?;
        let is_shown = std::io::stdout().is_terminal();
        let shown = || xml.split('\n').map(plain).collect::<Vec<_>>().join("\n");
        out.text(&if is_shown { shown() } else { xml.to_owned() })?;
        return Ok(out.finish()?);
    }
    let (_, node) = introspection::read(&reply).map_err(unreadable)?;
    let mut outline = Outline {
        connection: &connection,
        destination,
        has_colours: Style::new(ColorChoice::Auto).is_on(),
        recurses: given.has("recurse"),
        only_properties: given.has("only-properties"),
        objects_left: OBJECTS_MAX,
        out,
    };
    outline.node(&node, path, path, 0)?;
    Ok(outline.out.finish()?)
}

fn fetch(connection: &Connection, destination: Option<&str>, path: &str) -> Result<Node> {
    let reply = introspection::ask(connection, destination, path)?.wait()?;
    introspection::read(&reply).map(|(_, node)| node).map_err(unreadable)
}

fn unreadable(failure: Failure) -> Failed {
    because(format!("Error parsing introspection XML: {}", failure.text))
}

impl Outline<'_> {
    fn paint(&self, look: Look, text: &str) -> String {
        let text = plain(text);
        if !self.has_colours {
            return text;
        }
        let code = match look {
            // It has its sign all the same.
            Look::Plain => 0,
            Look::Title => 4,
            Look::Interface => 33,
            Look::Member => 34,
            Look::Property => 35,
            Look::Type => 32,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    fn annotation(&self, annotation: &Annotation) -> String {
        self.paint(Look::Plain, &format!("@{}(\"{}\")", annotation.name, annotation.value))
    }

    fn line(&mut self, indent: usize, text: &str) -> Result<()> {
        Ok(self.out.line(&(blanks(indent) + text))?)
    }

    fn node(&mut self, node: &Node, path: &str, name: &str, depth: usize) -> Result<()> {
        let indent = 2 * depth;
        let title = self.paint(Look::Plain, &format!("node {name}"));
        self.line(indent, &format!("{title} {{"))?;
        for interface in &node.interfaces {
            if !self.only_properties || !interface.properties.is_empty() {
                self.interface(interface, path, indent + 2)?;
            }
        }
        for child in &node.children {
            let Some(name) = child.name.as_deref() else { continue };
            match self.recurses {
                true => self.object_below(path, name, depth + 1)?,
                false => self.node(&Node::new(), path, name, depth + 1)?,
            }
        }
        self.line(indent, "};")
    }

    /// One that does not answer is told beside the others.
    fn object_below(&mut self, path: &str, name: &str, depth: usize) -> Result<()> {
        if depth > DEPTH_MAX || self.objects_left == 0 {
            return Ok(());
        }
        self.objects_left -= 1;
        let path = format!("{}/{name}", path.trim_end_matches('/'));
        match fetch(self.connection, self.destination, &path) {
            Ok(node) => self.node(&node, &path, &path, depth),
            Err(super::Failed::Because(text)) => {
                self.out.flush()?;
                say(&text);
                Ok(())
            }
            Err(failed) => Err(failed),
        }
    }

    fn annotations(&mut self, annotations: &[Annotation], indent: usize) -> Result<()> {
        annotations.iter().try_for_each(|one| self.line(indent, &self.annotation(one)))
    }

    fn interface(&mut self, interface: &Interface, path: &str, indent: usize) -> Result<()> {
        self.annotations(&interface.annotations, indent)?;
        let title = self.paint(Look::Interface, &format!("interface {}", interface.name));
        self.line(indent, &format!("{title} {{"))?;
        if !self.only_properties {
            self.title(indent + 2, "methods")?;
            interface.methods.iter().try_for_each(|method| self.method(method, indent + 4))?;
            self.title(indent + 2, "signals")?;
            interface.signals.iter().try_for_each(|signal| self.signal(signal, indent + 4))?;
        }
        self.title(indent + 2, "properties")?;
        let values = self.values(interface, path);
        for property in &interface.properties {
            let value = values.as_ref().and_then(|values| values.entry(&property.name));
            self.property(property, value, indent + 4)?;
        }
        self.line(indent, "};")
    }

    fn title(&mut self, indent: usize, title: &str) -> Result<()> {
        let title = self.paint(Look::Title, title);
        self.line(indent, &format!("{title}:"))
    }

    fn method(&mut self, method: &Method, indent: usize) -> Result<()> {
        self.annotations(&method.annotations, indent)?;
        let inputs = method.inputs.iter().map(|argument| ("in  ", argument));
        let outputs = method.outputs.iter().map(|argument| ("out ", argument));
        self.member(&method.name, inputs.chain(outputs).collect(), indent)
    }

    fn signal(&mut self, signal: &Signal, indent: usize) -> Result<()> {
        self.annotations(&signal.annotations, indent)?;
        let arguments = signal.arguments.iter().map(|argument| ("", argument));
        self.member(&signal.name, arguments.collect(), indent)
    }

    fn member(&mut self, name: &str, arguments: Vec<(&str, &Arg)>, indent: usize) -> Result<()> {
        // No valid name is longer, and one that is would be as many blanks again for each argument.
        let inner = blanks(indent + name.chars().count().min(NAME_SIZE_MAX) + 1);
        let mut text = format!("{}(", self.paint(Look::Member, name));
        for (index, (direction, argument)) in arguments.into_iter().enumerate() {
            if index > 0 {
                text += &format!(",\n{inner}");
            }
            for one in &argument.annotations {
                text += &format!("{}\n{inner}", self.annotation(one));
            }
            let signature = self.paint(Look::Type, &argument.signature);
            let name = argument.name.clone().unwrap_or_else(|| format!("arg_{index}"));
            let direction = self.paint(Look::Plain, direction);
            text += &format!("{direction}{signature} {}", plain(&name));
        }
        self.line(indent, &(text + ");"))
    }

    fn property(
        &mut self,
        property: &Property,
        value: Option<&Value>,
        indent: usize,
    ) -> Result<()> {
        self.annotations(&property.annotations, indent)?;
        let access = match property.access {
            Access::Read => "readonly",
            Access::Write => "writeonly",
            Access::ReadWrite => "readwrite",
        };
        let mut text = match value {
            Some(_) => {
                let signature = self.paint(Look::Type, &property.signature);
                let name = self.paint(Look::Property, &property.name);
                format!("{access} {signature} {name} = ")
            }
            // There are no colours where there is no value.
            None => plain(&format!("{access} {} {}", property.signature, property.name)),
        };
        if let Some(value) = value {
            gvariant::print(&mut text, value, false);
        }
        self.line(indent, &(text + ";"))
    }

    /// The values of an interface's properties, if the object tells.
    fn values(&self, interface: &Interface, path: &str) -> Option<Value> {
        if interface.properties.is_empty() {
            return None;
        }
        let call = || {
            let call = MethodCall::new(path, "GetAll")?.interface(PROPERTIES)?;
            let call = match self.destination {
                Some(destination) => call.destination(destination)?,
                None => call,
            };
            self.connection.call(&call, interface.name.as_str())
        };
        match call() {
            Ok(reply) => Value::of_message(&reply).into_iter().next(),
            Err(error) if error.is_disconnected() => {
                say(&format!("Error: {}", text_of(&error)));
                None
            }
            // What cannot be read has no value.
            Err(_) => None,
        }
    }
}
