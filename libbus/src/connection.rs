//! One connection as a program at its end sees it, without a socket: bytes and descriptors in, bytes and
//! descriptors out.
//!
//! ```text
//!            send ──→ write queue ──→ next_write, handle_written ──→ socket
//!  take_reply, next_of, next_call ←── checked messages ←── read_space, handle_read ←── socket
//! ```
//!
//! Calling order: [`ConnectionState::new`] or, at the end of a server without a bus,
//! [`ConnectionState::new_server`]; then, in any order, what is to be written is written and what
//! can be read is read. Messages that are sent while the handshake lasts leave after it. When an error is
//! returned the connection is over: the socket is to be closed, and the same error comes again.
//!
//! What comes is sorted: a reply to the one who waits for it, a signal to the streams whose rules it matches,
//! a call to those who serve. Nobody waits for anybody else: each stream has its own bounded queue
//! ([`Overflow`]). Messages for nobody are let go; a call that nobody serves is answered with an error
//! (protocol.md A226), and those of `org.freedesktop.DBus.Peer` always are (A213, A214).
//!
//! A monitor has all that comes in one queue instead ([`ConnectionState::begin_monitoring`]).
//!
//! Bounds: a message is no larger than `message_size_max`, descriptors that no message has taken are no
//! more than [`FDS_WAITING_MAX`], calls that wait to be served no more than [`CALLS_WAITING_MAX`]
//! and their bytes no more than [`CALLS_WAITING_SIZE_MAX`] and one message. So are those of signals in a stream
//! ([`STREAM_SIZE_MAX`]) and of what a monitor has not taken ([`MONITORED_SIZE_MAX`]). What is queued for an other end
//! that does not read is the program's affair, which can ask whether there is room ([`WRITE_SIZE_MAX`]) and take back
//! what nobody needs any more.
//! Who only serves stops reading before ([`ConnectionState::wants_calls`]).

mod calls;
mod handshake;
mod monitored;
mod owners;
mod read_buffer;
mod replies;
mod restoring;
mod streams;
#[cfg(test)]
mod tests;
mod usage;
mod write_queue;

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;

pub use self::calls::{CALLS_WAITING_MAX, CALLS_WAITING_SIZE_MAX};
pub use self::handshake::ServerConfig;
pub use self::monitored::{
    MONITORED_EARLY_MAX, MONITORED_EARLY_SIZE_MAX, MONITORED_MAX, MONITORED_SIZE_MAX,
};
pub use self::replies::LostCall;
pub use self::streams::{Overflow, STREAM_SIZE_MAX, StreamId, Streamed};
pub use self::usage::Usage;
pub use self::write_queue::WRITE_SIZE_MAX;

use self::calls::Calls;
use self::handshake::{Authenticated, Handshake, Progress};
use self::monitored::Monitored;
use self::owners::Owners;
pub(crate) use self::read_buffer::ReadBuffer;
use self::replies::Replies;
use self::restoring::{Restoring, bus_header};
use self::streams::Streams;
use self::write_queue::WriteQueue;
use crate::auth::{
    ClientAuthConfig, ClientAuthError, ClientCookie, CookieChallenge, Identity, ServerAuthError,
};
use crate::guid::Guid;
use crate::limits::MESSAGE_SIZE_MAX;
use crate::match_rule::{MatchNames, MatchRule};
use crate::message::Message;
use crate::names::{BusName, ErrorName, InterfaceName, ObjectPath, WellKnownName};
use crate::standard_error;
use crate::wire::{
    ArgumentSpans, BodyWriter, Flags, Header, MessageError, MessageType, Signature,
    write_checked_message,
};

