//! Rules that a later one takes back: it applies to all to whom they apply, is about all that they are
//! about, and says the opposite.
//!
//! The later one may stand in another block (config.md B049). Each rule is looked for under what it and
//! less special rules say, so that the time grows with the rules and not with their square.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::FixedState;

use crate::config::Location;
use crate::policy_set::{NamePatternId, PlacedRule, PolicySet, RuleId};
use crate::rule::{Action, Effect, MessagePattern, MessageType, NamePattern};
use crate::symbols::{FIELD_COUNT, Symbol, fields_of_rule};

/// The rules that are taken back, each with the next one that does it.
pub(super) struct Overruled(BTreeMap<RuleId, RuleId>);

impl Overruled {
    /// Blocks are gone through from the last to the first. What is behind those for one user or group are
    /// the blocks for all alone.
    pub(super) fn new(set: &PolicySet) -> Self {
        let mut found = BTreeMap::new();
        let mut for_all = LaterRules::default();
        for id in set.last_rules().rev() {
            found.extend(for_all.next_covering(set, id).map(|(_, by)| (id, by)));
            for_all.add(set, id);
        }
        for block in set.special_rules() {
            let mut own = LaterRules::default();
            for id in block.iter().rev() {
                let by = own.next_covering(set, *id).or_else(|| for_all.next_covering(set, *id));
                found.extend(by.map(|(_, by)| (*id, by)));
                own.add(set, *id);
            }
        }
        for id in set.default_rules().iter().rev() {
            found.extend(for_all.next_covering(set, *id).map(|(_, by)| (*id, by)));
            for_all.add(set, *id);
        }
        Self(found)
    }

    /// Where the rule stands that takes back rule `id`.
    pub(super) fn overruled_by(&self, set: &PolicySet, id: RuleId) -> Option<Location> {
        set.rule(*self.0.get(&id)?).map(|placed| placed.rule.location.clone())
    }
}

/// Rules by what they restrict, each with how many come behind it.
#[derive(Default)]
struct LaterRules {
    rules: HashMap<Restrictions, Vec<(usize, RuleId)>, FixedState>,
    count: usize,
}

impl LaterRules {
    fn add(&mut self, set: &PolicySet, id: RuleId) {
        if let Some(restrictions) = set.rule(id).and_then(|placed| Restrictions::of(set, placed)) {
            self.rules.entry(restrictions).or_default().push((self.count, id));
            self.count += 1;
        }
    }

    /// The next rule that is about all that rule `id` is about, and says the opposite.
    fn next_covering(&self, set: &PolicySet, id: RuleId) -> Option<(usize, RuleId)> {
        let placed = set.rule(id)?;
        let covers = |(_, later): &&(usize, RuleId)| {
            set.rule(*later).is_some_and(|later| covers_the_rest(later, placed))
        };
        let found =
            self.candidates(set, placed).filter_map(|rules| rules.iter().rev().find(covers));
        found.copied().max()
    }

    /// The rules that say the opposite and restrict no name, type or field that rule `placed` does not.
    fn candidates<'a>(
        &'a self,
        set: &'a PolicySet,
        placed: &'a PlacedRule,
    ) -> impl Iterator<Item = &'a [(usize, RuleId)]> {
        let restrictions = Restrictions::of(set, placed);
        let wider = restrictions.into_iter().flat_map(|one| one.wider(set, &placed.rule.action));
        wider.filter_map(|mut one| {
            one.effect = one.effect.opposite();
            self.rules.get(&one).map(Vec::as_slice)
        })
    }
}

/// What a rule says and for which names, types and header fields; `None` restricts nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Restrictions {
    kind: Kind,
    effect: Effect,
    name: Option<NamePatternId>,
    message_type: Option<MessageType>,
    fields: [Option<Symbol>; FIELD_COUNT],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Send,
    Receive,
    Own,
}

impl Restrictions {
    /// `None` for rules about connecting, which count together (`connecting.rs`).
    fn of(set: &PolicySet, placed: &PlacedRule) -> Option<Self> {
        let kind = match &placed.rule.action {
            Action::Send(_) => Kind::Send,
            Action::Receive(_) => Kind::Receive,
            Action::Own(_) => Kind::Own,
            Action::ConnectUser(_) | Action::ConnectGroup(_) => return None,
        };
        let pattern = placed.rule.action.message_pattern();
        let mut fields = [None; FIELD_COUNT];
        for (number, field) in pattern.map(fields_of_rule).into_iter().flatten().enumerate() {
            if let (Some(symbol), Some(text)) = (fields.get_mut(number), field) {
                *symbol = set.symbols().find(number, text);
            }
        }
        let message_type = pattern.and_then(|pattern| pattern.message_type);
        Some(Self { kind, effect: placed.rule.effect, name: placed.pattern, message_type, fields })
    }

