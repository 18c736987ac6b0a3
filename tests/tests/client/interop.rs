//! Our services called by other people's clients, and their services called by our client: one interface,
//! `org.example.Interop`, that all of them have.
//!
//! `EchoBasics` (a value of each basic type), `EchoContainers` (array, dictionary, structure, variant),
//! `Fail`, `Shout` (emits `Shouted`), and the properties `Level` and `Title`. What is not installed is said and
//! left out; with `REQUIRE_STOCK_CLIENTS` set it fails instead. `tests/peers/install` installs everything.

mod callers;
mod services;

use std::path::{Path, PathBuf};
use std::process::Command;

use bus_tests::harness::{Bus, Ended, Running, run, words};

const NAME: &str = "org.example.Interop";
const PATH: &str = "/org/example/Interop";
const INTERFACE: &str = "org.example.Interop";
const ERROR: &str = "org.example.Error.Refused";
/// Debian's own: the only one that sees Debian's Python packages.
pub(crate) const PYTHON: &str = "/usr/bin/python3";

/// A file beside this one.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/client/interop").join(name)
}

/// Whether a program ends well.
fn works(line: &str) -> bool {
    words(line).output().is_ok_and(|output| output.status.success())
}

/// Whether Debian's Python has what the scripts here need.
pub(crate) fn has_dbus_python() -> bool {
    let import = "import dbus, gi.repository.GLib";
    Command::new(PYTHON).args(["-c", import]).output().is_ok_and(|output| output.status.success())
}

/// `command` for this bus as its session bus.
fn on_bus(bus: &Bus, command: &Command) -> Command {
    let mut on_bus = Command::new(command.get_program());
    on_bus.args(command.get_args()).env("DBUS_SESSION_BUS_ADDRESS", &bus.address);
    on_bus.env("XDG_RUNTIME_DIR", &bus.dir).env("HOME", &bus.dir).env("LC_ALL", "C.UTF-8");
    on_bus
}

fn run_on(bus: &Bus, command: &Command) -> Ended {
    run(&on_bus(bus, command), b"")
}

fn start_on(bus: &Bus, command: &Command) -> Running {
    Running::start(&mut on_bus(bus, command))
}
