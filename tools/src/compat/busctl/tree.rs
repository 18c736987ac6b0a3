//! The objects of services (tools.md D005, D019), as their introspection tells them.

use std::collections::BTreeSet;

use bus_introspect::Node;
use libbus::blocking::Connection;
use libbus::names::{BusName, ObjectPath};

use super::bus::{Place, ask, connect, shown, text_of};
use super::colours::{Colours, Look};
use super::introspect::{read, xml_of};
use super::options::Options;
use super::{Failed, Result, because, print};
use crate::output::out::Out;

/// Objects of one service that are looked at: a service could go on for ever.
const OBJECTS_MAX: usize = 65_536;

/// `[SERVICE...]`
pub(super) fn tree(options: &Options, words: &[String]) -> Result<()> {
    for word in words {
        BusName::parse(word).map_err(|_| because(format!("Invalid bus service name: {word}")))?;
    }
    let connection = connect(options)?;
    let all = if words.is_empty() { owned(options, &connection)? } else { words.to_vec() };
    let is_titled = words.len() != 1;
    let mut out = print::open(options);
    let mut is_whole = true;
    for (index, service) in all.iter().enumerate() {
        if index > 0 {
            out.line("")?;
        }
        if is_titled {
            let service = shown(service, &std::io::stdout());
            let service = Colours::wanted().paint(Look::Highlight, &service);
            out.line(&format!("Service {service}:"))?;
        }
        let (paths, has_failed) = look(&mut out, &connection, service)?;
        is_whole &= !has_failed;
        draw(options, &paths).iter().try_for_each(|line| out.line(line))?;
        // Each service is seen as soon as it is known.
        out.flush()?;
    }
    out.finish()?;
    if is_whole { Ok(()) } else { Err(Failed::Silently) }
}

/// The names that somebody has, in the order in which the bus tells them.
fn owned(options: &Options, connection: &Connection) -> Result<Vec<String>> {
    let names: libbus::Result<Vec<String>> = connection.bus().call("ListNames", &());
    let mut names =
        names.map_err(|error| because(format!("Failed to get name list: {}", text_of(&error))))?;
    names.retain(|name| match name.starts_with(':') {
        true => options.unique && options.acquired,
        false => true,
    });
    Ok(names)
}

/// The objects of a service that answer, and whether one does not, which is told.
fn look(out: &mut Out, connection: &Connection, service: &str) -> Result<(BTreeSet<String>, bool)> {
    let mut open = BTreeSet::from(["/".to_owned()]);
    let (mut seen, mut done) = (BTreeSet::new(), BTreeSet::new());
    let mut has_failed = false;
    while let Some(path) = open.pop_first() {
        if seen.len() >= OBJECTS_MAX {
            break;
        }
        if !seen.insert(path.clone()) {
            continue;
        }
        let place =
            Place { service, path: &path, interface: "org.freedesktop.DBus.Introspectable" };
        let reply = match ask(connection, place, "Introspect", &()) {
            Ok(reply) => reply,
            Err(error) => {
                let why = text_of(&error);
                let text =
                    format!("Failed to introspect object {path} of service {service}: {why}");
                let text = shown(&text, &std::io::stdout());
                out.line(&Colours::wanted().paint(Look::BoldRed, &text))?;
                has_failed = true;
                continue;
            }
        };
        match xml_of(&reply).and_then(read) {
            Ok(node) => {
                note_children(&node, &path, &mut open);
                done.insert(path);
            }
            Err(failed) => {
                if let Failed::Because(text) = failed {
                    super::tell_fault(&text);
                }
                has_failed = true;
            }
        }
    }
    Ok((done, has_failed))
}

/// Also those that are described in place.
fn note_children(node: &Node, path: &str, open: &mut BTreeSet<String>) {
    for child in &node.children {
        let Some(name) = child.name.as_deref() else { continue };
        let path = match name.starts_with('/') {
            true => name.to_owned(),
            false => format!("{}/{name}", path.trim_end_matches('/')),
        };
        if open.len() < OBJECTS_MAX && ObjectPath::parse(&path).is_ok() {
            note_children(child, &path, open);
            open.insert(path);
        }
    }
}

fn draw(options: &Options, paths: &BTreeSet<String>) -> Vec<String> {
    if options.is_list {
        return paths.iter().cloned().collect();
    }
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    match paths.as_slice() {
        [] => vec!["No objects discovered.".to_owned()],
        ["/"] => vec!["Only root object discovered.".to_owned()],
        [first, rest @ ..] => {
            let mut lines = Vec::new();
            draw_below("", if *first == "/" { rest } else { &paths }, &mut lines);
            lines
        }
    }
}

/// Draws what is in `paths`, all of which are below the one that was drawn last. They are in their order, and so are
/// objects and those below them.
fn draw_below(before: &str, paths: &[&str], lines: &mut Vec<String>) {
    let mut left = paths;
    while let [path, rest @ ..] = left {
        let is_below = |other: &&str| is_below(other, path);
        let below = rest.iter().take_while(|other| is_below(other)).count();
        let (inner, after) = rest.split_at_checked(below).unwrap_or((rest, &[]));
        let (branch, deeper) = if after.is_empty() { ("└─", "  ") } else { ("├─", "│ ") };
        lines.push(format!("{before}{branch}{path}"));
        draw_below(&format!("{before}{deeper}"), inner, lines);
        left = after;
    }
}

fn is_below(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::draw;
    use crate::compat::busctl::options::Options;

    #[test]
    fn objects_stand_below_those_that_are_there() {
        let paths = ["/", "/a", "/a/b", "/a/b/c/d", "/aa", "/e/f"];
        let paths = paths.map(ToOwned::to_owned).into_iter().collect();
        let lines = draw(&Options::default(), &paths);
        let wanted = ["├─/a", "│ └─/a/b", "│   └─/a/b/c/d", "├─/aa", "└─/e/f"];
        assert_eq!(lines, wanted);
    }
}
