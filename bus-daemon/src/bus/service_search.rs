//! Looking for services in files that have changed (config.md B097).
//!
//! Before a start begins, and before it is said that nothing takes a name, files that have changed are
//! read again; what waits for that asks once more then, and perhaps a second time, since files may have
//! changed while they were read. A service whose own file is as it was waits for nothing.

use super::Bus;
use super::activation::{Start, Waiter, Way};
use super::driver::error_reply::Refusal;
use super::id::ClientId;

/// Whether somebody who has waited for files to be read asks once more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum AsksAgain {
    #[default]
    No,
    /// Files have changed while they were read: it may wait for one more reading.
    Once,
    Finally,
}

impl Bus {
    /// How many readings of files must be done before it is known what starts this name, if they have
    /// changed. Where a start is under way, it is; and what other services' files say does not matter.
    pub(super) fn must_search(&mut self, name: &str) -> Option<u64> {
        if self.activation.asks_again == AsksAgain::Finally {
            return None;
        }
        if let Some(start) = self.activation.starts.get(name) {
            return match start.way {
                Way::Search { round, .. } => Some(round),
                Way::Host | Way::Systemd(_) | Way::Itself => None,
            };
        }
        let known = self.settings.services.get(name);
        let has_changed = (self.identity.files_changed)(known.map(|service| &**service));
        if known.is_some() && !has_changed {
            return None;
        }
        if has_changed {
            self.handle_files_changed();
        }
        self.reload.awaited()
    }

    pub(super) fn wait_for_search(
        &mut self,
        name: &str,
        round: u64,
        sender: ClientId,
        waiter: Waiter,
    ) -> Result<(), Refusal> {
        let uid = self.clients.get(sender).and_then(|client| client.uid);
        let is_last = self.activation.asks_again != AsksAgain::No;
        self.add_waiter(name, uid, Way::Search { round, is_last }, waiter).map(drop)
    }

    /// So many readings of files are done: who waited for one of them asks once more.
    pub(super) fn end_search(&mut self, done: u64) {
        let is_over =
            |start: &Start| matches!(start.way, Way::Search { round, .. } if round <= done);
        let starts = self.activation.starts.iter().filter(|(_, start)| is_over(start));
        let names: Vec<String> = starts.map(|(name, _)| name.clone()).collect();
        for name in names {
            let Some(start) = self.activation.take(&name) else { continue };
            self.activation.asks_again = match start.way {
                Way::Search { is_last: true, .. } => AsksAgain::Finally,
                _ => AsksAgain::Once,
            };
            for (_, waiter) in start.waiters {
                match waiter {
                    Waiter::Caller(reply_to) if self.takes_part(reply_to.client()) => {
                        if let Err(refusal) = self.start_for(&name, reply_to) {
                            self.reply_error(&reply_to, &refusal);
                        }
                    }
                    Waiter::Caller(_) => {}
                    Waiter::Message(held) => self.pass_on(held),
                }
            }
        }
        self.activation.asks_again = AsksAgain::No;
    }
}
