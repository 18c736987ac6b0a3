//! Which objects there are, and what they are.

use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::call::Call;
use super::cells::Cell;
use super::description::Description;
use super::emitter::SignalEmitter;
use super::properties::PropertyMap;
use super::{Dispatch, Interface, Task};
use crate::client::connection::Connection;
use crate::client::error::Result;
use crate::client::link::Style;
use crate::names::ObjectPath;

/// A type that is served, whichever it is.
pub(super) trait Served<S: Style>: Send + Sync {
    fn description(&self) -> &'static Description;
    fn call(&self, call: &Call<S>, member: &str) -> Dispatch;
    fn get(&self, call: &Call<S>, property: &str) -> Dispatch;
    fn set(&self, call: &Call<S>, property: &str) -> Dispatch;
    fn get_all<'a>(
        &'a self,
        emitter: &'a SignalEmitter<'static, S>,
        properties: &'a mut PropertyMap,
    ) -> Task<'a>;
    /// What keeps the value.
    fn cell(&self) -> Arc<dyn Any + Send + Sync>;
    /// Whether this thread uses the value already.
    #[cfg(feature = "blocking")]
    fn is_in_use_here(&self) -> bool;
}

struct Serving<I: Interface<S>, S: Style>(Arc<I::Cell>, std::marker::PhantomData<fn(S, I)>);

impl<I: Interface<S>, S: Style> Served<S> for Serving<I, S> {
    fn description(&self) -> &'static Description {
        I::DESCRIPTION
    }

    fn call(&self, call: &Call<S>, member: &str) -> Dispatch {
        I::call(&self.0, call, member)
    }

    fn get(&self, call: &Call<S>, property: &str) -> Dispatch {
        I::get(&self.0, call, property)
    }

    fn set(&self, call: &Call<S>, property: &str) -> Dispatch {
        I::set(&self.0, call, property)
    }

    fn get_all<'a>(
        &'a self,
        emitter: &'a SignalEmitter<'static, S>,
        properties: &'a mut PropertyMap,
    ) -> Task<'a> {
        I::get_all(&self.0, emitter, properties)
    }

    fn cell(&self) -> Arc<dyn Any + Send + Sync> {
        Arc::clone(&self.0) as Arc<dyn Any + Send + Sync>
    }

    #[cfg(feature = "blocking")]
    fn is_in_use_here(&self) -> bool {
        self.0.is_in_use_here()
    }
}

/// One interface of one object.
pub(super) struct Place<S: Style> {
    pub(super) served: Arc<dyn Served<S>>,
    /// Whether it is served below the path, too, where nothing else is.
    covers_subtree: bool,
}

impl<S: Style> Clone for Place<S> {
    fn clone(&self) -> Self {
        Self { served: Arc::clone(&self.served), covers_subtree: self.covers_subtree }
    }
}

impl<S: Style> Place<S> {
    fn of<I: Interface<S>>(interface: I, covers_subtree: bool) -> Self {
        let cell = Arc::new(I::Cell::new(interface));
        let served = Arc::new(Serving::<I, S>(cell, std::marker::PhantomData));
        Self { served, covers_subtree }
    }

    pub(super) fn name(&self) -> &'static str {
        self.served.description().name
    }
}

/// By path; none without an interface.
type Nodes<S> = BTreeMap<Box<str>, Vec<Place<S>>>;

/// The objects of a program on one connection.
pub(crate) struct Objects<S: Style> {
    nodes: RwLock<Nodes<S>>,
}

impl<S: Style> Default for Objects<S> {
    fn default() -> Self {
        Self { nodes: RwLock::new(BTreeMap::new()) }
    }
}

