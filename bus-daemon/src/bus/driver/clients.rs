//! `org.libbus.Stats1`, and what is ours of `GetConnectionStats`: who uses how much of the bus, who reads too
//! slowly, and which calls wait for whom (needs.md E3).
//!
//! Whoever may read the statistics of `Debug.Stats` may read these, and nobody else: a policy that knows
//! only the older interface covers both. What is told is counted once in each turn of a client, and once for
//! each recipient of a message; all else is looked up when somebody asks. The work of an answer is counted by its
//! size, as with all answers, and by the calls that are counted for it.

use bus_policy::config::Limits;
use bus_policy::question::Circumstances;
use libbus::names::MemberName;
use libbus::wire::{BodyWriter, Header, Signature};

use super::error_reply::Refusal;
use super::stats::{saturate, write_counts};
use super::{Call, STATS, STRING};
use crate::bus::Bus;
use crate::bus::client::{Client, Phase};
use crate::bus::id::Timestamp;
use crate::bus::limits::TOLD_CALL_COUNT_MAX;
use crate::bus::pending_reply::PendingReply;
use crate::bus::policing::{Party, Passage};
use crate::bus::quota::{Resource, Share};

const BOOLEAN: Signature<'static> = Signature::from_static("b");
const UINT64: Signature<'static> = Signature::from_static("t");
const STRINGS: Signature<'static> = Signature::from_static("as");
const PAIRS: Signature<'static> = Signature::from_static("a{s(tt)}");
const QUADRUPLES: Signature<'static> = Signature::from_static("a{s(tttt)}");
const ALL_CLIENTS: Signature<'static> = Signature::from_static("a{sa{sv}}");
const ALL_CALLS: Signature<'static> = Signature::from_static("a(ssut)");
const ALL_USERS: Signature<'static> = Signature::from_static("a{ua{s(tt)}}");
/// The type of one element of those.
const CALL: Signature<'static> = Signature::from_static("(ssut)");

/// Stands for a user or a process that is not known.
const UNKNOWN: u32 = u32::MAX;

/// Of what a client has a share of its own; of connections only its user has.
const SHARED: [Resource; 6] = [
    Resource::Bytes,
    Resource::Fds,
    Resource::MatchRules,
    Resource::VagueMatchRules,
    Resource::Names,
    Resource::Replies,
];

impl Bus {
    /// What all clients use, by their unique names; monitors by those that they had.
    pub(super) fn get_clients(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        self.check_may_read_stats(call)?;
        // Those that each client owes are counted.
        self.other_work += self.replies.len() as u64;
        self.reply_with_fds(&call.reply_to, ALL_CLIENTS, None, |bus, body| {
            body.dict(|entries| {
                for client in bus.clients.iter().filter(|client| !client.is_incomplete()) {
                    entries.dict_entry(|entry| {
                        entry.string(client.name());
                        entry.dict(|entries| bus.write_client(client, entries));
                    });
                }
            });
        });
        Ok(())
    }

    fn write_client(&self, client: &Client, entries: &mut BodyWriter<'_>) {
        let counts = [
            ("MatchRules", self.match_rule_count(client.id) + self.monitors.rule_count(client.id)),
            ("IncomingBytes", saturate(client.incoming.bytes())),
            ("OutgoingBytes", saturate(client.outbox.bytes())),
            ("OutgoingFDs", saturate(client.outbox.fds())),
        ];
        write_counts(entries, &counts);
        self.write_usage(client, &Quotas::of(self, client), entries);
    }

    /// The calls that wait longest for their reply: caller, callee, serial, age in milliseconds.
    pub(super) fn get_calls(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        self.check_may_read_stats(call)?;
        self.reply_with_fds(&call.reply_to, ALL_CALLS, None, |bus, body| {
            body.array(CALL, |elements| {
                for reply in bus.replies.iter().take(TOLD_CALL_COUNT_MAX) {
                    elements.structure(|fields| {
                        fields.string(&bus.name_of(reply.caller));
                        fields.string(&bus.name_of(reply.callee));
                        fields.uint32(reply.serial.get());
                        fields.uint64(age_ms(bus.now, reply.called_at));
                    });
                }
            });
        });
        Ok(())
    }

