//! The part of a message that has arrived, and the descriptors that came with it.
//!
//! Whole messages are handled where they lie in the reader's buffer. Only what is left of an
//! incomplete one is kept here, in a buffer that ends up with exactly the message's size, which the
//! rest of a large message is read straight into. A client with nothing half-read holds no buffer.
//!
//! Invariants: `size` is the message's size once its first 16 bytes are known, `filled` says how many
//! of its bytes have arrived, and `held` has room for those and perhaps for more, but never for more
//! than `size`; all are 0 when nothing is held. Bounded by `max_message_size` and
//! `max_incoming_unix_fds` (config.md B031, B028), and by a multiple of what has arrived: a client
//! that only announces large messages gets no large buffers.
//!
//! `max_incoming_bytes` (config.md B027) bounds what has arrived and is not handled: that is at most
//! what one read brings, since nobody is read from while something of theirs is put off.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use libbus::wire::{self, FIXED_HEADER_SIZE, MessageError};

use super::id::Timestamp;
use super::limits::{
    COPIED_BODY_SIZE_MAX, DIRECT_RECEIVE_SIZE_MIN, RECEIVE_BUFFER_SIZE_FIRST, RECEIVE_GROWTH_FACTOR,
};
use super::spare_buffers::SpareBuffers;

/// What one client has sent of a message that is not complete.
#[derive(Debug, Default)]
pub struct Incoming {
    held: Vec<u8>,
    filled: usize,
    size: usize,
    /// Whether `held` was borrowed for a message of which hardly anything had come.
    borrows: bool,
    /// Messages that have arrived and are handled later, since this client has had its turn; at
    /// most what one read brings, as long as the host does not read on.
    put_off: Vec<u8>,
    /// Bytes at the start of `put_off` that are handled.
    put_off_done: usize,
    /// For statistics, which are 32 bits wide.
    bytes_peak: u32,
    /// The most descriptors that waited here at once.
    pub fds_peak: u32,
    /// Descriptors that no complete message has taken yet.
    pub fds: VecDeque<OwnedFd>,
    /// How many of the message that is half read were closed, since they were beyond a share.
    pub fds_refused: u32,
    /// Since when `fds` has not been empty (config.md B035).
    pub fds_since: Option<Timestamp>,
}

