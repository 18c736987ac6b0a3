//! Finding the last of many rules that matches a message.
//!
//! Rules are sorted by the name they are about, which is a number the other side brings with it.
//! A few rules about one name are tried one after the other, from the last one on. Many are indexed
//! by the header fields that they name. Which fields a rule goes by depends on which of them the
//! message has, since a rule also matches messages that lack a field it names (config.md B055–B060);
//! so there is one index for each set of fields that messages have, made when such a message comes.
//!
//! What is left to be tried in one place of an index are rules that differ in type, replies,
//! broadcasts and file descriptors only. Of those with the same conditions only the last is kept.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::FixedState;

use crate::policy_set::{MatchedPatterns, NamePatternId, PlacedRule, PolicySet, RuleId};
use crate::question::{Circumstances, Message};
use crate::rule::{Action, Effect, MessagePattern, MessageType, NamePattern};
use crate::verdict::Verdict;

/// More rules about one name than this are indexed.
const LINEAR_COUNT_MAX: usize = 8;
/// With how many rules at its place in the index a rule is compared, to be left out if one behind it
/// has the same conditions.
const COMPARED_COUNT_MAX: usize = 64;

/// The rules of one kind, send or receive.
#[derive(Debug, Default)]
pub(crate) struct RuleTable {
    /// Rules about any name.
    any: Bucket,
    named: HashMap<NamePatternId, Bucket, FixedState>,
    /// By message type and [`ReplyKind`]: the verdict on messages whose other side has no name that
    /// matters, where it depends on nothing else.
    settled: [[Option<Verdict>; ReplyKind::COUNT]; MessageType::COUNT],
    count: u32,
}

/// What rules can ask about replies (config.md B063).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReplyKind {
    None,
    Unrequested,
    Requested,
}

impl ReplyKind {
    const COUNT: usize = 3;
    const ALL: [Self; Self::COUNT] = [Self::None, Self::Unrequested, Self::Requested];

    const fn of(is_reply: bool, circumstances: Circumstances) -> Self {
        match (is_reply, circumstances.requested_reply) {
            (false, _) => Self::None,
            (true, false) => Self::Unrequested,
            (true, true) => Self::Requested,
        }
    }
}

/// The rules about one name.
#[derive(Debug, Default)]
struct Bucket {
    /// The last rule first, once [`RuleTable::finish`] was called.
    candidates: Vec<Candidate>,
    /// By which of [`Fields`] a message has.
    indices: [OnceCell<Box<Index>>; Fields::SET_COUNT],
}

/// A rule with what most messages need to know of it.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    /// How far behind it stands: of two that match, the greater wins.
    order: u32,
    id: RuleId,
    effect: Effect,
    types: Types,
    /// It is about all messages of its types that are no replies and not eavesdropped on.
    is_plain: bool,
}

/// A set of message types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Types(u8);

impl Types {
    const fn of(message_type: Option<MessageType>) -> Self {
        match message_type {
            None => Self(0b1111),
            Some(one) => Self(1 << one as u8),
        }
    }

    const fn has(self, message_type: MessageType) -> bool {
        self.0 & (1 << message_type as u8) != 0
    }
}

impl RuleTable {
    /// Adds a rule behind all others.
    pub(crate) fn add(&mut self, id: RuleId, placed: &PlacedRule) {
        // (ref) A rule without any restriction removes all before it, even if it has conditions
        // (config.md B054).
        if is_wildcard(&placed.rule.action) {
            self.any = Bucket::default();
            self.named.clear();
        }
        let Some(pattern) = pattern_of(&placed.rule.action) else { return };
        let candidate = Candidate {
            order: self.count,
            id,
            effect: placed.rule.effect,
            types: Types::of(pattern.message_type),
            is_plain: is_plain(&placed.rule.action, placed.rule.effect),
        };
        self.count += 1;
        let bucket = match placed.pattern {
            Some(pattern) => self.named.entry(pattern).or_default(),
            None => &mut self.any,
        };
        bucket.candidates.push(candidate);
    }

    /// No rule comes any more.
    pub(crate) fn finish(&mut self, set: &PolicySet) {
        for bucket in self.named.values_mut().chain([&mut self.any]) {
            bucket.candidates.reverse();
            bucket.candidates.shrink_to_fit();
        }
        for message_type in MessageType::ALL {
            for kind in ReplyKind::ALL {
                let verdict = self.any.settle(set, message_type, kind);
                if let Some(place) = self.settled.get_mut(message_type as usize) {
                    place[kind as usize] = verdict;
                }
            }
        }
    }

    /// What all rules say of every message of a type, if they agree; most messages need no more.
    #[inline]
    pub(crate) fn settled(
        &self,
        message_type: MessageType,
        is_reply: bool,
        circumstances: Circumstances,
        names: &MatchedPatterns,
    ) -> Option<Verdict> {
        if !names.is_empty() || circumstances.eavesdropping {
            return None;
        }
        let kind = ReplyKind::of(is_reply, circumstances);
        self.settled[message_type as usize][kind as usize]
    }

