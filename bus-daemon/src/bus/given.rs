//! Messages that were held for a service, until the service has read them.
//!
//! Nobody hears it if a service goes before it has read a signal or a call that expects no reply; so such a
//! message is kept when the service is given it, and goes to the next start if this one did not read it.
//! What was written to a socket and not read is gone with its reader, and the kernel tells only that
//! something was not read. Therefore **such a message is the last thing that is written until all is
//! read**: if anything was not read then, it was this one. Of a peer that is elsewhere (TCP) nobody knows what it
//! has read; there it passes for all.
//!
//! Invariant: of all that is given to a client and not known to be read at most the first message is
//! written.

use std::collections::VecDeque;

use super::Bus;
use super::held_messages::HeldMessage;
use super::id::ClientId;
use super::limits::VAIN_STARTS_MAX;
use super::outbox::Outbox;

/// What one client was given and is not known to have read.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// Each with where it ends in all that was queued for the client.
    messages: VecDeque<(u64, HeldMessage)>,
    /// How much of that was written, if nothing more is.
    written: Option<u64>,
    /// Whether the client left something unread.
    left_unread: bool,
    /// Whether it has read one of them.
    has_read: bool,
}

/// What a client was given and has not read that goes.
#[derive(Debug, Default)]
pub(super) struct Unread {
    messages: Vec<HeldMessage>,
    /// It read nothing of what it was given.
    was_vain: bool,
}

impl Given {
    /// How much may be written before all of it must be read.
    fn room(&self, outbox: &Outbox) -> usize {
        let end = self.messages.front().map_or(u64::MAX, |(end, _)| *end);
        usize::try_from(end.saturating_sub(outbox.written())).unwrap_or(usize::MAX)
    }
}

impl Bus {
    /// Gives what was held to the one who has the name now.
    pub(super) fn give(&mut self, held: HeldMessage, owner: ClientId) {
        let is_leaving = self.clients.get(owner).is_some_and(|client| client.leaving);
        if is_leaving && !held.expects_reply {
            // It reads no more, and has the name until all is handled that it sent before.
            self.given.entry(owner).or_default().messages.push_back((u64::MAX, held));
            return self.charge_given(owner);
        }
        let queued = |bus: &Self| bus.clients.get(owner).map(|client| client.outbox.queued());
        let before = queued(self);
        self.deliver(&held, Some(owner));
        let after = queued(self);
        if let Some(end) = after.filter(|_| after > before && !held.expects_reply) {
            self.given.entry(owner).or_default().messages.push_back((end, held));
        }
    }

    /// How many bytes may be written to a client now.
    pub(super) fn write_room(&self, id: ClientId) -> usize {
        if self.given.is_empty() {
            return usize::MAX;
        }
        let given = self.given.get(&id).zip(self.clients.get(id));
        given.map_or(usize::MAX, |(given, client)| given.room(&client.outbox))
    }

    /// Whether nothing is written to a client until it has read everything, which the host finds out
    /// and tells with [`AllRead`](super::Event::AllRead).
    #[must_use]
    pub fn awaits_reading(&self, client: ClientId) -> bool {
        self.write_room(client) == 0
    }

    /// Whether a client was given something and is not known to have read it. When it goes, the host tells
    /// if it left something unread ([`LeftUnread`](super::Event::LeftUnread)).
    #[must_use]
    pub fn may_leave_unread(&self, client: ClientId) -> bool {
        self.given.contains_key(&client)
    }

    /// A client has read all that was written to it.
    pub(super) fn forget_given(&mut self, id: ClientId) {
        let Some(client) = self.clients.get(id) else { return };
        let written = client.outbox.written();
        // The kernel says once that one is gone and left something; after that all looks read.
        if let Some(given) = self.given.get_mut(&id).filter(|given| !given.left_unread) {
            while given.messages.front().is_some_and(|(end, _)| *end <= written) {
                given.messages.pop_front();
                given.has_read = true;
            }
            if given.messages.is_empty() {
                self.given.remove(&id);
            }
        }
    }

