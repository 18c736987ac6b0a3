//! Signals that somebody reads, each stream of them by itself.
//!
//! A stream has a queue of its own, with a bound and a choice of what becomes of a signal for which there is
//! no room ([`Overflow`]). So one that nobody reads holds up neither a reply nor another stream, unless it
//! was asked to.

use std::collections::{BTreeMap, VecDeque};

use crate::match_rule::{MatchNames, MatchRule};
use crate::message::{Header, Message};
use crate::wire::ArgumentSpans;

/// What becomes of a signal when the queue of a stream is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The oldest signal in it is let go; the stream says how many were, before the next one.
    DropOldest,
    /// The connection is closed: the program must not go on without having seen all.
    Disconnect,
    /// Nothing is read any more until there is room: replies and other streams wait, too.
    Wait,
}

/// Which stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(u64);

/// What a stream has next.
#[derive(Clone, Debug)]
pub enum Streamed {
    /// A signal.
    Signal(Message),
    /// So many signals were let go here, since the queue was full.
    Missed(u64),
}

#[derive(Debug)]
struct Stream {
    rule: MatchRule,
    queue: VecDeque<Message>,
    length_max: usize,
    overflow: Overflow,
    missed: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Streams {
    all: BTreeMap<StreamId, Stream>,
    /// Those whose rules name a member, by that, which tells most signals apart.
    by_member: BTreeMap<Box<str>, Vec<StreamId>>,
    /// The others.
    of_any_member: Vec<StreamId>,
    next: u64,
    /// Streams with [`Overflow::Wait`] whose queues are full.
    full_count: usize,
}

/// A stream was full that must miss nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflown;

impl Streams {
    /// Begins a stream of the signals that `rule` matches.
    pub(super) fn begin(
        &mut self,
        rule: MatchRule,
        length_max: usize,
        overflow: Overflow,
    ) -> StreamId {
        let id = StreamId(self.next);
        self.next += 1;
        self.place_of(&rule).push(id);
        let (queue, length_max) = (VecDeque::new(), length_max.max(1));
        self.all.insert(id, Stream { rule, queue, length_max, overflow, missed: 0 });
        id
    }

    /// Ends a stream, and lets go of what is in it.
    pub(super) fn end(&mut self, id: StreamId) {
        let Some(stream) = self.all.remove(&id) else { return };
        self.full_count -= usize::from(stream.is_waited_for());
        let place = self.place_of(&stream.rule);
        place.retain(|other| *other != id);
        if let (true, Some(member)) = (place.is_empty(), &stream.rule.member) {
            self.by_member.remove(member);
        }
    }

    fn place_of(&mut self, rule: &MatchRule) -> &mut Vec<StreamId> {
        match &rule.member {
            Some(member) => self.by_member.entry(member.clone()).or_default(),
            None => &mut self.of_any_member,
        }
    }

    /// A signal has come, whose header this is. Answers whether any stream has it.
    pub(super) fn handle_signal(
        &mut self,
        signal: &Message,
        header: &Header<'_>,
        spans: &ArgumentSpans,
        names: &impl MatchNames,
    ) -> Result<bool, Overflown> {
        let mut has_any = false;
        let member = header.member.map_or("", |member| member.as_str());
        let of_member = self.by_member.get(member).into_iter().flatten();
        for id in of_member.chain(&self.of_any_member) {
            let Some(stream) = self.all.get_mut(id) else { continue };
            if !stream.rule.matches(header, signal.arguments(spans), names) {
                continue;
            }
            has_any = true;
            if stream.queue.len() >= stream.length_max {
                match stream.overflow {
                    Overflow::DropOldest => {
                        stream.queue.pop_front();
                        stream.missed += 1;
                    }
                    Overflow::Disconnect => return Err(Overflown),
                    // What was read with the signal that filled it comes, too.
                    Overflow::Wait => {}
                }
            }
            let was_full = stream.is_waited_for();
            stream.queue.push_back(signal.clone());
            self.full_count += usize::from(!was_full && stream.is_waited_for());
        }
        Ok(has_any)
    }

    /// What a stream has next.
    pub(super) fn next(&mut self, id: StreamId) -> Option<Streamed> {
        let stream = self.all.get_mut(&id)?;
        let missed = std::mem::take(&mut stream.missed);
        if missed > 0 {
            return Some(Streamed::Missed(missed));
        }
        let was_full = stream.is_waited_for();
        let signal = stream.queue.pop_front()?;
        self.full_count -= usize::from(was_full && !stream.is_waited_for());
        Some(Streamed::Signal(signal))
    }

    /// How many signals wait in all of them.
    pub(super) fn signal_count(&self) -> usize {
        self.all.values().map(|stream| stream.queue.len()).sum()
    }

    /// Whether nothing may be read, since there is no room in a stream that must miss nothing.
    pub(super) const fn are_waited_for(&self) -> bool {
        self.full_count > 0
    }
}

impl Stream {
    fn is_waited_for(&self) -> bool {
        self.overflow == Overflow::Wait && self.queue.len() >= self.length_max
    }
}
