//! AddMatch and RemoveMatch (protocol.md A154–A172, A181, A182).

use libbus::match_rule::MatchRule;

use super::Call;
use super::error_reply::Refusal;
use crate::bus::Bus;
use crate::bus::id::ClientId;
use crate::bus::match_index::{MatchIndex, is_vague};
use crate::bus::quota::Resource;

/// Which of the bus's three indices a rule belongs to.
#[derive(Clone, Copy)]
pub(super) enum Index {
    /// What is broadcast.
    Broadcasts,
    /// What is meant for others too.
    Eavesdropping,
    /// Everything, for a monitor.
    Monitoring,
}

impl Bus {
    pub(super) fn add_match(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let rule = MatchRule::parse(call.name_argument()?)?;
        let id = call.client();
        let max = self.limits_of(id).match_rules_per_connection_max;
        if self.match_rule_count(id) >= max {
            return Err(Refusal::TooManyMatchRules { client: self.name_of(id), max });
        }
        if rule.eavesdrop && !self.is_privileged(id) {
            return Err(Refusal::EavesdropNotPrivileged);
        }
        if rule.eavesdrop {
            self.mediate_eavesdropping(id)?;
        }
        self.check_share(id, Resource::MatchRules, 1)?;
        if is_vague(&rule) {
            self.check_share(id, Resource::VagueMatchRules, 1)?;
        }
        self.insert_rule(id, index_of(&rule), rule);
        self.charge_counts(id);
        self.reply_empty(&call.reply_to);
        Ok(())
    }

    pub(super) fn remove_match(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let rule = MatchRule::parse(call.name_argument()?)?;
        let index = self.index_mut(index_of(&rule));
        index.remove(call.client(), &rule).map_err(|_| Refusal::MatchRuleNotFound)?;
        self.charge_counts(call.client());
        self.reply_empty(&call.reply_to);
        Ok(())
    }

    pub(super) fn insert_rule(&mut self, client: ClientId, index: Index, rule: MatchRule) {
        let sender = rule.sender.as_deref().and_then(|name| self.resolve_text(name));
        self.index_mut(index).add(client, rule, |_| sender);
    }

    /// Rules of a client, each counted as often as it was added (config.md B041).
    pub(in crate::bus) fn match_rule_count(&self, client: ClientId) -> u32 {
        self.matches.rule_count(client) + self.eavesdroppers.rule_count(client)
    }

    const fn index_mut(&mut self, index: Index) -> &mut MatchIndex {
        match index {
            Index::Broadcasts => &mut self.matches,
            Index::Eavesdropping => &mut self.eavesdroppers,
            Index::Monitoring => &mut self.monitors,
        }
    }
}

const fn index_of(rule: &MatchRule) -> Index {
    if rule.eavesdrop { Index::Eavesdropping } else { Index::Broadcasts }
}
