//! Descriptors that clients send.

use std::fs::{self, File};
use std::os::fd::OwnedFd;

use bus_tests::harness::{
    BUS_INTERFACE, BUS_NAME, BUS_PATH, Bus, Client, Config, Daemon, Message, borrow_all, field,
    kind,
};

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

/// What a client has been sent and does not read counts for the kernel, which then refused descriptors
/// to everybody: so the bus sends only so many, and what is too much for the client's queue is refused.
#[test]
fn descriptors_that_nobody_reads_are_bounded() {
    let bus = Bus::start(&Daemon::ours(), &Config::SESSION);
    let (mut sender, mut slow) = (bus.connect(), bus.connect());
    let file = files(1);
    let mut call = Message::method_call("/a", "org.example.A", "Take").to(&slow.name);
    call.fields.push((field::UNIX_FDS, 1_u32.into()));
    // As many as fit into a socket without that.
    let count = 250;
    for _ in 0..count {
        sender.send_with_fds(&call, &borrow_all(&file));
        sender.call("GetId", &[]);
    }
    let refused = sender.drain().iter().filter(|message| message.kind == kind::ERROR).count();
    let taken = slow.drain().iter().filter(|message| message.member() == "Take").count();
    assert_eq!(taken + refused, count, "each call is refused or arrives");
    assert!(taken > 64 && taken < 200, "{taken} of {count}");
}

/// Who asks who somebody is, and reads no answer, took a process descriptor for each.
#[test]
fn answers_that_nobody_reads_hold_few_descriptors() {
    let bus = Bus::start(&Daemon::ours(), &Config::SESSION);
    let (mut asker, mut other) = (bus.connect(), bus.connect());
    let before = fd_count(&bus);
    let who = Message::method_call(BUS_PATH, BUS_INTERFACE, "GetConnectionCredentials")
        .to(BUS_NAME)
        .arg(other.name.as_str());
    let asked = 2000;
    let bytes: Vec<u8> =
        (0..asked).flat_map(|_| who.clone().serial(asker.next_serial()).encode()).collect();
    asker.raw.send(&bytes);
    other.call("GetId", &[]);
    let held = fd_count(&bus) - before;
    assert!(held < 200, "{held} descriptors for {asked} questions");
    let answers = (0..asked).filter(|_| asker.next().kind == kind::METHOD_RETURN).count();
    assert_eq!(answers, asked, "each is answered");
}

/// What many clients had been sent and had read went on counting, until nobody of their user got any.
#[test]
fn descriptors_that_were_read_do_not_count() {
    let bus = Bus::start(&Daemon::ours(), &Config::SESSION);
    let limits = fs::read_to_string(format!("/proc/{}/limits", bus.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let max: usize = line.split_whitespace().nth(3).unwrap().parse().unwrap();
    let per_message = 16;
    let file = files(per_message);
    let mut sender = bus.connect();
    let send = |sender: &mut Client, to: &str| {
        let mut signal = Message::signal("/a", "org.example.A", "Take").to(to);
        signal.fields.push((field::UNIX_FDS, (per_message as u32).into()));
        sender.send_with_fds(&signal, &borrow_all(&file));
    };
    // A user may have a quarter of what the bus may, unread.
    let (mut clients, mut sent) = (Vec::new(), 0);
    while sent <= max / 4 {
        let mut client = bus.connect();
        for _ in 0..max / 4 / per_message / 4 {
            send(&mut sender, &client.name);
            assert_eq!(client.next().member(), "Take", "after {sent}");
            client.fds.clear();
            sent += per_message;
        }
        clients.push(client);
    }
    let mut last = bus.connect();
    send(&mut sender, &last.name);
    assert_eq!(last.next().unix_fds(), per_message as u32);
}