    /// Nothing more is written to a client.
    pub(super) fn note_unwritten(&mut self, id: ClientId) {
        let Some(given) = self.given.get_mut(&id) else { return };
        let written = self.clients.get(id).map(|client| client.outbox.written());
        given.written = given.written.or(written);
        self.charge_given(id);
    }

    /// What a client was given that reads no more waits in no queue any more: until the client goes it is
    /// charged as if it were held.
    fn charge_given(&mut self, id: ClientId) {
        let Some(mut given) = self.given.remove(&id) else { return };
        for (end, mut held) in std::mem::take(&mut given.messages) {
            if self.charge_held(&mut held) {
                given.messages.push_back((end, held));
            } else {
                self.log_lost(&held, "its sender is gone, and too much is held of such");
            }
        }
        if !given.messages.is_empty() {
            self.given.insert(id, given);
        }
    }

    /// The sender of messages that were given goes, and is charged for none of them any longer. Answers how
    /// many are lost, since too much is held of such.
    pub(super) fn orphan_given_of(&mut self, sender: ClientId) -> usize {
        let Self { given, orphans, .. } = self;
        let mut lost = 0;
        for given in given.values_mut() {
            given.messages.retain_mut(|(_, held)| {
                let stays = !held.is_charged_to(sender) || held.become_orphan(orphans);
                lost += usize::from(!stays);
                stays
            });
        }
        given.retain(|_, given| !given.messages.is_empty());
        lost
    }

    /// A client goes and leaves unread something that was written to it, or perhaps does.
    pub(super) fn note_unread(&mut self, id: ClientId) {
        if let Some(given) = self.given.get_mut(&id) {
            given.left_unread = true;
        }
    }

    /// A client goes: what it was given and has not read.
    pub(super) fn take_unread(&mut self, id: ClientId) -> Unread {
        if self.given.is_empty() {
            return Unread::default();
        }
        let Some(given) = self.given.remove(&id) else { return Unread::default() };
        let Given { messages, written, left_unread, has_read } = given;
        let written = written.or_else(|| Some(self.clients.get(id)?.outbox.written()));
        let is_unread = |end: u64| left_unread || written.is_none_or(|written| end > written);
        let count = messages.len();
        let (unread, read): (Vec<_>, Vec<_>) =
            messages.into_iter().partition(|(end, _)| is_unread(*end));
        read.into_iter().for_each(|(_, mut held)| self.let_go(&mut held));
        let messages: Vec<HeldMessage> = unread.into_iter().map(|(_, held)| held).collect();
        let was_vain = !has_read && messages.len() == count;
        Unread { messages, was_vain }
    }

    /// They go to the next start.
    pub(super) fn give_again(&mut self, unread: Unread) {
        let Unread { messages, was_vain } = unread;
        for mut held in messages {
            held.vain_starts += u8::from(was_vain);
            held.was_given = true;
            if held.vain_starts > VAIN_STARTS_MAX {
                self.let_go(&mut held);
                self.log_lost(&held, "each service that took the name went before it had read it");
            } else {
                self.pass_on(held);
            }
        }
    }

    /// Everything that was given and is not known to be read.
    pub(super) fn all_given(&self) -> impl Iterator<Item = &HeldMessage> {
        self.given.values().flat_map(|given| &given.messages).map(|(_, held)| held)
    }

    /// For [`Bus::check_invariants`].
    pub(super) fn check_given(&self) {
        for (id, given) in &self.given {
            let client = self.clients.get(*id);
            assert!(client.is_some(), "who was given something is there");
            assert!(!given.messages.is_empty(), "who has read everything is forgotten");
            assert!(given.messages.iter().is_sorted_by_key(|(end, _)| *end), "in order");
            let written = given.written.or(client.map(|client| client.outbox.written()));
            let begun = given.messages.iter().filter(|(end, _)| Some(*end) < written).count();
            assert_eq!(begun, 0, "{id:?} gets nothing behind what it must read first");
        }
    }
}
