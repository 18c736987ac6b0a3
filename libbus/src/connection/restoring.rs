//! What outlives a connection that is lost, and how the next one has it again.
//!
//! ```text
//! lose: what belongs to the old bus goes: half a message, descriptors, calls, who owns which name
//! restart: a new handshake, and behind it, before anything else that is sent:
//!          Hello, the match rules of all streams, the names that the program had
//! is_restored: the new bus has answered all of that
//! ```
//!
//! What a program has of the old bus is known by how often the connection had been lost when it came
//! ([`Message::losses`]): the answer to a call of then is not sent, and a stream tells that it was interrupted
//! where the first signal of the new bus would follow the last one of the old: once, however many connections are
//! lost in between that brought it nothing.
//!
//! Bounds: names are as many as the program asked for, questions to the new bus as many as names and streams.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use super::handshake::Handshake;
use super::replies::LostCall;
use super::{BUS, BUS_INTERFACE, BUS_PATH, ConnectionConfig, ConnectionError, ConnectionState};
use super::{STRING, SendError, StreamId, owner_rule};
use crate::limits::MESSAGE_SIZE_MAX;
use crate::message::Message;
use crate::names::{MemberName, WellKnownName};
use crate::wire::{BodyWriter, Flags, Header, MessageType, Signature};

/// Not to wait for the name, among the flags of RequestName (protocol.md A130).
const DO_NOT_QUEUE: u32 = 4;

/// What the new bus was asked.
#[derive(Debug)]
enum Asked {
    Hello,
    Match,
    Name { name: Box<str>, flags: u32 },
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Restoring {
    pub(super) losses: u32,
    /// Whether there is no connection now.
    pub(super) is_lost: bool,
    pub(super) unique_name: Option<Box<str>>,
    /// Names that the program has or waits for, with the flags of the request.
    names: BTreeMap<Box<str>, u32>,
    /// Requests for names that are not answered yet.
    requests: BTreeMap<NonZeroU32, Asked>,
    /// What the new bus was asked and has not answered yet.
    questions: BTreeMap<NonZeroU32, Asked>,
    /// Calls that were let go before they were written, and whose replies somebody waits for.
    not_sent: Vec<NonZeroU32>,
}

impl ConnectionState {
    /// The socket is over and another one is to come: lets go of all that belongs to the other end that was there.
    /// Streams stay, with what is in them, and so do replies that have come.
    pub fn lose(&mut self) {
        let was_whole = self.is_restored();
        self.drop_unwritten();
        let not_sent = std::mem::take(&mut self.restoring.not_sent).into_iter().collect();
        self.replies.handle_loss(&not_sent);
        self.streams.handle_loss(self.restoring.losses, was_whole);
        self.owners.handle_loss();
        (self.handshake, self.cookie_wanted, self.guid) = (None, None, None);
        (self.identity, self.takes_fds, self.answers_size) = (None, false, 0);
        self.failure = None;
        self.incoming = super::ReadBuffer::default();
        self.fds.clear();
        self.calls = super::Calls::default();
        let restoring = &mut self.restoring;
        restoring.requests.clear();
        restoring.questions.clear();
        restoring.is_lost = true;
        restoring.losses = restoring.losses.wrapping_add(1);
    }

    /// Begins anew with another socket, after [`ConnectionState::lose`]. On a bus, what the program has of it is
    /// asked for again, before all that is sent from now on.
    ///
    /// # Errors
    /// No mechanism is to be tried.
    pub fn restart(
        &mut self,
        config: ConnectionConfig,
        is_bus: bool,
    ) -> Result<(), ConnectionError> {
        self.handshake = Some(Handshake::client(config.auth, self.lines.begin(Vec::new()))?);
        self.machine_id = config.machine_id;
        self.message_size_max = config.message_size_max.min(MESSAGE_SIZE_MAX);
        self.restoring.is_lost = false;
        let asked = if is_bus { self.restore() } else { Ok(()) };
        // INVARIANT: it is short, or was sent before.
        asked.map_err(|_| ConnectionError::NotRestored)
    }

