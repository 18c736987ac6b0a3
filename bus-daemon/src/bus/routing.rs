//! Who receives a message, and why not (protocol.md A137–A153).
//!
//! A message with DESTINATION goes to the primary owner of that name, whatever the match rules say;
//! a signal without one goes to every client with a rule that matches, once; a call without one is
//! the bus's own. Before a recipient gets a message it is asked, in this order, whether it is
//! allowed to (a reply must have been asked for), whether it can take descriptors, whether its queue
//! has room; then the reply that a call expects is recorded (config.md B076). A refusal answers the
//! sender; a broadcast leaves the recipient out.
//!
//! The header is stamped with SENDER once a message; bodies are never copied more than once a
//! recipient, and large ones not at all.

use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use bus_policy::question::Circumstances;
use libbus::match_rule::MatchNames;
use libbus::names::BusName;
use libbus::wire::{self, Arguments, Flags, Header, MessageType, ParsedHeader, check_body};

use super::client::{ClientTable, Outgoing, Phase, Urgency};
use super::driver::{self, error_reply::Refusal};
use super::id::ClientId;
use super::lifecycle::Disconnection;
use super::limits::{
    COPIED_BODY_SIZE_MAX, SHARED_BODY_RECIPIENT_COUNT_MIN, SHARED_BODY_SIZE_MIN,
    UNCOUNTED_REPLY_COUNT_MAX, message_unix_fds_max,
};
use super::log::{LogRecord, Severity};
use super::match_index::{MatchedMessage, SenderKey};
use super::name_registry::NameRegistry;
use super::outbox::{MessageFds, OutgoingBody};
use super::passed::Passed;
use super::policing::{Party, Passage, Passing, Watch};
use super::quota::Resource;
use super::spare_buffers::SpareBuffers;
use super::unique_name::UniqueNameText;
use super::{Bus, Scratch, share_fds};

/// What a monitor sees as the sender of a message from a client that has not said Hello yet.
const NOT_YET_NAMED: &str = ":not.active.yet";

/// One message of a client, checked and ready to be routed.
pub(super) struct Message<'a> {
    pub(super) sender: ClientId,
    pub(super) header: &'a Header<'a>,
    pub(super) body: &'a [u8],
    pub(super) parsed: &'a ParsedHeader<'a>,
    pub(super) bytes: &'a [u8],
    /// The whole message, where it lies in a buffer of its own.
    pub(super) held: Option<&'a Rc<Vec<u8>>>,
    pub(super) fds: Option<MessageFds>,
    /// How many services were started for it and went before they read it.
    pub(super) vain_starts: u8,
    /// Whether a service had it and did not read it.
    pub(super) was_given: bool,
}

impl Message<'_> {
    /// The body in the form in which so many recipients get it.
    fn outgoing_body(&self, recipients: usize, spares: &mut SpareBuffers) -> OutgoingBody<'_> {
        let copied_max = match recipients {
            ..SHARED_BODY_RECIPIENT_COUNT_MIN => COPIED_BODY_SIZE_MAX,
            _ => SHARED_BODY_SIZE_MIN,
        };
        match self.held {
            _ if self.body.len() <= copied_max => OutgoingBody::Copied(self.body),
            Some(held) => OutgoingBody::Shared(Rc::clone(held), self.parsed.size..held.len()),
            None => OutgoingBody::Shared(spares.share(self.body), 0..self.body.len()),
        }
    }

    /// All of it, to be kept.
    pub(super) fn to_bytes(&self) -> Rc<Vec<u8>> {
        self.held.map_or_else(|| Rc::new(self.bytes.to_vec()), Rc::clone)
    }

    pub(super) fn expects_reply(&self) -> bool {
        self.header.message_type == MessageType::MethodCall
            && !self.header.flags.contains(Flags::NO_REPLY_EXPECTED)
    }
}

/// Whether the policy has a say in who sees a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    ByPolicy,
    /// Monitors see what goes on, whatever the policy says (protocol.md A203).
    ByNobody,
}

/// Answers a match rule's questions about names for one message.
pub(super) struct Ownership<'a> {
    pub(super) names: &'a NameRegistry,
    pub(super) clients: &'a ClientTable,
    pub(super) sender: SenderKey,
    pub(super) destination: Option<BusName<'a>>,
    pub(super) recipient: Option<ClientId>,
}

impl Ownership<'_> {
    fn client_is(&self, client: ClientId, name: &str) -> bool {
        if name.starts_with(':') {
            let unique = self.clients.get(client).and_then(|client| client.unique.as_ref());
            unique.is_some_and(|unique| unique.as_str() == name)
        } else {
            self.names.owner(name) == Some(client)
        }
    }
}

