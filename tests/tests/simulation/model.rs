//! What the bus should do, in the plainest way: vectors that are searched from end to end.
//!
//! The model handles the same events in the same order as the bus and keeps, for every client, the
//! list of what it must receive. That list is the promise of the one total order: an item is made
//! once and appended to each of its recipients.
//!
//! It shares with the bus the codec, the parser of match rules and the check of one rule against one
//! message; everything that finds something (owners, subscribers, calls in flight) is its own.

mod driver;
mod names;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::num::NonZeroU32;
use std::os::fd::RawFd;
use std::rc::Rc;

use bus_daemon::bus::Settings;
use bus_policy::policy_set::{Eavesdropping, Replies};
use libbus::match_rule::{MatchNames, MatchRule};
use libbus::names::{BusName, ErrorName, MemberName};
use libbus::standard_error as error;
use libbus::wire::{
    ArgumentSpans, Arguments, Flags, Header, MessageType, ParsedHeader, Signature, check_body,
    frame, write_message,
};

use crate::stream::{Chunk, Piece};

pub(crate) const BUS: &str = "org.freedesktop.DBus";
pub(crate) const BUS_PATH: &str = "/org/freedesktop/DBus";

/// A client, by the number of its coming; never used again.
pub(crate) type Who = u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Handshake,
    WaitingForHello,
    Registered,
    Monitor,
}

/// Which messages a rule sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Broadcasts,
    Eavesdropping,
    Monitoring,
}

/// One message on its way to all of its recipients.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) content: Content,
    /// The numbers of its descriptors in this process.
    pub(crate) fds: Vec<RawFd>,
    /// What the first recipient got; all others must get the same.
    pub(crate) seen: OnceCell<Vec<u8>>,
}

#[derive(Debug)]
pub(crate) enum Content {
    /// What a client sent, with its true sender.
    Passed(Vec<u8>),
    FromBus(Outline),
}

/// A message of the bus, as far as it is foretold.
#[derive(Debug)]
pub(crate) struct Outline {
    pub(crate) message_type: MessageType,
    pub(crate) member: Option<&'static str>,
    pub(crate) error_name: Option<ErrorName<'static>>,
    pub(crate) reply_serial: Option<NonZeroU32>,
    pub(crate) destination: Option<String>,
    pub(crate) body: Body,
}

#[derive(Debug)]
pub(crate) enum Body {
    Strings(Vec<String>),
    Number(u32),
    Boolean(bool),
    /// An array of strings in any order.
    Set(BTreeSet<String>),
    /// An array of strings in this order.
    List(Vec<String>),
    Whatever,
}

#[derive(Clone, Debug)]
pub(crate) struct Expectation {
    pub(crate) item: Rc<Item>,
    /// What the bus itself says to this client: it may go beyond the limit.
    pub(crate) is_from_bus: bool,
    /// Otherwise the client's queue became full in the same event, and the message may be missing.
    pub(crate) is_certain: bool,
}

pub(crate) struct Peer {
    pub(crate) phase: Phase,
    pub(crate) uid: Option<u32>,
    pub(crate) unix_fds: bool,
    pub(crate) unique: Option<String>,
    pub(crate) process_fd: Option<RawFd>,
    connected_at: u64,
    /// Names in whose queue it stands, the latest last.
    places: Vec<String>,
    rule_count: u32,
    /// Descriptors that came and that no message took.
    waiting: VecDeque<RawFd>,
    waiting_since: Option<u64>,
    /// While a cookie is looked for: what came meanwhile.
    held: Option<Vec<Piece>>,
    held_is_partial: bool,
    cookie_given: bool,
    /// It reads no more, or is being disconnected.
    pub(crate) leaving: bool,
    /// Lines of the handshake that it must receive before any message.
    pub(crate) lines: VecDeque<&'static str>,
    pub(crate) expected: VecDeque<Expectation>,
    /// How many expectations the event in hand added.
    pub(crate) added: usize,
}

struct PlaceInQueue {
    who: Who,
    allows_replacement: bool,
    does_not_queue: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) caller: Who,
    pub(crate) callee: Who,
    pub(crate) serial: NonZeroU32,
    at: u64,
}

