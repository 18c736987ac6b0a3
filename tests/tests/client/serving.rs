//! Objects that programs serve, in both styles: each test here is run with a service of either on each bus.

mod executor;
mod lifetime;
mod load;
mod methods;
mod objects;
mod order;
mod panics;
mod properties;
mod served;

use std::thread::{self, JoinHandle};

use bus_tests::harness::Bus;
use futures_lite::future::block_on;
use libbus::blocking::{Connection, Proxy};

use self::served::{asynchronous, blocking};
use crate::{address, connect, on_each_bus};

/// Where the objects are that most tests use.
const PATH: &str = "/org/example/Object";
const METHODS: &str = "org.example.Methods";
const COUNTER: &str = "org.example.Counter";
const PROPERTIES: &str = "org.example.Properties";
const STANDARD_PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// A program that serves one of each kind of object at [`PATH`].
struct Service {
    name: String,
    program: Program,
}

enum Program {
    Asynchronous(libbus::Connection),
    Blocking(Connection, Vec<JoinHandle<()>>),
}

impl Service {
    /// In both styles.
    fn both(bus: &Bus) -> [Self; 2] {
        [Self::asynchronous(bus), Self::blocking(bus, 1)]
    }

    fn asynchronous(bus: &Bus) -> Self {
        let builder = libbus::Builder::address(&address(bus)).unwrap();
        let connection = block_on(asynchronous::serve_at(PATH, builder).build()).unwrap();
        let name = connection.unique_name().unwrap().to_owned();
        Self { name, program: Program::Asynchronous(connection) }
    }

    /// So many threads serve.
    fn blocking(bus: &Bus, thread_count: usize) -> Self {
        let builder = libbus::blocking::Builder::address(&address(bus)).unwrap();
        let connection = blocking::serve_at(PATH, builder).build().unwrap();
        let name = connection.unique_name().unwrap().to_owned();
        let threads = (0..thread_count).map(|_| serve(&connection)).collect();
        Self { name, program: Program::Blocking(connection, threads) }
    }

    /// One interface of the object at [`PATH`], as somebody else sees it.
    fn proxy(&self, connection: &Connection, interface: &str) -> Proxy {
        Proxy::new(connection, &*self.name, PATH, interface).unwrap()
    }
}

/// Serves in a thread, until the connection is over.
fn serve(connection: &Connection) -> JoinHandle<()> {
    let connection = connection.clone();
    thread::spawn(move || {
        let error = connection.serve().unwrap_err();
        assert!(error.is_disconnected(), "{error}");
    })
}

impl Drop for Service {
    fn drop(&mut self) {
        match &mut self.program {
            Program::Asynchronous(connection) => connection.close(),
            Program::Blocking(connection, threads) => {
                connection.close();
                for thread in threads.drain(..) {
                    // What a thread found wrong is told by the thread.
                    let _ = thread.join();
                }
            }
        }
    }
}

/// Runs a test with a service of each style on each bus, and another program that calls it.
fn with_each_service(test: impl Fn(&Bus, &Service, &Connection)) {
    on_each_bus(|bus| {
        for service in Service::both(bus) {
            test(bus, &service, &connect(bus));
        }
    });
}
