//! Whose messages wait for a client that is sent more than it reads.
//!
//! The queue of a client is bounded for itself (config.md B029); one user who fills it would shut all
//! others out. So **of a queue that has become long a user may have half of what the others leave**,
//! but for owners of the machine and the bus, for the client's own user, and for answers that it has
//! asked for. Who would have more is refused, or its broadcasts leave that client out. What counts are
//! messages for this client alone, from the moment on when too many wait (`slow_receivers.rs`), and
//! broadcasts, from the moment on when the queue has become long; and of descriptors, always all.
//!
//! Messages are written in their order, so that it is enough to know up to where what lies in the
//! queue: in chunks, each with what users have in it.

use std::collections::VecDeque;
use std::fmt;

use bus_policy::config::Limits;
use smallvec::SmallVec;

use super::Bus;
use super::client::{Client, ClientTable};
use super::driver::error_reply::Refusal;
use super::id::ClientId;
use super::limits::{BACKLOG_CHUNK_SIZE, SHARED_BACKLOG_SIZE_MIN};
use super::quota::{UserId, user_in_words};
use super::routing::Message;

/// Users with how many bytes they have somewhere.
type OfUsers<const N: usize> = SmallVec<[(Option<u32>, u64); N]>;

/// What waits for one client. Bounded by its queue: one chunk is at least [`BACKLOG_CHUNK_SIZE`] long, but
/// the last.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    chunks: VecDeque<Chunk>,
    of_users: OfUsers<2>,
}

#[derive(Debug)]
struct Chunk {
    /// Where it lies in all that was queued for the client so far.
    begin: u64,
    end: u64,
    of_users: OfUsers<1>,
}

impl Backlog {
    /// A message of this user was queued, which ends there.
    fn add(&mut self, uid: Option<u32>, size: u64, end: u64) {
        let is_open = |chunk: &&mut Chunk| chunk.end - chunk.begin < BACKLOG_CHUNK_SIZE;
        match self.chunks.back_mut().filter(is_open) {
            Some(chunk) => {
                chunk.end = end;
                add_to(&mut chunk.of_users, uid, size);
            }
            None => self.chunks.push_back(Chunk {
                begin: end.saturating_sub(size),
                end,
                of_users: SmallVec::from_iter([(uid, size)]),
            }),
        }
        add_to(&mut self.of_users, uid, size);
    }

    /// So much of all that was queued is written.
    pub(super) fn forget(&mut self, written: u64) {
        while self.chunks.front().is_some_and(|chunk| chunk.end <= written)
            && let Some(chunk) = self.chunks.pop_front()
        {
            for (uid, size) in chunk.of_users {
                if let Some((_, sum)) = self.of_users.iter_mut().find(|(other, _)| *other == uid) {
                    *sum -= size;
                }
            }
        }
        self.of_users.retain(|(_, sum)| *sum > 0);
    }

    fn of(&self, uid: Option<u32>) -> u64 {
        let found = self.of_users.iter().find(|(other, _)| *other == uid);
        found.map_or(0, |(_, size)| *size)
    }

    fn sum(&self) -> u64 {
        self.of_users.iter().map(|(_, size)| size).sum()
    }

    /// Who has most.
    fn largest(&self) -> Option<(Option<u32>, u64)> {
        self.of_users.iter().copied().max_by_key(|(_, size)| *size)
    }
}

fn add_to<const N: usize>(of_users: &mut OfUsers<N>, uid: Option<u32>, size: u64)
where
    [(Option<u32>, u64); N]: smallvec::Array<Item = (Option<u32>, u64)>,
{
    match of_users.iter_mut().find(|(other, _)| *other == uid) {
        Some((_, sum)) => *sum += size,
        None => of_users.push((uid, size)),
    }
}

/// Someone whose user may have only so much in the queues of others.
#[derive(Clone, Copy)]
pub(super) struct Crowder {
    pub(super) uid: Option<u32>,
    user: UserId,
}

/// A user has more in a client's queue than it may.
#[derive(Clone, Copy, Debug)]
pub(super) struct Overdrawn {
    uid: Option<u32>,
    own: u64,
    user_max: u64,
    waiting: u64,
    /// Of what, in words, and by which limit.
    what: (&'static str, &'static str),
    max: u64,
}

impl Overdrawn {
    const BYTES: (&'static str, &'static str) = ("bytes", "max_outgoing_bytes");
    const FDS: (&'static str, &'static str) = ("file descriptors", "max_outgoing_unix_fds");

    /// Of `waiting` there are `own` of this user and `others` of others that are shared.
    fn check(
        uid: Option<u32>,
        [own, others, waiting]: [u64; 3],
        what: (&'static str, &'static str),
        max: u64,
    ) -> Option<Self> {
        let user_max = max.saturating_sub(others) / 2;
        (own > user_max).then_some(Self { uid, own, user_max, waiting, what, max })
    }
}

impl fmt::Display for Overdrawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { uid, own, user_max, waiting, what: (what, limit), max } = self;
        write!(
            f,
            "of {waiting} {what} that wait for it {} sent {own}, and it may send more while it has no more \
             than {user_max} there, half of what other users leave of {limit}={max}",
            user_in_words(*uid)
        )
    }
}

