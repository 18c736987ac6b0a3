//! `bus set` (tools.md D011).

use clap::Args;

use crate::commands::call::{split_member, wrong_argument};
use crate::commands::get::Object;
use crate::failure::{Failure, Result};
use crate::introspection;
use crate::options::Options;
use crate::value::{Arguments, Value, words};

/// Set a property of an object
///
/// The value's type is the one that the object tells of; see `bus call` for how values are written.
#[derive(Args, Debug)]
#[command(override_usage = "bus set [OPTIONS] NAME PATH INTERFACE.PROPERTY VALUE")]
pub(crate) struct Set {
    /// NAME PATH INTERFACE.PROPERTY VALUE; with --peer without NAME
    #[arg(value_name = "WORD", num_args = 3.., required = true, allow_negative_numbers = true)]
    words: Vec<String>,

    /// The type of the value
    #[arg(short = 's', long, value_name = "SIGNATURE")]
    signature: Option<String>,
}

impl Set {
    pub(crate) fn run(self, options: &Options) -> Result<()> {
        let (destination, rest) = match (options.bus.is_peer(), self.words.as_slice()) {
            (false, [name, rest @ ..]) => (Some(name.as_str()), rest),
            (_, rest) => (None, rest),
        };
        let [path, property, words @ ..] = rest else {
            return Err(Failure::usage("expected NAME PATH INTERFACE.PROPERTY VALUE"));
        };
        let connection = options.connect()?;
        let object = Object { connection: &connection, destination, path };
        let (interface, name) = split_member(property);
        let interface =
            interface.map_or_else(|| object.interface_of(name), |name| Ok(name.to_owned()))?;
        let signature = match self.signature {
            Some(signature) => signature,
            None => told_signature(&object, &interface, name)?,
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

fn told_signature(object: &Object<'_>, interface: &str, name: &str) -> Result<String> {
    let (_, node) = introspection::fetch(object.connection, object.destination, object.path)?;
    let found = introspection::properties(&node, Some(interface), name);
    let (_, property) = found.first().ok_or_else(|| {
        Failure::refused(format!("the object tells of no property {interface}.{name}"))
            .hint("with --signature it is set all the same")
    })?;
    Ok(property.signature.clone())
}
