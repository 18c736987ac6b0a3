//! `bus set` (tools.md D011).

use bus_introspect::{Node, Property};
use clap::Args;

use crate::commands::call::{expected, place, split_member, wrong_argument};
use crate::commands::get::{Object, only_property};
use crate::failure::{Failure, Result};
use crate::introspection;
use crate::options::Options;
use crate::value::{Arguments, Value, parse_signature, words};

/// Set a property of an object
///
/// The value's type is the one that the object tells of; see `bus call` for how values are written.
#[derive(Args, Debug)]
#[command(override_usage = "bus set [OPTIONS] NAME PATH INTERFACE.PROPERTY VALUE")]
pub(crate) struct Set {
    /// NAME PATH INTERFACE.PROPERTY VALUE; with --peer without NAME
    #[arg(value_name = "WORD", num_args = 1.., required = true, allow_negative_numbers = true)]
    words: Vec<String>,

    /// The type of the value
    #[arg(short = 's', long, value_name = "SIGNATURE", value_parser = parse_signature)]
    signature: Option<String>,
}

impl Set {
    pub(crate) fn run(self, options: &Options) -> Result<()> {
        let (destination, rest) = match (options.bus.is_peer(), self.words.as_slice()) {
            (false, [name, rest @ ..]) => (Some(name.as_str()), rest),
            (_, rest) => (None, rest),
        };
        let [path, property, words @ ..] = rest else {
            return Err(expected("NAME PATH INTERFACE.PROPERTY VALUE", options));
        };
        place(destination, path)?;
        let connection = options.connect()?;
        let object = Object { connection: &connection, destination, path };
        let (interface, name) = split_member(property);
        let (interface, signature) = match (interface, self.signature) {
            (Some(interface), Some(signature)) => (interface.to_owned(), signature),
            (interface, signature) => {
                let described = introspection::fetch(&connection, destination, path);
                let (_, node) = described.map_err(|failure| {
                    let what = "the type of the value is";
                    let hint = "say it with --signature, and the property as INTERFACE.PROPERTY";
                    introspection::untold(failure, what, hint)
                })?;
                let (interface, property) = told_property(&node, interface, name)?;
                (interface.to_owned(), signature.unwrap_or_else(|| property.signature.clone()))
            }
        };
        let value = words::arguments(&signature, words)
            .map_err(|error| wrong_argument(&error, words, &signature))?;
        let Arguments { values, fds } = value;
        let [value] = <[Value; 1]>::try_from(values)
            .map_err(|_| Failure::usage(format!("{signature} is not the type of one value")))?;
        let values = vec![
            Value::String(interface),
            Value::String(name.to_owned()),
            Value::Variant(Box::new(value)),
        ];
        connection.call(&object.properties_call("Set")?, &Arguments { values, fds })?;
        Ok(())
    }
}

fn told_property<'n>(
    node: &'n Node,
    interface: Option<&str>,
    name: &str,
) -> Result<(&'n str, &'n Property)> {
    let Some(interface) = interface else { return only_property(node, name) };
    introspection::properties(node, Some(interface), name).into_iter().next().ok_or_else(|| {
        Failure::refused(format!("the object tells of no property {interface}.{name}"))
            .hint("with --signature it is set all the same")
    })
}
