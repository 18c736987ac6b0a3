//! What a worker's thread does while the bus goes on: reading the configuration again, finding
//! cookies in a keyring.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bus_policy::{Audience, UserPolicy};
use libbus::auth::CookieChallenge;
use libbus::host::keyring::server_challenge;

use super::EventLoop;
use crate::bus;
use crate::bus::id::{ClientId, Timestamp};
use crate::bus::log::{AuditType, LogRecord, Severity};
use crate::bus::services::Services;
use crate::configuration::{Reading, Reloaded};
use crate::host;
use crate::host::keyring::keyring_directory;
use crate::host::selinux::notices::Notice;
use crate::host::service_directories::FoundServices;
use crate::host::service_manager::{self, State};

/// How often a configuration is read for one reload: directories that appear one below the other are each
/// found when the one above it is watched.
const READ_COUNT_MAX: usize = 16;

/// What the worker's thread brings back.
pub(super) enum WorkResult {
    Cookie {
        client: ClientId,
        cookie: Result<CookieChallenge, String>,
    },
    Reloaded(Box<Reading>, Vec<(Audience, UserPolicy)>),
    /// It is done, and that is all.
    Done,
}

impl EventLoop {
    pub(super) fn find_cookie(&mut self, client: ClientId, context: &'static str, now: Timestamp) {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started = self.worker.start(move || {
            let cookie = keyring_directory().and_then(|directory| {
                let challenge = server_challenge(&directory, context, since_1970.as_secs());
                challenge.map_err(|error| error.to_string())
            });
            WorkResult::Cookie { client, cookie }
        });
        if !started {
            self.bus.handle_event(bus::Event::CookieFound { client, cookie: None }, now);
        }
    }

    pub(super) fn start_reload(&mut self, now: Timestamp) {
        let (source, running) = (self.source.clone(), Arc::clone(&self.config));
        let watch = self.config_watch.clone();
        let limits = self.bus.limit_overrides().clone();
        let subjects = self.bus.subjects();
        let started = self.worker.start(move || {
            service_manager::tell(State::Reloading);
            let mut reading = source.reload(&running, &limits);
            for _ in 0..READ_COUNT_MAX {
                let Reading { result, found } = &mut reading;
                // Without a configuration not all directories are known: the watches stay.
                let (Ok(reloaded), Some(watch)) = (result, &watch) else { break };
                reloaded.watched_directories.extend_from_slice(&found.directories);
                let replaced = watch.replace(&reloaded.watched_directories);
                reloaded.notes.extend(replaced.complaints);
                if !replaced.has_more {
                    break;
                }
                // They may have changed before they were watched.
                reading = source.reload(&running, &limits);
            }
            let set = reading.result.as_ref().ok().map(|reloaded| &reloaded.settings.policy);
            let compiled = set.map(|set| set.compile(&subjects)).unwrap_or_default();
            service_manager::tell(State::Ready);
            WorkResult::Reloaded(Box::new(reading), compiled)
        });
        if !started {
            let result = Err("too much other work waits".to_owned());
            self.bus.handle_event(bus::Event::Reloaded { result }, now);
        }
    }

    /// However much changed, it is one reload.
    pub(super) fn handle_config_change(&mut self, now: Timestamp) {
        if self.config_watch.as_ref().is_some_and(|watch| watch.take_changes()) {
            self.bus.handle_event(bus::Event::FilesChanged, now);
        }
    }

    /// Another policy may come with another file of contexts for the bus (config.md B111, B114).
    pub(super) fn handle_security_change(&mut self, now: Timestamp) {
        let notice = self.security.notices.as_ref().map_or(Notice::None, |notices| notices.take());
        if notice != Notice::None {
            self.refresh_security();
        }
        if notice == Notice::PolicyLoaded {
            let text = "avc:  received policyload notice".to_owned();
            let record = LogRecord::of(Severity::Info, text);
            self.journal.log_record(record.audited(AuditType::PolicyLoad));
            self.bus.handle_event(bus::Event::ReloadRequested, now);
        }
    }

    fn refresh_security(&mut self) {
        for record in self.security.mediation.refresh() {
            self.journal.log_record(record);
        }
    }

    pub(super) fn handle_results(&mut self, now: Timestamp) {
        while let Some(result) = self.worker.next_result() {
            match result {
                WorkResult::Cookie { client, cookie } => {
                    if let Err(text) = &cookie {
                        self.journal.log(Severity::Warning, text.clone());
                    }
                    let cookie = cookie.ok();
                    self.bus.handle_event(bus::Event::CookieFound { client, cookie }, now);
                }
                WorkResult::Done => {}
                WorkResult::Reloaded(reading, compiled) => {
                    self.bus.handle_event(bus::Event::PoliciesCompiled(compiled), now);
                    let Reading { result, found } = *reading;
                    let services = self.take_over_services(found);
                    if result.is_err() {
                        let services = Arc::clone(&services);
                        self.bus.handle_event(bus::Event::ServicesFound { services }, now);
                    }
                    let result = result
                        .map(|reloaded| bus::Settings { services, ..self.take_over(reloaded) });
                    self.bus.handle_event(bus::Event::Reloaded { result }, now);
                }
            }
            self.carry_out(now);
        }
    }

    /// Has the worker's thread drop something large, if that has room for it.
    pub(super) fn let_go(&mut self, large: impl Send + 'static) {
        let _ = self.worker.start(move || {
            drop(large);
            WorkResult::Done
        });
    }

    fn take_over_services(&mut self, found: FoundServices) -> Arc<Services> {
        let notes: Vec<String> = found.problems.into_iter().chain(found.notes).collect();
        for note in notes.iter().filter(|note| !self.service_notes.contains(note)) {
            self.journal.log(Severity::Warning, note.clone());
        }
        self.service_notes = notes;
        self.service_stamps.replace(found.stamps);
        Arc::new(found.services)
    }

    fn take_over(&mut self, reloaded: Reloaded) -> bus::Settings {
        for note in reloaded.notes {
            self.journal.log(Severity::Warning, note);
        }
        let old = std::mem::replace(&mut self.config, Arc::new(reloaded.config));
        self.let_go(old);
        host::unmap_unused_code();
        self.security.mediation.set_associations(&self.config.selinux_contexts);
        self.refresh_security();
        reloaded.settings
    }
}
