//! The clients that one message goes to.

use crate::bus::client::Urgency;
use crate::bus::id::ClientId;
use crate::bus::limits::URGENT_RECIPIENT_COUNT_MAX;

/// A set of clients that is filled anew for each message and then allocates nothing.
///
/// Each slot of the client table carries the number of the message for which it was last taken,
/// so that asking whether a client is in the set, and emptying it, cost the same for any size.
#[derive(Debug)]
pub struct Recipients {
    clients: Vec<ClientId>,
    /// By slot: the round in which its client was added.
    rounds: Vec<u32>,
    /// Never 0, which stands in `rounds` for never.
    round: u32,
}

impl Recipients {
    /// An empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { clients: Vec::new(), rounds: Vec::new(), round: 1 }
    }

    /// Empties the set for the next message.
    pub fn start(&mut self) {
        self.clients.clear();
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.rounds.fill(0);
            self.round = 1;
        }
    }

    /// Adds a client, unless it is in the set already (protocol.md A171).
    pub fn push(&mut self, client: ClientId) {
        let slot = client.index as usize;
        if slot >= self.rounds.len() {
            self.rounds.resize(slot + 1, 0);
        }
        let Some(round) = self.rounds.get_mut(slot) else { return };
        if std::mem::replace(round, self.round) != self.round {
            self.clients.push(client);
        }
    }

    /// The clients, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = ClientId> + '_ {
        self.clients.iter().copied()
    }

    /// The `index`th client, for a caller that changes other things while it walks the set.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<ClientId> {
        self.clients.get(index).copied()
    }

    /// How soon a message to all of them is to be written.
    #[must_use]
    pub const fn urgency(&self) -> Urgency {
        let few = self.clients.len() <= URGENT_RECIPIENT_COUNT_MAX;
        if few { Urgency::Urgent } else { Urgency::Bulk }
    }

    /// How many clients are in the set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }
}

impl Default for Recipients {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(index: u32) -> ClientId {
        ClientId { index, generation: 7 }
    }

    #[test]
    fn each_client_is_taken_once_a_message() {
        let mut recipients = Recipients::new();
        for round in [1, u32::MAX - 1, u32::MAX] {
            recipients.round = round;
            for _ in 0..3 {
                recipients.start();
                assert!(recipients.is_empty());
                for index in [3, 0, 3, 500, 0] {
                    recipients.push(client(index));
                }
                assert!(recipients.iter().eq([3, 0, 500].map(client)), "A171, round {round}");
                assert_eq!(recipients.get(2), Some(client(500)));
                assert_eq!(recipients.get(3), None);
                assert_eq!(recipients.len(), 3);
            }
        }
    }
}
