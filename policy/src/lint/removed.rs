//! Rules that a later one removes, since it restricts no name and no header field (config.md B054).
//!
//! The later one may stand in another block: what counts is the order in which the blocks apply to a
//! client (config.md B049). A rule that is left for somebody is not suspicious.

use std::collections::BTreeMap;

use crate::config::Location;
use crate::policy_set::{PolicySet, RuleId};
use crate::rule::Action;
use crate::table::is_wildcard;
use crate::user_policy::UserPolicy;

/// The rules that apply to somebody, each with the one that removes it; with none, if it is left for
/// anybody.
pub(super) struct Removals(BTreeMap<RuleId, Option<RuleId>>);

impl Removals {
    pub(super) fn new<'a>(policies: impl Iterator<Item = &'a UserPolicy>) -> Self {
        let mut found = BTreeMap::new();
        for policy in policies {
            let mut next = NextWildcards::default();
            for id in policy.rules().iter().rev() {
                let action = policy.set().rule(*id).map(|placed| &placed.rule.action);
                let Some((action, next)) = action.and_then(|one| Some((one, next.of(one)?))) else {
                    continue;
                };
                let by = found.entry(*id).or_insert(*next);
                *by = by.and(*next);
                if is_wildcard(action) {
                    *next = Some(*id);
                }
            }
        }
        Self(found)
    }

    /// Where the rule stands that removes rule `id` for all to whom its block applies.
    pub(super) fn removed_by(&self, set: &PolicySet, id: RuleId) -> Option<Location> {
        let by = self.0.get(&id).copied().flatten()?;
        set.rule(by).map(|placed| placed.rule.location.clone())
    }
}

/// Of each kind, the next rule that removes all before it.
#[derive(Default)]
struct NextWildcards {
    send: Option<RuleId>,
    receive: Option<RuleId>,
    own: Option<RuleId>,
}

impl NextWildcards {
    const fn of(&mut self, action: &Action) -> Option<&mut Option<RuleId>> {
        match action {
            Action::Send(_) => Some(&mut self.send),
            Action::Receive(_) => Some(&mut self.receive),
            Action::Own(_) => Some(&mut self.own),
            Action::ConnectUser(_) | Action::ConnectGroup(_) => None,
        }
    }
}
