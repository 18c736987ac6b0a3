//! Reading the configuration again (config.md B105–B108).
//!
//! One reading serves all who asked before it began; who asks while it runs may have changed a file
//! that was read already, and waits for another one. Users who own neither the machine nor the bus
//! could make it read without end: what they ask for begins some time after the last reading.

use std::sync::Arc;

use super::driver::ReplyTo;
use super::driver::error_reply::Refusal;
use super::id::{ClientId, Timestamp};
use super::limits::{RELOAD_CALLER_COUNT_MAX, RELOAD_GAP_MS};
use super::log::{LogRecord, Severity};
use super::services::Services;
use super::{Bus, Effect, Settings};

/// Who waits for the configuration to be read again.
#[derive(Default)]
pub(super) struct Reload {
    /// How many readings have begun, and how many of them are done.
    begun: u64,
    done: u64,
    /// How many must be done until all files have been read as they are now.
    needed: u64,
    /// When the next reading begins, if the one that may be running is done then.
    due: Option<Timestamp>,
    /// Until then, no reading begins that only ordinary users asked for.
    rests_until: Timestamp,
    /// Who is answered when the running one is done.
    callers: Vec<ReplyTo>,
    /// Who is answered when the next one is. Both together are at most [`RELOAD_CALLER_COUNT_MAX`] for
    /// each user.
    next_callers: Vec<ReplyTo>,
}

impl Reload {
    /// When a reading is to begin that waits for nothing but time.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.due.filter(|_| !self.is_running())
    }

    const fn is_running(&self) -> bool {
        self.begun > self.done
    }

    /// How many readings must be done until all files have been read as they are now: services may be in
    /// them that nobody knows. Nothing if they have been.
    pub(super) fn awaited(&self) -> Option<u64> {
        Some(self.needed).filter(|needed| *needed > self.done)
    }
}

impl Bus {
    /// Begins to read the configuration again, or notes that it must be read once more
    /// (config.md B105).
    pub(super) fn request_reload(&mut self, caller: Option<ReplyTo>) -> Result<(), Refusal> {
        if let Some(caller) = &caller
            && self.reloads_of_user(caller.client()) >= RELOAD_CALLER_COUNT_MAX
        {
            return Err(Refusal::TooManyReloads { max: RELOAD_CALLER_COUNT_MAX });
        }
        let client = caller.as_ref().and_then(|caller| self.clients.get(caller.client()));
        let is_patient = client.is_some_and(|client| !self.is_privileged_user(client.uid));
        let reload = &mut self.reload;
        let due = if is_patient { reload.rests_until.max(self.now) } else { self.now };
        reload.due = Some(reload.due.map_or(due, |other| other.min(due)));
        reload.next_callers.extend(caller);
        self.begin_reload();
        Ok(())
    }

    /// Begins the next reading if it is due.
    pub(super) fn begin_reload(&mut self) {
        let reload = &mut self.reload;
        if reload.next_deadline().is_some_and(|due| due <= self.now) {
            reload.due = None;
            reload.begun += 1;
            reload.callers = std::mem::take(&mut reload.next_callers);
            self.effects.push_back(Effect::Reload);
        }
    }

    /// When [`begin_reload`](Self::begin_reload) has something to do.
    pub(super) fn next_reload(&self) -> Option<Timestamp> {
        self.reload.next_deadline()
    }

    /// Until the files have been read, whoever asks for a service that no file promised before waits.
    pub(super) fn handle_files_changed(&mut self) {
        self.reload.needed = self.reload.begun + 1;
        // Whoever changed them is not told: the log is.
        drop(self.request_reload(None));
    }

    /// How many calls by the user of this client wait.
    fn reloads_of_user(&self, id: ClientId) -> usize {
        let Reload { callers, next_callers, .. } = &self.reload;
        let user_of = |id: ClientId| self.clients.get(id).map(|client| client.user);
        let user = user_of(id);
        callers.iter().chain(next_callers).filter(|one| user_of(one.client()) == user).count()
    }

    pub(super) fn handle_reloaded(&mut self, result: Result<Settings, String>) {
        let refusal = match result {
            Ok(settings) => {
                self.take_over_services(Arc::clone(&settings.services));
                self.settings = settings;
                self.reapply_policy();
                self.refresh_limits();
                None
            }
            Err(text) => Some(text),
        };
        let who = self.describe_reload_callers();
        if let Some(text) = &refusal {
            self.log(LogRecord::new(
                Severity::Error,
                &format_args!(
                    "Unable to reload configuration{who}: {text}; the old one stays in force"
                ),
            ));
        } else {
            self.log(LogRecord::new(Severity::Info, &format_args!("Reloaded configuration{who}")));
        }
        for caller in std::mem::take(&mut self.reload.callers) {
            // Who has gone or become a monitor in the meantime takes part no longer.
            let client = self.clients.get(caller.client());
            if !client.is_some_and(|client| client.is_registered()) {
                continue;
            }
            match &refusal {
                None => self.reply_empty(&caller),
                Some(text) => self.reply_error(&caller, &Refusal::ReloadFailed(text.clone())),
            }
        }
        self.reload.done = self.reload.begun;
        self.reload.rests_until = self.now.plus_ms(RELOAD_GAP_MS);
        self.begin_reload();
        // However much has changed since: who waited for this one need not wait for the next.
        self.end_search(self.reload.done);
    }

    pub(super) fn take_over_services(&mut self, services: Arc<Services>) {
        if services != self.settings.services {
            self.settings.services = services;
            self.announce_services();
        }
    }

    /// Who asked for the reading that is done, for the log.
    fn describe_reload_callers(&self) -> String {
        match self.reload.callers.as_slice() {
            [] => String::new(),
            [one] => format!(", which {} asked for", self.describe(one.client())),
            [one, others @ ..] => format!(
                ", which {} and {} other calls asked for",
                self.describe(one.client()),
                others.len()
            ),
        }
    }
}
