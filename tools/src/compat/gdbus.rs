//! `gdbus(1)` of GLib (tools.md D035–D040): its commands, options, output and exit codes.
//!
//! A command has a file: `call.rs` (also emit), `introspect.rs`, `monitor.rs` (also wait), `complete.rs`. They share the options and
//! the connection (`options.rs`) and how arguments are read (`arguments.rs`, `text.rs`).

mod arguments;
mod call;
mod complete;
mod introspect;
mod monitor;
mod options;
mod text;

use std::ffi::OsString;
use std::process::ExitCode;

use libbus::Error;

use crate::failure::{Failure, Reason};
use crate::output::{complain, escape};

use options::Given;

/// Why a command fails.
#[derive(Debug, PartialEq, Eq)]
enum Failed {
    /// This line says so.
    Because(String),
    /// All is said.
    Silently,
    /// As a program that a signal has ended.
    Ended(u8),
}

type Result<T> = std::result::Result<T, Failed>;

struct Command {
    name: &'static str,
    usage: &'static str,
    options: options::Options,
    run: fn(&Given) -> Result<()>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "introspect",
        usage: introspect::USAGE,
        options: introspect::OPTIONS,
        run: introspect::introspect,
    },
    Command {
        name: "monitor",
        usage: monitor::MONITOR_USAGE,
        options: monitor::MONITOR_OPTIONS,
        run: monitor::monitor,
    },
    Command { name: "call", usage: call::CALL_USAGE, options: call::CALL_OPTIONS, run: call::call },
    Command { name: "emit", usage: call::EMIT_USAGE, options: call::EMIT_OPTIONS, run: call::emit },
    Command {
        name: "wait",
        usage: monitor::WAIT_USAGE,
        options: monitor::WAIT_OPTIONS,
        run: monitor::wait,
    },
];

const USAGE: &str = "\
Usage:
  gdbus COMMAND

Commands:
  help         Print this text
  introspect   What an object has
  monitor      Print the signals of a service
  call         Call a method
  emit         Emit a signal
  wait         Wait until somebody has a name

“gdbus COMMAND --help” prints the options of a command.

";

/// What each command can be told.
const CONNECTION_USAGE: &str = "
Which bus:
  -y, --system          The system bus
  -e, --session         The bus of your session
  -a, --address         The bus, or the program, at this address

";

pub(super) fn run(arguments: &[OsString]) -> ExitCode {
    match command(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed::Silently) => ExitCode::FAILURE,
        Err(Failed::Ended(code)) => ExitCode::from(code),
        Err(Failed::Because(text)) => {
            say(&text);
            ExitCode::FAILURE
        }
    }
}

fn command(arguments: &[OsString]) -> Result<()> {
    let text = |word: &OsString| word.to_str().map(ToOwned::to_owned);
    let words: Option<Vec<String>> = arguments.iter().map(text).collect();
    // Nothing that a bus takes is other text than UTF-8.
    let words = words.ok_or_else(|| because("Error: an argument is no text in UTF-8"))?;
    let Some((name, words)) = words.split_first() else { return Err(usage(USAGE)) };
    match (name.as_str(), words) {
        ("help", _) => return print(USAGE),
        ("complete", [line, point]) => return complete::complete(line, point),
        _ => {}
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        return Err(usage(&format!("Unknown command '{name}'\n{USAGE}")));
    };
    match command.options.read(words) {
        Some(given) => (command.run)(&given),
        None => Err(usage(&format!("{}{CONNECTION_USAGE}", command.usage))),
    }
}

fn usage(text: &str) -> Failed {
    complain(text);
    Failed::Silently
}

fn because(text: impl Into<String>) -> Failed {
    Failed::Because(text.into())
}

/// A line for people, on standard error.
fn say(text: &str) {
    let text: Vec<String> = text.split('\n').map(escape::plain).collect();
    complain!("{}", text.join("\n"));
}

fn print(text: &str) -> Result<()> {
    let mut out = crate::output::out::Out::plain();
    out.text(text)?;
    Ok(out.finish()?)
}

/// Output that cannot be written.
impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        match failure.reason {
            Reason::BrokenPipe => Self::Silently,
            _ => Self::Because(failure.text),
        }
    }
}

/// A call that was answered by an error, or by nothing.
impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Because(format!("Error: {}", text_of(&error)))
    }
}

fn text_of(error: &Error) -> String {
    match error {
        Error::Method(method) => {
            let has_text = method.message().signature().as_str().starts_with('s');
            let text = if has_text { method.text() } else { "Unknown error" };
            format!("GDBus.Error:{}: {text}", method.name())
        }
        Error::TimedOut(_) => "Timeout was reached".to_owned(),
        Error::Closed => "The connection is closed".to_owned(),
        Error::Connect { error, .. } => {
            format!("Could not connect: {}", libbus::host::phrase(error))
        }
        other => other.to_string(),
    }
}
