//! dbus-broker without the service manager.
//!
//! It is told where to listen by its controller, over a socket that it inherits as standard input. The
//! controller authenticates as a client does, says no Hello, and calls `AddListener` with the path of the
//! listener's object, a listening socket that must not block, and the policy, whose type is that of version 33.
//! It reads no configuration and starts no services: limits are arguments, and activation is its launcher's.

use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use libbus::blocking::{Builder, Connection};
use libbus::wire_types::{Fd, ObjectPath, as_variant};

/// Limits that no test reaches.
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
    "1000000",
    "--max-objects",
    "1000000",
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

/// What a broker is started with, and the controller's end of its socket.
pub(super) fn prepare(command: &mut Command) -> OwnedFd {
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    command.args(ARGUMENTS).stdin(Stdio::from(OwnedFd::from(theirs)));
    ours.into()
}

/// Has the broker listen at `path` and allow everything. It ends with the connection.
pub(super) fn control(socket: OwnedFd, path: &Path) -> Connection {
    let listener = UnixListener::bind(path).expect("a listening socket");
    listener.set_nonblocking(true).expect("a socket that does not block");
    let controller = Builder::socket(socket).p2p().build().expect("a broker that answers");
    let object = ObjectPath::try_from("/org/bus1/DBus/Listener/0").expect("a path");
    let arguments = (object, Fd::from(&listener), as_variant::Serialize(&everything()));
    let broker = "org.bus1.DBus.Broker";
    controller
        .call_method(Some(broker), "/org/bus1/DBus/Broker", Some(broker), "AddListener", &arguments)
        .expect("a broker of version 33");
    controller
}

fn everything() -> Policy {
    const ALLOWED: Verdict = (true, 1);
    let (allowed, priority) = ALLOWED;
    let transfer = (allowed, priority, "", "", "", "", 0, 0, 0, u64::MAX);
    let own = (allowed, priority, true, "");
    let batch = (allowed, priority, vec![own], vec![transfer], vec![transfer]);
    (vec![(u32::MAX, batch)], Vec::new(), Vec::new(), false, "user")
}
