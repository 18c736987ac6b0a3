//! The command `bus` as people use it: what it prints, where, and with which exit code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "all of this is test code: a broken expectation is a failed test"
)]

mod bus_statistics;
mod busctl_gdbus;
mod codegen;
mod completions;
mod dbus_bin;
mod doctor;
mod manual;
mod scene;
mod top;
mod transcript;
mod verbs;

/// Says what is not tested, and why. Not eprintln, which the test runner keeps to itself when a test passes.
fn skip(why: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
