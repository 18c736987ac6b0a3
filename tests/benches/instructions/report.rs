//! What was counted beside what is expected, for people and for programs.

use bus_tests::instruction_counts::{CHANGE_PERCENT_MAX, Comparison, Expectations, Verdict};
use serde_json::{Value, json};

use crate::scenarios;
use crate::table::Table;

const ACCEPT: &str = "cargo bench -p bus-tests --bench instructions -- --accept";

/// One comparison per scenario.
pub(crate) struct Report<'a> {
    expected_rustc: &'a str,
    rustc: &'a str,
    comparisons: Vec<Comparison>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(expected: &'a Expectations, counted: &'a Expectations) -> Self {
        let comparisons = expected.compare(&scenarios::keys(), &counted.counts);
        Self { expected_rustc: &expected.rustc, rustc: &counted.rustc, comparisons }
    }

    /// Whether something must be accepted, or undone.
    pub(crate) fn is_failure(&self) -> bool {
        self.comparisons.iter().any(|comparison| comparison.verdict.is_failure())
    }

    pub(crate) fn to_text(&self) -> String {
        let header = ["scenario", "expected", "now", "change", "operation"];
        let mut table = Table::new(header.map(str::to_owned).into());
        self.comparisons.iter().for_each(|comparison| table.push(row(comparison)));
        table.to_text()
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "rustc": self.rustc,
            "expected_rustc": self.expected_rustc,
            "scenarios": self.comparisons.iter().map(to_json).collect::<Vec<_>>(),
        })
    }

    /// Whatever needs words.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let other_rustc = (self.expected_rustc != self.rustc).then(|| {
            format!(
                "The expectations were counted with {}; this is {}, which may change any count.",
                self.expected_rustc, self.rustc
            )
        });
        other_rustc.into_iter().chain(self.comparisons.iter().filter_map(remark)).collect()
    }
}

fn row(comparison: &Comparison) -> Vec<String> {
    let count = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let change = comparison.change_percent();
    vec![
        comparison.scenario.clone(),
        count(comparison.expected),
        count(comparison.now),
        change.map_or_else(|| "-".to_owned(), |percent| format!("{percent:+.2} %")),
        title(comparison).to_owned(),
    ]
}

fn title(comparison: &Comparison) -> &'static str {
    scenarios::find(&comparison.scenario).map_or("", |scenario| scenario.title)
}

/// What is to be done, if anything.
fn remark(comparison: &Comparison) -> Option<String> {
    let Comparison { scenario, verdict, .. } = comparison;
    let percent = comparison.change_percent().unwrap_or_default().abs();
    Some(match verdict {
        Verdict::Kept => return None,
        Verdict::Risen => format!(
            "FAILED: {scenario} takes {percent:.2} % more instructions than expected; up to \
             {CHANGE_PERCENT_MAX} % pass. If the rise is meant, run with --accept and say in the \
             commit why:\n    {ACCEPT}"
        ),
        Verdict::Fallen => format!(
            "{scenario} takes {percent:.2} % fewer instructions than expected. So that it stays \
             like this, run with --accept:\n    {ACCEPT}"
        ),
        Verdict::NotExpected => {
            format!("FAILED: {scenario} is not in expected.toml. Run with --accept:\n    {ACCEPT}")
        }
        Verdict::NoSuchScenario => format!(
            "FAILED: {scenario} is in expected.toml, but there is no such scenario. If it is \
             gone, run with --accept:\n    {ACCEPT}"
        ),
    })
}

fn to_json(comparison: &Comparison) -> Value {
    json!({
        "key": comparison.scenario,
        "title": title(comparison),
        "expected": comparison.expected,
        "now": comparison.now,
        "change_percent": comparison.change_percent(),
        "verdict": match comparison.verdict {
            Verdict::Kept => "kept",
            Verdict::Fallen => "fallen",
            Verdict::Risen => "risen",
            Verdict::NotExpected => "not expected",
            Verdict::NoSuchScenario => "no such scenario",
        },
    })
}
