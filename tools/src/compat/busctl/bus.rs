//! The connection, and what errors are called.

use std::io::IsTerminal;
use std::time::Duration;

use libbus::address::Address;
use libbus::blocking::{Builder, Connection};
use libbus::message::Message;
use libbus::wire_types::DynamicType;
use libbus::{Error, MethodCall, SystemError};
use rustix::io::Errno;
use serde::Serialize;

use super::super::c_numbers::words_of;
use super::options::{Options, Transport, timeout};
use super::{Failed, Result, because};
use crate::output::escape;

/// The one who is asked, what of it, and which interface has that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) service: &'a str,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
}

/// # Errors
/// The bus cannot be reached.
pub(super) fn connect(options: &Options) -> Result<Connection> {
    builder(options)?.build().map_err(|error| unreachable(&error))
}

/// # Errors
/// No bus is meant, or its address is none.
pub(super) fn builder(options: &Options) -> Result<Builder> {
    let builder = match (&options.address, &options.transport) {
        (Some(address), _) => Builder::address(address),
        (None, Transport::Local) => local(options.is_user),
        (None, Transport::Remote(host)) => Builder::ssh(host),
        (None, Transport::Machine(machine)) => match of_machine(machine, options.is_user)? {
            Some(address) => Builder::address(&address.to_string()),
            None => local(options.is_user),
        },
        (None, Transport::Capsule(name)) => {
            let path = format!("/run/capsules/{name}/bus");
            Builder::address(&Address::new("unix").with("path", path).to_string())
        }
    };
    let builder = builder.map_err(|error| unreachable(&error))?;
    Ok(match options.waits_for_bus {
        true => builder.wait_for_bus(Duration::MAX),
        false => builder,
    })
}

fn local(is_user: bool) -> libbus::Result<Builder> {
    if is_user { Builder::session() } else { Builder::system() }
}

/// By a program that systemd starts in the container: `[USER@]CONTAINER`, where `.host` is this machine. Nothing, if
/// that is oneself, on this machine.
fn of_machine(machine: &str, is_user: bool) -> Result<Option<Address>> {
    let (user, container) = match machine.split_once('@') {
        Some((user, container)) => (Some(user).filter(|user| !user.is_empty()), container),
        None => (None, machine),
    };
    if user.is_none() && container.is_empty() {
        let why = words_of(Errno::INVAL);
        return Err(because(format!("Failed to connect to bus: {why}")));
    }
    let container = if container.is_empty() { ".host" } else { container };
    if container == ".host" && user.is_none() {
        return Ok(None);
    }
    let mut words = vec![format!("-M{container}"), "-PGq".to_owned(), "--wait".to_owned()];
    words.extend([format!("-pUser={}", user.unwrap_or("root")), "-pPAMName=login".to_owned()]);
    words.push("systemd-stdio-bridge".to_owned());
    // The shell of the user there knows where that is.
    words.extend(is_user.then(|| "-punix:path=${XDG_RUNTIME_DIR}/bus".to_owned()));
    let address = Address::new("unixexec").with("path", "systemd-run");
    Ok(Some(
        (1..)
            .zip(words)
            .fold(address, |address, (index, word)| address.with(&format!("argv{index}"), word)),
    ))
}

pub(super) fn unreachable(error: &Error) -> Failed {
    const OTHERS: &str =
        "(consider using --machine=<user>@.host --user to connect to bus of other user)";
    match error {
        Error::NoAddress(_) => because(format!(
            "Failed to set bus address: $DBUS_SESSION_BUS_ADDRESS and $XDG_RUNTIME_DIR not defined {OTHERS}"
        )),
        error => because(format!("Failed to connect to bus: {}", text_of(error))),
    }
}

/// What is said of an error of the bus, of a service, or of the connection.
pub(super) fn text_of(error: &Error) -> String {
    match error {
        Error::Method(method) => {
            let has_text = method.message().signature().as_str().starts_with('s');
            match method.name() {
                "org.freedesktop.DBus.Error.AccessDenied" => "Access denied".to_owned(),
                _ if has_text => method.text().to_owned(),
                name => words_of(Errno::from_raw_os_error(SystemError::from_name(name).number())),
            }
        }
        Error::TimedOut(_) => words_of(Errno::TIMEDOUT),
        Error::Name(_) | Error::Send(_) | Error::MatchRule(_) => words_of(Errno::INVAL),
        Error::Closed => words_of(Errno::CONNRESET),
        // There is nobody at an address that is none.
        Error::Address(_) => words_of(Errno::CONNREFUSED),
        Error::Connect { error, .. } | Error::Io(error) => libbus::host::phrase(error),
        other => other.to_string(),
    }
}

/// A text of others: as it is where a program reads it; nothing of it drives a terminal.
pub(super) fn shown(text: &str, stream: &impl IsTerminal) -> String {
    match stream.is_terminal() {
        true => text.split('\n').map(escape::plain).collect::<Vec<_>>().join("\n"),
        false => text.to_owned(),
    }
}

/// How long one waits for a reply where nothing is said.
pub(super) fn usual_timeout() -> Duration {
    const USUAL: Duration = Duration::from_secs(25);
    let said = std::env::var("SYSTEMD_BUS_TIMEOUT").ok();
    said.and_then(|text| timeout(&text).ok().flatten()).unwrap_or(USUAL)
}

/// Calls, and waits as long as is usual.
///
/// # Errors
/// As [`Connection::call`].
pub(super) fn ask<T>(
    connection: &Connection,
    place: Place<'_>,
    member: &str,
    arguments: &T,
) -> libbus::Result<Message>
where
    T: Serialize + DynamicType + ?Sized,
{
    let call = method_call(place, member)?.timeout(Some(usual_timeout()));
    connection.call(&call, arguments)
}

pub(super) fn method_call<'a>(place: Place<'a>, member: &'a str) -> libbus::Result<MethodCall<'a>> {
    let call = MethodCall::new(place.path, member)?;
    call.destination(place.service)?.interface(place.interface)
}
