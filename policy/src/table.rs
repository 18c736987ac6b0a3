//! Finding the last of many rules that matches a message.
//!
//! Rules are sorted by the name they are about, which is a number the other side brings with it.
//! A few rules about one name are tried one after the other, from the last one on. Many are indexed
//! by the header fields that they name. Which fields a rule goes by depends on which of them the
//! message has, since a rule also matches messages that lack a field it names (config.md B055–B060);
//! so there is one index for each set of fields that messages have, made when such a message comes.
//!
//! Whatever stands before the best rule so far need not be looked at: rules about the other side's
//! names, which mostly stand behind those about any name, come first, and of an index those places
//! whose rules stand furthest behind.
//!
//! What is left to be tried in one place of an index are rules that differ in type, replies,
//! broadcasts and file descriptors only. Of those with the same conditions only the last is kept.

mod settled;

use std::cell::OnceCell;
use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::policy_set::{MatchedPatterns, NamePatternId, PlacedRule, PolicySet, RuleId};
use crate::question::{Circumstances, Message};
use crate::rule::{Action, Effect, MessagePattern, MessageType, NamePattern};
use crate::symbols::{Question, Symbol, fields_of_message, fields_of_rule};
use crate::verdict::Verdict;
use settled::Settled;

/// More rules about one name than this are indexed.
const LINEAR_COUNT_MAX: usize = 8;
/// Odd, and large enough that keys of few symbols do not fall together.
const KEY_FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
/// With how many rules at its place in the index a rule is compared, to be left out if one behind it
/// has the same conditions.
const COMPARED_COUNT_MAX: usize = 64;

/// The rules of one kind, send or receive.
#[derive(Debug, Default)]
pub(crate) struct RuleTable {
    /// Rules about any name.
    any: Bucket,
    named: NamedBuckets,
    /// By message type and [`ReplyKind`]: the verdict on messages whose other side has no name that
    /// matters, where it depends on nothing else.
    settled: [[Option<Verdict>; ReplyKind::COUNT]; MessageType::COUNT],
    count: u32,
}

/// The rules about each name, at the place of its number: mostly there are few names, and each message
/// asks.
#[derive(Debug, Default)]
struct NamedBuckets(Vec<Option<Box<Bucket>>>);

impl NamedBuckets {
    #[inline]
    fn get(&self, id: NamePatternId) -> Option<&Bucket> {
        self.0.get(id.number())?.as_deref()
    }