    fn restore(&mut self) -> Result<(), SendError> {
        self.ask(Asked::Hello, "Hello", Signature::EMPTY, |_| {})?;
        for name in self.owners.names() {
            let Ok(name) = WellKnownName::parse(&name) else { continue };
            let rule = owner_rule(name);
            self.ask(Asked::Match, "AddMatch", STRING, |body| body.string(&rule))?;
            self.ask_owner(name)?;
        }
        for rule in self.streams.rules() {
            self.ask(Asked::Match, "AddMatch", STRING, |body| body.string(&rule))?;
        }
        // Signals that follow a name's change are heard: rules come first.
        for (name, flags) in self.restoring.names.clone() {
            let asked = Asked::Name { name: name.clone(), flags };
            let body = |body: &mut BodyWriter<'_>| name_and_flags(body, &name, flags);
            self.ask(asked, "RequestName", NAME_AND_FLAGS, body)?;
        }
        Ok(())
    }

    fn ask(
        &mut self,
        asked: Asked,
        member: &'static str,
        signature: Signature<'_>,
        body: impl FnOnce(&mut BodyWriter<'_>),
    ) -> Result<(), SendError> {
        let serial = self.send(&bus_header(member, signature), Vec::new(), body)?;
        self.restoring.questions.insert(serial, asked);
        Ok(())
    }

    /// Nothing more is written, and what is not written yet is let go.
    pub(super) fn drop_unwritten(&mut self) {
        // Nobody asks what became of other messages.
        let is_awaited = |serial: &NonZeroU32| self.replies.is_known(*serial);
        self.restoring.not_sent.extend(self.messages.unwritten().filter(is_awaited));
        (self.lines, self.messages) = Default::default();
    }

    /// A reply has come. Answers whether it is one to what the new bus was asked.
    pub(super) fn handle_restoring(
        &mut self,
        serial: NonZeroU32,
        reply: &Message,
    ) -> Result<bool, ConnectionError> {
        let restoring = &mut self.restoring;
        if restoring.requests.is_empty() && restoring.questions.is_empty() {
            return Ok(false);
        }
        let header = &reply.header();
        if let Some(Asked::Name { name, flags }) = restoring.requests.remove(&serial) {
            if had_or_waited_for(header, reply) {
                restoring.names.insert(name, flags);
            }
            return Ok(false);
        }
        let Some(asked) = restoring.questions.remove(&serial) else { return Ok(false) };
        let is_return = header.message_type == MessageType::MethodReturn;
        match asked {
            Asked::Hello if is_return && header.signature == STRING => {
                restoring.unique_name = reply.reader().string().ok().map(Into::into);
            }
            Asked::Match if is_return => {}
            Asked::Hello | Asked::Match => return Err(ConnectionError::NotRestored),
            Asked::Name { name, .. } => {
                if !had_or_waited_for(header, reply) {
                    restoring.names.remove(&name);
                }
            }
        }
        Ok(true)
    }

    /// A signal has come: perhaps one that says that a name is lost for which the program does not wait.
    pub(super) fn handle_name_lost(&mut self, header: &Header<'_>, signal: &Message) {
        let names = &mut self.restoring.names;
        if names.is_empty()
            || header.member.is_none_or(|member| member.as_str() != "NameLost")
            || (header.sender, header.interface) != (Some(BUS), Some(BUS_INTERFACE))
            || header.signature != STRING
        {
            return;
        }
        if let Ok(name) = signal.reader().string()
            && names.get(name).is_some_and(|flags| flags & DO_NOT_QUEUE != 0)
        {
            names.remove(name);
        }
    }

    /// Whether there is no connection now, since it was lost ([`ConnectionState::lose`]).
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        self.restoring.is_lost
    }

    /// How often the connection was lost.
    #[must_use]
    pub const fn losses(&self) -> u32 {
        self.restoring.losses
    }

    /// Whether there is a connection, and the bus has answered all that it was asked by
    /// [`ConnectionState::restart`].
    #[must_use]
    pub fn is_restored(&self) -> bool {
        self.is_authenticated() && !self.is_lost() && self.restoring.questions.is_empty()
    }

    /// What the bus calls this program, once it has said so; what the last one called it until the next one has.
    #[must_use]
    pub fn unique_name(&self) -> Option<&str> {
        self.restoring.unique_name.as_deref()
    }

