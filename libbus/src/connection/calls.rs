//! Calls of others that wait to be served.
//!
//! Calls of one sender are served one after the other, in the order in which they came, and those of others
//! do not wait for it: who is served slowly keeps nobody but itself waiting, and a program that is called
//! back by the one that it has just called answers. What the program asks itself is served at once.

use std::collections::{BTreeMap, VecDeque};

use crate::message::Message;

/// Calls of others that wait to be served; more are answered with `LimitsExceeded`.
pub const CALLS_WAITING_MAX: usize = 4096;
/// Their bytes; beyond them another is answered likewise.
pub const CALLS_WAITING_SIZE_MAX: usize = 128 << 20;
/// Beyond this part of either, who only serves reads no more: who asks waits, and is not refused. Who waits for a
/// reply of its own reads on.
const WANTED_PART: usize = 2;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// In the order in which they came, whoever sent them.
    arrived: VecDeque<Message>,
    /// Senders of which a call is being served, with those that were looked at since and come after it, in order.
    busy: BTreeMap<Box<str>, VecDeque<Message>>,
    /// The next ones of senders whose last call was served; they are busy.
    resumed: VecDeque<Message>,
    count: usize,
    size: usize,
}

impl Calls {
    /// Whether there is room for another.
    pub(super) const fn has_room(&self) -> bool {
        self.count < CALLS_WAITING_MAX && self.size < CALLS_WAITING_SIZE_MAX
    }

    /// Whether those who serve are to read more.
    pub(super) const fn are_wanted(&self) -> bool {
        self.count < CALLS_WAITING_MAX / WANTED_PART
            && self.size < CALLS_WAITING_SIZE_MAX / WANTED_PART
    }

    pub(super) fn push(&mut self, call: Message) {
        self.count += 1;
        self.size += call.size();
        self.arrived.push_back(call);
    }

    /// The next call, whose sender is busy from now on unless it is `own`, this program.
    pub(super) fn next(&mut self, own: Option<&str>) -> Option<Message> {
        let call = self.resumed.pop_front().or_else(|| self.next_arrived(own))?;
        self.count -= 1;
        self.size -= call.size();
        Some(call)
    }

    fn next_arrived(&mut self, own: Option<&str>) -> Option<Message> {
        while let Some(call) = self.arrived.pop_front() {
            let sender = sender_of(&call);
            if own == Some(sender) {
                return Some(call);
            }
            match self.busy.get_mut(sender) {
                Some(later) => later.push_back(call),
                None => {
                    self.busy.insert(sender.into(), VecDeque::new());
                    return Some(call);
                }
            }
        }
        None
    }

    /// A call was served, or need not be before the next one of its sender.
    pub(super) fn finish(&mut self, call: &Message) {
        let sender = sender_of(call);
        match self.busy.get_mut(sender).map(VecDeque::pop_front) {
            Some(Some(next)) => self.resumed.push_back(next),
            Some(None) => drop(self.busy.remove(sender)),
            None => {}
        }
    }

    /// How many wait.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Their bytes.
    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// Whether some may be served.
    pub(super) fn is_empty(&self) -> bool {
        self.resumed.is_empty() && self.arrived.is_empty()
    }
}

/// Nothing without a bus, where there is one sender.
fn sender_of(call: &Message) -> &str {
    call.sender().map_or("", |sender| sender.as_str())
}
