//! `bus doctor` where things are really as it says (tools.md D072, needs.md E17).
//!
//! Other users are numbers without an account; to become one needs root.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::thread;

use bus_tests::harness::{
    Bus, Config, Daemon, Ended, Folder, Listen, bus_command, run, skip, skip_without,
};
use libbus::blocking::Builder;

/// A user who is nobody else.
const STRANGER: u32 = 4242;

/// The doctor, whom nothing leads to a bus.
fn doctor() -> Command {
    prepared(Command::new(bus_command()))
}

/// The same as another user, with what goes before the command.
fn doctor_as(uid: u32, before: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={uid}")).arg(format!("--regid={uid}")).arg("--clear-groups");
    command.args(before).arg(bus_command());
    prepared(command)
}

fn prepared(mut command: Command) -> Command {
    let leading = [
        "DBUS_SESSION_BUS_ADDRESS",
        "DBUS_SYSTEM_BUS_ADDRESS",
        "XDG_RUNTIME_DIR",
        "SUDO_UID",
        "PKEXEC_UID",
    ];
    for variable in leading {
        command.env_remove(variable);
    }
    command.env("LC_ALL", "C.UTF-8").arg("doctor");
    command
}

/// Whether this can become other users; says so if not.
fn is_root() -> bool {
    let is_root = rustix::process::getuid().is_root();
    if !is_root {
        skip("the doctor as another user: needs root");
    }
    is_root
}

/// What it printed, without what differs from machine to machine: how the user came here, other buses, the machine's
/// id, and what `texts` say.
fn transcript(ended: &Ended, texts: &[(&str, &str)]) -> String {
    let mut out = String::new();
    let mut is_left_out = false;
    for line in ended.stdout.lines() {
        if !line.starts_with(' ') {
            let check = line.get(11..).unwrap_or_default();
            is_left_out =
                ["user ", "other buses ", "machine id "].iter().any(|name| check.starts_with(name));
        }
        if !is_left_out {
            out += &format!("{line}\n");
        }
    }
    out += &ended.stderr.lines().map(|line| format!("! {line}\n")).collect::<String>();
    out += &format!("= {}\n", ended.code.unwrap());
    texts.iter().fold(out, |text, (from, to)| text.replace(from, to))
}

