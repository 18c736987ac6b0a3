//! Rules that a later one removes, since it restricts no name and no header field (config.md B054).
//!
//! The later one may stand in another block: what counts is the order in which the blocks apply to a
//! client (config.md B049). A rule that is left for somebody is not suspicious.

use std::collections::BTreeMap;

use crate::config::Location;
use crate::policy_set::{PolicySet, RuleId};
use crate::rule::Action;
use crate::table::is_wildcard;

/// The rules that are removed for all to whom they apply, each with the next one that does it.
pub(super) struct Removals(BTreeMap<RuleId, RuleId>);

impl Removals {
    /// Blocks are gone through from the last to the first. What is behind those for one user or group are
    /// the blocks for all alone.
    pub(super) fn new(set: &PolicySet) -> Self {
        let mut found = BTreeMap::new();
        let mut pass = |next: &mut NextWildcards, id: RuleId| {
            let action = set.rule(id).map(|placed| &placed.rule.action);
            let Some((action, next)) = action.and_then(|one| Some((one, next.of(one)?))) else {
                return;
            };
            found.extend(next.map(|by| (id, by)));
            if is_wildcard(action) {
                *next = Some(id);
            }
        };
        let mut for_all = NextWildcards::default();
        set.last_rules().rev().for_each(|id| pass(&mut for_all, id));
        for block in set.special_rules() {
            let mut next = for_all;
            block.iter().rev().for_each(|id| pass(&mut next, *id));
        }
        set.default_rules().iter().rev().for_each(|id| pass(&mut for_all, *id));
        Self(found)
    }

    /// Where the rule stands that removes rule `id` for all to whom its block applies.
    pub(super) fn removed_by(&self, set: &PolicySet, id: RuleId) -> Option<Location> {
        set.rule(*self.0.get(&id)?).map(|placed| placed.rule.location.clone())
    }
}

/// Of each kind, the next rule that removes all before it.
#[derive(Clone, Copy, Default)]
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
