//! What every verb can be told: which bus, how long to wait, how to print.

use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use libbus::address::Address;
use libbus::blocking::{Builder, Connection};
use rustix::process::geteuid;

use crate::duration::parse_duration;
use crate::failure::{Failure, Result};
use crate::output::style::{ColorChoice, Style};

/// The options of all verbs.
#[derive(Args, Debug, Default)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) bus: BusOptions,

    /// Wait at most so long for a reply: seconds, or with a unit (500ms, 2min)
    #[arg(long, global = true, value_name = "TIME", value_parser = parse_duration, help_heading = "All verbs")]
    pub(crate) timeout: Option<Duration>,

    /// Print JSON
    #[arg(long, global = true, value_enum, value_name = "FORM", num_args = 0..=1, require_equals = true,
          default_missing_value = "short", help_heading = "All verbs")]
    pub(crate) json: Option<JsonForm>,

    /// Use colours
    #[arg(long, global = true, value_enum, value_name = "WHEN", num_args = 0..=1, require_equals = true,
          default_value = "auto", default_missing_value = "always", help_heading = "All verbs")]
    pub(crate) color: ColorChoice,

    /// Do not page long output
    #[arg(long, global = true, help_heading = "All verbs")]
    pub(crate) no_pager: bool,

    /// Print nothing that is not asked for
    #[arg(short, long, global = true, help_heading = "All verbs")]
    pub(crate) quiet: bool,
}

/// Which bus.
#[derive(Args, Clone, Debug, Default)]
#[group(multiple = false)]
pub(crate) struct BusOptions {
    /// The system bus
    #[arg(long, global = true, help_heading = "Which bus")]
    pub(crate) system: bool,

    /// The bus of your session, as without any of these
    #[arg(long, visible_alias = "session", global = true, help_heading = "Which bus")]
    pub(crate) user: bool,

    /// The bus at this address
    #[arg(short, long, global = true, value_name = "ADDRESS", help_heading = "Which bus")]
    pub(crate) address: Option<String>,

    /// The program at this address, which is no bus
    #[arg(long, global = true, value_name = "ADDRESS", help_heading = "Which bus")]
    pub(crate) peer: Option<String>,

    /// The system bus of another machine, by ssh
    #[arg(
        short = 'H',
        long,
        global = true,
        value_name = "[USER@]HOST",
        help_heading = "Which bus"
    )]
    pub(crate) host: Option<String>,

    /// The system bus of a container of this machine, by systemd
    #[arg(
        short = 'M',
        long,
        global = true,
        value_name = "[USER@]CONTAINER",
        help_heading = "Which bus"
    )]
    pub(crate) machine: Option<String>,
}

/// How JSON looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum JsonForm {
    /// On one line
    Short,
    /// Over several lines
    Pretty,
    /// No JSON
    Off,
}

impl Options {
    pub(crate) fn style(&self) -> Style {
        Style::new(self.color)
    }

    /// The form of JSON, if JSON is wanted.
    pub(crate) fn json(&self) -> Option<JsonForm> {
        self.json.filter(|form| *form != JsonForm::Off)
    }

    /// Until when all is to be done, of a verb that waits for what may never come.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.timeout.and_then(|timeout| Instant::now().checked_add(timeout))
    }

    /// A connection to the bus that is meant.
    ///
    /// # Errors
    /// It cannot be reached.
    pub(crate) fn connect(&self) -> Result<Connection> {
        self.builder()?.build().map_err(|error| self.bus.explain(error))
    }

    /// What makes one, whose calls wait as long as was said.
    ///
    /// # Errors
    /// The address is none, or no bus is known.
    pub(crate) fn builder(&self) -> Result<Builder> {
        let builder = self.bus.builder()?;
        Ok(match self.timeout {
            Some(timeout) => builder.call_timeout(timeout),
            None => builder,
        })
    }
}

impl BusOptions {
    /// # Errors
    /// The address is none, or no bus is known.
    pub(crate) fn builder(&self) -> Result<Builder> {
        let builder = match self {
            Self { system: true, .. } => Builder::system(),
            Self { address: Some(address), .. } => Builder::address(address),
            Self { peer: Some(address), .. } => Builder::address(address).map(Builder::p2p),
            Self { host: Some(host), .. } => Builder::ssh(host),
            Self { machine: Some(machine), .. } => Builder::address(&machine_address(machine)?),
            _ => Builder::session(),
        };
        builder.map_err(|error| self.explain(error))
    }

    /// The addresses of the bus that is meant, on this machine.
    ///
    /// # Errors
    /// None is known, or it is on another machine.
    pub(crate) fn address_text(&self) -> Result<String> {
        let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        let text = match self {
            Self { host: Some(_), .. } | Self { machine: Some(_), .. } => None,
            Self { system: true, .. } => {
                let standard = || "unix:path=/run/dbus/system_bus_socket".to_owned();
                Some(variable("DBUS_SYSTEM_BUS_ADDRESS").unwrap_or_else(standard))
            }
            Self { address: Some(address), .. } | Self { peer: Some(address), .. } => {
                Some(address.clone())
            }
            _ => variable("DBUS_SESSION_BUS_ADDRESS").or_else(|| {
                let path = variable("XDG_RUNTIME_DIR")? + "/bus";
                Some(Address::new("unix").with("path", path).to_string())
            }),
        };
        text.ok_or_else(|| {
            Failure::unreachable("no address of a bus on this machine is known")
                .hint("`bus doctor` looks for the reason")
        })
    }

    /// What is known beside the error: which bus it was, and what is usual.
    pub(crate) fn explain(&self, error: libbus::Error) -> Failure {
        let is_unknown = matches!(error, libbus::Error::NoAddress(_));
        let failure = Failure::from(error);
        if is_unknown && geteuid().is_root() {
            return failure.hint("root mostly means the system bus: --system");
        }
        failure
    }

    /// Whether it is a system bus, or looks like one.
    pub(crate) fn may_be_system(&self) -> bool {
        let session = || std::env::var("DBUS_SESSION_BUS_ADDRESS").unwrap_or_default();
        let address = self.address.clone().unwrap_or_else(session);
        let system =
            std::env::var("DBUS_SYSTEM_BUS_ADDRESS").ok().filter(|system| !system.is_empty());
        self.system
            || self.host.is_some()
            || self.machine.is_some()
            || address.contains("/dbus/system_bus_socket")
            || (self.address.is_some() && Some(address) == system)
    }

    /// Whether the other end is a program and no bus.
    pub(crate) const fn is_peer(&self) -> bool {
        self.peer.is_some()
    }
}

/// The bus of a container, by a program that systemd starts in it.
pub(crate) fn machine_address(machine: &str) -> Result<String> {
    let (user, name) = match machine.split_once('@') {
        Some((user, name)) => (Some(user).filter(|user| !user.is_empty()), name),
        None => (None, machine),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(is_name) {
        let text = format!("{name:?} is no name of a container");
        return Err(Failure::usage(text).hint("`machinectl list` shows those that run"));
    }
    let mut arguments = vec![format!("-M{name}"), "-PGq".to_owned(), "--wait".to_owned()];
    if let Some(user) = user {
        arguments.extend([format!("-pUser={user}"), "-pPAMName=login".to_owned()]);
    }
    arguments.push("systemd-stdio-bridge".to_owned());
    let mut address = Address::new("unixexec").with("path", "systemd-run");
    for (index, argument) in arguments.into_iter().enumerate() {
        address = address.with(&format!("argv{}", index + 1), argument);
    }
    Ok(address.to_string())
}
