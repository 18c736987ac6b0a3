//! The handshake: protocol.md A.4.

use bus_tests::harness::{
    BUS_INTERFACE, BUS_NAME, BUS_PATH, Bus, Client, Message, RawClient, own_identity,
};

use crate::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    const ALL: &[&str] = &["EXTERNAL", "DBUS_COOKIE_SHA1", "ANONYMOUS"];
    vec![
        Case::new("a first byte that is not NUL disconnects", "A068", first_byte),
        Case::new("EXTERNAL with the own uid is accepted", "A070 A071 A077 A088 A089", external),
        Case::new(
            "EXTERNAL with an empty response uses the socket's uid",
            "A089 A090",
            external_empty,
        ),
        Case::new("EXTERNAL for another identity is rejected", "A089 A088", external_other),
        Case::new(
            "AUTH without or with unknown mechanism lists the mechanisms",
            "A075 A071",
            auth_list,
        ),
        Case::new("all mechanisms are listed when all are allowed", "A075 A091 A096", auth_list)
            .auth(ALL),
        Case::new("commands while waiting for AUTH", "A072 A073 A077", waiting_for_auth),
        Case::new("BEGIN before OK disconnects", "A077 A078", early_begin),
        Case::new("commands while waiting for DATA", "A072 A078", waiting_for_data),
        Case::new("commands while waiting for BEGIN", "A072 A079 A097", waiting_for_begin),
        Case::new("malformed handshake lines", "A069", malformed_lines),
        Case::new("too many rejections disconnect", "A080", rejections),
        Case::new("a handshake over 16 KiB disconnects", "A081", oversized),
        Case::new("a slow handshake is cut off", "A082", timeout)
            .limits(&[("auth_timeout", 1_000)]),
        Case::new("a handshake without Hello is cut off", "A082", hello_timeout)
            .limits(&[("auth_timeout", 1_000)]),
        Case::new("a pipelined handshake with Hello in one write", "A074 A090", pipelined),
        Case::new("a handshake byte by byte", "A069 A074", byte_by_byte),
        Case::new("the handshake's GUID is that of the address", "A100 A118 A071", guid),
        Case::new("no descriptors over TCP", "A097 A111", tcp_fds)
            .auth(&["ANONYMOUS"])
            .elements("  <allow_anonymous/>\n")
            .listen(&["tcp:host=127.0.0.1,port=0"]),
        Case::new("ANONYMOUS with allow_anonymous", "A096", anonymous)
            .auth(&["ANONYMOUS"])
            .elements("  <allow_anonymous/>\n"),
        Case::new("ANONYMOUS without allow_anonymous", "A096", anonymous_refused)
            .auth(&["ANONYMOUS"]),
        Case::new("DBUS_COOKIE_SHA1 for a stranger is rejected", "A076 A091 A095", cookie_stranger)
            .auth(&["DBUS_COOKIE_SHA1"]),
    ]
}

fn greeted(bus: &Bus) -> RawClient {
    let mut raw = bus.connect_raw();
    raw.send(b"\0");
    raw
}

fn auth_line() -> String {
    format!("AUTH EXTERNAL {}", own_identity())
}

fn waiting_for_begin_client(bus: &Bus) -> RawClient {
    let mut raw = greeted(bus);
    assert!(raw.ask(&auth_line()).starts_with("OK "));
    raw
}

fn first_byte(bus: &Bus) {
    for bytes in [b"AUTH\r\n".as_slice(), b"\x01AUTH\r\n", b"l"] {
        let mut raw = bus.connect_raw();
        raw.send(bytes);
        assert_eq!(raw.read_line(), None, "{bytes:?}");
    }
}

fn external(bus: &Bus) {
    let mut raw = waiting_for_begin_client(bus);
    raw.send(b"BEGIN\r\n");
    Client::register(raw);
}

fn external_empty(bus: &Bus) {
    let mut raw = greeted(bus);
    assert_eq!(raw.ask("AUTH EXTERNAL"), "DATA");
    assert!(raw.ask("DATA").starts_with("OK "));
    let mut raw = greeted(bus);
    assert_eq!(raw.ask("AUTH EXTERNAL"), "DATA");
    assert!(raw.ask(&format!("DATA {}", own_identity())).starts_with("OK "));
    raw.send(b"BEGIN\r\n");
    Client::register(raw);
}

fn external_other(bus: &Bus) {
    let mut raw = greeted(bus);
    // 12345, letters, an odd number of digits, no hex
    for identity in ["3132333435", "6e6f626f6479206865726500", "313", "zz"] {
        let answer = raw.ask(&format!("AUTH EXTERNAL {identity}"));
        bus.observe(identity, &answer);
        assert!(!answer.starts_with("OK"), "{identity}: {answer}");
    }
    assert!(raw.ask(&auth_line()).starts_with("OK "), "a failure is not final");
}

