//! `dbus-update-activation-environment` (tools.md D054).

use bus_tests::harness::{Bus, Config};

use super::monitor::watched;
use super::transcript::{Case, Tool, normalised};
use super::{on_bus, on_bus_with, service};

/// A bus that does not let itself be told variables.
const DEAF: Config = Config {
    elements: "<policy context=\"mandatory\"><deny send_interface=\"org.freedesktop.DBus\" \
               send_member=\"UpdateActivationEnvironment\"/></policy>",
    ..Config::SESSION
};

fn environment(test: impl FnOnce(&Tool, &Bus)) {
    on_bus("dbus-update-activation-environment", test);
}

fn usual() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        "",
        "--verbose",
        "--systemd",
        "FOO",
        "FOO=1",
        "--verbose FOO=1 BAR NOPE",
        "--systemd --verbose FOO=1",
        "--verbose =x",
        "''",
        "-- A=1",
        "--verbose -- A=1",
        "A=1 --verbose",
        "--verbose A=1 --systemd B=1",
        "--verbose A= B==",
        "--verbose A=1 A=2",
    ]
    .map(|line| Case::new(line).env("BAR", "2"))
    .into();
    cases.push(Case::new("--verbose").word(b"A=\xff").word(b"B=1"));
    cases
}

#[test]
fn what_is_done_is_told() {
    environment(|tool, _| {
        tool.check_all(usual());
        tool.check(&Case::new("--verbose --all FOO=1"));
        tool.check(&Case::new("--all --systemd"));
        let all = tool.ours.run(&Case::new("--all --verbose").env("ONE_OF_ALL", "1"));
        assert!(all.contains("setting ONE_OF_ALL=1\n") && all.ends_with("= 0"), "{all}");
    });
}

// Exit codes 64, 69 and 71.
#[test]
fn errors() {
    environment(|tool, _| {
        for line in ["--help", "-h", "--version", "--bogus", "-x", "--all --bogus"] {
            tool.check_code(&Case::new(line));
        }
        assert_eq!(tool.ours.run_raw(&Case::new("--bogus")).0, 64);
        let nowhere = Case::new("A=1").env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/no/where");
        assert!(tool.check(&nowhere).ends_with("= 71"));
    });
    on_bus_with(&DEAF, "dbus-update-activation-environment", |tool, _| {
        assert!(tool.check(&Case::new("A=1")).ends_with("= 69"));
        assert!(tool.check(&Case::new("--systemd --verbose A=1")).ends_with("= 69"));
    });
}

#[test]
fn systemd_is_told_too() {
    environment(|tool, bus| {
        service::start_as(bus, "org.freedesktop.systemd1", false);
        let monitor = Tool::new("dbus-monitor", bus);
        let rules = Case::new(
            "type='method_call',path=/org/freedesktop/systemd1 path=/end \
                               member=UpdateActivationEnvironment",
        );
        std::fs::create_dir(bus.dir.join("systemd")).unwrap();
        let there = |line: &str| Case::new(line).env("XDG_RUNTIME_DIR", &bus.dir);
        for case in [
            "--systemd FOO=1 BAR NOPE",
            "FOO=1",
            "--systemd --verbose FOO=1",
            "--systemd",
            "--verbose",
        ]
        .map(|line| there(line).env("BAR", "2"))
        {
            let seen: Vec<String> = tool
                .programs()
                .map(|program| {
                    let out = watched(&monitor.ours, &rules, bus, |_| {
                        assert!(program.run(&case).ends_with("= 0"));
                    });
                    normalised(&String::from_utf8_lossy(&out))
                })
                .collect();
            assert_eq!(seen.last(), seen.first(), "{case:?}: left is ours");
        }
        tool.check(&there("--systemd --verbose FOO=1"));
    });
    // What systemd says of it is a warning.
    environment(|tool, bus| {
        std::fs::create_dir(bus.dir.join("systemd")).unwrap();
        let case = Case::new("--systemd --verbose FOO=1").env("XDG_RUNTIME_DIR", &bus.dir);
        assert!(tool.check(&case).ends_with("= 0"), "nobody is there");
        service::start_as(bus, "org.freedesktop.systemd1", true);
        assert!(tool.check(&case).ends_with("= 0"));
    });
}
