//! Who receives a message: protocol.md A.7.

use bus_tests::harness::{BUS_NAME, Bus, Client, Message, Value, borrow_all, field, flag, kind};

use crate::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("unicast goes to the primary owner whatever the rules", "A137 A168", unicast),
        Case::new(
            "a destination is resolved when the message is handled",
            "A137 A144",
            owner_moves,
        ),
        Case::new("broadcasts go once to whoever has a rule", "A138 A171", broadcast),
        Case::new("calls without destination go to the bus", "A139", call_without_destination),
        Case::new(
            "replies without destination are dropped",
            "A140 A141",
            reply_without_destination,
        ),
        Case::new("the bus's messages name it as their sender", "A142", bus_sender),
        Case::new("signals and replies to the bus are ignored", "A143", to_the_bus),
        Case::new("one order for all", "A144", total_order),
        Case::new("replies reach their caller once", "A145", requested_replies),
        Case::new("serials of calls in flight cannot be used again", "A146 A230", serial_reuse),
        Case::new("a callee that goes away answers NoReply", "A147 A228", callee_gone),
        Case::new("a caller that goes away is forgotten", "A145 A147", caller_gone),
        Case::new("reply_timeout answers NoReply", "A148 A228 B043", reply_timeout)
            .limits(&[("reply_timeout", 50)]),
        Case::new("a client may call itself", "A137 A145", call_oneself),
        Case::new("descriptors to a client that cannot take them", "A149 A232", fds_unwanted),
        Case::new("messages to nobody are refused", "A226 A227 A150", to_nobody),
        Case::new("every byte order is relayed as it came", "A059", byte_orders),
        Case::new("large messages arrive whole", "A037", large_messages),
        Case::new("a client that does not read does not stop the others", "A144 A152", slow_reader),
    ]
}

const NAME: &str = "org.example.Service";

fn call_to(destination: &str) -> Message {
    Message::method_call("/a", "org.example.I", "Call").to(destination)
}

fn signal() -> Message {
    Message::signal("/a", "org.example.I", "Signal")
}

fn members(messages: &[Message]) -> Vec<String> {
    messages.iter().map(Message::member).collect()
}

fn unicast(bus: &Bus) {
    let (mut sender, mut owner, mut other) = (bus.connect(), bus.connect(), bus.connect());
    other.add_match("type='signal',interface='org.example.I'");
    other.add_match("type='method_call'");
    owner.request_name(NAME, 0);
    other.request_name(NAME, 0);
    owner.drain();
    for destination in [NAME, owner.name.clone().as_str()] {
        sender.send(&signal().to(destination));
        sender.send(&call_to(destination));
        let received = [owner.next(), owner.next()];
        assert_eq!(members(&received), ["Signal", "Call"]);
        assert_eq!(received[0].destination(), destination, "DESTINATION is left as it is");
        assert_eq!(received[0].sender(), sender.name);
    }
    sender.drain();
    assert_eq!(other.drain(), [], "rules do not add recipients");
}

fn owner_moves(bus: &Bus) {
    let (mut sender, mut first, mut second) = (bus.connect(), bus.connect(), bus.connect());
    first.request_name(NAME, 0);
    second.request_name(NAME, 0);
    sender.send(&call_to(NAME));
    sender.drain();
    first.release_name(NAME);
    sender.send(&call_to(NAME));
    sender.drain();
    let calls = |client: &mut Client| {
        members(&client.drain()).into_iter().filter(|member| member == "Call").count()
    };
    assert_eq!((calls(&mut first), calls(&mut second)), (1, 1));
}

fn broadcast(bus: &Bus) {
    let (mut sender, mut one, mut none) = (bus.connect(), bus.connect(), bus.connect());
    one.add_match("type='signal',interface='org.example.I'");
    one.add_match("member='Signal'");
    one.add_match("path='/a'");
    sender.add_match("member='Signal'");
    sender.send(&signal());
    assert_eq!(members(&sender.drain()), ["Signal"], "a sender hears itself if it asked to");
    let received = one.drain();
    assert_eq!(members(&received), ["Signal"], "once for three rules");
    assert_eq!(received[0].destination(), "");
    assert_eq!(none.drain(), []);
}

