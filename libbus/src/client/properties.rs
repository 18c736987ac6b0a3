//! Properties that are kept, for who reads them often, and what tells of their changes.
//!
//! A kept value is what the program would get if it asked: a change that was told before a reply came is
//! seen once that reply is. Nothing is kept unless a proxy is made to ([`CacheProperties`]).

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use zbus::wire::{Type, as_variant};

use super::error::{Error, Result};
use super::link::{Deadline, Style};
use super::peers::rule_of_bus;
use super::proxy::{PROPERTIES, Proxy};
use super::signals::{SignalStream, begin_default, first_is, is_well_known};
use crate::connection::Streamed;
use crate::match_rule::{MatchRule, PathMatch};
use crate::message::Message;
use crate::wire::{BodyReader, MessageError, MessageType, Signature};

/// Whether a proxy keeps the values of properties.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheProperties {
    /// No: each is asked for when it is wanted.
    #[default]
    No,
    /// Once one of them is wanted, all are asked for, and kept until the owner of the name changes.
    Lazily,
    /// The same, from when the proxy is made.
    Yes,
}

/// Where a value lies in a message.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) message: Message,
    pub(super) position: usize,
}

struct State<S: Style> {
    changes: SignalStream<S>,
    owners: Option<SignalStream<S>>,
    values: HashMap<Box<str>, Kept>,
    /// Whether all values were asked for.
    is_filled: bool,
    /// How much was taken in that was told. An answer to a question of before may be older than that.
    told: u64,
    /// Whether nothing is told any more, since the program was one on a bus that is lost: nothing is kept then.
    is_gone: bool,
}

/// The values of one interface of one object.
pub(crate) struct PropertyCache<S: Style> {
    state: Mutex<State<S>>,
}

impl<S: Style> PropertyCache<S> {
    /// Asks for what tells of changes.
    pub(crate) async fn begin(proxy: &Proxy<S>) -> Result<Self> {
        let changes = changes_of(proxy).await?;
        let link = proxy.connection().link();
        let owners = match is_well_known(proxy.destination()) {
            true => Some(
                begin_default(link, rule_of_bus("NameOwnerChanged", proxy.destination())).await?,
            ),
            false => None,
        };
        let values = HashMap::new();
        let state = State { changes, owners, values, is_filled: false, told: 0, is_gone: false };
        Ok(Self { state: Mutex::new(state) })
    }

    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value, if it is known.
    pub(crate) fn get<T>(&self, name: &str) -> Result<Option<T>>
    where
        T: Type + for<'de> Deserialize<'de>,
    {
        let kept = {
            let mut state = self.lock();
            state.take_changes();
            state.values.get(name).cloned()
        };
        kept.map(|kept| kept.value()).transpose()
    }

    /// Whether all values were asked for.
    pub(crate) fn is_filled(&self) -> bool {
        let mut state = self.lock();
        state.take_changes();
        state.is_filled
    }

    /// How much was told so far, for [`PropertyCache::fill`] and [`PropertyCache::keep`].
    pub(crate) fn told(&self) -> u64 {
        let mut state = self.lock();
        state.take_changes();
        state.told
    }

    /// What the object answered to `GetAll`, asked when so much was `told`. What was told meanwhile and nobody
    /// has taken in is newer; if somebody has, it cannot be known which is, and nothing is kept.
    pub(crate) fn fill(&self, reply: &Message, told: u64) {
        let mut state = self.lock();
        if state.is_gone || state.told != told {
            return;
        }
        let mut reader = reply.reader();
        // INVARIANT: its signature was looked at.
        if let Ok(entries) = reader.dict() {
            let _ = state.take_values(reply, entries);
        }
        state.is_filled = true;
        state.take_changes();
    }

    /// What the object answered to `Get`, as [`PropertyCache::fill`].
    pub(crate) fn keep(&self, name: &str, reply: &Message, told: u64) {
        let mut state = self.lock();
        if state.is_filled && state.told == told {
            state.values.insert(name.into(), Kept { message: reply.clone(), position: 0 });
            state.take_changes();
        }
    }
}

