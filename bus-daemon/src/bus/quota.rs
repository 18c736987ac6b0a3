//! What each user holds of the bus, and how much it may hold.
//!
//! The bus has a pool of each resource. **A user may hold at most half of what the other users leave,
//! and a single client at most half of what the user's other clients leave of that.** So whoever
//! comes still finds something, however much the others took, and a client that is alone may hold a
//! quarter of the pool, which is never less than its own limit ([`Pools`]). Users who own the
//! machine or the bus (root, and the bus's own user) have a whole pool each: of them only single
//! clients are limited, and what they hold takes nothing from the others. Of the connections that the
//! bus may have in all, a few are kept for them ([`kept_connections`]).
//!
//! The limits per connection (config.md B027–B042) are asked first and are as they are.
//!
//! Bytes and descriptors are those that wait for a client and those of a message that it has not sent
//! completely. Up to [`UNCOUNTED_SIZE_MAX`] bytes of each of the two do not count, nor do up to
//! [`UNCOUNTED_REPLY_COUNT_MAX`] calls of a client: so much comes and goes with each message, which
//! costs no accounting then. All else is counted to the last one.
//!
//! Invariants, for [`Bus::check_invariants`](super::Bus::check_invariants): a user has an entry while
//! it has a client; each counter is the sum of what its clients hold; `ordinary` is the sum over all
//! users who are not privileged. Nothing here allocates but the first client of a user.

use std::collections::HashMap;
use std::fmt;

use bus_policy::config::Limits;
use foldhash::fast::FixedState;
use slab::Slab;

use super::limits::{
    BYTES_POOL_MIN, COUNT_POOL_MIN, COUNT_POOL_PER_CONNECTION, FDS_POOL_MIN,
    KEPT_CONNECTION_COUNT_MAX, UNCOUNTED_REPLY_COUNT_MAX, UNCOUNTED_SIZE_MAX, USER_WORK_PER_ROUND,
    VAGUE_RULES_POOL_MIN,
};

/// What is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Bytes that wait for a client or are a message that has not come completely.
    Bytes,
    /// File descriptors likewise.
    Fds,
    /// Match rules, those of monitors too.
    MatchRules,
    /// Those of them that are looked at for messages which they do not match, since they have conditions
    /// that no index knows: each makes every message dearer that comes near them.
    VagueMatchRules,
    /// Names, with the unique one and places in queues.
    Names,
    /// Calls that wait for their reply.
    Replies,
    /// Clients that said Hello.
    Connections,
    /// Clients that did not yet.
    IncompleteConnections,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; RESOURCE_COUNT] = [
        Self::Bytes,
        Self::Fds,
        Self::MatchRules,
        Self::VagueMatchRules,
        Self::Names,
        Self::Replies,
        Self::Connections,
        Self::IncompleteConnections,
    ];

    /// What statistics call it.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Fds => "fds",
            Self::MatchRules => "match_rules",
            Self::VagueMatchRules => "vague_match_rules",
            Self::Names => "names",
            Self::Replies => "replies",
            Self::Connections => "connections",
            Self::IncompleteConnections => "incomplete_connections",
        }
    }

    /// What it is called, and the limit that its pool comes from.
    #[must_use]
    pub const fn in_words(self) -> (&'static str, &'static str) {
        match self {
            Self::Bytes => ("bytes of messages", "max_outgoing_bytes"),
            Self::Fds => ("file descriptors in messages", "max_outgoing_unix_fds"),
            Self::MatchRules => ("match rules", "max_match_rules_per_connection"),
            Self::VagueMatchRules => (
                "match rules about a destination, a path as argument or an argument but the first",
                "max_match_rules_per_connection",
            ),
            Self::Names => ("names", "max_names_per_connection"),
            Self::Replies => ("calls without a reply", "max_replies_per_connection"),
            Self::Connections => ("connections", "max_completed_connections"),
            Self::IncompleteConnections => {
                ("connections that have not said Hello", "max_incomplete_connections")
            }
        }
    }
}

const RESOURCE_COUNT: usize = 8;

/// So much of each resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts([u64; RESOURCE_COUNT]);

impl Amounts {
    /// How much of one.
    #[must_use]
    pub const fn of(&self, resource: Resource) -> u64 {
        self.0[resource as usize]
    }

    /// Sets how much of one, and returns how much it was.
    pub const fn set(&mut self, resource: Resource, amount: u64) -> u64 {
        std::mem::replace(&mut self.0[resource as usize], amount)
    }

