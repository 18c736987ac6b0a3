//! The errors of the bus and their texts: protocol.md A.11.

use bus_tests::harness::{BUS_INTERFACE, BUS_NAME, BUS_PATH, Bus, Client, Message, field, flag};

use crate::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "names and texts of errors",
            "A224 A226 A227 A231 A233 A235 A063",
            names_and_texts,
        ),
        Case::new("texts of missing names", "A226 A227 A241", missing_names),
        Case::new("unknown types are refused by name", "A033 A230", unknown_type),
    ]
}

fn observe_call(bus: &Bus, client: &mut Client, label: &str, call: &Message) {
    let reply = client.ask(call);
    let text = reply.body.first().map(|value| value.text().to_owned()).unwrap_or_default();
    bus.observe(label, format!("{}: {text}", reply.error_name()));
}

fn to_bus(member: &str) -> Message {
    Message::method_call(BUS_PATH, BUS_INTERFACE, member).to(BUS_NAME)
}

fn names_and_texts(bus: &Bus) {
    let mut client = bus.connect();
    for (label, call) in [
        ("second Hello", to_bus("Hello")),
        ("unknown method", to_bus("NoSuchMethod").arg("x")),
        ("unknown interface", Message::method_call("/a", "a.b", "C").to(BUS_NAME)),
        ("no arguments", to_bus("RequestName")),
        ("wrong arguments", to_bus("RequestName").arg(1).arg("x")),
        ("own the bus", to_bus("RequestName").arg(BUS_NAME).arg(0)),
        ("own a unique name", to_bus("RequestName").arg(":1.1").arg(0)),
        ("own nonsense", to_bus("RequestName").arg("a..b").arg(0)),
        ("release the bus", to_bus("ReleaseName").arg(BUS_NAME)),
        ("release nonsense", to_bus("ReleaseName").arg("a..b")),
        ("bad rule", to_bus("AddMatch").arg("bogus='x'")),
        ("unterminated rule", to_bus("AddMatch").arg("member='x")),
        ("absent rule", to_bus("RemoveMatch").arg("member='x'")),
        ("owner of nobody", to_bus("GetNameOwner").arg("org.example.Nobody")),
        ("user of nobody", to_bus("GetConnectionUnixUser").arg("org.example.Nobody")),
    ] {
        observe_call(bus, &mut client, label, &call);
    }
}

fn missing_names(bus: &Bus) {
    let mut client = bus.connect();
    let call = Message::method_call("/a", "a.b", "C").to("org.example.Nobody");
    let error = client.ask(&call.clone().flags(flag::NO_AUTO_START));
    assert_eq!(error.error_name(), "org.freedesktop.DBus.Error.NameHasNoOwner");
    assert_eq!(error.body[0].text(), "Name \"org.example.Nobody\" does not exist");
    let error = client.ask(&call);
    assert_eq!(error.error_name(), "org.freedesktop.DBus.Error.ServiceUnknown");
    let text = "The name org.example.Nobody was not provided by any .service files";
    assert_eq!(error.body[0].text(), text);
    assert_eq!(error.field(field::REPLY_SERIAL).map(|serial| serial.number() > 0), Some(true));
}

fn unknown_type(bus: &Bus) {
    let mut client = bus.connect();
    let mut message = Message::method_call("/a", "a.b", "C").to(BUS_NAME);
    message.kind = 77;
    let error = client.ask(&message);
    assert_eq!(error.error_name(), "org.freedesktop.DBus.Error.AccessDenied");
    let text = "Message bus will not accept messages of unknown type";
    assert_eq!(error.body[0].text().trim_end(), text);
}
