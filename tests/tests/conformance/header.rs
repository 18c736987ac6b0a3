//! The message header and its fields: protocol.md A.2.

use std::os::fd::OwnedFd;

use bus_tests::harness::{
    Bus, Client, Endian, Message, Value, Written, borrow_all, field, flag, kind,
};

use crate::case::Case;
use crate::malformed::{HeaderRow, Verdict, carrier, check_headers, judge, judge_after_send};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "malformed fixed headers disconnect",
            "A031 A032 A033 A035 A036 A055 A060",
            fixed_part,
        ),
        Case::new("sizes over a limit disconnect at once", "A036 A037 A038 A060", sizes),
        Case::new("malformed header fields disconnect", "A040 A051 A060", field_rows),
        Case::new("invalid names in fields disconnect", "A051 A060", invalid_values),
        Case::new("required fields", "A041 A042 A043 A044 A045 A060", required_fields),
        Case::new("optional fields may be absent", "A042 A046 A048 A049", optional_fields),
        Case::new("reply serial 0 disconnects", "A045 A060", reply_serial_zero),
        Case::new("the Local path and interface disconnect", "A054 A060", local),
        Case::new("a body without a signature disconnects", "A048", body_without_signature),
        Case::new("unknown flags are harmless", "A034 A064 A065", flags),
        Case::new("unknown message types are not relayed", "A033 A141", unknown_types),
        Case::new("the sender is the bus's word", "A047 A142", forged_sender),
        Case::new("unknown fields are stripped", "A050 A052", unknown_fields),
        Case::new("fields without meaning are ignored", "A053", meaningless_fields),
        Case::new("an invalid message harms nobody else", "A055", bystanders),
        Case::new("messages split anywhere are put together", "A031 A036 A144", split_messages),
        Case::new("descriptors travel with their message", "A007 A039 A049 A057", fds_travel),
        Case::new("missing descriptors disconnect", "A057 A060", missing_fds),
        Case::new("surplus descriptors", "A057", surplus_fds),
        Case::new("descriptors without negotiation", "A057 A097", fds_without_negotiation),
        Case::new("a descriptor index out of range", "A058", fd_index),
    ]
}

/// The carrier's bytes with one byte changed.
fn patched(message: &Message, offset: usize, byte: u8) -> Vec<u8> {
    let mut bytes = message.encode();
    bytes[offset] = byte;
    bytes
}

fn patched_u32(message: &Message, offset: usize, number: u32) -> Vec<u8> {
    let mut bytes = message.encode();
    let number = match message.endian {
        Endian::Little => number.to_le_bytes(),
        Endian::Big => number.to_be_bytes(),
    };
    bytes[offset..offset + 4].copy_from_slice(&number);
    bytes
}

fn fixed_part(bus: &Bus) {
    let rows: &[HeaderRow] = &[
        ("byte order 'x'", |m| patched(&m, 0, b'x')),
        ("byte order NUL", |m| patched(&m, 0, 0)),
        ("byte order 'L'", |m| patched(&m, 0, b'L')),
        ("message type 0", |m| patched(&m, 1, 0)),
        ("protocol version 0", |m| patched(&m, 3, 0)),
        ("protocol version 2", |m| patched(&m, 3, 2)),
        ("serial 0", |m| m.serial(0).encode()),
        ("padding after the fields", |m| {
            let message = m.without(field::MEMBER).with(field::MEMBER, "Abcde");
            let bytes = message.encode();
            assert_ne!(fields_size(&message) % 8, 0);
            let last = bytes.len() - 1;
            patched(&message, last, 1)
        }),
    ];
    check_headers(bus, rows, "disconnected");
}

fn fields_size(message: &Message) -> u32 {
    let bytes: [u8; 4] = message.encode()[12..16].try_into().unwrap();
    match message.endian {
        Endian::Little => u32::from_le_bytes(bytes),
        Endian::Big => u32::from_be_bytes(bytes),
    }
}

