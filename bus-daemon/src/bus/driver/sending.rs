//! Messages of the bus itself on their way out: answers, errors and signals.
//!
//! They take the same way as everybody's: monitors see them first, a broadcast goes to those with a
//! rule that matches, and the recipient's queue must have room (protocol.md A142, A203).

use std::num::NonZeroU32;

use bus_policy::question::Circumstances;
use libbus::names::BusName;
use libbus::wire::{self, Arguments, Header, MessageType, check_body, write_message};

use super::error_reply::Refusal;
use super::{BUS_NAME, STRING, header};
use crate::bus::client::{Outgoing, Urgency};
use crate::bus::id::ClientId;
use crate::bus::limits::{ANSWER_SIZE_PER_WORK, BUS_MESSAGE_SIZE_MAX};
use crate::bus::log::{LogRecord, Severity};
use crate::bus::match_index::{MatchedMessage, SenderKey};
use crate::bus::outbox::MessageFds;
use crate::bus::policing::{Denial, Party, Passage, Watch};
use crate::bus::routing::Ownership;
use crate::bus::unique_name::UniqueNameText;
use crate::bus::{Bus, Scratch};

impl Bus {
    /// Sends a message of the bus to one client.
    pub(in crate::bus) fn send_from_driver(
        &mut self,
        recipient: ClientId,
        header: &Header<'_>,
        fds: Option<&MessageFds>,
        body: impl FnOnce(&mut wire::BodyWriter<'_>),
    ) {
        let bytes = self.write_driver_message(header, |_, writer| body(writer));
        self.send_written(recipient, header, fds, bytes);
    }

    /// Sends what [`Bus::write_driver_message`] wrote.
    pub(in crate::bus) fn send_written(
        &mut self,
        recipient: ClientId,
        header: &Header<'_>,
        fds: Option<&MessageFds>,
        bytes: Vec<u8>,
    ) {
        self.other_work += bytes.len() as u64 / ANSWER_SIZE_PER_WORK;
        if bytes.len() > BUS_MESSAGE_SIZE_MAX {
            drop(bytes);
            let refusal = Refusal::AnswerTooLong;
            return self.send_error_from_driver(recipient, header.reply_serial, &refusal);
        }
        self.capture_from_driver(header, &bytes, fds);
        self.push_from_driver(recipient, header, &bytes, fds);
        self.keep_driver_message(bytes);
    }

    /// Takes the buffer of a message back, for the next one.
    pub(in crate::bus) fn keep_driver_message(&mut self, mut bytes: Vec<u8>) {
        bytes.clear();
        self.scratch.driver_message = bytes;
    }

    /// Gives a message of the bus to a client, if that has room and its policy lets it.
    pub(in crate::bus) fn push_from_driver(
        &mut self,
        recipient: ClientId,
        header: &Header<'_>,
        bytes: &[u8],
        fds: Option<&MessageFds>,
    ) {
        let Self { clients, settings, policies, pools, .. } = self;
        // The bus answers only who asked (config.md B066).
        let requested_reply = header.reply_serial.is_some();
        let circumstances = Circumstances { requested_reply, eavesdropping: false };
        let mut denial = None;
        let outgoing = Outgoing::whole(bytes, fds, Urgency::Urgent);
        clients.weigh(&outgoing, 1);
        clients.push_if(recipient, &outgoing, |client, users| {
            let (sender, recipient) = (Party::Bus, Party::of(Some(client)));
            let passage = Passage { header, circumstances, sender, recipient };
            denial = passage.check(policies).err();
            denial.is_none()
                && !client.is_full_for_the_bus(&settings.limits)
                && client.has_room_for_the_bus(users, pools)
        });
        if let Some(denial) = denial {
            self.note_denied_to(recipient, header, circumstances, denial);
        }
    }

    /// A client's policy does not let it receive a message of the bus: the log says so, and
    /// monitors see an error in answer to that message.
    fn note_denied_to(
        &mut self,
        recipient: ClientId,
        header: &Header<'_>,
        circumstances: Circumstances,
        denial: Denial,
    ) {
        let passage = Passage {
            header,
            circumstances,
            sender: Party::Bus,
            recipient: Party::of(self.clients.get(recipient)),
        };
        let text = self.describe_denial(&passage, denial, None, Some(recipient));
        if self.may_log_refusal(recipient) {
            self.log(LogRecord::new(Severity::Security, &format_args!("{text}")));
        }
        let refusal = Refusal::PolicyDenied { text, rule: denial.rule() };
        self.capture_error(Some(BusName::WellKnown(BUS_NAME)), header.serial, &refusal);
    }

    /// Shows monitors an error that nobody is sent.
    pub(in crate::bus) fn capture_error(
        &mut self,
        destination: Option<BusName<'_>>,
        reply_serial: NonZeroU32,
        refusal: &Refusal,
    ) {
        if self.monitors.is_empty() {
            return;
        }
        let text = refusal.to_string();
        let header = Header {
            error_name: Some(refusal.error_name()),
            reply_serial: Some(reply_serial),
            destination,
            signature: STRING,
            ..self.driver_header(MessageType::Error)
        };
        let mut bytes = self.write_driver_message(&header, |_, body| body.string(&text));
        self.capture_from_driver(&header, &bytes, None);
        bytes.clear();
        self.scratch.driver_message = bytes;
    }

    /// Sends a signal of the bus to everyone with a rule that matches it.
    pub(in crate::bus) fn broadcast_from_driver(
        &mut self,
        header: &Header<'_>,
        body: impl FnOnce(&mut wire::BodyWriter<'_>),
    ) {
        let mut bytes = self.write_driver_message(header, |_, writer| body(writer));
        self.capture_from_driver(header, &bytes, None);
        self.scratch.recipients.start();
        self.find_for_driver(header, &bytes, FindIn::Subscribers);
        let outgoing = Outgoing::whole(&bytes, None, self.scratch.recipients.urgency());
        let watch = Watch { header, sender: Party::Bus, eavesdropping: false, notes_denied: false };
        self.push_copies(None, &outgoing, None, &[], Some(&watch));
        bytes.clear();
        self.scratch.driver_message = bytes;
    }

    /// Sends an error of the bus: the answer to call number `reply_serial` (protocol.md A224–A241).
    pub(in crate::bus) fn send_error_from_driver(
        &mut self,
        recipient: ClientId,
        reply_serial: Option<NonZeroU32>,
        refusal: &Refusal,
    ) {
        let text = refusal.to_string();
        let destination = self.unique_name_of(recipient);
        let header = Header {
            error_name: Some(refusal.error_name()),
            reply_serial,
            destination: destination.as_ref().and_then(UniqueNameText::as_bus_name),
            signature: STRING,
            ..self.driver_header(MessageType::Error)
        };
        self.send_from_driver(recipient, &header, None, |body| body.string(&text));
    }

    /// The fields that every message of the bus has: its serial, SENDER and that it wants no reply.
    pub(in crate::bus) fn driver_header(&mut self, message_type: MessageType) -> Header<'static> {
        self.serial = self.serial.wrapping_add(1).max(1);
        header(message_type, NonZeroU32::new(self.serial).unwrap_or(NonZeroU32::MIN))
    }

    /// A message of the bus, whose body may tell of anything that the bus knows.
    pub(in crate::bus) fn write_driver_message(
        &mut self,
        header: &Header<'_>,
        body: impl FnOnce(&Self, &mut wire::BodyWriter<'_>),
    ) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.scratch.driver_message);
        bytes.clear();
        write_message(header, &mut bytes, |writer| body(self, writer));
        bytes
    }