impl MatchNames for Ownership<'_> {
    fn sender_is(&self, name: &str) -> bool {
        match self.sender {
            SenderKey::Driver => name == driver::BUS_NAME.as_str(),
            SenderKey::Client(client) => self.client_is(client, name),
        }
    }

    fn destination_is(&self, name: &str) -> bool {
        self.destination.is_some_and(|destination| destination.as_str() == name)
            || self.recipient.is_some_and(|recipient| self.client_is(recipient, name))
    }
}

impl Bus {
    /// Checks one message and takes it to where it belongs.
    pub(super) fn handle_message(
        &mut self,
        sender: ClientId,
        bytes: &[u8],
        held: Option<&Rc<Vec<u8>>>,
    ) -> Result<(), Disconnection> {
        // The sender's limit was asked when the message came.
        let size_max = libbus::limits::MESSAGE_SIZE_MAX;
        let Some(frame) = wire::frame(bytes, size_max).map_err(Disconnection::Malformed)? else {
            return Ok(());
        };
        self.messages += 1;
        let parsed = ParsedHeader::parse(bytes, &frame).map_err(Disconnection::Malformed)?;
        let header = &parsed.header;
        let refused_fds = header.unix_fds > 0 && self.take_refused_fds(sender, header.unix_fds);
        let fds = if refused_fds { None } else { self.take_fds(sender, header.unix_fds)? };
        let body = bytes.get(frame.header_size..).unwrap_or_default();
        check_body(header.signature, body, header.endian, &mut self.scratch.spans)
            .map_err(Disconnection::Malformed)?;
        let message = Message {
            sender,
            header,
            body,
            parsed: &parsed,
            bytes,
            held,
            fds,
            vain_starts: 0,
            was_given: false,
        };
        match self.clients.get(sender).map(|client| &client.phase) {
            Some(Phase::Registered) => {}
            Some(Phase::Monitor) => return Err(Disconnection::MonitorSent),
            Some(_) if !is_for_the_bus(header) => return Err(Disconnection::SentBeforeHello),
            _ => {}
        }
        if refused_fds {
            let refusal = self.explain_fd_share(sender);
            self.refuse(&message, &refusal);
            return Ok(());
        }
        let bulk_pushes = self.clients.bulk_pushes();
        self.route(&message);
        if self.clients.bulk_pushes() != bulk_pushes {
            self.clients.note_bulk(sender);
        }
        Ok(())
    }

    fn route(&mut self, message: &Message<'_>) {
        // (ref) monitors are shown first what the bus does about a start, and then why.
        let is_about_start = !self.monitors.is_empty()
            && (self.may_start_a_service(message) || self.is_activation_failure(message.header));
        if !is_about_start {
            self.capture(message);
        }
        let outcome = match (message.header.destination, message.header.message_type) {
            (_, MessageType::Unknown(_)) => Err(Refusal::UnknownMessageType),
            (Some(BusName::WellKnown(driver::BUS_NAME)), _) => self.pass_to_driver(message),
            (Some(name), _) => self.unicast(message, name),
            (None, MessageType::Signal) => {
                self.broadcast(message);
                Ok(())
            }
            (None, MessageType::MethodCall) => self.handle_driver_message(message),
            // protocol.md A140
            (None, _) => Ok(()),
        };
        if is_about_start {
            self.capture(message);
        }
        if let Err(refusal) = outcome {
            self.refuse(message, &refusal);
        }
    }

    fn pass_to_driver(&mut self, message: &Message<'_>) -> Result<(), Refusal> {
        self.may_pass(message, None, false)?;
        // deviation: overheard before anything that it causes, and also if it fails; the reference
        // passes on what succeeded, and after its effects.
        self.eavesdrop(message, None);
        self.handle_driver_message(message)
    }

    pub(super) fn unicast(
        &mut self,
        message: &Message<'_>,
        name: BusName<'_>,
    ) -> Result<(), Refusal> {
        if let BusName::WellKnown(name) = name {
            self.take_from_departures(name);
        }
        let Some(recipient) = self.resolve(name) else { return self.activate(message, name) };
        let asked = message.header.reply_serial.filter(|_| is_reply(message.header));
        self.may_receive(message, recipient, asked)?;
        self.stamp(message)?;
        if message.expects_reply() {
            self.expect_reply(message, recipient)?;
        }
        if let Some(serial) = asked {
            // The reply passes: nothing can stop it any more.
            self.replies.take(recipient, message.sender, serial);
            self.charge_replies(recipient);
        }
        let uid = self.clients.get(message.sender).and_then(|client| client.uid);
        let outgoing = Outgoing {
            body: message.outgoing_body(1, self.clients.spares()),
            head: &self.scratch.stamped,
            fds: message.fds.as_ref(),
            uid,
            urgency: Urgency::Urgent,
        };
        let size = outgoing.size();
        if self.clients.push_unicast(recipient, &outgoing, &self.settings.limits) {
            if let Some(client) = self.clients.get_mut(recipient) {
                client.note_backlog(uid, size);
            }
            self.slow_down(message.sender, recipient);
        }
        self.eavesdrop(message, Some(recipient));
        Ok(())
    }

