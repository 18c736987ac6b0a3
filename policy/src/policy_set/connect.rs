//! The rules about connecting, which are about users and groups and about nothing else (config.md
//! B071): for each client they are asked once.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::{PolicyContext, RuleId};
use crate::rule::Effect;
use crate::subject::Subject;
use crate::verdict::Verdict;

/// A rule about connecting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectRule {
    pub(crate) who: Who,
    pub(crate) effect: Effect,
    pub(crate) id: RuleId,
}

/// Whom a connect rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    AnyUser,
    AnyGroup,
    User(u32),
    Group(u32),
}

/// The connect rules (config.md B071): the last one that matches wins, those of the mandatory
/// blocks are after all others.
#[derive(Clone, Debug, Default)]
pub(super) struct ConnectRules {
    default: Vec<ConnectRule>,
    mandatory: Vec<ConnectRule>,
    /// The last rule about each, and how far behind it stands.
    last: HashMap<Who, (usize, ConnectRule), FixedState>,
}

impl ConnectRules {
    pub(super) fn add(&mut self, context: &PolicyContext, rule: ConnectRule) {
        match context {
            PolicyContext::Default => self.default.push(rule),
            PolicyContext::Mandatory => self.mandatory.push(rule),
            // The reader of the configuration refuses them elsewhere.
            _ => {}
        }
    }

    pub(super) fn finish(&mut self) {
        for (order, rule) in self.default.iter().chain(&self.mandatory).enumerate() {
            self.last.insert(rule.who, (order, *rule));
        }
    }

    pub(super) fn decide(&self, subject: Subject<'_>) -> Option<Verdict> {
        let users = [Some(Who::AnyUser), subject.uid.map(Who::User), Some(Who::AnyGroup)];
        let groups = subject.gids.iter().map(|gid| Who::Group(*gid));
        let found = users.into_iter().flatten().chain(groups).filter_map(|who| self.last.get(&who));
        let (_, rule) = found.max_by_key(|(order, _)| *order)?;
        Some(Verdict { effect: rule.effect, rule: Some(rule.id), log: false })
    }

    /// Each of them in the order in which they apply.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &ConnectRule> {
        self.default.iter().chain(&self.mandatory)
    }
}
