//! Old commands, and a bus that means them harm: nothing that it says drives a terminal or ends them.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::thread;

use bus_tests::harness::{
    Client, Ended, Folder, Message, RawClient, Running, Value, bus_command, field, run,
    skip_without,
};

/// What clears a terminal, and what is seen of it.
const CLEAR: &str = "\u{1b}[2J";
const SEEN: &str = "\\033[2J";

/// Listens in a folder, and answers each call with what this makes of it.
struct HostileBus(Folder);

impl HostileBus {
    fn start(answer: fn(&Message) -> Message) -> Self {
        let folder = Folder::new();
        let listener = UnixListener::bind(folder.join("bus")).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || serve(stream, answer));
            }
        });
        Self(folder)
    }

    fn address(&self) -> String {
        format!("unix:path={}", self.0.join("bus").display())
    }

    /// An old command, for which this is the bus of the session.
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(bus_command());
        command.arg("compat").args(line.split(' '));
        self.surround(&mut command);
        command
    }

    /// The same, run in a terminal to its end.
    fn in_terminal(&self, line: &str) -> Ended {
        let line = format!("{} compat {line}", bus_command().display());
        let mut command = Command::new("script");
        command.args(["-q", "-e", "-c", &line, "/dev/null"]);
        self.surround(&mut command);
        run(&command, b"")
    }

    fn surround(&self, command: &mut Command) {
        command.env("DBUS_SESSION_BUS_ADDRESS", self.address());
        command.envs([("NO_COLOR", "1"), ("PAGER", "cat"), ("SHELL", "/bin/sh")]);
        command.env_remove("SYSTEMD_PAGER");
    }
}

fn serve(stream: UnixStream, answer: fn(&Message) -> Message) {
    let mut raw = RawClient::new(stream);
    while let Some(line) = raw.read_line() {
        match line.trim_start_matches('\0').split(' ').next() {
            Some("AUTH") => raw.send(b"OK 0123456789abcdef0123456789abcdef\r\n"),
            Some("NEGOTIATE_UNIX_FD") => raw.send(b"AGREE_UNIX_FD\r\n"),
            _ => break,
        }
    }
    let mut client = Client::unregistered(raw);
    while let Some(call) = client.next_or_end() {
        // Who calls has no name here.
        let answer = answer(&call).without(field::DESTINATION);
        client.send(&answer.with(field::SENDER, "org.freedesktop.DBus"));
    }
}

fn refuse(call: &Message) -> Message {
    Message::error(call, "org.freedesktop.DBus.Error.Failed").arg(format!("no{CLEAR}").as_str())
}

/// It has a name that clears the terminal, and so has everybody's owner.
fn name(call: &Message) -> Message {
    let reply = Message::method_return(call);
    match call.member().as_str() {
        "Hello" => reply.arg(":1.1"),
        "ListNames" => reply.arg(Value::strings(&[&format!("org.example{CLEAR}"), ":1.1"])),
        "GetNameOwner" => reply.arg(format!(":1.2{CLEAR}").as_str()),
        "AddMatch" => reply,
        _ => refuse(call),
    }
}

/// Its objects have a method whose name std does not pad.
fn introspect(call: &Message) -> Message {
    let reply = Message::method_return(call);
    let argument = "<arg type='s' name='x' direction='in'/>";
    match call.member().as_str() {
        "Hello" => reply.arg(":1.1"),
        "Introspect" => reply.arg(
            format!(
                "<node><interface name='a.b'><method name='{}'>{argument}{argument}</method>\
                 </interface></node>",
                "M".repeat(65_535)
            )
            .as_str(),
        ),
        _ => refuse(call),
    }
}

#[track_caller]
fn is_harmless(ended: &Ended, code: i32, said: &str) {
    let text = &ended.stdout;
    assert!(text.contains(said) && text.contains(SEEN), "{text:?}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert_eq!(ended.code, Some(code), "{text:?}");
}

#[test]
fn a_bus_that_refuses_does_not_drive_the_terminal() {
    if !Path::new("/usr/bin/script").is_file() {
        return skip_without("script");
    }
    let bus = HostileBus::start(refuse);
    for (line, code, said) in [
        ("dbus-send / a.b.c", 1, "Failed to open connection to \"session\" message bus: no"),
        ("dbus-monitor", 1, "Failed to open connection to session bus: no"),
        ("dbus-test-tool echo", 1, "Failed to connect to bus: "),
        ("dbus-update-activation-environment A=1", 71, "unable to connect to D-Bus: no"),
    ] {
        is_harmless(&bus.in_terminal(line), code, said);
    }
    // A file gets it as it is.
    let said = run(&bus.command("dbus-send / a.b.c"), b"").stderr;
    assert!(said.contains(&format!("no{CLEAR}\n")), "{said:?}");
}

#[test]
fn names_do_not_drive_the_terminal() {
    if !Path::new("/usr/bin/script").is_file() {
        return skip_without("script");
    }
    let bus = HostileBus::start(name);
    let line = format!("busctl --address={} tree", bus.address());
    is_harmless(&bus.in_terminal(&line), 1, "Service org.example\\033[2J:");
    let line = format!("gdbus monitor --address {} --dest org.example.A", bus.address());
    let watching = Running::start(&mut bus.command(&line));
    watching.prints("The name org.example.A is owned by :1.2\\033[2J");
}

#[test]
fn names_may_be_longer_than_std_pads() {
    let bus = HostileBus::start(introspect);
    let line = format!("gdbus introspect --address {} --dest a.b --object-path /", bus.address());
    let text = run(&bus.command(&line), b"").succeeds();
    let wanted = format!("      {}(in  s x,\n{}in  s x);\n", "M".repeat(65_535), " ".repeat(262));
    assert!(text.contains(&wanted), "{}", text.len());
}

// tools.md D066
#[test]
fn who_may_not_see_all_is_told_who_may_on_this_bus() {
    let bus = HostileBus::start(name);
    let mut command = Command::new(bus_command());
    command.args(["--timeout=1", "monitor", "-a", &bus.address()]);
    let said = run(&command, b"").stderr;
    let hint = format!("sudo bus --address={} monitor\n", bus.address());
    assert!(said.contains(&hint), "{said:?}");
}
