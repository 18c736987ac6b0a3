//! BecomeMonitor (protocol.md A203).

use libbus::match_rule::MatchRule;

use super::Call;
use super::error_reply::Refusal;
use super::matches::Index;
use crate::bus::Bus;
use crate::bus::client::Phase;
use crate::bus::log::{LogRecord, Severity};
use crate::bus::quota::Resource;

impl Bus {
    /// The client sees from now on what its rules match, whoever it is meant for, and takes part no
    /// longer: it loses its names, its rules and the calls it waits for.
    pub(super) fn become_monitor(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let mut arguments = call.arguments();
        let texts = arguments.strings()?;
        let mut rules = Vec::new();
        for text in texts {
            rules.push(MatchRule::parse(text?)?);
        }
        if arguments.uint32()? != 0 {
            return Err(Refusal::MonitorFlags);
        }
        if rules.is_empty() {
            rules.push(MatchRule::default());
        }
        let id = call.client();
        let max = self.limits_of(id).match_rules_per_connection_max;
        if rules.len() > max as usize {
            return Err(Refusal::TooManyMatchRules { client: self.name_of(id), max });
        }
        self.mediate_eavesdropping(id)?;
        let held = self.clients.get(id).map_or(0, |client| client.held(Resource::MatchRules));
        let more = (rules.len() as u64).saturating_sub(held);
        self.check_share(id, Resource::MatchRules, more)?;
        self.reply_empty(&call.reply_to);
        self.give_up_all(id);
        if let Some(client) = self.clients.get_mut(id) {
            client.phase = Phase::Monitor;
            // It sees what policies refuse, too (protocol.md A203).
            client.standing = None;
        }
        for mut rule in rules {
            // Every rule of a monitor eavesdrops, whatever it says.
            rule.eavesdrop = true;
            self.insert_rule(id, Index::Monitoring, rule);
        }
        self.charge_counts(id);
        self.clients.charge(id, Resource::Replies, 0);
        let name = self.name_of(id);
        self.log(LogRecord::new(
            Severity::Info,
            &format_args!("Connection {name} became a monitor."),
        ));
        Ok(())
    }
}
