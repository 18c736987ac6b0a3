//! Foreign text on a terminal: nothing in a message moves the cursor, changes colours or hides what follows.

use std::fmt::Write as _;

/// Whether a character can be shown as it is: no control character, nothing that turns the direction of writing
/// or is not seen.
pub(crate) fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
            | '\u{e000}'..='\u{f8ff}')
}

/// A text in double quotes, with backslashes before what would end it or is no harmless character.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c => push(&mut out, c),
        }
    }
    out.push('"');
    out
}

/// A text as it is, but for what is no harmless character.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push(&mut out, c));
    out
}

fn push(out: &mut String, c: char) {
    // Writing to a string does not fail.
    let _ = match c {
        '\n' => write!(out, "\\n"),
        '\r' => write!(out, "\\r"),
        '\t' => write!(out, "\\t"),
        c if is_harmless(c) => write!(out, "{c}"),
        c if c.is_ascii() => write!(out, "\\{:03o}", u32::from(c)),
        c => write!(out, "\\u{{{:x}}}", u32::from(c)),
    };
}

#[cfg(test)]
mod tests {
    use super::{plain, quoted};

    #[test]
    fn foreign_text_cannot_drive_the_terminal() {
        assert_eq!(quoted("a\"b\\c\u{1b}[2J\n\u{9b}"), r#""a\"b\\c\033[2J\n\u{9b}""#);
        assert_eq!(plain("\u{202e}x\u{7}\tä"), "\\u{202e}x\\007\\tä");
    }
}
