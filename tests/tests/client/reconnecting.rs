//! A bus that goes away and comes back, and one that comes late.
//!
//! What programs do is written once for both styles, in `each_style.rs`: `wait!` waits as the style does.

use std::io;
use std::thread;
use std::time::Duration;

use bus_tests::harness::Bus;
use libbus::auth::Mechanism;
use libbus::{CacheProperties, Error, LostCall, NameEvent, Reconnect, RequestNameFlags};

use crate::{address, on_each_bus};

const NAME: &str = "org.example.Name";
const PATH: &str = "/org/example";
const INTERFACE: &str = "org.example.Counter";

/// The bus ends and starts again at the same address.
fn replace(bus: &Bus) {
    bus.terminate();
    bus.restart();
}

mod blocking {
    use super::*;
    use libbus::blocking::{Builder, Connection, Proxy, interface};

    macro_rules! wait {
        ($what:expr) => {
            $what
        };
    }

    macro_rules! run {
        ($what:block) => {
            $what
        };
    }

    include!("reconnecting/each_style.rs");

    struct Counter(u32);

    #[interface(name = "org.example.Counter")]
    impl Counter {
        #[zbus(property)]
        fn count(&self) -> u32 {
            self.0
        }

        fn add(&mut self, number: u32) {
            self.0 += number;
        }
    }

    fn serve(connection: &Connection) {
        let connection = connection.clone();
        thread::spawn(move || connection.serve());
    }
}

mod asynchronous {
    use super::*;
    use futures_lite::future::{block_on, poll_once};
    use libbus::{Builder, Connection, Proxy, interface};

    macro_rules! wait {
        ($what:expr) => {
            $what.await
        };
    }

    macro_rules! run {
        ($what:block) => {
            block_on(async { $what })
        };
    }

    include!("reconnecting/each_style.rs");

    struct Counter(u32);

    #[interface(name = "org.example.Counter")]
    impl Counter {
        #[zbus(property)]
        fn count(&self) -> u32 {
            self.0
        }

        fn add(&mut self, number: u32) {
            self.0 += number;
        }
    }

    /// A thread of the connection does.
    fn serve(_: &Connection) {}

    /// One that has been tried already is tried again.
    #[test]
    fn a_bus_that_comes_later_is_waited_for() {
        on_each_bus(|bus| {
            bus.terminate();
            let builder = Builder::address(&path_of(bus)).unwrap();
            block_on(async {
                let mut build = Box::pin(builder.wait_for_bus(Duration::MAX).build());
                assert!(poll_once(&mut build).await.is_none());
                bus.restart();
                assert!(build.await.unwrap().unique_name().is_some());
            });
        });
    }

    /// Who waits only for calls of others reads nothing but what is there; who is dropped lets the next one try.
    #[test]
    fn a_future_that_is_dropped_leaves_the_trying_to_others() {
        on_each_bus(|bus| {
            block_on(async {
                let connection = connect!(bus, Reconnect::within(Duration::MAX));
                bus.terminate();
                let lost = connection.bus().call::<_, String>("GetId", &()).await.unwrap_err();
                assert!(matches!(lost, Error::CallLost(_)), "{lost}");
                let proxy = connection.bus();
                let mut first = Box::pin(proxy.call::<_, String>("GetId", &()));
                assert!(poll_once(&mut first).await.is_none());
                let mut second = Box::pin(proxy.call::<_, String>("GetId", &()));
                assert!(poll_once(&mut second).await.is_none());
                bus.restart();
                drop(first);
                second.await.unwrap();
            });
        });
    }
}

/// The address without the GUID, which another bus has not.
fn path_of(bus: &Bus) -> String {
    format!("unix:path={}", bus.address_value(0, "path").unwrap())
}

#[test]
fn a_bus_that_comes_later_is_waited_for_by_a_thread() {
    on_each_bus(|bus| {
        bus.terminate();
        let builder = libbus::blocking::Builder::address(&path_of(bus)).unwrap();
        thread::scope(|scope| {
            let build = scope.spawn(|| builder.wait_for_bus(Duration::MAX).build().unwrap());
            bus.restart();
            assert!(build.join().unwrap().unique_name().is_some());
        });
    });
}
