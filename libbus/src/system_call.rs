//! What no library offers safely: descriptors by number, who is at the other end of a socket, and whether this
//! process is a copy of another.
#![allow(unsafe_code)] // the reason for this module

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use libc::{SO_PEERCRED, SOL_SOCKET, getsockopt, pthread_atfork, socklen_t, ucred};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{AddressFamily, sockopt};

/// A copy of the descriptor that a value of type `h` names, close-on-exec.
pub(crate) fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    borrow(fd)?.try_clone_to_owned()
}

/// A copy of a descriptor that this process was started with, close-on-exec, as the first one is from now on,
/// too. That one stays open: nobody can know who else claims it.
///
/// # Errors
/// It is not open, or the process has no room for one more.
pub fn inherited(fd: RawFd) -> io::Result<OwnedFd> {
    let borrowed = borrow(fd)?;
    fcntl_setfd(borrowed, FdFlags::CLOEXEC)?;
    borrowed.try_clone_to_owned()
}

fn borrow(fd: RawFd) -> io::Result<BorrowedFd<'static>> {
    if fd < 0 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{fd} is no file descriptor"),
        ));
    }
    // SAFETY: it is not -1. Who passes the number holds it open meanwhile: a value that is being serialized
    // promises so by the signature `h`, and a service manager by `LISTEN_FDS`. If that is not so, all that
    // happens is a call of the kernel, which refuses numbers that are no descriptors.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Who is at the other end of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) uid: u32,
    /// Missing if the process is none of those that this one can see.
    pub(crate) pid: Option<u32>,
}

/// Who connected, as the kernel knows it; nothing but of Unix sockets.
pub(crate) fn peer_of(socket: BorrowedFd<'_>) -> Option<Peer> {
    // Not rustix's own function: a process that cannot be seen has the number 0, which its type cannot have.
    if sockopt::socket_domain(socket).ok()? != AddressFamily::UNIX {
        return None;
    }
    let mut value = ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut size = size_of::<ucred>() as socklen_t;
    let place = (&raw mut value).cast();
    // SAFETY: the kernel writes `size` bytes at most, which `value` has.
    let result =
        unsafe { getsockopt(socket.as_raw_fd(), SOL_SOCKET, SO_PEERCRED, place, &raw mut size) };
    let is_known = result == 0 && size as usize == size_of::<ucred>() && value.uid != u32::MAX;
    let pid = u32::try_from(value.pid).ok().filter(|pid| *pid > 0);
    is_known.then_some(Peer { uid: value.uid, pid })
}

/// How often this process became a copy of another one since the first who asked.
static FORK_COUNT: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn count_fork() {
    FORK_COUNT.fetch_add(1, Ordering::Relaxed);
}

/// A process that is remembered, to tell it from copies of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    fork_count: usize,
}

impl Process {
    /// This one.
    pub(crate) fn current() -> Self {
        static WATCHED: OnceLock<()> = OnceLock::new();
        // SAFETY: the function does what a handler may do in a child of a process with threads: it changes one
        // atomic number. The C library forgets it if the code goes in which it is. If there is no room for it,
        // forks are not noticed.
        WATCHED.get_or_init(|| unsafe {
            pthread_atfork(None, None, Some(count_fork));
        });
        Self { fork_count: FORK_COUNT.load(Ordering::Relaxed) }
    }

    /// Whether this is that one still. It costs no call of the system.
    pub(crate) fn is_current(self) -> bool {
        self.fork_count == FORK_COUNT.load(Ordering::Relaxed)
    }
}
