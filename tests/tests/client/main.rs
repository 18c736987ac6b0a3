//! `libbus` as programs use it, on our bus and, where it is installed, on dbus-daemon.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "all of this is test code: a broken expectation is a failed test"
)]

mod asynchronous;
mod blobs;
mod block_on;
mod calls;
mod connecting;
mod examples;
mod interop;
mod managed_objects;
mod names;
mod peer_to_peer;
mod proxies;
mod serving;
mod signals;
mod test_bus;

use std::io::Write as _;

use bus_tests::harness::{Bus, Config, Daemon};
use libbus::blocking::{Builder, Connection};

/// Says what is not tested, and why. Not eprintln, which the test runner keeps to itself when a test passes.
fn skip(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// Each bus there is.
fn daemons() -> Vec<Daemon> {
    let reference = Daemon::reference();
    if reference.is_none() {
        skip("dbus-daemon is not installed");
    }
    [Some(Daemon::ours()), reference].into_iter().flatten().collect()
}

/// As many calls may be under way as on the session buses that users have.
const CONFIG: Config =
    Config { limits: &[("max_replies_per_connection", 50_000)], ..Config::SESSION };

/// Runs a test on each of them.
fn on_each_bus(test: impl Fn(&Bus)) {
    daemons().iter().for_each(|daemon| test(&Bus::start(daemon, &CONFIG)));
}

fn address(bus: &Bus) -> String {
    bus.addresses().next().expect("an address").to_owned()
}

fn connect(bus: &Bus) -> Connection {
    Builder::address(&address(bus)).unwrap().build().unwrap()
}
