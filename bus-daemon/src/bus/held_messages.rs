//! Messages that wait for a service to be started.
//!
//! A message is kept as it came, and goes its way when its destination has an owner: the policy is
//! asked again, now with the recipient. Its sender may be gone by then, as programs are that say
//! something and end: what the policy and the header need of it is kept, too.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::rc::Rc;

use bus_policy::MatchedPatterns;
use bus_policy::question::Circumstances;
use foldhash::fast::FixedState;
use libbus::names::WellKnownName;
use libbus::wire::{self, Header, ParsedHeader, check_body};

use super::Bus;
use super::activation::Waiter;
use super::client::{Outgoing, Urgency};
use super::driver::error_reply::Refusal;
use super::id::ClientId;
use super::limits::{ORPHAN_FDS_MAX, ORPHANS_SIZE_MAX, UNCOUNTED_SIZE_MAX};
use super::log::{LogRecord, Severity};
use super::outbox::{MessageFds, OutgoingBody};
use super::policing::{FormerClient, Party, Passage};
use super::quota::Resource;
use super::routing::Message;
use super::services::Service;
use super::unique_name::UniqueNameText;

/// What is held of one client's messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) bytes: usize,
    pub(super) fds: usize,
}

/// A message that is held.
#[derive(Debug)]
pub(super) struct HeldMessage {
    pub(super) sender: ClientId,
    pub(super) serial: NonZeroU32,
    sender_name: UniqueNameText,
    former: FormerClient,
    bytes: Rc<Vec<u8>>,
    fds: Option<MessageFds>,
    pub(super) expects_reply: bool,
    pub(super) vain_starts: u8,
    /// A service had it and did not read it: it goes before what came later.
    pub(super) was_given: bool,
    charged: Charged,
}

/// Who is charged for a message that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Charged {
    /// It is not held at the moment, or small and its sender gone.
    Nobody,
    Sender,
    /// Those together whose senders are gone.
    Orphans,
}

/// What is held of those who are gone: large messages, and those with descriptors. Of both a user may have
/// half of what the others leave.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    sum: Held,
    of_users: HashMap<Option<u32>, Held, FixedState>,
}

impl Orphans {
    /// Whether there is room for one more message; then it counts.
    fn take(&mut self, uid: Option<u32>, held: &HeldMessage) -> bool {
        let own = self.of_users.get(&uid).copied().unwrap_or_default();
        let fits = |own: usize, sum: usize, size: usize, max: usize| {
            size == 0 || own + size <= max.saturating_sub(sum - own) / 2
        };
        let (size, fd_count) = (held.size(), held.fd_count());
        let has_room = fits(own.bytes, self.sum.bytes, size, ORPHANS_SIZE_MAX)
            && fits(own.fds, self.sum.fds, fd_count, ORPHAN_FDS_MAX);
        if has_room {
            self.sum.add(held);
            self.of_users.entry(uid).or_default().add(held);
        }
        has_room
    }

    fn give_back(&mut self, uid: Option<u32>, held: &HeldMessage) {
        self.sum.subtract(held);
        if let Some(own) = self.of_users.get_mut(&uid) {
            own.subtract(held);
            if *own == Held::default() {
                self.of_users.remove(&uid);
            }
        }
    }

    /// For [`Bus::check_invariants`].
    pub(super) fn check<'a>(&self, all: impl Iterator<Item = &'a HeldMessage>) {
        let mut sum = Held::default();
        all.filter(|held| held.charged == Charged::Orphans).for_each(|held| sum.add(held));
        let add = |a: Held, b: &Held| Held { bytes: a.bytes + b.bytes, fds: a.fds + b.fds };
        assert_eq!(self.of_users.values().fold(Held::default(), add), sum, "orphans by user");
        assert_eq!(self.sum, sum, "all orphans");
    }
}

impl Held {
    fn add(&mut self, held: &HeldMessage) {
        self.bytes += held.size();
        self.fds += held.fd_count();
    }

    fn subtract(&mut self, held: &HeldMessage) {
        self.bytes -= held.size();
        self.fds -= held.fd_count();
    }
}

impl HeldMessage {
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Small ones without descriptors are bounded by how many may wait.
    fn is_small(&self) -> bool {
        self.size() <= UNCOUNTED_SIZE_MAX && self.fds.is_none()
    }

    /// Whether this sender of it is charged for it.
    pub(super) fn is_charged_to(&self, sender: ClientId) -> bool {
        self.sender == sender && self.charged == Charged::Sender
    }

    /// Its sender goes, and is charged for it no longer. Whether it may stay.
    pub(super) fn become_orphan(&mut self, orphans: &mut Orphans) -> bool {
        let may_stay = self.is_small() || orphans.take(self.uid(), self);
        let is_counted = may_stay && !self.is_small();
        self.charged = if is_counted { Charged::Orphans } else { Charged::Nobody };
        may_stay
    }

