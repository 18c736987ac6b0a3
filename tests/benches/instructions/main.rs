//! Counts the instructions of the bus core: `cargo bench -p bus-tests --bench instructions`.
//!
//! Each scenario runs in a process of its own under valgrind's callgrind, which counts only its
//! operations, after a warm-up. A count does not depend on how busy the machine is, so that a small
//! rise can be told from chance; it fails when it is above what `expected.toml` says by more than it
//! may be (`bus_tests::instruction_counts`). How long something takes is measured by
//! `benches/compare`.

#![allow(clippy::expect_used, reason = "a measuring program: what it expects of itself may end it")]

mod callgrind;
#[path = "../../tests/cost/core_bus.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "of the cost tests, which use more of it")]
mod core_bus;
#[path = "../compare/failure.rs"]
mod failure;
mod report;
mod scenarios;
#[path = "../compare/report/table.rs"]
#[allow(dead_code, reason = "of the other benchmark, which uses more of it")]
mod table;
#[path = "../compare/watchers.rs"]
mod watchers;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use bus_tests::instruction_counts::{Counts, Expectations};
use clap::Parser;

use crate::callgrind::Callgrind;
use crate::failure::{Failure, Result, fail};
use crate::report::Report;
use crate::scenarios::{SCENARIOS, Scenario};

/// Counts the instructions of the bus core.
#[derive(Debug, Parser)]
struct Options {
    /// Only this scenario (may be given more than once)
    #[arg(long, value_name = "SCENARIO")]
    only: Vec<String>,
    /// Write the counts down as what is expected from now on
    #[arg(long, conflicts_with = "only")]
    accept: bool,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
    /// What `cargo bench` passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the process in which this scenario is counted
    #[arg(long, hide = true)]
    scenario: Option<String>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match &options.scenario {
        Some(key) => scenarios::find(key).map(scenarios::run).map(|()| true),
        None => count_and_compare(&options),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("instructions: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Counts everything that was asked for; answers whether it may stay like this.
fn count_and_compare(options: &Options) -> Result<bool> {
    let chosen = choose(&options.only)?;
    let expected = match read_expectations() {
        Err(_) if options.accept => Expectations::default(),
        expected => expected?,
    };
    let counted = Expectations { rustc: compiler()?, counts: count(&chosen)? };
    let report = Report::new(&expected, &counted);
    let text = if options.json { format!("{:#}\n", report.to_json()) } else { report.to_text() };
    // Whoever reads may have seen enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
    if options.accept {
        fs::write(file(), counted.to_toml())?;
    } else {
        report.remarks().iter().for_each(|remark| eprintln!("\n{remark}"));
    }
    Ok(options.accept || !report.is_failure())
}

/// The scenarios of those names, all if there are no names.
fn choose(only: &[String]) -> Result<Vec<&'static Scenario>> {
    if only.is_empty() {
        return Ok(SCENARIOS.iter().collect());
    }
    only.iter().map(|key| scenarios::find(key)).collect()
}

fn count(chosen: &[&Scenario]) -> Result<Counts> {
    let callgrind = Callgrind::find()?;
    let count = |scenario: &&Scenario| Ok((scenario.key.to_owned(), callgrind.count(scenario)?));
    chosen.iter().map(count).collect()
}

/// Where the expectations stand.
fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions/expected.toml")
}

fn read_expectations() -> Result<Expectations> {
    let file = file();
    let in_file = |failure: Failure| failure.during(file.display());
    let text = fs::read_to_string(&file).map_err(Failure::from).map_err(in_file)?;
    Expectations::parse(&text).map_err(Failure::new).map_err(in_file)
}

/// The compiler in use, which is that of the cargo that started this, and what it compiles for.
fn compiler() -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output();
    let output = output.map_err(|error| Failure::from(error).during("rustc"))?;
    let version = String::from_utf8_lossy(&output.stdout);
    match version.trim() {
        "" => fail("rustc does not tell its version"),
        version => Ok(format!("{version} for {}", env::consts::ARCH)),
    }
}
