//! Which bus `busctl` talks to, and how long it waits (tools.md D015, D025, D028).

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use bus_tests::harness::{Running, run};

use super::transcript::{Scene, Which};

/// What a program that stands in for `program` is called with.
fn words_for(scene: &Scene, which: Which, program: &str, words: &[&str]) -> String {
    let folder = scene.bus.dir.join("stand-in");
    fs::create_dir_all(&folder).unwrap();
    let (script, record) = (folder.join(program), folder.join("record"));
    let text = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > {}\n", record.display());
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = scene.command(which, words);
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", folder.display()));
    // It is nobody that answers.
    run(&command, b"").fails_with(&["Failed to "]);
    let recorded = fs::read_to_string(&record).unwrap();
    fs::remove_file(&record).unwrap();
    recorded
}

#[test]
fn other_machines_are_reached_by_ssh() {
    let Some(scene) = Scene::new("busctl") else { return };
    for host in ["example.org", "me@example.org"] {
        let words = ["--host", host, "list"];
        let [ours, theirs] =
            [Which::Ours, Which::Original].map(|which| words_for(&scene, which, "ssh", &words));
        // Where there is no systemd ours has another bridge.
        let bridge = "systemd-stdio-bridge";
        assert!(ours.contains(bridge), "{ours}");
        let words_before = |words: &str| words.lines().take(3).collect::<Vec<_>>().join(" ");
        assert_eq!(words_before(&ours), words_before(&theirs));
        assert!(theirs.ends_with(&format!("example.org\n{bridge}\n")), "{theirs}");
    }
}

#[test]
fn users_of_containers_are_reached_by_systemd() {
    let Some(scene) = Scene::new("busctl") else { return };
    for words in [
        &["-M", "me@box", "list"][..],
        &["--user", "-M", "me@box", "list"],
        &["--user", "--machine=me@.host", "list"],
    ] {
        let [ours, theirs] = [Which::Ours, Which::Original]
            .map(|which| words_for(&scene, which, "systemd-run", words));
        assert!(ours.contains("-pUser=me\n"), "{ours}");
        assert_eq!(ours, theirs);
    }
}

#[test]
fn a_bus_that_is_not_there_yet_is_waited_for() {
    let Some(scene) = Scene::new("busctl") else { return };
    let late = scene.bus.dir.join("late");
    let address = format!("--address=unix:path={}", late.display());
    let words = |watches| [watches, address.as_str(), "--acquired", "list"];
    let ended = scene.run(Which::Ours, &words("--watch-bind=no"));
    ended.fails_with(&["Failed to connect to bus: No such file or directory"]);
    let mut command = scene.command(Which::Ours, &words("--watch-bind=yes"));
    let mut waiting = Running::start(&mut command);
    // It has looked for the bus before it pauses.
    scene.bus.wait_until("its pause", || state(waiting.pid()) == Some('S'));
    symlink(scene.bus.dir.join("bus"), &late).unwrap();
    waiting.prints("org.freedesktop.DBus");
    assert_eq!(waiting.wait().code(), Some(0));
}

/// What a process does (proc(5)): `S` if it sleeps, `Z` if it has ended.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.chars().next()
}

#[test]
fn the_usual_time_is_said_by_the_environment() {
    let Some(scene) = Scene::new("busctl") else { return };
    let words =
        ["--user", "call", "org.example.Peer", "/org/example/Peer", "org.example.Zeta", "Never"];
    let [ours, theirs] = [Which::Ours, Which::Original].map(|which| {
        let mut command = scene.command(which, &words);
        scene.told(&run(command.env("SYSTEMD_BUS_TIMEOUT", "50ms"), b""))
    });
    assert_eq!(ours, theirs);
    assert!(ours.contains("Connection timed out"), "{ours}");
}

#[test]
fn a_bus_of_a_capsule_is_where_systemd_has_it() {
    let Some(scene) = Scene::new("busctl") else { return };
    let ended = scene.run(Which::Ours, &["-C", "nobody", "list"]);
    ended.fails_with(&["Failed to connect to bus: No such file or directory"]);
    let ended = scene.run(Which::Ours, &["--capsule=no/name", "list"]);
    ended.fails_with(&["Invalid capsule name: no/name"]);
}
