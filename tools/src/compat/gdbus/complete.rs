//! `gdbus complete LINE POINT` (tools.md D040), by which bash completes a command line: what may stand at the point of
//! the line, one on each line and with a blank behind it. GLib's script for bash asks it.
//!
//! Whatever fails has no suggestions. deviation: names of members and of objects that are none are left out, since the
//! script has bash execute what stands in a suggestion.

mod line;

use std::time::Duration;

use bus_introspect::Node;
use libbus::blocking::Connection;
use libbus::names::{BusName, InterfaceName, MemberName, ObjectPath};

use super::options::{Given, Options};
use super::{COMMANDS, Failed, Result, because, print, say, text_of};
use crate::introspection;

use line::Line;

/// How long somebody who types is let wait for one object.
const TIME_MAX: Duration = Duration::from_secs(3);
/// Objects below one another, and all that are looked at: a service could go on for ever.
const DEPTH_MAX: usize = 64;
const OBJECTS_MAX: usize = 4096;

const ENDPOINTS: [&str; 3] = ["--system", "--session", "--address"];

/// The words after `complete`: a command line, and how many bytes of it are before the cursor.
///
/// # Errors
/// They are none, or what is suggested cannot be written.
pub(super) fn complete(text: &str, point: &str) -> Result<()> {
    let point = point.trim_start().parse().map_err(|_| Failed::Silently)?;
    let line = Line::read(text, point).ok_or(Failed::Silently)?;
    let found = match line.words.get(1).map(String::as_str) {
        Some("help") => Vec::new(),
        name => match COMMANDS.iter().find(|command| Some(command.name) == name) {
            Some(command) => of_command(command.name, command.options, &line),
            None => owned(&["help", "emit", "call", "introspect", "monitor", "wait"]),
        },
    };
    // Behind what an address begins with the rest of it follows at once.
    let end = |word: &str| if word.ends_with(':') { "\n" } else { " \n" };
    print(&found.iter().map(|word| format!("{word}{}", end(word))).collect::<String>())
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// What is asked for at the point: the last word may be an option that waits for its value.
struct Question<'l> {
    line: &'l Line,
    given: Given,
    pending: Option<&'l str>,
}

impl Question<'_> {
    /// Whether the word at the point is the value of this option.
    fn is_after(&self, option: &str) -> bool {
        self.line.previous == option
    }

    fn is_pending(&self, option: &str) -> bool {
        self.pending == Some(option)
    }

    fn wants(&self, option: &str) -> bool {
        self.is_pending(option) || self.is_after(option)
    }
}

fn of_command(name: &str, options: Options, line: &Line) -> Vec<String> {
    let own: &[&str] = match name {
        "call" => &["--dest", "--object-path", "--method"],
        "emit" => &["--dest", "--object-path", "--signal"],
        "wait" => &[],
        _ => &["--dest", "--object-path"],
    };
    let words = line.words.get(2..).unwrap_or_default();
    let pending = words.last().map(String::as_str).filter(|last| own.contains(last));
    let words = words.get(..words.len() - usize::from(pending.is_some())).unwrap_or_default();
    let connected = options.read_known(words).and_then(|given| {
        let connection = given.builder(true).ok()?.call_timeout(TIME_MAX).build().ok()?;
        Some((Question { line, given, pending }, connection))
    });
    match connected {
        None if line.previous == "--address" => owned(&["unix:", "tcp:", "nonce-tcp:"]),
        None => owned(&ENDPOINTS),
        Some((question, connection)) => answer(name, own, &question, &connection),
    }
}

fn answer(
    name: &str,
    own: &[&str],
    question: &Question<'_>,
    connection: &Connection,
) -> Vec<String> {
    if !own.contains(&"--dest") {
        return Vec::new();
    }
    let of_service = service(question, connection, name == "emit");
    of_service.or_else(|| object(question, connection)).unwrap_or_else(|| {
        let of_member = member(name, question, connection);
        of_member.unwrap_or_else(|| options_left(name, question))
    })
}

/// Who is called; nothing, if that is said.
fn service(
    question: &Question<'_>,
    connection: &Connection,
    is_optional: bool,
) -> Option<Vec<String>> {
    match question.given.get("dest") {
        _ if question.is_pending("--dest") => Some(names(connection, false)),
        Some(begun) if question.is_after("--dest") => {
            Some(names(connection, begun.starts_with(':')))
        }
        None if !is_optional => Some(owned(&["--dest"])),
        _ => None,
    }
}

