//! What an object has (tools.md D006, D022), as a table in the order of names.

use std::collections::HashMap;

use bus_introspect::{EmitsChangedSignal, Interface, Node, Property};
use libbus::blocking::Connection;
use libbus::message::Message;

use super::bus::{Place, ask, connect, shown, text_of};
use super::colours::{Colours, Look, is_dumb};
use super::options::Options;
use super::table::shortened;
use super::{Result, because, print};
use crate::output::style::Style;
use crate::output::table::Table;
use crate::value::Value;

const INTROSPECTABLE: &str = "org.freedesktop.DBus.Introspectable";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// Characters of a value that are shown on a terminal.
const VALUE_WIDTH_MAX: usize = 40;

/// `SERVICE OBJECT [INTERFACE]`
pub(super) fn introspect(options: &Options, words: &[String]) -> Result<()> {
    let [service, path, rest @ ..] = words else { return Ok(()) };
    let wanted = rest.first().map(String::as_str);
    let connection = connect(options)?;
    let place = Place { service, path, interface: INTROSPECTABLE };
    let reply = ask(&connection, place, "Introspect", &()).map_err(|error| {
        let why = text_of(&error);
        because(format!("Failed to introspect object {path} of service {service}: {why}"))
    })?;
    let xml = xml_of(&reply)?;
    if options.is_xml {
        return print::output(options, &format!("{}\n", shown(xml, &std::io::stdout())));
    }
    let node = read(xml)?;
    let is_wanted = |interface: &&Interface| wanted.is_none_or(|name| name == interface.name);
    let mut interfaces: Vec<&Interface> = node.interfaces.iter().filter(is_wanted).collect();
    interfaces.sort_by(|one, other| one.name.cmp(&other.name));
    let place = Place { interface: PROPERTIES, ..place };
    let mut out = print::open(options);
    for line in table(options, &connection, place, &interfaces, wanted.is_some())? {
        out.line(&line)?;
    }
    Ok(out.finish()?)
}

/// # Errors
/// The reply is none to this question.
pub(super) fn xml_of(reply: &Message) -> Result<&str> {
    reply
        .deserialize()
        .map_err(|_| because("Failed to parse bus message: No such device or address"))
}

/// # Errors
/// It is no description.
pub(super) fn read(xml: &str) -> Result<Node> {
    match Node::from_xml_leniently(xml) {
        Ok((node, _)) => Ok(node),
        Err(_) => Err(because("XML parse error.")),
    }
}

fn table(
    options: &Options,
    connection: &Connection,
    place: Place<'_>,
    interfaces: &[&Interface],
    is_one: bool,
) -> Result<Vec<String>> {
    let titles = ["NAME", "TYPE", "SIGNATURE", "RESULT/VALUE", "FLAGS"];
    let mut table = Table::new(&titles);
    // There is room for titles also where there are none.
    titles.iter().enumerate().for_each(|(index, title)| table.make_room(index, title.len()));
    let is_short = !is_dumb() && !options.is_full;
    for interface in interfaces {
        match is_one {
            // Its name is not shown, but there is room for it.
            true => {
                table.make_room(0, interface.name.chars().count());
                table.make_room(1, "interface".len());
            }
            false => {
                let flags = if interface.is_deprecated() { "deprecated" } else { "" };
                table.push(row([&interface.name, "interface", "", "", flags]));
            }
        }
        push_methods(&mut table, interface);
        let values = values(connection, place, interface)?;
        let mut properties: Vec<&Property> = interface.properties.iter().collect();
        properties.sort_by(|one, other| one.name.cmp(&other.name));
        for property in properties {
            let value = values.get(&property.name).map(String::as_str).unwrap_or_default();
            let value = if is_short { shortened(value, VALUE_WIDTH_MAX) } else { value.to_owned() };
            let name = format!(".{}", property.name);
            let flags = flags(interface, property);
            table.push(row([&name, "property", &property.signature, &value, &flags]));
        }
        push_signals(&mut table, interface);
    }
    let mut lines = table.lines(Style::off(), options.has_legend);
    let rows = lines.iter_mut().skip(usize::from(options.has_legend));
    // Members begin with a point.
    let titles = rows.filter(|line| !line.starts_with('.'));
    for (line, interface) in titles.zip(interfaces) {
        highlight(line, shown(&interface.name, &std::io::stdout()).len());
    }
    Ok(lines)
}

/// The first column, up to the blank before the next one.
fn highlight(line: &mut String, name_size: usize) {
    let Some((name, rest)) = line.split_at_checked(name_size) else { return };
    let gap = rest.len() - rest.trim_start().len();
    let (gap, rest) = rest.split_at(gap.saturating_sub(1));
    *line = Colours::wanted().paint(Look::Highlight, &[name, gap].concat()) + rest;
}

fn push_methods(table: &mut Table, interface: &Interface) {
    let mut methods: Vec<_> = interface.methods.iter().collect();
    methods.sort_by(|one, other| one.name.cmp(&other.name));
    for method in methods {
        let flags = [(method.is_deprecated(), "deprecated"), (method.is_no_reply(), "no-reply")];
        let flags: Vec<&str> = flags.iter().filter(|(is_set, _)| *is_set).map(|f| f.1).collect();
        let (inputs, outputs) = (method.input_signature(), method.output_signature());
        let name = format!(".{}", method.name);
        table.push(row([&name, "method", &inputs, &outputs, &flags.join(" ")]));
    }
}

fn push_signals(table: &mut Table, interface: &Interface) {
    let mut signals: Vec<_> = interface.signals.iter().collect();
    signals.sort_by(|one, other| one.name.cmp(&other.name));
    for signal in signals {
        let flags = if signal.is_deprecated() { "deprecated" } else { "" };
        table.push(row([&format!(".{}", signal.name), "signal", &signal.signature(), "", flags]));
    }
}

fn row(cells: [&str; 5]) -> Vec<String> {
    let out = std::io::stdout();
    let cell = |cell: &&str| if cell.is_empty() { "-".to_owned() } else { shown(cell, &out) };
    cells.iter().map(cell).collect()
}

fn flags(interface: &Interface, property: &Property) -> String {
    let change = match interface.emits_changed_signal(property) {
        EmitsChangedSignal::True => "emits-change",
        EmitsChangedSignal::Invalidates => "emits-invalidation",
        EmitsChangedSignal::Const => "const",
        EmitsChangedSignal::False => "",
    };
    let deprecated = if property.is_deprecated() { "deprecated" } else { "" };
    let writable = if property.access.is_writable() { "writable" } else { "" };
    let flags = [deprecated, change, writable];
    flags.into_iter().filter(|flag| !flag.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The values of an interface's properties, as they are printed.
fn values(
    connection: &Connection,
    place: Place<'_>,
    interface: &Interface,
) -> Result<HashMap<String, String>> {
    if interface.properties.is_empty() {
        return Ok(HashMap::new());
    }
    let name = interface.name.as_str();
    let reply = ask(connection, place, "GetAll", name).map_err(|error| {
        let why = text_of(&error);
        because(format!("Failed to get all properties on interface {name}: {why}"))
    })?;
    let values = print::values_of(&reply);
    let Some(Value::Dict { entries, .. }) = values.first() else {
        return Err(because("Failed to parse bus message: No such device or address"));
    };
    let known = entries.iter().filter_map(|(key, value)| match key {
        Value::String(name) => {
            let mut text = String::new();
            print::TERSE.write(&mut text, value.unwrapped());
            Some((name.clone(), text))
        }
        _ => None,
    });
    Ok(known.collect())
}
