//! Other projects' commands: the same options, output and exit codes, so that scripts go on working.
//!
//! Each is a function of its arguments, in a file of its own; [`run`] finds it by its name. What those of dbus have in
//! common is [`libdbus`]: how they say that a bus cannot be reached, and how they print messages ([`print_message`]).

mod c_number;
mod dbus_monitor;
mod dbus_send;
mod libdbus;
mod print_message;

use std::ffi::OsString;
use std::process::ExitCode;

/// One of them: it answers its exit code.
type Program = fn(&[OsString]) -> ExitCode;

/// By their names, in order.
const PROGRAMS: &[(&str, Program)] =
    &[("dbus-monitor", dbus_monitor::run), ("dbus-send", dbus_send::run)];

/// Runs the command of this name; nothing, if there is none.
pub(crate) fn run(name: &str, arguments: &[OsString]) -> Option<ExitCode> {
    let (_, program) = PROGRAMS.iter().find(|(known, _)| *known == name)?;
    Some(program(arguments))
}

/// What there is.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    PROGRAMS.iter().map(|(name, _)| *name)
}
