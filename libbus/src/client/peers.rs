//! Who has a name, and who that is (tools.md D083, D084).

use std::collections::HashMap;
use std::os::fd::{AsFd as _, OwnedFd};

use zbus::wire::{Array, Variant};

use super::connection::Connection;
use super::error::{Error, Result};
use super::link::{Deadline, Link, Style};
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
#[derive(Debug)]
pub struct NameWatch<S: Style> {
    connection: Connection<S>,
    name: Box<str>,
    changes: SignalStream<S>,
    /// Who has it at first, until that is told.
    first: Option<Option<String>>,
}

impl<S: Style> NameWatch<S> {
    pub(crate) async fn begin(connection: &Connection<S>, name: &str) -> Result<Self> {
        let name = BusName::parse(name)?.as_str();
        let rule = rule_of_bus("NameOwnerChanged", name);
        let changes = begin_default(connection.link(), rule).await?;
        let connection = connection.clone();
        let mut watch = Self { connection, name: name.into(), changes, first: None };
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
            let change = self.changes.take_next(Deadline::Never).await?;
            if let Some(owner) = owner_in(&change) {
                return Ok(owner);
            }
        }
    }

    /// What was told before the answer is in it; and the last change that was told is either that, or newer.
    async fn ask(&mut self) -> Result<Option<String>> {
        let link = self.connection.link();
        let answer = link.call(&bus_call("GetNameOwner"), &*self.name).await;
        let mut newest = None;
        while let Some(change) = self.changes.take_read() {
            if let Streamed::Signal(change) = change {
                newest = owner_in(&change).or(newest);
            }
        }
        if let Some(owner) = newest {
            return Ok(owner);
        }
        match answer {
            Ok(reply) => Ok(Some(reply.deserialize::<&str>()?.to_owned())),
            Err(error) if error.is_method_error(standard_error::NAME_HAS_NO_OWNER.as_str()) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
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
    /// It is no more: somebody replaced it, or the name was let go.
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
    acquired: SignalStream<S>,
    lost: SignalStream<S>,
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
        let listen = |member| begin_default(link, rule_of_bus(member, name.as_str()));
        let (acquired, lost) = (listen("NameAcquired").await?, listen("NameLost").await?);
        let reply = link.request_name(name, flags).await?;
        let mut owned = Self {
            connection: connection.clone(),
            name: name.as_str().into(),
            acquired,
            lost,
            is_owner: false,
        };
        match reply {
            RequestNameReply::Exists => return Err(Error::NameTaken),
            RequestNameReply::InQueue => {}
            RequestNameReply::PrimaryOwner | RequestNameReply::AlreadyOwner => {
                owned.is_owner = true;
                // The bus tells of it before it answers.
                while owned.acquired.take_read().is_some() {}
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
        let (stream, event) = match self.is_owner {
            true => (&mut self.lost, NameEvent::Lost),
            false => (&mut self.acquired, NameEvent::Acquired),
        };
        stream.take_next(Deadline::Never).await?;
        self.is_owner = event == NameEvent::Acquired;
        Ok(event)
    }
}

impl<S: Style> Drop for OwnedName<S> {
    fn drop(&mut self) {
        // If there is no room it leaves with what is sent next.
        let _ = self.connection.link().begin_unanswered(&bus_call("ReleaseName"), &*self.name);
    }
}
