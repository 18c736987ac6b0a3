//! Signals of an object that is served.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::Serialize;
use zbus::wire::{DynamicType, Type, as_variant};

use crate::client::connection::Connection;
use crate::client::error::{Error, Result};
use crate::client::link::Style;
use crate::client::proxy::PROPERTIES;
use crate::client::signals::SignalEmission;
use crate::names::{BusName, InterfaceName, MemberName, ObjectPath};

/// Emits the signals of one object.
///
/// ```
/// # #[cfg(not(feature = "async"))]
/// # fn main() {}
/// # #[cfg(feature = "async")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if libbus::TestBus::program().is_none() { return Ok(()) }
/// # let bus = libbus::TestBus::start()?;
/// use libbus::{Builder, Proxy};
///
/// struct Counter(u32);
///
/// #[libbus::interface(name = "org.example.Counter")]
/// impl Counter {
///     fn add(&mut self, number: u32) -> u32 {
///         self.0 += number;
///         self.0
///     }
///
///     #[zbus(property)]
///     fn count(&self) -> u32 {
///         self.0
///     }
/// }
///
/// # futures_lite::future::block_on(async {
/// let service = Builder::address(bus.address())?.build().await?;
/// assert!(service.object_server().at("/counter", Counter(1)).await?);
/// # let client = Builder::address(bus.address())?.build().await?;
/// # let name = service.unique_name().unwrap_or_default();
/// # let counter = Proxy::new(&client, name, "/counter", "org.example.Counter")?;
/// let mut signals = counter.receive_signal("Full").await?;
/// let served = service.object_server().interface::<_, Counter>("/counter").await?;
/// served.signal_emitter().emit("org.example.Counter", "Full", &10u32).await?;
/// assert_eq!(signals.next_signal().await?.deserialize::<u32>()?, 10);
/// # libbus::Result::Ok(())
/// # })?;
/// # Ok(())
/// # }
/// ```
pub struct SignalEmitter<'a, S: Style> {
    connection: Connection<S>,
    path: Cow<'a, str>,
    destination: Option<Cow<'a, str>>,
}

impl<'a, S: Style> SignalEmitter<'a, S> {
    /// For the object at `path`.
    ///
    /// # Errors
    /// It is no object path (protocol.md A024).
    pub fn new<P>(connection: &Connection<S>, path: P) -> Result<Self>
    where
        P: TryInto<ObjectPath<'a>, Error: Into<Error>>,
    {
        let path: ObjectPath<'a> = path.try_into().map_err(Into::into)?;
        Ok(Self::of(connection, Cow::Owned(path.as_str().to_owned())))
    }

    pub(crate) fn of(connection: &Connection<S>, path: Cow<'a, str>) -> Self {
        Self { connection: connection.clone(), path, destination: None }
    }

    /// For one recipient and not for all who asked for it.
    ///
    /// # Errors
    /// It is no bus name (protocol.md A028, A029).
    pub fn set_destination(self, destination: &str) -> Result<Self> {
        BusName::parse(destination)?;
        Ok(Self { destination: Some(Cow::Owned(destination.to_owned())), ..self })
    }

    /// The connection on which it emits.
    #[must_use]
    pub const fn connection(&self) -> &Connection<S> {
        &self.connection
    }

    /// The object's path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The same, for as long as one wants.
    #[must_use]
    pub fn into_owned(self) -> SignalEmitter<'static, S> {
        SignalEmitter {
            connection: self.connection,
            path: Cow::Owned(self.path.into_owned()),
            destination: self.destination.map(|name| Cow::Owned(name.into_owned())),
        }
    }

    /// Emits a signal of the object.
    pub(crate) async fn send<T>(&self, interface: &str, member: &str, arguments: &T) -> Result<()>
    where
        T: Serialize + DynamicType + ?Sized,
    {
        let signal = SignalEmission {
            destination: self.destination.as_deref().map(BusName::parse).transpose()?,
            path: ObjectPath::parse(&self.path)?,
            interface: InterfaceName::parse(interface)?,
            member: MemberName::parse(member)?,
        };
        self.connection.link().emit(&signal, arguments).await
    }

    /// Tells that a property has changed, and to what (protocol.md A213).
    pub(crate) async fn send_changed<T>(
        &self,
        interface: &str,
        property: &str,
        value: &T,
    ) -> Result<()>
    where
        T: Serialize + Type,
    {
        let changed = HashMap::from([(property, as_variant::Serialize(value))]);
        let arguments = (interface, changed, [""; 0].as_slice());
        self.send(PROPERTIES, PROPERTIES_CHANGED, &arguments).await
    }

    /// Tells that a property has changed, but not to what.
    pub(crate) async fn send_invalidated(&self, interface: &str, property: &str) -> Result<()> {
        let changed = HashMap::<&str, as_variant::Serialize<'_, u8>>::new();
        let invalidated = [property];
        let arguments = (interface, changed, invalidated.as_slice());
        self.send(PROPERTIES, PROPERTIES_CHANGED, &arguments).await
    }
}

const PROPERTIES_CHANGED: &str = "PropertiesChanged";

impl<S: Style> Clone for SignalEmitter<'_, S> {
    fn clone(&self) -> Self {
        Self {
            connection: self.connection.clone(),
            path: self.path.clone(),
            destination: self.destination.clone(),
        }
    }
}

impl<S: Style> fmt::Debug for SignalEmitter<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignalEmitter")
            .field("path", &self.path)
            .field("destination", &self.destination)
            .finish_non_exhaustive()
    }
}
