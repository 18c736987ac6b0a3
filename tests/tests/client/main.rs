//! `libbus` as programs use it, on our bus and, where it is installed, on dbus-daemon.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "all of this is test code: a broken expectation is a failed test"
)]

mod asynchronous;
mod calls;
mod connecting;
mod signals;

use bus_tests::harness::{Bus, Config, Daemon};
use libbus::blocking::{Builder, Connection};

/// Runs a test on each bus there is.
fn on_each_bus(test: impl Fn(&Bus)) {
    let reference = Daemon::reference();
    if reference.is_none() {
        println!("skipped on dbus-daemon: it is not installed");
    }
    for daemon in [Some(Daemon::ours()), reference].into_iter().flatten() {
        test(&Bus::start(&daemon, &Config::SESSION));
    }
}

fn address(bus: &Bus) -> String {
    bus.addresses().next().expect("an address").to_owned()
}

fn connect(bus: &Bus) -> Connection {
    Builder::address(&address(bus)).unwrap().build().unwrap()
}
