//! Connections that begin, as far as there is room for handshakes.
//!
//! `max_incomplete_connections` bounds how many clients there are before Hello (config.md B037), and
//! of that each user has a share, so that nobody who comes has to wait for somebody else's flood.
//! **A connection that is one too many of its user waits**: it is accepted and not read from, and
//! neither its handshake's time nor the number of incomplete connections counts it, until one of
//! those ends. A session that starts sixty programs at once is served one after the other; none of
//! them notices more than that. Only when more connections of one user wait than it could ever use
//! (`max_connections_per_user`, which may be its own), or than its share of what all users could use
//! (`max_completed_connections`), are further ones closed.
//!
//! Users who own the machine or the bus have no share here: `max_incomplete_connections` alone bounds
//! them.
//!
//! Invariants: a client whose hold is [`Hold::Newcomer`] stands once in its user's queue, and nobody
//! else does; no queue is empty; nobody waits for whom there is room.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::FixedState;

use super::client::Hold;
use super::id::{ClientId, Timestamp};
use super::lifecycle::Disconnection;
use super::limits::REFUSED_CONNECTIONS_LOG_GAP_MS;
use super::log::{LogRecord, Severity};
use super::quota::{Resource, UserId};
use super::{Bus, Effect};

/// Who waits until its handshake may begin.
#[derive(Debug, Default)]
pub(super) struct Newcomers {
    /// For each user, in the order in which they came, with the number of their coming.
    waiting: HashMap<UserId, VecDeque<(u64, ClientId)>, FixedState>,
    count: usize,
    next_number: u64,
    /// Connections that were closed and that the log does not know of.
    refused: u64,
    /// When the log was told of some last.
    refused_logged: Option<Timestamp>,
}

impl Bus {
    /// Lets a client begin that has just connected, or lets it wait, or closes its connection.
    pub(super) fn receive_newcomer(&mut self, id: ClientId) {
        let Some(user) = self.clients.get(id).map(|client| client.user) else { return };
        if self.may_begin(user) {
            return self.begin_handshake(id);
        }
        let max_of_user = self.connections_per_user_max(id) as usize;
        let newcomers = &mut self.newcomers;
        let own = newcomers.waiting.get(&user).map_or(0, VecDeque::len);
        let limits = &self.settings.limits;
        let left =
            (limits.completed_connections_max as usize).saturating_sub(newcomers.count - own);
        let max = (left / 2).min(max_of_user);
        newcomers.waiting.entry(user).or_default().push_back((newcomers.next_number, id));
        newcomers.count += 1;
        newcomers.next_number += 1;
        if let Some(client) = self.clients.get_mut(id) {
            client.hold = Hold::Newcomer;
        }
        if own >= max {
            self.log_refused_newcomer(id, max);
            self.disconnect(id, Disconnection::ByBus);
        }
    }

    /// Lets those begin who waited and for whom there is room now: whatever ends a handshake, and
    /// new limits, lead here.
    pub(super) fn begin_handshakes(&mut self) {
        while let Some((_, id)) = self.next_newcomer() {
            self.forget_newcomer(id);
            self.begin_handshake(id);
            self.effects.push_back(Effect::ReadAgain { client: id });
        }
    }

    /// Who has waited longest of those for whom there is room.
    fn next_newcomer(&self) -> Option<(u64, ClientId)> {
        let waiting = &self.newcomers.waiting;
        let able = waiting.iter().filter(|(user, _)| self.may_begin(**user));
        able.filter_map(|(_, queue)| queue.front().copied()).min_by_key(|(number, _)| *number)
    }

    /// Takes a client out of the queue, if it stands there, since it begins or goes.
    pub(super) fn forget_newcomer(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else { return };
        if client.hold != Hold::Newcomer {
            return;
        }
        client.hold = Hold::None;
        let newcomers = &mut self.newcomers;
        let Some(queue) = newcomers.waiting.get_mut(&client.user) else { return };
        queue.retain(|(_, waiting)| *waiting != id);
        if queue.is_empty() {
            newcomers.waiting.remove(&client.user);
        }
        newcomers.count -= 1;
    }

    fn begin_handshake(&mut self, id: ClientId) {
        self.clients.charge(id, Resource::IncompleteConnections, 1);
        self.incomplete_count += 1;
        self.auth_queue.push_back((self.now, id));
    }

    /// Whether another client of this user may begin.
    fn may_begin(&self, user: UserId) -> bool {
        let users = self.clients.users();
        if self.incomplete_count >= self.settings.limits.incomplete_connections_max {
            return false;
        }
        if users.is_privileged(user) {
            return true;
        }
        let share = users.share(user, Resource::IncompleteConnections, &self.pools, 0);
        share.of_user < share.user_max
    }

    fn log_refused_newcomer(&mut self, id: ClientId, max: usize) {
        self.newcomers.refused += 1;
        let due =
            self.newcomers.refused_logged.map(|at| at.plus_ms(REFUSED_CONNECTIONS_LOG_GAP_MS));
        if due.is_some_and(|due| due > self.now) {
            return;
        }
        let Some(client) = self.clients.get(id) else { return };
        let users = self.clients.users();
        let share = users.share(client.user, Resource::IncompleteConnections, &self.pools, 0);
        let text = self.explain_share(client, &share);
        let count = std::mem::take(&mut self.newcomers.refused);
        self.newcomers.refused_logged = Some(self.now);
        let text = format_args!(
            "Refused {count} connections since this was last said, since {max} of the same user \
             wait for their handshake already: {text}"
        );
        self.log(LogRecord::new(Severity::Warning, &text));
    }

    /// For [`Bus::check_invariants`].
    pub(super) fn check_newcomers(&self) {
        let Newcomers { waiting, count, .. } = &self.newcomers;
        assert_eq!(waiting.values().map(VecDeque::len).sum::<usize>(), *count, "all who wait");
        let held = self.clients.iter().filter(|client| client.hold == Hold::Newcomer);
        assert_eq!(held.count(), *count, "whoever waits stands in a queue");
        for (user, queue) in waiting {
            assert!(!queue.is_empty(), "no queue is empty");
            assert!(!self.may_begin(*user), "nobody waits for whom there is room");
            for (_, id) in queue {
                let client = self.clients.get(*id).filter(|one| one.hold == Hold::Newcomer);
                assert_eq!(client.map(|client| client.user), Some(*user), "{id:?} in a queue");
            }
        }
    }
}