fn sizes(bus: &Bus) {
    // Only the first 16 bytes arrive: the bus must not wait for what can not be.
    let rows: &[HeaderRow] = &[
        ("fields of 2^26+1", |m| patched_u32(&m, 12, (1 << 26) + 1)[..16].to_vec()),
        ("fields of 2^32-1", |m| patched_u32(&m, 12, u32::MAX)[..16].to_vec()),
        ("fields of 2^31", |m| patched_u32(&m, 12, 1 << 31)[..16].to_vec()),
        ("body of 2^27", |m| patched_u32(&m, 4, 1 << 27)[..16].to_vec()),
        ("body of 2^32-1", |m| patched_u32(&m, 4, u32::MAX)[..16].to_vec()),
        ("body and fields of 2^27 together", |m| {
            let mut bytes = patched_u32(&m, 4, (1 << 27) - 64);
            bytes[12..16].copy_from_slice(&patched_u32(&m, 12, 64)[12..16]);
            bytes[..16].to_vec()
        }),
    ];
    for (name, build) in rows {
        for endian in Endian::BOTH {
            let mut sender = bus.connect();
            let message = Message::signal("/a", "a.b", "C").serial(9).endian(endian);
            sender.raw.send(&build(message));
            assert!(sender.until_end().is_empty(), "{name} {endian:?}");
        }
    }
}

/// A value of type `signature` written as an array element of the header would be.
fn written(signature: &'static str, write: fn(&mut bus_tests::harness::Encoder)) -> Value {
    Value::Written(Written { signature, write })
}

fn field_rows(bus: &Bus) {
    let rows: &[HeaderRow] = &[
        ("field 0", |m| m.with(0, "x").encode()),
        ("path twice", |m| m.with(field::PATH, Value::path("/b")).encode()),
        ("interface twice", |m| m.with(field::INTERFACE, "a.b").encode()),
        ("member twice", |m| m.with(field::MEMBER, "A").encode()),
        ("destination twice", |m| m.with(field::DESTINATION, "a.b").encode()),
        ("path as a string", |m| m.without(field::PATH).with(field::PATH, "/a").encode()),
        ("interface as a path", |m| {
            m.without(field::INTERFACE).with(field::INTERFACE, Value::path("/a")).encode()
        }),
        ("member as a number", |m| m.without(field::MEMBER).with(field::MEMBER, 1).encode()),
        ("destination as a path", |m| {
            m.without(field::DESTINATION).with(field::DESTINATION, Value::path("/a")).encode()
        }),
        ("sender as a number", |m| m.with(field::SENDER, 1).encode()),
        ("reply serial as a string", |m| m.with(field::REPLY_SERIAL, "1").encode()),
        ("error name as a number", |m| m.with(field::ERROR_NAME, 1).encode()),
        ("signature as a string", |m| m.with(field::SIGNATURE, "y").encode()),
        ("descriptors as a string", |m| m.with(field::UNIX_FDS, "0").encode()),
        ("field variant with an empty signature", |m| m.with(100, written("", |_| ())).encode()),
        ("field variant of two types", |m| m.with(100, written("yy", |e| e.raw(&[1, 2]))).encode()),
        ("field variant of no type", |m| m.with(100, written("z", |e| e.raw(&[1]))).encode()),
        ("string without NUL in a field", |m| {
            m.with(
                field::SENDER,
                written("s", |e| {
                    e.u32(3);
                    e.raw(b"a.bc");
                }),
            )
            .encode()
        }),
        ("bad UTF-8 in an unknown field", |m| {
            m.with(100, written("s", |e| e.text(b"\xff"))).encode()
        }),
        ("boolean 2 in an unknown field", |m| m.with(100, written("b", |e| e.u32(2))).encode()),
        ("padding between fields", |m| {
            let clean = m.encode();
            let dirty = m.with(100, written("y", |e| e.raw(&[1]))).encode();
            let first_difference = fields_size_of(&clean);
            let mut bytes = dirty;
            let padding_at = (16 + first_difference as usize).next_multiple_of(8) - 1;
            assert_eq!(bytes[padding_at], 0);
            assert_ne!(first_difference % 8, 0);
            bytes[padding_at] = 1;
            bytes
        }),
        ("a field cut by the array's end", |m| {
            let size = fields_size(&m);
            patched_u32(&m, 12, size - 1)
        }),
    ];
    check_headers(bus, rows, "disconnected");
}

fn fields_size_of(bytes: &[u8]) -> u32 {
    let size: [u8; 4] = bytes[12..16].try_into().unwrap();
    if bytes[0] == b'l' { u32::from_le_bytes(size) } else { u32::from_be_bytes(size) }
}

fn invalid_values(bus: &Bus) {
    let rows: &[HeaderRow] = &[
        ("destination", |m| m.to("nodots").encode()),
        ("interface", |m| m.without(field::INTERFACE).with(field::INTERFACE, "nodots").encode()),
        ("member", |m| m.without(field::MEMBER).with(field::MEMBER, "a.b").encode()),
        ("path", |m| m.without(field::PATH).with(field::PATH, Value::path("x")).encode()),
        ("sender", |m| m.with(field::SENDER, "nodots").encode()),
        ("error name", |m| m.with(field::ERROR_NAME, "nodots").encode()),
        ("signature", |m| m.with(field::SIGNATURE, Value::Signature("a".into())).encode()),
    ];
    check_headers(bus, rows, "disconnected");
}

