//! Bytes and descriptors on their way to the other end.
//!
//! All messages lie one after the other in one buffer, so that a burst leaves in one write. A message with
//! descriptors must begin the write that carries them (protocol.md A096); they are closed once its first
//! byte is written.
//!
//! A message of which nothing is written can be taken back, also from between others. It leaves a hole, which the
//! writing skips. Holes and what is written are cut out once they are half of the buffer: so it is no larger than
//! twice what waits and what of one message is written already, and no byte is moved often.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;
use std::ops::Range;
use std::os::fd::OwnedFd;

use super::ConnectionState;
use super::replies::age;

/// Bytes that wait to be written, beyond which a program is to queue no more ([`ConnectionState::has_room`]).
pub const WRITE_SIZE_MAX: usize = 64 << 20;
/// A buffer larger than this is let go of when it is empty, in bytes; and so much is not worth to be cut out.
const KEPT_SIZE_MAX: usize = 64 * 1024;
/// The same, in messages.
const KEPT_COUNT_MAX: usize = 1024;

/// What is to be written.
#[derive(Debug, Default)]
pub(super) struct WriteQueue {
    bytes: Vec<u8>,
    written: usize,
    /// Descriptors with the place where their message begins, in order.
    fds: VecDeque<(usize, Vec<OwnedFd>)>,
    /// Messages that are not written to their ends, and where they begin, in order.
    messages: VecDeque<(NonZeroU32, usize)>,
    /// Where those began that were taken back, and where what follows begins. All of it is not written yet.
    holes: BTreeMap<usize, usize>,
    /// Bytes in holes.
    hole_size: usize,
}

impl WriteQueue {
    /// Where the next message is written to. `fds` go with it.
    pub(super) fn begin(&mut self, fds: Vec<OwnedFd>) -> &mut Vec<u8> {
        if !fds.is_empty() {
            self.fds.push_back((self.bytes.len(), fds));
        }
        &mut self.bytes
    }

    /// Where the next message begins, until something is written or taken back.
    pub(super) const fn end(&self) -> usize {
        self.bytes.len()
    }

    /// The message that begins at `start` is whole, and has this serial.
    pub(super) fn note_whole(&mut self, start: usize, serial: NonZeroU32) {
        self.messages.push_back((serial, start));
    }

    /// Takes back what was queued since [`WriteQueue::end`] was `end`.
    pub(super) fn take_back(&mut self, end: usize) {
        self.bytes.truncate(end);
        while self.fds.back().is_some_and(|(place, _)| *place >= end) {
            self.fds.pop_back();
        }
    }

    /// Takes back the message of this serial, if it is there and nothing of it is written. Answers whether it was so.
    pub(super) fn remove(&mut self, serial: NonZeroU32) -> bool {
        let Some(index) = self.index_of(serial) else { return false };
        let Some((_, start)) = self.messages.get(index).copied() else { return false };
        if start < self.written {
            return false;
        }
        let end = self.messages.get(index + 1).map_or(self.bytes.len(), |(_, place)| *place);
        self.messages.remove(index);
        if let Ok(index) = self.fds.binary_search_by_key(&start, |(place, _)| *place) {
            self.fds.remove(index);
        }
        self.make_hole(start..end);
        self.tidy();
        true
    }

    fn index_of(&self, serial: NonZeroU32) -> Option<usize> {
        let oldest = self.messages.front()?.0;
        let known = |(known, _): &(NonZeroU32, usize)| age(*known, oldest);
        self.messages.binary_search_by_key(&age(serial, oldest), known).ok()
    }

    /// Also holes that lie in it are of it then.
    fn make_hole(&mut self, place: Range<usize>) {
        while let Some((&start, &end)) = self.holes.range(place.clone()).next() {
            self.holes.remove(&start);
            self.hole_size -= end - start;
        }
        self.holes.insert(place.start, place.end);
        self.hole_size += place.len();
        // What is behind the last message need not be skipped.
        while let Some((&start, &end)) = self.holes.last_key_value()
            && end == self.bytes.len()
        {
            self.bytes.truncate(start);
            self.holes.remove(&start);
            self.hole_size -= end - start;
        }
    }

    /// What the next write may take, and the descriptors that go with its first byte.
    pub(super) fn next(&self) -> (&[u8], &[OwnedFd]) {
        let mut marks = self.fds.iter();
        let first = self.fds.front().filter(|(place, _)| *place == self.written);
        let fds = first.map_or(&[][..], |(_, fds)| fds);
        let next = if fds.is_empty() { marks.next() } else { marks.nth(1) };
        let end = next.map_or(self.bytes.len(), |(place, _)| *place);
        let end = self.holes.keys().next().map_or(end, |hole| end.min(*hole));
        (self.bytes.get(self.written..end).unwrap_or_default(), fds)
    }

