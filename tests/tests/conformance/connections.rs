//! Connecting, registering and leaving: protocol.md A120 to A124, A134.

use bus_tests::harness::{
    BUS_INTERFACE, BUS_NAME, BUS_PATH, Bus, Client, Message, Value, flag, kind,
};

use crate::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("Hello returns the unique name", "A120 A123 A173", hello),
        Case::new("Hello's effects come in order", "A124 A196 A198", hello_order),
        Case::new("a second Hello fails", "A121 A224", second_hello),
        Case::new("calls to the bus before Hello are refused", "A120 A121 A230", before_hello),
        Case::new("messages to others before Hello disconnect", "A120 A121", others_before_hello),
        Case::new("a client without a name hears nothing", "A120 A138", unregistered_hears_nothing),
        Case::new("unique names are never reused", "A123", never_reused),
        Case::new("leaving gives all names up in order", "A134 A133", leaving),
        Case::new("leaving without a name is silent", "A134", leaving_unregistered),
        Case::new("a half-closed connection is closed", "A134", half_closed),
        Case::new("rules naming a gone unique name go with it", "A134 A170", dropped_rules),
        Case::new("many clients", "A123 A135", many_clients),
    ]
}

fn hello_call() -> Message {
    Message::method_call(BUS_PATH, BUS_INTERFACE, "Hello").to(BUS_NAME)
}

fn hello(bus: &Bus) {
    let names = [bus.connect().name, bus.connect().name, bus.connect().name];
    bus.observe("the first three", format!("{names:?}"));
    let mut client = bus.connect_unregistered();
    let reply = client.ask(&hello_call());
    assert_eq!(reply.sender(), BUS_NAME);
    assert_eq!(reply.destination(), reply.body[0].text());
    assert_eq!(reply.flags & flag::NO_REPLY_EXPECTED, flag::NO_REPLY_EXPECTED);
    assert_eq!(reply.signature(), "s");
}

fn hello_order(bus: &Bus) {
    let mut observer = bus.connect();
    observer.add_match("type='signal',member='NameOwnerChanged'");
    let mut client = bus.connect_unregistered();
    client.send(&hello_call());
    let reply = client.next();
    assert_eq!(reply.kind, kind::METHOD_RETURN);
    let name = reply.body[0].text().to_owned();
    let acquired = client.next();
    assert_eq!(acquired.member(), "NameAcquired");
    assert_eq!(acquired.body, [name.as_str().into()]);
    assert_eq!(acquired.destination(), name);
    assert_eq!((acquired.path().as_str(), acquired.sender().as_str()), (BUS_PATH, BUS_NAME));
    assert_eq!(client.drain(), []);
    let changes = observer.drain();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].body, [name.as_str().into(), "".into(), name.as_str().into()]);
    assert_eq!(changes[0].destination(), "", "a broadcast");
    assert_eq!(changes[0].interface(), BUS_INTERFACE);
}

fn second_hello(bus: &Bus) {
    let mut client = bus.connect();
    let error = client.try_call("Hello", &[]);
    assert_eq!(error.error_name(), "org.freedesktop.DBus.Error.Failed");
    assert_eq!(error.body[0].text(), "Already handled an Hello message");
    assert!(client.is_connected());
}

fn before_hello(bus: &Bus) {
    let rows = [
        Message::method_call(BUS_PATH, BUS_INTERFACE, "ListNames").to(BUS_NAME),
        Message::method_call(BUS_PATH, BUS_INTERFACE, "AddMatch").to(BUS_NAME).arg(""),
        Message::method_call(BUS_PATH, BUS_INTERFACE, "NoSuchMethod").to(BUS_NAME),
        Message::method_call(BUS_PATH, "org.freedesktop.DBus.Peer", "Ping").to(BUS_NAME),
    ];
    let calls = rows.map(|call| (call.member().to_owned(), call));
    let others = [
        ("signal", Message::signal(BUS_PATH, BUS_INTERFACE, "Hello").to(BUS_NAME)),
        ("reply", Message::reply_to(kind::METHOD_RETURN, 3, BUS_NAME)),
        ("error", Message::reply_to(kind::ERROR, 3, BUS_NAME)),
    ];
    let others = others.map(|(name, message)| (name.to_owned(), message));
    for (name, message) in calls.into_iter().chain(others) {
        let mut client = bus.connect_unregistered();
        let serial = client.send(&message);
        let answer = client.reply_or_end(serial).map_or("(end)".to_owned(), |reply| {
            let text = reply.body.first().map(|value| value.text().to_owned()).unwrap_or_default();
            format!("{} {text}", reply.error_name())
        });
        bus.observe(&name, &answer);
    }
    let mut client = bus.connect_unregistered();
    let error = client.ask(&Message::method_call(BUS_PATH, BUS_INTERFACE, "GetId").to(BUS_NAME));
    assert_eq!(error.error_name(), "org.freedesktop.DBus.Error.AccessDenied");
    let text = "Client tried to send a message other than Hello without being registered";
    assert_eq!(error.body[0].text(), text);
    assert!(client.call("Hello", &[]).body[0].text().starts_with(':'), "Hello is still possible");
}