    pub(in crate::bus) fn capture_from_driver(
        &mut self,
        header: &Header<'_>,
        bytes: &[u8],
        fds: Option<&MessageFds>,
    ) {
        if self.monitors.is_empty() {
            return;
        }
        self.scratch.recipients.start();
        self.find_for_driver(header, bytes, FindIn::Monitors);
        let outgoing = Outgoing::whole(bytes, fds, self.scratch.recipients.urgency());
        self.push_copies(None, &outgoing, None, &[], None);
    }

    /// Finds who gets the message that `bytes` are and `header` was written from.
    fn find_for_driver(&mut self, header: &Header<'_>, bytes: &[u8], find_in: FindIn) {
        let recipient = header.destination.and_then(|name| self.resolve(name));
        let Self { matches, eavesdroppers, monitors, names, clients, scratch, .. } = self;
        let Scratch { recipients, driver_spans: spans, .. } = scratch;
        let Ok(Some(frame)) = wire::frame(bytes, libbus::limits::MESSAGE_SIZE_MAX) else { return };
        let body = bytes.get(frame.header_size..).unwrap_or_default();
        if check_body(header.signature, body, header.endian, spans).is_err() {
            return;
        }
        let sender = SenderKey::Driver;
        let destination = header.destination;
        let ownership = Ownership { names, clients, sender, destination, recipient };
        let arguments = Arguments::new(spans, body);
        let matched = MatchedMessage { header, arguments, sender };
        match find_in {
            FindIn::Monitors => monitors.find(&matched, &ownership, recipients),
            FindIn::Subscribers => {
                matches.find(&matched, &ownership, recipients);
                eavesdroppers.find(&matched, &ownership, recipients);
            }
        }
    }
}

#[derive(Clone, Copy)]
enum FindIn {
    Monitors,
    Subscribers,
}
