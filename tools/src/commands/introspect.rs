//! `bus introspect`: what an object has (tools.md D006, D022, D035, D069).

mod whole;

use std::collections::HashMap;

use bus_introspect::{Access, EmitsChangedSignal, Interface, Method, Node, Property, Signal};
use clap::Args;
use libbus::MethodCall;
use libbus::blocking::Connection;
use serde_json::{Value as Json, json};

use crate::commands::call;
use crate::failure::{Failure, Result};
use crate::introspection;
use crate::inventory::answers;
use crate::options::Options;
use crate::output::escape::plain;
use crate::output::out::Out;
use crate::output::table::Table;
use crate::value::{Value, flat, json as value_json};

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// Characters of a value that are shown in a table.
const VALUE_WIDTH_MAX: usize = 80;

/// What an object has: interfaces, methods, signals, and properties with their values
#[derive(Args, Debug)]
#[command(override_usage = "bus introspect [OPTIONS] NAME [PATH [INTERFACE]]")]
pub(crate) struct Introspect {
    /// NAME, PATH (/ without one) and INTERFACE; with --peer there is no NAME
    #[arg(value_name = "WORD", num_args = 1..=3, required = true)]
    words: Vec<String>,

    /// The XML as the object sent it
    #[arg(long, visible_alias = "xml-interface")]
    xml: bool,

    /// Do not ask for the values of properties
    #[arg(long)]
    no_values: bool,

    /// Also the objects below, as one document, with --xml
    #[arg(short, long, requires = "xml")]
    recurse: bool,

    /// Values in full length
    #[arg(short = 'l', long)]
    full: bool,
}

/// A property's value, or why there is none.
type Read = std::result::Result<Value, String>;

impl Introspect {
    pub(crate) fn run(self, options: &Options) -> Result<()> {
        let (destination, path, interface) = place(&self.words, options)?;
        call::place(destination, path)?;
        if self.recurse && interface.is_some() {
            return Err(Failure::usage(
                "with --recurse objects are shown whole, without INTERFACE",
            ));
        }
        let connection = options.connect()?;
        let mut out = Out::paged(options);
        let reply = introspection::ask(&connection, destination, path)?.wait()?;
        if self.xml && !self.recurse && interface.is_none() {
            // Also where nobody can read it (tools.md D022).
            return print_xml(out, introspection::xml(&reply)?);
        }
        let (_, mut node) = introspection::read(&reply)?;
        if self.xml {
            let text = match interface {
                None => {
                    whole::add_below(&connection, destination, path, &mut node)?;
                    node.name = Some(path.to_owned());
                    node.to_xml()
                }
                Some(interface) => {
                    keep_interface(&mut node, interface)?;
                    node.to_xml()
                }
            };
            return print_xml(out, &text);
        }
        if let Some(interface) = interface {
            keep_interface(&mut node, interface)?;
        }
        let values = match self.no_values {
            true => Vec::new(),
            false => read_all(&connection, destination, path, &node)?,
        };
        match options.json() {
            Some(form) => out.json(form, &to_json(&node, &values))?,
            None => self.print(&mut out, &node, &values, options)?,
        }
        out.finish()
    }

    fn print(
        &self,
        out: &mut Out,
        node: &Node,
        values: &[Vec<Option<Read>>],
        options: &Options,
    ) -> Result<()> {
        let mut table = Table::new(&["NAME", "TYPE", "SIGNATURE", "RESULT/VALUE", "FLAGS"]);
        for (index, interface) in node.interfaces.iter().enumerate() {
            let flags = if interface.is_deprecated() { "deprecated" } else { "-" };
            table.push(row([&interface.name, "interface", "-", "-", flags]));
            interface.methods.iter().for_each(|method| table.push(method_row(method)));
            for (place, property) in interface.properties.iter().enumerate() {
                let value = values.get(index).and_then(|values| values.get(place)?.as_ref());
                table.push(self.property_row(interface, property, value));
            }
            interface.signals.iter().for_each(|signal| table.push(signal_row(signal)));
        }
        table.lines(options.style(), !options.quiet).iter().try_for_each(|line| out.line(line))?;
        if !node.children.is_empty() && !options.quiet {
            let names = node.children.iter().filter_map(|child| child.name.as_deref());
            out.line(&format!("\nBelow it: {}", plain(&names.collect::<Vec<_>>().join(" "))))?;
        }
        Ok(())
    }

