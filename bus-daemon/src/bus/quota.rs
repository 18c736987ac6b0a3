//! What each user holds of the bus: for now, how many registered connections
//! (config.md B038, protocol.md A122).
//!
//! Invariant: a user without a connection has no entry.

use std::collections::HashMap;

use foldhash::fast::FixedState;

/// Connections counted by uid; None counts those whose user is not known.
#[derive(Debug, Default)]
pub struct UserTable {
    connections: HashMap<Option<u32>, u32, FixedState>,
}

impl UserTable {
    /// One more connection of this user said Hello.
    pub fn add_connection(&mut self, uid: Option<u32>) {
        *self.connections.entry(uid).or_default() += 1;
    }

    /// One of this user's connections is gone.
    pub fn remove_connection(&mut self, uid: Option<u32>) {
        if let Some(count) = self.connections.get_mut(&uid) {
            *count -= 1;
            if *count == 0 {
                self.connections.remove(&uid);
            }
        }
    }

    /// Registered connections of this user.
    #[must_use]
    pub fn connection_count(&self, uid: Option<u32>) -> u32 {
        self.connections.get(&uid).copied().unwrap_or(0)
    }

    /// Registered connections of all users.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.connections.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_counts_while_it_has_connections() {
        let mut users = UserTable::default();
        users.add_connection(Some(1));
        users.add_connection(Some(1));
        users.add_connection(None);
        assert_eq!((users.connection_count(Some(1)), users.connection_count(None)), (2, 1));
        users.remove_connection(Some(1));
        users.remove_connection(Some(1));
        users.remove_connection(Some(1));
        assert_eq!((users.connection_count(Some(1)), users.total()), (0, 1));
        assert_eq!(users.connections.len(), 1);
    }
}
