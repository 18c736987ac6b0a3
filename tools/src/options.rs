//! What every verb can be told: which bus, how long to wait, how to print.

use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use libbus::address::Address;
use libbus::blocking::{Builder, Connection};
use rustix::process::geteuid;

use crate::duration::parse_duration;
use crate::failure::{DOCTOR, Failure, Reason, Result};
use crate::hints;
use crate::output::escape::{plain, shell_word};
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
        let text = match self {
            Self { host: Some(_), .. } | Self { machine: Some(_), .. } => None,
            Self { system: true, .. } => Some(system_address()),
            Self { address: Some(address), .. } | Self { peer: Some(address), .. } => {
                Some(address.clone())
            }
            _ => session_address(),
        };
        text.ok_or_else(|| {
            Failure::unreachable("no address of a bus on this machine is known").hint(self.doctor())
        })
    }

    /// What is known beside the error of connecting: which bus it was, and what is usual.
    pub(crate) fn explain(&self, error: libbus::Error) -> Failure {
        let mut failure = self.explained(error);
        for hint in failure.hints.iter_mut().filter(|hint| *hint == DOCTOR) {
            *hint = self.doctor();
        }
        failure
    }

    /// Who looks into why this bus cannot be reached.
    fn doctor(&self) -> String {
        let option = |name: &str, value: &Option<String>| {
            let value = value.as_deref().map(|value| shell_word(&plain(value)));
            value.map(|value| format!("--{name}={value} "))
        };
        let which = match self.system {
            true => Some("--system ".to_owned()),
            false => option("address", &self.address)
                .or_else(|| option("peer", &self.peer))
                .or_else(|| option("host", &self.host))
                .or_else(|| option("machine", &self.machine)),
        };
        format!("`bus {}doctor` looks for the reason", which.unwrap_or_default())
    }

    fn explained(&self, error: libbus::Error) -> Failure {
        if let (libbus::Error::Address(error), Some(name)) = (&error, self.variable()) {
            let text = plain(&format!("{name} is no address of a bus: {error}"));
            return Failure::unreachable(text).hint(DOCTOR);
        }
        let is_unknown = matches!(error, libbus::Error::NoAddress(_));
        let is_late = matches!(error, libbus::Error::TimedOut(_));
        let is_address = matches!(error, libbus::Error::Address(_));
        let failure = Failure::from(error);
        if is_address {
            return failure.hint(hints::place(self));
        }
        // A bus that does not answer is not reached.
        if is_late {
            return Failure { reason: Reason::Unreachable, ..failure }.hint(DOCTOR);
        }
        if is_unknown && geteuid().is_root() {
            return failure.hint("root mostly means the system bus: --system");
        }
        failure
    }

    /// The variable that says where the bus is, if that is what says it.
    fn variable(&self) -> Option<&'static str> {
        let is_said = [&self.address, &self.peer, &self.host, &self.machine];
        if is_said.into_iter().any(Option::is_some) {
            return None;
        }
        let name = if self.system { SYSTEM_VARIABLE } else { SESSION_VARIABLE };
        variable(name).map(|_| name)
    }

    /// Whether it is a system bus, or looks like one.
    pub(crate) fn may_be_system(&self) -> bool {
        let session = || variable(SESSION_VARIABLE).unwrap_or_default();
        let address = self.address.clone().unwrap_or_else(session);
        let system = variable(SYSTEM_VARIABLE);
        self.system
            || self.host.is_some()
            || self.machine.is_some()
            || address.contains("/dbus/system_bus_socket")
            || (self.address.is_some() && Some(address) == system)
    }

    /// Whether it is neither the session's nor the system's as they are found.
    pub(crate) const fn is_named(&self) -> bool {
        let Self { address, peer, host, machine, .. } = self;
        address.is_some() || peer.is_some() || host.is_some() || machine.is_some()
    }

    /// Whether the processes and users that it tells of are of this machine.
    pub(crate) const fn is_here(&self) -> bool {
        self.host.is_none() && self.machine.is_none()
    }

    /// Only a bus does what the verb is for.
    ///
    /// # Errors
    /// The other end is none, as was said.
    pub(crate) fn must_be_bus(&self, verb: &str) -> Result<()> {
        match self.is_peer() {
            true => Err(Failure::usage(format!("`bus {verb}` asks a bus, and --peer is none"))
                .hint(format!("for example: bus --address=ADDRESS {verb}"))),
            false => Ok(()),
        }
    }

    /// Whether the other end is a program and no bus.
    pub(crate) const fn is_peer(&self) -> bool {
        self.peer.is_some()
    }
}

/// Says where the bus of the session is.
pub(crate) const SESSION_VARIABLE: &str = "DBUS_SESSION_BUS_ADDRESS";
/// Says where the system bus is.
pub(crate) const SYSTEM_VARIABLE: &str = "DBUS_SYSTEM_BUS_ADDRESS";
/// Where it is if nothing else is said (protocol.md A118).
pub(crate) const SYSTEM_SOCKET: &str = "/var/run/dbus/system_bus_socket";

/// A variable that is set, is text and not empty.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The addresses of the system bus.
pub(crate) fn system_address() -> String {
    variable(SYSTEM_VARIABLE).unwrap_or_else(|| unix_address(SYSTEM_SOCKET))
}

/// The addresses of the bus of the session, if they are known.
pub(crate) fn session_address() -> Option<String> {
    let usual = || session_socket().map(|path| unix_address(path.as_os_str().as_bytes()));
    variable(SESSION_VARIABLE).or_else(usual)
}

/// Where that one is if nothing else is said (protocol.md A117).
pub(crate) fn session_socket() -> Option<PathBuf> {
    let directory = std::env::var_os("XDG_RUNTIME_DIR").filter(|value| !value.is_empty())?;
    Some(PathBuf::from(directory).join("bus"))
}

fn unix_address(path: impl AsRef<[u8]>) -> String {
    Address::new("unix").with("path", path.as_ref()).to_string()
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
