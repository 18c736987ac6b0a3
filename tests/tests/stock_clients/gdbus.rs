//! GLib's `gdbus`.

use crate::peer::{NAME, PAYLOAD_SIZE};
use crate::roles::CROWD;
use crate::scene::Scene;

const CALL: &str = "gdbus call --session -d org.example.Peer -o /org/example/Peer -m";

pub(crate) const CASES: &[(&str, fn())] = &[
    ("call and reply", call),
    ("error", error),
    ("address on the command line", address),
    ("introspect", introspect),
    ("8 MiB reply", large_reply),
    ("descriptor to the service", descriptor),
    ("monitor sees a broadcast", broadcast),
    ("emit to all and to one", emit),
    ("wait for a name", wait),
    ("100 at once", crowd),
];

fn call() {
    Scene::new().run(&format!("{CALL} org.example.Peer.Echo hello")).prints(&["('hello',)"]);
}

fn error() {
    let ended = Scene::new().run(&format!("{CALL} org.example.Peer.Fail"));
    ended.fails_with(&["org.example.Error.Refused: refused on purpose"]);
}

fn address() {
    let scene = Scene::new();
    let bus = "-d org.freedesktop.DBus -o /org/freedesktop/DBus -m org.freedesktop.DBus";
    scene
        .run(&format!(
            "gdbus call --address {} {bus}.NameHasOwner org.example.Peer",
            scene.address()
        ))
        .prints(&["(true,)"]);
}

fn introspect() {
    let scene = Scene::new();
    scene.run("gdbus introspect --session -d org.example.Peer -o /org/example/Peer").prints(&[
        "interface org.example.Peer {",
        "EchoBytes(in  ay data",
        "Noticed(s text);",
        "readonly s Colour = 'blue';",
    ]);
    scene
        .run("gdbus introspect --session -d org.freedesktop.DBus -o /org/freedesktop/DBus")
        .prints(&["interface org.freedesktop.DBus {", "RequestName(", "NameOwnerChanged("]);
}

fn large_reply() {
    let reply = Scene::new().run(&format!("{CALL} org.example.Peer.Pad {PAYLOAD_SIZE}"));
    assert_eq!(reply.succeeds().len(), PAYLOAD_SIZE + "('',)\n".len());
}

fn descriptor() {
    let call = format!("{CALL} org.example.Peer.ReadFd 0");
    Scene::new().run_with_input(&call, b"through a pipe").prints(&["('through a pipe',)"]);
}

fn broadcast() {
    let scene = Scene::new();
    let monitor = scene.start_line("gdbus monitor --session -d org.example.Peer");
    monitor.prints("is owned by");
    scene.run(&format!("{CALL} org.example.Peer.Notify ding")).succeeds();
    monitor.prints("/org/example/Peer: org.example.Peer.Noticed ('ding',)");
}

fn emit() {
    let scene = Scene::new();
    let monitor = scene.start_line("dbus-monitor --session type=signal,member=Noticed");
    monitor.prints("member=NameLost");
    let emit = "gdbus emit --session -o /org/example/Peer -s org.example.Peer.Noticed";
    scene.run(&format!("{emit} all")).succeeds();
    monitor.prints("destination=(null destination)");
    monitor.prints("string \"all\"");
    // gdbus takes a unique name only
    let owner = scene.owner_of(NAME);
    scene.run(&format!("{emit} -d {owner} one")).succeeds();
    monitor.prints(&format!("destination={owner}"));
    monitor.prints("string \"one\"");
}

fn wait() {
    let scene = Scene::empty();
    scene.run("gdbus wait --session --timeout 1 org.example.Nobody").fails_with(&[]);
    Scene::new().run("gdbus wait --session --timeout 30 org.example.Peer").succeeds();
}

fn crowd() {
    Scene::new().crowd(CROWD, &format!("{CALL} org.example.Peer.Echo hello"));
}
