//! `dbus-monitor` (tools.md D048–D050), and by it what dbus-send really sends (D046, D074).

use std::ffi::OsString;

use bus_tests::harness::{Bus, Config};
use libbus::blocking::{Builder, Connection};
use libbus::limits::MESSAGE_SIZE_MAX;
use libbus::message::Message;
use libbus::wire::frame;

use super::transcript::{Case, Program, Tool, normalised, replaced};
use super::{on_bus, on_bus_with, service};

/// A bus on which nobody may be a monitor.
const NO_MONITORS: Config = Config {
    elements: "<policy context=\"mandatory\"><deny send_interface=\"org.freedesktop.DBus.Monitoring\"/></policy>",
    ..Config::SESSION
};

/// The signal after which nothing is looked at.
const END: &str = "TheEnd";

pub(super) fn connect(bus: &Bus) -> Connection {
    Builder::address(bus.addresses().next().unwrap()).unwrap().build().unwrap()
}

/// What a monitor prints from its beginning until the signal at the end of what `act` does.
pub(super) fn watched(
    program: &Program,
    case: &Case,
    bus: &Bus,
    act: impl Fn(&Connection),
) -> Vec<u8> {
    // One for all, which stays as long as the bus: the next one to watch could see its end, and late, since a process
    // that another test is starting has its descriptor as well.
    let connection: &Connection = Box::leak(Box::new(connect(bus)));
    let mut monitor = program.start(case);
    // What the bus says last to one that has become a monitor, or first to one that has not.
    monitor.read_until(if has_monitors(bus) { "NameLost" } else { "NameAcquired" });
    act(connection);
    connection.emit_signal(None, "/end", "org.example.End", END, &()).unwrap();
    monitor.read_until(END);
    std::mem::take(&mut monitor.out)
}

fn has_monitors(bus: &Bus) -> bool {
    !std::fs::read_to_string(bus.dir.join("bus.conf")).unwrap().contains("Monitoring")
}

/// Both see the same.
fn check_watching(tool: &Tool, case: &Case, bus: &Bus, act: impl Fn(&Connection)) -> String {
    let seen: Vec<String> = tool
        .programs()
        .map(|program| {
            let out = watched(program, case, bus, &act);
            let text = normalised(&String::from_utf8_lossy(&out));
            replaced(&text, " port ", |c| c.is_ascii_digit(), " port P")
        })
        .collect();
    assert_eq!(seen.last(), seen.first(), "{case:?}: left is ours");
    seen.last().unwrap().clone()
}

fn some_messages(connection: &Connection) {
    let name = Some(service::NAME);
    let interface = Some("org.example.I");
    for method in ["Basic", "Bytes", "Containers", "Descriptors", "Other"] {
        connection.call_method(name, "/a", interface, method, &("x", 5u32)).unwrap();
    }
    for method in ["Fail", "FailSilently"] {
        connection.call_method(name, "/a", interface, method, &()).unwrap_err();
    }
    connection.call_method(name, "/a", None::<&str>, "NoInterface", &()).unwrap();
    connection.emit_signal(None, "/a", "org.example.I", "Changed", &("text", 1u8)).unwrap();
}

#[test]
fn messages_are_printed() {
    on_bus("dbus-monitor", |tool, bus| {
        service::start(bus);
        for line in ["", "--monitor", "--session", "--profile --monitor", "''"] {
            let seen = check_watching(tool, &Case::new(line), bus, some_messages);
            assert!(seen.contains("interface=org.example.I; member=Changed"), "{seen}");
            assert!(seen.contains("interface=(null); member=NoInterface"), "{seen}");
        }
        let rules = "path=/a type='signal',interface='org.example.End'";
        let seen = check_watching(tool, &Case::new(rules), bus, some_messages);
        assert!(!seen.contains("method return"), "{seen}");
        let address = Case::new(&format!("--address {}", bus.addresses().next().unwrap()));
        check_watching(tool, &address, bus, some_messages);
    });
}