    fn property_row(
        &self,
        interface: &Interface,
        property: &Property,
        value: Option<&Read>,
    ) -> Vec<String> {
        let value = match value {
            None => "-".to_owned(),
            Some(Err(error)) => format!("(cannot be read: {})", plain(error)),
            Some(Ok(value)) => {
                let mut text = String::new();
                flat::write(&mut text, value);
                text
            }
        };
        let value = if self.full { value } else { shortened(&value) };
        let flags = property_flags(interface, property);
        let name = format!(".{}", property.name);
        row([&name, "property", &property.signature, &value, &flags])
    }
}

fn print_xml(mut out: Out, text: &str) -> Result<()> {
    out.foreign_text(text)?;
    if !text.ends_with('\n') {
        out.text("\n")?;
    }
    out.finish()
}

/// NAME, PATH and INTERFACE; without a name where there is no bus.
fn place<'w>(
    words: &'w [String],
    options: &Options,
) -> Result<(Option<&'w str>, &'w str, Option<&'w str>)> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match (options.bus.is_peer(), words.as_slice()) {
        (true, [path]) => Ok((None, path, None)),
        (true, [path, interface]) => Ok((None, path, Some(interface))),
        (false, [name]) => Ok((Some(name), "/", None)),
        (false, [name, path]) => Ok((Some(name), path, None)),
        (false, [name, path, interface]) => Ok((Some(name), path, Some(interface))),
        _ => {
            Err(Failure::usage("with --peer there is no name: bus introspect --peer=ADDRESS PATH"))
        }
    }
}

fn keep_interface(node: &mut Node, name: &str) -> Result<()> {
    node.interfaces.retain(|interface| interface.name == name);
    match node.interfaces.is_empty() {
        false => Ok(()),
        true => Err(Failure::refused(format!("the object has no interface {}", plain(name)))
            .hint("without an interface all of them are shown")),
    }
}

/// The values of all properties that can be read, of each interface in its order. One that fails is told in its
/// place: the others are there (tools.md D069).
fn read_all(
    connection: &Connection,
    destination: Option<&str>,
    path: &str,
    node: &Node,
) -> Result<Vec<Vec<Option<Read>>>> {
    let get = |member: &'static str| -> std::result::Result<MethodCall<'_>, libbus::Error> {
        let mut call = MethodCall::new(path, member)?.interface(PROPERTIES)?;
        if let Some(destination) = destination {
            call = call.destination(destination)?;
        }
        Ok(call)
    };
    let is_read = |property: &Property| property.access != Access::Write;
    let asked = node.interfaces.iter().filter(|one| one.properties.iter().any(is_read));
    let get_all = get("GetAll")?;
    let mut all = HashMap::new();
    for (interface, answer) in
        answers(asked, |interface| connection.send(&get_all, interface.name.as_str()))
    {
        match answer {
            Ok(reply) => {
                let value = Value::of_message(&reply).into_iter().next();
                all.insert(interface.name.as_str(), value);
            }
            Err(error) if error.is_disconnected() => return Err(error.into()),
            Err(_) => {}
        }
    }
    let get_one = get("Get")?;
    node.interfaces
        .iter()
        .map(|interface| {
            let known = all.get(interface.name.as_str()).and_then(Option::as_ref);
            interface
                .properties
                .iter()
                .map(|property| read_one(connection, &get_one, interface, property, known))
                .collect()
        })
        .collect()
}

