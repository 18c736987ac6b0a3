//! Starting services on demand (protocol.md A153, A215–A222).
//!
//! A message to a name that nobody owns and that a service file promises is held, and the service is
//! started; so is a call of StartServiceByName. All who ask for the same name share one start. It
//! ends when the name gets an owner, which then is given what was held, in the order in which it came
//! and after the policy was asked again; or when it fails, or takes too long, and everybody who
//! waits is told why.
//!
//! Before a start begins, files that have changed are read again (`service_search.rs`).
//!
//! How a service is started is the host's matter ([`Effect::StartService`]), or systemd's, which is
//! asked by a signal.
//!
//! Bounds: as many waiters as there are places for them and their users (`start_places.rs`); of each sender's
//! messages as many bytes as `max_incoming_bytes`, which count as its own (`client/charges.rs`).
//!
//! Invariants: `due` is the earliest deadline; no name that is being started has an owner; each client is charged for the messages of it that are held.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bus_policy::MatchedPatterns;
use bus_policy::question::Circumstances;
use libbus::names::{BusName, ErrorName, WellKnownName};
use libbus::standard_error as error;
use libbus::wire::Flags;

use super::driver::ReplyTo;
use super::driver::error_reply::{Refusal, StartFailure};
use super::held_messages::{Held, HeldMessage};
use super::id::{ClientId, Timestamp};
use super::limits::EXITED_WELL_TIME_MS;
use super::log::{LogRecord, Severity};
use super::policing::{Party, Passage};
use super::routing::Message;
use super::service_search::AsksAgain;
use super::services::{Service, Starter};
use super::start_places::StartPlaces;
use super::{Bus, Effect};

/// The name of systemd, which is asked to start services and never started itself.
pub(super) const SYSTEMD_NAME: &str = "org.freedesktop.systemd1";

/// A start that is under way, for the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StartId(pub u64);

/// How a service ended that the host started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceEnd {
    /// With this status.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
}

/// Starts that are under way.
#[derive(Debug, Default)]
pub(super) struct Activation {
    pub(super) starts: BTreeMap<String, Start>,
    next_id: u64,
    /// Those that waiters have.
    pub(super) places: StartPlaces,
    /// The earliest deadline of all starts.
    due: Option<Timestamp>,
    pub(super) asks_again: AsksAgain,
}

#[derive(Debug)]
pub(super) struct Start {
    id: StartId,
    pub(super) way: Way,
    /// When it fails.
    due: Timestamp,
    /// Whether its process ended well, and what it had started by others may still take the name.
    exited_well: bool,
    /// With the user of each.
    pub(super) waiters: Vec<(Option<u32>, Waiter)>,
}

