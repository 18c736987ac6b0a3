//! Numbers as systemd's commands read them: whole ones as `strtol(3)` does where it is told no base, and sizes.

use rustix::io::Errno;

use super::c_double;

/// A whole number in a range: decimal, octal after `0` or `0o`, hexadecimal after `0x`, binary after `0b`; blanks may
/// stand before it.
///
/// # Errors
/// `EINVAL` if it is none, `ERANGE` if it is another one.
pub(crate) fn whole<T: TryFrom<i128>>(word: &str) -> Result<T, Errno> {
    let word = word.trim_start_matches(|c: char| c.is_ascii_whitespace());
    let (is_negative, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (digits.get(2..), 16),
        [b'0', b'o' | b'O', ..] => (digits.get(2..), 8),
        [b'0', b'b' | b'B', ..] => (digits.get(2..), 2),
        [b'0', _, ..] => (digits.get(1..), 8),
        _ => (Some(digits), 10),
    };
    let digits = digits.unwrap_or_default();
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(Errno::INVAL);
    }
    let number = i128::from_str_radix(digits, radix).map_err(|_| Errno::RANGE)?;
    T::try_from(if is_negative { -number } else { number }).map_err(|_| Errno::RANGE)
}

/// A number with a point, in the C locale; blanks may stand before it.
///
/// # Errors
/// `EINVAL` if it is none, `ERANGE` if it is too large, or so small that digits of it are lost.
pub(crate) fn double(word: &str) -> Result<f64, Errno> {
    let number = c_double::read(word);
    match number.size {
        _ if number.is_out_of_range => Err(Errno::RANGE),
        0 => Err(Errno::INVAL),
        size if size < word.len() => Err(Errno::INVAL),
        _ => Ok(number.value),
    }
}

/// A number of bytes: `4096`, `4K`, `1.5M`, `1G 512M`.
///
/// # Errors
/// `EINVAL` if it is none, `ERANGE` if it is too large.
pub(crate) fn size(text: &str) -> Result<u64, Errno> {
    const UNITS: [(char, u32); 7] =
        [('E', 60), ('P', 50), ('T', 40), ('G', 30), ('M', 20), ('K', 10), ('B', 0)];
    let blank = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r');
    let mut rest = text;
    let mut total = 0u64;
    let mut largest = u32::MAX;
    loop {
        rest = unsigned(rest.trim_start_matches(blank))?;
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let after = after.trim_start_matches(blank);
        let unit =
            UNITS.iter().find_map(|(name, shift)| Some((*shift, after.strip_prefix(*name)?)));
        let (shift, after) = match unit {
            Some(unit) => unit,
            None if after.is_empty() => (0, after),
            None => return Err(Errno::INVAL),
        };
        // Each unit is smaller than the one before it.
        if shift >= largest {
            return Err(Errno::INVAL);
        }
        largest = shift;
        total = total.checked_add(scaled(number, shift)?).ok_or(Errno::RANGE)?;
        rest = after;
        if rest.is_empty() {
            return Ok(total);
        }
    }
}

/// Without a sign, which has to stand before a digit. No number below 0 is a size, nor is -0.
fn unsigned(text: &str) -> Result<&str, Errno> {
    let is_digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    match text.strip_prefix('-') {
        Some(digits) if is_digit(digits) => Err(Errno::RANGE),
        _ => Ok(text.strip_prefix('+').filter(|digits| is_digit(digits)).unwrap_or(text)),
    }
}

fn scaled(number: &str, shift: u32) -> Result<u64, Errno> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_number = !whole.is_empty() && fraction.chars().all(|c| c.is_ascii_digit());
    if !is_number {
        return Err(Errno::INVAL);
    }
    let whole: u64 = whole.parse().map_err(|_| Errno::RANGE)?;
    let scale = 1u64 << shift;
    let share: f64 = format!("0.{fraction}0").parse().map_err(|_| Errno::INVAL)?;
    let share = (share * scale as f64) as u64;
    whole.checked_mul(scale).and_then(|whole| whole.checked_add(share)).ok_or(Errno::RANGE)
}

/// The words of the C library for a number.
pub(crate) fn words_of(errno: Errno) -> String {
    libbus::host::phrase(&errno.into())
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::{double, size, whole};

    #[test]
    fn whole_numbers_have_the_bases_of_c() {
        for (word, wanted) in [
            ("16", Ok(16)),
            ("0x10", Ok(16)),
            ("-0X10", Ok(-16)),
            ("010", Ok(8)),
            ("0o10", Ok(8)),
            ("0b11", Ok(3)),
            (" +5", Ok(5)),
            ("0", Ok(0)),
            ("08", Err(Errno::INVAL)),
            ("0x", Err(Errno::INVAL)),
            ("5 ", Err(Errno::INVAL)),
            ("--5", Err(Errno::INVAL)),
            ("", Err(Errno::INVAL)),
            ("99999999999", Err(Errno::RANGE)),
            ("999999999999999999999999999999999999999999", Err(Errno::RANGE)),
        ] {
            assert_eq!(whole::<i32>(word), wanted, "{word:?}");
        }
        assert_eq!(whole::<u8>("-1"), Err(Errno::RANGE));
        assert_eq!(whole::<u8>("-0"), Ok(0));
    }

    #[test]
    fn numbers_with_points_are_those_of_the_c_locale() {
        assert_eq!(double(" 1e-3"), Ok(0.001));
        assert_eq!(double("1e999"), Err(Errno::RANGE));
        assert_eq!(double("inf"), Ok(f64::INFINITY));
        assert_eq!(double("0x1p3"), Ok(8.0));
        assert_eq!(double("1e-320"), Err(Errno::RANGE));
        assert_eq!(double("0x1p-1074"), Ok(5e-324));
        for wrong in ["", "1 ", "1,5", "x", "0x", "0x1p"] {
            assert_eq!(double(wrong), Err(Errno::INVAL), "{wrong:?}");
        }
    }

    #[test]
    fn sizes_have_units() {
        for (text, wanted) in [
            ("4096", Ok(4096)),
            ("4K", Ok(4096)),
            ("1.5K", Ok(1536)),
            ("1G 512M", Ok(1_610_612_736)),
            ("0", Ok(0)),
            ("5B", Ok(5)),
            ("1K1K", Err(Errno::INVAL)),
            ("4KK", Err(Errno::INVAL)),
            ("4BB", Err(Errno::INVAL)),
            ("4KB", Err(Errno::INVAL)),
            ("x", Err(Errno::INVAL)),
            ("", Err(Errno::INVAL)),
            ("1.x", Err(Errno::INVAL)),
            ("+5", Ok(5)),
            (" 5 ", Ok(5)),
            ("5K ", Err(Errno::INVAL)),
            ("5 5", Err(Errno::INVAL)),
            ("-1", Err(Errno::RANGE)),
            ("-0K", Err(Errno::RANGE)),
            ("-x", Err(Errno::INVAL)),
            ("- 5", Err(Errno::INVAL)),
            ("7E", Ok(7 << 60)),
            ("16E", Err(Errno::RANGE)),
            ("99999999999999999999", Err(Errno::RANGE)),
        ] {
            assert_eq!(size(text), wanted, "{text:?}");
        }
    }
}