fn auth_list(bus: &Bus) {
    let mut raw = greeted(bus);
    let list = raw.ask("AUTH");
    let mut names: Vec<&str> = list.split(' ').collect();
    assert_eq!(names.remove(0), "REJECTED");
    names.sort_unstable();
    bus.observe("mechanisms", format!("{names:?}"));
    assert_eq!(raw.ask("AUTH NO_SUCH_MECHANISM"), list);
    assert_eq!(raw.ask("AUTH NO_SUCH_MECHANISM 00"), list);
    assert_eq!(raw.ask("AUTH external"), list, "mechanism names are case-sensitive");
}

/// Sends each line in the state that `client` makes, and notes the first word of the answer.
fn observe_words(bus: &Bus, client: fn(&Bus) -> RawClient, rows: &[(&str, &str)]) {
    for (line, expected) in rows {
        let mut raw = client(bus);
        let answer = raw.ask(line);
        assert_eq!(answer.split(' ').next(), Some(*expected), "{line:?}: {answer}");
        bus.observe(*line, answer.split(' ').next().unwrap_or_default());
    }
}

fn waiting_for_auth(bus: &Bus) {
    let rows = [
        ("CANCEL", "ERROR"),
        ("DATA", "ERROR"),
        ("DATA 00", "ERROR"),
        ("NEGOTIATE_UNIX_FD", "ERROR"),
        ("ERROR", "REJECTED"),
        ("ERROR text", "REJECTED"),
        ("NO_SUCH_COMMAND", "ERROR"),
        ("EXTENSION_X y", "ERROR"),
        ("OK", "ERROR"),
        ("REJECTED", "ERROR"),
        ("AGREE_UNIX_FD", "ERROR"),
        ("auth EXTERNAL", "ERROR"),
    ];
    observe_words(bus, greeted, &rows);
    let mut raw = greeted(bus);
    raw.ask("NO_SUCH_COMMAND");
    assert!(raw.ask(&auth_line()).starts_with("OK "), "an unknown command is not fatal");
}

fn early_begin(bus: &Bus) {
    assert_eq!(greeted(bus).ask("BEGIN"), "(end)");
    assert_eq!(waiting_for_data_client(bus).ask("BEGIN"), "(end)");
}

fn waiting_for_data_client(bus: &Bus) -> RawClient {
    let mut raw = greeted(bus);
    assert_eq!(raw.ask("AUTH EXTERNAL"), "DATA");
    raw
}

fn waiting_for_data(bus: &Bus) {
    let rows = [
        ("CANCEL", "REJECTED"),
        ("ERROR", "REJECTED"),
        ("AUTH EXTERNAL", "ERROR"),
        ("NEGOTIATE_UNIX_FD", "ERROR"),
        ("NO_SUCH_COMMAND", "ERROR"),
        ("DATA", "OK"),
        ("DATA 3939393939", "REJECTED"),
    ];
    observe_words(bus, waiting_for_data_client, &rows);
    let mut raw = waiting_for_data_client(bus);
    raw.ask("NO_SUCH_COMMAND");
    assert!(raw.ask("DATA").starts_with("OK "), "still waiting for DATA");
    let mut raw = waiting_for_data_client(bus);
    raw.ask("CANCEL");
    assert!(raw.ask("DATA").starts_with("ERROR"), "back to waiting for AUTH");
}

fn waiting_for_begin(bus: &Bus) {
    let rows = [
        ("NEGOTIATE_UNIX_FD", "AGREE_UNIX_FD"),
        ("CANCEL", "REJECTED"),
        ("ERROR", "REJECTED"),
        ("AUTH EXTERNAL", "ERROR"),
        ("DATA", "ERROR"),
        ("NO_SUCH_COMMAND", "ERROR"),
    ];
    observe_words(bus, waiting_for_begin_client, &rows);
    let mut raw = waiting_for_begin_client(bus);
    raw.ask("DATA");
    raw.send(b"BEGIN\r\n");
    Client::register(raw);
    let mut raw = waiting_for_begin_client(bus);
    raw.ask("CANCEL");
    assert_eq!(raw.ask("BEGIN"), "(end)", "CANCEL takes the identity back");
    let mut raw = waiting_for_begin_client(bus);
    let answers = [raw.ask("NEGOTIATE_UNIX_FD"), raw.ask("NEGOTIATE_UNIX_FD")];
    bus.observe("NEGOTIATE_UNIX_FD twice", format!("{answers:?}"));
}

fn malformed_lines(bus: &Bus) {
    for line in ["", " ", " AUTH", "AUTH\tEXTERNAL", "A\u{e4}", "AUTH  EXTERNAL", "\0"] {
        let answer = greeted(bus).ask(line);
        bus.observe(format!("{line:?}"), answer.split(' ').next().unwrap_or_default());
        assert!(!answer.starts_with("OK"));
    }
    let mut raw = greeted(bus);
    raw.send(b"AUTH\nAUTH\r\n");
    let answer = raw.read_line().unwrap_or_default();
    bus.observe("a lone line feed", answer.split(' ').next().unwrap_or_default());
}

