//! `dbus-send` (tools.md D045–D047).

use std::process::Stdio;

use bus_tests::harness::{Bus, limited};

use super::transcript::{Case, Tool, replaced};
use super::{on_bus, service};

const TO_BUS: &str = "--print-reply --dest=org.freedesktop.DBus /org/freedesktop/DBus";

const OWN_WORDS: &str = "libdbus makes up this text itself; nothing is said that the name does not";
const NEWER: &str = "dbus 1.16 takes it, Debian's 1.14 does not";
const CRASHES: &str = "dbus-send is ended by a failed assertion of libdbus";

fn send(test: impl FnOnce(&Tool, &Bus)) {
    on_bus("dbus-send", test);
}

fn cases(lines: &[&str]) -> Vec<Case> {
    lines.iter().map(|line| Case::new(line)).collect()
}

/// A call of the bus, which answers with whether somebody has a name.
fn to_bus(options: &str) -> Case {
    Case::new(&format!("{options} {TO_BUS} org.freedesktop.DBus.NameHasOwner string:a.b"))
}

// tools.md D045
#[test]
fn options_and_their_errors() {
    send(|tool, _| {
        tool.check_all(cases(&[
            "",
            "--help",
            "-h",
            "--help x y",
            "x --help y",
            "--bogus",
            "-x /a b.c.d",
            "-- /a b.c.d",
            "/a",
            "--session /a",
            "--type /a b.c.d",
            "--dest /a b.c.d",
            "--bus /a b.c.d",
            "--session=x /a b.c.d",
            "--type= /a b.c.d",
            "--type=foo /a b.c.d",
            "--type=error /a b.c.d",
            "--type=method_return /a b.c.d",
            "--dest= /a b.c.d",
            "--dest=bad /a b.c.d",
            "--sender= /a b.c.d",
            "--sender=bad /a b.c.d",
            "--bus= /a b.c.d",
            "--peer= /a b.c.d",
            "--address= /a b.c.d",
            "--reply-timeout= /a b.c.d",
            "--reply-timeout=x /a b.c.d",
            "--reply-timeout=0 /a b.c.d",
            "--reply-timeout=-5 /a b.c.d",
            "--print-reply= /a b.c.d",
            "--print-reply=foo /a b.c.d",
            "--print-replyx /a b.c.d",
            "--peer=x --session /a b.c.d",
            "--system --bus=x /a b.c.d",
            "--peer=x --sender=a.b --type=x /a b.c.d",
            "--session /a b.c.d",
            "/a --session b.c.d",
        ]));
    });
}

#[test]
fn names_of_messages_and_their_errors() {
    send(|tool, _| {
        tool.check_all(cases(&[
            "a b",
            "/a b",
            "/a b.c",
            "/a .b",
            "/a b.",
            "/a a..b",
            "/a a.b.1c",
            "/a a.b.",
            "/a/ a.b.c",
            "//a a.b.c",
            "'' b.c",
            "x y --help",
            "--type=x --sender=org.freedesktop.DBus a b",
            "--sender=org.freedesktop.DBus a b",
            "--bus=unix:path=/no/where a b",
            "--bus=unix:path=/no/where --type=x /a b.c.d",
        ]));
    });
}

