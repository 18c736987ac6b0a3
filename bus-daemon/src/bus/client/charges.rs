//! What each client holds, charged to its user (`quota.rs`).
//!
//! The table keeps both in step: whatever changes a queue charges it. What is kept elsewhere (rules,
//! names, calls) is charged by whoever changes that, with [`ClientTable::charge`]. A client that goes
//! takes all its charges along.

use bus_policy::config::Limits;

use super::{Client, ClientTable, Hold};
use crate::bus::id::ClientId;
use crate::bus::limits::{BUS_MESSAGES_BEYOND_LIMIT_SIZE_MAX, UNCOUNTED_SIZE_MAX};
use crate::bus::quota::{Pools, Resource, UserId, UserTable, counted_bytes};

impl Client {
    /// How much of a resource this client holds, as far as it counts.
    #[must_use]
    pub const fn held(&self, resource: Resource) -> u64 {
        self.charged.of(resource)
    }

    /// Whether its share has room for another message to it, with descriptors or without. Like the
    /// limit of a connection it is asked before a message is queued, so that one message may exceed
    /// it; and what the client is sending itself never keeps anything from it.
    #[must_use]
    pub fn has_room(&self, users: &UserTable, pools: &Pools, with_fds: bool) -> bool {
        if with_fds && !self.fits_fds(users, pools) {
            return false;
        }
        let bytes = counted_bytes(self.outbox.bytes());
        !self.has_charged_queues() || self.fits(Resource::Bytes, bytes, users, pools)
    }

    /// One message with descriptors may be for each client, as long as its user has not all that it may
    /// have.
    fn fits_fds(&self, users: &UserTable, pools: &Pools) -> bool {
        let share = users.share(self.user, Resource::Fds, pools, self.held(Resource::Fds));
        match self.outbox.fds() as u64 {
            0 => share.of_user <= share.user_max || users.is_privileged(self.user),
            waiting => waiting <= share.client_max,
        }
    }

    /// Whether even the bus's own messages to it go too far beyond its share: see
    /// [`Client::is_full_for_the_bus`].
    #[must_use]
    pub fn has_room_for_the_bus(&self, users: &UserTable, pools: &Pools) -> bool {
        let bytes = counted_bytes(self.outbox.bytes());
        let bytes = bytes.saturating_sub(BUS_MESSAGES_BEYOND_LIMIT_SIZE_MAX);
        self.fits(Resource::Bytes, bytes, users, pools)
    }

    /// Whether its share has room for the rest of a message of which it has sent a part.
    #[must_use]
    pub fn has_room_for_rest(&self, users: &UserTable, pools: &Pools) -> bool {
        self.fits(Resource::Bytes, self.held(Resource::Bytes), users, pools)
    }

    /// Whether another message that is not for it alone may be queued for it, by its limits and by its
    /// share.
    #[must_use]
    pub(in crate::bus) fn takes_copy(
        &self,
        users: &UserTable,
        pools: &Pools,
        of_bus: &Limits,
        with_fds: bool,
    ) -> bool {
        if !self.has_charged_queues() {
            let fits = self.outbox.bytes() as u64 <= self.limits(of_bus).outgoing_bytes_max;
            return fits && (!with_fds || self.fits_fds(users, pools));
        }
        !self.is_full(of_bus, with_fds) && self.has_room(users, pools, with_fds)
    }

    /// Whether its share has room for the descriptors that wait for the rest of their message.
    #[must_use]
    pub fn has_room_for_fds(&self, users: &UserTable, pools: &Pools) -> bool {
        self.fits(Resource::Fds, self.held(Resource::Fds), users, pools)
    }

    fn fits(&self, resource: Resource, amount: u64, users: &UserTable, pools: &Pools) -> bool {
        let share = || users.share(self.user, resource, pools, self.held(resource));
        amount == 0 || amount <= share().client_max
    }

    fn charge(&mut self, users: &mut UserTable, resource: Resource, amount: u64) {
        let before = self.charged.set(resource, amount);
        if before != amount {
            users.change(self.user, resource, before, amount);
        }
    }

    /// What waits for it, what has come of a message, and what is held of its messages, as far as they
    /// count.
    fn queued(&self) -> [(Resource, u64); 2] {
        let queued = counted_bytes(self.outbox.bytes()) + counted_bytes(self.incoming.bytes());
        let held = self.held.as_deref().copied().unwrap_or_default();
        let bytes = queued + held.bytes as u64;
        let fds = self.outbox.fds() + self.incoming.fds.len() + held.fds;
        [(Resource::Bytes, bytes), (Resource::Fds, fds as u64)]
    }

    /// Charges what waits for it and what has come of a message.
    #[inline(never)]
    pub(super) fn charge_queues(&mut self, users: &mut UserTable) {
        for (resource, amount) in self.queued() {
            self.charge(users, resource, amount);
        }
    }

    /// Whether something in its queues is charged.
    pub(in crate::bus) const fn has_charged_queues(&self) -> bool {
        self.held(Resource::Bytes) | self.held(Resource::Fds) != 0
    }

    /// Whether nothing in its queues counts, nor would if it were charged now, nor did when it was let
    /// through.
    pub(in crate::bus) fn has_small_queues(&self) -> bool {
        !self.has_charged_queues()
            && self.hold == Hold::None
            && self.incoming.bytes() <= UNCOUNTED_SIZE_MAX
            && self.incoming.fds.is_empty()
    }

    /// Checks that what is charged for its queues is what is there.
    ///
    /// # Panics
    /// When it is not.
    pub(in crate::bus) fn check_charged_queues(&self) {
        for (resource, amount) in self.queued() {
            assert_eq!(self.held(resource), amount, "{resource:?} of {:?}", self.id);
        }
    }
}

impl ClientTable {
    /// What users hold.
    #[must_use]
    pub const fn users(&self) -> &UserTable {
        &self.users
    }

    /// Work was done for a user in this round.
    pub fn add_work(&mut self, user: UserId, round: u64, work: u64) {
        self.users.add_work(user, round, work);
    }

    /// This client now holds so much of something that is not kept here.
    pub fn charge(&mut self, id: ClientId, resource: Resource, amount: u64) {
        let Self { slots, users, .. } = self;
        let slot = slots.get_mut(id.index as usize).filter(|s| s.generation == id.generation);
        if let Some(client) = slot.and_then(|slot| slot.client.as_deref_mut()) {
            client.charge(users, resource, amount);
        }
    }

    /// Charges what a read has changed of what this client holds.
    pub fn charge_queues(&mut self, id: ClientId) {
        let Self { slots, users, .. } = self;
        let slot = slots.get_mut(id.index as usize).filter(|s| s.generation == id.generation);
        if let Some(client) = slot.and_then(|slot| slot.client.as_deref_mut()) {
            client.charge_queues(users);
        }
    }

    /// A client turned out to be another user's, with all that it holds.
    pub fn change_user(&mut self, id: ClientId, uid: Option<u32>, is_privileged: bool) {
        let Self { slots, users, .. } = self;
        let slot = slots.get_mut(id.index as usize).filter(|s| s.generation == id.generation);
        let Some(client) = slot.and_then(|slot| slot.client.as_deref_mut()) else { return };
        if users.uid(client.user) == uid {
            return;
        }
        let held = std::mem::take(&mut client.charged);
        users.leave(client.user, &held.to_amounts());
        client.user = users.enter(uid, is_privileged);
        for resource in Resource::ALL {
            client.charge(users, resource, held.of(resource));
        }
    }
}
