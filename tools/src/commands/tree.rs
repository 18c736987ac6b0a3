//! `bus tree`: the objects of services (tools.md D005).
//!
//! A service is shown when all of it is known, in the order of names; its title before that.

mod look;

use std::collections::BTreeSet;
use std::io::{self, Write as _};

use clap::Args;
use libbus::blocking::Connection;
use libbus::names::{BusName, ObjectPath};
use serde_json::{Map, Value as Json, json};

use self::look::{OBJECTS_MAX, Service, Watcher, look};
use crate::commands::call::named;
use crate::failure::{Failure, Result};
use crate::inventory::{Standing, names};
use crate::options::Options;
use crate::output::escape::plain;
use crate::output::out::Out;
use crate::output::style::{Look, Style};

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

impl Tree {
    pub(crate) fn run(self, options: &Options) -> Result<()> {
        named("object path", &self.at, ObjectPath::parse)?;
        self.names.iter().try_for_each(|name| named("bus name", name, BusName::parse).map(drop))?;
        let connection = options.connect()?;
        let is_all = self.names.is_empty() && !options.bus.is_peer();
        let services = match is_all {
            true => owned_names(&connection)?,
            false if options.bus.is_peer() => vec![String::new()],
            false => self.names.clone(),
        };
        let mut shown = Shown {
            tree: &self,
            out: Out::paged(options),
            style: options.style(),
            is_titled: services.len() > 1 && !self.list,
            is_all,
            json: options.json().map(|_| Map::new()),
            failure: None,
        };
        look(&connection, &services, &self.at, &mut shown)?;
        if let (Some(form), Some(json)) = (options.json(), shown.json.take()) {
            shown.out.json(form, &Json::Object(json))?;
        }
        shown.out.finish()?;
        shown.failure.map_or(Ok(()), Err)
    }
}

/// What was looked at, as it is shown: one service after the other.
struct Shown<'t> {
    tree: &'t Tree,
    out: Out,
    style: Style,
    is_titled: bool,
    is_all: bool,
    /// All of them, if JSON is wanted.
    json: Option<Map<String, Json>>,
    failure: Option<Failure>,
}

impl Watcher for Shown<'_> {
    fn begin(&mut self, name: &str) -> Result<()> {
        if self.is_titled && self.json.is_none() {
            self.out.line(&format!("Service {}:", self.style.paint(Look::Bold, &plain(name))))?;
            // It is seen at once, and the rest as soon as it is known.
            self.out.flush()?;
        }
        Ok(())
    }

    fn end(&mut self, name: &str, service: &Service) -> Result<()> {
        if let Some(json) = &mut self.json {
            json.insert(name.to_owned(), json!(service.paths));
        } else if service.error.is_none() || service.paths.len() > 1 {
            self.draw(&service.paths)?;
        }
        self.out.flush()?;
        if let Some(error) = &service.error {
            let failure = error.clone();
            match self.is_all {
                // One of many that does not answer is told beside the others.
                true => complain!("bus: {}: {}", plain(name), failure.text),
                false => self.failure = Some(failure),
            }
        }
        for (path, failure) in &service.broken {
            let place = format!("{}{}", plain(name), plain(path));
            let _ = writeln!(io::stderr(), "bus: {place}: {}", failure.text);
        }
        if service.is_cut {
            let name = plain(name);
            complain!("bus: {name} has more than {OBJECTS_MAX} objects; the rest is left out");
        }
        Ok(())
    }
}

impl Shown<'_> {
    fn draw(&mut self, paths: &BTreeSet<String>) -> Result<()> {
        if self.tree.list {
            return paths.iter().try_for_each(|path| self.out.line(&plain(path)));
        }
        draw(paths, &self.tree.at).iter().try_for_each(|line| self.out.line(line))?;
        if self.is_titled { self.out.line("") } else { Ok(()) }
    }
}

fn owned_names(connection: &Connection) -> Result<Vec<String>> {
    let owned = names(connection)?.into_iter().filter(|name| name.standing == Standing::Owned);
    Ok(owned.map(|name| name.name).collect())
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