    /// So many bytes of that were written.
    pub(super) fn handle_written(&mut self, size: usize) {
        self.written = self.bytes.len().min(self.written + size);
        while self.fds.front().is_some_and(|(place, _)| *place < self.written) {
            self.fds.pop_front();
        }
        self.tidy();
    }

    /// Skips a hole that writing has come to, and lets go of what is written.
    fn tidy(&mut self) {
        while let Some((&start, &end)) = self.holes.first_key_value()
            && start <= self.written
        {
            self.written = end;
            self.holes.remove(&start);
            self.hole_size -= end - start;
        }
        if self.written == self.bytes.len() {
            return self.clear();
        }
        while self.messages.get(1).is_some_and(|(_, place)| *place <= self.written) {
            self.messages.pop_front();
        }
        let done = self.messages.front().map_or(0, |(_, place)| *place).min(self.written);
        let unused = done + self.hole_size;
        if unused > KEPT_SIZE_MAX && unused > self.bytes.len() / 2 {
            self.cut_out(done);
        }
    }

    fn clear(&mut self) {
        self.written = 0;
        self.bytes.clear();
        self.messages.clear();
        if self.bytes.capacity() > KEPT_SIZE_MAX {
            self.bytes = Vec::new();
        }
        if self.messages.capacity() > KEPT_COUNT_MAX {
            self.messages = VecDeque::new();
        }
    }

    /// Cuts out the first bytes, which are those of messages that are written, and the holes.
    fn cut_out(&mut self, done: usize) {
        let mut cuts = vec![(0, done)];
        cuts.extend(std::mem::take(&mut self.holes));
        let mut kept = Vec::with_capacity(self.bytes.len() - done - self.hole_size);
        let mut place = 0;
        for (start, end) in &cuts {
            kept.extend_from_slice(self.bytes.get(place..*start).unwrap_or_default());
            place = *end;
        }
        kept.extend_from_slice(self.bytes.get(place..).unwrap_or_default());
        self.bytes = kept;
        move_places(&cuts, self.messages.iter_mut().map(|(_, place)| place));
        move_places(&cuts, self.fds.iter_mut().map(|(place, _)| place));
        self.written -= done;
        self.hole_size = 0;
    }

    /// The serials of the messages that are not written to their ends. What is written of one that is begun makes
    /// no message at the other end.
    pub(super) fn unwritten(&self) -> impl DoubleEndedIterator<Item = NonZeroU32> {
        self.messages.iter().map(|(serial, _)| *serial)
    }

    /// How many bytes wait.
    pub(super) const fn size(&self) -> usize {
        self.bytes.len() - self.written - self.hole_size
    }

    /// Bytes of memory for them.
    pub(super) const fn capacity(&self) -> usize {
        self.bytes.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl ConnectionState {
    /// Whether there is room for another message: what waits to be written is not so much yet. Answers and what is asked
    /// of the bus need none.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.messages.size() < WRITE_SIZE_MAX
    }

    /// Takes back a message of which nothing is written, so that it does not leave. Answers whether it was so.
    pub fn take_back(&mut self, serial: NonZeroU32) -> bool {
        let is_taken_back = self.messages.remove(serial);
        if self.messages.is_empty() {
            self.answers_size = 0;
        }
        is_taken_back
    }

    /// Whether all is written that was queued up to this message.
    #[must_use]
    pub fn has_left(&self, serial: NonZeroU32) -> bool {
        // Serials begin again after four billion.
        let is_older = |first: NonZeroU32| serial.get().wrapping_sub(first.get()) > u32::MAX / 2;
        self.messages.unwritten().next().is_none_or(is_older)
    }

    /// The last message that is not written to its end.
    #[must_use]
    pub fn last_unwritten(&self) -> Option<NonZeroU32> {
        self.messages.unwritten().next_back()
    }
}

/// Places, in order, after these parts were cut out.
fn move_places<'p>(cuts: &[(usize, usize)], places: impl Iterator<Item = &'p mut usize>) {
    let (mut cuts, mut size) = (cuts.iter().peekable(), 0);
    for place in places {
        while let Some((start, end)) = cuts.next_if(|(_, end)| end <= place) {
            size += end - start;
        }
        *place -= size;
    }
}