// tools.md D049
#[test]
fn profiles_have_a_line_for_each_message() {
    on_bus("dbus-monitor", |tool, bus| {
        service::start(bus);
        // Times and serials are columns of their own here.
        let columns = |out: &[u8]| {
            let text = String::from_utf8_lossy(out).into_owned();
            let lines = text.lines().map(|line| {
                let mut columns: Vec<&str> = line.split('\t').collect();
                if !line.starts_with('#') {
                    assert!(columns[1].parse::<f64>().is_ok() && columns[2].parse::<u32>().is_ok());
                    let digits = columns[1].split_once('.').unwrap().1.len();
                    assert_eq!(digits, 6, "{line}");
                    columns[1] = "T";
                    columns[2] = "N";
                }
                normalised(&columns.join("\t"))
            });
            lines.collect::<Vec<String>>()
        };
        let case = Case::new("--profile");
        let seen: Vec<_> = tool
            .programs()
            .map(|program| columns(&watched(program, &case, bus, some_messages)))
            .collect();
        assert_eq!(seen.last(), seen.first(), "left is ours");
        let wanted = "mc\tT\tN\t:1.N\torg.example.Values\t/a\t<none>\tNoInterface";
        assert!(seen.last().unwrap().iter().any(|line| line == wanted), "{seen:?}");
    });
}

// tools.md D050
#[test]
fn captures_hold_the_messages_as_they_are() {
    on_bus("dbus-monitor", |tool, bus| {
        service::start(bus);
        for mode in ["--pcap", "--binary"] {
            let case = Case::new(mode);
            let files: Vec<Vec<u8>> = tool
                .programs()
                .map(|program| watched(program, &case, bus, some_messages))
                .collect();
            let (old, ours) = (files.first().unwrap(), files.last().unwrap());
            if mode == "--pcap" {
                assert_eq!(old[..24], ours[..24], "the header of the file");
            }
            assert_eq!(members(old), members(ours), "{mode}");
            assert!(members(ours).contains(&"Containers".to_owned()));
        }
    });
}

/// The members of a capture's messages, in order; the last one may not have been read whole.
fn members(file: &[u8]) -> Vec<String> {
    let is_pcap = file.starts_with(&0xa1b2_c3d4_u32.to_ne_bytes());
    let mut rest = if is_pcap { &file[24..] } else { file };
    let mut members = Vec::new();
    loop {
        rest = if is_pcap { rest.get(16..).unwrap_or_default() } else { rest };
        let Ok(Some(frame)) = frame(rest, MESSAGE_SIZE_MAX) else { return members };
        let Some((message, after)) = rest.split_at_checked(frame.message_size()) else {
            return members;
        };
        let message = Message::from_bytes(message.to_vec()).unwrap();
        members.extend(message.member().map(|name| name.as_str().to_owned()));
        rest = after;
    }
}

#[test]
fn where_nobody_may_be_a_monitor_rules_are_asked_for() {
    on_bus_with(&NO_MONITORS, "dbus-monitor", |tool, bus| {
        let act = |connection: &Connection| {
            connection.emit_signal(None, "/a", "org.example.I", "Changed", &("text", 1u8)).unwrap();
        };
        for line in ["", "path=/a path=/end", "--pcap", "--binary interface=org.example.End"] {
            let case = Case::new(line);
            if line.starts_with("--") {
                let old_and_ours: Vec<_> = tool
                    .programs()
                    .map(|program| members(&watched(program, &case, bus, act)))
                    .collect();
                assert_eq!(old_and_ours.first(), old_and_ours.last());
                continue;
            }
            let seen = check_watching(tool, &case, bus, act);
            assert!(seen.contains("member=Changed"), "{seen}");
        }
    });
}

#[test]
fn options_and_their_errors() {
    on_bus("dbus-monitor", |tool, _| {
        tool.check_all(
            [
                "--help",
                "-h",
                "foo --help",
                "--monitor --help",
                "--bogus",
                "--version",
                "-x",
                "--address",
                "--address=x",
                "--address unix:path=/no/where",
                "--system",
                "--session --address unix:path=/no/where",
                "--address unix:path=/no/where --session",
                "--session --system",
                "--session --session",
                "--address unix:path=/a --address unix:path=/b",
                "foo",
                "type='foo'",
                "type='signal' foo",
                "--profile foo",
                "--monitor --profile --monitor foo",
                "sender='a'",
                "-- foo",
            ]
            .map(Case::new),
        );
        let ours = "! Failed to open connection to x: the bus's address is wrong: the address has no ':'\n= 1";
        let reason = "libdbus makes up this text itself";
        tool.check(&Case::new("--address x").differs(reason, ours));
    });
}

