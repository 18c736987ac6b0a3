//! The sockets clients connect to.
//!
//! One `<listen>` element or `--address` is a list of addresses, of which the first that works is
//! used (protocol.md A106); it may open several sockets, since a host name may stand for several IP
//! addresses and a service manager may hand over any number. What was made in the file system is
//! removed when the listener goes, unless somebody else has put something in its place meanwhile.
//! Section: addresses; protocol.md A101-A112.

mod inherited;
mod tcp;

use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use libbus::address::{Address, AddressError, ListenAddress};
use libbus::guid::Guid;
use libbus::host::CreatedFile;
use libbus::host::tcp::NONCE_SIZE;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, socket_with, sockopt,
};

use super::client_socket::Errno;
use super::phrase;
pub use inherited::ListenContext;

/// Connections that may wait to be accepted; the kernel's own bound is lower by default. Small
/// numbers hurt: a non-blocking `connect` to a Unix socket fails when there is no place.
const BACKLOG: i32 = 4096;
/// Connecting needs write permission on the socket; who may use the bus is for the policy to say.
const SOCKET_MODE: u32 = 0o777;
/// A path one byte longer could be bound on Linux, but has no room for the NUL that most clients
/// put behind it.
const PATH_SIZE_MAX: usize = 107;

/// What comes in through a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// Clients with credentials, that can pass descriptors.
    Unix,
    /// Clients nothing is known about.
    Tcp,
    /// As `Tcp`; their first bytes must be these, else they are dropped at once.
    NonceTcp {
        /// The content of the file that the address names.
        nonce: [u8; NONCE_SIZE],
    },
}

/// One listening socket: non-blocking and close-on-exec.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
    kind: ListenerKind,
    connectable: String,
    guid: Guid,
    /// Removed from the file system with the listener.
    created: Option<CreatedFile>,
}

/// Opens the sockets of the first address of a list that works.
///
/// # Errors
/// See [`ListenError`]; nothing stays open or behind.
pub fn listen(addresses: &str, context: &mut ListenContext) -> Result<Vec<Listener>, ListenError> {
    let mut failures = Vec::new();
    for address in Address::parse_list(addresses)? {
        match listen_on(&address.listen()?, context) {
            Ok(listeners) => return Ok(listeners),
            Err(failure) => failures.push(failure),
        }
    }
    Err(ListenError::Failed(failures))
}

/// Whether sockets could be opened for such a list of addresses at all, without opening any.
///
/// # Errors
/// It is no list of addresses, or none that one can listen on.
pub fn check_addresses(addresses: &str) -> Result<(), ListenError> {
    for address in Address::parse_list(addresses)? {
        address.listen()?;
    }
    Ok(())
}

/// The addresses clients can connect to, as the bus prints and exports them: separated by `;`, those
/// of the last `<listen>` first (config.md B017).
#[must_use]
pub fn connectable_addresses(listens: &[Vec<Listener>]) -> String {
    let mut addresses: Vec<&str> =
        listens.iter().rev().flatten().map(|listener| listener.connectable.as_str()).collect();
    // The sockets of one host name share an address.
    addresses.dedup();
    addresses.join(";")
}

