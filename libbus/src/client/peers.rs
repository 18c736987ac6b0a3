//! Who has a name, and who that is (tools.md D083, D084).

use std::collections::HashMap;
use std::fmt;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use zbus::wire::{Array, Variant};

use super::call::MethodCall;
use super::connection::Connection;
use super::error::{Error, Result};
use super::link::{Deadline, Link, Shared, Style};
use super::names::{RequestNameFlags, RequestNameReply, bus_call};
use super::signals::{SignalStream, begin_default, first_is};
use crate::connection::{BUS, BUS_INTERFACE, BUS_PATH, Streamed};
use crate::match_rule::{MatchRule, PathMatch};
use crate::message::Message;
use crate::names::{BusName, WellKnownName};
use crate::standard_error;
use crate::wire::MessageType;

/// What the bus knows of who is connected (protocol.md A191, A192): what it does not know is missing.
///
/// ```
/// # #[cfg(not(feature = "blocking"))]
/// # fn main() {}
/// # #[cfg(feature = "blocking")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if libbus::TestBus::program().is_none() { return Ok(()) }
/// # let bus = libbus::TestBus::start()?;
/// # let connection = libbus::blocking::Builder::address(bus.address())?.build()?;
/// let name = connection.unique_name().unwrap_or_default();
/// let credentials = connection.credentials(name)?;
/// assert_eq!(credentials.pid, Some(std::process::id()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Credentials {
    /// The user.
    pub uid: Option<u32>,
    /// The process, which may have ended since; `process_fd` cannot be mistaken.
    pub pid: Option<u32>,
    /// The process, as a descriptor of its own.
    pub process_fd: Option<OwnedFd>,
    /// The user's groups, the first one among them.
    pub groups: Option<Vec<u32>>,
    /// What a security module calls it, without the NUL at its end.
    pub security_label: Option<Vec<u8>>,
}

impl Credentials {
    fn of(reply: &Message) -> Result<Self> {
        let mut credentials = Self::default();
        for (key, value) in reply.deserialize::<HashMap<&str, Variant<'_>>>()? {
            match (key, value) {
                ("UnixUserID", Variant::U32(uid)) => credentials.uid = Some(uid),
                ("ProcessID", Variant::U32(pid)) => credentials.pid = Some(pid),
                ("ProcessFD", Variant::Fd(fd)) => {
                    credentials.process_fd = Some(fd.as_fd().try_clone_to_owned()?);
                }
                ("UnixGroupIDs", Variant::Array(groups)) => {
                    credentials.groups = Some(numbers(&groups));
                }
                ("LinuxSecurityLabel", Variant::Array(label)) => {
                    let bytes = label.iter().filter_map(|byte| match byte {
                        Variant::U8(byte) => Some(*byte),
                        _ => None,
                    });
                    credentials.security_label =
                        Some(bytes.take_while(|byte| *byte != 0).collect());
                }
                _ => {}
            }
        }
        Ok(credentials)
    }
}

fn numbers(array: &Array<'_>) -> Vec<u32> {
    let number = |value: &Variant<'_>| match value {
        Variant::U32(number) => Some(*number),
        _ => None,
    };
    array.iter().filter_map(number).collect()
}

impl<S: Style> Link<S> {
    pub(crate) async fn credentials(&self, name: &str) -> Result<Credentials> {
        let name = BusName::parse(name)?;
        let reply = self.call(&bus_call("GetConnectionCredentials"), name.as_str()).await?;
        Credentials::of(&reply)
    }
}

/// What the bus tells of a name: rule for one of its signals.
pub(crate) fn rule_of_bus(member: &str, name: &str) -> MatchRule {
    MatchRule {
        message_type: Some(MessageType::Signal),
        sender: Some(BUS.as_str().into()),
        interface: Some(BUS_INTERFACE.as_str().into()),
        member: Some(member.into()),
        path: Some(PathMatch::Exact(BUS_PATH.as_str().into())),
        arguments: first_is(name),
        ..MatchRule::default()
    }
}

