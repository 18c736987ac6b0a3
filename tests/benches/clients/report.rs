//! What came of it, as Markdown.

use std::fmt::Write as _;

use bus_tests::spread::Spread;

use crate::measures::{Count, Counts, Measure, Results};
use crate::peers::{BASELINE, Peer};

/// What we set ourselves: measure, whose, and how many times as much as zbus 6 at most.
const TARGETS: [(&str, Measure, &str, f64); 7] = [
    ("processor time of a call, blocking", Measure::Call, "libbus, blocking", 0.5),
    ("processor time of a call, async", Measure::CallAsync, "libbus, async", 0.7),
    ("the same in another executor", Measure::CallAsync, "libbus, async, other executor", 0.7),
    ("time of a served call, blocking", Measure::ServeTime, "libbus, blocking", 0.5),
    ("time of a served call, async", Measure::ServeTime, "libbus, async", 0.5),
    ("time of a signal, blocking", Measure::SignalTime, "libbus, blocking", 0.5),
    ("time of a signal, async", Measure::SignalTime, "libbus, async", 0.5),
];

/// The ratios within the rounds.
fn ratio(results: &Results, measure: Measure, label: &'static str) -> Option<Spread> {
    let (own, base) = (results.get(&(measure, label))?, results.get(&(measure, BASELINE))?);
    if own.len() != base.len() {
        return None;
    }
    Spread::of(own.iter().zip(base).map(|(own, base)| own / base))
}

pub(crate) fn to_markdown(
    peers: &[Peer],
    results: &Results,
    counts: &[Counts],
    missing: &[String],
) -> String {
    let mut text = String::from(
        "Ratios to zbus 6, each within its round: median (range). Less is better.\n\n\
         | | CPU of a call, blocking | CPU of a call, async | CPU of a served call | time of a served call | \
         CPU of a signal | time of a signal |\n|---|--:|--:|--:|--:|--:|--:|\n",
    );
    for peer in peers {
        let cell = |measure| {
            let ratio = ratio(results, measure, peer.label);
            ratio.map_or("–".to_owned(), |ratio| ratio.to_string())
        };
        let cells = Measure::ALL.map(cell).join(" | ");
        let _ = writeln!(text, "| {} | {cells} |", peer.label);
    }
    text.push_str(
        "\nMedians of this run, in µs, not to be compared with those of another one.\n\n\
         | | CPU of a call, blocking | CPU of a call, async | CPU of a served call | time of a served call | \
         CPU of a signal | time of a signal |\n|---|--:|--:|--:|--:|--:|--:|\n",
    );
    for peer in peers {
        let cell = |measure| {
            let values = results.get(&(measure, peer.label));
            let spread = values.and_then(|values| Spread::of(values.iter().copied()));
            spread.map_or("–".to_owned(), |spread| format!("{:.2}", spread.median / 1000.0))
        };
        let cells = Measure::ALL.map(cell).join(" | ");
        let _ = writeln!(text, "| {} | {cells} |", peer.label);
    }
    text.push_str(
        "\nCounted for one call, blocking / async.\n\n| | system calls | allocations | threads |\n\
         |---|--:|--:|--:|\n",
    );
    for (peer, counts) in peers.iter().zip(counts) {
        let pair = |of: fn(&Count) -> Option<f64>| {
            let cell = |count| of(count).map_or("–".to_owned(), |value| format!("{value:.1}"));
            format!("{} / {}", cell(&counts.blocking), cell(&counts.asynchronous))
        };
        let cells = [
            pair(|count| count.system_calls),
            pair(|count| count.allocations),
            pair(|count| count.threads.map(f64::from)),
        ];
        let _ = writeln!(text, "| {} | {} |", peer.label, cells.join(" | "));
    }
    text.push_str("\n| target | at most | is | |\n|---|--:|--:|---|\n");
    for (what, measure, label, most) in TARGETS {
        if let Some(ratio) = ratio(results, measure, label) {
            let verdict = if ratio.median <= most { "reached" } else { "missed" };
            let _ = writeln!(text, "| {what} | {most} | {:.2} | {verdict} |", ratio.median);
        }
    }
    let blocking = peers.iter().zip(counts).find(|(peer, _)| peer.label == "libbus, blocking");
    if let Some((_, Counts { blocking, .. })) = blocking {
        let mut row = |what, most, is: Option<f64>| {
            if let Some(is) = is {
                let verdict = if is <= most { "reached" } else { "missed" };
                let _ = writeln!(text, "| {what} | {most} | {is:.1} | {verdict} |");
            }
        };
        row("allocations of a call, blocking", 3.0, blocking.allocations);
        row("system calls of a call, blocking", 2.0, blocking.system_calls);
        row("threads, blocking", 0.0, blocking.threads.map(f64::from));
    }
    for missing in missing {
        let _ = writeln!(text, "\nMissing: {missing}.");
    }
    text
}
