//! `bus tree`: the objects of services (tools.md D005).
//!
//! Objects are found by introspection, and those that an object manager tells of, which some services do not list,
//! as well. Many questions are under way at once; a service is shown when all of it is known, in the order of names.

use std::collections::{BTreeSet, HashMap};

use clap::Args;
use libbus::blocking::Connection;
use libbus::{Error, MethodCall};
use serde_json::{Map, Value as Json, json};

use crate::failure::{Failure, Result};
use crate::introspection;
use crate::inventory::{Questions, Standing, names};
use crate::options::Options;
use crate::output::escape::plain;
use crate::output::out::Out;
use crate::output::style::{Look, Style};
use crate::value::Value;

/// Objects of one service that are looked at: a service could go on for ever.
const OBJECTS_MAX: usize = 65_536;
const OBJECT_MANAGER: &str = "org.freedesktop.DBus.ObjectManager";

/// The objects of services
///
/// Without a name: of all that have a well-known name.
#[derive(Args, Debug)]
pub(crate) struct Tree {
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// Begin at this object
    #[arg(long, value_name = "PATH", default_value = "/")]
    at: String,

    /// One path on each line
    #[arg(long)]
    list: bool,
}

/// What is known of one service.
#[derive(Default)]
struct Service {
    paths: BTreeSet<String>,
    /// Questions that are not answered.
    open_count: usize,
    is_cut: bool,
    error: Option<Error>,
}

enum Asked {
    Introspect(String),
    Manager,
}

impl Tree {
    pub(crate) fn run(self, options: &Options) -> Result<()> {
        let connection = options.connect()?;
        let is_all = self.names.is_empty() && !options.bus.is_peer();
        let services = match is_all {
            true => owned_names(&connection)?,
            false if options.bus.is_peer() => vec![String::new()],
            false => self.names.clone(),
        };
        let mut out = Out::paged(options);
        let mut json = Map::new();
        let mut failure = None;
        look(&connection, &services, &self.at, options, |name, service| {
            if let Some(error) = &service.error
                && service.paths.len() <= 1
            {
                // One of many that does not answer is told beside the others.
                let text = Failure::from(error.clone());
                match is_all {
                    true => eprintln!("bus: {}: {}", plain(name), text.text),
                    false => failure = Some(text),
                }
                return Ok(());
            }
            match options.json() {
                Some(_) => drop(json.insert(name.to_owned(), json!(service.paths))),
                None => {
                    self.print(&mut out, name, &service, services.len() > 1, options.style())?
                }
            }
            Ok(())
        })?;
        if let Some(form) = options.json() {
            out.json(form, &Json::Object(json))?;
        }
        out.finish()?;
        failure.map_or(Ok(()), Err)
    }

    fn print(
        &self,
        out: &mut Out,
        name: &str,
        service: &Service,
        is_titled: bool,
        style: Style,
    ) -> Result<()> {
        if self.list {
            service.paths.iter().try_for_each(|path| out.line(&plain(path)))?;
        } else {
            if is_titled {
                out.line(&format!("Service {}:", style.paint(Look::Bold, &plain(name))))?;
            }
            draw(&service.paths, &self.at).iter().try_for_each(|line| out.line(line))?;
            if is_titled {
                out.line("")?;
            }
        }
        if service.is_cut {
            out.flush()?;
            eprintln!(
                "bus: {} has more than {OBJECTS_MAX} objects; the rest is left out",
                plain(name)
            );
        }
        // Each service is seen as soon as it is known.
        out.flush()
    }
}

fn owned_names(connection: &Connection) -> Result<Vec<String>> {
    let owned = names(connection)?.into_iter().filter(|name| name.standing == Standing::Owned);
    Ok(owned.map(|name| name.name).collect())
}

/// Tells of each service, in their order, when all of it is known.
fn look(
    connection: &Connection,
    names: &[String],
    root: &str,
    options: &Options,
    mut tell: impl FnMut(&str, Service) -> Result<()>,
) -> Result<()> {
    let destination =
        |index: usize| names.get(index).map(String::as_str).filter(|name| !name.is_empty());
    let mut services: HashMap<usize, Service> = HashMap::new();
    let mut questions = Questions::new();
    let mut waiting: Vec<(usize, String)> = Vec::new();
    let (mut next, mut told) = (0, 0);
    while told < names.len() {
        while questions.has_room() {
            // What is begun is finished first.
            if let Some((index, path)) = waiting.pop() {
                let asked = introspection::ask(connection, destination(index), &path, options);
                questions.push((index, Asked::Introspect(path)), asked);
            } else if next < names.len() {
                let service = services.entry(next).or_default();
                service.paths.insert(root.to_owned());
                service.open_count = 2;
                waiting.push((next, root.to_owned()));
                let asked = ask_manager(connection, destination(next), root, options);
                questions.push((next, Asked::Manager), asked);
                next += 1;
            } else {
                break;
            }
        }
        if let Some(((index, asked), answer)) = questions.next()
            && let Some(service) = services.get_mut(&index)
        {
            service.open_count -= 1;
            let found = match (asked, answer) {
                (_, Err(error)) if error.is_disconnected() => return Err(error.into()),
                (Asked::Introspect(path), Ok(reply)) => children(&path, &reply),
                (Asked::Manager, Ok(reply)) => managed(&reply),
                (Asked::Introspect(path), Err(error)) => {
                    if path == root {
                        service.error = Some(error);
                    }
                    Vec::new()
                }
                // Most services have none.
                (Asked::Manager, Err(_)) => Vec::new(),
            };
            for path in found {
                service.add(index, path, &mut waiting);
            }
        }
        while services.get(&told).is_some_and(|service| service.open_count == 0) {
            let service = services.remove(&told).unwrap_or_default();
            tell(names.get(told).map_or("", String::as_str), service)?;
            told += 1;
        }
    }
    Ok(())
}