    fn subtract(&mut self, other: &Self) {
        for (own, other) in self.0.iter_mut().zip(other.0) {
            *own = own.saturating_sub(other);
        }
    }

    const fn change(&mut self, resource: Resource, before: u64, after: u64) {
        let held = &mut self.0[resource as usize];
        *held = held.saturating_add(after).saturating_sub(before);
    }
}

/// So much of each resource, of one client: of all but bytes there are fewer than 2^32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientAmounts {
    bytes: u64,
    counts: [u32; RESOURCE_COUNT - 1],
}

impl ClientAmounts {
    /// How much of one.
    #[must_use]
    pub const fn of(&self, resource: Resource) -> u64 {
        match (resource as usize).checked_sub(1) {
            None => self.bytes,
            Some(index) => self.counts[index] as u64,
        }
    }

    /// Sets how much of one, and returns how much it was.
    pub fn set(&mut self, resource: Resource, amount: u64) -> u64 {
        let before = self.of(resource);
        match (resource as usize).checked_sub(1).and_then(|index| self.counts.get_mut(index)) {
            None => self.bytes = amount,
            // INVARIANT: as said above.
            Some(count) => *count = u32::try_from(amount).unwrap_or(u32::MAX),
        }
        before
    }

    /// The same for sums.
    #[must_use]
    pub fn to_amounts(&self) -> Amounts {
        let mut amounts = Amounts::default();
        for resource in Resource::ALL {
            amounts.set(resource, self.of(resource));
        }
        amounts
    }
}

/// How much there is of each resource for all users who are not privileged, and as much again for
/// each who is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pools(Amounts);

impl Pools {
    /// Pools in which the limits of one connection can be reached by a client that is alone. The
    /// process may have `process_fds_max` descriptors.
    #[must_use]
    pub fn new(limits: &Limits, process_fds_max: u64) -> Self {
        let queues = limits.outgoing_bytes_max.saturating_add(limits.incoming_bytes_max);
        let fds = limits.outgoing_unix_fds_max.saturating_add(limits.incoming_unix_fds_max);
        let counts = COUNT_POOL_MIN
            .max(u64::from(limits.completed_connections_max) * COUNT_POOL_PER_CONNECTION);
        let count = |of_connection: u32| counts.max(4 * u64::from(of_connection));
        let per_user = u64::from(limits.connections_per_user_max);
        let mut pools = Amounts::default();
        // Or the largest message could not be sent with byte limits that are smaller.
        let queues = queues.max(limits.message_size_max.into());
        pools.set(Resource::Bytes, queues.saturating_mul(4).max(BYTES_POOL_MIN));
        pools.set(Resource::Fds, fds.saturating_mul(4).max(FDS_POOL_MIN).min(process_fds_max / 2));
        pools.set(Resource::MatchRules, count(limits.match_rules_per_connection_max));
        let vague = 4 * u64::from(limits.match_rules_per_connection_max);
        pools.set(Resource::VagueMatchRules, vague.max(VAGUE_RULES_POOL_MIN));
        pools.set(Resource::Names, count(limits.names_per_connection_max));
        pools.set(Resource::Replies, count(limits.replies_per_connection_max));
        let completed = u64::from(limits.completed_connections_max);
        pools.set(Resource::Connections, completed.max(2 * per_user));
        pools.set(Resource::IncompleteConnections, limits.incomplete_connections_max.into());
        Self(pools)
    }

    /// How much there is of one resource.
    #[must_use]
    pub const fn of(&self, resource: Resource) -> u64 {
        self.0.of(resource)
    }
}

/// A user in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UserId(u32);

#[derive(Debug)]
struct User {
    uid: Option<u32>,
    is_privileged: bool,
    client_count: u32,
    held: Amounts,
    /// Work that was done for it and is not worked off by rounds that have passed, and at which round.
    work: (u64, u64),
}

impl User {
    fn work_at(&self, round: u64) -> u64 {
        let (work, since) = self.work;
        work.saturating_sub((round - since).saturating_mul(USER_WORK_PER_ROUND))
    }
}

/// How much a client may hold of one resource, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Which.
    pub resource: Resource,
    /// How much there is.
    pub pool: u64,
    /// Held by the users who share the pool with this one.
    pub others: u64,
    /// Held by this user.
    pub of_user: u64,
    /// How much this user may hold.
    pub user_max: u64,
    /// How much the client in question may hold.
    pub client_max: u64,
}