/// Descriptors that have come and that no complete message has taken: as many as the kernel passes with
/// two messages (protocol.md A039).
pub const FDS_WAITING_MAX: usize = 2 * 253;
/// Bytes that wait to be written beyond which answers are not held to leave together: about what is read at once.
#[cfg(feature = "client")]
const HELD_SIZE_MAX: usize = 16 * 1024;
/// Bytes of answers that wait to be written, beyond which no calls are served, and if they are answers to what
/// nobody serves, nothing is read.
const ANSWERS_SIZE_MAX: usize = 1 << 20;

pub(crate) const BUS: BusName<'static> = BusName::from_static("org.freedesktop.DBus");
pub(crate) const BUS_PATH: ObjectPath<'static> = ObjectPath::from_static("/org/freedesktop/DBus");
pub(crate) const BUS_INTERFACE: InterfaceName<'static> =
    InterfaceName::from_static("org.freedesktop.DBus");
const PEER: InterfaceName<'static> = InterfaceName::from_static("org.freedesktop.DBus.Peer");
const STRING: Signature<'static> = Signature::from_static("s");

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The handshake failed.
    Handshake(ClientAuthError),
    /// The handshake failed, and this is the server's end.
    ServerHandshake(ServerAuthError),
    /// The other end sent a message that breaks a rule of the protocol.
    Malformed(MessageError),
    /// The other end sent more descriptors than its messages announce.
    TooManyFds,
    /// A stream with [`Overflow::Disconnect`] was full.
    StreamFull,
    /// The connection was lost, and the bus refuses on the next one what the program had on it.
    NotRestored,
}

/// Why a message cannot be sent. The connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// Its body is not what the header's signature says, or a string in it has a NUL.
    Malformed(MessageError),
    /// It would have so many bytes, which is more than any message may have (protocol.md A037).
    TooLong(usize),
    /// It has descriptors, and the other end takes none on this connection.
    NoFds,
    /// It has more descriptors than one message can have: the kernel passes 253 (protocol.md A039).
    TooManyFds(usize),
    /// A file descriptor cannot be announced before the handshake has told whether the other end takes
    /// any; wait for that.
    HandshakePending,
    /// The connection is lost and not there again ([`ConnectionState::lose`]).
    Lost,
    /// So much waits to be written already ([`WRITE_SIZE_MAX`]) that nothing more is taken before the other end has
    /// read some of it.
    QueueFull,
}

/// What a connection is made with.
#[derive(Clone, Debug)]
pub struct ConnectionConfig {
    /// Who to be, and how to prove it.
    pub auth: ClientAuthConfig,
    /// The machine's id, for who asks (protocol.md A214).
    pub machine_id: Option<Guid>,
    /// Longest message to take, in bytes; at most [`MESSAGE_SIZE_MAX`].
    pub message_size_max: u32,
}

/// A cookie that is needed to go on: see [`ConnectionState::cookie_wanted`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CookieWanted {
    /// The one that the server means; answer with [`ConnectionState::handle_cookie`].
    Named {
        /// The keyring's name, safe as a file name.
        context: String,
        /// The cookie's id.
        id: u32,
    },
    /// The one to prove a client with, at the end of a server; answer with
    /// [`ConnectionState::handle_challenge`].
    Current {
        /// The keyring's name.
        context: &'static str,
    },
}

/// See the module.
#[derive(Debug)]
pub struct ConnectionState {
    /// `None` once it is over.
    handshake: Option<Handshake>,
    cookie_wanted: Option<CookieWanted>,
    guid: Option<Guid>,
    identity: Option<Identity>,
    takes_fds: bool,
    machine_id: Option<Guid>,
    message_size_max: u32,
    /// Lines of the handshake, which go before all messages.
    lines: WriteQueue,
    messages: WriteQueue,
    /// Bytes of answers of this state machine itself, since `messages` was empty last.
    answers_size: usize,
    incoming: ReadBuffer,
    /// Descriptors that no complete message has taken.
    fds: VecDeque<OwnedFd>,
    serial: u32,
    replies: Replies,
    streams: Streams,
    owners: Owners,
    is_serving: bool,
    calls: Calls,
    monitored: Monitored,
    spans: ArgumentSpans,
    restoring: Restoring,
    failure: Option<ConnectionError>,
}

