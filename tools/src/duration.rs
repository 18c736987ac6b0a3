//! Lengths of time, as people type them: `5`, `2.5`, `500ms`, `1min 30s` (tools.md D024).

use std::time::Duration;

/// Units and how many seconds they are.
const UNITS: &[(&str, f64)] = &[
    ("us", 1e-6),
    ("µs", 1e-6),
    ("usec", 1e-6),
    ("ms", 1e-3),
    ("msec", 1e-3),
    ("", 1.0),
    ("s", 1.0),
    ("sec", 1.0),
    ("second", 1.0),
    ("seconds", 1.0),
    ("m", 60.0),
    ("min", 60.0),
    ("minute", 60.0),
    ("minutes", 60.0),
    ("h", 3600.0),
    ("hr", 3600.0),
    ("hour", 3600.0),
    ("hours", 3600.0),
    ("d", 86_400.0),
    ("day", 86_400.0),
    ("days", 86_400.0),
    ("w", 604_800.0),
    ("week", 604_800.0),
    ("weeks", 604_800.0),
    ("month", 2_629_800.0),
    ("months", 2_629_800.0),
    ("y", 31_557_600.0),
    ("year", 31_557_600.0),
    ("years", 31_557_600.0),
];

/// The longest time that is one: clocks overflow when much more is added to them.
const TIME_MAX: Duration = Duration::from_secs(100 * 31_557_600);

/// The time that a text says, of a hundred years at most.
///
/// # Errors
/// It says none; what is expected.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a length of time, such as 5, 500ms or 2min".to_owned();
    let mut seconds = 0.0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 =
            rest.get(..end).and_then(|digits| digits.parse().ok()).ok_or_else(wrong)?;
        rest = rest.get(end..).unwrap_or_default().trim_start();
        let end =
            rest.find(|c: char| c.is_ascii_digit() || c.is_whitespace()).unwrap_or(rest.len());
        let unit = rest.get(..end).unwrap_or_default();
        let factor = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1;
        seconds += number * factor;
        rest = rest.get(end..).unwrap_or_default().trim_start();
    }
    let time = Duration::try_from_secs_f64(seconds).ok();
    time.filter(|time| *time <= TIME_MAX).ok_or_else(|| "expected at most 100 years".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::parse_duration;

    #[test]
    fn times_are_read_with_and_without_units() {
        let check = |text: &str, wanted: Option<u64>| {
            assert_eq!(parse_duration(text).ok(), wanted.map(Duration::from_millis), "{text:?}");
        };
        check("5", Some(5000));
        check("2.5", Some(2500));
        check("500ms", Some(500));
        check("1min 30s", Some(90_000));
        check("2 h", Some(7_200_000));
        for wrong in ["", "s", "5 parsecs", "-1", "1..2", "9e99"] {
            check(wrong, None);
        }
        check("1y", Some(31_557_600_000));
        check("100y", Some(3_155_760_000_000));
        for too_long in ["100y 1s", "101years", "3155760001", "99999999999999999999"] {
            check(too_long, None);
        }
    }
}