impl<S: Style> Objects<S> {
    /// Nothing that is done with it can leave it half done.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Nodes<S>> {
        self.nodes.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Nodes<S>> {
        self.nodes.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The interfaces of the object at `path`, its own and those that cover it.
    pub(super) fn find(&self, path: &str) -> Vec<Place<S>> {
        let nodes = self.read();
        let mut found: Vec<Place<S>> = Vec::new();
        for above in with_ancestors(path) {
            let places = nodes.get(above).into_iter().flatten();
            for place in places.filter(|place| above == path || place.covers_subtree) {
                if !found.iter().any(|known| known.name() == place.name()) {
                    found.push(place.clone());
                }
            }
        }
        found
    }

    /// One interface of the object at `path`.
    pub(super) fn find_one(&self, path: &str, interface: &str) -> Option<Arc<dyn Served<S>>> {
        let nodes = self.read();
        with_ancestors(path).find_map(|above| {
            let places = nodes.get(above)?;
            let place = places.iter().find(|place| place.name() == interface)?;
            (above == path || place.covers_subtree).then(|| Arc::clone(&place.served))
        })
    }

    /// The names of what is one step below `path`, without what is below those.
    pub(super) fn children(&self, path: &str) -> Vec<String> {
        let nodes = self.read();
        let mut children: Vec<String> = Vec::new();
        for below in below(&nodes, path) {
            let rest = below.get(prefix_size(path)..).unwrap_or_default();
            let name = rest.split('/').next().unwrap_or_default();
            if children.last().is_none_or(|last| last != name) {
                children.push(name.to_owned());
            }
        }
        children
    }

    /// Everything below `path`, with its interfaces.
    pub(super) fn all_below(&self, path: &str) -> Vec<(Box<str>, Vec<Place<S>>)> {
        let nodes = self.read();
        let own = |path: &str| nodes.get(path).map_or_else(Vec::new, Clone::clone);
        below(&nodes, path).map(|path| (path.into(), own(path))).collect()
    }

    /// The nearest object at or above `path` that tells what is below it.
    pub(super) fn manager_of(&self, path: &str) -> Option<String> {
        let nodes = self.read();
        let is_manager = |above: &&str| {
            let mut places = nodes.get(*above).into_iter().flatten();
            places.any(|place| place.name() == super::standard::OBJECT_MANAGER)
        };
        with_ancestors(path).skip(1).find(is_manager).map(ToOwned::to_owned)
    }

    /// Whether something is at `path` or below.
    pub(super) fn is_known(&self, path: &str) -> bool {
        let nodes = self.read();
        let is_covered = |above: &str| {
            let mut places = nodes.get(above).into_iter().flatten();
            places.any(|place| above == path || place.covers_subtree)
        };
        path == "/" || with_ancestors(path).any(is_covered) || below(&nodes, path).next().is_some()
    }

    fn add(&self, path: &str, place: Place<S>) -> bool {
        let mut nodes = self.write();
        let places = nodes.entry(path.into()).or_default();
        let is_new = !places.iter().any(|known| known.name() == place.name());
        if is_new {
            places.push(place);
        }
        is_new
    }

    fn remove(&self, path: &str, interface: &str) -> bool {
        let mut nodes = self.write();
        let Entry::Occupied(mut node) = nodes.entry(path.into()) else { return false };
        let before = node.get().len();
        node.get_mut().retain(|place| place.name() != interface);
        let is_removed = node.get().len() < before;
        if node.get().is_empty() {
            node.remove();
        }
        is_removed
    }
}

/// How much of a path below `path` is before the next name.
fn prefix_size(path: &str) -> usize {
    if path == "/" { 1 } else { path.len() + 1 }
}

fn below<'n, S: Style>(nodes: &'n Nodes<S>, path: &str) -> impl Iterator<Item = &'n str> {
    let prefix = if path == "/" { "/".to_owned() } else { format!("{path}/") };
    let from = nodes
        .range::<str, _>((std::ops::Bound::Excluded(prefix.as_str()), std::ops::Bound::Unbounded));
    from.map(|(path, _)| &**path).take_while(move |path| path.starts_with(&*prefix))
}

/// `/a/b`, `/a`, `/`.
fn with_ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| match path.rfind('/')? {
        0 => (path.len() > 1).then_some("/"),
        end => path.get(..end),
    })
}

/// The objects of a program on one connection.
///
/// What is served here is called once the connection serves: `serve` waits for calls and answers them.
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
/// // Elsewhere, with a proxy of that object:
/// assert_eq!(counter.call::<_, u32>("Add", &2u32).await?, 3);
/// # libbus::Result::Ok(())
/// # })?;
/// # Ok(())
/// # }
/// ```
pub struct ObjectServer<S: Style> {
    connection: Connection<S>,
}

impl<S: Style> ObjectServer<S> {
    pub(crate) const fn new(connection: Connection<S>) -> Self {
        Self { connection }
    }

    fn objects(&self) -> &Objects<S> {
        self.connection.objects()
    }

    /// The connection.
    #[must_use]
    pub const fn connection(&self) -> &Connection<S> {
        &self.connection
    }

