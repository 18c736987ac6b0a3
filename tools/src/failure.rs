//! What went wrong, for the person who typed the command: what, where, and what to try next; and the exit code.

use std::fmt;
use std::io;

use libbus::Error;

use crate::examples;
use crate::output::escape::plain;

/// Why the program ends, and with which code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// 0: whoever reads our output has enough of it.
    BrokenPipe,
    /// 1: the bus, the one who was called, or the system said no.
    Refused,
    /// 2: the command was typed wrong.
    Usage,
    /// 3: the bus cannot be reached.
    Unreachable,
    /// 127, as shells have it: there is no such program to run.
    NoProgram,
    /// 126, likewise: it cannot be run.
    NotExecutable,
}

/// Where a bus that cannot be reached is looked into.
pub(crate) const DOCTOR: &str = "`bus doctor` looks for the reason";

/// A failed command.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    pub(crate) text: String,
    /// What to do about it, a line each.
    pub(crate) hints: Vec<String>,
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self { reason: Reason::Usage, text: text.into(), hints: Vec::new() }
    }

    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Self { reason: Reason::Refused, text: text.into(), hints: Vec::new() }
    }

    pub(crate) fn unreachable(text: impl Into<String>) -> Self {
        Self { reason: Reason::Unreachable, text: text.into(), hints: Vec::new() }
    }

    /// The bus has closed the connection.
    pub(crate) fn closed() -> Self {
        Self::unreachable("the bus has closed the connection").hint(DOCTOR)
    }

    /// A program that was to be run is not.
    pub(crate) fn not_run(program: &str, error: &io::Error) -> Self {
        let reason = match error.kind() {
            io::ErrorKind::NotFound => Reason::NoProgram,
            _ => Reason::NotExecutable,
        };
        let text = format!("cannot run {}: {}", plain(program), libbus::host::phrase(error));
        Self { reason, text, hints: Vec::new() }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Who typed it wrong, and is not told yet what to type, is shown an example of the verb.
    pub(crate) fn with_example(self, verb: &str) -> Self {
        match self.reason == Reason::Usage && self.hints.is_empty() {
            true => self.hint(format!("for example: {}", examples::of(verb))),
            false => self,
        }
    }

    pub(crate) const fn exit_code(&self) -> u8 {
        match self.reason {
            Reason::BrokenPipe => 0,
            Reason::Refused => 1,
            Reason::Usage => 2,
            Reason::Unreachable => 3,
            Reason::NoProgram => 127,
            Reason::NotExecutable => 126,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bus: {}", self.text)?;
        self.hints.iter().try_for_each(|hint| write!(f, "\nhint: {hint}"))
    }
}

/// What can be tried when the other side answers with this error.
fn hint_for(name: &str, text: &str) -> Option<&'static str> {
    Some(match name.strip_prefix("org.freedesktop.DBus.Error.")? {
        "ServiceUnknown" | "NameHasNoOwner" => {
            "`bus list` shows who is there, and who can be started"
        }
        "UnknownMethod" | "UnknownInterface" | "UnknownProperty" | "InvalidArgs"
        | "PropertyReadOnly" => "`bus introspect NAME PATH` shows what the object has",
        "UnknownObject" => "`bus tree NAME` shows its objects",
        "AccessDenied" if is_for_few(text) => {
            "no rule of a policy decides this: root may, and the user that the bus runs as"
        }
        "AccessDenied" | "AuthFailed" => {
            "`bus policy explain` says which rule of the bus decides; a service may refuse by itself, too"
        }
        "InteractiveAuthorizationRequired" => "allow a question to the user with --interactive",
        "NoReply" | "Timeout" | "TimedOut" => "wait longer with --timeout=SECONDS",
        "LimitsExceeded" => "`bus top` shows who holds how much of which limit",
        _ => return None,
    })
}

/// Whether a bus refuses what it lets only root and its own user do, whatever its policy says; those that are in use
/// give this no name of its own.
fn is_for_few(text: &str) -> bool {
    let ours = ["may only be called by root", "may only be added by root", "is for root and"];
    let of_others = ["necessary privileged to call this method"];
    ours.iter().chain(&of_others).any(|said| text.contains(said))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = plain(&error.to_string());
        match &error {
            Error::Method(method) => {
                let failure = Self::refused(text);
                match hint_for(method.name(), method.text()) {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                }
            }
            Error::TimedOut(_) => Self::refused(text).hint("wait longer with --timeout=SECONDS"),
            Error::Connect { .. } | Error::NoAddress(_) => Self::unreachable(text).hint(DOCTOR),
            Error::Address(_) => Self::usage(text),
            error if error.is_disconnected() => Self::unreachable(text).hint(DOCTOR),
            Error::Name(_) | Error::MatchRule(_) => Self::usage(text),
            _ => Self::refused(text),
        }
    }
}

/// Standard output cannot be written.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let text = format!("cannot write the output: {}", libbus::host::phrase(&error));
        match error.kind() {
            io::ErrorKind::BrokenPipe => {
                Self { reason: Reason::BrokenPipe, text, hints: Vec::new() }
            }
            _ => Self::refused(text),
        }
    }
}
