use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use xml::reader::{EventReader, XmlEvent};

use super::markdown::shown;
use super::outline::Span;
use super::*;
use crate::arbitrary;
use crate::model::{Access, Method, Property, Signal};

mod rustdoc;

#[test]
fn tells_people_what_there_is() {
    let (node, _) = Node::from_xml_leniently(include_str!("tests/map.xml")).unwrap();
    assert_eq!(node.to_markdown(), include_str!("tests/map.md"));
    assert_eq!(node.to_html(), include_str!("tests/map.html"));
}

#[test]
fn one_interface_stands_alone() {
    let interface = Interface::new("a.b").with_signal(Signal::new("S"));
    let node = Node::new().with_interface(interface.clone());
    assert_eq!(node.to_markdown(), interface.to_markdown());
    assert_eq!(node.to_html(), interface.to_html());
    assert!(node.with_child("c").to_markdown().starts_with("# Object\n"));
    assert_eq!(Node::new().to_markdown(), "# Object\n");
}

#[test]
fn anchors_are_told_apart() {
    let interface = Interface::new("a.b")
        .with_method(Method::new("X"))
        .with_method(Method::new("X"))
        .with_property(Property::new("X", "s", Access::Read));
    let html = interface.to_html();
    for anchor in ["a.b.X", "a.b.X-2", "a.b.X-3"] {
        assert!(html.contains(&format!("<a href=\"#{anchor}\">")), "{anchor}: {html}");
        assert!(html.contains(&format!("<h3 id=\"{anchor}\">")), "{anchor}: {html}");
    }
}

#[test]
fn texts_mean_nothing_to_markdown() {
    let check = |text: &str, expected: &str| {
        let markdown = Interface::new("a").with_documentation(text).to_markdown();
        assert_eq!(markdown, format!("# Interface `a`\n\n{expected}\n"), "{text}");
    };
    check("# a", "\\# a");
    check("a\n===\nb\n- c", "a\n\\===\nb\n\\- c");
    check("1. a", "1\\. a");
    check("1 a", "1 a");
    check("- 1) a\n+ b", "- 1\\) a + b");
    check(
        "*a* _b_ `c` [d](e) ~f~ $g$ h|i \\",
        "\\*a\\* \\_b\\_ \\`c\\` \\[d\\](e) \\~f\\~ \\$g\\$ h\\|i \\\\",
    );
    check("<b>&lt;", "&lt;b&gt;&amp;lt;");
    check("    ```\n    a\n\n    b", "````\n```\na\n\nb\n````");
    check("a\u{7}\tb", "a\u{fffd} b");
}

#[test]
fn names_are_in_fences_that_hold_them() {
    let check = |name: &str, expected: &str| {
        let markdown = Interface::new(name).to_markdown();
        assert_eq!(markdown, format!("# Interface {expected}\n"), "{name}");
    };
    check("a.b", "`a.b`");
    check("a`b", "``a`b``");
    check("`a", "`` `a ``");
    check("a\n# b", "`a # b`");
    check("<script>", "`<script>`");
    check("", "(none)");
}

/// What a reader should find: a kind and a text for each block.
fn expected(outline: &Outline, blank: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for block in &outline.blocks {
        let line =
            |spans: &[Span]| cleaned(&spans.iter().map(|it| said(it, blank)).collect::<String>());
        match block {
            Block::Heading { level, title, .. } => found.push((format!("h{level}"), line(title))),
            Block::Paragraph(spans) => found.push(("p".into(), line(spans))),
            Block::List(items) => found.extend(items.iter().map(|it| ("li".into(), line(it)))),
            Block::Code(code) => found.push(("pre".into(), cleaned(code))),
        }
    }
    found
}

fn said(span: &Span, blank: &str) -> String {
    match span {
        Span::Text(text) => text.clone(),
        Span::Strong(words) => (*words).to_owned(),
        Span::Code(name) | Span::Link { name, .. } if name.trim().is_empty() => blank.to_owned(),
        Span::Code(name) | Span::Link { name, .. } => name.clone(),
    }
}