/// The lines of one check, and what mends it.
fn lines_of(ended: &Ended, check: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_it = false;
    for line in ended.stdout.lines() {
        if !line.starts_with(' ') {
            is_it = line.get(11..).is_some_and(|rest| rest.starts_with(&format!("{check} ")));
        }
        if is_it {
            found.push(line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    found
}

#[track_caller]
fn sees(command: &Command, code: i32, check: &str, expected: &[&str]) {
    let ended = run(command, &[]);
    assert_eq!(ended.code, Some(code), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.stderr, "");
    let lines = lines_of(&ended, check);
    for part in expected {
        assert!(lines.iter().any(|line| line.contains(part)), "no {part:?} in:\n{}", ended.stdout);
    }
}

fn own_name() -> String {
    let id = run(Command::new("id").arg("-un"), &[]).succeeds();
    format!("{} (uid {})", id.trim_end(), rustix::process::getuid().as_raw())
}

/// Numbers of a time are of no interest.
fn without_times(text: &str) -> String {
    let words = text.split(' ').collect::<Vec<_>>();
    let mut out = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let is_time = words.get(index + 1).is_some_and(|unit| unit.starts_with("ms"));
        out.push(if is_time { "N" } else { *word });
    }
    out.join(" ")
}

#[test]
fn a_bus_that_works() {
    let bus = Bus::start(&Daemon::ours(), &Config::SESSION);
    let mut command = doctor();
    command.env("DBUS_SESSION_BUS_ADDRESS", &bus.address);
    let ended = run(&command, &[]);
    let folders = lines_of(&ended, "folders").join("");
    assert!(folders.starts_with("ok folders / (0755 ") && folders.contains(" /tmp ("), "{folders}");
    let text = without_times(&transcript(
        &ended,
        &[(&bus.address, "ADDRESS"), (&bus.pid().to_string(), "PID"), (&own_name(), "ME")],
    ));
    let text: String = text
        .lines()
        .filter(|line| !line.contains("  folders "))
        .map(|line| format!("{line}\n"))
        .collect();
    let socket = bus.dir.join("bus").display().to_string();
    assert_eq!(
        text.replace(&socket, "SOCKET"),
        "\
ok         address         $DBUS_SESSION_BUS_ADDRESS=ADDRESS
ok         runtime folder  $XDG_RUNTIME_DIR is not set, nor needed here
ok         socket          SOCKET, of ME, mode 0777
ok         connection      somebody listens
ok         listener        pid PID, bus-daemon, of ME
ok         authentication  accepted as ME
ok         hello           you are :1.0; answered within N ms, the next call within N ms
The session bus can be used.
= 0
"
    );
}

#[test]
fn programs_read_json() {
    let bus = Bus::start(&Daemon::ours(), &Config::SESSION);
    let mut command = doctor();
    command.arg("--json").env("DBUS_SESSION_BUS_ADDRESS", &bus.address);
    let json: serde_json::Value = serde_json::from_str(&run(&command, &[]).succeeds()).unwrap();
    assert_eq!((json["usable"].as_bool(), json["bus"].as_str()), (Some(true), Some("session bus")));
    let check = |json: &serde_json::Value, name: &str| {
        let checks = json["checks"].as_array().unwrap();
        checks.iter().find(|check| check["check"] == name).unwrap().clone()
    };
    assert_eq!(check(&json, "hello")["verdict"], "ok");
    bus.terminate();
    let ended = run(&command, &[]);
    assert_eq!(ended.code, Some(3));
    let json: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(json["usable"], false);
    assert_eq!(check(&json, "socket")["verdict"], "wrong");
    assert!(!check(&json, "socket")["mend"].as_array().unwrap().is_empty());
}

#[test]
fn nothing_leads_to_a_bus() {
    // As below cron.
    sees(
        &doctor(),
        3,
        "address",
        &[
            "wrong",
            "neither $DBUS_SESSION_BUS_ADDRESS nor $XDG_RUNTIME_DIR is set",
            "mend: bus run -- COMMAND",
        ],
    );
    sees(&doctor(), 3, "runtime folder", &["wrong", "$XDG_RUNTIME_DIR is not set"]);
    if is_root() {
        sees(&doctor(), 3, "address", &["mend: bus --system doctor"]);
        let mut command = doctor_as(STRANGER, &[]);
        command.env("SUDO_UID", "0");
        sees(&command, 3, "user", &["ok", "uid 4242, by sudo from root (uid 0)"]);
        sees(
            &command,
            3,
            "address",
            &["mend: sudo -u root XDG_RUNTIME_DIR=/run/user/0 bus doctor"],
        );
    }
}

#[test]
fn quiet_says_what_is_wrong() {
    let ended = run(doctor().arg("--quiet"), &[]);
    assert_eq!(ended.code, Some(3));
    assert!(ended.stdout.contains("wrong") && !ended.stdout.contains("\nok "), "{}", ended.stdout);
    let bus = Bus::start(&Daemon::ours(), &Config::SESSION);
    let ended = run(doctor().arg("--quiet").env("DBUS_SESSION_BUS_ADDRESS", &bus.address), &[]);
    assert_eq!((ended.code, lines_of(&ended, "hello").len()), (Some(0), 0));
}

#[test]
fn a_runtime_folder_is_looked_at() {
    let folder = Folder::new();
    let of = |path: &Path| {
        let mut command = doctor();
        command.env("XDG_RUNTIME_DIR", path);
        command
    };
    let shown = folder.display();
    let open = of(&folder);
    sees(&open, 3, "address", &["ok", "$XDG_RUNTIME_DIR/bus is taken"]);
    sees(
        &open,
        3,
        "runtime folder",
        &["wrong", "mode 0755: others may look into it", &format!("mend: chmod 700 {shown}")],
    );
    sees(&open, 3, "socket", &["wrong", "No such file or directory"]);
    fs::set_permissions(&*folder, Permissions::from_mode(0o700)).unwrap();
    sees(&of(&folder), 3, "runtime folder", &["ok", "mode 0700"]);
    sees(
        &of(&folder.join("missing")),
        3,
        "runtime folder",
        &["wrong", "No such file or directory"],
    );
    sees(
        &of(&folder.join("missing")),
        3,
        "folders",
        &["wrong", "missing: No such file or directory"],
    );
    sees(
        &of(Path::new("relative")),
        3,
        "runtime folder",
        &["wrong", "does not begin with a slash"],
    );
    fs::write(folder.join("file"), "").unwrap();
    sees(&of(&folder.join("file")), 3, "runtime folder", &["wrong", "is no folder"]);
    // A bus in the runtime folder works without the other variable.
    let bus = Bus::start(&Daemon::ours(), &Config::SESSION);
    sees(&of(&bus.dir), 0, "address", &["ok", "$XDG_RUNTIME_DIR/bus is taken"]);
}

#[test]
fn another_users_runtime_folder() {
    if !is_root() {
        return;
    }
    let bus = Bus::start(&Daemon::ours(), &Config::SESSION);
    fs::set_permissions(&bus.dir, Permissions::from_mode(0o755)).unwrap();
    // As after `su` without a dash.
    let mut command = doctor_as(STRANGER, &[]);
    command.env("XDG_RUNTIME_DIR", &bus.dir);
    sees(
        &command,
        3,
        "runtime folder",
        &[
            "wrong",
            "of root (uid 0), mode 0755: it is not yours, you are uid 4242",
            "mend: sudo -u root ",
        ],
    );
    sees(
        &command,
        3,
        "listener",
        &["wrong", "of root (uid 0): the bus of another user, you are uid 4242"],
    );
    sees(&command, 3, "authentication", &["ok", "accepted as uid 4242"]);
    sees(&command, 3, "hello", &["wrong", "the policy of the bus does not let uid 4242 connect"]);
    // And the other way round, as below sudo.
    let folder = Folder::new();
    std::os::unix::fs::chown(&*folder, Some(STRANGER), Some(STRANGER)).unwrap();
    let mut command = doctor();
    command.env("XDG_RUNTIME_DIR", folder.as_os_str()).env("SUDO_UID", STRANGER.to_string());
    let mend = format!("mend: sudo -u '#4242' XDG_RUNTIME_DIR={} bus doctor", folder.display());
    sees(
        &command,
        3,
        "runtime folder",
        &["wrong", "of uid 4242, mode 0755: it is not yours", &mend],
    );
}

#[test]
fn a_socket_is_left_over() {
    let folder = Folder::new();
    let socket = folder.join("bus");
    drop(UnixListener::bind(&socket).unwrap());
    let address = format!("unix:path={}", socket.display());
    let mut command = doctor();
    command.env("DBUS_SESSION_BUS_ADDRESS", &address);
    let rm = format!("mend: rm {}", socket.display());
    sees(&command, 3, "connection", &["wrong", "Connection refused: nobody listens any more", &rm]);
    // Another bus of the user is found, and how to get there.
    let bus = Bus::start(&Daemon::ours(), &Config::SESSION);
    command.env("XDG_RUNTIME_DIR", &bus.dir);
    let unset =
        format!("mend: unset DBUS_SESSION_BUS_ADDRESS # then it is {}/bus", bus.dir.display());
    sees(&command, 3, "connection", &[&unset]);
    let export =
        format!("mend: export DBUS_SESSION_BUS_ADDRESS=unix:path={}/bus", bus.dir.display());
    sees(&command, 3, "other buses", &["ok", &export]);
    let mut command = doctor();
    command.env("DBUS_SESSION_BUS_ADDRESS", format!("unix:abstract={}", socket.display()));
    sees(
        &command,
        3,
        "connection",
        &["wrong", "nobody listens, the bus has ended or is in another network namespace"],
    );
}

#[test]
fn permissions_on_the_way() {
    if !is_root() {
        return;
    }
    let folder = Folder::new();
    let inner = folder.join("inner");
    fs::create_dir(&inner).unwrap();
    let socket = inner.join("bus");
    let _listener = UnixListener::bind(&socket).unwrap();
    let mut command = doctor_as(STRANGER, &[]);
    command
        .env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}", socket.display()))
        .arg("--system");
    fs::set_permissions(&inner, Permissions::from_mode(0o700)).unwrap();
    let mend = format!("mend: sudo chmod a+x {}", inner.display());
    sees(
        &command,
        3,
        "folders",
        &["wrong", "inner, 0700 root: uid 4242 may not go into it", &mend],
    );
    fs::set_permissions(&inner, Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&socket, Permissions::from_mode(0o700)).unwrap();
    let mend = format!("mend: sudo chmod 666 {}", socket.display());
    sees(
        &command,
        3,
        "socket",
        &["wrong", "of root (uid 0), mode 0700: uid 4242 may not write to it", &mend],
    );
}

#[test]
fn what_is_at_the_address_is_no_socket() {
    let folder = Folder::new();
    fs::write(folder.join("bus"), "").unwrap();
    std::os::unix::fs::symlink("gone", folder.join("link")).unwrap();
    let at = |name: &str| {
        let mut command = doctor();
        command
            .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", folder.join(name).display()));
        command
    };
    sees(&at("bus"), 3, "socket", &["wrong", "it is no socket"]);
    sees(&at("link"), 3, "socket", &["wrong", "it is a link to gone: No such file or directory"]);
    sees(&at("bus/bus"), 3, "folders", &["wrong", "bus is no folder"]);
}

#[test]
fn addresses_that_are_none() {
    let with = |address: &str| {
        let mut command = doctor();
        command.env("DBUS_SESSION_BUS_ADDRESS", address);
        command
    };
    sees(
        &with("nonsense"),
        3,
        "address",
        &["wrong", "$DBUS_SESSION_BUS_ADDRESS=nonsense: the address has no ':'"],
    );
    sees(&with("carrier-pigeon:path=/a"), 3, "address", &["wrong", "nobody knows the transport"]);
    sees(&with("unix:dir=/tmp"), 3, "address", &["wrong", "a client cannot connect"]);
    sees(&with("unix:path=relative"), 3, "folders", &["wrong", "does not begin with a slash"]);
    let mut command = doctor();
    command.arg("--system").env("DBUS_SYSTEM_BUS_ADDRESS", "unix:");
    sees(
        &command,
        3,
        "address",
        &["wrong", "the address lacks a key", "mend: unset DBUS_SYSTEM_BUS_ADDRESS"],
    );
    // One that was typed is wrong usage, as with every verb.
    let ended = run(doctor().arg("--address=nonsense"), &[]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    let hint = "hint: for example: --address=unix:path=/run/user/1000/bus\n";
    assert!(ended.stderr.ends_with(hint), "{}", ended.stderr);
}

/// What was typed has no variable that could be unset.
#[test]
fn addresses_of_an_option_are_mended_too() {
    let folder = Folder::new();
    fs::write(folder.join("file"), "").unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let network = format!("tcp:host=127.0.0.1,port={port}");
    let file = format!("unix:path={}", folder.join("file").display());
    let gone = format!("unix:path={}", folder.join("gone").display());
    let listens = "mend: ss -lxtp # shows where programs listen";
    let starts = |address: &str| {
        format!("mend: bus-daemon --session --nofork --address={address} # a bus there")
    };
    for (option, address, check, mend) in [
        ("address", "unix:path=/nope/bus", "folders", "mend: mkdir -p /nope # and a bus that"),
        ("address", &network, "connection", &starts(&network)),
        ("address", &file, "socket", listens),
        ("address", &gone, "socket", &starts(&gone)),
        // Several are one word of a shell.
        ("address", &format!("{gone};{gone}"), "socket", &starts(&format!("'{gone};{gone}'"))),
        ("address", "unix:path=relative", "folders", "mend: bus doctor # looks for the bus of"),
        ("peer", "unix:path=/nope/bus", "folders", listens),
        ("peer", &network, "connection", listens),
        ("peer", &file, "socket", listens),
    ] {
        let mut command = doctor();
        command.arg(format!("--{option}={address}"));
        sees(&command, 3, check, &["wrong", mend]);
    }
}

#[test]
fn the_second_of_several_addresses_works() {
    let folder = Folder::new();
    drop(UnixListener::bind(folder.join("old")).unwrap());
    let bus = Bus::start(&Daemon::ours(), &Config::SESSION);
    let mut command = doctor();
    let old = format!("unix:path={}", folder.join("old").display());
    command.arg(format!("--address={old};{};unix:path=/never", bus.address));
    let ended = run(&command, &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    let addresses = lines_of(&ended, "address");
    assert!(addresses.iter().any(|line| line.contains(&format!("1 of 3: {old}"))), "{addresses:?}");
    assert!(
        addresses.iter().any(|line| line.contains("unix:path=/never: not tried")),
        "{addresses:?}"
    );
    let connections = lines_of(&ended, "connection");
    assert!(connections[0].starts_with("wrong") && connections.len() > 2, "{connections:?}");
}

#[test]
fn the_policy_refuses() {
    let config = Config {
        elements: "<policy context=\"mandatory\"><deny user=\"*\"/></policy>",
        ..Config::SESSION
    };
    let uid = rustix::process::getuid().as_raw();
    let reference = Daemon::reference();
    if reference.is_none() {
        skip_without("dbus-daemon");
    }
    for daemon in [Some(Daemon::ours()), reference].iter().flatten() {
        let bus = Bus::start(daemon, &config);
        let conf = bus.dir.join("bus.conf");
        for system in [false, true] {
            let mut command = doctor();
            if system {
                command.arg("--system").env("DBUS_SYSTEM_BUS_ADDRESS", &bus.address);
            } else {
                command.env("DBUS_SESSION_BUS_ADDRESS", &bus.address);
            }
            sees(&command, 3, "authentication", &["ok"]);
            let mend =
                format!("mend: bus policy explain --config={} user={uid} connect", conf.display());
            sees(&command, 3, "hello", &["wrong", "does not let", &mend]);
        }
    }
    let bus = Bus::start(&Daemon::ours(), &config);
    let conf = bus.dir.join("bus.conf");
    // What it advises says why.
    let mut explain = Command::new(bus_command());
    explain.args(["policy", "explain"]).arg(format!("--config={}", conf.display()));
    let ended = run(explain.arg(format!("user={uid}")).arg("connect"), &[]);
    assert_eq!(ended.code, Some(1), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("bus.conf"), "{}", ended.stdout);
}

#[test]
fn the_bus_is_another_one_by_now() {
    let bus = Bus::start(&Daemon::ours(), &Config::SESSION);
    let plain = format!("unix:path={}/bus", bus.dir.display());
    let mut command = doctor();
    command
        .env("DBUS_SESSION_BUS_ADDRESS", format!("{plain},guid=00112233445566778899aabbccddeeff"));
    let mend = format!("mend: export DBUS_SESSION_BUS_ADDRESS={plain}");
    sees(
        &command,
        3,
        "authentication",
        &["wrong", "the address is that of a bus that has ended", &mend],
    );
}

#[test]
fn a_user_namespace_numbers_users_otherwise() {
    if !is_root() {
        return;
    }
    let probe = run(
        Command::new("setpriv").args(["--reuid=4242", "--clear-groups", "unshare", "-Ur", "true"]),
        &[],
    );
    if probe.code != Some(0) {
        return skip("the doctor in a user namespace: none can be made");
    }
    let bus = Bus::start(&Daemon::ours(), &Config::SESSION);
    fs::set_permissions(&bus.dir, Permissions::from_mode(0o755)).unwrap();
    let mut command = doctor_as(STRANGER, &["unshare", "--user", "--map-root-user"]);
    command.env("DBUS_SESSION_BUS_ADDRESS", &bus.address);
    sees(&command, 3, "user", &["ok", "in a user namespace: outside it is uid 4242"]);
    let saw = "refused as root (uid 0): the bus is outside of this user namespace, where you are uid 4242";
    sees(&command, 3, "authentication", &["wrong", saw, "mend: podman run --userns=keep-id"]);
}

/// Somebody who listens and answers every line with this.
fn answering(socket: &Path, answer: &'static [u8]) {
    let listener = UnixListener::bind(socket).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            while reader.read_until(b'\n', &mut Vec::new()).is_ok_and(|count| count > 0) {
                // Who has gone wants no answer.
                let _ = reader.get_mut().write_all(answer);
                if answer.is_empty() {
                    break;
                }
            }
        }
    });
}

