//! `dbus-send` (tools.md D045–D047, D074).

mod arguments;
mod contents;

use std::ffi::OsString;
use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use libbus::blocking::{Builder, Connection};
use libbus::host::phrase;
use libbus::message::Message;
use libbus::names::{BusName, InterfaceName, MemberName, ObjectPath};
use libbus::{Error, MethodCall};

use self::arguments::{Bus, Kind, Parsed, Request, USAGE};
use super::libdbus::{connect_text, error_parts};
use super::print_message::Form;
use crate::clock::now;
use crate::value::Arguments;

/// Of RequestName: the name is not waited for (protocol.md A130), and it is had now (A131).
const DO_NOT_QUEUE: u32 = 4;
const PRIMARY_OWNER: u32 = 1;

/// Sends one message, and prints the reply if it is asked for.
pub(super) fn run(words: &[OsString]) -> ExitCode {
    let done = match arguments::parse(words) {
        Ok(Parsed::Help) => {
            complain!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Ok(Parsed::Request(request)) => send(&request),
        Err(text) => Err(text),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            complain!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn send(request: &Request<'_>) -> Result<(), String> {
    let (interface, member) = check(request)?;
    let connection = connect(&request.bus)?;
    if let Some(name) = request.sender {
        request_name(&connection, name)?;
    }
    let arguments =
        contents::parse(&request.contents).map_err(|text| format!("dbus-send: {text}"))?;
    let sent = match request.kind {
        Kind::MethodCall => call(request, &connection, interface, member, &arguments),
        Kind::Signal => emit(request, &connection, interface, member, &arguments).map(|()| None),
    };
    let reply = sent.map_err(|error| {
        let (name, text) = error_parts(&error);
        format!("Error {name}: {text}")
    })?;
    match (reply, request.reply) {
        (Some(reply), Some(form)) => print(&reply, form),
        (None, Some(_)) => {
            // deviation: dbus-send waits until the time is over for a reply that nobody gives to a signal.
            Err("Error org.freedesktop.DBus.Error.NoReply: a signal has no reply".to_owned())
        }
        (_, None) => Ok(()),
    }
}

/// Interface and member, all names being valid.
fn check<'w>(request: &Request<'w>) -> Result<(&'w str, &'w str), String> {
    if ObjectPath::parse(request.path).is_err() {
        return Err(format!("Object path was not valid: '{}'", request.path));
    }
    let (interface, member) = request.name.rsplit_once('.').ok_or_else(|| {
        let name = request.name;
        format!("Must use org.mydomain.Interface.Signal notation, no dot in \"{name}\"")
    })?;
    if InterfaceName::parse(interface).is_err() {
        return Err(format!("Interface name was not valid: '{interface}'"));
    }
    if MemberName::parse(member).is_err() {
        return Err(format!("Invalid signal name: Member name was not valid: '{member}'"));
    }
    Ok((interface, member))
}

fn connect(bus: &Bus<'_>) -> Result<Connection, String> {
    let (name, builder) = match bus {
        Bus::Session => ("session", Builder::session()),
        Bus::System => ("system", Builder::system()),
        Bus::Address(address) => (*address, Builder::address(address)),
        Bus::Peer(address) => (*address, Builder::address(address).map(Builder::p2p)),
    };
    builder.and_then(Builder::build).map_err(|error| {
        format!("Failed to open connection to \"{name}\" message bus: {}", connect_text(&error))
    })
}

/// The bus is asked as it is typed, and says itself what is wrong with a name.
fn request_name(connection: &Connection, name: &str) -> Result<(), String> {
    match connection.bus().call::<_, u32>("RequestName", &(name, DO_NOT_QUEUE)) {
        Ok(PRIMARY_OWNER) => Ok(()),
        Ok(_) => Err(format!("Requested name \"{name}\" already has owner")),
        Err(error) => {
            let text = connect_text(&error);
            Err(format!("Failed to request sender name \"{name}\": {text}"))
        }
    }
}

fn call(
    request: &Request<'_>,
    connection: &Connection,
    interface: &str,
    member: &str,
    arguments: &Arguments,
) -> Result<Option<Message>, Error> {
    let mut call = MethodCall::new(request.path, member)?.interface(interface)?;
    if let Some(destination) = request.destination {
        call = call.destination(destination)?;
    }
    if let Some(timeout) = request.timeout {
        call = call.timeout(Some(timeout));
    }
    match request.reply {
        Some(_) => connection.call(&call, arguments).map(Some),
        // tools.md D074: the service is told that nobody waits for its reply, and the call is written when this
        // returns.
        None => connection.call_no_reply(&call, arguments).map(|()| None),
    }
}

fn emit(
    request: &Request<'_>,
    connection: &Connection,
    interface: &str,
    member: &str,
    arguments: &Arguments,
) -> Result<(), Error> {
    let destination = request.destination.map(BusName::parse).transpose()?;
    connection.emit_signal(destination, request.path, interface, member, arguments)?;
    connection.flush()
}

fn print(reply: &Message, form: Form) -> Result<(), String> {
    let text = form.message(reply, now());
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Who does not read it misses nothing.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| format!("dbus-send: {}", phrase(&error))),
    }
}
