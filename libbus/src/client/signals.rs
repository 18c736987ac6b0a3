//! Signals, in streams (tools.md D081).

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use serde::Serialize;
use zbus::wire::DynamicType;

use super::error::{Error, Result};
use super::link::{Deadline, Expects, Link, Shared, Style};
use crate::connection::{BUS, Overflow, StreamId, Streamed};
use crate::match_rule::{ArgumentMatch, MatchRule};
use crate::message::Message;
use crate::names::{BusName, InterfaceName, MemberName, ObjectPath, WellKnownName};
use crate::wire::{Flags, Header, MessageType};

/// How many signals wait in a stream for which nothing else was said.
const DEFAULT_LENGTH_MAX: usize = 1024;
/// The same, with what becomes of more.
pub(super) const DEFAULT_BOUND: (usize, Overflow) = (DEFAULT_LENGTH_MAX, Overflow::DropOldest);

/// A signal to be emitted, but for its arguments.
pub(crate) struct SignalEmission<'a> {
    pub(crate) destination: Option<BusName<'a>>,
    pub(crate) path: ObjectPath<'a>,
    pub(crate) interface: InterfaceName<'a>,
    pub(crate) member: MemberName<'a>,
}

impl<'a> SignalEmission<'a> {
    pub(crate) fn header(&self) -> Header<'a> {
        let mut header = Header::new(MessageType::Signal, NonZeroU32::MIN);
        header.flags = Flags::NO_REPLY_EXPECTED;
        header.destination = self.destination;
        header.path = Some(self.path);
        header.interface = Some(self.interface);
        header.member = Some(self.member);
        header
    }
}

impl<S: Style> Link<S> {
    /// Emits a signal, and waits until it has left.
    pub(crate) async fn emit<T>(&self, signal: &SignalEmission<'_>, arguments: &T) -> Result<()>
    where
        T: Serialize + DynamicType + ?Sized,
    {
        let deadline = self.call_deadline();
        let header = signal.header();
        let serial = self.send_in_time(&header, arguments, Expects::Nothing, deadline).await?;
        self.leave(serial, deadline).await
    }
}

/// The signals that a match rule is about, from when it was made.
///
/// ```
/// # #[cfg(not(feature = "blocking"))]
/// # fn main() {}
/// # #[cfg(feature = "blocking")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if libbus::TestBus::program().is_none() { return Ok(()) }
/// # let bus = libbus::TestBus::start()?;
/// # let connection = libbus::blocking::Builder::address(bus.address())?.build()?;
/// let mut signals = connection.receive_signals("interface='org.example.Clock',member='Rang'")?;
/// connection.emit_signal(None, "/clock", "org.example.Clock", "Rang", &("tea", 3u32))?;
/// let signal = signals.next_signal()?;
/// assert_eq!(signal.deserialize::<(&str, u32)>()?, ("tea", 3));
/// # Ok(())
/// # }
/// ```
pub struct SignalStream<S: Style> {
    link: Arc<Link<S>>,
    id: StreamId,
    rule: String,
    /// Whose owner is followed.
    sender: Option<Box<str>>,
    missed: u64,
    /// Whether the connection was lost and made again since that was asked last.
    was_interrupted: bool,
    has_ended: bool,
    /// Whether it was about a program on a bus that is lost.
    is_gone: bool,
    parked: S::Parked,
}

impl<S: Style> SignalStream<S> {
    /// Asks the bus for what `rule` is about.
    pub(crate) async fn begin(
        link: &Arc<Link<S>>,
        mut rule: MatchRule,
        length_max: usize,
        overflow: Overflow,
    ) -> Result<Self> {
        let is_on_bus = link.lock_here()?.is_on_bus;
        if !is_on_bus {
            // There is one who sends, and it has no name.
            rule.sender = None;
        }
        let text = rule.to_string();
        let sender = rule.sender.clone().filter(|sender| is_well_known(sender));
        link.connected(link.call_deadline()).await?;
        let (id, serial) = {
            let mut shared = link.lock();
            if let Some(failure) = &shared.failure {
                return Err(failure.clone());
            }
            if let Some(name) = sender.as_deref().and_then(|name| WellKnownName::parse(name).ok()) {
                shared.connection.follow_owner(name)?;
            }
            let id = shared.connection.begin_stream(rule, length_max, overflow);
            // At once: a bus that takes the place of this one is asked for what all streams are about.
            let serial = is_on_bus.then(|| shared.connection.add_match(id));
            link.write_some(&mut shared);
            (id, serial)
        };
        // What comes before the bus's answer may already be for it.
        let (link, parked) = (Arc::clone(link), S::Parked::default());
        let stream = Self {
            link,
            id,
            rule: text,
            sender,
            missed: 0,
            was_interrupted: false,
            has_ended: false,
            is_gone: false,
            parked,
        };
        if let Some(serial) = serial {
            stream.link.reply_to(serial?).await?;
        }
        Ok(stream)
    }

    /// The next signal, once there is one.
    pub(crate) async fn take_next(&mut self, deadline: Deadline) -> Result<Message> {
        loop {
            if let Some(signal) = self.take_next_or_missed(deadline).await? {
                return Ok(signal);
            }
        }
    }

    /// The next signal; nothing where some were let go.
    pub(crate) async fn take_next_or_missed(
        &mut self,
        deadline: Deadline,
    ) -> Result<Option<Message>> {
        let told = self.take_one_unless(|_| false, deadline).await?;
        Ok(told.and_then(|told| told))
    }

