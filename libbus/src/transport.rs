//! The socket of a connection: the only system calls of this crate.
//!
//! Writing never blocks; reading does if it is asked to, and for no longer than [`READ_TIMEOUT`]. A socket is
//! never inherited by programs that are started, nor are descriptors that come over it.

mod connect;
mod inherited;
mod listen;
pub(crate) mod memory_file;

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
#[cfg(feature = "blocking")]
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{self, Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

pub(crate) use self::connect::{begin_tcp, connect_unix, end_tcp, read_nonce, say_nonce, start};
pub(crate) use self::inherited::{connected, listening};
pub(crate) use self::listen::{Door, Opened, accept, bind, opened};
use crate::connection::FDS_WAITING_MAX;
use crate::system_call::{Peer, Process, peer_of};

/// How long a read waits at most that may wait.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(25);
/// The most descriptors that the kernel passes at once.
const FDS_PER_SEND_MAX: usize = FDS_WAITING_MAX / 2;
/// Room for them, and for credentials that the kernel may add.
const CONTROL_SIZE: usize = rustix::cmsg_space!(ScmRights(FDS_PER_SEND_MAX), ScmCredentials(1));

/// A socket.
#[derive(Debug)]
pub struct Socket {
    fd: Arc<OwnedFd>,
    /// The process that has it open under another number, too, so that to close it says nothing to the other end.
    shared_by: Option<Process>,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    Reading,
    #[cfg(feature = "blocking")]
    Writing,
    ReadingAndWriting,
}

impl Interest {
    const fn flags(self) -> PollFlags {
        match self {
            Self::Reading => PollFlags::IN,
            #[cfg(feature = "blocking")]
            Self::Writing => PollFlags::OUT,
            Self::ReadingAndWriting => PollFlags::IN.union(PollFlags::OUT),
        }
    }
}

/// Whether a read waits for something to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// At most [`READ_TIMEOUT`].
    #[cfg(feature = "blocking")]
    Waits,
    None,
}

impl Socket {
    /// A socket that is connected, or listens.
    ///
    /// # Errors
    /// It is no socket.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        set_socket_timeout(&fd, Timeout::Recv, Some(READ_TIMEOUT))?;
        Ok(Self { fd: Arc::new(fd), shared_by: None })
    }

    /// Whether it carries descriptors.
    pub(crate) fn is_unix(&self) -> bool {
        sockopt::socket_domain(&self.fd).is_ok_and(|domain| domain == AddressFamily::UNIX)
    }

    /// Who is at the other end, if the kernel knows.
    pub(crate) fn peer(&self) -> Option<Peer> {
        peer_of(self.fd.as_fd())
    }

    /// The descriptor, for who waits for it.
    #[cfg(feature = "async")]
    pub(crate) const fn fd(&self) -> &Arc<OwnedFd> {
        &self.fd
    }

    /// Writes what there is room for, with `fds` beside the first byte. Answers how much that was: nothing
    /// if there is no room.
    ///
    /// # Errors
    /// Those of `sendmsg(2)`; there is never a signal.
    pub(crate) fn send(&self, bytes: &[u8], fds: &[OwnedFd]) -> io::Result<usize> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let parts = [IoSlice::new(bytes)];
        let mut space = [MaybeUninit::uninit(); CONTROL_SIZE];
        let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !borrowed.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&borrowed)) {
            return Err(Errno::INVAL.into());
        }
        match retry_on_intr(|| sendmsg(&self.fd, &parts, &mut control, flags)) {
            Err(Errno::AGAIN) => Ok(0),
            result => Ok(result?),
        }
    }

    /// Reads into `buffer`, and appends descriptors to `fds`. `None`: nothing has come. 0: the other end is
    /// closed.
    ///
    /// # Errors
    /// Those of `recvmsg(2)`, and `EMFILE` if there was no room for a descriptor: it is lost, and with it
    /// the connection.
    pub(crate) fn receive(
        &self,
        buffer: &mut [u8],
        fds: &mut Vec<OwnedFd>,
        patience: Patience,
    ) -> io::Result<Option<usize>> {
        let mut flags = RecvFlags::CMSG_CLOEXEC;
        flags.set(RecvFlags::DONTWAIT, patience == Patience::None);
        let mut space = [MaybeUninit::uninit(); CONTROL_SIZE];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(buffer)];
        let received = match recvmsg(&self.fd, &mut parts, &mut control, flags) {
            // A signal's handler may want the program to go on.
            Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
            result => result?,
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                fds.extend(received);
            }
        }
        match received.flags.contains(ReturnFlags::CTRUNC) {
            true => Err(Errno::MFILE.into()),
            false => Ok(Some(received.bytes)),
        }
    }

    /// Waits until the socket can be read, or written if that is asked for too, or is broken. Answers
    /// whether it is so; `false`: so much time has passed.
    ///
    /// # Errors
    /// Those of `poll(2)`.
    pub(crate) fn wait(&self, interest: Interest, timeout: Option<Duration>) -> io::Result<bool> {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut [PollFd::new(&self.fd, interest.flags())], timeout.as_ref()) {
            Ok(count) => Ok(count > 0),
            Err(Errno::INTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until what is being connected is so, or has failed, for so long. Answers whether it is so.
    ///
    /// # Errors
    /// Those of `poll(2)`.
    #[cfg(feature = "blocking")]
    pub(crate) fn wait_until_connected(fd: &OwnedFd, time: Duration) -> io::Result<bool> {
        let start = Instant::now();
        loop {
            let left = Timespec::try_from(time.saturating_sub(start.elapsed())).ok();
            match poll(&mut [PollFd::new(fd, PollFlags::OUT)], left.as_ref()) {
                Ok(count) => return Ok(count > 0),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// As [`Socket::wait`], for one of several.
    ///
    /// # Errors
    /// Those of `poll(2)`.
    #[cfg(feature = "blocking")]
    pub(crate) fn wait_for_any(
        sockets: &[(&Self, Interest)],
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        let mut watched: Vec<PollFd<'_>> = sockets
            .iter()
            .map(|(socket, interest)| PollFd::new(&socket.fd, interest.flags()))
            .collect();
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut watched, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Wakes whoever reads: nothing comes and goes any more.
    pub(crate) fn shut_down(&self) {
        // It may be so already.
        let _ = rustix::net::shutdown(&self.fd, rustix::net::Shutdown::Both);
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.shared_by.is_some_and(Process::is_current) {
            self.shut_down();
        }
    }
}

impl AsRef<Self> for Socket {
    fn as_ref(&self) -> &Self {
        self
    }
}
