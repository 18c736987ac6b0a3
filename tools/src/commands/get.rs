//! `bus get` (tools.md D010, D069).

use std::io::{self, Write as _};

use bus_introspect::{Access, Interface, Node, Property};
use clap::Args;
use libbus::MethodCall;
use libbus::blocking::Connection;
use serde_json::{Map, Value as Json};

use crate::commands::call::{Target, body_text, expected, place, split_member};
use crate::failure::{Failure, Reason, Result};
use crate::introspection;
use crate::options::Options;
use crate::output::escape::plain;
use crate::output::out::Out;
use crate::value::{Value, flat, json};

pub(crate) const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// Show properties of an object
///
/// Without a property all of an interface, or of the object.
#[derive(Args, Debug)]
#[command(override_usage = "bus get [OPTIONS] NAME PATH [INTERFACE.PROPERTY]...")]
pub(crate) struct Get {
    /// NAME PATH, and INTERFACE.PROPERTY, PROPERTY or INTERFACE; with --peer without NAME
    #[arg(value_name = "WORD", num_args = 1.., required = true)]
    words: Vec<String>,

    /// Over several lines, with the names of types
    #[arg(long)]
    verbose: bool,
}

const NO_VALUE: &str = "the service answered without a value";

/// One property that is shown.
struct Shown {
    interface: String,
    name: String,
    /// Or why there is none.
    value: std::result::Result<Value, String>,
}

impl Get {
    pub(crate) fn run(self, options: &Options) -> Result<()> {
        let count = if options.bus.is_peer() { 1 } else { 2 };
        let (words, wanted) = self
            .words
            .split_at_checked(count)
            .ok_or_else(|| expected("NAME PATH [INTERFACE.PROPERTY]...", options))?;
        let (destination, path) = match words {
            [name, path] => (Some(name.as_str()), path.as_str()),
            [path] => (None, path.as_str()),
            _ => (None, "/"),
        };
        place(destination, path)?;
        let connection = options.connect()?;
        let object = Object { connection: &connection, destination, path };
        let (mut shown, mut failures) = (Vec::new(), Vec::new());
        match wanted {
            [] => object.all(None, &mut shown)?,
            [word] => object.find(word, &mut shown)?,
            // One that cannot be read keeps the others from nobody (tools.md D069).
            words => {
                for word in words {
                    match object.find(word, &mut shown) {
                        Err(failure) if failure.reason == Reason::Unreachable => {
                            return Err(failure);
                        }
                        Err(failure) => failures.push((word, failure)),
                        Ok(()) => {}
                    }
                }
            }
        }
        if !shown.is_empty() || failures.is_empty() {
            self.print(&shown, &failures, wanted, options)?;
        }
        tell(failures)
    }

    fn print(
        &self,
        shown: &[Shown],
        failures: &[(&String, Failure)],
        wanted: &[String],
        options: &Options,
    ) -> Result<()> {
        let mut out = Out::plain();
        let only = match shown {
            [Shown { value: Ok(value), .. }] if wanted.len() == 1 => Some(value),
            _ => None,
        };
        match (options.json(), only) {
            (Some(form), Some(value)) => out.json(form, &typed(value))?,
            (Some(form), None) => out.json(form, &by_interface(shown, failures))?,
            (None, Some(value)) => {
                out.text(&body_text(std::slice::from_ref(value), self.verbose))?;
            }
            (None, None) => shown.iter().try_for_each(|one| print_one(&mut out, one))?,
        }
        out.finish()
    }
}

/// A line of its own; one that cannot be read is told beside the others.
fn print_one(out: &mut Out, one: &Shown) -> Result<()> {
    let name = format!("{}.{}", plain(&one.interface), plain(&one.name));
    match &one.value {
        Ok(value) => {
            let mut text = String::new();
            flat::write(&mut text, value);
            out.line(&format!("{name} = {} {text}", value.signature()))
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "bus: {name}: {}", plain(error));
            Ok(())
        }
    }
}

/// What of several words was not found; the last is what the command fails with.
fn tell(mut failures: Vec<(&String, Failure)>) -> Result<()> {
    let named = |(word, failure): (&String, Failure)| {
        let text = format!("{}: {}", plain(word), failure.text);
        Failure { text, ..failure }
    };
    let Some(last) = failures.pop().map(named) else { return Ok(()) };
    for failure in failures.into_iter().map(named) {
        let _ = writeln!(io::stderr(), "bus: {}", failure.text);
    }
    Err(last)
}

/// The form that `busctl --json` has for a property.
fn typed(value: &Value) -> Json {
    serde_json::json!({ "type": value.signature(), "data": json::to_json(value) })
}

/// What cannot be read is there, too, in its interface as far as that was named.
fn by_interface(shown: &[Shown], failures: &[(&String, Failure)]) -> Json {
    let mut all: Map<String, Json> = Map::new();
    for one in shown {
        let of = all.entry(one.interface.clone()).or_insert_with(|| Json::Object(Map::new()));
        if let Json::Object(of) = of {
            let value = match &one.value {
                Ok(value) => typed(value),
                Err(error) => serde_json::json!({ "error": error }),
            };
            of.insert(one.name.clone(), value);
        }
    }
    for (word, failure) in failures {
        let (interface, name) = split_member(word);
        let of = all.entry(interface.unwrap_or_default());
        if let Json::Object(of) = of.or_insert_with(|| Json::Object(Map::new())) {
            of.insert(name.to_owned(), serde_json::json!({ "error": failure.text }));
        }
    }
    Json::Object(all)
}

