//! The bus, its model, all clients and the kernel between them, under one virtual clock.
//!
//! A step lets one thing happen: a client comes, writes, is read from, is written to or goes; a
//! cookie or a configuration is found; time passes. Everything that happens is told to the bus and
//! to the model, and what they make of it is compared at once (effects) or when the client reads it
//! (messages).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;

use bus_daemon::bus::client::Client;
use bus_daemon::bus::credentials::{PeerCredentials, ProcessFdSource};
use bus_daemon::bus::id::{ClientId, Timestamp};
use bus_daemon::bus::outbox::{MessageFds, WriteSlices};
use bus_daemon::bus::{Bus, Effect, Event, Identity, Settings};
use bus_policy::config::Limits;
use libbus::auth::{CookieChallenge, Mechanism};
use libbus::guid::Guid;

use crate::actor::{Actor, Temper, Vocabulary, null_fds};
use crate::mail::Value;
use crate::model::{Model, Parsed, Phase, Who};
use crate::random::Random;
use crate::scenario::Scenario;
use crate::watch::Watch;

pub(crate) const OWN_UID: u32 = 500;
/// The answer to an accepted AUTH.
pub(crate) const GUID: &str = "OK 42424242424242424242424242424242 ";

/// More than what one small event can add to one client's queue, in bytes. While some client is
/// nearer to its limit than this, the bus is given one message at a time, so that which client was
/// full is known before each.
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
    let guid = Guid::from_bytes([0x42; 16]);
    Bus::new(
        Identity {
            guid,
            listener_guids: vec![guid],
            own_uid: OWN_UID,
            own_credentials: PeerCredentials { uid: Some(OWN_UID), ..Default::default() },
            selinux_enabled: false,
            own_user_name: "bus".to_owned(),
            mechanisms: Mechanism::ALL.to_vec(),
            allow_anonymous: true,
            machine_id: Ok(guid),
            hash_seed: 1,
            process_name: |_| None,
        },
        settings,
    )
}

