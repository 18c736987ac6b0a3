//! The `bus` command: run, see, call, capture and explain a bus.
//!
//! [`run`] reads the command line (`cli.rs`) and hands over to one verb (`commands/`, a file each). What verbs share:
//! which bus and how to print (`options.rs`), values and their text forms (`value.rs`), who is on the bus
//! (`inventory.rs`), what objects say of themselves (`introspection.rs`), what `/proc` tells (`process.rs`), what time
//! it is (`clock.rs`), output (`output/`), how far long work is (`progress.rs`), how a command fails
//! (`failure.rs`), an example of each (`examples.rs`), and hints about a bus (`hints.rs`). What works on captured messages knows no command line: `capture`, `conversation` and `trace`;
//! `captured_file.rs` opens a capture for verbs.
//! Programs of other projects, called by their own names, are `compat/`.
//!
//! Data goes to standard output, everything else to standard error; text of messages is escaped before it gets to a
//! terminal (`output/escape.rs`). Exit codes: 0 success, 1 the bus or the one who was called said no, 2 wrong usage,
//! 3 the bus cannot be reached.
#![forbid(unsafe_code)]
// They end in a panic where nobody reads: `Out` and `complain!` do not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

/// A line on standard error.
macro_rules! complain {
    ($($text:tt)*) => { $crate::output::complain(&format!("{}\n", format_args!($($text)*))) };
}

pub mod capture;
mod captured_file;
mod cli;
mod clock;
mod commands;
mod compat;
mod completion;
pub mod conversation;
mod duration;
mod examples;
mod failure;
mod hints;
mod interrupt;
mod introspection;
mod inventory;
mod options;
mod output;
mod process;
mod progress;
pub mod trace;
mod value;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::FromArgMatches as _;
use clap::error::ErrorKind;

use crate::failure::Reason;

/// The name by which this program is the bus itself, for `bus run` where no bus-daemon is installed.
const DAEMON: &str = "bus-daemon";

/// Runs the command line; its first word is what the program was called by.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let called = arguments.first().and_then(|name| Path::new(name).file_name());
    if called.is_some_and(|name| name == DAEMON) {
        return bus_daemon::daemon::run(arguments);
    }
    if let Some(name) = called.and_then(|name| name.to_str())
        && let Some(code) = compat::run(name, arguments.get(1..).unwrap_or_default())
    {
        return code;
    }
    let parsed = cli::command().try_get_matches_from(&arguments).and_then(|matches| {
        let verb = cli::verb(&matches);
        cli::Cli::from_arg_matches(&matches).map(|cli| (cli, verb))
    });
    let (cli, verb) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return usage(&error, &arguments),
    };
    match commands::run(cli) {
        Ok(code) => code,
        Err(failure) => {
            let failure = failure.with_example(&verb);
            if failure.reason != Reason::BrokenPipe {
                complain!("{failure}");
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

/// The definition of the command line: all verbs, their options and what these may be.
#[must_use]
pub fn command() -> clap::Command {
    cli::command()
}

/// The names of other projects' commands that this program can be.
pub fn old_names() -> impl Iterator<Item = &'static str> {
    compat::names()
}

/// Help and the version are answers; all else is wrong usage, which gets an example.
fn usage(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    // If nobody reads it there is nobody to tell.
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let verb = cli::verb_of_wrong(arguments);
    let _ = cli::about_words(error, &verb).as_ref().unwrap_or(error).print();
    // Help has one.
    if error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = writeln!(std::io::stderr(), "hint: for example: {}", examples::of(&verb));
    }
    ExitCode::from(2)
}