fn required_fields(bus: &Bus) {
    let rows: &[HeaderRow] = &[
        ("signal without path", |m| m.without(field::PATH).encode()),
        ("signal without interface", |m| m.without(field::INTERFACE).encode()),
        ("signal without member", |m| m.without(field::MEMBER).encode()),
        ("call without path", |m| as_call(m).without(field::PATH).encode()),
        ("call without member", |m| as_call(m).without(field::MEMBER).encode()),
        ("return without reply serial", |m| {
            Message::new(kind::METHOD_RETURN)
                .endian(m.endian)
                .serial(9)
                .to(&m.destination())
                .encode()
        }),
        ("error without reply serial", |m| {
            let error = Message::new(kind::ERROR).endian(m.endian).serial(9);
            error.to(&m.destination()).with(field::ERROR_NAME, "a.b").encode()
        }),
        ("error without name", |m| {
            Message::reply_to(kind::ERROR, 5, &m.destination()).endian(m.endian).serial(9).encode()
        }),
    ];
    check_headers(bus, rows, "disconnected");
}

fn as_call(mut message: Message) -> Message {
    message.kind = kind::METHOD_CALL;
    message
}

fn optional_fields(bus: &Bus) {
    let rows: &[HeaderRow] = &[
        ("call without interface", |m| as_call(m).without(field::INTERFACE).encode()),
        ("no signature and no body", |m| m.encode()),
        ("empty signature and no body", |m| {
            m.with(field::SIGNATURE, Value::Signature(String::new())).encode()
        }),
        ("no descriptors, and saying so", |m| m.with(field::UNIX_FDS, 0).encode()),
    ];
    check_headers(bus, rows, "delivered");
}

fn reply_serial_zero(bus: &Bus) {
    let rows: &[HeaderRow] = &[
        ("return", |m| {
            Message::reply_to(kind::METHOD_RETURN, 0, &m.destination())
                .endian(m.endian)
                .serial(9)
                .encode()
        }),
        ("error", |m| {
            Message::reply_to(kind::ERROR, 0, &m.destination())
                .endian(m.endian)
                .serial(9)
                .with(field::ERROR_NAME, "a.b")
                .encode()
        }),
    ];
    check_headers(bus, rows, "disconnected");
}

fn local(bus: &Bus) {
    let rows: &[HeaderRow] = &[
        ("signal, path", |m| {
            let path = Value::path("/org/freedesktop/DBus/Local");
            m.without(field::PATH).with(field::PATH, path).encode()
        }),
        ("signal, interface", |m| {
            let name = "org.freedesktop.DBus.Local";
            m.without(field::INTERFACE).with(field::INTERFACE, name).encode()
        }),
        ("call, path", |m| {
            let path = Value::path("/org/freedesktop/DBus/Local");
            as_call(m).without(field::PATH).with(field::PATH, path).encode()
        }),
    ];
    check_headers(bus, rows, "disconnected");
}

fn body_without_signature(bus: &Bus) {
    let rows: &[HeaderRow] = &[("one byte", |m| {
        let fields = m.fields.clone();
        let mut encoder = m.encode_header(&fields, 1);
        encoder.raw(&[1]);
        encoder.bytes
    })];
    check_headers(bus, rows, "disconnected");
}

fn flags(bus: &Bus) {
    let mut recipient = bus.connect();
    let known =
        flag::NO_REPLY_EXPECTED | flag::NO_AUTO_START | flag::ALLOW_INTERACTIVE_AUTHORIZATION;
    for flags in [0, 1, 2, 4, 7, 8, 0x80, 0xff] {
        let message = carrier(&recipient).flags(flags);
        let Verdict::Delivered(delivered) = judge(bus, &mut recipient, &message.encode()) else {
            panic!("flags {flags:#x}: not delivered");
        };
        assert_eq!(delivered.flags & known, flags & known, "known bits of {flags:#x}");
        bus.observe(format!("flags {flags:#04x}"), format!("{:#04x}", delivered.flags));
    }
}

