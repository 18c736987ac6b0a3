//! Where a description comes from: a file, standard input, or an object of a running service.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use bus_introspect::{Node, ParseError, XML_SIZE_MAX};
use libbus::host::phrase;
use libbus::names::BusName;

use super::tags;
use crate::failure::{Failure, Result};
use crate::introspection;
use crate::options::Options;
use crate::output::escape::plain;

/// One description.
#[derive(Debug)]
pub(super) struct Source {
    /// As the header of what is written names it.
    pub(super) name: String,
    pub(super) node: Node,
    /// The service, if there is a bus, and the object's path.
    pub(super) object: Option<(Option<String>, String)>,
    /// The text, in which places are looked for; empty of an object, whose text nobody has before their eyes.
    text: String,
}

impl Source {
    /// What the words mean: files, or one object.
    ///
    /// # Errors
    /// One cannot be read, or is no description.
    pub(super) fn read_all(
        words: &[String],
        is_lenient: bool,
        options: &Options,
    ) -> Result<Vec<Self>> {
        match words {
            [path, interfaces @ ..] if options.bus.is_peer() => {
                Ok(vec![Self::ask(None, path, interfaces, options)?])
            }
            [name, path, interfaces @ ..] if is_object(name, path) => {
                Ok(vec![Self::ask(Some(name), path, interfaces, options)?])
            }
            files => files.iter().map(|file| Self::read_file(file, is_lenient, options)).collect(),
        }
    }

    /// # Errors
    /// It cannot be read, or is no description.
    pub(super) fn read_file(file: &str, is_lenient: bool, options: &Options) -> Result<Self> {
        let text = read_text(file).map_err(|error| {
            let failure =
                Failure::refused(format!("cannot read {}: {}", plain(file), phrase(&error)));
            match error.kind() == io::ErrorKind::NotFound && BusName::parse(file).is_ok() {
                true => {
                    failure.hint("an object is NAME PATH; `bus tree NAME` shows those of a service")
                }
                false => failure,
            }
        })?;
        let name = if file == "-" { "standard input" } else { file };
        let at = |error: ParseError| {
            let (line, column) = (error.line, error.column);
            plain(&format!("{name}:{line}:{column}: {}", error.kind))
        };
        if !is_lenient {
            Node::from_xml(&text).map_err(|error| {
                Failure::refused(at(error))
                    .hint("--lenient gets over most faults, and tells of them")
            })?;
        }
        // Only lenient reading keeps documentation that is no annotation.
        let (node, faults) =
            Node::from_xml_leniently(&text).map_err(|error| Failure::refused(at(error)))?;
        if is_lenient && !options.quiet {
            faults.into_iter().for_each(|fault| complain!("bus: {}", at(fault)));
        }
        Ok(Self { name: name.to_owned(), node, object: None, text })
    }

    fn ask(
        name: Option<&str>,
        path: &str,
        interfaces: &[String],
        options: &Options,
    ) -> Result<Self> {
        let connection = options.connect()?;
        let (_, mut node) = introspection::fetch(&connection, name, path)?;
        if let Some(missing) = interfaces.iter().find(|wanted| node.interface(wanted).is_none()) {
            return Err(Failure::refused(format!(
                "the object has no interface {}",
                plain(missing)
            ))
            .hint("without an interface all of them are taken"));
        }
        if !interfaces.is_empty() {
            node.interfaces.retain(|interface| interfaces.contains(&interface.name));
        }
        // A child's name without what it has says nothing here.
        node.children.retain(|child| !child.interfaces.is_empty());
        Ok(Self {
            name: name.map_or_else(|| path.to_owned(), |name| format!("{name} {path}")),
            node,
            object: Some((name.map(ToOwned::to_owned), path.to_owned())),
            text: String::new(),
        })
    }

    pub(super) fn take(&mut self) -> Node {
        std::mem::take(&mut self.node)
    }

    /// File, line and column of an element, by the names from the outermost inwards.
    pub(super) fn find(&self, place: &[&str]) -> Option<String> {
        let (line, column) = tags::find(&self.text, place)?;
        Some(plain(&format!("{}:{line}:{column}", self.name)))
    }
}

/// Whether two words are a name and a path, and not two files.
fn is_object(name: &str, path: &str) -> bool {
    path.starts_with('/') && BusName::parse(name).is_ok() && !Path::new(name).exists()
}

fn read_text(file: &str) -> io::Result<String> {
    // One byte more, so that what is too long is told as such.
    let size_max = XML_SIZE_MAX as u64 + 1;
    let mut bytes = Vec::new();
    match file {
        "-" => io::stdin().take(size_max).read_to_end(&mut bytes)?,
        file => File::open(file)?.take(size_max).read_to_end(&mut bytes)?,
    };
    String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the file is no text in UTF-8"))
}
