//! How many refusals the log is told of.
//!
//! Every refused message is answered, with all that there is to say about it. A client that goes on all
//! the same would fill the log, and cost others the time that writing it takes: of one client's refusals
//! at most [`LOGGED_REFUSALS_MAX`] within [`LOGGED_REFUSALS_GAP_MS`] are logged, and then how many more
//! there were.

use super::Bus;
use super::id::{ClientId, Timestamp};
use super::limits::{LOGGED_REFUSALS_GAP_MS, LOGGED_REFUSALS_MAX};
use super::log::{LogRecord, Severity};

/// A client's refusals since some time.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    since: Timestamp,
    logged: u32,
    unlogged: u64,
}

impl Bus {
    /// Whether the log is to be told of another refusal of this client; how many it was not told of
    /// comes first.
    pub(super) fn may_log_refusal(&mut self, id: ClientId) -> bool {
        let now = self.now;
        let Some(client) = self.clients.get_mut(id) else { return true };
        let refusals = client.refusals.get_or_insert_default();
        let ended = refusals.since.plus_ms(LOGGED_REFUSALS_GAP_MS) <= now;
        if ended {
            let before = std::mem::take(&mut **refusals);
            **refusals = Refusals { since: now, logged: 1, unlogged: 0 };
            self.log_unlogged(id, before.unlogged);
            return true;
        }
        if refusals.logged < LOGGED_REFUSALS_MAX {
            refusals.logged += 1;
            return true;
        }
        refusals.unlogged += 1;
        false
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
