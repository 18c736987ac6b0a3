//! What rustdoc would read.

use proptest::prelude::*;
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag};

use super::super::rustdoc;
use crate::arbitrary;

/// As rustdoc reads it.
fn parsed(markdown: &str) -> Vec<Event<'_>> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_SMART_PUNCTUATION;
    Parser::new_ext(markdown, options).collect()
}

/// The words that a reader sees, with straight quotes and three dots.
fn words(events: &[Event<'_>]) -> String {
    let words = events.iter().map(|event| match event {
        Event::Text(text) | Event::Code(text) => text.to_string(),
        _ => " ".to_owned(),
    });
    let words = words.collect::<String>().replace(['\u{2018}', '\u{2019}'], "'");
    let words = words.replace(['\u{201c}', '\u{201d}'], "\"").replace('\u{2026}', "...");
    rustdoc::one_line(&words).replace(' ', "")
}

#[test]
fn texts_are_escaped_where_they_must_be() {
    let check = |text: &str, expected: &[&str]| {
        assert_eq!(rustdoc::lines(text, 40), expected, "{text}");
    };
    check("", &[]);
    check(" \n\n ", &[]);
    check("get_foo _bar_ a_", &["get_foo \\_bar\\_ a\\_"]);
    check("[Foo] [a](b) <b>&amp;", &["\\[Foo\\] \\[a\\](b) \\<b>\\&amp;"]);
    check("use --force, a-b", &["use \\-\\-force, a-b"]);
    check("# a", &["\\# a"]);
    check("> a", &["\\> a"]);
    check("- > a\n\n- b", &["- \\> a", "- b"]);
    check("a\n\nb", &["a", "", "b"]);
    check("see http://a.b/c_d, (https://e.f).", &["see <http://a.b/c_d>, (<https://e.f>)."]);
    check("https://a.b/c_(d)", &["<https://a.b/c_(d)>"]);
    check("    a[0]\n\n      // ```", &["````text", "a[0]", "", "  // ```", "````"]);
    check("a\u{202e}b\u{7}", &["a\u{fffd}b\u{fffd}"]);
}

#[test]
fn lines_are_filled() {
    let check = |text: &str, expected: &[&str]| {
        assert_eq!(rustdoc::lines(text, 12), expected, "{text}");
    };
    check("aaaaa bbbbbb ccc", &["aaaaa bbbbbb", "ccc"]);
    check("aaaaaa bbbbbb ccc", &["aaaaaa", "bbbbbb ccc"]);
    check("- aaaa bbbbb ccc", &["- aaaa bbbbb", "  ccc"]);
    check("aaaaaaaaaaaaaaaaaa bbbbbb", &["aaaaaaaaaaaaaaaaaa", "bbbbbb"]);
    check("aaaaaaaaaaa - b\n1. c", &["aaaaaaaaaaa", "\\- b 1. c"]);
    check("aaaaaaaaaaa 1. c", &["aaaaaaaaaaa", "1\\. c"]);
}

proptest! {
    /// Nothing is lost, nothing is markup, and no code is Rust.
    #[test]
    fn texts_mean_nothing_to_rustdoc(text in arbitrary::text(), width in 1_usize..40) {
        let lines = rustdoc::lines(&text, width);
        let markdown = lines.join("\n");
        let events = parsed(&markdown);
        for event in &events {
            let is_plain = match event {
                Event::Start(tag) => match tag {
                    Tag::Paragraph | Tag::List(None) | Tag::Item => true,
                    Tag::CodeBlock(CodeBlockKind::Fenced(kind)) => &**kind == "text",
                    Tag::Link { dest_url, .. } => dest_url.starts_with("http"),
                    _ => false,
                },
                Event::End(_) | Event::Text(_) | Event::SoftBreak => true,
                _ => false,
            };
            prop_assert!(is_plain, "{:?} in {:?}", event, markdown);
        }
        let expected = rustdoc::one_line(&text).replace([' ', '-'], "");
        prop_assert_eq!(words(&events).replace('-', ""), expected);
        prop_assert!(lines.iter().all(|line| line.trim_end() == line && !line.contains('\n')));
    }
}
