//! What programs call their connections to buses: those of systemd's library bind their sockets to
//! `@RANDOM/bus/PROGRAM/DESCRIPTION`, for people who look for them.
//!
//! Bounds: [`LIST_SIZE_MAX`] bytes of the kernel's list of sockets, [`FDS_MAX`] descriptors of a process.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::Read as _;

use super::Process;

const LIST_SIZE_MAX: u64 = 16 << 20;
const FDS_MAX: usize = 4096;

/// Descriptions by the numbers of their sockets.
#[derive(Debug, Default)]
pub(crate) struct Descriptions(HashMap<u64, String>);

impl Descriptions {
    /// Of all sockets that are seen from here; none, if the system does not tell.
    pub(crate) fn read() -> Self {
        let mut bytes = Vec::new();
        let read = File::open("/proc/net/unix")
            .and_then(|file| file.take(LIST_SIZE_MAX).read_to_end(&mut bytes));
        read.map_or_else(|_| Self::default(), |_| Self::parse(&String::from_utf8_lossy(&bytes)))
    }

    fn parse(list: &str) -> Self {
        let described = |line: &str| {
            let mut fields = line.split_whitespace().skip(6);
            let number = fields.next()?.parse().ok()?;
            let (_, program) = fields.next()?.strip_prefix('@')?.split_once("/bus/")?;
            let (_, description) = program.split_once('/')?;
            Some((number, description.to_owned()))
        };
        Self(list.lines().filter_map(described).collect())
    }

    /// Those of a process, with commas between them; which of them is of which bus nobody tells.
    pub(crate) fn of(&self, process: Process) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let fds = fs::read_dir(process.path("fd")).ok()?.flatten().take(FDS_MAX);
        let its: BTreeSet<&str> = fds
            .filter_map(|fd| {
                let link = fs::read_link(fd.path()).ok()?;
                let number = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
                self.0.get(&number.parse().ok()?).map(String::as_str)
            })
            .collect();
        (!its.is_empty()).then(|| its.into_iter().collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixListener};

    use super::Descriptions;
    use crate::process::Process;

    #[test]
    fn a_socket_is_described_by_where_it_is_bound() {
        let own = Process(std::process::id());
        let bound = |name: String| {
            UnixListener::bind_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap()
        };
        let _socket = bound(format!("{:016x}/bus/kettled/api-test", own.0));
        let _other = bound(format!("{:016x}/bus", own.0));
        assert_eq!(Descriptions::read().of(own).as_deref(), Some("api-test"));
        assert_eq!(Descriptions::default().of(own), None);
    }
}