impl ConnectionState {
    /// A connection that has said nothing yet.
    ///
    /// # Errors
    /// No mechanism is to be tried.
    pub fn new(config: ConnectionConfig) -> Result<Self, ConnectionError> {
        let mut lines = WriteQueue::default();
        let handshake = Handshake::client(config.auth, lines.begin(Vec::new()))?;
        Ok(Self::begin(handshake, lines, config.machine_id, config.message_size_max))
    }

    /// A connection whose other end is to say something first: this is the end of a server without a bus.
    #[must_use]
    pub fn new_server(
        config: ServerConfig,
        machine_id: Option<Guid>,
        message_size_max: u32,
    ) -> Self {
        let handshake = Handshake::server(config);
        Self::begin(handshake, WriteQueue::default(), machine_id, message_size_max)
    }

    fn begin(
        handshake: Handshake,
        lines: WriteQueue,
        machine_id: Option<Guid>,
        message_size_max: u32,
    ) -> Self {
        Self {
            handshake: Some(handshake),
            cookie_wanted: None,
            guid: None,
            identity: None,
            takes_fds: false,
            machine_id,
            message_size_max: message_size_max.min(MESSAGE_SIZE_MAX),
            lines,
            messages: WriteQueue::default(),
            answers_size: 0,
            incoming: ReadBuffer::default(),
            fds: VecDeque::new(),
            serial: 0,
            replies: Replies::default(),
            streams: Streams::default(),
            owners: Owners::default(),
            is_serving: false,
            calls: Calls::default(),
            monitored: Monitored::default(),
            spans: ArgumentSpans::new(),
            restoring: Restoring::default(),
            failure: None,
        }
    }

    // --- the socket ---------------------------------------------------------------------------------

    /// What to write next, and the descriptors that go with its first byte. Nothing: there is nothing.
    #[must_use]
    pub fn next_write(&self) -> (&[u8], &[OwnedFd]) {
        if !self.lines.is_empty() {
            self.lines.next()
        } else if self.handshake.is_none() {
            self.messages.next()
        } else {
            (&[], &[])
        }
    }

    /// So many bytes of [`ConnectionState::next_write`] were written.
    pub fn handle_written(&mut self, size: usize) {
        if self.lines.is_empty() {
            self.messages.handle_written(size);
            if self.messages.is_empty() {
                self.answers_size = 0;
            }
        } else {
            self.lines.handle_written(size);
        }
    }

    /// Whether to read. Not while there is no room in a stream that must miss nothing
    /// ([`Overflow::Wait`]) or a monitor's queue, nor while the other end asks much and reads nothing.
    #[must_use]
    pub fn may_read(&self) -> bool {
        !self.streams.are_waited_for()
            && self.monitored.has_room()
            && self.answers_size < ANSWERS_SIZE_MAX
    }

    /// Where to read into.
    pub fn read_space(&mut self) -> &mut [u8] {
        self.incoming.space()
    }

    /// So many bytes were read into [`ConnectionState::read_space`], and these descriptors came with them,
    /// which are taken out of `fds`.
    ///
    /// # Errors
    /// The other end broke a rule: the connection is over.
    pub fn handle_read(
        &mut self,
        size: usize,
        fds: &mut Vec<OwnedFd>,
    ) -> Result<(), ConnectionError> {
        if let Some(failure) = self.failure {
            fds.clear();
            return Err(failure);
        }
        self.incoming.handle_read(size);
        let result = self.keep_fds(fds).and_then(|()| self.handle_bytes());
        self.failure = result.err();
        result
    }

    /// Takes out what is read into, so that reading needs nothing of the rest;
    /// [`ConnectionState::put_back`] it before [`ConnectionState::handle_read`].
    #[cfg(feature = "client")]
    pub(crate) fn take_buffer(&mut self) -> ReadBuffer {
        std::mem::take(&mut self.incoming)
    }

