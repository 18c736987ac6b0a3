//! `dbus-test-tool` (tools.md D056): who answers nothing, who answers everything, and who calls all the time.

mod receive;
mod spam;

use std::ffi::OsString;
use std::process::ExitCode;

use libbus::Watching;
use libbus::blocking::{Builder, Monitor};

use super::libdbus::error_parts;

const HELP: &str = "\
Usage: dbus-test-tool SUBCOMMAND [OPTIONS]

Subcommands:

- black-hole    takes calls and does not answer
- echo          answers every call with an empty reply
- spam          calls again and again

Their options: dbus-test-tool SUBCOMMAND --help";

const WRONG_USAGE: u8 = 2;

/// Why a subcommand ends.
enum End {
    /// The command is typed wrong: what to say.
    Usage(String),
    /// What to say, if there is something.
    Failed(String),
}

/// Runs the subcommand.
pub(super) fn run(words: &[OsString]) -> ExitCode {
    let done = match words.split_first() {
        Some((name, words)) => match name.to_str() {
            Some("black-hole") => receive::black_hole(words),
            Some("echo") => receive::echo(words),
            Some("spam") => spam::run(words),
            _ => Err(End::Usage(HELP.to_owned())),
        },
        None => Err(End::Usage(HELP.to_owned())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(End::Usage(text)) => {
            complain!("{text}");
            ExitCode::from(WRONG_USAGE)
        }
        Err(End::Failed(text)) => {
            if !text.is_empty() {
                complain!("{text}");
            }
            ExitCode::FAILURE
        }
    }
}

/// A connection on which nothing is answered by itself.
fn connect(is_system: bool) -> Result<Monitor, End> {
    let builder = if is_system { Builder::system() } else { Builder::session() };
    let made = builder.and_then(|builder| builder.monitor(&[], Watching::ByMatchRules));
    made.map_err(|error| {
        let (name, text) = error_parts(&error);
        End::Failed(format!("Failed to connect to bus: {name}: {text}"))
    })
}

/// The end of the bus, of which nothing is said.
fn ended<T>(_: T) -> End {
    End::Failed(String::new())
}
