//! What is said of the results: a table for people, JSON for programs, Markdown for the README.

mod json;
pub(crate) mod policies;
mod readme;
mod table;

use std::fs;
use std::process::Command;

use crate::measure::is_pinned;
use crate::peers::Kind;
use crate::rounds::{Plan, Results};
use crate::scaling::{Dimension, GROWTH_MAX};
use crate::workloads::{Target, Unit, Workload};

pub(crate) use json::to_json;
pub(crate) use readme::update;
use table::Table;

/// What all cells are compared with.
const BASELINE: Kind = Kind::DbusBroker;

/// A bound, and what came of it; `None` if it could not be measured.
pub(crate) struct Verdict {
    pub(crate) bound: String,
    pub(crate) value: Option<f64>,
    pub(crate) is_met: Option<bool>,
}

/// The whole report as text.
pub(crate) fn to_text(plan: &Plan, results: &Results) -> String {
    let mut text = format!("{}\n", setting(plan));
    if !plan.workloads.is_empty() {
        text.push_str(&format!("{LEGEND}\n\n"));
        text.push_str(&cost_table(plan, results).to_text());
        text.push_str(
            "\nTime per operation (median, 99th percentile) and operations per second:\n",
        );
        text.push_str(&time_table(plan, results).to_text());
    }
    if !plan.dimensions.is_empty() {
        text.push_str("\nCost per message at the last point by that at the first:\n");
        text.push_str(&growth_table(plan, results).to_text());
    }
    for note in notes(plan, results) {
        text.push_str(&format!("\n{note}"));
    }
    text
}

/// Which peers are left out and which failed, and why.
fn notes(plan: &Plan, results: &Results) -> impl Iterator<Item = String> {
    let missing = plan
        .missing
        .iter()
        .map(|(kind, failure)| format!("{} is left out: {failure}", kind.label()));
    let failures = results
        .failures()
        .map(|(key, kind, failure)| format!("{} failed at {key}: {failure}", kind.label()));
    missing.chain(failures)
}

const LEGEND: &str = "Processor time of the bus per operation: absolute for dbus-broker, else \
    as a multiple of dbus-broker's in the same round (median of the rounds). gRPC has no bus: its \
    server's time. Compare ratios, not times.";

/// The machine, the programs and the conditions.
pub(crate) fn setting(plan: &Plan) -> String {
    let versions: Vec<String> = plan
        .peers
        .iter()
        .filter(|peer| !peer.version.is_empty())
        .map(|peer| format!("{} {}", peer.kind.label(), peer.version))
        .collect();
    setting_of(&versions.join(", "), plan.rounds)
}

fn setting_of(versions: &str, rounds: usize) -> String {
    let pinned = match is_pinned() {
        true => "bus on one core, load on another",
        false => "NOT PINNED: this machine does not let the bus have a core of its own",
    };
    format!("{}; {versions}; {rounds} rounds; {pinned}", machine())
}

fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let cores = cpus.lines().filter(|line| line.starts_with("processor")).count().max(cores);
    let uname = Command::new("uname").arg("-sr").output();
    let kernel = uname.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let model = model.unwrap_or(std::env::consts::ARCH);
    format!("{model}, {cores} cores, {}", kernel.unwrap_or_default())
}

fn cost_table(plan: &Plan, results: &Results) -> Table {
    let mut header = vec!["workload".to_owned()];
    header.extend(plan.peers.iter().map(|peer| peer.kind.label().to_owned()));
    let divisors = [Kind::OtherBuild, Kind::NullRelay].into_iter();
    let divisors = divisors.filter(|kind| plan.has(Kind::Ours) && plan.has(*kind));
    header.extend(divisors.clone().map(|kind| format!("÷ {}", kind.label())));
    header.push("target".to_owned());
    let mut table = Table::new(header);
    for workload in &plan.workloads {
        let mut row = vec![workload.title.to_owned()];
        row.extend(plan.peers.iter().map(|peer| cost_cell(workload, results, peer.kind)));
        row.extend(divisors.clone().map(|kind| {
            let ratio = results.ratio(workload, Kind::Ours, kind);
            ratio.map_or_else(no_figure, |ratio| format!("{ratio:.2}"))
        }));
        row.push(
            verdicts(workload, plan, results)
                .iter()
                .map(verdict_text)
                .collect::<Vec<_>>()
                .join("; "),
        );
        table.push(row);
    }
    table
}

fn no_figure() -> String {
    "–".to_owned()
}

/// One peer's figure for one workload.
fn cost_cell(workload: &Workload, results: &Results, kind: Kind) -> String {
    let Some(cost) = results.cost(workload, kind) else { return no_figure() };
    let ratio = results.ratio(workload, kind, BASELINE).filter(|_| kind != BASELINE);
    match (workload.unit, ratio) {
        (Unit::CpuTime, Some(ratio)) => format!("{ratio:.2}"),
        (Unit::CpuTime, None) => format!("{:.1} µs", cost / 1e3),
        (Unit::Kib, _) => format!("{cost:.1} KiB"),
        (Unit::Growth, _) => format!("{cost:.1} ×"),
        (Unit::Latency, _) => {
            let rise = results.median(workload, kind, |sample| sample.rise).unwrap_or(f64::NAN);
            format!("{:.0} µs ({rise:.1} ×)", cost / 1e3)
        }
    }
}

