//! Who gets a message, and why not (protocol.md A137–A171).

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::os::fd::RawFd;
use std::rc::Rc;

use libbus::match_rule::MatchNames;
use libbus::names::{BusName, ErrorName};
use libbus::standard_error as error;
use libbus::wire::{Arguments, Flags, MessageType};

use super::{BUS, Call, Kind, Model, Phase, ReplyTo, Who};
use crate::message::{Body, Content, Expectation, Item, Outline, Parsed, is_reply};

struct Names<'a> {
    model: &'a Model,
    /// Nobody: the bus.
    sender: Option<Who>,
    destination: Option<&'a str>,
    recipient: Option<Who>,
}

impl Names<'_> {
    fn is(&self, who: Who, name: &str) -> bool {
        if name.starts_with(':') {
            self.model.peers[&who].unique.as_deref() == Some(name)
        } else {
            self.model.owner(name) == Some(who)
        }
    }
}

impl MatchNames for Names<'_> {
    fn sender_is(&self, name: &str) -> bool {
        self.sender.map_or(name == BUS, |who| self.is(who, name))
    }

    fn destination_is(&self, name: &str) -> bool {
        self.destination == Some(name) || self.recipient.is_some_and(|who| self.is(who, name))
    }
}

impl Model {
    pub(super) fn handle_message(&mut self, who: Who, bytes: &[u8]) {
        let message = Parsed::of(bytes);
        let header = message.header();
        let Ok(fds) = self.take_fds(who, header.unix_fds) else { return self.close(who) };
        let peer = &self.peers[&who];
        let to_bus = match header.destination {
            Some(name) => name.as_str() == BUS,
            None => header.message_type != MessageType::Signal,
        };
        // protocol.md A121, A139, A203
        if peer.phase == Phase::Monitor || (peer.phase != Phase::Registered && !to_bus) {
            return self.close(who);
        }
        let is_call = header.message_type == MessageType::MethodCall;
        let wants_reply = is_call && !header.flags.contains(Flags::NO_REPLY_EXPECTED);
        self.handled.push((who, header.serial, wants_reply));
        let sender = peer.unique.as_deref().unwrap_or(":not.active.yet");
        let item = Rc::new(Item {
            content: Content::Passed(message.stamped(sender)),
            sender: Some(who),
            fds,
            seen: OnceCell::new(),
        });
        for monitor in self.find(&[Kind::Monitoring], &message, Some(who)) {
            self.deliver(monitor, &item);
        }
        if let Err(refusal) = self.route(who, &message, &item) {
            self.error(who, Some(header.serial), refusal);
        }
    }

    pub(super) fn take_fds(&mut self, who: Who, count: u32) -> Result<Vec<RawFd>, ()> {
        let peer = self.peers.get_mut(&who).unwrap();
        if u64::from(count) > self.settings.limits.message_unix_fds_max {
            return Err(());
        }
        let count = usize::try_from(count).unwrap();
        if count == 0 {
            return Ok(Vec::new());
        }
        if peer.waiting.len() < count {
            return Err(());
        }
        peer.waiting_since = None;
        Ok(peer.waiting.drain(..count).collect())
    }

