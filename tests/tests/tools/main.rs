//! The command `bus` as people use it: what it prints, where, and with which exit code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "all of this is test code: a broken expectation is a failed test"
)]

mod bridge;
mod bus_statistics;
mod busctl_gdbus;
mod codegen;
mod completions;
mod dbus_bin;
mod doctor;
mod hostile;
mod manual;
mod odd_services;
mod other_buses;
mod scene;
mod timeout;
mod top;
mod transcript;
mod usual_address;
mod verbs;
