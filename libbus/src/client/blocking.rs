//! A client that waits where it calls: no thread, no executor. A call is one `sendmsg` and one `recvmsg`.
//!
//! ```no_run
//! use libbus::blocking::Connection;
//!
//! # fn main() -> libbus::Result<()> {
//! let bus = Connection::session()?;
//! let names: Vec<String> = bus.bus().call("ListNames", &())?;
//! println!("{names:?}");
//! # Ok(())
//! # }
//! ```
//!
//! A [`Connection`] may be used by several threads at once: whichever waits reads for all. Nothing is read
//! while nobody waits: the kernel and the bus keep what comes until somebody does.

use std::future::Future;
use std::pin::pin;
use std::sync::{Condvar, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zbus::wire::{DynamicType, Type};

use super::call::{self, MethodCall};
use super::error::{Error, Result};
use super::link::{Deadline, Link, Shared, Style};
use super::names::{ReleaseNameReply, RequestNameFlags, RequestNameReply};
use super::signals::{DEFAULT_LENGTH_MAX, SignalEmission, Stream};
use super::{builder, connection, proxy};
use crate::connection::Overflow;
use crate::match_rule::MatchRule;
use crate::message::Message;
use crate::names::{BusName, InterfaceName, MemberName, ObjectPath, WellKnownName};
use crate::transport::{Interest, Patience, READ_TIMEOUT};
use crate::wire::MessageType;

/// A deadline that is nearer is waited for by `poll(2)`.
const DIRECT_READ_MIN: Duration = READ_TIMEOUT.saturating_sub(Duration::from_secs(1));

/// See the module.
#[derive(Debug)]
pub struct Blocking;

impl Style for Blocking {
    type Signal = Condvar;

    async fn wait<T: Send>(
        link: &Link<Self>,
        ready: impl FnMut(&mut Shared) -> Option<T> + Send,
        deadline: Deadline,
    ) -> Result<T> {
        wait(link, ready, deadline)
    }

    fn wake(signal: &Condvar) {
        signal.notify_all();
    }
}

/// A connection whose calls wait.
pub type Connection = connection::Connection<Blocking>;
/// How a [`Connection`] is made.
pub type Builder = builder::Builder<Blocking>;
/// One interface of one object, whose calls wait.
pub type Proxy = proxy::Proxy<Blocking>;
/// A call that was sent and whose reply has not been waited for.
pub type PendingReply = call::PendingReply<Blocking>;

impl Builder {
    /// Makes the connection: it is authenticated, has said Hello on a bus, and has its names.
    ///
    /// # Errors
    /// Nothing can be reached, the other end refuses, or somebody else keeps a name.
    pub fn build(self) -> Result<Connection> {
        block(self.connect())
    }
}

impl Connection {
    /// Connects to the bus of the user's session: [`Builder::session`].
    ///
    /// # Errors
    /// As [`Builder::session`] and [`Builder::build`].
    pub fn session() -> Result<Self> {
        Builder::session()?.build()
    }

    /// Connects to the system bus: [`Builder::system`].
    ///
    /// # Errors
    /// As [`Builder::system`] and [`Builder::build`].
    pub fn system() -> Result<Self> {
        Builder::system()?.build()
    }

    /// The bus itself.
    #[must_use]
    pub fn bus(&self) -> Proxy {
        Proxy::of_bus(self)
    }

    /// Calls a method and waits for the reply, 25 s at most.
    ///
    /// # Errors
    /// The other side answers with an error ([`Error::Method`]) or not in time, a name is not valid, or the
    /// connection is over.
    pub fn call_method<'a, D, P, I, M, T>(
        &self,
        destination: Option<D>,
        path: P,
        interface: Option<I>,
        member: M,
        arguments: &T,
    ) -> Result<Message>
    where
        D: TryInto<BusName<'a>, Error: Into<Error>>,
        P: TryInto<ObjectPath<'a>, Error: Into<Error>>,
        I: TryInto<InterfaceName<'a>, Error: Into<Error>>,
        M: TryInto<MemberName<'a>, Error: Into<Error>>,
        T: Serialize + DynamicType + ?Sized,
    {
        let mut call = MethodCall::new(path, member)?;
        if let Some(destination) = destination {
            call = call.destination(destination)?;
        }
        if let Some(interface) = interface {
            call = call.interface(interface)?;
        }
        self.call(&call, arguments)
    }

    /// Calls and waits for the reply.
    ///
    /// # Errors
    /// As [`Connection::call_method`].
    pub fn call<T>(&self, call: &MethodCall<'_>, arguments: &T) -> Result<Message>
    where
        T: Serialize + DynamicType + ?Sized,
    {
        block(self.link().call(call, arguments))
    }

    /// Calls, and leaves the waiting for later: several calls may be under way at once.
    ///
    /// # Errors
    /// The call cannot be sent, or the connection is over.
    pub fn send<T>(&self, call: &MethodCall<'_>, arguments: &T) -> Result<PendingReply>
    where
        T: Serialize + DynamicType + ?Sized,
    {
        self.link().begin_call(call, arguments)
    }

    /// Calls without wanting a reply; nobody hears if it is refused.
    ///
    /// # Errors
    /// The call cannot be sent, or the connection is over.
    pub fn call_no_reply<T>(&self, call: &MethodCall<'_>, arguments: &T) -> Result<()>
    where
        T: Serialize + DynamicType + ?Sized,
    {
        block(self.link().call_no_reply(call, arguments))
    }

    /// Emits a signal: to all who asked for it, or to one.
    ///
    /// # Errors
    /// A name is not valid, the signal cannot be sent, or the connection is over.
    pub fn emit_signal<'a, P, I, M, T>(
        &self,
        destination: Option<BusName<'a>>,
        path: P,
        interface: I,
        member: M,
        arguments: &T,
    ) -> Result<()>
    where
        P: TryInto<ObjectPath<'a>, Error: Into<Error>>,
        I: TryInto<InterfaceName<'a>, Error: Into<Error>>,
        M: TryInto<MemberName<'a>, Error: Into<Error>>,
        T: Serialize + DynamicType + ?Sized,
    {
        let signal = SignalEmission {
            destination,
            path: path.try_into().map_err(Into::into)?,
            interface: interface.try_into().map_err(Into::into)?,
            member: member.try_into().map_err(Into::into)?,
        };
        block(self.link().emit(&signal, arguments))
    }

    /// The signals that a match rule is about, from now on: `type='signal',path='/a'`. A sender that is a
    /// well-known name is its owner at the time.
    ///
    /// # Errors
    /// It is no match rule, or the bus refuses it.
    pub fn receive_signals(&self, rule: &str) -> Result<SignalStream> {
        let rule = MatchRule { message_type: Some(MessageType::Signal), ..MatchRule::parse(rule)? };
        self.receive_signals_with(rule, DEFAULT_LENGTH_MAX, Overflow::DropOldest)
    }

    /// As [`Connection::receive_signals`], of which at most `length_max` wait to be read.
    ///
    /// # Errors
    /// The bus refuses the rule.
    pub fn receive_signals_with(
        &self,
        rule: MatchRule,
        length_max: usize,
        overflow: Overflow,
    ) -> Result<SignalStream> {
        block(Stream::begin(self.link(), rule, length_max, overflow)).map(SignalStream)
    }

    /// Requests a well-known name. It is not waited for if somebody else keeps it.
    ///
    /// # Errors
    /// Somebody else keeps it ([`Error::NameTaken`]), it is not valid, or the bus refuses it.
    pub fn request_name(&self, name: &str) -> Result<()> {
        let flags = RequestNameFlags { do_not_queue: true, ..Default::default() };
        match self.request_name_with(name, flags)? {
            RequestNameReply::Exists | RequestNameReply::InQueue => Err(Error::NameTaken),
            RequestNameReply::PrimaryOwner | RequestNameReply::AlreadyOwner => Ok(()),
        }
    }

    /// As [`Connection::request_name`], as `flags` say.
    ///
    /// # Errors
    /// It is not valid, or the bus refuses it.
    pub fn request_name_with(
        &self,
        name: &str,
        flags: RequestNameFlags,
    ) -> Result<RequestNameReply> {
        block(self.link().request_name(WellKnownName::parse(name)?, flags))
    }

    /// Lets go of a well-known name.
    ///
    /// # Errors
    /// It is not valid, or the bus refuses that.
    pub fn release_name(&self, name: &str) -> Result<ReleaseNameReply> {
        block(self.link().release_name(WellKnownName::parse(name)?))
    }
}

impl PendingReply {
    /// Waits for the reply.
    ///
    /// # Errors
    /// As [`Connection::call_method`].
    pub fn wait(self) -> Result<Message> {
        block(self.reply())
    }
}

impl Proxy {
    /// Calls a method and waits for what it returns: a tuple for several values, the value itself for one,
    /// `()` for none.
    ///
    /// # Errors
    /// As [`Connection::call_method`], and if what it returns is of another type.
    pub fn call<T, R>(&self, member: &str, arguments: &T) -> Result<R>
    where
        T: Serialize + DynamicType + ?Sized,
        R: for<'de> Deserialize<'de> + Type,
    {
        Ok(self.call_method(member, arguments)?.deserialize()?)
    }

    /// Calls a method and waits for the reply, from which values can be borrowed.
    ///
    /// # Errors
    /// As [`Connection::call_method`].
    pub fn call_method<T>(&self, member: &str, arguments: &T) -> Result<Message>
    where
        T: Serialize + DynamicType + ?Sized,
    {
        block(self.ask(member, arguments))
    }

    /// A property's value, asked for now.
    ///
    /// # Errors
    /// There is no such property, it may not be read, or is of another type.
    pub fn get_property<T>(&self, name: &str) -> Result<T>
    where
        T: Type + for<'de> Deserialize<'de>,
    {
        block(self.property(name))
    }

    /// Gives a property a value.
    ///
    /// # Errors
    /// There is no such property, it may not be written, or is of another type.
    pub fn set_property<T>(&self, name: &str, value: &T) -> Result<()>
    where
        T: Type + Serialize,
    {
        block(self.change_property(name, value))
    }

    /// Its signals of this name, from now on.
    ///
    /// # Errors
    /// `member` is no member name, or the bus refuses the match rule.
    pub fn receive_signal(&self, member: &str) -> Result<SignalStream> {
        let rule = self.rule(Some(member))?;
        self.connection().receive_signals_with(rule, DEFAULT_LENGTH_MAX, Overflow::DropOldest)
    }

    /// All its signals, from now on.
    ///
    /// # Errors
    /// The bus refuses the match rule.
    pub fn receive_all_signals(&self) -> Result<SignalStream> {
        let rule = self.rule(None)?;
        self.connection().receive_signals_with(rule, DEFAULT_LENGTH_MAX, Overflow::DropOldest)
    }
}

/// Signals, one after the other, without end: the iterator's last item is the error by which the connection
/// ended.
pub struct SignalStream(Stream<Blocking>);

impl SignalStream {
    /// Waits for the next signal.
    ///
    /// # Errors
    /// The connection is over.
    pub fn next_signal(&mut self) -> Result<Message> {
        block(self.0.next(Deadline::Never))
    }

    /// Waits for the next signal for so long.
    ///
    /// # Errors
    /// There was none ([`Error::TimedOut`]), or the connection is over.
    pub fn next_within(&mut self, timeout: Duration) -> Result<Message> {
        block(self.0.next(Deadline::after(Some(timeout))))
    }

    /// How many signals were let go since this was asked last, since nobody read them in time.
    pub const fn take_missed(&mut self) -> u64 {
        self.0.take_missed()
    }
}

impl Iterator for SignalStream {
    type Item = Result<Message>;

    fn next(&mut self) -> Option<Result<Message>> {
        if self.0.has_ended() {
            return None;
        }
        Some(self.next_signal())
    }
}

/// What a future of this style is done with: it never waits for anybody to ask again.
fn block<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}

fn wait<T>(
    link: &Link<Blocking>,
    mut ready: impl FnMut(&mut Shared) -> Option<T>,
    deadline: Deadline,
) -> Result<T> {
    let mut shared = link.lock();
    loop {
        if let Some(value) = ready(&mut shared) {
            return Ok(value);
        }
        if let Some(failure) = &shared.failure {
            return Err(failure.clone());
        }
        let left = deadline.left()?;
        shared = match () {
            () if !shared.is_read && shared.connection.may_read() => read(link, shared, left)?,
            () if shared.is_blocked() => write(link, shared, left)?,
            () => wait_for_reader(link, shared, left),
        };
    }
}

/// Reads for all.
fn read<'l>(
    link: &'l Link<Blocking>,
    mut shared: MutexGuard<'l, Shared>,
    left: Option<Duration>,
) -> Result<MutexGuard<'l, Shared>> {
    let is_blocked = shared.is_blocked();
    let mut buffer = shared.connection.take_buffer();
    shared.is_read = true;
    drop(shared);
    let mut fds = Vec::new();
    let is_direct = !is_blocked && left.is_none_or(|left| left >= DIRECT_READ_MIN);
    let result = match is_direct {
        true => link.socket().receive(buffer.space(), &mut fds, Patience::Waits),
        false => {
            let interest = if is_blocked { Interest::ReadingAndWriting } else { Interest::Reading };
            link.socket().wait(interest, left).and_then(|is_ready| match is_ready {
                true => link.socket().receive(buffer.space(), &mut fds, Patience::None),
                false => Ok(None),
            })
        }
    };
    let mut shared = link.lock();
    shared.is_read = false;
    link.handle_read(&mut shared, buffer, &mut fds, result);
    if is_blocked {
        link.write_some(&mut shared);
    }
    if shared.waiting_count > 0 {
        Blocking::wake(&link.signal);
    }
    Ok(shared)
}

/// Somebody else reads, or nobody may: writes what there was no room for.
fn write<'l>(
    link: &'l Link<Blocking>,
    shared: MutexGuard<'l, Shared>,
    left: Option<Duration>,
) -> Result<MutexGuard<'l, Shared>> {
    drop(shared);
    link.socket().wait(Interest::Writing, left)?;
    let mut shared = link.lock();
    link.write_some(&mut shared);
    Ok(shared)
}

/// Somebody else reads for all, or somebody must make room first.
fn wait_for_reader<'l>(
    link: &'l Link<Blocking>,
    mut shared: MutexGuard<'l, Shared>,
    left: Option<Duration>,
) -> MutexGuard<'l, Shared> {
    shared.waiting_count += 1;
    let mut shared = match left {
        None => link.signal.wait(shared).unwrap_or_else(PoisonError::into_inner),
        Some(left) => {
            let woken = link.signal.wait_timeout(shared, left);
            woken.unwrap_or_else(PoisonError::into_inner).0
        }
    };
    shared.waiting_count -= 1;
    shared
}