impl World {
    pub(crate) fn new(scenario: Scenario) -> Self {
        let mut random = Random::new(scenario.seed);
        let settings = scenario.settings();
        let mut words = Vocabulary::new(&mut random, scenario.name_count, scenario.rule_count);
        words.large_bodies = !scenario.has_witness;
        Self {
            bus: empty_bus(settings.clone()),
            model: Model::new(settings, OWN_UID),
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
        match self.random.weighted(&[coming, going, 40, 60, 20, 12, 4, 4, 3, 1]) {
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
            let incomplete = self.model.peers.values().filter(|peer| peer.is_incomplete()).count();
            assert_eq!(accepts, incomplete < max, "accepting while {incomplete} of {max}");
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
        self.model.begin(self.now, Default::default());
        self.model.connect(who, number);
        let mut actor = Actor::new(id, temper, uid, &mut self.random);
        actor.introduce(fds_possible, &mut self.random);
        assert!(self.by_id.insert(id, who).is_none(), "{id:?} is given out twice");
        self.actors.insert(who, actor);
        self.alive.push(who);
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

    // --- one event ------------------------------------------------------------------------------

    fn tick(&mut self) {
        self.now += 1 + self.random.below(3) as u64;
    }

    /// Tells the bus and the model, and compares what they want the host to do. Returns when it
    /// happened.
    fn event(&mut self, event: Event<'_>, predict: impl FnOnce(&mut Model)) -> u64 {
        self.tick();
        let at = self.now;
        let limits = match &event {
            Event::Reloaded { result: Ok(settings) } => settings.limits.clone(),
            _ => self.model.settings.limits.clone(),
        };
        let those = |is_full: fn(&Client, &Limits) -> bool| {
            let client = |id: &ClientId| self.bus.client(*id).is_some_and(|c| is_full(c, &limits));
            self.owed.iter().filter(|(_, id)| client(id)).map(|(who, _)| *who).collect()
        };
        let full = [those(Client::is_full), those(Client::is_full_for_the_bus)];
        self.model.begin(self.now, full);
        self.bus.handle_event(event, Timestamp(self.now));
        while self.bus.has_put_off() {
            self.bus.handle_event(Event::RoundBegan, Timestamp(self.now));
        }
        predict(&mut self.model);
        self.compare_effects();
        self.note_who_got_something();
        if self.step.is_multiple_of(self.scenario.check_every) {
            self.bus.check_invariants();
        }
        at
    }

    fn compare_effects(&mut self) {
        while let Some(effect) = self.bus.poll_effect() {
            match effect {
                Effect::Close { client, last_words } => self.close(client, &last_words),
                Effect::FindCookie { client, .. } => {
                    let who = self.by_id[&client];
                    assert_eq!(self.model.cookies_wanted.pop_front(), Some(who));
                    self.errands.push(Errand::Cookie(who));
                }
                Effect::Reload => {
                    assert!(self.model.reloads_wanted > 0, "a reload nobody asked for");
                    self.model.reloads_wanted -= 1;
                    self.errands.push(Errand::Reload);
                }
                Effect::Log(record) => assert!(!record.text.is_empty()),
                Effect::GiveBackMemory => {}
            }
        }
        let closed = self.model.closed.front().map(|(who, _)| who);
        assert_eq!(closed, None, "client should have been disconnected");
        assert!(self.model.cookies_wanted.is_empty() && self.model.reloads_wanted == 0);
        for (who, serial, wants_reply) in std::mem::take(&mut self.model.handled) {
            if let Some(actor) = self.actors.get_mut(&who) {
                let table = if wants_reply { &mut actor.calls } else { &mut actor.others };
                *table.entry(serial).or_default() += 1;
            }
        }
    }

    fn close(&mut self, id: ClientId, last_words: &[u8]) {
        let who = self.by_id.remove(&id).expect("only clients are disconnected, and once");
        let mut actor = self.actors.remove(&who).unwrap();
        let Some((expected, mut peer)) = self.model.closed.pop_front() else {
            panic!("client {who} ({:?}) is disconnected without need", actor.temper)
        };
        assert_eq!(expected, who, "another client is disconnected");
        let was_registered = matches!(peer.phase, Phase::Registered | Phase::Monitor);
        assert!(
            actor.temper == Temper::Rude || !was_registered,
            "client {who} keeps to the protocol and is disconnected"
        );
        if !was_registered {
            actor.reader.receive(last_words, vec![]);
            actor.reader.read_lines(&mut peer.lines);
            assert_eq!(peer.lines.len(), 0, "the last words are missing");
        }
        let position = self.alive.iter().position(|other| *other == who).unwrap();
        self.alive.swap_remove(position);
        self.ready.remove(&who);
        self.owed.remove(&who);
        self.cursors.remove(&who);
        self.witness.take_if(|witness| *witness == who);
    }

    /// Whose queue became full in this event may miss all but the first of what it got in it.
    fn note_who_got_something(&mut self) {
        let touched: Vec<Who> = self.model.touched.iter().copied().collect();
        for who in touched {
            let Some(id) = self.actors.get(&who).map(|actor| actor.id) else { continue };
            self.check_phase(who, id);
            self.owed.insert(who, id);
            let (is_full, was_full) = (self.is_full(id), self.model.was_full(who));
            let limits = &self.model.settings.limits;
            let for_bus = self.bus.client(id).is_some_and(|c| c.is_full_for_the_bus(limits));
            let peer = self.model.peers.get_mut(&who).unwrap();
            let misses_nothing = !was_full && (!is_full || peer.added <= 1);
            let first = peer.expected.len() - peer.added.min(peer.expected.len());
            for one in peer.expected.iter_mut().skip(first + 1) {
                one.is_certain &= !(for_bus || is_full && !one.is_from_bus);
            }
            let actor = self.actors.get_mut(&who).unwrap();
            actor.was_full |= is_full || was_full;
            if actor.is_prompt() {
                assert!(misses_nothing, "an observer must not miss anything");
                self.write_to(who, usize::MAX);
            }
            if let Some(unique) = &self.model.peers[&who].unique
                && !self.words.uniques.contains(unique)
            {
                // Old names are forgotten, most of them.
                if self.words.uniques.len() >= 60 {
                    let index = self.random.below(60);
                    self.words.uniques.swap_remove(index);
                }
                self.words.uniques.push(unique.clone());
            }
        }
        for who in self.model.full_but_untouched() {
            if let Some(actor) = self.actors.get_mut(&who) {
                actor.was_full = true;
            }
        }
    }

    fn check_phase(&self, who: Who, id: ClientId) {
        let (client, peer) = (self.bus.client(id).unwrap(), &self.model.peers[&who]);
        let is_registered = peer.phase == Phase::Registered;
        assert_eq!(client.is_registered(), is_registered, "client {who} is {:?}", peer.phase);
        assert_eq!(
            client.is_incomplete(),
            peer.is_incomplete(),
            "client {who} is {:?}",
            peer.phase
        );
    }

    // --- the end --------------------------------------------------------------------------------

    /// Everything that was written is read by both sides.
    fn settle(&mut self) {
        self.run_all_errands();
        for who in self.alive.clone() {
            self.read_everything(who);
        }
        self.run_all_errands();
        while let Some(id) = self.bus.poll_write() {
            self.ready.extend(self.by_id.get(&id));
        }
        for who in self.ready.clone() {
            self.write_to(who, usize::MAX);
        }
        for (who, peer) in &self.model.peers {
            let missing = peer.expected.iter().find(|expected| expected.is_certain);
            assert!(missing.is_none(), "client {who} never got {missing:?}");
        }
    }

    /// Each call got one reply or error, unless it still waits for its callee; nothing else was
    /// answered, unless it was refused.
    fn check_every_call_is_answered(&self) {
        let mut waiting: HashMap<(Who, NonZeroU32), usize> = HashMap::new();
        for call in &self.model.calls {
            assert!(self.actors.contains_key(&call.callee), "{call:?} waits for nobody");
            *waiting.entry((call.caller, call.serial)).or_default() += 1;
        }
        let registered = |who| self.model.peers[who].phase == Phase::Registered;
        for (who, actor) in self.actors.iter().filter(|(who, _)| registered(who)) {
            for (serial, count) in &actor.calls {
                let of = |table: &HashMap<_, usize>| table.get(serial).copied().unwrap_or(0);
                let still = waiting.get(&(*who, *serial)).copied().unwrap_or(0);
                let answers = of(&actor.answers) + still;
                let least = if actor.was_full { 0 } else { *count };
                let most = count + of(&actor.others);
                assert!(answers + of(&actor.answers_by_name) >= least, "call {serial} of {who}");
                assert!(
                    answers <= most || self.scenario.any_reply_passes,
                    "call {serial} of {who} is answered {answers} times"
                );
            }
        }
    }

    fn end(&mut self) {
        while !self.alive.is_empty() {
            let index = self.random.below(self.alive.len());
            let who = self.alive[index];
            let id = self.actors[&who].id;
            self.actor(who).temper = Temper::Rude;
            self.event(Event::Closed { client: id }, |model| model.close(who));
            if self.random.chance(5) {
                self.finish_round();
            }
        }
        self.bus.check_empty();
        assert_eq!(self.bus.next_deadline(), None, "nothing is left to wait for");
        assert_eq!((self.bus.client_count(), self.bus.poll_write()), (0, None));
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
        self.bus.client(id).is_some_and(|client| client.is_full(&self.model.settings.limits))
    }

    fn is_somebody_nearly_full(&self) -> bool {
        let limits = &self.model.settings.limits;
        self.owed.values().filter_map(|id| self.bus.client(*id)).any(|client| {
            let outbox = &client.outbox;
            (outbox.bytes() + NEARLY_FULL) as u64 >= limits.outgoing_bytes_max
                || outbox.fds() as u64 + 3 > limits.outgoing_unix_fds_max
        })
    }
}

fn hash_of(message: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    message.hash(&mut hasher);
    hasher.finish()
}
