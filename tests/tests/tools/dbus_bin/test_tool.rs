//! `dbus-test-tool` (tools.md D056): old and ours call each other.

use std::num::NonZeroU32;

use bus_tests::harness::{Bus, Config};
use libbus::blocking::Connection;
use libbus::names::{BusName, InterfaceName, MemberName, ObjectPath};
use libbus::wire::{Header, MessageType, Signature, write_message};

use super::monitor::{connect, watched};
use super::on_bus_with;
use super::transcript::{Case, Program, Started, Tool, normalised};

const ECHO: &str = "org.example.Echo";
const BLACK_HOLE: &str = "org.example.BlackHole";

/// As many calls may be under way as on the session buses that users have.
const CONFIG: Config =
    Config { limits: &[("max_replies_per_connection", 50_000)], ..Config::SESSION };

fn test_tool(test: impl FnOnce(&Tool, &Bus)) {
    on_bus_with(&CONFIG, "dbus-test-tool", test);
}

/// Starts it, and waits until it has its name.
fn start(program: &Program, bus: &Bus, line: &str, name: &str) -> Started {
    let started = program.start(&Case::new(&format!("{line} --name={name}")));
    let connection = connect(bus);
    bus.wait_until(name, || has_owner(&connection, name));
    started
}

/// By a signal: its own end, or that of the timeout(1) around it.
const fn was_terminated(code: Option<i32>) -> bool {
    matches!(code, None | Some(143))
}

fn has_owner(connection: &Connection, name: &str) -> bool {
    connection.bus().call("NameHasOwner", name).unwrap()
}

#[test]
fn options_and_their_errors() {
    test_tool(|tool, _| {
        for line in [
            "",
            "--help",
            "-h",
            "--version",
            "foo",
            "foo --help",
            "spam --bogus",
            "spam --help",
            "spam x",
            "echo x",
            "echo --bogus",
            "echo --help",
            "black-hole x",
            "black-hole --bogus",
            "spam --count=x",
            "spam --count=0",
            "spam --count=-1",
            "spam --count=",
            "spam --count",
            "spam --count 3",
            "spam --queue=0",
            "spam --queue=x",
            "spam --payload=x --stdin",
            "spam --stdin --message-stdin",
            "spam --stdin --random-size",
            "spam --string=x",
            "echo --no-read",
            "black-hole --sleep-ms=5",
        ] {
            let case = Case::new(line);
            tool.check_code(&case);
            assert_eq!(tool.ours.run_raw(&case).0, 2, "{line}");
        }
        let reason = "Debian's system bus is at /run, ours is asked for by a variable of this test";
        for mode in ["spam", "echo", "black-hole"] {
            let case = Case::new(&format!("{mode} --system"));
            assert!(tool.check(&case).ends_with("= 1"), "{reason}");
        }
    });
}

#[test]
fn errors_of_calls_are_told() {
    test_tool(|tool, _| {
        tool.check_all(
            [
                "spam",
                "spam --count=3",
                "spam --session --count=3",
                "spam --ignore-errors",
                "spam --ignore-errors --count=3",
                "spam --no-reply --count=5",
                "spam --flood --count=5",
                "spam --queue=2 --count=5",
                "spam --messages-per-conn=2 --count=5",
                "spam --messages-per-conn=0 --count=2",
                "spam --dest=no.such --count=2",
                "spam --dest=no.such --ignore-errors --count=2",
                "spam --count=2x",
            ]
            .map(Case::new),
        );
    });
}

#[test]
fn all_is_echoed() {
    test_tool(|tool, bus| {
        for echoing in tool.programs() {
            let echo = start(echoing, bus, "echo", ECHO);
            for line in [
                "",
                "--count=300 --queue=7",
                "--count=300 --flood",
                "--count=5 --no-reply",
                "--count=9 --messages-per-conn=2",
                "--count=9 --messages-per-conn=2 --queue=5",
                "--string --bytes --empty",
                "--payload=x --bytes",
                "--seed=5 --count=2",
                "--seed=",
            ] {
                let case = Case::new(&format!("spam --dest={ECHO} {line}"));
                assert_eq!(tool.check(&case), "= 0");
            }
            for (line, input) in [
                ("--stdin", "text"),
                ("--stdin --bytes", "bytes"),
                ("--random-size --count=5", "10 20\n30"),
                ("--random-size --count=5 --seed=1", "10 20"),
                ("--random-size --empty", "10"),
                ("--random-size --bytes", "100000"),
            ] {
                let case = Case::new(&format!("spam --dest={ECHO} {line}")).input(input.as_bytes());
                assert_eq!(tool.check(&case), "= 0");
            }
            let connection = connect(bus);
            let peer = Some("org.freedesktop.DBus.Peer");
            connection.call_method(Some(ECHO), "/", peer, "Ping", &()).unwrap();
            let id = connection.call_method(Some(ECHO), "/", peer, "GetMachineId", &()).unwrap();
            assert_eq!(id.deserialize::<&str>().unwrap().len(), 32);
            // Its name is taken.
            for mode in ["echo", "black-hole"] {
                let said = tool.check(&Case::new(&format!("{mode} --name={ECHO}")));
                assert_eq!(said, format!("! failed to take bus name {ECHO}\n= 1"));
            }
            echo.terminate();
            let (code, out, errors) = echo.wait();
            assert!(was_terminated(code), "{code:?}");
            assert_eq!((out.len(), errors.as_str()), (0, ""));
            let connection = connect(bus);
            bus.wait_until("it is gone", || !has_owner(&connection, ECHO));
        }
    });
}