    /// What the last rule says that is about this message and one of these names of the other side.
    pub(crate) fn decide(
        &self,
        set: &PolicySet,
        message: &Message<'_>,
        circumstances: Circumstances,
        names: &MatchedPatterns,
    ) -> Verdict {
        let question = Asked { set, message, circumstances };
        let mut best = self.any.find(&question, None);
        for id in names.iter() {
            if let Some(bucket) = self.named.get(&id) {
                best = bucket.find(&question, best);
            }
        }
        best.map_or(Verdict::NO_RULE, |found| found.verdict(set))
    }
}

impl Candidate {
    fn verdict(&self, set: &PolicySet) -> Verdict {
        let log = set.rule(self.id).is_some_and(|placed| logs(&placed.rule.action));
        Verdict { effect: self.effect, rule: Some(self.id), log }
    }
}

struct Asked<'a> {
    set: &'a PolicySet,
    message: &'a Message<'a>,
    circumstances: Circumstances,
}

impl Asked<'_> {
    fn matches(&self, candidate: &Candidate) -> bool {
        if !candidate.types.has(self.message.message_type) {
            return false;
        }
        if candidate.is_plain && !self.message.is_reply && !self.circumstances.eavesdropping {
            return true;
        }
        let Some(PlacedRule { rule, .. }) = self.set.rule(candidate.id) else { return false };
        let mismatch = match &rule.action {
            Action::Send(send) => {
                self.message.mismatch_of_send(rule.effect, send, self.circumstances)
            }
            Action::Receive(receive) => {
                self.message.mismatch_of_receive(rule.effect, receive, self.circumstances)
            }
            _ => return false,
        };
        mismatch.is_none()
    }

    /// The first of `candidates` that matches and stands behind `best`.
    fn first(&self, candidates: &[Candidate], best: Option<Candidate>) -> Option<Candidate> {
        let after = best.map(|best| best.order);
        let later = candidates.iter().take_while(|one| Some(one.order) > after);
        later.copied().find(|one| self.matches(one)).or(best)
    }
}

impl Bucket {
    /// The verdict on all messages of a type and kind that are not eavesdropped on, if these rules
    /// say the same of all of them.
    fn settle(
        &self,
        set: &PolicySet,
        message_type: MessageType,
        kind: ReplyKind,
    ) -> Option<Verdict> {
        for candidate in self.candidates.iter().filter(|one| one.types.has(message_type)) {
            let pattern = pattern_of(&set.rule(candidate.id)?.rule.action)?;
            if !candidate.is_plain {
                return None;
            }
            if pattern.takes_reply(candidate.effect, kind) {
                return Some(candidate.verdict(set));
            }
        }
        Some(Verdict::NO_RULE)
    }

    fn find(&self, asked: &Asked<'_>, best: Option<Candidate>) -> Option<Candidate> {
        if self.candidates.len() <= LINEAR_COUNT_MAX {
            return asked.first(&self.candidates, best);
        }
        let present = Fields::of_message(asked.message);
        let index = self.indices.get(present.number()).map(|index| {
            index.get_or_init(|| Box::new(Index::new(asked.set, &self.candidates, present)))
        });
        index.and_then(|index| index.find(asked, best)).or(best)
    }
}

/// A set of header fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Fields(u8);

impl Fields {
    /// How many sets there are.
    const SET_COUNT: usize = 16;
    const INTERFACE: u8 = 0b0010;

    fn new(present: [bool; 4]) -> Self {
        let bits = present.iter().enumerate().map(|(at, present)| u8::from(*present) << at);
        Self(bits.sum())
    }

    fn of_message(message: &Message<'_>) -> Self {
        let Message { path, interface, member, error_name, .. } = message;
        Self::new([path, interface, member, error_name].map(|field| field.is_some()))
    }

