//! Who is written to later: clients for whom the kernel had no memory, and those that have not read the
//! descriptors which they were sent.
//!
//! A descriptor that was sent and not read is in nobody's table, and yet it counts for the kernel, which
//! lets one user's processes have so many of them in flight (`RLIMIT_NOFILE`) and then refuses any more:
//! to the bus, whoever they are for. So the bus keeps count of each client, as far as it can know: when there
//! is no room for more, it asks the kernel how much each of them has not read (`SIOCOUTQ`). **A client gets more only while few of its own are
//! unread, and a user holds at most half of what the others leave**; until then the message waits in the
//! client's queue, which has its own bounds.
//!
//! A client may go and keep its end of the socket open, with what is in it. Then the bus keeps its own
//! until that is read or the other is closed, too.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use foldhash::fast::FixedState;
use rustix::event::epoll;

use super::{ClientSocket, EventLoop, ReadingWatch, socket_mut};
use crate::bus::id::{ClientId, Timestamp};
use crate::host::client_socket::{has_unread, stop, unread_messages_max};
use crate::host::resource_limits::fd_limit;

/// How long a write waits that the kernel had no memory for.
const STARVED_PAUSE_MS: u64 = 50;
/// How long one waits at first until a client may have read its descriptors; each time twice as long.
const UNREAD_PAUSE_MS: u64 = 1;
const UNREAD_PAUSE_MS_MAX: u64 = 1_000;
/// Of what a user may have unread one client may have this part, and at least so many; one message may
/// exceed it.
const CLIENT_PART: u64 = 2;
const UNREAD_OF_CLIENT_MIN: u64 = 64;
/// Which part of all is kept for clients that have read everything.
const RESERVE_PART: u64 = 16;
/// How often it is looked whether those who are gone have read theirs.
const LINGER_MS: u64 = 1_000;

/// Why a client is written to later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Starved,
    UnreadFds,
    /// What it was given first and has not read; [`ReadingWatch`] tells when it has.
    UnreadMessage,
}

/// What is known of a client that had to wait or was sent descriptors.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lag {
    delay: Option<Delay>,
    unread: Option<Unread>,
}

/// When a client is written to again.
#[derive(Clone, Copy, Debug)]
struct Delay {
    due: Timestamp,
    pause_ms: u64,
    why: Why,
}

/// Descriptors that one client may not have read.
#[derive(Clone, Copy, Debug)]
struct Unread {
    uid: Option<u32>,
    count: u64,
    /// The most that went with one message.
    largest: u64,
}

pub(super) struct Delays {
    /// Each once.
    waiting: Vec<ClientId>,
    /// Sockets of clients that are gone.
    lingering: Vec<(Rc<OwnedFd>, Unread)>,
    lingers_until: Timestamp,
    of_users: HashMap<Option<u32>, u64, FixedState>,
    sum: u64,
    /// How many all users together may have unread.
    max: u64,
}

impl Delays {
    pub(super) fn new() -> Self {
        Self {
            waiting: Vec::new(),
            lingering: Vec::new(),
            lingers_until: Timestamp::default(),
            of_users: HashMap::default(),
            sum: 0,
            max: fd_limit() / 2,
        }
    }

    /// How many a user may have.
    fn share(&self, uid: Option<u32>) -> u64 {
        let own = self.of_users.get(&uid).copied().unwrap_or_default();
        self.max.saturating_sub(self.sum - own) / 2
    }

    fn add(&mut self, uid: Option<u32>, count: u64) {
        self.sum += count;
        *self.of_users.entry(uid).or_default() += count;
    }

    fn subtract(&mut self, uid: Option<u32>, count: u64) {
        self.sum -= count;
        if let Some(own) = self.of_users.get_mut(&uid) {
            *own -= count;
            if *own == 0 {
                self.of_users.remove(&uid);
            }
        }
    }
}

impl ClientSocket {
    /// Whether it is not to be written to for a while.
    pub(super) fn is_delayed(&self) -> bool {
        self.delay().is_some()
    }

    fn delay(&self) -> Option<Delay> {
        self.lag.as_ref().and_then(|lag| lag.delay)
    }

    fn unread(&self) -> Option<Unread> {
        self.lag.as_ref().and_then(|lag| lag.unread)
    }

    /// Whether it is watched for that it has read something.
    fn is_watched(&self) -> bool {
        self.delay().is_some_and(|delay| delay.why == Why::UnreadMessage)
    }

    /// It has read something: if it has to wait again, then no longer than at first.
    pub(super) fn note_progress(&mut self) {
        if let Some(delay) = self.lag.as_mut().and_then(|lag| lag.delay.as_mut()) {
            delay.pause_ms = 0;
        }
    }

    /// It may be written to at any time.
    pub(super) fn end_delay(&mut self, watch: &ReadingWatch) {
        if self.is_watched() {
            watch.forget(&self.fd);
        }
        if let Some(lag) = &mut self.lag {
            lag.delay = None;
        }
        self.forget_lag();
    }

    fn forget_lag(&mut self) {
        self.lag.take_if(|lag| lag.delay.is_none() && lag.unread.is_none());
    }
}

