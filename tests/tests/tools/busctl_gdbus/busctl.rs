//! What `busctl` does and ends (tools.md D001–D033).

use std::path::Path;
use std::process::Command;

use bus_tests::harness::{bus_command, may_make_namespaces, run, skip, skip_without};

use super::transcript::{Difference, Scene, Which};

const SERVICE: &str = "org.example.Peer";
const PATH: &str = "/org/example/Peer";
const ZETA: &str = "org.example.Zeta";

/// Each line with `busctl --user` before it; `PEER` are three words. The words of a line are split at blanks, and a
/// `␣` is a blank in a word.
fn check(lines: &[&str], differences: &[Difference<'_>]) {
    let Some(scene) = Scene::new("busctl") else { return };
    check_on(&scene, lines, differences);
}

fn check_on(scene: &Scene, lines: &[&str], differences: &[Difference<'_>]) {
    let lines: Vec<String> = lines
        .iter()
        .map(|line| line.replace("PEER", &format!("{SERVICE} {PATH} {ZETA}")).replace('∅', ""))
        .collect();
    let words: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            let words = line.split(' ').map(|word| word.replace('␣', " "));
            std::iter::once("--user".to_owned()).chain(words).collect()
        })
        .collect();
    let words: Vec<Vec<&str>> =
        words.iter().map(|words| words.iter().map(String::as_str).collect()).collect();
    let words: Vec<&[&str]> = words.iter().map(Vec::as_slice).collect();
    scene.compare(&words, differences);
}

// tools.md D007, D030, D031
#[test]
fn call_takes_and_prints_values_of_all_types() {
    check(
        &[
            "call PEER Echo s hello",
            "-- call PEER Echo ybnqiuxtdsog 1 true -2 3 -4 5 -6 7 1.5 str /a/b a{sv}",
            "call PEER Echo a{sv}a(ys)v(i)asay 2 a i 5 b as 2 x y 1 1 q v s t 1 0 0",
            "call PEER Echo aas 2 1 a 0",
            "call PEER Echo a{us} 1 5 x",
            "call PEER Echo i 0x10",
            "call PEER Echo i 010",
            "call PEER Echo i 0b11",
            "call PEER Echo t 0o17",
            "call PEER Echo i ␣5",
            "call PEER Echo i +5",
            "call PEER Echo ddddd nan inf 1e100 123456789 0.0001",
            "-- call PEER Echo ddddd 0.00001 -0 100000 1000000 -nan",
            "-- call PEER Echo ddddd 0x1p3 -0X1.8P-1 0x.8 0x1p-1074 ␣0x0p99999999999",
            "-- call PEER Echo dddd nan(ab_1) infinity -INF 0x1.00000000000018p0",
            "call PEER Echo bbbbbb 1 yes y true t on",
            "call PEER Echo bbbbbb 0 no n false f off",
            "call PEER Echo sss \u{7f}\t/ é' \u{202e}\u{1}",
            "call PEER Echo",
            "call PEER Echo ",
            "call PEER Echo  a b",
            "-q call PEER Echo s x",
            "--timeout=1min call PEER Echo s x",
            "--timeout=0 call PEER Echo s x",
            "--timeout=infinity call PEER Echo s x",
            "--expect-reply=no call PEER Fail",
            "--ex=no call PEER Fail",
            "--allow-interactive-authorization=no call PEER Echo s x",
            "call org.freedesktop.DBus / org.freedesktop.DBus NameHasOwner s org.example.Peer",
        ],
        &[],
    );
}

