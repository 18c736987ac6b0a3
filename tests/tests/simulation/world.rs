//! The bus, its model, all clients and the kernel between them, under one virtual clock.
//!
//! A step lets one thing happen: a client comes, writes, is read from, is written to or goes; a
//! cookie or a configuration is found; time passes. Everything that happens is told to the bus and
//! to the model, and what they make of it is compared at once (effects) or when the client reads it
//! (messages).

mod compare;
mod end;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;

use bus_daemon::bus::credentials::{PeerCredentials, ProcessFdSource};
use bus_daemon::bus::id::{ClientId, Timestamp};
use bus_daemon::bus::limits::{SENDER_PAUSE_MS, slow_receiver_fds_max, slow_receiver_size_max};
use bus_daemon::bus::mediation::{Mediation, NoMediation};
use bus_daemon::bus::outbox::{MessageFds, WriteSlices};
use bus_daemon::bus::{Bus, Event, Identity, Settings};
use libbus::auth::{CookieChallenge, Mechanism};
use libbus::guid::Guid;

use crate::actor::{Actor, Temper, Vocabulary, null_fds};
use crate::mail::Value;
use crate::message::Parsed;
use crate::model::{Model, Who};
use crate::random::Random;
use crate::scenario::Scenario;
use crate::watch::Watch;

pub(crate) const OWN_UID: u32 = 500;
/// Descriptors that the process may have, as far as the bus knows.
pub(crate) const FDS_MAX: u64 = 4096;
/// The answer to an accepted AUTH.
pub(crate) const GUID: &str = "OK 42424242424242424242424242424242 ";

/// More than what one small event can add to one client's queue, in bytes. While some client is
/// nearer to its limit than this, the bus is given one message at a time, so that which client was
/// full is known before each; and likewise before a sender may be paused.
const NEARLY_FULL: usize = 48 * 1024;

/// Something that the bus asked the host to find, and that takes a while.
#[derive(Clone, Copy)]
enum Errand {
    Cookie(Who),
    Reload,
}

pub(crate) struct World {
    scenario: Scenario,
    bus: Bus,
    model: Model,
    random: Random,
    now: u64,
    step: usize,
    actors: HashMap<Who, Actor>,
    by_id: HashMap<ClientId, Who>,
    /// To choose one by chance.
    alive: Vec<Who>,
    next: Who,
    words: Vocabulary,
    errands: Vec<Errand>,
    /// Clients that the bus said are to be written to.
    ready: BTreeSet<Who>,
    /// Clients that may have something in their outbox.
    owed: BTreeMap<Who, ClientId>,
    /// Whether there were ever as many clients as the scenario wants.
    is_filled: bool,
    witness: Option<Who>,
    watch: Watch,
    /// Hashes of what the witness saw, in order, and how far each client is in it.
    log: Vec<u64>,
    cursors: HashMap<Who, usize>,
}

/// A bus for tests, without a client.
pub(crate) fn empty_bus(settings: Settings) -> Bus {
    mediated_bus(settings, Rc::new(NoMediation))
}

/// The same where systemd starts services that name a unit.
pub(crate) fn bus_with_systemd(settings: Settings) -> Bus {
    Bus::new(Identity { systemd_activation: true, ..identity(Rc::new(NoMediation)) }, settings)
}

/// The same with a security module.
pub(crate) fn mediated_bus(settings: Settings, mediation: Rc<dyn Mediation>) -> Bus {
    Bus::new(identity(mediation), settings)
}

fn identity(mediation: Rc<dyn Mediation>) -> Identity {
    let guid = Guid::from_bytes([0x42; 16]);
    Identity {
        guid,
        listener_guids: vec![guid],
        own_uid: OWN_UID,
        fds_max: FDS_MAX,
        own_credentials: PeerCredentials { uid: Some(OWN_UID), ..Default::default() },
        selinux_enabled: false,
        own_user_name: "bus".to_owned(),
        mechanisms: Mechanism::ALL.to_vec(),
        allow_anonymous: true,
        machine_id: Ok(guid),
        hash_seed: 1,
        mediation,
        files_changed: Rc::new(|_| false),
        environment: vec![("INHERITED".to_owned(), "yes".to_owned())],
        process_name: |pid| Some(format!("pro\"cess\n{pid}")),
        systemd_activation: false,
    }
}

