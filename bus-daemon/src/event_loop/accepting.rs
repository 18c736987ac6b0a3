//! Letting clients in, as far as there is room.
//!
//! A listener that cannot accept, because descriptors ran out or because it is out of order, is not
//! watched until a client goes or [`ACCEPT_PAUSE_MS`] have passed; the others go on. It never ends
//! the bus, and never makes the loop spin.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::event::epoll;
use smallvec::SmallVec;

use super::{ClientSocket, Event, EventLoop, Hearing, token};
use crate::bus;
use crate::bus::id::Timestamp;
use crate::bus::log::Severity;
use crate::host::client_socket::Errno;
use crate::host::credentials::peer_credentials;
use crate::host::listener::{Listener, ListenerKind, accept};
use crate::host::phrase;

/// How long accepting pauses when the system has no descriptor or memory left, or a listener fails.
const ACCEPT_PAUSE_MS: u64 = 1000;

/// A listener, and whether clients can come in there at the moment.
pub(super) struct WatchedListener {
    pub(super) listener: Listener,
    /// Whether the epoll knows it. One that is out of order would be reported for ever, whatever
    /// the interest in it.
    pub(super) watched: bool,
    /// When to try again after accepting failed.
    pub(super) again_at: Option<Timestamp>,
    /// Why accepting failed last, so that it is logged once; none after a success.
    pub(super) trouble: Option<Errno>,
}

impl EventLoop {
    /// Lets one client in. A listener has one turn in a round, like every client, so that a flood of
    /// connections keeps nobody waiting.
    pub(super) fn accept_from(&mut self, number: usize, failed: bool, now: Timestamp) {
        if !self.bus.accepts_connections() {
            return;
        }
        let Some(WatchedListener { listener, trouble, .. }) = self.listeners.get_mut(number) else {
            return;
        };
        let kind = listener.kind();
        match accept(listener) {
            Ok(fd) => {
                *trouble = None;
                self.take_in(fd, number, kind, now);
            }
            // A Unix socket that was shut down has nobody to accept, and is ready all the same.
            Err(Errno::AGAIN) if failed => self.pause_accepting(number, Errno::INVAL, now),
            Err(Errno::AGAIN) => {}
            // That one client is gone again.
            Err(Errno::CONNABORTED | Errno::PROTO | Errno::PERM | Errno::TIMEDOUT) => {}
            Err(error) => self.pause_accepting(number, error, now),
        }
    }

    /// The system has no room for another client, or a listener is out of order: what waits to be
    /// accepted there waits, and is tried again.
    fn pause_accepting(&mut self, number: usize, error: Errno, now: Timestamp) {
        let Some(listener) = self.listeners.get_mut(number) else { return };
        listener.again_at = Some(now.plus_ms(ACCEPT_PAUSE_MS));
        if listener.trouble.replace(error) == Some(error) {
            return;
        }
        let hint = match error {
            Errno::MFILE => "raise the limit of open files (RLIMIT_NOFILE)",
            Errno::NFILE => "raise the system's limit of open files (fs.file-max)",
            _ => "free some of it, or look for what is wrong with the listening socket",
        };
        let count = self.bus.client_count();
        self.journal.log(
            Severity::Error,
            format!(
                "Cannot accept connections for now: {}. {count} clients are connected; {hint}, or \
                 find who holds so many connections.",
                phrase(&error.into())
            ),
        );
    }

    fn take_in(&mut self, fd: OwnedFd, listener: usize, kind: ListenerKind, now: Timestamp) {
        let fd = Rc::new(fd);
        let (credentials, fds_possible) = match kind {
            ListenerKind::Unix => (peer_credentials(&fd), true),
            _ => Default::default(),
        };
        let nonce = match kind {
            ListenerKind::NonceTcp { nonce } => Some(SmallVec::from(nonce)),
            _ => None,
        };
        let listener = u32::try_from(listener).unwrap_or(u32::MAX);
        let id = self.bus.handle_connected(credentials, listener, fds_possible, now);
        let index = id.index as usize;
        if self.sockets.len() <= index {
            self.sockets.resize_with(index + 1, || None);
        }
        let event = token(Event::Client { id, readable: true, writable: false });
        let registered = epoll::add(&self.epoll, &fd, event, epoll::EventFlags::IN);
        if let Some(slot) = self.sockets.get_mut(index) {
            let generation = id.generation;
            // What the kernel holds for a TCP socket grows by itself.
            let may_grow = fds_possible;
            *slot = Some(ClientSocket {
                fd,
                generation,
                wants_write: false,
                hearing: Hearing::Attentive,
                may_grow,
                lag: None,
                nonce,
            });
        }
        match registered {
            // Clients speak first, and mostly have by now.
            Ok(()) => self.read_from(id, now),
            Err(_) => self.bus.handle_event(bus::Event::Closed { client: id }, now),
        }
        self.carry_out(now);
    }

    /// Stops watching the listeners at which nothing can be accepted, and starts again afterwards.
    pub(super) fn pause_or_resume_accepting(&mut self, now: Timestamp) {
        let has_room = self.bus.accepts_connections();
        for (number, place) in self.listeners.iter_mut().enumerate() {
            place.again_at = place.again_at.filter(|at| *at > now);
            let accepting = has_room && place.again_at.is_none();
            if accepting == place.watched {
                continue;
            }
            let event = token(Event::Listener { number, failed: false });
            let result = if accepting {
                epoll::add(&self.epoll, &place.listener, event, epoll::EventFlags::IN)
            } else {
                epoll::delete(&self.epoll, &place.listener)
            };
            match result {
                Ok(()) => place.watched = accepting,
                Err(error) => {
                    self.journal.log(
                        Severity::Error,
                        format!("Cannot watch a listener: {}", phrase(&error.into())),
                    );
                    place.again_at = Some(now.plus_ms(ACCEPT_PAUSE_MS));
                }
            }
        }
    }
}
