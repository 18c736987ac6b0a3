//! Numbers as C's library reads them, which the old commands hand their arguments to: what follows a number
//! does not matter, and what begins with none is 0.

use super::c_double;

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

/// `strtod`.
pub(crate) fn double(text: &str) -> f64 {
    c_double::read(text).value
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
}