impl World {
    pub(crate) fn new(scenario: Scenario) -> Self {
        let mut random = Random::new(scenario.seed);
        let mut words = Vocabulary::new(&mut random, scenario.name_count, scenario.rule_count);
        words.large_bodies = !scenario.has_witness;
        Self {
            bus: empty_bus(scenario.settings()),
            model: Model::new(&scenario, OWN_UID),
            random,
            now: 0,
            step: 0,
            actors: HashMap::new(),
            by_id: HashMap::new(),
            alive: Vec::new(),
            next: 0,
            words,
            errands: Vec::new(),
            ready: BTreeSet::new(),
            owed: BTreeMap::new(),
            is_filled: false,
            witness: None,
            watch: Watch::default(),
            log: Vec::new(),
            cursors: HashMap::new(),
            scenario,
        }
    }

    pub(crate) fn run(&mut self) {
        self.start_observers();
        for step in 0..self.scenario.steps {
            self.step = step;
            self.step();
        }
        self.settle();
        self.check_every_call_is_answered();
        self.end();
    }

    /// Which step is being made, for a report.
    pub(crate) fn position(&self) -> String {
        format!("step {} of {}, {} ms", self.step, self.scenario.steps, self.now)
    }

    // --- the course of things -------------------------------------------------------------------

    fn start_observers(&mut self) {
        if self.scenario.has_witness {
            let witness = self.connect(Temper::Witness, Some(OWN_UID));
            self.witness = Some(witness);
            self.read_everything(witness);
            let everything = vec![Value::Texts(vec![]), Value::Number(0)];
            self.actor(witness).call_bus("BecomeMonitor", everything);
            self.read_everything(witness);
        }
        let watcher = self.connect(Temper::Watcher, Some(OWN_UID));
        self.read_everything(watcher);
        let rule = "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'";
        self.actor(watcher).call_bus("AddMatch", vec![Value::Text(rule.to_owned())]);
        self.read_everything(watcher);
        let unique = self.model.unique_of(watcher);
        self.watch.start(watcher, unique);
    }

    fn step(&mut self) {
        // The house fills up; then about as many come as go.
        let few = self.alive.len() < self.scenario.client_count;
        self.is_filled |= !few;
        let (coming, going) = match (self.is_filled, few) {
            (false, _) => (140, 2),
            (true, true) => (12, 2),
            (true, false) => (2, 8),
        };
        match self.random.weighted(&[coming, going, 40, 60, 20, 12, 4, 4, 3, 3]) {
            0 => self.let_one_come(),
            1 => self.let_one_go(),
            2 => self.let_one_act(),
            3 => self.read_from_one(),
            4 => self.finish_round(),
            5 => self.write_to_slow_ones(),
            6 => self.run_errand(),
            7 => self.pass_time(),
            8 if self.random.below(self.alive.len()) < 30 => self.ask_about_names(),
            8 => {}
            _ => self.refuse_fds(),
        }
        self.check_deadline();
        let accepts = self.bus.accepts_connections();
        let max = self.model.settings.limits.incomplete_connections_max as usize;
        if self.scenario.steps < 10_000 || self.step.is_multiple_of(100) {
            let begun = self.model.peers.values().filter(|peer| peer.is_in_handshake()).count();
            assert_eq!(accepts, begun < max, "accepting while {begun} of {max}");
            assert_eq!(self.bus.client_count(), self.alive.len());
        }
    }

    fn let_one_come(&mut self) {
        if self.bus.accepts_connections() {
            let uid = *self.random.pick(&self.scenario.uids);
            let is_rude = self.random.chance(self.scenario.rude_percent);
            let temper = if is_rude { Temper::Rude } else { Temper::WellBehaved };
            self.connect(temper, uid);
        }
    }

    fn connect(&mut self, temper: Temper, uid: Option<u32>) -> Who {
        let who = self.next;
        self.next += 1;
        let fds_possible = temper == Temper::Witness || self.random.chance(80);
        let process_fd: Option<MessageFds> = self.random.chance(30).then(|| Rc::from(null_fds(1)));
        let number = process_fd.as_ref().map(|fd| fd[0].as_raw_fd());
        let process_fd = process_fd.map(|fd| ProcessFdSource::new(move || Some(Rc::clone(&fd))));
        let credentials = PeerCredentials { uid, process_fd, ..Default::default() };
        self.tick();
        let id = self.bus.handle_connected(credentials, 0, fds_possible, Timestamp(self.now));
        self.model.begin(self.now, Default::default(), BTreeSet::new());
        self.model.connect(who, uid, number);
        let mut actor = Actor::new(id, temper, uid, &mut self.random);
        actor.introduce(fds_possible, &mut self.random);
        assert!(self.by_id.insert(id, who).is_none(), "{id:?} is given out twice");
        self.actors.insert(who, actor);
        self.alive.push(who);
        self.compare_effects();
        who
    }

