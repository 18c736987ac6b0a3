//! What `busctl` does until it is ended: monitor, capture, wait (tools.md D003, D004, D009, D017, D027, D034).

use bus_tests::harness::Running;

use super::transcript::{Scene, Which};

const PEER: [&str; 3] = ["org.example.Peer", "/org/example/Peer", "org.example.Zeta"];

/// Something that is seen.
fn call(scene: &Scene, member: &str, arguments: &[&str]) {
    let words = [&["--user", "call"], &PEER[..], &[member], arguments].concat();
    let _ = scene.run(Which::Original, &words);
}

fn emit(scene: &Scene, member: &str) {
    scene.run(Which::Original, &["--user", "emit", "/a", "a.b", member, "s", "text"]).succeeds();
}

/// What a monitor with these options prints of what `act` does, which ends with the signal `a.b.End`.
fn seen(
    scene: &Scene,
    which: Which,
    options: &[&str],
    colours: Option<&str>,
    act: impl Fn(),
) -> String {
    let words = [&["--user"][..], options].concat();
    let mut command = scene.command(which, &words);
    match colours {
        Some(colours) => command.env("SYSTEMD_COLORS", colours),
        None => command.env_remove("SYSTEMD_COLORS"),
    };
    let monitor = Running::start(&mut command);
    monitor.prints("Monitoring bus message stream.");
    act();
    emit(scene, "End");
    let mut text = String::new();
    loop {
        let line = monitor.prints("");
        let is_last = ["Member=End", "Member=\u{1b}[0;1;39mEnd", "\"End\""];
        let is_last = is_last.iter().any(|end| line.contains(end));
        text += &scene.alike(&format!("{line}\n"), "");
        if is_last {
            return text;
        }
    }
}

fn compare(options: &[&str], act: impl Fn(&Scene)) -> String {
    compare_with(options, None, act)
}

fn compare_with(options: &[&str], colours: Option<&str>, act: impl Fn(&Scene)) -> String {
    let Some(scene) = Scene::new("busctl") else { return String::new() };
    let [ours, theirs] = [Which::Ours, Which::Original]
        .map(|which| seen(&scene, which, options, colours, || act(&scene)));
    for (ours, theirs) in ours.lines().zip(theirs.lines()) {
        assert_eq!(ours, theirs, "{options:?}");
    }
    assert_eq!(ours, theirs, "{options:?}");
    ours
}

#[test]
fn messages_are_shown_as_they_pass() {
    let text = compare(&["monitor"], |scene| {
        call(scene, "Echo", &["sa{sv}", "a\n'\u{1}", "1", "k", "i", "1"]);
        call(scene, "Fail", &[]);
        call(scene, "FailSilently", &[]);
        call(scene, "Notify", &[]);
        call(scene, "Echo", &[]);
    });
    assert!(text.is_empty() || text.contains("ErrorMessage=\"refused on purpose\""), "{text}");
}

// tools.md D028
#[test]
fn messages_have_colours_where_they_are_wanted() {
    let text = compare_with(&["monitor"], Some("1"), |scene| {
        call(scene, "Echo", &["sya{sv}", "a\n'\u{1}", "1", "1", "k", "i", "1"]);
        call(scene, "Fail", &[]);
        call(scene, "FailSilently", &[]);
        call(scene, "Notify", &[]);
    });
    let error = "ErrorMessage=\u{1b}[0;1;31m\"refused on purpose\"";
    assert!(text.is_empty() || text.contains(error), "{text}");
}

#[test]
fn messages_are_shown_as_json() {
    for mode in ["--json=short", "--json=pretty", "-j"] {
        let options = [mode, "--match=member='End'", "monitor", "org.example.Peer"];
        let text = compare(&options, |scene| {
            call(scene, "Echo", &["sa{sv}", "a\n'\u{1}", "1", "k", "i", "1"]);
            call(scene, "Fail", &[]);
            call(scene, "Notify", &[]);
        });
        assert!(text.is_empty() || text.contains("org.example.Error.Refused"), "{text}");
    }
}

#[test]
fn one_service_is_watched() {
    let options = ["--match=interface='a.b',member='End'", "monitor", "org.example.Peer"];
    let text = compare(&options, |scene| {
        emit(scene, "Other");
        call(scene, "Echo", &["s", "x"]);
    });
    assert!(!text.contains("Member=Other"), "{text}");
}

#[test]
fn what_cannot_be_watched_is_told() {
    let Some(scene) = Scene::new("busctl") else { return };
    scene.compare(
        &[
            &["--user", "monitor", "bad"],
            &["--user", "--match=bad", "monitor"],
            &["--user", "--match=type='nonsense'", "monitor"],
            &["monitor"],
        ],
        &[],
    );
}

#[test]
fn a_monitor_sees_the_end_of_the_bus() {
    let end = |which, colours| {
        let scene = Scene::new("busctl")?;
        let mut command = scene.command(which, &["--user", "monitor"]);
        let mut monitor = Running::start(command.env("SYSTEMD_COLORS", colours));
        monitor.prints("Monitoring bus message stream.");
        scene.bus.terminate();
        let status = monitor.wait();
        let lines = monitor.last_lines();
        assert!(lines.iter().any(|line| line == "Connection terminated, exiting."), "{lines:?}");
        let first = lines.iter().position(|line| line.contains("Cookie=-1")).unwrap();
        // It is on the other stream, of which the lines come as they come.
        let lines = lines[first..].iter().filter(|line| !line.starts_with("Connection"));
        let text: Vec<String> = lines.map(|line| scene.alike(&format!("{line}\n"), "")).collect();
        scene.service.join();
        Some((status.code(), text))
    };
    for colours in ["0", "1"] {
        assert_eq!(end(Which::Ours, colours), end(Which::Original, colours));
    }
}

