//! Who may wait for services to start (config.md B039).
//!
//! `max_pending_service_starts` is how much of that a user may have who is alone. The pool has twice as
//! many places, and **a user may have half of what the other users leave**: so who is alone reaches the
//! limit, and who comes later still finds a place, however many names somebody waits for that nobody will
//! ever take. Root and the user of the bus reach the limit always, and take nothing from the others.
//!
//! deviation: with dbus-daemon all users have the limit together, and one of them may use it up.
//!
//! Bound: the pool, and the limit once more for each of root and the user of the bus.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::Bus;
use super::driver::error_reply::Refusal;
use super::quota::{Holders, user_in_words};

/// How many of those who wait for most are named in a refusal.
const NAMED_HOLDER_COUNT: usize = 3;

/// How many places each user has, for [`super::activation`].
#[derive(Debug, Default)]
pub(super) struct StartPlaces(HashMap<Option<u32>, usize, FixedState>);

impl StartPlaces {
    pub(super) fn take(&mut self, uid: Option<u32>) {
        *self.0.entry(uid).or_default() += 1;
    }

    pub(super) fn give_back(&mut self, uid: Option<u32>) {
        if let Some(count) = self.0.get_mut(&uid) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&uid);
            }
        }
    }

    /// How many there are in all.
    pub(super) fn count(&self) -> usize {
        self.0.values().sum()
    }
}

impl Bus {
    /// Whether a user may wait for a service once more.
    pub(super) fn check_start_place(&self, name: &str, uid: Option<u32>) -> Result<(), Refusal> {
        let max = self.settings.limits.pending_service_starts_max as usize;
        let StartPlaces(of_users) = &self.activation.places;
        let own = of_users.get(&uid).copied().unwrap_or_default();
        if own >= max {
            let max = self.settings.limits.pending_service_starts_max;
            return Err(Refusal::TooManyStarts { name: name.to_owned(), max });
        }
        if self.is_privileged_user(uid) {
            return Ok(());
        }
        let is_other = |other: Option<u32>| other != uid && !self.is_privileged_user(other);
        let of_others = of_users.iter().filter(|(other, _)| is_other(**other));
        let of_others = of_others.map(|(other, count)| (*other, *count as u64));
        let others: u64 = of_others.clone().map(|(_, count)| count).sum();
        let pool = 2 * max as u64;
        let share = pool.saturating_sub(others).div_ceil(2);
        if (own as u64) < share {
            return Ok(());
        }
        let user = user_in_words(uid);
        let most = Holders::largest(of_others, NAMED_HOLDER_COUNT);
        let text = format!(
            "The share of {user} of pending activations is used up, activation of {name} failed: it \
             waits for {own}, other users wait for {others} of {pool} ({most}), and it may wait for \
             {share}, half of what they leave. Wait until those have started or failed, or raise \
             max_pending_service_starts"
        );
        Err(Refusal::ShareExceeded { text })
    }
}
