//! What objects say of themselves.

use bus_introspect::{Method, Node, Property};
use libbus::MethodCall;
use libbus::blocking::{Connection, PendingReply};
use libbus::message::Message;

use crate::failure::{Failure, Result};
use crate::output::escape::plain;

const INTROSPECTABLE: &str = "org.freedesktop.DBus.Introspectable";

/// The call that asks an object.
///
/// # Errors
/// A name or a path is none.
pub(crate) fn question<'a>(
    destination: Option<&'a str>,
    path: &'a str,
) -> libbus::Result<MethodCall<'a>> {
    let call = MethodCall::new(path, "Introspect")?.interface(INTROSPECTABLE)?;
    match destination {
        Some(destination) => call.destination(destination),
        None => Ok(call),
    }
}

/// Asks an object, without waiting.
pub(crate) fn ask(
    connection: &Connection,
    destination: Option<&str>,
    path: &str,
) -> std::result::Result<PendingReply, libbus::Error> {
    connection.send(&question(destination, path)?, &())
}

/// The answer as it came.
///
/// # Errors
/// It is no text.
pub(crate) fn xml(reply: &Message) -> Result<&str> {
    reply.deserialize().map_err(|error| Failure::refused(plain(&error.to_string())))
}

/// The answer, read as real services write it.
///
/// # Errors
/// It is no description.
pub(crate) fn read(reply: &Message) -> Result<(String, Node)> {
    let xml = xml(reply)?;
    let (node, _) = Node::from_xml_leniently(xml).map_err(|error| {
        Failure::refused(plain(&format!(
            "the object describes itself by XML that is none: {error}"
        )))
        .hint("`bus introspect --xml NAME PATH` shows it")
    })?;
    Ok((xml.to_owned(), node))
}

/// An object's description.
///
/// # Errors
/// It does not answer, or with no description.
pub(crate) fn fetch(
    connection: &Connection,
    destination: Option<&str>,
    path: &str,
) -> Result<(String, Node)> {
    read(&ask(connection, destination, path)?.wait()?)
}

/// Why something is not known that an object would tell, and what to type where it does not.
pub(crate) fn untold(mut failure: Failure, what: &str, hint: &str) -> Failure {
    let error = std::mem::take(&mut failure.text);
    failure.text = format!("{what} not known, since the object does not tell: {error}");
    failure.hint(hint)
}

/// The methods called `member` of the object, of `interface` if that is given, with their interfaces.
pub(crate) fn methods<'n>(
    node: &'n Node,
    interface: Option<&str>,
    member: &str,
) -> Vec<(&'n str, &'n Method)> {
    let wanted =
        node.interfaces.iter().filter(|found| interface.is_none_or(|name| name == found.name));
    wanted
        .flat_map(|found| found.methods.iter().map(move |method| (found.name.as_str(), method)))
        .filter(|(_, method)| method.name == member)
        .collect()
}

/// The properties called `name`, likewise.
pub(crate) fn properties<'n>(
    node: &'n Node,
    interface: Option<&str>,
    name: &str,
) -> Vec<(&'n str, &'n Property)> {
    let wanted =
        node.interfaces.iter().filter(|found| interface.is_none_or(|name| name == found.name));
    wanted
        .flat_map(|found| found.properties.iter().map(move |one| (found.name.as_str(), one)))
        .filter(|(_, property)| property.name == name)
        .collect()
}
