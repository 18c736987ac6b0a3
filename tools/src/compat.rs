//! Other projects' commands: the same options, output and exit codes, so that scripts go on working.
//!
//! Each is a function of its arguments, in a file of its own; [`run`] finds it by its name. What several read alike:
//! options (`getopt.rs`) and numbers (`c_numbers.rs`, `c_double.rs`). What those of dbus have in common is `libdbus.rs`, how they say
//! that a bus cannot be reached, and `print_message.rs`; the numbers that they read and print are `lenient_number.rs`.

mod busctl;
mod c_double;
mod c_numbers;
mod dbus_cleanup_sockets;
mod dbus_launch;
mod dbus_monitor;
mod dbus_run_session;
mod dbus_send;
mod dbus_test_tool;
mod dbus_update_activation_environment;
mod dbus_uuidgen;
mod gdbus;
mod getopt;
mod lenient_number;
mod libdbus;
mod print_message;
mod session_bus;

use std::ffi::OsString;
use std::process::ExitCode;

/// One of them: it answers its exit code.
type Program = fn(&[OsString]) -> ExitCode;

/// By their names, in order.
const PROGRAMS: &[(&str, Program)] = &[
    ("busctl", busctl::run),
    ("dbus-cleanup-sockets", dbus_cleanup_sockets::run),
    ("dbus-launch", dbus_launch::run),
    ("dbus-monitor", dbus_monitor::run),
    ("dbus-run-session", dbus_run_session::run),
    ("dbus-send", dbus_send::run),
    ("dbus-test-tool", dbus_test_tool::run),
    ("dbus-update-activation-environment", dbus_update_activation_environment::run),
    ("dbus-uuidgen", dbus_uuidgen::run),
    ("gdbus", gdbus::run),
];

/// Runs the command of this name; nothing, if there is none.
pub(crate) fn run(name: &str, arguments: &[OsString]) -> Option<ExitCode> {
    let (_, program) = PROGRAMS.iter().find(|(known, _)| *known == name)?;
    Some(program(arguments))
}

/// What there is.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    PROGRAMS.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// The links that are installed.
    #[test]
    fn each_has_a_link() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("old-names");
        let mut links: Vec<String> = Vec::new();
        for link in std::fs::read_dir(directory).unwrap() {
            let link = link.unwrap();
            assert_eq!(std::fs::read_link(link.path()).unwrap(), Path::new("../../../bin/bus"));
            links.push(link.file_name().into_string().unwrap());
        }
        let mut names: Vec<&str> = super::names().collect();
        links.sort_unstable();
        names.sort_unstable();
        assert_eq!(links, names);
    }
}