/// Which object it is about; nothing, if that is said.
fn object(question: &Question<'_>, connection: &Connection) -> Option<Vec<String>> {
    match (question.given.get("dest"), question.given.get("object-path")) {
        (Some(name), _) if question.is_pending("--object-path") => {
            Some(paths(connection, name, "/"))
        }
        (None, None) => Some(owned(&["--dest", "--object-path"])),
        (Some(_), None) => Some(owned(&["--object-path"])),
        (Some(name), Some(path)) if question.is_after("--object-path") => {
            Some(paths(connection, name, parent(path)))
        }
        _ => None,
    }
}

/// The method or the signal, where it is asked for and can be known.
fn member(name: &str, question: &Question<'_>, connection: &Connection) -> Option<Vec<String>> {
    let is_method = match name {
        "call" if question.wants("--method") => true,
        "emit" if question.wants("--signal") => false,
        _ => return None,
    };
    let path = question.given.get("object-path").unwrap_or_default();
    Some(members(connection, question.given.get("dest")?, path, is_method))
}

fn options_left(name: &str, question: &Question<'_>) -> Vec<String> {
    let given = &question.given;
    match name {
        "introspect" => {
            let options = ["recurse", "only-properties"].into_iter();
            options.filter(|name| !given.has(name)).map(|name| format!("--{name}")).collect()
        }
        "call" if !given.has("method") => owned(&["--method"]),
        // It is not suggested again and again.
        "emit" if !given.has("signal") && !question.is_after("--signal") => owned(&["--signal"]),
        _ => Vec::new(),
    }
}

/// All names that somebody has, or that a service could be started for; unique ones where one was begun.
fn names(connection: &Connection, has_unique: bool) -> Vec<String> {
    let ask = |member: &str| connection.bus().call::<_, Vec<String>>(member, &());
    let all = ["ListNames", "ListActivatableNames"].into_iter().map(ask);
    let all: libbus::Result<Vec<Vec<String>>> = all.collect();
    let mut names = match all {
        Ok(names) => names.concat(),
        Err(error) => return told(&text_of(&error)),
    };
    names.retain(|name| has_unique || !name.starts_with(':'));
    names.sort_unstable();
    names.dedup();
    names
}

/// What went wrong is said beside the suggestions.
fn told(why: &str) -> Vec<String> {
    say(&format!("Error: {why}"));
    Vec::new()
}

/// Up to the last part, which may not be whole.
fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) => "/",
        Some(end) => path.get(..end).unwrap_or_default(),
        None => path,
    }
}

fn paths(connection: &Connection, name: &str, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut objects_left = OBJECTS_MAX;
    add_paths(connection, name, (path, 0), &mut objects_left, &mut found);
    found
}

/// The object, if it answers, and those below it.
fn add_paths(
    connection: &Connection,
    name: &str,
    (path, depth): (&str, usize),
    objects_left: &mut usize,
    found: &mut Vec<String>,
) {
    if depth > DEPTH_MAX || *objects_left == 0 {
        return;
    }
    *objects_left -= 1;
    let Some(node) = described(connection, name, path) else { return };
    found.push(path.to_owned());
    for child in node.children.iter().filter_map(|child| child.name.as_deref()) {
        let below = format!("{}/{child}", path.trim_end_matches('/'));
        if ObjectPath::parse(&below).is_ok() {
            add_paths(connection, name, (&below, depth + 1), objects_left, found);
        }
    }
}

/// What an object says of itself; nothing, if something is wrong, of which is told.
fn described(connection: &Connection, name: &str, path: &str) -> Option<Node> {
    let told = |failed| {
        if let Failed::Because(text) = failed {
            say(&text);
        }
    };
    ask(connection, name, path).map_err(told).ok()
}

fn ask(connection: &Connection, name: &str, path: &str) -> Result<Node> {
    if BusName::parse(name).is_err() {
        return Err(because(format!("Error: {name} is not a valid name")));
    }
    if ObjectPath::parse(path).is_err() {
        return Err(because(format!("Error: {path} is not a valid object path")));
    }
    let reply = introspection::ask(connection, Some(name), path)?.wait()?;
    introspection::read(&reply)
        .map(|(_, node)| node)
        .map_err(|failure| because(format!("Error parsing introspection XML: {}", failure.text)))
}

/// The methods of an object, or its signals, with their interfaces.
fn members(connection: &Connection, name: &str, path: &str, is_method: bool) -> Vec<String> {
    let Some(node) = described(connection, name, path) else { return Vec::new() };
    let mut found = Vec::new();
    for interface in &node.interfaces {
        let methods = interface.methods.iter().map(|method| &method.name);
        let signals = interface.signals.iter().map(|signal| &signal.name);
        let members: Vec<&String> = if is_method { methods.collect() } else { signals.collect() };
        let is_name = |name: &&String| MemberName::parse(name).is_ok();
        if InterfaceName::parse(&interface.name).is_ok() {
            let members = members.into_iter().filter(is_name);
            found.extend(members.map(|member| format!("{}.{member}", interface.name)));
        }
    }
    found
}
