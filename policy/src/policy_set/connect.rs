//! The rules about connecting, which are about users and groups and about nothing else (config.md
//! B071): for each client they are asked once.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::{PolicyContext, RuleId};
use crate::rule::Effect;
use crate::subject::Subject;
use crate::verdict::Verdict;

/// Whom a connect rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Who {
    AnyUser,
    AnyGroup,
    User(u32),
    Group(u32),
}

/// The connect rules (config.md B071): the last one that matches wins, those of the mandatory
/// blocks are after all others.
#[derive(Clone, Debug, Default)]
pub(super) struct ConnectRules {
    default: Vec<(Who, RuleId, Effect)>,
    mandatory: Vec<(Who, RuleId, Effect)>,
    /// The last rule about each, and how far behind it stands.
    last: HashMap<Who, (usize, RuleId, Effect), FixedState>,
}

impl ConnectRules {
    pub(super) fn add(&mut self, context: &PolicyContext, who: Who, id: RuleId, effect: Effect) {
        match context {
            PolicyContext::Default => self.default.push((who, id, effect)),
            PolicyContext::Mandatory => self.mandatory.push((who, id, effect)),
            // The reader of the configuration refuses them elsewhere.
            _ => {}
        }
    }

    pub(super) fn finish(&mut self) {
        for (order, (who, id, effect)) in self.default.iter().chain(&self.mandatory).enumerate() {
            self.last.insert(*who, (order, *id, *effect));
        }
    }

    pub(super) fn decide(&self, subject: Subject<'_>) -> Option<Verdict> {
        let users = [Some(Who::AnyUser), subject.uid.map(Who::User), Some(Who::AnyGroup)];
        let groups = subject.gids.iter().map(|gid| Who::Group(*gid));
        let found = users.into_iter().flatten().chain(groups).filter_map(|who| self.last.get(&who));
        let (_, id, effect) = found.max_by_key(|(order, _, _)| *order)?;
        Some(Verdict { effect: *effect, rule: Some(*id), log: false })
    }
}
