//! Numbers in few columns.

/// A number of things: `999`, `1.2k`, `34M`.
pub(crate) fn count(number: f64) -> String {
    scaled(number, 1000.0, &["", "k", "M", "G", "T"])
}

/// A number of bytes: `999`, `1.2K`, `34M`, in powers of 1024.
pub(crate) fn bytes(number: f64) -> String {
    scaled(number, 1024.0, &["", "K", "M", "G", "T"])
}

/// A rate: less than ten has a decimal, if it is not nothing.
pub(crate) fn rate(number: f64) -> String {
    if number > 0.0 && number < 9.95 { format!("{number:.1}") } else { count(number) }
}

/// How long: `15ms`, `2.3s`, `4m05`, `3h07`, `2d04h`.
pub(crate) fn time(ms: u64) -> String {
    let (seconds, minutes, hours) = (ms / 1000, ms / 60_000, ms / 3_600_000);
    match ms {
        0..1000 => format!("{ms}ms"),
        1000..60_000 => format!("{seconds}.{}s", ms % 1000 / 100),
        60_000..3_600_000 => format!("{minutes}m{:02}", seconds % 60),
        3_600_000..86_400_000 => format!("{hours}h{:02}", minutes % 60),
        _ => format!("{}d{:02}h", hours / 24, hours % 24),
    }
}

/// Thousandths as per cent: a little is not nothing.
pub(crate) fn per_cent(per_mille: u64) -> String {
    match per_mille {
        0 => "0%".to_owned(),
        1..10 => "<1%".to_owned(),
        _ => format!("{}%", per_mille / 10),
    }
}

/// Three digits at most before the unit.
fn scaled(number: f64, step: f64, units: &[&str]) -> String {
    let mut scaled = number;
    let mut units = units.iter().copied();
    let mut unit = units.next().unwrap_or_default();
    while scaled >= step - 0.5
        && let Some(next) = units.next()
    {
        (scaled, unit) = (scaled / step, next);
    }
    let has_decimal = !unit.is_empty() && scaled < 9.95;
    if has_decimal { format!("{scaled:.1}{unit}") } else { format!("{scaled:.0}{unit}") }
}

#[cfg(test)]
mod tests {
    use super::{bytes, count, per_cent, rate, time};

    #[test]
    fn numbers_are_short() {
        let counts = [0.0, 999.0, 999.6, 1234.0, 34_000_000.0, 5e15].map(count);
        assert_eq!(counts, ["0", "999", "1.0k", "1.2k", "34M", "5000T"]);
        assert_eq!([1023.0, 1024.0, 1_048_576.0].map(bytes), ["1023", "1.0K", "1.0M"]);
        assert_eq!([0.0, 0.5, 9.9, 10.2].map(rate), ["0", "0.5", "9.9", "10"]);
        assert_eq!([0, 4, 10, 1000].map(per_cent), ["0%", "<1%", "1%", "100%"]);
    }

    #[test]
    fn times_are_short() {
        let times = [15, 2345, 245_000, 11_220_000, 187_200_000].map(time);
        assert_eq!(times, ["15ms", "2.3s", "4m05", "3h07", "2d04h"]);
    }
}
