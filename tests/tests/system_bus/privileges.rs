//! The daemon as a process: started by root, served by `messagebus`, ended by SIGTERM.

use std::fs;
use std::path::Path;

use bus_tests::harness::{BUS_INTERFACE, BUS_NAME, BUS_PATH, Message, run};

use crate::Case;
use crate::launcher::{launcher_of, status as status_of};
use crate::system_bus::NOBODY;
use crate::system_bus::{
    PID_FILE, SYSTEM_CONF, SystemBus, connect, connect_as, daemon_command, number_of, place_of,
};

const USER: &str = "messagebus";

pub(crate) const CASES: &[Case] = &[
    Case { name: "runs as messagebus without capabilities", services: &[], run: dropped },
    Case { name: "a second bus is refused by the pid file", services: &[], run: second },
    Case { name: "SIGTERM ends it well", services: &[], run: terminated },
    Case { name: "SIGTERM ends it whatever is waiting to be done", services: &[], run: flooded },
    Case { name: "its files go when it has ended", services: &[], run: removed },
];

fn dropped() {
    let bus = SystemBus::start();
    let status = fs::read_to_string(format!("/proc/{}/status", bus.pid())).unwrap();
    let field = |name: &str| -> Vec<&str> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {name}")).split_whitespace().collect()
    };
    let (uid, gid) = (number_of("/etc/passwd", USER), number_of("/etc/group", USER));
    // real, effective, saved, of the file system
    assert_eq!(field("Uid"), [uid.to_string().as_str(); 4]);
    assert_eq!(field("Gid"), [gid.to_string().as_str(); 4]);
    let mut groups: Vec<u32> = field("Groups").iter().map(|id| id.parse().unwrap()).collect();
    groups.sort_unstable();
    assert_eq!(groups, [gid, number_of("/etc/group", "busextra")]);
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(field(set), ["0000000000000000"], "{set}");
    }
    // The bus locks itself in; the process that starts services as other users cannot.
    assert_eq!(field("NoNewPrivs"), ["1"]);
    assert_eq!(status_of(launcher_of(&bus), "NoNewPrivs"), "0");
    let bus_uid = connect().call("GetConnectionUnixUser", &["org.freedesktop.DBus".into()]);
    assert_eq!(bus_uid.body[0].number(), uid);
    let credentials = connect().call("GetConnectionCredentials", &["org.freedesktop.DBus".into()]);
    assert_eq!(credentials.body[0].lookup("ProcessID").unwrap().number(), bus.pid());
}

fn second() {
    let mut bus = SystemBus::start();
    assert_eq!(fs::read_to_string(PID_FILE).unwrap(), format!("{}\n", bus.pid()));
    let place = place_of("<pidfile>", SYSTEM_CONF);
    run(&daemon_command(&[]), &[]).fails_with(&[&place, PID_FILE, "exists"]);
    // and the first is as before
    connect().call("GetId", &[]);
    assert_eq!(bus.terminate().0, Some(0));
}

/// Also what lies in a directory of root, where the bus cannot remove anything any more, and if the bus is
/// killed.
fn removed() {
    let files = ["/run/of-root/bus", "/run/of-root/pid"];
    let elements =
        format!("<listen>unix:path={}</listen><pidfile>{}</pidfile>", files[0], files[1]);
    fs::create_dir_all("/run/of-root").unwrap();
    let local = "/etc/dbus-1/system-local.conf";
    fs::write(local, format!("<busconfig>{elements}</busconfig>")).unwrap();
    let exist = || files.map(|file| Path::new(file).exists());
    let mut bus = SystemBus::start();
    assert_eq!(exist(), [true, true]);
    assert_eq!(bus.terminate().0, Some(0));
    assert_eq!(exist(), [false, false], "they are gone when the bus has ended");
    let bus = SystemBus::start();
    assert_eq!(exist(), [true, true]);
    bus.kill();
    while exist() != [false, false] {
        std::thread::yield_now();
    }
    fs::remove_file(local).unwrap();
}

fn terminated() {
    for _ in 0..2 {
        let mut bus = SystemBus::start();
        let mut client = connect();
        let (code, log) = bus.terminate();
        assert_eq!(code, Some(0), "{log:?}");
        assert!(!Path::new(PID_FILE).exists(), "the pid file is left behind");
        assert!(client.next_or_end().is_none(), "the client is told by the end of its connection");
        // What was said about the configuration at the start has no such prefix.
        let log = log.iter().filter(|line| line.contains("[system] "));
        let limit = "Failed to raise the limit of open files";
        let log: Vec<_> = log.filter(|line| !line.contains(limit)).collect();
        assert!(log.is_empty(), "nothing went wrong: {log:?}");
    }
}

/// A user has asked for more than it may have done in a round, and another one is there: what is left of
/// that is done when the bus ends.
fn flooded() {
    let mut bus = SystemBus::start();
    let other = connect();
    let call = Message::method_call(BUS_PATH, BUS_INTERFACE, "ListNames").to(BUS_NAME);
    let mut clients: Vec<_> = (0..4).map(|_| connect_as(NOBODY)).collect();
    for client in &mut clients {
        for _ in 0..400 {
            client.send(&call);
        }
    }
    assert_eq!(bus.terminate().0, Some(0));
    drop(other);
}
