//! Numbers with a point as `strtod(3)` reads them in the C locale: what stands at the beginning of a text is a number,
//! in decimal or, after `0x`, in hexadecimal digits, `inf` or `nan`; blanks may stand before it.

/// What stands at the beginning of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Number {
    pub(crate) value: f64,
    /// How many bytes of the text it is; 0 if there is no number.
    pub(crate) size: usize,
    /// `ERANGE`: no such number is as large as this one, or it has lost digits since it is so small.
    pub(crate) is_out_of_range: bool,
}

pub(crate) fn read(text: &str) -> Number {
    let blanks = text.len() - text.trim_start_matches(is_space).len();
    let signed = text.get(blanks..).unwrap_or_default();
    let unsigned = signed.strip_prefix(['-', '+']).unwrap_or(signed);
    let hexadecimal = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X"));
    let found = hexadecimal.and_then(hexadecimal_number).map(|number| number.after(2));
    let found = found.or_else(|| named(unsigned)).or_else(|| decimal_number(unsigned));
    match found {
        None => Number { value: 0.0, size: 0, is_out_of_range: false },
        Some(number) => {
            let value = if signed.starts_with('-') { -number.value } else { number.value };
            Number { value, ..number.after(blanks + signed.len() - unsigned.len()) }
        }
    }
}

impl Number {
    const fn after(self, size: usize) -> Self {
        Self { size: self.size + size, ..self }
    }
}

const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}

/// `inf`, `infinity`, `nan`, and `nan(…)`, whose letters say nothing.
fn named(text: &str) -> Option<Number> {
    let begins =
        |name: &str| text.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name));
    let names = [("infinity", f64::INFINITY), ("inf", f64::INFINITY), ("nan", f64::NAN)];
    let (name, value) = names.into_iter().find(|(name, _)| begins(name))?;
    let letters = value.is_nan().then(|| letters_size(text.get(name.len()..)?)).flatten();
    let size = name.len() + letters.unwrap_or_default();
    Some(Number { value, size, is_out_of_range: false })
}

/// Letters and digits between brackets.
fn letters_size(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('(')?;
    let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    inner.get(end..)?.starts_with(')').then_some(end + 2)
}

fn decimal_number(text: &str) -> Option<Number> {
    let number = text.get(..decimal_size(text))?;
    let value: f64 = number.parse().ok()?;
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    let is_zero = !mantissa.contains(|c: char| ('1'..='9').contains(&c));
    let is_out_of_range = value.is_infinite() || (value < f64::MIN_POSITIVE && !is_zero);
    Some(Number { value, size: number.len(), is_out_of_range })
}

/// How much of the text is a decimal number.
fn decimal_size(text: &str) -> usize {
    let digits = |from: usize| text.bytes().skip(from).take_while(u8::is_ascii_digit).count();
    let whole = digits(0);
    let mut end = whole;
    if text.get(end..).is_some_and(|rest| rest.starts_with('.')) {
        let fraction = digits(end + 1);
        if whole + fraction > 0 {
            end += 1 + fraction;
        }
    }
    let exponent = text.get(end..).filter(|_| end > 0).and_then(|rest| exponent(rest, ['e', 'E']));
    end + exponent.map_or(0, |(_, size)| size)
}

/// An exponent after its letter, and its size.
fn exponent(text: &str, letters: [char; 2]) -> Option<(i64, usize)> {
    /// Beyond this the number is infinite or 0, however many digits it has.
    const MAX: i64 = 1 << 40;
    let signed = text.strip_prefix(letters)?;
    let unsigned = signed.strip_prefix(['-', '+']).unwrap_or(signed);
    let end = unsigned.find(|c: char| !c.is_ascii_digit()).unwrap_or(unsigned.len());
    let digits = unsigned.get(..end).filter(|digits| !digits.is_empty())?;
    let value = digits
        .bytes()
        .fold(0, |value: i64, digit| (value * 10 + i64::from(digit.saturating_sub(b'0'))).min(MAX));
    let value = if signed.starts_with('-') { -value } else { value };
    Some((value, text.len() - unsigned.len() + end))
}

/// What follows `0x`: digits, a point among them or not, and an exponent of 2.
fn hexadecimal_number(text: &str) -> Option<Number> {
    let mut scaled = Scaled::default();
    let (mut size, mut has_digit, mut is_fraction) = (0, false, false);
    for c in text.chars() {
        match c.to_digit(16) {
            Some(digit) => {
                scaled.push(digit, is_fraction);
                has_digit = true;
            }
            None if c == '.' && !is_fraction => is_fraction = true,
            None => break,
        }
        size += 1;
    }
    if !has_digit {
        return None;
    }
    let exponent = text.get(size..).and_then(|rest| exponent(rest, ['p', 'P']));
    if let Some((exponent, exponent_size)) = exponent {
        scaled.exponent += exponent;
        size += exponent_size;
    }
    let (value, is_out_of_range) = scaled.rounded();
    Some(Number { value, size, is_out_of_range })
}

/// `mantissa * 2^exponent`, and perhaps a bit more.
#[derive(Debug, Default)]
struct Scaled {
    mantissa: u64,
    exponent: i64,
    has_more: bool,
}

