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

/// What monitors may hold: while they are set up or not, how many messages or bytes of them.
#[test]
fn a_monitor_has_more_room_while_it_is_set_up_and_is_not_read_for_beyond_that_either() {
    let rows = [
        (false, 1, MONITORED_MAX),
        (true, 1, MONITORED_EARLY_MAX),
        (false, LARGE, MONITORED_SIZE_MAX / LARGE),
        (true, LARGE, MONITORED_EARLY_SIZE_MAX / LARGE),
    ];
    for (is_being_set_up, size, count) in rows {
        let mut pair = Pair::new();
        pair.state.begin_monitoring();
        pair.state.set_up_monitoring(is_being_set_up);
        pair.signals_of(size, (count - 1) * size);
        assert!(pair.state.may_read(), "one less: {is_being_set_up}, {size}, {count}");
        pair.signals_of(size, size);
        assert!(!pair.state.may_read(), "the bound: {is_being_set_up}, {size}, {count}");
        // What came with the last one is kept, too.
        pair.signals_of(size, size);
        pair.state.next_monitored().unwrap();
        assert!(!pair.state.may_read(), "the bound again: {is_being_set_up}, {size}, {count}");
        pair.state.next_monitored().unwrap();
        assert!(pair.state.may_read());
        pair.state.set_up_monitoring(false);
        assert_eq!(pair.state.may_read(), !is_being_set_up, "it has the room of others then");
        let left = std::iter::from_fn(|| pair.state.next_monitored()).count();
        assert_eq!((left, pair.state.usage().monitored_size), (count - 1, 0));
        assert!(pair.state.may_read());
    }
}

#[test]
fn what_has_not_begun_to_leave_can_be_taken_back() {
    let mut pair = Pair::new();
    let mut serials =
        ["begun", "first", "second", "third"].map(|text| pair.call_text(text)).to_vec();
    let with_fd = pair.state.send(&call("Put"), null_fds(1), |body| body.string("fd")).unwrap();
    serials.push(with_fd);
    let last = pair.call_text("last");
    assert_eq!(pair.state.last_unwritten(), Some(last));
    pair.state.handle_written(10);
    assert!(!pair.state.take_back(serials[0]), "it has begun");
    for serial in [serials[2], with_fd, serials[1]] {
        assert!(pair.state.take_back(serial));
        assert!(!pair.state.take_back(serial), "it is gone");
    }
    assert!(!pair.state.has_left(serials[3]));
    assert!(pair.state.next_write().1.is_empty(), "its descriptor is closed");
    let mut writes = 0;
    while !pair.state.next_write().0.is_empty() {
        let (bytes, fds) = pair.state.next_write();
        assert!(fds.is_empty());
        let size = bytes.len();
        pair.state.handle_written(size);
        writes += 1;
    }
    assert_eq!(writes, 3, "a hole ends a write: begun, third, last");
    assert!(pair.state.has_left(last) && pair.state.last_unwritten().is_none());
}

#[test]
fn there_is_room_until_so_many_bytes_wait() {
    let mut pair = Pair::new();
    let text = "x".repeat(LARGE);
    let mut serials = Vec::new();
    while pair.state.has_room() {
        serials.push(pair.call_text(&text));
    }
    assert_eq!(serials.len(), WRITE_SIZE_MAX / LARGE);
    // From the middle, of which half is kept until it is worth to be cut out.
    for serial in serials.drain(1..4) {
        assert!(pair.state.take_back(serial));
    }
    assert!(pair.state.has_room());
    for serial in serials.drain(1..4) {
        assert!(pair.state.take_back(serial));
    }
    let usage = pair.state.usage();
    assert!(usage.write_size <= 2 * 2 * (LARGE + 200), "{usage:?}");
    pair.flush();
    assert_eq!(pair.sent.len(), 2);
}

proptest! {
    /// What the other end has in the end is what was neither taken back nor left out, in order and whole.
    #[test]
    fn whatever_is_taken_back_the_rest_leaves(
        script in prop::collection::vec((0_u8..4, any::<prop::sample::Index>(), 0_usize..60_000), 1..60),
    ) {
        let mut pair = Pair::new();
        let mut expected: Vec<(NonZeroU32, usize, bool)> = Vec::new();
        for (what, index, number) in script {
            match what {
                0 | 1 => {
                    let fds = null_fds(usize::from(number % 5 == 0));
                    let text = "x".repeat(number);
                    let has_fd = !fds.is_empty();
                    let serial = pair.state.call(&call("Put"), fds, |body| body.string(&text)).unwrap();
                    expected.push((serial, number, has_fd));
                }
                2 => {
                    let mut left = number * 3;
                    while left > 0 {
                        let (bytes, fds) = pair.state.next_write();
                        if bytes.is_empty() {
                            break;
                        }
                        let size = bytes.len().min(left);
                        pair.fds.extend(fds.iter().map(|fd| fd.try_clone().unwrap()));
                        pair.written.extend_from_slice(&bytes[..size]);
                        pair.state.handle_written(size);
                        left -= size;
                    }
                }
                _ if expected.is_empty() => {}
                _ => {
                    let index = index.index(expected.len());
                    if pair.state.take_back(expected[index].0) {
                        expected.remove(index);
                    }
                }
            }
            let waiting: usize = expected.iter().map(|(_, size, _)| size + 200).sum();
            let usage = pair.state.usage();
            prop_assert!(usage.write_size <= 2 * waiting + 60_000 + (64 << 10), "{usage:?}");
        }
        pair.flush();
        let sent: Vec<_> = pair.sent.iter().map(|call| text_of(call).len()).collect();
        let sizes: Vec<_> = expected.iter().map(|(_, size, _)| *size).collect();
        prop_assert_eq!(sent, sizes);
        let with_fds = expected.iter().filter(|(.., has_fd)| *has_fd).count();
        prop_assert_eq!(pair.fds.len(), 0);
        let received: usize = pair.sent.iter().map(|call| call.fds().len()).sum();
        prop_assert_eq!(received, with_fds);
    }
}
