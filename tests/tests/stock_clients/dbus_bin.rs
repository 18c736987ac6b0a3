//! The reference project's own programs: `dbus-send`, `dbus-monitor`, `dbus-run-session`,
//! `dbus-test-tool`.

use bus_tests::harness::{Daemon, Running};

use crate::peer::PAYLOAD_SIZE;
use crate::roles::CROWD;
use crate::scene::Scene;

const SEND: &str = "dbus-send --session --print-reply --dest=org.example.Peer /org/example/Peer";
const NOTICED: &str = "/org/example/Peer org.example.Peer.Noticed";
const ECHO: &str = "com.example.Echo";

pub(crate) const SEND_CASES: &[(&str, fn())] = &[
    ("call and reply", call),
    ("error", error),
    ("address on the command line", address),
    ("introspect", introspect),
    ("8 MiB reply", large_reply),
    ("100 at once", send_crowd),
];

pub(crate) const MONITOR_CASES: &[(&str, fn())] = &[
    ("sees a call and its reply", monitor_call),
    ("sees signals to all and to one", monitor_signals),
    ("profile", profile),
];

pub(crate) const RUN_SESSION_CASES: &[(&str, fn())] =
    &[("starts our daemon with --session", run_session), ("passes the exit code on", exit_code)];

pub(crate) const TEST_TOOL_CASES: &[(&str, fn())] = &[
    ("echo answers", echo),
    ("spam of 1000 calls", spam),
    ("spam with 8 MiB", large_spam),
    ("spam, reconnecting", reconnecting_spam),
    ("100 spams at once", spam_crowd),
    ("black hole does not answer", black_hole),
    ("black hole that does not read", full_black_hole),
];

fn call() {
    let ended = Scene::new().run(&format!("{SEND} org.example.Peer.Echo string:hello"));
    ended.prints(&["method return", "string \"hello\""]);
}

fn error() {
    let ended = Scene::new().run(&format!("{SEND} org.example.Peer.Fail"));
    ended.fails_with(&["Error org.example.Error.Refused: refused on purpose"]);
}

fn address() {
    let scene = Scene::new();
    let call = SEND.replace("--session", &format!("--bus={}", scene.address()));
    scene.run(&format!("{call} org.example.Peer.Echo string:hello")).prints(&["string \"hello\""]);
}

fn introspect() {
    let ended = Scene::new().run(&format!("{SEND} org.freedesktop.DBus.Introspectable.Introspect"));
    ended.prints(&["<method name=\"EchoBytes\">", "<signal name=\"Noticed\">"]);
}

fn large_reply() {
    let send = SEND.replace("--print-reply", "--print-reply=literal");
    let reply = Scene::new().run(&format!("{send} org.example.Peer.Pad uint32:{PAYLOAD_SIZE}"));
    assert_eq!(reply.succeeds().matches('x').count(), PAYLOAD_SIZE);
}

fn send_crowd() {
    Scene::new().crowd(CROWD, &format!("{SEND} org.example.Peer.Echo string:hello"));
}

/// Becoming a monitor costs the unique name: the last signal to the client itself.
fn start_monitor(scene: &Scene, arguments: &str) -> Running {
    let monitor = scene.start_line(&format!("dbus-monitor --session {arguments}"));
    monitor.prints("NameLost");
    monitor
}

fn monitor_call() {
    let scene = Scene::new();
    let monitor = start_monitor(&scene, "path=/org/example/Peer type=method_return");
    scene.run(&format!("{SEND} org.example.Peer.Echo string:watched")).succeeds();
    monitor.prints("interface=org.example.Peer; member=Echo");
    monitor.prints("string \"watched\"");
    monitor.prints("method return");
    monitor.prints("string \"watched\"");
}

fn monitor_signals() {
    let scene = Scene::new();
    let monitor = start_monitor(&scene, "interface=org.example.Peer");
    scene.run(&format!("dbus-send --session {NOTICED} string:all")).succeeds();
    monitor.prints("destination=(null destination)");
    monitor.prints("string \"all\"");
    let unicast = format!("dbus-send --session --dest=org.example.Peer {NOTICED} string:one");
    scene.run(&unicast).succeeds();
    monitor.prints("destination=org.example.Peer");
    monitor.prints("string \"one\"");
}

fn profile() {
    let scene = Scene::new();
    let monitor = start_monitor(&scene, "--profile");
    scene.run(&format!("{SEND} org.example.Peer.Echo string:watched")).succeeds();
    monitor.prints("\torg.example.Peer\tEcho");
    monitor.prints("mr\t");
}

fn run_session_line(command: &str) -> String {
    let daemon = Daemon::ours().program;
    format!("dbus-run-session --dbus-daemon={} -- {command}", daemon.display())
}

fn run_session() {
    let call = "dbus-send --session --print-reply --dest=org.freedesktop.DBus \
                /org/freedesktop/DBus org.freedesktop.DBus.NameHasOwner \
                string:org.freedesktop.DBus";
    Scene::empty().run(&run_session_line(call)).prints(&["boolean true"]);
}

fn exit_code() {
    // without arguments, its usage error
    let ended = Scene::empty().run(&run_session_line("grep"));
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
}

fn start_tool(scene: &Scene, mode: &str, name: &str) -> Running {
    let tool = scene.start_line(&format!("dbus-test-tool {mode} --name={name}"));
    scene.wait_for_name(name);
    tool
}

fn echo() {
    let scene = Scene::empty();
    let _echo = start_tool(&scene, "echo", ECHO);
    let call = format!("dbus-send --session --print-reply --dest={ECHO} / com.example.Any");
    scene.run(&format!("{call} string:x")).prints(&["method return"]);
}

/// Spams the echoing tool with `input` as the payload, if the options say so.
fn spam_echo(options: &str, input: &[u8]) {
    let scene = Scene::empty();
    let _echo = start_tool(&scene, "echo", ECHO);
    scene.run_with_input(&format!("dbus-test-tool spam --dest={ECHO} {options}"), input).succeeds();
}

fn spam() {
    spam_echo("--count=1000 --queue=50", &[]);
}

fn large_spam() {
    spam_echo("--count=3 --stdin", &vec![b'x'; PAYLOAD_SIZE]);
}

fn reconnecting_spam() {
    spam_echo("--count=200 --messages-per-conn=2", &[]);
}

fn spam_crowd() {
    let scene = Scene::empty();
    let _echo = start_tool(&scene, "echo", ECHO);
    scene.crowd(CROWD, &format!("dbus-test-tool spam --dest={ECHO} --count=20 --queue=5"));
}

fn black_hole() {
    let scene = Scene::empty();
    let hole = start_tool(&scene, "black-hole", "com.example.Hole");
    let call = "dbus-send --session --print-reply --dest=com.example.Hole";
    let ended = scene.run(&format!("{call} --reply-timeout=100 / com.example.Any"));
    ended.fails_with(&["org.freedesktop.DBus.Error.NoReply"]);
    drop(hole);
    let ended = scene.run(&format!("{call} / com.example.Any"));
    ended.fails_with(&["org.freedesktop.DBus.Error.ServiceUnknown"]);
}

fn full_black_hole() {
    let scene = Scene::new();
    let _hole = start_tool(&scene, "black-hole --no-read", "com.example.Hole");
    let spam = "dbus-test-tool spam --dest=com.example.Hole --count=2000 --no-reply";
    scene.run(spam).succeeds();
    // nobody else is held up
    scene.run(&format!("{SEND} org.example.Peer.Echo string:hello")).prints(&["\"hello\""]);
}
