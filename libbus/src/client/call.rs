//! Calls (tools.md D080).

use std::fmt;
use std::num::NonZeroU32;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use zbus::wire::DynamicType;

use super::error::{Error, MethodError, Result};
use super::link::{Deadline, Expects, Link, Shared, Style};
use crate::connection::SendError;
use crate::message::Message;
use crate::names::{BusName, InterfaceName, MemberName, ObjectPath};
use crate::wire::{Flags, Header, MessageType};

/// A call, but for its arguments: whom, what, and how long to wait.
///
/// ```
/// use libbus::MethodCall;
///
/// let call = MethodCall::new("/org/freedesktop/DBus", "GetId")?
///     .destination("org.freedesktop.DBus")?
///     .interface("org.freedesktop.DBus")?;
/// # Ok::<(), libbus::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MethodCall<'a> {
    pub(crate) destination: Option<BusName<'a>>,
    pub(crate) path: ObjectPath<'a>,
    pub(crate) interface: Option<InterfaceName<'a>>,
    pub(crate) member: MemberName<'a>,
    flags: Flags,
    waits: Waits,
}

/// How long a call waits for its reply.
#[derive(Clone, Copy, Debug)]
enum Waits {
    /// As long as those of its connection of which nothing else is said.
    AsConnection,
    /// For so long at most.
    AtMost(Duration),
    ForEver,
}

impl<'a> MethodCall<'a> {
    /// A call of the method `member` of the object at `path`.
    ///
    /// # Errors
    /// One of them is not valid (protocol.md A024, A027).
    pub fn new<P, M>(path: P, member: M) -> Result<Self>
    where
        P: TryInto<ObjectPath<'a>, Error: Into<Error>>,
        M: TryInto<MemberName<'a>, Error: Into<Error>>,
    {
        Ok(Self::of(path.try_into().map_err(Into::into)?, member.try_into().map_err(Into::into)?))
    }

    pub(crate) const fn of(path: ObjectPath<'a>, member: MemberName<'a>) -> Self {
        Self {
            destination: None,
            path,
            interface: None,
            member,
            flags: Flags::empty(),
            waits: Waits::AsConnection,
        }
    }

    /// Who is called: a unique or a well-known name. Without one it is the peer at the other end, on a bus
    /// the bus itself.
    ///
    /// # Errors
    /// It is no bus name (protocol.md A028, A029).
    pub fn destination<N: TryInto<BusName<'a>, Error: Into<Error>>>(self, name: N) -> Result<Self> {
        Ok(Self { destination: Some(name.try_into().map_err(Into::into)?), ..self })
    }

    /// Of which interface the method is; without one the object chooses.
    ///
    /// # Errors
    /// It is no interface name (protocol.md A025).
    pub fn interface<N: TryInto<InterfaceName<'a>, Error: Into<Error>>>(
        self,
        name: N,
    ) -> Result<Self> {
        Ok(Self { interface: Some(name.try_into().map_err(Into::into)?), ..self })
    }

    /// How long to wait for the reply; `None` is for ever. As long as the connection says
    /// ([`Builder::call_timeout`](super::Builder::call_timeout)), 25 s, if nothing else is said.
    #[must_use]
    pub fn timeout(self, timeout: Option<Duration>) -> Self {
        Self { waits: timeout.map_or(Waits::ForEver, Waits::AtMost), ..self }
    }

    /// Whether a service that is not running may be started for it, as is so if nothing is said
    /// (protocol.md A035).
    #[must_use]
    pub fn auto_start(self, may_start: bool) -> Self {
        self.with(Flags::NO_AUTO_START, !may_start)
    }

    /// Whether the called program may ask the user to authorize it, which may take a while
    /// (protocol.md A036).
    #[must_use]
    pub fn interactive_authorization(self, is_allowed: bool) -> Self {
        self.with(Flags::ALLOW_INTERACTIVE_AUTHORIZATION, is_allowed)
    }

    fn with(self, flag: Flags, is_set: bool) -> Self {
        let others = Flags::from_bits_truncate(self.flags.bits() & !flag.bits());
        let flags = if is_set { others.union(flag) } else { others };
        Self { flags, ..self }
    }

    fn header(&self) -> Header<'a> {
        let mut header = Header::new(MessageType::MethodCall, NonZeroU32::MIN);
        header.flags = self.flags;
        header.destination = self.destination;
        header.path = Some(self.path);
        header.interface = self.interface;
        header.member = Some(self.member);
        header
    }
}

impl<S: Style> Link<S> {
    /// Until when this call waits, if it is begun now.
    fn deadline_of(&self, call: &MethodCall<'_>) -> Deadline {
        match call.waits {
            Waits::AsConnection => self.call_deadline(),
            Waits::AtMost(timeout) => Deadline::after(Some(timeout)),
            Waits::ForEver => Deadline::Never,
        }
    }