fn call_without_destination(bus: &Bus) {
    let (mut client, mut other) = (bus.connect(), bus.connect());
    other.add_match("type='method_call'");
    let calls = [
        Message::method_call("/", "org.freedesktop.DBus.Peer", "Ping"),
        Message::method_call("/any", "org.freedesktop.DBus.Peer", "GetMachineId"),
        Message::method_call("/org/freedesktop/DBus", BUS_NAME, "GetId"),
        Message::method_call("/org/freedesktop/DBus", BUS_NAME, "ListNames"),
        Message::method_call("/a", "org.example.I", "Call"),
        Message::method_call("/a", "org.example.I", "Ping").without(field::INTERFACE),
        Message::method_call("/a", "org.freedesktop.DBus.Introspectable", "Introspect"),
        Message::method_call("/a", "org.freedesktop.DBus.Peer", "Ping").arg(Value::Uint32(1)),
    ];
    for (index, call) in calls.iter().enumerate() {
        let reply = client.ask(call);
        let key = format!("{index} {}.{}", call.interface(), call.member());
        bus.observe(key, format!("{} {}", reply.kind, reply.error_name()));
    }
    assert_eq!(other.drain(), [], "invisible to others");
    let reply = client.ask(&calls[0]);
    assert_eq!(reply.kind, kind::METHOD_RETURN, "Ping is answered");
}

fn reply_without_destination(bus: &Bus) {
    let (mut client, mut other) = (bus.connect(), bus.connect());
    other.add_match("");
    other.add_match("type='method_return'");
    other.add_match("type='error'");
    client.send(&Message::new(kind::METHOD_RETURN).with(field::REPLY_SERIAL, 5));
    client.send(
        &Message::new(kind::ERROR).with(field::REPLY_SERIAL, 5).with(field::ERROR_NAME, "a.b"),
    );
    assert_eq!(client.drain(), []);
    assert_eq!(other.drain(), []);
}

fn bus_sender(bus: &Bus) {
    let mut client = bus.connect();
    client.add_match("member='NameOwnerChanged'");
    client.send(&Message::method_call("/", BUS_NAME, "RequestName").to(BUS_NAME).arg(NAME).arg(0));
    client.send(&Message::method_call("/", BUS_NAME, "Nothing").to(BUS_NAME));
    client.send(&call_to("org.example.Nobody"));
    let messages = client.drain();
    assert_eq!(messages.len(), 5);
    for message in messages {
        assert_eq!(message.sender(), BUS_NAME, "{}", message.describe());
    }
}

fn to_the_bus(bus: &Bus) {
    let mut client = bus.connect();
    client.send(&signal().to(BUS_NAME));
    client.send(&Message::reply_to(kind::METHOD_RETURN, 1, BUS_NAME));
    client.send(&Message::reply_to(kind::ERROR, 1, BUS_NAME).with(field::ERROR_NAME, "a.b"));
    let forged = Message::signal(
        "/org/freedesktop/systemd1",
        "org.freedesktop.systemd1.Activator",
        "ActivationFailure",
    );
    client.send(&forged.to(BUS_NAME).arg("a.service").arg("a.b").arg("text"));
    assert_eq!(client.drain(), []);
}

fn total_order(bus: &Bus) {
    let mut senders = [bus.connect(), bus.connect()];
    let mut observers = [bus.connect(), bus.connect()];
    for observer in &mut observers {
        observer.add_match("interface='org.example.I'");
    }
    for number in 0..100 {
        for sender in &mut senders {
            sender.send(&signal().arg(number));
        }
    }
    for sender in &mut senders {
        sender.drain();
    }
    let [first, second] = observers.each_mut().map(|observer| {
        let messages = observer.drain();
        messages
            .iter()
            .map(|message| (message.sender(), message.body[0].number()))
            .collect::<Vec<_>>()
    });
    assert_eq!(first.len(), 200);
    assert_eq!(first, second, "all see the same order");
    for sender in &senders {
        let numbers: Vec<u32> = first
            .iter()
            .filter(|(name, _)| *name == sender.name)
            .map(|(_, number)| *number)
            .collect();
        assert!(numbers.is_sorted(), "a sender's own order is kept");
    }
}

