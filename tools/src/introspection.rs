//! What objects say of themselves.

use bus_introspect::{Method, Node, Property};
use libbus::MethodCall;
use libbus::blocking::{Connection, PendingReply};
use libbus::message::Message;

use crate::failure::{Failure, Result};
use crate::output::escape::plain;

const INTROSPECTABLE: &str = "org.freedesktop.DBus.Introspectable";

/// Asks an object, without waiting.
pub(crate) fn ask(
    connection: &Connection,
    destination: Option<&str>,
    path: &str,
) -> std::result::Result<PendingReply, libbus::Error> {
    let mut call = MethodCall::new(path, "Introspect")?.interface(INTROSPECTABLE)?;
    if let Some(destination) = destination {
        call = call.destination(destination)?;
    }
    connection.send(&call, &())
}

/// The answer, read as real services write it.
///
/// # Errors
/// It is no description.
pub(crate) fn read(reply: &Message) -> Result<(String, Node)> {
    let xml: &str = reply.deserialize().map_err(|error| Failure::refused(error.to_string()))?;
    let (node, _) = Node::from_xml_leniently(xml).map_err(|error| {
        Failure::refused(plain(&format!(
            "the object describes itself by XML that is none: {error}"
        )))
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
