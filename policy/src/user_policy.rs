//! What the users of one audience may do: the rules that apply to them, compiled.
//!
//! A decision looks only at rules that can be about the message at hand (`RuleTable`), so that it
//! costs the same however many rules there are. Which rules match is said by `question.rs` alone,
//! for decisions and explanations alike.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use libbus::names::WellKnownName;

use crate::policy_set::{MatchedPatterns, NamePatternId, PlacedRule, PolicySet, RuleId};
use crate::question::Circumstances;
use crate::rule::{Action, Effect, MessageType, NamePattern};
use crate::symbols::Question;
use crate::table::RuleTable;
use crate::verdict::Verdict;

/// The rules for the clients of one [`Audience`](crate::policy_set::Audience).
#[derive(Debug)]
pub struct UserPolicy {
    set: Arc<PolicySet>,
    /// Every rule about sending, receiving and owning in the order in which they apply.
    rules: Vec<RuleId>,
    send: RuleTable,
    receive: RuleTable,
    own: OwnTable,
}

impl UserPolicy {
    pub(crate) fn new(set: &Arc<PolicySet>, rules: impl Iterator<Item = RuleId>) -> Self {
        let rules: Vec<RuleId> = rules.collect();
        let (mut send, mut receive) = (RuleTable::default(), RuleTable::default());
        let mut own = OwnTable::default();
        for id in &rules {
            let Some(placed) = set.rule(*id) else { continue };
            match &placed.rule.action {
                Action::Send(_) => send.add(*id, placed),
                Action::Receive(_) => receive.add(*id, placed),
                Action::Own(_) => own.add(*id, placed),
                Action::ConnectUser(_) | Action::ConnectGroup(_) => {}
            }
        }
        send.finish(set);
        receive.finish(set);
        Self { set: Arc::clone(set), rules, send, receive, own }
    }

    /// The rules that this one is put together from.
    #[must_use]
    pub fn set(&self) -> &Arc<PolicySet> {
        &self.set
    }

    pub(crate) fn rules(&self) -> &[RuleId] {
        &self.rules
    }

    /// Whether a message may be sent to a destination with these names.
    #[must_use]
    pub fn may_send(
        &self,
        question: &Question<'_>,
        circumstances: Circumstances,
        destination: &MatchedPatterns,
    ) -> Verdict {
        self.send.decide(&self.set, question, circumstances, destination)
    }

    /// Whether a message may be received from a sender with these names.
    #[must_use]
    pub fn may_receive(
        &self,
        question: &Question<'_>,
        circumstances: Circumstances,
        sender: &MatchedPatterns,
    ) -> Verdict {
        self.receive.decide(&self.set, question, circumstances, sender)
    }

    /// How many rules match, as [`Explanation::match_count`](crate::explain::Explanation::match_count)
    /// says, without the explanation: for refusals, of which there may be many.
    #[must_use]
    pub fn count_send(
        &self,
        question: &Question<'_>,
        circumstances: Circumstances,
        destination: &MatchedPatterns,
    ) -> usize {
        self.send.count(&self.set, question, circumstances, destination)
    }

    /// The same for receive rules.
    #[must_use]
    pub fn count_receive(
        &self,
        question: &Question<'_>,
        circumstances: Circumstances,
        sender: &MatchedPatterns,
    ) -> usize {
        self.receive.count(&self.set, question, circumstances, sender)
    }

    /// What [`may_send`](Self::may_send) says of every message of this type, where it is the same
    /// for all of them.
    #[must_use]
    #[inline]
    pub fn settled_send(
        &self,
        message_type: MessageType,
        is_reply: bool,
        circumstances: Circumstances,
        destination: &MatchedPatterns,
    ) -> Option<Verdict> {
        self.send.settled(message_type, is_reply, circumstances, destination)
    }

    /// The same for [`may_receive`](Self::may_receive).
    #[must_use]
    #[inline]
    pub fn settled_receive(
        &self,
        message_type: MessageType,
        is_reply: bool,
        circumstances: Circumstances,
        sender: &MatchedPatterns,
    ) -> Option<Verdict> {
        self.receive.settled(message_type, is_reply, circumstances, sender)
    }

    /// Whether the well-known name `name` may be owned (config.md B069, B070).
    #[must_use]
    pub fn may_own(&self, name: &str) -> Verdict {
        let named = self.set.patterns_of(name).filter_map(|id| self.own.named.get(&id).copied());
        let last = named.chain(self.own.any).max_by_key(|(order, _, _)| *order);
        last.map_or(Verdict::NO_RULE, |(_, id, effect)| Verdict {
            effect,
            rule: Some(id),
            log: false,
        })
    }
}

impl UserPolicy {
    /// Whether some name may be owned that is `prefix` or below it.
    pub(crate) fn may_own_some(&self, prefix: &str) -> bool {
        let below = |name: &str| {
            let rest = name.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        // Above it, rules about prefixes count and those about any name.
        let above = [prefix.to_owned(), format!("{prefix}.A"), format!("{prefix}.A.A")];
        let placed = self.rules.iter().filter_map(|id| self.set.rule(*id));
        let named = placed.filter_map(|placed| match &placed.rule.action {
            Action::Own(NamePattern::Exactly(name)) if below(name) => Some(name.to_string()),
            Action::Own(NamePattern::Prefix(name)) if below(name) => Some(format!("{name}.A")),
            _ => None,
        });
        let mut names = above.into_iter().chain(named);
        names.any(|name| WellKnownName::parse(&name).is_ok() && self.may_own(&name).is_allowed())
    }
}

/// The last rule about each name, and how far behind it stands.
#[derive(Debug, Default)]
struct OwnTable {
    any: Option<(usize, RuleId, Effect)>,
    named: HashMap<NamePatternId, (usize, RuleId, Effect), FixedState>,
    count: usize,
}

impl OwnTable {
    fn add(&mut self, id: RuleId, placed: &PlacedRule) {
        let last = (self.count, id, placed.rule.effect);
        self.count += 1;
        match placed.pattern {
            Some(pattern) => drop(self.named.insert(pattern, last)),
            None => self.any = Some(last),
        }
    }
}