/// A user, or all whose user is not known, for people.
#[must_use]
pub fn user_in_words(uid: Option<u32>) -> String {
    uid.map_or_else(|| "users that are not known".to_owned(), |uid| format!("user {uid}"))
}

/// Users with how much they hold, the greatest first; in words by [`fmt::Display`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holders(Vec<(Option<u32>, u64)>);

impl Holders {
    fn new<'a>(users: impl Iterator<Item = &'a User>, resource: Resource, count: usize) -> Self {
        Self::largest(users.map(|user| (user.uid, user.held.of(resource))), count)
    }

    /// The first so many of those who hold so much each.
    pub(super) fn largest(users: impl Iterator<Item = (Option<u32>, u64)>, count: usize) -> Self {
        let mut all: Vec<_> = users.filter(|(_, held)| *held > 0).collect();
        all.sort_unstable_by_key(|(uid, held)| (std::cmp::Reverse(*held), *uid));
        all.truncate(count);
        Self(all)
    }
}

impl fmt::Display for Holders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (uid, held)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            match uid {
                Some(uid) => write!(f, "{separator}user {uid} has {held}")?,
                None => write!(f, "{separator}unknown users have {held}")?,
            }
        }
        Ok(())
    }
}

/// What every user holds; None stands for those whose user is not known.
#[derive(Debug, Default)]
pub struct UserTable {
    by_uid: HashMap<Option<u32>, UserId, FixedState>,
    users: Slab<User>,
    /// Held by all users together who are not privileged.
    ordinary: Amounts,
    /// Bytes held by all users.
    bytes: u64,
}

impl UserTable {
    /// One more client of this user has connected.
    pub fn enter(&mut self, uid: Option<u32>, is_privileged: bool) -> UserId {
        let Self { by_uid, users, .. } = self;
        let id = *by_uid.entry(uid).or_insert_with(|| {
            let held = Amounts::default();
            let key =
                users.insert(User { uid, is_privileged, client_count: 0, held, work: (0, 0) });
            // INVARIANT: there are no more users than clients.
            UserId(u32::try_from(key).unwrap_or(u32::MAX))
        });
        if let Some(user) = users.get_mut(id.0 as usize) {
            user.client_count += 1;
        }
        id
    }

    /// One of this user's clients is gone with all that it held.
    pub fn leave(&mut self, id: UserId, held: &Amounts) {
        let Some(user) = self.users.get_mut(id.0 as usize) else { return };
        user.held.subtract(held);
        self.bytes -= held.of(Resource::Bytes);
        if !user.is_privileged {
            self.ordinary.subtract(held);
        }
        user.client_count = user.client_count.saturating_sub(1);
        if user.client_count == 0 {
            self.by_uid.remove(&user.uid);
            self.users.try_remove(id.0 as usize);
        }
    }

    /// A client of this user held `before` of a resource and holds `after` now.
    pub fn change(&mut self, id: UserId, resource: Resource, before: u64, after: u64) {
        let Some(user) = self.users.get_mut(id.0 as usize) else { return };
        user.held.change(resource, before, after);
        if resource == Resource::Bytes {
            self.bytes = self.bytes - before + after;
        }
        if !user.is_privileged {
            self.ordinary.change(resource, before, after);
        }
    }

    /// Whether there are clients of several users.
    #[must_use]
    pub fn are_several(&self) -> bool {
        self.users.len() > 1
    }

    /// Work that was done for a user by this round, and is not worked off.
    #[must_use]
    pub fn work(&self, id: UserId, round: u64) -> u64 {
        self.users.get(id.0 as usize).map_or(0, |user| user.work_at(round))
    }

    /// Work was done for a user in this round.
    pub fn add_work(&mut self, id: UserId, round: u64, work: u64) {
        if let Some(user) = self.users.get_mut(id.0 as usize) {
            user.work = (user.work_at(round) + work, round);
        }
    }

    /// The least that is above `max` of what the users' work is in this round.
    #[must_use]
    pub fn least_work_above(&self, max: u64, round: u64) -> Option<u64> {
        let works = self.users.iter().map(|(_, user)| user.work_at(round));
        works.filter(|work| *work > max).min()
    }

    /// How much this user holds.
    #[must_use]
    pub fn held(&self, id: UserId, resource: Resource) -> u64 {
        self.users.get(id.0 as usize).map_or(0, |user| user.held.of(resource))
    }

