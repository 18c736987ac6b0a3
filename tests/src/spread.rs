//! Median and range of what was measured, for benchmarks.

use std::fmt;

/// Median, least and most of some values, in their unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one; of an even number of values what is between the two in the middle.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl Spread {
    /// Nothing, if there are no values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            1 => *values.get(middle)?,
            _ => (values.get(middle.checked_sub(1)?)? + values.get(middle)?) / 2.0,
        };
        Some(Self { median, least, most })
    }
}

/// `median (least–most)`.
impl fmt::Display for Spread {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { median, least, most } = self;
        write!(out, "{median:.2} ({least:.2}–{most:.2})")
    }
}

#[test]
fn of_all_values() {
    assert_eq!(Spread::of([]), None);
    assert_eq!(Spread::of([3.0]).unwrap().to_string(), "3.00 (3.00–3.00)");
    assert_eq!(Spread::of([3.0, 1.0, 2.0]).unwrap().to_string(), "2.00 (1.00–3.00)");
    assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).unwrap().to_string(), "2.50 (1.00–4.00)");
}
