//! Connecting to addresses (protocol.md A102–A114).

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::sockopt::{set_tcp_nodelay, socket_error};
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, send, socket_with,
    socketpair,
};

use super::Socket;
use crate::host::tcp::NONCE_SIZE;

/// What waits for the end of a program needs hardly any room, in bytes.
const WAITING_STACK_SIZE: usize = 64 * 1024;

const CONNECTING: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

/// Connects to a Unix socket, which does not wait. Nothing: as many wait there to be let in as may, and it is to be tried
/// again.
///
/// # Errors
/// Nobody listens there, or the system has no room for a socket.
pub(crate) fn connect_unix(address: &SocketAddrUnix) -> io::Result<Option<Socket>> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, CONNECTING, None)?;
    match connect(&socket, address) {
        Ok(()) => {}
        // A socket that waits would do so here, for however long the other end lets in nobody.
        Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    ioctl_fionbio(&socket, false)?;
    Socket::new(socket).map(Some)
}

/// Begins to connect to a TCP address. Once the socket can be written [`end_tcp`] tells what came of it.
///
/// # Errors
/// Nothing can be reached from here, or the system has no room for a socket.
pub(crate) fn begin_tcp(address: &SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, CONNECTING, None)?;
    match connect(&socket, address) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

/// What came of it.
///
/// # Errors
/// Nobody listens there, or it cannot be reached.
pub(crate) fn end_tcp(socket: OwnedFd) -> io::Result<OwnedFd> {
    socket_error(&socket)??;
    Ok(socket)
}

/// What a `nonce-tcp:` client says first (protocol.md A112).
///
/// # Errors
/// The file cannot be read, or is too short.
pub(crate) fn read_nonce(path: &[u8]) -> io::Result<[u8; NONCE_SIZE]> {
    let path = Path::new(OsStr::from_bytes(path));
    let mut nonce = [0; NONCE_SIZE];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut nonce));
    read.map(|()| nonce).map_err(|error| {
        io::Error::new(error.kind(), format!("nonce file {}: {error}", path.display()))
    })
}

/// Says it on a new connection, which has room for it, and makes a socket of that.
///
/// # Errors
/// The connection failed.
pub(crate) fn say_nonce(socket: OwnedFd, nonce: &[u8]) -> io::Result<Socket> {
    // Each write is a whole burst.
    set_tcp_nodelay(&socket, true)?;
    if !nonce.is_empty() && send(&socket, nonce, SendFlags::NOSIGNAL)? != nonce.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    ioctl_fionbio(&socket, false)?;
    Socket::new(socket)
}

/// Starts a program whose standard input and output are the other end. It sees the end of its input when the
/// connection is over.
///
/// # Errors
/// There is no such program, or the system has no room for one.
pub(crate) fn start(path: &[u8], argv: &[Vec<u8>]) -> io::Result<Socket> {
    let flags = SocketFlags::CLOEXEC;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let mut command = Command::new(OsStr::from_bytes(path));
    let mut arguments = argv.iter().map(|argument| OsStr::from_bytes(argument));
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    let output: OwnedFd = theirs.try_clone()?;
    command.args(arguments).stdin(Stdio::from(theirs)).stdout(Stdio::from(output));
    let socket = Socket::new(ours)?;
    wait_for_end(command.spawn()?)?;
    Ok(socket)
}

/// A thread waits for the end of a program, however it comes: nothing is left of one that has ended.
fn wait_for_end(mut child: Child) -> io::Result<()> {
    let waiting = thread::Builder::new().name("libbus-child".to_owned());
    // It sees the end of its input if there is no thread for it, and is left to itself.
    let wait = move || drop(child.wait());
    waiting.stack_size(WAITING_STACK_SIZE).spawn(wait).map(drop)
}
