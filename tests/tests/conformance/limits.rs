//! The limits of the configuration: config.md B.3. Each is met and then passed by one.

use std::os::fd::OwnedFd;

use bus_tests::harness::{
    BUS_INTERFACE, BUS_NAME, BUS_PATH, Bus, Client, Message, Value, borrow_all, field, flag, kind,
};

use crate::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("max_message_size", "A037 B031", message_size)
            .limits(&[("max_message_size", 4096)]),
        Case::new("max_message_unix_fds", "A039 B032", message_unix_fds)
            .limits(&[("max_message_unix_fds", 3)]),
        Case::new("max_incoming_unix_fds does not lose messages", "A152 B028", incoming_fds)
            .limits(&[("max_incoming_unix_fds", 2)]),
        Case::new("max_incoming_bytes does not lose messages", "A152 B027", incoming_bytes)
            .limits(&[("max_incoming_bytes", 4096)]),
        Case::new("max_outgoing_bytes", "A151 A229 B029", outgoing_bytes)
            .limits(&[("max_outgoing_bytes", 100_000)]),
        Case::new("max_outgoing_bytes and broadcasts", "A150 B029", outgoing_broadcast)
            .limits(&[("max_outgoing_bytes", 100_000)]),
        Case::new("max_outgoing_unix_fds", "A151 A229 B030", outgoing_fds)
            .limits(&[("max_outgoing_unix_fds", 4)]),
        Case::new("pending_fd_timeout", "B035", pending_fd_timeout)
            .limits(&[("pending_fd_timeout", 200)]),
        Case::new("max_completed_connections", "A122 A229 B036", completed_connections)
            .limits(&[("max_completed_connections", 3)]),
        Case::new("max_connections_per_user", "A122 A229 B038", connections_per_user)
            .limits(&[("max_connections_per_user", 3)]),
        Case::new("max_incomplete_connections", "B037", incomplete_connections)
            .limits(&[("max_incomplete_connections", 3)]),
        Case::new("max_names_per_connection", "A229 B040", names_per_connection)
            .limits(&[("max_names_per_connection", 4)]),
        Case::new("max_replies_per_connection", "A229 B042", replies_per_connection)
            .limits(&[("max_replies_per_connection", 3)]),
        Case::new("a limit of zero names", "B040 B045", no_names)
            .limits(&[("max_names_per_connection", 0)]),
    ]
}

const LIMITS_EXCEEDED: &str = "org.freedesktop.DBus.Error.LimitsExceeded";

fn call_to(destination: &str) -> Message {
    Message::method_call("/a", "org.example.I", "Call").to(destination)
}

fn message_size(bus: &Bus) {
    let mut recipient = bus.connect();
    for (size, passes) in [(4096, true), (4097, false)] {
        let mut sender = bus.connect();
        let message = Message::signal("/a", "org.example.I", "S").to(&recipient.name).serial(50);
        let overhead = message.clone().arg("").encode().len();
        let message = message.arg("x".repeat(size - overhead));
        assert_eq!(message.encode().len(), size);
        sender.send(&message);
        assert_eq!(sender.is_connected(), passes, "{size} bytes");
        assert_eq!(recipient.drain().len(), usize::from(passes));
    }
}

fn some_fds(count: usize) -> Vec<OwnedFd> {
    (0..count).map(|_| rustix::pipe::pipe().expect("a pipe").0).collect()
}

fn with_fds(message: Message, count: usize) -> Message {
    message.with(field::UNIX_FDS, u32::try_from(count).unwrap())
}

fn message_unix_fds(bus: &Bus) {
    let mut recipient = bus.connect();
    for (count, passes) in [(3, true), (4, false)] {
        let mut sender = bus.connect();
        let message = with_fds(Message::signal("/a", "org.example.I", "S"), count);
        let fds = some_fds(count);
        sender.send_with_fds(&message.to(&recipient.name), &borrow_all(&fds));
        assert_eq!(sender.is_connected(), passes, "{count} descriptors");
        assert_eq!(recipient.drain().len(), usize::from(passes));
    }
}

fn incoming_fds(bus: &Bus) {
    let (mut sender, mut recipient) = (bus.connect(), bus.connect());
    let fds = some_fds(2);
    let message = with_fds(Message::signal("/a", "org.example.I", "S"), 2).to(&recipient.name);
    for _ in 0..20 {
        sender.send_with_fds(&message, &borrow_all(&fds));
    }
    for _ in 0..20 {
        assert_eq!(recipient.next().unix_fds(), 2);
    }
    assert!(sender.is_connected());
}

