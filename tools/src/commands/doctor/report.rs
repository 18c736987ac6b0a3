//! What was found, for people and for programs.

use std::collections::HashSet;

use serde_json::{Value as Json, json};

use super::setting::Scope;
use crate::failure::Result;
use crate::options::Options;
use crate::output::escape::plain;
use crate::output::out::Out;
use crate::output::style::{Look, Style};

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Ok,
    Wrong,
    Unknown,
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Wrong => "wrong",
            Self::Unknown => "not known",
        }
    }

    const fn look(self) -> Look {
        match self {
            Self::Ok => Look::Green,
            Self::Wrong => Look::Red,
            Self::Unknown => Look::Yellow,
        }
    }
}

/// One step.
#[derive(Clone, Debug)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) verdict: Verdict,
    pub(super) saw: String,
    /// Commands of which each mends it in its way; a remark may follow after `#`.
    pub(super) mends: Vec<String>,
}

impl Check {
    pub(super) fn ok(name: &'static str, saw: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, saw: saw.into(), mends: Vec::new() }
    }

    pub(super) fn wrong(name: &'static str, saw: impl Into<String>) -> Self {
        Self { verdict: Verdict::Wrong, ..Self::ok(name, saw) }
    }

    pub(super) fn unknown(name: &'static str, saw: impl Into<String>) -> Self {
        Self { verdict: Verdict::Unknown, ..Self::ok(name, saw) }
    }

    pub(super) fn mends(mut self, commands: impl IntoIterator<Item = String>) -> Self {
        self.mends.extend(commands);
        self
    }

    fn to_json(&self) -> Json {
        json!({
            "check": self.name,
            "verdict": self.verdict.as_str(),
            "saw": self.saw,
            "mend": self.mends,
        })
    }

    fn text(&self, style: Style) -> String {
        let verdict = self.verdict.as_str();
        let blanks = " ".repeat("not known".len() - verdict.len());
        let verdict = style.paint(self.verdict.look(), verdict);
        let mut text = format!("{verdict}{blanks}  {:<15} {}\n", self.name, plain(&self.saw));
        for mend in &self.mends {
            text.push_str(&format!("{:27}mend: {}\n", "", style.paint(Look::Bold, &plain(mend))));
        }
        text
    }
}

/// All steps.
#[derive(Debug)]
pub(super) struct Report {
    scope: Scope,
    pub(super) checks: Vec<Check>,
    /// Whether a bus answered.
    pub(super) is_usable: bool,
}

impl Report {
    pub(super) const fn new(scope: Scope) -> Self {
        Self { scope, checks: Vec::new(), is_usable: false }
    }

    pub(super) fn push(&mut self, check: Check) {
        self.checks.push(check);
    }

    pub(super) fn extend(&mut self, checks: impl IntoIterator<Item = Check>) {
        self.checks.extend(checks);
    }

    /// What mends several is told once, where it is needed first.
    pub(super) fn tell_once(&mut self) {
        let mut told = HashSet::new();
        for check in &mut self.checks {
            check.mends.retain(|mend| told.insert(mend.clone()));
        }
    }

    pub(super) fn print(&self, options: &Options) -> Result<()> {
        let mut out = Out::plain();
        if let Some(form) = options.json() {
            out.json(form, &self.to_json())?;
            return out.finish();
        }
        let style = options.style();
        let shown = |check: &&Check| !options.quiet || check.verdict != Verdict::Ok;
        for check in self.checks.iter().filter(shown) {
            out.text(&check.text(style))?;
        }
        if !options.quiet {
            let bus = self.scope.as_str();
            out.line(&match self.is_usable {
                true => format!("The {bus} can be used."),
                false => format!("The {bus} cannot be used."),
            })?;
        }
        out.finish()
    }

    fn to_json(&self) -> Json {
        json!({
            "bus": self.scope.as_str(),
            "usable": self.is_usable,
            "checks": self.checks.iter().map(Check::to_json).collect::<Json>(),
        })
    }
}
