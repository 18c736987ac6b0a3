//! Text from outside in lines for administrators: one line stays one line.
//!
//! A file's name may hold anything but `/` and NUL, and so may the value of an attribute. What would
//! move the cursor or end the line is written as an escape.

use std::fmt::{self, Write as _};
use std::path::Path;

/// A path as it is shown: control characters and line separators as in a Rust string, such as `\n`,
/// and bytes that are not UTF-8 as `\xff`. A backslash is left alone: this is to be read, not to be
/// parsed.
#[derive(Clone, Copy, Debug)]
pub struct ShownPath<'a>(pub &'a Path);

impl fmt::Display for ShownPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.as_os_str().as_encoded_bytes().utf8_chunks() {
            for letter in chunk.valid().chars() {
                match breaks_lines(letter) {
                    true => write!(f, "{}", letter.escape_debug())?,
                    false => f.write_char(letter)?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// The value of an attribute as it stands between quotes in XML.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShownValue<'a>(pub(crate) &'a str);

impl fmt::Display for ShownValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '"' => f.write_str("&quot;")?,
                letter if breaks_lines(letter) => write!(f, "&#x{:x};", u32::from(letter))?,
                letter => f.write_char(letter)?,
            }
        }
        Ok(())
    }
}

fn breaks_lines(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_path_stays_on_its_line() {
        let check = |path: &[u8], expected: &str| {
            let path = Path::new(OsStr::from_bytes(path));
            assert_eq!(ShownPath(path).to_string(), expected);
        };
        check(b"/etc/a b.conf", "/etc/a b.conf");
        check("/\u{e4}'\"\\x".as_bytes(), "/\u{e4}'\"\\x");
        check(b"/a\nerror: b\r\t\x1b[31m\x7f", "/a\\nerror: b\\r\\t\\u{1b}[31m\\u{7f}");
        check("/\u{85}\u{2028}".as_bytes(), "/\\u{85}\\u{2028}");
        check(b"/\xff\xfea", "/\\xff\\xfea");
    }

    #[test]
    fn a_value_can_be_put_into_a_configuration_again() {
        let check = |value: &str, expected: &str| {
            assert_eq!(ShownValue(value).to_string(), expected);
        };
        check("org.example.A", "org.example.A");
        check("a&b<c>\"d'", "a&amp;b&lt;c>&quot;d'");
        check("a\n\u{85}", "a&#xa;&#x85;");
    }
}
