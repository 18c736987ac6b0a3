//! Who opened the socket that is listened at, as far as the kernel knows.

use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::person::Person;
use super::report::Check;
use super::{Case, mend};
use crate::process::Process;

/// Who listens.
#[derive(Clone, Debug, Default)]
pub(super) struct Listener {
    pub(super) pid: Option<u32>,
    pub(super) uid: Option<u32>,
    pub(super) command_line: Option<Vec<String>>,
}

impl Listener {
    pub(super) fn of(stream: &UnixStream) -> Self {
        let Ok(peer) = getsockopt(&stream.as_fd(), PeerCredentials) else { return Self::default() };
        let pid = u32::try_from(peer.pid()).ok().filter(|pid| *pid > 0);
        let command_line = pid.and_then(|pid| Process(pid).command_line());
        Self { pid, uid: Some(peer.uid()).filter(|uid| *uid != u32::MAX), command_line }
    }

    pub(super) fn check(&self, case: &Case) -> Check {
        const NAME: &str = "listener";
        let whose = self.uid.map_or_else(|| "nobody known".to_owned(), Person::describe);
        let Some(pid) = self.pid else {
            return Check::ok(NAME, format!("a process of {whose}, outside of this pid namespace"));
        };
        match Process(pid).name() {
            Some(name) => Check::ok(NAME, format!("pid {pid}, {name}, of {whose}")),
            None => Check::unknown(
                NAME,
                format!("pid {pid} of {whose} opened the socket and has ended: another process has it now"),
            )
            .mends(mend::restart(case, None)),
        }
    }
}