impl Scaled {
    fn push(&mut self, digit: u32, is_fraction: bool) {
        let is_full = self.mantissa >> 60 != 0;
        match is_full {
            true => self.has_more |= digit != 0,
            false => self.mantissa = self.mantissa << 4 | u64::from(digit),
        }
        self.exponent += match (is_full, is_fraction) {
            (true, false) => 4,
            (false, true) => -4,
            _ => 0,
        };
    }

    /// The number that is nearest, the even one of two; and whether it is infinite or has lost digits near 0.
    fn rounded(&self) -> (f64, bool) {
        /// The lowest bit of the smallest number, and the bits of a mantissa after its first one.
        const LOWEST: i64 = -1074;
        const BITS: i64 = 52;
        if self.mantissa == 0 {
            return (0.0, false);
        }
        let highest = self.exponent + i64::from(self.mantissa.ilog2());
        let lowest = (highest - BITS).max(LOWEST);
        let (kept, is_exact) = self.without(lowest - self.exponent);
        if highest > 1024 {
            return (f64::INFINITY, true);
        }
        // The exponent counts from the smallest number that has its first bit, and that bit is one of the exponent.
        let exponent = u64::try_from(lowest - LOWEST).unwrap_or_default();
        let value = f64::from_bits((exponent << BITS).wrapping_add(kept));
        let is_small = value < f64::MIN_POSITIVE;
        (value, value.is_infinite() || (is_small && !is_exact))
    }

    /// Without so many of the lowest bits, and whether these were 0.
    fn without(&self, bits: i64) -> (u64, bool) {
        match bits {
            // The mantissa is small then, and nothing of it was lost.
            ..0 => (self.mantissa << bits.unsigned_abs().min(63), true),
            65.. => (0, false),
            bits => {
                let (mantissa, half) = (u128::from(self.mantissa), (1u128 << bits) >> 1);
                let (kept, rest) = (mantissa >> bits, mantissa & ((1u128 << bits) - 1));
                let is_above = rest > half || (rest == half && (self.has_more || kept % 2 == 1));
                let is_exact = rest == 0 && !self.has_more;
                ((kept + u128::from(is_above && !is_exact)) as u64, is_exact)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn numbers_are_read_as_in_c() {
        let check = |text: &str, wanted: f64, size: usize| {
            let number = read(text);
            assert_eq!(number.value.to_bits(), wanted.to_bits(), "{text:?}: {}", number.value);
            assert_eq!((number.size, number.is_out_of_range), (size, false), "{text:?}");
        };
        check("1.5x", 1.5, 3);
        check(" -2.", -2.0, 4);
        check(".5", 0.5, 2);
        check("1e3", 1000.0, 3);
        check("1e", 1.0, 1);
        check("1e+", 1.0, 1);
        check("2e-2z", 0.02, 4);
        for none in [".", "", "abc", "-", "++1", "e5"] {
            check(none, 0.0, 0);
        }
        check("-Infinity", f64::NEG_INFINITY, 9);
        check("infx", f64::INFINITY, 3);
        check("-0", -0.0, 2);
        for (text, size) in [("nan", 3), ("nan(", 3), ("nan(ab_1)x", 9), ("NaN(-)", 3)] {
            check(text, f64::NAN, size);
        }
    }

    #[test]
    fn hexadecimal_numbers_are_rounded_to_the_nearest() {
        let check = |text: &str, wanted: f64, size: usize| {
            let number = read(text);
            assert_eq!((number.value, number.size), (wanted, size), "{text:?}");
            assert!(!number.is_out_of_range, "{text:?}");
        };
        check("0x1p3", 8.0, 5);
        check("-0X1P-3z", -0.125, 7);
        check("0x1.8", 1.5, 5);
        check("0x.8p", 0.5, 4);
        check("0x", 0.0, 1);
        check("0x.", 0.0, 1);
        check("0x0p99999999999999999999", 0.0, 24);
        check("0x1p-1074", 5e-324, 9);
        check("0x1p-1022", f64::MIN_POSITIVE, 9);
        check("0x0.8p-1022", f64::MIN_POSITIVE / 2.0, 11);
        check("0x1.fffffffffffffp1023", f64::MAX, 22);
        check("0x1.00000000000008p0", 1.0, 20);
        check("0x1.00000000000018p0", 1.0 + 2.0 * f64::EPSILON, 20);
        check("0x1.000000000000080000000001p0", 1.0 + f64::EPSILON, 30);
        check("0x123456789abcdef01234p0", 85_968_058_283_706_962_416_180.0, 24);
        check("0x10000000000000000000000000", 2f64.powi(100), 28);
    }

    #[test]
    fn what_is_out_of_range_is_told() {
        let check = |text: &str, wanted: f64| {
            let number = read(text);
            let told = (number.value, number.is_out_of_range, number.size);
            assert_eq!(told, (wanted, true, text.len()), "{text:?}");
        };
        check("1e309", f64::INFINITY);
        check("-1e309", f64::NEG_INFINITY);
        check("1e-320", 1e-320);
        check("1e-400", 0.0);
        check("0x1p1024", f64::INFINITY);
        check("0x1.fffffffffffff8p1023", f64::INFINITY);
        check("0x1p99999999999999999999", f64::INFINITY);
        check("0x1p-99999999999999999999", 0.0);
        check("0x1p-1075", 0.0);
        check("0x1.8p-1074", 1e-323);
        check("0x0.80000000000001p-1022", f64::MIN_POSITIVE / 2.0);
    }
}
