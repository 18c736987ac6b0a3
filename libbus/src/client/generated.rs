//! What `#[proxy]` writes is made of.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::Deserialize;
use zbus::wire::Type;

use super::connection::Connection;
use super::error::{Error, Result};
use super::link::Style;
use super::properties::CacheProperties;
use super::proxy::Proxy;
use super::signals::DEFAULT_BOUND;
use crate::connection::Overflow;

/// What a proxy is about if nothing else is said.
pub trait ProxyDefaults {
    /// The interface.
    const INTERFACE: &'static str;
    /// The bus name of the program.
    const DESTINATION: Option<&'static str>;
    /// The object.
    const PATH: Option<&'static str>;
}

/// What the value of a property can be read as.
pub trait PropertyValue: Type + for<'de> Deserialize<'de> {}

impl<T: Type + for<'de> Deserialize<'de>> PropertyValue for T {}

/// How a proxy of the type `P` is to be made; `build` makes it.
///
/// ```
/// # #[cfg(not(feature = "blocking"))]
/// # fn main() {}
/// # #[cfg(feature = "blocking")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if libbus::TestBus::program().is_none() { return Ok(()) }
/// # let bus = libbus::TestBus::start()?;
/// # let connection = libbus::blocking::Builder::address(bus.address())?.build()?;
/// use std::time::Duration;
///
/// #[libbus::blocking::proxy(interface = "org.freedesktop.DBus", default_path = "/org/freedesktop/DBus")]
/// trait Bus {
///     fn get_id(&self) -> libbus::Result<String>;
/// }
///
/// let bus = BusProxy::builder(&connection)
///     .destination("org.freedesktop.DBus")
///     .timeout(Some(Duration::from_secs(5)))
///     .build()?;
/// assert_eq!(bus.get_id()?.len(), 32);
/// # Ok(())
/// # }
/// ```
pub struct ProxyBuilder<P, S: Style> {
    connection: Connection<S>,
    destination: Option<String>,
    path: Option<String>,
    interface: String,
    cache: CacheProperties,
    timeout: Option<Duration>,
    bound: (usize, Overflow),
    proxy: PhantomData<fn() -> P>,
}

impl<P: ProxyDefaults + From<Proxy<S>>, S: Style> ProxyBuilder<P, S> {
    /// With what the type says.
    #[must_use]
    pub fn new(connection: &Connection<S>) -> Self {
        Self {
            connection: connection.clone(),
            destination: P::DESTINATION.map(ToOwned::to_owned),
            path: P::PATH.map(ToOwned::to_owned),
            interface: P::INTERFACE.to_owned(),
            cache: CacheProperties::default(),
            timeout: Some(connection.link().call_timeout()),
            bound: DEFAULT_BOUND,
            proxy: PhantomData,
        }
    }

    /// Which program.
    #[must_use]
    pub fn destination(self, destination: impl Into<String>) -> Self {
        Self { destination: Some(destination.into()), ..self }
    }

    /// Which object.
    #[must_use]
    pub fn path(self, path: impl Into<String>) -> Self {
        Self { path: Some(path.into()), ..self }
    }

    /// Another interface of the same kind.
    #[must_use]
    pub fn interface(self, interface: impl Into<String>) -> Self {
        Self { interface: interface.into(), ..self }
    }

    /// Whether it keeps values of properties; not if nothing is said.
    #[must_use]
    pub fn cache_properties(self, cache: CacheProperties) -> Self {
        Self { cache, ..self }
    }

    /// How long its calls wait for a reply; `None` is for ever. As long as the connection says
    /// ([`Builder::call_timeout`](super::Builder::call_timeout)), 25 s, if nothing else is said.
    #[must_use]
    pub fn timeout(self, timeout: Option<Duration>) -> Self {
        Self { timeout, ..self }
    }

    /// How many signals wait in each of its streams, and what becomes of more, as [`Proxy::stream_bound`].
    #[must_use]
    pub fn stream_bound(self, length_max: usize, overflow: Overflow) -> Self {
        Self { bound: (length_max, overflow), ..self }
    }

    pub(crate) async fn make(self) -> Result<P> {
        let Self { connection, destination, path, interface, .. } = self;
        let missing =
            |what: &str| Error::MissingPart(format!("{interface} has no {what} of its own"));
        let destination = destination.ok_or_else(|| missing("destination"))?;
        let path = path.ok_or_else(|| missing("path"))?;
        let proxy =
            Proxy::new(&connection, destination.as_str(), path.as_str(), interface.as_str())?;
        let (length_max, overflow) = self.bound;
        let mut proxy = proxy.timeout(self.timeout).stream_bound(length_max, overflow);
        proxy.keep_properties(self.cache).await?;
        Ok(proxy.into())
    }
}

impl<P, S: Style> fmt::Debug for ProxyBuilder<P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyBuilder")
            .field("destination", &self.destination)
            .field("path", &self.path)
            .field("interface", &self.interface)
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}
