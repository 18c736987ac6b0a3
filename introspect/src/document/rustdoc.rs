//! Texts as lines of documentation in Rust source.
//!
//! Rustdoc reads CommonMark with GitHub's dialect, links `[names]`, tests code and has dashes made
//! of `--`; what could mean something to it is escaped, and addresses are links of their own. Signs
//! that would turn the source's writing direction are replaced, since compilers refuse them.

use super::markdown;
use super::outline::{Block, Span};
use super::words;

/// The lines of a text, at most `width` characters long where words allow it. Paragraphs are
/// apart by an empty line; there is none at the beginning or the end.
pub(crate) fn lines(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for block in words::blocks(text) {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        match block {
            Block::Paragraph(content) | Block::Heading { title: content, .. } => {
                lines.extend(wrapped(&plain(&content), "", "", width));
            }
            Block::List(items) => {
                for item in items {
                    lines.extend(wrapped(&plain(&item), "- ", "  ", width));
                }
            }
            Block::Code(code) => lines.extend(code_lines(&code)),
        }
    }
    lines
}

/// An item of a list: a name, and what it is.
pub(crate) fn item(name: &str, text: &str, width: usize) -> Vec<String> {
    wrapped(text, &format!("- `{name}`: "), "  ", width)
}

/// A text that someone else has written for one line.
pub(crate) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().map(shown).collect()
}

fn plain(spans: &[Span]) -> String {
    let words = |span: &Span| match span {
        Span::Text(text) => text.clone(),
        Span::Strong(words) => (*words).to_owned(),
        Span::Code(name) | Span::Link { name, .. } => name.clone(),
    };
    spans.iter().map(words).collect()
}

/// Words in lines, of which none begins anything but `first` does.
fn wrapped(text: &str, first: &str, others: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut lead, mut line) = (first, String::new());
    for word in text.split_whitespace() {
        let word = escaped(word);
        let size = [lead, &line, &word].iter().map(|part| part.chars().count()).sum::<usize>();
        if !line.is_empty() && size + 1 > width {
            lines.push(format!("{lead}{line}"));
            (lead, line) = (others, String::new());
        }
        if line.is_empty() {
            line = plain_beginning(&word);
        } else {
            line.push(' ');
            line.push_str(&word);
        }
    }
    lines.push(format!("{lead}{line}").trim_end().to_owned());
    lines
}

/// A word that means nothing but itself.
fn escaped(word: &str) -> String {
    let mut written = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(start) = address_start(rest) {
        let (before, address) = rest.split_at(start);
        let (address, after) = address.split_at(address_size(address));
        written.push_str(&escaped_plain(before));
        written.push_str(&format!("<{address}>"));
        rest = after;
    }
    written.push_str(&escaped_plain(rest));
    written
}

fn address_start(text: &str) -> Option<usize> {
    ["http://", "https://"].iter().filter_map(|scheme| text.find(scheme)).min()
}

/// Up to what can be no part of an address, without what belongs to the sentence around it.
fn address_size(address: &str) -> usize {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#@!$&*+,;=%()".contains(c);
    let end = address.find(|c| !is_part(c)).unwrap_or(address.len());
    let mut address = address.get(..end).unwrap_or_default();
    loop {
        let is_closed = !address.contains('(');
        let is_end = |c: char| ".,;:!?*".contains(c) || c == ')' && is_closed;
        match address.strip_suffix(is_end) {
            Some(rest) => address = rest,
            None => return address.len(),
        }
    }
}

fn escaped_plain(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut written = String::with_capacity(text.len());
    for (index, &c) in chars.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| chars.get(before)).copied();
        let after = chars.get(index + 1).copied();
        let is_special = match c {
            '\\' | '`' | '*' | '[' | ']' | '<' | '&' | '~' | '|' => true,
            // Inside a word it is a part of a name.
            '_' => !(is_in_name(before) && is_in_name(after)),
            '-' => before == Some('-') || after == Some('-'),
            _ => false,
        };
        if is_special {
            written.push('\\');
        }
        written.push(shown(c));
    }
    written
}

fn is_in_name(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_ascii_alphanumeric())
}

/// A word that could begin a quotation, a heading, a list or a rule, so that it does not.
fn plain_beginning(word: &str) -> String {
    if word.starts_with('>') { format!("\\{word}") } else { markdown::plain_beginning(word) }
}

fn code_lines(code: &str) -> Vec<String> {
    let code: String = code.chars().map(shown).collect();
    let fence = markdown::fence(&code);
    let lines = code.lines().map(|line| line.trim_end().to_owned());
    std::iter::once(format!("{fence}text")).chain(lines).chain([fence.clone()]).collect()
}

fn shown(c: char) -> char {
    match c {
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            char::REPLACEMENT_CHARACTER
        }
        _ => markdown::shown(c),
    }
}
