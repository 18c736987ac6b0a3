//! Authentication.

use std::time::Instant;

use bus_tests::harness::{Bus, Config, DEADLINE, Daemon};

/// A stranger that asked and never listened made the bus keep all its answers (protocol.md A081).
#[test]
fn answers_that_nobody_reads_end_the_handshake() {
    let bus = Bus::start(&Daemon::ours(), &Config::SESSION);
    let mut stranger = bus.connect_raw();
    stranger.send(b"\0");
    // Small enough that no single read is answered with too much.
    let lines = b"X\r\n".repeat(50);
    while stranger.send_with_fds(&lines, &[]) {
        // Each batch is answered before the next, as another client's turn in the loop shows.
        assert!(bus.connect_raw().ask("\0X").starts_with("ERROR"));
    }
    let deadline = Instant::now() + DEADLINE;
    while !bus.log().contains("answers were not read") {
        assert!(Instant::now() < deadline, "{}", bus.log());
        std::thread::yield_now();
    }
}
