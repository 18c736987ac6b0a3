//! Buffers of large messages, kept for the next ones.
//!
//! A fresh buffer of some megabytes costs more than the message in it: the system clears each of its
//! pages and maps it. So the buffers of large messages that have left wait here for the next ones, as
//! they are: what they hold is overwritten before anybody sees it.
//!
//! Bounded by [`SPARE_BUFFERS_SIZE_MAX`] and [`SPARE_BUFFER_COUNT_MAX`]; the bus lets go of all when
//! none was used for [`SPARE_BUFFER_TIME_MS`].

use std::rc::Rc;

use super::limits::{
    COPIED_BODY_SIZE_MAX, SPARE_BUFFER_COUNT_MAX, SPARE_BUFFER_TIME_MS, SPARE_BUFFERS_SIZE_MAX,
};
use super::{Bus, Effect};

/// How many times larger than its message a buffer may be.
const WASTE_FACTOR_MAX: usize = 4;

/// Buffers that hold no message.
#[derive(Debug, Default)]
pub struct SpareBuffers {
    buffers: Vec<Vec<u8>>,
    /// The capacity of all of them.
    size: usize,
    uses: u64,
    /// Whether a client has a buffer for a message of which hardly anything has come.
    is_lent: bool,
}

impl SpareBuffers {
    /// The smallest buffer with room for `size` bytes, but none that is much larger. Its content is
    /// left over and of any length.
    pub fn take(&mut self, size: usize) -> Option<Vec<u8>> {
        let fits = size..=size.saturating_mul(WASTE_FACTOR_MAX);
        let fitting =
            self.buffers.iter().enumerate().filter(|(_, one)| fits.contains(&one.capacity()));
        let (index, _) = fitting.min_by_key(|(_, one)| one.capacity())?;
        let buffer = self.buffers.swap_remove(index);
        self.size -= buffer.capacity();
        self.uses += 1;
        Some(buffer)
    }

    /// As [`SpareBuffers::take`], for a message of `size` bytes that was announced and has not come.
    /// Only one client at a time gets such a buffer, until [`SpareBuffers::end_loan`]: else many
    /// could take and keep what others paid for by sending large messages.
    pub fn borrow(&mut self, size: usize) -> Option<Vec<u8>> {
        if self.is_lent {
            return None;
        }
        let buffer = self.take(size)?;
        self.is_lent = true;
        Some(buffer)
    }

    /// The message has come for which a buffer was borrowed, or its sender has gone.
    pub fn end_loan(&mut self) {
        self.is_lent = false;
    }

    /// Keeps a buffer, if it is large enough to be worth it and there is room.
    pub fn give_back(&mut self, buffer: Vec<u8>) {
        let (size, room) = (buffer.capacity(), SPARE_BUFFERS_SIZE_MAX - self.size);
        let is_wanted = size > COPIED_BODY_SIZE_MAX && size <= room;
        if is_wanted && self.buffers.len() < SPARE_BUFFER_COUNT_MAX {
            self.size += size;
            self.buffers.push(buffer);
        }
    }

    /// Keeps a buffer that several recipients shared, once the last of them is done with it.
    pub fn give_back_shared(&mut self, buffer: Rc<Vec<u8>>) {
        if let Ok(buffer) = Rc::try_unwrap(buffer) {
            self.give_back(buffer);
        }
    }

    /// A copy of `bytes` that recipients can share.
    pub fn share(&mut self, bytes: &[u8]) -> Rc<Vec<u8>> {
        let mut buffer = self.take(bytes.len()).unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(bytes);
        Rc::new(buffer)
    }

    /// How often a buffer was taken so far.
    #[must_use]
    pub const fn uses(&self) -> u64 {
        self.uses
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.buffers.is_empty()
    }

    /// Lets go of all. What is lent stays lent.
    pub fn clear(&mut self) {
        (self.buffers, self.size) = (Vec::new(), 0);
    }
}

