//! `bus emit` (tools.md D008, D038).

use clap::Args;
use libbus::blocking::Connection;
use libbus::names::{BusName, InterfaceName, MemberName, ObjectPath};

use crate::commands::call::{named, split_member, wrong_argument};
use crate::failure::{Failure, Result};
use crate::options::Options;
use crate::value::{parse_signature, words};

/// Emit a signal
///
/// Its arguments are of the types of --signature, and texts without it.
#[derive(Args, Debug)]
pub(crate) struct Emit {
    /// The object that emits it
    path: String,

    /// INTERFACE.SIGNAL
    #[arg(value_name = "INTERFACE.SIGNAL")]
    member: String,

    /// What it carries
    #[arg(value_name = "ARGUMENT", allow_negative_numbers = true)]
    arguments: Vec<String>,

    /// The types of the arguments
    #[arg(short = 's', long, value_name = "SIGNATURE", value_parser = parse_signature)]
    signature: Option<String>,

    /// To one receiver alone
    #[arg(long, value_name = "NAME", visible_alias = "destination")]
    to: Option<String>,
}

impl Emit {
    pub(crate) fn run(self, options: &Options) -> Result<()> {
        let (Some(interface), member) = split_member(&self.member) else {
            return Err(Failure::usage("a signal has an interface: INTERFACE.SIGNAL"));
        };
        let path = named("object path", &self.path, ObjectPath::parse)?;
        let interface = named("interface", interface, InterfaceName::parse)?;
        let member = named("signal", member, MemberName::parse)?;
        let to = self.to.as_deref().map(|name| named("bus name", name, BusName::parse));
        let to = to.transpose()?;
        let signature = self.signature.unwrap_or_else(|| "s".repeat(self.arguments.len()));
        let arguments = words::arguments(&signature, &self.arguments)
            .map_err(|error| wrong_argument(&error, &self.arguments, &signature))?;
        let connection: Connection = options.connect()?;
        connection.emit_signal(to, path, interface, member, &arguments)?;
        // What is sent is there when the bus answers what was asked after it.
        if !options.bus.is_peer() {
            connection.bus().call::<_, String>("GetId", &())?;
        }
        Ok(())
    }
}