fn others_before_hello(bus: &Bus) {
    let mut recipient = bus.connect();
    recipient.add_match("type='signal',interface='a.b'");
    let rows = [
        ("call to a client", Message::method_call("/a", "a.b", "C").to(&recipient.name)),
        ("signal to a client", Message::signal("/a", "a.b", "C").to(&recipient.name)),
        ("broadcast", Message::signal("/a", "a.b", "C")),
        ("call to nobody", Message::method_call("/a", "a.b", "C").to("org.example.Nobody")),
        ("reply", Message::reply_to(kind::METHOD_RETURN, 3, &recipient.name)),
    ];
    for (name, message) in rows {
        let mut client = bus.connect_unregistered();
        client.send(&message);
        assert_eq!(client.until_end(), [], "{name}");
        assert_eq!(recipient.drain(), [], "{name}");
    }
}

fn unregistered_hears_nothing(bus: &Bus) {
    let mut silent = bus.connect_unregistered();
    bus.connect().send(&Message::signal("/a", "a.b", "C"));
    silent.send(&hello_call());
    assert_eq!(silent.next().kind, kind::METHOD_RETURN, "the first message is Hello's reply");
}

fn never_reused(bus: &Bus) {
    let mut seen = Vec::new();
    for _ in 0..20 {
        let client = bus.connect();
        assert!(!seen.contains(&client.name), "{} twice", client.name);
        seen.push(client.name.clone());
    }
}

fn body_texts(message: &Message) -> String {
    let texts: Vec<&str> = message.body.iter().map(Value::text).collect();
    format!("{} {}", message.member(), texts.join(" > "))
}

fn leaving(bus: &Bus) {
    let mut observer = bus.connect();
    let (mut leaver, mut heir) = (bus.connect(), bus.connect());
    assert_eq!(leaver.request_name("org.example.A", 0), 1);
    assert_eq!(leaver.request_name("org.example.B", 0), 1);
    assert_eq!(heir.request_name("org.example.B", 0), 2);
    heir.drain();
    observer.add_match("type='signal',member='NameOwnerChanged'");
    let name = leaver.name.clone();
    drop(leaver);
    let changes: Vec<String> = (0..3).map(|_| body_texts(&observer.next())).collect();
    assert!(changes.contains(&format!("NameOwnerChanged org.example.A > {name} > ")));
    assert!(changes.contains(&format!("NameOwnerChanged org.example.B > {name} > {}", heir.name)));
    assert_eq!(changes[2], format!("NameOwnerChanged {name} > {name} > "), "the unique name last");
    bus.observe("order", format!("{changes:?}"));
    let acquired = heir.drain();
    assert_eq!(acquired.iter().map(body_texts).collect::<Vec<_>>(), ["NameAcquired org.example.B"]);
    let error = observer.refused("GetNameOwner", &[name.as_str().into()]);
    assert_eq!(error, "org.freedesktop.DBus.Error.NameHasNoOwner");
}

fn leaving_unregistered(bus: &Bus) {
    let mut observer = bus.connect();
    observer.add_match("type='signal',sender='org.freedesktop.DBus'");
    drop(bus.connect_unregistered());
    drop(bus.connect_raw());
    assert_eq!(observer.drain(), []);
}

fn half_closed(bus: &Bus) {
    let mut observer = bus.connect();
    let mut client = bus.connect();
    observer.add_match("type='signal',member='NameOwnerChanged'");
    client.raw.shut_down_writing();
    assert_eq!(client.until_end(), []);
    assert_eq!(observer.next().body[2].text(), "", "the client is gone");
}

fn dropped_rules(bus: &Bus) {
    let mut client = bus.connect();
    let gone = bus.connect();
    let rules = [
        format!("type='signal',sender='{}'", gone.name),
        format!("type='signal',destination='{}'", gone.name),
        format!("type='signal',arg0='{}'", gone.name),
    ];
    for rule in &rules {
        client.add_match(rule);
    }
    client.add_match("type='signal',member='NameOwnerChanged'");
    drop(gone);
    client.next();
    for (rule, label) in rules.iter().zip(["sender", "destination", "arg0"]) {
        let reply = client.try_call("RemoveMatch", &[rule.as_str().into()]);
        bus.observe(format!("RemoveMatch by {label} afterwards"), reply.error_name());
    }
}

fn many_clients(bus: &Bus) {
    let clients: Vec<Client> = (0..200).map(|_| bus.connect()).collect();
    let mut client = bus.connect();
    let reply = client.call("ListNames", &[]);
    let names = reply.body[0].texts();
    assert_eq!(names.len(), 202);
    assert!(clients.iter().all(|known| names.contains(&known.name.as_str())));
}