    /// The next signal; nothing, once `is_over` says so and nothing has come before.
    pub(crate) async fn take_next_unless(
        &mut self,
        is_over: impl Fn(&Shared) -> bool + Send + Sync,
        deadline: Deadline,
    ) -> Result<Option<Message>> {
        loop {
            match self.take_one_unless(&is_over, deadline).await? {
                None => return Ok(None),
                Some(Some(signal)) => return Ok(Some(signal)),
                Some(None) => {}
            }
        }
    }

    /// The next signal, or that some were let go; nothing, once `is_over` says so.
    async fn take_one_unless(
        &mut self,
        is_over: impl Fn(&Shared) -> bool + Send + Sync,
        deadline: Deadline,
    ) -> Result<Option<Option<Message>>> {
        if self.is_gone {
            return Err(Error::SenderGone);
        }
        let id = self.id;
        let next = |shared: &mut Shared| match shared.connection.next_of(id) {
            None => is_over(shared).then_some(None),
            next => Some(next),
        };
        let told = S::wait(&self.link, next, deadline).await;
        let told = told.inspect_err(|error| self.note_failure(error))?;
        told.map(|told| self.take_told(told)).transpose()
    }

    /// The next signal past interruptions, which it notes; nothing at the end.
    pub(crate) async fn take_next_or_end(&mut self) -> Option<Message> {
        while !self.has_ended {
            match self.take_next(Deadline::Never).await {
                Ok(signal) => return Some(signal),
                Err(Error::Interrupted) => {}
                Err(_) => return None,
            }
        }
        None
    }

    /// The signal, if what was told is one.
    ///
    /// # Errors
    /// It is interrupted, or over.
    pub(crate) fn take_told(&mut self, told: Streamed) -> Result<Option<Message>> {
        match told {
            Streamed::Missed(count) => {
                self.missed += count;
                Ok(None)
            }
            Streamed::Interrupted => {
                self.was_interrupted = true;
                Err(Error::Interrupted)
            }
            Streamed::Ended => {
                (self.has_ended, self.is_gone) = (true, true);
                Err(Error::SenderGone)
            }
            Streamed::Signal(signal) => {
                self.link.wake_reader();
                Ok(Some(signal))
            }
        }
    }

    /// What wakes it once it was polled, and its connection.
    #[cfg(feature = "async")]
    pub(crate) const fn parked(&mut self) -> (&mut S::Parked, &Arc<Link<S>>) {
        (&mut self.parked, &self.link)
    }

    /// What was read already, without waiting.
    pub(crate) fn take_read(&mut self) -> Option<Streamed> {
        let next = self.link.lock_here().ok()?.connection.next_of(self.id);
        if matches!(next, Some(Streamed::Ended)) {
            (self.has_ended, self.is_gone) = (true, true);
        }
        if next.is_some() {
            self.link.wake_reader();
        }
        next
    }

    /// Which stream of the connection it is.
    pub(crate) const fn id(&self) -> StreamId {
        self.id
    }

    /// What is asked beside it failed, perhaps since the connection is over.
    pub(crate) const fn note_failure(&mut self, error: &Error) {
        self.has_ended |= error.is_disconnected();
    }

    /// Whether the error was told by which the connection ended.
    pub(crate) const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// How many signals were let go since this was asked last, since nobody read them in time.
    pub const fn take_missed(&mut self) -> u64 {
        let missed = self.missed;
        self.missed = 0;
        missed
    }

    /// Whether the connection was lost and made again since this was asked last, so that signals may have been missed
    /// that nobody could count.
    pub const fn take_interrupted(&mut self) -> bool {
        std::mem::replace(&mut self.was_interrupted, false)
    }
}

impl<S: Style> fmt::Debug for SignalStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignalStream").field("rule", &self.rule).finish_non_exhaustive()
    }
}

/// A stream for which nothing else was said.
pub(crate) async fn begin_default<S: Style>(
    link: &Arc<Link<S>>,
    rule: MatchRule,
) -> Result<SignalStream<S>> {
    let (length_max, overflow) = DEFAULT_BOUND;
    SignalStream::begin(link, rule, length_max, overflow).await
}

/// The first argument is to be this string.
pub(crate) fn first_is(text: &str) -> Box<[(u8, ArgumentMatch)]> {
    Box::new([(0, ArgumentMatch::Equal(text.into()))])
}

/// The bus itself and unique names are senders as they are.
pub(crate) fn is_well_known(sender: &str) -> bool {
    !sender.starts_with(':') && sender != BUS.as_str()
}

impl<S: Style> Drop for SignalStream<S> {
    fn drop(&mut self) {
        if self.link.check_process().is_err() {
            // What wakes it has a lock, too, whose holder may be missing.
            std::mem::forget(std::mem::take(&mut self.parked));
            return;
        }
        S::unpark(&mut self.parked, &self.link);
        let mut shared = self.link.lock();
        if shared.failure.is_none() && shared.is_on_bus {
            shared.connection.remove_match(self.id);
        }
        shared.connection.end_stream(self.id);
        if let Some(name) = self.sender.as_deref().and_then(|name| WellKnownName::parse(name).ok())
        {
            shared.connection.forget_owner(name);
        }
        // If there is no room it leaves with what is sent next.
        self.link.write_some(&mut shared);
        drop(shared);
        self.link.wake_reader();
    }
}
