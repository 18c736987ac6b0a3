//! Signals and who may send them.

use std::thread;
use std::time::Duration;

use libbus::blocking::{Connection, SignalStream};
use libbus::connection::Overflow;
use libbus::match_rule::MatchRule;
use libbus::{Error, RequestNameFlags, RequestNameReply};

use crate::{connect, on_each_bus};

const PATH: &str = "/org/example";
const INTERFACE: &str = "org.example.Counter";
const NAME: &str = "org.example.Counter";

fn emit(connection: &Connection, number: u32) {
    connection.emit_signal(None, PATH, INTERFACE, "Counted", &number).unwrap();
}

/// When this is over the bus has handled all that was sent before.
fn settle(connection: &Connection) {
    connection.bus().call::<_, String>("GetId", &()).unwrap();
}

/// What there is by now.
fn numbers(stream: &mut SignalStream) -> Vec<u32> {
    let next = || stream.next_within(Duration::ZERO).ok();
    std::iter::from_fn(next).map(|signal| signal.deserialize().unwrap()).collect()
}

#[test]
fn signals_come_in_order_and_before_the_reply_that_follows_them() {
    on_each_bus(|bus| {
        let (listener, sender) = (connect(bus), connect(bus));
        let mut stream = listener.receive_signals(&format!("interface='{INTERFACE}'")).unwrap();
        (0..10).for_each(|number| emit(&sender, number));
        settle(&sender);
        settle(&listener);
        assert_eq!(numbers(&mut stream), (0..10).collect::<Vec<_>>());
        emit(&sender, 10);
        assert_eq!(stream.next().unwrap().unwrap().deserialize::<u32>().unwrap(), 10);
        drop(stream);
        emit(&sender, 11);
        settle(&sender);
        settle(&listener);
    });
}

/// Nothing else waits for a stream that nobody reads, and it says how much it missed.
#[test]
fn an_unread_stream_holds_up_neither_replies_nor_other_streams() {
    on_each_bus(|bus| {
        let (listener, sender) = (connect(bus), connect(bus));
        let rule = format!("interface='{INTERFACE}'");
        let mut unread = listener.receive_signals(&rule).unwrap();
        let mut read = listener.receive_signals(&rule).unwrap();
        let mut seen = 0;
        for block in 0..100_u32 {
            (0..100).for_each(|number| emit(&sender, block * 100 + number));
            settle(&sender);
            settle(&listener);
            seen += numbers(&mut read).len();
        }
        assert_eq!((seen, read.take_missed()), (10_000, 0));
        let kept = numbers(&mut unread);
        assert_eq!(kept, (10_000 - 1024..10_000).collect::<Vec<_>>());
        assert_eq!((unread.take_missed(), unread.take_missed()), (10_000 - 1024, 0));
    });
}

#[test]
fn a_stream_that_must_miss_nothing_ends_the_connection_or_has_others_wait() {
    on_each_bus(|bus| {
        let sender = connect(bus);
        let rule = || MatchRule { interface: Some(INTERFACE.into()), ..MatchRule::default() };
        let listener = connect(bus);
        let mut strict = listener.receive_signals_with(rule(), 4, Overflow::Disconnect).unwrap();
        (0..5).for_each(|number| emit(&sender, number));
        settle(&sender);
        let error = listener.bus().call::<_, String>("GetId", &()).unwrap_err();
        assert!(matches!(error, Error::Connection(_)), "{error}");
        // What was there is still there, and then the error, once.
        let rest: Vec<_> = strict.by_ref().collect();
        assert_eq!(rest.iter().filter(|signal| signal.is_ok()).count(), 4);
        assert!(rest.last().unwrap().is_err() && rest.len() == 5);

        let listener = connect(bus);
        let mut patient = listener.receive_signals_with(rule(), 4, Overflow::Wait).unwrap();
        (0..100).for_each(|number| emit(&sender, number));
        settle(&sender);
        thread::scope(|scope| {
            // It waits until the stream is read.
            let call = scope.spawn(|| listener.bus().call::<_, String>("GetId", &()));
            let got =
                (0..100).map(|_| patient.next_signal().unwrap().deserialize::<u32>().unwrap());
            assert!(got.eq(0..100));
            call.join().unwrap().unwrap();
        });
        assert_eq!(patient.take_missed(), 0);
    });
}

/// Whoever has the name now is the sender, and nobody else, however close a change is.
#[test]
fn a_stream_on_a_name_takes_signals_of_its_present_owner_alone() {
    on_each_bus(|bus| {
        let [listener, first, second, stranger] = [(); 4].map(|()| connect(bus));
        // Once with an owner from the beginning, once without.
        for has_owner in [true, false] {
            if has_owner {
                first.request_name(NAME).unwrap();
            }
            let rule = format!("sender='{NAME}',interface='{INTERFACE}'");
            let mut stream = listener.receive_signals(&rule).unwrap();
            let mut also = listener.receive_signals(&rule).unwrap();
            if !has_owner {
                first.request_name(NAME).unwrap();
            }
            emit(&stranger, 100);
            settle(&stranger);
            emit(&first, 1);
            emit(&second, 101);
            settle(&second);
            let flags = RequestNameFlags::default();
            assert_eq!(second.request_name_with(NAME, flags).unwrap(), RequestNameReply::InQueue);
            emit(&first, 2);
            first.release_name(NAME).unwrap();
            emit(&first, 102);
            settle(&first);
            emit(&second, 3);
            second.release_name(NAME).unwrap();
            emit(&second, 103);
            settle(&second);
            settle(&listener);
            assert_eq!(numbers(&mut stream), [1, 2, 3]);
            drop(stream);
            first.request_name(NAME).unwrap();
            emit(&first, 4);
            first.release_name(NAME).unwrap();
            settle(&listener);
            assert_eq!(numbers(&mut also), [1, 2, 3, 4], "it follows the owner for itself");
        }
    });
}

/// What somebody sends to this program directly comes by no match rule of its own, and is nobody's signal.
#[test]
fn a_signal_that_a_stranger_sends_to_this_program_is_not_taken_for_the_owners() {
    on_each_bus(|bus| {
        let [listener, owner, stranger] = [(); 3].map(|()| connect(bus));
        owner.request_name(NAME).unwrap();
        let rule = format!("sender='{NAME}',interface='{INTERFACE}'");
        let mut stream = listener.receive_signals(&rule).unwrap();
        let to = libbus::names::BusName::parse(listener.unique_name().unwrap()).unwrap();
        stranger.emit_signal(Some(to), PATH, INTERFACE, "Counted", &666_u32).unwrap();
        owner.emit_signal(Some(to), PATH, INTERFACE, "Counted", &1_u32).unwrap();
        settle(&stranger);
        settle(&owner);
        settle(&listener);
        assert_eq!(numbers(&mut stream), [1]);
    });
}