    fn of_rule(pattern: &MessagePattern) -> Self {
        let MessagePattern { path, interface, member, error, .. } = pattern;
        Self::new([path, interface, member, error].map(|field| field.is_some()))
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    const fn has_interface(self) -> bool {
        self.0 & Self::INTERFACE != 0
    }

    const fn number(self) -> usize {
        self.0 as usize
    }

    /// What the values of these fields are filed under; the fields themselves are part of it.
    fn key(self, values: [Option<&str>; 4]) -> u64 {
        let mut hasher = FixedState::default().build_hasher();
        self.hash(&mut hasher);
        for (at, value) in values.into_iter().enumerate() {
            if self.0 & (1 << at) != 0 {
                value.hash(&mut hasher);
            }
        }
        hasher.finish()
    }
}

/// The rules of a bucket for messages that have the same fields.
#[derive(Debug)]
struct Index {
    /// Which sets of fields rules go by.
    sets: Vec<Fields>,
    /// The last rule first. Two keys may fall together: each rule is tried anyway.
    places: HashMap<u64, Vec<Candidate>, FixedState>,
}

impl Index {
    fn new(set: &PolicySet, candidates: &[Candidate], present: Fields) -> Self {
        let mut sets: Vec<Fields> = Vec::new();
        let mut places: HashMap<u64, Vec<Candidate>, FixedState> = HashMap::default();
        for candidate in candidates {
            let Some(placed) = set.rule(candidate.id) else { continue };
            let Some(pattern) = pattern_of(&placed.rule.action) else { continue };
            let fields = Fields::of_rule(pattern);
            // config.md B055: an allow rule never matches without the interface it names.
            if candidate.effect == Effect::Allow
                && fields.has_interface()
                && !present.has_interface()
            {
                continue;
            }
            let fields = fields.and(present);
            if !sets.contains(&fields) {
                sets.push(fields);
            }
            let MessagePattern { path, interface, member, error, .. } = pattern;
            let key = fields.key([path, interface, member, error].map(|field| field.as_deref()));
            let place = places.entry(key).or_default();
            // Of rules with the same conditions only the last can decide.
            let mut compared = place.iter().take(COMPARED_COUNT_MAX);
            if !compared.any(|later| has_same_conditions(set, later, candidate, fields)) {
                place.push(*candidate);
            }
        }
        Self { sets, places }
    }

    fn find(&self, asked: &Asked<'_>, best: Option<Candidate>) -> Option<Candidate> {
        let Message { path, interface, member, error_name, .. } = *asked.message;
        let values = [path, interface, member, error_name];
        self.sets.iter().fold(best, |best, fields| match self.places.get(&fields.key(values)) {
            Some(candidates) => asked.first(candidates, best),
            None => best,
        })
    }
}

/// Whether two rules at the same place of an index match the same messages.
fn has_same_conditions(set: &PolicySet, one: &Candidate, other: &Candidate, by: Fields) -> bool {
    let rule = |candidate: &Candidate| set.rule(candidate.id).map(|placed| &placed.rule);
    let (Some(one), Some(other)) = (rule(one), rule(other)) else { return false };
    let (Some(first), Some(second)) = (pattern_of(&one.action), pattern_of(&other.action)) else {
        return false;
    };
    // Fields that the message lacks do not matter; of the others, those the rules name are equal
    // unless two keys fell together.
    let fields = |pattern: &MessagePattern| Fields::of_rule(pattern).and(by) == by;
    let named = |pattern: &MessagePattern| {
        let MessagePattern { path, interface, member, error, .. } = pattern;
        let values = [path, interface, member, error].map(|field| field.clone());
        let kept = values.into_iter().enumerate().filter(|(at, _)| by.0 & (1 << at) != 0);
        kept.map(|(_, value)| value).collect::<Vec<_>>()
    };
    one.effect == other.effect
        && broadcast_of(&one.action) == broadcast_of(&other.action)
        && first.message_type == second.message_type
        && first.requested_reply == second.requested_reply
        && first.eavesdrop == second.eavesdrop
        && (first.fds_min, first.fds_max) == (second.fds_min, second.fds_max)
        && fields(first)
        && fields(second)
        && named(first) == named(second)
}

impl MessagePattern {
    fn takes_reply(&self, effect: Effect, kind: ReplyKind) -> bool {
        let is_reply = kind != ReplyKind::None;
        let requested_reply = kind == ReplyKind::Requested;
        !is_reply || self.mismatch_of_reply(effect, requested_reply).is_none()
    }
}

/// What a rule restricts of the message itself.
fn pattern_of(action: &Action) -> Option<&MessagePattern> {
    match action {
        Action::Send(send) => Some(&send.message),
        Action::Receive(receive) => Some(&receive.message),
        _ => None,
    }
}

const fn broadcast_of(action: &Action) -> Option<bool> {
    match action {
        Action::Send(send) => send.broadcast,
        _ => None,
    }
}

const fn logs(action: &Action) -> bool {
    matches!(action, Action::Send(send) if send.log)
}

/// Whether a rule restricts no header field and no name (config.md B054).
pub(crate) fn is_wildcard(action: &Action) -> bool {
    match action {
        Action::Send(send) => send.message.is_wildcard() && send.destination == NamePattern::Any,
        Action::Receive(receive) => receive.message.is_wildcard() && receive.sender.is_none(),
        Action::Own(name) => *name == NamePattern::Any,
        Action::ConnectUser(_) | Action::ConnectGroup(_) => false,
    }
}

/// See [`Candidate::is_plain`].
fn is_plain(action: &Action, effect: Effect) -> bool {
    let is_receive = matches!(action, Action::Receive(_));
    pattern_of(action).is_some_and(|pattern| {
        pattern.restricts_at_most_type()
            && pattern.takes_any_fds()
            && broadcast_of(action).is_none()
            // B067: such a rule is about eavesdroppers only.
            && !(is_receive && effect == Effect::Deny && pattern.eavesdrop)
    })
}