    /// All users that have clients, in the order of their numbers; first the one that stands for those who are
    /// not known.
    #[must_use]
    pub fn ids(&self) -> Vec<(Option<u32>, UserId)> {
        let mut ids: Vec<_> = self.by_uid.iter().map(|(uid, id)| (*uid, *id)).collect();
        ids.sort_unstable_by_key(|(uid, _)| *uid);
        ids
    }

    /// Whose entry it is.
    #[must_use]
    pub fn uid(&self, id: UserId) -> Option<u32> {
        self.users.get(id.0 as usize).and_then(|user| user.uid)
    }

    /// Whether this user owns the machine or the bus.
    #[must_use]
    pub fn is_privileged(&self, id: UserId) -> bool {
        self.users.get(id.0 as usize).is_some_and(|user| user.is_privileged)
    }

    /// What a client of this user that holds `of_client` may hold.
    #[must_use]
    pub fn share(&self, id: UserId, resource: Resource, pools: &Pools, of_client: u64) -> Share {
        let pool = pools.of(resource);
        let Some(user) = self.users.get(id.0 as usize) else {
            return Share {
                resource,
                pool,
                others: 0,
                of_user: 0,
                user_max: pool,
                client_max: pool,
            };
        };
        let of_user = user.held.of(resource);
        let (others, user_max) = if user.is_privileged {
            (0, pool)
        } else {
            let others = self.ordinary.of(resource).saturating_sub(of_user);
            let rest = pool.saturating_sub(others);
            // Of a pool of one, a user who is alone may have that one.
            let least = if others == 0 { rest.min(1) } else { 0 };
            (others, (rest / 2).max(least))
        };
        let client_max = user_max.saturating_sub(of_user.saturating_sub(of_client)) / 2;
        Share { resource, pool, others, of_user, user_max, client_max }
    }

    /// Held by all users together who are not privileged.
    #[must_use]
    pub const fn ordinary(&self, resource: Resource) -> u64 {
        self.ordinary.of(resource)
    }

    /// Who holds most, and how much, the greatest first; at most `count` of them.
    #[must_use]
    pub fn largest(&self, resource: Resource, count: usize) -> Holders {
        Holders::new(self.users.iter().map(|(_, user)| user), resource, count)
    }

    /// The same of those who share the pool with this user.
    #[must_use]
    pub fn largest_others(&self, id: UserId, resource: Resource, count: usize) -> Holders {
        let is_other = |(key, user): &(usize, &User)| *key != id.0 as usize && !user.is_privileged;
        Holders::new(self.users.iter().filter(is_other).map(|(_, user)| user), resource, count)
    }

    /// Held by all users, privileged or not.
    #[must_use]
    pub fn total(&self, resource: Resource) -> u64 {
        self.users.iter().map(|(_, user)| user.held.of(resource)).sum()
    }

    /// Bytes of messages that wait for all clients, but for few of each.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether there is no user.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Checks that the table does not contradict itself.
    ///
    /// # Panics
    /// When it does.
    pub fn check_invariants(&self) {
        assert_eq!(self.by_uid.len(), self.users.len(), "one entry each");
        let mut ordinary = Amounts::default();
        for (key, user) in &self.users {
            assert!(user.client_count > 0, "a user without clients has no entry");
            assert_eq!(self.by_uid.get(&user.uid).map(|id| id.0 as usize), Some(key));
            if !user.is_privileged {
                for (sum, held) in ordinary.0.iter_mut().zip(user.held.0) {
                    *sum += held;
                }
            }
        }
        assert_eq!(ordinary, self.ordinary, "what ordinary users hold together");
    }
}

/// How many of so many connections only root and the bus's own user may have: whatever the others do
/// and their limits are, an administrator gets in. None of few, where each counts.
#[must_use]
pub fn kept_connections(completed_connections_max: u32) -> u32 {
    (completed_connections_max / 16).min(KEPT_CONNECTION_COUNT_MAX)
}

/// How many of a client's bytes count.
#[must_use]
pub const fn counted_bytes(size: usize) -> u64 {
    if size > UNCOUNTED_SIZE_MAX { size as u64 } else { 0 }
}

