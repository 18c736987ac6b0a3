//! Where an element stands in a text of XML that is known to be well-formed: line and column of its tag.
//!
//! The model of a description keeps no places. They are wanted only after something went wrong, so the text is
//! gone through once more, tag by tag.

/// The line and the column, in characters from 1, of the element that is called so from the outermost inwards:
/// `["interface org.example.Map", "method Store", "input 1"]`.
pub(super) fn find(text: &str, place: &[&str]) -> Option<(usize, usize)> {
    let (mut wanted, mut found) = (place.iter().peekable(), None);
    let mut argument_count = 0;
    let mut tags = Tags { text, at: 0 };
    while let Some(tag) = tags.next_tag() {
        let Some(next) = wanted.peek() else { break };
        let (kind, name) = next.split_once(' ').unwrap_or((next, ""));
        let is_found = match kind {
            "input" | "output" | "argument" if tag.name == "arg" => {
                argument_count += usize::from(is_of_kind(kind, tag.attribute("direction")));
                name.parse() == Ok(argument_count)
            }
            kind => tag.name == kind && tag.attribute("name") == Some(name),
        };
        if is_found {
            found = Some(tag.start);
            wanted.next();
        }
    }
    found.filter(|_| wanted.next().is_none()).map(|start| position(text, start))
}

/// A method's arguments are inputs unless they say otherwise; all of a signal's are arguments.
fn is_of_kind(kind: &str, direction: Option<&str>) -> bool {
    match kind {
        "input" => direction.unwrap_or("in") == "in",
        "output" => direction == Some("out"),
        _ => true,
    }
}

fn position(text: &str, start: usize) -> (usize, usize) {
    let before = text.get(..start).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

/// A start tag.
struct Tag<'t> {
    start: usize,
    name: &'t str,
    /// What follows the name, up to the `>`.
    attributes: &'t str,
}

impl<'t> Tag<'t> {
    fn attribute(&self, wanted: &str) -> Option<&'t str> {
        let mut rest = self.attributes;
        loop {
            let (name, after) = rest.split_once('=')?;
            let after = after.trim_start();
            let quote = after.chars().next()?;
            let (value, after) = after.get(1..)?.split_once(quote)?;
            if name.trim() == wanted {
                return Some(value);
            }
            rest = after;
        }
    }
}

/// The start tags of a text, in their order.
struct Tags<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Tags<'t> {
    fn next_tag(&mut self) -> Option<Tag<'t>> {
        loop {
            let rest = self.text.get(self.at..)?;
            let start = self.at + rest.find('<')?;
            let tag = self.text.get(start..)?;
            let length = length(tag)?;
            self.at = start + length;
            if !tag.starts_with(['<']) || tag.starts_with("<!") || tag.starts_with("<?") {
                continue;
            }
            let inner = tag.get(1..length - 1)?;
            let end = inner.find(|c: char| c.is_whitespace() || c == '/').unwrap_or(inner.len());
            let (name, attributes) = inner.split_at_checked(end)?;
            if !name.is_empty() {
                return Some(Tag { start, name, attributes });
            }
        }
    }
}

/// How long what begins with this `<` is.
fn length(tag: &str) -> Option<usize> {
    let up_to = |end: &str| tag.find(end).map(|at| at + end.len());
    if tag.starts_with("<!--") {
        return up_to("-->");
    }
    if tag.starts_with("<![CDATA[") {
        return up_to("]]>");
    }
    let mut quote = None;
    // Quotes hide a `>`, and the brackets of a document type hide tags.
    let mut depth = 0_usize;
    for (at, c) in tag.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') => depth = depth.saturating_sub(1),
            (None, '>') if depth == 0 => return Some(at + 1),
            (None, _) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn elements_are_found_where_they_stand() {
        let text = "<!DOCTYPE node [ <!ENTITY a '>'> ]>\n<!-- <interface name=\"a.B\"> -->\n<node>\n \
                    <interface name='a.B'>\n  <method name=\"Get\">\n   \
                    <arg type='s' direction='out'/><arg type=\"x\" direction='in' name='a>b'/>\n  \
                    </method>\n </interface></node>\n";
        let check = |place: &[&str], expected| assert_eq!(find(text, place), expected, "{place:?}");
        check(&["interface a.B"], Some((4, 2)));
        check(&["interface a.B", "method Get"], Some((5, 3)));
        check(&["interface a.B", "method Get", "output 1"], Some((6, 4)));
        check(&["interface a.B", "method Get", "input 1"], Some((6, 35)));
        check(&["interface a.B", "method Get", "input 2"], None);
        check(&["interface a.C"], None);
        check(&[""], None);
        assert_eq!(find("", &["interface a"]), None);
        assert_eq!(find("<<", &["interface a"]), None);
    }
}
