//! Reads a peer's credentials from its socket; no name service is asked.

use std::cell::OnceCell;
use std::ffi::c_int;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::config_files::read_at_most;
use super::system_call::{peer_process_fd, socket_option};
use crate::bus::credentials::{PeerCredentials, ProcessFdSource};

/// More than the kernel's `NGROUPS_MAX` groups of four bytes never come back.
const GROUPS_SIZE_MAX: usize = 65_536 * 4;
/// Longer security labels are treated as unknown; real ones are below 4 KiB.
const LABEL_SIZE_MAX: usize = 64 * 1024;
/// The first attempt; both options tell the size they need when this is too little.
const FIRST_SIZE: usize = 256;

/// What the kernel knows about the peer of a connected socket; all `None` unless it is a Unix
/// socket.
#[must_use]
pub fn peer_credentials(socket: &Rc<OwnedFd>) -> PeerCredentials {
    let shared = Rc::clone(socket);
    let socket = socket.as_fd();
    let (pid, uid, gid) = process_and_user(socket);
    if uid.is_none() {
        return PeerCredentials::default();
    }
    PeerCredentials {
        uid,
        gid,
        pid,
        groups: gid.and_then(|gid| all_groups(socket, gid)).map(Into::into),
        security_label: security_label(socket).map(Into::into),
        process_fd: pid.map(|_| {
            ProcessFdSource::new(move || Some([peer_process_fd(shared.as_fd()).ok()?].into()))
        }),
        process_name: OnceCell::new(),
    }
}

/// What a client would be told about this process: the credentials of a socket to ourselves.
#[must_use]
pub fn own_credentials() -> PeerCredentials {
    let pair = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
    pair.map_or_else(
        |_| PeerCredentials::default(),
        |(one, _other)| peer_credentials(&Rc::new(one)),
    )
}

/// The name of a process as the kernel has it, at most 15 bytes.
// deviation: the reference logs the command line. Reading that waits for the process's memory map,
// which the process can make last for ever; reading its name waits for nothing.
#[must_use]
pub fn process_name(pid: i32) -> Option<String> {
    /// The kernel's bound is 16 bytes with the newline.
    const SIZE_MAX: usize = 64;
    let path = format!("/proc/{pid}/comm");
    let name = read_at_most(Path::new(&path), SIZE_MAX).ok().flatten()?;
    Some(String::from_utf8_lossy(name.trim_ascii_end()).into_owned())
}

/// `SO_PEERCRED`: pid 0 is a process that our namespace does not see, id -1 means none, as with
/// every socket that is not a Unix socket.
fn process_and_user(socket: BorrowedFd<'_>) -> (Option<i32>, Option<u32>, Option<u32>) {
    let mut value = [0; 12];
    let (size, result) = socket_option(socket, libc::SO_PEERCRED, &mut value);
    if result.is_err() || size != value.len() {
        return (None, None, None);
    }
    let mut words = words(&value);
    let pid = words.next().map(u32::cast_signed).filter(|pid| *pid > 0);
    let mut id = || words.next().filter(|id| *id != u32::MAX);
    let uid = id();
    (pid, uid, id())
}

/// `SO_PEERGROUPS` names the supplementary groups only.
fn all_groups(socket: BorrowedFd<'_>, primary: u32) -> Option<Vec<u32>> {
    let value = sized_option(socket, libc::SO_PEERGROUPS, GROUPS_SIZE_MAX)?;
    let mut groups: Vec<u32> = words(&value).chain([primary]).collect();
    groups.sort_unstable();
    groups.dedup();
    Some(groups)
}

/// `SO_PEERSEC`: some modules count a trailing NUL, some do not.
fn security_label(socket: BorrowedFd<'_>) -> Option<Vec<u8>> {
    let mut label = sized_option(socket, libc::SO_PEERSEC, LABEL_SIZE_MAX)?;
    while label.last() == Some(&0) {
        label.pop();
    }
    (!label.is_empty()).then_some(label)
}

/// An option of a size the caller can not know: asks again with what the kernel says it needs.
fn sized_option(socket: BorrowedFd<'_>, option: c_int, size_max: usize) -> Option<Vec<u8>> {
    let mut value = vec![0; FIRST_SIZE];
    let (mut size, mut result) = socket_option(socket, option, &mut value);
    if size > value.len() && size <= size_max {
        value.resize(size, 0);
        (size, result) = socket_option(socket, option, &mut value);
    }
    result.ok()?;
    value.truncate(size);
    Some(value)
}

/// The native-endian 32-bit words of an option's value.
fn words(value: &[u8]) -> impl Iterator<Item = u32> + '_ {
    let (words, _) = value.as_chunks::<4>();
    words.iter().map(|word| u32::from_ne_bytes(*word))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    use super::*;

    // protocol.md A192: the groups are complete and sorted, the process is the one that connected
    #[test]
    fn a_socket_pair_reports_this_process() {
        let (one, _other) = UnixStream::pair().unwrap();
        let credentials = peer_credentials(&Rc::new(one.into()));
        assert_eq!(credentials.uid, Some(nix::unistd::geteuid().as_raw()));
        assert_eq!(credentials.gid, Some(nix::unistd::getegid().as_raw()));
        assert_eq!(credentials.pid, Some(i32::try_from(std::process::id()).unwrap()));
        let mut groups: Vec<u32> =
            nix::unistd::getgroups().unwrap().iter().map(|gid| gid.as_raw()).collect();
        groups.push(nix::unistd::getegid().as_raw());
        groups.sort_unstable();
        groups.dedup();
        if let Some(reported) = credentials.groups {
            assert_eq!(*reported, *groups);
        }
        assert!(credentials.security_label.is_none_or(|label| !label.contains(&0)));
    }

    #[test]
    fn the_process_descriptor_is_close_on_exec_where_there_is_one() {
        let (one, _other) = UnixStream::pair().unwrap();
        let process_fd = peer_credentials(&Rc::new(one.into())).process_fd;
        let fds = process_fd.and_then(|source| source.open());
        for fd in fds.iter().flat_map(|fds| fds.iter()) {
            let flags = rustix::io::fcntl_getfd(fd).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        }
    }

    #[test]
    fn tcp_has_no_credentials() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        for socket in [client, server] {
            let credentials = peer_credentials(&Rc::new(socket.into()));
            assert_eq!((credentials.uid, credentials.gid, credentials.pid), (None, None, None));
            assert!(credentials.groups.is_none() && credentials.security_label.is_none());
            assert!(credentials.process_fd.is_none());
        }
    }

    #[test]
    fn not_a_socket_has_no_credentials() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(peer_credentials(&Rc::new(file.into())).uid, None);
    }
}
