//! Match rules, and which clients each of them brings a message to.
//!
//! Equal rules share one *node* with the list of its subscribers. A node stands in one *bucket*,
//! chosen by a hash of every key of the rule that a message answers with one value (sender,
//! interface, member, path, arg0) and of one prefix (arg0namespace or path_namespace). Which keys
//! a rule has is its *shape*. A message is looked up once for each shape in use, at most
//! `keys::SHAPES_MAX` (288) times and usually a dozen, and the rules found there are checked in
//! full. So the price of a message does not grow with rules that cannot match, except those that
//! differ from it only in what no bucket knows: type, destination, arg1 to arg63, every argNpath,
//! a path_namespace beside an arg0namespace, and prefixes from their ninth element on.
//!
//! A rule's sender may be a well-known name, but a message knows the client that sent it. The
//! node is therefore kept under the name's present owner, moved by
//! [`handle_owner_change`](MatchIndex::handle_owner_change), and *dormant*, in no bucket, while
//! nobody owns the name (protocol.md A159). The same holds for unique names that are not given
//! out yet; once such a name is gone, the rules that name it go too (A134).
//!
//! Several indices may serve one message: they share the [`Recipients`], which take each client
//! once (A171). What eavesdropping means is the router's matter; here `eavesdrop` is only part of
//! a rule's equality (A170).
//!
//! Finding allocates nothing once the recipients' table has grown. Bounded by
//! `max_match_rules_per_connection` (config.md B041), which the caller compares with
//! [`MatchIndex::rule_count`].

mod invariants;
mod keys;
mod recipients;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use foldhash::SharedSeed;
use foldhash::fast::{FixedState, SeedableRandomState};
use libbus::match_rule::{MatchNames, MatchRule};
use libbus::wire::{Arguments, Header};
use slab::Slab;
use smallvec::SmallVec;

pub use self::keys::is_vague;
use self::keys::{KeyHasher, MessageKeys, Shape, ShapesInUse};
pub use self::recipients::Recipients;
use super::id::ClientId;
use super::name_registry::chain::{Chain, Links, id_of_key, shrink_slab, shrink_table};
use super::name_registry::counter::Counter;
use super::slot_table::SlotTable;

/// The bus's own name, which is always owned, by the bus.
const DRIVER_NAME: &str = "org.freedesktop.DBus";

/// Who sent a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SenderKey {
    /// A client.
    Client(ClientId),
    /// The bus itself (protocol.md A142).
    Driver,
}

/// What a message is matched by.
#[derive(Clone, Copy, Debug)]
pub struct MatchedMessage<'a> {
    /// Its header.
    pub header: &'a Header<'a>,
    /// Its string and object path arguments.
    pub arguments: Arguments<'a>,
    /// Who sent it.
    pub sender: SenderKey,
}

/// The client has no rule equal to this one (protocol.md A170).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleNotFound;

/// Match rules and their subscribers.
#[derive(Debug)]
pub struct MatchIndex {
    hasher: KeyHasher,
    by_rule: HashMap<Rc<MatchRule>, u32, SeedableRandomState>,
    nodes: Slab<Node>,
    /// The nodes that are not dormant, by the hash of their keys. INVARIANT: no bucket is empty.
    buckets: HashMap<u64, Chain, FixedState>,
    shapes: ShapesInUse,
    /// The nodes to change when a name changes hands. INVARIANT: an entry has a node.
    watched_names: HashMap<Box<str>, Watchers, SeedableRandomState>,
    clients: SlotTable<Subscriptions>,
    /// All rules; equal ones count as often as they were added.
    counter: Counter,
    peak_count_per_client: u32,
    /// How many nodes were checked in full or moved to another bucket.
    work: Cell<u64>,
}

