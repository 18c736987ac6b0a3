//! Doubly linked lists through the entries of a slab.
//!
//! The registries of the bus must take one entry out of a queue of thousands without walking it,
//! and must list one client's entries without looking at anybody else's. An entry therefore
//! carries one [`Links`] for each list it stands in, and a [`Chain`] knows the two ends. Nothing
//! here allocates, and each operation but iteration costs the same for every length.
//!
//! The caller says which of an entry's links belong to the chain by a small function. An entry
//! stands in a chain at most once; ids of vacant slots are ignored.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

use slab::Slab;

/// Stands for "no entry"; slabs never grow to this size, see [`id_of_key`].
const NONE: u32 = u32::MAX;

/// An entry's neighbours in one chain.
#[derive(Clone, Copy, Debug)]
pub(in crate::bus) struct Links {
    previous: u32,
    next: u32,
}

/// The two ends of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bus) struct Chain {
    first: u32,
    last: u32,
}

impl Links {
    /// The links of an entry that stands in no chain.
    pub(in crate::bus) const LOOSE: Self = Self { previous: NONE, next: NONE };

    /// The entry after this one.
    pub(in crate::bus) fn next(self) -> Option<u32> {
        some_id(self.next)
    }
}

impl Default for Chain {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Chain {
    /// A chain without entries.
    pub(in crate::bus) const EMPTY: Self = Self { first: NONE, last: NONE };

    /// Puts the loose entry `id` at the end.
    pub(in crate::bus) fn push_back<T>(
        &mut self,
        slab: &mut Slab<T>,
        id: u32,
        links: impl Fn(&mut T) -> &mut Links,
    ) {
        let last = self.last;
        set(slab, id, &links, Links { previous: last, next: NONE });
        change(slab, last, &links, |before| before.next = id);
        self.last = id;
        if last == NONE {
            self.first = id;
        }
    }

    /// Puts the loose entry `id` at the front.
    pub(in crate::bus) fn push_front<T>(
        &mut self,
        slab: &mut Slab<T>,
        id: u32,
        links: impl Fn(&mut T) -> &mut Links,
    ) {
        let first = self.first;
        set(slab, id, &links, Links { previous: NONE, next: first });
        change(slab, first, &links, |after| after.previous = id);
        self.first = id;
        if first == NONE {
            self.last = id;
        }
    }

    /// Takes the entry `id` out; it is loose then. It must stand in this chain.
    pub(in crate::bus) fn remove<T>(
        &mut self,
        slab: &mut Slab<T>,
        id: u32,
        links: impl Fn(&mut T) -> &mut Links,
    ) {
        let Some(entry) = slab.get_mut(id as usize) else { return };
        let Links { previous, next } = std::mem::replace(links(entry), Links::LOOSE);
        change(slab, previous, &links, |before| before.next = next);
        change(slab, next, &links, |after| after.previous = previous);
        if self.first == id {
            self.first = next;
        }
        if self.last == id {
            self.last = previous;
        }
    }

    /// The first entry.
    pub(in crate::bus) fn first(self) -> Option<u32> {
        some_id(self.first)
    }

    /// Whether no entry stands in it.
    pub(in crate::bus) fn is_empty(self) -> bool {
        self.first == NONE
    }

    /// The entries with their ids, first to last.
    pub(in crate::bus) fn iter<T>(
        self,
        slab: &Slab<T>,
        links: impl Fn(&T) -> Links,
    ) -> impl Iterator<Item = (u32, &T)> {
        let mut id = self.first;
        std::iter::from_fn(move || {
            let entry = slab.get(id as usize)?;
            let this = id;
            id = links(entry).next;
            Some((this, entry))
        })
    }
}

/// The id of a slab's key. Every slab of the bus is bounded far below 2^32 entries: each entry
/// takes more than 16 bytes, and limits of config.md B036 to B042 count them.
pub(in crate::bus) fn id_of_key(key: usize) -> u32 {
    key as u32
}

/// Lets go of memory that a table needed once and needs no more; called when a client leaves.
///
/// It halves at most what is three quarters empty, so that giving back costs each removed entry
/// a constant share, and leaves small tables alone.
pub(in crate::bus) fn shrink_table<K: Eq + Hash, V, S: BuildHasher>(table: &mut HashMap<K, V, S>) {
    if table.capacity() > KEPT_CAPACITY && table.len() < table.capacity() / 4 {
        table.shrink_to(table.len() * 2);
    }
}

/// Lets go of a slab's memory beyond its last entry, which cannot move; called when a client
/// leaves. It costs a walk through a slab that is nearly empty, if the last entry went, and else
/// nothing.
pub(in crate::bus) fn shrink_slab<T>(slab: &mut Slab<T>) {
    if slab.capacity() > KEPT_CAPACITY && slab.len() < slab.capacity() / 8 {
        slab.shrink_to_fit();
    }
}

/// Tables up to this many entries are never made smaller.
const KEPT_CAPACITY: usize = 256;

fn some_id(id: u32) -> Option<u32> {
    (id != NONE).then_some(id)
}

fn set<T>(slab: &mut Slab<T>, id: u32, links: impl Fn(&mut T) -> &mut Links, value: Links) {
    change(slab, id, links, |found| *found = value);
}

fn change<T>(
    slab: &mut Slab<T>,
    id: u32,
    links: impl Fn(&mut T) -> &mut Links,
    edit: impl FnOnce(&mut Links),
) {
    if let Some(entry) = slab.get_mut(id as usize) {
        edit(links(entry));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(chain: Chain, slab: &Slab<Links>) -> Vec<u32> {
        chain.iter(slab, |links| *links).map(|(id, _)| id).collect()
    }

    fn entries(links: &mut Links) -> &mut Links {
        links
    }

    #[test]
    fn entries_stay_in_order_wherever_they_are_taken_out() {
        for (removed, expected) in
            [(1, vec![3, 0, 2]), (3, vec![1, 0, 2]), (0, vec![1, 3, 2]), (2, vec![1, 3, 0])]
        {
            let mut slab: Slab<Links> = (0..4).map(|key| (key, Links::LOOSE)).collect();
            let mut chain = Chain::EMPTY;
            chain.push_back(&mut slab, 3, entries);
            chain.push_back(&mut slab, 0, entries);
            chain.push_front(&mut slab, 1, entries);
            chain.push_back(&mut slab, 2, entries);
            assert_eq!(ids(chain, &slab), [1, 3, 0, 2]);
            chain.remove(&mut slab, removed, entries);
            assert_eq!(ids(chain, &slab), expected);
            for id in expected {
                chain.remove(&mut slab, id, entries);
            }
            assert_eq!(chain, Chain::EMPTY);
        }
    }

    #[test]
    fn a_slab_gives_back_what_lies_beyond_its_last_entry() {
        let mut slab: Slab<u32> = (0..10_000).map(|key| (key, 7)).collect();
        (50..9_999).for_each(|key| assert_eq!(slab.remove(key), 7));
        shrink_slab(&mut slab);
        assert!(slab.capacity() >= 10_000, "the last entry stays where it is");
        slab.remove(9_999);
        shrink_slab(&mut slab);
        assert_eq!((slab.capacity(), slab.len()), (50, 50));
    }

    #[test]
    fn a_table_that_emptied_gives_its_memory_back() {
        let mut table: HashMap<u32, u32> = (0..10_000).map(|key| (key, key)).collect();
        table.retain(|key, _| *key < 100);
        shrink_table(&mut table);
        assert!(table.capacity() < 1_000 && table.len() == 100);
    }
}