/// The object whose properties are asked for.
pub(crate) struct Object<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) destination: Option<&'a str>,
    pub(crate) path: &'a str,
}

impl Object<'_> {
    pub(crate) fn properties_call(&self, member: &'static str) -> Result<MethodCall<'_>> {
        let target = Target {
            destination: self.destination,
            path: self.path,
            interface: Some(PROPERTIES),
            member,
            arguments: &[],
        };
        target.call()
    }

    /// What `word` means: a property with its interface, one without, or all of an interface.
    fn find(&self, word: &str, shown: &mut Vec<Shown>) -> Result<()> {
        let (interface, name) = split_member(word);
        if let Some(interface) = interface {
            match self.get(interface, name) {
                Ok(value) => {
                    shown.push(Shown {
                        interface: interface.to_owned(),
                        name: name.to_owned(),
                        value: Ok(value),
                    });
                    return Ok(());
                }
                // It may be an interface as a whole.
                Err(failure) => {
                    let before = shown.len();
                    return match self.all(Some(word), shown) {
                        Ok(()) if shown.len() > before => Ok(()),
                        _ => Err(failure),
                    };
                }
            }
        }
        let interface = self.interface_of(name)?;
        let value = self.get(&interface, name)?;
        shown.push(Shown { interface, name: name.to_owned(), value: Ok(value) });
        Ok(())
    }

    fn get(&self, interface: &str, name: &str) -> Result<Value> {
        let reply = self.connection.call(&self.properties_call("Get")?, &(interface, name))?;
        let value = Value::of_message(&reply).into_iter().next();
        let value = value.ok_or_else(|| Failure::refused(NO_VALUE))?;
        Ok(value.unwrapped().clone())
    }

    /// The same, where the others are shown if it cannot be read.
    fn get_beside(
        &self,
        interface: &str,
        name: &str,
    ) -> Result<std::result::Result<Value, String>> {
        match self.connection.call(&self.properties_call("Get")?, &(interface, name)) {
            Ok(reply) => {
                let value = Value::of_message(&reply).into_iter().next();
                let value = value.map(|value| value.unwrapped().clone());
                Ok(value.ok_or_else(|| NO_VALUE.to_owned()))
            }
            Err(error) if error.is_disconnected() => Err(error.into()),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    /// The one interface that has a property of this name.
    fn interface_of(&self, name: &str) -> Result<String> {
        let node = self.described().map_err(|failure| {
            let hint = "say which one: INTERFACE.PROPERTY";
            introspection::untold(failure, "the interface of the property is", hint)
        })?;
        Ok(only_property(&node, name)?.0.to_owned())
    }

    fn described(&self) -> Result<Node> {
        introspection::fetch(self.connection, self.destination, self.path).map(|(_, node)| node)
    }

    /// All of an interface, or of the object.
    fn all(&self, interface: Option<&str>, shown: &mut Vec<Shown>) -> Result<()> {
        let described = self.described();
        match (interface, described) {
            (None, described) => {
                let interfaces = described?.interfaces;
                let mut with = interfaces.iter().filter(|found| !found.properties.is_empty());
                with.try_for_each(|found| self.all_of(&found.name, Some(found), shown))
            }
            (Some(name), described) => {
                let node = described.unwrap_or_default();
                self.all_of(name, node.interface(name), shown)
            }
        }
    }

    fn all_of(
        &self,
        interface: &str,
        told: Option<&Interface>,
        shown: &mut Vec<Shown>,
    ) -> Result<()> {
        let told = told.map(|told| told.properties.as_slice()).unwrap_or_default();
        let is_read = |property: &&Property| property.access != Access::Write;
        let mut left: Vec<&Property> = told.iter().filter(is_read).collect();
        let entries = match self.connection.call(&self.properties_call("GetAll")?, interface) {
            Ok(reply) => match Value::of_message(&reply).into_iter().next() {
                Some(Value::Dict { entries, .. }) => entries,
                _ => Vec::new(),
            },
            Err(error) if error.is_disconnected() || left.is_empty() => return Err(error.into()),
            Err(_) => Vec::new(),
        };
        for (name, value) in entries {
            let Value::String(name) = name else { continue };
            left.retain(|property| property.name != name);
            let value = Ok(value.unwrapped().clone());
            shown.push(Shown { interface: interface.to_owned(), name, value });
        }
        // GetAll leaves out what cannot be read now, or fails for all; asked by itself it says why.
        for property in left {
            let value = self.get_beside(interface, &property.name)?;
            let name = property.name.clone();
            shown.push(Shown { interface: interface.to_owned(), name, value });
        }
        Ok(())
    }
}

/// The one property of this name, with its interface.
pub(crate) fn only_property<'n>(node: &'n Node, name: &str) -> Result<(&'n str, &'n Property)> {
    match introspection::properties(node, None, name).as_slice() {
        [one] => Ok(*one),
        [] => Err(Failure::refused(format!("the object tells of no property {}", plain(name)))
            .hint("`bus introspect NAME PATH` shows what it has")),
        several => {
            let names: Vec<String> = several.iter().map(|(name, _)| plain(name)).collect();
            Err(Failure::usage(format!("several interfaces have a property {name}"))
                .hint(format!("say which one: {}", names.join(", "))))
        }
    }
}
