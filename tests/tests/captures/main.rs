//! Captures of real programs are read, ours are read by others, and what is made of them: traces, in a real browser,
//! and replays (tools.md D004, D048–D050, D062).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "all of this is test code: a broken expectation is a failed test"
)]

mod browser;
mod page;
mod recorded;
mod replayed;
mod scene;
mod traced;

use std::process::ExitCode;

use bus_tests::harness::{is_installed, trial};
use libtest_mimic::Arguments;

use crate::browser::missing_browser;

/// A test, and what has to be there for it.
type Case = (&'static str, fn() -> Option<&'static str>, fn());

const CASES: &[Case] = &[
    ("dbus-monitor --pcap is read", dbus_monitor, recorded::dbus_monitor_pcap),
    ("dbus-monitor --binary is read", dbus_monitor, recorded::dbus_monitor_binary),
    ("busctl capture is read", busctl, recorded::busctl_capture),
    ("tcpdump reads our captures", tcpdump, recorded::tcpdump_reads_ours),
    ("trace: a capture becomes a page and a picture", nothing, traced::page_and_picture),
    ("trace: a damaged capture is drawn and told", nothing, traced::damaged),
    ("trace: what is no capture is refused", nothing, traced::refused),
    ("trace: standard input", nothing, traced::standard_input),
    ("trace: a bus is watched", nothing, traced::live),
    ("replay: calls and signals are sent and counted", nothing, replayed::all_is_counted),
    ("replay: only calls, only signals", nothing, replayed::only_some),
    ("replay: at its own pace", nothing, replayed::paced),
    ("replay: a system bus needs a yes", nothing, replayed::system_bus),
    ("page: nothing of a hostile capture runs", chromium, page::hostile),
    ("page: clicks, keys and filters", chromium, page::used),
    ("page: the end of 100,000 messages", chromium, page::large),
];

fn main() -> ExitCode {
    let trials = CASES.iter().map(|(name, missing, run)| trial(*name, missing(), *run)).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn program(name: &'static str) -> Option<&'static str> {
    (!is_installed(name)).then_some(name)
}

fn nothing() -> Option<&'static str> {
    None
}

fn dbus_monitor() -> Option<&'static str> {
    program("dbus-monitor")
}

fn busctl() -> Option<&'static str> {
    program("busctl")
}

fn tcpdump() -> Option<&'static str> {
    program("tcpdump")
}

fn chromium() -> Option<&'static str> {
    missing_browser()
}