fn incoming_bytes(bus: &Bus) {
    let (mut sender, mut recipient) = (bus.connect(), bus.connect());
    let message = Message::signal("/a", "org.example.I", "S").to(&recipient.name);
    let text = "x".repeat(1_000);
    let mut stream = Vec::new();
    for number in 0..300 {
        let serial = sender.next_serial();
        stream.extend(message.clone().serial(serial).arg(number).arg(text.as_str()).encode());
    }
    // A bus that holds this much of the sender reads on when the recipient has read.
    let mut sent = 0;
    for number in 0..300 {
        sent += sender.raw.send_what_fits(&stream[sent..]);
        assert_eq!(recipient.next().body[0], Value::Uint32(number));
    }
    assert_eq!(sent, stream.len());
    assert!(sender.is_connected());
}

/// Sends calls to a recipient that does not read until some are refused; answers how many were
/// not, and the first refusal.
fn fill(sender: &mut Client, call: &Message) -> (usize, Message) {
    for sent in (50..2_000).step_by(50) {
        for _ in 0..50 {
            sender.send(call);
        }
        let mut refusals = sender.drain();
        refusals.retain(|message| message.kind == kind::ERROR);
        if !refusals.is_empty() {
            return (sent - refusals.len(), refusals.remove(0));
        }
    }
    panic!("a queue without end");
}

fn outgoing_bytes(bus: &Bus) {
    let (mut sender, mut lazy) = (bus.connect(), bus.connect());
    let call = call_to(&lazy.name).arg("x".repeat(10_000));
    let (accepted, refusal) = fill(&mut sender, &call);
    assert_eq!(refusal.error_name(), LIMITS_EXCEEDED);
    check_full_queue_text(refusal.body[0].text());
    // The recipient has lost nothing of what was accepted, and is well again afterwards.
    for _ in 0..accepted {
        assert_eq!(lazy.next().body[0].text().len(), 10_000);
    }
    sender.send(&call_to(&lazy.name).arg("end"));
    assert_eq!(lazy.next().body[0].text(), "end");
}

/// protocol.md A241; a daemon may say more after it.
fn check_full_queue_text(text: &str) {
    let start = "Rejected: destination has a full message queue, 0 matched rules; \
        type=\"method_call\", sender=\":1.0\" (uid=";
    assert!(text.starts_with(start), "{text}");
    let middle = " interface=\"org.example.I\" member=\"Call\" error name=\"(unset)\" \
        requested_reply=\"0\" destination=\":1.1\" (uid=";
    assert!(text.contains(middle), "{text}");
}

fn outgoing_broadcast(bus: &Bus) {
    let (mut sender, mut lazy, mut keen) = (bus.connect(), bus.connect(), bus.connect());
    for client in [&mut lazy, &mut keen] {
        client.add_match("interface='org.example.I'");
    }
    let text = "x".repeat(10_000);
    for number in 0..200 {
        let signal = Message::signal("/a", "org.example.I", "S");
        sender.send(&signal.arg(number).arg(text.as_str()));
        assert_eq!(keen.next().body[0], Value::Uint32(number));
    }
    assert_eq!(sender.drain(), [], "nobody is told of a broadcast left out");
    let mut numbers = Vec::new();
    // Its own round trip may be left out of a full queue as well, so read what is there first.
    while numbers.len() < 5 {
        numbers.push(lazy.next().body[0].number());
    }
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
}

fn outgoing_fds(bus: &Bus) {
    let (mut sender, lazy) = (bus.connect(), bus.connect());
    // Bytes first, so that the descriptors have to wait in the bus.
    let filler = Message::signal("/a", "org.example.I", "Filler").to(&lazy.name);
    for _ in 0..100 {
        sender.send(&filler.clone().arg("x".repeat(20_000)));
    }
    let call = with_fds(call_to(&lazy.name), 2);
    let fds = some_fds(2);
    let mut refused = None;
    for _ in 0..10 {
        let serial = sender.send_with_fds(&call, &borrow_all(&fds));
        refused = sender.drain().into_iter().find(|message| message.reply_serial() == serial);
        if refused.is_some() {
            break;
        }
    }
    let refused = refused.expect("a refusal");
    assert_eq!(refused.error_name(), LIMITS_EXCEEDED);
    check_full_queue_text(refused.body[0].text());
}

