//! The same answers with all that led to them, for administrators.
//!
//! An explanation goes through every rule that applies, one after the other, as the reference does
//! for each message. It is what a decision must agree with, and takes time with every rule.

use std::fmt;

use crate::config::Location;
use crate::policy_set::{MatchedPatterns, PlacedRule, PolicySet, Who};
use crate::question::{Circumstances, Message, Mismatch};
use crate::rule::{Action, Effect};
use crate::subject::Subject;
use crate::table::is_wildcard;
use crate::user_policy::UserPolicy;
use crate::verdict::Verdict;

/// A verdict and the rules considered.
#[derive(Clone, Debug)]
pub struct Explanation<'a> {
    /// The answer.
    pub verdict: Verdict,
    /// Every rule of this kind that applies to the subject, in the order in which they apply.
    pub steps: Vec<Step<'a>>,
}

/// One rule on the way to a verdict.
#[derive(Clone, Debug)]
pub struct Step<'a> {
    /// The rule.
    pub placed: &'a PlacedRule,
    /// What came of it.
    pub outcome: Outcome<'a>,
}

/// What came of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// It is the last that matches.
    Decides,
    /// It matches, and so does a later one.
    Overruled,
    /// It is not about this.
    Mismatch(Mismatch),
    /// It is about another name.
    OtherName,
    /// It is about another user.
    OtherUser,
    /// It is about a group that the user is not in.
    OtherGroup,
    /// A later rule without any restriction removed it (config.md B054).
    Removed {
        /// Where that one stands.
        by: &'a Location,
    },
}

impl fmt::Display for Outcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decides => f.write_str("decides: the last rule that matches"),
            Self::Overruled => f.write_str("matches, but a later rule does too"),
            Self::Mismatch(reason) => write!(f, "does not match: {reason}"),
            Self::OtherName => f.write_str("does not match: another name"),
            Self::OtherUser => f.write_str("does not match: another user"),
            Self::OtherGroup => f.write_str("does not match: a group that the user is not in"),
            Self::Removed { by } => write!(
                f,
                "does not count: the rule without restrictions at {by} removes all before it"
            ),
        }
    }
}

impl Explanation<'_> {
    /// How many rules match, as the reference counts them in its refusals (protocol.md A241).
    #[must_use]
    pub fn match_count(&self) -> usize {
        let matches =
            |step: &&Step<'_>| matches!(step.outcome, Outcome::Decides | Outcome::Overruled);
        self.steps.iter().filter(matches).count()
    }
}

impl UserPolicy {
    /// [`may_send`](Self::may_send), explained.
    #[must_use]
    pub fn explain_send(
        &self,
        message: &Message<'_>,
        circumstances: Circumstances,
        destination: &MatchedPatterns,
    ) -> Explanation<'_> {
        self.explain(|placed| match &placed.rule.action {
            Action::Send(send) => {
                let effect = placed.rule.effect;
                let mismatch = message.mismatch_of_send(effect, send, circumstances);
                Some(missing(placed, destination, Mismatch::Destination).or(mismatch))
            }
            _ => None,
        })
    }

    /// [`may_receive`](Self::may_receive), explained.
    #[must_use]
    pub fn explain_receive(
        &self,
        message: &Message<'_>,
        circumstances: Circumstances,
        sender: &MatchedPatterns,
    ) -> Explanation<'_> {
        self.explain(|placed| match &placed.rule.action {
            Action::Receive(receive) => {
                let effect = placed.rule.effect;
                let mismatch = message.mismatch_of_receive(effect, receive, circumstances);
                Some(missing(placed, sender, Mismatch::Sender).or(mismatch))
            }
            _ => None,
        })
    }

    /// [`may_own`](Self::may_own), explained.
    #[must_use]
    pub fn explain_own(&self, name: &str) -> Explanation<'_> {
        let patterns = MatchedPatterns::of_name(self.set(), name);
        let mut explanation = self.explain(|placed| match &placed.rule.action {
            Action::Own(_) => Some(missing(placed, &patterns, Mismatch::Destination)),
            _ => None,
        });
        for step in &mut explanation.steps {
            if matches!(step.outcome, Outcome::Mismatch(_)) {
                step.outcome = Outcome::OtherName;
            }
        }
        explanation
    }

    /// `ask` says of a rule why it does not match, or that it is of another kind.
    fn explain(&self, ask: impl Fn(&PlacedRule) -> Option<Option<Mismatch>>) -> Explanation<'_> {
        let placed = self.rules().iter().filter_map(|id| Some((*id, self.set().rule(*id)?)));
        let asked: Vec<_> =
            placed.filter_map(|(id, placed)| Some((id, placed, ask(placed)?))).collect();
        let wildcard = asked.iter().rposition(|(_, placed, _)| is_wildcard(&placed.rule.action));
        let first = wildcard.unwrap_or(0);
        let last = asked.iter().rposition(|(_, _, mismatch)| mismatch.is_none());
        let last = last.filter(|at| *at >= first);
        let verdict =
            last.and_then(|at| asked.get(at)).map_or(Verdict::NO_RULE, |(id, rule, _)| {
                let log = matches!(&rule.rule.action, Action::Send(send) if send.log);
                Verdict { effect: rule.rule.effect, rule: Some(*id), log }
            });
        let by = asked.get(first).map(|(_, placed, _)| &placed.rule.location);
        let steps = asked.iter().enumerate().map(|(at, (_, placed, mismatch))| {
            let outcome = match (by, mismatch) {
                (Some(by), _) if at < first => Outcome::Removed { by },
                (_, Some(mismatch)) => Outcome::Mismatch(*mismatch),
                _ if Some(at) == last => Outcome::Decides,
                _ => Outcome::Overruled,
            };
            Step { placed, outcome }
        });
        Explanation { verdict, steps: steps.collect() }
    }
}

/// The rule's name is none of those of the other side.
fn missing(placed: &PlacedRule, names: &MatchedPatterns, mismatch: Mismatch) -> Option<Mismatch> {
    placed.pattern.filter(|pattern| !names.contains(*pattern)).map(|_| mismatch)
}

/// A rule as it could stand in a configuration.
pub struct RuleText<'a>(pub &'a PlacedRule);

impl fmt::Display for RuleText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = &self.0.rule;
        f.write_str(match rule.effect {
            Effect::Allow => "<allow",
            Effect::Deny => "<deny",
        })?;
        rule.action.write_attributes(rule.effect, f)?;
        f.write_str("/>")
    }
}

impl PolicySet {
    /// [`may_connect`](Self::may_connect), explained. Rules for accounts that do not exist are not among
    /// the steps (config.md B071).
    #[must_use]
    pub fn explain_connect(&self, subject: Subject<'_>, own_uid: u32) -> Explanation<'_> {
        let verdict = self.may_connect(subject, own_uid);
        let steps = self.connect_rules_in_order().filter_map(|connect| {
            let outcome = match connect.who {
                Who::User(uid) if subject.uid != Some(uid) => Outcome::OtherUser,
                Who::Group(gid) if !subject.gids.contains(&gid) => Outcome::OtherGroup,
                _ if verdict.rule == Some(connect.id) => Outcome::Decides,
                _ => Outcome::Overruled,
            };
            Some(Step { placed: self.rule(connect.id)?, outcome })
        });
        Explanation { verdict, steps: steps.collect() }
    }
}