    /// `asked`: which call the message answers, if it is a reply.
    fn may_receive(
        &mut self,
        message: &Message<'_>,
        recipient: ClientId,
        asked: Option<NonZeroU32>,
    ) -> Result<(), Refusal> {
        // protocol.md A145, config.md B063
        let is_expected =
            asked.is_some_and(|serial| self.replies.is_expected(recipient, message.sender, serial));
        if let Err(refusal) = self.may_pass(message, Some(recipient), is_expected) {
            if let Some(serial) = asked.filter(|_| is_expected) {
                // (ref) it was the answer all the same: another one was not asked for.
                self.replies.take(recipient, message.sender, serial);
                self.charge_replies(recipient);
            }
            return Err(refusal);
        }
        let Some(client) = self.clients.get(recipient) else { return Ok(()) };
        if message.fds.is_some() && !client.unix_fds {
            return Err(Refusal::FdsNotSupported);
        }
        let has_fds = message.fds.is_some();
        if client.is_full(&self.settings.limits, has_fds) {
            return Err(self.queue_full(message, recipient, is_expected));
        }
        if has_fds || client.has_charged_queues() {
            self.check_queue_share(message, client, is_expected)?;
        }
        if (has_fds || client.has_shared_backlog()) && !is_expected {
            self.check_backlog(message, client)?;
        }
        Ok(())
    }

    /// Whether the policy lets a message go to a client, or to the bus itself (config.md B076).
    fn may_pass(
        &mut self,
        message: &Message<'_>,
        recipient: Option<ClientId>,
        requested_reply: bool,
    ) -> Result<(), Refusal> {
        let passage = Passage {
            header: message.header,
            circumstances: Circumstances { requested_reply, eavesdropping: false },
            sender: Party::of(self.clients.get(message.sender)),
            recipient: recipient.map_or(Party::Bus, |id| Party::of(self.clients.get(id))),
        };
        let head = message.bytes.get(..message.parsed.size).unwrap_or_default();
        let passed = self.clients.get(message.sender).and_then(|client| client.passed.as_deref());
        let checked = match passed {
            Some(passed) if passed.covers(&passage, head) => Ok(Passing::default()),
            _ => passage.check(&self.policies),
        };
        match checked {
            Ok(Passing { log: None, was_asked: false }) => {}
            Ok(Passing { log: None, was_asked: true }) => {
                if passed.is_none_or(Passed::is_outdated)
                    && let Some(passed) = Passed::new(&passage, head)
                    && let Some(client) = self.clients.get_mut(message.sender)
                {
                    client.passed = Some(passed);
                }
            }
            Ok(Passing { log: Some(verdict), .. }) => {
                self.log_passage(message, recipient, passage.circumstances, verdict);
            }
            Err(denial) => return Err(self.denied(message, recipient, &passage, denial)),
        }
        self.mediate_message(message.header, message.sender, recipient, requested_reply)
    }

    fn expect_reply(&mut self, message: &Message<'_>, callee: ClientId) -> Result<(), Refusal> {
        let caller = message.sender;
        let max = self.limits_of(caller).replies_per_connection_max;
        let count = self.replies.count_of_caller(caller);
        if count >= max {
            return Err(Refusal::TooManyReplies {
                caller: self.name_of(caller),
                callee: self.name_of(callee),
                max,
            });
        }
        if count >= UNCOUNTED_REPLY_COUNT_MAX {
            self.check_share(caller, Resource::Replies, 1)?;
        }
        self.replies
            .insert(caller, callee, message.header.serial, self.now)
            .map_err(|_| Refusal::DuplicateSerial)?;
        if count >= UNCOUNTED_REPLY_COUNT_MAX {
            self.charge_replies(caller);
        }
        Ok(())
    }

