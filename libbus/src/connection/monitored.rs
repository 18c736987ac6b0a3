//! What a monitor sees: all that comes, in the order in which it comes, but for replies that somebody here waits
//! for.
//!
//! It misses nothing: while [`MONITORED_MAX`] messages wait nothing is read, and the bus decides what becomes of a
//! monitor that does not read.
//!
//! While it is still being set up, replies of the bus come behind what the first of its rules match. Who did not
//! read on then would wait for itself: until that is over the bound is [`MONITORED_EARLY_MAX`].

use std::collections::VecDeque;

use crate::message::Message;

/// Messages that wait to be looked at, beyond which nothing more is read.
pub const MONITORED_MAX: usize = 4096;

/// The same while the bus has not answered yet to all that a monitor asks it for. Beyond it those answers come late.
pub const MONITORED_EARLY_MAX: usize = 64 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Monitored {
    is_on: bool,
    /// Whether the bus has answered to all that was asked for.
    is_set_up: bool,
    queue: VecDeque<Message>,
}

impl Monitored {
    /// From now on all that comes is kept.
    pub(super) const fn begin(&mut self) {
        self.is_on = true;
    }

    /// Nothing more is waited for but messages.
    pub(super) const fn finish_set_up(&mut self) {
        self.is_set_up = true;
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
        self.queue.len() < if self.is_set_up { MONITORED_MAX } else { MONITORED_EARLY_MAX }
    }
}
