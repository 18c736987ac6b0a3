//! `dbus-run-session` (tools.md D052).

use std::os::unix::net::UnixStream;

use bus_tests::harness::{Bus, Daemon};
use libbus::address::{Address, ConnectAddress};

use super::on_bus;
use super::transcript::{Case, Tool};

fn run_session(test: impl FnOnce(&Tool, &Bus)) {
    on_bus("dbus-run-session", test);
}

/// Both start our bus.
fn with_ours(line: &str) -> Case {
    let daemon = Daemon::ours().program;
    Case::new(&line.replace("DAEMON", &format!("--dbus-daemon={}", daemon.display()))).unordered()
}

#[test]
fn options_and_their_errors() {
    run_session(|tool, _| {
        tool.check_all(
            [
                "",
                "--",
                "--bogus",
                "--bogus true",
                "-x",
                "--config-file",
                "--dbus-daemon",
                "--config-file=",
                "--config-file x --bogus",
                "--dbus-daemon=/no/where true",
                "--dbus-daemon /no/where true",
                "--dbus-daemon= true",
                "--dbus-daemon=false true",
                "--dbus-daemon=true -- true",
                "DAEMON /no/where",
                "DAEMON -- /no/where",
                "DAEMON /etc/passwd",
            ]
            .map(with_ours),
        );
        // Two processes complain, each in pieces.
        for line in ["DAEMON --config-file=/no/where true", "DAEMON --config-file /no/where true"] {
            tool.check_code(&with_ours(line));
        }
        for line in ["--help", "-h", "-h --bogus", "--help --bogus", "--version"] {
            tool.check_code(&Case::new(line));
        }
    });
}

/// It is no address, and not all of it is kept.
#[test]
fn what_a_bus_tells_has_a_bound() {
    run_session(|tool, _| {
        // The shell writes the program, since nobody may have it open for writing when it is started.
        let script = "printf '#!/bin/sh\\nexec seq -s x 20000\\n' > long; chmod +x long; \
                      exec dbus-run-session --dbus-daemon=./long echo run";
        let sh = tool.ours.called("sh");
        let (code, out, errors) = sh.run_raw(&Case::new("").with(["-c", script]));
        let errors = String::from_utf8(errors).unwrap();
        assert!(errors.contains("EOF reading address from bus daemon"), "{errors}");
        assert_eq!((code, out), (127, Vec::new()));
    });
}

#[test]
fn the_programs_exit_code_is_returned() {
    run_session(|tool, _| {
        tool.check_all(
            [
                "DAEMON -- sh -c 'exit 7'",
                "DAEMON sh -c 'kill -9 $$'",
                "DAEMON sh -c 'kill -TERM $$'",
                "DAEMON true --help",
                "DAEMON sh -c 'cat; echo out; echo error >&2' --bogus",
            ]
            .map(|line| with_ours(line).input(b"in\n")),
        );
    });
}

#[test]
fn the_program_has_a_bus_of_its_own() {
    run_session(|tool, bus| {
        Tool::new("dbus-send", bus);
        std::fs::write(
            bus.dir.join("own.conf"),
            "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" \
             \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\"><busconfig>\
             <type>session</type><listen>unix:tmpdir=/tmp</listen><policy context=\"default\">\
             <allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/>\
             <allow own=\"a.b\"/></policy></busconfig>",
        )
        .unwrap();
        let foreign = "echo ${DBUS_SESSION_BUS_PID-none} ${DBUS_SESSION_BUS_WINDOWID-none} \
                       ${DBUS_STARTER_ADDRESS-none} ${DBUS_STARTER_BUS_TYPE-none}";
        let owns = "dbus-send --sender=a.b --print-reply --dest=org.freedesktop.DBus / \
                    org.freedesktop.DBus.ListNames";
        let refused = "dbus-send --sender=b.c --print-reply --dest=org.freedesktop.DBus / \
                       org.freedesktop.DBus.ListNames";
        tool.check_all([
            with_ours(&format!("DAEMON sh -c '{foreign}'"))
                .env("DBUS_SESSION_BUS_PID", "1")
                .env("DBUS_SESSION_BUS_WINDOWID", "2")
                .env("DBUS_STARTER_ADDRESS", "3")
                .env("DBUS_STARTER_BUS_TYPE", "4"),
            with_ours(&format!("DAEMON -- {owns}")),
            with_ours(&format!("DAEMON --config-file=own.conf -- {owns}")),
            with_ours(&format!("DAEMON --config-file own.conf {refused}")),
        ]);
        let own_daemon = tool.ours.run(&Case::new(&format!("-- {owns}")));
        assert!(
            own_daemon.contains("string \"a.b\"") && own_daemon.ends_with("= 0"),
            "{own_daemon}"
        );
    });
}

#[test]
fn the_bus_ends_with_the_program() {
    run_session(|tool, _| {
        for program in tool.programs() {
            let (code, out, _) =
                program.run_raw(&with_ours("DAEMON -- sh -c 'echo $DBUS_SESSION_BUS_ADDRESS'"));
            assert_eq!(code, 0);
            let address = String::from_utf8(out).unwrap();
            let target = Address::parse(address.trim_end()).unwrap().connect().unwrap();
            let ConnectAddress::UnixPath(path) = target else { panic!("{address}") };
            let path = String::from_utf8(path).unwrap();
            UnixStream::connect(path).expect_err("nobody listens any more");
        }
    });
}
