//! Calls in flight: which replies are expected, from whom, and since when.
//!
//! A reply passes only if its call was noted here, and the first one uses the note up
//! (protocol.md A145). A client that leaves takes the calls it made with it and leaves those it
//! was to answer without a reply (A147); a call may also be too old (A148). What is sent then is
//! the caller's matter.
//!
//! A call is found by (caller, callee, serial) through a hash table, in which consecutive serials are
//! `neighbours`, and stands in three lists that run through the calls themselves: its caller's, its
//! callee's, and all by age. So every operation costs the same whatever is outstanding, and none
//! allocates once the tables have grown. The time limit is one number for all calls and the clock
//! never goes back, so the list by age is also the list by deadline, for whatever limit is configured
//! at the moment.
//!
//! Bounded by `max_replies_per_connection` (config.md B042), which the caller compares with
//! [`PendingReplies::count_of_caller`]. When a client leaves, both
//! [`remove_caller`](PendingReplies::remove_caller) and
//! [`next_of_callee`](PendingReplies::next_of_callee) (until `None`) come before its slot is
//! given to another client.

mod neighbours;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::num::NonZeroU32;

use slab::Slab;

use self::neighbours::{CallKey, Neighbours};
use super::id::{ClientId, Timestamp};
use super::name_registry::chain::{Chain, Links, id_of_key, shrink_slab, shrink_table};

/// A call whose reply has not passed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingReply {
    /// Who called.
    pub caller: ClientId,
    /// Who is to reply.
    pub callee: ClientId,
    /// The call's serial, which is the reply's REPLY_SERIAL.
    pub serial: NonZeroU32,
    /// When the call passed.
    pub called_at: Timestamp,
}

/// A call with this serial from this caller to this callee is already in flight (protocol.md
/// A146).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DuplicateSerial;

/// All calls in flight.
#[derive(Debug)]
pub struct PendingReplies {
    calls: Slab<Call>,
    by_key: HashMap<CallKey, u32, Neighbours>,
    /// Oldest first.
    by_age: Chain,
    /// By the slot of the client, so that finding a client's lists needs no hashing.
    clients: Vec<ClientCalls>,
}

#[derive(Debug)]
struct Call {
    reply: PendingReply,
    by_age: Links,
    of_caller: Links,
    of_callee: Links,
}

/// The calls a client made and those it is to answer, oldest first.
#[derive(Clone, Copy, Debug)]
struct ClientCalls {
    made: Chain,
    made_count: u32,
    received: Chain,
}

