//! Bounds in bytes, at the bound and one past it.

use super::*;

/// Texts of as many bytes make no more than a few signals fill a queue.
const LARGE: usize = 8 << 20;

impl Pair {
    /// Signals of this size until so many bytes have come; answers how many they were.
    fn signals_of(&mut self, size: usize, bytes: usize) -> usize {
        let (text, before) = ("x".repeat(size), self.serial);
        let mut sum = 0;
        while sum < bytes {
            self.signal("Changed", &text).unwrap();
            sum += size;
        }
        (self.serial - before) as usize
    }
}

#[test]
fn a_stream_that_drops_holds_no_more_bytes_than_it_may() {
    let mut pair = Pair::new();
    let stream = pair.state.begin_stream(everything(), usize::MAX, Overflow::DropOldest);
    let count = pair.signals_of(LARGE, STREAM_SIZE_MAX);
    let usage = pair.state.usage();
    assert_eq!(usage.signal_count, count, "the last one has filled it");
    assert!(usage.signal_size >= STREAM_SIZE_MAX);
    assert!(usage.signal_size < STREAM_SIZE_MAX + 2 * LARGE, "{usage:?}");
    pair.signals_of(LARGE, 2 * STREAM_SIZE_MAX);
    let usage = pair.state.usage();
    assert!(usage.signal_size < STREAM_SIZE_MAX + 2 * LARGE, "{usage:?}");
    let missed = 3 * count - usage.signal_count;
    let Some(Streamed::Missed(told)) = pair.state.next_of(stream) else { panic!("none missed") };
    assert_eq!(told as usize, missed);
    // One that is as large as all of it together comes all the same, by itself.
    pair.signals_of(STREAM_SIZE_MAX, STREAM_SIZE_MAX);
    pair.signals_of(1, 1);
    assert!(matches!(pair.state.next_of(stream), Some(Streamed::Missed(_))));
    assert_eq!(pair.next_size(stream), Some(1));
    assert_eq!(pair.state.usage().signal_size, 0);
}

impl Pair {
    fn next_size(&mut self, stream: StreamId) -> Option<usize> {
        match self.state.next_of(stream)? {
            Streamed::Signal(signal) => Some(text_of(&signal).len()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_stream_that_waits_or_ends_does_so_at_its_bytes() {
    let mut pair = Pair::new();
    let waits = pair.state.begin_stream(everything(), usize::MAX, Overflow::Wait);
    let count = pair.signals_of(LARGE, STREAM_SIZE_MAX - LARGE);
    assert!(pair.state.may_read());
    pair.signals_of(LARGE, LARGE);
    assert!(!pair.state.may_read());
    assert_eq!(pair.next_size(waits), Some(LARGE));
    assert!(pair.state.may_read());
    for _ in 0..count {
        assert_eq!(pair.next_size(waits), Some(LARGE));
    }
    pair.state.end_stream(waits);

    pair.state.begin_stream(everything(), usize::MAX, Overflow::Disconnect);
    pair.signals_of(LARGE, STREAM_SIZE_MAX);
    assert_eq!(pair.signal("Changed", "one more"), Err(ConnectionError::StreamFull));
}

#[test]
fn a_monitor_that_takes_nothing_is_not_read_for_beyond_its_bytes() {
    let mut pair = Pair::new();
    pair.state.begin_monitoring();
    let count = pair.signals_of(LARGE, MONITORED_SIZE_MAX - LARGE);
    assert!(pair.state.may_read());
    pair.signals_of(LARGE, LARGE);
    assert!(!pair.state.may_read());
    assert!(pair.state.usage().monitored_size >= MONITORED_SIZE_MAX);
    assert!(pair.state.next_monitored().is_some());
    assert!(pair.state.may_read());
    for _ in 0..count {
        assert!(pair.state.next_monitored().is_some());
    }
    assert_eq!(
        (pair.state.usage().monitored_size, pair.state.next_monitored().is_none()),
        (0, true)
    );
}
