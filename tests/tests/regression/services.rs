//! Services that the bus starts.

use std::fs;
use std::path::Path;
use std::process::Command;

use bus_tests::harness::{BUS_INTERFACE, BUS_NAME, BUS_PATH, Bus, Config, Daemon, Message};

/// They began with SIGTERM, SIGINT and SIGHUP blocked, as the bus itself has them: dconf-service went on
/// when its session was over, and nobody could end it but by SIGKILL (config.md B099).
#[test]
fn a_service_has_no_more_signals_blocked_than_the_bus_was_started_with() {
    let elements = "<servicedir>services</servicedir>";
    let bus = Bus::start(&Daemon::ours(), &Config { elements, ..Config::SESSION });
    let directory = bus.dir.join("services");
    fs::create_dir(&directory).unwrap();
    let service = "[D-BUS Service]\nName=org.example.Shown\nExec=/bin/cat /proc/self/status\n";
    fs::write(directory.join("shown.service"), service).unwrap();
    let mut client = bus.connect();
    client.call("ReloadConfig", &[]);
    // It never takes the name, so there is no answer to wait for.
    let own = fs::read_to_string("/proc/thread-self/status").unwrap();
    let blocked = own.lines().find(|line| line.starts_with("SigBlk:")).unwrap();
    let start = Message::method_call(BUS_PATH, BUS_INTERFACE, "StartServiceByName").to(BUS_NAME);
    client.send(&start.arg("org.example.Shown").arg(0_u32));
    // The log shows a tab as \t.
    let shown = format!("'org.example.Shown': {}", blocked.replace('\t', "\\t"));
    bus.wait_for_log(&shown, 1);
}

/// Root with another user's XDG_RUNTIME_DIR left directories of root's there, made missing ones with all above
/// them, and `--check-config` did, too (config.md B085).
#[test]
fn nothing_is_made_above_the_runtime_directory_and_nothing_by_who_only_looks() {
    let elements = "<standard_session_servicedirs/>";
    let bus = |directory: &'static str| {
        let environment: &'static _ = Box::leak(Box::new([("XDG_RUNTIME_DIR", directory)]));
        Bus::start(&Daemon::ours(), &Config { elements, environment, ..Config::SESSION })
    };
    let without = bus("{dir}/missing");
    without.wait_for_log("missing: No such file or directory; no services of $XDG_RUNTIME_DIR", 1);
    assert!(!without.dir.join("missing").exists());
    let looked_at = without.dir.join("runtime");
    fs::create_dir(&looked_at).unwrap();
    let check = |runtime: &Path| {
        let mut command = Command::new(Daemon::ours().program);
        command.arg("--check-config").arg("--config-file").arg(without.dir.join("bus.conf"));
        command.env("XDG_RUNTIME_DIR", runtime).output().unwrap()
    };
    let (sound, missing) = (check(&looked_at), check(&without.dir.join("missing")));
    assert_eq!(String::from_utf8_lossy(&sound.stderr), "");
    let note = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(note.contains("missing: No such file or directory"), "{note}");
    // It is nothing wrong with the configuration.
    assert_eq!((sound.status, sound.stdout), (missing.status, missing.stdout));
    assert_eq!(fs::read_dir(&looked_at).unwrap().count(), 0);
    let with = bus("{dir}");
    assert!(with.dir.join("dbus-1/services").is_dir());
}

/// They name the unit of the bus and its stream to the journal: a service that found them took itself for what
/// systemd had started (config.md B099).
#[test]
fn a_service_does_not_take_itself_for_the_unit_of_the_bus() {
    let elements = "<servicedir>services</servicedir>";
    let environment = &[("INVOCATION_ID", "0123"), ("JOURNAL_STREAM", "8:1"), ("KEPT", "yes")];
    let bus = Bus::start(&Daemon::ours(), &Config { elements, environment, ..Config::SESSION });
    let directory = bus.dir.join("services");
    fs::create_dir(&directory).unwrap();
    let exec = "/bin/sh -c 'echo \"<$INVOCATION_ID$JOURNAL_STREAM$KEPT>\"; exit 1'";
    let service = format!("[D-BUS Service]\nName=org.example.Shown\nExec={exec}\n");
    fs::write(directory.join("shown.service"), service).unwrap();
    let mut client = bus.connect();
    let start = Message::method_call(BUS_PATH, BUS_INTERFACE, "StartServiceByName").to(BUS_NAME);
    client.ask(&start.arg("org.example.Shown").arg(0_u32));
    bus.wait_for_log("'org.example.Shown': <yes>", 1);
    let list = Message::method_call(BUS_PATH, "org.libbus.Activation1", "List").to(BUS_NAME);
    let listed = client.ask(&list).describe();
    assert!(listed.contains("KEPT") && !listed.contains("INVOCATION_ID"), "{listed}");
}
