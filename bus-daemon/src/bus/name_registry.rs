//! Well-known names: who owns each, and who waits for it.
//!
//! Each name has a queue; its head is the primary owner (protocol.md A125 to A134; D-Bus
//! Specification, section "Message Bus Messages"). A client's *place* is its entry in one queue.
//! The registry decides and returns what changed; it sends nothing. Whether a client may own a
//! name, and that the bus's own name is nobody else's (A125), is the caller's matter.
//!
//! Invariants, checked by [`NameRegistry::check_invariants`]: no queue is empty; a client has at
//! most one place in a queue; each place stands in its name's queue and in its client's list.
//!
//! Nothing here costs more because there are more names, longer queues or more names of one
//! client: names and places are found by hash, and both lists run through the places themselves.
//! Bounded by `max_names_per_connection` (config.md B040), which the caller compares with
//! [`NameRegistry::owned_count`].
//!
//! Calling order: [`add_client`](NameRegistry::add_client) at Hello, any number of requests and
//! releases, then [`release_next`](NameRegistry::release_next) until it returns `None`.

pub(super) mod chain;
pub(super) mod counter;
mod invariants;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::rc::Rc;

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;
use libbus::names::WellKnownName;
use slab::Slab;

use self::chain::{Chain, Links, id_of_key, shrink_slab, shrink_table};
use self::counter::Counter;
use super::id::ClientId;
use super::slot_table::SlotTable;

/// The flags of RequestName (protocol.md A127). Unknown bits are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RequestFlags(u32);

impl RequestFlags {
    /// Others may replace this owner.
    pub const ALLOW_REPLACEMENT: Self = Self(0x1);
    /// Replace the present owner, if it allows that.
    pub const REPLACE_EXISTING: Self = Self(0x2);
    /// Never wait in the queue.
    pub const DO_NOT_QUEUE: Self = Self(0x4);

    /// The flags as they stand in the message.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Whether all flags of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What RequestName answers (protocol.md A128).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum RequestReply {
    /// The caller is now the primary owner.
    PrimaryOwner = 1,
    /// The caller waits in the queue.
    InQueue = 2,
    /// Another client owns the name, and the caller does not wait.
    Exists = 3,
    /// The caller was the primary owner before.
    AlreadyOwner = 4,
}

/// What ReleaseName answers (protocol.md A132).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ReleaseReply {
    /// The caller gave up its place.
    Released = 1,
    /// Nobody owns the name.
    NonExistent = 2,
    /// The caller has no place in the name's queue.
    NotOwner = 3,
}

/// A name changed its primary owner. At least one of the owners is present, and they differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameChange {
    /// The name.
    pub name: Rc<str>,
    /// Who owned it until now; `None`: nobody.
    pub old_owner: Option<ClientId>,
    /// Who owns it from now on; `None`: nobody.
    pub new_owner: Option<ClientId>,
}

/// What a RequestName led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestOutcome {
    /// The caller's answer.
    pub reply: RequestReply,
    /// The change of owner, if there was one.
    pub change: Option<NameChange>,
}

/// What a ReleaseName led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseOutcome {
    /// The caller's answer.
    pub reply: ReleaseReply,
    /// The change of owner, if there was one.
    pub change: Option<NameChange>,
}

/// A place that a leaving client gave up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// The name in whose queue the place was.
    pub name: Rc<str>,
    /// The change of owner; `None` if the client only waited.
    pub change: Option<NameChange>,
}

/// A name in whose queue a client has a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldName<'a> {
    /// The name.
    pub name: &'a str,
    /// Whether the client is the primary owner, not just in the queue.
    pub is_primary: bool,
}

/// All well-known names with their queues.
#[derive(Debug)]
pub struct NameRegistry {
    by_name: HashMap<Rc<str>, u32, SeedableRandomState>,
    queues: Slab<Queue>,
    by_client: HashMap<(u32, ClientId), u32, SeedableRandomState>,
    places: Slab<Place>,
    clients: SlotTable<Holder>,
    /// All places and counted unique names.
    counter: Counter,
    peak_count_per_client: u32,
}

