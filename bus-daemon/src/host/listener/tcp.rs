//! TCP listeners, with and without a nonce (protocol.md A111, A112).

use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libbus::address::Family;
use libbus::host::CreatedFile;
use libbus::host::tcp::{self, NONCE_SIZE};

use super::{BACKLOG, ListenFailure, Listener, ListenerKind, new_guid, random_name};

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
    let candidates = tcp::addresses_to_listen_at(place.bind, place.port, place.family)
        .map_err(|error| ListenFailure::Resolve(place.bind.to_owned(), error))?;
    let sockets = tcp::listen(&candidates, BACKLOG).map_err(|error| {
        ListenFailure::TcpSocket(format!("{}:{}", place.bind, place.port), error)
    })?;
    let names: Vec<SocketAddr> = sockets.iter().map(|(_, name)| *name).collect();
    let mut address = tcp::address(place.host, &names);
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

fn write_nonce(directory: &Path) -> Result<([u8; NONCE_SIZE], CreatedFile), ListenFailure> {
    let path = directory.join(format!("{}-nonce", random_name()?));
    tcp::write_nonce(&path).map_err(|error| ListenFailure::NonceFile(path, error))
}