/// The end of the bus is the end of a monitor, and no failure.
#[test]
fn monitors_end_with_their_bus() {
    for mode in ["", "--profile"] {
        let ours = last_line(mode, |tool| Some(&tool.ours)).unwrap();
        assert!(ours.ends_with("Disconnected"), "{ours}");
        if let Some(old) = last_line(mode, |tool| tool.old.as_ref()) {
            assert_eq!(ours, old, "{mode}");
        }
    }
}

fn last_line(mode: &str, which: impl FnOnce(&Tool) -> Option<&Program>) -> Option<String> {
    let mut last = None;
    on_bus("dbus-monitor", |tool, bus| {
        let Some(program) = which(tool) else { return };
        let mut monitor = program.start(&Case::new(mode));
        monitor.read_until("NameLost");
        assert!(bus.terminate());
        let (code, out, errors) = monitor.wait();
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{mode}");
        let line = String::from_utf8(out).unwrap().lines().last().unwrap().to_owned();
        let line = replaced(&line, " time=", |c| c.is_ascii_digit() || c == '.', " time=T");
        last = Some(replaced(&line, "sig\t", |c| c.is_ascii_digit() || c == '.', "sig\tT"));
    });
    last
}

/// What dbus-send sends, seen by one monitor: the same from both, but what only newer ones can.
#[test]
fn contents_of_what_is_sent() {
    on_bus("dbus-send", |tool, bus| {
        let monitor = Tool::new("dbus-monitor", bus);
        let contents = [
            "string: string:a:b :x int16:5 uint16:5 int32:-5 uint32:5 int64:5 uint64:5 double:1.5 byte:5 \
             boolean:true boolean:false objpath:/a",
            "int16:99999 int16:-99999 uint16:-1 int32:0x10 int32:010 int32:abc int32: int32:5x uint32:-5 \
             int64:99999999999999999999 uint64:-1 byte:300 byte:-1 byte:x byte:0x1f 'int32: 5' 'int32:5 '",
            "double:abc double: double:1.5x double:nan double:-inf double:1e-3",
            "array:string:a,b,c array:string: array:string:a,,b 'array:string:a b,c d' array:int32:1,x \
             array:byte:97,98 array:byte:97,98,0 array:byte:1 array:objpath:/a,/b \
             array:boolean:true,false array:double:1,2.5 array::x",
            "dict:string:int32:a,1,b,2 dict:string:int32: dict:double:string:1.5,x dict:string:string:a,b,",
            "variant:string:x variant:int32:5",
        ];
        for content in contents {
            let case = Case::new(&format!("--type=signal /o org.example.I.Sent {content}"));
            let seen: Vec<String> = tool
                .programs()
                .map(|program| {
                    let rules = Case::new("path=/o path=/end");
                    let send = |_: &Connection| assert_eq!(program.run(&case), "= 0");
                    let out = watched(&monitor.ours, &rules, bus, send);
                    normalised(&String::from_utf8_lossy(&out))
                })
                .collect();
            assert_eq!(seen.last(), seen.first(), "{content}: left is ours");
            assert!(seen.last().unwrap().contains("member=Sent"), "{seen:?}");
        }
    });
}

// tools.md D046: of 1.16; D074
#[test]
fn variants_in_containers_and_calls_without_a_reply_are_sent() {
    on_bus("dbus-send", |tool, bus| {
        service::start(bus);
        let monitor = Tool::new("dbus-monitor", bus);
        let sent = |words: &str| {
            let case = Case::new(words);
            let send = |_: &Connection| assert_eq!(tool.ours.run(&case), "= 0");
            let out = watched(
                &monitor.ours,
                &Case::of(["path=/o", "path=/end"].map(OsString::from)),
                bus,
                send,
            );
            normalised(&String::from_utf8_lossy(&out))
        };
        let seen = sent(
            "/o a.b.Sent array:variant:int32:1,string:x dict:string:variant:k,boolean:true variant:variant:byte:1",
        );
        let wanted = "   array [
      variant          int32 1
      variant          string \"x\"
   ]
   array [
      dict entry(
         string \"k\"
         variant             boolean true
      )
   ]
   variant       variant          byte 1
";
        assert!(seen.contains(wanted), "{seen}");
        // As large as it is, it is written before the command ends.
        let long = "x".repeat(100_000);
        let call =
            format!("--type=method_call --dest={} /o a.b.Other string:{long}", service::NAME);
        let seen = sent(&call);
        assert!(seen.contains("member=Other\n   string \"xxx"), "it did not come");
        assert!(!seen.contains("method return"), "nobody is asked for a reply");
    });
}
