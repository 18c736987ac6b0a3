//! What a client gives up that goes: names, rules, and the calls that others made to it.
//!
//! Each name and each call is news for somebody, and a client may have hundreds. So it gives up as many
//! as a turn has time for ([`WORK_PER_TURN_MAX`]) and the rest in the turns that follow, of which all
//! those who go have one together. To others that is as if it had released its names one by one and then
//! closed its connection: its unique name goes after the others, and then each call is answered. A name
//! that somebody needs meanwhile, for a message or for himself, is given up first, so that nobody sees more
//! of someone who goes than questions about names tell.
//!
//! Invariant: who stands in `departures` is in the client table, has no socket any more, neither sends
//! nor gets anything, and is no connection that limits count.

use libbus::names::WellKnownName;

use super::Bus;
use super::driver::Unique;
use super::driver::error_reply::Refusal;
use super::id::ClientId;
use super::limits::{GIVEN_UP_WORK, WORK_PER_TURN_MAX};
use super::quota::Resource;

impl Bus {
    /// A client goes, whose socket is closed.
    pub(super) fn depart(&mut self, id: ClientId) {
        let Some(client) = self.clients.get(id) else { return };
        self.completed_count -= u32::from(!client.is_incomplete());
        self.clients.charge(id, Resource::Connections, 0);
        let unread = self.take_unread(id);
        let turn_ends = self.work_done() + WORK_PER_TURN_MAX;
        if self.give_up(id, turn_ends) {
            self.forget(id);
        } else {
            self.clients.close(id);
            self.put_off_clients.retain(|waiting| *waiting != id);
            self.clients.charge(id, Resource::Replies, 0);
            self.charge_counts(id);
            self.departures.push_back(id);
        }
        self.give_again(unread);
    }

    /// Somebody needs a name: who goes and has it gives it up now.
    pub(super) fn take_from_departures(&mut self, name: WellKnownName<'_>) {
        while !self.departures.is_empty()
            && let Some(owner) = self.names.owner(name.as_str())
            && self.departures.contains(&owner)
        {
            let outcome = self.names.release(owner, name);
            self.charge_counts(owner);
            let Some(change) = outcome.change else { return };
            self.announce(&change);
        }
    }

    /// One turn for all who go.
    pub(super) fn continue_departures(&mut self) {
        let turn_ends = self.work_done() + WORK_PER_TURN_MAX;
        while self.work_done() < turn_ends
            && let Some(id) = self.departures.pop_front()
        {
            if self.give_up(id, turn_ends) {
                self.forget(id);
            } else {
                self.charge_counts(id);
                self.departures.push_back(id);
            }
        }
    }

    /// Everything that a client gives up when it becomes a monitor. What it is charged for that is the
    /// caller's matter.
    pub(super) fn give_up_all(&mut self, id: ClientId) {
        self.give_up(id, u64::MAX);
    }

    /// Gives up what there is time for; answers whether nothing is left.
    fn give_up(&mut self, id: ClientId, turn_ends: u64) -> bool {
        self.matches.remove_client(id);
        self.eavesdroppers.remove_client(id);
        self.replies.remove_caller(id);
        while let Some(given_up) = self.names.release_next(id) {
            if let Some(change) = given_up.change {
                self.announce(&change);
            }
            self.other_work += GIVEN_UP_WORK;
            if self.work_done() >= turn_ends {
                return false;
            }
        }
        if let Some(unique) = self.unique_name_of(id)
            && self.unique_names.remove(&unique.number()).is_some()
        {
            let mut losers = self.matches.handle_unique_name_gone(unique.as_str());
            losers.extend(self.eavesdroppers.handle_unique_name_gone(unique.as_str()));
            losers.into_iter().for_each(|loser| self.charge_counts(loser));
            self.announce_unique(id, unique.as_str(), Unique::Gone);
        }
        while let Some(pending) = self.replies.next_of_callee(id) {
            self.charge_replies(pending.caller);
            self.send_error_from_driver(
                pending.caller,
                Some(pending.serial),
                &Refusal::CalleeDisconnected,
            );
            self.other_work += GIVEN_UP_WORK;
            if self.work_done() >= turn_ends {
                return false;
            }
        }
        true
    }
}
