//! Who listens, whether that is a bus, and whether it lets this user in: the steps beyond the socket's file.

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use libbus::address::{Address, ConnectAddress};
use libbus::host::phrase;

use super::listener::Listener;
use super::person::{Outside, Person};
use super::report::{Check, Report, Verdict};
use super::setting::Scope;
use super::{Case, bounded, greeting, mend, proof};

/// How the kernel numbers users who have no number in a user namespace.
const NOBODY: u32 = 65534;

/// A connected socket that has said nothing.
pub(super) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

pub(super) fn examine(
    case: &Case,
    address: &Address,
    target: &ConnectAddress,
    report: &mut Report,
) {
    let mut listener = Listener::default();
    let first = report.checks.len();
    if let Some(stream) = connect(case, target) {
        let stream = match stream {
            Ok(stream) => stream,
            Err(check) => return report.push(check),
        };
        report.push(Check::ok("connection", "somebody listens"));
        if let Stream::Unix(stream) = &stream {
            listener = Listener::of(stream);
            report.push(listener.check(case));
        }
        let check = proof::check(case, address, stream, &listener);
        let is_refused = check.verdict == Verdict::Wrong;
        report.push(check);
        if is_refused {
            return blame_owner(case, &listener, report, first);
        }
    }
    let (check, is_usable) = greeting::check(case, address, &listener);
    report.is_usable = is_usable;
    report.push(check);
    if !report.is_usable {
        blame_owner(case, &listener, report, first);
    }
}

/// That a session's bus is another user's is mostly why it refuses.
fn blame_owner(case: &Case, listener: &Listener, report: &mut Report, first: usize) {
    let Some(owner) = listener.uid.filter(|uid| *uid != case.person.uid) else { return };
    let is_unknown = case.person.outside != Outside::Same && owner == NOBODY;
    if case.scope != Scope::Session || is_unknown {
        return;
    }
    let checks = report.checks.iter_mut().skip(first);
    for check in checks.filter(|check| check.name == "listener") {
        check.verdict = Verdict::Wrong;
        check.saw.push_str(&format!(
            ": the bus of another user, you are {}",
            Person::describe(case.person.uid)
        ));
        check.mends.extend(mend::other_user(&case.person, owner));
    }
}

/// Nothing for what is started anew by each who connects.
pub(super) fn connect(case: &Case, target: &ConnectAddress) -> Option<Result<Stream, Check>> {
    let patience = case.patience();
    let connected = match target.clone() {
        ConnectAddress::UnixPath(path) => {
            let path = PathBuf::from(os(&path));
            bounded(patience, move || UnixStream::connect(path).map(Stream::Unix))
        }
        ConnectAddress::UnixAbstract(name) => bounded(patience, move || {
            let address = SocketAddr::from_abstract_name(name)?;
            UnixStream::connect_addr(&address).map(Stream::Unix)
        }),
        ConnectAddress::Tcp { host, port, .. } => {
            bounded(patience, move || connect_tcp(&host, port.get(), patience))
        }
        _ => return None,
    };
    Some(match connected {
        Some(Ok(stream)) => Ok(stream),
        Some(Err(error)) => Err(not_connected(case, target, &error)),
        None => Err(Check::wrong(
            "connection",
            format!(
                "nobody accepts within {}: who listens is stopped or has too much to do",
                seconds(patience)
            ),
        )
        .mends(mend::restart(case, None))),
    })
}

fn os(bytes: &[u8]) -> OsString {
    OsStr::from_bytes(bytes).to_owned()
}

fn connect_tcp(host: &str, port: u16, patience: Duration) -> io::Result<Stream> {
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => return Ok(Stream::Tcp(stream)),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn not_connected(case: &Case, target: &ConnectAddress, error: &io::Error) -> Check {
    const NAME: &str = "connection";
    let why = phrase(error);
    match (error.kind(), target) {
        (io::ErrorKind::ConnectionRefused, ConnectAddress::UnixPath(path)) => {
            let saw = format!(
                "{why}: nobody listens any more, the bus has ended and its socket is left over"
            );
            Check::wrong(NAME, saw).mends(mend::stale(case, Some(Path::new(&os(path)))))
        }
        (io::ErrorKind::ConnectionRefused, ConnectAddress::UnixAbstract(_)) => {
            let saw = format!(
                "{why}: nobody listens, the bus has ended or is in another network namespace"
            );
            Check::wrong(NAME, saw).mends(mend::stale(case, None))
        }
        (io::ErrorKind::ConnectionRefused, _) => {
            Check::wrong(NAME, format!("{why}: nobody listens there")).mends(mend::start(case))
        }
        (io::ErrorKind::PermissionDenied, _) => {
            let saw = format!("{why}, although the file allows it: a security module decides");
            Check::wrong(NAME, saw).mends(mend::security_module())
        }
        _ => Check::wrong(NAME, why).mends(mend::address(case)),
    }
}

/// A length of time, for people.
pub(super) fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}
