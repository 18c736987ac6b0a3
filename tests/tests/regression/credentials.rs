//! Who the bus says a client is.

use bus_tests::harness::{Bus, Client, Config, Daemon};

/// protocol.md A096, A192: who authenticated as nobody was passed off as its process's user.
#[test]
fn an_anonymous_client_is_nobody_on_a_unix_socket_too() {
    let config = Config { auth: &["ANONYMOUS"], elements: "<allow_anonymous/>", ..Config::SESSION };
    let bus = Bus::start(&Daemon::ours(), &config);
    let mut client = connect_anonymously(&bus);
    let name = client.name.clone();
    let error = client.refused("GetConnectionUnixUser", &[name.as_str().into()]);
    assert_eq!(error, "org.freedesktop.DBus.Error.Failed");
    let reply = client.call("GetConnectionCredentials", &[name.as_str().into()]);
    let keys = reply.body[0].keys();
    assert!(keys.contains(&"ProcessID"), "{keys:?}");
    assert!(!keys.contains(&"UnixUserID") && !keys.contains(&"UnixGroupIDs"), "{keys:?}");
}

/// The log said that somebody was refused a privileged method, and not who.
#[test]
fn a_refusal_in_the_log_names_the_client() {
    let config = Config { auth: &["ANONYMOUS"], elements: "<allow_anonymous/>", ..Config::SESSION };
    let bus = Bus::start(&Daemon::ours(), &config);
    let mut client = connect_anonymously(&bus);
    let error = client.refused("AddMatch", &["eavesdrop='true'".into()]);
    assert_eq!(error, "org.freedesktop.DBus.Error.AccessDenied");
    assert!(bus.terminate());
    let log = bus.log();
    let who = format!("asked by {} (", client.name);
    let process = format!("pid={} comm=", std::process::id());
    assert!(log.contains(&who) && log.contains(&process), "{log}");
}

fn connect_anonymously(bus: &Bus) -> Client {
    let mut raw = bus.connect_raw();
    raw.send(b"\0");
    assert!(raw.ask("AUTH ANONYMOUS").starts_with("OK "));
    raw.send(b"BEGIN\r\n");
    Client::register(raw)
}