fn requested_replies(bus: &Bus) {
    let (mut caller, mut callee, mut stranger) = (bus.connect(), bus.connect(), bus.connect());
    let serial = caller.send(&call_to(&callee.name));
    let call = callee.next();
    assert_eq!(call.serial, serial, "the serial is the caller's");
    stranger.send(&Message::method_return(&call).arg("forged"));
    let refused = stranger.drain();
    bus.observe(
        "who replies for another",
        format!("{:?}", refused.iter().map(Message::error_name).collect::<Vec<_>>()),
    );
    let forged = caller.drain();
    bus.observe("what the caller gets of it", forged.len().to_string());
    callee.send(&Message::method_return(&call).arg("first"));
    assert_eq!(caller.reply_to(serial).body, ["first".into()]);
    callee.send(&Message::method_return(&call).arg("second"));
    let refused = callee.drain();
    bus.observe(
        "who replies twice",
        format!("{:?}", refused.iter().map(Message::error_name).collect::<Vec<_>>()),
    );
    bus.observe("what the caller gets of the second", caller.drain().len().to_string());
}

fn serial_reuse(bus: &Bus) {
    let (mut caller, mut callee, mut other) = (bus.connect(), bus.connect(), bus.connect());
    caller.send(&call_to(&callee.name).serial(1000));
    caller.send(&call_to(&callee.name).serial(1000));
    let error = caller.reply_to(1000);
    assert_eq!(error.error_name(), "org.freedesktop.DBus.Error.AccessDenied");
    let text = "Message has the same reply serial as a currently-outstanding existing method call";
    assert_eq!(error.body[0].text(), text);
    caller.send(&call_to(&other.name).serial(1000));
    assert_eq!(other.next().member(), "Call", "the same serial to another callee");
    let call = callee.next();
    callee.send(&Message::method_return(&call));
    assert_eq!(caller.reply_to(1000).kind, kind::METHOD_RETURN);
    caller.send(&call_to(&callee.name).serial(1000));
    assert_eq!(callee.next().serial, 1000, "free again after the reply");
    let silent = call_to(&callee.name).serial(2000).flags(flag::NO_REPLY_EXPECTED);
    caller.send(&silent);
    caller.send(&silent);
    assert_eq!((callee.next().serial, callee.next().serial), (2000, 2000), "no reply, no record");
}

fn callee_gone(bus: &Bus) {
    let (mut caller, mut callee) = (bus.connect(), bus.connect());
    let serials = [caller.send(&call_to(&callee.name)), caller.send(&call_to(&callee.name))];
    caller.send(&call_to(&callee.name).flags(flag::NO_REPLY_EXPECTED));
    callee.next();
    drop(callee);
    for serial in serials {
        let error = caller.reply_to(serial);
        assert_eq!(error.error_name(), "org.freedesktop.DBus.Error.NoReply");
        let text = "Message recipient disconnected from message bus without replying";
        assert_eq!(error.body[0].text(), text);
        assert_eq!(error.sender(), BUS_NAME);
    }
    assert_eq!(caller.drain(), [], "none for the call without reply");
}

fn caller_gone(bus: &Bus) {
    let (mut caller, mut callee) = (bus.connect(), bus.connect());
    callee.add_match("member='NameOwnerChanged'");
    caller.send(&call_to(&callee.name));
    let call = callee.next();
    drop(caller);
    assert_eq!(callee.next().member(), "NameOwnerChanged");
    callee.send(&Message::method_return(&call));
    let answers = callee.drain();
    bus.observe(
        "a reply to a gone caller",
        format!("{:?}", answers.iter().map(Message::error_name).collect::<Vec<_>>()),
    );
}

fn reply_timeout(bus: &Bus) {
    let (mut caller, mut callee) = (bus.connect(), bus.connect());
    let error = caller.ask(&call_to(&callee.name));
    assert_eq!(error.error_name(), "org.freedesktop.DBus.Error.NoReply");
    let text = "Message did not receive a reply (timeout by message bus)";
    assert_eq!(error.body[0].text(), text);
    let call = callee.next();
    callee.send(&Message::method_return(&call));
    bus.observe("the callee's late reply", format!("{:?}", callee.drain_lines()));
    bus.observe("the caller's part of it", caller.drain().len().to_string());
}

fn call_oneself(bus: &Bus) {
    let mut client = bus.connect();
    let own = client.name.clone();
    let serial = client.send(&call_to(&own));
    let call = client.next();
    assert_eq!((call.serial, call.sender()), (serial, own));
    client.send(&Message::method_return(&call).arg("me"));
    assert_eq!(client.reply_to(serial).body, ["me".into()]);
}

