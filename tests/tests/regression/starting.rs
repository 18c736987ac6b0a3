//! Starting the daemon.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bus_tests::harness::{Bus, Client, Config, Daemon, Folder, RawClient};

/// A descriptor that nobody handed over was one of the daemon's own by the time it was printed to:
/// it closed its own socket and aborted.
#[test]
fn printing_to_a_descriptor_that_is_not_open_is_one_line_and_exit_code_1() {
    for fd in 3..10 {
        // Whoever runs the tests may have left it open for them.
        let output = Command::new("sh")
            .args(["-c", &format!("exec {fd}>&-; exec \"$0\" \"$@\"")])
            .arg(Daemon::ours().program)
            .args(["--session", "--nofork", "--address=unix:tmpdir=/tmp"])
            .arg(format!("--print-address={fd}"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{fd}");
        let text = String::from_utf8(output.stderr).unwrap();
        let expected = format!("Cannot print to descriptor {fd}: ");
        assert!(text.contains(&expected) && text.lines().count() == 1, "{text}");
    }
}

/// The fault was noticed after the start, if at all.
#[test]
fn printing_to_a_descriptor_that_is_open_for_reading_is_one_line_and_exit_code_1() {
    let output = Command::new(Daemon::ours().program)
        .args(["--session", "--nofork", "--address=unix:tmpdir=/tmp", "--print-address=0"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("bus-daemon: Cannot print to descriptor 0: "), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

/// The address was printed before signals were taken over: SIGTERM left the socket behind, SIGHUP
/// ended the bus.
#[test]
fn whoever_read_the_address_may_send_signals() {
    for _ in 0..20 {
        let bus = Bus::start(&Daemon::ours(), &Config::SESSION);
        bus.hang_up();
        assert!(bus.terminate(), "it ended by itself");
        let socket = bus.address_value(0, "path").unwrap();
        assert!(!Path::new(socket).exists(), "the socket is left behind");
    }
}

/// Under nohup(1), SIGHUP stayed ignored: the bus did not read its configuration again, and what it started
/// ignored it, too.
#[test]
fn a_bus_that_was_started_to_ignore_hangups_heeds_them() {
    let (_folder, file) = configuration("");
    let output = Command::new("nohup")
        .arg(Daemon::ours().program)
        .args(["--fork", "--print-address", "--print-pid", "--config-file"])
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let pid = text.lines().nth(1).unwrap_or_else(|| panic!("{text}"));
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    let ignored = u64::from_str_radix(ignored, 16).unwrap();
    // The bits of SIGHUP and SIGTERM.
    assert_eq!(ignored & (1 | 1 << 14), 0, "{ignored:x}");
}

/// The address of a bus that could not start was printed all the same.
#[test]
fn a_bus_that_cannot_start_prints_no_address() {
    let faults = [
        ("<user>no-such-user</user>", "no-such-user"),
        ("<listen>unix:path=/no/such/dir/bus</listen>", "change this <listen> element"),
        ("<pidfile>/no/such/dir/pid</pidfile>", "change the <pidfile> element"),
        ("<auth>KERBEROS_V4</auth>", "no <auth> element names a known mechanism"),
        ("<apparmor mode='required'/>", "AppArmor mediation required but not present"),
    ];
    for (element, complaint) in faults {
        let (_folder, file) = configuration(element);
        let output = Command::new(Daemon::ours().program)
            .args(["--nofork", "--print-address", "--config-file"])
            .arg(&file)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{element}");
        assert_eq!(output.stdout, b"", "{element}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(complaint), "{text}");
        // Whatever is wrong is found where it was said: FILE:LINE:COLUMN.
        assert!(text.contains(&format!("{}:1:", file.display())), "{text}");
    }
}

/// In the background, where the working directory is another one, a file that was named relative to
/// the old one was not found again.
#[test]
fn a_bus_in_the_background_finds_its_configuration_again() {
    let (_folder, file) = configuration("");
    let output = Command::new(Daemon::ours().program)
        .args(["--fork", "--print-address", "--print-pid", "--config-file"])
        .arg(file.file_name().unwrap())
        .current_dir(file.parent().unwrap())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let [address, pid] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    let socket = address.strip_prefix("unix:path=").and_then(|rest| rest.split(',').next());
    let mut raw = RawClient::new(UnixStream::connect(socket.unwrap()).unwrap());
    raw.authenticate(true);
    let mut client = Client::register(raw);
    let error = client.call("ReloadConfig", &[]).error_name().to_owned();
    let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(error, "");
}

fn configuration(element: &str) -> (Folder, PathBuf) {
    let text = format!(
        "<busconfig><listen>unix:tmpdir=/tmp</listen>{element}<policy context='default'>\
         <allow send_destination='*' eavesdrop='true'/><allow eavesdrop='true'/>\
         <allow own='*'/></policy></busconfig>"
    );
    let folder = Folder::new();
    let file = folder.write("bus.conf", text);
    (folder, file)
}

/// The second replaced the socket of the first before it found the pid file, and took it along.
#[test]
fn a_second_bus_with_the_same_pid_file_leaves_the_first_its_socket() {
    let elements = "<pidfile>pid</pidfile>";
    let bus = Bus::start(&Daemon::ours(), &Config { elements, ..Config::SESSION });
    fs::write(bus.dir.join("pid"), "1\n").unwrap();
    let output = Command::new(Daemon::ours().program)
        .arg(format!("--config-file={}", bus.dir.join("bus.conf").display()))
        .args(["--nofork", "--print-address"])
        .current_dir(&bus.dir)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("bus.conf:") && text.contains("pid\" exists"), "{text}");
    assert_eq!(output.stdout, b"");
    bus.connect();
}
