//! Who reads what it must read before it is written more to ([`Bus::awaits_reading`]).
//!
//! The kernel reports that a socket has room whenever its peer has read something, but only to an epoll
//! that is told of changes (epoll(7), `EPOLLET`), which the one of all clients is not. So these few are
//! watched by another one, and that by the first.
//!
//! [`Bus::awaits_reading`]: crate::bus::Bus::awaits_reading

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{Timespec, epoll};

use super::{Event, EventLoop, event_of, token};
use crate::bus::id::{ClientId, Timestamp};

/// How many are written to at once.
const READER_COUNT_MAX: usize = 64;

/// Reports clients that have read something.
pub(super) struct ReadingWatch(OwnedFd);

impl ReadingWatch {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(epoll::create(epoll::CreateFlags::CLOEXEC)?))
    }

    /// Reports a client at once and whenever it has read something. Without memory for that, it is looked at
    /// from time to time all the same.
    pub(super) fn watch(&self, socket: impl AsFd, id: ClientId) {
        let changes = epoll::EventFlags::OUT | epoll::EventFlags::ET;
        let data = token(Event::Client { id, readable: false, writable: true });
        let _ = epoll::add(&self.0, socket, data, changes);
    }

    pub(super) fn forget(&self, socket: impl AsFd) {
        // It may never have been watched.
        let _ = epoll::delete(&self.0, socket);
    }
}

impl AsFd for ReadingWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl EventLoop {
    /// Writes to those who have read something.
    pub(super) fn write_to_readers(&mut self, now: Timestamp) {
        let mut readers = Vec::with_capacity(READER_COUNT_MAX);
        let space = rustix::buffer::spare_capacity(&mut readers);
        // What fails is told again.
        let _ = epoll::wait(&self.reading_watch, space, Some(&Timespec::default()));
        for reader in readers {
            if let Event::Client { id, .. } = event_of(reader) {
                self.write_to(id, now);
            }
        }
    }
}
