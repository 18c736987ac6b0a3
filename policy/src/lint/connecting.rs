//! Rules about connecting that a later one takes back, and whether they let anybody in (config.md
//! B071). They are about users alone, and all default and mandatory blocks count together.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::FixedState;

use super::Suspicion;
use crate::policy_set::{ConnectRule, PolicySet, RuleId, Who};
use crate::rule::Effect;

/// What is suspicious about each rule. Those for accounts that do not exist are not there.
pub(super) struct Connecting(BTreeMap<RuleId, Suspicion>);

impl Connecting {
    /// Rules are gone through from the last to the first.
    pub(super) fn new(set: &PolicySet) -> Self {
        let mut found = BTreeMap::new();
        let mut later = LaterRules::default();
        let rules: Vec<&ConnectRule> = set.connect_rules_in_order().collect();
        for (place, rule) in rules.into_iter().enumerate().rev() {
            let by = later.next_covering(rule).and_then(|by| set.rule(by));
            if let Some(by) = by {
                found.insert(rule.id, Suspicion::Overruled { by: by.rule.location.clone() });
            } else if later.is_shut_by(rule) {
                found.insert(rule.id, Suspicion::NobodyMayConnect);
            }
            later.add(place, rule);
        }
        Self(found)
    }

    pub(super) fn about(&self, id: RuleId) -> Option<&Suspicion> {
        self.0.get(&id)
    }
}

/// What stands behind a rule.
#[derive(Default)]
struct LaterRules {
    /// The next rule about everybody, and about each, by what it says, with its place.
    next: HashMap<(Option<Who>, Effect), (usize, RuleId), FixedState>,
    /// Whether the last rule about somebody allows it.
    lets_in: bool,
}

impl LaterRules {
    fn add(&mut self, place: usize, rule: &ConnectRule) {
        let who = somebody(rule.who);
        let is_last = !self.next.contains_key(&(who, rule.effect.opposite()));
        self.lets_in |= rule.effect == Effect::Allow && is_last;
        self.next.insert((who, rule.effect), (place, rule.id));
    }

    /// The next rule that is about all whom `rule` is about, and says the opposite.
    fn next_covering(&self, rule: &ConnectRule) -> Option<RuleId> {
        let found = [None, somebody(rule.who)].map(|who| (who, rule.effect.opposite()));
        let found = found.iter().filter_map(|key| self.next.get(key));
        found.min().map(|(_, id)| *id)
    }

    /// Whether a rule denies everybody, it is the last about everybody, and nobody is let in behind it.
    fn is_shut_by(&self, rule: &ConnectRule) -> bool {
        let everybody = [Effect::Allow, Effect::Deny].map(|effect| (None, effect));
        (rule.effect, somebody(rule.who)) == (Effect::Deny, None)
            && !everybody.iter().any(|key| self.next.contains_key(key))
            && !self.lets_in
    }
}

/// `None` is everybody; `group="*"` is about those who are in none, too.
const fn somebody(who: Who) -> Option<Who> {
    match who {
        Who::AnyUser | Who::AnyGroup => None,
        who => Some(who),
    }
}