impl Bus {
    /// Begins to wait for the spare buffers to be unused, if there are some.
    pub(super) fn watch_spare_buffers(&mut self) {
        let spares = self.clients.spares();
        if self.spares_watched.is_none() && !spares.is_empty() {
            self.spares_watched = Some((self.now.plus_ms(SPARE_BUFFER_TIME_MS), spares.uses()));
        }
    }

    /// Lets go of spare buffers that were not used since they began to be watched.
    pub(super) fn expire_spare_buffers(&mut self) {
        let Some((_, uses)) = self.spares_watched.take_if(|(due, _)| *due <= self.now) else {
            return;
        };
        let spares = self.clients.spares();
        if spares.uses() == uses {
            spares.clear();
            self.effects.push_back(Effect::GiveBackMemory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALLEST: usize = COPIED_BODY_SIZE_MAX + 1;

    #[test]
    fn the_smallest_that_fits_is_taken() {
        let mut spares = SpareBuffers::default();
        for size in [4 * SMALLEST, SMALLEST, 2 * SMALLEST] {
            spares.give_back(Vec::with_capacity(size));
        }
        assert_eq!(spares.take(SMALLEST + 1).map(|one| one.capacity()), Some(2 * SMALLEST));
        assert_eq!(spares.take(SMALLEST).map(|one| one.capacity()), Some(SMALLEST));
        assert!(spares.take(5 * SMALLEST).is_none());
        assert!(spares.take(SMALLEST - 1).is_none(), "more than {WASTE_FACTOR_MAX} times as large");
        assert_eq!((spares.uses(), spares.size), (2, 4 * SMALLEST));
        spares.clear();
        assert!(spares.is_empty() && spares.take(1).is_none());
    }

    #[test]
    fn few_are_kept_and_none_that_is_small_or_beyond_the_bound() {
        let mut spares = SpareBuffers::default();
        spares.give_back(Vec::with_capacity(COPIED_BODY_SIZE_MAX));
        spares.give_back(Vec::with_capacity(SPARE_BUFFERS_SIZE_MAX + 1));
        assert!(spares.is_empty());
        for _ in 0..=SPARE_BUFFER_COUNT_MAX {
            spares.give_back(Vec::with_capacity(SMALLEST));
        }
        assert_eq!(spares.buffers.len(), SPARE_BUFFER_COUNT_MAX);
        spares.clear();
        spares.give_back(Vec::with_capacity(SPARE_BUFFERS_SIZE_MAX));
        spares.give_back(Vec::with_capacity(SMALLEST));
        assert_eq!((spares.buffers.len(), spares.size), (1, SPARE_BUFFERS_SIZE_MAX));
    }

    #[test]
    fn one_client_at_a_time_borrows() {
        let mut spares = SpareBuffers::default();
        assert!(spares.borrow(SMALLEST).is_none());
        for _ in 0..2 {
            spares.give_back(Vec::with_capacity(SMALLEST));
        }
        assert!(spares.borrow(SMALLEST).is_some());
        assert!(spares.borrow(SMALLEST).is_none());
        spares.clear();
        spares.give_back(Vec::with_capacity(SMALLEST));
        assert!(spares.borrow(SMALLEST).is_none(), "what is lent stays lent");
        spares.end_loan();
        assert!(spares.borrow(SMALLEST).is_some());
    }

    #[test]
    fn a_shared_buffer_comes_back_when_the_last_is_done() {
        let mut spares = SpareBuffers::default();
        let bytes = vec![7; SMALLEST];
        let one = spares.share(&bytes);
        let other = Rc::clone(&one);
        spares.give_back_shared(one);
        assert!(spares.is_empty());
        spares.give_back_shared(other);
        let again = spares.share(&bytes[1..]);
        assert_eq!((again.as_slice(), spares.uses()), (&bytes[1..], 1));
    }
}
