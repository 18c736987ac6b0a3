//! Addresses a bus listens on: protocol.md A.5.

use std::path::Path;

use bus_tests::harness::{Bus, Client};

use crate::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("unix:path listens there", "A098 A102 A108", path),
        Case::new("the printed address has a guid", "A100 A101 A118 B122", printed),
        Case::new("escaped values", "A099", path_with_space).listen(&["unix:path={dir}/a%20b"]),
        Case::new("unix:dir makes a socket in the directory", "A103", in_dir)
            .listen(&["unix:dir={dir}"]),
        Case::new("unix:tmpdir makes a socket somewhere", "A104", tmpdir)
            .listen(&["unix:tmpdir={dir}"]),
        Case::new("unix:abstract", "A105 A108", abstract_name)
            .listen(&["unix:abstract={dir}/abstract"]),
        Case::new("unix:runtime is the socket in XDG_RUNTIME_DIR", "A106", runtime)
            .listen(&["unix:runtime=yes"])
            .environment(&[("XDG_RUNTIME_DIR", "{dir}")]),
        Case::new("systemd: takes the socket passed in", "A109 A101", systemd).listen_systemd(),
        Case::new("a socket file left over is replaced", "A102", stale_socket),
        Case::new("SIGTERM ends the bus", "A102 B124", terminate),
        Case::new("SIGTERM ends every connection", "B124", terminate_clients),
        Case::new("several addresses at once", "A098 A100 A115 B017", several).listen(&[
            "unix:path={dir}/one",
            "unix:path={dir}/two",
            "tcp:host=127.0.0.1,port=0",
        ]),
        Case::new("nonce-tcp needs the nonce", "A112", nonce)
            .auth(&["ANONYMOUS"])
            .elements("  <allow_anonymous/>\n")
            .listen(&["nonce-tcp:host=127.0.0.1"]),
        Case::new("the machine id is that of the machine", "A119 A202", machine_id),
    ]
}

fn path(bus: &Bus) {
    let expected = format!("unix:path={}/bus,guid=", bus.dir.display());
    assert!(bus.address.starts_with(&expected), "{}", bus.address);
    bus.connect();
}

fn printed(bus: &Bus) {
    let guid = bus.address_value(0, "guid").expect("a guid").to_owned();
    assert_eq!(guid.len(), 32);
    let id = bus.connect().call("GetId", &[]).body[0].text().to_owned();
    assert_ne!(id, guid, "the bus's id differs from the guid of its address");
}

fn path_with_space(bus: &Bus) {
    assert!(bus.address.contains("a%20b"), "{}", bus.address);
    assert!(bus.dir.join("a b").exists());
    bus.connect();
}

fn in_dir(bus: &Bus) {
    let path = bus.address_value(0, "path").expect("a path");
    let (dir, name) = path.rsplit_once('/').expect("a directory");
    assert_eq!(Path::new(dir), bus.dir);
    assert!(name.starts_with("dbus-"), "{name}");
    bus.connect();
}

fn tmpdir(bus: &Bus) {
    let kind = if bus.address_value(0, "path").is_some() { "path" } else { "abstract" };
    let value = bus.address_value(0, kind).expect("an address");
    assert!(Path::new(value).starts_with(&bus.dir), "{value}");
    bus.observe("result", kind);
    bus.connect();
}

fn abstract_name(bus: &Bus) {
    let expected = format!("{}/abstract", bus.dir.display());
    assert_eq!(bus.address_value(0, "abstract"), Some(expected.as_str()));
    bus.connect();
}

fn runtime(bus: &Bus) {
    let expected = bus.dir.join("bus");
    assert_eq!(bus.address_value(0, "path"), expected.to_str());
    bus.connect();
}

fn systemd(bus: &Bus) {
    let expected = bus.dir.join("bus");
    assert_eq!(bus.address_value(0, "path"), expected.to_str(), "{}", bus.address);
    assert!(bus.address_value(0, "guid").is_some());
    bus.connect();
    bus.terminate();
    bus.observe("the socket file is there afterwards", expected.exists().to_string());
}

fn stale_socket(bus: &Bus) {
    let path = bus.dir.join("left-over");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
    assert!(path.exists());
    let address: &'static str = format!("unix:path={}", path.display()).leak();
    let config = bus_tests::harness::Config {
        listen: bus_tests::harness::Listen::Addresses(vec![address].leak()),
        ..bus_tests::harness::Config::SESSION
    };
    bus.start_another(&config).connect();
}

fn terminate(bus: &Bus) {
    // A round trip first: a daemon that has just printed its address may not handle signals yet.
    bus.connect();
    assert!(bus.dir.join("bus").exists());
    assert!(bus.terminate(), "exit code");
    assert!(!bus.dir.join("bus").exists(), "the socket is still there");
}

fn terminate_clients(bus: &Bus) {
    let (mut one, mut unregistered) = (bus.connect(), bus.connect_unregistered());
    bus.terminate();
    one.until_end();
    assert_eq!(unregistered.until_end(), []);
}

fn several(bus: &Bus) {
    assert_eq!(bus.addresses().count(), 3, "{}", bus.address);
    let transports: Vec<&str> =
        bus.addresses().filter_map(|address| address.split(':').next()).collect();
    bus.observe("order", format!("{transports:?}"));
    let mut guids: Vec<_> = (0..3).filter_map(|index| bus.address_value(index, "guid")).collect();
    guids.sort_unstable();
    guids.dedup();
    assert_eq!(guids.len(), 3, "each address has a guid of its own");
    let of_path = |ending: &str| {
        (0..3)
            .find(|index| {
                bus.address_value(*index, "path").is_some_and(|path| path.ends_with(ending))
            })
            .expect("an address")
    };
    let mut clients: Vec<Client> = ["/one", "/two"]
        .map(|ending| {
            let mut raw = bus.connect_raw_to(of_path(ending));
            raw.authenticate(true);
            Client::register(raw)
        })
        .into();
    assert_eq!(clients[0].request_name("org.example.One", 0), 1);
    let owner = clients[1].call("GetNameOwner", &["org.example.One".into()]);
    assert_eq!(owner.body[0].text(), clients[0].name, "one bus behind both addresses");
}

fn nonce(bus: &Bus) {
    let file = bus.address_value(0, "noncefile").expect("a noncefile");
    let nonce = std::fs::read(file).expect("the nonce");
    assert_eq!(nonce.len(), 16);
    let mut good = bus.connect_raw();
    good.send(&nonce);
    good.send(b"\0");
    assert!(good.ask("AUTH ANONYMOUS").starts_with("OK "));
    let mut bad = bus.connect_raw();
    bad.send(&[nonce[0] ^ 1; 16]);
    bad.send(b"\0AUTH ANONYMOUS\r\n");
    assert_eq!(bad.read_line(), None, "a wrong nonce is dropped");
}

fn machine_id(bus: &Bus) {
    let read = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned());
    let known: Vec<String> =
        ["/var/lib/dbus/machine-id", "/etc/machine-id"].into_iter().flat_map(read).collect();
    let mut client = bus.connect();
    let call = bus_tests::harness::Message::method_call(
        "/org/freedesktop/DBus",
        "org.freedesktop.DBus.Peer",
        "GetMachineId",
    );
    let reply = client.ask(&call.to("org.freedesktop.DBus"));
    if known.is_empty() {
        bus.observe("without a machine id", reply.error_name());
    } else {
        assert!(known.iter().any(|id| id == reply.body[0].text()), "{}", reply.describe());
    }
}
