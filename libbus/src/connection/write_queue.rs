//! Bytes and descriptors on their way to the other end.
//!
//! All messages lie one after the other in one buffer, so that a burst leaves in one write. A message with
//! descriptors must begin the write that carries them (protocol.md A096); they are closed once its first
//! byte is written.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;

use crate::limits::MESSAGE_SIZE_MAX;
use crate::wire;

/// A buffer larger than this is let go of when it is empty, in bytes.
const KEPT_SIZE_MAX: usize = 64 * 1024;

/// What is to be written.
#[derive(Debug, Default)]
pub(super) struct WriteQueue {
    bytes: Vec<u8>,
    written: usize,
    /// Descriptors with the place where their message begins, in order.
    fds: VecDeque<(usize, Vec<OwnedFd>)>,
}

impl WriteQueue {
    /// Where the next message is written to. `fds` go with it.
    pub(super) fn begin(&mut self, fds: Vec<OwnedFd>) -> &mut Vec<u8> {
        if !fds.is_empty() {
            self.fds.push_back((self.bytes.len(), fds));
        }
        &mut self.bytes
    }

    /// How many bytes were queued and are not forgotten yet: where the next message begins.
    pub(super) const fn end(&self) -> usize {
        self.bytes.len()
    }

    /// Takes back what was queued since [`WriteQueue::end`] was `end`.
    pub(super) fn take_back(&mut self, end: usize) {
        self.bytes.truncate(end);
        while self.fds.back().is_some_and(|(place, _)| *place >= end) {
            self.fds.pop_back();
        }
    }

    /// What the next write may take, and the descriptors that go with its first byte.
    pub(super) fn next(&self) -> (&[u8], &[OwnedFd]) {
        let mut marks = self.fds.iter();
        let first = self.fds.front().filter(|(place, _)| *place == self.written);
        let fds = first.map_or(&[][..], |(_, fds)| fds);
        let next = if fds.is_empty() { marks.next() } else { marks.nth(1) };
        let end = next.map_or(self.bytes.len(), |(place, _)| *place);
        (self.bytes.get(self.written..end).unwrap_or_default(), fds)
    }

    /// So many bytes of that were written.
    pub(super) fn handle_written(&mut self, size: usize) {
        self.written = self.bytes.len().min(self.written + size);
        while self.fds.front().is_some_and(|(place, _)| *place < self.written) {
            self.fds.pop_front();
        }
        if self.written == self.bytes.len() {
            self.written = 0;
            self.bytes.clear();
            if self.bytes.capacity() > KEPT_SIZE_MAX {
                self.bytes = Vec::new();
            }
        }
    }

    /// The serials of the messages that are not written to their ends. What is written of one that is begun makes
    /// no message at the other end.
    pub(super) fn unwritten(&self) -> Vec<NonZeroU32> {
        let (mut serials, mut start) = (Vec::new(), 0);
        while let Some(rest) = self.bytes.get(start..)
            && let Ok(Some(frame)) = wire::frame(rest, MESSAGE_SIZE_MAX)
        {
            start += frame.message_size();
            if start > self.written {
                serials.extend(wire::serial_of(rest));
            }
        }
        serials
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}
