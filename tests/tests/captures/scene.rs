//! A bus with a service and a client on it, and a folder for what is made.

use std::process::Command;
use std::thread;

use bus_tests::harness::{Bus, Config, Daemon, Ended, bus_command, run};
use libbus::blocking::{Builder, Connection, interface};
use libbus::{DBusError, Error, MethodCall};

pub(crate) const NAME: &str = "org.example.Kitchen";
pub(crate) const PATH: &str = "/org/example/Kitchen";

/// Runs `bus` to its end.
pub(crate) fn bus(arguments: &[&str], input: &[u8]) -> Ended {
    let mut command = Command::new(bus_command());
    command.args(arguments).env_remove("DBUS_SESSION_BUS_ADDRESS").env("NO_COLOR", "1");
    run(&command, input)
}

pub(crate) fn start_bus() -> Bus {
    Bus::start(&Daemon::ours(), &Config::SESSION)
}

pub(crate) fn connect(bus: &Bus) -> Connection {
    Builder::address(&bus.address).unwrap().build().unwrap()
}

#[derive(Debug, DBusError)]
#[zbus(prefix = "org.example.Kitchen.Error")]
enum KitchenError {
    Empty(String),
}

struct Kitchen;

#[interface(name = "org.example.Kitchen")]
impl Kitchen {
    fn brew(&self, what: &str) -> Result<String, KitchenError> {
        match what {
            "" => Err(KitchenError::Empty("nothing to brew <b>at all</b>".to_owned())),
            what => Ok(format!("a cup of {what}")),
        }
    }
}

/// A served kitchen, closed when it is dropped.
pub(crate) struct Served(Connection);

pub(crate) fn serve(bus: &Bus) -> Served {
    let builder = Builder::address(&bus.address).unwrap().serve_at(PATH, Kitchen).unwrap();
    let connection = builder.name(NAME).unwrap().build().unwrap();
    let serving = connection.clone();
    thread::spawn(move || serving.serve());
    Served(connection)
}

impl Served {
    pub(crate) fn unique_name(&self) -> &str {
        self.0.unique_name().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Calls, an error, and a signal.
pub(crate) fn converse(client: &Connection) {
    let call = MethodCall::new(PATH, "Brew").unwrap().destination(NAME).unwrap();
    let call = call.interface("org.example.Kitchen").unwrap();
    let cup: String = client.call(&call, "tea").unwrap().deserialize().unwrap();
    assert_eq!(cup, "a cup of tea");
    let error = client.call(&call, "").unwrap_err();
    assert!(matches!(error, Error::Method(_)), "{error}");
    client.emit_signal(None, PATH, "org.example.Kitchen", "Drunk", &("tea", 2u32)).unwrap();
}
