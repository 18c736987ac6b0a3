//! The `bus` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    bus_tools::run(std::env::args_os())
}