    #[cfg(feature = "client")]
    pub(crate) fn put_back(&mut self, buffer: ReadBuffer) {
        self.incoming = buffer;
    }

    /// The other end reads no more: nothing is written to it any more.
    #[cfg(feature = "client")]
    pub(crate) fn close_writing(&mut self) {
        self.drop_unwritten();
    }

    fn keep_fds(&mut self, fds: &mut Vec<OwnedFd>) -> Result<(), ConnectionError> {
        self.fds.extend(fds.drain(..));
        match self.fds.len() <= FDS_WAITING_MAX {
            true => Ok(()),
            false => Err(ConnectionError::TooManyFds),
        }
    }

    fn handle_bytes(&mut self) -> Result<(), ConnectionError> {
        if self.handshake.is_some() {
            let Self { handshake, incoming, lines, .. } = self;
            let Some(handshake) = handshake else { return Ok(()) };
            let progress = handshake.handle_bytes(incoming.held(), lines.begin(Vec::new()));
            let held = self.incoming.held().len();
            self.handle_progress(progress?, held);
            if self.handshake.is_some() {
                return Ok(());
            }
        }
        while let Some((bytes, frame)) =
            self.incoming.next_message(self.message_size_max).map_err(ConnectionError::Malformed)?
        {
            let fds = &mut self.fds;
            let take_fds = |count: usize| fds.drain(..count.min(fds.len())).collect();
            let losses = self.restoring.losses;
            let message = Message::check(bytes, &frame, take_fds, &mut self.spans, losses)
                .map_err(ConnectionError::Malformed)?;
            self.handle_message(message)?;
        }
        // Between two messages there are none (protocol.md A057).
        if self.incoming.held().is_empty() {
            self.fds.clear();
        }
        Ok(())
    }

    // --- the handshake ------------------------------------------------------------------------------

    /// Whether the handshake is over, so that the other end is known.
    #[must_use]
    pub const fn is_authenticated(&self) -> bool {
        self.handshake.is_none() && !self.restoring.is_lost
    }

    /// The cookie that the handshake waits for (protocol.md A092).
    #[must_use]
    pub const fn cookie_wanted(&self) -> Option<&CookieWanted> {
        self.cookie_wanted.as_ref()
    }

    /// The cookie that the server means, or that it cannot be had.
    ///
    /// # Errors
    /// There is no other way to prove who this is.
    pub fn handle_cookie(&mut self, cookie: Option<ClientCookie>) -> Result<(), ConnectionError> {
        self.cookie_wanted = None;
        let Self { handshake, lines, .. } = self;
        let Some(handshake) = handshake else { return Ok(()) };
        let progress = handshake.handle_cookie(cookie, lines.begin(Vec::new()));
        let result = progress.map(|progress| self.handle_progress(progress, 0));
        self.failure = result.err();
        result
    }

    /// The cookie to prove a client with, or that there is none.
    ///
    /// # Errors
    /// The client broke a rule: the connection is over.
    pub fn handle_challenge(
        &mut self,
        challenge: Option<CookieChallenge>,
    ) -> Result<(), ConnectionError> {
        self.cookie_wanted = None;
        let Self { handshake, lines, .. } = self;
        let Some(handshake) = handshake else { return Ok(()) };
        let progress = handshake.handle_challenge(challenge, lines.begin(Vec::new()));
        let result = progress.and_then(|(progress, rest)| {
            self.handle_progress(progress, 0);
            // The handshake had all that came meanwhile.
            self.incoming.extend(&rest);
            match self.handshake {
                None => self.handle_bytes(),
                Some(_) => Ok(()),
            }
        });
        self.failure = result.err();
        result
    }