/// One name that somebody owns.
#[derive(Debug)]
struct Queue {
    name: Rc<str>,
    /// INVARIANT: never empty; its first place is the primary owner's.
    places: Chain,
}

/// One client's entry in one queue.
#[derive(Debug)]
struct Place {
    queue: u32,
    client: ClientId,
    /// Of the client's latest RequestName (A126); REPLACE_EXISTING has no meaning here.
    flags: RequestFlags,
    in_queue: Links,
    of_client: Links,
}

/// What one client holds.
#[derive(Debug, Default)]
struct Holder {
    /// Latest first.
    places: Chain,
    counter: Counter,
}

impl NameRegistry {
    /// A registry without names. `seed` is random, so that no client can choose names that
    /// collide in its tables.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let hasher = SeedableRandomState::with_seed(seed, SharedSeed::global_fixed());
        Self {
            by_name: HashMap::with_hasher(hasher.clone()),
            queues: Slab::new(),
            by_client: HashMap::with_hasher(hasher),
            places: Slab::new(),
            clients: SlotTable::new(),
            counter: Counter::default(),
            peak_count_per_client: 0,
        }
    }

    /// Counts the unique name that `client` was given: it is one of its names (config.md B040).
    pub fn add_client(&mut self, client: ClientId) {
        self.count_up(client);
    }

    /// RequestName (protocol.md A126 to A131).
    pub fn request(
        &mut self,
        client: ClientId,
        name: WellKnownName<'_>,
        flags: RequestFlags,
    ) -> RequestOutcome {
        let Some(&queue) = self.by_name.get(name.as_str()) else {
            return self.create(client, name, flags);
        };
        let own_place = self.place_of(queue, client);
        if let Some(place) = own_place {
            self.set_flags(place, flags);
        }
        let Some((head, owner, owner_flags)) = self.head(queue) else {
            return unchanged(RequestReply::Exists);
        };
        if owner == client {
            // protocol.md A129
            return unchanged(RequestReply::AlreadyOwner);
        }
        if flags.contains(RequestFlags::REPLACE_EXISTING)
            && owner_flags.contains(RequestFlags::ALLOW_REPLACEMENT)
        {
            return self.replace(queue, (head, owner, owner_flags), client, flags);
        }
        // protocol.md A131: replacement is impossible.
        if flags.contains(RequestFlags::DO_NOT_QUEUE) {
            if let Some(place) = own_place {
                self.remove_place(place);
            }
            return unchanged(RequestReply::Exists);
        }
        if own_place.is_none() {
            let place = self.add_place(queue, client, flags);
            self.with_queue(queue, |chain, places| chain.push_back(places, place, in_queue));
        }
        unchanged(RequestReply::InQueue)
    }

    /// ReleaseName (protocol.md A132): gives up the client's place, primary or not.
    pub fn release(&mut self, client: ClientId, name: WellKnownName<'_>) -> ReleaseOutcome {
        let Some(&queue) = self.by_name.get(name.as_str()) else {
            return ReleaseOutcome { reply: ReleaseReply::NonExistent, change: None };
        };
        let Some(place) = self.place_of(queue, client) else {
            return ReleaseOutcome { reply: ReleaseReply::NotOwner, change: None };
        };
        let change = self.remove_place(place).and_then(|given_up| given_up.change);
        ReleaseOutcome { reply: ReleaseReply::Released, change }
    }

    /// Gives up one place of a client that leaves, the latest taken first, as the reference does
    /// (protocol.md A134). `None`: none is left, and the registry has forgotten the client.
    pub fn release_next(&mut self, client: ClientId) -> Option<GivenUp> {
        let latest = self.clients.get(client).and_then(|holder| holder.places.first());
        if let Some(place) = latest {
            return self.remove_place(place);
        }
        self.forget(client);
        None
    }

    /// The primary owner of `name`.
    #[must_use]
    pub fn owner(&self, name: &str) -> Option<ClientId> {
        let queue = *self.by_name.get(name)?;
        self.head(queue).map(|(_, owner, _)| owner)
    }

    /// Whether `client` is the primary owner of `name` or waits for it.
    #[must_use]
    pub fn has_place(&self, name: &str, client: ClientId) -> bool {
        self.by_name.get(name).is_some_and(|&queue| self.place_of(queue, client).is_some())
    }

    /// The owner and those who wait for `name`, in the order they get it; empty if nobody owns it.
    pub fn queue(&self, name: &str) -> impl Iterator<Item = ClientId> {
        let queue = self.by_name.get(name).and_then(|&queue| self.queues.get(queue as usize));
        let places = queue.map_or(Chain::EMPTY, |queue| queue.places);
        places.iter(&self.places, |place| place.in_queue).map(|(_, place)| place.client)
    }

    /// The names in whose queues `client` has a place, the latest first.
    pub fn names_of(&self, client: ClientId) -> impl Iterator<Item = HeldName<'_>> {
        let places = self.clients.get(client).map_or(Chain::EMPTY, |holder| holder.places);
        places.iter(&self.places, |place| place.of_client).filter_map(|(id, place)| {
            let queue = self.queues.get(place.queue as usize)?;
            Some(HeldName { name: &queue.name, is_primary: queue.places.first() == Some(id) })
        })
    }

    /// All names that have an owner, in no particular order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.queues.iter().map(|(_, queue)| &*queue.name)
    }

    /// How many names `client` holds: its unique name, those it owns and those it waits for
    /// (config.md B040; `BusNames` of protocol.md A205).
    #[must_use]
    pub fn owned_count(&self, client: ClientId) -> u32 {
        self.clients.get(client).map_or(0, |holder| holder.counter.count)
    }

    /// The most [`owned_count`](Self::owned_count) ever was (`PeakBusNames` of protocol.md A205).
    #[must_use]
    pub fn peak_owned_count(&self, client: ClientId) -> u32 {
        self.clients.get(client).map_or(0, |holder| holder.counter.peak)
    }

    /// The names held by all clients together (`BusNames` of protocol.md A204): a name counts
    /// once for each client in its queue.
    #[must_use]
    pub fn total_count(&self) -> u32 {
        self.counter.count
    }

    /// The most [`total_count`](Self::total_count) ever was (`PeakBusNames` of A204).
    #[must_use]
    pub fn peak_total_count(&self) -> u32 {
        self.counter.peak
    }

    /// The most names one client ever held (`PeakBusNamesPerConnection` of A204).
    #[must_use]
    pub fn peak_count_per_client(&self) -> u32 {
        self.peak_count_per_client
    }

    /// Whether no name is owned and no client is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty() && self.places.is_empty() && self.clients.is_empty()
    }

    /// The first owner of a name that nobody owned.
    fn create(
        &mut self,
        client: ClientId,
        name: WellKnownName<'_>,
        flags: RequestFlags,
    ) -> RequestOutcome {
        let name: Rc<str> = name.as_str().into();
        let queue = self.queues.insert(Queue { name: Rc::clone(&name), places: Chain::EMPTY });
        let queue = id_of_key(queue);
        self.by_name.insert(Rc::clone(&name), queue);
        let place = self.add_place(queue, client, flags);
        self.with_queue(queue, |chain, places| chain.push_back(places, place, in_queue));
        let change = NameChange { name, old_owner: None, new_owner: Some(client) };
        RequestOutcome { reply: RequestReply::PrimaryOwner, change: Some(change) }
    }

    /// protocol.md A130: the caller becomes head; the old owner goes to second place, or leaves
    /// the queue if it does not want to wait.
    fn replace(
        &mut self,
        queue: u32,
        (old_place, old_owner, old_flags): (u32, ClientId, RequestFlags),
        client: ClientId,
        flags: RequestFlags,
    ) -> RequestOutcome {
        let place = match self.place_of(queue, client) {
            Some(place) => {
                self.with_queue(queue, |chain, places| chain.remove(places, place, in_queue));
                place
            }
            None => self.add_place(queue, client, flags),
        };
        self.with_queue(queue, |chain, places| chain.push_front(places, place, in_queue));
        if old_flags.contains(RequestFlags::DO_NOT_QUEUE) {
            self.remove_place(old_place);
        }
        let change = self.queues.get(queue as usize).map(|queue| NameChange {
            name: Rc::clone(&queue.name),
            old_owner: Some(old_owner),
            new_owner: Some(client),
        });
        RequestOutcome { reply: RequestReply::PrimaryOwner, change }
    }

    /// A new place of `client`, counted and in its list, not yet in the queue.
    fn add_place(&mut self, queue: u32, client: ClientId, flags: RequestFlags) -> u32 {
        let (in_queue, of_client) = (Links::LOOSE, Links::LOOSE);
        let place = self.places.insert(Place { queue, client, flags, in_queue, of_client });
        let place = id_of_key(place);
        self.by_client.insert((queue, client), place);
        self.count_up(client);
        if let Some(holder) = self.clients.get_mut(client) {
            holder.places.push_front(&mut self.places, place, |place| &mut place.of_client);
        }
        place
    }

    /// Takes a place out of everything; the name goes when it was the last one in the queue.
    fn remove_place(&mut self, id: u32) -> Option<GivenUp> {
        let &Place { queue, client, .. } = self.places.get(id as usize)?;
        let was_primary = self.queues.get(queue as usize)?.places.first() == Some(id);
        self.with_queue(queue, |chain, places| chain.remove(places, id, in_queue));
        if let Some(holder) = self.clients.get_mut(client) {
            holder.places.remove(&mut self.places, id, |place| &mut place.of_client);
            holder.counter.subtract(1);
        }
        self.counter.subtract(1);
        self.by_client.remove(&(queue, client));
        self.places.try_remove(id as usize);

        let name = Rc::clone(&self.queues.get(queue as usize)?.name);
        let new_owner = self.head(queue).map(|(_, owner, _)| owner);
        if new_owner.is_none() {
            self.queues.try_remove(queue as usize);
            self.by_name.remove(&name);
        }
        let change = was_primary.then(|| NameChange {
            name: Rc::clone(&name),
            old_owner: Some(client),
            new_owner,
        });
        Some(GivenUp { name, change })
    }

    fn count_up(&mut self, client: ClientId) {
        let Some(holder) = self.clients.get_or_default(client) else { return };
        holder.counter.increment();
        self.peak_count_per_client = self.peak_count_per_client.max(holder.counter.count);
        self.counter.increment();
    }

    /// Drops what is known of a client without places, and memory that is no longer needed.
    fn forget(&mut self, client: ClientId) {
        let Some(holder) = self.clients.remove(client) else { return };
        self.counter.subtract(holder.counter.count);
        shrink_table(&mut self.by_client);
        shrink_table(&mut self.by_name);
        shrink_slab(&mut self.places);
        shrink_slab(&mut self.queues);
    }

    fn with_queue(&mut self, queue: u32, edit: impl FnOnce(&mut Chain, &mut Slab<Place>)) {
        if let Some(queue) = self.queues.get_mut(queue as usize) {
            edit(&mut queue.places, &mut self.places);
        }
    }

    fn set_flags(&mut self, place: u32, flags: RequestFlags) {
        if let Some(place) = self.places.get_mut(place as usize) {
            place.flags = flags;
        }
    }

    fn place_of(&self, queue: u32, client: ClientId) -> Option<u32> {
        self.by_client.get(&(queue, client)).copied()
    }

    /// The primary owner's place, the owner and its flags.
    fn head(&self, queue: u32) -> Option<(u32, ClientId, RequestFlags)> {
        let id = self.queues.get(queue as usize)?.places.first()?;
        let place = self.places.get(id as usize)?;
        Some((id, place.client, place.flags))
    }
}

fn unchanged(reply: RequestReply) -> RequestOutcome {
    RequestOutcome { reply, change: None }
}

fn in_queue(place: &mut Place) -> &mut Links {
    &mut place.in_queue
}
