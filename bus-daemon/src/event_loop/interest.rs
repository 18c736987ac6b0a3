//! For what each client's socket is watched.
//!
//! All are watched for something to read. A socket that was full is watched for room as well; a client
//! that is paused is not watched for something to read, once its socket turns out to have something,
//! until the bus says that it may be read from again.

use rustix::event::epoll;

use super::{ClientSocket, Event, EventLoop, socket_mut, token};
use crate::bus;
use crate::bus::id::{ClientId, Timestamp};

/// Whether a socket is watched for something to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hearing {
    /// As most are.
    Attentive,
    /// Not for now.
    Deaf,
    /// The epoll does not know it: its peer is gone, which would be reported whatever the interest.
    Unwatched,
}

impl EventLoop {
    /// Something can be read of a paused client: not now.
    pub(super) fn turn_deaf(&mut self, id: ClientId, now: Timestamp) {
        let Some(socket) = socket_mut(&mut self.sockets, id) else { return };
        if socket.hearing == Hearing::Attentive {
            socket.hearing = Hearing::Deaf;
            self.update_interest(id, now);
        } else if socket.hearing == Hearing::Deaf {
            socket.hearing = Hearing::Unwatched;
            // Dropping the descriptor does the same.
            let _ = epoll::delete(&self.epoll, &socket.fd);
        }
    }

    /// What is there to be read of a client may be read again.
    pub(super) fn listen_again(&mut self, id: ClientId, now: Timestamp) {
        let Some(socket) = socket_mut(&mut self.sockets, id) else { return };
        let before = std::mem::replace(&mut socket.hearing, Hearing::Attentive);
        match before {
            Hearing::Attentive => {}
            Hearing::Deaf => self.update_interest(id, now),
            Hearing::Unwatched => {
                let added = epoll::add(&self.epoll, &socket.fd, data(id), interest(socket));
                self.close_unless(added.is_ok(), id, now);
            }
        }
    }

    /// Tells the epoll what a socket is watched for.
    pub(super) fn update_interest(&mut self, id: ClientId, now: Timestamp) {
        let Some(socket) = socket_mut(&mut self.sockets, id) else { return };
        if socket.hearing != Hearing::Unwatched {
            let modified = epoll::modify(&self.epoll, &socket.fd, data(id), interest(socket));
            self.close_unless(modified.is_ok(), id, now);
        }
    }

    /// A client that cannot be watched is of no more use.
    fn close_unless(&mut self, is_watched: bool, id: ClientId, now: Timestamp) {
        if !is_watched {
            self.bus.handle_event(bus::Event::Closed { client: id }, now);
            self.carry_out(now);
        }
    }
}

fn data(id: ClientId) -> epoll::EventData {
    token(Event::Client { id, readable: true, writable: false })
}

fn interest(socket: &ClientSocket) -> epoll::EventFlags {
    let mut flags = epoll::EventFlags::empty();
    flags.set(epoll::EventFlags::IN, socket.hearing == Hearing::Attentive);
    flags.set(epoll::EventFlags::OUT, socket.wants_write);
    flags
}