    /// `held`: how many bytes the handshake was given.
    fn handle_progress(&mut self, progress: Progress, held: usize) {
        match progress {
            Progress::Unfinished => self.incoming.skip(held),
            Progress::CookieWanted(wanted) => {
                self.incoming.skip(held);
                self.cookie_wanted = Some(wanted);
            }
            Progress::Authenticated(Authenticated { consumed, guid, takes_fds, identity }) => {
                self.incoming.skip(consumed);
                (self.guid, self.takes_fds, self.identity) = (Some(guid), takes_fds, identity);
                self.handshake = None;
            }
        }
    }

    /// Who the client proved to be, once the handshake is over and if this is the server's end.
    #[must_use]
    pub const fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// The server's GUID, once the handshake is over.
    #[must_use]
    pub const fn guid(&self) -> Option<Guid> {
        self.guid
    }

    /// Whether messages may carry descriptors.
    #[must_use]
    pub const fn takes_fds(&self) -> bool {
        self.takes_fds
    }

    // --- sending ------------------------------------------------------------------------------------

    /// Queues a message and answers its serial; that of `header` and its number of descriptors do not
    /// count. `body` writes values of the types that the header's signature names.
    ///
    /// # Errors
    /// See [`SendError`]; nothing is queued then.
    pub fn send(
        &mut self,
        header: &Header<'_>,
        fds: Vec<OwnedFd>,
        body: impl FnOnce(&mut BodyWriter<'_>),
    ) -> Result<NonZeroU32, SendError> {
        if self.is_lost() {
            return Err(SendError::Lost);
        }
        if !fds.is_empty() {
            match () {
                () if fds.len() > FDS_WAITING_MAX / 2 => {
                    return Err(SendError::TooManyFds(fds.len()));
                }
                () if self.handshake.is_some() => return Err(SendError::HandshakePending),
                () if !self.takes_fds => return Err(SendError::NoFds),
                () => {}
            }
        }
        let serial = self.next_serial();
        let header = Header { serial, unix_fds: fds.len() as u32, ..*header };
        let start = self.messages.end();
        let written = write_checked_message(&header, self.messages.begin(fds), body);
        if let Err(error) = written {
            self.messages.take_back(start);
            return Err(SendError::Malformed(error));
        }
        let size = self.messages.end() - start;
        if size > MESSAGE_SIZE_MAX as usize {
            self.messages.take_back(start);
            return Err(SendError::TooLong(size));
        }
        self.messages.note_whole(start, serial);
        Ok(serial)
    }

    /// As [`ConnectionState::send`], for a call whose reply somebody waits for.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn call(
        &mut self,
        header: &Header<'_>,
        fds: Vec<OwnedFd>,
        body: impl FnOnce(&mut BodyWriter<'_>),
    ) -> Result<NonZeroU32, SendError> {
        let serial = self.send(header, fds, body)?;
        self.replies.expect(serial);
        Ok(serial)
    }

    /// After four billion messages the numbers begin again; one in use is left out (protocol.md A033).
    fn next_serial(&mut self) -> NonZeroU32 {
        loop {
            self.serial = self.serial.wrapping_add(1);
            if let Some(serial) = NonZeroU32::new(self.serial)
                && !self.replies.is_known(serial)
            {
                return serial;
            }
        }
    }

    // --- what came ----------------------------------------------------------------------------------

    /// The reply to a call, a return or an error, once it has come. It is taken: a second one is for
    /// nobody.
    pub fn take_reply(&mut self, serial: NonZeroU32) -> Option<Message> {
        self.replies.take(serial)
    }

    /// Nobody waits for the reply to this call any more.
    pub fn forget_reply(&mut self, serial: NonZeroU32) {
        self.replies.forget(serial);
    }

    /// From now on all that comes, but replies that are waited for, is for [`ConnectionState::next_monitored`] alone:
    /// nothing is answered, and no stream has anything.
    pub fn begin_monitoring(&mut self) {
        self.monitored.begin();
    }

    /// Whether the bus is still asked for what a monitor is to see. Meanwhile [`MONITORED_EARLY_MAX`] messages may wait
    /// instead of [`MONITORED_MAX`], since what the bus answers comes behind them.
    pub fn set_up_monitoring(&mut self, is_under_way: bool) {
        self.monitored.set_up(is_under_way);
    }

    /// The next message that a monitor sees.
    pub fn next_monitored(&mut self) -> Option<Message> {
        self.monitored.next()
    }

    /// Begins a stream of the signals that `rule` matches, of which at most `length_max` wait, and no more than
    /// [`STREAM_SIZE_MAX`] bytes and one signal. On a bus, the bus must be asked for them, too.
    pub fn begin_stream(
        &mut self,
        rule: MatchRule,
        length_max: usize,
        overflow: Overflow,
    ) -> StreamId {
        self.streams.begin(rule, length_max, overflow, self.restoring.losses)
    }

    /// Ends a stream, and lets go of what is in it.
    pub fn end_stream(&mut self, id: StreamId) {
        self.streams.end(id);
    }

    /// What a stream has next.
    pub fn next_of(&mut self, id: StreamId) -> Option<Streamed> {
        self.streams.next(id, self.restoring.losses)
    }

    /// From now on a stream whose rule has this well-known name as sender takes signals of the name's
    /// present owner, and of nobody else. It is to be called before such a stream begins, on a bus, once for
    /// each, and undone by [`ConnectionState::forget_owner`].
    ///
    /// # Errors
    /// None but that the name is longer than names can be.
    pub fn follow_owner(&mut self, name: WellKnownName<'_>) -> Result<(), SendError> {
        // Where there is no connection the next one is asked.
        if self.owners.follow(name.as_str()) && !self.is_lost() {
            self.ask_bus("AddMatch", &owner_rule(name))?;
            self.ask_owner(name)?;
        }
        Ok(())
    }

    fn ask_owner(&mut self, name: WellKnownName<'_>) -> Result<(), SendError> {
        let serial = self.ask_bus("GetNameOwner", name.as_str())?;
        self.owners.note_asked(name.as_str(), serial);
        Ok(())
    }

    /// One stream less is about this name.
    pub fn forget_owner(&mut self, name: WellKnownName<'_>) {
        if self.owners.forget(name.as_str()) {
            // It is short: nothing is wrong with it.
            let _ = self.ask_bus("RemoveMatch", &owner_rule(name));
        }
    }

    /// Calls a method of the bus that takes a string; nobody waits for the reply.
    fn ask_bus(&mut self, member: &'static str, text: &str) -> Result<NonZeroU32, SendError> {
        self.send(&bus_header(member, STRING), Vec::new(), |body| body.string(text))
    }

    /// From now on calls of others are kept for [`ConnectionState::next_call`].
    pub const fn serve(&mut self) {
        self.is_serving = true;
    }

    /// The next call to serve. Those of one sender come one after the other: the next one after
    /// [`ConnectionState::finish_call`]; but what this program asks itself comes at once. None comes while much
    /// waits to be written.
    pub fn next_call(&mut self) -> Option<Message> {
        let own = self.restoring.unique_name.as_deref();
        let may_answer = self.messages.size() < ANSWERS_SIZE_MAX;
        may_answer.then(|| self.calls.next(own)).flatten()
    }

    /// Whether those who serve are to read more; not while many calls wait.
    #[must_use]
    pub const fn wants_calls(&self) -> bool {
        self.calls.are_wanted()
    }

    /// This call was served, or its sender's next one need not wait for that. Answers whether any wait.
    pub fn finish_call(&mut self, call: &Message) -> bool {
        // Another bus may call somebody else by the name of its sender.
        if call.losses() == self.restoring.losses {
            self.calls.finish(call);
        }
        !self.calls.is_empty()
    }

    /// Whether so much waits to be written that it is worth a write.
    #[cfg(feature = "client")]
    pub(crate) const fn has_many_answers(&self) -> bool {
        self.messages.size() >= HELD_SIZE_MAX
    }

    fn handle_message(&mut self, message: Message) -> Result<(), ConnectionError> {
        if self.monitored.is_on() && !self.is_own_reply(&message) {
            self.monitored.keep(message);
            return Ok(());
        }
        match (message.message_type(), message.reply_serial()) {
            (MessageType::MethodReturn | MessageType::Error, Some(serial)) => {
                let is_handled = self.handle_restoring(serial, &message)?
                    || self.owners.handle_reply(serial, || owner_in(&message));
                if !is_handled {
                    self.replies.handle_reply(serial, message);
                }
            }
            (MessageType::Signal, _) => {
                let header = message.header();
                if let Some((name, owner)) = owner_change(&header, &message) {
                    self.owners.handle_change(name, owner);
                }
                self.handle_name_lost(&header, &message);
                let sender = header.sender.map_or("", |name| name.as_str());
                let names = Sender { name: sender, owners: &self.owners };
                let result = self.streams.handle_signal(&message, &header, &self.spans, &names);
                result.map_err(|_| ConnectionError::StreamFull)?;
            }
            (MessageType::MethodCall, _) => self.handle_call(message),
            // protocol.md A040: unknown types are ignored.
            _ => {}
        }
        Ok(())
    }

    /// Whether a message answers a call of this program. A monitor sees replies to others, too, whose calls have the
    /// same serials.
    fn is_own_reply(&self, message: &Message) -> bool {
        let is_awaited =
            message.reply_serial().is_some_and(|serial| self.replies.is_awaited(serial));
        let destination = message.header().destination.map(|name| name.as_str());
        let own = self.restoring.unique_name.as_deref();
        is_awaited && (own.is_none() || destination.is_none() || destination == own)
    }

    fn handle_call(&mut self, call: Message) {
        let interface = call.interface();
        // One without an interface is for those who serve, who know what has such a member.
        match () {
            () if interface == Some(PEER) => {
                if !self.answer_as_peer(&call) {
                    self.answer_error(&call, standard_error::UNKNOWN_METHOD, "no such method");
                }
            }
            () if !self.is_serving && interface.is_none() && self.answer_as_peer(&call) => {}
            () if !self.is_serving => {
                let text = "this program serves no objects";
                self.answer_error(&call, standard_error::UNKNOWN_OBJECT, text);
            }
            () if !self.calls.has_room() => {
                let text = "too many calls wait for this program";
                self.answer_error(&call, standard_error::LIMITS_EXCEEDED, text);
            }
            () => self.calls.push(call),
        }
    }

    /// Answers what can be asked of every program (protocol.md A213, A214), if it is that. Who asked on a
    /// connection that is lost is not answered.
    pub(crate) fn answer_as_peer(&mut self, call: &Message) -> bool {
        if call.losses() != self.losses() {
            return true;
        }
        match (call.member().map_or("", |member| member.as_str()), self.machine_id) {
            ("Ping", _) => self.answer(call, Signature::EMPTY, |_| {}),
            ("GetMachineId", Some(id)) => {
                let text = id.to_string();
                self.answer(call, STRING, |body| body.string(&text));
            }
            _ => return false,
        }
        true
    }

    fn answer(
        &mut self,
        call: &Message,
        signature: Signature<'_>,
        body: impl FnOnce(&mut BodyWriter<'_>),
    ) {
        let header = Header { signature, ..answer_to(call, MessageType::MethodReturn) };
        self.send_answer(call, &header, body);
    }

    fn answer_error(&mut self, call: &Message, name: ErrorName<'_>, text: &str) {
        let header = Header {
            error_name: Some(name),
            signature: STRING,
            ..answer_to(call, MessageType::Error)
        };
        self.send_answer(call, &header, |body| body.string(text));
    }

    fn send_answer(
        &mut self,
        call: &Message,
        header: &Header<'_>,
        body: impl FnOnce(&mut BodyWriter<'_>),
    ) {
        if !call.flags().contains(Flags::NO_REPLY_EXPECTED) {
            let start = self.messages.end();
            // It is short and has no descriptors.
            let _ = self.send(header, Vec::new(), body);
            self.answers_size += self.messages.end() - start;
        }
    }
}

/// The header of what answers a call.
pub(crate) fn answer_to(call: &Message, message_type: MessageType) -> Header<'_> {
    let mut header = Header::new(message_type, call.serial());
    header.flags = Flags::NO_REPLY_EXPECTED;
    header.reply_serial = Some(call.serial());
    header.destination = call.sender();
    header
}

/// The sender of a message, as the bus wrote it, and which names it owns.
struct Sender<'a> {
    name: &'a str,
    owners: &'a Owners,
}

impl MatchNames for Sender<'_> {
    fn sender_is(&self, name: &str) -> bool {
        self.name == name || self.owners.is_owned_by(name, self.name)
    }

