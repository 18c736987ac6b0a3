//! One event, told to the bus and to the model; and whether both make the same of it.

use bus_daemon::bus::client::Client;
use bus_daemon::bus::id::{ClientId, Timestamp};
use bus_daemon::bus::{Effect, Event};
use bus_policy::config::Limits;

use super::{Errand, World};
use crate::actor::Temper;
use crate::model::{Model, Phase, Who};

impl World {
    pub(super) fn tick(&mut self) {
        self.now += 1 + self.random.below(3) as u64;
    }

    /// Tells the bus and the model, and compares what they want the host to do. Returns when it
    /// happened.
    pub(super) fn event(&mut self, event: Event<'_>, predict: impl FnOnce(&mut Model)) -> u64 {
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
        let full = [
            those(|client, limits| client.is_full(limits, false)),
            those(|client, limits| client.is_full(limits, true)),
            those(Client::is_full_for_the_bus),
        ];
        let crowds = |(who, id): (&Who, &ClientId)| {
            let client = self.bus.client(*id);
            let is_in = |uid: &Option<u32>| {
                client.is_some_and(|client| client.is_crowded_with_fds_of(*uid, &limits))
            };
            let uids = self.scenario.uids.iter().copied().filter(is_in);
            uids.map(|uid| (*who, uid)).collect::<Vec<_>>()
        };
        let crowding = self.owed.iter().flat_map(crowds).collect();
        self.model.begin(self.now, full, crowding);
        self.bus.handle_event(event, Timestamp(self.now));
        while self.bus.has_put_off() {
            self.bus.handle_event(Event::TurnsBegan, Timestamp(self.now));
            // Broadcasts may have to be written before anybody has another turn.
            while let Some(id) = self.bus.poll_write() {
                self.ready.extend(self.by_id.get(&id));
            }
        }
        predict(&mut self.model);
        self.compare_effects();
        self.note_who_got_something();
        if self.step.is_multiple_of(self.scenario.check_every) {
            self.bus.check_invariants();
        }
        at
    }

    pub(super) fn compare_effects(&mut self) {
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
                Effect::GiveBackMemory | Effect::LetGo { .. } | Effect::ReadAgain { .. } => {}
                Effect::StartService { .. }
                | Effect::StopService { .. }
                | Effect::ReleaseService { .. } => {
                    panic!("there are no services")
                }
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

    pub(super) fn close(&mut self, id: ClientId, last_words: &[u8]) {
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
    pub(super) fn note_who_got_something(&mut self) {
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

    pub(super) fn check_phase(&self, who: Who, id: ClientId) {
        let (client, peer) = (self.bus.client(id).unwrap(), &self.model.peers[&who]);
        let is_registered = peer.phase == Phase::Registered;
        assert_eq!(client.is_registered(), is_registered, "client {who} is {:?}", peer.phase);
        let is_in_handshake = peer.is_in_handshake();
        assert_eq!(client.is_in_handshake(), is_in_handshake, "client {who} is {:?}", peer.phase);
        assert_eq!(
            client.is_incomplete(),
            peer.is_incomplete(),
            "client {who} is {:?}",
            peer.phase
        );
    }
}
