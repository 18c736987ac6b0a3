//! Calls and signals (tools.md D037, D038).

use std::time::Duration;

use libbus::MethodCall;
use libbus::blocking::Connection;
use libbus::names::{BusName, InterfaceName, MemberName, UniqueName};

use super::arguments::arguments;
use super::options::{Given, Options, Takes};
use super::{Failed, Result, because, print, say};
use crate::introspection;
use crate::value::{Value, gvariant, types};

pub(super) const CALL_OPTIONS: Options = Options(&[
    ("dest", 'd', Takes::Text),
    ("object-path", 'o', Takes::Text),
    ("method", 'm', Takes::Text),
    ("timeout", 't', Takes::Int),
    ("interactive", 'i', Takes::Nothing),
]);

pub(super) const CALL_USAGE: &str = "\
Usage:
  gdbus call [OPTION…] [ARGUMENT…]

Call a method of an object.

What is called:
  -d, --dest            Who
  -o, --object-path     Which object
  -m, --method          Which method: INTERFACE.METHOD
  -t, --timeout         Seconds to wait for a reply
  -i, --interactive     The service may ask the user
";

pub(super) const EMIT_OPTIONS: Options = Options(&[
    ("dest", 'd', Takes::Text),
    ("object-path", 'o', Takes::Text),
    ("signal", 's', Takes::Text),
]);

pub(super) const EMIT_USAGE: &str = "\
Usage:
  gdbus emit [OPTION…] [ARGUMENT…]

Emit a signal.

What is emitted:
  -d, --dest            Who alone gets it, by its unique name
  -o, --object-path     Which object emits it
  -s, --signal          Which signal: INTERFACE.SIGNAL
";

pub(super) fn call(given: &Given) -> Result<()> {
    let connection = given.connect(given.has("dest"))?;
    let destination = given.destination(&connection)?;
    let path = given.path()?;
    let name = given.get("method").ok_or_else(|| because("Error: Method name is not specified"))?;
    let wrong = || because(format!("Error: Method name “{name}” is invalid"));
    let (interface, member) = name.rsplit_once('.').ok_or_else(wrong)?;
    let call = MethodCall::new(path, member).and_then(|call| call.interface(interface));
    let mut call = call.map_err(|_| wrong())?;
    if let Some(destination) = destination {
        call = call.destination(destination)?;
    }
    let known = || method_types(&connection, destination, path, interface, member);
    let types = if given.words.is_empty() { None } else { known() };
    if types.as_ref().is_some_and(|types| types.len() < given.words.len()) {
        let count = types.as_ref().map_or(0, Vec::len);
        say(&format!(
            "Warning: Introspection data indicates {count} parameters but more was passed"
        ));
    }
    let arguments = arguments(&given.words, types.as_deref().unwrap_or_default())?;
    let call = call.interactive_authorization(given.has("interactive"));
    // Without a time, and with one before now, it is the usual one.
    let seconds = given.number("timeout").and_then(|seconds| u64::try_from(seconds).ok());
    if seconds == Some(0) {
        // It is over at once, whoever is quick.
        connection.send(&call, &arguments)?;
        return Err(because("Error: Timeout was reached"));
    }
    let call = match seconds {
        Some(seconds) => call.timeout(Some(Duration::from_secs(seconds))),
        None => call,
    };
    let reply = connection.call(&call, &arguments).map_err(|error| {
        let is_about_types = error.is_method_error("org.freedesktop.DBus.Error.InvalidArgs");
        let failed = Failed::from(error);
        match (is_about_types.then(|| types.or_else(known)).flatten(), failed) {
            (Some(types), Failed::Because(text)) => because(format!(
                "{text}\n(According to introspection data, you need to pass “{}”)",
                types.concat()
            )),
            (_, failed) => failed,
        }
    })?;
    let mut text = String::new();
    gvariant::print_tuple(&mut text, &Value::of_message(&reply));
    print(&(text + "\n"))
}

/// The types of a method's arguments, if the object tells of it.
fn method_types(
    connection: &Connection,
    destination: Option<&str>,
    path: &str,
    interface: &str,
    member: &str,
) -> Option<Vec<String>> {
    let (_, node) = introspection::fetch(connection, destination, path).ok()?;
    let found = introspection::methods(&node, Some(interface), member);
    found.first().map(|(_, method)| types(&method.input_signature()))
}

pub(super) fn emit(given: &Given) -> Result<()> {
    let connection = given.connect(true)?;
    let destination = given.get("dest");
    if let Some(name) = destination.filter(|name| UniqueName::parse(name).is_err()) {
        return Err(because(format!("Error: {name} is not a valid unique bus name.")));
    }
    let path = given.path()?;
    let name = given.get("signal").ok_or_else(|| because("Error: Signal name is not specified"))?;
    let wrong = || because(format!("Error: Signal name “{name}” is invalid"));
    let (interface, member) = name.rsplit_once('.').ok_or_else(wrong)?;
    if InterfaceName::parse(interface).is_err() {
        return Err(because(format!("Error: {interface} is not a valid interface name")));
    }
    if MemberName::parse(member).is_err() {
        return Err(because(format!("Error: {member} is not a valid member name")));
    }
    let arguments = arguments(&given.words, &[])?;
    let destination = destination.map(BusName::parse).transpose().map_err(libbus::Error::from)?;
    connection.emit_signal(destination, path, interface, member, &arguments)?;
    Ok(())
}
