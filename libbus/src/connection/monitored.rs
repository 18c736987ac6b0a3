//! What a monitor sees: all that comes, in the order in which it comes, but for replies that somebody here waits
//! for.
//!
//! It misses nothing: while [`MONITORED_MAX`] messages wait, or [`MONITORED_SIZE_MAX`] bytes of them, nothing is read,
//! replies neither, and the bus decides what becomes of a monitor that does not read.
//!
//! While it is still being set up, replies of the bus come behind what the first of its rules match, and nobody can
//! take that yet. So until that is over the bounds are [`MONITORED_EARLY_MAX`] and [`MONITORED_EARLY_SIZE_MAX`]. Where
//! those are reached, too, the replies do not come in: whoever sets it up has to end that in time.

use std::collections::VecDeque;

use crate::message::Message;

/// Messages that wait to be looked at, beyond which nothing more is read.
pub const MONITORED_MAX: usize = 4096;
/// Their bytes, beyond which nothing more is read.
pub const MONITORED_SIZE_MAX: usize = 64 << 20;

/// The same while the bus has not answered yet to all that a monitor asks it for. Beyond it nothing is read, those
/// answers neither: a monitor for which so much comes first cannot be begun, and that ends when the time of its calls is
/// over.
pub const MONITORED_EARLY_MAX: usize = 64 * 1024;
/// Their bytes then.
pub const MONITORED_EARLY_SIZE_MAX: usize = 256 << 20;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Monitored {
    is_on: bool,
    /// Whether the bus has not answered yet to all that was asked for.
    is_being_set_up: bool,
    queue: VecDeque<Message>,
    /// Bytes of the messages in it.
    size: usize,
}

impl Monitored {
    /// From now on all that comes is kept.
    pub(super) const fn begin(&mut self) {
        self.is_on = true;
    }

    /// Whether answers are waited for, too, and not messages alone.
    pub(super) const fn set_up(&mut self, is_under_way: bool) {
        self.is_being_set_up = is_under_way;
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
        let (length_max, size_max) = match self.is_being_set_up {
            true => (MONITORED_EARLY_MAX, MONITORED_EARLY_SIZE_MAX),
            false => (MONITORED_MAX, MONITORED_SIZE_MAX),
        };
        self.queue.len() < length_max && self.size < size_max
    }
}
