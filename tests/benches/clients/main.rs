//! Compares client libraries by what they cost the program that uses them:
//! `cargo bench -p bus-tests --bench clients`.
//!
//! Each library has a program of its own (`peers/`) that does the same work on our bus. The programs take turns,
//! round after round, so that whatever else the machine does hits all of them; what is reported are medians of
//! the ratios within a round, and their range. Never compare the absolute figures of two runs. System calls and
//! allocations are counted, not timed: once, as the difference of a long run and a short one.

#![allow(clippy::expect_used, reason = "a measuring program: what it expects of itself may end it")]

mod load;
mod measures;
mod peers;
mod report;

use std::io::Write as _;

use clap::Parser;

use crate::measures::{Counts, Results};

/// Compares client libraries by what they cost.
#[derive(Debug, Parser)]
struct Options {
    /// How many times each library takes its turn
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Only these libraries beside zbus 6, by label, separated by commas
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// What `cargo bench` passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let options = Options::parse();
    let (peers, missing) = peers::find(&options.peers);
    let mut results = Results::default();
    for round in 1..=options.rounds {
        let _ = write!(std::io::stderr(), "\rround {round} of {} ", options.rounds);
        measures::take_round(&peers, &mut results);
    }
    let counts: Vec<Counts> = peers.iter().map(|peer| Counts::of(peer, &peers)).collect();
    let text = report::to_markdown(&peers, &results, &counts, &missing);
    let _ = writeln!(std::io::stderr());
    let _ = write!(std::io::stdout(), "{text}");
}
