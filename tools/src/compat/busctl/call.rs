//! Calls, signals, and the values of properties (tools.md D007, D008, D010, D011).

use libbus::blocking::Connection;
use libbus::names::{BusName, InterfaceName, MemberName, ObjectPath};

use super::arguments::{argument, arguments, wrong_message};
use super::bus::{Place, ask, connect, method_call, text_of, usual_timeout};
use super::options::Options;
use super::{Result, because, print};
use crate::value::{Arguments, Value};

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// `SERVICE OBJECT INTERFACE METHOD [SIGNATURE [ARGUMENT...]]`
pub(super) fn call(options: &Options, words: &[String]) -> Result<()> {
    let [service, path, interface, member, rest @ ..] = words else { return Ok(()) };
    let connection = connect(options)?;
    let place = place(service, path, interface)?;
    check_member(member)?;
    let arguments = typed(rest)?;
    let call = method_call(place, member).map_err(|_| wrong_message())?;
    let call = call.auto_start(options.may_start).interactive_authorization(options.may_ask);
    if !options.expects_reply {
        let sent = connection.call_no_reply(&call, &arguments);
        return sent
            .map_err(|error| because(format!("Failed to send message: {}", text_of(&error))));
    }
    let call = call.timeout(Some(options.timeout.unwrap_or_else(usual_timeout)));
    let reply = connection.call(&call, &arguments);
    let reply = reply.map_err(|error| because(format!("Call failed: {}", text_of(&error))))?;
    print::body(options, &reply)
}

/// `OBJECT INTERFACE SIGNAL [SIGNATURE [ARGUMENT...]]`
pub(super) fn emit(options: &Options, words: &[String]) -> Result<()> {
    let [path, interface, member, rest @ ..] = words else { return Ok(()) };
    let connection = connect(options)?;
    let path = ObjectPath::parse(path).map_err(|_| wrong_message())?;
    let interface = InterfaceName::parse(interface).map_err(|_| wrong_message())?;
    let member = MemberName::parse(member).map_err(|_| wrong_message())?;
    let destination = options.destination.as_deref().map(BusName::parse).transpose();
    let destination = destination.map_err(|_| wrong_message())?;
    let arguments = typed(rest)?;
    if let Some(name) = destination.filter(|_| !options.may_start)
        && !connection.bus().call("NameHasOwner", name.as_str()).unwrap_or(true)
    {
        // deviation: systemd sets a flag in the message, so that nobody is started for it. Where nobody is there
        // it goes to nobody, too.
        return Ok(());
    }
    let sent = connection.emit_signal(destination, path, interface, member, &arguments);
    sent.map_err(|error| because(format!("Failed to send signal: {}", text_of(&error))))
}

/// `SERVICE OBJECT INTERFACE PROPERTY...`
pub(super) fn get_property(options: &Options, words: &[String]) -> Result<()> {
    let [service, path, interface, names @ ..] = words else { return Ok(()) };
    let place = Place { interface: PROPERTIES, ..place(service, path, interface)? };
    let connection = connect(options)?;
    names.iter().try_for_each(|name| get(options, &connection, place, interface, name))
}

fn get(
    options: &Options,
    connection: &Connection,
    place: Place<'_>,
    interface: &str,
    name: &str,
) -> Result<()> {
    let reply = ask(connection, place, "Get", &(interface, name)).map_err(|error| {
        let why = text_of(&error);
        because(format!("Failed to get property {name} on interface {interface}: {why}"))
    })?;
    match print::values_of(&reply).first() {
        Some(Value::Variant(value)) => print::value(options, value),
        _ => Err(because("Failed to parse bus message: No such device or address")),
    }
}

/// `SERVICE OBJECT INTERFACE PROPERTY SIGNATURE ARGUMENT...`
pub(super) fn set_property(options: &Options, words: &[String]) -> Result<()> {
    let [service, path, interface, name, signature, rest @ ..] = words else { return Ok(()) };
    let place = Place { interface: PROPERTIES, ..place(service, path, interface)? };
    let connection = connect(options)?;
    let (value, made) = argument(signature, rest)?;
    let value = Value::Variant(Box::new(value));
    let values = vec![Value::String(interface.clone()), Value::String(name.clone()), value];
    let call = method_call(place, "Set").map_err(|_| wrong_message())?;
    let call = call.timeout(Some(options.timeout.unwrap_or_else(usual_timeout)));
    let answered = connection.call(&call, &Arguments { values, ..made });
    answered.map(drop).map_err(|error| {
        let why = text_of(&error);
        because(format!("Failed to set property {name} on interface {interface}: {why}"))
    })
}

/// `[SIGNATURE [ARGUMENT...]]`; where the signature is empty nothing is looked at.
fn typed(words: &[String]) -> Result<Arguments> {
    match words {
        [] => Ok(Arguments::default()),
        [signature, ..] if signature.is_empty() => Ok(Arguments::default()),
        [signature, words @ ..] => arguments(signature, words),
    }
}

/// # Errors
/// One of them is none.
pub(super) fn place<'a>(service: &'a str, path: &'a str, interface: &'a str) -> Result<Place<'a>> {
    check_service(service)?;
    check_path(path)?;
    check_interface(interface)?;
    Ok(Place { service, path, interface })
}

/// # Errors
/// It is none.
pub(super) fn check_service(service: &str) -> Result<()> {
    let wrong = |_| because(format!("Invalid service name: {service}"));
    BusName::parse(service).map(drop).map_err(wrong)
}

/// # Errors
/// It is none.
pub(super) fn check_path(path: &str) -> Result<()> {
    ObjectPath::parse(path).map(drop).map_err(|_| because(format!("Invalid object path: {path}")))
}

/// # Errors
/// It is none.
pub(super) fn check_interface(interface: &str) -> Result<()> {
    let wrong = |_| because(format!("Invalid interface name: {interface}"));
    InterfaceName::parse(interface).map(drop).map_err(wrong)
}

/// # Errors
/// It is none.
pub(super) fn check_member(member: &str) -> Result<()> {
    let wrong = |_| because(format!("Invalid member name: {member}"));
    MemberName::parse(member).map(drop).map_err(wrong)
}
