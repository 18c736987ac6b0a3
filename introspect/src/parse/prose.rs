//! The text of an element that holds documentation.
//!
//! Its markup is HTML (Telepathy), DocBook or the `doc:` elements, and is told by local names. What
//! is left of it is how plain text is written: blank lines between paragraphs, as far as the text
//! has not got them already, `- ` before the items of lists, four blanks before code. A name that
//! stands only in an attribute, that of an error, is kept as text.

use xml::attribute::OwnedAttribute;
use xml::reader::XmlEvent;

use super::ParseError;
use super::documentation::without_indent;
use super::source::Source;

/// Elements that begin a paragraph of their own.
const BLOCKS: [&str; 33] = [
    "para",
    "p",
    "br",
    "div",
    "summary",
    "description",
    "permission",
    "since",
    "deprecated",
    "seealso",
    "errors",
    "error",
    "example",
    "list",
    "ul",
    "ol",
    "dl",
    "simplelist",
    "variablelist",
    "itemizedlist",
    "orderedlist",
    "table",
    "tr",
    "rationale",
    "blockquote",
    "note",
    "section",
    "title",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
];

/// Elements that begin an item of a list.
const ITEMS: [&str; 6] = ["item", "li", "dt", "member", "varlistentry", "listitem"];

/// Elements that say what the term before them means.
const DEFINITIONS: [&str; 3] = ["definition", "dd", "listitem"];

/// The text up to the end of the element that began last.
pub(super) fn read(source: &mut Source<'_>) -> Result<String, ParseError> {
    let mut prose = Prose::default();
    let mut inside = Vec::new();
    loop {
        match source.next_event()? {
            XmlEvent::StartElement { name, attributes, .. } => {
                prose.begin(&name.local_name, &attributes, inside.last().map(String::as_str));
                inside.push(name.local_name);
            }
            XmlEvent::EndElement { .. } => match inside.pop() {
                Some(name) => prose.end(&name),
                None => return Ok(prose.into_text()),
            },
            XmlEvent::EndDocument => return Ok(prose.into_text()),
            XmlEvent::Characters(text) | XmlEvent::CData(text) | XmlEvent::Whitespace(text) => {
                prose.text(&text);
            }
            _ => {}
        }
    }
}

#[derive(Default)]
struct Prose {
    paragraphs: Vec<String>,
    /// The paragraph that is being written.
    paragraph: String,
    /// How much of it is what leads to the text: `- `, or a name.
    lead_size: usize,
    /// Whether there was a blank since its last word.
    is_apart: bool,
    /// And how many lines ended.
    line_feed_count: usize,
    /// Elements that began inside the outermost one with code, and it.
    code_depth: usize,
    code: String,
}

impl Prose {
    fn begin(&mut self, name: &str, attributes: &[OwnedAttribute], parent: Option<&str>) {
        if self.code_depth > 0 || is_code(name, parent) {
            self.begin_paragraph();
            self.code_depth += 1;
        } else if DEFINITIONS.contains(&name) && self.is_term() {
            self.lead(": ");
        } else if ITEMS.contains(&name) {
            self.end_paragraph();
            self.lead("- ");
        } else if BLOCKS.contains(&name) {
            self.begin_paragraph();
        }
        if name == "error"
            && let Some(error) = attributes.iter().find(|it| it.name.local_name == "name")
        {
            self.lead(&format!("{}: ", error.value));
        }
    }

    fn end(&mut self, name: &str) {
        if self.code_depth > 0 {
            self.code_depth -= 1;
            if self.code_depth == 0 {
                self.end_code();
            }
        } else if BLOCKS.contains(&name) || ITEMS.contains(&name) && name != "dt" {
            self.end_paragraph();
        }
    }

    fn text(&mut self, text: &str) {
        if self.code_depth > 0 {
            self.code.push_str(text);
            return;
        }
        for word in text.split_inclusive(char::is_whitespace) {
            let trimmed = word.trim_end();
            if !trimmed.is_empty() {
                self.word(trimmed);
            }
            self.is_apart |= trimmed.len() < word.len();
            self.line_feed_count += usize::from(word.ends_with('\n'));
        }
    }

    fn word(&mut self, word: &str) {
        if self.line_feed_count > 1 {
            self.begin_paragraph();
        }
        if self.is_apart && self.paragraph.len() > self.lead_size {
            self.paragraph.push(' ');
        }
        self.is_apart = false;
        self.line_feed_count = 0;
        self.paragraph.push_str(word);
    }

    fn lead(&mut self, text: &str) {
        self.paragraph.push_str(text);
        self.lead_size = self.paragraph.len();
        self.is_apart = false;
        self.line_feed_count = 0;
    }

    /// Whether the paragraph is an item of which only the term has been read.
    fn is_term(&self) -> bool {
        self.paragraph.starts_with("- ") && self.paragraph.len() > self.lead_size
    }

    /// Ends the paragraph before, unless there is nothing yet but what leads to the text.
    fn begin_paragraph(&mut self) {
        if self.paragraph.len() > self.lead_size {
            self.end_paragraph();
        }
    }

    fn end_paragraph(&mut self) {
        let paragraph = self.paragraph.trim_end().trim_end_matches(':');
        if !matches!(paragraph, "" | "-") {
            self.paragraphs.push(self.paragraph.trim_end().to_owned());
        }
        self.paragraph.clear();
        self.lead_size = 0;
        self.is_apart = false;
        self.line_feed_count = 0;
    }

    fn end_code(&mut self) {
        self.end_paragraph();
        let lines: Vec<&str> = self.code.lines().collect();
        let text = without_indent(&lines);
        let indented: Vec<String> = text
            .lines()
            .map(|line| if line.is_empty() { String::new() } else { format!("    {line}") })
            .collect();
        if !indented.is_empty() {
            self.paragraphs.push(indented.join("\n"));
        }
        self.code.clear();
    }

    fn into_text(mut self) -> String {
        self.end_paragraph();
        self.paragraphs.join("\n\n")
    }
}

/// Whether an element holds lines that stay as they are; `code` alone is a word in a sentence.
fn is_code(name: &str, parent: Option<&str>) -> bool {
    matches!(name, "pre" | "programlisting") || name == "code" && parent == Some("example")
}