impl<S: Style> State<S> {
    /// Takes in what was told since.
    fn take_changes(&mut self) {
        while let Some(change) = self.changes.take_read() {
            self.told += 1;
            match change {
                Streamed::Missed(_) | Streamed::Interrupted => self.forget(),
                Streamed::Ended => {
                    self.is_gone = true;
                    self.forget();
                }
                Streamed::Signal(signal) => {
                    if self.take_change(&signal).is_err() {
                        self.forget();
                    }
                }
            }
        }
        let mut has_changed = false;
        while self.owners.as_mut().and_then(SignalStream::take_read).is_some() {
            has_changed = true;
        }
        if has_changed {
            self.told += 1;
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.values.clear();
        self.is_filled = false;
    }

    fn take_change(&mut self, signal: &Message) -> std::result::Result<(), MessageError> {
        if signal.signature() != CHANGED {
            return Ok(());
        }
        let mut reader = signal.reader();
        reader.string()?;
        let entries = reader.dict()?;
        self.take_values(signal, entries)?;
        for name in reader.strings()? {
            self.values.remove(name?);
        }
        Ok(())
    }

    fn take_values(
        &mut self,
        message: &Message,
        mut entries: BodyReader<'_>,
    ) -> std::result::Result<(), MessageError> {
        while !entries.is_empty() {
            entries.structure()?;
            let name = entries.string()?;
            let kept = Kept { message: message.clone(), position: entries.position() };
            entries.skip(VARIANT)?;
            self.values.insert(name.into(), kept);
        }
        Ok(())
    }
}

pub(super) const CHANGED: Signature<'static> = Signature::from_static("sa{sv}as");
pub(super) const VARIANT: Signature<'static> = Signature::from_static("v");

impl Kept {
    pub(super) fn value<T>(&self) -> Result<T>
    where
        T: Type + for<'de> Deserialize<'de>,
    {
        let value = self.message.deserialize_at::<as_variant::Deserialize<'_, T>>(self.position)?;
        Ok(value.0)
    }
}

/// What tells of changes of an object's interface.
async fn changes_of<S: Style>(proxy: &Proxy<S>) -> Result<SignalStream<S>> {
    let rule = MatchRule {
        message_type: Some(MessageType::Signal),
        sender: Some(proxy.destination().into()),
        interface: Some(PROPERTIES.into()),
        member: Some("PropertiesChanged".into()),
        path: Some(PathMatch::Exact(proxy.path().into())),
        arguments: first_is(proxy.interface()),
        ..MatchRule::default()
    };
    begin_default(proxy.connection().link(), rule).await
}

/// The changes of one property, one after the other.
///
/// None is missed for good: where some may have been, since nobody took them in time or the connection was lost and
/// made again, one is told whose value is asked for.
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
/// let mut changes = counter.receive_property_changed::<u32>("Count").await?;
/// let served = service.object_server().interface::<_, Counter>("/counter").await?;
/// let mut value = served.get_mut().await;
/// value.0 = 2;
/// value.count_changed(served.signal_emitter()).await?;
/// drop(value);
/// assert_eq!(changes.next_change().await?.get().await?, 2);
/// # libbus::Result::Ok(())
/// # })?;
/// # Ok(())
/// # }
/// ```
pub struct PropertyStream<T, S: Style> {
    proxy: Proxy<S>,
    name: Arc<str>,
    /// Or why there are none.
    changes: std::result::Result<SignalStream<S>, Error>,
    of: PhantomData<fn() -> T>,
}

/// A property has changed.
pub struct PropertyChanged<T, S: Style> {
    proxy: Proxy<S>,
    name: Arc<str>,
    /// Unless only that it has changed was told.
    new: Option<Kept>,
    of: PhantomData<fn() -> T>,
}

impl<T, S: Style> PropertyStream<T, S>
where
    T: Type + for<'de> Deserialize<'de>,
{
    pub(crate) async fn begin(proxy: &Proxy<S>, name: &str) -> Result<Self> {
        Self::begin_anyhow(proxy, name).await.checked()
    }

    /// Of which it is told only when it is waited for that it cannot be begun: it is over then.
    pub(crate) async fn begin_anyhow(proxy: &Proxy<S>, name: &str) -> Self {
        let changes = changes_of(proxy).await;
        Self { proxy: proxy.clone(), name: name.into(), changes, of: PhantomData }
    }

    /// This stream, if it could be begun. One that could not is over from the beginning, as
    /// [`next_change`](Self::next_change) tells, too.
    ///
    /// # Errors
    /// The bus refused the match rule, or the connection is over.
    pub fn checked(self) -> Result<Self> {
        match self.changes {
            Ok(changes) => Ok(Self { changes: Ok(changes), ..self }),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn take_next(&mut self) -> Result<PropertyChanged<T, S>> {
        loop {
            let changes = self.changes.as_mut().map_err(|error| error.clone())?;
            let told = changes.take_next_or_missed(Deadline::Never).await;
            if let Some(change) = self.change_told(told)? {
                return Ok(change);
            }
        }
    }

    /// What was told of the property, if anything. Where changes of the interface were let go, or the connection was
    /// lost, it may have another value.
    pub(crate) fn change_told(
        &self,
        told: Result<Option<Message>>,
    ) -> Result<Option<PropertyChanged<T, S>>> {
        match told {
            Ok(Some(signal)) => Ok(self.change_in(&signal)),
            Ok(None) | Err(Error::Interrupted) => Ok(Some(self.perhaps_changed())),
            Err(error) => Err(error),
        }
    }

    /// Who wants to know the value asks.
    fn perhaps_changed(&self) -> PropertyChanged<T, S> {
        let (proxy, name) = (self.proxy.clone(), Arc::clone(&self.name));
        PropertyChanged { proxy, name, new: None, of: PhantomData }
    }

    /// What the signal says of the property, if anything.
    fn change_in(&self, signal: &Message) -> Option<PropertyChanged<T, S>> {
        let new = find_change(signal, &self.name).ok().flatten()?;
        let (proxy, name) = (self.proxy.clone(), Arc::clone(&self.name));
        Some(PropertyChanged { proxy, name, new, of: PhantomData })
    }

    #[cfg(feature = "async")]
    pub(crate) const fn signals(&mut self) -> Option<&mut SignalStream<S>> {
        match &mut self.changes {
            Ok(changes) => Some(changes),
            Err(_) => None,
        }
    }

    pub(crate) const fn has_ended(&self) -> bool {
        match &self.changes {
            Ok(changes) => changes.has_ended(),
            Err(_) => true,
        }
    }
}

/// What the signal says of the property of this name, if anything: its value, or that it has changed.
fn find_change(
    signal: &Message,
    wanted: &str,
) -> std::result::Result<Option<Option<Kept>>, MessageError> {
    if signal.signature() != CHANGED {
        return Ok(None);
    }
    let mut reader = signal.reader();
    reader.string()?;
    let mut entries = reader.dict()?;
    while !entries.is_empty() {
        entries.structure()?;
        let name = entries.string()?;
        if name == wanted {
            let kept = Kept { message: signal.clone(), position: entries.position() };
            return Ok(Some(Some(kept)));
        }
        entries.skip(VARIANT)?;
    }
    for name in reader.strings()? {
        if name? == wanted {
            return Ok(Some(None));
        }
    }
    Ok(None)
}

impl<T, S: Style> PropertyChanged<T, S>
where
    T: Type + for<'de> Deserialize<'de>,
{
    /// The property's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) async fn value(&self) -> Result<T> {
        match &self.new {
            Some(kept) => kept.value(),
            None => self.proxy.uncached_property(&self.name).await,
        }
    }
}

impl<T, S: Style> fmt::Debug for PropertyStream<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PropertyStream").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<T, S: Style> fmt::Debug for PropertyChanged<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PropertyChanged").field("name", &self.name).finish_non_exhaustive()
    }
}
