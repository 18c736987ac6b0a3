//! How a connection is made, and names on it.

use std::process::Command;

use bus_tests::harness::{Bus, Config, Listen, skip_without};
use libbus::Error;
use libbus::address::Address;
use libbus::auth::Mechanism;
use libbus::blocking::{Builder, Connection, Proxy};

use crate::{address, broker_lacks, connect, daemons, on_each_bus};

#[test]
fn a_connection_has_a_name_and_knows_the_server() {
    on_each_bus(|bus| {
        let [one, other] = [(); 2].map(|()| connect(bus));
        assert!(one.unique_name().unwrap().starts_with(':'));
        assert_ne!(one.unique_name(), other.unique_name());
        assert!(one.server_guid().is_some());
        if !broker_lacks(bus, "GUID in its address") {
            let told = bus.address_value(0, "guid").unwrap();
            assert_eq!(one.server_guid().unwrap().to_string(), told);
        }
        let copy = one.clone();
        assert_eq!(copy.unique_name(), one.unique_name());
        one.close();
        assert!(copy.bus().call::<_, String>("GetId", &()).unwrap_err().is_disconnected());
    });
}

#[test]
fn the_first_address_that_can_be_reached_is_taken() {
    on_each_bus(|bus| {
        let addresses = format!("unix:path=/nonexistent/socket;{}", address(bus));
        Builder::address(&addresses).unwrap().build().unwrap();
    });
    let error = Builder::address("unix:path=/nonexistent/socket").unwrap().build().unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("cannot connect to unix:path=/nonexistent/socket: "), "{text}");
    let error = Builder::address("unix").unwrap_err();
    assert!(matches!(error, Error::Address(_)), "{error}");
}

#[test]
fn another_server_than_the_address_names_is_refused() {
    on_each_bus(|bus| {
        let path = bus.address_value(0, "path").unwrap();
        let other = format!("unix:path={path},guid=00000000000000000000000000000001");
        let error = Builder::address(&other).unwrap().build().unwrap_err();
        assert!(matches!(error, Error::Connection(_)), "{error}");
    });
}

#[test]
fn who_cannot_prove_who_it_is_is_refused() {
    on_each_bus(|bus| {
        let anonymous =
            Builder::address(&address(bus)).unwrap().mechanisms(&[Mechanism::Anonymous]);
        let error = anonymous.build().unwrap_err();
        assert!(error.is_disconnected(), "{error}");
    });
}

#[test]
fn names_are_requested_and_let_go() {
    on_each_bus(|bus| {
        const NAME: &str = "org.example.Name";
        let builder = Builder::address(&address(bus)).unwrap().name(NAME).unwrap();
        let owner = builder.build().unwrap();
        let other = connect(bus);
        assert!(matches!(other.request_name(NAME).unwrap_err(), Error::NameTaken));
        let taken = Builder::address(&address(bus)).unwrap().name(NAME).unwrap().build();
        assert!(matches!(taken.unwrap_err(), Error::NameTaken));
        owner.request_name(NAME).unwrap();
        owner.release_name(NAME).unwrap();
        other.request_name(NAME).unwrap();
        assert!(matches!(owner.request_name("no name").unwrap_err(), Error::Name(_)));
    });
}

#[test]
fn properties_are_read_and_typed() {
    on_each_bus(|bus| {
        let connection = connect(bus);
        let features: Vec<String> = connection.bus().get_property("Features").unwrap();
        assert!(features.iter().all(|feature| !feature.is_empty()));
        let error = connection.bus().get_property::<u32>("Features").unwrap_err();
        assert!(matches!(error, Error::Type(_)), "{error}");
        let error = connection.bus().set_property("Features", &1_u32).unwrap_err();
        assert!(matches!(error, Error::Method(_)), "{error}");
    });
}

/// Without a bus there is no Hello; the other end here is a peer that answers nothing but the handshake.
#[test]
fn a_peer_needs_no_bus() {
    use std::os::unix::net::UnixStream;

    on_each_bus(|bus| {
        // A bus answers a peer's handshake like any other, and then refuses what comes before Hello.
        let socket = UnixStream::connect(bus.address_value(0, "path").unwrap()).unwrap();
        let connection: Connection = Builder::socket(socket).p2p().build().unwrap();
        assert_eq!(connection.unique_name(), None);
        let proxy = Proxy::new(&connection, "org.freedesktop.DBus", "/", "org.example.I").unwrap();
        let error = proxy.call::<_, ()>("Anything", &()).unwrap_err();
        assert!(error.is_method_error("org.freedesktop.DBus.Error.AccessDenied"), "{error}");
    });
}

/// Each way to reach a bus and to prove who one is, from a program with a home of its own for the cookies.
#[test]
fn every_transport_and_mechanism_leads_to_the_bus() {
    const COOKIE: &[&str] = &["DBUS_COOKIE_SHA1"];
    const ANONYMOUS: &[&str] = &["ANONYMOUS"];
    let cases: [(&'static [&'static str], &'static [&'static str]); 5] = [
        (&["unix:tmpdir=/tmp"], COOKIE),
        (&["unix:abstract=libbus-client-test"], &["EXTERNAL"]),
        (&["tcp:host=localhost,port=0"], COOKIE),
        (&["nonce-tcp:host=127.0.0.1"], COOKIE),
        (&["tcp:host=127.0.0.1,port=0,family=ipv4"], ANONYMOUS),
    ];
    for daemon in daemons() {
        for (listen, auth) in cases {
            let config = Config {
                listen: Listen::Addresses(listen),
                auth,
                elements: "<allow_anonymous/>",
                environment: &[("HOME", "{dir}")],
                ..Config::SESSION
            };
            let bus = Bus::start(&daemon, &config);
            assert_eq!(call_from(&bus.dir, &address(&bus)), "", "{listen:?} {auth:?}");
        }
    }
}

/// The standard input and output of a program are the connection (protocol.md A110).
#[test]
fn a_program_can_be_the_way_to_the_bus() {
    let bridge = std::path::Path::new("/usr/bin/systemd-stdio-bridge");
    if !bridge.exists() {
        return skip_without("systemd-stdio-bridge");
    }
    on_each_bus(|bus| {
        let argument = Address::new("x").with("y", format!("-p{}", address(bus))).to_string();
        let argument = argument.strip_prefix("x:y=").unwrap();
        let address = format!("unixexec:path={},argv1={argument}", bridge.display());
        assert_eq!(call_from(&bus.dir, &address), "");
    });
}

/// Calls three times, and answers what went wrong.
fn call_from(home: &std::path::Path, address: &str) -> String {
    let mut client = Command::new(env!("CARGO_BIN_EXE_calling-client"));
    let output = client.args([address, "3"]).env("HOME", home).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.success(), text.is_empty(), "{text}");
    text
}
