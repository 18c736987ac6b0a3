//! Giving clients what they are owed: what is urgent first, the copies of large broadcasts after it
//! and in portions, so that a round stays short.
//!
//! Whoever got something is written to once a round, with all of it; who got more while the turns of
//! others went on may be written to again. A socket that is full waits until it has room.

use std::os::fd::{AsFd, BorrowedFd};

use smallvec::SmallVec;

use super::delays::Why;
use super::{ClientSocket, EventLoop, socket_mut};
use crate::bus;
use crate::bus::id::{ClientId, Timestamp};
use crate::bus::outbox::WriteSlices;
use crate::host::client_socket::{self, Errno, FDS_PER_SEND_MAX, Reading};

/// Writes in one round that are not urgent, and their size in bytes.
const BULK_WRITE_COUNT_MAX: usize = 8;
const BULK_WRITE_SIZE_MAX: usize = 32 * 1024;
/// Writes to one client in one round, so that one fast reader leaves time for others.
const WRITE_COUNT_MAX: usize = 16;

/// What one write achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrote {
    /// Nothing is owed any more.
    Everything,
    /// All that one write may take; there is more.
    Batch,
    /// The socket is full.
    Part,
    /// It must wait: the kernel had no memory for it, which says nothing about the client, or the client
    /// has not read something that it was sent before.
    Delayed(Why),
    /// The client is gone.
    Failed,
}

impl EventLoop {
    /// Handles what was put off and writes everything, as far as sockets have room.
    pub(super) fn finish(&mut self, now: Timestamp) {
        self.bus.handle_event(bus::Event::Stopping, now);
        while self.bus.has_put_off() || self.bus.has_writes() {
            self.bus.handle_event(bus::Event::TurnsBegan, now);
            self.carry_out(now);
            while let Some(id) = self.bus.poll_write() {
                self.write_if_free(id, now);
            }
        }
    }

    /// Writes to each client that got something urgent.
    pub(super) fn write_urgent(&mut self, now: Timestamp) {
        while self.bus.has_urgent_writes()
            && let Some(id) = self.bus.poll_write()
        {
            self.write_if_free(id, now);
        }
    }

    /// Writes what is urgent, and of the rest as much as a round may take.
    pub(super) fn write_round(&mut self, now: Timestamp) {
        let (mut count, mut size) = (0, 0);
        while count < BULK_WRITE_COUNT_MAX && size < BULK_WRITE_SIZE_MAX {
            self.write_urgent(now);
            let Some(id) = self.bus.poll_write() else { return };
            let owed = self.owed_to(id);
            self.write_if_free(id, now);
            let written = owed.saturating_sub(self.owed_to(id));
            (count, size) = (count + usize::from(written > 0), size + written);
        }
    }

    fn owed_to(&self, id: ClientId) -> usize {
        self.bus.client(id).map_or(0, |client| client.outbox.bytes())
    }

    /// A full socket is written to when it has room again, and one that must wait after that.
    fn write_if_free(&mut self, id: ClientId, now: Timestamp) {
        let is_free = |socket: &mut ClientSocket| !socket.wants_write && !socket.is_delayed();
        if socket_mut(&mut self.sockets, id).is_some_and(is_free) {
            self.write_to(id, now);
        }
    }

    pub(super) fn write_to(&mut self, id: ClientId, now: Timestamp) {
        self.write_batches(id, now);
        self.bus.close_sent_fds();
    }

    fn write_batches(&mut self, id: ClientId, now: Timestamp) {
        let mut count = 1;
        let mut why = None;
        let full = loop {
            match self.write_once(id, now) {
                Wrote::Everything => break false,
                Wrote::Batch if count < WRITE_COUNT_MAX => count += 1,
                Wrote::Part if self.grow_send_buffer(id) => {}
                Wrote::Batch | Wrote::Part => break true,
                Wrote::Delayed(reason) => {
                    why = Some(reason);
                    break false;
                }
                Wrote::Failed => return,
            }
        };
        let Some(socket) = socket_mut(&mut self.sockets, id) else { return };
        let has_changed = std::mem::replace(&mut socket.wants_write, full) != full;
        match why {
            Some(why) => self.write_later(id, why, now),
            None => socket.end_delay(&self.reading_watch),
        }
        if has_changed {
            self.update_interest(id, now);
        }
    }

