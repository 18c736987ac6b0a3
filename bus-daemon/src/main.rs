//! The message bus daemon: a drop-in for dbus-daemon.

use std::process::ExitCode;

fn main() -> ExitCode {
    bus_daemon::daemon::run(std::env::args_os())
}
