//! Whether a daemon is a D-Bus message bus, seen from outside.
//!
//! Each case gets a bus of its own, asserts what every bus must do, and notes what a bus may do in
//! its own way. It runs against our daemon and against the system's `dbus-daemon`; a third run
//! compares the notes of the two, and any difference must be in `allowed_differences.toml`. The
//! summary says which items of the protocol checklist have a case.
//!
//! `BUS_DAEMON` and `REFERENCE_BUS_DAEMON` name other programs to compare.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "all of this is test code: a broken expectation is a failed test"
)]

mod case;
mod differences;
mod runner;

mod activation;
mod addresses;
mod authentication;
mod connections;
mod driver;
mod errors;
mod header;
mod introspection;
mod limits;
mod malformed;
mod match_rules;
mod monitoring;
mod name_queues;
mod routing;
mod semantics;
mod syntax;
mod type_system;
mod watching;

use case::Case;

/// Every case, by section.
fn sections() -> Vec<(&'static str, Vec<Case>)> {
    vec![
        ("type_system", type_system::cases()),
        ("syntax", syntax::cases()),
        ("header", header::cases()),
        ("semantics", semantics::cases()),
        ("authentication", authentication::cases()),
        ("addresses", addresses::cases()),
        ("connections", connections::cases()),
        ("name_queues", name_queues::cases()),
        ("routing", routing::cases()),
        ("match_rules", match_rules::cases()),
        ("driver", driver::cases()),
        ("introspection", introspection::cases()),
        ("monitoring", monitoring::cases()),
        ("activation", activation::cases()),
        ("errors", errors::cases()),
        ("limits", limits::cases()),
        ("watching", watching::cases()),
    ]
}

fn main() -> std::process::ExitCode {
    runner::run(sections())
}
