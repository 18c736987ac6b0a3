//! What a bus told at one moment.

use std::time::Instant;

use crate::value::Value;

/// What the bus and its clients used until a moment.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) at: Instant,
    pub(crate) totals: Totals,
    pub(crate) clients: Vec<Client>,
    /// Whether the bus's policy keeps its statistics from this user.
    pub(crate) is_denied: bool,
}

/// What the bus tells of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    /// Messages that it handled so far, and their bytes.
    pub(crate) messages: Option<u64>,
    pub(crate) bytes: Option<u64>,
    /// Bytes of its process that are in memory.
    pub(crate) memory: Option<u64>,
}

/// One client. What its bus does not tell is `None`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Client {
    pub(crate) unique: String,
    pub(crate) names: Vec<String>,
    pub(crate) uid: Option<u32>,
    pub(crate) user: Option<String>,
    pub(crate) pid: Option<u32>,
    pub(crate) process: Option<String>,
    pub(crate) is_monitor: bool,
    pub(crate) usage: Usage,
}

/// What a client used so far, and uses now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) connected_ms: Option<u64>,
    pub(crate) sent_messages: Option<u64>,
    pub(crate) sent_bytes: Option<u64>,
    pub(crate) got_messages: Option<u64>,
    pub(crate) got_bytes: Option<u64>,
    /// Bytes that wait for it.
    pub(crate) queue: Option<u64>,
    pub(crate) queue_fds: Option<u64>,
    pub(crate) rules: Option<u64>,
    /// Calls that it made and that wait for their replies.
    pub(crate) awaited: Option<u64>,
    pub(crate) oldest_awaited_ms: Option<u64>,
    /// Calls that it has not answered.
    pub(crate) owed: Option<u64>,
    pub(crate) oldest_owed_ms: Option<u64>,
    /// How much is used of that quota of which most is, in thousandths, and which it is.
    pub(crate) quota: Option<u64>,
    pub(crate) quota_of: Option<String>,
    pub(crate) is_slow: Option<bool>,
    pub(crate) left_out: Option<u64>,
    pub(crate) paused_for: Option<String>,
}

impl Client {
    /// From the answer of our bus to `GetClients`.
    pub(crate) fn from_entry(unique: &str, entry: &Value) -> Self {
        let names = match entry.entry("Names") {
            Some(Value::Array { elements, .. }) => elements.iter().filter_map(text).collect(),
            _ => Vec::new(),
        };
        let id = |key| entry.entry(key).and_then(number).and_then(|id| u32::try_from(id).ok());
        Self {
            unique: unique.to_owned(),
            names,
            uid: id("UnixUserID"),
            pid: id("ProcessID"),
            is_monitor: flag(entry, "Monitor").unwrap_or(false),
            usage: Usage::from_stats(entry),
            ..Self::default()
        }
    }

    /// When its oldest call was made that nobody answered, or that it has not.
    pub(crate) fn oldest_ms(&self) -> Option<u64> {
        self.usage.oldest_awaited_ms.max(self.usage.oldest_owed_ms)
    }
}

impl Usage {
    /// From what is told of one client, by `GetClients` or by `GetConnectionStats` of any bus.
    pub(crate) fn from_stats(stats: &Value) -> Self {
        let count = |key| stats.entry(key).and_then(number);
        let word = |key| stats.entry(key).and_then(text);
        Self {
            connected_ms: count("ConnectedMs"),
            sent_messages: count("TotalIncomingMessages"),
            sent_bytes: count("TotalIncomingBytes"),
            got_messages: count("TotalOutgoingMessages"),
            got_bytes: count("TotalOutgoingBytes"),
            queue: count("OutgoingBytes"),
            queue_fds: count("OutgoingFDs"),
            rules: count("MatchRules"),
            awaited: count("AwaitedReplies"),
            oldest_awaited_ms: count("OldestAwaitedMs"),
            owed: count("OwedReplies"),
            oldest_owed_ms: count("OldestOwedMs"),
            quota: count("QuotaUsedPerMille"),
            quota_of: word("QuotaMostUsed").filter(|_| count("QuotaUsedPerMille") > Some(0)),
            is_slow: flag(stats, "SlowReceiver"),
            left_out: count("LeftOutBroadcasts"),
            paused_for: word("PausedFor"),
        }
    }

    /// From the accounting of one client that dbus-broker has in its answer to `GetStats`.
    pub(crate) fn from_accounting(accounting: &Value) -> Self {
        let count = |key| accounting.entry(key).and_then(number);
        Self {
            queue: count("OutgoingBytes"),
            queue_fds: count("OutgoingFds"),
            rules: count("Matches"),
            awaited: count("ReplyObjects"),
            ..Self::default()
        }
    }
}

/// What an unsigned number says.
pub(crate) fn number(value: &Value) -> Option<u64> {
    match value.unwrapped() {
        Value::Uint32(number) => Some(u64::from(*number)),
        Value::Uint64(number) => Some(*number),
        _ => None,
    }
}

/// What a string says.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value.unwrapped() {
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

fn flag(stats: &Value, key: &str) -> Option<bool> {
    match stats.entry(key) {
        Some(Value::Boolean(flag)) => Some(*flag),
        _ => None,
    }
}
