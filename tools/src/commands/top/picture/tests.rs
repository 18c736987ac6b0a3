use std::time::{Duration, Instant};

use super::Picture;
use crate::commands::top::column::Column;
use crate::commands::top::sample::{Client, Sample, Totals, Usage};

/// A client that has sent and got so many messages of ten bytes each.
pub(in crate::commands::top) fn client(unique: &str, name: &str, sent: u64, got: u64) -> Client {
    let usage = Usage {
        sent_messages: Some(sent),
        sent_bytes: Some(10 * sent),
        got_messages: Some(got),
        got_bytes: Some(10 * got),
        queue: Some(0),
        awaited: Some(0),
        owed: Some(0),
        oldest_awaited_ms: Some(0),
        oldest_owed_ms: Some(0),
        quota: Some(0),
        is_slow: Some(false),
        left_out: Some(0),
        ..Usage::default()
    };
    let names = if name.is_empty() { Vec::new() } else { vec![name.to_owned()] };
    let user = Some("alice".to_owned());
    Client { unique: unique.to_owned(), names, user, uid: Some(1000), usage, ..Client::default() }
}

/// Two samples, two seconds apart.
pub(in crate::commands::top) fn samples(before: Vec<Client>, now: Vec<Client>) -> [Sample; 2] {
    let at = Instant::now();
    let totals = |messages| Totals {
        messages: Some(messages),
        bytes: Some(1024 * messages),
        memory: Some(4 << 20),
    };
    [
        Sample { at, totals: totals(100), clients: before, is_denied: false },
        Sample {
            at: at + Duration::from_secs(2),
            totals: totals(500),
            clients: now,
            is_denied: false,
        },
    ]
}

fn shown(picture: &Picture, filter: &str, sort: Column, is_reversed: bool) -> Vec<String> {
    let rows = picture.rows(filter, sort, is_reversed);
    rows.iter().map(|row| row.client.unique.clone()).collect()
}

#[test]
fn two_samples_make_rates() {
    let before = vec![client(":1.1", "", 10, 20), client(":1.2", "", 5, 5)];
    let now = vec![client(":1.1", "", 30, 20), client(":1.2", "", 5, 5), client(":1.9", "", 4, 0)];
    let [before, now] = samples(before, now);
    let picture = Picture::new(Some(&before), &now);
    let rates: Vec<_> = picture.rows.iter().map(|row| (row.sent, row.got, row.bytes)).collect();
    let expected = [
        (Some(10.0), Some(0.0), Some(100.0)),
        (Some(0.0), Some(0.0), Some(0.0)),
        // It was not there: all that it sent is new.
        (Some(2.0), Some(0.0), Some(20.0)),
    ];
    assert_eq!(rates, expected);
    assert_eq!((picture.messages, picture.bytes), (Some(200.0), Some(204_800.0)));
    assert_eq!(picture.untold(), [""; 0]);
}

#[test]
fn one_sample_has_no_rates_and_what_is_not_told_has_none() {
    let [before, now] = samples(vec![client(":1.1", "", 1, 1)], vec![client(":1.1", "", 9, 9)]);
    let picture = Picture::new(None, &now);
    assert_eq!((picture.rows[0].sent, picture.messages, picture.span), (None, None, None));
    let untold = Client { unique: ":1.1".to_owned(), ..Client::default() };
    let now = Sample { clients: vec![untold], ..now };
    let picture = Picture::new(Some(&before), &now);
    assert_eq!((picture.rows[0].sent, picture.queue), (None, None));
    assert!(picture.untold().contains(&"messages and bytes"), "{:?}", picture.untold());
    // A count that goes back is none of the same client.
    let [before, now] = samples(vec![client(":1.1", "", 9, 9)], vec![client(":1.1", "", 1, 1)]);
    assert_eq!(Picture::new(Some(&before), &now).rows[0].sent, Some(0.0));
}

#[test]
fn rows_are_sorted_by_any_column_and_filtered_by_text() {
    let mut slow = client(":1.10", "org.example.Slow", 0, 0);
    slow.usage.queue = Some(5000);
    slow.usage.is_slow = Some(true);
    slow.usage.quota = Some(300);
    slow.process = Some("sloth".to_owned());
    let mut busy = client(":1.2", "org.example.Busy", 100, 50);
    busy.usage.owed = Some(3);
    busy.usage.oldest_owed_ms = Some(70);
    let mut caller = client(":1.3", "", 10, 10);
    caller.usage.awaited = Some(2);
    caller.usage.oldest_awaited_ms = Some(90);
    caller.user = Some("bob".to_owned());
    caller.uid = Some(1001);
    let clients = vec![busy, caller, slow];
    let none = clients.iter().map(|one| client(&one.unique, "", 0, 0)).collect();
    let [before, now] = samples(none, clients);
    let picture = Picture::new(Some(&before), &now);
    let check = |sort, expected: [&str; 3]| {
        assert_eq!(shown(&picture, "", sort, false), expected, "{sort:?}");
        let mut reversed = shown(&picture, "", sort, true);
        reversed.reverse();
        assert_eq!(reversed, expected, "{sort:?}");
    };
    check(Column::Client, [":1.2", ":1.3", ":1.10"]);
    for rate in [Column::Sent, Column::Got, Column::Bytes] {
        check(rate, [":1.2", ":1.3", ":1.10"]);
    }
    for queue in [Column::Queue, Column::Quota, Column::State, Column::Process] {
        check(queue, [":1.10", ":1.2", ":1.3"]);
    }
    check(Column::Waits, [":1.3", ":1.2", ":1.10"]);
    check(Column::Owes, [":1.2", ":1.3", ":1.10"]);
    check(Column::Oldest, [":1.3", ":1.2", ":1.10"]);
    check(Column::User, [":1.2", ":1.10", ":1.3"]);
    check(Column::Name, [":1.2", ":1.10", ":1.3"]);

    let filtered = |filter: &str| shown(&picture, filter, Column::Client, false);
    assert_eq!(filtered("EXAMPLE"), [":1.2", ":1.10"]);
    assert_eq!(filtered("sloth"), [":1.10"]);
    assert_eq!(filtered("bob"), [":1.3"]);
    assert_eq!(filtered(":1.1"), [":1.10"]);
    assert_eq!(filtered("nobody"), [""; 0]);
}