impl Start {
    /// Where another one waits: behind all others, but for what a service had and did not read.
    fn place_of(&self, waiter: &Waiter) -> usize {
        let was_given = |waiter: &Waiter| matches!(waiter, Waiter::Message(held) if held.was_given);
        match was_given(waiter) {
            true => self.waiters.iter().take_while(|(_, waiter)| was_given(waiter)).count(),
            false => self.waiters.len(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The host executes something.
    Host,
    /// systemd starts this unit.
    Systemd(String),
    /// It is systemd, which comes by itself.
    Itself,
    /// It is not known yet: files are being read again because some have changed (config.md B097). How
    /// many readings must be done.
    Search {
        round: u64,
        /// Whether what is known then decides, however much changes in the meantime.
        is_last: bool,
    },
}

/// Who waits for a start.
#[derive(Debug)]
pub(super) enum Waiter {
    /// A call of StartServiceByName.
    Caller(ReplyTo),
    /// A message for the service.
    Message(HeldMessage),
}

impl Activation {
    /// When [`Event::TimePassed`](super::Event::TimePassed) is due for a start.
    pub(super) const fn next_deadline(&self) -> Option<Timestamp> {
        self.due
    }

    fn note_due(&mut self) {
        self.due = self.starts.values().map(|start| start.due).min();
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Start> {
        let start = self.starts.remove(name)?;
        start.waiters.iter().for_each(|(uid, _)| self.places.give_back(*uid));
        self.note_due();
        Some(start)
    }

    fn name_of(&self, id: StartId) -> Option<String> {
        let mut starts = self.starts.iter();
        starts.find(|(_, start)| start.id == id).map(|(name, _)| name.clone())
    }
}

impl Bus {
    /// Whether a message goes to a name that nobody owns and that a service would take.
    pub(super) fn may_start_a_service(&self, message: &Message<'_>) -> bool {
        let Some(name) = message.header.destination else { return false };
        let is_awaited = self.awaits_systemd(name.as_str()) && is_startable(message, name);
        (is_awaited || self.service_for(message, name).is_some()) && self.resolve(name).is_none()
    }

    /// Whether this is the name of systemd, which starts services and comes by itself (protocol.md A221).
    fn awaits_systemd(&self, name: &str) -> bool {
        self.identity.systemd_activation && name == SYSTEMD_NAME
    }

    /// The service that a message may start.
    fn service_for(&self, message: &Message<'_>, name: BusName<'_>) -> Option<&Arc<Service>> {
        self.settings.services.get(name.as_str()).filter(|_| is_startable(message, name))
    }

    /// What becomes of a message to a name that nobody owns: it is held until a service has taken the
    /// name, if one can be started.
    #[cold]
    pub(super) fn activate(
        &mut self,
        message: &Message<'_>,
        name: BusName<'_>,
    ) -> Result<(), Refusal> {
        let text = name.as_str().to_owned();
        if message.header.flags.contains(Flags::NO_AUTO_START) {
            return Err(Refusal::DestinationHasNoOwner { name: text });
        }
        if is_startable(message, name) && self.awaits_systemd(&text) {
            self.may_activate(message, &text, None)?;
            let held = self.hold(message)?;
            return self.wait_for_systemd(message.sender, Waiter::Message(held));
        }
        if is_startable(message, name)
            && let Some(round) = self.must_search(&text)
        {
            let held = self.hold(message)?;
            return self.wait_for_search(&text, round, message.sender, Waiter::Message(held));
        }
        let Some(service) = self.service_for(message, name).cloned() else {
            return Err(Refusal::NotActivatable { name: text });
        };
        let label = service.file.assumed_apparmor_label.as_deref();
        self.may_activate(message, &service.file.name, label)?;
        let held = self.hold(message)?;
        let who = self.describe_requester(message.sender);
        self.wait_for(&service, held.uid(), &who, Waiter::Message(held))
    }

    /// config.md B058, protocol.md A223: the sender's rules alone, by the name that the service will
    /// have.
    fn may_activate(
        &mut self,
        message: &Message<'_>,
        name: &str,
        assumed_label: Option<&str>,
    ) -> Result<(), Refusal> {
        let names = MatchedPatterns::of_name(&self.settings.policy, name);
        let passage = Passage {
            header: message.header,
            circumstances: Circumstances::default(),
            sender: Party::of(self.clients.get(message.sender)),
            recipient: Party::Service(&names),
        };
        if let Err(denial) = passage.check(&self.policies) {
            return Err(self.denied(message, None, &passage, denial));
        }
        self.mediate_activation(message.header, message.sender, assumed_label)
    }

    /// StartServiceByName for a name that nobody owns (protocol.md A176, A216).
    pub(super) fn start_for(&mut self, name: &str, reply_to: ReplyTo) -> Result<(), Refusal> {
        let sender = reply_to.client();
        if self.awaits_systemd(name) {
            return self.wait_for_systemd(sender, Waiter::Caller(reply_to));
        }
        if WellKnownName::parse(name).is_ok()
            && let Some(round) = self.must_search(name)
        {
            return self.wait_for_search(name, round, sender, Waiter::Caller(reply_to));
        }
        let Some(service) = self.settings.services.get(name).cloned() else {
            return Err(Refusal::NotActivatable { name: name.to_owned() });
        };
        let uid = self.clients.get(sender).and_then(|client| client.uid);
        let who = self.describe_requester(sender);
        self.wait_for(&service, uid, &who, Waiter::Caller(reply_to))
    }

    /// Nobody starts it: it is awaited.
    fn wait_for_systemd(&mut self, sender: ClientId, waiter: Waiter) -> Result<(), Refusal> {
        let uid = self.clients.get(sender).and_then(|client| client.uid);
        self.add_waiter(SYSTEMD_NAME, uid, Way::Itself, waiter).map(drop)
    }

    /// Adds one who waits for a name: the start, if this is a new one.
    pub(super) fn add_waiter(
        &mut self,
        name: &str,
        uid: Option<u32>,
        way: Way,
        waiter: Waiter,
    ) -> Result<Option<StartId>, Refusal> {
        if let Err(refusal) = self.check_start_place(name, uid) {
            self.turn_away(waiter);
            return Err(refusal);
        }
        self.activation.places.take(uid);
        if let Some(start) = self.activation.starts.get_mut(name) {
            let place = start.place_of(&waiter);
            start.waiters.insert(place, (uid, waiter));
            return Ok(None);
        }
        let id = StartId(self.activation.next_id);
        self.activation.next_id += 1;
        let due = self.now.plus_ms(self.settings.limits.service_start_timeout_ms.into());
        let start = Start { id, way, due, exited_well: false, waiters: vec![(uid, waiter)] };
        self.activation.starts.insert(name.to_owned(), start);
        self.activation.note_due();
        Ok(Some(id))
    }

    /// One who does not wait, whom the caller tells why.
    fn turn_away(&mut self, waiter: Waiter) {
        if let Waiter::Message(mut held) = waiter {
            self.let_go(&mut held);
        }
    }

    /// Waits for a service, and has it started if nobody did yet. `who` asks, in words.
    pub(super) fn wait_for(
        &mut self,
        service: &Arc<Service>,
        uid: Option<u32>,
        who: &str,
        waiter: Waiter,
    ) -> Result<(), Refusal> {
        let name = service.file.name.as_str();
        let by_systemd = self.identity.systemd_activation;
        let unit = service.file.systemd_service.as_ref().filter(|_| by_systemd);
        // config.md B094
        if unit.is_none() && self.settings.starter.changes_user() && service.file.user.is_none() {
            self.turn_away(waiter);
            let text = format!(
                "Cannot do system-bus activation with no user; write User= in the file of {name}"
            );
            return Err(Refusal::StartFailed(StartFailure::new(error::SPAWN_FILE_INVALID, text)));
        }
        let way = unit.map_or(Way::Host, |unit| Way::Systemd(unit.clone()));
        let Some(id) = self.add_waiter(name, uid, way, waiter)? else { return Ok(()) };
        match unit {
            None => {
                let how = match self.settings.starter {
                    Starter::Bus => "",
                    Starter::Helper => " (using servicehelper)",
                    Starter::PrivilegedLauncher => " (as the user of its service file)",
                };
                let text = format_args!("Activating service name='{name}' requested by {who}{how}");
                self.log(LogRecord::new(Severity::Info, &text));
                let environment = self.activation_environment.to_variables();
                let service = Arc::clone(service);
                self.effects.push_back(Effect::StartService { start: id, service, environment });
            }
            Some(unit) => {
                let text = format_args!(
                    "Activating via systemd: service name='{name}' unit='{unit}' requested by {who}"
                );
                self.log(LogRecord::new(Severity::Info, &text));
                self.ask_systemd(unit, true);
            }
        }
        Ok(())
    }

    /// As the reference writes it (protocol.md A241).
    fn describe_requester(&self, id: ClientId) -> String {
        let Some(client) = self.clients.get(id) else { return "(gone)".to_owned() };
        format!("'{}' ({})", client.name(), self.describe_process(&client.credentials))
    }

    /// A name has an owner that had none: what waited for that is over.
    pub(super) fn finish_start(&mut self, name: &str, owner: ClientId) {
        let Some(start) = self.activation.take(name) else { return };
        if start.way == Way::Host {
            self.effects.push_back(Effect::ReleaseService { start: start.id });
        }
        if matches!(start.way, Way::Host | Way::Systemd(_)) {
            let text = format_args!("Successfully activated service '{name}'");
            self.log(LogRecord::new(Severity::Info, &text));
        }
        for (_, waiter) in start.waiters {
            match waiter {
                Waiter::Caller(reply_to) => {
                    if self.takes_part(reply_to.client()) {
                        self.reply_started(&reply_to);
                    }
                }
                Waiter::Message(mut held) => {
                    self.let_go(&mut held);
                    self.give(held, owner);
                }
            }
        }
    }

    /// The host could not start a service, or says how it ended without taking its name.
    pub(super) fn handle_start_failed(&mut self, id: StartId, failure: StartFailure) {
        if let Some(name) = self.activation.name_of(id) {
            self.fail_start(&name, failure);
        }
    }

    /// A process ended that the host started, and all that it left behind. If it ended well it may have
    /// had another manager start the service, which has a while for that.
    pub(super) fn handle_service_ended(&mut self, id: StartId, end: ServiceEnd) {
        let Some(name) = self.activation.name_of(id) else { return };
        let (error, text) = match end {
            ServiceEnd::Exited(0) => {
                let due = self.now.plus_ms(EXITED_WELL_TIME_MS);
                if let Some(start) = self.activation.starts.get_mut(&name) {
                    start.due = start.due.min(due);
                    start.exited_well = true;
                }
                return self.activation.note_due();
            }
            ServiceEnd::Exited(status) => {
                (error::SPAWN_CHILD_EXITED, format!("Process {name} exited with status {status}"))
            }
            ServiceEnd::Signalled(signal) => {
                (error::SPAWN_CHILD_SIGNALED, format!("Process {name} received signal {signal}"))
            }
        };
        self.fail_start(&name, StartFailure::new(error, text));
    }

    /// systemd could not start a unit: all names that waited for it fail.
    pub(super) fn handle_unit_failed(&mut self, unit: &str, failure: &StartFailure) {
        let way = Way::Systemd(unit.to_owned());
        let starts = self.activation.starts.iter().filter(|(_, start)| start.way == way);
        let names: Vec<String> = starts.map(|(name, _)| name.clone()).collect();
        for name in names {
            self.fail_start(&name, failure.clone());
        }
    }

    /// The units that systemd is to start, each once, in the order in which they were first wanted.
    pub(super) fn units_wanted(&self) -> Vec<String> {
        let units = self.activation.starts.values().filter_map(|start| match &start.way {
            Way::Systemd(unit) => Some((start.id, unit)),
            Way::Host | Way::Itself | Way::Search { .. } => None,
        });
        let mut by_age: Vec<_> = units.collect();
        by_age.sort();
        let mut seen = BTreeSet::new();
        let first = by_age.into_iter().filter(|(_, unit)| seen.insert(*unit));
        first.map(|(_, unit)| unit.clone()).collect()
    }

    /// Starts that took too long (protocol.md A234).
    pub(super) fn expire_starts(&mut self) {
        while self.activation.due.is_some_and(|due| due <= self.now) {
            let late = self.activation.starts.iter().find(|(_, start)| start.due <= self.now);
            let Some((name, start)) = late else { return };
            let (name, id, exited_well) = (name.clone(), start.id, start.exited_well);
            let is_by_host = start.way == Way::Host;
            let timeout = self.settings.limits.service_start_timeout_ms;
            let failure = if exited_well {
                StartFailure::new(
                    error::SPAWN_CHILD_EXITED,
                    format!("Process {name} exited with status 0, and nothing took the name"),
                )
            } else {
                if is_by_host {
                    self.effects.push_back(Effect::StopService { start: id });
                }
                StartFailure::new(
                    error::TIMED_OUT,
                    format!(
                        "Failed to activate service '{name}': timed out \
                         (service_start_timeout={timeout}ms)"
                    ),
                )
            };
            self.fail_start(&name, failure);
        }
    }

    fn fail_start(&mut self, name: &str, failure: StartFailure) {
        let Some(start) = self.activation.take(name) else { return };
        let text = match failure.error_name() == error::TIMED_OUT {
            true => failure.to_string(),
            false => format!("Activated service '{name}' failed: {failure}"),
        };
        self.log(LogRecord::new(Severity::Warning, &format_args!("{text}")));
        let refusal = Refusal::StartFailed(failure);
        let mut lost = 0;
        for (_, waiter) in start.waiters {
            match waiter {
                Waiter::Caller(reply_to) => {
                    if self.takes_part(reply_to.client()) {
                        self.reply_error(&reply_to, &refusal);
                    }
                }
                Waiter::Message(mut held) => {
                    self.let_go(&mut held);
                    if self.takes_part(held.sender) {
                        self.send_error_from_driver(held.sender, Some(held.serial), &refusal);
                    } else {
                        lost += 1;
                    }
                }
            }
        }
        if lost > 0 {
            let text = format_args!(
                "{lost} messages to '{name}' whose senders are gone are lost, since it did not start"
            );
            self.log(LogRecord::new(Severity::Warning, &text));
        }
    }

    /// Whether a client is still there, not about to go, and no monitor: nobody else is answered.
    pub(super) fn takes_part(&self, id: ClientId) -> bool {
        self.clients.get(id).is_some_and(|client| client.is_registered())
            && !self.departures.contains(&id)
    }

    /// A client goes, and is charged no longer for what it had held. Of large messages and those with
    /// descriptors only so many go on as there is room for.
    pub(super) fn drop_held_of(&mut self, id: ClientId) {
        if self.clients.get(id).is_none_or(|client| client.held.is_none()) {
            return;
        }
        let Self { activation, orphans, .. } = self;
        let mut is_lost = |(_, waiter): &mut (Option<u32>, Waiter)| match waiter {
            Waiter::Message(held) => held.sender == id && !held.become_orphan(orphans),
            Waiter::Caller(_) => false,
        };
        let (mut lost, mut uids) = (Vec::new(), Vec::new());
        for (name, start) in &mut activation.starts {
            let gone: Vec<_> =
                start.waiters.extract_if(.., &mut is_lost).map(|(uid, _)| uid).collect();
            if !gone.is_empty() {
                lost.push(format!("{} to '{name}'", gone.len()));
                uids.extend(gone);
            }
        }
        uids.into_iter().for_each(|uid| self.activation.places.give_back(uid));
        let given = self.orphan_given_of(id);
        if given > 0 {
            lost.push(format!("{given} that services left unread"));
        }
        if !lost.is_empty() {
            let (who, lost) = (self.describe(id), lost.join(", "));
            let text = format_args!(
                "{who} went before its messages could be given to services that are being started; \
                 of those that were large or had descriptors too many are held: {lost} are lost"
            );
            self.log(LogRecord::new(Severity::Warning, &text));
        }
    }

    /// For [`Bus::check_invariants`].
    pub(super) fn check_activation(&self) {
        let Activation { starts, places, due, .. } = &self.activation;
        let waiters: usize = starts.values().map(|start| start.waiters.len()).sum();
        assert_eq!(waiters, places.count(), "each waiter has a place");
        assert_eq!(starts.values().map(|start| start.due).min(), *due, "the earliest deadline");
        for name in starts.keys() {
            assert!(self.resolve_text(name).is_none(), "{name} has no owner yet");
        }
        let waiters = || starts.values().flat_map(|start| &start.waiters);
        let held = waiters().filter_map(|(_, waiter)| match waiter {
            Waiter::Message(held) => Some(held),
            Waiter::Caller(_) => None,
        });
        self.orphans.check(held.chain(self.all_given()));
        for client in self.clients.iter() {
            let messages = starts.values().flat_map(|start| &start.waiters);
            let held = messages.filter_map(|(_, waiter)| match waiter {
                Waiter::Message(held) if held.sender == client.id => Some(held),
                _ => None,
            });
            let given = self.all_given().filter(|held| held.is_charged_to(client.id));
            let sum = held.chain(given).fold(Held::default(), |Held { bytes, fds }, held| Held {
                bytes: bytes + held.size(),
                fds: fds + held.fd_count(),
            });
            let of_client = client.held.as_deref().copied().unwrap_or_default();
            assert_eq!(of_client, sum, "{:?}'s messages", client.id);
        }
    }
}

/// Whether a message may start what takes this name (protocol.md A153).
fn is_startable(message: &Message<'_>, name: BusName<'_>) -> bool {
    matches!(name, BusName::WellKnown(_)) && !message.header.flags.contains(Flags::NO_AUTO_START)
}

/// The error name that systemd sent, if it is one (protocol.md A239).
pub(super) fn failure_of(name: &str, text: &str) -> StartFailure {
    match ErrorName::parse(name) {
        Ok(name) => StartFailure::new(name, text.to_owned()),
        Err(_) => StartFailure::new(error::SPAWN_FAILED, format!("{name}: {text}")),
    }
}
