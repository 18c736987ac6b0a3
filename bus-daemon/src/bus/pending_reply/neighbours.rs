//! A hash under which the calls that a client makes one after the other stand side by side.
//!
//! With a hundred thousand calls in flight the table is larger than the processor's caches. Serials
//! mostly count up, so sixteen in a row share their place in memory and only the first of them is
//! waited for. Which sixteen places those are is as random, and as little for a client to choose, as
//! with any seeded hash.

use std::hash::{BuildHasher, Hash, Hasher};
use std::num::NonZeroU32;

use foldhash::SharedSeed;
use foldhash::fast::{FoldHasher, SeedableRandomState};

use crate::bus::id::ClientId;

/// Serials that stand side by side: those that agree in all but these bits.
const NEIGHBOUR_BITS: u32 = 4;
const NEIGHBOUR_MASK: u32 = (1 << NEIGHBOUR_BITS) - 1;

/// What a call is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CallKey {
    pub(super) caller: ClientId,
    pub(super) callee: ClientId,
    pub(super) serial: NonZeroU32,
}

impl Hash for CallKey {
    /// The serial comes last, by which [`NeighbourHasher`] knows it.
    fn hash<H: Hasher>(&self, state: &mut H) {
        for client in [self.caller, self.callee] {
            state.write_u64(u64::from(client.generation) << 32 | u64::from(client.index));
        }
        state.write_u32(self.serial.get());
    }
}

/// Makes hashers for [`CallKey`]s.
#[derive(Clone, Debug)]
pub(super) struct Neighbours(SeedableRandomState);

impl Neighbours {
    pub(super) fn new(seed: u64) -> Self {
        Self(SeedableRandomState::with_seed(seed, SharedSeed::global_fixed()))
    }
}

impl BuildHasher for Neighbours {
    type Hasher = NeighbourHasher<'static>;

    fn build_hasher(&self) -> Self::Hasher {
        NeighbourHasher { block: self.0.build_hasher(), neighbour: 0 }
    }
}

/// Hashes one [`CallKey`].
pub(super) struct NeighbourHasher<'a> {
    block: FoldHasher<'a>,
    neighbour: u64,
}

impl Hasher for NeighbourHasher<'_> {
    fn write(&mut self, bytes: &[u8]) {
        self.block.write(bytes);
    }

    fn write_u64(&mut self, number: u64) {
        self.block.write_u64(number);
    }

    fn write_u32(&mut self, serial: u32) {
        self.neighbour = u64::from(serial & NEIGHBOUR_MASK);
        self.block.write_u32(serial & !NEIGHBOUR_MASK);
    }

    /// The low bits say where a table looks first, and the high ones tell apart what it finds there:
    /// both must differ between neighbours.
    fn finish(&self) -> u64 {
        let block = self.block.finish();
        block.wrapping_add(self.neighbour) ^ self.neighbour << (u64::BITS - NEIGHBOUR_BITS)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn hash(caller: u32, serial: u32) -> u64 {
        let client = |index| ClientId { index, generation: 3 };
        let serial = NonZeroU32::new(serial).unwrap();
        let key = CallKey { caller: client(caller), callee: client(9), serial };
        Neighbours::new(7).hash_one(key)
    }

    #[test]
    fn sixteen_serials_stand_side_by_side_and_differ_in_their_highest_bits() {
        let low = |serial| hash(1, serial) & 0xffff_ffff;
        for block in [16, 32, 16_000, 0xffff_fff0] {
            for serial in block + 1..=block + 15 {
                assert_eq!(low(serial).wrapping_sub(low(serial - 1)) & 0xffff_ffff, 1, "{serial}");
            }
            let tags: HashSet<u64> =
                (block..=block + 15).map(|serial| hash(1, serial) >> 57).collect();
            assert_eq!(tags.len(), 16, "block {block}");
        }
    }

    #[test]
    fn blocks_and_clients_stand_anywhere() {
        let blocks = (1..1000).map(|block| hash(1, block * 16) & 0xffff);
        let clients = (0..1000).map(|caller| hash(caller, 16) & 0xffff);
        for places in [blocks.collect::<HashSet<_>>(), clients.collect()] {
            assert!(places.len() > 970, "{} of a thousand in 65,536 places", places.len());
        }
    }
}
