//! Descriptors that clients send.

use std::fs::{self, File};
use std::os::fd::OwnedFd;

use bus_tests::harness::{Bus, Config, Daemon, Message, borrow_all};

/// The limits of session.conf that concern descriptors.
const SESSION: Config =
    Config { limits: &[("max_incoming_unix_fds", 250_000_000)], ..Config::SESSION };

fn fd_count(bus: &Bus) -> usize {
    fs::read_dir(format!("/proc/{}/fd", bus.pid())).unwrap().count()
}

fn files(count: usize) -> Vec<OwnedFd> {
    (0..count).map(|_| File::open("/dev/null").unwrap().into()).collect()
}

/// A client could keep as many descriptors as the bus may have, before it was even authenticated.
#[test]
fn descriptors_sent_during_the_handshake_are_closed_at_once() {
    let bus = Bus::start(&Daemon::ours(), &SESSION);
    let mut stranger = bus.connect_raw();
    stranger.send(b"\0");
    assert!(stranger.ask("X").starts_with("ERROR"));
    let before = fd_count(&bus);
    let files = files(100);
    for _ in 0..5 {
        assert!(stranger.send_with_fds(b"X\r\n", &borrow_all(&files)));
        assert!(stranger.read_line().unwrap().starts_with("ERROR"));
    }
    assert_eq!(fd_count(&bus), before);
}

/// config.md B032: one message may bring no more, however long it takes to come.
#[test]
fn an_unfinished_message_holds_no_more_descriptors_than_a_message_may_have() {
    let bus = Bus::start(&Daemon::ours(), &SESSION);
    let files = files(16);
    let signal = Message::signal("/a", "org.example.A", "Long").arg("text");
    let bytes = signal.serial(5).encode();
    let (first, rest) = bytes.split_at(20);

    let mut sender = bus.connect();
    assert!(sender.raw.send_with_fds(first, &borrow_all(&files)));
    sender.raw.send(rest);
    assert!(sender.is_connected(), "as many as one message may have");

    let mut sender = bus.connect();
    assert!(sender.raw.send_with_fds(first, &borrow_all(&files)));
    sender.raw.send_with_fds(&rest[..1], &borrow_all(&files[..1]));
    assert_eq!(sender.until_end(), []);
}
