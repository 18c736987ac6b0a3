//! Names, their queues, and what a client gives up when it goes (protocol.md A125–A134).

use libbus::standard_error as error;

use super::{Kind, Model, PlaceInQueue, Who};

impl Model {
    pub(crate) fn owner(&self, name: &str) -> Option<Who> {
        self.names.get(name).map(|queue| queue[0].who)
    }

    pub(crate) fn resolve(&self, name: &str) -> Option<Who> {
        if name.starts_with(':') { self.uniques.get(name).copied() } else { self.owner(name) }
    }

    pub(crate) fn unique_of(&self, who: Who) -> String {
        self.peers[&who].unique.clone().unwrap_or_default()
    }

    pub(super) fn queue(&self, name: &str) -> Vec<String> {
        let queue = self.names.get(name).into_iter().flatten();
        queue.map(|place| self.unique_of(place.who)).collect()
    }

    pub(super) fn register(&mut self, who: Who) -> String {
        let unique = format!(":1.{}", self.next_unique);
        self.next_unique += 1;
        self.uniques.insert(unique.clone(), who);
        self.peers.get_mut(&who).unwrap().unique = Some(unique.clone());
        unique
    }

    /// RequestName's answer.
    pub(super) fn request(&mut self, who: Who, name: &str, flags: u32) -> u32 {
        let (allows_replacement, replaces, does_not_queue) =
            (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0);
        let place = PlaceInQueue { who, allows_replacement, does_not_queue };
        let Some(queue) = self.names.get_mut(name) else {
            self.names.insert(name.to_owned(), vec![place]);
            self.peers.get_mut(&who).unwrap().places.push(name.to_owned());
            self.announce(name, None, Some(who));
            return 1;
        };
        let own = queue.iter().position(|place| place.who == who);
        if own == Some(0) {
            queue[0] = place;
            return 4;
        }
        if replaces && queue[0].allows_replacement {
            let old = queue[0].who;
            own.map(|own| queue.remove(own));
            queue.insert(0, place);
            let leaves = queue[1].does_not_queue.then(|| queue.remove(1).who);
            if own.is_none() {
                self.peers.get_mut(&who).unwrap().places.push(name.to_owned());
            }
            if let Some(leaves) = leaves {
                self.forget_place(leaves, name);
            }
            self.announce(name, Some(old), Some(who));
            return 1;
        }
        match (own, does_not_queue) {
            (Some(own), true) => {
                queue.remove(own);
                self.forget_place(who, name);
                3
            }
            (None, true) => 3,
            (Some(own), false) => {
                queue[own] = place;
                2
            }
            (None, false) => {
                queue.push(place);
                self.peers.get_mut(&who).unwrap().places.push(name.to_owned());
                2
            }
        }
    }

    /// ReleaseName's answer.
    pub(super) fn release(&mut self, who: Who, name: &str) -> u32 {
        let Some(queue) = self.names.get_mut(name) else { return 2 };
        let Some(own) = queue.iter().position(|place| place.who == who) else { return 3 };
        queue.remove(own);
        let next = queue.first().map(|place| place.who);
        if queue.is_empty() {
            self.names.remove(name);
        }
        self.forget_place(who, name);
        if own == 0 {
            self.announce(name, Some(who), next);
        }
        1
    }

    fn forget_place(&mut self, who: Who, name: &str) {
        self.peers.get_mut(&who).unwrap().places.retain(|held| held != name);
    }

    /// protocol.md A133
    fn announce(&mut self, name: &str, old: Option<Who>, new: Option<Who>) {
        if let Some(old) = old {
            self.signal(Some(old), "NameLost", &[name]);
        }
        let unique = |who: Option<Who>| who.map(|who| self.unique_of(who)).unwrap_or_default();
        let (old, new_name) = (unique(old), unique(new));
        self.signal(None, "NameOwnerChanged", &[name, &old, &new_name]);
        if let Some(new) = new {
            self.signal(Some(new), "NameAcquired", &[name]);
        }
    }

    /// Everything that a registered client gives up, whether it goes or becomes a monitor.
    pub(super) fn leave(&mut self, who: Who) {
        self.drop_rules(|_, owner| owner == who);
        while let Some(name) = self.peers[&who].places.last().cloned() {
            self.release(who, &name);
        }
        self.calls.retain(|call| call.caller != who);
        let unique = self.unique_of(who);
        self.uniques.remove(&unique);
        self.drop_rules(|(kind, rule), _| {
            let names = [&rule.sender, &rule.destination];
            *kind != Kind::Monitoring && names.iter().any(|n| n.as_deref() == Some(&unique))
        });
        self.signal(Some(who), "NameLost", &[&unique]);
        self.signal(None, "NameOwnerChanged", &[&unique, &unique, ""]);
        let (orphaned, kept) =
            std::mem::take(&mut self.calls).into_iter().partition(|call| call.callee == who);
        self.calls = kept;
        let orphaned: Vec<super::Call> = orphaned;
        for call in orphaned {
            self.error(call.caller, Some(call.serial), error::NO_REPLY);
        }
    }
}