// tools.md D027: as the manual pages of later versions have it.
#[test]
fn a_monitor_ends_after_so_many_messages_or_so_long() {
    let Some(scene) = Scene::new("busctl") else { return };
    let words = ["--user", "-N", "2", "--match=interface='a.b'", "monitor"];
    let mut monitor = Running::start(&mut scene.command(Which::Ours, &words));
    monitor.prints("Monitoring bus message stream.");
    emit(&scene, "One");
    emit(&scene, "Two");
    assert_eq!(monitor.wait().code(), Some(0));
    // The two streams come as they come.
    let lines = monitor.last_lines().join("\n");
    for part in
        ["Member=One", "Member=Two", "Received requested maximum number of messages, exiting."]
    {
        assert!(lines.contains(part), "{lines}");
    }
    let ended =
        scene.run(Which::Ours, &["--user", "--timeout=50ms", "--match=member='No'", "monitor"]);
    assert!(ended.stderr.ends_with("Timed out waiting for messages, exiting.\n"));
    assert_eq!(ended.succeeds(), "");
    for wrong in ["0", "x", ""] {
        scene
            .run(Which::Ours, &["--user", "-N", wrong, "monitor"])
            .fails_with(&["--limit-messages"]);
    }
}

// tools.md D009
#[test]
fn a_signal_is_waited_for() {
    let Some(scene) = Scene::new("busctl") else { return };
    for (options, wanted) in [
        (&[][..], "ii 3 4"),
        (&["--json=short"], r#"{"type":"ii","data":[3,4]}"#),
        (&["--verbose"], "MESSAGE \"ii\" {"),
    ] {
        for sender in [&["org.example.Peer"][..], &[]] {
            let signal = ["/org/example/Peer", "org.example.Zeta", "Moved"];
            let words = [&["--user"][..], options, &["wait"], sender, &signal].concat();
            let socket = scene.bus.dir.join("notify");
            let told = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
            told.set_read_timeout(Some(bus_tests::harness::DEADLINE)).unwrap();
            let mut command = scene.command(Which::Ours, &words);
            let mut waiting = Running::start(command.env("NOTIFY_SOCKET", &socket));
            let mut bytes = [0; 64];
            let size = told.recv(&mut bytes).unwrap();
            assert!(bytes[..size].starts_with(b"READY=1"));
            std::fs::remove_file(&socket).unwrap();
            call(&scene, "Notify", &[]);
            waiting.prints(wanted);
            assert_eq!(waiting.wait().code(), Some(0));
        }
    }
    let words = ["--user", "--timeout=50ms", "wait", "/a", "a.b", "C"];
    assert_eq!(scene.run(Which::Ours, &words).succeeds(), "");
    for (words, why) in [
        (["bad", "/a", "a.b", "C"], "Invalid service name: bad"),
        (["a.b", "a", "a.b", "C"], "Invalid object path: a"),
        (["a.b", "/a", "ab", "C"], "Invalid interface name: ab"),
        (["a.b", "/a", "a.b", "C.D"], "Invalid member name: C.D"),
    ] {
        let words = [&["--user", "wait"][..], &words].concat();
        scene.run(Which::Ours, &words).fails_with(&[why]);
    }
}

// tools.md D004, D018
#[test]
fn messages_are_captured() {
    let Some(scene) = Scene::new("busctl") else { return };
    let capture = |which, size: &str| {
        let words = ["--user", size, "--match=interface='a.b'", "capture"];
        let file = scene.bus.dir.join("capture");
        let mut command = scene.command(which, &words);
        command.stdout(std::fs::File::create(&file).unwrap());
        command.stderr(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
        std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
        assert_eq!(line, "Monitoring bus message stream.\n");
        emit(&scene, "One");
        emit(&scene, "Two");
        // Both are there when the second is: its block ends with its length.
        scene
            .bus
            .wait_until("both are captured", || packets(&std::fs::read(&file).unwrap()).len() == 2);
        child.kill().unwrap();
        child.wait().unwrap();
        packets(&std::fs::read(&file).unwrap())
    };
    for size in ["--size=4096", "--size=40"] {
        let shape = |which| {
            let packets = capture(which, size);
            packets.iter().map(|(size, bytes)| (*size, bytes.len())).collect::<Vec<_>>()
        };
        assert_eq!(shape(Which::Ours), shape(Which::Original), "{size}");
    }
}

/// The packets of a pcapng file: how long they were, and what is kept of them.
fn packets(bytes: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let number = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let mut packets = Vec::new();
    let mut at = 0;
    while let (Some(kind), Some(size)) = (number(at), number(at + 4)) {
        if bytes.len() < at + size as usize {
            break;
        }
        if kind == 6 {
            let (kept, whole) = (number(at + 20).unwrap(), number(at + 24).unwrap());
            packets.push((whole, bytes[at + 28..at + 28 + kept as usize].to_vec()));
        }
        at += size as usize;
    }
    packets
}