// tools.md D020, D021, D032, D033
#[test]
fn values_are_printed_verbosely_and_as_json() {
    check(
        &[
            "--verbose -- call PEER Echo ybnqiuxtdsog 1 true -2 3 -4 5 -6 7 1.5 s'\" /a/b a{sv}",
            "--verbose call PEER Echo a{sv}a(ys)v(i)asay 2 a i 5 b as 2 x y 1 1 q v s t 1 0 0",
            "--verbose call PEER Echo s a\nb\u{1}",
            "--json=short call PEER Echo a{sv}a(ys)v(i)asay 2 a i 5 b as 2 x y 1 1 q v s t 1 0 0",
            "--json=pretty call PEER Echo a{sv}a(ys)v(i)asay 2 a i 5 b as 2 x y 1 1 q v s t 1 0 0",
            "--json=short -- call PEER Echo ddddddd 1.5 5 0 nan inf -0 1e300",
            "--json=short -- call PEER Echo xt -9223372036854775808 18446744073709551615",
            "--json=short call PEER Echo sss \u{7f}\t\u{c}/\\ é'\" \u{202e}\u{1}",
            "--json=short call PEER Echo a{os}a{gs} 2 /a x /b y 1 s z",
            "--json=short call PEER Echo a{ss} 2 a x a y",
            "-j call PEER Echo b yes",
            "-j call PEER Echo",
            "--json=pretty call PEER Echo a{sv}as 0 0",
            "--json=short call PEER Echo a{nx}a{yaas}a{s(ii)} 0 0 0",
            "--json=pretty call PEER Echo a{nx} 0",
            "--json=off call PEER Echo b yes",
            "--json=help",
            "--json=short call PEER Echo a{us} 1 5 x",
        ],
        &[Difference {
            case: "--user --json=short call org.example.Peer /org/example/Peer org.example.Zeta Echo a{us} 1 5 x",
            reason: "busctl 252 fails where a key is no text, and says nothing",
            code: 0,
            prints: r#"{"type":"a{us}","data":[[[5,"x"]]]}"#,
        }],
    );
}

// tools.md D007, D029, D030
#[test]
fn call_says_what_is_wrong() {
    check(
        &[
            "call PEER Fail",
            "call PEER FailEmpty",
            "call PEER FailSilently",
            "call PEER Access",
            "-q call PEER Fail",
            "--timeout=50ms call PEER Never",
            "call org.example.Nobody / a.b C",
            "call :1.9999 / a.b C",
            "call bad / a.b C",
            "call  / a.b C",
            "call a.b x a.b C",
            "call a.b / ab C",
            "call a.b / a.b C.d",
            "call PEER Echo s",
            "call PEER Echo s a b",
            "call PEER Echo Q 1",
            "call PEER Echo i x",
            "call PEER Echo i 99999999999",
            "call PEER Echo y 256",
            "call PEER Echo b maybe",
            "call PEER Echo n 40000",
            "call PEER Echo q x",
            "call PEER Echo u x",
            "call PEER Echo x x",
            "call PEER Echo t x",
            "call PEER Echo d x",
            "call PEER Echo d 1e999",
            "call PEER Echo d 1,5",
            "call PEER Echo d 1e-320",
            "call PEER Echo d 1e-400",
            "call PEER Echo d 1e999x",
            "call PEER Echo d 0x1p1024",
            "call PEER Echo d 0x1p-1075",
            "call PEER Echo d 0x",
            "call PEER Echo d 0x1p",
            "call PEER Echo d 0x1p3␣",
            "call PEER Echo d nan(",
            "call PEER Echo d infx",
            "call PEER Echo i ",
            "call PEER Echo i 08",
            "call PEER Echo i 0x",
            "call PEER Echo i 5␣",
            "-- call PEER Echo u -1",
            "-- call PEER Echo u -0",
            "-- call PEER Echo i --5",
            "call PEER Echo as x",
            "-- call PEER Echo as -1",
            "call PEER Echo as 2 x",
            "call PEER Echo o x",
            "call PEER Echo g ((",
            "call PEER Echo v xx 1",
            "call PEER Echo v  1",
            "call PEER Echo v s",
            "call PEER Echo v ss 1 2",
            "call PEER Echo a 1",
            "call PEER Echo (s 1",
            "call PEER Echo a{vs} 1 s a b",
            "call PEER Echo a{s} 1 a",
            "call PEER Echo h 99",
        ],
        &[Difference {
            case: "--user call org.example.Peer /org/example/Peer org.example.Zeta Echo h 99",
            reason: "descriptors are taken as busctl 257 takes them",
            code: 1,
            prints: "Failed to find file descriptor '99' among passed file descriptors.",
        }],
    );
}

