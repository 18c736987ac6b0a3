//! org.freedesktop.DBus.Debug.Stats (protocol.md A204–A206); what is ours in it is in `clients.rs`.

use std::collections::BTreeMap;

use libbus::wire::{BodyWriter, Signature};

use super::clients::{Quotas, write_uint64};
use super::error_reply::Refusal;
use super::names::no_owner;
use super::{BUS_NAME, Call, STRING, UINT32};
use crate::bus::Bus;
use crate::bus::client::Client;

const DICTIONARY: Signature<'static> = Signature::from_static("a{sv}");
const RULES: Signature<'static> = Signature::from_static("a{sas}");

impl Bus {
    pub(super) fn get_stats(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let stats = [
            ("Serial", self.serial),
            ("ActiveConnections", self.completed_count),
            ("IncompleteConnections", self.incomplete_count),
            ("MatchRules", self.matches.len() + self.eavesdroppers.len()),
            ("PeakMatchRules", self.matches.peak_len() + self.eavesdroppers.peak_len()),
            (
                "PeakMatchRulesPerConnection",
                self.matches
                    .peak_count_per_client()
                    .max(self.eavesdroppers.peak_count_per_client()),
            ),
            ("BusNames", self.names.total_count()),
            ("PeakBusNames", self.names.peak_total_count()),
            ("PeakBusNamesPerConnection", self.names.peak_count_per_client()),
        ];
        let totals = [
            ("TotalMessages", self.messages),
            ("TotalBytes", self.bytes),
            ("TotalRefusals", self.refused),
            ("CallsInFlight", self.replies.len() as u64),
        ];
        self.reply(&call.reply_to, DICTIONARY, |body| {
            body.dict(|entries| {
                write_counts(entries, &stats);
                totals.iter().for_each(|(key, value)| write_uint64(entries, key, *value));
            });
        });
        Ok(())
    }

    pub(super) fn get_connection_stats(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let name = call.name_argument()?;
        if name == BUS_NAME.as_str() {
            return Err(Refusal::StatsOfBus);
        }
        let client = self.resolve_text(name).and_then(|client| self.clients.get(client));
        let id = client.ok_or_else(|| no_owner("stats", name))?.id;
        // Those that it owes are counted.
        self.other_work += self.replies.len() as u64;
        self.reply_with_fds(&call.reply_to, DICTIONARY, None, |bus, body| {
            body.dict(|entries| {
                let Some(client) = bus.clients.get(id) else { return };
                entries.dict_entry(|entry| {
                    entry.string("UniqueName");
                    entry.variant(STRING, |body| body.string(client.name()));
                });
                write_counts(entries, &bus.counts_of(client));
                let quotas = Quotas::of(bus, client);
                bus.write_usage(client, &quotas, entries);
                quotas.write(entries);
            });
        });
        Ok(())
    }

    fn counts_of(&self, client: &Client) -> Vec<(&'static str, u32)> {
        let id = client.id;
        let (incoming, outbox) = (&client.incoming, &client.outbox);
        let peak_rules = |index: &crate::bus::MatchIndex| index.peak_rule_count(id);
        vec![
            ("Serial", self.serial),
            ("MatchRules", self.match_rule_count(id)),
            ("PeakMatchRules", peak_rules(&self.matches) + peak_rules(&self.eavesdroppers)),
            ("BusNames", self.names.owned_count(id)),
            ("PeakBusNames", self.names.peak_owned_count(id)),
            // A complete message is handled at once: only the incomplete one ever waits.
            ("IncomingMessages", u32::from(incoming.is_partial())),
            ("IncomingBytes", saturate(incoming.bytes())),
            ("IncomingFDs", saturate(incoming.fds.len())),
            ("PeakIncomingBytes", incoming.bytes_peak()),
            ("PeakIncomingFDs", incoming.fds_peak),
            ("OutgoingMessages", saturate(outbox.message_count())),
            ("OutgoingBytes", saturate(outbox.bytes())),
            ("OutgoingFDs", saturate(outbox.fds())),
            ("PeakOutgoingBytes", saturate(outbox.bytes_peak())),
            ("PeakOutgoingFDs", saturate(outbox.fds_peak())),
        ]
    }

    pub(super) fn get_all_match_rules(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for client in self.clients.iter() {
            let indices = [&self.matches, &self.eavesdroppers];
            let rules = indices.into_iter().flat_map(|index| index.rules_of(client.id));
            let mut texts: Vec<String> = rules
                .flat_map(|(rule, count)| std::iter::repeat_n(rule.to_string(), count as usize))
                .collect();
            texts.sort_unstable();
            if client.is_registered() {
                all.insert(client.name().to_owned(), texts);
            }
        }
        self.other_work += 10 * all.values().map(|rules| rules.len() as u64).sum::<u64>();
        self.reply(&call.reply_to, RULES, |body| {
            body.dict(|entries| {
                for (name, rules) in &all {
                    entries.dict_entry(|entry| {
                        entry.string(name);
                        entry.strings(rules.iter().map(String::as_str));
                    });
                }
            });
        });
        Ok(())
    }
}

pub(super) fn write_counts(entries: &mut BodyWriter<'_>, counts: &[(&str, u32)]) {
    for (name, count) in counts {
        entries.dict_entry(|entry| {
            entry.string(name);
            entry.variant(UINT32, |body| body.uint32(*count));
        });
    }
}

/// These statistics are 32 bits wide.
pub(super) fn saturate(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
