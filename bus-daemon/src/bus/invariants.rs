//! What must hold between the tables of the bus after each event.

use std::collections::BTreeSet;

use super::Bus;
use super::client::Client;
use super::unique_name::UniqueNameText;

impl Bus {
    /// Checks the whole state. For tests: it walks every table.
    ///
    /// # Panics
    /// When something does not hold, which is a defect of the bus.
    pub fn check_invariants(&self) {
        self.names.check_invariants();
        self.matches.check_invariants();
        self.eavesdroppers.check_invariants();
        self.monitors.check_invariants();
        self.replies.check_invariants();
        let in_handshake = self.clients.iter().filter(|client| client.is_in_handshake()).count();
        assert_eq!(in_handshake, self.incomplete_count as usize, "incomplete clients are counted");
        let incomplete = self.clients.iter().filter(|client| client.is_incomplete()).count();
        assert_eq!(
            self.clients.len() - incomplete - self.departures.len(),
            self.completed_count as usize,
            "registered clients and monitors are counted"
        );
        self.check_shares();
        self.check_half_messages();
        self.check_newcomers();
        self.check_activation();
        self.check_given();
        let is_there = |id: &super::ClientId| self.clients.get(*id).is_some();
        assert!(self.departures.iter().all(is_there), "who goes is there until nothing is left");
        let has_gone = |unique: &UniqueNameText| !self.unique_names.contains_key(&unique.number());
        let has_unique = |client: &&Client| {
            let goes = self.departures.contains(&client.id);
            client.is_registered() && !(goes && client.unique.as_ref().is_some_and(has_gone))
        };
        let registered: Vec<_> = self.clients.iter().filter(has_unique).collect();
        assert_eq!(registered.len(), self.unique_names.len(), "one unique name each");
        for client in registered {
            let number = client.unique.as_ref().map(UniqueNameText::number);
            assert_eq!(
                number.and_then(|number| self.unique_names.get(&number)),
                Some(&client.id),
                "a unique name leads to its client"
            );
        }
        for name in self.names.names() {
            for client in self.names.queue(name) {
                let registered = self.clients.get(client).is_some_and(|c| c.is_registered());
                assert!(registered, "only registered clients stand in a queue");
            }
        }
        assert!(
            self.auth_queue.len() <= 2 * self.incomplete_count as usize + 65,
            "the queue of authentication deadlines is bounded"
        );
        self.check_fd_deadlines();
        self.check_slow_receivers();
    }

    fn check_fd_deadlines(&self) {
        let in_queue: BTreeSet<_> = self.fd_queue.iter().copied().collect();
        for client in self.clients.iter() {
            let incoming = &client.incoming;
            assert_eq!(incoming.fds_since.is_some(), !incoming.fds.is_empty(), "{:?}", client.id);
            let is_timed = |since| in_queue.contains(&(since, client.id));
            assert!(incoming.fds_since.is_none_or(is_timed), "{:?} has no deadline", client.id);
        }
        assert!(
            self.fd_queue.len() <= 2 * self.clients.len() + 65,
            "the queue of deadlines for descriptors is bounded"
        );
    }

    /// Checks that nothing is left of clients once all are gone.
    ///
    /// # Panics
    /// When something is left, which is a leak.
    pub fn check_empty(&self) {
        self.check_invariants();
        assert!(self.clients.is_empty() && self.clients.users().is_empty(), "no client");
        assert!(self.names.is_empty(), "no name");
        assert!(self.matches.is_empty() && self.eavesdroppers.is_empty(), "no rule");
        assert!(self.monitors.is_empty(), "no rule of a monitor");
        assert!(self.replies.is_empty(), "no call in flight");
        assert!(self.unique_names.is_empty(), "no unique name");
        assert!(self.given.is_empty(), "nobody who was given something");
    }
}
