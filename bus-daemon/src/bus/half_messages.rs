//! Large messages of users whose share of bytes is used up.
//!
//! A client that has sent a part of a message and holds more than its share of bytes is *stalled*: it
//! is not read from. That alone would never end, when what fills the share is halves of messages or
//! belongs to nobody who reads. So **one of a user's stalled clients at a time is let through**, the
//! one that has waited longest: it is read from until its message is whole. All others go on when
//! there is room, which is looked for every [`SHARE_RETRY_MS`], or when it is their turn. Whoever dies
//! is noticed at its turn, too.
//!
//! Beyond its share a user so holds one message, of at most `max_message_size`. While others of its user
//! wait, a client that is let through and sends hardly anything within [`LET_THROUGH_BEGIN_MS`] waits
//! for its next turn behind them; one that has begun and does not send the rest within
//! [`LET_THROUGH_MS`] is disconnected, since nothing else would ever let them go on.
//!
//! Invariants: `waiting` lists each stalled client once, and nobody else; `let_through` has an entry
//! for each client that is let through, at most one a user; whoever waits has one of its user
//! before it.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::FixedState;

use super::client::Hold;
use super::id::{ClientId, Timestamp};
use super::lifecycle::Disconnection;
use super::limits::{
    LET_THROUGH_BEGIN_MS, LET_THROUGH_BEGIN_SIZE, LET_THROUGH_MS, SHARE_RETRY_MS,
    UNCOUNTED_SIZE_MAX,
};
use super::quota::UserId;
use super::{Bus, Effect};

/// Who waits with half a message, and who need not.
#[derive(Debug, Default)]
pub(super) struct HalfMessages {
    /// Whoever has waited longest is first.
    waiting: VecDeque<ClientId>,
    let_through: HashMap<UserId, LetThrough, FixedState>,
    /// When to look whether there is room for them.
    retry_at: Timestamp,
}

#[derive(Debug)]
struct LetThrough {
    client: ClientId,
    /// Bytes of its message that had come when it was let through.
    bytes_before: usize,
    /// Bytes that have come by now: there are never fewer before it is whole.
    bytes: usize,
    /// Since when others of its user wait for it.
    waited_for: Option<Timestamp>,
}

impl HalfMessages {
    /// When to look again whether somebody has room, or has had its time.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        (!self.waiting.is_empty()).then_some(self.retry_at)
    }
}

impl Bus {
    /// After a read: charges what has come, and stalls a client with a part of a message beyond its
    /// share.
    pub(super) fn settle_share(&mut self, id: ClientId) {
        self.clients.charge_queues(id);
        let Some(client) = self.clients.get(id) else { return };
        let (bytes, user) = (client.incoming.bytes(), client.user);
        match client.hold {
            Hold::None => {}
            // It is not read from.
            Hold::Newcomer => return,
            Hold::Stalled if bytes > UNCOUNTED_SIZE_MAX => return,
            Hold::Stalled => self.release(id),
            Hold::LetThrough => {
                if let Some(turn) = self.half_messages.let_through.get_mut(&user)
                    && bytes > UNCOUNTED_SIZE_MAX
                    && bytes >= turn.bytes
                {
                    turn.bytes = bytes;
                    return;
                }
                self.release(id);
            }
        }
        if bytes > UNCOUNTED_SIZE_MAX && !self.has_room_for_half(id) {
            self.stall(id);
        }
    }

    /// Goes on with those who were stalled and have room now, and ends it with those who were let
    /// through and hold the others up.
    pub(super) fn retry_stalled(&mut self) {
        if self.half_messages.next_deadline().is_none_or(|at| at > self.now) {
            return;
        }
        self.half_messages.retry_at = self.now.plus_ms(SHARE_RETRY_MS);
        let waiting: Vec<ClientId> = self.half_messages.waiting.iter().copied().collect();
        for id in waiting {
            if self.has_room_for_half(id) {
                self.release(id);
            }
        }
        let turns = self.half_messages.let_through.values();
        let waited_for = |turn: &LetThrough, ms| {
            turn.waited_for.is_some_and(|since| since.plus_ms(ms) <= self.now)
        };
        let slow = turns.filter(|turn| waited_for(turn, LET_THROUGH_BEGIN_MS));
        let slow: Vec<(ClientId, bool, bool)> = slow
            .map(|turn| {
                let has_begun = turn.bytes - turn.bytes_before >= LET_THROUGH_BEGIN_SIZE;
                (turn.client, has_begun, waited_for(turn, LET_THROUGH_MS))
            })
            .collect();
        for (id, has_begun, is_late) in slow {
            if self.has_room_for_half(id) {
                self.release(id);
            } else if !has_begun {
                self.release(id);
                self.stall(id);
            } else if is_late {
                self.disconnect(id, Disconnection::HoldsUpOthers);
            }
        }
    }