    /// Calls and waits for the reply.
    pub(crate) async fn call<T>(&self, call: &MethodCall<'_>, arguments: &T) -> Result<Message>
    where
        T: Serialize + DynamicType + ?Sized,
    {
        let deadline = self.deadline_of(call);
        let serial = self.send_in_time(&call.header(), arguments, Expects::Reply, deadline).await?;
        Awaited::new(self, serial).reply(deadline).await
    }

    /// Waits for the reply to a call that was sent, as long as one waits where nothing else is said.
    pub(crate) async fn reply_to(&self, serial: NonZeroU32) -> Result<Message> {
        Awaited::new(self, serial).reply(self.call_deadline()).await
    }

    /// Calls, so that the reply can be waited for later.
    pub(crate) fn begin_call<T>(
        self: &Arc<Self>,
        call: &MethodCall<'_>,
        arguments: &T,
    ) -> Result<PendingReply<S>>
    where
        T: Serialize + DynamicType + ?Sized,
    {
        let (header, deadline) = (call.header(), self.deadline_of(call));
        let serial = loop {
            match self.send(&header, arguments, Expects::Reply) {
                Err(Error::Send(SendError::QueueFull)) => S::make_room(self, deadline)?,
                result => break result?,
            }
        };
        Ok(PendingReply { awaited: Awaited::new(Arc::clone(self), serial), deadline })
    }

    /// Calls without wanting a reply, and waits until the call has left.
    pub(crate) async fn call_no_reply<T>(&self, call: &MethodCall<'_>, arguments: &T) -> Result<()>
    where
        T: Serialize + DynamicType + ?Sized,
    {
        let deadline = self.deadline_of(call);
        let header = call.with(Flags::NO_REPLY_EXPECTED, true).header();
        let serial = self.send_in_time(&header, arguments, Expects::Nothing, deadline).await?;
        self.leave(serial, deadline).await
    }
}

/// A call whose reply somebody waits for. Who does not wait any more lets go of it, and what comes is for
/// nobody.
struct Awaited<S: Style, L: Deref<Target = Link<S>>> {
    link: L,
    serial: NonZeroU32,
    /// Whether somebody has begun to wait. Then it is of no use to send the call after that.
    is_waited_for: bool,
}

impl<S: Style, L: Deref<Target = Link<S>>> Awaited<S, L> {
    const fn new(link: L, serial: NonZeroU32) -> Self {
        Self { link, serial, is_waited_for: false }
    }

    async fn reply(mut self, deadline: Deadline) -> Result<Message> {
        self.is_waited_for = true;
        let serial = self.serial;
        let take = move |shared: &mut Shared| {
            let connection = &mut shared.connection;
            let lost = |lost| Err(Error::CallLost(lost));
            let reply = connection.take_reply(serial).map(Ok);
            reply.or_else(|| connection.take_lost_call(serial).map(lost))
        };
        unless_error(S::wait(&self.link, take, deadline).await??)
    }
}

impl<S: Style, L: Deref<Target = Link<S>>> Drop for Awaited<S, L> {
    fn drop(&mut self) {
        let Ok(mut shared) = self.link.lock_here() else { return };
        if self.is_waited_for && shared.is_blocked() {
            shared.connection.take_back(self.serial);
        }
        shared.connection.forget_reply(self.serial);
    }
}

fn unless_error(reply: Message) -> Result<Message> {
    match MethodError::new(reply.clone()) {
        Some(error) => Err(Error::Method(error)),
        None => Ok(reply),
    }
}

/// A call that was sent and whose reply has not been waited for. Dropping it cancels that: the reply is for
/// nobody then. A call whose reply was waited for in vain, and which has not begun to leave, since the other end does
/// not read, does not leave any more.
///
/// ```
/// # #[cfg(not(feature = "blocking"))]
/// # fn main() {}
/// # #[cfg(feature = "blocking")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if libbus::TestBus::program().is_none() { return Ok(()) }
/// # let bus = libbus::TestBus::start()?;
/// # let connection = libbus::blocking::Builder::address(bus.address())?.build()?;
/// use libbus::MethodCall;
///
/// let call = MethodCall::new("/org/freedesktop/DBus", "NameHasOwner")?
///     .destination("org.freedesktop.DBus")?;
/// // All are under way before the first is waited for.
/// let names = ["org.freedesktop.DBus", "org.example.Nobody"];
/// let pending = names.map(|name| connection.send(&call, name));
/// let mut owned = Vec::new();
/// for reply in pending {
///     owned.push(reply?.wait()?.deserialize::<bool>()?);
/// }
/// assert_eq!(owned, [true, false]);
/// # Ok(())
/// # }
/// ```
pub struct PendingReply<S: Style> {
    awaited: Awaited<S, Arc<Link<S>>>,
    deadline: Deadline,
}

impl<S: Style> PendingReply<S> {
    pub(crate) async fn reply(self) -> Result<Message> {
        self.awaited.reply(self.deadline).await
    }

    /// The call's serial.
    #[must_use]
    pub const fn serial(&self) -> NonZeroU32 {
        self.awaited.serial
    }
}

impl<S: Style> fmt::Debug for PendingReply<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingReply").field("serial", &self.serial()).finish_non_exhaustive()
    }
}