#[test]
fn which_bus() {
    send(|tool, bus| {
        let address = bus.addresses().next().unwrap();
        let get_id = format!("{TO_BUS} org.freedesktop.DBus.GetId");
        let hello = format!("{TO_BUS} org.freedesktop.DBus.Hello");
        let mut all = cases(&[
            "--bus=unix:path=/no/where /a b.c.d foo",
            "--peer=unix:path=/no/where /a b.c.d",
            "--address=unix:path=/no/where /a b.c.d",
            "--bus=unix:abstract=/no/where /a b.c.d",
            "--system /a b.c.d",
            "--session --system /a b.c.d",
        ]);
        all.extend([
            Case::new(&format!("--system --session {get_id}")),
            Case::new(&format!("--bus={address} {get_id}")),
            Case::new(&format!("--peer={address} {get_id}")),
            Case::new(&format!("--peer={address} {hello}")),
            Case::new(&format!("--address={address} {hello}")),
            Case::new(&format!("--peer={address} --bus={address} --sender=a.b /a a.b.c")),
            Case::new(&format!("--bus=y --peer={address} --sender=a.b /a a.b.c")),
        ]);
        tool.check_all(all);
        let own = |line: &str, ours: &str| {
            let text = format!("! Failed to open connection to {ours}\n= 1");
            tool.check(&Case::new(line).differs(OWN_WORDS, &text));
        };
        own(
            "--bus=x /a b.c.d",
            "\"x\" message bus: the bus's address is wrong: the address has no ':'",
        );
        own(
            "--bus=foo:a=b /a b.c.d",
            "\"foo:a=b\" message bus: Failed to connect to foo:a=b: nobody knows the transport 'foo'",
        );
        let none = "! Failed to open connection to \"session\" message bus: no bus is known: neither \
                    $DBUS_SESSION_BUS_ADDRESS nor $XDG_RUNTIME_DIR is set\n= 1";
        tool.check(
            &Case::new("/a b.c.d")
                .without("DBUS_SESSION_BUS_ADDRESS")
                .differs("libdbus would start a bus for an X11 display, which ours does not", none),
        );
    });
}

#[test]
fn names_are_requested() {
    send(|tool, bus| {
        service::start(bus);
        let owner = "org.freedesktop.DBus.GetNameOwner string:a.b";
        tool.check_all([
            Case::new(&format!("--sender=a.b {TO_BUS} {owner}")),
            Case::new(&format!("--sender=a.c --sender=a.b {TO_BUS} {owner}")),
            Case::new(&format!("--sender={} /a b.c.d", service::NAME)),
            Case::new("--sender=:1.5 /a b.c.d"),
            Case::new("--sender=org.freedesktop.DBus /a b.c.d"),
        ]);
    });
}

#[test]
fn replies_are_printed() {
    send(|tool, bus| {
        service::start(bus);
        for form in ["--print-reply", "--print-reply=literal"] {
            for method in
                ["Basic", "Doubles", "Bytes", "Containers", "Fail", "FailSilently", "Other"]
            {
                let to = format!("{form} --dest={} /a org.example.I.{method}", service::NAME);
                tool.check(&Case::new(&to));
            }
            tool.check(&Case::new(&format!("{form} --dest=no.such /a b.c.d")));
        }
        tool.check_all([
            to_bus(""),
            to_bus("--reply-timeout=5000x"),
            to_bus("--reply-timeout=99999999999"),
            to_bus("--print-reply=literal"),
            Case::new(&format!("{TO_BUS} org.freedesktop.DBus.ListNames string:x")),
            Case::new(&format!("{TO_BUS} org.freedesktop.DBus.GetNameOwner string:a.b")),
            Case::new("--dest=:1.5000 --print-reply /a a.b.c"),
        ]);
    });
}

/// Those of ports differ between two runs.
#[test]
fn descriptors_are_described() {
    send(|tool, bus| {
        service::start(bus);
        let case = Case::new(&format!("--print-reply --dest={} /a a.b.Descriptors", service::NAME));
        let seen: Vec<String> = tool
            .programs()
            .map(|program| {
                replaced(&program.run(&case), " port ", |c| c.is_ascii_digit(), " port P")
            })
            .collect();
        assert_eq!(seen.first(), seen.last());
        for part in
            ["type: char", "type: fifo", "address family: inet\n", "name @bus-tests-", "peer @"]
        {
            assert!(seen.iter().all(|text| text.contains(part)), "{part} is not in {seen:?}");
        }
    });
}

