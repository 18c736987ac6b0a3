//! What a client sent and the policy let pass, so that more of the same need not be asked about.
//!
//! Most programs send the same over and over: the header fields of the next message are those of the
//! last one, byte for byte, and it goes to the same place. The policy then says the same, as long as
//! it and the names of both sides are the same.

use std::cell::Cell;

use super::policing::{Party, Passage, Standing};

/// Longest header fields that are kept, in bytes.
const FIELDS_SIZE_MAX: usize = 512;
/// After so many other messages in a row, the last of them is kept instead.
const MISS_COUNT_MAX: u8 = 8;
/// Where the header fields begin in a message, with their length.
const FIELDS_START: usize = 12;
/// Byte order and message type.
const BEGIN_SIZE: usize = 2;

/// One message that passed.
#[derive(Debug)]
pub(in crate::bus) struct Passed {
    begin: [u8; BEGIN_SIZE],
    fields: Vec<u8>,
    requested_reply: bool,
    sender: Standing,
    /// `None` is the bus.
    recipient: Option<Standing>,
    misses: Cell<u8>,
}

impl Passed {
    /// This message with the header `head`, if it is worth keeping: no reply is like the one before.
    pub(super) fn new(passage: &Passage<'_>, head: &[u8]) -> Option<Box<Self>> {
        if passage.header.reply_serial.is_some() {
            return None;
        }
        let fields = head.get(FIELDS_START..).filter(|fields| fields.len() <= FIELDS_SIZE_MAX)?;
        let recipient = match passage.recipient {
            Party::Bus => None,
            Party::Service(_) => return None,
            Party::Client(standing) => Some(standing?.clone()),
        };
        Some(Box::new(Self {
            begin: *head.first_chunk()?,
            fields: fields.to_vec(),
            requested_reply: passage.circumstances.requested_reply,
            sender: passage.sender.standing()?.clone(),
            recipient,
            misses: Cell::new(0),
        }))
    }

    /// Whether another message, that nobody eavesdrops on, passes for the same reasons.
    #[inline]
    pub(super) fn covers(&self, passage: &Passage<'_>, head: &[u8]) -> bool {
        let is_covered = head.first_chunk() == Some(&self.begin)
            && head.get(FIELDS_START..) == Some(&*self.fields)
            && passage.circumstances.requested_reply == self.requested_reply
            && passage.sender.standing().is_some_and(|sender| sender.is_same(&self.sender))
            && match (passage.recipient, &self.recipient) {
                (Party::Bus, None) => true,
                (Party::Client(Some(one)), Some(other)) => one.is_same(other),
                _ => false,
            };
        self.misses.set(if is_covered { 0 } else { self.misses.get().saturating_add(1) });
        is_covered
    }

    /// Whether something else should be kept in its place.
    pub(super) const fn is_outdated(&self) -> bool {
        self.misses.get() >= MISS_COUNT_MAX
    }
}
