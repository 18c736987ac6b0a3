//! The state machine of a client's connection under random scripts (`bus_tests::connection_driver`), of which
//! `fuzz/` tries others for as long as it may.

use bus_tests::connection_driver::{Outcome, drive};
use libbus::connection::{CALLS_WAITING_MAX, ConnectionError};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_comes_and_is_done_it_goes_on_within_its_bounds(
        script in prop::collection::vec(any::<u8>(), 0..1500),
    ) {
        drive(&script);
    }
}

/// A script in which the other end sends 256 of these messages so many times: see `Driver::step`.
fn flood(before: &[u8], kind: u8, count: usize) -> Outcome {
    let many = [6, kind, 0, 0, 0, 0, 0, 0, 255];
    drive(&[&[1], before, &many.repeat(count)].concat())
}

const CALLS: u8 = 0;
const SIGNALS: u8 = 1;

#[test]
fn who_asks_and_reads_no_answer_is_not_read_any_more() {
    let outcome = flood(&[], CALLS, 100);
    assert!(outcome.has_stopped_reading && outcome.failure.is_none(), "{outcome:?}");
    assert_eq!(outcome.call_count, 0);
}

#[test]
fn who_asks_a_program_that_serves_too_much_is_refused_and_then_not_read() {
    let outcome = flood(&[15], CALLS, 100);
    assert!(outcome.has_stopped_reading && outcome.failure.is_none(), "{outcome:?}");
    assert_eq!(outcome.call_count, CALLS_WAITING_MAX);
}

#[test]
fn a_stream_that_nobody_reads_does_what_it_was_told_to() {
    // Three signals may wait in it.
    let of_kind = |overflow: u8| flood(&[11, 0, 0x30 + overflow], SIGNALS, 50);
    let [drops, disconnects, waits] = [0, 1, 2].map(of_kind);
    assert!(!drops.has_stopped_reading && drops.failure.is_none(), "{drops:?}");
    assert_eq!(drops.signal_count, 3);
    assert_eq!(disconnects.failure, Some(ConnectionError::StreamFull));
    assert!(waits.has_stopped_reading && waits.failure.is_none(), "{waits:?}");
}
