//! The end of a run: everything is read, and everybody goes.

use std::collections::HashMap;
use std::num::NonZeroU32;

use bus_daemon::bus::Event;

use super::World;
use crate::actor::Temper;
use crate::model::{Phase, Who};

impl World {
    /// Everything that was written is read by both sides.
    pub(super) fn settle(&mut self) {
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

    /// Each call got one reply or error, unless it still waits for its callee or a reload; nothing else was
    /// answered, unless it was refused.
    pub(super) fn check_every_call_is_answered(&self) {
        let mut waiting: HashMap<(Who, NonZeroU32), usize> = HashMap::new();
        for call in &self.model.calls {
            assert!(self.actors.contains_key(&call.callee), "{call:?} waits for nobody");
            *waiting.entry((call.caller, call.serial)).or_default() += 1;
        }
        for (who, serial) in self.model.who_waits_for_reload() {
            *waiting.entry((who, serial)).or_default() += 1;
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

    pub(super) fn end(&mut self) {
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
        // Spare buffers are watched for one more time if they were used in this one.
        for _ in 0..2 {
            if let Some(due) = self.bus.next_deadline() {
                self.bus.handle_event(Event::TimePassed, due);
            }
        }
        assert_eq!(self.bus.next_deadline(), None, "nothing is left to wait for");
        assert_eq!((self.bus.client_count(), self.bus.poll_write()), (0, None));
    }
}
