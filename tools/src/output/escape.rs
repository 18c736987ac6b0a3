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

/// A word of a shell, in quotes if it has to be.
pub(crate) fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/_-.=:,@%+".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// A text of several lines as it is, but for what is no harmless character in them.
pub(crate) fn lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars()
        .for_each(|c| if matches!(c, '\n' | '\t') { out.push(c) } else { push(&mut out, c) });
    out
}

/// JSON that is the same, with what is no harmless character in its texts as the numbers of UTF-16. Line ends, which
/// are between its texts alone, stay.
pub(crate) fn json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || is_harmless(c) {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
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
    use super::{json, lines, plain, quoted};

    #[test]
    fn foreign_text_cannot_drive_the_terminal() {
        assert_eq!(quoted("a\"b\\c\u{1b}[2J\n\u{9b}"), r#""a\"b\\c\033[2J\n\u{9b}""#);
        assert_eq!(plain("\u{202e}x\u{7}\tä"), "\\u{202e}x\\007\\tä");
        assert_eq!(lines("<a>\n\t\u{202e}\u{1b}[2J</a>\r\n"), "<a>\n\t\\u{202e}\\033[2J</a>\\r\n");
    }

    #[test]
    fn json_cannot_drive_the_terminal_and_stays_what_it_is() {
        let text = "ä\u{9b}2J\u{7f}\u{202e}\u{e0041}\u{1b}\n😀";
        let written = serde_json::to_string_pretty(&[text]).unwrap();
        let escaped = json(&written);
        assert_eq!(escaped, "[\n  \"ä\\u009b2J\\u007f\\u202e\\udb40\\udc41\\u001b\\n😀\"\n]");
        assert_eq!(serde_json::from_str::<[String; 1]>(&escaped).unwrap(), [text]);
    }
}
