//! `dbus-launch` (tools.md D051), without a display.

use std::path::Path;

use bus_tests::harness::{Bus, skip_without};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use super::on_bus;
use super::transcript::{Case, Program, Tool, replaced};

fn launch(test: impl FnOnce(&Tool, &Bus)) {
    on_bus("dbus-launch", |tool, bus| {
        Tool::new("dbus-send", bus);
        test(tool, bus);
    });
}

fn alone(line: &str) -> Case {
    Case::new(line).without("DBUS_SESSION_BUS_ADDRESS").env("HOME", "/no/where")
}

/// The first number after one of these.
fn number_after(text: &str, markers: &[&str]) -> Pid {
    let marker = markers.iter().find(|marker| text.contains(**marker)).expect(text);
    let (_, after) = text.split_once(marker).unwrap();
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    Pid::from_raw(digits.parse().expect(text)).unwrap()
}

const PIDS: [&str; 2] = ["DBUS_SESSION_BUS_PID=", "uint32 "];

/// What it prints but for the place and the number of the bus, which it answers too.
fn launched(program: &Program, case: &Case) -> (String, Pid) {
    let (code, out, errors) = program.run_raw(case);
    let text = String::from_utf8(out).unwrap();
    assert_eq!(code, 0, "{text}{}", String::from_utf8_lossy(&errors));
    let pid = number_after(&text, &PIDS);
    let is_address = |c: char| !c.is_whitespace() && c != '\'' && c != ';';
    let text = replaced(&text, "unix:", is_address, "ADDRESS");
    let text = replaced(&text, PIDS[0], |c| c.is_ascii_digit(), "PID=P");
    (replaced(&text, PIDS[1], |c| c.is_ascii_digit(), "uint32 P"), pid)
}

fn wait_for_end(pid: Pid) {
    // Who is gone has ended.
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    let deadline = rustix::event::Timespec { tv_sec: 20, tv_nsec: 0 };
    let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&deadline));
    assert_eq!(ended, Ok(1), "the bus goes on");
}

/// Both print the same; the buses are ended.
fn check(tool: &Tool, case: &Case) {
    let seen: Vec<String> = tool
        .programs()
        .map(|program| {
            let (text, pid) = launched(program, case);
            kill_process(pid, Signal::TERM).expect("the bus runs");
            wait_for_end(pid);
            text
        })
        .collect();
    assert_eq!(seen.last(), seen.first(), "{case:?}: left is ours");
}

#[test]
fn where_the_bus_is_is_said_in_each_syntax() {
    launch(|tool, bus| {
        let config = bus.dir.join("launched.conf");
        std::fs::write(
            &config,
            "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" \
             \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\"><busconfig>\
             <type>session</type><listen>unix:tmpdir=/tmp</listen><policy context=\"default\">\
             <allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/></policy></busconfig>",
        )
        .unwrap();
        let config = config.display();
        for line in [
            "",
            "--sh-syntax",
            "--csh-syntax",
            "--sh-syntax --csh-syntax",
            "--csh-syntax --sh-syntax",
            "--close-stderr",
            "--close-stderr --sh-syntax",
            "--",
        ] {
            check(tool, &alone(line));
        }
        for shell in ["/bin/tcsh", "/bin/bash", "csh"] {
            check(tool, &alone("--auto-syntax").env("SHELL", shell));
        }
        check(tool, &alone("--auto-syntax").without("SHELL"));
        check(tool, &alone(&format!("--config-file={config}")));
        check(tool, &alone(&format!("--config-file {config} --csh-syntax")));
    });
}

#[test]
fn binary_syntax_has_numbers_as_c_has_them() {
    launch(|tool, _| {
        for program in tool.programs() {
            for line in ["--binary-syntax", "--binary-syntax --sh-syntax"] {
                let (code, out, _) = program.run_raw(&alone(line));
                assert_eq!(code, 0);
                let end = out.iter().position(|byte| *byte == 0).unwrap();
                assert!(out.starts_with(b"unix:"));
                let (pid, window) = out[end + 1..].split_at(4);
                assert_eq!(window, [0; 8]);
                let pid = Pid::from_raw(i32::from_ne_bytes(pid.try_into().unwrap())).unwrap();
                kill_process(pid, Signal::TERM).expect("the bus runs");
                wait_for_end(pid);
            }
        }
    });
}

#[test]
fn a_program_has_the_bus() {
    launch(|tool, _| {
        let ask = "dbus-send --print-reply=literal --dest=org.freedesktop.DBus / \
                   org.freedesktop.DBus.GetConnectionUnixProcessID string:org.freedesktop.DBus; \
                   echo ${DBUS_SESSION_BUS_PID-none} ${DBUS_SESSION_BUS_WINDOWID-none} $0 $@";
        check(tool, &alone(&format!("sh -c '{ask}' --version x")));
        check(tool, &alone(&format!("--sh-syntax -- sh -c '{ask}'")));
        // Its exit code is that of the command, which it has become.
        for program in tool.programs() {
            let case = alone(&format!("sh -c '{ask}; exit 7'"));
            let (code, out, _) = program.run_raw(&case);
            assert_eq!(code, 7);
            let pid = number_after(&String::from_utf8(out).unwrap(), &PIDS);
            kill_process(pid, Signal::TERM).unwrap();
            wait_for_end(pid);
        }
    });
}

#[test]
fn options_and_their_errors() {
    launch(|tool, _| {
        tool.check_all(
            [
                "--bogus",
                "-x",
                "--config-file",
                "--autolaunch",
                "--autolaunch=x",
                "--autolaunch=",
                "--autolaunch x",
                "--autolaunch=x true",
                "--exit-with-x11",
                "--exit-with-x11 true",
                "--autolaunch=0123456789abcdef0123456789abcdef",
            ]
            .map(alone),
        );
        tool.check(&alone("--exit-with-x11").env("DISPLAY", ":77"));
        tool.check(&alone("--help"));
        tool.check_code(&alone("--version"));
        let failed = tool.ours.run(&alone("--config-file=/no/where"));
        assert!(
            failed.ends_with("! EOF in dbus-launch reading address from bus daemon\n= 1"),
            "{failed}"
        );
        let silent = "! EOF in dbus-launch reading address from bus daemon\n= 1";
        assert_eq!(tool.check(&alone("--close-stderr --config-file=/no/where")), silent);
    });
}

/// Where there is neither a display nor a terminal there is no session, and the bus ends at once.
#[test]
fn a_bus_of_no_session_ends() {
    launch(|tool, _| {
        for program in tool.programs() {
            let (_, pid) = launched(program, &alone("--exit-with-session"));
            wait_for_end(pid);
        }
    });
}

#[test]
fn a_bus_ends_with_its_terminal() {
    if !Path::new("/usr/bin/script").is_file() {
        return skip_without("script");
    }
    launch(|tool, _| {
        let script = tool.ours.called("script");
        // It ends the terminal with the command. A line comes from there first, so that the bus was seen alive.
        let ask = "dbus-send --print-reply=literal --dest=org.freedesktop.DBus / \
                   org.freedesktop.DBus.GetConnectionUnixProcessID string:org.freedesktop.DBus";
        let inner = format!("dbus-launch --exit-with-session {ask}");
        let (_, out, _) = script.run_raw(&alone("").with(["-q", "-e", "-c", &inner, "/dev/null"]));
        wait_for_end(number_after(&String::from_utf8(out).unwrap(), &PIDS));
    });
}
