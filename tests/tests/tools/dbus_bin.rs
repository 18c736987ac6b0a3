//! The commands of Debian's packages dbus-bin, dbus-daemon and dbus-tests (tools.md D045–D056).

mod cleanup_sockets;
mod environment;
mod launch;
mod monitor;
mod run_session;
mod send;
mod service;
mod test_tool;
mod transcript;
mod uuidgen;

use bus_tests::harness::{Bus, Config, Daemon};

use self::transcript::Tool;

/// A test's own bus, and a command in both makes.
fn on_bus(name: &'static str, test: impl FnOnce(&Tool, &Bus)) {
    on_bus_with(&Config::SESSION, name, test);
}

fn on_bus_with(config: &Config, name: &'static str, test: impl FnOnce(&Tool, &Bus)) {
    let bus = Bus::start(&Daemon::ours(), config);
    test(&Tool::new(name, &bus), &bus);
}