    fn entry(&mut self, id: NamePatternId) -> &mut Bucket {
        if self.0.len() <= id.number() {
            self.0.resize_with(id.number() + 1, || None);
        }
        // INVARIANT: there is a place for it now.
        #[allow(clippy::indexing_slicing, reason = "the line before made the place")]
        self.0[id.number()].get_or_insert_default()
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Bucket> {
        self.0.iter_mut().filter_map(|place| place.as_deref_mut())
    }
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

/// A set of reply kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ReplyKinds(u8);

impl ReplyKinds {
    fn of(pattern: &MessagePattern, effect: Effect) -> Self {
        let taken = ReplyKind::ALL.into_iter().filter(|kind| pattern.takes_reply(effect, *kind));
        Self(taken.map(|kind| 1 << kind as u8).sum())
    }

    const fn has(self, kind: ReplyKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }
}

/// The rules about one name.
#[derive(Debug, Default)]
struct Bucket {
    /// The last rule first, once [`RuleTable::finish`] was called.
    candidates: Vec<Candidate>,
    settled: Settled,
    indices: OnceCell<Box<Indices>>,
}

/// By which of [`Fields`] a message has.
type Indices = [OnceCell<Index>; Fields::SET_COUNT];

/// A rule with what most messages need to know of it.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    /// How far behind it stands: of two that match, the greater wins.
    order: u32,
    id: RuleId,
    effect: Effect,
    types: Types,
    replies: ReplyKinds,
    /// It is about all messages of its types and reply kinds that are not eavesdropped on.
    is_plain: bool,
    log: bool,
}

/// The last rule that matches, if any does.
type Found<'t> = Option<&'t Candidate>;

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
            self.named = NamedBuckets::default();
        }
        let Some(pattern) = placed.rule.action.message_pattern() else { return };
        let candidate = Candidate {
            order: self.count,
            id,
            effect: placed.rule.effect,
            types: Types::of(pattern.message_type),
            replies: ReplyKinds::of(pattern, placed.rule.effect),
            is_plain: is_plain(&placed.rule.action, placed.rule.effect),
            log: logs(&placed.rule.action),
        };
        self.count += 1;
        let bucket = match placed.pattern {
            Some(pattern) => self.named.entry(pattern),
            None => &mut self.any,
        };
        bucket.candidates.push(candidate);
    }

    /// No rule comes any more.
    pub(crate) fn finish(&mut self, set: &PolicySet) {
        self.named.0.shrink_to_fit();
        for bucket in self.named.iter_mut().chain([&mut self.any]) {
            bucket.candidates.reverse();
            bucket.candidates.shrink_to_fit();
            bucket.settled = Settled::of(&bucket.candidates, set);
        }
        for message_type in MessageType::ALL {
            for kind in ReplyKind::ALL {
                let found = self.any.settled(message_type, kind, false);
                self.settled[message_type as usize][kind as usize] = found.map(verdict_of);
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
        if circumstances.eavesdropping || names.iter().any(|id| self.named.get(id).is_some()) {
            return None;
        }
        let kind = ReplyKind::of(is_reply, circumstances);
        self.settled[message_type as usize][kind as usize]
    }

    /// What the last rule says that is about this message and one of these names of the other side.
    pub(crate) fn decide(
        &self,
        set: &PolicySet,
        question: &Question<'_>,
        circumstances: Circumstances,
        names: &MatchedPatterns,
    ) -> Verdict {
        let asked = Asked::new(set, question, circumstances);
        let mut best = None;
        for id in names.iter() {
            if let Some(bucket) = self.named.get(id) {
                best = bucket.find(&asked, best);
            }
        }
        best = self.any.find(&asked, best);
        verdict_of(best)
    }

    /// How many rules match: those about one of these names or about any are tried, all of them.
    pub(crate) fn count(
        &self,
        set: &PolicySet,
        question: &Question<'_>,
        circumstances: Circumstances,
        names: &MatchedPatterns,
    ) -> usize {
        let asked = Asked::new(set, question, circumstances);
        let named = names.iter().filter_map(|id| self.named.get(id));
        let candidates = named.chain([&self.any]).flat_map(|bucket| &bucket.candidates);
        candidates.filter(|candidate| asked.matches(candidate)).count()
    }
}

fn verdict_of(found: Found<'_>) -> Verdict {
    let rule =
        |found: &Candidate| Verdict { effect: found.effect, rule: Some(found.id), log: found.log };
    found.map_or(Verdict::NO_RULE, rule)
}

struct Asked<'a> {
    set: &'a PolicySet,
    question: &'a Question<'a>,
    message: &'a Message<'a>,
    circumstances: Circumstances,
    reply_kind: ReplyKind,
}

impl<'a> Asked<'a> {
    #[inline]
    fn new(set: &'a PolicySet, question: &'a Question<'a>, circumstances: Circumstances) -> Self {
        let message = question.message();
        let reply_kind = ReplyKind::of(message.is_reply, circumstances);
        Self { set, question, message, circumstances, reply_kind }
    }

