//! One interface of one object, with its methods, properties and signals.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zbus::wire::{DynamicType, Type, Variant, as_variant};

use super::call::MethodCall;
use super::connection::Connection;
use super::error::{Error, Result};
use super::link::Style;
use super::properties::{CacheProperties, PropertyCache};
use super::signals::{DEFAULT_BOUND, SignalStream};
use crate::connection::{BUS, BUS_INTERFACE, BUS_PATH, Overflow};
use crate::match_rule::{ArgumentMatch, MatchRule, PathMatch};
use crate::message::Message;
use crate::names::{BusName, InterfaceName, MemberName, ObjectPath};
use crate::wire::MessageType;

pub(crate) const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// One interface of one object of a program on the bus.
///
/// ```
/// # #[cfg(not(feature = "blocking"))]
/// # fn main() {}
/// # #[cfg(feature = "blocking")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if libbus::TestBus::program().is_none() { return Ok(()) }
/// # let bus = libbus::TestBus::start()?;
/// # let connection = libbus::blocking::Builder::address(bus.address())?.build()?;
/// use libbus::blocking::Proxy;
/// use libbus::wire_types::OwnedVariant;
///
/// let (name, path) = ("org.freedesktop.DBus", "/org/freedesktop/DBus");
/// let proxy = Proxy::new(&connection, name, path, "org.freedesktop.DBus")?;
/// let owner: String = proxy.call("GetNameOwner", name)?;
/// assert_eq!(owner, name);
/// let features: Vec<String> = proxy.get_property("Features")?;
/// let missing = proxy.get_property::<OwnedVariant>("Missing");
/// assert!(matches!(missing, Err(libbus::Error::Method(_))));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Proxy<S: Style> {
    connection: Connection<S>,
    destination: Box<str>,
    path: Box<str>,
    interface: Box<str>,
    timeout: Option<Duration>,
    cache: Cache<S>,
    /// How many signals wait in a stream of it, and what becomes of more.
    bound: (usize, Overflow),
}

/// Whether values of properties are kept, and where.
enum Cache<S: Style> {
    Off,
    /// From when one is wanted for the first time.
    Lazy(Arc<OnceLock<PropertyCache<S>>>),
}

impl<S: Style> Cache<S> {
    fn get(&self) -> Option<&PropertyCache<S>> {
        match self {
            Self::Off => None,
            Self::Lazy(cache) => cache.get(),
        }
    }
}

impl<S: Style> Clone for Cache<S> {
    fn clone(&self) -> Self {
        match self {
            Self::Off => Self::Off,
            Self::Lazy(cache) => Self::Lazy(Arc::clone(cache)),
        }
    }
}

impl<S: Style> fmt::Debug for Cache<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if matches!(self, Self::Off) { "off" } else { "on" })
    }
}