fn rejections(bus: &Bus) {
    let mut raw = greeted(bus);
    let mut count = 0;
    while raw.ask("AUTH").starts_with("REJECTED") {
        count += 1;
        assert!(count < 100, "rejected for ever");
    }
    bus.observe("answers before the end", count.to_string());
}

fn oversized(bus: &Bus) {
    let mut raw = greeted(bus);
    raw.send(&b"A".repeat(17 * 1024));
    assert_eq!(raw.read_line(), None, "a line without end");
    let mut raw = greeted(bus);
    let answer = raw.ask(&format!("AUTH EXTERNAL {}", "3".repeat(8 * 1024)));
    assert!(answer.starts_with("REJECTED") || answer.starts_with("ERROR"), "8 KiB: {answer}");
    assert!(bus.connect().is_connected());
}

fn timeout(bus: &Bus) {
    let mut silent = bus.connect_raw();
    let mut greeted = greeted(bus);
    assert_eq!(silent.read_line(), None);
    assert_eq!(greeted.read_line(), None);
}

fn hello_timeout(bus: &Bus) {
    let mut registered = bus.connect();
    let mut unregistered = bus.connect_unregistered();
    assert_eq!(unregistered.until_end(), []);
    assert!(registered.is_connected(), "Hello ends the handshake's time");
}

fn hello() -> Vec<u8> {
    Message::method_call(BUS_PATH, BUS_INTERFACE, "Hello").to(BUS_NAME).serial(1).encode()
}

fn pipelined(bus: &Bus) {
    let handshake = b"\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n";
    let mut raw = bus.connect_raw();
    raw.send(&[handshake.as_slice(), &hello()].concat());
    assert_eq!(raw.read_line().as_deref(), Some("DATA"));
    assert!(raw.read_line().unwrap_or_default().starts_with("OK "));
    assert_eq!(raw.read_line().as_deref(), Some("AGREE_UNIX_FD"));
    let mut client = Client::unregistered(raw);
    assert!(client.reply_to(1).body[0].text().starts_with(':'));
}

fn byte_by_byte(bus: &Bus) {
    let mut raw = bus.connect_raw();
    let handshake = format!("\0{}\r\nBEGIN\r\n", auth_line());
    for byte in [handshake.as_bytes(), &hello()].concat() {
        raw.send(&[byte]);
    }
    assert!(raw.read_line().unwrap_or_default().starts_with("OK "));
    let mut client = Client::unregistered(raw);
    assert!(client.reply_to(1).body[0].text().starts_with(':'));
}

fn guid(bus: &Bus) {
    let answer = greeted(bus).ask(&auth_line());
    let guid = answer.strip_prefix("OK ").expect("OK");
    assert_eq!(Some(guid), bus.address_value(0, "guid"));
    assert_eq!(guid.len(), 32);
    assert!(guid.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{guid}");
}

fn tcp_fds(bus: &Bus) {
    assert_ne!(bus.address_value(0, "port"), Some("0"), "a connectable address");
    let mut raw = greeted(bus);
    assert!(raw.ask("AUTH ANONYMOUS").starts_with("OK "));
    assert!(raw.ask("NEGOTIATE_UNIX_FD").starts_with("ERROR"));
    raw.send(b"BEGIN\r\n");
    let mut client = Client::register(raw);
    assert_eq!(client.name, ":1.0");
    let reply = client.try_call("GetConnectionUnixUser", &[":1.0".into()]);
    bus.observe("uid over TCP", reply.error_name());
}

fn anonymous(bus: &Bus) {
    let mut raw = greeted(bus);
    assert!(raw.ask("AUTH ANONYMOUS 7472616365").starts_with("OK "));
    raw.send(b"BEGIN\r\n");
    let mut client = Client::register(raw);
    assert!(client.is_connected());
    let credentials = client.call("GetConnectionCredentials", &[client.name.as_str().into()]);
    bus.observe("credential keys", format!("{:?}", credentials.body[0].keys()));
}

fn anonymous_refused(bus: &Bus) {
    let mut raw = greeted(bus);
    let answer = raw.ask("AUTH ANONYMOUS");
    bus.observe("answer", answer.split(' ').next().unwrap_or_default());
    raw.send(b"BEGIN\r\n");
    let mut client = Client::unregistered(raw);
    client.raw.send(&hello());
    assert_eq!(client.until_end(), [], "an anonymous client gets no name");
}

fn cookie_stranger(bus: &Bus) {
    let mut raw = greeted(bus);
    // A user that does not exist, a number that is not the bus's, and no name at all.
    for identity in ["6e6f2d737563682d75736572", "3939393939", "zz"] {
        let answer = raw.ask(&format!("AUTH DBUS_COOKIE_SHA1 {identity}"));
        assert!(answer.starts_with("REJECTED") || answer.starts_with("ERROR"), "{answer}");
        bus.observe(identity, answer.split(' ').next().unwrap_or_default());
    }
}
