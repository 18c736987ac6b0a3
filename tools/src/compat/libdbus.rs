//! What the commands of dbus say alike, since it is their library that says it: why a bus cannot be reached, and what
//! an error is called that did not come as a message.

use std::io::{ErrorKind, IsTerminal as _, Write as _};

use libbus::Error;
use libbus::address::{Address, ConnectAddress};
use libbus::host::phrase;

use crate::output::escape::plain;

/// Why there is no connection: [`shown`], since who is reached may say it.
pub(crate) fn connect_text(error: &Error) -> String {
    shown(&match error {
        Error::Method(error) => error.text().to_owned(),
        Error::Connect { address, error } => match target(address) {
            Some(target) => format!("Failed to connect to socket {target}: {}", phrase(error)),
            None => format!("Failed to connect to {address}: {}", phrase(error)),
        },
        Error::Io(error) => phrase(error),
        other => other.to_string(),
    })
}

/// A socket's address as these commands show it.
fn target(address: &str) -> Option<String> {
    match Address::parse(address).ok()?.connect().ok()? {
        ConnectAddress::UnixPath(name) | ConnectAddress::UnixAbstract(name) => {
            Some(String::from_utf8_lossy(&name).into_owned())
        }
        ConnectAddress::Tcp { host, port, .. } | ConnectAddress::NonceTcp { host, port, .. } => {
            Some(format!("\"{host}\" port {port}"))
        }
        _ => None,
    }
}

/// The name of an error and what it says, [`shown`].
pub(crate) fn error_parts(error: &Error) -> (String, String) {
    let name = match error {
        Error::Method(error) => {
            let has_text = error.message().signature().as_str().starts_with('s');
            let text = if has_text { error.text() } else { error.name() };
            return (error.name().to_owned(), shown(text));
        }
        Error::TimedOut(_) => "NoReply",
        Error::Connect { error, .. } => match error.kind() {
            ErrorKind::NotFound => "FileNotFound",
            ErrorKind::ConnectionRefused => "NoServer",
            ErrorKind::PermissionDenied => "AccessDenied",
            _ => "Failed",
        },
        Error::NoAddress(_) => "NotSupported",
        Error::Address(_) => "BadAddress",
        error if error.is_disconnected() => "Disconnected",
        Error::Name(_) | Error::Send(_) | Error::Type(_) => "InvalidArgs",
        _ => "Failed",
    };
    (format!("org.freedesktop.DBus.Error.{name}"), connect_text(error))
}

/// What others say: as it is, but for what could drive a terminal where standard error is one.
pub(crate) fn shown(text: &str) -> String {
    if std::io::stderr().is_terminal() { plain(text) } else { text.to_owned() }
}

/// What `--version` says of a command.
pub(crate) fn version(name: &str) -> String {
    format!("{name} {}", env!("CARGO_PKG_VERSION"))
}

/// Prints what was asked for; if nobody reads it there is nobody to tell.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
