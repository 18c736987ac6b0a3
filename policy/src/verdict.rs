//! The answer to a question, and the rule that decided it.

use crate::policy_set::RuleId;
use crate::rule::Effect;

/// Whether something is permitted, and by which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is permitted.
    pub effect: Effect,
    /// The last rule that matched, which decides; `None` if none did (config.md B050).
    pub rule: Option<RuleId>,
    /// Whether the rule asks for a log line although it allows (config.md B072).
    pub log: bool,
}

impl Verdict {
    /// Nothing matched: what no rule permits is denied (config.md B050).
    pub const NO_RULE: Self = Self { effect: Effect::Deny, rule: None, log: false };

    /// Whether it is permitted.
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        matches!(self.effect, Effect::Allow)
    }
}
