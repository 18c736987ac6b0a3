//! Hexadecimal, the form in which the handshake carries data.

/// The lower-case digits of `bytes`.
pub(super) fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 0xf)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// The bytes that `digits` stand for, in either case; `None` for anything that is not pairs of
/// digits.
// deviation: the reference reads an odd last digit as the high half of a byte; that is a client's
// mistake and is answered with ERROR.
pub(super) fn decode(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| Some(value(*pair.first()?)? << 4 | value(*pair.get(1)?)?)).collect()
}

fn value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_pairs_of_digits_only() {
        let check = |case: &str, digits: &str, expected: Option<&[u8]>| {
            assert_eq!(decode(digits).as_deref(), expected, "{case}");
        };
        check("nothing", "", Some(b""));
        check("lower case", "00ff7a", Some(b"\x00\xff\x7a"));
        check("upper case", "FFaB", Some(b"\xff\xab"));
        check("one digit", "3", None);
        check("odd", "303", None);
        check("not a digit", "3g", None);
        check("a blank", "30 31", None);
        check("a sign", "+1", None);
        check("beyond ASCII", "é", None);
    }

    #[test]
    fn encodes_what_it_decodes() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(encode(b"\x00\x9f\xff"), "009fff");
        assert_eq!(decode(&encode(&all)), Some(all));
    }
}