    /// Serves `interface` at `path`; with `covers_subtree` also below, where nothing else is. Answers whether
    /// it is new there: an interface of that name is not replaced.
    pub(crate) async fn add<'p, P, I>(
        &self,
        path: P,
        interface: I,
        covers_subtree: bool,
    ) -> Result<bool>
    where
        P: TryInto<ObjectPath<'p>, Error: Into<crate::client::error::Error>>,
        I: Interface<S>,
    {
        let path: ObjectPath<'p> = path.try_into().map_err(Into::into)?;
        let place = Place::of::<I>(interface, covers_subtree);
        let added = place.clone();
        self.connection.link().lock_here()?.connection.serve();
        let is_new = self.objects().add(path.as_str(), place);
        if is_new {
            S::begin_serving(&self.connection)?;
            super::standard::tell_added(&self.connection, path.as_str(), &added).await?;
        }
        Ok(is_new)
    }

    /// As `add`, before anybody at the other end can know what there is. Calls wait until serving is begun.
    pub(crate) fn place<I: Interface<S>>(&self, path: &str, interface: I) {
        self.connection.link().lock().connection.serve();
        self.objects().add(path, Place::of::<I>(interface, false));
    }

    /// Serves this interface at `path` no more. Answers whether it was.
    pub(crate) async fn take<'p, P, I>(&self, path: P) -> Result<bool>
    where
        P: TryInto<ObjectPath<'p>, Error: Into<crate::client::error::Error>>,
        I: Interface<S>,
    {
        let path: ObjectPath<'p> = path.try_into().map_err(Into::into)?;
        self.connection.link().check_process()?;
        let is_removed = self.objects().remove(path.as_str(), I::DESCRIPTION.name);
        if is_removed {
            let name = I::DESCRIPTION.name;
            super::standard::tell_removed(&self.connection, path.as_str(), name).await?;
        }
        Ok(is_removed)
    }

    pub(crate) fn find<'p, P, I>(&self, path: P) -> Result<InterfaceRef<I, S>>
    where
        P: TryInto<ObjectPath<'p>, Error: Into<crate::client::error::Error>>,
        I: Interface<S>,
    {
        let path: ObjectPath<'p> = path.try_into().map_err(Into::into)?;
        self.connection.link().check_process()?;
        let (path, name) = (path.as_str(), I::DESCRIPTION.name);
        let found = self.objects().find_one(path, name).map(|served| served.cell());
        let cell = found.and_then(|cell| cell.downcast::<I::Cell>().ok());
        let emitter = SignalEmitter::of(&self.connection, Cow::Owned(path.to_owned()));
        match cell {
            Some(cell) => Ok(InterfaceRef { cell, emitter }),
            None => Err(crate::client::error::Error::NotServed(format!("{name} at {path}"))),
        }
    }
}

impl<S: Style> Clone for ObjectServer<S> {
    fn clone(&self) -> Self {
        Self { connection: self.connection.clone() }
    }
}

impl<S: Style> fmt::Debug for ObjectServer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<String> =
            self.objects().read().keys().map(|path| path.to_string()).collect();
        f.debug_struct("ObjectServer").field("paths", &paths).finish_non_exhaustive()
    }
}

/// A value that is served, from outside of its methods.
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
/// let served = service.object_server().interface::<_, Counter>("/counter").await?;
/// served.get_mut().await.0 = 5;
/// assert_eq!(counter.get_property::<u32>("Count").await?, 5);
/// # libbus::Result::Ok(())
/// # })?;
/// # Ok(())
/// # }
/// ```
pub struct InterfaceRef<I: Interface<S>, S: Style> {
    cell: Arc<I::Cell>,
    emitter: SignalEmitter<'static, S>,
}

impl<I: Interface<S>, S: Style> InterfaceRef<I, S> {
    /// What keeps the value.
    #[must_use]
    pub fn cell(&self) -> &I::Cell {
        &self.cell
    }

    /// Emits the signals of its object.
    #[must_use]
    pub const fn signal_emitter(&self) -> &SignalEmitter<'static, S> {
        &self.emitter
    }
}

impl<I: Interface<S>, S: Style> Clone for InterfaceRef<I, S> {
    fn clone(&self) -> Self {
        Self { cell: Arc::clone(&self.cell), emitter: self.emitter.clone() }
    }
}

impl<I: Interface<S>, S: Style> fmt::Debug for InterfaceRef<I, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InterfaceRef")
            .field("interface", &I::DESCRIPTION.name)
            .field("path", &self.emitter.path())
            .finish_non_exhaustive()
    }
}