fn fds_unwanted(bus: &Bus) {
    let (mut sender, mut able) = (bus.connect(), bus.connect());
    let mut unable = bus.connect_without_fds();
    let (reader, _writer) = rustix::pipe::pipe().expect("a pipe");
    let fds = [reader];
    let with_fd = |message: Message| message.with(field::UNIX_FDS, 1).arg(Value::Fd(0));
    let serial = sender.send_with_fds(&with_fd(call_to(&unable.name)), &borrow_all(&fds));
    let error = sender.reply_to(serial);
    assert_eq!(error.error_name(), "org.freedesktop.DBus.Error.NotSupported");
    bus.observe("text", error.body[0].text());
    for client in [&mut able, &mut unable] {
        client.add_match("interface='org.example.I'");
    }
    sender.send_with_fds(&with_fd(signal()), &borrow_all(&fds));
    assert_eq!(sender.drain(), [], "a broadcast is refused by nobody");
    assert_eq!(members(&able.drain()), ["Signal"]);
    assert_eq!(able.fds.len(), 1);
    assert_eq!(unable.drain(), [], "and skips who cannot take it");
}

fn to_nobody(bus: &Bus) {
    let mut client = bus.connect();
    for name in ["org.example.Nobody", ":1.4711"] {
        let error = client.ask(&call_to(name));
        assert_eq!(error.error_name(), "org.freedesktop.DBus.Error.ServiceUnknown", "{name}");
        bus.observe(format!("call to {name}"), error.body[0].text());
        let error = client.ask(&call_to(name).flags(flag::NO_AUTO_START));
        assert_eq!(error.error_name(), "org.freedesktop.DBus.Error.NameHasNoOwner", "{name}");
        bus.observe(format!("call to {name}, no auto-start"), error.body[0].text());
        client.send(&signal().to(name));
        bus.observe(format!("signal to {name}"), format!("{:?}", client.drain_lines()));
        client.send(&Message::reply_to(kind::METHOD_RETURN, 1, name));
        bus.observe(format!("reply to {name}"), format!("{:?}", client.drain_lines()));
    }
}

fn byte_orders(bus: &Bus) {
    let (mut sender, mut observer) = (bus.connect(), bus.connect());
    observer.add_match("interface='org.example.I'");
    let message = signal().arg("text").arg(Value::Uint64(0x0102_0304_0506_0708));
    sender.send_both_orders(&message);
    let received = [observer.next(), observer.next()];
    assert_ne!(received[0].endian, received[1].endian);
    assert!(received.iter().all(|message| message.body[1] == Value::Uint64(0x0102_0304_0506_0708)));
    // A rule that looks into the body need not change it.
    observer.add_match("arg0='text'");
    sender.send_both_orders(&message);
    let received = [observer.next().endian, observer.next().endian];
    bus.observe("byte orders after a rule on arguments", format!("{received:?}"));
    // The bus itself understands both.
    let call = Message::method_call("/", BUS_NAME, "NameHasOwner").to(BUS_NAME).arg(BUS_NAME);
    for endian in bus_tests::harness::Endian::BOTH {
        assert_eq!(sender.ask(&call.clone().endian(endian)).body, [Value::Boolean(true)]);
    }
}

fn large_messages(bus: &Bus) {
    let (mut sender, mut recipient) = (bus.connect(), bus.connect());
    for size in [65_535, 65_536, 262_144, 1 << 20, 8 << 20] {
        let text = "x".repeat(size);
        let message = signal().to(&recipient.name).arg(text.as_str()).arg("end");
        sender.send(&message);
        let received = recipient.next();
        assert_eq!(received.body[0].text().len(), size);
        assert_eq!(received.body[1].text(), "end");
    }
}

fn slow_reader(bus: &Bus) {
    let (mut sender, mut lazy, mut observer) = (bus.connect(), bus.connect(), bus.connect());
    for client in [&mut lazy, &mut observer] {
        client.add_match("interface='org.example.I'");
    }
    let text = "x".repeat(10_000);
    for number in 0..200 {
        sender.send(&signal().arg(number).arg(text.as_str()));
        assert_eq!(observer.next().body[0], Value::Uint32(number), "not held up");
    }
    let numbers: Vec<u32> = lazy.drain().iter().map(|message| message.body[0].number()).collect();
    assert_eq!(numbers, (0..200).collect::<Vec<_>>(), "and nothing was lost");
}
