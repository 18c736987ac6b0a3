//! Connecting to addresses (protocol.md A102–A114).

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with, socketpair,
};

use super::Socket;
use super::listen::NONCE_SIZE;
use crate::address::{ConnectAddress, Family};

/// What waits for the end of a program needs hardly any room, in bytes.
const WAITING_STACK_SIZE: usize = 64 * 1024;

impl Socket {
    /// Connects to an address on this machine, which does not wait.
    ///
    /// # Errors
    /// Nobody listens there, or the system has no room for a socket; `Unsupported` for `autolaunch:` and
    /// `launchd:`, which are of other systems, and for what is not on this machine.
    pub(crate) fn connect(address: &ConnectAddress) -> io::Result<Self> {
        match address {
            ConnectAddress::UnixPath(path) => connect_unix(&SocketAddrUnix::new(path.as_slice())?),
            ConnectAddress::UnixAbstract(name) => {
                connect_unix(&SocketAddrUnix::new_abstract_name(name)?)
            }
            ConnectAddress::UnixExec { path, argv } => start(path, argv),
            ConnectAddress::Autolaunch { .. } => Err(unsupported("autolaunch:")),
            ConnectAddress::Launchd { .. } => Err(unsupported("launchd:")),
            ConnectAddress::Tcp { .. } => Err(unsupported("tcp:")),
            ConnectAddress::NonceTcp { .. } => Err(unsupported("nonce-tcp:")),
        }
    }
}

fn unsupported(transport: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("there is no {transport} on this system"))
}

fn connect_unix(address: &SocketAddrUnix) -> io::Result<Socket> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    connect(&socket, address)?;
    Socket::new(socket)
}

/// The addresses of a host that are of the wanted kind. It may take long.
///
/// # Errors
/// None is known.
pub(crate) fn wanted(host: &str, port: u16, family: Option<Family>) -> io::Result<Vec<SocketAddr>> {
    let is_wanted = |address: &SocketAddr| match family {
        None => true,
        Some(Family::Ipv4) => address.is_ipv4(),
        Some(Family::Ipv6) => address.is_ipv6(),
    };
    let found: Vec<_> = (host, port).to_socket_addrs()?.filter(is_wanted).collect();
    one_of(host, (!found.is_empty()).then_some(found))
}

/// What was found of a host.
///
/// # Errors
/// Nothing was.
pub(crate) fn one_of<T>(host: &str, found: Option<T>) -> io::Result<T> {
    let missing =
        || io::Error::new(io::ErrorKind::NotFound, format!("no address of '{host}' is known"));
    found.ok_or_else(missing)
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

/// Says it, for which a new connection has room, and makes a socket of it.
///
/// # Errors
/// The connection failed.
pub(crate) fn say_nonce(mut stream: TcpStream, nonce: &[u8]) -> io::Result<Socket> {
    // Each write is a whole burst.
    stream.set_nodelay(true)?;
    stream.write_all(nonce)?;
    Socket::new(stream.into())
}

/// Starts a program whose standard input and output are the other end. It sees the end of its input when the
/// connection is over.
fn start(path: &[u8], argv: &[Vec<u8>]) -> io::Result<Socket> {
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
