//! Limits that the configuration gives to single users and groups.
//!
//! A client gets them when it has authenticated, by the user that it proved and the groups that the
//! kernel names, and again whenever the configuration was read. How many connections of a user may wait
//! for their handshake is asked before, by whom the kernel says it is. Clients with equal limits share them;
//! a client of whom nothing is said has none of its own, and the limits of the bus count.

use std::rc::Rc;

use bus_policy::config::Limits;
use bus_policy::config::limit_overrides::LimitOverrides;

use super::Bus;
use super::client::Client;
use super::id::ClientId;
use super::policing::{gids_of, groups_of};
use super::quota::Pools;

impl Client {
    /// The limits that count for this client: its own, or those of the bus.
    #[must_use]
    pub fn limits<'a>(&'a self, of_bus: &'a Limits) -> &'a Limits {
        self.own_limits.as_deref().unwrap_or(of_bus)
    }
}

impl Bus {
    /// The limits that count for this client.
    pub(super) fn limits_of(&self, id: ClientId) -> &Limits {
        let of_bus = &self.settings.limits;
        self.clients.get(id).map_or(of_bus, |client| client.limits(of_bus))
    }

    /// Gives a client the limits of its user and groups, if there are any.
    pub(super) fn set_own_limits(&mut self, id: ClientId) {
        let overrides = &self.settings.limit_overrides;
        if overrides.is_empty() && self.own_limits.is_empty() {
            return;
        }
        let Some(client) = self.clients.get_mut(id) else { return };
        client.own_limits = None;
        let groups = gids_of(client, &self.identity.own_credentials);
        let Some(limits) = overrides.limits_of(&self.settings.limits, client.uid, groups) else {
            return;
        };
        self.own_limits.retain(|known| Rc::strong_count(known) > 1);
        let known = self.own_limits.iter().find(|known| ***known == limits).cloned();
        let own = known.unwrap_or_else(|| Rc::new(limits));
        if Rc::strong_count(&own) == 1 {
            self.own_limits.push(Rc::clone(&own));
        }
        client.own_limits = Some(own);
    }

    /// How many connections the user may have who is behind a client that has just connected.
    pub(super) fn connections_per_user_max(&self, id: ClientId) -> u32 {
        let of_bus = &self.settings.limits;
        let credentials = self.clients.get(id).map(|client| &client.credentials);
        let own = credentials.and_then(|known| {
            let groups = groups_of(known);
            self.settings.limit_overrides.limits_of(of_bus, known.uid, groups)
        });
        own.as_ref().unwrap_or(of_bus).connections_per_user_max
    }

    /// The limits of users and groups that are in force.
    #[must_use]
    pub const fn limit_overrides(&self) -> &LimitOverrides {
        &self.settings.limit_overrides
    }

    /// Gives every client its own limits. The pools stay those of the bus's limits: what one user may do
    /// takes nothing from what is left for the others.
    pub(super) fn refresh_limits(&mut self) {
        self.pools = Pools::new(&self.settings.limits, self.identity.fds_max);
        self.begin_handshakes();
        if self.settings.limit_overrides.is_empty() && self.own_limits.is_empty() {
            return;
        }
        let clients: Vec<ClientId> = self
            .clients
            .iter()
            .filter(|client| !client.is_authenticating())
            .map(|client| client.id)
            .collect();
        clients.into_iter().for_each(|id| self.set_own_limits(id));
        self.own_limits.retain(|known| Rc::strong_count(known) > 1);
    }
}
