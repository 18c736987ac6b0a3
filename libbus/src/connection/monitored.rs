//! What a monitor sees: all that comes, in the order in which it comes, but for replies that somebody here waits
//! for.
//!
//! It misses nothing: while [`MONITORED_MAX`] messages wait, or [`MONITORED_SIZE_MAX`] bytes of them, nothing is read,
//! and the bus decides what becomes of a monitor that does not read.

use std::collections::VecDeque;

use crate::message::Message;

/// Messages that wait to be looked at, beyond which nothing more is read.
pub const MONITORED_MAX: usize = 4096;
/// Their bytes, beyond which nothing more is read.
pub const MONITORED_SIZE_MAX: usize = 64 << 20;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Monitored {
    is_on: bool,
    queue: VecDeque<Message>,
    /// Bytes of the messages in it.
    size: usize,
}

impl Monitored {
    /// From now on all that comes is kept.
    pub(super) const fn begin(&mut self) {
        self.is_on = true;
    }

    pub(super) fn keep(&mut self, message: Message) {
        self.size += message.size();
        self.queue.push_back(message);
    }

    pub(super) fn next(&mut self) -> Option<Message> {
        let message = self.queue.pop_front()?;
        self.size -= message.size();
        Some(message)
    }

    /// How many bytes wait.
    pub(super) const fn size(&self) -> usize {
        self.size
    }

    pub(super) const fn is_on(&self) -> bool {
        self.is_on
    }

    pub(super) fn has_room(&self) -> bool {
        self.queue.len() < MONITORED_MAX && self.size < MONITORED_SIZE_MAX
    }
}
