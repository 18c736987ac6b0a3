//! How many refusals, disconnections and messages that a rule wants logged the log is told of.
//!
//! Every refused message is answered, with all that there is to say about it. A client that goes on all
//! the same would fill the log, and cost others the time that writing it takes; so would a user whose
//! clients come again and again. Of the refusals of one client, of those of one user, and of the
//! disconnections and logged messages of one user a bounded number is logged within
//! [`LOGGED_REFUSALS_GAP_MS`], and then how many more there were.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::Bus;
use super::id::{ClientId, Timestamp};
use super::limits::{
    LOGGED_DISCONNECTIONS_MAX, LOGGED_LEFT_OUT_MAX, LOGGED_REFUSALS_GAP_MS, LOGGED_REFUSALS_MAX,
    LOGGED_REFUSALS_OF_USER_MAX, LOGGED_USER_COUNT_MAX,
};
use super::log::{LogRecord, Severity};

/// Lines about the same since some time.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    since: Timestamp,
    logged: u32,
    unlogged: u64,
}

impl Refusals {
    /// Whether there may be another line, and how many there should have been before it.
    fn take(&mut self, max: u32, now: Timestamp) -> (bool, u64) {
        if self.since.plus_ms(LOGGED_REFUSALS_GAP_MS) <= now {
            let before = std::mem::replace(self, Self { since: now, logged: 1, unlogged: 0 });
            return (true, before.unlogged);
        }
        let is_logged = self.logged < max;
        if is_logged {
            self.logged += 1;
        } else {
            self.unlogged += 1;
        }
        (is_logged, 0)
    }
}

/// Lines about each user.
#[derive(Debug, Default)]
pub(super) struct LoggedUsers(HashMap<Option<u32>, LoggedUser, FixedState>);

#[derive(Debug, Default)]
struct LoggedUser {
    refusals: Refusals,
    disconnections: Refusals,
    /// Messages that a rule with log="true" let pass.
    passages: Refusals,
    /// Clients whom broadcasts begin to leave out.
    left_out: Refusals,
}

impl LoggedUsers {
    fn of(&mut self, uid: Option<u32>) -> &mut LoggedUser {
        if self.0.len() >= LOGGED_USER_COUNT_MAX && !self.0.contains_key(&uid) {
            self.0.clear();
        }
        self.0.entry(uid).or_default()
    }
}

impl Bus {
    /// Whether the log is to be told of another refusal of this client; how many it was not told of
    /// comes first.
    pub(super) fn may_log_refusal(&mut self, id: ClientId) -> bool {
        let now = self.now;
        let uid = self.uid_of(id);
        let Some(client) = self.clients.get_mut(id) else { return true };
        let of_client = client.refusals.get_or_insert_default();
        let (is_logged, unlogged) = of_client.take(LOGGED_REFUSALS_MAX, now);
        self.log_unlogged(id, unlogged);
        if !is_logged {
            return false;
        }
        let refusals = &mut self.logged_users.of(uid).refusals;
        let (is_logged, unlogged) = refusals.take(LOGGED_REFUSALS_OF_USER_MAX, now);
        self.log_unlogged_of_user(uid, "messages", "refused", unlogged);
        is_logged
    }

    /// The same for another disconnection.
    pub(super) fn may_log_disconnection(&mut self, id: ClientId) -> bool {
        let (now, uid) = (self.now, self.uid_of(id));
        let disconnections = &mut self.logged_users.of(uid).disconnections;
        let (is_logged, unlogged) = disconnections.take(LOGGED_DISCONNECTIONS_MAX, now);
        self.log_unlogged_of_user(uid, "clients", "disconnected", unlogged);
        is_logged
    }

    /// The same for another message that a rule lets pass and wants logged (config.md B072).
    pub(super) fn may_log_passage(&mut self, sender: ClientId) -> bool {
        let (now, uid) = (self.now, self.uid_of(sender));
        let passages = &mut self.logged_users.of(uid).passages;
        let (is_logged, unlogged) = passages.take(LOGGED_REFUSALS_OF_USER_MAX, now);
        self.log_unlogged_of_user(
            uid,
            "messages",
            "let pass by a rule with log=\"true\"",
            unlogged,
        );
        is_logged
    }

    /// The same for another client whom broadcasts leave out.
    pub(super) fn may_log_left_out(&mut self, id: ClientId) -> bool {
        let (now, uid) = (self.now, self.uid_of(id));
        let left_out = &mut self.logged_users.of(uid).left_out;
        let (is_logged, unlogged) = left_out.take(LOGGED_LEFT_OUT_MAX, now);
        self.log_unlogged_of_user(uid, "times clients", "left out by broadcasts", unlogged);
        is_logged
    }

    fn uid_of(&self, id: ClientId) -> Option<u32> {
        self.clients.get(id).and_then(|client| self.clients.users().uid(client.user))
    }

    fn log_unlogged_of_user(&mut self, uid: Option<u32>, what: &str, became: &str, count: u64) {
        if count > 0 {
            let who = uid
                .map_or_else(|| "users that are not known".to_owned(), |uid| format!("user {uid}"));
            let text = format_args!(
                "{count} further {what} of {who} were {became} within {} s, which is too often to \
                 log each",
                LOGGED_REFUSALS_GAP_MS / 1000
            );
            self.log(LogRecord::new(Severity::Warning, &text));
        }
    }

    /// A client goes.
    pub(super) fn forget_refusals(&mut self, id: ClientId) {
        let refusals = self.clients.get_mut(id).and_then(|client| client.refusals.take());
        self.log_unlogged(id, refusals.map_or(0, |refusals| refusals.unlogged));
    }

    fn log_unlogged(&mut self, id: ClientId, count: u64) {
        if count > 0 {
            let who = self.describe(id);
            let text = format_args!(
                "{count} further messages of {who} were refused and not logged, since \
                 {LOGGED_REFUSALS_MAX} within {} s were",
                LOGGED_REFUSALS_GAP_MS / 1000
            );
            self.log(LogRecord::new(Severity::Warning, &text));
        }
    }
}