#[test]
fn somebody_listens_who_is_no_bus() {
    let folder = Folder::new();
    let at = |name: &str| {
        let mut command = doctor();
        command
            .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", folder.join(name).display()));
        command
    };
    answering(&folder.join("web"), b"HTTP/1.1 400 Bad Request\r\n\x1b[2J\r\n");
    sees(
        &at("web"),
        3,
        "authentication",
        &["wrong", "it is no bus: it says \"HTTP/1.1 400 Bad Request\""],
    );
    answering(&folder.join("closing"), b"");
    sees(&at("closing"), 3, "authentication", &["wrong", "it closed the connection at once"]);
    answering(&folder.join("refusing"), b"REJECTED EXTERNAL\r\n");
    sees(&at("refusing"), 3, "authentication", &["wrong", "refused as "]);
    // A program that speaks D-Bus.
    let listener = UnixListener::bind(folder.join("peer")).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let server = Builder::socket(stream).server(libbus::guid::Guid::from_bytes([7; 16]));
            thread::spawn(move || server.build().map(|connection| connection.serve()));
        }
    });
    sees(
        &at("peer"),
        3,
        "hello",
        &["wrong", "it is no bus, but a program", "mend: bus --peer=ADDRESS"],
    );
    let mut command = doctor();
    command.arg(format!("--peer=unix:path={}", folder.join("peer").display()));
    sees(&command, 0, "ping", &["ok", "answered within"]);
}

