//! Names and object paths: protocol.md A024 to A030.

use bus_tests::harness::{Bus, Endian, Message, Value, field};

use crate::case::Case;
use crate::malformed::{carrier, judge};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("object paths follow their grammar", "A024 A051", object_paths),
        Case::new("interface names follow their grammar", "A025 A051", interface_names),
        Case::new("error names follow their grammar", "A026 A051", error_names),
        Case::new("member names follow their grammar", "A027 A051", member_names),
        Case::new(
            "destinations follow the grammar of bus names",
            "A028 A029 A046 A051",
            destinations,
        ),
        Case::new("requested names follow their grammar", "A028 A029 A231", requested_names),
        Case::new("namespaces follow their grammar", "A030 A166", namespaces),
    ]
}

/// `name` with `head` and as many `x` as it takes to be `size` bytes long.
fn of_size(head: &str, size: usize) -> String {
    head.to_owned() + &"x".repeat(size - head.len())
}

/// Puts each text into a field of a carrier, and expects it delivered or its sender gone.
fn check_field(bus: &Bus, code: u8, good: &[String], bad: &[String]) {
    let mut recipient = bus.connect();
    let rows = good.iter().map(|text| (text, "delivered"));
    for (text, expected) in rows.chain(bad.iter().map(|text| (text, "disconnected"))) {
        for endian in Endian::BOTH {
            let value = match code {
                field::PATH => Value::path(text),
                _ => Value::from(text.as_str()),
            };
            let message = carrier(&recipient).endian(endian).without(code).with(code, value);
            let verdict = judge(bus, &mut recipient, &message.encode());
            assert_eq!(verdict.summary(), expected, "{text:?} {endian:?}");
        }
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn object_paths(bus: &Bus) {
    let mut good = owned(&["/", "/a", "/a/b", "/_/9", "/A_1/b"]);
    good.push(of_size("/", 5000));
    let bad = owned(&["", "a", "a/b", "//", "/a/", "/a//b", "/a-b", "/a.b", "/ä", "/a b"]);
    check_field(bus, field::PATH, &good, &bad);
}

fn interface_names(bus: &Bus) {
    let mut good = owned(&["a.b", "_a._9", "a.b.c", "A1.B2"]);
    good.push(of_size("a.", 255));
    let mut bad =
        owned(&["", "a", ".a.b", "a.b.", "a..b", "a.9", "9.a", "a-b.c", "a.b c", ":1.2", "a.ä"]);
    bad.push(of_size("a.", 256));
    check_field(bus, field::INTERFACE, &good, &bad);
}

fn member_names(bus: &Bus) {
    let mut good = owned(&["a", "_", "A9"]);
    good.push(of_size("a", 255));
    let mut bad = owned(&["", "9a", "a.b", "a-b", "a b", "ä"]);
    bad.push(of_size("a", 256));
    check_field(bus, field::MEMBER, &good, &bad);
}

fn error_names(bus: &Bus) {
    let mut callee = bus.connect();
    let mut good = owned(&["a.b", "_a._9"]);
    good.push(of_size("a.", 255));
    let mut bad = owned(&["", "a", ".a", "a.", "a..b", "a.9b", "a-b.c"]);
    bad.push(of_size("a.", 256));
    let rows = good.iter().map(|text| (text, true)).chain(bad.iter().map(|text| (text, false)));
    for (name, is_good) in rows {
        let mut caller = bus.connect();
        caller.send(&Message::method_call("/a", "a.b", "C").to(&callee.name));
        let call = callee.next();
        if is_good {
            callee.send(&Message::error(&call, name));
            assert_eq!(caller.next().error_name(), *name);
        } else {
            callee.send(&Message::error(&call, name));
            assert!(!callee.is_connected(), "{name:?} was accepted");
            callee = bus.connect();
        }
    }
}

fn destinations(bus: &Bus) {
    let mut recipient = bus.connect();
    let mut bad = owned(&["", "a", ".a.b", "a.b.", "a..b", "a.9", "9.a", "a b.c", ":1.ä"]);
    bad.push(of_size("a.", 256));
    bad.push(of_size(":1.", 256));
    for name in bad {
        let message = carrier(&recipient).to(&name);
        let verdict = judge(bus, &mut recipient, &message.encode());
        assert_eq!(verdict.summary(), "disconnected", "{name:?}");
    }
    let mut good = owned(&["a-b.-c", "_a.b", "-.-", ":1.99999", ":x.-y", ":9.9.9", ":a-.b"]);
    good.push(of_size("a.", 255));
    good.push(of_size(":1.", 255));
    for name in good {
        let message = carrier(&recipient).to(&name);
        let verdict = judge(bus, &mut recipient, &message.encode());
        let error = "refused: org.freedesktop.DBus.Error.ServiceUnknown";
        assert_eq!(verdict.summary(), error, "{name:?}");
    }
    for name in [":", ":1", ":1.", ":.1", ":1..2"] {
        let message = carrier(&recipient).to(name);
        bus.observe(name, judge(bus, &mut recipient, &message.encode()).summary());
    }
}

fn requested_names(bus: &Bus) {
    let mut client = bus.connect();
    let mut good = owned(&["a.b", "_a.b-c", "-.-", "a.b.c.d"]);
    good.push(of_size("a.", 255));
    for name in good {
        assert_eq!(client.request_name(&name, 0), 1, "{name:?}");
        assert_eq!(client.release_name(&name), 1, "{name:?}");
    }
    let mut bad = owned(&["", "a", ".a.b", "a.b.", "a..b", "a.9", "9.a", "a b.c", "a.ä", "a/b.c"]);
    bad.push(of_size("a.", 256));
    for name in bad {
        for (member, arguments) in [
            ("RequestName", vec![name.as_str().into(), 0.into()]),
            ("ReleaseName", vec![name.as_str().into()]),
        ] {
            let error = client.refused(member, &arguments);
            assert_eq!(error, "org.freedesktop.DBus.Error.InvalidArgs", "{member} {name:?}");
        }
    }
}

fn namespaces(bus: &Bus) {
    let mut client = bus.connect();
    for value in ["a", "a.b", "_a-b", "a.b.c"] {
        client.add_match(&format!("arg0namespace='{value}'"));
    }
    for value in [":1.2", ":1", ""] {
        let reply = client.try_call("AddMatch", &[format!("arg0namespace='{value}'").into()]);
        bus.observe(format!("arg0namespace={value:?}"), reply.error_name());
    }
    for value in [".a", "a.", "a..b", "9", "a b"] {
        let error = client.refused("AddMatch", &[format!("arg0namespace='{value}'").into()]);
        assert_eq!(error, "org.freedesktop.DBus.Error.MatchRuleInvalid", "{value:?}");
    }
}