/// A rule and those who added it.
#[derive(Debug)]
struct Node {
    rule: Rc<MatchRule>,
    /// INVARIANT: never empty, and each client stands in it once.
    subscribers: SmallVec<[Subscriber; 1]>,
    /// Decides, with the rule, in which bucket the node stands.
    sender: RuleSender,
    in_bucket: Links,
    of_sender: Links,
    of_destination: Links,
}

#[derive(Clone, Copy, Debug)]
struct Subscriber {
    client: ClientId,
    /// How often the client added the rule (protocol.md A170); at least once.
    count: u32,
}

/// Whose messages a rule asks for, as things stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RuleSender {
    Anybody,
    Known(SenderKey),
    /// The name has no owner.
    Nobody,
}

/// The nodes that name one bus name.
#[derive(Debug)]
struct Watchers {
    as_sender: Chain,
    /// Only for a unique name: a rule's destination decides no bucket.
    as_destination: Chain,
}

/// What one client subscribed to.
#[derive(Debug, Default)]
struct Subscriptions {
    /// Node, and where in its list the client stands.
    positions: HashMap<u32, u32, FixedState>,
    counter: Counter,
    /// How many of them are checked for messages that they do not match.
    vague_count: u32,
}

impl MatchIndex {
    /// An index without rules. `seed` is random, so that no client can choose rules that collide.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let hasher = SeedableRandomState::with_seed(seed, SharedSeed::global_fixed());
        Self {
            hasher: KeyHasher::new(hasher.clone()),
            by_rule: HashMap::with_hasher(hasher.clone()),
            nodes: Slab::new(),
            buckets: HashMap::default(),
            shapes: ShapesInUse::default(),
            watched_names: HashMap::with_hasher(hasher),
            clients: SlotTable::new(),
            counter: Counter::default(),
            peak_count_per_client: 0,
            work: Cell::new(0),
        }
    }

    /// Adds a rule of `client`; an equal one counts once more (protocol.md A170). `resolve` says
    /// who owns a bus name, unique or well-known, at present.
    pub fn add(
        &mut self,
        client: ClientId,
        rule: MatchRule,
        resolve: impl FnOnce(&str) -> Option<ClientId>,
    ) {
        let node = match self.by_rule.get(&rule) {
            Some(&node) => node,
            None => self.create_node(rule, resolve),
        };
        self.subscribe(node, client);
    }

    /// Removes one rule of `client` that equals `rule` (protocol.md A170).
    ///
    /// # Errors
    /// [`RuleNotFound`] if the client has none.
    pub fn remove(&mut self, client: ClientId, rule: &MatchRule) -> Result<(), RuleNotFound> {
        let node = *self.by_rule.get(rule).ok_or(RuleNotFound)?;
        let subscriptions = self.clients.get_mut(client).ok_or(RuleNotFound)?;
        let position = *subscriptions.positions.get(&node).ok_or(RuleNotFound)?;
        let subscriber = self
            .nodes
            .get_mut(node as usize)
            .and_then(|node| node.subscribers.get_mut(position as usize))
            .ok_or(RuleNotFound)?;
        subscriptions.counter.subtract(1);
        self.counter.subtract(1);
        subscriber.count -= 1;
        if subscriber.count == 0 {
            subscriptions.forget(node, rule);
            self.unsubscribe(node, position);
        }
        Ok(())
    }

    /// Removes all rules of a client that leaves, and forgets the client.
    pub fn remove_client(&mut self, client: ClientId) {
        let Some(subscriptions) = self.clients.remove(client) else { return };
        self.counter.subtract(subscriptions.counter.count);
        for (node, position) in subscriptions.positions {
            self.unsubscribe(node, position);
        }
        self.give_back();
    }

    /// A bus name has a new owner, or none: rules with this sender now ask for its messages. For
    /// a unique name the owner is the client it was given to.
    pub fn handle_owner_change(&mut self, name: &str, new_owner: Option<ClientId>) {
        let sender = RuleSender::owner(new_owner);
        let watchers = self.watched_names.get(name);
        let mut next = watchers.and_then(|watchers| watchers.as_sender.first());
        while let Some(id) = next {
            self.take_from_bucket(id);
            let Some(node) = self.nodes.get_mut(id as usize) else { return };
            node.sender = sender;
            next = node.of_sender.next();
            self.put_in_bucket(id);
            self.work.set(self.work.get() + 1);
        }
    }

    /// A unique name is gone for ever: everybody's rules that have it as sender or destination
    /// are dropped (protocol.md A134). Answers whose they were.
    pub fn handle_unique_name_gone(&mut self, unique: &str) -> Vec<ClientId> {
        let mut losers = Vec::new();
        while let Some(node) = self.first_watcher(unique) {
            let node_of = self.nodes.get(node as usize);
            losers.extend(node_of.iter().flat_map(|n| &n.subscribers).map(|one| one.client));
            self.drop_node(node);
        }
        losers
    }

    /// Adds to `recipients` each client with a rule that `message` matches. `names` answers for
    /// the destinations that rules name; senders are known here.
    pub fn find(
        &self,
        message: &MatchedMessage<'_>,
        names: &impl MatchNames,
        recipients: &mut Recipients,
    ) {
        if self.nodes.is_empty() {
            return;
        }
        let keys = MessageKeys::of(message, &self.hasher, &self.shapes);
        let buckets = self.shapes.iter().filter_map(|shape| keys.bucket(shape, &self.hasher));
        for chain in buckets.filter_map(|bucket| self.buckets.get(&bucket)) {
            for (_, node) in chain.iter(&self.nodes, |node| node.in_bucket) {
                self.work.set(self.work.get() + 1);
                if node.matches(message, names) {
                    node.subscribers.iter().for_each(|one| recipients.push(one.client));
                }
            }
        }
    }

    /// How many rules were looked at or moved so far: what this index has cost beyond what each
    /// message costs.
    #[must_use]
    pub const fn work(&self) -> u64 {
        self.work.get()
    }

    /// How many rules `client` has; equal ones count as often as they were added.
    #[must_use]
    pub fn rule_count(&self, client: ClientId) -> u32 {
        self.clients.get(client).map_or(0, |subscriptions| subscriptions.counter.count)
    }

    /// How many different rules `client` has that are checked for messages which they do not match, since
    /// no bucket knows all their conditions.
    #[must_use]
    pub fn vague_rule_count(&self, client: ClientId) -> u32 {
        self.clients.get(client).map_or(0, |subscriptions| subscriptions.vague_count)
    }

    /// The most rules that `client` had at once (`PeakMatchRules` of protocol.md A205).
    #[must_use]
    pub fn peak_rule_count(&self, client: ClientId) -> u32 {
        self.clients.get(client).map_or(0, |subscriptions| subscriptions.counter.peak)
    }

    /// The rules of `client`, each with how often it was added, in no particular order.
    pub fn rules_of(&self, client: ClientId) -> impl Iterator<Item = (&MatchRule, u32)> {
        let subscriptions = self.clients.get(client).into_iter();
        let positions = subscriptions.flat_map(|subscriptions| &subscriptions.positions);
        positions.filter_map(|(&node, &position)| {
            let node = self.nodes.get(node as usize)?;
            Some((&*node.rule, node.subscribers.get(position as usize)?.count))
        })
    }

    /// How many rules all clients have together (`MatchRules` of protocol.md A204).
    #[must_use]
    pub fn len(&self) -> u32 {
        self.counter.count
    }

    /// Whether there is no rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The most rules there ever were at once (`PeakMatchRules` of protocol.md A204).
    #[must_use]
    pub fn peak_len(&self) -> u32 {
        self.counter.peak
    }

    /// The most rules one client ever had at once (`PeakMatchRulesPerConnection` of A204).
    #[must_use]
    pub fn peak_count_per_client(&self) -> u32 {
        self.peak_count_per_client
    }

    fn create_node(
        &mut self,
        rule: MatchRule,
        resolve: impl FnOnce(&str) -> Option<ClientId>,
    ) -> u32 {
        let rule = Rc::new(rule);
        let id = id_of_key(self.nodes.insert(Node {
            sender: RuleSender::of(&rule, resolve),
            rule: Rc::clone(&rule),
            subscribers: SmallVec::new(),
            in_bucket: Links::LOOSE,
            of_sender: Links::LOOSE,
            of_destination: Links::LOOSE,
        }));
        self.watch_names(id, &rule);
        self.by_rule.insert(rule, id);
        self.put_in_bucket(id);
        id
    }

    fn subscribe(&mut self, id: u32, client: ClientId) {
        let Some(node) = self.nodes.get_mut(id as usize) else { return };
        let Some(subscriptions) = self.clients.get_or_default(client) else { return };
        let position = *subscriptions.positions.entry(id).or_insert_with(|| {
            node.subscribers.push(Subscriber { client, count: 0 });
            subscriptions.vague_count += u32::from(is_vague(&node.rule));
            id_of_key(node.subscribers.len() - 1)
        });
        if let Some(subscriber) = node.subscribers.get_mut(position as usize) {
            subscriber.count = subscriber.count.saturating_add(1);
        }
        subscriptions.counter.increment();
        self.peak_count_per_client = self.peak_count_per_client.max(subscriptions.counter.count);
        self.counter.increment();
    }

    /// Takes a subscriber off a node's list; its client knows already.
    fn unsubscribe(&mut self, id: u32, position: u32) {
        let Some(node) = self.nodes.get_mut(id as usize) else { return };
        node.subscribers.swap_remove(position as usize);
        if let Some(moved) = node.subscribers.get(position as usize)
            && let Some(subscriptions) = self.clients.get_mut(moved.client)
        {
            subscriptions.positions.insert(id, position);
        }
        if node.subscribers.is_empty() {
            self.drop_node(id);
        }
    }

    /// Drops a node with whatever subscribers it has left.
    fn drop_node(&mut self, id: u32) {
        self.take_from_bucket(id);
        self.unwatch_names(id);
        let Some(node) = self.nodes.try_remove(id as usize) else { return };
        self.by_rule.remove(&node.rule);
        for Subscriber { client, count } in node.subscribers {
            self.counter.subtract(count);
            if let Some(subscriptions) = self.clients.get_mut(client) {
                subscriptions.forget(id, &node.rule);
                subscriptions.counter.subtract(count);
            }
        }
    }

    /// Puts a node where messages will find it, unless its sender is nobody.
    fn put_in_bucket(&mut self, id: u32) {
        let Some((shape, bucket)) = self.bucket_of(id) else { return };
        self.shapes.add(shape);
        let chain = self.buckets.entry(bucket).or_insert(Chain::EMPTY);
        chain.push_front(&mut self.nodes, id, |node| &mut node.in_bucket);
    }

    fn take_from_bucket(&mut self, id: u32) {
        let Some((shape, bucket)) = self.bucket_of(id) else { return };
        self.shapes.remove(shape);
        let Some(chain) = self.buckets.get_mut(&bucket) else { return };
        chain.remove(&mut self.nodes, id, |node| &mut node.in_bucket);
        if chain.is_empty() {
            self.buckets.remove(&bucket);
        }
    }

    /// Where a node stands as long as its sender is what it is; `None`: it is dormant. Not noted in
    /// the node, since that would make each rule larger for what seldom happens to it.
    fn bucket_of(&self, id: u32) -> Option<(Shape, u64)> {
        let node = self.nodes.get(id as usize)?;
        let sender = match node.sender {
            RuleSender::Anybody => None,
            RuleSender::Known(sender) => Some(sender),
            RuleSender::Nobody => return None,
        };
        Some(self.hasher.bucket_of_rule(&node.rule, sender))
    }

    fn watch_names(&mut self, id: u32, rule: &MatchRule) {
        if let Some(name) = watched_sender(rule) {
            let watchers = watchers_of(&mut self.watched_names, name);
            watchers.as_sender.push_back(&mut self.nodes, id, |node| &mut node.of_sender);
        }
        if let Some(name) = watched_destination(rule) {
            let watchers = watchers_of(&mut self.watched_names, name);
            watchers.as_destination.push_back(&mut self.nodes, id, |node| &mut node.of_destination);
        }
    }

    fn unwatch_names(&mut self, id: u32) {
        let Some(rule) = self.nodes.get(id as usize).map(|node| Rc::clone(&node.rule)) else {
            return;
        };
        if let Some(watchers) = watched_sender(&rule).and_then(|n| self.watched_names.get_mut(n)) {
            watchers.as_sender.remove(&mut self.nodes, id, |node| &mut node.of_sender);
        }
        let destination = watched_destination(&rule);
        if let Some(watchers) = destination.and_then(|name| self.watched_names.get_mut(name)) {
            watchers.as_destination.remove(&mut self.nodes, id, |node| &mut node.of_destination);
        }
        for name in watched_sender(&rule).into_iter().chain(destination) {
            if self.first_watcher(name).is_none() {
                self.watched_names.remove(name);
            }
        }
    }

    fn first_watcher(&self, name: &str) -> Option<u32> {
        let watchers = self.watched_names.get(name)?;
        watchers.as_sender.first().or(watchers.as_destination.first())
    }

    /// Lets go of memory that is no longer needed.
    fn give_back(&mut self) {
        shrink_table(&mut self.by_rule);
        shrink_table(&mut self.buckets);
        shrink_table(&mut self.watched_names);
        shrink_slab(&mut self.nodes);
    }
}