    fn broadcast(&mut self, message: &Message<'_>) {
        self.scratch.recipients.start();
        let Self { matches, eavesdroppers, names, clients, scratch, .. } = self;
        let Scratch { spans, recipients, .. } = scratch;
        let sender = SenderKey::Client(message.sender);
        let ownership = Ownership { names, clients, sender, destination: None, recipient: None };
        let arguments = Arguments::new(spans, message.body);
        let matched = MatchedMessage { header: message.header, arguments, sender };
        matches.find(&matched, &ownership, recipients);
        eavesdroppers.find(&matched, &ownership, recipients);
        self.push_to_recipients(message, None, Watched::ByPolicy);
    }

    /// Gives a unicast message to those who asked to see what is meant for others
    /// (protocol.md A167).
    fn eavesdrop(&mut self, message: &Message<'_>, recipient: Option<ClientId>) {
        if self.eavesdroppers.is_empty() {
            return;
        }
        self.scratch.recipients.start();
        let Self { eavesdroppers, names, clients, scratch, .. } = self;
        let Scratch { spans, recipients, .. } = scratch;
        let sender = SenderKey::Client(message.sender);
        let destination = message.header.destination;
        let ownership = Ownership { names, clients, sender, destination, recipient };
        let arguments = Arguments::new(spans, message.body);
        let matched = MatchedMessage { header: message.header, arguments, sender };
        eavesdroppers.find(&matched, &ownership, recipients);
        self.push_to_recipients(message, recipient, Watched::ByPolicy);
    }

    /// Gives a message to monitors, before anything is decided about it (protocol.md A203).
    fn capture(&mut self, message: &Message<'_>) {
        if self.monitors.is_empty() {
            return;
        }
        self.scratch.recipients.start();
        let recipient = message.header.destination.and_then(|name| self.resolve(name));
        let Self { monitors, names, clients, scratch, .. } = self;
        let Scratch { spans, recipients, .. } = scratch;
        let sender = SenderKey::Client(message.sender);
        let destination = message.header.destination;
        let ownership = Ownership { names, clients, sender, destination, recipient };
        let arguments = Arguments::new(spans, message.body);
        let matched = MatchedMessage { header: message.header, arguments, sender };
        monitors.find(&matched, &ownership, recipients);
        self.push_to_recipients(message, None, Watched::ByNobody);
    }

    /// Gives the message to all of `scratch.recipients` that can take it, but not to `addressee`,
    /// who has it already. Nobody is told about those left out.
    fn push_to_recipients(
        &mut self,
        message: &Message<'_>,
        addressee: Option<ClientId>,
        watched: Watched,
    ) {
        if self.scratch.recipients.is_empty() {
            return;
        }
        if self.stamp(message).is_err() {
            return;
        }
        let refused = match watched {
            Watched::ByPolicy => self.refused_recipients(message.header, message.sender),
            Watched::ByNobody => Vec::new(),
        };
        let count = self.scratch.recipients.len();
        let body = message.outgoing_body(count, self.clients.spares());
        let head = std::mem::take(&mut self.scratch.stamped);
        let urgency = self.scratch.recipients.urgency();
        let uid = self.clients.get(message.sender).and_then(|client| client.uid);
        let outgoing = Outgoing { head: &head, body, fds: message.fds.as_ref(), uid, urgency };
        let sender = self.clients.get(message.sender).and_then(|client| client.standing.clone());
        let watch = Watch {
            header: message.header,
            sender: Party::Client(sender.as_ref()),
            // config.md B075
            eavesdropping: message.header.destination.is_some(),
            notes_denied: !self.monitors.is_empty(),
        };
        let watch = (watched == Watched::ByPolicy).then_some(&watch);
        let (log, denied) =
            self.push_copies(Some(message.sender), &outgoing, addressee, &refused, watch);
        drop(outgoing);
        self.scratch.stamped = head;
        if let Some(verdict) = log {
            self.log_passage(message, None, Circumstances::default(), verdict);
        }
        self.capture_denials(message, &denied);
    }

    /// Writes the header that recipients get. A message that SENDER makes longer than any message
    /// may be cannot be delivered (protocol.md A037).
    fn stamp(&mut self, message: &Message<'_>) -> Result<(), Refusal> {
        self.scratch.stamped.clear();
        let sender = self.clients.get(message.sender).and_then(|client| client.unique.as_ref());
        let sender = sender.map_or(NOT_YET_NAMED, UniqueNameText::as_str);
        message.parsed.write_stamped(message.bytes, sender, &mut self.scratch.stamped);
        let size = self.scratch.stamped.len() + message.body.len();
        if size > libbus::limits::MESSAGE_SIZE_MAX as usize {
            return Err(Refusal::TooLongWithSender { size });
        }
        Ok(())
    }

