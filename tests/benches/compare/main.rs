//! Compares message buses by what they cost: `cargo bench -p bus-tests --bench compare`.
//!
//! Every bus is started fresh for every measurement and driven by a load generator that writes and
//! reads bytes itself. The buses take turns, round after round (A B C A B C …), so that whatever
//! else the machine does hits all of them; what is reported are medians of the ratios within a
//! round. Never compare the absolute figures of two runs.

#![allow(clippy::expect_used, reason = "a measuring program: what it expects of itself may end it")]

mod chart;
mod crowd;
mod failure;
mod grpc;
mod load;
mod measure;
mod peers;
mod pipeline;
mod policies;
mod program;
mod relay;
mod report;
mod rounds;
mod scaling;
mod watchers;
mod wire;
mod workloads;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::failure::Result;
use crate::measure::{LOAD_CORE, pin};
use crate::peers::Kind;
use crate::rounds::Plan;

/// Compares message buses by what they cost.
#[derive(Debug, Parser)]
struct Options {
    /// Only this workload (may be given more than once)
    #[arg(long, value_name = "WORKLOAD")]
    only: Vec<String>,
    /// How many times each peer takes its turn
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Only these peers, by label, separated by commas
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// Measure this other build of bus-daemon too, to see what a change brings
    #[arg(long, value_name = "PROGRAM")]
    against: Option<PathBuf>,
    /// Measure our bus alone, under different policies (see also install-policies)
    #[arg(long, conflicts_with_all = ["only", "peers", "against"])]
    policies: bool,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
    /// Write the results into README.md, between their two marker comments
    #[arg(long, conflicts_with_all = ["only", "peers", "against"])]
    readme: bool,
    /// What `cargo bench` passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the null relay at this socket
    #[arg(long, hide = true)]
    null_relay: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match &options.null_relay {
        Some(path) => relay::run(path).map(|()| true),
        None if options.policies => compare_policies(&options),
        None => compare(&options),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("compare: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Runs everything; answers whether our bus did all its work.
fn compare(options: &Options) -> Result<bool> {
    prepare();
    let plan = Plan::new(
        &options.only,
        &options.peers,
        options.against.as_deref(),
        options.rounds.into(),
    )?;
    let results = plan.run();
    if options.json {
        print(&format!("{:#}", report::to_json(&plan, &results)));
    } else {
        print(&report::to_text(&plan, &results));
    }
    if options.readme {
        report::update(&plan, &results)?;
    }
    let ours_is_missing = plan.missing.iter().any(|(kind, _)| *kind == Kind::Ours);
    Ok(!ours_is_missing && results.failures().all(|(_, kind, _)| kind != Kind::Ours))
}

/// Runs our bus under all policies; answers whether it did all its work.
fn compare_policies(options: &Options) -> Result<bool> {
    prepare();
    let plan = policies::Plan::new(options.rounds.into())?;
    let results = plan.run();
    if options.json {
        print(&format!("{:#}", report::policies::to_json(&plan, &results)));
    } else {
        print(&report::policies::to_text(&plan, &results));
    }
    if options.readme {
        report::policies::update(&plan, &results)?;
    }
    Ok(results.failures().next().is_none())
}

/// Whoever reads may have seen enough.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn prepare() {
    raise_descriptor_limit();
    pin(LOAD_CORE);
}

/// Thousands of clients need a descriptor each, here and in the bus, which inherits the limit.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // What is refused here shows as a workload that runs out of descriptors.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
