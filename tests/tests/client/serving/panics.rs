//! A handler that panics: whoever called is told, and all the others are served on.

use futures_lite::future::block_on;
use libbus::blocking::{Connection, Proxy};
use libbus::{Error, MethodCall};

use super::{Program, Service, serve};
use crate::{address, connect, on_each_bus};

const FRAGILE: &str = "org.example.Fragile";
const PATH: &str = "/fragile";

macro_rules! fragile {
    ($interface:path, [$($async:tt)?], $pause:expr) => {
        /// Has a lock, which a panic lets go.
        #[derive(Default)]
        pub(super) struct Fragile(u32);

        #[$interface(name = "org.example.Fragile")]
        impl Fragile {
            fn count(&self) -> u32 {
                self.0
            }

            fn break_now(&mut self) -> u32 {
                self.0 += 1;
                panic!("a secret");
            }

            $($async)? fn break_later(&mut self) -> u32 {
                self.0 += 1;
                $pause;
                panic!("a secret");
            }

            #[zbus(property)]
            fn broken(&self) -> u32 {
                panic!("a secret")
            }

            #[zbus(property)]
            fn set_broken(&mut self, value: u32) {
                self.0 += value;
                panic!("a secret");
            }
        }

        /// Has none.
        pub(super) struct Plain;

        #[$interface(name = "org.example.Plain")]
        impl Plain {
            fn break_now(&self) {
                panic!("a secret");
            }
        }
    };
}

mod asynchronous {
    fragile!(libbus::interface, [async], futures_lite::future::yield_now().await);
}

mod blocking {
    fragile!(libbus::blocking::interface, [], std::thread::yield_now());
}

fn services(bus: &bus_tests::harness::Bus) -> [Service; 2] {
    let builder = libbus::Builder::address(&address(bus)).unwrap();
    let builder = builder.serve_at(PATH, asynchronous::Fragile::default()).unwrap();
    let builder = builder.serve_at(PATH, asynchronous::Plain).unwrap();
    let builder = builder.serve_at("/", libbus::server::ObjectManager).unwrap();
    let connection = block_on(builder.build()).unwrap();
    let name = connection.unique_name().unwrap().to_owned();
    let asynchronous = Service { name, program: Program::Asynchronous(connection) };

    let builder = libbus::blocking::Builder::address(&address(bus)).unwrap();
    let builder = builder.serve_at(PATH, blocking::Fragile::default()).unwrap();
    let builder = builder.serve_at(PATH, blocking::Plain).unwrap();
    let builder = builder.serve_at("/", libbus::server::ObjectManager).unwrap();
    let connection = builder.build().unwrap();
    let name = connection.unique_name().unwrap().to_owned();
    // One thread, which all that follows needs.
    let threads = vec![serve(&connection)];
    [asynchronous, Service { name, program: Program::Blocking(connection, threads) }]
}

/// The error says that the handler panicked and not what it said.
fn check(error: &Error, member: &str) {
    let Error::Method(error) = error else { panic!("{error}") };
    assert_eq!(error.name(), "org.freedesktop.DBus.Error.Failed");
    assert_eq!(error.text(), format!("the handler of {member} panicked"));
}

#[test]
fn who_called_is_told_and_the_others_are_served_on() {
    on_each_bus(|bus| {
        for service in services(bus) {
            let [caller, other] = [(); 2].map(|()| connect(bus));
            let proxy = |connection: &Connection, path: &str, interface: &str| {
                Proxy::new(connection, &*service.name, path, interface).unwrap()
            };
            let (fragile, others) = (proxy(&caller, PATH, FRAGILE), proxy(&other, PATH, FRAGILE));
            let mut count = 0;
            // What was changed before the panic stays so, and both its caller and others go on.
            let mut goes_on = |added: u32| {
                count += added;
                for proxy in [&fragile, &others] {
                    assert_eq!(proxy.call::<_, u32>("Count", &()).unwrap(), count);
                }
            };
            for member in ["BreakNow", "BreakLater"] {
                for _ in 0..2 {
                    let error = fragile.call::<_, u32>(member, &()).unwrap_err();
                    check(&error, &format!("{FRAGILE}.{member}"));
                    goes_on(1);
                }
            }
            let error = proxy(&caller, PATH, "org.example.Plain").call::<_, ()>("BreakNow", &());
            check(&error.unwrap_err(), "org.example.Plain.BreakNow");

            const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
            let error = fragile.get_property_uncached::<u32>("Broken").unwrap_err();
            check(&error, &format!("{PROPERTIES}.Get"));
            let error = fragile.set_property("Broken", &5_u32).unwrap_err();
            check(&error, &format!("{PROPERTIES}.Set"));
            goes_on(5);
            let error = proxy(&caller, PATH, PROPERTIES).call_method("GetAll", FRAGILE);
            check(&error.unwrap_err(), &format!("{PROPERTIES}.GetAll"));
            let manager = "org.freedesktop.DBus.ObjectManager";
            let error = proxy(&caller, "/", manager).call_method("GetManagedObjects", &());
            check(&error.unwrap_err(), &format!("{manager}.GetManagedObjects"));

            // Who wants no answer gets none, and one that names no interface is told like others.
            let call = fragile.method_call("BreakNow").unwrap();
            caller.call_no_reply(&call, &()).unwrap();
            goes_on(1);
            let call = MethodCall::new(PATH, "BreakLater").unwrap();
            let call = call.destination(&*service.name).unwrap();
            check(&caller.call(&call, &()).unwrap_err(), "BreakLater");
            goes_on(1);
        }
    });
}
