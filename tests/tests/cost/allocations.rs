//! How often the core asks for memory (ARCHITECTURE.md, "Bird's-eye view").

use bus_daemon::bus::id::ClientId;
use bus_tests::harness::{Message, Value};

use crate::core_bus::CoreBus;
use crate::counting_allocator::allocations_of;

const PATH: &str = "/org/example/Object";
const INTERFACE: &str = "org.example.Interface";

/// Messages after which every table and buffer has the size it needs.
const WARM_UP_COUNT: usize = 64;
const MEASURED_COUNT: usize = 1000;

/// A method of the bus, and its arguments.
type BusCall = (&'static str, Vec<Value>);

/// The allocations of `MEASURED_COUNT` rounds, after `WARM_UP_COUNT` like them. Each item is what
/// the clients send in one round each, in order; all must lead to something that is written.
fn allocations_in_steady_state(
    bus: &mut CoreBus,
    mut write: impl FnMut(&mut CoreBus) -> Vec<(ClientId, Vec<u8>)>,
) -> u64 {
    let mut prepare = |bus: &mut CoreBus, count| -> Vec<_> {
        std::iter::repeat_with(|| write(bus)).take(count).flatten().collect()
    };
    let warm_up = prepare(bus, WARM_UP_COUNT);
    let measured = prepare(bus, MEASURED_COUNT);
    let mut run = |messages: &[(ClientId, Vec<u8>)]| {
        for (client, bytes) in messages {
            assert!(bus.round(*client, bytes) > 0);
        }
    };
    run(&warm_up);
    allocations_of(|| run(&measured))
}

fn call(bus: &mut CoreBus, destination: &str) -> Message {
    let serial = bus.next_serial().get();
    Message::method_call(PATH, INTERFACE, "Frobnicate").to(destination).arg("text").serial(serial)
}

#[test]
fn a_call_and_its_reply_allocate_nothing() {
    for in_flight in [1, 16] {
        for by_name in [false, true] {
            let mut bus = CoreBus::new();
            let (caller, callee) = (bus.connect(), bus.connect());
            bus.call(callee, "RequestName", &["org.example.Callee".into(), 0_u32.into()]);
            let caller_name = bus.name(caller);
            let callee_name =
                if by_name { "org.example.Callee".to_owned() } else { bus.name(callee) };
            let count = allocations_in_steady_state(&mut bus, |bus| {
                let (mut calls, mut replies) = (Vec::new(), Vec::new());
                for _ in 0..in_flight {
                    let call = call(bus, &callee_name).with(7, caller_name.as_str());
                    replies.extend(Message::method_return(&call).serial(1).arg(5_u32).encode());
                    calls.extend(call.encode());
                }
                vec![(caller, calls), (callee, replies)]
            });
            assert_eq!(count, 0, "{in_flight} in flight, by well-known name: {by_name}");
        }
    }
}

#[test]
fn an_error_reply_allocates_nothing() {
    let mut bus = CoreBus::new();
    let (caller, callee) = (bus.connect(), bus.connect());
    let (caller_name, callee_name) = (bus.name(caller), bus.name(callee));
    let count = allocations_in_steady_state(&mut bus, |bus| {
        let call = call(bus, &callee_name).with(7, caller_name.as_str());
        let reply = Message::error(&call, "org.example.Error").serial(1).arg("because");
        vec![(caller, call.encode()), (callee, reply.encode())]
    });
    assert_eq!(count, 0);
}

#[test]
fn a_signal_to_ten_subscribers_allocates_nothing() {
    let mut bus = CoreBus::new();
    let sender = bus.connect();
    let rules = [
        format!("type='signal',interface='{INTERFACE}'"),
        format!("type='signal',path_namespace='{PATH}'"),
        "type='signal',arg0='text'".to_owned(),
        "type='signal',arg0namespace='text'".to_owned(),
        format!("type='signal',sender='{}'", bus.name(sender)),
    ];
    for index in 0..10 {
        let subscriber = bus.connect();
        for rule in rules.iter().cycle().skip(index).take(2) {
            bus.call(subscriber, "AddMatch", &[rule.as_str().into()]);
        }
    }
    let count = allocations_in_steady_state(&mut bus, |bus| {
        let serial = bus.next_serial().get();
        let signal = Message::signal(PATH, INTERFACE, "Changed").arg("text").serial(serial);
        vec![(sender, signal.encode())]
    });
    assert_eq!(count, 0);
}

/// A message that comes in two reads is the only one for which a buffer is taken.
#[test]
fn a_message_in_two_parts_allocates_its_own_buffer_only() {
    let mut bus = CoreBus::new();
    let (caller, callee) = (bus.connect(), bus.connect());
    let callee_name = bus.name(callee);
    let half = |bus: &mut CoreBus| {
        let bytes = call(bus, &callee_name).flags(1).encode();
        let second = bytes[bytes.len() / 2..].to_vec();
        (bytes[..bytes.len() / 2].to_vec(), second)
    };
    let messages: Vec<_> = std::iter::repeat_with(|| half(&mut bus)).take(64).collect();
    let mut per_message: Vec<u64> = Vec::with_capacity(messages.len());
    for (first, second) in &messages {
        per_message.push(allocations_of(|| {
            assert_eq!(bus.round(caller, first), 0);
            assert!(bus.round(caller, second) > 0);
        }));
    }
    assert!(per_message[8..].iter().all(|count| *count <= 3), "{per_message:?}");
}

/// What the methods of the bus may cost that clients call at their start, two at a time so that
/// each pair leaves things as they were: the name, or the rule, is all that is kept.
#[test]
fn methods_of_the_bus_allocate_little() {
    let text = |text: &str| Value::from(text);
    let name = text("org.example.Name");
    let rule = text("type='signal',interface='org.example.Interface',member='Changed',path='/a'");
    let cases: [([BusCall; 2], u64); 4] = [
        (
            [
                ("RequestName", vec![name.clone(), 0_u32.into()]),
                ("ReleaseName", vec![name.clone()]),
            ],
            1,
        ),
        ([("AddMatch", vec![rule.clone()]), ("RemoveMatch", vec![rule])], 7),
        ([("GetNameOwner", vec![text(":1.0")]), ("NameHasOwner", vec![name])], 0),
        ([("GetId", vec![]), ("ListQueuedOwners", vec![text(":1.0")])], 5),
    ];
    for (pair, allowed) in cases {
        let mut bus = CoreBus::new();
        let client = bus.connect();
        let count = allocations_in_steady_state(&mut bus, |bus| {
            let bytes = |(member, arguments): &BusCall| (client, bus.bus_call(member, arguments));
            pair.iter().map(bytes).collect()
        });
        let per_pair = count.div_ceil(MEASURED_COUNT as u64);
        let members = pair.each_ref().map(|(member, _)| member);
        assert!(per_pair <= allowed, "{members:?}: {per_pair} allocations, not {allowed}");
    }
}
