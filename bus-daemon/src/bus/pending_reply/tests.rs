use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

fn client(index: u32) -> ClientId {
    ClientId { index, generation: 3 }
}

fn serial(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

fn reply(caller: u32, callee: u32, number: u32, ms: u64) -> PendingReply {
    PendingReply {
        caller: client(caller),
        callee: client(callee),
        serial: serial(number),
        called_at: Timestamp(ms),
    }
}

/// One call for each (caller, callee, serial, ms).
fn replies(calls: &[(u32, u32, u32, u64)]) -> PendingReplies {
    let mut replies = PendingReplies::new(1);
    for &(caller, callee, number, ms) in calls {
        replies.insert(client(caller), client(callee), serial(number), Timestamp(ms)).unwrap();
        replies.check_invariants();
    }
    replies
}

#[test]
fn the_first_reply_uses_the_call_up() {
    // protocol.md A145
    let mut replies = replies(&[(0, 1, 5, 10)]);
    assert_eq!(replies.take(client(0), client(2), serial(5)), None, "another callee");
    assert_eq!(replies.take(client(1), client(0), serial(5)), None, "the wrong way round");
    assert_eq!(replies.take(client(0), client(1), serial(6)), None, "another serial");
    let next_client = ClientId { index: 0, generation: 4 };
    assert_eq!(replies.take(next_client, client(1), serial(5)), None, "same slot, later client");
    assert_eq!(replies.take(client(0), client(1), serial(5)), Some(reply(0, 1, 5, 10)));
    assert_eq!(replies.take(client(0), client(1), serial(5)), None, "a second reply");
    assert!(replies.is_empty());
}

#[test]
fn a_serial_in_flight_is_refused_only_between_the_same_two() {
    // protocol.md A146
    let mut replies = replies(&[(0, 1, 5, 10)]);
    for (caller, callee, number, expected) in [
        (0, 1, 5, Err(DuplicateSerial)),
        (0, 2, 5, Ok(())),
        (2, 1, 5, Ok(())),
        (0, 1, 6, Ok(())),
        (0, 1, 6, Err(DuplicateSerial)),
        (0, 0, 5, Ok(())),
    ] {
        let now = Timestamp(20);
        let outcome = replies.insert(client(caller), client(callee), serial(number), now);
        assert_eq!(outcome, expected, "{caller} to {callee}, serial {number}");
        replies.check_invariants();
    }
    assert_eq!(replies.count_of_caller(client(0)), 4, "config.md B042");
    assert_eq!(replies.len(), 5);
}

#[test]
fn a_callee_that_leaves_leaves_its_calls_oldest_first() {
    // protocol.md A147
    let mut replies = replies(&[(0, 1, 5, 10), (2, 1, 7, 20), (0, 2, 6, 20), (1, 1, 1, 30)]);
    for expected in [reply(0, 1, 5, 10), reply(2, 1, 7, 20), reply(1, 1, 1, 30)] {
        assert_eq!(replies.next_of_callee(client(1)), Some(expected));
        replies.check_invariants();
    }
    assert_eq!(replies.next_of_callee(client(1)), None);
    assert_eq!(replies.next_of_callee(client(99)), None, "never seen");
    assert_eq!(replies.len(), 1);
}

#[test]
fn a_caller_that_leaves_takes_its_calls_along() {
    let mut replies = replies(&[(0, 1, 5, 10), (2, 1, 7, 20), (0, 2, 6, 20), (2, 0, 8, 30)]);
    replies.remove_caller(client(0));
    replies.check_invariants();
    assert_eq!(replies.count_of_caller(client(0)), 0);
    assert_eq!(replies.take(client(0), client(1), serial(5)), None);
    assert_eq!(replies.next_of_callee(client(0)), Some(reply(2, 0, 8, 30)));
    assert_eq!(replies.len(), 1);
    replies.remove_caller(client(99));
}

#[test]
fn calls_expire_at_their_deadline_whatever_the_limit_is_now() {
    // protocol.md A148
    let mut replies = replies(&[(0, 1, 5, 10), (2, 1, 7, 20), (0, 2, 6, 20)]);
    assert_eq!(replies.next_deadline(100), Some(Timestamp(110)));
    assert_eq!(replies.pop_expired(Timestamp(109), 100), None, "one before");
    assert_eq!(replies.pop_expired(Timestamp(110), 100), Some(reply(0, 1, 5, 10)));
    assert_eq!(replies.pop_expired(Timestamp(110), 100), None);
    assert_eq!(replies.next_deadline(50), Some(Timestamp(70)), "shorter after a reload");
    assert_eq!(replies.pop_expired(Timestamp(110), 50), Some(reply(2, 1, 7, 20)));
    assert_eq!(replies.pop_expired(Timestamp(110), u64::MAX), None);
    assert_eq!(replies.pop_expired(Timestamp(110), 0), Some(reply(0, 2, 6, 20)));
    assert_eq!(replies.next_deadline(0), None);
    replies.check_invariants();
}

#[test]
fn a_hundred_thousand_calls_fit_and_steady_traffic_beside_them_allocates_nothing() {
    let mut replies = PendingReplies::new(1);
    for number in 1..=100_000 {
        let (caller, callee) = (client(number % 100), client(200 + number % 7));
        replies.insert(caller, callee, serial(number), Timestamp(number.into())).unwrap();
    }
    replies.check_invariants();
    let grown = (replies.calls.capacity(), replies.clients.capacity());
    let table_grown = replies.by_key.capacity();
    for number in 200_000..210_000 {
        replies.insert(client(0), client(200), serial(number), Timestamp(200_000)).unwrap();
        assert!(replies.take(client(0), client(200), serial(number)).is_some());
    }
    assert_eq!((replies.calls.capacity(), replies.clients.capacity()), grown);
    // What a hash table calls its capacity shrinks by removed entries, and doubles when it grows.
    assert!(replies.by_key.capacity() <= table_grown);

    (0..100).for_each(|index| replies.remove_caller(client(index)));
    assert!(replies.is_empty());
    assert!(replies.by_key.capacity() + replies.calls.capacity() < 2_000, "memory is given back");
}

#[derive(Clone, Debug)]
enum Operation {
    Call(u32, u32, u32, u64),
    Reply(u32, u32, u32),
    CalleeLeaves(u32),
    CallerLeaves(u32),
    Expire(u64),
}

fn operation() -> impl Strategy<Value = Operation> {
    let one = || 0..4u32;
    prop_oneof![
        8 => (one(), one(), 1..5u32, 0..3u64).prop_map(|(a, b, n, t)| Operation::Call(a, b, n, t)),
        4 => (one(), one(), 1..5u32).prop_map(|(a, b, n)| Operation::Reply(a, b, n)),
        1 => one().prop_map(Operation::CalleeLeaves),
        1 => one().prop_map(Operation::CallerLeaves),
        1 => (0..20u64).prop_map(Operation::Expire),
    ]
}

/// All calls in one list, oldest first.
#[derive(Default)]
struct Model {
    calls: VecDeque<PendingReply>,
    now: u64,
}

impl Model {
    fn take(&mut self, wanted: impl Fn(&PendingReply) -> bool) -> Option<PendingReply> {
        let index = self.calls.iter().position(wanted)?;
        self.calls.remove(index)
    }
}

fn run(replies: &mut PendingReplies, model: &mut Model, operation: &Operation) {
    match *operation {
        Operation::Call(caller, callee, number, ms) => {
            model.now += ms;
            let call = reply(caller, callee, number, model.now);
            let is_same =
                |old: &PendingReply| PendingReply { called_at: call.called_at, ..*old } == call;
            let known = model.calls.iter().any(is_same);
            let outcome = replies.insert(call.caller, call.callee, call.serial, call.called_at);
            assert_eq!(outcome.is_err(), known);
            if !known {
                model.calls.push_back(call);
            }
        }
        Operation::Reply(caller, callee, number) => {
            let (caller, callee, serial) = (client(caller), client(callee), serial(number));
            let expected = model
                .take(|call| (call.caller, call.callee, call.serial) == (caller, callee, serial));
            assert_eq!(replies.take(caller, callee, serial), expected);
        }
        Operation::CalleeLeaves(callee) => loop {
            let expected = model.take(|call| call.callee == client(callee));
            assert_eq!(replies.next_of_callee(client(callee)), expected);
            if expected.is_none() {
                break;
            }
        },
        Operation::CallerLeaves(caller) => {
            model.calls.retain(|call| call.caller != client(caller));
            replies.remove_caller(client(caller));
        }
        Operation::Expire(timeout_ms) => loop {
            let now = Timestamp(model.now);
            let expected = model.take(|call| call.called_at.plus_ms(timeout_ms) <= now);
            assert_eq!(replies.pop_expired(now, timeout_ms), expected);
            if expected.is_none() {
                break;
            }
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_goes_as_in_the_model(
        operations in prop::collection::vec(operation(), 1..80),
        seed: u64,
    ) {
        let mut replies = PendingReplies::new(seed);
        let mut model = Model::default();
        for operation in &operations {
            run(&mut replies, &mut model, operation);
            replies.check_invariants();
            prop_assert_eq!(replies.len(), model.calls.len());
            for index in 0..4 {
                let own = model.calls.iter().filter(|call| call.caller == client(index));
                prop_assert_eq!(replies.count_of_caller(client(index)) as usize, own.count());
            }
            let oldest = model.calls.front().map(|call| call.called_at.plus_ms(7));
            prop_assert_eq!(replies.next_deadline(7), oldest);
        }
    }
}
