//! `bus get` (tools.md D010).

use bus_introspect::{Node, Property};
use clap::Args;
use libbus::MethodCall;
use libbus::blocking::Connection;
use serde_json::{Map, Value as Json};

use crate::commands::call::{Target, body_text, split_member};
use crate::failure::{Failure, Result};
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

/// One property that is shown.
struct Shown {
    interface: String,
    name: String,
    value: Value,
}

impl Get {
    pub(crate) fn run(self, options: &Options) -> Result<()> {
        let count = if options.bus.is_peer() { 1 } else { 2 };
        let (place, wanted) = self.words.split_at_checked(count).ok_or_else(|| {
            Failure::usage("expected NAME PATH [INTERFACE.PROPERTY…]")
                .hint("for example: bus get org.freedesktop.DBus / org.freedesktop.DBus.Features")
        })?;
        let (destination, path) = match place {
            [name, path] => (Some(name.as_str()), path.as_str()),
            [path] => (None, path.as_str()),
            _ => (None, "/"),
        };
        let connection = options.connect()?;
        let object = Object { connection: &connection, destination, path };
        let mut shown = Vec::new();
        match wanted {
            [] => object.all(None, &mut shown)?,
            wanted => wanted.iter().try_for_each(|word| object.find(word, &mut shown))?,
        }
        self.print(&shown, wanted, options)
    }

    fn print(&self, shown: &[Shown], wanted: &[String], options: &Options) -> Result<()> {
        let mut out = Out::plain();
        let is_one = wanted.len() == 1 && shown.len() == 1;
        match (options.json(), shown) {
            (Some(form), [one]) if is_one => out.json(form, &typed(&one.value))?,
            (Some(form), shown) => out.json(form, &by_interface(shown))?,
            (None, [one]) if is_one => {
                let text = body_text(std::slice::from_ref(&one.value), self.verbose);
                out.text(&text)?;
            }
            (None, shown) => {
                for one in shown {
                    let mut text = String::new();
                    flat::write(&mut text, &one.value);
                    let signature = one.value.signature();
                    out.line(&format!(
                        "{}.{} = {signature} {text}",
                        plain(&one.interface),
                        plain(&one.name)
                    ))?;
                }
            }
        }
        out.finish()
    }
}

/// The form that `busctl --json` has for a property.
fn typed(value: &Value) -> Json {
    serde_json::json!({ "type": value.signature(), "data": json::to_json(value) })
}

fn by_interface(shown: &[Shown]) -> Json {
    let mut all: Map<String, Json> = Map::new();
    for one in shown {
        let of = all.entry(one.interface.clone()).or_insert_with(|| Json::Object(Map::new()));
        if let Json::Object(of) = of {
            of.insert(one.name.clone(), typed(&one.value));
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
                        value,
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
        shown.push(Shown { interface, name: name.to_owned(), value });
        Ok(())
    }

    fn get(&self, interface: &str, name: &str) -> Result<Value> {
        let reply = self.connection.call(&self.properties_call("Get")?, &(interface, name))?;
        let value = Value::of_message(&reply).into_iter().next();
        let value =
            value.ok_or_else(|| Failure::refused("the service answered without a value"))?;
        Ok(value.unwrapped().clone())
    }

    /// The one interface that has a property of this name.
    fn interface_of(&self, name: &str) -> Result<String> {
        let (_, node) = introspection::fetch(self.connection, self.destination, self.path)?;
        Ok(only_property(&node, name)?.0.to_owned())
    }

    fn all(&self, interface: Option<&str>, shown: &mut Vec<Shown>) -> Result<()> {
        let interfaces = match interface {
            Some(interface) => vec![interface.to_owned()],
            None => {
                let (_, node) = introspection::fetch(self.connection, self.destination, self.path)?;
                let with = node.interfaces.into_iter().filter(|found| !found.properties.is_empty());
                with.map(|found| found.name).collect()
            }
        };
        for interface in interfaces {
            let reply = self.connection.call(&self.properties_call("GetAll")?, &*interface)?;
            let Some(Value::Dict { entries, .. }) = Value::of_message(&reply).into_iter().next()
            else {
                continue;
            };
            for (name, value) in entries {
                let Value::String(name) = name else { continue };
                let value = value.unwrapped().clone();
                shown.push(Shown { interface: interface.clone(), name, value });
            }
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
