//! Starting dbus-broker without the service manager.
//!
//! dbus-broker is told where to listen by its controller, over a socket that it inherits. The
//! controller authenticates as a client does, says no Hello, and calls `AddListener` with the path
//! of the listener's object, a listening socket that must not block, and the policy.
//!
//! The policy's type is that of version 33: for each uid (all bits set: the default) and for each
//! range of uids and gids a batch of connect, own, send and receive verdicts with priorities; then
//! SELinux names, whether AppArmor is used, and the type of the bus.

use std::fs::{self, Permissions};
use std::num::NonZeroU32;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use libbus::names::{BusName, InterfaceName, MemberName, ObjectPath};
use libbus::wire::{BodyWriter, Header, MessageType, Signature, write_message};

use crate::failure::{Result, fail};
use crate::load::Client;

/// The controller's socket is standard input; limits that no workload reaches.
pub(crate) const ARGUMENTS: [&str; 12] = [
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

const POLICY: Signature<'static> = Signature::from_static(
    "(a(u(bta(btbs)a(btssssuutt)a(btssssuutt)))a(buu(bta(btbs)a(btssssuutt)a(btssssuutt)))a(ss)bs)",
);
const OF_UID: Signature<'static> =
    Signature::from_static("(u(bta(btbs)a(btssssuutt)a(btssssuutt)))");
const OF_RANGE: Signature<'static> =
    Signature::from_static("(buu(bta(btbs)a(btssssuutt)a(btssssuutt)))");
const OWN: Signature<'static> = Signature::from_static("(btbs)");
const TRANSFER: Signature<'static> = Signature::from_static("(btssssuutt)");
const LABEL: Signature<'static> = Signature::from_static("(ss)");

/// The controller's end and the broker's.
pub(crate) fn controller_sockets() -> Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = UnixStream::pair()?;
    Ok((ours.into(), theirs.into()))
}

/// The controller of a running broker; the broker ends with it.
#[derive(Debug)]
pub(crate) struct Controller {
    _connection: Client,
}

impl Controller {
    /// Has the broker listen at `path` and allow everything.
    pub(crate) fn add_listener(socket: OwnedFd, path: &Path) -> Result<Self> {
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        // As other buses do: who may connect is a matter of the policy.
        fs::set_permissions(path, Permissions::from_mode(0o777))?;
        let mut connection = Client::new(socket)?;
        connection.authenticate()?;
        connection.send_with_fd(&add_listener_call(), listener.as_fd())?;
        loop {
            let message = connection.receive()?;
            match message.start.kind {
                MessageType::MethodReturn => return Ok(Self { _connection: connection }),
                MessageType::Error => {
                    return fail("refuses AddListener: this benchmark knows version 33's policy");
                }
                _ => {}
            }
        }
    }
}

fn add_listener_call() -> Vec<u8> {
    let mut header = Header::new(MessageType::MethodCall, NonZeroU32::MIN);
    header.path = Some(ObjectPath::from_static("/org/bus1/DBus/Broker"));
    header.interface = Some(InterfaceName::from_static("org.bus1.DBus.Broker"));
    header.member = Some(MemberName::from_static("AddListener"));
    header.destination = Some(BusName::from_static("org.bus1.DBus.Broker"));
    header.signature = Signature::from_static("ohv");
    header.unix_fds = 1;
    let mut bytes = Vec::new();
    write_message(&header, &mut bytes, |body| {
        body.object_path(const { ObjectPath::from_static("/org/bus1/DBus/Listener/0") });
        body.unix_fd(0);
        body.variant(POLICY, |value| value.structure(write_policy));
    });
    bytes
}

fn write_policy(policy: &mut BodyWriter<'_>) {
    policy.array(OF_UID, |entries| {
        entries.structure(|entry| {
            entry.uint32(u32::MAX);
            entry.structure(write_batch);
        });
    });
    policy.array(OF_RANGE, |_| {});
    policy.array(LABEL, |_| {});
    policy.boolean(false);
    policy.string("user");
}

/// Everything is allowed.
fn write_batch(batch: &mut BodyWriter<'_>) {
    write_verdict(batch);
    batch.array(OWN, |rules| {
        rules.structure(|rule| {
            write_verdict(rule);
            rule.boolean(true);
            rule.string("");
        });
    });
    batch.array(TRANSFER, |rules| rules.structure(write_transfer));
    batch.array(TRANSFER, |rules| rules.structure(write_transfer));
}

/// Allowed, with the lowest priority there is.
fn write_verdict(rule: &mut BodyWriter<'_>) {
    rule.boolean(true);
    rule.uint64(1);
}

/// Any name, path, interface, member, type, broadcast or not, any number of descriptors.
fn write_transfer(rule: &mut BodyWriter<'_>) {
    write_verdict(rule);
    for _ in 0..4 {
        rule.string("");
    }
    rule.uint32(0);
    rule.uint32(0);
    rule.uint64(0);
    rule.uint64(u64::MAX);
}
