//! A client that reads slowly, over real sockets: the simulation has no epoll that could spin.

use std::fs;
use std::time::Duration;

use bus_tests::harness::{Bus, Client, Config, Daemon, Message};

/// Signals for one client alone: more than the bus lets wait, and than its socket takes.
fn flood(sender: &mut Client, recipient: &Client, count: usize) -> Vec<u8> {
    let text = "x".repeat(1000);
    let signal = Message::signal("/a", "org.example.A", "Much").to(&recipient.name);
    let signal = signal.arg(text.as_str());
    (0..count).flat_map(|_| signal.clone().serial(sender.next_serial()).encode()).collect()
}

fn take_much(client: &mut Client, count: usize) {
    for number in 0..count {
        assert_eq!(client.next().member(), "Much", "{number} of {count}");
    }
}

/// Processor time that the bus has taken, in ticks of 10 ms.
fn ticks(bus: &Bus) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", bus.pid())).unwrap();
    let fields = stat.rsplit_once(')').unwrap().1;
    fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}

/// The sender writes without reading; it goes on when its pause is over, and everything arrives.
#[test]
fn a_flood_at_a_client_that_does_not_read_is_slowed_and_arrives() {
    let bus = Bus::start(&Daemon::ours(), &Config::SESSION);
    let (mut sender, mut slow) = (bus.connect(), bus.connect());
    let count = 5000;
    let bytes = flood(&mut sender, &slow, count);
    sender.raw.send(&bytes);
    take_much(&mut slow, count);
    assert!(sender.is_connected());
}

/// A paused sender whose peer is gone is reported by the kernel all the time.
#[test]
fn a_sender_that_goes_while_it_is_paused_is_heard_to_the_end() {
    let bus = Bus::start(&Daemon::ours(), &Config::SESSION);
    let (mut sender, mut slow) = (bus.connect(), bus.connect());
    let bytes = flood(&mut sender, &slow, 5000);
    let size = bytes.len() / 5000;
    let mut sent = 0;
    // Until its socket stays full, since the bus does not read.
    for _ in 0..20 {
        sent += sender.raw.send_what_fits(&bytes[sent..]);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(sent < bytes.len(), "the bus has read everything");
    drop(sender);
    let before = ticks(&bus);
    std::thread::sleep(Duration::from_millis(250));
    let taken = ticks(&bus) - before;
    assert!(taken < 10, "the bus was busy for {taken} of 25 ticks");
    take_much(&mut slow, sent / size);
}