impl Crowder {
    /// `None`: it may have all, or is gone.
    pub(super) fn of(clients: &ClientTable, sender: ClientId) -> Option<Self> {
        let Client { uid, user, .. } = *clients.get(sender)?;
        (!clients.users().is_privileged(user)).then_some(Self { uid, user })
    }

    /// Whether its user has its share of a client's queue, for a message with descriptors or without. Like
    /// the limit of the queue it is asked before a message is queued, so that one message may exceed it.
    #[cold]
    pub(super) fn overdrawn(
        &self,
        client: &Client,
        of_bus: &Limits,
        with_fds: bool,
    ) -> Option<Overdrawn> {
        if self.user == client.user {
            return None;
        }
        let of_bytes = || self.overdrawn_bytes(client, of_bus);
        let of_fds = || client.overdrawn_fds(self.uid, of_bus);
        let is_long = client.has_shared_backlog();
        is_long.then(of_bytes).flatten().or_else(|| with_fds.then(of_fds).flatten())
    }

    fn overdrawn_bytes(&self, client: &Client, of_bus: &Limits) -> Option<Overdrawn> {
        let backlog = &client.flow.as_ref()?.backlog;
        let own = backlog.of(self.uid);
        let counts = [own, backlog.sum() - own, client.outbox.bytes() as u64];
        let max = client.limits(of_bus).outgoing_bytes_max;
        Overdrawn::check(self.uid, counts, Overdrawn::BYTES, max)
    }
}

impl Bus {
    /// Whether the sender's user may have more in a client's queue.
    #[cold]
    pub(super) fn check_backlog(
        &self,
        message: &Message<'_>,
        client: &Client,
    ) -> Result<(), Refusal> {
        let Some(crowder) = Crowder::of(&self.clients, message.sender) else { return Ok(()) };
        let (of_bus, with_fds) = (&self.settings.limits, message.fds.is_some());
        let Some(overdrawn) = crowder.overdrawn(client, of_bus, with_fds) else { return Ok(()) };
        let why = "Rejected: destination has a full message queue, 0 matched rules";
        let (from, to) = (Some(message.sender), Some(client.id));
        let rejection = self.describe_rejection(message.header, from, to, why, false);
        Err(Refusal::QueueFull { text: format!("{rejection}; {overdrawn}") })
    }

    /// Who has sent most of the descriptors that wait for a client.
    pub(super) fn describe_fd_backlog(client: &Client) -> String {
        let largest = client.outbox.fds_by_user().iter().max_by_key(|(_, count)| *count);
        largest.map_or_else(String::new, |(uid, count)| {
            format!(", most of them from {} ({count})", user_in_words(*uid))
        })
    }

    /// Who has sent most of what waits for a client, if that is known.
    pub(super) fn describe_backlog(&self, client: ClientId) -> String {
        let flow = self.clients.get(client).and_then(|client| client.flow.as_ref());
        match flow.and_then(|flow| flow.backlog.largest()) {
            Some((uid, size)) => format!(", most of them from {} ({size})", user_in_words(uid)),
            None => String::new(),
        }
    }
}

impl Client {
    /// Whether another user, who owns neither the machine nor the bus, has had its share of the descriptors
    /// that may wait for this client.
    #[must_use]
    pub fn is_crowded_with_fds_of(&self, uid: Option<u32>, of_bus: &Limits) -> bool {
        self.overdrawn_fds(uid, of_bus).is_some()
    }

    fn overdrawn_fds(&self, uid: Option<u32>, of_bus: &Limits) -> Option<Overdrawn> {
        let own = self.outbox.fds_by_user().iter().find(|(other, _)| *other == uid);
        let own = own.map_or(0, |(_, count)| u64::from(*count));
        let (waiting, max) = (self.outbox.fds() as u64, self.limits(of_bus).outgoing_unix_fds_max);
        Overdrawn::check(uid, [own, waiting - own, waiting], Overdrawn::FDS, max)
    }

    /// A message of this user was queued for it, and too many wait.
    pub(super) fn note_backlog(&mut self, uid: Option<u32>, size: usize) {
        let end = self.outbox.queued();
        self.flow.get_or_insert_default().backlog.add(uid, size as u64, end);
    }

    /// Whether so much waits for it that users share its queue.
    pub(super) fn has_shared_backlog(&self) -> bool {
        self.outbox.bytes() > SHARED_BACKLOG_SIZE_MIN
    }

    /// For [`Bus::check_invariants`].
    pub(super) fn check_backlog(&self) {
        let Some(flow) = &self.flow else { return };
        let mut sums = OfUsers::<2>::new();
        for chunk in &flow.backlog.chunks {
            chunk.of_users.iter().for_each(|(uid, size)| add_to(&mut sums, *uid, *size));
        }
        sums.sort_unstable();
        let mut known = flow.backlog.of_users.clone();
        known.sort_unstable();
        assert_eq!(known, sums, "what users have in the queue of {:?}", self.id);
    }
}
