//! A process between the bus and a service while that starts.
//!
//! Programs that go to the background leave the process that the bus started, which ends, for another
//! one, which takes the name later. The supervisor is the parent of them all
//! (`PR_SET_CHILD_SUBREAPER`), so that it is known whether anything is left that could take the name:
//! it tells the bus how the service's process ended, if badly at once, if well when the last of its
//! descendants has ended too. Once the name is taken, it goes, and init or the service manager is
//! their parent.
//!
//! Between the two is a pair of sockets: the bus may say that the service is to end, and its closing its end
//! says that the supervisor is not needed any more.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid as NixPid;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};

use super::system_call::{ChildNotices, end_at_once};
use crate::bus::activation::ServiceEnd;

/// What the supervisor is called in lists of processes.
const PROCESS_NAME: &std::ffi::CStr = c"bus-starter";
/// What the bus says to have the service end.
const KILL: u8 = b'k';
/// The first byte of what the supervisor says about an end; the status or signal comes behind it.
const EXITED: u8 = b'e';
const SIGNALLED: u8 = b's';

/// The bus's end.
#[derive(Debug)]
pub(super) struct Supervisor(OwnedFd);

impl Supervisor {
    pub(super) const fn new(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// How the service ended without leaving anything behind, if it has. The inner `None`: the supervisor
    /// has ended without telling.
    pub(super) fn end(&self) -> Option<Option<ServiceEnd>> {
        let mut buffer = [0; 8];
        let size = match recv(&self.0, &mut buffer, RecvFlags::DONTWAIT) {
            Err(Errno::AGAIN | Errno::INTR) => return None,
            Err(_) => 0,
            Ok((size, _)) => size,
        };
        Some(match buffer.get(..size) {
            Some(&[EXITED, a, b, c, d]) => {
                Some(ServiceEnd::Exited(i32::from_le_bytes([a, b, c, d])))
            }
            Some(&[SIGNALLED, a, b, c, d]) => {
                Some(ServiceEnd::Signalled(i32::from_le_bytes([a, b, c, d])))
            }
            _ => None,
        })
    }

    /// Ends the service.
    pub(super) fn kill(&self) {
        // It may have ended by itself.
        let _ = send(&self.0, &[KILL], SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
    }
}

/// Readable when the service has ended, or the supervisor.
impl AsFd for Supervisor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The supervisor's whole life; `service` is its child, `bus` its end of the pair. It runs in a process that
/// was forked from one with several threads: it makes system calls alone and allocates nothing.
pub(super) fn supervise(service: Pid, notices: &ChildNotices, bus: BorrowedFd<'_>) -> ! {
    // It works without, under the bus's name.
    let _ = rustix::thread::set_name(PROCESS_NAME);
    let mut lives = true;
    loop {
        match reap(service, &mut lives) {
            Reaped::End(notice) => {
                // Nobody may hear it.
                let _ = send(bus, &notice, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
                end_at_once();
            }
            Reaped::MoreToCome => {}
        }
        let mut fds = [PollFd::new(notices, PollFlags::IN), PollFd::new(&bus, PollFlags::IN)];
        if poll(&mut fds, None).is_err() {
            continue;
        }
        let [child, from_bus] = fds.map(|fd| !fd.revents().is_empty());
        if child {
            let _ = read(notices, &mut [0; ChildNotices::SIZE]);
        }
        if from_bus {
            match recv(bus, &mut [0; 8], RecvFlags::DONTWAIT) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                // It was not waited for yet, and so the number is its own.
                Ok((1.., _)) if lives => {
                    let _ = kill(NixPid::from_raw(service.as_raw_nonzero().get()), Signal::SIGKILL);
                }
                Ok(_) | Err(_) => end_at_once(),
            }
        }
    }
}

enum Reaped {
    /// What to tell the bus.
    End([u8; 5]),
    MoreToCome,
}

/// Waits for all children that have ended.
fn reap(service: Pid, lives: &mut bool) -> Reaped {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == service => {
                if let Some(notice) = notice(status) {
                    return Reaped::End(notice);
                }
                *lives = false;
            }
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return Reaped::MoreToCome,
            // There is none.
            Err(_) => return Reaped::End([EXITED, 0, 0, 0, 0]),
        }
    }
}

/// What to say of a bad end.
fn notice(status: WaitStatus) -> Option<[u8; 5]> {
    let (kind, number) = match (status.exit_status(), status.terminating_signal()) {
        (Some(0), _) => return None,
        (Some(code), _) => (EXITED, code),
        (None, signal) => (SIGNALLED, signal.unwrap_or_default()),
    };
    let [a, b, c, d] = number.to_le_bytes();
    Some([kind, a, b, c, d])
}
