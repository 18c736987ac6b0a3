//! What is shown of one client when somebody looks at it: all that the bus tells, as lines.

use super::sample::{number, text};
use super::units;
use crate::output::escape::plain;
use crate::process::{Process, Units};
use crate::value::{Value, flat};

/// Calls of a client that are shown.
const CALLS_MAX: usize = 8;

/// What the bus tells of one client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Detail {
    pub(crate) unique: String,
    /// The words of its command line, and the unit of the system or of its user.
    pub(crate) command: Option<String>,
    pub(crate) unit: Option<String>,
    pub(crate) limits: Vec<Limit>,
    /// Calls that wait for their reply, oldest first, as sentences.
    pub(crate) calls: Vec<String>,
    /// Whatever else there is.
    pub(crate) others: Vec<(String, String)>,
    /// Why the bus told nothing.
    pub(crate) failure: Option<String>,
}

/// Something that a client may have so much of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) what: String,
    pub(crate) used: u64,
    pub(crate) max: u64,
    /// The same of its user, if the limit is a share.
    pub(crate) of_user: Option<(u64, u64)>,
}

impl Limit {
    pub(crate) fn per_mille(&self) -> u64 {
        let used = u128::from(self.used) * 1000;
        let part = used.checked_div(u128::from(self.max)).unwrap_or(1000 * u128::from(used > 0));
        u64::try_from(part).unwrap_or(u64::MAX)
    }

    /// Whether bytes are counted.
    pub(crate) fn is_in_bytes(&self) -> bool {
        self.what.ends_with("bytes")
    }
}

/// What the table and the lists show already.
const SHOWN: [&str; 24] = [
    "UniqueName",
    "Names",
    "UnixUserID",
    "ProcessID",
    "ConnectedMs",
    "Monitor",
    "MatchRules",
    "OutgoingBytes",
    "TotalIncomingMessages",
    "TotalIncomingBytes",
    "TotalOutgoingMessages",
    "TotalOutgoingBytes",
    "AwaitedReplies",
    "OldestAwaitedMs",
    "OwedReplies",
    "OldestOwedMs",
    "SlowReceiver",
    "LeftOutBroadcasts",
    "PausedFor",
    "QuotaUsedPerMille",
    "QuotaMostUsed",
    "Limits",
    "Shares",
    "Serial",
];

impl Detail {
    pub(crate) fn new(unique: &str, stats: Result<Value, String>, calls: Option<&Value>) -> Self {
        let mut detail = Self { unique: unique.to_owned(), ..Self::default() };
        match stats {
            Ok(stats) => detail.take_stats(&stats),
            Err(failure) => detail.failure = Some(failure),
        }
        if let Some(Value::Array { elements, .. }) = calls {
            let of_client = elements.iter().filter_map(|call| sentence(call, unique));
            detail.calls = of_client.take(CALLS_MAX).collect();
        }
        detail
    }

    /// Adds what `/proc` tells.
    pub(crate) fn take_process(&mut self, process: Process) {
        self.command = process.command_line().map(|words| words.join(" "));
        let units = process.control_group().map(|place| Units::of(&place)).unwrap_or_default();
        self.unit = units.user_unit.or(units.unit);
    }

    fn take_stats(&mut self, stats: &Value) {
        for key in ["Limits", "Shares"] {
            if let Some(Value::Dict { entries, .. }) = stats.entry(key) {
                self.limits.extend(entries.iter().filter_map(|(key, value)| limit(key, value)));
            }
        }
        let Value::Dict { entries, .. } = stats else { return };
        for (key, value) in entries {
            if let Some(key) = text(key).filter(|key| !SHOWN.contains(&key.as_str())) {
                let mut shown = String::new();
                flat::write(&mut shown, value.unwrapped());
                self.others.push((plain(&key), shown));
            }
        }
        self.others.sort_unstable();
    }
}

fn limit(key: &Value, value: &Value) -> Option<Limit> {
    let Value::Struct(numbers) = value else { return None };
    let at = |index: usize| numbers.get(index).and_then(number);
    let (what, of_user) = (text(key)?, at(2).zip(at(3)));
    let what = if of_user.is_some() { format!("share of {what}") } else { what };
    Some(Limit { what: plain(&what), used: at(0)?, max: at(1)?, of_user })
}

/// A call of this client, or to it.
fn sentence(call: &Value, unique: &str) -> Option<String> {
    let Value::Struct(fields) = call else { return None };
    let [caller, callee, serial, age] = fields.as_slice() else { return None };
    let (caller, callee) = (text(caller)?, text(callee)?);
    let age = units::time(number(age)?);
    let serial = number(serial)?;
    if caller == unique {
        return Some(format!("call {serial} to {} waits for {age}", plain(&callee)));
    }
    (callee == unique).then(|| format!("call {serial} of {} waits for {age}", plain(&caller)))
}
