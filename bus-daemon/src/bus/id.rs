//! Small values that name things in the bus: a client, a point in time.

/// One connected client: a slot in the client table, and how often that slot was used before.
///
/// The generation makes an id that outlived its client recognisable: it never names the next
/// client in the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId {
    /// The slot in the client table, from 0.
    pub index: u32,
    /// How many clients had this slot before, modulo 2^32.
    pub generation: u32,
}

/// A point in time, in milliseconds of a clock that never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The point `ms` milliseconds later.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}
