//! TCP listeners, with and without a nonce (protocol.md A111, A112).

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use libbus::address::{Address, Family};
use libbus::host::CreatedFile;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt,
};

use super::{
    ListenFailure, Listener, ListenerKind, NONCE_SIZE, new_guid, random_name, start_listening,
};
use crate::host::random_bytes;

/// How often another free port is tried when the one that is free on one IP address is taken on the
/// next.
const PORT_ATTEMPTS: usize = 16;

/// Where to listen and what to tell clients.
pub(super) struct Place<'a> {
    /// A name, an IP address, or `*` for every interface.
    pub(super) bind: &'a str,
    /// What clients connect to.
    pub(super) host: &'a str,
    /// 0 for any free one.
    pub(super) port: u16,
    /// One version of IP only.
    pub(super) family: Option<Family>,
}

/// Listens on every address that the name stands for. `nonce_directory`: for `nonce-tcp:`, where the
/// file with the secret goes.
pub(super) fn listen(
    place: &Place<'_>,
    nonce_directory: Option<&Path>,
) -> Result<Vec<Listener>, ListenFailure> {
    let candidates = resolve(place)?;
    let sockets = bind_all(&candidates).map_err(|error| {
        ListenFailure::TcpSocket(format!("{}:{}", place.bind, place.port), error)
    })?;
    let names: Vec<SocketAddr> = sockets.iter().map(|(_, name)| *name).collect();
    let mut address = connectable(place.host, &names);
    let (mut kind, mut created) = (ListenerKind::Tcp, None);
    if let Some(directory) = nonce_directory {
        let (nonce, file) = write_nonce(directory)?;
        "nonce-tcp".clone_into(&mut address.transport);
        address = address.with("noncefile", file.path().as_os_str().as_bytes());
        (kind, created) = (ListenerKind::NonceTcp { nonce }, Some(file));
    }
    let guid = new_guid()?;
    let sockets = sockets.into_iter().map(|(fd, _)| fd);
    // The file goes with the first of the sockets.
    Ok(sockets.map(|fd| Listener::new(fd, kind, address.clone(), guid, created.take())).collect())
}

/// `tcp:` with the one port of `names`, and the version of IP if there is but one.
pub(super) fn connectable(host: &str, names: &[SocketAddr]) -> Address {
    let port = names.first().map_or(0, SocketAddr::port);
    let address = Address::new("tcp").with("host", host).with("port", port.to_string());
    if names.iter().all(SocketAddr::is_ipv4) {
        address.with("family", "ipv4")
    } else if names.iter().all(SocketAddr::is_ipv6) {
        address.with("family", "ipv6")
    } else {
        address
    }
}

fn resolve(place: &Place<'_>) -> Result<Vec<SocketAddr>, ListenFailure> {
    let failed = |error| ListenFailure::Resolve(place.bind.to_owned(), error);
    let mut found: Vec<SocketAddr> = if place.bind == "*" {
        let any = [IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED)];
        any.map(|ip| SocketAddr::new(ip, place.port)).to_vec()
    } else {
        (place.bind, place.port).to_socket_addrs().map_err(failed)?.collect()
    };
    found.retain(|address| match place.family {
        None => true,
        Some(Family::Ipv4) => address.is_ipv4(),
        Some(Family::Ipv6) => address.is_ipv6(),
    });
    found.sort_unstable();
    found.dedup();
    if found.is_empty() {
        return Err(failed(io::Error::new(io::ErrorKind::NotFound, "no address of that family")));
    }
    Ok(found)
}

type Bound = (OwnedFd, SocketAddr);

/// All candidates on one port; a kernel without one version of IP does with the other.
fn bind_all(candidates: &[SocketAddr]) -> io::Result<Vec<Bound>> {
    let any_port = candidates.iter().all(|candidate| candidate.port() == 0);
    let mut attempts = if any_port { PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        match try_bind_all(candidates) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts > 0 => {}
            result => return result,
        }
    }
}

fn try_bind_all(candidates: &[SocketAddr]) -> io::Result<Vec<Bound>> {
    let mut bound: Vec<Bound> = Vec::new();
    let mut missing = None;
    for candidate in candidates {
        let mut wanted = *candidate;
        if let Some((_, first)) = bound.first() {
            wanted.set_port(first.port());
        }
        match bind_one(wanted) {
            Ok(socket) => bound.push(socket),
            Err(error) if is_missing_here(&error) => missing = Some(error),
            Err(error) => return Err(error),
        }
    }
    match missing {
        Some(error) if bound.is_empty() => Err(error),
        _ => Ok(bound),
    }
}

/// The machine has no such version of IP, or not that address.
fn is_missing_here(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

fn bind_one(address: SocketAddr) -> io::Result<Bound> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = socket_with(family, SocketType::STREAM, flags, None)?;
    if address.is_ipv6() {
        // Else the IPv6 wildcard would take the IPv4 port too, and the IPv4 one could not be bound.
        sockopt::set_ipv6_v6only(&fd, true)?;
    }
    // A bus that is restarted gets its port back at once.
    sockopt::set_socket_reuseaddr(&fd, true)?;
    bind(&fd, &address)?;
    start_listening(&fd)?;
    let name = SocketAddr::try_from(getsockname(&fd)?)?;
    Ok((fd, name))
}

/// A new file that only this user can read, with a new secret.
fn write_nonce(directory: &Path) -> Result<([u8; NONCE_SIZE], CreatedFile), ListenFailure> {
    let nonce: [u8; NONCE_SIZE] = random_bytes().map_err(ListenFailure::Random)?;
    let path = directory.join(format!("{}-nonce", random_name()?));
    let failed = |error| ListenFailure::NonceFile(path.clone(), error);
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
    let created = CreatedFile::new(&path).map_err(failed)?;
    file.write_all(&nonce).map_err(failed)?;
    Ok((nonce, created))
}
