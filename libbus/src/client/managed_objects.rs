//! The objects of another program as its ObjectManager tells of them (protocol.md A209, tools.md D082).
//!
//! What is known is what the program would answer to `GetManagedObjects`: that answer, with what was told since.
//! All signals below the manager come in one stream, so that they are taken in the order in which they were sent,
//! and only those of the present owner of the name count. When the owner changes, or signals were missed, all
//! is asked for again, and what that changes is told like any other change.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::mem;

use serde::Deserialize;
use zbus::wire::Type;

use super::call::MethodCall;
use super::connection::Connection;
use super::error::{Error, Result};
use super::link::{Deadline, Shared, Style};
use super::peers::{Asked, ask_owner, owner_in, rule_of_bus};
use super::properties::{CHANGED, Kept, VARIANT};
use super::proxy::PROPERTIES;
use super::signals::{SignalStream, begin_default};
use crate::connection::{Overflow, Streamed};
use crate::match_rule::{MatchRule, PathMatch};
use crate::message::Message;
use crate::names::{BusName, ObjectPath};
use crate::server::OBJECT_MANAGER;
use crate::standard_error;
use crate::typed::TypeError;
use crate::wire::{BodyReader, MessageError, MessageType, Signature};

/// Interfaces of all objects together that are kept: who has more is not kept up with.
const INTERFACES_MAX: usize = 1 << 16;
/// Signals that wait while nobody asks for events; beyond, all is asked for again.
const SIGNALS_MAX: usize = 4096;

const MANAGED: Signature<'static> = Signature::from_static("a{oa{sa{sv}}}");
const ADDED: Signature<'static> = Signature::from_static("oa{sa{sv}}");
const REMOVED: Signature<'static> = Signature::from_static("oas");

/// What has become of the objects.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ObjectEvent {
    /// An object has these interfaces that it had not; it may be new itself.
    InterfacesAdded {
        /// The object's path.
        path: String,
        /// The interfaces' names.
        interfaces: Vec<String>,
    },
    /// An object has these interfaces no more; without any it is gone itself.
    InterfacesRemoved {
        /// The object's path.
        path: String,
        /// The interfaces' names.
        interfaces: Vec<String>,
    },
    /// Properties of an object have other values.
    PropertiesChanged {
        /// The object's path.
        path: String,
        /// The interface's name.
        interface: String,
        /// The properties' names. The values of those that have none now were not told.
        properties: Vec<String>,
    },
}

type Properties = BTreeMap<Box<str>, Kept>;
type Interfaces = BTreeMap<Box<str>, Properties>;
type Objects = BTreeMap<Box<str>, Interfaces>;

/// The objects of another program with their interfaces and properties, kept up to date as events are taken.
pub struct ManagedObjects<S: Style> {
    connection: Connection<S>,
    destination: Box<str>,
    path: Box<str>,
    /// All signals of objects below the manager.
    signals: SignalStream<S>,
    owners: SignalStream<S>,
    owner: Option<Box<str>>,
    objects: Objects,
    interface_count: usize,
    events: VecDeque<ObjectEvent>,
    /// Whether what is known may be wrong, until all is asked for again.
    is_stale: bool,
    /// Whether the owner may be another, until that is asked again.
    is_owner_stale: bool,
    /// Whether the program was one by its unique name on a bus that is lost.
    is_gone: bool,
}

/// What is next to be taken in.
enum Told {
    Owner(Streamed),
    Signal(Streamed),
}

impl<S: Style> ManagedObjects<S> {
    pub(crate) async fn begin(
        connection: &Connection<S>,
        destination: BusName<'_>,
        path: ObjectPath<'_>,
    ) -> Result<Self> {
        let link = connection.link();
        let rule = MatchRule {
            message_type: Some(MessageType::Signal),
            sender: Some(destination.as_str().into()),
            path: Some(PathMatch::Namespace(path.as_str().into())),
            ..MatchRule::default()
        };
        let owner_rule = rule_of_bus("NameOwnerChanged", destination.as_str());
        let owners = begin_default(link, owner_rule).await?;
        let signals = SignalStream::begin(link, rule, SIGNALS_MAX, Overflow::DropOldest).await?;
        let mut objects = Self {
            connection: connection.clone(),
            destination: destination.as_str().into(),
            path: path.as_str().into(),
            signals,
            owners,
            owner: None,
            objects: Objects::new(),
            interface_count: 0,
            events: VecDeque::new(),
            is_stale: true,
            is_owner_stale: true,
            is_gone: false,
        };
        objects.ask_all().await?;
        objects.events.clear();
        Ok(objects)
    }