fn unknown_types(bus: &Bus) {
    let mut recipient = bus.connect();
    for kind in [5, 6, 127, 128, 255] {
        for endian in Endian::BOTH {
            let mut message = carrier(&recipient).endian(endian);
            message.kind = kind;
            let verdict = judge(bus, &mut recipient, &message.encode());
            let error = "refused: org.freedesktop.DBus.Error.AccessDenied";
            assert_eq!(verdict.summary(), error, "type {kind} {endian:?}");
        }
    }
    let mut sender = bus.connect();
    let mut message = Message::signal("/a", "a.b", "C");
    message.kind = 200;
    sender.send(&message);
    let answers = sender.drain_lines();
    bus.observe("without destination", format!("{answers:?}"));
    let mut message = Message::signal("/a", "a.b", "C").to("org.example.Nobody");
    message.kind = 200;
    sender.send(&message);
    let answers = sender.drain_lines();
    bus.observe("to a name nobody owns", format!("{answers:?}"));
}

fn forged_sender(bus: &Bus) {
    let mut recipient = bus.connect();
    for forged in ["org.freedesktop.DBus", ":1.9999", "org.example.Long.Name.That.Nobody.Owns"] {
        for endian in Endian::BOTH {
            let mut sender = bus.connect();
            let message = carrier(&recipient).endian(endian).with(field::SENDER, forged);
            sender.send(&message.arg(Value::Uint64(5)));
            let Verdict::Delivered(delivered) = judge_after_send(&mut sender, &mut recipient)
            else {
                panic!("{forged}: not delivered");
            };
            assert_eq!(delivered.sender(), sender.name);
            assert_eq!(sender_count(&delivered), 1, "one SENDER only");
            assert_eq!(delivered.body, [Value::Uint64(5)]);
        }
    }
}

fn sender_count(message: &Message) -> usize {
    message.fields.iter().filter(|(code, _)| *code == field::SENDER).count()
}

fn unknown_fields(bus: &Bus) {
    let mut recipient = bus.connect();
    for endian in Endian::BOTH {
        let message = carrier(&recipient)
            .endian(endian)
            .with(10, Value::path("/org/freedesktop/DBus/Containers1/c1"))
            .with(11, "eleven")
            .with(100, Value::Array("{sv}".into(), vec![Value::entry("k", Value::variant(1))]))
            .with(255, Value::Byte(1))
            .arg("body");
        let Verdict::Delivered(delivered) = judge(bus, &mut recipient, &message.encode()) else {
            panic!("{endian:?}: not delivered");
        };
        let unknown: Vec<u8> =
            delivered.fields.iter().map(|(code, _)| *code).filter(|code| *code > 9).collect();
        assert_eq!(unknown, [], "unknown fields were relayed");
        assert_eq!(delivered.body, ["body".into()]);
        assert_eq!(delivered.member(), "Carried");
    }
}

fn meaningless_fields(bus: &Bus) {
    let rows: &[HeaderRow] = &[
        ("error name in a signal", |m| m.with(field::ERROR_NAME, "a.b").encode()),
        ("error name in a call", |m| as_call(m).with(field::ERROR_NAME, "a.b").encode()),
    ];
    check_headers(bus, rows, "delivered");
    let mut recipient = bus.connect();
    let message = carrier(&recipient).with(field::REPLY_SERIAL, 5);
    let verdict = judge(bus, &mut recipient, &message.encode());
    bus.observe("reply serial in a signal", verdict.summary());
    let message = as_call(carrier(&recipient)).with(field::REPLY_SERIAL, 5);
    let verdict = judge(bus, &mut recipient, &message.encode());
    bus.observe("reply serial in a call", verdict.summary());
}

fn bystanders(bus: &Bus) {
    let mut bystander = bus.connect();
    bystander.add_match("type='signal',interface='a.b'");
    let mut sender = bus.connect();
    sender.send(&Message::signal("/a", "a.b", "Before"));
    sender.send(&Message::signal("/a", "a.b", "Bad").with(field::MEMBER, "Bad"));
    sender.send(&Message::signal("/a", "a.b", "After"));
    assert_eq!(sender.until_end(), [], "no error reply to a malformed message");
    let members: Vec<String> = bystander.drain().iter().map(Message::member).collect();
    assert_eq!(members, ["Before"], "the good message before, nothing after");
    assert!(bystander.is_connected());
}

fn split_messages(bus: &Bus) {
    let mut recipient = bus.connect();
    let mut sender = bus.connect();
    let message = carrier(&recipient).arg("text").arg(Value::Uint64(1));
    let bytes = message.encode();
    for size in 1..bytes.len() {
        let (head, tail) = bytes.split_at(size);
        sender.raw.send(head);
        // Another client's round trip, so that the bus has seen the head alone.
        recipient.drain();
        sender.raw.send(tail);
        assert_eq!(recipient.next().body, message.body, "split at {size}");
    }
    sender.raw.send(&bytes.repeat(50));
    for _ in 0..50 {
        assert_eq!(recipient.next().body, message.body);
    }
}