fn pending_fd_timeout(bus: &Bus) {
    let mut sender = bus.connect();
    let fds = some_fds(1);
    let message = with_fds(Message::signal("/a", "org.example.I", "S").serial(9), 1).encode();
    sender.raw.send_with_fds(&message[..20], &borrow_all(&fds));
    assert_eq!(sender.until_end(), [], "descriptors without the rest of their message");
    assert!(bus.connect().is_connected());
}

fn hello() -> Message {
    Message::method_call(BUS_PATH, BUS_INTERFACE, "Hello").to(BUS_NAME)
}

/// Three may say Hello; the fourth may try again when one has left.
fn check_connections(bus: &Bus, text: &str) {
    let mut clients = [bus.connect(), bus.connect(), bus.connect()];
    let mut fourth = bus.connect_unregistered();
    let error = fourth.ask(&hello());
    assert_eq!(error.error_name(), LIMITS_EXCEEDED);
    assert!(error.body[0].text().starts_with(text), "{}", error.describe());
    clients[0].add_match("member='NameOwnerChanged'");
    let [mut first, second, _third] = clients;
    drop(second);
    assert_eq!(first.next().member(), "NameOwnerChanged");
    assert_eq!(fourth.ask(&hello()).kind, kind::METHOD_RETURN, "room again");
}

fn completed_connections(bus: &Bus) {
    check_connections(bus, "The maximum number of active connections has been reached");
}

fn connections_per_user(bus: &Bus) {
    let uid = rustix::process::geteuid().as_raw();
    let text = format!("The maximum number of active connections for UID {uid} has been reached");
    check_connections(bus, &text);
}

fn incomplete_connections(bus: &Bus) {
    let mut waiting: Vec<_> = (0..3).map(|_| bus.connect_raw()).collect();
    for raw in &mut waiting {
        raw.send(b"\0");
        assert!(raw.ask("AUTH").starts_with("REJECTED"), "accepted and answered");
    }
    // The fourth sits in the listener's queue until one of the three is through.
    let mut fourth = bus.connect_raw();
    fourth.send(b"\0AUTH\r\n");
    let mut first = waiting.remove(0);
    assert!(first.ask("AUTH").starts_with("REJECTED"));
    assert!(!fourth.has_input(), "answered although three are incomplete");
    drop(waiting);
    assert!(fourth.read_line().unwrap_or_default().starts_with("REJECTED"));
}

fn names_per_connection(bus: &Bus) {
    let (mut client, mut other) = (bus.connect(), bus.connect());
    other.request_name("a.queued", 0);
    // The unique name and queued places count.
    assert_eq!(client.request_name("a.queued", 0), 2);
    assert_eq!(client.request_name("a.one", 0), 1);
    assert_eq!(client.request_name("a.two", 0), 1);
    let error = client.try_call("RequestName", &["a.three".into(), 0.into()]);
    assert_eq!(error.error_name(), LIMITS_EXCEEDED);
    bus.observe("text", error.body[0].text());
    let reply = client.try_call("RequestName", &["a.two".into(), 0.into()]);
    bus.observe("a name it has already", reply.describe());
    client.release_name("a.queued");
    assert_eq!(client.request_name("a.three", 0), 1);
}

fn no_names(bus: &Bus) {
    let mut client = bus.connect_unregistered();
    let reply = client.ask(&hello());
    bus.observe("Hello", format!("{} {}", reply.kind, reply.error_name()));
}

fn replies_per_connection(bus: &Bus) {
    let (mut caller, mut callee, mut other) = (bus.connect(), bus.connect(), bus.connect());
    let serials: Vec<u32> = (0..3).map(|_| caller.send(&call_to(&callee.name))).collect();
    let error = caller.ask(&call_to(&other.name));
    assert_eq!(error.error_name(), LIMITS_EXCEEDED);
    let text = "The maximum number of pending replies per connection has been reached";
    assert!(error.body[0].text().starts_with(text), "{}", error.describe());
    caller.send(&call_to(&other.name).flags(flag::NO_REPLY_EXPECTED));
    assert_eq!(other.next().member(), "Call", "no reply, no charge");
    other.send(&call_to(&callee.name));
    let call = callee.next();
    assert_eq!(call.serial, serials[0]);
    callee.send(&Message::method_return(&call));
    caller.reply_to(serials[0]);
    caller.send(&call_to(&other.name));
    assert_eq!(other.next().member(), "Call", "room again");
}