    fn let_one_go(&mut self) {
        if let Some(who) = self.pick_ordinary() {
            let id = self.actors[&who].id;
            if self.random.chance(20) {
                return self.deafen(who);
            }
            let is_lost = self.actors[&who].temper == Temper::Rude && self.random.chance(20);
            let event = match is_lost {
                true => Event::FdsLost { client: id },
                false => Event::Closed { client: id },
            };
            // It goes of its own will.
            self.actor(who).temper = Temper::Rude;
            self.event(event, |model| model.close(who));
        }
    }

    /// It closes the end that it reads from, and goes on writing.
    fn deafen(&mut self, who: Who) {
        let actor = self.actor(who);
        (actor.was_full, actor.is_deaf) = (true, true);
        let event = Event::WriteClosed { client: actor.id };
        self.event(event, |model| model.close_writing(who));
        self.owed.remove(&who);
    }

    fn let_one_act(&mut self) {
        if let Some(who) = self.pick_ordinary()
            && let Some(actor) = self.actors.get_mut(&who)
            && actor.stream.len() < 30
        {
            for _ in 0..self.random.between(1, 6) {
                actor.act(&self.words, &mut self.random);
            }
        }
    }

    fn read_from_one(&mut self) {
        let Some(who) = self.pick_one_that_wrote() else { return };
        let size = match self.random.below(10) {
            0 => self.random.between(1, 20),
            1..5 => self.random.between(20, 400),
            _ => self.random.between(400, 4096),
        };
        self.read_from(who, size);
    }

    /// The kernel has the next bytes of a client for the bus.
    fn read_from(&mut self, who: Who, size: usize) {
        let stream = &self.actors[&who].stream;
        if stream.is_empty() || self.model.is_waiting_for_cookie(who) && size > 1000 {
            return;
        }
        if self.bus.waits_for_others(self.actors[&who].id) {
            return;
        }
        let is_large = stream.size_of_first() > 10_000;
        let message_count = if is_large || self.is_somebody_nearly_full() { 1 } else { 6 };
        let size = if is_large { 150_000.max(size) } else { size };
        let actor = self.actors.get_mut(&who).unwrap();
        let id = actor.id;
        let space = self.bus.receive_space(id);
        let size = space.as_ref().map_or(size, |space| size.min(space.len()));
        let mut chunk = actor.stream.read(size, message_count);
        let is_single = chunk.message_count() <= 1;
        let in_place = space.map(|space| space[..chunk.bytes.len()].copy_from_slice(&chunk.bytes));
        let numbers = chunk.fd_numbers();
        let mut fds = std::mem::take(&mut chunk.fds);
        let bytes = std::mem::take(&mut chunk.bytes);
        let event = match in_place {
            Some(()) => Event::ReceivedInPlace { client: id, size: bytes.len(), fds: &mut fds },
            None => Event::Received { client: id, bytes: &bytes, fds: &mut fds },
        };
        self.event(event, |model| model.receive(who, chunk, &numbers));
        for full in self.model.touched.iter().filter(|who| !self.model.was_full(**who)) {
            let is_full = self.actors.get(full).is_some_and(|actor| self.is_full(actor.id));
            assert!(is_single || !is_full, "NEARLY_FULL is too small");
        }
    }

    fn read_everything(&mut self, who: Who) {
        while self.actors.get(&who).is_some_and(|actor| !actor.stream.is_empty()) {
            if self.model.is_waiting_for_cookie(who) {
                self.run_all_errands();
            }
            if self.bus.waits_for_others(self.actors[&who].id) {
                self.now += SENDER_PAUSE_MS;
                self.event(Event::TimePassed, Model::pass_time);
            }
            self.read_from(who, 1000);
        }
    }