impl Subscriptions {
    fn forget(&mut self, node: u32, rule: &MatchRule) {
        if self.positions.remove(&node).is_some() {
            self.vague_count -= u32::from(is_vague(rule));
        }
    }
}

impl Node {
    fn matches(&self, message: &MatchedMessage<'_>, names: &impl MatchNames) -> bool {
        let is_sender = self.sender == RuleSender::Known(message.sender);
        self.rule.matches(message.header, message.arguments, &KnownSender { is_sender, names })
    }
}

impl RuleSender {
    fn of(rule: &MatchRule, resolve: impl FnOnce(&str) -> Option<ClientId>) -> Self {
        match rule.sender.as_deref() {
            None => Self::Anybody,
            Some(DRIVER_NAME) => Self::Known(SenderKey::Driver),
            Some(name) => Self::owner(resolve(name)),
        }
    }

    fn owner(owner: Option<ClientId>) -> Self {
        owner.map_or(Self::Nobody, |client| Self::Known(SenderKey::Client(client)))
    }
}

/// Answers for a node's sender from the index, for destinations from the caller.
struct KnownSender<'a, N> {
    is_sender: bool,
    names: &'a N,
}

impl<N: MatchNames> MatchNames for KnownSender<'_, N> {
    fn sender_is(&self, _name: &str) -> bool {
        self.is_sender
    }

    fn destination_is(&self, name: &str) -> bool {
        self.names.destination_is(name)
    }
}

/// The sender whose owner decides the rule's bucket.
fn watched_sender(rule: &MatchRule) -> Option<&str> {
    rule.sender.as_deref().filter(|name| *name != DRIVER_NAME)
}

/// The destination that may go.
fn watched_destination(rule: &MatchRule) -> Option<&str> {
    rule.destination.as_deref().filter(|name| name.starts_with(':'))
}

fn watchers_of<'a>(
    watched: &'a mut HashMap<Box<str>, Watchers, SeedableRandomState>,
    name: &str,
) -> &'a mut Watchers {
    watched
        .entry(name.into())
        .or_insert(Watchers { as_sender: Chain::EMPTY, as_destination: Chain::EMPTY })
}