// tools.md D013, D014, D021–D027
#[test]
fn options_are_read_as_getopt_reads_them() {
    check(
        &[
            "call",
            "call a b c",
            "nonsense",
            "list x",
            "status a b",
            "introspect a b c d",
            "introspect a",
            "emit /a a.b",
            "get-property a.b / a.b",
            "set-property a.b / a.b C",
            "--bogus",
            "--timeout",
            "--timeout=x list",
            "--timeout= list",
            "--timeout=-1 list",
            "--expect-reply=x list",
            "--auto-start=x list",
            "--watch-bind=x list",
            "--augment-creds=x list",
            "--allow-interactive-authorization=x list",
            "--json=x list",
            "--json= list",
            "--json",
            "--size=x list",
            "--size= list",
            "--size=99999999999999999999 list",
            "--size=-1 list",
            "--size=-0K list",
            "--size=-x list",
            "--size=-␣5 list",
            "--size=5K␣ list",
            "--size=16E list",
            "--size=+5 --json=help",
            "--size=␣5␣ --json=help",
            "--match",
            "--destination",
            "--user=x list",
            "-Z",
            "-H",
            "--ac list",
            "--auto",
            "call PEER Echo i -2",
            "-qj call PEER Echo s x",
        ],
        &[],
    );
}

// tools.md D014, D015: what cannot be reached.
#[test]
fn who_is_not_there_is_told() {
    let Some(scene) = Scene::new("busctl") else { return };
    let cases: &[&[&str]] = &[
        &["--system", "list"],
        &["list"],
        &["--address=unix:path=/no/such/bus", "list"],
        &["--address=nonsense", "list"],
        &["--address=bogus:x=y", "list"],
        &["--address=", "call", "a.b", "/", "a.b", "C"],
        &["-M", "", "list"],
        &["--address=tcp:host=127.0.0.1,port=1", "list"],
    ];
    let differences = [
        Difference {
            case: "--address=tcp:host=127.0.0.1,port=1 list",
            reason: "the connection is made before anything is asked",
            code: 1,
            prints: "Failed to connect to bus: Connection refused",
        },
        Difference {
            case: "--address=bogus:x=y list",
            reason: "what is wrong with an address is told",
            code: 1,
            prints: "nobody knows the transport 'bogus'",
        },
    ];
    scene.compare(cases, &differences);
    let without_any = |which| {
        let mut command = scene.command(which, &["--user", "list"]);
        command.env_remove("DBUS_SESSION_BUS_ADDRESS").env_remove("XDG_RUNTIME_DIR");
        scene.told(&bus_tests::harness::run(&command, b""))
    };
    assert_eq!(without_any(Which::Ours), without_any(Which::Original));
}

// tools.md D010
#[test]
fn properties_are_read() {
    check(
        &[
            "get-property PEER Name",
            "get-property PEER Name Const Inv Long Dict",
            "get-property PEER Nix Name",
            "get-property PEER Name Nix",
            "--verbose get-property PEER Name Dict",
            "--json=short get-property PEER Name Dict Inv",
            "--json=pretty get-property PEER Name Dict",
            "-q get-property PEER Name",
            "get-property bad / a.b C",
            "get-property a.b x a.b C",
            "get-property a.b / ab C",
            "get-property a.b / a.b 1/",
        ],
        &[],
    );
}

// tools.md D011
#[test]
fn properties_are_changed() {
    check(
        &[
            "set-property PEER Name s new",
            "get-property PEER Name",
            "set-property PEER Name a{sv} 1 k s v",
            "get-property PEER Name",
            "set-property PEER Name s",
            "set-property PEER Name s a b",
            "set-property bad / a.b C s x",
            "set-property a.b y a.b C s x",
            "set-property a.b / ab C s x",
            "set-property PEER Name  x",
            "set-property PEER Name ss x y",
            "set-property PEER Name q x",
            "set-property org.example.Nobody / a.b C s x",
        ],
        &[],
    );
}

// tools.md D008, D026
#[test]
fn signals_are_emitted() {
    check(
        &[
            "emit /a a.b C",
            "emit /a a.b C s x",
            "emit a a.b C s x",
            "emit /a ab C s x",
            "emit /a a.b C.D s x",
            "--destination=bad emit /a a.b C s x",
            "--destination=org.example.Peer emit /a a.b C s x",
            "emit /a a.b C s",
            "emit /a a.b C s x y",
            "emit /a a.b C  x",
        ],
        &[],
    );
}

// tools.md D006, D013, D022
#[test]
fn objects_are_introspected() {
    let alpha = format!("introspect {SERVICE} {PATH} org.example.Alpha");
    let zeta = format!("introspect {SERVICE} {PATH} {ZETA}");
    let none = format!("introspect {SERVICE} {PATH} org.example.None");
    let all = format!("introspect {SERVICE} {PATH}");
    check(
        &[
            &all,
            &alpha,
            &zeta,
            &none,
            &format!("-l {all}"),
            &format!("--no-legend {all}"),
            &format!("--json=short {alpha}"),
            &format!("--xml-interface {all}"),
            &format!("--xml-interface introspect {SERVICE} /z"),
            &format!("introspect {SERVICE} /z"),
            &format!("--no-legend introspect {SERVICE} /z"),
            &format!("introspect {SERVICE} /refusing"),
            &format!("introspect {SERVICE} /nope"),
            &format!("introspect {SERVICE} nope"),
            "introspect bad /",
            "introspect org.example.Nobody /",
            "introspect org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus",
        ],
        &[],
    );
}