    /// A client goes, or has no half message any more.
    pub(super) fn forget_half_message(&mut self, id: ClientId) {
        if self.clients.get(id).is_some_and(|client| client.hold.is_for_half_message()) {
            self.release(id);
        }
    }

    fn has_room_for_half(&self, id: ClientId) -> bool {
        let (users, pools) = (self.clients.users(), &self.pools);
        self.clients.get(id).is_none_or(|client| client.has_room_for_rest(users, pools))
    }

    fn stall(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else { return };
        client.hold = Hold::Stalled;
        let user = client.user;
        let half_messages = &mut self.half_messages;
        if half_messages.waiting.is_empty() {
            half_messages.retry_at = self.now.plus_ms(SHARE_RETRY_MS);
        }
        half_messages.waiting.push_back(id);
        match half_messages.let_through.get_mut(&user) {
            Some(turn) => turn.waited_for = turn.waited_for.or(Some(self.now)),
            None => self.let_next_through(user),
        }
    }

    /// A client is no longer stalled or let through: it may be read from, unless it goes, and if it
    /// was let through, the next one is.
    fn release(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let (before, user) = (std::mem::take(&mut client.hold), client.user);
        if before == Hold::Stalled {
            self.half_messages.waiting.retain(|waiting| *waiting != id);
            self.effects.push_back(Effect::ReadAgain { client: id });
            if !self.others_wait(user)
                && let Some(turn) = self.half_messages.let_through.get_mut(&user)
            {
                turn.waited_for = None;
            }
        } else {
            self.half_messages.let_through.remove(&user);
            self.let_next_through(user);
        }
    }

    /// Lets the one of this user's stalled clients through that has waited longest.
    fn let_next_through(&mut self, user: UserId) {
        let Self { clients, half_messages, effects, .. } = self;
        let is_of_user = |id: &ClientId| clients.get(*id).is_some_and(|one| one.user == user);
        let Some(place) = half_messages.waiting.iter().position(is_of_user) else { return };
        let Some(id) = half_messages.waiting.remove(place) else { return };
        let waited_for = half_messages.waiting.iter().any(is_of_user).then_some(self.now);
        if let Some(client) = clients.get_mut(id) {
            client.hold = Hold::LetThrough;
            let bytes = client.incoming.bytes();
            let turn = LetThrough { client: id, bytes_before: bytes, bytes, waited_for };
            half_messages.let_through.insert(user, turn);
            effects.push_back(Effect::ReadAgain { client: id });
        }
    }

    fn others_wait(&self, user: UserId) -> bool {
        let is_of_user = |id: &ClientId| self.clients.get(*id).is_some_and(|one| one.user == user);
        self.half_messages.waiting.iter().any(is_of_user)
    }

    /// For [`Bus::check_invariants`].
    pub(super) fn check_half_messages(&self) {
        let HalfMessages { waiting, let_through, .. } = &self.half_messages;
        for client in self.clients.iter() {
            let id = client.id;
            let listed = waiting.iter().filter(|waiting| **waiting == id).count();
            assert_eq!(listed, usize::from(client.hold == Hold::Stalled), "{id:?} waits");
            let turn = let_through.get(&client.user);
            let has_turn = turn.is_some_and(|turn| turn.client == id);
            assert_eq!(has_turn, client.hold == Hold::LetThrough, "{id:?} is let through");
        }
        assert!(waiting.iter().all(|id| self.clients.get(*id).is_some()), "nobody who is gone");
        for (user, turn) in let_through {
            assert!(self.clients.get(turn.client).is_some(), "nobody who is gone is let through");
            let waited_for = turn.waited_for.is_some();
            assert_eq!(waited_for, self.others_wait(*user), "only others limit its time");
        }
        for id in waiting {
            let user = self.clients.get(*id).map(|client| client.user);
            assert!(user.is_some_and(|user| let_through.contains_key(&user)), "somebody goes on");
        }
    }
}