fn read_one(
    connection: &Connection,
    get: &MethodCall<'_>,
    interface: &Interface,
    property: &Property,
    known: Option<&Value>,
) -> Result<Option<Read>> {
    if property.access == Access::Write {
        return Ok(None);
    }
    if let Some(value) = known.and_then(|known| known.entry(&property.name)) {
        return Ok(Some(Ok(value.clone())));
    }
    // GetAll leaves out what cannot be read now, or fails for all; asked by itself it says why.
    match connection.call(get, &(interface.name.as_str(), property.name.as_str())) {
        Ok(reply) => {
            let value = Value::of_message(&reply).into_iter().next();
            Ok(Some(
                value.map_or_else(
                    || Err("no value".to_owned()),
                    |value| Ok(value.unwrapped().clone()),
                ),
            ))
        }
        Err(error) if error.is_disconnected() => Err(error.into()),
        Err(error) => Ok(Some(Err(error.to_string()))),
    }
}

fn row(cells: [&str; 5]) -> Vec<String> {
    cells.iter().map(|cell| if cell.is_empty() { "-".to_owned() } else { plain(cell) }).collect()
}

fn method_row(method: &Method) -> Vec<String> {
    let mut flags = Vec::new();
    if method.is_deprecated() {
        flags.push("deprecated");
    }
    if method.is_no_reply() {
        flags.push("no-reply");
    }
    let name = format!(".{}", method.name);
    let (inputs, outputs) = (method.input_signature(), method.output_signature());
    row([&name, "method", &inputs, &outputs, &flags.join(" ")])
}

fn signal_row(signal: &Signal) -> Vec<String> {
    let flags = if signal.is_deprecated() { "deprecated" } else { "" };
    row([&format!(".{}", signal.name), "signal", &signal.signature(), "-", flags])
}

fn property_flags(interface: &Interface, property: &Property) -> String {
    let mut flags = Vec::new();
    if property.is_deprecated() {
        flags.push("deprecated");
    }
    flags.extend(match interface.emits_changed_signal(property) {
        EmitsChangedSignal::True => Some("emits-change"),
        EmitsChangedSignal::Invalidates => Some("emits-invalidation"),
        EmitsChangedSignal::Const => Some("const"),
        EmitsChangedSignal::False => None,
    });
    flags.extend(match property.access {
        Access::Read => None,
        Access::Write => Some("writable write-only"),
        Access::ReadWrite => Some("writable"),
    });
    flags.join(" ")
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(VALUE_WIDTH_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

fn to_json(node: &Node, values: &[Vec<Option<Read>>]) -> Json {
    let interfaces = node.interfaces.iter().enumerate().map(|(index, interface)| {
        let properties = interface.properties.iter().enumerate().map(|(place, property)| {
            let value = values.get(index).and_then(|values| values.get(place)?.as_ref());
            property_json(interface, property, value)
        });
        json!({
            "name": interface.name,
            "deprecated": interface.is_deprecated(),
            "methods": interface.methods.iter().map(|method| json!({
                "name": method.name,
                "in": arguments_json(&method.inputs),
                "out": arguments_json(&method.outputs),
                "deprecated": method.is_deprecated(),
                "no_reply": method.is_no_reply(),
            })).collect::<Json>(),
            "properties": properties.collect::<Json>(),
            "signals": interface.signals.iter().map(|signal| json!({
                "name": signal.name,
                "arguments": arguments_json(&signal.arguments),
                "deprecated": signal.is_deprecated(),
            })).collect::<Json>(),
        })
    });
    let children = node.children.iter().filter_map(|child| child.name.as_deref());
    json!({ "interfaces": interfaces.collect::<Json>(), "children": children.collect::<Json>() })
}

fn arguments_json(arguments: &[bus_introspect::Arg]) -> Json {
    let argument = |argument: &bus_introspect::Arg| json!({ "name": argument.name, "type": argument.signature });
    arguments.iter().map(argument).collect()
}

fn property_json(interface: &Interface, property: &Property, value: Option<&Read>) -> Json {
    let flags = property_flags(interface, property);
    let mut json = json!({
        "name": property.name,
        "type": property.signature,
        "flags": flags.split_whitespace().collect::<Json>(),
    });
    match value {
        Some(Ok(value)) => json["value"] = value_json::to_json(value),
        Some(Err(error)) => json["error"] = json!(error),
        None => {}
    }
    json
}