#[derive(Clone, Copy)]
struct ReplyTo {
    who: Who,
    serial: NonZeroU32,
    is_expected: bool,
}

pub(crate) struct Model {
    pub(crate) settings: Settings,
    own_uid: u32,
    now: u64,
    next_unique: u64,
    pub(crate) peers: BTreeMap<Who, Peer>,
    uniques: BTreeMap<String, Who>,
    names: BTreeMap<String, Vec<PlaceInQueue>>,
    rules: HashMap<(Kind, MatchRule), BTreeMap<Who, u32>>,
    /// Oldest first.
    pub(crate) calls: Vec<Call>,
    reload_callers: Vec<ReplyTo>,
    next_reload_callers: Vec<ReplyTo>,
    reload_runs: bool,
    reload_is_due: bool,
    /// Whose queue was full before the event in hand.
    full: BTreeSet<Who>,
    /// The same for what the bus itself has to say to a client, which may go beyond the limit.
    full_for_bus: BTreeSet<Who>,
    // What the event in hand led to, for whoever compares.
    pub(crate) touched: BTreeSet<Who>,
    pub(crate) closed: VecDeque<(Who, Peer)>,
    pub(crate) cookies_wanted: VecDeque<Who>,
    pub(crate) reloads_wanted: usize,
    /// Messages that were accepted: by whom, serial, and whether a reply is expected.
    pub(crate) handled: Vec<(Who, NonZeroU32, bool)>,
}

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
    pub(crate) fn new(settings: Settings, own_uid: u32) -> Self {
        Self {
            settings,
            own_uid,
            now: 0,
            next_unique: 0,
            peers: BTreeMap::new(),
            uniques: BTreeMap::new(),
            names: BTreeMap::new(),
            rules: HashMap::new(),
            calls: Vec::new(),
            reload_callers: Vec::new(),
            next_reload_callers: Vec::new(),
            reload_runs: false,
            reload_is_due: false,
            full: BTreeSet::new(),
            full_for_bus: BTreeSet::new(),
            touched: BTreeSet::new(),
            closed: VecDeque::new(),
            cookies_wanted: VecDeque::new(),
            reloads_wanted: 0,
            handled: Vec::new(),
        }
    }

    /// Before each event: the time, and whose queue is full, for others and for the bus.
    pub(crate) fn begin(&mut self, now: u64, full: [BTreeSet<Who>; 2]) {
        self.now = now;
        [self.full, self.full_for_bus] = full;
        for who in std::mem::take(&mut self.touched) {
            if let Some(peer) = self.peers.get_mut(&who) {
                peer.added = 0;
            }
        }
    }

    /// Clients that may have missed something in this event.
    pub(crate) fn full_but_untouched(&self) -> Vec<Who> {
        self.full.difference(&self.touched).copied().collect()
    }

    pub(crate) fn was_full(&self, who: Who) -> bool {
        self.full.contains(&who)
    }

    // --- events ---------------------------------------------------------------------------------

    pub(crate) fn connect(&mut self, who: Who, process_fd: Option<RawFd>) {
        let peer = Peer {
            phase: Phase::Handshake,
            uid: None,
            unix_fds: false,
            unique: None,
            process_fd,
            connected_at: self.now,
            places: Vec::new(),
            rule_count: 0,
            waiting: VecDeque::new(),
            waiting_since: None,
            held: None,
            held_is_partial: false,
            cookie_given: false,
            leaving: false,
            lines: VecDeque::new(),
            expected: VecDeque::new(),
            added: 0,
        };
        self.peers.insert(who, peer);
    }

    pub(crate) fn receive(&mut self, who: Who, mut chunk: Chunk, fds: &[RawFd]) {
        let is_message = |piece: &Piece| matches!(piece, Piece::Message(_));
        let first = chunk.pieces.iter().position(is_message).unwrap_or(chunk.pieces.len());
        let messages = chunk.pieces.split_off(first);
        self.take_pieces(who, chunk.pieces);
        self.keep_fds(who, fds);
        self.take_pieces(who, messages);
        self.settle_fds(who, chunk.is_partial);
    }

    /// Descriptors count from those who negotiated them, and no earlier (protocol.md A097).
    fn keep_fds(&mut self, who: Who, fds: &[RawFd]) {
        let Some(peer) = self.peers.get_mut(&who).filter(|peer| peer.unix_fds) else { return };
        if fds.is_empty() {
            return;
        }
        let limits = &self.settings.limits;
        // config.md B028: those of a message that is half read, and of the next, must fit.
        let max = limits.incoming_unix_fds_max.max(2 * limits.message_unix_fds_max);
        if peer.waiting.len() + fds.len() > usize::try_from(max).unwrap() {
            return self.close(who);
        }
        peer.waiting.extend(fds);
        peer.waiting_since.get_or_insert(self.now);
    }

    /// After a read, only a message that has begun may have descriptors waiting, and no more than
    /// one message may have (config.md B032).
    fn settle_fds(&mut self, who: Who, is_partial: bool) {
        let Some(peer) = self.peers.get_mut(&who) else { return };
        peer.held_is_partial = is_partial;
        if peer.phase == Phase::Handshake {
            return;
        }
        if !is_partial {
            peer.waiting.clear();
        }
        if peer.waiting.len() as u64 > self.settings.limits.message_unix_fds_max {
            return self.close(who);
        }
        peer.waiting_since =
            if peer.waiting.is_empty() { None } else { peer.waiting_since.or(Some(self.now)) };
    }

    pub(crate) fn find_cookie(&mut self, who: Who, is_found: bool) {
        let Some(peer) = self.peers.get_mut(&who) else { return };
        peer.cookie_given = is_found;
        peer.answer(if is_found { "DATA " } else { "REJECTED " });
        self.touched.insert(who);
        let peer = self.peers.get_mut(&who).unwrap();
        let (held, is_partial) = (peer.held.take().unwrap_or_default(), peer.held_is_partial);
        self.take_pieces(who, held);
        self.settle_fds(who, is_partial);
    }

    /// It reads no more, whatever it still says.
    pub(crate) fn close_writing(&mut self, who: Who) {
        let peer = self.peers.get_mut(&who).unwrap();
        peer.leaving = true;
        peer.lines.clear();
        peer.expected.clear();
    }

    pub(crate) fn is_waiting_for_cookie(&self, who: Who) -> bool {
        self.peers[&who].held.is_some()
    }

    /// The administrator asks for the configuration to be read again.
    pub(crate) fn hang_up(&mut self) {
        self.ask_reload(None);
    }

    /// Who asks while the configuration is read waits for the next reading.
    fn ask_reload(&mut self, to: Option<ReplyTo>) {
        if self.reload_runs {
            self.reload_is_due = true;
            self.next_reload_callers.extend(to);
        } else {
            self.reload_runs = true;
            self.reload_callers.extend(to);
            self.reloads_wanted += 1;
        }
    }

    pub(crate) fn reload(&mut self, result: Result<Settings, String>) {
        let is_ok = result.is_ok();
        if let Ok(settings) = result {
            self.settings = settings;
        }
        for to in std::mem::take(&mut self.reload_callers) {
            let is_there = self.peers.get(&to.who).is_some_and(|p| p.phase == Phase::Registered);
            match is_ok {
                _ if !is_there => {}
                true => self.reply(to, Body::Strings(vec![])),
                false => self.error(to.who, Some(to.serial), error::FAILED),
            }
        }
        self.reload_runs = false;
        if std::mem::take(&mut self.reload_is_due) {
            self.ask_reload(None);
            self.reload_callers = std::mem::take(&mut self.next_reload_callers);
        }
    }

    pub(crate) fn pass_time(&mut self) {
        let limits = self.settings.limits.clone();
        let mut late: Vec<(u64, Who)> = self
            .peers
            .iter()
            .filter(|(_, p)| p.is_incomplete())
            .map(|(who, peer)| (peer.connected_at, *who))
            .collect();
        late.retain(|(at, _)| at + u64::from(limits.auth_timeout_ms) <= self.now);
        late.sort_unstable();
        late.into_iter().for_each(|(_, who)| self.close(who));
        let mut late: Vec<(u64, Who)> =
            self.peers.iter().filter_map(|(who, peer)| Some((peer.waiting_since?, *who))).collect();
        late.retain(|(at, _)| at + u64::from(limits.pending_fd_timeout_ms) <= self.now);
        late.sort_unstable();
        late.into_iter().for_each(|(_, who)| self.close(who));
        let Some(timeout) = limits.reply_timeout_ms else { return };
        while let Some(call) = self.calls.first().copied()
            && call.at + u64::from(timeout) <= self.now
        {
            self.calls.remove(0);
            self.error(call.caller, Some(call.serial), error::NO_REPLY);
        }
    }

    /// When the bus must be told the time at the latest.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let limits = &self.settings.limits;
        let incomplete = self.peers.values().filter(|peer| peer.is_incomplete());
        let auth = incomplete.map(|p| p.connected_at + u64::from(limits.auth_timeout_ms)).min();
        let waiting = self.peers.values().filter_map(|peer| peer.waiting_since).min();
        let fds = waiting.map(|at| at + u64::from(limits.pending_fd_timeout_ms));
        let call = self.calls.first().map(|call| call.at);
        let reply = limits.reply_timeout_ms.and_then(|ms| Some(call? + u64::from(ms)));
        [auth, fds, reply].into_iter().flatten().min()
    }

    /// Clients that have sent descriptors and owe the rest of their message.
    pub(crate) fn owing(&self) -> Vec<Who> {
        let owing = self.peers.iter().filter(|(_, peer)| peer.waiting_since.is_some());
        owing.map(|(who, _)| *who).collect()
    }

    /// The kernel refused the descriptors of the message that `recipient` was to get next.
    pub(crate) fn refuse_fds(&mut self, recipient: Who, fds: &[RawFd]) {
        let expected = &mut self.peers.get_mut(&recipient).unwrap().expected;
        let dropped = loop {
            let next = expected.pop_front().expect("a message with descriptors is expected");
            if next.item.fds == fds {
                break next.item;
            }
            assert!(!next.is_certain, "{next:?} comes before the message with descriptors");
        };
        match &dropped.content {
            Content::Passed(bytes) => self.refuse_fds_of(recipient, bytes),
            Content::FromBus(outline) => {
                let serial = outline.reply_serial;
                self.error(recipient, serial, error::LIMITS_EXCEEDED);
            }
        }
    }

    fn refuse_fds_of(&mut self, recipient: Who, bytes: &[u8]) {
        let message = Parsed::of(bytes);
        let header = message.header();
        if is_reply(&header) {
            let is_addressee = header.destination.and_then(|name| self.resolve(name.as_str()));
            if is_addressee == Some(recipient) {
                self.error(recipient, header.reply_serial, error::LIMITS_EXCEEDED);
            }
            return;
        }
        let caller = header.sender.and_then(|sender| self.resolve(sender.as_str()));
        if let Some(caller) = caller
            && self.take_call(caller, recipient, header.serial)
        {
            self.error(caller, Some(header.serial), error::LIMITS_EXCEEDED);
        }
    }

    /// protocol.md A134, A147
    pub(crate) fn close(&mut self, who: Who) {
        let Some(peer) = self.peers.get_mut(&who) else { return };
        peer.leaving = true;
        let was_registered = peer.phase == Phase::Registered;
        self.drop_rules(|_, owner| owner == who);
        if was_registered {
            self.leave(who);
        }
        let peer = self.peers.remove(&who).unwrap();
        self.closed.push_back((who, peer));
    }

    // --- the stream of one client ---------------------------------------------------------------

    fn take_pieces(&mut self, who: Who, pieces: Vec<Piece>) {
        for piece in pieces {
            let Some(peer) = self.peers.get_mut(&who) else { return };
            match &mut peer.held {
                Some(held) => held.push(piece),
                None => self.take_piece(who, piece),
            }
        }
    }

    fn take_piece(&mut self, who: Who, piece: Piece) {
        let peer = self.peers.get_mut(&who).unwrap();
        match piece {
            Piece::Line(answer) => peer.answer(answer),
            Piece::CancelCookie => {
                peer.answer(if peer.cookie_given { "REJECTED " } else { "ERROR" });
            }
            Piece::CookieLine => {
                peer.held = Some(Vec::new());
                self.cookies_wanted.push_back(who);
            }
            Piece::Begin { uid, unix_fds } => {
                (peer.uid, peer.unix_fds) = (uid, unix_fds);
                peer.phase = Phase::WaitingForHello;
            }
            Piece::Message(bytes) => return self.handle_message(who, &bytes),
            Piece::Broken(answer) => {
                peer.answer(answer.unwrap_or_default());
                return self.close(who);
            }
        }
        self.touched.insert(who);
    }

    // --- messages -------------------------------------------------------------------------------

    fn handle_message(&mut self, who: Who, bytes: &[u8]) {
        let message = Parsed::of(bytes);
        let header = message.header();
        let Ok(fds) = self.take_fds(who, header.unix_fds) else { return self.close(who) };
        let peer = &self.peers[&who];
        let to_bus = header.destination.is_some_and(|name| name.as_str() == BUS);
        // protocol.md A121, A203
        if peer.phase == Phase::Monitor || (peer.phase != Phase::Registered && !to_bus) {
            return self.close(who);
        }
        let is_call = header.message_type == MessageType::MethodCall;
        let wants_reply = is_call && !header.flags.contains(Flags::NO_REPLY_EXPECTED);
        self.handled.push((who, header.serial, wants_reply));
        let sender = peer.unique.as_deref().unwrap_or(":not.active.yet");
        let item = Rc::new(Item {
            content: Content::Passed(message.stamped(sender)),
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

    fn take_fds(&mut self, who: Who, count: u32) -> Result<Vec<RawFd>, ()> {
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

    fn route(
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

    fn unicast(
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
        let policy = &self.settings.policy;
        let any_reply =
            policy.send_replies == Replies::Any && policy.receive_replies == Replies::Any;
        let answered = header.reply_serial.filter(|_| is_reply(&header));
        // protocol.md A145, A149, A151
        if let Some(serial) = answered
            && !any_reply
            && self.position_of_call(recipient, who, serial).is_none()
        {
            return Err(error::ACCESS_DENIED);
        }
        if !item.fds.is_empty() && !self.peers[&recipient].unix_fds {
            return Err(error::NOT_SUPPORTED);
        }
        if self.full.contains(&recipient) {
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
        self.deliver(recipient, item);
        self.eavesdrop(who, message, item, Some(recipient));
        Ok(())
    }

    fn note_call(
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

    fn take_call(&mut self, caller: Who, callee: Who, serial: NonZeroU32) -> bool {
        let position = self.position_of_call(caller, callee, serial);
        position.map(|position| self.calls.remove(position)).is_some()
    }

    fn position_of_call(&self, caller: Who, callee: Who, serial: NonZeroU32) -> Option<usize> {
        self.calls
            .iter()
            .position(|call| (call.caller, call.callee, call.serial) == (caller, callee, serial))
    }

    fn eavesdrop(
        &mut self,
        who: Who,
        message: &Parsed<'_>,
        item: &Rc<Item>,
        addressee: Option<Who>,
    ) {
        if self.settings.policy.eavesdropping == Eavesdropping::Refused {
            return;
        }
        for other in self.find(&[Kind::Eavesdropping], message, Some(who)) {
            if Some(other) != addressee {
                self.deliver(other, item);
            }
        }
    }

    fn find(&self, kinds: &[Kind], message: &Parsed<'_>, sender: Option<Who>) -> BTreeSet<Who> {
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

    /// Nobody with a full queue gets anything, and nobody gets descriptors who cannot take them.
    fn deliver(&mut self, to: Who, item: &Rc<Item>) {
        if !self.full.contains(&to) {
            self.expect(to, item, false);
        }
    }

    fn expect(&mut self, to: Who, item: &Rc<Item>, is_from_bus: bool) {
        let Some(peer) = self.peers.get_mut(&to) else { return };
        let can_take = item.fds.is_empty() || peer.unix_fds;
        if can_take && !peer.leaving {
            let item = Rc::clone(item);
            peer.expected.push_back(Expectation { item, is_from_bus, is_certain: true });
            peer.added += 1;
            self.touched.insert(to);
        }
    }

    // --- messages of the bus --------------------------------------------------------------------

    fn reply(&mut self, to: ReplyTo, body: Body) {
        self.reply_with_fds(to, body, Vec::new());
    }

    fn reply_with_fds(&mut self, to: ReplyTo, body: Body, fds: Vec<RawFd>) {
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

    fn error(&mut self, to: Who, reply_serial: Option<NonZeroU32>, name: ErrorName<'static>) {
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

    fn signal(&mut self, to: Option<Who>, member: &'static str, arguments: &[&str]) {
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
    fn send(&mut self, to: Option<Who>, outline: Outline, fds: Vec<RawFd>) {
        let bytes = outline.write();
        let message = Parsed::of(&bytes);
        let item = Rc::new(Item { content: Content::FromBus(outline), fds, seen: OnceCell::new() });
        for monitor in self.find(&[Kind::Monitoring], &message, None) {
            self.deliver(monitor, &item);
        }
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

    // --- rules ----------------------------------------------------------------------------------

    fn drop_rules(&mut self, is_dropped: impl Fn(&(Kind, MatchRule), Who) -> bool) {
        let Self { rules, peers, .. } = self;
        rules.retain(|rule, clients| {
            clients.retain(|who, count| {
                let is_dropped = is_dropped(rule, *who);
                if is_dropped && let Some(peer) = peers.get_mut(who) {
                    peer.rule_count -= *count;
                }
                !is_dropped
            });
            !clients.is_empty()
        });
    }
}

impl Peer {
    /// A line of the handshake, unless there is none to say or nobody to hear it.
    fn answer(&mut self, line: &'static str) {
        if !line.is_empty() && !self.leaving {
            self.lines.push_back(line);
        }
    }

    pub(crate) fn is_incomplete(&self) -> bool {
        matches!(self.phase, Phase::Handshake | Phase::WaitingForHello)
    }
}

impl Outline {
    /// The message with as much of its body as is known, for match rules.
    fn write(&self) -> Vec<u8> {
        let mut header = Header::new(self.message_type, NonZeroU32::MIN);
        header.sender = BusName::parse(BUS).ok();
        header.destination = self.destination.as_deref().map(|name| BusName::parse(name).unwrap());
        header.error_name = self.error_name;
        header.reply_serial = self.reply_serial;
        if let Some(member) = self.member {
            header.path = libbus::names::ObjectPath::parse(BUS_PATH).ok();
            header.interface = libbus::names::InterfaceName::parse(BUS).ok();
            header.member = MemberName::parse(member).ok();
        }
        let strings = match &self.body {
            Body::Strings(strings) => strings.as_slice(),
            _ => &[],
        };
        let signature = "s".repeat(strings.len());
        header.signature = Signature::parse(&signature).unwrap();
        let mut bytes = Vec::new();
        write_message(&header, &mut bytes, |body| {
            strings.iter().for_each(|text| body.string(text));
        });
        bytes
    }
}

/// A valid message, taken apart.
pub(crate) struct Parsed<'a> {
    parsed: ParsedHeader<'a>,
    bytes: &'a [u8],
    pub(crate) body: &'a [u8],
    spans: ArgumentSpans,
}

impl<'a> Parsed<'a> {
    /// # Panics
    /// If the message is malformed: whoever sends one on purpose says so.
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        let frame = frame(bytes, u32::MAX).expect("a valid message").expect("a whole header");
        assert_eq!(frame.message_size(), bytes.len(), "a whole message");
        let parsed = ParsedHeader::parse(bytes, &frame).expect("a valid header");
        let body = &bytes[frame.header_size..];
        let mut spans = ArgumentSpans::new();
        let Header { signature, endian, .. } = parsed.header;
        check_body(signature, body, endian, &mut spans).expect("a valid body");
        Self { parsed, bytes, body, spans }
    }

    pub(crate) fn header(&self) -> Header<'a> {
        self.parsed.header
    }

    fn stamped(&self, sender: &str) -> Vec<u8> {
        let mut stamped = Vec::new();
        self.parsed.write_stamped(self.bytes, sender, &mut stamped);
        stamped.extend_from_slice(self.body);
        stamped
    }
}

pub(crate) fn is_reply(header: &Header<'_>) -> bool {
    matches!(header.message_type, MessageType::MethodReturn | MessageType::Error)
}
