//! The columns: what each shows of a client, and which client comes first by it.

use std::cmp::Ordering;

use clap::ValueEnum;

use super::picture::Row;
use super::units;
use crate::inventory::sort_key;
use crate::output::escape::plain;

/// What is known of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Column {
    /// The unique name
    Client,
    /// Messages a second that it sends
    Sent,
    /// Messages a second that are for it
    Got,
    /// Bytes a second, both ways
    Bytes,
    /// Bytes that wait for it
    Queue,
    /// How full the fullest of its quotas is
    Quota,
    /// Calls it made that wait for their reply
    Waits,
    /// Calls that it has not answered
    Owes,
    /// How long the oldest of those calls waits
    Oldest,
    /// Whether it reads too slowly
    State,
    /// Whose process it is
    User,
    /// Its process
    Process,
    /// Its well-known names
    Name,
}

impl Column {
    /// From left to right.
    pub(crate) const ALL: [Self; 13] = [
        Self::Client,
        Self::Sent,
        Self::Got,
        Self::Bytes,
        Self::Queue,
        Self::Quota,
        Self::Waits,
        Self::Owes,
        Self::Oldest,
        Self::State,
        Self::User,
        Self::Process,
        Self::Name,
    ];

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Client => "CLIENT",
            Self::Sent => "SENT/s",
            Self::Got => "GOT/s",
            Self::Bytes => "BYTES/s",
            Self::Queue => "QUEUE",
            Self::Quota => "QUOTA",
            Self::Waits => "WAITS",
            Self::Owes => "OWES",
            Self::Oldest => "OLDEST",
            Self::State => "STATE",
            Self::User => "USER",
            Self::Process => "PROCESS",
            Self::Name => "NAME",
        }
    }

    /// Width on a screen; the last column takes what is left.
    pub(crate) const fn width(self) -> u16 {
        match self {
            Self::Client | Self::Bytes | Self::User => 8,
            Self::Sent | Self::Got | Self::Oldest => 7,
            Self::Queue | Self::Quota | Self::Waits | Self::Owes => 6,
            Self::State => 9,
            Self::Process | Self::Name => 15,
        }
    }

    /// Which columns go first where there is no room: those with the largest number.
    pub(crate) const fn dispensability(self) -> u8 {
        match self {
            Self::User => 7,
            Self::Oldest => 6,
            Self::Process => 5,
            Self::Quota => 4,
            Self::Sent => 3,
            Self::Got => 2,
            Self::State => 1,
            _ => 0,
        }
    }

    /// Whether it shows numbers, which stand at the right.
    pub(crate) const fn is_number(self) -> bool {
        !matches!(self, Self::Client | Self::State | Self::User | Self::Process | Self::Name)
    }

    /// What it shows of a client; `-` for what is not known.
    pub(crate) fn cell(self, row: &Row) -> String {
        let usage = &row.client.usage;
        let count = |number: Option<u64>| number.map(|number| units::count(number as f64));
        let text = match self {
            Self::Client => Some(plain(&row.client.unique)),
            Self::Sent => row.sent.map(units::rate),
            Self::Got => row.got.map(units::rate),
            Self::Bytes => row.bytes.map(units::bytes),
            Self::Queue => usage.queue.map(|queue| units::bytes(queue as f64)),
            Self::Quota => usage.quota.map(units::per_cent),
            Self::Waits => count(usage.awaited),
            Self::Owes => count(usage.owed),
            Self::Oldest => row.client.oldest_ms().filter(|ms| *ms > 0).map(units::time),
            Self::State => state(row),
            Self::User => row.client.user.as_deref().map(plain),
            Self::Process => row.client.process.as_deref().map(plain),
            Self::Name => {
                (!row.client.names.is_empty()).then(|| plain(&row.client.names.join(" ")))
            }
        };
        text.unwrap_or_else(|| "-".to_owned())
    }

    /// Which of two comes first: the one with more, or the one that the alphabet has first. Who lacks what is
    /// compared comes last.
    pub(crate) fn compare(self, one: &Row, other: &Row) -> Ordering {
        let most = |value: fn(&Row) -> Option<f64>| {
            let [one, other] = [one, other].map(|row| value(row).unwrap_or(-1.0));
            other.total_cmp(&one)
        };
        let first = |text: fn(&Row) -> Option<&String>| {
            let [one, other] = [one, other].map(text);
            one.is_none().cmp(&other.is_none()).then_with(|| one.cmp(&other))
        };
        match self {
            Self::Client => sort_key(&one.client.unique).cmp(&sort_key(&other.client.unique)),
            Self::Sent => most(|row| row.sent),
            Self::Got => most(|row| row.got),
            Self::Bytes => most(|row| row.bytes),
            Self::Queue => most(|row| row.client.usage.queue.map(|it| it as f64)),
            Self::Quota => most(|row| row.client.usage.quota.map(|it| it as f64)),
            Self::Waits => most(|row| row.client.usage.awaited.map(|it| it as f64)),
            Self::Owes => most(|row| row.client.usage.owed.map(|it| it as f64)),
            Self::Oldest => most(|row| row.client.oldest_ms().map(|it| it as f64)),
            Self::State => most(|row| Some(trouble(row))),
            Self::User => first(|row| row.client.user.as_ref()),
            Self::Process => first(|row| row.client.process.as_ref()),
            Self::Name => first(|row| row.client.names.first()),
        }
    }
}

/// Whether it reads too slowly, in a word: `slow` while it is so that its senders are paused, `paused` if it is such
/// a sender, `missed` with how many broadcasts it did not get.
fn state(row: &Row) -> Option<String> {
    let usage = &row.client.usage;
    let is_told = usage.is_slow.is_some() || usage.queue.is_some();
    Some(match usage {
        _ if usage.left_out > Some(0) => {
            format!("missed {}", units::count(usage.left_out.unwrap_or_default() as f64))
        }
        _ if usage.is_slow == Some(true) => "slow".to_owned(),
        _ if usage.paused_for.is_some() => "paused".to_owned(),
        _ if row.client.is_monitor => "monitor".to_owned(),
        _ if is_told => String::new(),
        _ => return None,
    })
}

/// How bad that is.
pub(crate) fn trouble(row: &Row) -> f64 {
    let usage = &row.client.usage;
    let left_out = usage.left_out.unwrap_or_default() as f64;
    let is_slow = f64::from(u8::from(usage.is_slow == Some(true)));
    let is_paused = f64::from(u8::from(usage.paused_for.is_some()));
    if left_out > 0.0 { 2.0 + left_out } else { is_slow + is_paused / 2.0 }
}
