//! Which bus is meant: options, variables, and what they lead to (protocol.md A117, A118).

use std::env;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use libbus::address::Address;
use libbus::host::phrase;

use super::person::Person;
use super::report::Check;
use super::{Case, mend};
use crate::failure::{Failure, Result};
use crate::options::{
    BusOptions, SESSION_VARIABLE, SYSTEM_SOCKET, SYSTEM_VARIABLE, session_socket,
};

const RUNTIME_VARIABLE: &str = "XDG_RUNTIME_DIR";

/// What kind of bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Session,
    System,
    /// Whatever is at an address.
    Address,
    /// A program that is no bus.
    Peer,
}

impl Scope {
    pub(super) const fn of(bus: &BusOptions) -> Self {
        match bus {
            BusOptions { system: true, .. } => Self::System,
            BusOptions { peer: Some(_), .. } => Self::Peer,
            BusOptions { address: None, host: None, machine: None, .. } => Self::Session,
            _ => Self::Address,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session bus",
            Self::System => "system bus",
            Self::Address => "bus",
            Self::Peer => "peer",
        }
    }

    pub(super) const fn variable(self) -> Option<&'static str> {
        match self {
            Self::Session => Some(SESSION_VARIABLE),
            Self::System => Some(SYSTEM_VARIABLE),
            Self::Address | Self::Peer => None,
        }
    }
}

/// Where the bus is said to be.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) addresses: Vec<Address>,
    address_check: Check,
}

impl Setting {
    /// # Errors
    /// An option is no name of a host or container.
    pub(super) fn of(bus: &BusOptions, person: &Person) -> Result<Self> {
        let scope = Scope::of(bus);
        let given = match bus {
            BusOptions { address: Some(address), .. } | BusOptions { peer: Some(address), .. } => {
                address.clone()
            }
            BusOptions { host: Some(host), .. } => {
                Address::ssh(host).map_err(libbus::Error::from)?.to_string()
            }
            BusOptions { machine: Some(machine), .. } => crate::options::machine_address(machine)?,
            _ => return Ok(Self::of_environment(scope, person)),
        };
        match Address::parse_list(&given) {
            Ok(addresses) => Ok(Self {
                addresses,
                address_check: Check::ok("address", format!("{given}, as an option says")),
            }),
            Err(error) => Err(Failure::from(libbus::Error::from(error))),
        }
    }

    fn of_environment(scope: Scope, person: &Person) -> Self {
        let name = scope.variable().unwrap_or(SESSION_VARIABLE);
        match env::var_os(name).filter(|value| !value.is_empty()) {
            None if scope == Scope::System => {
                let address_check =
                    Check::ok("address", format!("${name} is not set: {SYSTEM_SOCKET}"));
                let address = Address::new("unix").with("path", SYSTEM_SOCKET);
                Self { addresses: vec![address], address_check }
            }
            None => Self::of_runtime_directory(person),
            Some(value) => {
                let text = value.to_string_lossy();
                let parsed = match value.to_str() {
                    Some(text) => Address::parse_list(text).map_err(|error| error.to_string()),
                    None => Err("it is no text in UTF-8".to_owned()),
                };
                match parsed {
                    Ok(addresses) => Self {
                        addresses,
                        address_check: Check::ok("address", format!("${name}={text}")),
                    },
                    Err(error) => {
                        let check = Check::wrong("address", format!("${name}={text}: {error}"));
                        let mends = mend::variable(name, person);
                        Self { addresses: Vec::new(), address_check: check.mends(mends) }
                    }
                }
            }
        }
    }

    fn of_runtime_directory(person: &Person) -> Self {
        let Some(socket) = session_socket() else {
            let check = Check::wrong(
                "address",
                format!(
                    "neither ${SESSION_VARIABLE} nor ${RUNTIME_VARIABLE} is set: no session is known here"
                ),
            );
            let mends = mend::no_session(person);
            return Self { addresses: Vec::new(), address_check: check.mends(mends) };
        };
        let saw = format!(
            "${SESSION_VARIABLE} is not set: ${RUNTIME_VARIABLE}/bus is taken, {}",
            socket.display()
        );
        let address = Address::new("unix").with("path", socket.as_os_str().as_bytes());
        Self { addresses: vec![address], address_check: Check::ok("address", saw) }
    }

    /// The steps before any address is tried.
    pub(super) fn checks(&self, case: &Case) -> Vec<Check> {
        let mut checks = vec![self.address_check.clone()];
        if case.scope == Scope::Session {
            let is_needed = env::var_os(SESSION_VARIABLE).is_none_or(|value| value.is_empty());
            checks.push(runtime_directory_check(case, is_needed));
        }
        checks
    }
}

pub(super) fn runtime_directory() -> Option<PathBuf> {
    env::var_os(RUNTIME_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn runtime_directory_check(case: &Case, is_needed: bool) -> Check {
    const NAME: &str = "runtime folder";
    let Some(directory) = runtime_directory() else {
        let saw = format!("${RUNTIME_VARIABLE} is not set");
        return match is_needed {
            true => Check::wrong(NAME, saw).mends(mend::runtime_directory_of(&case.person)),
            false => Check::ok(NAME, format!("{saw}, nor needed here")),
        };
    };
    let looked = {
        let directory = directory.clone();
        super::bounded(case.patience(), move || std::fs::metadata(directory))
    };
    let shown = directory.display();
    match looked {
        None => Check::unknown(NAME, format!("{shown}: the file system does not answer")),
        Some(_) if !directory.is_absolute() => {
            let saw = format!("${RUNTIME_VARIABLE}={shown} does not begin with a slash");
            Check::wrong(NAME, saw).mends(mend::runtime_directory_of(&case.person))
        }
        Some(Err(error)) => Check::wrong(NAME, format!("{shown}: {}", phrase(&error)))
            .mends(mend::runtime_directory_of(&case.person)),
        Some(Ok(found)) if !found.is_dir() => Check::wrong(NAME, format!("{shown} is no folder"))
            .mends(mend::runtime_directory_of(&case.person)),
        Some(Ok(found)) => judge_directory(case, &directory, found.uid(), found.mode() & 0o7777),
    }
}

/// It must belong to the user, and let nobody else in.
fn judge_directory(case: &Case, directory: &Path, owner: u32, mode: u32) -> Check {
    const NAME: &str = "runtime folder";
    let shown = directory.display();
    let saw = format!("{shown}, of {}, mode {mode:04o}", Person::describe(owner));
    if owner != case.person.uid {
        let saw = format!("{saw}: it is not yours, you are {}", Person::describe(case.person.uid));
        return Check::wrong(NAME, saw).mends(mend::other_user(&case.person, owner));
    }
    match mode & 0o077 {
        0 => Check::ok(NAME, saw),
        _ => Check::wrong(NAME, format!("{saw}: others may look into it"))
            .mends([format!("chmod 700 {}", mend::quoted(directory))]),
    }
}
