//! What came of a replay, in numbers.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Value as Json, json};

/// Names of errors that are counted each for itself; others are counted together.
const ERRORS_MAX: usize = 100;
const OTHERS: &str = "others";

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LeftOut {
    /// It is what clients and the bus say to each other, and was said anew.
    OfTheBus,
    /// It went to a unique name, and no other name of that client is known.
    UnknownName,
    /// Its descriptors are in no capture.
    Descriptors,
    /// Not all of it was captured.
    Cut,
}

impl LeftOut {
    const fn text(self) -> &'static str {
        match self {
            Self::OfTheBus => "to or from the bus itself",
            Self::UnknownName => "to a client of which no well-known name is known",
            Self::Descriptors => "with file descriptors",
            Self::Cut => "cut by the capture",
        }
    }

    const fn key(self) -> &'static str {
        match self {
            Self::OfTheBus => "bus",
            Self::UnknownName => "unknown_name",
            Self::Descriptors => "descriptors",
            Self::Cut => "cut",
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) calls: u64,
    pub(super) signals: u64,
    pub(super) replies: u64,
    pub(super) unanswered: u64,
    pub(super) took: Duration,
    errors: BTreeMap<String, u64>,
    left_out: BTreeMap<LeftOut, u64>,
}

impl Summary {
    pub(super) fn note_error(&mut self, name: &str) {
        let is_known = self.errors.len() < ERRORS_MAX || self.errors.contains_key(name);
        let name = if is_known { name } else { OTHERS };
        *self.errors.entry(name.to_owned()).or_default() += 1;
    }

    pub(super) fn leave_out(&mut self, reason: LeftOut) {
        *self.left_out.entry(reason).or_default() += 1;
    }

    fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    pub(super) fn to_json(&self) -> Json {
        let left_out = self.left_out.iter().map(|(reason, count)| (reason.key(), *count));
        json!({
            "calls": self.calls,
            "signals": self.signals,
            "replies": self.replies,
            "errors": self.errors,
            "unanswered": self.unanswered,
            "left_out": left_out.collect::<BTreeMap<_, _>>(),
            "seconds": self.took.as_secs_f64(),
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        writeln!(f, "sent      {} calls, {} signals in {seconds:.3} s", self.calls, self.signals)?;
        write!(f, "answered  {} replies, {} errors", self.replies, self.error_count())?;
        writeln!(f, ", {} without an answer in time", self.unanswered)?;
        for (name, count) in &self.errors {
            writeln!(f, "  {count:>7} {name}")?;
        }
        let total: u64 = self.left_out.values().sum();
        writeln!(f, "left out  {total}")?;
        for (reason, count) in &self.left_out {
            writeln!(f, "  {count:>7} {}", reason.text())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_counted() {
        let mut summary =
            Summary { calls: 3, signals: 1, replies: 1, unanswered: 1, ..Summary::default() };
        summary.note_error("org.example.Error.A");
        summary.leave_out(LeftOut::Cut);
        summary.leave_out(LeftOut::OfTheBus);
        summary.leave_out(LeftOut::Cut);
        let text = "sent      3 calls, 1 signals in 0.000 s\n\
            answered  1 replies, 1 errors, 1 without an answer in time\n        1 org.example.Error.A\n\
            left out  3\n        1 to or from the bus itself\n        2 cut by the capture\n";
        assert_eq!(summary.to_string(), text);
        let json = summary.to_json();
        assert_eq!(json["left_out"], json!({ "bus": 1, "cut": 2 }));
        assert_eq!(json["errors"], json!({ "org.example.Error.A": 1 }));
    }

    #[test]
    fn names_of_errors_are_bounded() {
        let mut summary = Summary::default();
        (0..200).for_each(|number| summary.note_error(&format!("org.example.E{number}")));
        assert_eq!((summary.errors.len(), summary.errors[OTHERS]), (ERRORS_MAX + 1, 100));
        assert_eq!(summary.error_count(), 200);
    }
}
