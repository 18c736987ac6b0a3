//! How many system calls a message costs (ARCHITECTURE.md, "Bird's-eye view").

use bus_tests::harness::{Client, Message, flag};

use crate::trace::TracedBus;

const PATH: &str = "/org/example/Object";
const INTERFACE: &str = "org.example.Interface";
const SERIAL_COUNT: usize = 200;
/// As many calls, and as many signals, as a client's turn has time for.
const BURST_COUNT: usize = 16;
const SUBSCRIBER_COUNT: usize = 10;
const SIGNAL_COUNT: usize = 8;

/// What one message costs that nobody else's message shares.
const ONE_ROUND: [&str; 3] = ["epoll_wait", "recvmsg", "sendmsg"];

fn call(client: &mut Client, destination: &str) -> Message {
    let serial = client.next_serial();
    Message::method_call(PATH, INTERFACE, "Frobnicate").to(destination).arg("text").serial(serial)
}

/// Each waits for what the other sends, so that no two messages can share a round.
fn call_one_after_another(caller: &mut Client, callee: &mut Client) {
    for _ in 0..SERIAL_COUNT {
        let call = call(caller, &callee.name);
        caller.send(&call);
        let received = callee.next();
        callee.send(&Message::method_return(&received).arg("text"));
        caller.reply_to(call.serial);
    }
}

/// All calls in one write, all replies in one write.
fn call_in_a_burst(caller: &mut Client, callee: &mut Client) {
    let calls: Vec<Message> =
        (0..BURST_COUNT).map(|_| call(caller, &callee.name).flags(0)).collect();
    caller.raw.send(&calls.iter().flat_map(Message::encode).collect::<Vec<_>>());
    let replies: Vec<u8> = (0..BURST_COUNT)
        .flat_map(|_| {
            let serial = callee.next_serial();
            Message::method_return(&callee.next()).serial(serial).encode()
        })
        .collect();
    callee.raw.send(&replies);
    for call in calls {
        caller.reply_to(call.serial);
    }
}

fn broadcast_in_a_burst(sender: &mut Client, subscribers: &mut [Client]) {
    let signals: Vec<u8> = (0..SIGNAL_COUNT)
        .flat_map(|_| {
            let serial = sender.next_serial();
            Message::signal(PATH, INTERFACE, "Changed").serial(serial).encode()
        })
        .collect();
    sender.raw.send(&signals);
    for subscriber in subscribers {
        (0..SIGNAL_COUNT).for_each(|_| assert_eq!(subscriber.next().member(), "Changed"));
    }
}

#[test]
fn a_message_costs_three_system_calls_and_a_burst_no_more() {
    let Some(traced) = TracedBus::start() else { return };
    let (mut caller, mut callee) = (traced.bus.connect(), traced.bus.connect());
    let mut subscribers: Vec<Client> =
        std::iter::repeat_with(|| traced.bus.connect()).take(SUBSCRIBER_COUNT).collect();
    for subscriber in &mut subscribers {
        subscriber.add_match(&format!("interface='{INTERFACE}'"));
    }
    // The first burst makes the daemon's heap grow.
    broadcast_in_a_burst(&mut caller, &mut subscribers);
    traced.mark(&mut caller);
    call_one_after_another(&mut caller, &mut callee);
    traced.mark(&mut caller);
    call_in_a_burst(&mut caller, &mut callee);
    traced.mark(&mut caller);
    broadcast_in_a_burst(&mut caller, &mut subscribers);
    traced.mark(&mut caller);
    let call = call(&mut caller, &callee.name).flags(flag::NO_REPLY_EXPECTED);
    caller.send(&call);
    callee.next();
    traced.mark(&mut caller);
    let phases = traced.finish();

    assert_eq!(phases[1], ONE_ROUND.repeat(2 * SERIAL_COUNT), "a call, a reply, a call, ...");
    assert_eq!(phases[2], ONE_ROUND.repeat(2), "{BURST_COUNT} calls, then all their replies");
    let mut to_all = vec!["epoll_wait", "recvmsg"];
    to_all.extend(["sendmsg"; SUBSCRIBER_COUNT]);
    assert_eq!(phases[3], to_all, "{SIGNAL_COUNT} signals to {SUBSCRIBER_COUNT} subscribers");
    assert_eq!(phases[4], ONE_ROUND, "a call that asks for no reply");
}
