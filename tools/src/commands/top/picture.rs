//! What is shown: clients with rates, which two samples make; filtered and sorted.

use std::collections::HashMap;
use std::time::Duration;

use super::column::Column;
use super::sample::{Client, Sample, Totals, Usage};

/// A client in the picture.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) client: Client,
    /// Messages a second that it sent, and that were for it.
    pub(crate) sent: Option<f64>,
    pub(crate) got: Option<f64>,
    /// Bytes a second of both.
    pub(crate) bytes: Option<f64>,
}

/// What two samples show.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) rows: Vec<Row>,
    pub(crate) totals: Totals,
    /// Messages and bytes a second that the bus handled.
    pub(crate) messages: Option<f64>,
    pub(crate) bytes: Option<f64>,
    /// Names with the unique ones.
    pub(crate) names: usize,
    /// Bytes that wait for all clients.
    pub(crate) queue: Option<u64>,
    /// Calls that wait for their replies.
    pub(crate) awaited: Option<u64>,
    /// Between the samples; `None`: there is only one.
    pub(crate) span: Option<Duration>,
    pub(crate) is_denied: bool,
}

impl Picture {
    /// Without a sample before there are no rates.
    pub(crate) fn new(before: Option<&Sample>, now: &Sample) -> Self {
        let span = before.map(|before| now.at.saturating_duration_since(before.at));
        let former: Option<HashMap<&str, &Usage>> = before.map(|before| {
            before.clients.iter().map(|client| (&*client.unique, &client.usage)).collect()
        });
        let row = |client: &Client| Row::new(client, former.as_ref(), span);
        let of_bus = |total: fn(&Totals) -> Option<u64>| {
            rate(before.and_then(|before| total(&before.totals)), total(&now.totals), span)
        };
        Self {
            rows: now.clients.iter().map(row).collect(),
            totals: now.totals,
            messages: of_bus(|totals| totals.messages),
            bytes: of_bus(|totals| totals.bytes),
            names: now.clients.iter().map(|client| 1 + client.names.len()).sum(),
            queue: sum(now, |usage| usage.queue),
            awaited: sum(now, |usage| usage.awaited),
            span,
            is_denied: now.is_denied,
        }
    }

    /// The rows with `filter` in what they say of their client, in the order of a column.
    pub(crate) fn rows(&self, filter: &str, sort: Column, is_reversed: bool) -> Vec<&Row> {
        let filter = filter.to_lowercase();
        let mut rows: Vec<&Row> = self.rows.iter().filter(|row| row.has(&filter)).collect();
        // The sort is stable, and the samples are in the order of unique names.
        rows.sort_by(|one, other| sort.compare(one, other));
        if is_reversed {
            rows.reverse();
        }
        rows
    }

    /// What the bus tells of no client.
    pub(crate) fn untold(&self) -> Vec<&'static str> {
        type IsTold = fn(&Usage) -> bool;
        const TOLD: [(&str, IsTold); 7] = [
            ("messages and bytes", |usage| usage.sent_messages.is_some()),
            ("queues", |usage| usage.queue.is_some()),
            ("quotas", |usage| usage.quota.is_some()),
            ("calls that wait", |usage| usage.awaited.is_some()),
            ("calls not answered", |usage| usage.owed.is_some()),
            ("how long calls wait", |usage| usage.oldest_owed_ms.is_some()),
            ("slow receivers", |usage| usage.is_slow.is_some()),
        ];
        let is_told = |told: IsTold| self.rows.iter().any(|row| told(&row.client.usage));
        TOLD.into_iter().filter(|(_, told)| !is_told(*told)).map(|(what, _)| what).collect()
    }
}

impl Row {
    fn new(
        client: &Client,
        former: Option<&HashMap<&str, &Usage>>,
        span: Option<Duration>,
    ) -> Self {
        let new = Usage::default();
        // Who was not there before began with nothing: unique names are never given again.
        let (before, now) = (former.map(|all| all.get(&*client.unique).copied()), &client.usage);
        let since = |total: fn(&Usage) -> Option<u64>| {
            let before =
                before.map(|usage| usage.map_or(Some(0), total)).unwrap_or_else(|| total(&new));
            rate(before, total(now), span)
        };
        let bytes = since(|usage| Some(usage.sent_bytes?.saturating_add(usage.got_bytes?)));
        Self {
            client: client.clone(),
            sent: since(|usage| usage.sent_messages),
            got: since(|usage| usage.got_messages),
            bytes,
        }
    }

    /// Whether a text, in small letters, is in what the row says of its client.
    fn has(&self, filter: &str) -> bool {
        let Client { unique, names, user, process, .. } = &self.client;
        let texts = [Some(unique), user.as_ref(), process.as_ref()].into_iter().flatten();
        filter.is_empty() || texts.chain(names).any(|text| text.to_lowercase().contains(filter))
    }
}

/// How much more a second.
fn rate(before: Option<u64>, now: Option<u64>, span: Option<Duration>) -> Option<f64> {
    let seconds = span?.as_secs_f64();
    let more = now?.saturating_sub(before?);
    // Sums of this size are exact, or nearly.
    (seconds > 0.0).then(|| more as f64 / seconds)
}

fn sum(sample: &Sample, of: fn(&Usage) -> Option<u64>) -> Option<u64> {
    let told = sample.clients.iter().filter_map(|client| of(&client.usage));
    told.reduce(u64::saturating_add)
}

#[cfg(test)]
pub(super) mod tests;
