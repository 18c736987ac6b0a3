//! Other projects' commands: the same options, output and exit codes, so that scripts go on working.
//!
//! Each is a function of its arguments, in a file of its own; [`run`] finds it by its name. What several read alike:
//! options (`getopt.rs`) and numbers (`c_numbers.rs`).

mod busctl;
mod c_numbers;
mod gdbus;
mod getopt;

use std::ffi::OsString;
use std::process::ExitCode;

/// One of them: it answers its exit code.
type Program = fn(&[OsString]) -> ExitCode;

/// By their names, in order.
const PROGRAMS: &[(&str, Program)] = &[("busctl", busctl::run), ("gdbus", gdbus::run)];

/// Runs the command of this name; nothing, if there is none.
pub(crate) fn run(name: &str, arguments: &[OsString]) -> Option<ExitCode> {
    let (_, program) = PROGRAMS.iter().find(|(known, _)| *known == name)?;
    Some(program(arguments))
}

/// What there is.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    PROGRAMS.iter().map(|(name, _)| *name)
}