// tools.md D005, D019
#[test]
fn trees_are_drawn() {
    check(
        &[
            "tree org.example.Peer",
            "--list tree org.example.Peer",
            "tree",
            "--list tree",
            "--unique tree",
            "tree org.freedesktop.DBus org.example.Peer",
            "--list tree org.freedesktop.DBus org.example.Peer",
            "tree bad",
            "tree org.example.Nobody",
            "tree org.example.Nobody org.freedesktop.DBus",
            "tree org.freedesktop.DBus",
        ],
        &[],
    );
}

/// What differs in a list: the program that asks, and how wide the columns are for its sake.
fn list_of(scene: &Scene, which: Which, words: &[&str]) -> String {
    let ended = scene.run(which, words);
    let told = scene.told(&ended);
    let ours = scene.bus.pid().to_string();
    let mut lines: Vec<String> = Vec::new();
    for line in told.lines() {
        let line = line.replace(&ours, "DAEMON").replace("busctl ", "bus    ");
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_asker = fields.first() == Some(&":1.N");
        let fields = fields.iter().enumerate().map(|(index, field)| match (is_asker, index) {
            (true, 1) => "PID",
            _ => field,
        });
        lines.push(fields.collect::<Vec<_>>().join(" "));
    }
    lines.join("\n")
}

// tools.md D001, D016, D025
#[test]
fn names_are_listed() {
    let Some(scene) = Scene::new("busctl") else { return };
    scene.add_startable();
    for line in [
        "list",
        "",
        "--no-legend list",
        "--unique list",
        "-l list",
        "--show-machine list",
        "--augment-creds=no list",
    ] {
        let words: Vec<&str> = std::iter::once("--user").chain(line.split_whitespace()).collect();
        let [ours, theirs] =
            [Which::Ours, Which::Original].map(|which| list_of(&scene, which, &words));
        assert_eq!(ours, theirs, "{line}");
        assert!(ours.contains("SERVICE"), "{ours}");
    }
    // Who asks is not in these.
    check_on(
        &scene,
        &[
            "--acquired list",
            "--activatable list",
            "--activatable --acquired list",
            "--json=short --acquired list",
            "--json=pretty --acquired --show-machine list",
            "-j --activatable list",
            "--json=short --no-legend --activatable list",
            "--json=off --activatable list",
        ],
        &[],
    );
}

/// A list without the programs that ask and start the others, which differ between two runs.
fn without_asker(text: &str) -> String {
    let lines = text.split_inclusive('\n').filter(|line| !line.contains(":1.N"));
    lines.filter(|line| !line.starts_with(":1.")).collect()
}

