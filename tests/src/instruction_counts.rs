//! How many instructions each scenario of `benches/instructions` is expected to take, and what to
//! say of a change.
//!
//! The expectations stand in a file of TOML: the compiler they were counted with and, by scenario,
//! the instructions of one operation. A count may rise by [`CHANGE_PERCENT_MAX`]; what rises by more
//! must be accepted, which rewrites the file, and explained in the commit that does so.

use std::fmt::Write as _;

/// By how many per cent a count may differ from the expected one.
pub const CHANGE_PERCENT_MAX: u64 = 5;

/// What the file begins with.
const HEADER: &str = "\
# Instructions of one operation of each scenario, counted by callgrind. Made by
#
#     cargo bench -p bus-tests --bench instructions -- --accept
#
# They depend on the toolchain in use: the compiler and the C library. A commit that raises one says
# why.
";

/// Scenarios and the instructions of one of their operations.
pub type Counts = Vec<(String, u64)>;

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectations {
    /// The compiler that these were counted with.
    pub rustc: String,
    /// In the order of the file to be written.
    pub counts: Counts,
}

/// What is to be said of one scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Which scenario.
    pub scenario: String,
    /// What the file says.
    pub expected: Option<u64>,
    /// What was counted.
    pub now: Option<u64>,
    /// What comes of it.
    pub verdict: Verdict,
}

/// What comes of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The count is what it was, or differs by no more than it may.
    Kept,
    /// The count fell by more: good, and to be written down.
    Fallen,
    /// The count rose by more.
    Risen,
    /// The file does not know the scenario.
    NotExpected,
    /// The file names a scenario that there is not.
    NoSuchScenario,
}

impl Verdict {
    /// Whether the change may not go in like this.
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Risen | Self::NotExpected | Self::NoSuchScenario)
    }

    const fn of(expected: u64, now: u64) -> Self {
        if now * 100 > expected * (100 + CHANGE_PERCENT_MAX) {
            Self::Risen
        } else if now * 100 < expected * (100 - CHANGE_PERCENT_MAX) {
            Self::Fallen
        } else {
            Self::Kept
        }
    }
}

impl Comparison {
    /// By how many per cent the count changed, if there are two to compare.
    pub fn change_percent(&self) -> Option<f64> {
        let (expected, now) = (self.expected? as f64, self.now? as f64);
        Some((now / expected - 1.0) * 100.0)
    }
}

impl Expectations {
    /// Reads the file.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let table: toml::Table = text.parse().map_err(|error| format!("{error}"))?;
        let rustc = table.get("rustc").and_then(toml::Value::as_str).ok_or("no `rustc`")?;
        let counts = table.get("instructions").and_then(toml::Value::as_table);
        let counts = counts.ok_or("no table `instructions`")?.iter().map(count_of);
        Ok(Self { rustc: rustc.to_owned(), counts: counts.collect::<Result<_, _>>()? })
    }

    /// The file's text.
    pub fn to_toml(&self) -> String {
        let mut text = format!("{HEADER}rustc = {:?}\n\n[instructions]\n", self.rustc);
        for (scenario, count) in &self.counts {
            let _ = writeln!(text, "{scenario} = {count}");
        }
        text
    }

    /// Compares what was counted now, in its order; after that comes what the file names and is not
    /// among the `known` scenarios.
    pub fn compare(&self, known: &[&str], now: &Counts) -> Vec<Comparison> {
        let counted = now.iter().map(|(scenario, count)| self.compare_one(scenario, *count));
        let gone = self.counts.iter().filter(|(scenario, _)| !known.contains(&scenario.as_str()));
        let gone = gone.map(|(scenario, expected)| Comparison {
            scenario: scenario.clone(),
            expected: Some(*expected),
            now: None,
            verdict: Verdict::NoSuchScenario,
        });
        counted.chain(gone).collect()
    }

    fn compare_one(&self, scenario: &str, now: u64) -> Comparison {
        let expected = self.counts.iter().find(|(known, _)| known == scenario);
        let expected = expected.map(|(_, count)| *count);
        Comparison {
            scenario: scenario.to_owned(),
            expected,
            now: Some(now),
            verdict: expected.map_or(Verdict::NotExpected, |expected| Verdict::of(expected, now)),
        }
    }
}

