//! `dbus-launch` (tools.md D051), without a display and with one, which Xvfb is.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

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

const WINDOW: &str = "DBUS_SESSION_BUS_WINDOWID=";
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
    let text = replaced(&text, WINDOW, |c| c.is_ascii_digit(), "WINDOWID=W");
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
        tool.check(&alone("-h"));
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

/// An X server without a screen to look at.
struct XServer {
    process: Child,
    display: String,
}

impl XServer {
    fn start() -> Option<Self> {
        let mut command = Command::new("Xvfb");
        command.args(["-displayfd", "1", "-nolisten", "tcp", "-screen", "0", "64x64x8"]);
        let Ok(mut process) = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn() else {
            skip_without("Xvfb");
            return None;
        };
        let mut number = String::new();
        let out = process.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut number).unwrap();
        assert!(!number.is_empty(), "Xvfb does not start");
        Some(Self { process, display: format!(":{}", number.trim_end()) })
    }

    fn end(&mut self) {
        let pid = Pid::from_child(&self.process);
        // It may have ended.
        let _ = kill_process(pid, Signal::TERM);
        let _ = self.process.wait();
    }
}

impl Drop for XServer {
    fn drop(&mut self) {
        self.end();
    }
}

const MACHINE: &str = "0123456789abcdef0123456789abcdef";

/// What each of both prints, one line after the other on a display of its own: the same. The watched buses end with
/// their display, the others are ended.
fn check_on_display(lines: &[(&str, bool)]) {
    launch(|tool, bus| {
        let mut seen = Vec::new();
        for (number, program) in tool.programs().enumerate() {
            let Some(mut server) = XServer::start() else { return };
            let home = bus.dir.join(format!("home{number}"));
            std::fs::create_dir(&home).unwrap();
            let case = |line: &str| {
                alone(line).env("DISPLAY", &server.display).env("HOME", home.as_os_str())
            };
            let mut texts = Vec::new();
            let mut watched = Vec::new();
            for (line, is_watched) in lines {
                let (text, pid) = launched(program, &case(line));
                texts.push(text);
                if *is_watched {
                    watched.push(pid);
                } else {
                    kill_process(pid, Signal::TERM).expect("the bus runs");
                    wait_for_end(pid);
                }
            }
            for pid in &watched {
                assert!(pidfd_open(*pid, PidfdFlags::empty()).is_ok(), "{texts:?}: it has ended");
            }
            server.end();
            watched.into_iter().for_each(wait_for_end);
            texts.push(said_in_files(&home));
            seen.push(texts);
        }
        assert_eq!(seen.last(), seen.first(), "{lines:?}: left is ours");
    });
}

/// What the files say that are there for those who have no environment, but for what is said to people.
fn said_in_files(home: &Path) -> String {
    let Ok(files) = std::fs::read_dir(home.join(".dbus/session-bus")) else {
        return String::new();
    };
    let mut texts: Vec<String> = files.map(|file| said_in_file(&file.unwrap().path())).collect();
    texts.sort();
    texts.concat()
}

fn said_in_file(file: &Path) -> String {
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let (machine, _) = name.rsplit_once('-').unwrap();
    let text = std::fs::read_to_string(file).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let names = lines.map(|line| line.split_once('=').unwrap());
    let shown = names.map(|(name, value)| match value.parse::<u32>() {
        Ok(_) => format!("{name}=N "),
        Err(_) => format!("{name}={}... ", &value[..6]),
    });
    format!("{machine}: {}\n", shown.collect::<String>())
}

#[test]
fn a_display_is_told_where_the_bus_is() {
    let auto = format!("--autolaunch={MACHINE}");
    check_on_display(&[("", false), ("--sh-syntax", false), ("--csh-syntax", false)]);
    check_on_display(&[("--exit-with-x11 --csh-syntax", true), ("--exit-with-x11", true)]);
    check_on_display(&[("--exit-with-session --sh-syntax", true), ("", false)]);
    check_on_display(&[(&auto, true), (&format!("{auto} --sh-syntax"), true)]);
    check_on_display(&[
        (&auto, true),
        (&auto.replace('0', "f"), true),
        (&auto.replace('0', "z"), true),
        ("--exit-with-x11", true),
    ]);
}

/// The one finds the other's bus, by its window.
#[test]
fn a_bus_of_the_display_is_found() {
    launch(|tool, bus| {
        let programs: Vec<&Program> = tool.programs().collect();
        for (first, second) in [(0, programs.len() - 1), (programs.len() - 1, 0)] {
            let Some(server) = XServer::start() else { return };
            let line = format!("--autolaunch={MACHINE}");
            let case = |line: &str| {
                alone(line).env("DISPLAY", &server.display).env("HOME", bus.dir.as_os_str())
            };
            let (_, made, _) = programs[first].run_raw(&case(&line));
            let made = String::from_utf8(made).unwrap();
            let pid = number_after(&made, &PIDS);
            assert!(number_after(&made, &[WINDOW]).as_raw_nonzero().get() > 0);
            for again in [first, second] {
                let (_, found, _) = programs[again].run_raw(&case(&line));
                assert_eq!(String::from_utf8(found).unwrap(), made);
                let ask = format!("{line} sh -c 'echo $DBUS_SESSION_BUS_ADDRESS'");
                let (_, found, _) = programs[again].run_raw(&case(&ask));
                let address = String::from_utf8(found).unwrap();
                assert!(made.contains(address.trim_end()), "{made}{address}");
            }
            drop(server);
            wait_for_end(pid);
        }
    });
}