#[test]
fn a_reply_is_waited_for_as_long_as_is_said() {
    send(|tool, bus| {
        service::start(bus);
        let silence =
            format!("--reply-timeout=100 --print-reply --dest={} /a a.b.Silence", service::NAME);
        let ours = "! Error org.freedesktop.DBus.Error.NoReply: not done within 100 ms\n= 1";
        tool.check(&Case::new(&silence).differs(OWN_WORDS, ours));
        let ours = "! Error org.freedesktop.DBus.Error.NoReply: a signal has no reply\n= 1";
        for order in ["--type=signal --print-reply", "--print-reply --type=signal"] {
            let line = format!("--reply-timeout=100 {order} /a a.b.c");
            tool.check(&Case::new(&line).differs(OWN_WORDS, ours));
        }
    });
}

// tools.md D046
#[test]
fn numbers_with_points_are_read_as_in_c() {
    send(|tool, bus| {
        let mut watcher = bus.connect();
        watcher.add_match("type='signal',interface='a.b'");
        for number in [
            "1.5x",
            "x",
            "0x1p3",
            "-0X1.8P-1z",
            "0x",
            "0x.",
            "0x.8p",
            "0x1p-1074",
            "0x1p-1075",
            "0x1p1024",
            "1e999",
            "1e-320",
            "' 1'",
            "inf",
            "infinityx",
            "-inf",
            "0x1.00000000000018p0",
        ] {
            let case = Case::new(&format!("/o a.b.C double:{number}"));
            let sent = tool.programs().map(|program| {
                assert_eq!(program.run(&case), "= 0", "{number}");
                watcher.next().body
            });
            let sent: Vec<_> = sent.collect();
            assert_eq!(sent.last(), sent.first(), "{number}: left is ours");
        }
    });
}

// tools.md D046
#[test]
fn contents_that_are_wrong() {
    send(|tool, _| {
        let contents = [
            "boolean:yes",
            "boolean:True",
            "boolean:1",
            "sig:a",
            "signature:a",
            "array:foo:1",
            "array:",
            "array:string",
            "array:array:string:a",
            "array:boolean:x",
            "dict:string:int32:a,1,b",
            "dict:string:int32:a",
            "dict:string:int32",
            "dict:string",
            "dict:foo:int32:a,1",
            "dict:string:foo:a,1",
            "dict:variant:string:int32:1,a",
            "dict:string:array:a,1",
            "variant:foo:5",
            "variant:5",
            "variant:",
            "variant:array:string:a,b",
            "string",
            "''",
            "foo",
            "--help",
            "--session",
            "--dest=a.b",
            "array::a boolean:x",
            "dict:foo:bar",
            "dict:foo",
            "dict::foo",
            "string:ok boolean:x",
        ];
        for content in contents {
            tool.check(&Case::new(&format!("/o a.b.Sig {content}")));
        }
        for (content, ours) in [
            ("objpath:a", "Object path was not valid: 'a'"),
            ("objpath:", "Object path was not valid: ''"),
            ("array:objpath:/a,b", "Object path was not valid: 'b'"),
        ] {
            let ours = format!("! dbus-send: {ours}\n= 1");
            tool.check(&Case::new(&format!("/o a.b.Sig {content}")).differs(CRASHES, &ours));
        }
        let ours = "! dbus-send: an argument is not UTF-8\n= 1";
        tool.check(&Case::new("/o a.b.Sig").word(b"string:\xff").differs(CRASHES, ours));
        let ours = "! dbus-send: Data item \"1\" is badly formed\n= 1";
        tool.check(&Case::new("/o a.b.Sig array:variant:1").differs(NEWER, ours));
    });
}

#[test]
fn who_reads_no_reply_is_told_nothing() {
    send(|tool, _| {
        let mut command = limited(&tool.ours.command(&to_bus("")));
        let (unread, out) = std::io::pipe().unwrap();
        drop(unread);
        let ended = command.stdin(Stdio::null()).stdout(out).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
        assert_eq!(ended.status.code(), Some(0));
    });
}
