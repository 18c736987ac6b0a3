//! Sockets that a service manager hands over, as `sd_listen_fds(3)` has it (protocol.md A109).

use std::env;
use std::io;
use std::os::fd::{OwnedFd, RawFd};

use rustix::io::ioctl_fionbio;
use rustix::net::{SocketType, getpeername, sockopt};

use super::Socket;
use crate::system_call::{Process, inherited};

/// The first descriptor that is handed over.
const FIRST_FD: RawFd = 3;
/// More are not looked at.
const FDS_MAX: RawFd = 1024;

/// The listening sockets of that name, or all if none is said.
///
/// # Errors
/// There is none.
pub(crate) fn listening(name: Option<&str>) -> io::Result<Vec<OwnedFd>> {
    let mut sockets = of_name(name)?;
    sockets.retain(|socket| sockopt::socket_acceptconn(socket).unwrap_or(false));
    sockets.iter().try_for_each(|socket| ioctl_fionbio(socket, true))?;
    match sockets.is_empty() {
        true => Err(none("that listens", name)),
        false => Ok(sockets),
    }
}

/// The first connected socket of that name, or of all if none is said.
///
/// # Errors
/// There is none.
pub(crate) fn connected(name: Option<&str>) -> io::Result<Socket> {
    let is_connected = |socket: &OwnedFd| getpeername(socket).is_ok_and(|peer| peer.is_some());
    let found = of_name(name)?.into_iter().find(is_connected);
    let mut socket = Socket::new(found.ok_or_else(|| none("that is connected", name))?)?;
    socket.shared_by = Some(Process::current());
    Ok(socket)
}

fn none(which: &str, name: Option<&str>) -> io::Error {
    let name = name.map_or_else(String::new, |name| format!(" named '{name}'"));
    let text = format!("$LISTEN_FDS hands no socket{name} over {which}");
    io::Error::new(io::ErrorKind::NotFound, text)
}

/// Stream sockets that were handed to this process. One may be asked for again, which is another copy.
fn of_name(name: Option<&str>) -> io::Result<Vec<OwnedFd>> {
    let number = |name| env::var(name).ok()?.parse::<u32>().ok();
    if number("LISTEN_PID") != Some(std::process::id()) {
        return Ok(Vec::new());
    }
    let count = number("LISTEN_FDS").and_then(|count| RawFd::try_from(count).ok()).unwrap_or(0);
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut sockets = Vec::new();
    let mut names = names.split(':');
    for fd in (FIRST_FD..).take(count.min(FDS_MAX) as usize) {
        let its_name = names.next();
        if name.is_none() || name == its_name {
            let socket = inherited(fd)?;
            if sockopt::socket_type(&socket).is_ok_and(|kind| kind == SocketType::STREAM) {
                sockets.push(socket);
            }
        }
    }
    Ok(sockets)
}
