//! Monitors: protocol.md A203.

use bus_tests::harness::{BUS_NAME, BUS_PATH, Bus, Client, Message, Value, field, kind};

use crate::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("becoming a monitor gives up the unique name", "A203", becoming),
        Case::new("a monitor sees everything", "A203 A142", sees_everything),
        Case::new("a monitor with rules sees what matches", "A203", filtered),
        Case::new("a monitor sees what is refused and dropped", "A203 A150 A140", sees_refusals),
        Case::new("a monitor that sends is disconnected", "A203", sending),
        Case::new("wrong BecomeMonitor calls are refused", "A203 A231 A235", wrong_calls),
        Case::new("a monitor takes part in nothing", "A203", takes_no_part),
    ]
}

fn become_monitor(rules: &[&str]) -> Message {
    Message::method_call(BUS_PATH, "org.freedesktop.DBus.Monitoring", "BecomeMonitor")
        .to(BUS_NAME)
        .arg(Value::strings(rules))
        .arg(0)
}

/// A monitor, with everything read that told of its own change.
fn monitor(bus: &Bus, rules: &[&str]) -> Client {
    let mut client = bus.connect();
    let reply = client.ask(&become_monitor(rules));
    assert_eq!(reply.kind, kind::METHOD_RETURN, "{}", reply.describe());
    assert_eq!(client.next().member(), "NameLost");
    client
}

/// What the monitor sees up to a marker that `sender` sends.
fn seen(monitor: &mut Client, sender: &mut Client) -> Vec<Message> {
    sender.send(&Message::signal("/", "org.example.End", "End"));
    std::iter::from_fn(|| Some(monitor.next()).filter(|message| message.member() != "End"))
        .collect()
}

fn becoming(bus: &Bus) {
    let (mut client, mut observer) = (bus.connect(), bus.connect());
    client.request_name("org.example.Watcher", 0);
    client.add_match("member='X'");
    client.drain();
    observer.add_match("member='NameOwnerChanged'");
    client.send(&become_monitor(&["interface='org.example.End'"]));
    let lines: Vec<String> = (0..3).map(|_| client.next().describe()).collect();
    bus.observe("what the monitor gets", format!("{lines:?}"));
    let changes: Vec<String> = observer.drain().iter().map(|m| format!("{:?}", m.body)).collect();
    assert_eq!(changes.len(), 2);
    assert!(changes.iter().any(|change| change.contains("org.example.Watcher")), "{changes:?}");
    bus.observe("what others hear", format!("{changes:?}"));
    let names = observer.call("ListNames", &[]);
    assert!(!names.body[0].texts().contains(&client.name.as_str()));
    assert!(!names.body[0].texts().contains(&"org.example.Watcher"));
}

fn sees_everything(bus: &Bus) {
    let mut monitor = monitor(bus, &[]);
    let (mut a, mut b) = (bus.connect(), bus.connect());
    seen(&mut monitor, &mut a);
    a.send(&Message::signal("/a", "org.example.I", "Broadcast"));
    a.send(&Message::method_call("/a", "org.example.I", "Call").to(&b.name));
    let call = b.next();
    b.send(&Message::method_return(&call));
    a.next();
    a.request_name("org.example.Name", 0);
    let lines: Vec<String> = seen(&mut monitor, &mut a).iter().map(Message::describe).collect();
    for (index, line) in lines.iter().enumerate() {
        bus.observe(format!("{index}"), line);
    }
    for part in ["Broadcast", "Call", "return", "RequestName", "NameOwnerChanged", "NameAcquired"] {
        assert!(lines.iter().any(|line| line.contains(part)), "{part} in {lines:?}");
    }
}

fn filtered(bus: &Bus) {
    let rules = [
        "interface='org.example.I'",
        "interface='org.example.End'",
        "member='Mine',eavesdrop='true'",
    ];
    let mut monitor = monitor(bus, &rules);
    let (mut a, b) = (bus.connect(), bus.connect());
    for (interface, member) in [("org.example.I", "One"), ("org.example.J", "Two"), ("a.b", "Mine")]
    {
        a.send(&Message::signal("/a", interface, member).to(&b.name));
    }
    let members: Vec<String> = seen(&mut monitor, &mut a).iter().map(Message::member).collect();
    assert_eq!(members, ["One", "Mine"]);
}

fn sees_refusals(bus: &Bus) {
    let mut monitor = monitor(bus, &[]);
    let mut client = bus.connect();
    seen(&mut monitor, &mut client);
    client.send(&Message::method_call("/a", "org.example.I", "Nobody").to("org.example.Nobody"));
    client.send(&Message::new(kind::METHOD_RETURN).with(field::REPLY_SERIAL, 5));
    client.send(&Message::method_call("/a", "org.example.I", "Unaddressed"));
    let lines: Vec<String> =
        seen(&mut monitor, &mut client).iter().map(Message::describe).collect();
    for (index, line) in lines.iter().enumerate() {
        bus.observe(format!("{index}"), line);
    }
    assert!(lines.iter().any(|line| line.contains("ServiceUnknown")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains(" Nobody")), "{lines:?}");
}

fn sending(bus: &Bus) {
    let mut monitor = monitor(bus, &["interface='org.example.End'"]);
    let mut other = bus.connect();
    monitor.send(&Message::signal("/a", "org.example.I", "S").to(&other.name));
    monitor.until_end();
    assert_eq!(other.drain(), []);
}

fn wrong_calls(bus: &Bus) {
    let mut client = bus.connect();
    let mut with_flags = become_monitor(&[]);
    with_flags.body[1] = 1.into();
    let elsewhere = become_monitor(&[]).without(field::PATH).with(field::PATH, Value::path("/"));
    let mut no_arguments = become_monitor(&[]);
    no_arguments.body.clear();
    for (name, call, expected) in [
        ("flags", with_flags, "InvalidArgs"),
        ("bad rule", become_monitor(&["type='signal'", "bogus"]), "MatchRuleInvalid"),
        ("no arguments", no_arguments, "InvalidArgs"),
    ] {
        let reply = client.ask(&call);
        assert_eq!(reply.error_name(), format!("org.freedesktop.DBus.Error.{expected}"), "{name}");
    }
    bus.observe("another path", client.ask(&elsewhere).error_name());
    assert_eq!(
        client.call("GetNameOwner", &[client.name.as_str().into()]).kind,
        kind::METHOD_RETURN
    );
}

fn takes_no_part(bus: &Bus) {
    let mut monitor = monitor(bus, &["interface='org.example.End'"]);
    let mut client = bus.connect();
    let error = client.ask(&Message::method_call("/a", "a.b", "C").to(&monitor.name));
    assert_eq!(error.error_name(), "org.freedesktop.DBus.Error.ServiceUnknown");
    let error = client.refused("GetConnectionUnixUser", &[monitor.name.as_str().into()]);
    assert_eq!(error, "org.freedesktop.DBus.Error.NameHasNoOwner");
    seen(&mut monitor, &mut client);
    drop(monitor);
    assert!(client.is_connected());
}
