//! Other people's clients that call what we serve, in either style.

use std::collections::HashMap;
use std::process::Command;

use bus_tests::harness::{Bus, skip_without, words};
use futures_lite::StreamExt as _;
use futures_lite::future::block_on;
use zbus::wire::OwnedVariant;

use super::{ERROR, INTERFACE, NAME, PATH, PYTHON, file, has_dbus_python, run_on, start_on, works};
use crate::{address, on_each_bus};

/// An error of the service's own.
struct Refused;

impl libbus::DBusError for Refused {
    fn name(&self) -> std::borrow::Cow<'_, str> {
        ERROR.into()
    }

    fn description(&self) -> std::borrow::Cow<'_, str> {
        "refused on purpose".into()
    }
}

/// A value of each basic type but descriptors.
type Basics = (
    u8,
    bool,
    i16,
    u16,
    i32,
    u32,
    i64,
    u64,
    f64,
    String,
    zbus::wire::OwnedObjectPath,
    zbus::wire::Signature,
);

macro_rules! interop {
    ([$($async:tt)?], [$($wait:tt)*]) => {
        use std::collections::HashMap;

        use libbus::fdo;
        use zbus::wire::{OwnedObjectPath, OwnedVariant, Signature};

        use super::{Basics, Refused};

        pub(super) struct Interop {
            pub(super) level: u32,
        }

        #[interface(name = "org.example.Interop")]
        impl Interop {
            #[allow(clippy::too_many_arguments, reason = "one of each type")]
            fn echo_basics(
                &self,
                y: u8,
                b: bool,
                n: i16,
                q: u16,
                i: i32,
                u: u32,
                x: i64,
                t: u64,
                d: f64,
                s: String,
                o: OwnedObjectPath,
                g: Signature,
            ) -> Basics {
                (y, b, n, q, i, u, x, t, d, s, o, g)
            }

            fn echo_containers(
                &self,
                texts: Vec<String>,
                map: HashMap<String, u32>,
                structure: (i32, String),
                variant: OwnedVariant,
            ) -> (Vec<String>, HashMap<String, u32>, (i32, String), OwnedVariant) {
                (texts, map, structure, variant)
            }

            fn fail(&self) -> Result<(), Refused> {
                Err(Refused)
            }

            $($async)? fn shout(
                &self,
                text: &str,
                #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
            ) -> fdo::Result<()> {
                Ok(emitter.shouted(text, text.len() as u32)$($wait)*?)
            }

            #[zbus(signal)]
            $($async)? fn shouted(emitter: &SignalEmitter<'_>, text: &str, length: u32) -> libbus::Result<()>;

            #[zbus(property)]
            fn level(&self) -> u32 {
                self.level
            }

            #[zbus(property)]
            fn set_level(&mut self, level: u32) {
                self.level = level;
            }

            #[zbus(property)]
            fn title(&self) -> &str {
                "interop"
            }
        }
    };
}

mod asynchronous {
    use libbus::{SignalEmitter, interface};

    interop!([async], [.await]);
}

mod blocking {
    use libbus::blocking::{SignalEmitter, interface};

    interop!([], []);
}

/// Runs a test with our service in each style on each bus.
fn with_our_services(test: impl Fn(&Bus)) {
    on_each_bus(|bus| {
        let builder = libbus::Builder::address(&address(bus)).unwrap().name(NAME).unwrap();
        let builder = builder.serve_at(PATH, asynchronous::Interop { level: 1 }).unwrap();
        let connection = block_on(builder.build()).unwrap();
        test(bus);
        block_on(connection.release_name(NAME)).unwrap();
        drop(connection);

        let builder = libbus::blocking::Builder::address(&address(bus)).unwrap();
        let builder = builder.serve_at(PATH, blocking::Interop { level: 1 }).unwrap();
        let connection = builder.name(NAME).unwrap().build().unwrap();
        let serving = {
            let connection = connection.clone();
            std::thread::spawn(move || connection.serve().unwrap_err())
        };
        let closed = Closing(connection);
        test(bus);
        drop(closed);
        assert!(serving.join().unwrap().is_disconnected());
    });
}

/// So that the test ends when it fails.
struct Closing(libbus::blocking::Connection);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[test]
fn gdbus_calls_us() {
    if !works("gdbus help") {
        return skip_without("gdbus");
    }
    with_our_services(|bus| {
        let call = |member: &str, arguments: &[&str]| {
            let mut command = words("gdbus call --session -d org.example.Interop -o");
            command.args([PATH, "-m", member]).args(arguments);
            run_on(bus, &command)
        };
        let basics = [
            "byte 0xff",
            "true",
            "int16 -3",
            "uint16 4",
            "int32 -5",
            "uint32 6",
            "int64 -7",
            "uint64 8",
            "2.5",
            "'text'",
            "objectpath '/a/b'",
            "signature 'a{sv}'",
        ];
        call("org.example.Interop.EchoBasics", &basics).prints(&[
            "(byte 0xff, true, int16 -3, uint16 4, -5, uint32 6, int64 -7, uint64 8, 2.5, 'text', \
             objectpath '/a/b', signature 'a{sv}')",
        ]);
        let containers = ["['x', 'y']", "{'k': 5}", "(1, 's')", "<(true, [int16 2])>"];
        call("org.example.Interop.EchoContainers", &containers)
            .prints(&["(['x', 'y'], {'k': uint32 5}, (1, 's'), <(true, [int16 2])>)"]);
        call("org.example.Interop.Fail", &[]).fails_with(&[ERROR, "refused on purpose"]);
        call("org.freedesktop.DBus.Properties.Get", &[INTERFACE, "Level"])
            .prints(&["(<uint32 1>,)"]);
        let introspect = format!("gdbus introspect --session -d {NAME} -o {PATH}");
        run_on(bus, &words(&introspect)).prints(&[
            "interface org.example.Interop {",
            "Shouted(s text,",
            "readwrite u Level = 1;",
        ]);
        let monitor = start_on(bus, &words(&format!("gdbus monitor --session -d {NAME}")));
        monitor.prints("is owned by");
        let set = [INTERFACE, "Level", "<uint32 7>"];
        call("org.freedesktop.DBus.Properties.Set", &set).prints(&["()"]);
        monitor.prints("PropertiesChanged ('org.example.Interop', {'Level': <uint32 7>}, @as [])");
        call("org.example.Interop.Shout", &["loud"]).prints(&["()"]);
        monitor.prints("org.example.Interop.Shouted ('loud', uint32 4)");
    });
}

#[test]
fn busctl_calls_us() {
    if !works("busctl --version") {
        return skip_without("busctl");
    }
    with_our_services(|bus| {
        let busctl = |line: &str| run_on(bus, &words(&format!("busctl --user -- {line}")));
        let object = format!("{NAME} {PATH} {INTERFACE}");
        let basics = "ybnqiuxtdsog 255 true -3 4 -5 6 -7 8 2.5 text /a/b a{sv}";
        busctl(&format!("call {object} EchoBasics {basics}"))
            .prints(&["ybnqiuxtdsog 255 true -3 4 -5 6 -7 8 2.5 \"text\" \"/a/b\" \"a{sv}\""]);
        busctl(&format!(
            "call {object} EchoContainers asa{{su}}(is)v 2 x y 1 k 5 1 s (ban) true 1 2"
        ))
        .prints(&["asa{su}(is)v 2 \"x\" \"y\" 1 \"k\" 5 1 \"s\" (ban) true 1 2"]);
        busctl(&format!("call {object} Fail")).fails_with(&["refused on purpose"]);
        busctl(&format!("get-property {object} Level Title")).prints(&["u 1\ns \"interop\"\n"]);
        busctl(&format!("set-property {object} Level u 8")).succeeds();
        busctl(&format!("get-property {object} Level")).prints(&["u 8\n"]);
        let introspected = busctl(&format!("introspect {NAME} {PATH}"));
        introspected.prints(&[".EchoBasics", ".Shouted", ".Level", "emits-change writable"]);
        run_on(bus, &words(&format!("busctl --user --list tree {NAME}"))).prints(&[PATH]);
        let monitor = start_on(bus, &words(&format!("busctl --user monitor {NAME}")));
        monitor.prints("Monitoring bus message stream");
        busctl(&format!("call {object} Shout s loud")).succeeds();
        monitor.prints("Member=Shouted");
        monitor.prints("STRING \"loud\"");
    });
}

#[test]
fn dbus_send_calls_us() {
    if !works("dbus-send --version") && Command::new("dbus-send").output().is_err() {
        return skip_without("dbus-send");
    }
    with_our_services(|bus| {
        let send = |line: &str| {
            let line =
                format!("dbus-send --session --print-reply=literal --dest={NAME} {PATH} {line}");
            run_on(bus, &words(&line))
        };
        let echoed = send(&format!(
            "{INTERFACE}.EchoBasics byte:255 boolean:true int16:-3 uint16:4 int32:-5 uint32:6 int64:-7 \
             uint64:8 double:2.5 string:text objpath:/a/b string:g"
        ));
        // It cannot send a signature, so the types are wrong.
        echoed.fails_with(&["org.freedesktop.DBus.Error.InvalidArgs"]);
        send(&format!("{INTERFACE}.Shout string:loud")).succeeds();
        send(&format!("{INTERFACE}.Fail")).fails_with(&[ERROR, "refused on purpose"]);
        let properties = "org.freedesktop.DBus.Properties";
        send(&format!("{properties}.Set string:{INTERFACE} string:Level variant:uint32:9"))
            .succeeds();
        send(&format!("{properties}.Get string:{INTERFACE} string:Level")).prints(&["uint32 9"]);
        send(&format!("{properties}.GetAll string:{INTERFACE}")).prints(&["Title", "interop"]);
        send("org.freedesktop.DBus.Introspectable.Introspect").prints(&["EchoContainers"]);
        send("org.freedesktop.DBus.Peer.GetMachineId").succeeds();
    });
}

#[test]
fn dbus_python_calls_us() {
    if !has_dbus_python() {
        return skip_without("dbus-python");
    }
    with_our_services(|bus| {
        let mut command = Command::new(PYTHON);
        command.arg(file("dbus_python.py")).arg("call");
        run_on(bus, &command).succeeds();
    });
}

#[test]
fn zbus_calls_us() {
    with_our_services(|bus| {
        block_on(async {
            let builder = zbus::connection::Builder::address(&*address(bus));
            let connection = builder.build().await.unwrap();
            let proxy = zbus::Proxy::new(&connection, NAME, PATH, INTERFACE).await.unwrap();
            let path = zbus::wire::OwnedObjectPath::try_from("/a/b").unwrap();
            let signature = zbus::wire::Signature::try_from("a{sv}").unwrap();
            let basics: Basics =
                (255, true, -3, 4, -5, 6, -7, 8, 2.5, "text".to_owned(), path, signature);
            let echoed: Basics = proxy.call("EchoBasics", &basics).await.unwrap();
            assert_eq!(echoed, basics);
            let containers = (
                vec!["x".to_owned()],
                HashMap::from([("k".to_owned(), 5_u32)]),
                (1, "s".to_owned()),
                OwnedVariant::from(2_u16),
            );
            let echoed: (Vec<String>, HashMap<String, u32>, (i32, String), OwnedVariant) =
                proxy.call("EchoContainers", &containers).await.unwrap();
            assert_eq!(echoed, containers);
            match proxy.call::<_, _, ()>("Fail", &()).await {
                Err(zbus::Error::MethodError(name, text, _)) => {
                    assert_eq!(
                        (name.as_str(), text.as_deref()),
                        (ERROR, Some("refused on purpose"))
                    );
                }
                other => panic!("Fail answered {other:?}"),
            }
            let mut shouts = proxy.receive_signal("Shouted").await.unwrap();
            proxy.call::<_, _, ()>("Shout", &("loud",)).await.unwrap();
            let shout = shouts.next().await.unwrap();
            assert_eq!(shout.body().deserialize::<(&str, u32)>().unwrap(), ("loud", 4));
            assert_eq!(proxy.get_property::<String>("Title").await.unwrap(), "interop");
            let mut changes = proxy.receive_property_changed::<u32>("Level").await;
            assert_eq!(changes.next().await.unwrap().get().await.unwrap(), 1);
            proxy.set_property("Level", 3_u32).await.unwrap();
            assert_eq!(changes.next().await.unwrap().get().await.unwrap(), 3);
            assert!(proxy.introspect().await.unwrap().contains("EchoContainers"));
        });
    });
}