    /// The user of its sender.
    pub(super) const fn uid(&self) -> Option<u32> {
        self.former.uid()
    }

    /// The well-known name that it is for.
    pub(super) fn destination(&self) -> String {
        let name =
            with_header(&self.bytes, |header| header.destination.map(|name| name.to_string()));
        name.flatten().unwrap_or_default()
    }

    pub(super) fn fd_count(&self) -> usize {
        self.fds.as_ref().map_or(0, |fds| fds.len())
    }
}

impl Bus {
    /// Keeps a message and charges its sender for it.
    pub(super) fn hold(&mut self, message: &Message<'_>) -> Result<HeldMessage, Refusal> {
        let fd_count = message.fds.as_ref().map_or(0, |fds| fds.len());
        // Small ones are bounded by how many may wait.
        if message.bytes.len() > UNCOUNTED_SIZE_MAX {
            self.check_share(message.sender, Resource::Bytes, message.bytes.len() as u64)?;
        }
        if fd_count > 0 {
            self.check_share(message.sender, Resource::Fds, fd_count as u64)?;
        }
        let max = self.limits_of(message.sender).incoming_bytes_max;
        let former = self.clients.get(message.sender).map(|client| self.remember(client));
        let (Some(former), Some(client)) = (former, self.clients.get_mut(message.sender)) else {
            return Err(Refusal::NotRegistered);
        };
        let Some(sender_name) = client.unique.clone() else { return Err(Refusal::NotRegistered) };
        // As with the queue of a recipient: one message may exceed it.
        let held = client.held.as_ref().map_or(0, |held| held.bytes);
        if held as u64 > max {
            return Err(Refusal::TooMuchHeld { held, max });
        }
        let held = HeldMessage {
            sender: message.sender,
            serial: message.header.serial,
            sender_name,
            former,
            bytes: message.to_bytes(),
            fds: message.fds.clone(),
            expects_reply: message.expects_reply(),
            vain_starts: message.vain_starts,
            was_given: message.was_given,
            charged: Charged::Sender,
        };
        client.held.get_or_insert_default().add(&held);
        self.clients.charge_queues(message.sender);
        Ok(held)
    }

    /// Charges for a message that is held again: its sender, or those together whose senders are gone.
    /// Whether it may stay.
    pub(super) fn charge_held(&mut self, held: &mut HeldMessage) -> bool {
        if held.charged != Charged::Nobody {
            return true;
        }
        if !self.takes_part(held.sender) {
            return held.become_orphan(&mut self.orphans);
        }
        if let Some(client) = self.clients.get_mut(held.sender) {
            client.held.get_or_insert_default().add(held);
            held.charged = Charged::Sender;
            self.clients.charge_queues(held.sender);
        }
        true
    }

    /// A message is held no longer: nobody is charged for it any more.
    pub(super) fn let_go(&mut self, held: &mut HeldMessage) {
        match std::mem::replace(&mut held.charged, Charged::Nobody) {
            Charged::Nobody => {}
            Charged::Orphans => self.orphans.give_back(held.uid(), held),
            Charged::Sender => {
                if let Some(client) = self.clients.get_mut(held.sender) {
                    if let Some(sum) = &mut client.held {
                        sum.subtract(held);
                    }
                    client.held.take_if(|sum| **sum == Held::default());
                    self.clients.charge_queues(held.sender);
                }
            }
        }
    }

    /// A message goes its way once more, to whoever has its name by now or to a start.
    pub(super) fn pass_on(&mut self, mut held: HeldMessage) {
        let name = held.destination();
        if let Ok(name) = WellKnownName::parse(&name) {
            self.take_from_departures(name);
        }
        if let Some(owner) = self.resolve_text(&name) {
            self.let_go(&mut held);
            return self.give(held, owner);
        }
        if self.takes_part(held.sender) {
            self.let_go(&mut held);
            return self.deliver(&held, None);
        }
        let Some(service) = self.settings.services.get(&name).cloned() else {
            self.let_go(&mut held);
            return self.log_lost(&held, "its sender is gone, and no service takes that name");
        };
        if !self.may_former_activate(&held, &service) {
            self.let_go(&mut held);
            return self.log_lost(&held, "its sender is gone, and the policy denies it");
        }
        if !self.charge_held(&mut held) {
            return self.log_lost(&held, "its sender is gone, and too much is held of such");
        }
        let who = format!("'{}', which is gone", held.sender_name.as_str());
        if let Err(refusal) = self.wait_for(&service, held.uid(), &who, Waiter::Message(held)) {
            let text = format_args!("A message of {who} to '{name}' is lost: {refusal}");
            self.log(LogRecord::new(Severity::Warning, &text));
        }
    }