    /// Who has the name now, as far as events were taken; nobody: there are no objects.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// The paths of all objects, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.objects.keys().map(|path| &**path)
    }

    /// The interfaces that the object at `path` has, in order; none: there is no such object.
    pub fn interfaces(&self, path: &str) -> impl Iterator<Item = &str> {
        self.objects
            .get(path)
            .into_iter()
            .flat_map(|interfaces| interfaces.keys().map(|name| &**name))
    }

    /// The paths of all objects that have this interface, in order.
    pub fn paths_with(&self, interface: &str) -> impl Iterator<Item = &str> {
        let all = self.objects.iter();
        all.filter(move |(_, known)| known.contains_key(interface)).map(|(path, _)| &**path)
    }

    /// The properties of an interface whose values are known, in order.
    pub fn properties(&self, path: &str, interface: &str) -> impl Iterator<Item = &str> {
        let known = self.objects.get(path).and_then(|interfaces| interfaces.get(interface));
        known.into_iter().flat_map(|properties| properties.keys().map(|name| &**name))
    }

    /// A property's value; nothing if there is no such property, or its value was not told.
    ///
    /// # Errors
    /// It is of another type.
    pub fn property<T>(&self, path: &str, interface: &str, name: &str) -> Result<Option<T>>
    where
        T: Type + for<'de> Deserialize<'de>,
    {
        let interfaces = self.objects.get(path);
        let known = interfaces.and_then(|interfaces| interfaces.get(interface)?.get(name));
        known.map(Kept::value).transpose()
    }

    pub(crate) async fn take_event(&mut self) -> Result<ObjectEvent> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            if self.is_gone {
                return Err(Error::SenderGone);
            }
            if self.is_stale {
                match self.ask_all().await {
                    // A new owner may be without objects yet.
                    Err(error) if has_no_manager(&error) => {
                        self.replace(Objects::new());
                        self.is_stale = false;
                    }
                    // The next bus is asked.
                    Err(Error::CallLost(_)) => self.note_interruption(),
                    result => result?,
                }
                continue;
            }
            let (owners, signals) = (self.owners.id(), self.signals.id());
            // An owner is known before what it says is.
            let next = move |shared: &mut Shared| match shared.connection.next_of(owners) {
                Some(change) => Some(Told::Owner(change)),
                None => shared.connection.next_of(signals).map(Told::Signal),
            };
            match S::wait(self.connection.link(), next, Deadline::Never).await? {
                Told::Owner(Streamed::Signal(change)) => self.take_owner(&change),
                Told::Owner(Streamed::Interrupted | Streamed::Ended)
                | Told::Signal(Streamed::Interrupted | Streamed::Ended) => self.note_interruption(),
                Told::Owner(Streamed::Missed(_)) => {
                    (self.is_owner_stale, self.is_stale) = (true, true);
                }
                Told::Signal(Streamed::Missed(_)) => self.is_stale = true,
                Told::Signal(Streamed::Signal(signal)) => self.take_signal(&signal)?,
            }
        }
    }

    // --- asking -------------------------------------------------------------------------------------

    /// Asks who has the name.
    async fn ask_owner(&mut self) -> Result<()> {
        match ask_owner(&self.connection, &self.destination, &mut self.owners).await? {
            Asked::Owner(owner) => {
                self.set_owner(owner.map(Into::into));
                self.is_owner_stale = false;
            }
            Asked::Interrupted => self.note_interruption(),
        }
        Ok(())
    }

    fn take_owners(&mut self) {
        while let Some(change) = self.owners.take_read() {
            match change {
                Streamed::Signal(change) => self.take_owner(&change),
                // The newest is there.
                Streamed::Missed(_) => {}
                Streamed::Interrupted | Streamed::Ended => self.note_interruption(),
            }
        }
    }

    fn take_owner(&mut self, change: &Message) {
        if let Some(owner) = owner_in(change) {
            self.set_owner(owner.map(Into::into));
        }
    }

    /// The connection was lost, and with it the owner, whoever has the name on the next bus. A unique name is
    /// another program's there.
    fn note_interruption(&mut self) {
        (self.is_owner_stale, self.is_stale) = (true, true);
        if self.destination.starts_with(':') {
            self.is_gone = true;
            (self.owner, self.is_stale) = (None, false);
            self.replace(Objects::new());
        }
    }

    /// Another owner has other objects.
    fn set_owner(&mut self, owner: Option<Box<str>>) {
        if self.owner != owner {
            self.owner = owner;
            self.is_stale = true;
        }
    }

    /// Asks for all objects of the present owner. What it told before it answered is taken in again, in its order,
    /// which leaves what the answer says, or what is newer. It stays stale if the owner changes meanwhile.
    async fn ask_all(&mut self) -> Result<()> {
        if self.is_owner_stale {
            self.ask_owner().await?;
        }
        self.take_owners();
        if self.is_owner_stale || self.is_gone {
            return Ok(());
        }
        let Some(owner) = self.owner.clone() else {
            self.replace(Objects::new());
            self.is_stale = false;
            return Ok(());
        };
        let call = MethodCall::new(&*self.path, "GetManagedObjects")?
            .destination(&*owner)?
            .interface(OBJECT_MANAGER)?
            .auto_start(false);
        let answer = self.connection.link().call(&call, &()).await;
        if answer.is_err() {
            // That it is gone may be told after that.
            self.ask_owner().await?;
        }
        self.take_owners();
        if self.is_owner_stale || self.is_gone || self.owner.as_ref() != Some(&owner) {
            return Ok(());
        }
        let reply = answer?;
        if reply.signature() != MANAGED {
            return Err(wrong_answer(&reply));
        }
        let objects = read_objects(&reply).map_err(TypeError::from)?;
        self.replace(objects);
        self.check_count()?;
        self.is_stale = false;
        while let Some(signal) = self.signals.take_read() {
            match signal {
                Streamed::Missed(_) => self.is_stale = true,
                Streamed::Interrupted | Streamed::Ended => self.note_interruption(),
                Streamed::Signal(signal) => self.take_signal(&signal)?,
            }
        }
        Ok(())
    }

    /// Tells what is another now.
    fn replace(&mut self, new: Objects) {
        self.interface_count = new.values().map(BTreeMap::len).sum();
        let old = mem::replace(&mut self.objects, new);
        for (path, interfaces) in &old {
            let now = self.objects.get(path);
            let is_gone = |name: &str| now.is_none_or(|now| !now.contains_key(name));
            let names = interfaces.keys().filter(|name| is_gone(name));
            let gone: Vec<String> = names.map(|name| name.to_string()).collect();
            if !gone.is_empty() {
                let path = path.to_string();
                self.events.push_back(ObjectEvent::InterfacesRemoved { path, interfaces: gone });
            }
        }
        for (path, interfaces) in &self.objects {
            let before = old.get(path);
            let mut added = Vec::new();
            for (name, properties) in interfaces {
                match before.and_then(|before| before.get(name)) {
                    None => added.push(name.to_string()),
                    Some(_) if properties.is_empty() => {}
                    // Whether a value is the same is not looked at.
                    Some(_) => self.events.push_back(ObjectEvent::PropertiesChanged {
                        path: path.to_string(),
                        interface: name.to_string(),
                        properties: properties.keys().map(|name| name.to_string()).collect(),
                    }),
                }
            }
            if !added.is_empty() {
                let path = path.to_string();
                self.events.push_back(ObjectEvent::InterfacesAdded { path, interfaces: added });
            }
        }
    }

    fn check_count(&self) -> Result<()> {
        match self.interface_count <= INTERFACES_MAX {
            true => Ok(()),
            false => {
                let name = &self.destination;
                let text =
                    format!("the objects of {name} have more than {INTERFACES_MAX} interfaces");
                Err(TypeError::Custom(text).into())
            }
        }
    }

    // --- signals ------------------------------------------------------------------------------------

    fn take_signal(&mut self, signal: &Message) -> Result<()> {
        let header = signal.header();
        let sender = header.sender.map(|sender| sender.as_str());
        if sender != self.owner.as_deref() {
            return Ok(());
        }
        let [path, interface, member] = [
            header.path.map(|path| path.as_str()),
            header.interface.map(|interface| interface.as_str()),
            header.member.map(|member| member.as_str()),
        ]
        .map(Option::unwrap_or_default);
        let taken = match (interface, member) {
            (OBJECT_MANAGER, "InterfacesAdded") if path == &*self.path => self.take_added(signal),
            (OBJECT_MANAGER, "InterfacesRemoved") if path == &*self.path => {
                self.take_removed(signal)
            }
            (PROPERTIES, "PropertiesChanged") => self.take_changed(path, signal),
            _ => Ok(()),
        };
        // INVARIANT: its body was checked by its signature, which was looked at.
        taken.map_err(TypeError::from)?;
        self.check_count().inspect_err(|_| self.is_stale = true)
    }

    fn take_added(&mut self, signal: &Message) -> std::result::Result<(), MessageError> {
        if signal.signature() != ADDED {
            return Ok(());
        }
        let mut reader = signal.reader();
        let path = reader.string()?;
        let added = read_interfaces(signal, reader.dict()?)?;
        let interfaces = added.keys().map(|name| name.to_string()).collect();
        let known = self.objects.entry(path.into()).or_default();
        let before = known.len();
        known.extend(added);
        self.interface_count += known.len() - before;
        let path = path.to_owned();
        self.events.push_back(ObjectEvent::InterfacesAdded { path, interfaces });
        Ok(())
    }

    fn take_removed(&mut self, signal: &Message) -> std::result::Result<(), MessageError> {
        if signal.signature() != REMOVED {
            return Ok(());
        }
        let mut reader = signal.reader();
        let path = reader.string()?;
        let Some(known) = self.objects.get_mut(path) else { return Ok(()) };
        let mut interfaces = Vec::new();
        for name in reader.strings()? {
            if let Some((name, _)) = known.remove_entry(name?) {
                interfaces.push(name.into());
            }
        }
        self.interface_count -= interfaces.len();
        if known.is_empty() {
            self.objects.remove(path);
        }
        if !interfaces.is_empty() {
            let path = path.to_owned();
            self.events.push_back(ObjectEvent::InterfacesRemoved { path, interfaces });
        }
        Ok(())
    }

    fn take_changed(
        &mut self,
        path: &str,
        signal: &Message,
    ) -> std::result::Result<(), MessageError> {
        if signal.signature() != CHANGED {
            return Ok(());
        }
        let mut reader = signal.reader();
        let interface = reader.string()?;
        let known = self.objects.get_mut(path).and_then(|known| known.get_mut(interface));
        let Some(known) = known else { return Ok(()) };
        let changed = read_properties(signal, reader.dict()?)?;
        let mut properties: Vec<String> = changed.keys().map(|name| name.to_string()).collect();
        known.extend(changed);
        for name in reader.strings()? {
            let name = name?;
            known.remove(name);
            properties.push(name.to_owned());
        }
        let (path, interface) = (path.to_owned(), interface.to_owned());
        self.events.push_back(ObjectEvent::PropertiesChanged { path, interface, properties });
        Ok(())
    }
}

