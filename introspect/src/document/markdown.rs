//! The outline as CommonMark.
//!
//! Text is escaped where a sign could mean something, also to GitHub's dialect; `<`, `>` and `&` are
//! written as HTML's references, which every dialect knows. Names stand in code spans whose fences
//! are longer than any in them.

use super::Block;
use super::outline::{Outline, Span};

pub(super) fn write(outline: &Outline) -> String {
    let blocks: Vec<String> = outline.blocks.iter().map(block).collect();
    blocks.join("\n")
}

fn block(block: &Block) -> String {
    match block {
        Block::Heading { level, title, .. } => {
            format!("{} {}\n", "#".repeat(*level), on_one_line(&spans(title)))
        }
        Block::Paragraph(content) => format!("{}\n", lines(&spans(content))),
        Block::List(items) => {
            let item = |item: &Vec<Span>| format!("- {}\n", on_one_line(&spans(item)));
            items.iter().map(item).collect()
        }
        Block::Code(code) => fenced(code),
    }
}

fn spans(spans: &[Span]) -> String {
    spans.iter().map(span).collect()
}

fn span(span: &Span) -> String {
    match span {
        Span::Text(text) => escaped(text),
        Span::Strong(words) => format!("**{words}**"),
        Span::Code(code) | Span::Link { name: code, .. } => code_span(code),
    }
}

fn escaped(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '&' => written.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' | '!' => {
                written.extend(['\\', c]);
            }
            _ => written.push(shown(c)),
        }
    }
    written
}

/// Lines of a paragraph, of which none begins anything else.
fn lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| plain_beginning(line.trim())).collect();
    lines.join("\n")
}

fn on_one_line(text: &str) -> String {
    plain_beginning(text.replace('\n', " ").trim())
}

/// A line that could begin a heading, a list or a rule, so that it does not.
pub(super) fn plain_beginning(line: &str) -> String {
    let digit_count = line.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = line.split_at(digit_count);
    let is_special = match digits {
        "" => rest.starts_with(['#', '-', '+', '=', ':']),
        _ => rest.starts_with(['.', ')']),
    };
    if is_special { format!("{digits}\\{rest}") } else { line.to_owned() }
}

fn code_span(code: &str) -> String {
    let code: String = code.chars().map(|c| if c == '\n' { ' ' } else { shown(c) }).collect();
    if code.trim().is_empty() {
        return "(none)".to_owned();
    }
    let fence = "`".repeat(longest_run(&code) + 1);
    // A reader takes away one blank from each end.
    let is_padded = code.starts_with('`')
        || code.ends_with('`')
        || code.starts_with(' ') && code.ends_with(' ');
    let padding = if is_padded { " " } else { "" };
    format!("{fence}{padding}{code}{padding}{fence}")
}

fn fenced(code: &str) -> String {
    let code: String = code.chars().map(shown).collect();
    let fence = fence(&code);
    format!("{fence}\n{code}\n{fence}\n")
}

/// What begins and ends a block of code.
pub(super) fn fence(code: &str) -> String {
    "`".repeat((longest_run(code) + 1).max(3))
}

/// How many backticks follow each other.
fn longest_run(code: &str) -> usize {
    code.split(|c| c != '`').map(str::len).max().unwrap_or_default()
}

/// A sign that does nothing to the page.
pub(super) fn shown(c: char) -> char {
    match c {
        '\n' => c,
        '\t' => ' ',
        '\u{fffe}' | '\u{ffff}' => char::REPLACEMENT_CHARACTER,
        _ if c.is_control() => char::REPLACEMENT_CHARACTER,
        _ => c,
    }
}
