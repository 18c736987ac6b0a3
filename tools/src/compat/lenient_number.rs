//! Numbers as C's library reads them, which the old commands hand their arguments to: what follows a number
//! does not matter, and what begins with none is 0.

/// What `strtol` says of a text with base 0: decimal, `0x…`, or octal after a `0`. Its bounds are those of 64 bits.
pub(crate) fn integer(text: &str) -> i128 {
    let text = text.trim_start_matches(is_space);
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let hexadecimal =
        hexadecimal.filter(|digits| digits.starts_with(|c: char| c.is_ascii_hexdigit()));
    let (digits, radix) = match hexadecimal {
        Some(digits) => (digits, 16),
        None => (digits, if digits.starts_with('0') { 8 } else { 10 }),
    };
    let digits = digits.chars().map_while(|c| c.to_digit(radix));
    // Beyond what 64 bits hold it does not matter by how much.
    let bound = i128::from(u64::MAX) + 1;
    let value = digits
        .fold(0, |value: i128, digit| (value * i128::from(radix) + i128::from(digit)).min(bound));
    if is_negative { -value } else { value }
}

/// `strtol`, which stops at the bounds of 64 bits.
pub(crate) fn signed(text: &str) -> i64 {
    let bounds = (i128::from(i64::MIN), i128::from(i64::MAX));
    integer(text).clamp(bounds.0, bounds.1) as i64
}

/// `strtoul`, which takes negative numbers for those of the other end.
pub(crate) fn unsigned(text: &str) -> u64 {
    let value = integer(text);
    match value.unsigned_abs() > u128::from(u64::MAX) {
        true => u64::MAX,
        false => value as u64,
    }
}

/// `strtod`, without hexadecimal numbers: nothing for one.
pub(crate) fn double(text: &str) -> Option<f64> {
    let text = text.trim_start_matches(is_space);
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned.starts_with("0x") || unsigned.starts_with("0X") {
        return None;
    }
    let sign = text.len() - unsigned.len();
    let word = unsigned.bytes().take_while(u8::is_ascii_alphabetic).count();
    let named = ["infinity", "inf", "nan"];
    let named = named.iter().find(|name| {
        unsigned.get(..name.len().min(word)).is_some_and(|word| word.eq_ignore_ascii_case(name))
    });
    let end = sign + named.map_or_else(|| decimal_size(unsigned), |name| name.len());
    Some(text.get(..end).and_then(|number| number.parse().ok()).unwrap_or(0.0))
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
    let is_exponent = end > 0 && text.get(end..).is_some_and(|rest| rest.starts_with(['e', 'E']));
    if is_exponent {
        let signed = text.get(end + 1..).is_some_and(|rest| rest.starts_with(['-', '+']));
        let start = end + 1 + usize::from(signed);
        let exponent = digits(start);
        if exponent > 0 {
            end = start + exponent;
        }
    }
    end
}

const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_as_in_c() {
        let check = |text: &str, wanted: i64| assert_eq!(signed(text), wanted, "{text:?}");
        check("5", 5);
        check(" \t-5x", -5);
        check("0x1F", 31);
        check("0x", 0);
        check("010", 8);
        check("08", 0);
        check("+7", 7);
        check("abc", 0);
        check("", 0);
        check("99999999999999999999999999999999999999999999", i64::MAX);
        check("-99999999999999999999", i64::MIN);
        assert_eq!(unsigned("-1"), u64::MAX);
        assert_eq!(unsigned("-5") as u32, 4_294_967_291);
        assert_eq!(unsigned("99999999999999999999"), u64::MAX);
        assert_eq!(unsigned("-99999999999999999999"), u64::MAX);
    }

    #[test]
    fn numbers_are_read_as_in_c() {
        let check = |text: &str, wanted: f64| assert_eq!(double(text), Some(wanted), "{text:?}");
        check("1.5x", 1.5);
        check(" -2.", -2.0);
        check(".5", 0.5);
        check("1e3", 1000.0);
        check("1e", 1.0);
        check("1e+", 1.0);
        check("2e-2z", 0.02);
        check(".", 0.0);
        check("", 0.0);
        check("abc", 0.0);
        check("-Infinity", f64::NEG_INFINITY);
        check("infx", f64::INFINITY);
        assert!(double("nan").is_some_and(f64::is_nan));
        assert_eq!(double("0x1p3"), None);
    }
}