    /// Whether a client has read all that was written to it. The bus is told that, or that it never will.
    fn has_read_all(&mut self, id: ClientId, now: Timestamp) -> bool {
        let Some(socket) = socket_mut(&mut self.sockets, id) else { return true };
        let reading = client_socket::reading(&socket.fd);
        let event = match reading {
            Reading::NotYet => return false,
            Reading::All => bus::Event::AllRead { client: id },
            Reading::Never => bus::Event::LeftUnread { client: id },
        };
        socket.note_progress();
        self.bus.handle_event(event, now);
        reading == Reading::All
    }

    /// A client that was given something has sent something, which may be the last that is heard of it, or
    /// goes: whether it has read what it was given.
    #[cold]
    pub(super) fn note_reading(&mut self, id: ClientId, goes: bool, now: Timestamp) {
        let has_read = self.has_read_all(id, now);
        if goes && !has_read {
            // It may read on, but nobody would hear what it did.
            self.bus.handle_event(bus::Event::LeftUnread { client: id }, now);
        }
    }

    /// Makes room in a socket that is full for the first time; answers whether it did.
    fn grow_send_buffer(&mut self, id: ClientId) -> bool {
        let socket = socket_mut(&mut self.sockets, id).filter(|socket| socket.may_grow);
        socket.is_some_and(|socket| {
            socket.may_grow = false;
            client_socket::grow_send_buffer(&socket.fd).is_ok()
        })
    }

    fn write_once(&mut self, id: ClientId, now: Timestamp) -> Wrote {
        if self.bus.awaits_reading(id) && !self.has_read_all(id, now) {
            return Wrote::Delayed(Why::UnreadMessage);
        }
        let fd_count = self.bus.next_fd_count(id);
        if fd_count > 0 && !self.may_send_fds(id, fd_count) {
            return Wrote::Delayed(Why::UnreadFds);
        }
        let Some(socket) = socket_mut(&mut self.sockets, id) else { return Wrote::Failed };
        let mut slices = WriteSlices::new();
        let fds = self.bus.write_batch(id, &mut slices);
        let fds: SmallVec<[BorrowedFd<'_>; 16]> =
            fds.iter().flat_map(|fds| fds.iter()).take(FDS_PER_SEND_MAX).map(AsFd::as_fd).collect();
        let size: usize = slices.iter().map(|slice| slice.len()).sum();
        if size == 0 {
            return Wrote::Everything;
        }
        let written = match client_socket::send(&socket.fd, &slices, &fds) {
            Ok(written) => written,
            Err(Errno::AGAIN) => return Wrote::Part,
            Err(Errno::NOBUFS | Errno::NOMEM) => return Wrote::Delayed(Why::Starved),
            Err(Errno::TOOMANYREFS) => {
                drop((slices, fds));
                self.bus.handle_event(bus::Event::FdsRefused { client: id }, now);
                self.carry_out(now);
                return Wrote::Batch;
            }
            Err(error @ (Errno::PIPE | Errno::CONNRESET)) => {
                drop((slices, fds));
                // It is told once: reading tells it no more.
                if error == Errno::CONNRESET {
                    self.bus.handle_event(bus::Event::LeftUnread { client: id }, now);
                }
                // That it is gone shows when all it sent has been read.
                self.bus.handle_event(bus::Event::WriteClosed { client: id }, now);
                return Wrote::Everything;
            }
            Err(_) => {
                drop((slices, fds));
                self.bus.handle_event(bus::Event::LeftUnread { client: id }, now);
                self.bus.handle_event(bus::Event::Closed { client: id }, now);
                self.carry_out(now);
                return Wrote::Failed;
            }
        };
        drop((slices, fds));
        if fd_count > 0 {
            self.note_sent_fds(id, fd_count);
        }
        self.bus.handle_event(bus::Event::Written { client: id, size: written }, now);
        if self.bus.awaits_reading(id) {
            return Wrote::Batch;
        }
        let done = self.bus.client(id).is_none_or(|client| client.outbox.is_empty());
        match (done, written == size) {
            (true, _) => Wrote::Everything,
            (false, true) => Wrote::Batch,
            (false, false) => Wrote::Part,
        }
    }
}
