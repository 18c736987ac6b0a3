//! `dbus-run-session` (tools.md D052): a program with a session bus of its own, which ends with it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use libbus::host::phrase;

use super::libdbus::{say, version};
use super::session_bus;
use crate::commands::run::{Bus, FOREIGN, exit_code, signals, wait_for};
use crate::output::complain;

const NAME: &str = "dbus-run-session";

const HELP: &str = "\
dbus-run-session [OPTIONS] [--] PROGRAM [ARGUMENTS]
dbus-run-session --version
dbus-run-session --help

Runs PROGRAM with a session bus that ends with it.

Options:
--dbus-daemon=BINARY       the bus to start, instead of our own
--config-file=FILENAME     its configuration, instead of that of session buses
";

/// What is returned where the program does not get to run.
const FAILED: u8 = 127;
/// And where it cannot be run at all, as dbus-run-session does in spite of its manual.
const NOT_RUN: u8 = 1;

/// Why the program does not run: what to say, a line each, and what to return.
struct Failure {
    text: String,
    code: u8,
}

/// What is printed instead of running anything.
enum Told {
    Out(String),
    /// Help is no output, though it was asked for.
    Beside(String),
}

#[derive(Default)]
struct Options<'w> {
    config: Option<&'w OsStr>,
    daemon: Option<&'w OsStr>,
}

/// Runs the program, and returns what it does.
pub(super) fn run(words: &[OsString]) -> ExitCode {
    let mut options = Options::default();
    let command = match options.read(words) {
        Ok(Ok(command)) => command,
        Ok(Err(told)) => {
            match told {
                Told::Out(text) => say(&text),
                Told::Beside(text) => complain(&text),
            }
            return ExitCode::SUCCESS;
        }
        Err(failure) => return failure.tell(),
    };
    match options.run(command) {
        Ok(code) => code,
        Err(failure) => failure.tell(),
    }
}

impl Failure {
    fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: FAILED }
    }

    fn tell(&self) -> ExitCode {
        for line in self.text.lines() {
            complain!("{NAME}: {line}");
        }
        ExitCode::from(self.code)
    }
}

impl<'w> Options<'w> {
    /// The command to run, or what to print instead.
    fn read(&mut self, words: &'w [OsString]) -> Result<Result<&'w [OsString], Told>, Failure> {
        let nothing = || Failure::new("a non-option argument is required");
        let mut rest = words;
        loop {
            let (word, after) = rest.split_first().ok_or_else(nothing)?;
            let (name, value) = split(word);
            let name = name.to_str().unwrap_or_default();
            if let Some(option) = self.option_with_value(name) {
                let next = || after.split_first().map(|(next, after)| (next.as_os_str(), after));
                let taken = value.map(|value| (value, after)).or_else(next).ok_or_else(nothing)?;
                (*option, rest) = (Some(taken.0), taken.1);
                continue;
            }
            rest = match (name, value) {
                ("--help" | "-h", None) => return Ok(Err(Told::Beside(HELP.to_owned()))),
                ("--version", None) => return Ok(Err(Told::Out(version(NAME)))),
                ("--", None) if !after.is_empty() => return Ok(Ok(after)),
                ("--", None) => after,
                _ if word.as_bytes().starts_with(b"-") => {
                    let word = word.to_string_lossy();
                    return Err(Failure::new(format!("option '{word}' is unknown")));
                }
                _ => return Ok(Ok(rest)),
            };
        }
    }

    fn option_with_value(&mut self, name: &str) -> Option<&mut Option<&'w OsStr>> {
        match name {
            "--config-file" => Some(&mut self.config),
            "--dbus-daemon" => Some(&mut self.daemon),
            _ => None,
        }
    }

    fn run(&self, command: &[OsString]) -> Result<ExitCode, Failure> {
        let Some((program, arguments)) = command.split_first() else {
            return Err(Failure::new("a non-option argument is required"));
        };
        // Before any process is started: what comes meanwhile is not lost.
        let signals = signals().map_err(|failure| Failure::new(failure.text))?;
        let (bus, address) = self.start_bus()?;
        let mut command = Command::new(program);
        command.args(arguments).env("DBUS_SESSION_BUS_ADDRESS", address);
        for name in FOREIGN {
            command.env_remove(name);
        }
        let child = command.spawn().map_err(|error| {
            let program = program.to_string_lossy();
            let text = format!("failed to exec '{program}': {}", phrase(&error));
            Failure { text, code: NOT_RUN }
        })?;
        let status = wait_for(child, signals);
        drop(bus);
        status.map(exit_code).map_err(|failure| Failure::new(failure.text))
    }

    /// The bus, and its address.
    fn start_bus(&self) -> Result<(Bus, String), Failure> {
        let end = "EOF reading address from bus daemon";
        let mut daemon = session_bus::command(self.daemon, self.config);
        // What a terminal sends is for the program.
        daemon.arg("--nofork").process_group(0);
        let program = daemon.get_program().to_string_lossy().into_owned();
        let daemon = daemon.spawn().map_err(|error| {
            let why = phrase(&error);
            Failure::new(format!("failed to execute message bus daemon '{program}': {why}\n{end}"))
        })?;
        // Who gives no address may run on, and is ended.
        let mut bus = Bus(daemon);
        let told =
            session_bus::told(&mut bus.0, 1).map_err(|error| Failure::new(phrase(&error)))?;
        let address = told.into_iter().next().ok_or_else(|| Failure::new(end))?;
        Ok((bus, address))
    }
}

/// An option, and what is after its `=`.
fn split(word: &OsStr) -> (&OsStr, Option<&OsStr>) {
    let bytes = word.as_bytes();
    match bytes.iter().position(|byte| *byte == b'=') {
        Some(at) if bytes.starts_with(b"--") => {
            let (option, value) = bytes.split_at(at);
            (OsStr::from_bytes(option), Some(OsStr::from_bytes(value.get(1..).unwrap_or_default())))
        }
        _ => (word, None),
    }
}
