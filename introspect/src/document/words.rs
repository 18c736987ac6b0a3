//! Plain text, told apart into paragraphs, lists and code.

use super::outline::{Block, Span};

/// The blocks of a text, with neighbouring items in one list and neighbouring code in one block.
pub(super) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    for lines in paragraphs(text) {
        let code: Option<Vec<&str>> = lines.iter().map(|line| line.strip_prefix("    ")).collect();
        if let Some(code) = code {
            match blocks.last_mut() {
                Some(Block::Code(before)) => before.push_str(&format!("\n\n{}", code.join("\n"))),
                _ => blocks.push(Block::Code(code.join("\n"))),
            }
            continue;
        }
        let words = trimmed(&lines);
        match (words.strip_prefix("- "), blocks.last_mut()) {
            (Some(item), Some(Block::List(items))) => items.push(vec![span(item)]),
            (Some(item), _) => blocks.push(Block::List(vec![vec![span(item)]])),
            _ => blocks.push(Block::Paragraph(vec![span(&words)])),
        }
    }
    blocks
}

/// The first sentence of a text that begins with one.
pub(super) fn first_sentence(text: &str) -> Option<String> {
    let first = paragraphs(text).into_iter().next()?;
    let is_prose = first.iter().any(|line| !line.starts_with("    "));
    let words = on_one_line(&trimmed(&first));
    let size = words.find(". ").map_or(words.len(), |index| index + 1);
    is_prose.then(|| words.get(..size).unwrap_or(&words).to_owned())
}

/// A text without line feeds.
pub(super) fn on_one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

/// The lines of each paragraph.
fn paragraphs(text: &str) -> Vec<Vec<&str>> {
    let lines: Vec<&str> = text.lines().collect();
    let paragraphs = lines.split(|line| line.trim().is_empty());
    paragraphs.filter(|lines| !lines.is_empty()).map(<[_]>::to_vec).collect()
}

fn trimmed(lines: &[&str]) -> String {
    let lines: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    lines.join("\n")
}

fn span(words: &str) -> Span {
    Span::Text(words.to_owned())
}