/// Lines, and variables of their terminals.
// tools.md D013, D028
#[test]
fn terminals_have_colours_and_a_width() {
    if !Path::new("/usr/bin/script").is_file() {
        return skip_without("script");
    }
    let Some(scene) = Scene::new("busctl") else { return };
    scene.add_startable();
    let echo = format!("call {SERVICE} {PATH} {ZETA} Echo");
    let lines = [
        "list --acquired".to_owned(),
        "list --activatable --acquired".to_owned(),
        "list --acquired --show-machine".to_owned(),
        "list --acquired --no-legend".to_owned(),
        "list --acquired --full".to_owned(),
        "list --acquired -j".to_owned(),
        "list --acquired --json=short".to_owned(),
        format!("introspect {SERVICE} {PATH}"),
        format!("introspect {SERVICE} {PATH} {ZETA}"),
        format!("introspect {SERVICE} {PATH} --no-legend"),
        format!("introspect {SERVICE} /z"),
        format!("status {SERVICE}"),
        "status".to_owned(),
        "tree".to_owned(),
        format!("tree {SERVICE}"),
        format!("{echo} ysd 1 x 1.5"),
        format!("{echo} ysdbay 1 x 1.5 true 2 1 2 --verbose"),
        format!("{echo} a{{sv}} 1 k s v --verbose"),
        format!("{echo} ysdba{{sv}}as 1 x nan true 1 k i 5 0 -j"),
        format!("{echo} sb x 1 --json=pretty"),
        format!("{echo} sb x 1 --json=short"),
        format!("get-property {SERVICE} {PATH} {ZETA} Const --verbose"),
        format!("call {SERVICE} {PATH} {ZETA} Fail"),
        "nonsense".to_owned(),
        "--bogus".to_owned(),
        "--timeout=x".to_owned(),
    ];
    let terminals: &[&[(&str, Option<&str>)]] = &[
        &[],
        &[("SYSTEMD_COLORS", Some("0"))],
        &[("SYSTEMD_COLORS", Some("16"))],
        &[("SYSTEMD_COLORS", Some("256")), ("COLUMNS", Some("60"))],
        &[("SYSTEMD_COLORS", Some("1")), ("TERM", Some("dumb"))],
        &[("NO_COLOR", Some("")), ("COLUMNS", Some("30"))],
        &[("TERM", Some("dumb")), ("COLUMNS", Some("100"))],
        &[("TERM", None), ("COLUMNS", Some("x"))],
        &[("SYSTEMD_COLORS", Some("x")), ("COLUMNS", Some("1"))],
    ];
    let mut problems = Vec::new();
    for (line, terminal) in
        lines.iter().flat_map(|line| terminals.iter().map(move |it| (line, *it)))
    {
        let words: Vec<&str> = std::iter::once("--user").chain(line.split(' ')).collect();
        let [ours, theirs] = [Which::Ours, Which::Original]
            .map(|which| without_asker(&scene.on_terminal(which, &words, terminal)));
        if ours != theirs {
            problems.push(format!(
                "{line} {terminal:?}\nthe original: {theirs:?}\nours:         {ours:?}\n"
            ));
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    // Without a terminal the same counts.
    for (name, value) in [("SYSTEMD_COLORS", "1"), ("SYSTEMD_COLORS", "16"), ("COLUMNS", "40")] {
        for line in ["list --acquired", "-j list --acquired", "status org.example.Peer", "nonsense"]
        {
            let words: Vec<&str> = std::iter::once("--user").chain(line.split(' ')).collect();
            let [ours, theirs] = [Which::Ours, Which::Original].map(|which| {
                let mut command = scene.command(which, &words);
                command.env_remove("COLUMNS").env_remove("SYSTEMD_COLORS").env(name, value);
                scene.told(&run(&command, b""))
            });
            assert_eq!(ours, theirs, "{name}={value} {line}");
        }
    }
}

/// Neither the old name nor ours starts a pager on a terminal that can do nothing.
#[test]
fn a_dumb_terminal_has_no_pager() {
    if !Path::new("/usr/bin/script").is_file() {
        return skip_without("script");
    }
    let Some(scene) = Scene::new("busctl") else { return };
    let pager = scene.bus.dir.join("pager");
    std::fs::write(&pager, "#!/bin/sh\necho paged\ncat\n").unwrap();
    std::fs::set_permissions(&pager, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let pager = pager.to_str();
    let paged = |program: &str, words: &str, terminal| {
        let line = format!("{program} {words}");
        let mut script = Command::new("script");
        scene.surround(script.args(["-q", "-e", "-c", &line, "/dev/null"]));
        script.env("TERM", terminal).env("SHELL", "/bin/sh");
        script.env("SYSTEMD_PAGER", pager.unwrap()).env("BUS_PAGER", pager.unwrap());
        script.env("SYSTEMD_PAGERSECURE", "0").env_remove("PAGER");
        let text = run(&script, b"").succeeds();
        assert!(text.contains("org.example.Peer"), "{text}");
        text.contains("paged")
    };
    let ours = bus_command();
    let link = scene.bus.dir.join("busctl");
    for (program, words) in [
        ("/usr/bin/busctl", "--user list"),
        (link.to_str().unwrap(), "--user list"),
        (ours.to_str().unwrap(), "list"),
    ] {
        assert!(paged(program, words, "xterm"), "{program}");
        assert!(!paged(program, words, "dumb"), "{program}");
    }
}

/// As the library answers it for every program, and no other text of its file.
#[test]
fn the_own_machine_is_the_one_that_others_tell() {
    if !may_make_namespaces() {
        return skip("no namespaces may be made");
    }
    let Some(scene) = Scene::new("busctl") else { return };
    let name = scene.bus.dir.join("busctl");
    let own = |id: &str| {
        let script = format!(
            "mount -t tmpfs tmpfs /var/lib && mkdir /var/lib/dbus && \
             echo {id} > /var/lib/dbus/machine-id && exec {} --user --show-machine list",
            name.display()
        );
        let mut command = Command::new("unshare");
        scene.surround(command.args(["--mount", "sh", "-c", &script]));
        let text = run(&command, b"").succeeds();
        let line = text.lines().find(|line| line.contains(" busctl ")).expect(&text);
        line.split_whitespace().last().unwrap().to_owned()
    };
    let id = "0123456789abcdef0123456789abcdef";
    assert_eq!(own(id), id);
    assert_ne!(own(&"x".repeat(32)), "x".repeat(32));
}

// tools.md D002, D025
#[test]
fn credentials_are_told() {
    let Some(scene) = Scene::new("busctl") else { return };
    let pid = format!("status {}", scene.bus.pid());
    check_on(
        &scene,
        &[
            "status",
            "status ",
            "status org.example.Peer",
            "--augment-creds=no status org.example.Peer",
            "--augment-creds=no status",
            "status org.freedesktop.DBus",
            &pid,
            "status 1",
            "status 99999999",
            "status 0",
            "status org.example.Nobody",
            "status bad",
            "--json=short status org.example.Peer",
        ],
        &[Difference {
            case: "--user --augment-creds=no status",
            reason: "the bus itself is asked, and not its socket, which tells a group",
            code: 0,
            prints: "EUID=0\n",
        }],
    );
}

// tools.md D023
#[test]
fn services_are_started_unless_that_is_not_wanted() {
    let Some(scene) = Scene::new("busctl") else { return };
    scene.add_startable();
    check_on(
        &scene,
        &[
            "call org.example.Startable / a.b C",
            "--auto-start=no call org.example.Startable / a.b C",
            "status org.example.Startable",
        ],
        &[],
    );
}

// tools.md D023, D026: a signal to one receiver starts it, unless that is not wanted.
#[test]
fn a_signal_starts_its_receiver_unless_that_is_not_wanted() {
    let to = "--destination=org.example.Startable";
    for which in [Which::Ours, Which::Original] {
        let Some(scene) = Scene::new("busctl") else { return };
        scene.add_startable();
        let is_told = || scene.bus.log().contains("org.example.Startable");
        assert!(!is_told());
        let emit = |option| {
            let words = ["--user", option, to, "emit", "/a", "a.b", "C"];
            assert_eq!(scene.run(which, &words).succeeds(), "");
            // What was sent before was handled before this is.
            scene.bus.connect().call("GetId", &[]);
        };
        emit("--auto-start=no");
        assert!(!is_told(), "{which:?}: {}", scene.bus.log());
        emit("--auto-start=yes");
        scene.bus.wait_until("it is started", is_told);
    }
}

// tools.md D012, D013
#[test]
fn help_and_version_are_ours() {
    let Some(scene) = Scene::new("busctl") else { return };
    let help = scene.run(Which::Ours, &["--help"]).succeeds();
    for words in [&["help"][..], &["-h"], &["--user", "help", "x"]] {
        assert_eq!(scene.run(Which::Ours, words).succeeds(), help);
    }
    // Each option that the original tells of is one of ours.
    let original = scene.run(Which::Original, &["--help"]).succeeds();
    let options = |text: &str| {
        let words = text.split_whitespace().filter(|word| word.starts_with('-'));
        let names = words.map(|word| word.split('=').next().unwrap().to_owned());
        names.collect::<std::collections::BTreeSet<String>>()
    };
    let missing: Vec<_> = options(&original).difference(&options(&help)).cloned().collect();
    assert_eq!(missing, [""; 0]);
    assert!(scene.run(Which::Ours, &["--version"]).succeeds().starts_with("bus "));
}

// tools.md D030: a descriptor that is open is sent, as by busctl 257.
#[test]
fn descriptors_are_sent() {
    let Some(scene) = Scene::new("busctl") else { return };
    let words = ["--user", "call", SERVICE, PATH, ZETA, "Echo", "hs", "0", "x"];
    let reply = scene.run(Which::Ours, &words).succeeds();
    let (fd, rest) = reply.strip_prefix("hs ").unwrap().split_once(' ').unwrap();
    assert!(fd.parse::<u32>().unwrap() > 2, "{reply}");
    assert_eq!(rest, "\"x\"\n");
}