impl Incoming {
    /// Keeps the beginning of a message, after as many bytes as it takes, and returns the rest.
    /// Call it until [`Incoming::take_complete`] gives a message or nothing is left.
    ///
    /// # Errors
    /// The header announces a message that is not valid or larger than `message_size_max` bytes.
    pub fn fill<'b>(
        &mut self,
        bytes: &'b [u8],
        message_size_max: u32,
        spares: &mut SpareBuffers,
    ) -> Result<&'b [u8], MessageError> {
        let bytes = self.fill_up_to(bytes, FIXED_HEADER_SIZE, spares);
        if self.filled < FIXED_HEADER_SIZE {
            return Ok(bytes);
        }
        let head = self.held.get(..FIXED_HEADER_SIZE).unwrap_or_default();
        match wire::frame(head, message_size_max)? {
            Some(frame) => {
                self.size = frame.message_size();
                Ok(self.fill_up_to(bytes, self.size, spares))
            }
            None => Ok(bytes),
        }
    }

    /// `size` bytes were read into what [`Incoming::space`] gave.
    pub fn handle_filled(&mut self, size: usize) {
        self.filled = self.filled.saturating_add(size).min(self.held.len());
        self.note_peak(self.filled);
    }

    /// Where the rest of a large message is to be read into, if one is on its way.
    pub fn space(&mut self, spares: &mut SpareBuffers) -> Option<&mut [u8]> {
        if !self.awaits_much() {
            return None;
        }
        self.make_room(self.filled + DIRECT_RECEIVE_SIZE_MIN, self.size, spares);
        self.held.get_mut(self.filled..)
    }

    /// Whether much of a large message is still to come.
    #[must_use]
    pub const fn awaits_much(&self) -> bool {
        self.size.saturating_sub(self.filled) >= DIRECT_RECEIVE_SIZE_MIN
    }

    /// The held message, if all of it has arrived.
    pub fn take_complete(&mut self, spares: &mut SpareBuffers) -> Option<Rc<Vec<u8>>> {
        if self.filled < FIXED_HEADER_SIZE || self.filled < self.size {
            return None;
        }
        self.end_loan(spares);
        (self.filled, self.size) = (0, 0);
        Some(Rc::new(std::mem::take(&mut self.held)))
    }

    /// Lets others borrow a buffer again, if this client did.
    pub fn end_loan(&mut self, spares: &mut SpareBuffers) {
        if std::mem::take(&mut self.borrows) {
            spares.end_loan();
        }
    }

    /// Keeps whole messages, and perhaps the beginning of one, that are to be handled later.
    pub fn put_off(&mut self, bytes: &[u8]) {
        self.put_off.extend_from_slice(bytes);
        self.note_peak(self.bytes());
    }

    /// What was put off, and how many bytes at its start are handled; the rest is to be handled now.
    pub fn take_put_off(&mut self) -> (Vec<u8>, usize) {
        (std::mem::take(&mut self.put_off), std::mem::take(&mut self.put_off_done))
    }

    /// Takes back what [`Incoming::take_put_off`] gave; all but the last `rest` bytes are handled.
    pub fn put_off_rest(&mut self, bytes: Vec<u8>, rest: usize) {
        self.put_off_done = bytes.len().saturating_sub(rest);
        self.put_off = bytes;
    }

    /// Whether something was put off: what comes now comes after it.
    #[must_use]
    pub const fn is_put_off(&self) -> bool {
        !self.put_off.is_empty()
    }

    /// Whether a message has begun and not ended.
    #[must_use]
    pub const fn is_partial(&self) -> bool {
        self.filled > 0
    }

    /// The most bytes that were held at once.
    #[must_use]
    pub const fn bytes_peak(&self) -> u32 {
        self.bytes_peak
    }

    /// Bytes held.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.filled + self.put_off.len() - self.put_off_done
    }

    fn note_peak(&mut self, size: usize) {
        self.bytes_peak = self.bytes_peak.max(u32::try_from(size).unwrap_or(u32::MAX));
    }

    /// Copies bytes until `size` of them are held.
    fn fill_up_to<'b>(
        &mut self,
        bytes: &'b [u8],
        size: usize,
        spares: &mut SpareBuffers,
    ) -> &'b [u8] {
        let missing = size.saturating_sub(self.filled);
        let (taken, rest) = bytes.split_at(bytes.len().min(missing));
        let end = self.filled + taken.len();
        self.make_room(end, size, spares);
        if let Some(space) = self.held.get_mut(self.filled..end) {
            space.copy_from_slice(taken);
        }
        self.filled = end;
        self.note_peak(self.filled);
        rest
    }

    /// Gets a buffer for `needed` of `size` bytes: a spare one with room for all, or one that grows.
    /// Memory is asked for as zeroes, which the host gives out only as they are written.
    fn make_room(&mut self, needed: usize, size: usize, spares: &mut SpareBuffers) {
        if self.held.len() >= needed {
            return;
        }
        let affordable = (self.filled * RECEIVE_GROWTH_FACTOR).max(RECEIVE_BUFFER_SIZE_FIRST);
        let spare = match size {
            ..=COPIED_BODY_SIZE_MAX => None,
            _ if size <= affordable => spares.take(size),
            _ => spares.borrow(size).inspect(|_| self.borrows = true),
        };
        let mut grown = match spare {
            Some(mut spare) => {
                spare.resize(size, 0);
                spare
            }
            None => vec![0; affordable.max(needed).min(size)],
        };
        if let (Some(begin), Some(old)) =
            (grown.get_mut(..self.filled), self.held.get(..self.filled))
        {
            begin.copy_from_slice(old);
        }
        spares.give_back(std::mem::replace(&mut self.held, grown));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A METHOD_CALL header's first 16 bytes: `fields` bytes of header fields, `body` bytes of body.
    fn announce(fields: u32, body: u32) -> Vec<u8> {
        let mut bytes = vec![b'l', 1, 0, 1];
        bytes.extend(body.to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
        bytes.extend(fields.to_le_bytes());
        bytes
    }

    #[test]
    fn a_message_is_complete_after_its_last_byte_however_it_comes() {
        let mut message = announce(8, 5);
        message.extend([9; 13]);
        for step in 1..=message.len() {
            let (mut incoming, mut spares) = (Incoming::default(), SpareBuffers::default());
            for (index, chunk) in message.chunks(step).enumerate() {
                assert!(
                    incoming.take_complete(&mut spares).is_none(),
                    "step {step}, chunk {index}"
                );
                let rest = incoming.fill(chunk, 1000, &mut spares).unwrap();
                assert!(rest.is_empty(), "step {step}, chunk {index}");
            }
            assert_eq!(*incoming.take_complete(&mut spares).unwrap(), message, "step {step}");
            assert!(!incoming.is_partial());
            assert_eq!(incoming.held.capacity(), 0, "nothing is held for an idle client");
        }
    }

    #[test]
    fn the_next_message_is_left_to_the_caller() {
        let mut message = announce(8, 0);
        message.extend([0; 8]);
        let mut bytes = message.clone();
        bytes.extend(b"next");
        let (mut incoming, mut spares) = (Incoming::default(), SpareBuffers::default());
        incoming.fill(&bytes[..10], 1000, &mut spares).unwrap();
        assert_eq!(incoming.fill(&bytes[10..], 1000, &mut spares).unwrap(), b"next");
        assert_eq!(*incoming.take_complete(&mut spares).unwrap(), message);
    }

    #[test]
    fn a_large_message_is_read_into_its_own_buffer() {
        let size = u32::try_from(DIRECT_RECEIVE_SIZE_MIN).unwrap() * 2;
        let (mut incoming, mut spares) = (Incoming::default(), SpareBuffers::default());
        let begin = announce(0, size);
        incoming.fill(&begin, 1 << 27, &mut spares).unwrap();
        let space = incoming.space(&mut spares).expect("a large message has space");
        assert_eq!(space.len(), size as usize);
        space.fill(7);
        incoming.handle_filled(size as usize);
        let message = incoming.take_complete(&mut spares).unwrap();
        assert_eq!((message.len(), message[16]), (16 + size as usize, 7));
        incoming.fill(&announce(0, 100), 1000, &mut spares).unwrap();
        assert!(incoming.space(&mut spares).is_none(), "a small one is read with the others");
    }

    #[test]
    fn a_buffer_grows_with_what_comes_and_not_with_what_was_announced() {
        let body = 100 << 20;
        let (mut incoming, mut spares) = (Incoming::default(), SpareBuffers::default());
        incoming.fill(&announce(0, body), 1 << 27, &mut spares).unwrap();
        let size = FIXED_HEADER_SIZE + body as usize;
        while incoming.filled < size {
            let most = (incoming.filled * RECEIVE_GROWTH_FACTOR).max(RECEIVE_BUFFER_SIZE_FIRST);
            assert!(incoming.held.len() <= most, "{} of {}", incoming.held.len(), incoming.filled);
            match incoming.space(&mut spares) {
                Some(space) => {
                    let read = space.len().min(3_000_000);
                    space[..read].fill(5);
                    incoming.handle_filled(read);
                }
                None => {
                    assert!(
                        incoming
                            .fill(
                                &[5; 4096][..4096.min(size - incoming.filled)],
                                1 << 27,
                                &mut spares
                            )
                            .unwrap()
                            .is_empty()
                    );
                }
            }
        }
        let message = incoming.take_complete(&mut spares).unwrap();
        assert_eq!(message.len(), size);
        assert!(message.iter().skip(FIXED_HEADER_SIZE).all(|byte| *byte == 5));
        assert!(!incoming.is_partial() && incoming.space(&mut spares).is_none());
    }

    #[test]
    fn a_message_above_the_limit_is_refused_by_its_header() {
        let (mut incoming, mut spares) = (Incoming::default(), SpareBuffers::default());
        assert!(incoming.fill(&announce(0, 100), 116, &mut spares).is_ok());
        let (mut incoming, mut spares) = (Incoming::default(), SpareBuffers::default());
        assert!(incoming.fill(&announce(0, 101), 116, &mut spares).is_err());
    }
}