#[test]
fn a_bus_that_hangs_hangs_nobody() {
    let folder = Folder::new();
    let at = |name: &str| {
        let mut command = doctor();
        command.arg("--timeout=200ms");
        command
            .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", folder.join(name).display()));
        command
    };
    // Nobody accepts, and the queue has room.
    let _silent = UnixListener::bind(folder.join("silent")).unwrap();
    sees(&at("silent"), 3, "authentication", &["wrong", "no answer within 0.2 s"]);
    // Authentication, and then nothing.
    let listener = UnixListener::bind(folder.join("half")).unwrap();
    thread::spawn(move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|count| count > 0) {
                let answer: &[u8] = match line.trim_matches(['\0', '\r', '\n']) {
                    "NEGOTIATE_UNIX_FD" => b"AGREE_UNIX_FD\r\n",
                    "BEGIN" => break,
                    _ => b"OK 00112233445566778899aabbccddeeff\r\n",
                };
                if stream.write_all(answer).is_err() {
                    break;
                }
                line.clear();
            }
            kept.push(stream);
        }
    });
    sees(&at("half"), 3, "hello", &["wrong", "no answer within 0.2 s"]);
}

#[test]
fn nobody_accepts_and_the_queue_is_full() {
    let folder = Folder::new();
    let listener = UnixListener::bind(folder.join("bus")).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let _first = std::os::unix::net::UnixStream::connect(folder.join("bus")).unwrap();
    let mut command = doctor();
    command.arg("--timeout=200ms");
    command.env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", folder.join("bus").display()));
    sees(&command, 3, "connection", &["wrong", "nobody accepts within 0.2 s"]);
}