    fn matches(&self, candidate: &Candidate) -> bool {
        let is_about_it = candidate.types.has(self.message.message_type)
            && candidate.replies.has(self.reply_kind);
        if !is_about_it {
            return false;
        }
        if candidate.is_plain && !self.circumstances.eavesdropping {
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

    /// The first of `candidates` that matches and stands behind `best`, else `best`.
    fn first<'t>(&self, candidates: &'t [Candidate], best: Found<'t>) -> Found<'t> {
        let after = best.map(|best| best.order);
        let mut later = candidates.iter().take_while(|one| Some(one.order) > after);
        later.find(|one| self.matches(one)).or(best)
    }
}

impl Bucket {
    fn find<'t>(&'t self, asked: &Asked<'_>, best: Found<'t>) -> Found<'t> {
        let latest = self.candidates.first().map(|candidate| candidate.order);
        if latest <= best.map(|best| best.order) {
            return best;
        }
        if !asked.circumstances.eavesdropping {
            let Message { message_type, .. } = *asked.message;
            let settled = self.settled(message_type, asked.reply_kind, asked.message.is_bare());
            if let Some(found) = settled {
                let later = found.filter(|one| best.is_none_or(|best| best.order < one.order));
                return later.or(best);
            }
        }
        if self.candidates.len() <= LINEAR_COUNT_MAX {
            return asked.first(&self.candidates, best);
        }
        let present = Fields::of_message(asked.message);
        let index =
            self.indices.get_or_init(Box::default).get(present.number()).map(|index| {
                index.get_or_init(|| Index::new(asked.set, &self.candidates, present))
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
        Self::new(fields_of_message(message).map(|field| field.is_some()))
    }

    fn of_rule(pattern: &MessagePattern) -> Self {
        Self::new(fields_of_rule(pattern).map(|field| field.is_some()))
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

    /// What these fields are filed under, if rules name the value of each; the set itself is part of
    /// it.
    #[inline]
    fn key(self, symbol_of: impl Fn(usize) -> Option<Symbol>) -> Option<u64> {
        let mut key = u64::from(self.0);
        // The interface first: it is mostly none that rules name.
        for at in [1, 0, 2, 3] {
            if self.0 & (1 << at) != 0 {
                key = key.wrapping_mul(KEY_FACTOR).wrapping_add(u64::from(symbol_of(at)?.0));
            }
        }
        Some(key)
    }
}

/// The rules of a bucket for messages that have the same fields.
#[derive(Debug)]
struct Index {
    /// Which sets of fields rules go by, each with the order of the last of these rules, greatest
    /// first.
    sets: Vec<(Fields, u32)>,
    /// The last rule first. Two keys may fall together: each rule is tried anyway.
    places: HashMap<u64, Vec<Candidate>, FixedState>,
}

impl Index {
    fn new(set: &PolicySet, candidates: &[Candidate], present: Fields) -> Self {
        let mut sets: Vec<(Fields, u32)> = Vec::new();
        let mut places: HashMap<u64, Vec<Candidate>, FixedState> = HashMap::default();
        for candidate in candidates {
            let Some(placed) = set.rule(candidate.id) else { continue };
            let Some(pattern) = placed.rule.action.message_pattern() else { continue };
            let fields = Fields::of_rule(pattern);
            // config.md B055: an allow rule never matches without the interface it names.
            if candidate.effect == Effect::Allow
                && fields.has_interface()
                && !present.has_interface()
            {
                continue;
            }
            let fields = fields.and(present);
            // The last rule comes first.
            if !sets.iter().any(|(known, _)| *known == fields) {
                sets.push((fields, candidate.order));
            }
            let values = fields_of_rule(pattern);
            let symbol_of = |at: usize| set.symbols().find(at, values.get(at).copied()??);
            // INVARIANT: the set knows all that its rules name.
            let Some(key) = fields.key(symbol_of) else { continue };
            let place = places.entry(key).or_default();
            // Of rules with the same conditions only the last can decide.
            let mut compared = place.iter().take(COMPARED_COUNT_MAX);
            if !compared.any(|later| has_same_conditions(set, later, candidate, fields)) {
                place.push(*candidate);
            }
        }
        Self { sets, places }
    }

    fn find<'t>(&'t self, asked: &Asked<'_>, best: Found<'t>) -> Found<'t> {
        let symbol_of = |at| asked.question.symbol(asked.set, at);
        let mut best = best;
        for (fields, latest) in &self.sets {
            if best.is_some_and(|best| best.order >= *latest) {
                break;
            }
            let place = fields.key(symbol_of).and_then(|key| self.places.get(&key));
            if let Some(candidates) = place {
                best = asked.first(candidates, best);
            }
        }
        best
    }
}

/// Whether two rules at the same place of an index match the same messages.
fn has_same_conditions(set: &PolicySet, one: &Candidate, other: &Candidate, by: Fields) -> bool {
    let rule = |candidate: &Candidate| set.rule(candidate.id).map(|placed| &placed.rule);
    let (Some(one), Some(other)) = (rule(one), rule(other)) else { return false };
    let (Some(first), Some(second)) =
        (one.action.message_pattern(), other.action.message_pattern())
    else {
        return false;
    };
    // Fields that the message lacks do not matter; of the others, those the rules name are equal
    // unless two keys fell together.
    let fields = |pattern: &MessagePattern| Fields::of_rule(pattern).and(by) == by;
    let named = |pattern| {
        let mut values = fields_of_rule(pattern);
        for (at, value) in values.iter_mut().enumerate() {
            *value = value.filter(|_| by.0 & (1 << at) != 0);
        }
        values
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
    depends_on_fields_alone(action, effect)
        && action.message_pattern().is_some_and(MessagePattern::restricts_at_most_type)
}

/// Whether header fields decide alone about messages of its types and reply kinds that are not
/// eavesdropped on.
fn depends_on_fields_alone(action: &Action, effect: Effect) -> bool {
    let is_receive = matches!(action, Action::Receive(_));
    action.message_pattern().is_some_and(|pattern| {
        pattern.takes_any_fds()
            && broadcast_of(action).is_none()
            // B067: such a rule is about eavesdroppers only.
            && !(is_receive && effect == Effect::Deny && pattern.eavesdrop)
    })
}
