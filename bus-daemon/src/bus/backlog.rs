//! Whose messages wait for a client that is sent more than it reads.
//!
//! The queue of a client is bounded for itself (config.md B029); one user who fills it would shut all
//! others out. So **of a queue that has become long a user may have half of what the others leave**,
//! but for owners of the machine and the bus, for the client's own user, and for answers that it has
//! asked for. What counts are messages for this client alone, from the moment on when too many wait
//! (`slow_receivers.rs`).
//!
//! Messages are written in their order, so that it is enough to know up to where what lies in the
//! queue: in chunks, each with what users have in it.

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::Bus;
use super::client::Client;
use super::driver::error_reply::Refusal;
use super::id::ClientId;
use super::limits::{BACKLOG_CHUNK_SIZE, SHARED_BACKLOG_SIZE_MIN};
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

fn name_of(uid: Option<u32>) -> String {
    uid.map_or_else(|| "users that are not known".to_owned(), |uid| format!("user {uid}"))
}

impl Bus {
    /// A message for a client alone was queued, for which too many wait.
    pub(super) fn note_backlog(&mut self, sender: ClientId, recipient: ClientId, size: usize) {
        let uid = self.clients.get(sender).and_then(|client| client.uid);
        let Some(client) = self.clients.get_mut(recipient) else { return };
        let end = client.outbox.queued();
        client.flow.get_or_insert_default().backlog.add(uid, size as u64, end);
    }

    /// Whether the sender's user may have more in a client's queue. Like the limit of the queue it is asked
    /// before a message is queued, so that one message may exceed it.
    #[cold]
    pub(super) fn check_backlog(
        &self,
        message: &Message<'_>,
        client: &Client,
    ) -> Result<(), Refusal> {
        let (Some(sender), Some(flow)) = (self.clients.get(message.sender), &client.flow) else {
            return Ok(());
        };
        if sender.user == client.user || self.clients.users().is_privileged(sender.user) {
            return Ok(());
        }
        let max = client.limits(&self.settings.limits).outgoing_bytes_max;
        let own = flow.backlog.of(sender.uid);
        let others = flow.backlog.sum() - own;
        let user_max = max.saturating_sub(others) / 2;
        if own <= user_max {
            return Ok(());
        }
        let why = "Rejected: destination has a full message queue, 0 matched rules";
        let (from, to) = (Some(message.sender), Some(client.id));
        let rejection = self.describe_rejection(message.header, from, to, why, false);
        let (who, waiting) = (name_of(sender.uid), client.outbox.bytes());
        let text = format!(
            "{rejection}; of {waiting} bytes that wait for it {who} sent {own}, and it may have \
             {user_max} there, half of what other users leave of max_outgoing_bytes={max}"
        );
        Err(Refusal::QueueFull { text })
    }

    /// Who has sent most of what waits for a client, if that is known.
    pub(super) fn describe_backlog(&self, client: ClientId) -> String {
        let flow = self.clients.get(client).and_then(|client| client.flow.as_ref());
        match flow.and_then(|flow| flow.backlog.largest()) {
            Some((uid, size)) => format!(", most of them from {} ({size})", name_of(uid)),
            None => String::new(),
        }
    }
}

impl Client {
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