impl EventLoop {
    /// When somebody is to be written to again.
    pub(super) fn next_delayed_write(&self) -> Option<Timestamp> {
        let due = |id: &ClientId| self.sockets.get(id.index as usize)?.as_ref()?.delay();
        let waiting = self.delays.waiting.iter().filter_map(due).map(|delay| delay.due);
        let lingering = !self.delays.lingering.is_empty();
        waiting.chain(lingering.then_some(self.delays.lingers_until)).min()
    }

    /// Writes to those who have waited long enough.
    pub(super) fn write_delayed(&mut self, now: Timestamp) {
        for id in std::mem::take(&mut self.delays.waiting) {
            let Some(socket) = socket_mut(&mut self.sockets, id) else { continue };
            match socket.delay() {
                Some(delay) if delay.due > now => self.delays.waiting.push(id),
                _ => self.write_to(id, now),
            }
        }
        if !self.delays.lingering.is_empty() && self.delays.lingers_until <= now {
            self.delays.lingers_until = now.plus_ms(LINGER_MS);
            let read = self.delays.lingering.extract_if(.., |(socket, _)| !has_unread(socket));
            let read: Vec<Unread> = read.map(|(_, unread)| unread).collect();
            read.into_iter().for_each(|unread| self.delays.subtract(unread.uid, unread.count));
        }
    }

    pub(super) fn write_later(&mut self, id: ClientId, why: Why, now: Timestamp) {
        let Some(socket) = socket_mut(&mut self.sockets, id) else { return };
        match (socket.is_watched(), why == Why::UnreadMessage) {
            (false, true) => self.reading_watch.watch(&socket.fd, id),
            (true, false) => self.reading_watch.forget(&socket.fd),
            _ => {}
        }
        let before = socket.delay().map_or(0, |delay| delay.pause_ms);
        let pause_ms = match why {
            Why::Starved => STARVED_PAUSE_MS,
            Why::UnreadFds | Why::UnreadMessage => {
                (2 * before).clamp(UNREAD_PAUSE_MS, UNREAD_PAUSE_MS_MAX)
            }
        };
        let delay = Delay { due: now.plus_ms(pause_ms), pause_ms, why };
        socket.lag.get_or_insert_default().delay = Some(delay);
        if !self.delays.waiting.contains(&id) {
            self.delays.waiting.push(id);
        }
    }

    /// Whether a client may be sent so many descriptors now.
    pub(super) fn may_send_fds(&mut self, id: ClientId, count: usize) -> bool {
        let uid = self.bus.client(id).and_then(|client| client.uid);
        let count = count as u64;
        self.has_room(id, uid, count) || {
            // Of many it is not known yet that they have read theirs.
            self.recount_unread();
            self.has_room(id, uid, count)
        }
    }

    fn has_room(&self, id: ClientId, uid: Option<u32>, count: u64) -> bool {
        let socket = self.sockets.get(id.index as usize).and_then(Option::as_ref);
        let unread = socket.and_then(ClientSocket::unread).map_or(0, |unread| unread.count);
        let share = self.delays.share(uid);
        let held = self.delays.of_users.get(&uid).copied().unwrap_or_default();
        // Who has read everything gets something, whatever others of its user do.
        let reserve = if unread == 0 { self.delays.max / RESERVE_PART } else { 0 };
        let of_client = (share / CLIENT_PART).max(UNREAD_OF_CLIENT_MIN);
        (unread == 0 || unread + count <= of_client) && held + count <= share + reserve
    }

    /// Asks the kernel how much of what everybody was sent may be unread.
    fn recount_unread(&mut self) {
        for socket in self.sockets.iter_mut().flatten() {
            let Some(lag) = &mut socket.lag else { continue };
            let Some(unread) = &mut lag.unread else { continue };
            let left = unread_messages_max(&socket.fd).saturating_mul(unread.largest);
            let read = unread.count.saturating_sub(left);
            unread.count -= read;
            self.delays.subtract(unread.uid, read);
            if unread.count == 0 {
                lag.unread = None;
                socket.forget_lag();
            }
        }
    }

    /// A client was sent so many.
    pub(super) fn note_sent_fds(&mut self, id: ClientId, count: usize) {
        let uid = self.bus.client(id).and_then(|client| client.uid);
        let Some(socket) = socket_mut(&mut self.sockets, id) else { return };
        socket.note_progress();
        let lag = socket.lag.get_or_insert_default();
        // It is the same for as long as the client is there.
        let unread = lag.unread.get_or_insert(Unread { uid, count: 0, largest: 0 });
        unread.count += count as u64;
        unread.largest = unread.largest.max(count as u64);
        self.delays.add(uid, count as u64);
    }

    /// A client is gone; its descriptors perhaps not.
    pub(super) fn forget_unread(&mut self, socket: &ClientSocket, now: Timestamp) {
        let Some(unread) = socket.unread() else { return };
        if has_unread(&socket.fd) {
            // Nothing is heard of it any more, nor said.
            let _ = epoll::delete(&self.epoll, &socket.fd);
            stop(&socket.fd);
            if self.delays.lingering.is_empty() {
                self.delays.lingers_until = now.plus_ms(LINGER_MS);
            }
            self.delays.lingering.push((Rc::clone(&socket.fd), unread));
        } else {
            self.delays.subtract(unread.uid, unread.count);
        }
    }
}
