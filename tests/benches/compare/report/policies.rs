//! What is said of the cost of policies.

use serde_json::{Map, Value, json};

use super::readme::write_between;
use super::{Table, Verdict, no_figure, setting_of, verdict_text};
use crate::failure::{Result, fail};
use crate::measure::is_pinned;
use crate::policies::{Plan, Policy, RATIO_MAX, Results, installed_count};
use crate::rounds::median;
use crate::workloads::policed::{WORKLOADS, Workload};

const BEGIN: &str = "<!-- policies: begin -->";
const END: &str = "<!-- policies: end -->";

const LEGEND: &str = "Processor time of our bus per operation: absolute where all is allowed, else \
    as a multiple of that in the same round (median of the rounds, and their middle half).";

/// The report as text.
pub(crate) fn to_text(plan: &Plan, results: &Results) -> String {
    let mut text = format!("{}\n{LEGEND}\n\n{}", setting(plan), table(plan, results).to_text());
    for note in notes(plan, results) {
        text.push_str(&format!("\n{note}"));
    }
    text
}

/// The report for programs.
pub(crate) fn to_json(plan: &Plan, results: &Results) -> Value {
    let missing = plan.missing.iter().map(
        |(policy, failure)| json!({ "policy": policy.label(), "reason": failure.to_string() }),
    );
    let failures = results.failures().map(|(key, policy, failure)| {
        json!({ "workload": key, "policy": policy.label(), "reason": failure.to_string() })
    });
    json!({
        "setting": setting(plan),
        "pinned": is_pinned(),
        "rounds": plan.rounds,
        "workloads": WORKLOADS.iter().map(|w| workload(w, plan, results)).collect::<Vec<_>>(),
        "missing": missing.collect::<Vec<_>>(),
        "failures": failures.collect::<Vec<_>>(),
    })
}

fn workload(workload: &Workload, plan: &Plan, results: &Results) -> Value {
    let figures = |policy: &Policy| {
        let verdict = verdict(workload, *policy, results);
        let (low, high) = middle_half(results.ratios(workload, *policy)).unzip();
        let figures = json!({
            "cost": results.cost(workload, *policy),
            "by_allow_all": verdict.value,
            "middle_half": [low, high],
            "met": verdict.is_met,
        });
        (policy.label().to_owned(), figures)
    };
    json!({
        "key": workload.key,
        "title": workload.title,
        "unit": "ns of processor time per operation",
        "bound": RATIO_MAX,
        "policies": plan.policies.iter().map(figures).collect::<Map<_, _>>(),
    })
}

/// Rewrites what README.md says of policies, unless anything is missing.
pub(crate) fn update(plan: &Plan, results: &Results) -> Result<()> {
    let notes = notes(plan, results);
    if !notes.is_empty() {
        return fail(format!("README.md is left as it is: {}", notes.join("; ")));
    }
    let table = table(plan, results).to_markdown();
    write_between(
        BEGIN,
        END,
        &format!("\n{LEGEND}\n\n{table}\nMeasured on: {}.\n\n", setting(plan)),
    )
}

fn setting(plan: &Plan) -> String {
    let Plan { peer, rounds, .. } = plan;
    let version = format!("{} {}", peer.kind.label(), peer.version);
    format!("{}; {} files of Debian's packages", setting_of(&version, *rounds), installed_count())
}

/// Which policies are left out and what failed, and why.
fn notes(plan: &Plan, results: &Results) -> Vec<String> {
    let missing = plan.missing.iter();
    let missing =
        missing.map(|(policy, failure)| format!("{} left out: {failure}", policy.label()));
    let failures = results
        .failures()
        .map(|(key, policy, failure)| format!("{key} failed under {}: {failure}", policy.label()));
    missing.chain(failures).collect()
}

fn table(plan: &Plan, results: &Results) -> Table {
    let mut header = vec!["workload".to_owned()];
    header.extend(plan.policies.iter().map(|policy| policy.label().to_owned()));
    header.push("target".to_owned());
    let mut table = Table::new(header);
    for workload in WORKLOADS {
        let mut row = vec![workload.title.to_owned()];
        row.extend(plan.policies.iter().map(|policy| cell(workload, *policy, results)));
        let compared = plan.policies.iter().filter(|policy| **policy != Policy::AllowAll);
        let verdicts = compared.map(|policy| verdict_text(&verdict(workload, *policy, results)));
        row.push(verdicts.collect::<Vec<_>>().join("; "));
        table.push(row);
    }
    table
}

fn cell(workload: &Workload, policy: Policy, results: &Results) -> String {
    if policy == Policy::AllowAll {
        let cost = results.cost(workload, policy);
        return cost.map_or_else(no_figure, |cost| format!("{:.1} µs", cost / 1e3));
    }
    let ratios = results.ratios(workload, policy);
    match (median(ratios.clone()), middle_half(ratios)) {
        (Some(ratio), Some((low, high))) => format!("{ratio:.2} ({low:.2}–{high:.2})"),
        _ => no_figure(),
    }
}

fn verdict(workload: &Workload, policy: Policy, results: &Results) -> Verdict {
    let value = median(results.ratios(workload, policy));
    let is_met = value.map(|value| value <= RATIO_MAX);
    Verdict { bound: format!("{} ≤ {RATIO_MAX}", policy.label()), value, is_met }
}

/// What a quarter of the values is below, and another above.
fn middle_half(mut values: Vec<f64>) -> Option<(f64, f64)> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some((*values.get(last / 4)?, *values.get(last - last / 4)?))
}