/// Takes one waiting client; its socket is non-blocking and close-on-exec.
///
/// # Errors
/// [`Errno::AGAIN`] when nobody waits; `MFILE`, `NFILE`, `NOBUFS` and `NOMEM` when the system has no
/// room now; others concern that one client, who is gone.
pub fn accept(listener: &Listener) -> Result<OwnedFd, Errno> {
    let client = accept_with(&listener.fd, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    if listener.kind != ListenerKind::Unix {
        // Only delay would be lost: messages are written in batches already.
        let _ = sockopt::set_tcp_nodelay(&client, true);
    }
    Ok(client)
}

impl Listener {
    /// What comes in here.
    #[must_use]
    pub const fn kind(&self) -> ListenerKind {
        self.kind
    }

    /// The address that clients connect to, with its guid (protocol.md A101).
    #[must_use]
    pub fn connectable(&self) -> &str {
        &self.connectable
    }

    /// The id of this address; each has its own (protocol.md A100).
    #[must_use]
    pub const fn guid(&self) -> Guid {
        self.guid
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Why no address of a list can be listened on.
#[derive(Debug)]
pub enum ListenError {
    /// The list is malformed, or names something that is no place to listen. The others are not
    /// tried then: the administrator meant something that does not happen.
    Address(AddressError),
    /// Each address failed, in order.
    Failed(Vec<ListenFailure>),
}

impl From<AddressError> for ListenError {
    fn from(error: AddressError) -> Self {
        Self::Address(error)
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(error) => write!(f, "{error}"),
            Self::Failed(failures) => {
                for (index, failure) in failures.iter().enumerate() {
                    write!(f, "{}{failure}", if index == 0 { "" } else { "; " })?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ListenError {}

/// Why one address can not be listened on.
#[derive(Debug)]
pub enum ListenFailure {
    /// The socket at this path or of this name could not be made.
    UnixSocket(PathBuf, io::Error),
    /// `unix:runtime=yes` without `XDG_RUNTIME_DIR`.
    NoRuntimeDirectory,
    /// The host name has no address of the wanted family.
    Resolve(String, io::Error),
    /// The address of a host could not be listened on.
    TcpSocket(String, io::Error),
    /// The file with the secret could not be written.
    NonceFile(PathBuf, io::Error),
    /// `systemd:` without sockets in `LISTEN_FDS`, or for the second time.
    NoSocketReceived,
    /// What the service manager handed over is not a listening Unix or TCP stream socket.
    UnusableSocket(io::Error),
    /// The kernel gave no random bytes.
    Random(io::Error),
}

impl fmt::Display for ListenFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnixSocket(path, error) => {
                write!(f, "Failed to bind socket \"{}\": {}", path.display(), phrase(error))
            }
            Self::NoRuntimeDirectory => f.write_str(
                "unix:runtime=yes needs the environment variable XDG_RUNTIME_DIR, which is not set",
            ),
            Self::Resolve(host, error) => {
                write!(f, "Failed to look up host \"{host}\": {}", phrase(error))
            }
            Self::TcpSocket(address, error) => {
                write!(f, "Failed to bind socket \"{address}\": {}", phrase(error))
            }
            Self::NonceFile(path, error) => {
                write!(f, "Failed to write nonce file \"{}\": {}", path.display(), phrase(error))
            }
            Self::NoSocketReceived => f.write_str(
                "No socket received; systemd: needs a service manager that passes LISTEN_FDS",
            ),
            Self::UnusableSocket(error) => {
                write!(f, "Failed to use the socket received: {}", phrase(error))
            }
            Self::Random(error) => write!(f, "Failed to read random bytes: {}", phrase(error)),
        }
    }
}

fn listen_on(
    address: &ListenAddress,
    context: &mut ListenContext,
) -> Result<Vec<Listener>, ListenFailure> {
    match address {
        ListenAddress::UnixPath(path) => listen_at_path(&path_from(path)),
        ListenAddress::UnixAbstract(name) => listen_on_abstract_name(name),
        ListenAddress::UnixDir(directory) | ListenAddress::UnixTmpdir(directory) => {
            listen_at_path(&path_from(directory).join(random_name()?))
        }
        ListenAddress::UnixRuntime => match &context.runtime_directory {
            Some(directory) => listen_at_path(&directory.join("bus")),
            None => Err(ListenFailure::NoRuntimeDirectory),
        },
        ListenAddress::Systemd => context.take_listeners(),
        ListenAddress::Tcp { bind, host, port, family, nonce } => {
            let place = tcp::Place {
                bind: bind.as_deref().unwrap_or(host),
                host,
                port: *port,
                family: *family,
            };
            let nonce = nonce.then_some(context.temporary_directory.as_path());
            tcp::listen(&place, nonce)
        }
    }
}

fn path_from(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

/// protocol.md A103: what clients connect to is `unix:path=`.
fn listen_at_path(path: &Path) -> Result<Vec<Listener>, ListenFailure> {
    let failed = |error: io::Error| ListenFailure::UnixSocket(path.to_owned(), error);
    if path.as_os_str().len() > PATH_SIZE_MAX {
        return Err(failed(Errno::NAMETOOLONG.into()));
    }
    let name = SocketAddrUnix::new(path).map_err(|errno| failed(errno.into()))?;
    remove_old_socket(path);
    let fd = bound_socket(&name).map_err(failed)?;
    let created = CreatedFile::new(path).map_err(failed)?;
    fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE)).map_err(failed)?;
    start_listening(&fd).map_err(failed)?;
    let address = Address::new("unix").with("path", path.as_os_str().as_bytes());
    Ok(vec![Listener::new(fd, ListenerKind::Unix, address, new_guid()?, Some(created))])
}

fn listen_on_abstract_name(name: &[u8]) -> Result<Vec<Listener>, ListenFailure> {
    let failed = |error: io::Error| ListenFailure::UnixSocket(path_from(name), error);
    let address = SocketAddrUnix::new_abstract_name(name).map_err(|errno| failed(errno.into()))?;
    let fd = bound_socket(&address).map_err(failed)?;
    start_listening(&fd).map_err(failed)?;
    let address = Address::new("unix").with("abstract", name);
    Ok(vec![Listener::new(fd, ListenerKind::Unix, address, new_guid()?, None)])
}

/// protocol.md A102: a socket in the way is from a bus that ended without removing it; anything else
/// stays, and binding will fail.
fn remove_old_socket(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        let _ = fs::remove_file(path);
    }
}

fn bound_socket(address: &SocketAddrUnix) -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    bind(&fd, address)?;
    Ok(fd)
}

fn start_listening(fd: &OwnedFd) -> io::Result<()> {
    Ok(rustix::net::listen(fd, BACKLOG)?)
}

fn new_guid() -> Result<Guid, ListenFailure> {
    Guid::generate().map_err(ListenFailure::Random)
}

fn random_name() -> Result<String, ListenFailure> {
    libbus::host::random_name().map_err(ListenFailure::Random)
}

impl Listener {
    /// The socket's file, if the bus has made it.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.created.as_ref().map(CreatedFile::path)
    }

    fn new(
        fd: OwnedFd,
        kind: ListenerKind,
        address: Address,
        guid: Guid,
        created: Option<CreatedFile>,
    ) -> Self {
        let connectable = address.with("guid", guid.to_string()).to_string();
        Self { fd, kind, connectable, guid, created }
    }
}

#[cfg(test)]
mod tests;
