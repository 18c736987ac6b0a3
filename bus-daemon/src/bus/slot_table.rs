//! What a registry knows of each client, found by the client's slot without hashing.
//!
//! A registry drops a client's entry when the client leaves. Should one be left behind, the
//! generation beside it keeps it from being taken for that of the next client in the same slot.
//! The table reaches up to the highest slot with an entry, and so is bounded by the client table.

use super::id::ClientId;

/// A table from clients to entries.
#[derive(Debug)]
pub(super) struct SlotTable<T> {
    /// By slot: the generation of the client, and its entry. INVARIANT: the last is not `None`.
    slots: Vec<Option<(u32, T)>>,
}

impl<T> SlotTable<T> {
    /// A table without entries.
    pub(super) const fn new() -> Self {
        Self { slots: Vec::new() }
    }

    /// The client's entry, which begins as the default one.
    pub(super) fn get_or_default(&mut self, client: ClientId) -> Option<&mut T>
    where
        T: Default,
    {
        let slot = client.index as usize;
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        let slot = self.slots.get_mut(slot)?;
        if slot.as_ref().is_none_or(|(generation, _)| *generation != client.generation) {
            *slot = Some((client.generation, T::default()));
        }
        slot.as_mut().map(|(_, entry)| entry)
    }

    /// Takes the client's entry out.
    pub(super) fn remove(&mut self, client: ClientId) -> Option<T> {
        let slot = self.slots.get_mut(client.index as usize)?;
        let (_, entry) = slot.take_if(|(generation, _)| *generation == client.generation)?;
        while self.slots.last().is_some_and(Option::is_none) {
            self.slots.pop();
        }
        if self.slots.len() < self.slots.capacity() / 4 {
            self.slots.shrink_to(self.slots.len() * 2);
        }
        Some(entry)
    }

    /// The client's entry.
    pub(super) fn get(&self, client: ClientId) -> Option<&T> {
        let (generation, entry) = self.slots.get(client.index as usize)?.as_ref()?;
        (*generation == client.generation).then_some(entry)
    }

    /// The client's entry.
    pub(super) fn get_mut(&mut self, client: ClientId) -> Option<&mut T> {
        let (generation, entry) = self.slots.get_mut(client.index as usize)?.as_mut()?;
        (*generation == client.generation).then_some(entry)
    }

    /// All entries, in the order of their slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ClientId, &T)> {
        (0..).zip(&self.slots).filter_map(|(index, slot)| {
            let (generation, entry) = slot.as_ref()?;
            Some((ClientId { index, generation: *generation }, entry))
        })
    }

    /// Whether there is no entry.
    pub(super) const fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(index: u32, generation: u32) -> ClientId {
        ClientId { index, generation }
    }

    #[test]
    fn an_entry_is_its_clients_and_not_the_next_ones_in_the_slot() {
        let mut table = SlotTable::<u8>::new();
        *table.get_or_default(client(2, 0)).unwrap() = 7;
        assert_eq!(table.get(client(2, 0)), Some(&7));
        assert_eq!(table.get_or_default(client(2, 0)), Some(&mut 7));
        for other in [client(2, 1), client(0, 0), client(3, 0)] {
            assert_eq!(table.get(other), None);
            assert_eq!(table.get_mut(other), None);
            assert_eq!(table.remove(other), None);
        }
        assert_eq!(table.iter().collect::<Vec<_>>(), [(client(2, 0), &7)]);
        assert_eq!(table.get_or_default(client(2, 1)), Some(&mut 0), "7 was left behind");
        assert_eq!(table.get(client(2, 0)), None);
    }

    #[test]
    fn a_table_that_emptied_gives_its_memory_back() {
        let mut table = SlotTable::<u8>::new();
        (0..10_000).for_each(|index| *table.get_or_default(client(index, 0)).unwrap() = 1);
        (100..10_000).for_each(|index| assert_eq!(table.remove(client(index, 0)), Some(1)));
        assert_eq!((table.slots.len(), table.iter().count()), (100, 100));
        assert!(table.slots.capacity() < 1_000);
        (0..100).for_each(|index| assert_eq!(table.remove(client(index, 0)), Some(1)));
        assert!(table.is_empty());
    }
}
