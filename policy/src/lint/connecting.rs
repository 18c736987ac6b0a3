//! Rules about connecting that a later one takes back, and whether they let anybody in (config.md
//! B071). They are about users alone, and all default and mandatory blocks count together.

use super::Suspicion;
use crate::policy_set::{ConnectRule, PolicySet, RuleId, Who};
use crate::rule::Effect;

/// What is suspicious about rule `id`, which is about connecting.
pub(super) fn lint_connecting(set: &PolicySet, id: RuleId, note: &mut impl FnMut(Suspicion)) {
    let mut rest = set.connect_rules_in_order().skip_while(|rule| rule.id != id);
    // Those for accounts that do not exist are not there.
    let Some(rule) = rest.next() else { return };
    let later: Vec<&ConnectRule> = rest.collect();
    let mut opposite = later.iter().filter(|later| later.effect != rule.effect);
    let overruling = opposite.find(|later| covers(later.who, rule.who));
    if let Some(by) = overruling.and_then(|by| set.rule(by.id)) {
        note(Suspicion::Overruled { by: by.rule.location.clone() });
    } else if shuts(rule, &later) {
        note(Suspicion::NobodyMayConnect);
    }
}

/// Whether a rule denies everybody, it is the last about everybody, and nobody is let in behind it.
fn shuts(rule: &ConnectRule, later: &[&ConnectRule]) -> bool {
    let lets_in = |(at, allowed): (usize, &&ConnectRule)| {
        let mut behind = later.iter().skip(at + 1);
        allowed.effect == Effect::Allow
            && !behind
                .any(|denied| denied.effect == Effect::Deny && covers(denied.who, allowed.who))
    };
    rule.effect == Effect::Deny
        && is_everybody(rule.who)
        && !later.iter().any(|later| is_everybody(later.who))
        && !later.iter().enumerate().any(lets_in)
}

/// Whether a rule about `later` is about all whom one about `earlier` is about.
fn covers(later: Who, earlier: Who) -> bool {
    is_everybody(later) || later == earlier
}

/// `group="*"` is about those who are in none, too.
const fn is_everybody(who: Who) -> bool {
    matches!(who, Who::AnyUser | Who::AnyGroup)
}