    /// What each user holds of each resource, and may hold.
    pub(super) fn get_users(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        self.check_may_read_stats(call)?;
        self.reply_with_fds(&call.reply_to, ALL_USERS, None, |bus, body| {
            body.dict(|entries| {
                for (uid, id) in bus.clients.users().ids() {
                    entries.dict_entry(|entry| {
                        entry.uint32(uid.unwrap_or(UNKNOWN));
                        entry.dict(|entries| {
                            for resource in Resource::ALL {
                                let share = bus.clients.users().share(id, resource, &bus.pools, 0);
                                let numbers = [share.of_user, share.user_max];
                                write_numbers(entries, resource.key(), &numbers);
                            }
                        });
                    });
                }
            });
        });
        Ok(())
    }

    /// Whether the policy lets the caller ask for `GetStats`.
    fn check_may_read_stats(&self, call: &Call<'_>) -> Result<(), Refusal> {
        let member = Some(MemberName::from_static("GetStats"));
        let header = Header { interface: Some(STATS), member, ..*call.header };
        let passage = Passage {
            header: &header,
            circumstances: Circumstances { requested_reply: false, eavesdropping: false },
            sender: Party::of(self.clients.get(call.client())),
            recipient: Party::Bus,
        };
        passage.check(&self.policies).map(drop).map_err(|denial| {
            let text = self.describe_denial(&passage, denial, Some(call.client()), None);
            Refusal::PolicyDenied { text, rule: denial.rule() }
        })
    }
}

impl Bus {
    /// What one client uses.
    pub(super) fn write_usage(
        &self,
        client: &Client,
        quotas: &Quotas,
        entries: &mut BodyWriter<'_>,
    ) {
        let id = client.id;
        let owned = self.names.names_of(id).filter(|held| held.is_primary);
        let mut names: Vec<&str> = owned.map(|held| held.name).collect();
        names.sort_unstable();
        entries.dict_entry(|entry| {
            entry.string("Names");
            entry.variant(STRINGS, |body| body.strings(names.iter().copied()));
        });
        let pid = client.credentials.pid.and_then(|pid| u32::try_from(pid).ok());
        let known = [("UnixUserID", client.uid), ("ProcessID", pid)];
        let known = known.into_iter().filter_map(|(key, value)| Some((key, value?)));
        write_counts(entries, &known.collect::<Vec<_>>());
        write_uint64(entries, "ConnectedMs", age_ms(self.now, client.connected_at));
        write_boolean(entries, "Monitor", matches!(client.phase, Phase::Monitor));
        write_uint64(entries, "TotalIncomingMessages", client.sent.messages);
        write_uint64(entries, "TotalIncomingBytes", client.sent.bytes);
        write_uint64(entries, "TotalOutgoingMessages", client.outbox.messages());
        write_uint64(entries, "TotalOutgoingBytes", client.outbox.queued());
        self.write_calls(client, entries);
        write_boolean(entries, "SlowReceiver", client.is_congested());
        write_uint64(entries, "LeftOutBroadcasts", client.left_out());
        if let Some(recipient) = client.paused_for() {
            write_string(entries, "PausedFor", &self.name_of(recipient));
        }
        let (what, per_mille) = quotas.fullest();
        write_counts(entries, &[("QuotaUsedPerMille", per_mille)]);
        write_string(entries, "QuotaMostUsed", what);
    }

    /// The calls of a client that wait for their reply, and those that it has not answered; these are asked for
    /// rarely and so counted here, not with each call.
    fn write_calls(&self, client: &Client, entries: &mut BodyWriter<'_>) {
        let oldest = |reply: Option<&PendingReply>| {
            reply.map_or(0, |reply| age_ms(self.now, reply.called_at))
        };
        let replies = &self.replies;
        write_counts(entries, &[("AwaitedReplies", replies.count_of_caller(client.id))]);
        let awaited = oldest(replies.of_caller(client.id).next());
        write_uint64(entries, "OldestAwaitedMs", awaited);
        let owed = replies.of_callee(client.id).count();
        write_counts(entries, &[("OwedReplies", saturate(owed))]);
        write_uint64(entries, "OldestOwedMs", oldest(replies.of_callee(client.id).next()));
    }
}

