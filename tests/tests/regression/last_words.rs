//! What a client says just before it goes.

use bus_tests::harness::{Bus, Config, Daemon, Message};

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