    pub(super) fn route(
        &mut self,
        who: Who,
        message: &Parsed<'_>,
        item: &Rc<Item>,
    ) -> Result<(), ErrorName<'static>> {
        let header = message.header();
        if let MessageType::Unknown(_) = header.message_type {
            return Err(error::ACCESS_DENIED);
        }
        match header.destination {
            // The bus waits for no reply (config.md B063); before Hello no policy applies.
            Some(name)
                if name.as_str() == BUS
                    && header.reply_serial.is_some()
                    && !self.any_reply_passes
                    && self.peers[&who].unique.is_some() =>
            {
                Err(error::ACCESS_DENIED)
            }
            Some(name) if name.as_str() == BUS => {
                self.eavesdrop(who, message, item, None);
                self.call_driver(who, message)
            }
            Some(name) => self.unicast(who, message, item, name.as_str()),
            None if header.message_type == MessageType::Signal => {
                let kinds = [Kind::Broadcasts, Kind::Eavesdropping];
                for recipient in self.find(&kinds, message, Some(who)) {
                    self.deliver(recipient, item);
                }
                Ok(())
            }
            None if header.message_type == MessageType::MethodCall => {
                self.call_driver(who, message)
            }
            None => Ok(()),
        }
    }

    pub(super) fn unicast(
        &mut self,
        who: Who,
        message: &Parsed<'_>,
        item: &Rc<Item>,
        name: &str,
    ) -> Result<(), ErrorName<'static>> {
        let header = message.header();
        let no_owner = match header.flags.contains(Flags::NO_AUTO_START) {
            true => error::NAME_HAS_NO_OWNER,
            false => error::SERVICE_UNKNOWN,
        };
        let recipient = self.resolve(name).ok_or(no_owner)?;
        let answered = header.reply_serial.filter(|_| is_reply(&header));
        // protocol.md A145, A149, A151
        if let Some(serial) = answered
            && !self.any_reply_passes
            && self.position_of_call(recipient, who, serial).is_none()
        {
            return Err(error::ACCESS_DENIED);
        }
        if !item.fds.is_empty() && !self.peers[&recipient].unix_fds {
            return Err(error::NOT_SUPPORTED);
        }
        let is_expected =
            answered.is_some_and(|it| self.position_of_call(recipient, who, it).is_some());
        if self.is_full(recipient, item) || self.is_crowded(recipient, item) && !is_expected {
            return Err(error::LIMITS_EXCEEDED);
        }
        if let Some(serial) = answered {
            self.take_call(recipient, who, serial);
        }
        let wants_reply = header.message_type == MessageType::MethodCall
            && !header.flags.contains(Flags::NO_REPLY_EXPECTED);
        if wants_reply {
            self.note_call(who, recipient, header.serial)?;
        }
        self.expect(recipient, item, false);
        self.eavesdrop(who, message, item, Some(recipient));
        Ok(())
    }

    pub(super) fn note_call(
        &mut self,
        caller: Who,
        callee: Who,
        serial: NonZeroU32,
    ) -> Result<(), ErrorName<'static>> {
        let count = self.calls.iter().filter(|call| call.caller == caller).count();
        // config.md B042, protocol.md A146
        if count >= self.settings.limits.replies_per_connection_max as usize {
            return Err(error::LIMITS_EXCEEDED);
        }
        if self.position_of_call(caller, callee, serial).is_some() {
            return Err(error::ACCESS_DENIED);
        }
        self.calls.push(Call { caller, callee, serial, at: self.now });
        Ok(())
    }

    pub(super) fn take_call(&mut self, caller: Who, callee: Who, serial: NonZeroU32) -> bool {
        let position = self.position_of_call(caller, callee, serial);
        position.map(|position| self.calls.remove(position)).is_some()
    }

    pub(super) fn position_of_call(
        &self,
        caller: Who,
        callee: Who,
        serial: NonZeroU32,
    ) -> Option<usize> {
        self.calls
            .iter()
            .position(|call| (call.caller, call.callee, call.serial) == (caller, callee, serial))
    }

    pub(super) fn eavesdrop(
        &mut self,
        who: Who,
        message: &Parsed<'_>,
        item: &Rc<Item>,
        addressee: Option<Who>,
    ) {
        // A reply is waited for by its addressee only (config.md B063).
        let unrequested = message.header().reply_serial.is_some() && !self.any_reply_passes;
        let refused = !self.may_eavesdrop || unrequested;
        let mut others = self.find(&[Kind::Eavesdropping], message, Some(who));
        others.retain(|other| Some(*other) != addressee);
        for other in others {
            if !refused {
                self.deliver(other, item);
            } else if self.peers.get(&other).is_some_and(|peer| !peer.leaving) {
                self.show_refusal(who, message.header().serial);
            }
        }
    }

    /// Monitors see for each recipient that it does not get a message (protocol.md A150).
    fn show_refusal(&mut self, sender: Who, serial: NonZeroU32) {
        let outline = Outline {
            message_type: MessageType::Error,
            member: None,
            error_name: Some(error::ACCESS_DENIED),
            reply_serial: Some(serial),
            destination: self.peers.get(&sender).and_then(|peer| peer.unique.clone()),
            body: Body::Whatever,
        };
        self.show_monitors(outline, Vec::new());
    }

    pub(super) fn find(
        &self,
        kinds: &[Kind],
        message: &Parsed<'_>,
        sender: Option<Who>,
    ) -> BTreeSet<Who> {
        let header = message.header();
        let destination = header.destination.map(|name| match name {
            BusName::Unique(name) => name.as_str(),
            BusName::WellKnown(name) => name.as_str(),
        });
        let recipient = destination.and_then(|name| self.resolve(name));
        let names = Names { model: self, sender, destination, recipient };
        let arguments = Arguments::new(&message.spans, message.body);
        let matching = self.rules.iter().filter(|((kind, rule), _)| {
            kinds.contains(kind) && rule.matches(&header, arguments, &names)
        });
        matching.flat_map(|(_, clients)| clients.keys().copied()).collect()
    }

    /// Whether there is no room for this.
    fn is_full(&self, to: Who, item: &Item) -> bool {
        self.full.contains(&to) || (!item.fds.is_empty() && self.full_of_fds.contains(&to))
    }

    /// Whether the sender's user has had its share of the descriptors that may wait there.
    fn is_crowded(&self, to: Who, item: &Item) -> bool {
        let Some(sender) = item.sender.filter(|_| !item.fds.is_empty()) else { return false };
        let [from, own] = [sender, to].map(|who| self.peers[&who].uid);
        from != own && !self.owns_something(from) && self.crowding.contains(&(to, from))
    }

    /// Nobody with a full queue gets anything, and nobody gets descriptors who cannot take them.
    pub(super) fn deliver(&mut self, to: Who, item: &Rc<Item>) {
        if !self.is_full(to, item) && !self.is_crowded(to, item) {
            self.expect(to, item, false);
        }
    }

    pub(super) fn expect(&mut self, to: Who, item: &Rc<Item>, is_from_bus: bool) {
        let Some(peer) = self.peers.get_mut(&to) else { return };
        let can_take = item.fds.is_empty() || peer.unix_fds;
        if can_take && !peer.leaving {
            let item = Rc::clone(item);
            peer.expected.push_back(Expectation { item, is_from_bus, is_certain: true });
            peer.added += 1;
            self.touched.insert(to);
        }
    }

    pub(super) fn reply(&mut self, to: ReplyTo, body: Body) {
        self.reply_with_fds(to, body, Vec::new());
    }

    pub(super) fn reply_with_fds(&mut self, to: ReplyTo, body: Body, fds: Vec<RawFd>) {
        if !to.is_expected {
            return;
        }
        let Some(peer) = self.peers.get(&to.who) else { return };
        let outline = Outline {
            message_type: MessageType::MethodReturn,
            member: None,
            error_name: None,
            reply_serial: Some(to.serial),
            destination: peer.unique.clone(),
            body,
        };
        self.send(Some(to.who), outline, fds);
    }

    pub(super) fn error(
        &mut self,
        to: Who,
        reply_serial: Option<NonZeroU32>,
        name: ErrorName<'static>,
    ) {
        let outline = Outline {
            message_type: MessageType::Error,
            member: None,
            error_name: Some(name),
            reply_serial,
            destination: self.peers.get(&to).and_then(|peer| peer.unique.clone()),
            body: Body::Whatever,
        };
        self.send(Some(to), outline, Vec::new());
    }

    pub(super) fn signal(&mut self, to: Option<Who>, member: &'static str, arguments: &[&str]) {
        let outline = Outline {
            message_type: MessageType::Signal,
            member: Some(member),
            error_name: None,
            reply_serial: None,
            destination: to.and_then(|to| self.peers[&to].unique.clone()),
            body: Body::Strings(arguments.iter().map(|text| (*text).to_owned()).collect()),
        };
        self.send(to, outline, Vec::new());
    }

    /// To one client, or to all whose rules match.
    pub(super) fn send(&mut self, to: Option<Who>, outline: Outline, fds: Vec<RawFd>) {
        let bytes = outline.write();
        let message = Parsed::of(&bytes);
        let item = self.show_monitors(outline, fds);
        if let Some(to) = to {
            if !self.full_for_bus.contains(&to) {
                self.expect(to, &item, true);
            }
            return;
        }
        for recipient in self.find(&[Kind::Broadcasts, Kind::Eavesdropping], &message, None) {
            self.deliver(recipient, &item);
        }
    }

    fn show_monitors(&mut self, outline: Outline, fds: Vec<RawFd>) -> Rc<Item> {
        let bytes = outline.write();
        let message = Parsed::of(&bytes);
        let item = Rc::new(Item {
            content: Content::FromBus(outline),
            sender: None,
            fds,
            seen: OnceCell::new(),
        });
        for monitor in self.find(&[Kind::Monitoring], &message, None) {
            self.deliver(monitor, &item);
        }
        item
    }
}
