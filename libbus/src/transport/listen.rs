//! Sockets that others connect to (protocol.md A101–A112).

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind as bind_socket,
    getsockname, listen, socket_with, sockopt,
};

use super::connect::connect_unix;
use super::inherited;
use crate::address::{Address, ListenAddress};
use crate::host::tcp::{self, NONCE_SIZE};
use crate::host::{CreatedFile, random_name};

/// Connections that may wait to be accepted. The kernel has a bound of its own.
const BACKLOG: i32 = 4096;

/// A socket that others connect to, and what belongs to it.
pub(crate) type Opened = (OwnedFd, Door);

/// What belongs to a listening socket. Its file goes with it.
#[derive(Debug)]
pub(crate) struct Door {
    /// Where others connect to.
    pub(crate) address: Address,
    /// What they must say first.
    pub(crate) nonce: Option<[u8; NONCE_SIZE]>,
    _created: Option<CreatedFile>,
}

impl Door {
    const fn new(address: Address) -> Self {
        Self { address, nonce: None, _created: None }
    }
}

/// Whoever waits to be let in; `None` if nobody does.
///
/// # Errors
/// The system has no room for one more descriptor.
pub(crate) fn accept(listening: impl AsFd) -> io::Result<Option<OwnedFd>> {
    match accept_with(listening, SocketFlags::CLOEXEC) {
        Ok(socket) => {
            // It fails for what is no TCP, and costs nothing but delay.
            let _ = sockopt::set_tcp_nodelay(&socket, true);
            Ok(Some(socket))
        }
        Err(error @ (Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)) => {
            Err(error.into())
        }
        // Nobody, or one who is gone again.
        Err(_) => Ok(None),
    }
}

/// A socket that listens already.
///
/// # Errors
/// It is none, or nobody can connect to it by an address of D-Bus.
pub(crate) fn opened(fd: OwnedFd) -> io::Result<Opened> {
    if !sockopt::socket_acceptconn(&fd)? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the socket does not listen"));
    }
    ioctl_fionbio(&fd, true)?;
    let name = getsockname(&fd)?;
    let address = if sockopt::socket_domain(&fd)? == AddressFamily::UNIX {
        // Else every read would bring credentials that nobody asked for.
        sockopt::set_socket_passcred(&fd, false)?;
        let unnamed = || io::Error::new(io::ErrorKind::InvalidInput, "the socket has no name");
        unix_address(&SocketAddrUnix::try_from(name)?).ok_or_else(unnamed)?
    } else {
        let name = SocketAddr::try_from(name)?;
        tcp::address(&name.ip().to_string(), &[name])
    };
    Ok((fd, Door::new(address)))
}

/// Listens where an address says. To look up a host may take long.
///
/// # Errors
/// It is taken, or cannot be.
pub(crate) fn bind(address: &ListenAddress) -> io::Result<Vec<Opened>> {
    match address {
        ListenAddress::UnixPath(path) => one(at_path(&path_of(path))),
        ListenAddress::UnixAbstract(name) => one(at_abstract_name(name)),
        ListenAddress::UnixDir(directory) | ListenAddress::UnixTmpdir(directory) => {
            one(at_path(&path_of(directory).join(random_name()?)))
        }
        ListenAddress::UnixRuntime => {
            let missing = || io::Error::new(io::ErrorKind::NotFound, "$XDG_RUNTIME_DIR is not set");
            let directory = env::var_os("XDG_RUNTIME_DIR").filter(|value| !value.is_empty());
            one(at_path(&PathBuf::from(directory.ok_or_else(missing)?).join("bus")))
        }
        ListenAddress::Systemd => inherited::listening(None)?.into_iter().map(opened).collect(),
        ListenAddress::Tcp { bind, host, port, family, nonce } => {
            let interface = bind.as_deref().unwrap_or(host);
            let places = tcp::addresses_to_listen_at(interface, *port, *family)?;
            at_ports(host, tcp::listen(&places, BACKLOG)?, *nonce)
        }
    }
}

fn one(opened: io::Result<Opened>) -> io::Result<Vec<Opened>> {
    opened.map(|opened| vec![opened])
}

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// protocol.md A102, A103
fn at_path(path: &Path) -> io::Result<Opened> {
    let name = SocketAddrUnix::new(path)?;
    remove_old_socket(path, &name);
    let fd = bound(&name)?;
    let created = CreatedFile::new(path)?;
    listen(&fd, BACKLOG)?;
    let address = Address::new("unix").with("path", path.as_os_str().as_bytes());
    Ok((fd, Door { _created: Some(created), ..Door::new(address) }))
}

/// One that nobody listens on is from a program that ended without removing it; anything else stays, and
/// binding will fail. Who lets in nobody for now listens, too, and is not waited for.
fn remove_old_socket(path: &Path, name: &SocketAddrUnix) {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let is_refused =
        || connect_unix(name).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    if is_socket && is_refused() {
        // Else binding says what is wrong.
        let _ = fs::remove_file(path);
    }
}

/// protocol.md A105
fn at_abstract_name(name: &[u8]) -> io::Result<Opened> {
    let fd = bound(&SocketAddrUnix::new_abstract_name(name)?)?;
    listen(&fd, BACKLOG)?;
    let address = Address::new("unix").with("abstract", name);
    Ok((fd, Door::new(address)))
}

fn bound(name: &SocketAddrUnix) -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    bind_socket(&fd, name)?;
    Ok(fd)
}

/// All have one address, and one secret, whose file goes with the first. protocol.md A111, A112
fn at_ports(host: &str, sockets: Vec<tcp::Listening>, is_secret: bool) -> io::Result<Vec<Opened>> {
    let (sockets, names): (Vec<_>, Vec<_>) = sockets.into_iter().unzip();
    let mut address = tcp::address(host, &names);
    let (mut nonce, mut created) = (None, None);
    if is_secret {
        let path = env::temp_dir().join(format!("{}-nonce", random_name()?));
        let (secret, file) = tcp::write_nonce(&path)?;
        "nonce-tcp".clone_into(&mut address.transport);
        address = address.with("noncefile", file.path().as_os_str().as_bytes());
        (nonce, created) = (Some(secret), Some(file));
    }
    let door = |created| Door { address: address.clone(), nonce, _created: created };
    Ok(sockets.into_iter().map(|socket| (socket, door(created.take()))).collect())
}

fn unix_address(name: &SocketAddrUnix) -> Option<Address> {
    let address = Address::new("unix");
    if let Some(name) = name.abstract_name() {
        return Some(address.with("abstract", name));
    }
    Some(address.with("path", name.path()?.to_bytes()))
}