    /// Writes once to everyone who got something, as the host does after each round.
    fn finish_round(&mut self) {
        while let Some(id) = self.bus.poll_write() {
            self.ready.extend(self.by_id.get(&id));
        }
        for (who, id) in &self.owed {
            let outbox = &self.bus.client(*id).unwrap().outbox;
            assert!(outbox.is_empty() || self.ready.contains(who), "client {who} is forgotten");
        }
        for who in self.ready.clone() {
            if self.actors.get(&who).is_some_and(|actor| self.random.chance(actor.reads_all)) {
                self.write_to(who, usize::MAX);
            }
        }
    }

    fn write_to_slow_ones(&mut self) {
        for who in self.ready.clone() {
            if self.random.chance(30) {
                let size = *self.random.pick(&[1, 2, 15, 16, 17, 100, 1000, 10_000]);
                self.write_to(who, size);
            }
        }
    }

    /// The client's socket takes at most `size` bytes.
    fn write_to(&mut self, who: Who, size: usize) {
        let Some(id) = self.actors.get(&who).map(|actor| actor.id) else { return };
        while let Some((bytes, fds, is_all)) = self.next_batch(id, size) {
            if bytes.is_empty() {
                assert!(self.bus.client(id).unwrap().outbox.is_empty(), "bytes owed, none given");
                self.ready.remove(&who);
                self.owed.remove(&who);
                break;
            }
            self.tick();
            let written = Event::Written { client: id, size: bytes.len() };
            self.bus.handle_event(written, Timestamp(self.now));
            self.take_in(who, &bytes, fds);
            if !is_all || size != usize::MAX {
                break;
            }
        }
    }

    fn next_batch(&self, id: ClientId, size: usize) -> Option<(Vec<u8>, Vec<RawFd>, bool)> {
        let mut slices = WriteSlices::new();
        let fds = self.bus.write_batch(id, &mut slices);
        self.bus.client(id)?;
        let fds = fds.map(|fds| fds.iter().map(AsRawFd::as_raw_fd).collect()).unwrap_or_default();
        let size_of_all: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut bytes = Vec::new();
        for slice in &slices {
            let left = size - bytes.len();
            bytes.extend_from_slice(&slice[..slice.len().min(left)]);
        }
        let is_all = bytes.len() == size_of_all;
        Some((bytes, fds, is_all))
    }

    fn take_in(&mut self, who: Who, bytes: &[u8], fds: Vec<RawFd>) {
        let actor = self.actors.get_mut(&who).unwrap();
        let peer = self.model.peers.get_mut(&who).unwrap();
        actor.reader.receive(bytes, fds);
        actor.reader.read_lines(&mut peer.lines);
        while peer.lines.is_empty()
            && let Some(message) = actor.reader.read_message(&mut peer.expected)
        {
            let parsed = Parsed::of(&message);
            actor.handle_message(&parsed);
            if self.watch.is_watcher(who) {
                self.watch.handle_message(&parsed);
            }
            if self.witness.is_some() {
                let hash = hash_of(&message);
                if self.witness == Some(who) {
                    self.log.push(hash);
                } else {
                    // Each client sees a part of the one order, in that order.
                    let cursor = self.cursors.entry(who).or_default();
                    let ahead = self.log[*cursor..].iter().position(|seen| *seen == hash);
                    *cursor += 1 + ahead.unwrap_or_else(|| {
                        panic!("client {who} sees out of order: {:?}", parsed.header())
                    });
                }
            }
        }
    }

    fn run_errand(&mut self) {
        if self.errands.is_empty() {
            // The administrator sends a SIGHUP.
            if self.random.chance(10) {
                self.event(Event::ReloadRequested, Model::hang_up);
            }
            return;
        }
        let index = self.random.below(self.errands.len());
        match self.errands.swap_remove(index) {
            Errand::Cookie(who) => {
                let Some(id) = self.actors.get(&who).map(|actor| actor.id) else { return };
                let cookie = self.random.chance(60).then(|| CookieChallenge {
                    id: 1,
                    cookie: "c0ffee".to_owned(),
                    challenge: [7; 16],
                });
                let is_found = cookie.is_some();
                let event = Event::CookieFound { client: id, cookie };
                self.event(event, |model| model.find_cookie(who, is_found));
            }
            Errand::Reload => {
                let result = match self.random.chance(70) {
                    true => Ok(self.scenario.vary_settings(&mut self.random)),
                    false => Err("no such file".to_owned()),
                };
                let event = Event::Reloaded { result: result.clone() };
                self.event(event, |model| model.reload(result));
            }
        }
    }

