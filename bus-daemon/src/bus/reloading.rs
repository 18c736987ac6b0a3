//! Reading the configuration again (config.md B105–B108).

use super::driver::ReplyTo;
use super::driver::error_reply::Refusal;
use super::id::ClientId;
use super::limits::RELOAD_CALLER_COUNT_MAX;
use super::log::{LogRecord, Severity};
use super::{Bus, Effect, Reload, Settings};

impl Bus {
    /// Begins to read the configuration again, or notes that it must be read once more when that is
    /// done (config.md B105).
    pub(super) fn request_reload(&mut self, caller: Option<ReplyTo>) -> Result<(), Refusal> {
        if let Some(caller) = &caller
            && self.reloads_of_user(caller.client()) >= RELOAD_CALLER_COUNT_MAX
        {
            return Err(Refusal::TooManyReloads { max: RELOAD_CALLER_COUNT_MAX });
        }
        let reload = &mut self.reload;
        if reload.is_running {
            reload.is_due_again = true;
            reload.next_callers.extend(caller);
        } else {
            reload.is_running = true;
            reload.callers.extend(caller);
            self.effects.push_back(Effect::Reload);
        }
        Ok(())
    }

    /// Until the files have been read, whoever asks for a service that no file promised before waits.
    pub(super) fn handle_files_changed(&mut self) {
        self.reload.is_search = true;
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
                let has_others = settings.services != self.settings.services;
                self.settings = settings;
                if has_others {
                    self.announce_services();
                }
                self.reapply_policy();
                self.refresh_limits();
                None
            }
            Err(text) => Some(text),
        };
        if let Some(text) = &refusal {
            self.log(LogRecord::new(
                Severity::Error,
                &format_args!("Unable to reload configuration: {text}; the old one stays in force"),
            ));
        } else {
            self.log(LogRecord::new(Severity::Info, &format_args!("Reloaded configuration")));
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
        self.reload.is_running = std::mem::take(&mut self.reload.is_due_again);
        if self.reload.is_running {
            self.reload.callers = std::mem::take(&mut self.reload.next_callers);
            self.effects.push_back(Effect::Reload);
        } else if std::mem::take(&mut self.reload.is_search) {
            self.end_search();
        }
    }
}
