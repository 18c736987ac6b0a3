//! The `bus` command: run, see, call and explain a bus. It has no verbs yet.

use std::process::ExitCode;

fn main() -> ExitCode {
    eprintln!("bus: this command can do nothing yet");
    eprintln!("hint: use gdbus, busctl or dbus-send with the address that bus-daemon prints");
    ExitCode::from(2)
}