/// One line of the table.
fn count_of((scenario, value): (&String, &toml::Value)) -> Result<(String, u64), String> {
    let count = value.as_integer().and_then(|count| u64::try_from(count).ok());
    let count = count.filter(|count| *count > 0);
    Ok((scenario.clone(), count.ok_or_else(|| format!("{scenario}: not a count above 0"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 2] = ["call", "signal"];

    fn counts(counts: &[(&str, u64)]) -> Counts {
        counts.iter().map(|(scenario, count)| ((*scenario).to_owned(), *count)).collect()
    }

    fn expectations(list: &[(&str, u64)]) -> Expectations {
        Expectations { rustc: "rustc 1.0.0 \"quoted\"".to_owned(), counts: counts(list) }
    }

    /// Scenarios and verdicts of `now` where `expected` stands in the file.
    #[track_caller]
    fn check(expected: &[(&str, u64)], now: &[(&str, u64)], verdicts: &[(&str, Verdict)]) {
        let comparisons = expectations(expected).compare(&KNOWN, &counts(now));
        let found: Vec<_> = comparisons.iter().map(|c| (c.scenario.as_str(), c.verdict)).collect();
        assert_eq!(found, verdicts);
    }

    #[test]
    fn a_count_may_rise_by_five_per_cent_and_no_more() {
        check(&[("call", 1000)], &[("call", 1000)], &[("call", Verdict::Kept)]);
        check(&[("call", 1000)], &[("call", 1050)], &[("call", Verdict::Kept)]);
        check(&[("call", 1000)], &[("call", 1051)], &[("call", Verdict::Risen)]);
        check(&[("call", 10)], &[("call", 11)], &[("call", Verdict::Risen)]);
    }

    #[test]
    fn a_fall_by_more_than_five_per_cent_is_told() {
        check(&[("call", 1000)], &[("call", 950)], &[("call", Verdict::Kept)]);
        check(&[("call", 1000)], &[("call", 949)], &[("call", Verdict::Fallen)]);
        check(&[("call", 1000)], &[("call", 0)], &[("call", Verdict::Fallen)]);
    }

    #[test]
    fn a_scenario_that_the_file_does_not_know_fails() {
        check(
            &[("call", 1000)],
            &[("signal", 7), ("call", 1000)],
            &[("signal", Verdict::NotExpected), ("call", Verdict::Kept)],
        );
    }

    #[test]
    fn a_scenario_of_the_file_that_there_is_not_fails() {
        check(
            &[("call", 1000), ("gone", 7)],
            &[("call", 1000)],
            &[("call", Verdict::Kept), ("gone", Verdict::NoSuchScenario)],
        );
    }

    #[test]
    fn a_known_scenario_that_was_not_counted_is_not_compared() {
        check(&[("call", 1000), ("signal", 7)], &[("signal", 7)], &[("signal", Verdict::Kept)]);
    }

    #[test]
    fn only_what_must_be_accepted_fails() {
        let failures = [Verdict::Risen, Verdict::NotExpected, Verdict::NoSuchScenario];
        assert!(failures.into_iter().all(Verdict::is_failure));
        assert!(![Verdict::Kept, Verdict::Fallen].into_iter().any(Verdict::is_failure));
    }

    #[test]
    fn a_change_is_told_in_per_cent() {
        let comparison = expectations(&[("call", 1000)]).compare_one("call", 900);
        assert!((comparison.change_percent().unwrap() + 10.0).abs() < 1e-9);
        assert_eq!(expectations(&[]).compare_one("call", 900).change_percent(), None);
    }

    #[test]
    fn what_is_written_reads_the_same() {
        let expectations = expectations(&[("call", 1000), ("rules-10000", 7)]);
        assert_eq!(Expectations::parse(&expectations.to_toml()), Ok(expectations));
    }

    #[test]
    fn the_file_must_be_whole() {
        let error = |text: &str| Expectations::parse(text).unwrap_err();
        assert_eq!(error("[instructions]"), "no `rustc`");
        assert_eq!(error("rustc = 'rustc 1'"), "no table `instructions`");
        for count in ["0", "-1", "1.5", "'1'"] {
            let text = format!("rustc = 'rustc 1'\n[instructions]\ncall = {count}");
            assert_eq!(error(&text), "call: not a count above 0");
        }
        assert!(Expectations::parse("rustc").is_err());
    }
}