    fn destination_is(&self, _: &str) -> bool {
        true
    }
}

/// The rule by which the bus tells who owns a name (protocol.md A199).
fn owner_rule(name: WellKnownName<'_>) -> String {
    format!(
        "type='signal',sender='{BUS}',path='{BUS_PATH}',interface='{BUS_INTERFACE}',\
         member='NameOwnerChanged',arg0='{name}'"
    )
}

/// The answer to the question who owns a name: nobody, if it is an error.
fn owner_in(reply: &Message) -> Option<&str> {
    let is_answer =
        reply.message_type() == MessageType::MethodReturn && reply.signature() == STRING;
    is_answer.then(|| reply.reader().string().ok()).flatten()
}

/// Which name has which other owner, if the bus says so in this signal.
fn owner_change<'m>(header: &Header<'_>, signal: &'m Message) -> Option<(&'m str, &'m str)> {
    const THREE: Signature<'static> = Signature::from_static("sss");
    let is_change = header.member.is_some_and(|member| member.as_str() == "NameOwnerChanged")
        && header.sender == Some(BUS)
        && header.interface == Some(BUS_INTERFACE)
        && header.signature == THREE;
    let mut arguments = signal.reader();
    let mut next = || arguments.string().ok();
    let (name, _, owner) = is_change.then(|| Some((next()?, next()?, next()?))).flatten()?;
    Some((name, owner))
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handshake(error) => write!(f, "the handshake failed: {error}"),
            Self::ServerHandshake(error) => write!(f, "the client's handshake failed: {error}"),
            Self::Malformed(error) => {
                write!(f, "the other end sent a malformed message: {error}")
            }
            Self::TooManyFds => {
                f.write_str("the other end sent more file descriptors than its messages announce")
            }
            Self::StreamFull => {
                f.write_str("signals came faster than a stream was read that must miss none")
            }
            Self::NotRestored => {
                f.write_str("the bus refuses what the program had on the last one")
            }
        }
    }
}

impl std::error::Error for ConnectionError {}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(f, "the body of the message is wrong: {error}"),
            Self::TooLong(size) => {
                write!(f, "the message would have {size} bytes; {MESSAGE_SIZE_MAX} are possible")
            }
            Self::NoFds => f.write_str("the other end takes no file descriptors"),
            Self::TooManyFds(count) => write!(
                f,
                "the message has {count} file descriptors; {} are possible",
                FDS_WAITING_MAX / 2
            ),
            Self::HandshakePending => {
                f.write_str("file descriptors cannot be sent before the handshake is over")
            }
            Self::Lost => f.write_str("the connection is lost and not there again"),
            Self::QueueFull => write!(
                f,
                "{WRITE_SIZE_MAX} bytes wait to be written, and the other end does not read"
            ),
        }
    }
}

impl std::error::Error for SendError {}
