//! Many calls at once, and more than there is room for.

use bus_tests::harness::Message;
use libbus::blocking::Connection;
use libbus::connection::{CALLS_WAITING_MAX, CALLS_WAITING_SIZE_MAX};

use super::{METHODS, Service, with_each_service};
use crate::{connect, on_each_bus};

/// More than there are places for: who asks faster than it is answered waits, and is not refused.
fn ask_ten_thousand_times(service: &Service, caller: &Connection) {
    let methods = service.proxy(caller, METHODS);
    let call = methods.method_call("Add").unwrap();
    let replies: Vec<_> =
        (0..10_000).map(|number| caller.send(&call, &(number, 1)).unwrap()).collect();
    for (number, reply) in (0..).zip(replies) {
        assert_eq!(reply.wait().unwrap().deserialize::<i32>().unwrap(), number + 1);
    }
}

#[test]
fn ten_thousand_calls_are_answered_in_order() {
    with_each_service(|_, service, caller| ask_ten_thousand_times(service, caller));
}

/// While one thread answers, the others read.
#[test]
fn so_they_are_by_several_threads() {
    on_each_bus(|bus| ask_ten_thousand_times(&Service::blocking(bus, 3), &connect(bus)));
}

/// Sends `count` calls of `Note` while the first call of the same sender waits, and answers how many of them
/// were served in the end: the others are refused at once.
fn served_of(count: usize, text: &str) -> Vec<usize> {
    let served = std::sync::Mutex::new(Vec::new());
    with_each_service(|bus, service, caller| {
        let methods = service.proxy(caller, METHODS);
        let mut asked = bus.connect();
        let ask = caller.send(&methods.method_call("Ask").unwrap(), &*asked.name).unwrap();
        let question = std::iter::from_fn(|| asked.next_or_end())
            .find(|call| call.member() == "Answer")
            .unwrap();
        let note = methods.method_call("Echo").unwrap();
        let mut replies: Vec<_> = (0..count).map(|_| caller.send(&note, text).unwrap()).collect();
        // The last one is refused though the first one still waits.
        let last = replies.pop().unwrap().wait().unwrap_err();
        assert!(last.is_method_error("org.freedesktop.DBus.Error.LimitsExceeded"), "{last}");
        // Others share the room, so they are refused as well, and served again later.
        let other = connect(bus);
        let others = service.proxy(&other, METHODS);
        let refused = others.call::<_, String>("Echo", "text").unwrap_err();
        assert!(refused.is_method_error("org.freedesktop.DBus.Error.LimitsExceeded"), "{refused}");
        asked.send(&Message::method_return(&question).arg("answer"));
        ask.wait().unwrap();
        let answers = replies.into_iter().map(|reply| reply.wait());
        served.lock().unwrap().push(answers.filter(Result::is_ok).count());
        assert_eq!(others.call::<_, String>("Echo", "text").unwrap(), "text");
    });
    served.into_inner().unwrap()
}

#[test]
fn no_more_calls_wait_than_there_is_room_for() {
    for served in served_of(CALLS_WAITING_MAX + 1000, "x") {
        assert_eq!(served, CALLS_WAITING_MAX);
    }
}

#[test]
fn no_more_bytes_wait_than_there_is_room_for() {
    let text = "x".repeat(8 << 20);
    for served in served_of(18, &text) {
        assert_eq!(served, CALLS_WAITING_SIZE_MAX / text.len());
    }
}
