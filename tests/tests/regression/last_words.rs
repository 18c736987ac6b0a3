//! What a client says just before it goes.

use bus_tests::harness::{Bus, Client, Config, Daemon, Message};
use rustix::process::{Pid, Signal, kill_process};

/// A program that says something and ends is heard, even if the bus was about to write to it: that
/// fails first, while the rest of what it said is still unread.
#[test]
fn a_client_that_goes_while_it_is_written_to_is_heard_to_the_end() {
    let bus = Bus::start(&Daemon::ours(), &Config::SESSION);
    let mut observer = bus.connect();
    observer.add_match("type='signal',member='Last'");
    let mut speaker = bus.connect();
    speaker.add_match("type='signal',member='Echo'");
    // More than the bus reads at once, and than the socket back to the speaker holds.
    let echo = Message::signal("/a", "org.example.A", "Echo").arg("x".repeat(1000).as_str());
    for _ in 0..1500 {
        speaker.send(&echo);
    }
    speaker.send(&Message::signal("/a", "org.example.A", "Last"));
    drop(speaker);
    assert_eq!(observer.next().member(), "Last");
}

/// What was read before SIGTERM is handled and written, though the sender's turn was over and the
/// copies of its broadcasts were waiting for more. The bus is held while both arrive, in this order.
#[test]
fn what_a_client_said_before_the_end_of_the_bus_is_passed_on() {
    const SUBSCRIBERS: usize = 20;
    const SIGNALS: usize = 200;
    let bus = Bus::start(&Daemon::ours(), &Config::SESSION);
    let mut subscribers: Vec<Client> = (0..SUBSCRIBERS).map(|_| bus.connect()).collect();
    for subscriber in &mut subscribers {
        subscriber.add_match("type='signal',interface='org.example.A'");
    }
    let mut sender = bus.connect();
    let signals: Vec<u8> = (0..SIGNALS)
        .flat_map(|_| {
            let serial = sender.next_serial();
            Message::signal("/a", "org.example.A", "Last").serial(serial).encode()
        })
        .collect();
    let pid = Pid::from_raw(bus.pid().cast_signed()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    sender.raw.send(&signals);
    kill_process(pid, Signal::TERM).unwrap();
    kill_process(pid, Signal::CONT).unwrap();
    for subscriber in &mut subscribers {
        let got = subscriber.until_end();
        assert_eq!(got.iter().filter(|one| one.member() == "Last").count(), SIGNALS);
    }
}