#[test]
fn a_user_has_as_many_connections_as_it_may_have() {
    let config = Config { limits: &[("max_connections_per_user", 1)], ..Config::SESSION };
    let bus = Bus::start(&Daemon::ours(), &config);
    let _first = bus.connect();
    let mut command = doctor();
    command.env("DBUS_SESSION_BUS_ADDRESS", &bus.address);
    sees(&command, 3, "authentication", &["ok"]);
    sees(&command, 3, "hello", &["wrong", "LimitsExceeded", "mend: bus top"]);
}

#[test]
fn other_transports() {
    let at = |address: &str| {
        let mut command = doctor();
        command.arg(format!("--address={address}"));
        command
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let closed = at(&format!("tcp:host=127.0.0.1,port={port}"));
    sees(&closed, 3, "connection", &["wrong", "Connection refused: nobody listens there"]);
    let saw = "the program that was started for it ended without an answer";
    let ended = at("unixexec:path=true,argv1=a%20b");
    sees(&ended, 3, "hello", &["wrong", saw, "mend: true 'a b' # says why"]);
    sees(&at("unixexec:path=/nonexistent"), 3, "hello", &["wrong", "No such file or directory"]);
    sees(&at("autolaunch:"), 3, "hello", &["wrong", "there is no autolaunch: on this system"]);
    let config = Config {
        listen: Listen::Addresses(&["tcp:host=127.0.0.1"]),
        auth: &["ANONYMOUS"],
        elements: "<allow_anonymous/>",
        ..Config::SESSION
    };
    let bus = Bus::start(&Daemon::ours(), &config);
    // It does not take the word of who comes from elsewhere, but lets in whom it does not know.
    sees(
        &at(&bus.address),
        0,
        "authentication",
        &["not known", "it takes no EXTERNAL, but: ANONYMOUS"],
    );
    sees(&at(&bus.address), 0, "hello", &["ok", "you are :1."]);
}

#[test]
fn other_buses_are_buses() {
    let found = [("dbus-daemon", Daemon::reference()), ("dbus-broker", Daemon::broker())];
    for (name, daemon) in found {
        let Some(daemon) = daemon else {
            skip_without(name);
            continue;
        };
        let bus = Bus::start(&daemon, &Config::SESSION);
        let mut command = doctor();
        command.env("DBUS_SESSION_BUS_ADDRESS", &bus.address);
        sees(&command, 0, "listener", &["ok"]);
        sees(&command, 0, "hello", &["ok", "you are :1."]);
    }
}

#[test]
fn a_listener_that_left_its_socket_to_another() {
    let folder = Folder::new();
    // The shell's child listens and ends; the shell has the socket still.
    let script = "import os,socket,sys\n\
                  s=socket.socket(socket.AF_UNIX)\n\
                  s.bind(sys.argv[1])\n\
                  pid=os.fork()\n\
                  if pid==0:\n    s.listen(1)\n    os._exit(0)\n\
                  os.waitpid(pid,0)\n\
                  print('ready',flush=True)\n\
                  sys.stdin.read()\n";
    let socket = folder.join("bus");
    let child = Command::new("python3")
        .args(["-c", script])
        .arg(&socket)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        return skip_without("python3");
    };
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let mut command = doctor();
    command
        .arg("--timeout=200ms")
        .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", socket.display()));
    sees(
        &command,
        3,
        "listener",
        &["not known", "opened the socket and has ended: another process has it now"],
    );
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}
