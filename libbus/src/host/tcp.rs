//! TCP sockets that listen: on every IP address that a name stands for, and all on one port (protocol.md A111); and the
//! secret that clients may have to say first (protocol.md A112).

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, getsockname, listen as begin_listening,
    socket_with, sockopt,
};

use super::{CreatedFile, random_bytes};
use crate::address::{Address, Family};

/// What a `nonce-tcp:` client says first is so long, in bytes (protocol.md A112).
pub const NONCE_SIZE: usize = 16;

/// How often another free port is tried when the one that is free on one IP address is taken on the next.
const PORT_ATTEMPTS: usize = 16;

/// A socket that listens, and where.
pub type Listening = (OwnedFd, SocketAddr);

/// The addresses of a host that are of the wanted family. It may take long.
///
/// # Errors
/// None is known.
pub fn addresses(host: &str, port: u16, family: Option<Family>) -> io::Result<Vec<SocketAddr>> {
    of_family((host, port).to_socket_addrs()?, family)
}

/// Where to listen for `interface`: a name, an IP address, or `*` for every interface. To look up a name may take long.
///
/// # Errors
/// No address of it is known.
pub fn addresses_to_listen_at(
    interface: &str,
    port: u16,
    family: Option<Family>,
) -> io::Result<Vec<SocketAddr>> {
    let mut found = if interface == "*" {
        let any = [IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED)];
        of_family(any.into_iter().map(|ip| SocketAddr::new(ip, port)), family)?
    } else {
        addresses(interface, port, family)?
    };
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn of_family(
    found: impl Iterator<Item = SocketAddr>,
    family: Option<Family>,
) -> io::Result<Vec<SocketAddr>> {
    let is_wanted = |address: &SocketAddr| match family {
        None => true,
        Some(Family::Ipv4) => address.is_ipv4(),
        Some(Family::Ipv6) => address.is_ipv6(),
    };
    let found: Vec<_> = found.filter(is_wanted).collect();
    match found.is_empty() {
        true => Err(io::Error::new(io::ErrorKind::NotFound, "no address of that family")),
        false => Ok(found),
    }
}

/// Listens at all of them, on one port, which is a free one if theirs is 0. A kernel without one version of IP does with
/// the other. `backlog`: how many may wait to be accepted.
///
/// # Errors
/// The port is taken, or none of them is this machine's.
pub fn listen(places: &[SocketAddr], backlog: i32) -> io::Result<Vec<Listening>> {
    let is_any_port = places.iter().all(|place| place.port() == 0);
    let mut attempts = if is_any_port { PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        match try_listen(places, backlog) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts > 0 => {}
            result => return result,
        }
    }
}

fn try_listen(places: &[SocketAddr], backlog: i32) -> io::Result<Vec<Listening>> {
    let mut listening: Vec<Listening> = Vec::new();
    let mut missing = None;
    for place in places {
        let mut wanted = *place;
        if let Some((_, first)) = listening.first() {
            wanted.set_port(first.port());
        }
        match listen_at(&wanted, backlog) {
            Ok(socket) => listening.push(socket),
            Err(error @ (Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)) => missing = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    match missing {
        Some(error) if listening.is_empty() => Err(error.into()),
        _ => Ok(listening),
    }
}

fn listen_at(address: &SocketAddr, backlog: i32) -> Result<Listening, Errno> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = socket_with(family, SocketType::STREAM, flags, None)?;
    if address.is_ipv6() {
        // Else the IPv6 wildcard would take the IPv4 port too, and the IPv4 one could not be bound.
        sockopt::set_ipv6_v6only(&fd, true)?;
    }
    // A server that is restarted gets its port back at once.
    sockopt::set_socket_reuseaddr(&fd, true)?;
    bind(&fd, address)?;
    begin_listening(&fd, backlog)?;
    let name = SocketAddr::try_from(getsockname(&fd)?)?;
    Ok((fd, name))
}

/// The address that clients connect to: `tcp:` with the one port of `names`, where it listens, and the version of IP if
/// there is but one.
#[must_use]
pub fn address(host: &str, names: &[SocketAddr]) -> Address {
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

/// A new secret, in a new file that this user alone can read. The file goes with what is returned.
///
/// # Errors
/// There is such a file, it cannot be written, or the system has no random bytes.
pub fn write_nonce(path: &Path) -> io::Result<([u8; NONCE_SIZE], CreatedFile)> {
    let nonce = random_bytes()?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let created = CreatedFile::new(path)?;
    file.write_all(&nonce)?;
    Ok((nonce, created))
}