/// Whether it was answered that there is no manager.
fn has_no_manager(error: &Error) -> bool {
    let names = [
        standard_error::UNKNOWN_METHOD,
        standard_error::UNKNOWN_OBJECT,
        standard_error::UNKNOWN_INTERFACE,
    ];
    names.iter().any(|name| error.is_method_error(name.as_str()))
}

fn wrong_answer(reply: &Message) -> Error {
    let actual = reply.signature().as_str().to_owned();
    TypeError::Signature { expected: MANAGED.as_str().to_owned(), actual }.into()
}

// --- reading ----------------------------------------------------------------------------------------

fn read_objects(reply: &Message) -> std::result::Result<Objects, MessageError> {
    read_entries(reply.reader().dict()?, |entry| read_interfaces(reply, entry.dict()?))
}

fn read_interfaces(
    message: &Message,
    entries: BodyReader<'_>,
) -> std::result::Result<Interfaces, MessageError> {
    read_entries(entries, |entry| read_properties(message, entry.dict()?))
}

fn read_properties(
    message: &Message,
    entries: BodyReader<'_>,
) -> std::result::Result<Properties, MessageError> {
    read_entries(entries, |entry| {
        let kept = Kept { message: message.clone(), position: entry.position() };
        entry.skip(VARIANT)?;
        Ok(kept)
    })
}

/// A dictionary by names or paths, of which `read` reads a value.
fn read_entries<'m, T>(
    mut entries: BodyReader<'m>,
    mut read: impl FnMut(&mut BodyReader<'m>) -> std::result::Result<T, MessageError>,
) -> std::result::Result<BTreeMap<Box<str>, T>, MessageError> {
    let mut found = BTreeMap::new();
    while !entries.is_empty() {
        entries.structure()?;
        let name = entries.string()?;
        found.insert(name.into(), read(&mut entries)?);
    }
    Ok(found)
}

impl<S: Style> fmt::Debug for ManagedObjects<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManagedObjects")
            .field("destination", &self.destination)
            .field("path", &self.path)
            .field("objects", &self.objects.keys())
            .finish_non_exhaustive()
    }
}
