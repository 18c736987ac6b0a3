//! The part of the README that this benchmark writes.

use std::fs;
use std::path::{Path, PathBuf};

use super::{LEGEND, cost_table, growth_table, notes, setting};
use crate::chart;
use crate::failure::{Result, fail};
use crate::peers::Kind;
use crate::rounds::{Plan, Results};

const BEGIN: &str = "<!-- benchmark: begin -->";
const END: &str = "<!-- benchmark: end -->";
/// The chart, seen from the README.
const CHART: &str = "tests/benches/scaling.svg";

/// Rewrites what stands between the marker comments of README.md, and the chart. Without such
/// comments the text is only printed, to standard error. Neither is touched unless our bus has done
/// all its work: figures of an earlier run are worth more than a table without ours.
pub(crate) fn update(plan: &Plan, results: &Results) -> Result<()> {
    let gaps = results.gaps(plan, Kind::Ours);
    if !gaps.is_empty() {
        return fail(format!(
            "README.md and {CHART} are left as they are, because {} has not done all its work: {}",
            Kind::Ours.label(),
            gaps.join(", ")
        ));
    }
    if !plan.dimensions.is_empty() {
        fs::write(workspace().join(CHART), chart::to_svg(plan, results))?;
    }
    write_between(BEGIN, END, &to_markdown(plan, results))
}

/// Rewrites what stands between two marker comments of README.md.
pub(super) fn write_between(begin: &str, end: &str, markdown: &str) -> Result<()> {
    let readme = workspace().join("README.md");
    let text = fs::read_to_string(&readme)?;
    let section = format!("{begin}\n{markdown}{end}");
    match replace(&text, begin, end, &section) {
        Some(text) => Ok(fs::write(readme, text)?),
        None => {
            eprintln!("README.md has no {begin} … {end}:\n\n{section}");
            Ok(())
        }
    }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The text with the section in the place of the one between the markers.
fn replace(text: &str, begin: &str, end: &str, section: &str) -> Option<String> {
    let (before, rest) = text.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{section}{after}"))
}

fn to_markdown(plan: &Plan, results: &Results) -> String {
    let mut text = format!("\n{LEGEND}\n\n{}", cost_table(plan, results).to_markdown());
    if !plan.dimensions.is_empty() {
        text.push_str(&format!(
            "\nHow the cost of a message grows, from the first number to the last:\n\n{}\n\
             ![Cost of a message as the bus fills]({CHART})\n",
            growth_table(plan, results).to_markdown()
        ));
    }
    text.push_str(&format!("\nMeasured on: {}.\n\n", setting(plan)));
    // The ends of logs, which a note may have below it, are for whoever runs this.
    let notes: Vec<String> = notes(plan, results)
        .filter_map(|note| note.lines().next().map(|line| format!("* {line}\n")))
        .collect();
    if !notes.is_empty() {
        text.push_str(&format!("Left out or failed:\n\n{}\n", notes.concat()));
    }
    text
}
