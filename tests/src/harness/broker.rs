//! dbus-broker without the service manager.
//!
//! It is told where to listen by its controller, over a socket that it inherits as standard input. The
//! controller authenticates as a client does, says no Hello, and calls `AddListener` with the path of the
//! listener's object, a listening socket that must not block, and the policy, whose type is that of version 33.
//! It reads no configuration and starts no services: limits are arguments, and activation is its launcher's.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use libbus::blocking::{Builder, Connection};
use libbus::wire_types::{Fd, ObjectPath, as_variant};

/// The controller's socket is standard input; limits that no test and no workload reaches.
const ARGUMENTS: [&str; 12] = [
    "--controller",
    "0",
    "--machine-id",
    "00000000000000000000000000000001",
    "--max-bytes",
    "4000000000",
    "--max-fds",
    "1000000",
    "--max-matches",
    "100000000",
    "--max-objects",
    "100000000",
];

/// Whether it is so, and with which priority.
type Verdict = (bool, u64);
/// A verdict about a name, or all that begin with it.
type Own = (bool, u64, bool, &'static str);
/// A verdict about messages: name, path, interface, member, type, broadcast, least and most descriptors.
type Transfer =
    (bool, u64, &'static str, &'static str, &'static str, &'static str, u32, u32, u64, u64);
/// Connecting, owning, sending and receiving.
type Batch = (bool, u64, Vec<Own>, Vec<Transfer>, Vec<Transfer>);
/// For users, for ranges of users and groups; names of SELinux, whether AppArmor is asked, the bus's type.
type Policy = (
    Vec<(u32, Batch)>,
    Vec<(bool, u32, u32, Batch)>,
    Vec<(&'static str, &'static str)>,
    bool,
    &'static str,
);

/// What a broker is started with. Answers with the controller's end of its socket; the command keeps the other one.
///
/// # Errors
/// The system has no room for two sockets.
pub fn prepare(command: &mut Command) -> io::Result<OwnedFd> {
    let (ours, theirs) = UnixStream::pair()?;
    command.args(ARGUMENTS).stdin(Stdio::from(OwnedFd::from(theirs)));
    Ok(ours.into())
}

/// Has the broker listen at `path` and allow everything. It ends with the connection.
///
/// # Errors
/// The place is taken, or the broker refuses the listener: this knows the policy of version 33.
pub fn control(socket: OwnedFd, path: &Path) -> libbus::Result<Connection> {
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    // As other buses do: who may connect is a matter of the policy.
    fs::set_permissions(path, Permissions::from_mode(0o777))?;
    let controller = Builder::socket(socket).p2p().build()?;
    let object = ObjectPath::from_static_str_unchecked("/org/bus1/DBus/Listener/0");
    let arguments = (object, Fd::from(&listener), as_variant::Serialize(&everything()));
    let (broker, path) = ("org.bus1.DBus.Broker", "/org/bus1/DBus/Broker");
    controller.call_method(Some(broker), path, Some(broker), "AddListener", &arguments)?;
    Ok(controller)
}

fn everything() -> Policy {
    const ALLOWED: Verdict = (true, 1);
    let (allowed, priority) = ALLOWED;
    let transfer = (allowed, priority, "", "", "", "", 0, 0, 0, u64::MAX);
    let own = (allowed, priority, true, "");
    let batch = (allowed, priority, vec![own], vec![transfer], vec![transfer]);
    (vec![(u32::MAX, batch)], Vec::new(), Vec::new(), false, "user")
}
