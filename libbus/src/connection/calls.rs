//! Calls of others that wait to be served.
//!
//! Calls of one sender are served one after the other, in the order in which they came, and those of others
//! do not wait for it: who is served slowly keeps nobody but itself waiting, and a program that is called
//! back by the one that it has just called answers. What the program asks itself is served at once.

use std::collections::VecDeque;

use crate::message::Message;

/// Calls of others that wait to be served; more are answered with `LimitsExceeded`.
pub const CALLS_WAITING_MAX: usize = 4096;
/// Their bytes; beyond them another is answered likewise.
pub const CALLS_WAITING_SIZE_MAX: usize = 128 << 20;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Calls {
    waiting: VecDeque<Message>,
    size: usize,
    /// Whose calls are being served. Bounded by those that are.
    busy: Vec<Box<str>>,
}

impl Calls {
    /// Whether there is room for another.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < CALLS_WAITING_MAX && self.size < CALLS_WAITING_SIZE_MAX
    }

    pub(super) fn push(&mut self, call: Message) {
        self.size += call.size();
        self.waiting.push_back(call);
    }

    /// The next call, whose sender is busy from now on unless it is `own`, this program.
    pub(super) fn next(&mut self, own: Option<&str>) -> Option<Message> {
        let is_free = |call: &Message| {
            let sender = sender_of(call);
            own == Some(sender) || !self.busy.iter().any(|busy| **busy == *sender)
        };
        let index = match self.busy.is_empty() {
            true => 0,
            false => self.waiting.iter().position(is_free)?,
        };
        let call = self.waiting.remove(index)?;
        self.size -= call.size();
        let sender = sender_of(&call);
        if own != Some(sender) {
            self.busy.push(sender.into());
        }
        Some(call)
    }

    /// A call was served, or need not be before the next one of its sender.
    pub(super) fn finish(&mut self, call: &Message) {
        let sender = sender_of(call);
        if let Some(index) = self.busy.iter().position(|busy| **busy == *sender) {
            self.busy.swap_remove(index);
        }
    }

    /// Whether some wait.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// Nothing without a bus, where there is one sender.
fn sender_of(call: &Message) -> &str {
    call.header().sender.map_or("", |sender| sender.as_str())
}