/// The owners of a name, one after the other, from the present one on.
///
/// ```
/// # #[cfg(not(feature = "blocking"))]
/// # fn main() {}
/// # #[cfg(feature = "blocking")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if libbus::TestBus::program().is_none() { return Ok(()) }
/// # let bus = libbus::TestBus::start()?;
/// # let connection = libbus::blocking::Builder::address(bus.address())?.build()?;
/// let mut watch = connection.watch_name("org.example.Clock")?;
/// assert_eq!(watch.next_owner()?, None);
/// connection.request_name("org.example.Clock")?;
/// assert_eq!(watch.next_owner()?.as_deref(), connection.unique_name());
/// # Ok(())
/// # }
/// ```
pub struct NameWatch<S: Style> {
    connection: Connection<S>,
    name: Box<str>,
    changes: SignalStream<S>,
    /// Who has it at first, until that is told.
    first: Option<Option<String>>,
    /// Whether the name was a unique one on a bus that is lost.
    is_gone: bool,
    /// Whether the bus is to be asked, since the connection was lost: until it has answered, whoever waits.
    must_ask: bool,
    /// What is asked while it is polled.
    #[cfg(feature = "async")]
    asking: std::sync::Mutex<Option<Asking>>,
}

impl<S: Style> NameWatch<S> {
    pub(crate) async fn begin(connection: &Connection<S>, name: &str) -> Result<Self> {
        let name = BusName::parse(name)?.as_str();
        let rule = rule_of_bus("NameOwnerChanged", name);
        let changes = begin_default(connection.link(), rule).await?;
        let connection = connection.clone();
        let mut watch = Self {
            connection,
            name: name.into(),
            changes,
            first: None,
            is_gone: false,
            must_ask: false,
            #[cfg(feature = "async")]
            asking: std::sync::Mutex::default(),
        };
        watch.first = Some(watch.ask().await?);
        Ok(watch)
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[cfg(feature = "async")]
    pub(crate) const fn take_first(&mut self) -> Option<Option<String>> {
        self.first.take()
    }

    /// What is told of changes. After an interruption, which [`NameWatch::note_interruption`] is to be told, the bus
    /// must be asked.
    #[cfg(feature = "async")]
    pub(crate) const fn signals(&mut self) -> &mut SignalStream<S> {
        &mut self.changes
    }

    /// Whether the error was told by which the connection ended.
    #[cfg(feature = "blocking")]
    pub(crate) const fn has_ended(&self) -> bool {
        self.changes.has_ended()
    }

    /// The present owner at first, and then each other one; `None`: nobody.
    pub(crate) async fn take_next(&mut self) -> Result<Option<String>> {
        if let Some(owner) = self.first.take() {
            return Ok(owner);
        }
        loop {
            if self.is_gone {
                return Err(Error::SenderGone);
            }
            if self.must_ask {
                return self.ask().await;
            }
            match self.changes.take_next(Deadline::Never).await {
                Ok(change) => {
                    if let Some(owner) = owner_in(&change) {
                        return Ok(owner);
                    }
                }
                Err(Error::Interrupted) => {
                    if let Some(owner) = self.note_interruption() {
                        return Ok(owner);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The connection was lost: the next bus is to be asked. It answers at once where the name was a unique one, which
    /// on another bus is somebody else's.
    pub(crate) fn note_interruption(&mut self) -> Option<Option<String>> {
        self.is_gone = self.name.starts_with(':');
        self.must_ask = !self.is_gone;
        self.is_gone.then_some(None)
    }

    async fn ask(&mut self) -> Result<Option<String>> {
        let link = Arc::clone(self.connection.link());
        loop {
            let answer = link.call(&GET_NAME_OWNER, &*self.name).await;
            if let Some(owner) = self.take_answer(answer) {
                return owner;
            }
        }
    }

    /// Who has the name by this answer to the question for it. Nothing if the bus is another one since, which must
    /// be asked again.
    fn take_answer(&mut self, answer: Result<Message>) -> Option<Result<Option<String>>> {
        match owner_by(answer, &mut self.changes) {
            Ok(Asked::Owner(owner)) => {
                self.must_ask = false;
                Some(Ok(owner))
            }
            Ok(Asked::Interrupted) => self.note_interruption().map(Ok),
            Err(error) => {
                // Of a connection that is over there is nothing more to ask.
                self.must_ask &= !error.is_disconnected();
                Some(Err(error))
            }
        }
    }

    /// Goes on to ask, where it is polled and must.
    #[cfg(feature = "async")]
    pub(crate) fn poll_asking(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Option<String>>>> {
        use std::task::Poll;

        loop {
            let asking = self.asking.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
            if !self.must_ask {
                *asking = None;
                return Poll::Ready(None);
            }
            let (link, name) = (self.connection.link(), &self.name);
            let future = asking.get_or_insert_with(|| {
                let (link, name) = (Arc::clone(link), name.clone());
                Box::pin(async move { link.call(&GET_NAME_OWNER, &*name).await })
            });
            let Poll::Ready(answer) = future.as_mut().poll(context) else { return Poll::Pending };
            *asking = None;
            if let Some(owner) = self.take_answer(answer) {
                return Poll::Ready(Some(owner));
            }
        }
    }

    /// Whether the name was a unique one on a bus that is lost.
    #[cfg(feature = "async")]
    pub(crate) const fn is_gone(&self) -> bool {
        self.is_gone
    }
}

impl<S: Style> fmt::Debug for NameWatch<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameWatch").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A question to the bus.
#[cfg(feature = "async")]
type Asking = std::pin::Pin<Box<dyn Future<Output = Result<Message>> + Send>>;

const GET_NAME_OWNER: MethodCall<'static> = bus_call("GetNameOwner");
const NO_OWNER: &str = standard_error::NAME_HAS_NO_OWNER.as_str();

/// What came of the question who has a name.
pub(super) enum Asked {
    /// This one, or nobody.
    Owner(Option<String>),
    /// The connection was lost meanwhile: the next bus is to be asked.
    Interrupted,
}

/// Asks the bus who has a name, of which `changes` tells.
pub(super) async fn ask_owner<S: Style>(
    connection: &Connection<S>,
    name: &str,
    changes: &mut SignalStream<S>,
) -> Result<Asked> {
    let answer = connection.link().call(&GET_NAME_OWNER, name).await;
    owner_by(answer, changes)
}

/// Who has the name of which `changes` tells, by the answer to that question. What was told meanwhile is in the
/// answer, or newer than it: what was told last is so in either case.
fn owner_by<S: Style>(answer: Result<Message>, changes: &mut SignalStream<S>) -> Result<Asked> {
    let mut is_interrupted = matches!(answer, Err(Error::CallLost(_)));
    let mut newest = None;
    while let Some(told) = changes.take_read() {
        match told {
            Streamed::Interrupted => is_interrupted = true,
            Streamed::Signal(change) => newest = owner_in(&change).or(newest),
            Streamed::Missed(_) | Streamed::Ended => {}
        }
    }
    if is_interrupted {
        return Ok(Asked::Interrupted);
    }
    Ok(Asked::Owner(match (newest, answer) {
        (Some(owner), _) => owner,
        (None, Ok(reply)) => Some(reply.deserialize::<&str>()?.to_owned()),
        (None, Err(error)) if error.is_method_error(NO_OWNER) => None,
        (None, Err(error)) => return Err(error),
    }))
}

/// Who has a name after this change.
pub(super) fn owner_in(change: &Message) -> Option<Option<String>> {
    let (_, _, owner) = change.deserialize::<(&str, &str, &str)>().ok()?;
    Some((!owner.is_empty()).then(|| owner.to_owned()))
}

/// What becomes of a name that a program has or waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameEvent {
    /// The program is its owner now.
    Acquired,
    /// It is no more: somebody replaced it, the name was let go, or the connection was lost.
    Lost,
}

/// A well-known name that is had, or waited for, until this is dropped.
///
/// ```
/// # #[cfg(not(feature = "blocking"))]
/// # fn main() {}
/// # #[cfg(feature = "blocking")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if libbus::TestBus::program().is_none() { return Ok(()) }
/// # let bus = libbus::TestBus::start()?;
/// # let connection = libbus::blocking::Builder::address(bus.address())?.build()?;
/// use libbus::{NameEvent, RequestNameFlags};
///
/// let flags = RequestNameFlags { allow_replacement: true, ..Default::default() };
/// let mut name = connection.own_name("org.example.Clock", flags)?;
/// assert!(name.is_owner());
///
/// let other = libbus::blocking::Builder::address(bus.address())?.build()?;
/// let flags = RequestNameFlags { replace_existing: true, ..Default::default() };
/// other.request_name_with("org.example.Clock", flags)?;
/// assert_eq!(name.next_event()?, NameEvent::Lost);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct OwnedName<S: Style> {
    connection: Connection<S>,
    name: Box<str>,
    /// What the bus says about it.
    events: SignalStream<S>,
    is_owner: bool,
}

impl<S: Style> OwnedName<S> {
    pub(crate) async fn request(
        connection: &Connection<S>,
        name: &str,
        flags: RequestNameFlags,
    ) -> Result<Self> {
        let name = WellKnownName::parse(name)?;
        let link = connection.link();
        // In one stream, so that what became of it is known in order.
        let rule = MatchRule { member: None, ..rule_of_bus("", name.as_str()) };
        let events = begin_default(link, rule).await?;
        let reply = link.request_name(name, flags).await?;
        let mut owned = Self {
            connection: connection.clone(),
            name: name.as_str().into(),
            events,
            is_owner: false,
        };
        match reply {
            RequestNameReply::Exists => return Err(Error::NameTaken),
            RequestNameReply::InQueue => {}
            RequestNameReply::PrimaryOwner | RequestNameReply::AlreadyOwner => {
                // The bus told of it before, which is no event any more.
                owned.is_owner = true;
            }
        }
        Ok(owned)
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the program is its owner, as far as events were taken.
    #[must_use]
    pub const fn is_owner(&self) -> bool {
        self.is_owner
    }

    /// What becomes of it next: these two come in turn.
    pub(crate) async fn take_next(&mut self) -> Result<NameEvent> {
        loop {
            let is_owner = match self.take_event().await {
                Ok(signal) => match signal.header().member.map_or("", |member| member.as_str()) {
                    "NameAcquired" => true,
                    "NameLost" => false,
                    _ => continue,
                },
                // The owner of a name is so on one bus.
                Err(Error::Interrupted) => false,
                Err(error) => return Err(error),
            };
            if std::mem::replace(&mut self.is_owner, is_owner) != is_owner {
                return Ok(if is_owner { NameEvent::Acquired } else { NameEvent::Lost });
            }
        }
    }

    /// What is told next; that nothing will be, once the program has not the name and does not wait for it.
    async fn take_event(&mut self) -> Result<Message> {
        let (name, is_owner) = (&*self.name, self.is_owner);
        let is_over = move |shared: &Shared| {
            !is_owner && shared.is_whole() && !shared.connection.is_name_wanted(name)
        };
        self.events.take_next_unless(is_over, Deadline::Never).await?.ok_or(Error::NameTaken)
    }
}

impl<S: Style> Drop for OwnedName<S> {
    fn drop(&mut self) {
        if let Ok(name) = WellKnownName::parse(&self.name) {
            // If there is no room it leaves with what is sent next.
            let _ = self.connection.link().with_state(|state| state.release_name(name, false));
        }
    }
}
