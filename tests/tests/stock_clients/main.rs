//! Stock clients on our bus, each for real: command-line tools and client libraries as their
//! projects ship them.
//!
//! Each test starts a bus of its own. What is not installed is printed and counted as ignored;
//! with `REQUIRE_STOCK_CLIENTS` set it fails instead. `tests/peers/install` installs everything.
//! `BUS_DAEMON` names another daemon to run them against.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the whole crate is test code: a broken expectation is a failed test"
)]

mod busctl;
mod dbus_bin;
mod gdbus;
mod peer;
mod roles;
mod scene;
mod zbus5;
mod zbus6;

use std::process::ExitCode;

use bus_tests::harness::{is_installed, trial};
use libtest_mimic::{Arguments, Trial};

/// A program, and what is tried with it.
type Tool = (&'static str, &'static [(&'static str, fn())]);

const TOOLS: &[Tool] = &[
    ("gdbus", gdbus::CASES),
    ("busctl", busctl::CASES),
    ("dbus-send", dbus_bin::SEND_CASES),
    ("dbus-monitor", dbus_bin::MONITOR_CASES),
    ("dbus-run-session", dbus_bin::RUN_SESSION_CASES),
    ("dbus-test-tool", dbus_bin::TEST_TOOL_CASES),
];

fn main() -> ExitCode {
    if roles::play() {
        return ExitCode::SUCCESS;
    }
    let trials = tool_trials().chain(library_trials()).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn tool_trials() -> impl Iterator<Item = Trial> {
    TOOLS.iter().flat_map(|(tool, cases)| {
        let missing = (!is_installed(tool)).then(|| (*tool).to_owned());
        cases
            .iter()
            .map(move |(case, run)| trial(format!("{tool}: {case}"), missing.as_deref(), *run))
    })
}

fn library_trials() -> impl Iterator<Item = Trial> {
    roles::CLIENTS.into_iter().flat_map(|client| {
        let missing = client.missing();
        let alone = [
            trial(format!("{}: monitor", client.label), missing.as_deref(), || client.monitors()),
            trial(format!("{}: 100 at once", client.label), missing.as_deref(), || {
                client.comes_in_a_crowd()
            }),
        ];
        let pairs = roles::CLIENTS.map(|service| {
            let missing = missing.clone().or_else(|| service.missing());
            let name = format!("{}: served by {}", client.label, service.label);
            trial(name, missing.as_deref(), || client.converses_with(service))
        });
        alone.into_iter().chain(pairs)
    })
}
