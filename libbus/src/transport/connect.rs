//! Connecting to addresses (protocol.md A102–A114).

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with, socketpair,
};

use super::Socket;
use crate::address::{ConnectAddress, Family};

/// What a `nonce-tcp:` client says first is so long, in bytes (protocol.md A112).
const NONCE_SIZE: usize = 16;

impl Socket {
    /// Connects to an address.
    ///
    /// # Errors
    /// Nobody listens there, or the system has no room for a socket; `Unsupported` for `autolaunch:` and
    /// `launchd:`, which are of other systems.
    pub(crate) fn connect(address: &ConnectAddress) -> io::Result<Self> {
        match address {
            ConnectAddress::UnixPath(path) => connect_unix(&SocketAddrUnix::new(path.as_slice())?),
            ConnectAddress::UnixAbstract(name) => {
                connect_unix(&SocketAddrUnix::new_abstract_name(name)?)
            }
            ConnectAddress::UnixExec { path, argv } => start(path, argv),
            ConnectAddress::Tcp { host, port, family } => {
                Self::new(connect_tcp(host, port.get(), *family)?.into())
            }
            ConnectAddress::NonceTcp { host, port, family, nonce_file } => {
                let nonce = read_nonce(nonce_file)?;
                let mut stream = connect_tcp(host, port.get(), *family)?;
                stream.write_all(&nonce)?;
                Self::new(stream.into())
            }
            ConnectAddress::Autolaunch { .. } => Err(unsupported("autolaunch:")),
            ConnectAddress::Launchd { .. } => Err(unsupported("launchd:")),
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

/// The first address of a host that answers.
fn connect_tcp(host: &str, port: u16, family: Option<Family>) -> io::Result<TcpStream> {
    let mut failure =
        io::Error::new(io::ErrorKind::NotFound, format!("no address of '{host}' is known"));
    for address in (host, port).to_socket_addrs()? {
        let is_wanted = match family {
            None => true,
            Some(Family::Ipv4) => address.is_ipv4(),
            Some(Family::Ipv6) => address.is_ipv6(),
        };
        if !is_wanted {
            continue;
        }
        match TcpStream::connect(address) {
            Ok(stream) => {
                // Each write is a whole burst.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn read_nonce(path: &[u8]) -> io::Result<[u8; NONCE_SIZE]> {
    let path = PathBuf::from(OsStr::from_bytes(path));
    let mut nonce = [0; NONCE_SIZE];
    let read = File::open(&path).and_then(|mut file| file.read_exact(&mut nonce));
    read.map(|()| nonce).map_err(|error| {
        io::Error::new(error.kind(), format!("nonce file {}: {error}", path.display()))
    })
}

/// Starts a program whose standard input and output are the other end.
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
    let mut socket = Socket::new(ours)?;
    socket.child = Some(command.spawn()?);
    Ok(socket)
}