    /// These, and all with less.
    fn wider(self, set: &PolicySet, action: &Action) -> Vec<Self> {
        let mut all = Vec::new();
        // No closure: rustc 1.95 breaks down over one that captures the array.
        for name in wider_names(set, action) {
            all.push(Self { name, ..self });
        }
        add_without(&mut all, |one| one.message_type.take().is_some());
        for number in 0..FIELD_COUNT {
            let take = |one: &mut Self| one.fields.get_mut(number).and_then(Option::take);
            add_without(&mut all, |one| take(one).is_some());
        }
        all
    }
}

/// Adds each that something can be taken away from, without it.
fn add_without(all: &mut Vec<Restrictions>, take: impl FnMut(&mut Restrictions) -> bool) {
    let mut without = all.clone();
    without.retain_mut(take);
    all.extend(without);
}

/// The names that a rule about an action's name, or a prefix of it, can be about.
fn wider_names<'a>(
    set: &'a PolicySet,
    action: &'a Action,
) -> impl Iterator<Item = Option<NamePatternId>> + 'a {
    let (exact, prefixes) = match action {
        Action::Send(send) => match &send.destination {
            NamePattern::Any => (None, None),
            NamePattern::Exactly(name) => (Some(name), None),
            NamePattern::Prefix(prefix) => (None, Some(prefix)),
        },
        Action::Own(NamePattern::Exactly(name)) => (Some(name), None),
        Action::Own(NamePattern::Prefix(prefix)) => (None, Some(prefix)),
        Action::Receive(receive) => (receive.sender.as_ref(), None),
        _ => (None, None),
    };
    let exact = exact.into_iter().flat_map(|name| set.patterns_of(name));
    let prefixes = prefixes.into_iter().flat_map(|prefix| set.prefixes_of(prefix));
    exact.chain(prefixes).map(Some).chain([None])
}

/// Whether `later`, which names nothing that `earlier` does not, is about all that it is about.
fn covers_the_rest(later: &PlacedRule, earlier: &PlacedRule) -> bool {
    let covers_broadcasts = match (&later.rule.action, &earlier.rule.action) {
        (Action::Send(later), Action::Send(earlier)) => {
            later.broadcast.is_none_or(|one| earlier.broadcast == Some(one))
        }
        _ => true,
    };
    // What is received by eavesdropping a denial is about, too, and an allowance is not (config.md B067).
    let is_received = matches!(earlier.rule.action, Action::Receive(_));
    let covers_eavesdropping = !is_received || later.rule.effect == Effect::Deny;
    let messages = later.rule.action.message_pattern().zip(earlier.rule.action.message_pattern());
    covers_broadcasts
        && covers_eavesdropping
        && messages.is_none_or(|(one, other)| {
            covers_message((later.rule.effect, one), (earlier.rule.effect, other))
        })
}

/// Rules about eavesdropping are left to those who know what they do (config.md B067).
fn covers_message(
    (later_effect, later): (Effect, &MessagePattern),
    (effect, earlier): (Effect, &MessagePattern),
) -> bool {
    let is_about_replies = match earlier.message_type {
        Some(message_type) => {
            matches!(message_type, MessageType::MethodReturn | MessageType::Error)
        }
        None => effect == Effect::Deny && earlier.requested_reply,
    };
    // A denial is about messages without such a field, too, and an allowance is not (config.md B055).
    let covers_fields = later_effect == Effect::Deny
        || fields_of_rule(later).into_iter().all(|field| field.is_none());
    let covers_reply = |is_requested: bool| {
        earlier.mismatch_of_reply(effect, is_requested).is_some()
            || later.mismatch_of_reply(later_effect, is_requested).is_none()
    };
    (later.fds_min <= earlier.fds_min && later.fds_max >= earlier.fds_max)
        && covers_fields
        && (!later.eavesdrop && !earlier.eavesdrop)
        // Which replies are meant differs for allow and deny (config.md B063).
        && (!is_about_replies || covers_reply(true) && covers_reply(false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::set;

    // However many rules there are, few are compared.
    #[test]
    fn rules_are_compared_with_those_that_can_take_them_back() {
        let rule = |number: usize| {
            let effect = if number.is_multiple_of(2) { "allow" } else { "deny" };
            format!("<{effect} send_destination='a.b' send_interface='i.A{number}' send_path='/'/>")
        };
        let rules: String = (0..1000).map(rule).collect();
        let set = set(&format!("<policy context='default'>{rules}<allow own='a'/></policy>"));
        let mut all = LaterRules::default();
        set.default_rules().iter().for_each(|id| all.add(&set, *id));
        let compared = set.rules().iter().flat_map(|placed| all.candidates(&set, placed).flatten());
        assert_eq!(compared.count(), 0);
    }
}
