//! Sockets and directories that a daemon gets from whoever started it.

use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::path::PathBuf;

use libbus::address::Address;
use libbus::host::tcp;
use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, getsockname, sockopt};

use super::{ListenFailure, Listener, ListenerKind, new_guid};
use crate::host::system_call::{
    adopt_inherited_fd, clear_socket_option, remove_environment_variable,
};

/// The first descriptor that a service manager hands over, as sd_listen_fds(3) has it.
const FIRST_FD: RawFd = 3;
/// More sockets than this are not looked at.
const FDS_MAX: RawFd = 1024;

/// What listening depends on beside the address.
#[derive(Debug)]
pub struct ListenContext {
    /// `XDG_RUNTIME_DIR`, for `unix:runtime=yes`.
    pub runtime_directory: Option<PathBuf>,
    /// Where nonce files go.
    pub temporary_directory: PathBuf,
    /// The sockets for `systemd:`; the first such address takes them all.
    pub inherited: Vec<OwnedFd>,
}

impl ListenContext {
    /// Reads this process's environment and takes the descriptors of `LISTEN_FDS` if `LISTEN_PID`
    /// is this process; then removes the variables, which are for no program started from here
    /// (protocol.md A109). Call once, before any descriptor is opened or thread started.
    #[must_use]
    pub fn from_process() -> Self {
        let inherited = inherited_fds();
        for variable in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
            remove_environment_variable(variable);
        }
        Self {
            runtime_directory: std::env::var_os("XDG_RUNTIME_DIR")
                .filter(|directory| !directory.is_empty())
                .map(PathBuf::from),
            temporary_directory: std::env::temp_dir(),
            inherited,
        }
    }

    /// A listener for each socket; each has its own guid.
    pub(super) fn take_listeners(&mut self) -> Result<Vec<Listener>, ListenFailure> {
        if self.inherited.is_empty() {
            return Err(ListenFailure::NoSocketReceived);
        }
        std::mem::take(&mut self.inherited).into_iter().map(listener).collect()
    }
}

fn inherited_fds() -> Vec<OwnedFd> {
    let number = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    if number("LISTEN_PID") != Some(std::process::id()) {
        return Vec::new();
    }
    let count = number("LISTEN_FDS").and_then(|count| RawFd::try_from(count).ok()).unwrap_or(0);
    (FIRST_FD..)
        .take(count.min(FDS_MAX) as usize)
        .filter_map(|fd| adopt_inherited_fd(fd).ok())
        .collect()
}

fn listener(fd: OwnedFd) -> Result<Listener, ListenFailure> {
    let (kind, address) = usable_socket(&fd).map_err(ListenFailure::UnusableSocket)?;
    Ok(Listener::new(fd, kind, address, new_guid()?, None))
}

/// Makes an inherited socket as our own would be, and finds out what clients connect to.
fn usable_socket(fd: &OwnedFd) -> io::Result<(ListenerKind, Address)> {
    let refused = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    if sockopt::socket_type(fd)? != SocketType::STREAM || !sockopt::socket_acceptconn(fd)? {
        return refused("it is not a listening stream socket");
    }
    fcntl_setfd(fd, FdFlags::CLOEXEC)?;
    ioctl_fionbio(fd, true)?;
    // Accepted sockets inherit these, and every read would bring what nobody asked for: with the
    // last one a descriptor. Where the kernel does not know an option, it is not set.
    for option in [libc::SO_PASSCRED, libc::SO_PASSSEC, libc::SO_PASSPIDFD] {
        let _ = clear_socket_option(fd.as_fd(), option);
    }
    let name = getsockname(fd)?;
    match sockopt::socket_domain(fd)? {
        AddressFamily::UNIX => {
            let name = SocketAddrUnix::try_from(name)?;
            unix_address(&name)
                .map(|address| (ListenerKind::Unix, address))
                .map_or_else(|| refused("it has no name"), Ok)
        }
        AddressFamily::INET | AddressFamily::INET6 => {
            let name = std::net::SocketAddr::try_from(name)?;
            Ok((ListenerKind::Tcp, tcp::address(&name.ip().to_string(), &[name])))
        }
        _ => refused("it is neither a Unix nor a TCP socket"),
    }
}

fn unix_address(name: &SocketAddrUnix) -> Option<Address> {
    let address = Address::new("unix");
    if let Some(name) = name.abstract_name() {
        return Some(address.with("abstract", name));
    }
    Some(address.with("path", name.path()?.to_bytes()))
}