    /// Whether descriptors of the message at hand, which has so many, were closed when it was half read.
    /// Then the others of it are, too; what is left belongs to a later one.
    fn take_refused_fds(&mut self, sender: ClientId, count: u32) -> bool {
        let Some(client) = self.clients.get_mut(sender) else { return false };
        let incoming = &mut client.incoming;
        let refused = std::mem::take(&mut incoming.fds_refused);
        let others = count.saturating_sub(refused) as usize;
        let others = others.min(incoming.fds.len());
        if refused > 0 {
            incoming.fds.drain(..others);
            incoming.fds_since = None;
        }
        refused > 0
    }

    fn take_fds(
        &mut self,
        sender: ClientId,
        count: u32,
    ) -> Result<Option<MessageFds>, Disconnection> {
        if count == 0 {
            return Ok(None);
        }
        if u64::from(count) > message_unix_fds_max(self.limits_of(sender)) {
            return Err(Disconnection::TooManyFds);
        }
        let Some(client) = self.clients.get_mut(sender) else { return Ok(None) };
        let count = count as usize;
        if client.incoming.fds.len() < count {
            return Err(Disconnection::FdsMissing);
        }
        let fds: Vec<OwnedFd> = client.incoming.fds.drain(..count).collect();
        // Those left over belong to a later message, whose time begins now.
        client.incoming.fds_since = None;
        Ok(share_fds(fds))
    }

    /// The client that a name means at the moment.
    pub(super) fn resolve(&self, name: BusName<'_>) -> Option<ClientId> {
        match name {
            BusName::Unique(name) => {
                let number = UniqueNameText::parse_number(name.as_str())?;
                self.unique_names.get(&number).copied()
            }
            BusName::WellKnown(name) => self.names.owner(name.as_str()),
        }
    }

    /// The client's unique name, if it has one.
    pub(super) fn unique_name_of(&self, client: ClientId) -> Option<UniqueNameText> {
        self.clients.get(client)?.unique.clone()
    }

    /// What to call a client in a text.
    pub(super) fn name_of(&self, client: ClientId) -> String {
        self.clients.get(client).map_or_else(String::new, |client| client.name().to_owned())
    }

    /// A message whose descriptors the kernel refused is dropped, and the caller gets an error: its
    /// call did not arrive, or the reply to it did not. A victim of somebody else's descriptors in
    /// flight is not disconnected (the class of CVE-2014-3532).
    pub(super) fn handle_fds_refused(&mut self, recipient: ClientId) {
        let Some(bytes) = self.clients.drop_next_message(recipient) else { return };
        let name = self.name_of(recipient);
        if self.may_log_refusal(recipient) {
            let text = format_args!(
                "Dropped a message with file descriptors to {name}: too many descriptors of the bus's \
                 user are in flight (ETOOMANYREFS)"
            );
            self.log(LogRecord::new(Severity::Warning, &text));
        }
        let size_max = libbus::limits::MESSAGE_SIZE_MAX;
        let Ok(Some(frame)) = wire::frame(&bytes, size_max) else { return };
        let Ok(ParsedHeader { header, .. }) = ParsedHeader::parse(&bytes, &frame) else { return };
        let refusal = Refusal::TooManyFdsInFlight { name };
        if is_reply(&header) {
            let addressee = header.destination.and_then(|name| self.resolve(name));
            if addressee == Some(recipient) {
                self.send_error_from_driver(recipient, header.reply_serial, &refusal);
            }
            return;
        }
        let Some(caller) = header.sender.and_then(|sender| self.resolve(sender)) else { return };
        if self.replies.take(caller, recipient, header.serial).is_some() {
            self.charge_replies(caller);
            self.send_error_from_driver(caller, Some(header.serial), &refusal);
        }
    }

    /// Answers calls that waited longer than `reply_timeout` (protocol.md A148).
    pub(super) fn expire_replies(&mut self) {
        let Some(timeout) = self.settings.limits.reply_timeout_ms else { return };
        while let Some(pending) = self.replies.pop_expired(self.now, timeout.into()) {
            self.charge_replies(pending.caller);
            self.send_error_from_driver(
                pending.caller,
                Some(pending.serial),
                &Refusal::ReplyTimeout,
            );
        }
    }
}

fn is_reply(header: &Header<'_>) -> bool {
    matches!(header.message_type, MessageType::MethodReturn | MessageType::Error)
}

/// What a client may send before Hello: calls to the bus, with its name or without any, and replies
/// to nobody, which go nowhere (protocol.md A121, A139, A140).
fn is_for_the_bus(header: &Header<'_>) -> bool {
    match header.destination {
        None => header.message_type != MessageType::Signal,
        Some(name) => name == BusName::WellKnown(driver::BUS_NAME),
    }
}