impl Service {
    fn add(&mut self, index: usize, path: String, waiting: &mut Vec<(usize, String)>) {
        if self.paths.len() >= OBJECTS_MAX {
            self.is_cut = true;
        } else if self.paths.insert(path.clone()) {
            self.open_count += 1;
            waiting.push((index, path));
        }
    }
}

fn ask_manager(
    connection: &Connection,
    destination: Option<&str>,
    path: &str,
    options: &Options,
) -> std::result::Result<libbus::blocking::PendingReply, Error> {
    let mut call = MethodCall::new(path, "GetManagedObjects")?.interface(OBJECT_MANAGER)?;
    if let Some(destination) = destination {
        call = call.destination(destination)?;
    }
    if options.timeout.is_some() {
        call = call.timeout(options.timeout);
    }
    connection.send(&call, &())
}

fn children(path: &str, reply: &libbus::message::Message) -> Vec<String> {
    let Ok((_, node)) = introspection::read(reply) else { return Vec::new() };
    let parent = path.trim_end_matches('/');
    let names = node.children.into_iter().filter_map(|child| child.name);
    let paths = names.map(|name| format!("{parent}/{}", name.trim_matches('/')));
    paths.filter(|path| libbus::names::ObjectPath::parse(path).is_ok()).collect()
}

fn managed(reply: &libbus::message::Message) -> Vec<String> {
    let values = Value::of_message(reply);
    let Some(Value::Dict { entries, .. }) = values.first() else { return Vec::new() };
    let paths = entries.iter().filter_map(|(path, _)| match path {
        Value::ObjectPath(path) => Some(path.clone()),
        _ => None,
    });
    paths.collect()
}

/// The tree below `root`, a line for each object; also for the ones between that nobody listed.
fn draw(paths: &BTreeSet<String>, root: &str) -> Vec<String> {
    let base = root.trim_end_matches('/');
    let mut nodes: BTreeSet<Vec<&str>> = BTreeSet::new();
    for path in paths {
        let Some(rest) = path.strip_prefix(base) else { continue };
        let parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
        nodes.extend((0..=parts.len()).map(|depth| parts.iter().take(depth).copied().collect()));
    }
    // From the last one on, whether another one comes after it is known: for each depth.
    let mut has_later: Vec<bool> = Vec::new();
    let mut lines: Vec<String> = Vec::new();
    for node in nodes.iter().rev() {
        has_later.resize(node.len(), false);
        let path = match node.is_empty() {
            true => root.to_owned(),
            false => format!("{base}/{}", node.join("/")),
        };
        lines.push(branches(&has_later) + &plain(&path));
        if let Some(last) = has_later.last_mut() {
            *last = true;
        }
    }
    lines.reverse();
    lines
}

fn branches(has_later: &[bool]) -> String {
    let count = has_later.len();
    let branch = |(index, has_later): (usize, &bool)| match (index + 1 == count, *has_later) {
        (true, true) => "├─ ",
        (true, false) => "└─ ",
        (false, true) => "│  ",
        (false, false) => "   ",
    };
    has_later.iter().enumerate().map(branch).collect()
}

#[cfg(test)]
mod tests {
    use super::draw;

    #[test]
    fn a_tree_shows_who_is_below_whom() {
        let paths =
            ["/", "/a", "/a/b/c", "/a/d", "/e"].map(ToOwned::to_owned).into_iter().collect();
        let lines = draw(&paths, "/");
        let wanted = ["/", "├─ /a", "│  ├─ /a/b", "│  │  └─ /a/b/c", "│  └─ /a/d", "└─ /e"];
        assert_eq!(lines, wanted);
        assert_eq!(draw(&paths, "/a"), ["/a", "├─ /a/b", "│  └─ /a/b/c", "└─ /a/d"]);
    }
}
