//! What `gdbus` does (tools.md D035–D040).

use std::path::Path;
use std::process::Command;

use bus_tests::harness::{Running, run, skip_without};

use super::service::NAME;
use super::transcript::{Difference, Scene, Which};

/// `PEER` is the object; the words of a line are split at blanks, and a `␣` is a blank in a word.
fn check(lines: &[&str], differences: &[Difference<'_>]) {
    let Some(scene) = Scene::new("gdbus") else { return };
    check_on(&scene, lines, differences);
}

fn words_of(line: &str) -> Vec<String> {
    let line = line.replace("PEER", "-d org.example.Peer -o /org/example/Peer");
    line.split(' ').map(|word| word.replace('␣', " ")).collect()
}

fn check_on(scene: &Scene, lines: &[&str], differences: &[Difference<'_>]) {
    let words: Vec<Vec<String>> = lines.iter().map(|line| words_of(line)).collect();
    let words: Vec<Vec<&str>> =
        words.iter().map(|words| words.iter().map(String::as_str).collect()).collect();
    let words: Vec<&[&str]> = words.iter().map(Vec::as_slice).collect();
    scene.compare(&words, differences);
}

// tools.md D037
#[test]
fn call_takes_and_prints_gvariant_text() {
    check(
        &[
            "call -e PEER -m org.example.Alpha.Div 7 2",
            "call -e PEER -m org.example.Alpha.Div -- -7 2",
            "call -e PEER -m org.example.Zeta.Old",
            "call -e PEER -m org.example.Zeta.Echo <5>",
            "call --session --dest org.example.Peer --object-path=/org/example/Peer --method org.example.Zeta.Old",
            "call -e PEER -m org.example.Zeta.Quiet {} ['a']",
            "call -e PEER -m org.example.Zeta.Quiet",
            "call -e PEER -m org.example.Alpha.Texts a␣b /a as",
            "call -e PEER -m org.example.Alpha.Texts 'a' '/a' 'as'",
            "call -e PEER -m org.example.Alpha.Texts it's /a as",
            "call -e PEER -m org.example.Zeta.Other 5 'a' abc ['x'] {'k':␣<uint32␣5>} (1,'a')",
            "call -e PEER -m org.example.Zeta.Other 1.5 true b'x' [byte␣1,2] objectpath␣'/a' signature␣'as'",
            "call -e PEER -m org.example.Zeta.Other <<1>> [<1>,<'b'>] 5000000000 int64␣5 (1,) @as␣[] 1e3 nan <-nan>",
            "call -e PEER -m org.example.Zeta.Other [1,2 byte␣300 uint32␣-1  ␣",
            "call -e PEER -m org.freedesktop.DBus.Properties.Get org.example.Zeta Dict",
            "call -e PEER -m org.freedesktop.DBus.Properties.GetAll org.example.Zeta",
            "call -e -d org.freedesktop.DBus -o /org/freedesktop/DBus -m org.freedesktop.DBus.NameHasOwner org.example.Peer",
            "call -e PEER -i -m org.example.Zeta.Old",
            "call -e PEER -t 5 -m org.example.Zeta.Old",
            "call -e -d org.example.Peer -o /nope -m a.b.C 5",
            "call -e PEER -m org.example.Alpha.Texts a /a as b",
        ],
        &[],
    );
}

const CLEARER: &str = "what is wrong with a text is told in our own words";

// tools.md D037, D040
#[test]
fn call_says_what_is_wrong() {
    check(
        &[
            "call",
            "call -e",
            "call -e -d org.example.Peer",
            "call -e PEER",
            "call -e PEER -m Foo",
            "call PEER -m a.b.C",
            "call -e -y PEER -m a.b.C",
            "call -e --system=3",
            "call -e -d bad -o / -m a.b.C",
            "call -e -d a.b -o x -m a.b.C",
            "call -e PEER -m org.example.Zeta.Fail",
            "call -e PEER -m org.example.Zeta.FailEmpty",
            "call -e PEER -m org.example.Zeta.Access",
            "call -e PEER -m org.example.Zeta.Never -t 1",
            "call -e -d org.example.Nobody -o / -m a.b.C",
            "call -e -d org.example.Nobody -o / -m a.b.C 1",
            "call -a unix:path=/no/such/bus PEER -m a.b.C",
            "call -a bogus PEER -m a.b.C",
            "call -y PEER -m a.b.C",
            "call -e PEER -m org.example.Alpha.Div 7 x",
            "call -e PEER -m org.example.Zeta.Quiet {'a'} x",
        ],
        &[
            Difference {
                case: "call -e -d org.example.Peer -o /org/example/Peer -m org.example.Alpha.Div 7 x",
                reason: CLEARER,
                code: 1,
                prints: "Error parsing parameter 2 of type “i”: ",
            },
            Difference {
                case: "call -e -d org.example.Peer -o /org/example/Peer -m org.example.Zeta.Quiet {'a'} x",
                reason: CLEARER,
                code: 1,
                prints: ":\n  {'a'}\n      ^\n",
            },
        ],
    );
}

// tools.md D040
#[test]
fn wrong_options_are_answered_by_how_it_is_used() {
    let Some(scene) = Scene::new("gdbus") else { return };
    for line in [
        "",
        "bogus",
        "-h",
        "--help",
        "call --help",
        "call -h",
        "call -e PEER --bogus",
        "call -e -d",
        "call -t",
        "call -e PEER -t x -m a.b.C",
        "call -e PEER -m a.b.C -5",
        "call -eZ",
        "emit --help",
        "introspect --help",
        "monitor --help",
        "wait --help",
        "wait -e -t1 a.b",
    ] {
        let words = words_of(line);
        let words: Vec<&str> =
            words.iter().map(String::as_str).filter(|word| !word.is_empty()).collect();
        for which in [Which::Ours, Which::Original] {
            let ended = scene.run(which, &words);
            ended.fails_with(&["Usage:\n  gdbus "]);
        }
    }
    for line in ["help", "help call"] {
        let words = words_of(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        for which in [Which::Ours, Which::Original] {
            scene.run(which, &words).prints(&["Usage:\n  gdbus COMMAND"]);
        }
    }
}

/// What may stand at `|` of each line, and nothing else.
// tools.md D040
#[test]
fn command_lines_are_completed() {
    let Some(scene) = Scene::new("gdbus") else { return };
    let lines = [
        "gdbus |",
        "gdbus c|",
        "|gdbus call --session",
        "gdbus help |",
        "gdbus bogus |",
        "gdbus complete x |",
        "x call |",
        "gdbus call|",
        "gdbus call --s|",
        "gdbus call --system |",
        "gdbus call --system --session |",
        "gdbus call --address |",
        "gdbus wait --address |",
        "gdbus call --address b|ogus",
        "gdbus call --address bogus |",
        "gdbus call --session |",
        "gdbus call -eZ -|",
        "gdbus call -d |",
        "gdbus call --session --bogus=1 |",
        "gdbus call --session --timeout 5 |",
        "gdbus call --session --timeout x |",
        "gdbus call --session --dest |",
        "gdbus call --session --dest o|",
        "gdbus call --session --dest :|",
        "gdbus call --session --dest| org.example.Peer",
        "gdbus call --session --dest o| --object-path",
        "gdbus call --session --dest= |",
        "gdbus call --session --dest org.example.Peer |",
        "gdbus call --session --dest org.example.Peer --dest |",
        "gdbus call --session --dest org.example.Peer --object-path |",
        "gdbus call --session --dest org.example.Peer --object-path x|",
        "gdbus call --session --dest org.example.Peer --object-path /|",
        "gdbus call --session --dest org.example.Peer --object-path /org/example/|",
        "gdbus call --session --dest org.example.Peer --object-path /org/example/Pe|",
        "gdbus call --session --dest org.example.Peer --object-path //|",
        "gdbus call --session --dest org.example.Peer --object-path /5-/|",
        "gdbus call --session --dest org.example.Nobody --object-path |",
        "gdbus call --session --dest 5bad --object-path |",
        "gdbus call --session --dest :1.999 --object-path |",
        "gdbus call --session --dest 'org.example.Peer' --object-path '/org/example/Peer' |",
        "gdbus call --session --dest org.example.Peer --object-path /org/example/Peer --method |",
        "gdbus call --session --dest org.example.Peer --object-path /org/example/Peer --method x|",
        "gdbus call --session --dest org.example.Peer --object-path /org/example/Peer --method a.b.C |",
        "gdbus call --session --dest org.example.Peer --object-path /nope --method |",
        "gdbus call --session --dest org.example.Peer --object-path /broken --method |",
        "gdbus call --session --dest org.example.Peer --method |",
        "gdbus emit --session |",
        "gdbus emit --session --dest |",
        "gdbus emit --session --dest :1.1 |",
        "gdbus emit --session --object-path |",
        "gdbus emit --session --object-path / |",
        "gdbus emit --session --object-path / --signal|",
        "gdbus emit --session --object-path / --signal |",
        "gdbus emit --session --object-path / --signal a.b.C|",
        "gdbus emit --session --object-path / --signal a.b.C |",
        "gdbus emit --session --dest org.example.Peer --object-path /org/|",
        "gdbus emit --session --dest org.example.Peer --object-path /org/example/Peer --signal |",
        "gdbus emit --session --dest org.example.Peer --object-path /org/example/Peer --signal x|",
        "gdbus introspect --session --dest org.example.Peer --object-path /org/|",
        "gdbus introspect --session --dest org.example.Peer --object-path / |",
        "gdbus introspect --session --dest org.example.Peer --object-path / --xml -r |",
        "gdbus introspect --session --dest org.example.Peer --object-path / -rp |",
        "gdbus monitor --session |",
        "gdbus monitor --session --dest |",
        "gdbus monitor --session --dest org.example.Peer |",
        "gdbus monitor --session --dest org.example.Peer --object-path |",
        "gdbus monitor --session --dest org.example.Peer --object-path / |",
        "gdbus wait |",
        "gdbus wait --session |",
        "gdbus wait --session --activate |",
        "gdbus call \"--sess\"ion |",
        "gdbus call --session # --dest |",
        "gdbus call 'x |",
        "gdbus call \\|",
        "# x|",
        " |",
        "|",
    ];
    let cases: Vec<(String, String)> = lines
        .iter()
        .map(|line| {
            let (before, after) = line.split_once('|').unwrap();
            (format!("{before}{after}"), before.len().to_string())
        })
        .chain(["x", "", "5x", "99", "-1"].map(|point| ("gdbus call".into(), point.into())))
        .collect();
    let words: Vec<[&str; 3]> =
        cases.iter().map(|(line, point)| ["complete", line.as_str(), point.as_str()]).collect();
    let words: Vec<&[&str]> = words.iter().map(|words| words.as_slice()).collect();
    let broken = "gdbus call --session --dest org.example.Peer --object-path /broken --method ";
    let broken = format!("complete {broken} {}", broken.len());
    let differences = [Difference {
        case: &broken,
        reason: CLEARER,
        code: 0,
        prints: "Error parsing introspection XML: ",
    }];
    scene.compare(&words, &differences);
    for words in [&["complete"][..], &["complete", "gdbus"], &["complete", "gdbus", "5", "x"]] {
        for which in [Which::Ours, Which::Original] {
            scene.run(which, words).fails_with(&["Unknown command 'complete'", "Usage:"]);
        }
    }
}

// tools.md D035
#[test]
fn objects_are_outlined() {
    check(
        &[
            "introspect -e PEER",
            "introspect -e PEER -p",
            "introspect -e PEER -x",
            "introspect -e PEER -xr",
            "introspect -e -d org.example.Peer -o / -r",
            "introspect -e -d org.example.Peer -o / -r -p",
            "introspect -e -d org.example.Peer -o /z --recurse --only-properties",
            "introspect -e -d org.example.Peer -o /z --xml",
            "introspect -e -d org.example.Peer -o /refusing",
            "introspect -e -d org.example.Peer -o /nope",
            "introspect -e -d org.example.Peer",
            "introspect -e",
            "introspect -e -o /",
            "introspect -e -d bad -o /",
            "introspect -e -d a.b -o x",
            "introspect -e PEER extra",
            "introspect -e -d org.example.Nobody -o /",
            "introspect -d a.b -o /",
        ],
        &[],
    );
}

#[test]
fn outlines_have_colours_where_the_terminal_does() {
    if !Path::new("/usr/bin/script").is_file() {
        return skip_without("script");
    }
    let Some(scene) = Scene::new("gdbus") else { return };
    let name = scene.bus.dir.join("gdbus");
    for (terminal, wanted) in [("xterm", true), ("dumb", false)] {
        let line = words_of("introspect -e PEER").join(" ");
        let line = format!("{} {line}", name.display());
        let mut command = Command::new("script");
        scene.surround(command.args(["-q", "-e", "-c", &line, "/dev/null"]));
        command.env("TERM", terminal).env("SHELL", "/bin/sh").env_remove("NO_COLOR");
        let text = run(&command, b"").succeeds();
        assert!(text.contains("org.example.Zeta"), "{text}");
        assert_eq!(text.contains('\u{1b}'), wanted, "{text:?}");
    }
}

// tools.md D038
#[test]
fn signals_are_emitted() {
    check(
        &[
            "emit -e -o /a -s a.b.C",
            "emit -e -o /a -s a.b.C 1 'x' abc [1",
            "emit -e -s a.b.C",
            "emit -e -o /a",
            "emit -e -o a -s a.b.C",
            "emit -e -o /a -s C",
            "emit -e -o /a -s a.b.C -d org.example.Peer",
            "emit -e -o /a -s a.b.C -d bad",
            "emit -e -o /a -s a.b.C -d :1.9999",
            "emit -e -o /a -s a.b.C!",
            "emit -o /a -s a.b.C",
            "emit -e",
        ],
        &[],
    );
}

#[test]
fn what_is_emitted_is_the_same() {
    let Some(scene) = Scene::new("gdbus") else { return };
    let mut watcher = scene.bus.connect();
    watcher.add_match("type='signal',interface='a.b'");
    let mut emitted = |which| {
        let words =
            ["emit", "-e", "-o", "/a", "-s", "a.b.C", "1", "'x'", "abc", "[1,2]", "uint32 5", ""];
        scene.run(which, &words).succeeds();
        let signal = watcher.next();
        (signal.path(), signal.member(), signal.flags, signal.body)
    };
    assert_eq!(emitted(Which::Ours), emitted(Which::Original));
}

/// What is printed until the last line has this in it.
fn until(scene: &Scene, monitor: &Running, part: &str) -> String {
    let mut text = String::new();
    loop {
        let line = monitor.prints("");
        text += &scene.alike(&format!("{line}\n"), "");
        if line.contains(part) {
            return text;
        }
    }
}

// tools.md D036
#[test]
fn signals_of_one_service_are_shown() {
    let Some(scene) = Scene::new("gdbus") else { return };
    let notify = |scene: &Scene| {
        scene
            .run(
                Which::Original,
                &words_of("call -e PEER -m org.example.Zeta.Notify")
                    .iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>(),
            )
            .succeeds();
    };
    for (options, last) in [
        (&["-d", NAME][..], "Moved"),
        (&["-d", NAME, "-o", "/org/example/Peer"], "Moved"),
        (&["-d", NAME, "-o", "/other"], "is owned by"),
        (&["-d", &scene.service.unique_name], "Moved"),
        (&["-d", "org.example.Nobody"], "does not have"),
    ] {
        let [ours, theirs] = [Which::Ours, Which::Original].map(|which| {
            let words = [&["monitor", "-e"], options].concat();
            let monitor = Running::start(&mut scene.command(which, &words));
            let mut text = until(&scene, &monitor, "The name");
            if last == "Moved" {
                notify(&scene);
                text += &until(&scene, &monitor, last);
            }
            text
        });
        assert_eq!(ours, theirs, "{options:?}");
        assert!(ours.contains(last), "{ours}");
    }
    check_on(
        &scene,
        &["monitor -e", "monitor -e -d bad", "monitor -e -d a.b -o x", "monitor -d a.b"],
        &[],
    );
}

#[test]
fn owners_come_and_go() {
    let Some(scene) = Scene::new("gdbus") else { return };
    let [ours, theirs] = [Which::Ours, Which::Original].map(|which| {
        let words = ["monitor", "--session", "--dest", "org.example.Late"];
        let mut monitor = Running::start(&mut scene.command(which, &words));
        let mut text = until(&scene, &monitor, "does not have an owner");
        let mut client = scene.bus.connect();
        client.request_name("org.example.Late", 0);
        text += &until(&scene, &monitor, "is owned by");
        client.release_name("org.example.Late");
        text += &until(&scene, &monitor, "does not have an owner");
        drop(client);
        let _ = &mut monitor;
        text
    });
    assert_eq!(ours, theirs);
}

// tools.md D039
#[test]
fn names_are_waited_for() {
    let Some(scene) = Scene::new("gdbus") else { return };
    scene.add_startable();
    check_on(
        &scene,
        &[
            "wait -e",
            "wait -e org.example.Peer",
            "wait -e bad",
            "wait -e :1.0",
            "wait -e -t 1 org.example.Nobody",
            "wait -e a.b c.d",
            "wait a.b",
            "wait -e -t 1 -a bad a.b",
            "wait -e -t 1 --activate=bad org.example.Peer",
            "wait -e -t 1 --activate= a.b",
            "wait -e -t 1 -a org.example.Startable",
            "wait -e -t 1 --activate=org.example.Startable org.example.Peer",
            "wait -e -t 1 --activate=org.example.Peer",
            "wait -e -t 1 -a",
            "wait -e -t 1 -a a.b c.d",
            "wait -e -a -t 1 org.example.Peer",
        ],
        &[],
    );
    // Both are there before the name is.
    for which in [Which::Ours, Which::Original] {
        let mut waiting =
            Running::start(&mut scene.command(which, &["wait", "-e", "org.example.Later"]));
        let mut client = scene.bus.connect();
        scene.bus.wait_until("it waits", || {
            let names = client.call("ListNames", &[]);
            names.body[0].texts().len() > 3
        });
        client.request_name("org.example.Later", 0);
        assert_eq!(waiting.wait().code(), Some(0));
    }
}

// tools.md D037: numbers of open descriptors.
#[test]
fn descriptors_are_sent() {
    check(&["call -e PEER -m org.example.Zeta.Other handle␣0 handle␣1"], &[]);
}

// tools.md D040: a program that is no bus is called without a name, as by GLib 2.78 and later.
#[test]
fn a_program_that_is_no_bus_is_called() {
    let Some(scene) = Scene::new("gdbus") else { return };
    let path = scene.bus.dir.join("peer");
    let address = format!("unix:path={}", path.display());
    let mut listener =
        libbus::blocking::ListenerBuilder::address(&address).unwrap().listen().unwrap();
    let serving = std::thread::spawn(move || {
        let connection = listener.accept().unwrap();
        // Until it has gone.
        let _ = connection.serve();
    });
    let words = ["call", "-a", &address, "-o", "/", "-m", "org.freedesktop.DBus.Peer.Ping"];
    assert_eq!(scene.run(Which::Ours, &words).succeeds(), "()\n");
    serving.join().unwrap();
}