    /// The bus has said how it calls this program; [`ConnectionState::restart`] asks for it by itself.
    pub fn set_unique_name(&mut self, name: &str) {
        self.restoring.unique_name = Some(name.into());
    }

    /// What is known of this call, if the connection was lost before its reply came.
    pub fn take_lost_call(&mut self, serial: NonZeroU32) -> Option<LostCall> {
        self.replies.take_lost(serial)
    }

    /// Requests a well-known name, with flags as the bus knows them (protocol.md A130); the reply is to be waited
    /// for. A name that the program has or waits for then is requested again after
    /// [`ConnectionState::restart`].
    ///
    /// # Errors
    /// There is no connection now.
    pub fn request_name(
        &mut self,
        name: WellKnownName<'_>,
        flags: u32,
    ) -> Result<NonZeroU32, SendError> {
        let body = |body: &mut BodyWriter<'_>| name_and_flags(body, name.as_str(), flags);
        let serial = self.call(&bus_header("RequestName", NAME_AND_FLAGS), Vec::new(), body)?;
        let asked = Asked::Name { name: name.as_str().into(), flags };
        self.restoring.requests.insert(serial, asked);
        Ok(serial)
    }

    /// Lets go of a well-known name: it is not requested again. `Some`: the reply may be waited for.
    pub fn release_name(
        &mut self,
        name: WellKnownName<'_>,
        is_awaited: bool,
    ) -> Option<NonZeroU32> {
        let restoring = &mut self.restoring;
        restoring.names.remove(name.as_str());
        let is_other = |asked: &Asked| !matches!(asked, Asked::Name { name: asked, .. } if **asked == *name.as_str());
        restoring.requests.retain(|_, asked| is_other(asked));
        let mut header = bus_header("ReleaseName", STRING);
        let body = |body: &mut BodyWriter<'_>| body.string(name.as_str());
        if is_awaited {
            return self.call(&header, Vec::new(), body).ok();
        }
        header.flags = Flags::NO_REPLY_EXPECTED;
        // Where there is no connection nobody has the name.
        self.send(&header, Vec::new(), body).ok()
    }

    /// Whether the program has this name or waits for it, or will know soon.
    #[must_use]
    pub fn is_name_wanted(&self, name: &str) -> bool {
        self.restoring.names.contains_key(name)
    }

    /// Begins to ask the bus for what a stream is about, whose reply is to be waited for.
    ///
    /// # Errors
    /// There is no connection now.
    pub fn add_match(&mut self, id: StreamId) -> Result<NonZeroU32, SendError> {
        let rule = self.streams.rule_of(id).map(ToString::to_string).unwrap_or_default();
        let header = bus_header("AddMatch", STRING);
        self.call(&header, Vec::new(), |body| body.string(&rule))
    }

    /// The bus need not send any more what a stream is about.
    pub fn remove_match(&mut self, id: StreamId) {
        if let Some(rule) = self.streams.rule_of(id).map(ToString::to_string) {
            let mut header = bus_header("RemoveMatch", STRING);
            header.flags = Flags::NO_REPLY_EXPECTED;
            // Where there is no connection there is no rule.
            let _ = self.send(&header, Vec::new(), |body| body.string(&rule));
        }
    }
}

const NAME_AND_FLAGS: Signature<'static> = Signature::from_static("su");

fn name_and_flags(body: &mut BodyWriter<'_>, name: &str, flags: u32) {
    body.string(name);
    body.uint32(flags);
}

/// A call of a method of the bus.
pub(super) fn bus_header<'a>(member: &'static str, signature: Signature<'a>) -> Header<'a> {
    let mut header = Header::new(MessageType::MethodCall, NonZeroU32::MIN);
    header.destination = Some(BUS);
    header.path = Some(BUS_PATH);
    header.interface = Some(BUS_INTERFACE);
    header.member = MemberName::parse(member).ok();
    header.signature = signature;
    header
}

/// What the bus answers to the request for a name (protocol.md A131): the program has it, or waits for it.
fn had_or_waited_for(header: &Header<'_>, reply: &Message) -> bool {
    const NUMBER: Signature<'static> = Signature::from_static("u");
    let is_answer = header.message_type == MessageType::MethodReturn && header.signature == NUMBER;
    is_answer && matches!(reply.reader().uint32(), Ok(1 | 2 | 4))
}