/// How much of what a client may have it has: of the limits of its connection, and of its shares of what the
/// bus holds.
pub(super) struct Quotas {
    limits: [(&'static str, u64, u64); 5],
    shares: [(u64, Share); SHARED.len()],
}

impl Quotas {
    pub(super) fn of(bus: &Bus, client: &Client) -> Self {
        let Limits {
            outgoing_bytes_max,
            outgoing_unix_fds_max,
            match_rules_per_connection_max,
            names_per_connection_max,
            replies_per_connection_max,
            ..
        } = *client.limits(&bus.settings.limits);
        let id = client.id;
        let (rules, names) = (bus.match_rule_count(id), bus.names.owned_count(id));
        let replies = bus.replies.count_of_caller(id);
        let count = |key, used: u32, max: u32| (key, u64::from(used), u64::from(max));
        Self {
            limits: [
                ("max_outgoing_bytes", client.outbox.bytes() as u64, outgoing_bytes_max),
                ("max_outgoing_unix_fds", client.outbox.fds() as u64, outgoing_unix_fds_max),
                count("max_match_rules_per_connection", rules, match_rules_per_connection_max),
                count("max_names_per_connection", names, names_per_connection_max),
                count("max_replies_per_connection", replies, replies_per_connection_max),
            ],
            shares: SHARED.map(|resource| {
                let held = client.held(resource);
                (held, bus.clients.users().share(client.user, resource, &bus.pools, held))
            }),
        }
    }

    /// That of which most is used, and how much of it, in thousandths.
    fn fullest(&self) -> (&'static str, u32) {
        let limits = self.limits.iter().map(|(key, used, max)| (*key, per_mille(*used, *max)));
        let shares = self
            .shares
            .iter()
            .map(|(held, share)| (share.resource.key(), per_mille(*held, share.client_max)));
        limits.chain(shares).max_by_key(|(_, used)| *used).unwrap_or(("", 0))
    }

    pub(super) fn write(&self, entries: &mut BodyWriter<'_>) {
        entries.dict_entry(|entry| {
            entry.string("Limits");
            entry.variant(PAIRS, |body| {
                body.dict(|entries| {
                    for (key, used, max) in &self.limits {
                        write_numbers(entries, key, &[*used, *max]);
                    }
                });
            });
        });
        entries.dict_entry(|entry| {
            entry.string("Shares");
            entry.variant(QUADRUPLES, |body| {
                body.dict(|entries| {
                    for (held, share) in &self.shares {
                        let numbers = [*held, share.client_max, share.of_user, share.user_max];
                        write_numbers(entries, share.resource.key(), &numbers);
                    }
                });
            });
        });
    }
}

/// All of nothing is used by who has something.
fn per_mille(used: u64, max: u64) -> u32 {
    match (u128::from(used) * 1000).checked_div(u128::from(max)) {
        Some(part) => u32::try_from(part).unwrap_or(u32::MAX),
        None => 1000 * u32::from(used > 0),
    }
}

fn age_ms(now: Timestamp, since: Timestamp) -> u64 {
    now.0.saturating_sub(since.0)
}

/// An entry of a dictionary whose values are structures of numbers.
fn write_numbers(entries: &mut BodyWriter<'_>, key: &str, numbers: &[u64]) {
    entries.dict_entry(|entry| {
        entry.string(key);
        entry.structure(|fields| numbers.iter().for_each(|number| fields.uint64(*number)));
    });
}

pub(super) fn write_uint64(entries: &mut BodyWriter<'_>, key: &str, value: u64) {
    entries.dict_entry(|entry| {
        entry.string(key);
        entry.variant(UINT64, |body| body.uint64(value));
    });
}

fn write_boolean(entries: &mut BodyWriter<'_>, key: &str, value: bool) {
    entries.dict_entry(|entry| {
        entry.string(key);
        entry.variant(BOOLEAN, |body| body.boolean(value));
    });
}

fn write_string(entries: &mut BodyWriter<'_>, key: &str, value: &str) {
    entries.dict_entry(|entry| {
        entry.string(key);
        entry.variant(STRING, |body| body.string(value));
    });
}