impl PendingReplies {
    /// No calls. `seed` is random, so that no client can choose serials that collide.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            calls: Slab::new(),
            by_key: HashMap::with_hasher(Neighbours::new(seed)),
            by_age: Chain::EMPTY,
            clients: Vec::new(),
        }
    }

    /// Notes a call that expects a reply. `now` is not before that of any earlier call.
    ///
    /// # Errors
    /// [`DuplicateSerial`], and nothing is noted.
    pub fn insert(
        &mut self,
        caller: ClientId,
        callee: ClientId,
        serial: NonZeroU32,
        now: Timestamp,
    ) -> Result<(), DuplicateSerial> {
        use std::collections::hash_map::Entry;
        let Entry::Vacant(entry) = self.by_key.entry(CallKey { caller, callee, serial }) else {
            return Err(DuplicateSerial);
        };
        let reply = PendingReply { caller, callee, serial, called_at: now };
        let id = id_of_key(self.calls.insert(Call::loose(reply)));
        entry.insert(id);
        self.by_age.push_back(&mut self.calls, id, |call| &mut call.by_age);
        self.link_clients(id, caller, callee);
        Ok(())
    }

    /// Whether `callee` owes `caller` the reply to this call (protocol.md A145).
    #[must_use]
    pub fn is_expected(&self, caller: ClientId, callee: ClientId, serial: NonZeroU32) -> bool {
        self.by_key.contains_key(&CallKey { caller, callee, serial })
    }

    /// The reply to this call passes: the note is used up (protocol.md A145). `None`: no such
    /// reply was requested.
    pub fn take(
        &mut self,
        caller: ClientId,
        callee: ClientId,
        serial: NonZeroU32,
    ) -> Option<PendingReply> {
        let id = self.by_key.remove(&CallKey { caller, callee, serial })?;
        self.unlink(id)
    }

    /// Takes the oldest call that `callee` has not answered; it is gone (protocol.md A147).
    pub fn next_of_callee(&mut self, callee: ClientId) -> Option<PendingReply> {
        if let Some(oldest) = self.client(callee).received.first() {
            return self.remove(oldest);
        }
        self.give_back();
        None
    }

    /// Forgets the calls that `caller` made; it is gone. Replies to them are no longer requested.
    pub fn remove_caller(&mut self, caller: ClientId) {
        while let Some(id) = self.client(caller).made.first() {
            self.remove(id);
        }
        self.give_back();
    }

    /// Takes the oldest call if it is `timeout_ms` old or older (protocol.md A148).
    pub fn pop_expired(&mut self, now: Timestamp, timeout_ms: u64) -> Option<PendingReply> {
        if self.next_deadline(timeout_ms)? > now {
            return None;
        }
        self.by_age.first().and_then(|id| self.remove(id))
    }

    /// When the next call will be `timeout_ms` old; `None`: no call is in flight.
    #[must_use]
    pub fn next_deadline(&self, timeout_ms: u64) -> Option<Timestamp> {
        let oldest = self.calls.get(self.by_age.first()? as usize)?;
        Some(oldest.reply.called_at.plus_ms(timeout_ms))
    }

    /// How many calls `caller` has in flight (config.md B042).
    #[must_use]
    pub fn count_of_caller(&self, caller: ClientId) -> u32 {
        self.client(caller).made_count
    }

    /// The calls that `caller` has in flight, oldest first.
    pub fn of_caller(&self, caller: ClientId) -> impl Iterator<Item = &PendingReply> {
        let made = self.client(caller).made;
        made.iter(&self.calls, |call| call.of_caller).map(|(_, call)| &call.reply)
    }

    /// The calls that `callee` has not answered, oldest first.
    pub fn of_callee(&self, callee: ClientId) -> impl Iterator<Item = &PendingReply> {
        let received = self.client(callee).received;
        received.iter(&self.calls, |call| call.of_callee).map(|(_, call)| &call.reply)
    }

    /// All calls in flight, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &PendingReply> {
        self.by_age.iter(&self.calls, |call| call.by_age).map(|(_, call)| &call.reply)
    }

    /// How many calls are in flight.
    #[must_use]
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether no call is in flight.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    fn link_clients(&mut self, id: u32, caller: ClientId, callee: ClientId) {
        let slots = caller.index.max(callee.index) as usize + 1;
        if self.clients.len() < slots {
            self.clients.resize(slots, ClientCalls::NONE);
        }
        if let Some(client) = self.clients.get_mut(caller.index as usize) {
            client.made.push_back(&mut self.calls, id, |call| &mut call.of_caller);
            client.made_count += 1;
        }
        if let Some(client) = self.clients.get_mut(callee.index as usize) {
            client.received.push_back(&mut self.calls, id, |call| &mut call.of_callee);
        }
    }

    /// Takes a call out of everything.
    fn remove(&mut self, id: u32) -> Option<PendingReply> {
        let reply = self.unlink(id)?;
        let PendingReply { caller, callee, serial, .. } = reply;
        self.by_key.remove(&CallKey { caller, callee, serial });
        Some(reply)
    }

    /// Takes a call out of everything but `by_key`.
    fn unlink(&mut self, id: u32) -> Option<PendingReply> {
        let reply = self.calls.get(id as usize)?.reply;
        let PendingReply { caller, callee, .. } = reply;
        self.by_age.remove(&mut self.calls, id, |call| &mut call.by_age);
        if let Some(client) = self.clients.get_mut(caller.index as usize) {
            client.made.remove(&mut self.calls, id, |call| &mut call.of_caller);
            client.made_count = client.made_count.saturating_sub(1);
        }
        if let Some(client) = self.clients.get_mut(callee.index as usize) {
            client.received.remove(&mut self.calls, id, |call| &mut call.of_callee);
        }
        self.calls.try_remove(id as usize);
        Some(reply)
    }

    fn client(&self, client: ClientId) -> ClientCalls {
        self.clients.get(client.index as usize).copied().unwrap_or(ClientCalls::NONE)
    }

    /// Lets go of memory after a burst.
    fn give_back(&mut self) {
        shrink_table(&mut self.by_key);
        shrink_slab(&mut self.calls);
    }
}

impl PendingReplies {
    /// Checks what the module promises, for tests.
    ///
    /// # Panics
    /// When the table contradicts itself.
    pub fn check_invariants(&self) {
        assert_eq!(self.by_key.len(), self.calls.len(), "one index entry per call");
        let by_age = self.by_age.iter(&self.calls, |call| call.by_age);
        let mut latest = Timestamp::default();
        let mut count = 0;
        for (id, call) in by_age {
            let PendingReply { caller, callee, serial, called_at } = call.reply;
            let key = CallKey { caller, callee, serial };
            assert_eq!(self.by_key.get(&key), Some(&id));
            assert!(latest <= called_at, "oldest first");
            latest = called_at;
            count += 1;
        }
        assert_eq!(count, self.calls.len(), "each call has its place by age");
        self.check_clients();
    }

    fn check_clients(&self) {
        let (mut made, mut received) = (0, 0);
        for (index, client) in self.clients.iter().enumerate() {
            let own = client.made.iter(&self.calls, |call| call.of_caller);
            let own = own.inspect(|(_, call)| assert_eq!(call.reply.caller.index as usize, index));
            assert_eq!(own.count(), client.made_count as usize);
            made += client.made_count as usize;
            received += client
                .received
                .iter(&self.calls, |call| call.of_callee)
                .inspect(|(_, call)| assert_eq!(call.reply.callee.index as usize, index))
                .count();
        }
        assert_eq!(made, self.calls.len(), "each call is its caller's");
        assert_eq!(received, self.calls.len(), "each call is its callee's");
    }
}

impl Call {
    fn loose(reply: PendingReply) -> Self {
        Self { reply, by_age: Links::LOOSE, of_caller: Links::LOOSE, of_callee: Links::LOOSE }
    }
}

impl ClientCalls {
    const NONE: Self = Self { made: Chain::EMPTY, made_count: 0, received: Chain::EMPTY };
}
