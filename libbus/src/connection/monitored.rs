//! What a monitor sees: all that comes, in the order in which it comes, but for replies that somebody here waits
//! for.
//!
//! It misses nothing: while [`MONITORED_MAX`] messages wait nothing is read, and the bus decides what becomes of a
//! monitor that does not read.

use std::collections::VecDeque;

use crate::message::Message;

/// Messages that wait to be looked at, beyond which nothing more is read.
pub const MONITORED_MAX: usize = 4096;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Monitored {
    is_on: bool,
    queue: VecDeque<Message>,
}

impl Monitored {
    /// From now on all that comes is kept.
    pub(super) const fn begin(&mut self) {
        self.is_on = true;
    }

    pub(super) fn keep(&mut self, message: Message) {
        self.queue.push_back(message);
    }

    pub(super) fn next(&mut self) -> Option<Message> {
        self.queue.pop_front()
    }

    pub(super) const fn is_on(&self) -> bool {
        self.is_on
    }

    pub(super) fn has_room(&self) -> bool {
        self.queue.len() < MONITORED_MAX
    }
}