/// `count` pipes' reading ends, each with its number to be read.
fn numbered_fds(count: u8) -> Vec<OwnedFd> {
    (0..count)
        .map(|number| {
            let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
            rustix::io::write(&writer, &[number]).expect("a byte");
            reader
        })
        .collect()
}

fn read_numbers(fds: &[OwnedFd]) -> Vec<u8> {
    fds.iter()
        .map(|fd| {
            let mut byte = [0];
            assert_eq!(rustix::io::read(fd, &mut byte).expect("a byte"), 1);
            byte[0]
        })
        .collect()
}

fn with_fds(recipient: &Client, count: u32) -> Message {
    let mut message = carrier(recipient).with(field::UNIX_FDS, count);
    message.body = (0..count).map(Value::Fd).collect();
    message
}

fn fds_travel(bus: &Bus) {
    let mut recipient = bus.connect();
    let mut sender = bus.connect();
    for endian in Endian::BOTH {
        for count in [1, 3, 16] {
            let fds = numbered_fds(count);
            let message = with_fds(&recipient, count.into()).endian(endian);
            sender.send_with_fds(&message, &borrow_all(&fds));
            let delivered = recipient.next();
            assert_eq!(delivered.unix_fds(), u32::from(count));
            assert_eq!(delivered.body, message.body);
            let received = std::mem::take(&mut recipient.fds);
            assert_eq!(read_numbers(&received), (0..count).collect::<Vec<_>>());
        }
    }
    // Three messages in a row keep their descriptors apart.
    for count in [2, 0, 1] {
        let fds = numbered_fds(count);
        sender.send_with_fds(&with_fds(&recipient, count.into()), &borrow_all(&fds));
    }
    for count in [2, 0, 1] {
        assert_eq!(recipient.next().unix_fds(), count);
        assert_eq!(std::mem::take(&mut recipient.fds).len(), count as usize);
    }
}

fn missing_fds(bus: &Bus) {
    for (announced, sent) in [(1, 0), (2, 1), (16, 15), (u32::MAX, 1)] {
        let mut recipient = bus.connect();
        let mut sender = bus.connect();
        let fds = numbered_fds(sent);
        let message = carrier(&recipient).with(field::UNIX_FDS, announced).serial(9);
        sender.send_with_fds(&message, &borrow_all(&fds));
        let verdict = judge_after_send(&mut sender, &mut recipient);
        assert_eq!(verdict, Verdict::Disconnected, "{announced} announced, {sent} sent");
    }
}

fn surplus_fds(bus: &Bus) {
    let mut recipient = bus.connect();
    let mut sender = bus.connect();
    let fds = numbered_fds(3);
    sender.send_with_fds(&with_fds(&recipient, 1), &borrow_all(&fds));
    let delivered = recipient.next();
    assert_eq!(delivered.unix_fds(), 1, "what was announced is delivered");
    assert_eq!(read_numbers(&std::mem::take(&mut recipient.fds)), [0]);
    assert_eq!(recipient.raw.surplus_fds(), 0, "and nothing else");
    // A later message that brings none must not find the surplus, or finds exactly it.
    sender.send(&with_fds(&recipient, 1).serial(99));
    let verdict = judge_after_send(&mut sender, &mut recipient);
    bus.observe("the next message announces one and brings none", verdict.summary());
}

fn fds_without_negotiation(bus: &Bus) {
    let mut recipient = bus.connect();
    let mut sender = bus.connect_without_fds();
    let fds = numbered_fds(1);
    sender.send_with_fds(&with_fds(&recipient, 1).serial(9), &borrow_all(&fds));
    let verdict = judge_after_send(&mut sender, &mut recipient);
    assert_eq!(verdict, Verdict::Disconnected);
    let mut sender = bus.connect_without_fds();
    sender.send_with_fds(&carrier(&recipient), &borrow_all(&fds));
    let verdict = judge_after_send(&mut sender, &mut recipient);
    bus.observe("descriptors that nobody announced", verdict.summary());
}

fn fd_index(bus: &Bus) {
    let mut recipient = bus.connect();
    let mut sender = bus.connect();
    let fds = numbered_fds(1);
    let message = carrier(&recipient).with(field::UNIX_FDS, 1).arg(Value::Fd(1));
    sender.send_with_fds(&message, &borrow_all(&fds));
    assert_eq!(recipient.next().body, [Value::Fd(1)], "delivered as it is");
    sender.send(&carrier(&recipient).arg(Value::Fd(0)));
    assert_eq!(recipient.next().body, [Value::Fd(0)]);
}
