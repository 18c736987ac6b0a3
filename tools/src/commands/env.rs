//! `bus env`: the variables that services are started with (tools.md D054, needs.md E9), in the bus and in systemd.

use std::collections::BTreeMap;

use clap::Args;
use libbus::blocking::{Connection, Proxy};
use serde_json::json;

use crate::failure::{Failure, Result};
use crate::options::Options;
use crate::output::escape::plain;
use crate::output::out::Out;

const SYSTEMD: &str = "org.freedesktop.systemd1";
const SYSTEMD_PATH: &str = "/org/freedesktop/systemd1";
const SYSTEMD_MANAGER: &str = "org.freedesktop.systemd1.Manager";
const ACTIVATION: &str = "org.libbus.Activation1";

/// Show, set and unset the variables that services are started with
///
/// Without a change they are shown: those of the bus, and those of systemd where it starts services.
#[derive(Args, Debug)]
pub(crate) struct Env {
    /// Set this variable, to the value that it has here
    #[arg(value_name = "VAR[=VALUE]")]
    variables: Vec<String>,

    /// Do not have this variable any more
    #[arg(short, long, value_name = "VAR")]
    unset: Vec<String>,

    /// All variables of this command's own environment
    #[arg(long)]
    all: bool,

    /// The bus alone, and not systemd
    #[arg(long)]
    bus_only: bool,
}

impl Env {
    pub(crate) fn run(self, options: &Options) -> Result<()> {
        options.bus.must_be_bus("env")?;
        let connection = options.connect()?;
        let systemd = Systemd::of(&connection, self.bus_only)?;
        let set = self.wanted()?;
        if set.is_empty() && self.unset.is_empty() {
            return show(&connection, systemd.as_ref(), options);
        }
        if !set.is_empty() {
            connection.bus().call_method("UpdateActivationEnvironment", &set)?;
            if let Some(systemd) = &systemd {
                systemd.set(&set)?;
            }
        }
        if !self.unset.is_empty() {
            if let Some(systemd) = &systemd {
                systemd.0.call_method("UnsetEnvironment", &self.unset)?;
            }
            unset(&connection, &self.unset)?;
        }
        Ok(())
    }

    fn wanted(&self) -> Result<BTreeMap<String, String>> {
        let mut wanted = BTreeMap::new();
        if self.all {
            let texts = std::env::vars_os().filter_map(|(name, value)| {
                Some((name.into_string().ok()?, value.into_string().ok()?))
            });
            wanted.extend(texts);
        }
        for word in &self.variables {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, value.to_owned()),
                None => (word.as_str(), own_variable(word)?),
            };
            check_name(name)?;
            wanted.insert(name.to_owned(), value);
        }
        self.unset.iter().try_for_each(|name| check_name(name))?;
        Ok(wanted)
    }
}

fn own_variable(name: &str) -> Result<String> {
    std::env::var(name).map_err(|_| {
        Failure::usage(format!("there is no variable {name} here, or it is no text"))
            .hint(format!("set it to a value: bus env {name}=VALUE"))
    })
}

fn check_name(name: &str) -> Result<()> {
    match name.is_empty() || name.contains(['=', '\0']) {
        true => Err(Failure::usage(format!("{name:?} is no name of a variable"))),
        false => Ok(()),
    }
}

/// systemd's manager, where it is on this bus.
struct Systemd(Proxy);

impl Systemd {
    fn of(connection: &Connection, is_left_out: bool) -> Result<Option<Self>> {
        if is_left_out || !connection.bus().call::<_, bool>("NameHasOwner", SYSTEMD)? {
            return Ok(None);
        }
        Ok(Some(Self(Proxy::new(connection, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER)?)))
    }

    fn set(&self, variables: &BTreeMap<String, String>) -> Result<()> {
        let lines: Vec<String> =
            variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.0.call_method("SetEnvironment", &lines)?;
        Ok(())
    }

    fn variables(&self) -> Result<BTreeMap<String, String>> {
        let lines: Vec<String> = self.0.get_property("Environment")?;
        let split = |line: &String| line.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned()));
        Ok(lines.iter().filter_map(split).collect())
    }
}

/// What the bus has, if it is one that tells.
fn of_bus(connection: &Connection) -> Result<Option<BTreeMap<String, String>>> {
    let bus = Proxy::new(connection, "org.freedesktop.DBus", "/org/freedesktop/DBus", ACTIVATION)?;
    match bus.call::<_, BTreeMap<String, String>>("List", &()) {
        Ok(variables) => Ok(Some(variables)),
        Err(error) if is_unknown(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn unset(connection: &Connection, names: &[String]) -> Result<()> {
    let bus = Proxy::new(connection, "org.freedesktop.DBus", "/org/freedesktop/DBus", ACTIVATION)?;
    match bus.call_method("Unset", &names) {
        Ok(_) => Ok(()),
        Err(error) if is_unknown(&error) => {
            Err(Failure::refused("this bus cannot unset a variable")
                .hint("set it to nothing: bus env VAR="))
        }
        Err(error) => Err(error.into()),
    }
}

fn is_unknown(error: &libbus::Error) -> bool {
    let names = ["UnknownMethod", "UnknownInterface"];
    names.iter().any(|name| error.is_method_error(&format!("org.freedesktop.DBus.Error.{name}")))
}

fn show(connection: &Connection, systemd: Option<&Systemd>, options: &Options) -> Result<()> {
    let bus = of_bus(connection)?;
    let systemd = systemd.map(Systemd::variables).transpose()?;
    let mut out = Out::paged(options);
    if let Some(form) = options.json() {
        out.json(form, &json!({ "bus": bus, "systemd": systemd }))?;
        out.finish()?;
        return told(bus.is_some());
    }
    let (is_told, is_both) = (bus.is_some(), bus.is_some() && systemd.is_some());
    for (title, variables) in [("bus", bus), ("systemd", systemd)] {
        let Some(variables) = variables else { continue };
        if is_both {
            out.line(&format!("# {title}"))?;
        }
        variables
            .iter()
            .try_for_each(|(name, value)| out.line(&plain(&format!("{name}={value}"))))?;
    }
    out.finish()?;
    told(is_told)
}

/// What systemd has is not all that services are started with.
fn told(is_told: bool) -> Result<()> {
    match is_told {
        true => Ok(()),
        false => Err(Failure::refused("this bus does not tell which variables it has")
            .hint("they can be set all the same: bus env VAR=VALUE")),
    }
}
