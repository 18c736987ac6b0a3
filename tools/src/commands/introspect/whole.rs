//! The description of an object and of all below it, as one document.
//!
//! Bounds: [`OBJECTS_MAX`] objects, [`LEVELS_MAX`] levels. What is not there, by a bound or because an object does not
//! describe itself, is told on standard error: a document says nothing of what it lacks.

use bus_introspect::Node;
use libbus::blocking::Connection;

use crate::failure::{Reason, Result};
use crate::introspection;
use crate::output::escape::plain;

/// Objects of one document.
const OBJECTS_MAX: usize = 4096;
/// How far below the first object others are looked for: a service could go on for ever.
const LEVELS_MAX: usize = 64;

/// Adds the objects below `node`, which is at `path`.
///
/// # Errors
/// The connection is over.
pub(super) fn add_below(
    connection: &Connection,
    destination: Option<&str>,
    path: &str,
    node: &mut Node,
) -> Result<()> {
    let mut search = Search { connection, destination, left: OBJECTS_MAX, is_cut: false };
    search.fill(path, node, 0)?;
    if search.is_cut {
        complain!(
            "bus: not all is here: at most {OBJECTS_MAX} objects are asked, {LEVELS_MAX} levels deep"
        );
    }
    Ok(())
}

struct Search<'a> {
    connection: &'a Connection,
    destination: Option<&'a str>,
    left: usize,
    is_cut: bool,
}

impl Search<'_> {
    fn fill(&mut self, path: &str, node: &mut Node, level: usize) -> Result<()> {
        for child in &mut node.children {
            let Some(name) = child.name.clone() else { continue };
            if self.left == 0 || level == LEVELS_MAX {
                self.is_cut = true;
                return Ok(());
            }
            self.left -= 1;
            let path = format!("{}/{name}", path.trim_end_matches('/'));
            match introspection::fetch(self.connection, self.destination, &path) {
                Ok((_, below)) => *child = Node { name: Some(name), ..below },
                Err(failure) if failure.reason == Reason::Unreachable => return Err(failure),
                Err(failure) => {
                    complain!("bus: {}: {}", plain(&path), failure.text);
                    continue;
                }
            }
            self.fill(&path, child, level + 1)?;
        }
        Ok(())
    }
}
