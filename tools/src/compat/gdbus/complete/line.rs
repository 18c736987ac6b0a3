//! A command line as a shell would split it, and the word before the one at the cursor.

use std::iter::Peekable;
use std::str::Chars;

/// A line that is being typed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Without the quotes in them.
    pub(super) words: Vec<String>,
    /// What stands before the word at the cursor, as it is typed.
    pub(super) previous: String,
}

impl Line {
    /// Nothing, if a quote is open, or there is no word. `point`: so many bytes are before the cursor.
    pub(super) fn read(text: &str, point: i64) -> Option<Self> {
        let words = split(text)?;
        let point = usize::try_from(point).unwrap_or(text.len()).min(text.len());
        let is_blank = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_whitespace);
        let bytes = text.as_bytes();
        let mut start = point;
        while start > 0 && !is_blank(bytes.get(start - 1)) {
            start -= 1;
        }
        let before = text.get(..start).unwrap_or_default();
        let previous = before.split_ascii_whitespace().next_back().unwrap_or_default().to_owned();
        Some(Self { words, previous })
    }
}

/// The words, as `sh(1)` has them without its expansions; a comment ends them.
fn split(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '#' if word.is_none() => while chars.next_if(|c| *c != '\n').is_some() {},
            '\'' | '"' => quoted(c, &mut chars, word.get_or_insert_default())?,
            '\\' => match chars.next()? {
                '\n' => {}
                escaped => word.get_or_insert_default().push(escaped),
            },
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    (!words.is_empty()).then_some(words)
}

/// Up to the quote at its end.
fn quoted(quote: char, chars: &mut Peekable<Chars<'_>>, word: &mut String) -> Option<()> {
    loop {
        match chars.next()? {
            c if c == quote => return Some(()),
            '\\' if quote == '"' => match chars.next()? {
                '\n' => {}
                c if "$`\"\\".contains(c) => word.push(c),
                c => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Line;

    #[test]
    fn lines_are_split_as_shells_split_them() {
        let check = |text: &str, wanted: Option<&[&str]>| {
            let words = Line::read(text, 0).map(|line| line.words);
            let wanted: Option<Vec<String>> =
                wanted.map(|words| words.iter().map(|word| (*word).to_owned()).collect());
            assert_eq!(words, wanted, "{text:?}");
        };
        check(" a  b\tc", Some(&["a", "b", "c"]));
        check("'a b'\"c\\\"\\x\"d\\ e ''", Some(&["a bc\"\\xd e", ""]));
        check("a # b c\nd#e", Some(&["a", "d#e"]));
        for none in ["", " ", "# a", "'a", "\"a", "a \\"] {
            check(none, None);
        }
    }

    #[test]
    fn the_word_before_the_point_is_found() {
        let check = |text: &str, point: i64, wanted: &str| {
            assert_eq!(Line::read(text, point).unwrap().previous, wanted, "{text:?} {point}");
        };
        check("a --b c", 7, "--b");
        check("a --b c", 6, "--b");
        check("a --b  ", 7, "--b");
        check("a --b", 5, "a");
        check("a --b", 99, "a");
        check("a", 0, "");
        check("a b é", 5, "b");
    }
}