    fn run_all_errands(&mut self) {
        while !self.errands.is_empty() {
            self.run_errand();
        }
    }

    fn pass_time(&mut self) {
        // Whoever keeps to the protocol does not stop in mid-message for long.
        for who in self.model.owing() {
            if self.actors.get(&who).is_some_and(|actor| actor.temper != Temper::Rude) {
                let size = self.actors[&who].stream.left_of_first().max(1);
                self.read_from(who, size);
            }
        }
        self.now += match (self.random.below(10), self.bus.next_deadline()) {
            (0, Some(deadline)) => deadline.0.saturating_sub(self.now),
            (1, Some(deadline)) => deadline.0.saturating_sub(self.now + 2),
            (2, _) => 2000,
            _ => self.random.below(300) as u64,
        };
    }

    /// The host never sleeps past a deadline, and the bus is done with it when it was told.
    fn check_deadline(&mut self) {
        let deadline = self.bus.next_deadline().map(|deadline| deadline.0);
        if self.scenario.steps < 10_000 {
            let due = self.model.next_deadline();
            assert!(due.is_none_or(|due| deadline.is_some_and(|at| at <= due)), "late for {due:?}");
        }
        if deadline.is_some_and(|at| at <= self.now) || self.random.chance(1) {
            let at = self.event(Event::TimePassed, Model::pass_time);
            let next = self.bus.next_deadline();
            assert!(next.is_none_or(|next| next.0 > at), "the host would spin");
        }
    }

    fn ask_about_names(&mut self) {
        let watcher = self.watch.watcher();
        let serial = self.actor(watcher).call_bus("ListNames", vec![]);
        self.watch.expect_list(serial);
        let name = self.random.pick(&self.words.names).clone();
        let argument = vec![Value::Text(name.clone())];
        let serial = self.actor(watcher).call_bus("GetNameOwner", argument);
        self.watch.expect_owner(serial, name);
        self.read_everything(watcher);
        self.watch.check_is_complete();
    }

    /// The kernel will not pass the descriptors that go next to some client.
    fn refuse_fds(&mut self) {
        for who in self.ready.clone() {
            let Some(id) = self.actors.get(&who).map(|actor| actor.id) else { continue };
            let Some((_, fds, _)) = self.next_batch(id, 0) else { continue };
            if !fds.is_empty() {
                assert!(self.actors[&who].reader.is_between_messages());
                self.event(Event::FdsRefused { client: id }, |model| model.refuse_fds(who, &fds));
                return;
            }
        }
    }

    // --- helpers --------------------------------------------------------------------------------

    fn actor(&mut self, who: Who) -> &mut Actor {
        self.actors.get_mut(&who).unwrap()
    }

    /// Anyone but the observers.
    fn pick_ordinary(&mut self) -> Option<Who> {
        let who = *self.alive.get(self.random.below(self.alive.len()))?;
        (!self.actors[&who].is_prompt()).then_some(who)
    }

    /// Someone who has written something, newcomers first: they have only so much time.
    fn pick_one_that_wrote(&mut self) -> Option<Who> {
        for attempt in 0..20 {
            let range = if attempt < 10 { self.alive.len().min(50) } else { self.alive.len() };
            let index = self.alive.len() - 1 - self.random.below(range);
            let who = self.alive[index];
            if !self.actors[&who].stream.is_empty() {
                return Some(who);
            }
        }
        None
    }

    fn is_full(&self, id: ClientId) -> bool {
        self.bus.client(id).is_some_and(|client| client.is_full(&self.model.settings.limits, true))
    }

    fn is_somebody_nearly_full(&self) -> bool {
        let limits = &self.model.settings.limits;
        self.owed.values().filter_map(|id| self.bus.client(*id)).any(|client| {
            let outbox = &client.outbox;
            (outbox.bytes() + NEARLY_FULL) as u64 >= limits.outgoing_bytes_max
                || outbox.unicast_bytes() + NEARLY_FULL > slow_receiver_size_max(limits)
                || outbox.fds() as u64 + 3 > limits.outgoing_unix_fds_max
                || outbox.unicast_fds() + 3 > slow_receiver_fds_max(limits)
        })
    }
}

fn hash_of(message: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    message.hash(&mut hasher);
    hasher.finish()
}