    /// The sender's rules, as before each start (config.md B058, protocol.md A223).
    fn may_former_activate(&mut self, held: &HeldMessage, service: &Service) -> bool {
        let Some(standing) = self.standing_of_former(&held.former) else { return false };
        let names = MatchedPatterns::of_name(&self.settings.policy, &service.file.name);
        let may_pass = |header: &Header<'_>| {
            let passage = Passage {
                header,
                circumstances: Circumstances::default(),
                sender: Party::Client(Some(&standing)),
                recipient: Party::Service(&names),
            };
            passage.check(&self.policies).is_ok()
        };
        with_header(&held.bytes, may_pass).unwrap_or(false) && !self.identity.mediation.is_active()
    }

    pub(super) fn log_lost(&mut self, held: &HeldMessage, why: &str) {
        let (sender, name) = (held.sender_name.as_str(), held.destination());
        let text = format_args!(
            "A message of {sender} to '{name}', which was to be started for it, is lost: {why}"
        );
        self.log(LogRecord::new(Severity::Warning, &text));
    }

    /// Gives a message to whom it was meant for: the `owner` of the name if its sender is gone; else it may
    /// have to wait again.
    pub(super) fn deliver(&mut self, held: &HeldMessage, owner: Option<ClientId>) {
        let bytes = held.bytes.as_slice();
        // INVARIANT: all of it was checked when it came.
        let Ok(Some(frame)) = wire::frame(bytes, libbus::limits::MESSAGE_SIZE_MAX) else { return };
        let Ok(parsed) = ParsedHeader::parse(bytes, &frame) else { return };
        let body = bytes.get(frame.header_size..).unwrap_or_default();
        let header = &parsed.header;
        // What eavesdroppers and rules look at in the body.
        let checked = check_body(header.signature, body, header.endian, &mut self.scratch.spans);
        if checked.is_err() {
            return;
        }
        let fds = held.fds.clone();
        let message = Message {
            sender: held.sender,
            header,
            body,
            parsed: &parsed,
            bytes,
            held: Some(&held.bytes),
            fds,
            vain_starts: held.vain_starts,
            was_given: held.was_given,
        };
        let Some(name) = header.destination else { return };
        let is_lost = match owner.filter(|_| !self.takes_part(held.sender)) {
            Some(owner) => self.deliver_from_gone(held, &message, owner),
            None => {
                if let Err(refusal) = self.unicast(&message, name) {
                    self.refuse(&message, &refusal);
                }
                None
            }
        };
        if let Some(why) = is_lost {
            self.log_lost(held, why);
        }
    }

    /// The sender is gone, and nobody is told what becomes of the message but the log. Answers why it is
    /// not delivered.
    fn deliver_from_gone(
        &mut self,
        held: &HeldMessage,
        message: &Message<'_>,
        owner: ClientId,
    ) -> Option<&'static str> {
        let name = held.sender_name.as_str();
        let Some(standing) = self.standing_of_former(&held.former) else {
            return Some(
                "its sender is gone and had more names than are remembered, and the configuration \
                 was read again since",
            );
        };
        let (users, pools) = (self.clients.users(), &self.pools);
        let passage = Passage {
            header: message.header,
            circumstances: Circumstances::default(),
            sender: Party::Client(Some(&standing)),
            recipient: Party::of(self.clients.get(owner)),
        };
        let passes = passage.check(&self.policies);
        let recipient = self.clients.get(owner)?;
        if passes.is_err() {
            Some("its sender is gone, and the policy denies it")
        } else if self.identity.mediation.is_active() {
            Some("its sender is gone, and no security module can be asked about that")
        } else if message.fds.is_some() && !recipient.unix_fds {
            Some("its sender is gone, and the service takes no descriptors")
        } else if recipient.is_full(&self.settings.limits, message.fds.is_some())
            || !recipient.has_room(users, pools, message.fds.is_some())
        {
            Some("its sender is gone, and the queue of the service is full")
        } else {
            let mut head = std::mem::take(&mut self.scratch.stamped);
            head.clear();
            message.parsed.write_stamped(message.bytes, name, &mut head);
            let outgoing = Outgoing {
                head: &head,
                body: OutgoingBody::Copied(message.body),
                fds: message.fds.as_ref(),
                uid: held.uid(),
                urgency: Urgency::Urgent,
            };
            self.clients.push(owner, &outgoing);
            self.scratch.stamped = head;
            None
        }
    }
}

/// Looks at the header of a message that was checked when it came.
fn with_header<T>(bytes: &[u8], look: impl FnOnce(&Header<'_>) -> T) -> Option<T> {
    let frame = wire::frame(bytes, libbus::limits::MESSAGE_SIZE_MAX).ok()??;
    let parsed = ParsedHeader::parse(bytes, &frame).ok()?;
    Some(look(&parsed.header))
}
