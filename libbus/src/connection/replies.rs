//! Calls whose replies somebody waits for.
//!
//! Calls stand in the order of their serials, so that one is found by bisection. Bounded by the calls
//! that the program has in flight.

use std::collections::{BTreeSet, VecDeque};
use std::num::NonZeroU32;

use crate::message::Message;

/// Calls that are over and still have a place, at most, beside as many as there are others.
const DONE_COUNT_MAX: usize = 64;

/// What is known of a call whose connection was lost before its reply came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostCall {
    /// It was not sent: nobody has carried it out.
    NotSent,
    /// It was sent: it may have been carried out, or not.
    PerhapsDone,
}

#[derive(Debug)]
enum Reply {
    Awaited,
    Arrived(Message),
    /// The connection was lost before.
    Lost(LostCall),
    /// It was taken, or nobody waits any more.
    Done,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Replies {
    calls: VecDeque<(NonZeroU32, Reply)>,
    done_count: usize,
}

impl Replies {
    /// Somebody waits for the reply to this call.
    pub(super) fn expect(&mut self, serial: NonZeroU32) {
        // It is the newest, unless an older one is still there from before the serials began again.
        let oldest = self.calls.front().map_or(serial, |(oldest, _)| *oldest);
        let place =
            self.calls.partition_point(|(known, _)| age(*known, oldest) < age(serial, oldest));
        self.calls.insert(place, (serial, Reply::Awaited));
    }

    /// Whether this serial is in use.
    pub(super) fn is_known(&self, serial: NonZeroU32) -> bool {
        self.index_of(serial).is_some()
    }

    /// Whether the reply to this call has not come yet.
    pub(super) fn is_awaited(&self, serial: NonZeroU32) -> bool {
        let call = self.index_of(serial).and_then(|index| self.calls.get(index));
        call.is_some_and(|(_, reply)| matches!(reply, Reply::Awaited))
    }

    /// A reply has come. Answers whether somebody waits for it; a second one is for nobody.
    pub(super) fn handle_reply(&mut self, serial: NonZeroU32, reply: Message) -> bool {
        let Some(call) = self.index_of(serial).and_then(|index| self.calls.get_mut(index)) else {
            return false;
        };
        let is_awaited = matches!(call.1, Reply::Awaited);
        if is_awaited {
            call.1 = Reply::Arrived(reply);
        }
        is_awaited
    }

    /// The reply, once it has come.
    pub(super) fn take(&mut self, serial: NonZeroU32) -> Option<Message> {
        let index = self.index_of(serial)?;
        let call = self.calls.get_mut(index)?;
        match std::mem::replace(&mut call.1, Reply::Done) {
            Reply::Arrived(reply) => {
                self.note_done();
                Some(reply)
            }
            other => {
                call.1 = other;
                None
            }
        }
    }

    /// The connection is lost; of these calls it is known that they were not sent.
    pub(super) fn handle_loss(&mut self, not_sent: &BTreeSet<NonZeroU32>) {
        for (serial, reply) in &mut self.calls {
            if matches!(reply, Reply::Awaited) {
                *reply = Reply::Lost(match not_sent.contains(serial) {
                    true => LostCall::NotSent,
                    false => LostCall::PerhapsDone,
                });
            }
        }
    }

    /// What is known of this call, if its connection was lost.
    pub(super) fn take_lost(&mut self, serial: NonZeroU32) -> Option<LostCall> {
        let index = self.index_of(serial)?;
        let Reply::Lost(lost) = self.calls.get(index)?.1 else { return None };
        self.forget(serial);
        Some(lost)
    }

    /// Nobody waits any more.
    pub(super) fn forget(&mut self, serial: NonZeroU32) {
        let Some(call) = self.index_of(serial).and_then(|index| self.calls.get_mut(index)) else {
            return;
        };
        if !matches!(std::mem::replace(&mut call.1, Reply::Done), Reply::Done) {
            self.note_done();
        }
    }

    /// How many calls have a place.
    pub(super) fn count(&self) -> usize {
        self.calls.len()
    }

    fn note_done(&mut self) {
        self.done_count += 1;
        while let Some((_, Reply::Done)) = self.calls.front() {
            self.calls.pop_front();
            self.done_count -= 1;
        }
        if self.done_count > DONE_COUNT_MAX + self.calls.len() / 2 {
            self.calls.retain(|(_, reply)| !matches!(reply, Reply::Done));
            self.done_count = 0;
        }
    }

    fn index_of(&self, serial: NonZeroU32) -> Option<usize> {
        let oldest = self.calls.front()?.0;
        self.calls.binary_search_by_key(&age(serial, oldest), |(known, _)| age(*known, oldest)).ok()
    }
}

/// How much younger a call is than the oldest. Serials begin again after four billion; this does not.
pub(super) const fn age(serial: NonZeroU32, oldest: NonZeroU32) -> u32 {
    serial.get().wrapping_sub(oldest.get())
}