/// What became of each target of a workload.
pub(crate) fn verdicts(workload: &Workload, plan: &Plan, results: &Results) -> Vec<Verdict> {
    workload.targets.iter().map(|target| verdict(*target, workload, plan, results)).collect()
}

fn verdict(target: Target, workload: &Workload, plan: &Plan, results: &Results) -> Verdict {
    let (bound, value, most) = match target {
        Target::Times(most, kind) => {
            let value = results.ratio(workload, Kind::Ours, kind);
            (format!("≤ {most} {}", kind.label()), value, most)
        }
        Target::AtMost(most) => (format!("≤ {most}"), results.cost(workload, Kind::Ours), most),
        Target::Rise(most) => {
            let value = results.median(workload, Kind::Ours, |sample| sample.rise);
            (format!("≤ {most} ×"), value, most)
        }
        Target::BelowAll => ("< every other".to_owned(), worst_ratio(workload, plan, results), 1.0),
    };
    Verdict { bound, value, is_met: value.map(|value| value <= most) }
}

/// Our cost by that of the bus that we are least ahead of.
fn worst_ratio(workload: &Workload, plan: &Plan, results: &Results) -> Option<f64> {
    let is_ours = |kind: &Kind| matches!(kind, Kind::Ours | Kind::OtherBuild);
    let others = plan.peers.iter().map(|peer| peer.kind).filter(|kind| !is_ours(kind));
    others.filter_map(|kind| results.ratio(workload, Kind::Ours, kind)).max_by(f64::total_cmp)
}

fn verdict_text(verdict: &Verdict) -> String {
    match (verdict.value, verdict.is_met) {
        (Some(value), Some(true)) => format!("{}: met, {value:.2}", verdict.bound),
        (Some(value), _) => format!("{}: MISSED, {value:.2}", verdict.bound),
        (None, _) => format!("{}: not measured", verdict.bound),
    }
}

fn time_table(plan: &Plan, results: &Results) -> Table {
    let mut header = vec!["workload".to_owned()];
    header.extend(plan.peers.iter().map(|peer| peer.kind.label().to_owned()));
    let mut table = Table::new(header);
    for workload in plan.workloads.iter().filter(|workload| workload.unit == Unit::CpuTime) {
        let mut row = vec![workload.key.to_owned()];
        row.extend(plan.peers.iter().map(|peer| time_cell(workload, results, peer.kind)));
        table.push(row);
    }
    table
}

fn time_cell(workload: &Workload, results: &Results, kind: Kind) -> String {
    let p50 = results.median(workload, kind, |sample| Some(sample.p50_ns / 1e3));
    let p99 = results.median(workload, kind, |sample| Some(sample.p99_ns / 1e3));
    let throughput = results.median(workload, kind, |sample| Some(sample.throughput));
    match (p50, p99, throughput) {
        (Some(p50), Some(p99), Some(throughput)) => {
            format!("{p50:.0} {p99:.0} µs {throughput:.0}/s")
        }
        _ => no_figure(),
    }
}

fn growth_table(plan: &Plan, results: &Results) -> Table {
    let buses: Vec<Kind> = buses(plan).collect();
    let mut header = vec!["of what".to_owned()];
    header.extend(buses.iter().map(|kind| kind.label().to_owned()));
    header.push("target".to_owned());
    let mut table = Table::new(header);
    for dimension in &plan.dimensions {
        let mut row = vec![range_of(dimension)];
        row.extend(buses.iter().map(|kind| {
            let factor = results.growth.factor(dimension, *kind);
            factor.map_or_else(no_figure, |factor| format!("{factor:.2}"))
        }));
        row.push(verdict_text(&growth_verdict(dimension, results)));
        table.push(row);
    }
    table
}

/// The buses among the peers.
fn buses(plan: &Plan) -> impl Iterator<Item = Kind> + Clone {
    plan.peers.iter().map(|peer| peer.kind).filter(|kind| kind.is_bus())
}

/// For example "10 to 100 clients".
fn range_of(dimension: &Dimension) -> String {
    let first = dimension.points.first().copied().unwrap_or_default();
    let last = dimension.points.last().copied().unwrap_or_default();
    format!("{first} to {last} {}", dimension.title)
}

pub(crate) fn growth_verdict(dimension: &Dimension, results: &Results) -> Verdict {
    let value = results.growth.factor(dimension, Kind::Ours);
    let is_met = value.map(|value| value <= GROWTH_MAX);
    Verdict { bound: format!("≤ {GROWTH_MAX}"), value, is_met }
}