#[test]
fn replies_come_after_a_pause() {
    test_tool(|tool, bus| {
        let _echo = start(&tool.ours, bus, "echo --sleep-ms=50", ECHO);
        let begin = std::time::Instant::now();
        assert_eq!(tool.ours.run(&Case::new(&format!("spam --dest={ECHO} --count=3"))), "= 0");
        assert!(begin.elapsed().as_millis() >= 150);
    });
}

fn template() -> Vec<u8> {
    let mut header = Header::new(MessageType::MethodCall, NonZeroU32::MIN);
    header.path = Some(ObjectPath::from_static("/template"));
    header.interface = Some(InterfaceName::from_static("org.example.Template"));
    header.member = Some(MemberName::from_static("Call"));
    header.destination = Some(BusName::parse(ECHO).unwrap());
    header.signature = Signature::from_static("su");
    let mut bytes = Vec::new();
    write_message(&header, &mut bytes, |body| {
        body.string("text");
        body.uint32(5);
    });
    bytes
}

/// What is sent, as a monitor sees it.
#[test]
fn calls_carry_what_is_said() {
    test_tool(|tool, bus| {
        let _echo = start(&tool.ours, bus, "echo", ECHO);
        let monitor = Tool::new("dbus-monitor", bus);
        let rules = Case::new("interface=com.example interface=org.example.Template path=/end");
        for (line, input) in [
            ("--count=2", Vec::new()),
            ("--payload=hi --flood --count=2", Vec::new()),
            ("--bytes", Vec::new()),
            ("--empty", Vec::new()),
            ("--stdin", b"from there".to_vec()),
            ("--random-size", b"10".to_vec()),
            ("--random-size --bytes", b"10".to_vec()),
            ("--message-stdin --count=2", template()),
        ] {
            let case = Case::new(&format!("spam --dest={ECHO} {line}")).input(&input);
            let seen: Vec<String> = tool
                .programs()
                .map(|program| {
                    let out = watched(&monitor.ours, &rules, bus, |_| {
                        assert_eq!(program.run(&case), "= 0", "{line}");
                    });
                    normalised(&String::from_utf8_lossy(&out))
                })
                .collect();
            assert_eq!(seen.last(), seen.first(), "{line}: left is ours");
        }
    });
}

#[test]
fn what_cannot_be_sent_is_told() {
    test_tool(|tool, _| {
        let ours = |line: &str, input: &[u8]| tool.ours.run(&Case::new(line).input(input));
        let crashes = "! what is sent as a string must be UTF-8 without NUL\n= 1";
        assert_eq!(ours("spam --stdin", b"fo\xff"), crashes);
        assert_eq!(ours("spam --random-size", b""), "! there are no sizes on standard input\n= 1");
        assert_eq!(ours("spam --random-size", b"-5"), "! no string is as long as \"-5\" says\n= 1");
        for input in [b"".as_slice(), b"foo"] {
            let said = ours("spam --message-stdin", input);
            assert!(said.starts_with("! Unable to demarshal template message: "), "{said}");
            assert!(said.ends_with("= 1"), "{said}");
        }
        let said = ours("spam --dest=bad", b"");
        assert!(said.starts_with("! dbus-test-tool: ") && said.ends_with("= 1"), "{said}");
    });
}

fn call(connection: &Connection, member: &str, interface: &str) -> bool {
    let call = libbus::MethodCall::new("/", member).unwrap().destination(BLACK_HOLE).unwrap();
    let call = call.interface(interface).unwrap();
    let call = call.timeout(Some(std::time::Duration::from_millis(100)));
    connection.call(&call, &()).is_ok()
}

#[test]
fn a_black_hole_answers_nobody() {
    test_tool(|tool, bus| {
        for program in tool.programs() {
            let hole = start(program, bus, "black-hole", BLACK_HOLE);
            let connection = connect(bus);
            // As in libdbus this much is answered.
            assert!(call(&connection, "Ping", "org.freedesktop.DBus.Peer"));
            assert!(!call(&connection, "Any", "org.example.Any"));
            let case = Case::new(&format!("spam --dest={BLACK_HOLE} --no-reply --count=50"));
            assert_eq!(tool.check(&case), "= 0");
            hole.terminate();
            assert!(was_terminated(hole.wait().0));
            bus.wait_until("it is gone", || !has_owner(&connection, BLACK_HOLE));
            let deaf = start(program, bus, "black-hole --no-read", BLACK_HOLE);
            assert!(!call(&connection, "Ping", "org.freedesktop.DBus.Peer"));
            deaf.terminate();
            drop(deaf);
            bus.wait_until("it is gone", || !has_owner(&connection, BLACK_HOLE));
        }
    });
}

#[test]
fn it_ends_with_the_bus() {
    for mode in ["echo", "black-hole"] {
        test_tool(|tool, bus| {
            let program = start(&tool.ours, bus, mode, ECHO);
            assert!(bus.terminate());
            let (code, out, errors) = program.wait();
            assert_eq!((code, out.len(), errors.as_str()), (Some(1), 0, ""));
        });
    }
}
