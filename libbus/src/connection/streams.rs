//! Signals that somebody reads, each stream of them by itself.
//!
//! A stream has a queue of its own, with a bound and a choice of what becomes of a signal for which there is
//! no room ([`Overflow`]). So one that nobody reads holds up neither a reply nor another stream, unless it
//! was asked to. The bound is one of signals, which is chosen, and one of bytes, [`STREAM_SIZE_MAX`], for all.

use std::collections::{BTreeMap, VecDeque};

use crate::match_rule::{MatchNames, MatchRule};
use crate::message::{Header, Message};
use crate::wire::ArgumentSpans;

/// Bytes of signals that wait in a stream, beyond which it is full, however many signals they are.
pub const STREAM_SIZE_MAX: usize = 64 << 20;

/// What becomes of a signal when the queue of a stream is full: as many signals wait as there may be, or
/// [`STREAM_SIZE_MAX`] bytes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The oldest signals in it are let go until there is room; the stream says how many were, before the next one.
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
    /// The connection was lost here, and what there was to see until the bus was asked again was missed.
    Interrupted,
    /// Nothing comes any more: whom it is about was a program of a bus that is lost. It is told once.
    Ended,
}

#[derive(Debug)]
struct Stream {
    rule: MatchRule,
    queue: VecDeque<Message>,
    /// Bytes of the signals in it.
    size: usize,
    length_max: usize,
    overflow: Overflow,
    missed: u64,
    /// How many losses of the connection its reader knows of.
    losses: u32,
    /// How often the connection had been lost when the last signal came for it.
    heard: u32,
    /// Whether it is about one that has a unique name of a bus that is lost.
    has_ended: bool,
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
        losses: u32,
    ) -> StreamId {
        let id = StreamId(self.next);
        self.next += 1;
        self.place_of(&rule).push(id);
        let (queue, length_max) = (VecDeque::new(), length_max.max(1));
        let stream = Stream {
            rule,
            queue,
            size: 0,
            length_max,
            overflow,
            missed: 0,
            losses,
            heard: losses,
            has_ended: false,
        };
        self.all.insert(id, stream);
        id
    }

    /// Ends a stream, and lets go of what is in it.
    pub(super) fn end(&mut self, id: StreamId) {
        let Some(stream) = self.all.remove(&id) else { return };
        self.full_count -= usize::from(stream.is_waited_for());
        self.leave_place(id, &stream.rule);
    }

    fn leave_place(&mut self, id: StreamId, rule: &MatchRule) {
        let place = self.place_of(rule);
        place.retain(|other| *other != id);
        if let (true, Some(member)) = (place.is_empty(), &rule.member) {
            self.by_member.remove(member);
        }
    }

    /// The connection is lost, which had been so `losses` times before. A unique name means somebody else on the next
    /// bus, or nobody: what is about one takes no signal of it. Of a connection that never `was_whole` again and brought
    /// nothing, a reader need not know who was told of the last loss.
    pub(super) fn handle_loss(&mut self, losses: u32, was_whole: bool) {
        let names_somebody = |rule: &MatchRule| {
            let names = [&rule.sender, &rule.destination];
            names.into_iter().flatten().any(|name| name.starts_with(':'))
        };
        let ids: Vec<StreamId> = self.all.keys().copied().collect();
        for id in ids {
            let Some(stream) = self.all.get_mut(&id) else { continue };
            let has_news = (was_whole && !stream.has_ended) || stream.heard == losses;
            if stream.losses == losses && !has_news {
                stream.losses = losses.wrapping_add(1);
            }
            if !stream.has_ended && names_somebody(&stream.rule) {
                stream.has_ended = true;
                let rule = stream.rule.clone();
                self.leave_place(id, &rule);
            }
        }
    }

    /// The rules that a bus is to be asked for, as they are written.
    pub(super) fn rules(&self) -> Vec<String> {
        let living = self.all.values().filter(|stream| !stream.has_ended);
        living.map(|stream| stream.rule.to_string()).collect()
    }

    /// What the bus was asked for, for this stream.
    pub(super) fn rule_of(&self, id: StreamId) -> Option<&MatchRule> {
        self.all.get(&id).filter(|stream| !stream.has_ended).map(|stream| &stream.rule)
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
            if stream.is_full() {
                match stream.overflow {
                    Overflow::DropOldest => stream.make_room(),
                    Overflow::Disconnect => return Err(Overflown),
                    // What was read with the signal that filled it comes, too.
                    Overflow::Wait => {}
                }
            }
            let was_full = stream.is_waited_for();
            stream.heard = signal.losses();
            stream.size += signal.size();
            stream.queue.push_back(signal.clone());
            self.full_count += usize::from(!was_full && stream.is_waited_for());
        }
        Ok(has_any)
    }

    /// What a stream has next, if the connection was lost so often.
    pub(super) fn next(&mut self, id: StreamId, losses: u32) -> Option<Streamed> {
        let stream = self.all.get_mut(&id)?;
        let missed = std::mem::take(&mut stream.missed);
        if missed > 0 {
            return Some(Streamed::Missed(missed));
        }
        let next_losses = stream.queue.front().map_or(losses, Message::losses);
        if next_losses != stream.losses {
            stream.losses = next_losses;
            return Some(match stream.has_ended {
                true => Streamed::Ended,
                false => Streamed::Interrupted,
            });
        }
        let was_full = stream.is_waited_for();
        let signal = stream.take()?;
        self.full_count -= usize::from(was_full && !stream.is_waited_for());
        Some(Streamed::Signal(signal))
    }

    /// How many signals wait in all of them.
    pub(super) fn signal_count(&self) -> usize {
        self.all.values().map(|stream| stream.queue.len()).sum()
    }

    /// Their bytes, of those that wait in several streams as often.
    pub(super) fn signal_size(&self) -> usize {
        self.all.values().map(|stream| stream.size).sum()
    }

    /// Whether nothing may be read, since there is no room in a stream that must miss nothing.
    pub(super) const fn are_waited_for(&self) -> bool {
        self.full_count > 0
    }
}

impl Stream {
    fn is_full(&self) -> bool {
        self.queue.len() >= self.length_max || self.size >= STREAM_SIZE_MAX
    }

    fn is_waited_for(&self) -> bool {
        self.overflow == Overflow::Wait && self.is_full()
    }

    /// Lets go of the oldest signals.
    fn make_room(&mut self) {
        while self.is_full() && self.take().is_some() {
            self.missed += 1;
        }
    }

    fn take(&mut self) -> Option<Message> {
        let signal = self.queue.pop_front()?;
        self.size -= signal.size();
        Some(signal)
    }
}
