//! The outline as an HTML document, which is well-formed XML too.

use super::Block;
use super::markdown::shown;
use super::outline::{Outline, Span};

const STYLE: &str = "body { max-width: 50em; margin: 2em auto; padding: 0 1em; \
    font-family: sans-serif; line-height: 1.4 } \
    pre { padding: 0.5em; overflow: auto; background: #f4f4f4 } \
    @media (prefers-color-scheme: dark) { :root { color-scheme: dark } pre { background: #222 } }";

pub(super) fn write(outline: &Outline) -> String {
    let mut html = String::from("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n");
    html.push_str("<meta charset=\"utf-8\"/>\n");
    html.push_str(&format!("<title>{}</title>\n", escaped(&outline.title)));
    html.push_str(&format!("<style>{STYLE}</style>\n</head>\n<body>\n"));
    html.extend(outline.blocks.iter().map(block));
    html.push_str("</body>\n</html>\n");
    html
}

fn block(block: &Block) -> String {
    match block {
        Block::Heading { level, anchor, title } => {
            let (anchor, title) = (escaped(anchor), spans(title));
            format!("<h{level} id=\"{anchor}\">{title}</h{level}>\n")
        }
        Block::Paragraph(content) => format!("<p>{}</p>\n", spans(content)),
        Block::List(items) => {
            let items: String =
                items.iter().map(|item| format!("<li>{}</li>\n", spans(item))).collect();
            format!("<ul>\n{items}</ul>\n")
        }
        Block::Code(code) => format!("<pre>{}</pre>\n", escaped(code)),
    }
}

fn spans(spans: &[Span]) -> String {
    spans.iter().map(span).collect()
}

fn span(span: &Span) -> String {
    match span {
        Span::Text(text) => escaped(text),
        Span::Strong(words) => format!("<strong>{words}</strong>"),
        Span::Code(code) => format!("<code>{}</code>", escaped(code)),
        Span::Link { name, anchor } => {
            format!("<a href=\"#{}\"><code>{}</code></a>", escaped(anchor), escaped(name))
        }
    }
}

fn escaped(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '&' => written.push_str("&amp;"),
            '"' => written.push_str("&quot;"),
            '\'' => written.push_str("&#39;"),
            _ => written.push(shown(c)),
        }
    }
    written
}