/// How many of a client's calls in flight count.
#[must_use]
pub fn counted_replies(count: u32) -> u64 {
    if count > UNCOUNTED_REPLY_COUNT_MAX { count.into() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Resource = Resource::MatchRules;

    fn pools(amount: u64) -> Pools {
        let mut pools = Pools::default();
        pools.0.set(RULES, amount);
        pools
    }

    /// Takes as much as a client may that holds nothing, and returns how much.
    fn take_all(users: &mut UserTable, user: UserId, pools: &Pools) -> u64 {
        let max = users.share(user, RULES, pools, 0).client_max;
        users.change(user, RULES, 0, max);
        users.check_invariants();
        max
    }

    #[test]
    fn a_user_counts_while_it_has_clients() {
        let mut users = UserTable::default();
        let one = users.enter(Some(1), false);
        assert_eq!(users.enter(Some(1), false), one);
        let nobody = users.enter(None, false);
        assert_ne!(nobody, one);
        users.change(one, RULES, 0, 5);
        users.change(one, RULES, 5, 3);
        assert_eq!((users.held(one, RULES), users.held(nobody, RULES)), (3, 0));
        let mut held = Amounts::default();
        users.leave(one, &held);
        assert_eq!((users.total(RULES), users.uid(one)), (3, Some(1)));
        held.set(RULES, 3);
        users.leave(one, &held);
        users.leave(nobody, &Amounts::default());
        assert!(users.is_empty());
        users.check_invariants();
    }

    #[test]
    fn half_of_what_the_others_leave_and_half_of_that_again() {
        let (mut users, pools) = (UserTable::default(), pools(1024));
        let [one, two, root] =
            [(1, false), (2, false), (0, true)].map(|(uid, is)| users.enter(Some(uid), is));
        assert_eq!(take_all(&mut users, one, &pools), 256, "alone: a quarter");
        assert_eq!(take_all(&mut users, one, &pools), 128, "its second client");
        let share = users.share(one, RULES, &pools, 128);
        assert_eq!((share.user_max, share.client_max, share.of_user), (512, 128, 384));
        assert_eq!(take_all(&mut users, two, &pools), 160, "(1024 - 384) / 4");
        assert_eq!(take_all(&mut users, root, &pools), 512, "a pool of its own");
        assert_eq!(take_all(&mut users, root, &pools), 256);
        assert_eq!(users.share(two, RULES, &pools, 160).others, 384, "root takes nothing from it");
    }

    #[test]
    fn the_pool_is_never_used_up() {
        let (mut users, pools) = (UserTable::default(), pools(1 << 20));
        for uid in 0..10 {
            let user = users.enter(Some(uid), false);
            let mut clients = 0;
            while take_all(&mut users, user, &pools) > 0 {
                clients += 1;
            }
            assert!(clients >= 8, "user {uid} has {clients} clients that got something");
        }
        assert!(users.total(RULES) < 1 << 20);
    }

    // config.md B027–B042: a client that is alone reaches each limit of its connection.
    #[test]
    fn a_quarter_of_a_pool_is_no_less_than_the_limit_of_a_connection() {
        let session = Limits {
            outgoing_bytes_max: 1_000_000_000,
            incoming_bytes_max: 1_000_000_000,
            names_per_connection_max: 50_000,
            match_rules_per_connection_max: 50_000,
            replies_per_connection_max: 50_000,
            ..Limits::default()
        };
        for limits in [Limits::default(), session] {
            let pools = Pools::new(&limits, 1 << 30);
            let quarter = |resource| pools.of(resource) / 4;
            assert!(quarter(Resource::Bytes) >= limits.outgoing_bytes_max);
            assert!(quarter(Resource::Fds) >= limits.outgoing_unix_fds_max);
            assert!(quarter(RULES) >= limits.match_rules_per_connection_max.into());
            assert!(quarter(Resource::Names) >= limits.names_per_connection_max.into());
            assert!(quarter(Resource::Replies) >= limits.replies_per_connection_max.into());
        }
        assert_eq!(Pools::new(&Limits::default(), 1024).of(Resource::Fds), 512);
        let unlimited = Limits { outgoing_bytes_max: u64::MAX, ..Limits::default() };
        assert_eq!(Pools::new(&unlimited, 1024).of(Resource::Bytes), u64::MAX);
    }

    #[test]
    fn small_queues_do_not_count() {
        let max = UNCOUNTED_SIZE_MAX;
        assert_eq!([0, max, max + 1].map(counted_bytes), [0, 0, max as u64 + 1]);
    }
}
