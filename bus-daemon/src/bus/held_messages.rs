//! Messages that wait for a service to be started.
//!
//! A message is kept as it came, and goes its way when its destination has an owner: the policy is
//! asked again, now with the recipient. Its sender may be gone by then, as programs are that say
//! something and end: what the policy and the header need of it is kept, too.

use std::num::NonZeroU32;
use std::rc::Rc;

use bus_policy::question::Circumstances;
use libbus::wire::{self, ParsedHeader, check_body};

use super::Bus;
use super::client::{Outgoing, Urgency};
use super::driver::error_reply::Refusal;
use super::id::ClientId;
use super::limits::{UNCOUNTED_SIZE_MAX, VAIN_STARTS_MAX};
use super::log::{LogRecord, Severity};
use super::outbox::{MessageFds, OutgoingBody};
use super::policing::{Party, Passage, Standing};
use super::quota::Resource;
use super::routing::Message;
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
    standing: Option<Standing>,
    bytes: Rc<Vec<u8>>,
    fds: Option<MessageFds>,
    expects_reply: bool,
    vain_starts: u8,
}

/// What the owner of a name has been given that was started for it, until it is written: signals and calls
/// of which nobody would hear that they are lost.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// Each with where it ends in all that was queued for the owner.
    messages: Vec<(u64, HeldMessage)>,
    /// How much of that was written, if the owner reads no more.
    written: Option<u64>,
}

impl HeldMessage {
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it is worth keeping when its sender has gone: all of those that are kept are bounded by
    /// how many may wait.
    pub(super) fn outlives_its_sender(&self) -> bool {
        self.size() <= UNCOUNTED_SIZE_MAX && self.fds.is_none()
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
        let Some(client) = self.clients.get_mut(message.sender) else {
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
            standing: client.standing.clone(),
            bytes: message.to_bytes(),
            fds: message.fds.clone(),
            expects_reply: message.expects_reply(),
            vain_starts: message.vain_starts,
        };
        let sum = client.held.get_or_insert_default();
        sum.bytes += held.size();
        sum.fds += held.fd_count();
        self.clients.charge_queues(message.sender);
        Ok(held)
    }

    /// A message is held no longer: its sender is not charged for it any more.
    pub(super) fn let_go(&mut self, held: &HeldMessage) {
        if let Some(client) = self.clients.get_mut(held.sender) {
            if let Some(sum) = &mut client.held {
                sum.bytes -= held.size();
                sum.fds -= held.fd_count();
            }
            client.held.take_if(|sum| **sum == Held::default());
            self.clients.charge_queues(held.sender);
        }
    }

    /// Gives what was held to the one who has taken the name, and remembers what must not get lost if that
    /// goes before reading it.
    pub(super) fn give(&mut self, held: HeldMessage, owner: ClientId) {
        let queued = |bus: &Self| bus.clients.get(owner).map(|client| client.outbox.queued());
        let before = queued(self);
        self.deliver(&held, Some(owner));
        let after = queued(self);
        if let Some(end) = after.filter(|_| after > before && !held.expects_reply) {
            self.given.entry(owner).or_default().messages.push((end, held));
        }
    }

    /// Something was written to a client.
    #[cold]
    pub(super) fn forget_given(&mut self, id: ClientId) {
        let Some(client) = self.clients.get(id) else { return };
        let written = client.outbox.written();
        if let Some(given) = self.given.get_mut(&id) {
            given.messages.retain(|(end, _)| *end > written);
            if given.messages.is_empty() {
                self.given.remove(&id);
            }
        }
    }

    /// A client reads no more: what was not written to it, it has not read.
    pub(super) fn note_unread(&mut self, id: ClientId) {
        let Some(given) = self.given.get_mut(&id) else { return };
        let written = self.clients.get(id).map(|client| client.outbox.written());
        given.written = given.written.or(written);
    }

    /// A client goes: what it was given and has not read.
    pub(super) fn take_unread(&mut self, id: ClientId) -> Vec<HeldMessage> {
        if self.given.is_empty() {
            return Vec::new();
        }
        self.note_unread(id);
        let Some(Given { messages, written }) = self.given.remove(&id) else { return Vec::new() };
        let is_unread = |end: u64| written.is_none_or(|written| end > written);
        messages.into_iter().filter(|(end, _)| is_unread(*end)).map(|(_, held)| held).collect()
    }

    /// They go to the next start.
    pub(super) fn give_again(&mut self, unread: Vec<HeldMessage>) {
        for mut held in unread {
            held.vain_starts += 1;
            self.deliver(&held, None);
        }
    }

    /// Gives a message to whom it was meant for, the `owner` of the name if it has one; else it may have
    /// to wait again.
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
        };
        let Some(name) = header.destination else { return };
        let sender = self.clients.get(held.sender);
        let lost = match (sender.is_some_and(|sender| sender.is_registered()), owner) {
            _ if held.vain_starts > VAIN_STARTS_MAX => {
                Some("each service that took the name went before it had read it")
            }
            (true, _) => {
                if let Err(refusal) = self.unicast(&message, name) {
                    self.refuse(&message, &refusal);
                }
                None
            }
            (false, Some(owner)) => self.deliver_from_gone(held, &message, owner),
            (false, None) if held.vain_starts > 0 => Some(
                "its sender is gone, and the service that took the name went before it had read it",
            ),
            (false, None) => {
                Some("its sender is gone, and no service had been found for it before")
            }
        };
        if let Some(why) = lost {
            let sender = held.sender_name.as_str();
            let text = format_args!(
                "A message of {sender} to '{name}', which was to be started for it, is lost: {why}"
            );
            self.log(LogRecord::new(Severity::Warning, &text));
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
        let (users, pools) = (self.clients.users(), &self.pools);
        let passage = Passage {
            header: message.header,
            circumstances: Circumstances::default(),
            sender: Party::Client(held.standing.as_ref()),
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
        } else if recipient.is_full(&self.settings.limits)
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
                urgency: Urgency::Urgent,
            };
            self.clients.push(owner, &outgoing);
            self.scratch.stamped = head;
            None
        }
    }
}
