//! `libbus` as programs use it, on our bus and, where they are installed, on dbus-daemon and dbus-broker.
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
mod monitoring;
mod names;
mod peer_to_peer;
mod ports;
mod proxies;
mod reaching;
mod reconnecting;
mod serving;
mod signals;
mod streams;
mod styles;
mod test_bus;
mod unread;

use bus_tests::harness::{Bus, Config, Daemon, skip, skip_without};
use libbus::blocking::{Builder, Connection};

/// Each bus there is that reads a configuration and can be started by a program.
fn daemons() -> Vec<Daemon> {
    let reference = Daemon::reference();
    if reference.is_none() {
        skip_without("dbus-daemon");
    }
    [Some(Daemon::ours()), reference].into_iter().flatten().collect()
}

/// As many calls may be under way as on the session buses that users have.
const CONFIG: Config =
    Config { limits: &[("max_replies_per_connection", 50_000)], ..Config::SESSION };

/// Runs a test on each of them, and on dbus-broker.
fn on_each_bus(test: impl Fn(&Bus)) {
    let broker = Daemon::broker();
    if broker.is_none() {
        skip_without("dbus-broker");
    }
    daemons().iter().chain(&broker).for_each(|daemon| test(&Bus::start(daemon, &CONFIG)));
}

/// Whether a test that needs `what` cannot be run on this bus; says so then.
fn broker_lacks(bus: &Bus, what: &str) -> bool {
    let is_broker = bus.label() == "dbus-broker";
    if is_broker {
        skip(&format!("dbus-broker without its launcher has no {what}"));
    }
    is_broker
}

fn address(bus: &Bus) -> String {
    bus.addresses().next().expect("an address").to_owned()
}

fn connect(bus: &Bus) -> Connection {
    Builder::address(&address(bus)).unwrap().build().unwrap()
}
