//! Starts a service of the system bus as the user of its service file.

use std::process::ExitCode;

fn main() -> ExitCode {
    bus_daemon::launch_helper::run(std::env::args_os())
}
