//! What calls, replies and flags mean: protocol.md A.3.

use bus_tests::harness::{BUS_INTERFACE, BUS_NAME, BUS_PATH, Bus, Message, field, flag, kind};

use crate::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("every call of the bus gets one reply", "A061", one_reply),
        Case::new("NO_REPLY_EXPECTED silences the bus", "A061 A034", no_reply_expected),
        Case::new("replies and signals get no reply", "A062 A143", no_reply_to_replies),
        Case::new("errors of the bus carry a text", "A063", error_text),
        Case::new("NO_AUTO_START asks for nothing to be started", "A064 A227", no_auto_start),
        Case::new("flags pass through", "A065", flags_pass),
        Case::new("calls without interface find their member", "A066 A210", without_interface),
    ]
}

fn to_bus(member: &str) -> Message {
    Message::method_call(BUS_PATH, BUS_INTERFACE, member).to(BUS_NAME)
}

fn one_reply(bus: &Bus) {
    let mut client = bus.connect();
    let returned = client.send(&to_bus("GetId"));
    let refused = client.send(&to_bus("NoSuchMethod"));
    let empty = client.send(&to_bus("AddMatch").arg("type='signal',member='X'"));
    let messages = client.drain();
    let replies: Vec<(u8, u32)> =
        messages.iter().map(|message| (message.kind, message.reply_serial())).collect();
    let (success, failure) = (kind::METHOD_RETURN, kind::ERROR);
    assert_eq!(replies, [(success, returned), (failure, refused), (success, empty)]);
    assert_eq!(messages[2].body, [], "an empty reply is still a reply");
}

fn no_reply_expected(bus: &Bus) {
    let mut client = bus.connect();
    let silent = flag::NO_REPLY_EXPECTED;
    client.send(&to_bus("GetId").flags(silent));
    client.send(&to_bus("NoSuchMethod").flags(silent));
    client.send(&to_bus("RequestName").arg("a.b").arg(0).flags(silent));
    client.send(&Message::method_call("/a", "a.b", "C").to("no.such").flags(silent));
    let lines = client.drain_lines();
    let replies = lines.iter().filter(|line| !line.starts_with("signal")).count();
    bus.observe("replies in spite of it", replies.to_string());
    assert!(lines.iter().any(|line| line.contains("NameAcquired")), "the call took effect");
}

fn no_reply_to_replies(bus: &Bus) {
    let mut client = bus.connect();
    client.send(&Message::signal(BUS_PATH, BUS_INTERFACE, "GetId").to(BUS_NAME));
    client.send(&Message::signal("/a", "a.b", "C").to(BUS_NAME));
    client.send(&Message::signal("/a", "a.b", "C"));
    client.send(&Message::reply_to(kind::METHOD_RETURN, 99, BUS_NAME));
    client.send(&Message::reply_to(kind::ERROR, 99, BUS_NAME).with(field::ERROR_NAME, "a.b"));
    assert_eq!(client.drain(), []);
}

fn error_text(bus: &Bus) {
    let mut client = bus.connect();
    for member in ["NoSuchMethod", "GetNameOwner", "AddMatch"] {
        let error = client.try_call(member, &[]);
        assert_eq!(error.kind, kind::ERROR);
        assert_eq!(error.signature(), "s", "{member}");
        assert!(!error.body[0].text().is_empty());
    }
}

fn no_auto_start(bus: &Bus) {
    let mut client = bus.connect();
    let call = Message::method_call("/a", "a.b", "C").to("org.example.Nobody");
    let error = client.ask(&call.clone().flags(flag::NO_AUTO_START));
    assert_eq!(error.error_name(), "org.freedesktop.DBus.Error.NameHasNoOwner");
    bus.observe("text", error.body[0].text());
    let error = client.ask(&call);
    assert_eq!(error.error_name(), "org.freedesktop.DBus.Error.ServiceUnknown");
}

fn flags_pass(bus: &Bus) {
    let (mut caller, mut callee) = (bus.connect(), bus.connect());
    let call = Message::method_call("/a", "a.b", "C").to(&callee.name);
    for flags in 0..8 {
        caller.send(&call.clone().flags(flags));
        assert_eq!(callee.next().flags, flags);
    }
}

fn without_interface(bus: &Bus) {
    let mut client = bus.connect();
    for (member, expected) in [
        ("GetId", "return"),
        ("ListNames", "return"),
        ("Ping", "return"),
        ("GetMachineId", "return"),
        ("Introspect", "return"),
        ("NoSuchMethod", "error org.freedesktop.DBus.Error.UnknownMethod"),
    ] {
        let reply = client.ask(&to_bus(member).without(field::INTERFACE));
        assert!(reply.describe().starts_with(expected), "{member}: {}", reply.describe());
    }
    let mut callee = bus.connect();
    client.send(&Message::method_call("/a", "a.b", "C").without(field::INTERFACE).to(&callee.name));
    assert_eq!(callee.next().interface(), "");
}
