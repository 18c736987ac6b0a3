//! `dbus-update-activation-environment` (tools.md D054): variables that services are started with.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use libbus::blocking::Builder;

use super::libdbus::{connect_text, error_parts, shown};
use crate::value::{Arguments, Value};

const NAME: &str = "dbus-update-activation-environment";

const HELP: &str = "\
dbus-update-activation-environment: set variables that D-Bus services are started with

dbus-update-activation-environment [options] VAR[=VAL] [VAR2[=VAL2] ...]
    These variables; those without a value have the one that they have here,
    and are left out where there is none.
dbus-update-activation-environment --all
    All that are set here.

Options:

--all
    All variables.
--systemd
    Also for what the user's systemd starts, if it is there.
--verbose
    Say what is done.";

/// Exit codes, as `sysexits.h` has them.
const USAGE: u8 = 64;
const UNAVAILABLE: u8 = 69;
const OS_ERROR: u8 = 71;

const SYSTEMD: &str = "org.freedesktop.systemd1";

#[derive(Default)]
struct Options {
    is_all: bool,
    is_verbose: bool,
    has_systemd: bool,
}

/// What to say, and what to return.
struct Failure(String, u8);

/// Tells the bus, and systemd.
pub(super) fn run(words: &[OsString]) -> ExitCode {
    let mut options = Options::default();
    let done = options.read(words).and_then(|words| options.update(words));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(text, code)) => {
            complain!("{text}");
            ExitCode::from(code)
        }
    }
}

fn error(text: &str, code: u8) -> Failure {
    Failure(format!("{NAME}: error{text}"), code)
}

impl Options {
    /// What is after the options.
    fn read<'w>(&mut self, words: &'w [OsString]) -> Result<&'w [OsString], Failure> {
        let mut rest = words;
        while let Some((word, after)) = rest.split_first() {
            match word.to_str() {
                Some("--all") => self.is_all = true,
                Some("--systemd") => self.has_systemd = true,
                Some("--verbose") => self.is_verbose = true,
                Some("--") => {
                    rest = after;
                    break;
                }
                _ if word.as_bytes().starts_with(b"-") => {
                    return Err(Failure(HELP.to_owned(), USAGE));
                }
                _ => break,
            }
            rest = after;
        }
        if self.is_all && !rest.is_empty() {
            return Err(error(": --all cannot be used with VAR or VAR=VAL arguments", USAGE));
        }
        Ok(rest)
    }

    fn update(&self, words: &[OsString]) -> Result<(), Failure> {
        let connection = Builder::session().and_then(Builder::build).map_err(|failure| {
            error(&format!(": unable to connect to D-Bus: {}", connect_text(&failure)), OS_ERROR)
        })?;
        let systemd = self.has_systemd && self.finds_systemd();
        let variables = self.variables(words);
        let entries = variables
            .iter()
            .map(|(name, value)| (Value::String(name.clone()), Value::String(value.clone())));
        let (key, value) = ("s".to_owned(), "s".to_owned());
        let arguments = one(Value::Dict { key, value, entries: entries.collect() });
        let told = connection.bus().call_method("UpdateActivationEnvironment", &arguments);
        told.map_err(|failure| error(&said("dbus-daemon", &failure), UNAVAILABLE))?;
        if systemd {
            let lines =
                variables.iter().map(|(name, value)| Value::String(format!("{name}={value}")));
            let lines = one(Value::array("s", lines.collect()));
            let path = "/org/freedesktop/systemd1";
            let manager = Some("org.freedesktop.systemd1.Manager");
            let told =
                connection.call_method(Some(SYSTEMD), path, manager, "SetEnvironment", &lines);
            if let Err(failure) = told {
                // The bus has them all the same.
                complain!("{NAME}: warning: error{}", said("systemd", &failure));
            }
        }
        Ok(())
    }

    /// By its directory: systemd may also be started by being called.
    fn finds_systemd(&self) -> bool {
        let directory = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let is_there = directory.is_some_and(|directory| directory.join("systemd").exists());
        if !is_there {
            self.say("systemd --user not found, ignoring --systemd argument");
        }
        is_there
    }

    fn say(&self, text: &str) {
        if self.is_verbose {
            complain!("{NAME}: {}", shown(text));
        }
    }

    /// Those that are meant and are text.
    fn variables(&self, words: &[OsString]) -> Vec<(String, String)> {
        let wanted: Vec<OsString> = match self.is_all {
            true => std::env::vars_os().map(|(name, value)| joined(&name, &value)).collect(),
            false => words.iter().filter_map(with_value).collect(),
        };
        wanted.iter().filter_map(|line| self.variable(line)).collect()
    }

    fn variable(&self, line: &OsStr) -> Option<(String, String)> {
        let Some(text) = line.to_str() else {
            let line = line.to_string_lossy();
            complain!("{NAME}: warning: environment variable not UTF-8: {}", shown(&line));
            return None;
        };
        self.say(&format!("setting {text}"));
        text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
    }
}

/// `VAR=VAL` as it is, `VAR` with the value that it has here; nothing, if it has none. What is no text stays so.
fn with_value(word: &OsString) -> Option<OsString> {
    if word.as_bytes().contains(&b'=') || word.to_str().is_none() {
        return Some(word.clone());
    }
    // An empty name is one of no variable, which the library must not be asked for.
    let value = (!word.is_empty()).then(|| std::env::var_os(word)).flatten()?;
    Some(joined(word, &value))
}

fn joined(name: &OsStr, value: &OsStr) -> OsString {
    let mut line = name.to_owned();
    line.push("=");
    line.push(value);
    line
}

fn one(value: Value) -> Arguments {
    Arguments { values: vec![value], fds: Vec::new() }
}

/// Why somebody was not told.
fn said(who: &str, failure: &libbus::Error) -> String {
    let (name, text) = error_parts(failure);
    format!(" sending to {who}: {name}: {text}")
}