fn cleaned(text: &str) -> String {
    let shown: String = text.chars().map(shown).collect();
    words::on_one_line(&shown)
}

/// What a reader of Markdown finds.
fn read_markdown(markdown: &str) -> Vec<(String, String)> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_MATH
        | Options::ENABLE_GFM
        | Options::ENABLE_DEFINITION_LIST
        | Options::ENABLE_WIKILINKS;
    let mut found: Vec<(String, String)> = Vec::new();
    for event in Parser::new_ext(markdown, options) {
        let text = match event {
            Event::Start(Tag::Heading { level, .. }) => {
                found.push((level.to_string(), String::new()));
                continue;
            }
            Event::Start(Tag::Paragraph) => {
                found.push(("p".into(), String::new()));
                continue;
            }
            Event::Start(Tag::Item) => {
                found.push(("li".into(), String::new()));
                continue;
            }
            Event::Start(Tag::CodeBlock(_)) => {
                found.push(("pre".into(), String::new()));
                continue;
            }
            Event::Text(text) | Event::Code(text) => text.into_string(),
            Event::SoftBreak => " ".into(),
            Event::Start(Tag::List(None) | Tag::Strong) => continue,
            Event::End(TagEnd::Heading(_) | TagEnd::Paragraph | TagEnd::Item) => continue,
            Event::End(TagEnd::CodeBlock | TagEnd::List(_) | TagEnd::Strong) => continue,
            other => panic!("{other:?} in {markdown}"),
        };
        found.last_mut().unwrap().1.push_str(&text);
    }
    found.into_iter().map(|(kind, text)| (kind.to_lowercase(), cleaned(&text))).collect()
}

/// What a reader of HTML finds in the body; the document is XML too.
fn read_html(html: &str) -> Vec<(String, String)> {
    const PARTS: [&str; 7] = ["h1", "h2", "h3", "h4", "p", "li", "pre"];
    const OTHERS: [&str; 10] =
        ["html", "head", "meta", "title", "style", "body", "ul", "a", "code", "strong"];
    let mut found: Vec<(String, String)> = Vec::new();
    for event in EventReader::new(html.as_bytes()) {
        match event.unwrap_or_else(|error| panic!("{error} in {html}")) {
            XmlEvent::StartElement { name, attributes, .. } => {
                for attribute in attributes {
                    let (element, name) = (name.local_name.as_str(), attribute.name.local_name);
                    let is_ours = match element {
                        "html" => name == "lang",
                        "meta" => name == "charset",
                        "a" => name == "href" && attribute.value.starts_with('#'),
                        _ => name == "id" && element.starts_with('h'),
                    };
                    assert!(is_ours, "{name} of {element} in {html}");
                }
                if PARTS.contains(&name.local_name.as_str()) {
                    found.push((name.local_name, String::new()));
                } else {
                    assert!(OTHERS.contains(&name.local_name.as_str()), "{html}");
                }
            }
            XmlEvent::Characters(text) | XmlEvent::Whitespace(text) => {
                if let Some(part) = found.last_mut() {
                    part.1.push_str(&text);
                }
            }
            _ => {}
        }
    }
    found.into_iter().map(|(kind, text)| (kind, cleaned(&text))).collect()
}

proptest! {
    #[test]
    fn no_description_becomes_markup(node in arbitrary::node()) {
        let outline = Outline::of_node(&node);
        prop_assert_eq!(read_markdown(&node.to_markdown()), expected(&outline, "(none)"));
        prop_assert_eq!(read_html(&node.to_html()), expected(&outline, ""));
    }

    #[test]
    fn no_text_becomes_markup(text in proptest::collection::vec(arbitrary::text(), 0..6)) {
        let interface = Interface::new("a.b").with_documentation(&text.join("\n"));
        let outline = Outline::of_interface(&interface);
        prop_assert_eq!(read_markdown(&interface.to_markdown()), expected(&outline, "(none)"));
        prop_assert_eq!(read_html(&interface.to_html()), expected(&outline, ""));
    }
}
