//! systemd's `busctl`, by `--user` and by `--address=`.

use crate::peer::PAYLOAD_SIZE;
use crate::roles::CROWD;
use crate::scene::Scene;

const OBJECT: &str = "org.example.Peer /org/example/Peer";
const PEER: &str = "org.example.Peer /org/example/Peer org.example.Peer";

pub(crate) const CASES: &[(&str, fn())] = &[
    ("call and reply", call),
    ("error", error),
    ("address on the command line", address),
    ("property", property),
    ("introspect", introspect),
    ("tree", tree),
    ("list", list),
    ("status", status),
    ("8 MiB reply", large_reply),
    ("descriptor from the service", descriptor),
    ("emit to all and to one", emit),
    ("monitor sees a call and its reply", monitor),
    ("100 at once", crowd),
];

fn call() {
    Scene::new().run(&format!("busctl --user call {PEER} Echo s hello")).prints(&["s \"hello\"\n"]);
}

fn error() {
    let ended = Scene::new().run(&format!("busctl --user call {PEER} Fail"));
    ended.fails_with(&["Call failed: refused on purpose"]);
}

fn address() {
    let scene = Scene::new();
    let call = format!("busctl --address={} call {PEER} Echo s hello", scene.address());
    scene.run(&call).prints(&["s \"hello\"\n"]);
}

fn property() {
    let ended = Scene::new().run(&format!("busctl --user get-property {PEER} Colour"));
    ended.prints(&["s \"blue\"\n"]);
}

fn introspect() {
    let scene = Scene::new();
    let ended = scene.run(&format!("busctl --user introspect {OBJECT}"));
    ended.prints(&["org.example.Peer", ".EchoBytes", ".Noticed", "\"blue\""]);
    let ended = scene.run("busctl --user introspect org.freedesktop.DBus /org/freedesktop/DBus");
    ended.prints(&[".RequestName", ".NameOwnerChanged", ".Features"]);
}

fn tree() {
    let ended = Scene::new().run("busctl --user --list tree org.example.Peer");
    ended.prints(&["/\n", "/org\n", "/org/example\n", "/org/example/Peer\n"]);
}

fn list() {
    let ended = Scene::new().run("busctl --user list --unique --acquired");
    ended.prints(&["org.example.Peer", "org.freedesktop.DBus", ":1."]);
}

fn status() {
    let ended = Scene::new().run("busctl --user status org.example.Peer");
    ended.prints(&["PID=", "EUID=", "UniqueName=:1."]);
}

fn large_reply() {
    let reply = Scene::new().run(&format!("busctl --user call {PEER} Pad u {PAYLOAD_SIZE}"));
    assert_eq!(reply.succeeds().len(), PAYLOAD_SIZE + "s \"\"\n".len());
}

fn descriptor() {
    let ended = Scene::new().run(&format!("busctl --user call {PEER} OpenFd s text"));
    assert!(ended.succeeds().starts_with("h "), "a descriptor number");
}

fn emit() {
    let scene = Scene::empty();
    let monitor = scene.start_line("busctl --user monitor");
    monitor.prints("Monitoring bus message stream.");
    let emit = "emit /org/example/Peer org.example.Peer Noticed s";
    scene.run(&format!("busctl --user {emit} all")).succeeds();
    monitor.prints("Member=Noticed");
    monitor.prints("STRING \"all\"");
    let to_bus = "--destination=org.freedesktop.DBus";
    scene.run(&format!("busctl --user {to_bus} {emit} one")).succeeds();
    monitor.prints("Destination=org.freedesktop.DBus  Path=/org/example/Peer");
    monitor.prints("STRING \"one\"");
}

fn monitor() {
    let scene = Scene::new();
    let monitor = scene.start_line("busctl --user monitor org.example.Peer");
    monitor.prints("Monitoring bus message stream.");
    scene.run(&format!("busctl --user call {PEER} Echo s watched")).succeeds();
    monitor.prints("Type=method_call");
    monitor.prints("STRING \"watched\"");
    monitor.prints("Type=method_return");
    monitor.prints("STRING \"watched\"");
}

fn crowd() {
    Scene::new().crowd(CROWD, &format!("busctl --user call {PEER} Echo s hello"));
}