impl<S: Style> Proxy<S> {
    /// The interface `interface` of the object at `path` of the program that has the name `destination`.
    /// Nothing is asked of anybody.
    ///
    /// # Errors
    /// One of them is not valid (protocol.md A024, A025, A028, A029).
    pub fn new<'a, D, P, I>(
        connection: &Connection<S>,
        destination: D,
        path: P,
        interface: I,
    ) -> Result<Self>
    where
        D: TryInto<BusName<'a>, Error: Into<Error>>,
        P: TryInto<ObjectPath<'a>, Error: Into<Error>>,
        I: TryInto<InterfaceName<'a>, Error: Into<Error>>,
    {
        Ok(Self {
            connection: connection.clone(),
            destination: destination.try_into().map_err(Into::into)?.as_str().into(),
            path: path.try_into().map_err(Into::into)?.as_str().into(),
            interface: interface.try_into().map_err(Into::into)?.as_str().into(),
            timeout: Some(connection.link().call_timeout()),
            cache: Cache::Off,
            bound: DEFAULT_BOUND,
        })
    }

    /// The bus itself.
    pub(crate) fn of_bus(connection: &Connection<S>) -> Self {
        Self {
            connection: connection.clone(),
            destination: BUS.as_str().into(),
            path: BUS_PATH.as_str().into(),
            interface: BUS_INTERFACE.as_str().into(),
            timeout: Some(connection.link().call_timeout()),
            cache: Cache::Off,
            bound: DEFAULT_BOUND,
        }
    }

    /// How long its calls wait for a reply; `None` is for ever. As long as the connection says
    /// ([`Builder::call_timeout`](super::Builder::call_timeout)), 25 s, if nothing else is said.
    #[must_use]
    pub fn timeout(self, timeout: Option<Duration>) -> Self {
        Self { timeout, ..self }
    }

    /// How many signals wait in each stream that is begun from now on, and what becomes of more: 1024, of which the
    /// oldest is let go, if nothing is said. Streams of changes of properties need no more: what they miss they ask for.
    #[must_use]
    pub fn stream_bound(self, length_max: usize, overflow: Overflow) -> Self {
        Self { bound: (length_max, overflow), ..self }
    }

    /// The connection on which it calls.
    #[must_use]
    pub const fn connection(&self) -> &Connection<S> {
        &self.connection
    }

    /// The bus name of the program.
    #[must_use]
    pub fn destination(&self) -> &str {
        &self.destination
    }

    /// The object's path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The interface's name.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// A call of one of its methods.
    ///
    /// # Errors
    /// `member` is no member name (protocol.md A027).
    pub fn method_call<'a, M>(&'a self, member: M) -> Result<MethodCall<'a>>
    where
        M: TryInto<MemberName<'a>, Error: Into<Error>>,
    {
        self.call_of(&self.interface, member)
    }

    fn call_of<'a, M>(&'a self, interface: &'a str, member: M) -> Result<MethodCall<'a>>
    where
        M: TryInto<MemberName<'a>, Error: Into<Error>>,
    {
        let call = MethodCall::new(&*self.path, member)?;
        Ok(call.destination(&*self.destination)?.interface(interface)?.timeout(self.timeout))
    }

    pub(crate) async fn ask<T>(&self, member: &str, arguments: &T) -> Result<Message>
    where
        T: Serialize + DynamicType + ?Sized,
    {
        let member = MemberName::parse(member)?;
        self.connection.link().call(&self.call_of(&self.interface, member)?, arguments).await
    }

    /// From now on values of properties are kept.
    pub(crate) async fn keep_properties(&mut self, how: CacheProperties) -> Result<()> {
        self.cache = match how {
            CacheProperties::No => Cache::Off,
            CacheProperties::Lazily | CacheProperties::Yes => Cache::Lazy(Arc::default()),
        };
        if how == CacheProperties::Yes {
            self.fill_cache().await?;
        }
        Ok(())
    }

    async fn fill_cache(&self) -> Result<()> {
        let Cache::Lazy(place) = &self.cache else { return Ok(()) };
        self.connection.link().check_process()?;
        if place.get().is_none() {
            let begun = PropertyCache::begin(self).await?;
            // Who else has begun meanwhile knows the same.
            let _ = place.set(begun);
        }
        if let Some(cache) = place.get().filter(|cache| !cache.is_filled()) {
            let told = cache.told();
            let call = self.call_of(PROPERTIES, "GetAll")?;
            let reply = self.connection.link().call(&call, &*self.interface).await?;
            // INVARIANT: what is not of this type is an error.
            reply.deserialize::<HashMap<&str, Variant<'_>>>()?;
            cache.fill(&reply, told);
        }
        Ok(())
    }

    /// A value that is kept.
    pub(crate) fn kept_property<T>(&self, name: &str) -> Result<Option<T>>
    where
        T: Type + for<'de> Deserialize<'de>,
    {
        let Some(cache) = self.cache.get() else { return Ok(None) };
        // Before what is kept is locked, as the connection is.
        self.connection.link().check_process()?;
        cache.get(name)
    }

    pub(crate) async fn property<T>(&self, name: &str) -> Result<T>
    where
        T: Type + for<'de> Deserialize<'de>,
    {
        self.fill_cache().await?;
        match self.kept_property(name)? {
            Some(value) => Ok(value),
            None => self.uncached_property(name).await,
        }
    }

    pub(crate) async fn uncached_property<T>(&self, name: &str) -> Result<T>
    where
        T: Type + for<'de> Deserialize<'de>,
    {
        self.connection.link().check_process()?;
        let told = self.cache.get().map(PropertyCache::told);
        let call = self.call_of(PROPERTIES, "Get")?;
        let reply = self.connection.link().call(&call, &(&*self.interface, name)).await?;
        let value = reply.deserialize::<as_variant::Deserialize<'_, T>>()?.0;
        if let Some((cache, told)) = self.cache.get().zip(told) {
            cache.keep(name, &reply, told);
        }
        Ok(value)
    }

    pub(crate) async fn change_property<T>(&self, name: &str, value: &T) -> Result<()>
    where
        T: Type + Serialize,
    {
        let call = self.call_of(PROPERTIES, "Set")?;
        let arguments = (&*self.interface, name, as_variant::Serialize(value));
        self.connection.link().call(&call, &arguments).await.map(drop)
    }

    /// Its signals that this rule is about.
    pub(crate) async fn begin_stream(&self, rule: MatchRule) -> Result<SignalStream<S>> {
        let (length_max, overflow) = self.bound;
        SignalStream::begin(self.connection.link(), rule, length_max, overflow).await
    }

    /// Its signals of this name with these strings.
    pub(crate) fn rule_with_args(&self, member: &str, args: &[(u8, &str)]) -> Result<MatchRule> {
        let equal = |&(index, text): &(u8, &str)| (index, ArgumentMatch::Equal(text.into()));
        let mut arguments: Vec<_> = args.iter().map(equal).collect();
        arguments.sort_by_key(|(index, _)| *index);
        let rule = MatchRule { arguments: arguments.into(), ..self.rule(Some(member))? };
        // What is no rule shows when it is read.
        Ok(MatchRule::parse(&rule.to_string())?)
    }

    /// What its signals are: those of this name, or all.
    pub(crate) fn rule(&self, member: Option<&str>) -> Result<MatchRule> {
        let member = member.map(MemberName::parse).transpose()?;
        Ok(MatchRule {
            message_type: Some(MessageType::Signal),
            sender: Some(self.destination.clone()),
            interface: Some(self.interface.clone()),
            member: member.map(|member| member.as_str().into()),
            path: Some(PathMatch::Exact(self.path.clone())),
            ..MatchRule::default()
        })
    }
}

impl<S: Style> Clone for Proxy<S> {
    fn clone(&self) -> Self {
        Self {
            connection: self.connection.clone(),
            destination: self.destination.clone(),
            path: self.path.clone(),
            interface: self.interface.clone(),
            timeout: self.timeout,
            cache: self.cache.clone(),
            bound: self.bound,
        }
    }
}
