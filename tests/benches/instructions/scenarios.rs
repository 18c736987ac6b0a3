//! What is counted: the table of all scenarios, each with a function that sets its stage and answers
//! the operation.
//!
//! The operation hands the bus bytes that were made before and takes all output, as the event loop
//! does in a round. The keys are those of `benches/compare` where that measures the same.

use std::hint::black_box;

use bus_daemon::bus::id::ClientId;
use bus_tests::harness::{Message, Value, kind};
use bus_tests::policies::policies;
use libbus::limits::MESSAGE_SIZE_MAX;
use libbus::wire::{ArgumentSpans, MessageError, ParsedHeader, check_body, frame};

use crate::callgrind::counted_operations;
use crate::core_bus::CoreBus;
use crate::failure::{Result, fail};
use crate::watchers::{
    DEVICE, OBJECTS, SERVICE, WATCHERS, object_path, properties_rule, watcher_rules,
};

/// One row of the table.
pub(crate) struct Scenario {
    /// What `--only` and the stored expectations call it.
    pub(crate) key: &'static str,
    /// What one operation is, in words.
    pub(crate) title: &'static str,
    /// How many operations are counted.
    pub(crate) count: u64,
    /// Sets the stage.
    prepare: fn() -> Operation,
}

type Operation = Box<dyn FnMut()>;

/// Operations after which every table and buffer has the size it needs.
const WARM_UP_COUNT: usize = 64;

/// All scenarios, in the order of the table.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        key: "serial-unique",
        title: "call and reply, by unique name",
        count: 2000,
        prepare: || call_and_reply(CoreBus::new(), None),
    },
    Scenario {
        key: "serial-name",
        title: "call and reply, by well-known name",
        count: 2000,
        prepare: || call_and_reply(CoreBus::new(), Some(SERVICE_NAME)),
    },
    Scenario {
        key: "policed",
        title: "call and reply, by well-known name, under a system bus's policies",
        count: 2000,
        prepare: || policed(1),
    },
    Scenario {
        key: "policed-changing",
        title: "the same, each call of 16 unlike the one before",
        count: 125,
        prepare: || policed(16),
    },
    Scenario {
        key: "broadcast-100",
        title: "broadcast to 100",
        count: 500,
        prepare: || broadcast(100),
    },
    Scenario {
        key: "rules-10000",
        title: "signal past 10,000 rules that do not match",
        count: 2000,
        prepare: past_other_rules,
    },
    Scenario {
        key: "properties",
        title: "PropertiesChanged to 10 of 60 watchers with 12 rules each",
        count: 1000,
        prepare: properties_changed,
    },
    Scenario {
        key: "match-rule",
        title: "AddMatch and RemoveMatch",
        count: 1000,
        prepare: add_and_remove_match,
    },
    Scenario {
        key: "own-name",
        title: "RequestName and ReleaseName",
        count: 1000,
        prepare: request_and_release_name,
    },
    Scenario {
        key: "connect",
        title: "connect, handshake, Hello, disconnect",
        count: 1000,
        prepare: connect_and_leave,
    },
    Scenario {
        key: "check-nested",
        title: "check of a message with nested dictionaries",
        count: 5000,
        prepare: check_nested,
    },
];

/// The scenario of that name.
pub(crate) fn find(key: &str) -> Result<&'static Scenario> {
    match SCENARIOS.iter().find(|scenario| scenario.key == key) {
        Some(scenario) => Ok(scenario),
        None => fail(format!("no scenario {key}; there are: {}", keys().join(", "))),
    }
}

/// What the scenarios are called.
pub(crate) fn keys() -> Vec<&'static str> {
    SCENARIOS.iter().map(|scenario| scenario.key).collect()
}

/// Sets the stage, warms up and lets the operations be counted.
pub(crate) fn run(scenario: &Scenario) {
    let mut operation = (scenario.prepare)();
    (0..WARM_UP_COUNT).for_each(|_| operation());
    counted_operations(&mut *operation, scenario.count);
}

const PATH: &str = "/org/example/Object";
const INTERFACE: &str = "org.example.Interface";
const SERVICE_NAME: &str = "org.example.Service";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// The operation of handing over `messages` one after another, each in a round of its own that leads
/// to something that is written.
fn rounds(mut bus: CoreBus, messages: Vec<(ClientId, Vec<u8>)>) -> Operation {
    Box::new(move || {
        for (client, bytes) in &messages {
            assert!(bus.round(*client, bytes) > 0, "nothing was written");
        }
    })
}

fn call_and_reply(bus: CoreBus, name: Option<&str>) -> Operation {
    calls_and_replies(bus, name, 1)
}

/// A serial may come again once its call has been answered.
fn calls_and_replies(mut bus: CoreBus, name: Option<&str>, method_count: u32) -> Operation {
    let (caller, callee) = (bus.connect(), bus.connect());
    if let Some(name) = name {
        bus.call(callee, "RequestName", &[name.into(), 0_u32.into()]);
    }
    let destination = name.map_or_else(|| bus.name(callee), str::to_owned);
    let mut messages = Vec::new();
    for number in 1..=method_count {
        let method = if number == 1 { "Method".to_owned() } else { format!("Method{number}") };
        let call = Message::method_call(PATH, INTERFACE, &method).to(&destination).serial(7);
        let reply = Message::reply_to(kind::METHOD_RETURN, call.serial, &bus.name(caller));
        messages.push((caller, call.arg("Hello, bus!").encode()));
        messages.push((callee, reply.serial(8).arg("Hello, caller!").encode()));
    }
    rounds(bus, messages)
}

/// Calls of so many methods in turn, under rules of each shape that packages bring, of which none but
/// the service's own is about the messages.
fn policed(method_count: u32) -> Operation {
    let mut rules = String::from(
        "<allow user='*'/><deny own='*'/><deny send_type='method_call'/>\
         <allow send_type='signal'/>\
         <allow send_requested_reply='true' send_type='method_return'/>\
         <allow send_requested_reply='true' send_type='error'/>\
         <allow receive_type='method_call'/><allow receive_type='method_return'/>\
         <allow receive_type='error'/><allow receive_type='signal'/>\
         <allow send_destination='org.freedesktop.DBus'/>",
    );
    for number in 0..200 {
        let other = format!("org.example.Other{number}");
        rules.push_str(&format!(
            "<allow send_destination='{other}'/><allow send_interface='{other}.Agent'/>\
             <deny send_destination='{other}' send_interface='{other}' send_member='Reset'/>\
             <allow send_destination='{other}' send_path='/' send_interface='{other}'/>"
        ));
    }
    rules.push_str(&format!(
        "<allow own='{SERVICE_NAME}'/><allow send_destination='{SERVICE_NAME}'/>\
         <deny send_destination='{SERVICE_NAME}' send_interface='{INTERFACE}' send_member='Reset'/>"
    ));
    let policies = policies(&format!("<policy context='default'>{rules}</policy>"));
    calls_and_replies(CoreBus::with_policy(policies), Some(SERVICE_NAME), method_count)
}

fn broadcast(count: usize) -> Operation {
    let mut bus = CoreBus::new();
    let sender = bus.connect();
    for _ in 0..count {
        let recipient = bus.connect();
        add_match(
            &mut bus,
            recipient,
            &format!("type='signal',interface='{INTERFACE}',member='Signal'"),
        );
    }
    let signal = Message::signal(PATH, INTERFACE, "Signal").serial(7).arg("Hello, everyone!");
    rounds(bus, vec![(sender, signal.encode())])
}

/// How many clients hold the rules that do not match, and how many each.
const OTHERS: usize = 100;
const OTHER_RULES: usize = 100;

/// `PropertiesChanged` of one object to one client, while others watch other objects.
fn past_other_rules() -> Operation {
    let mut bus = CoreBus::new();
    let (sender, recipient) = (bus.connect(), bus.connect());
    add_match(&mut bus, recipient, &properties_rule(PATH));
    for index in 0..OTHERS {
        let other = bus.connect();
        for object in (0..OTHER_RULES).map(|object| index * OTHER_RULES + object) {
            add_match(&mut bus, other, &properties_rule(&format!("/org/example/other/{object}")));
        }
    }
    rounds(bus, vec![(sender, changed_properties(PATH, INTERFACE))])
}

/// What a desktop does: proxies of one service's objects, each with rules for properties of its
/// object's interfaces and for the owners of names.
fn properties_changed() -> Operation {
    let mut bus = CoreBus::new();
    let sender = bus.connect();
    bus.call(sender, "RequestName", &[SERVICE.into(), 0_u32.into()]);
    for index in 0..WATCHERS {
        let watcher = bus.connect();
        for rule in watcher_rules(index % OBJECTS) {
            add_match(&mut bus, watcher, &rule);
        }
    }
    rounds(bus, vec![(sender, changed_properties(&object_path(0), DEVICE))])
}

fn add_and_remove_match() -> Operation {
    let mut bus = CoreBus::new();
    let client = bus.connect();
    let rule = properties_rule(PATH);
    let calls = ["AddMatch", "RemoveMatch"]
        .map(|member| (client, bus.bus_call(member, &[rule.as_str().into()])));
    rounds(bus, calls.into())
}

fn request_and_release_name() -> Operation {
    let mut bus = CoreBus::new();
    let client = bus.connect();
    let request = bus.bus_call("RequestName", &[SERVICE.into(), 0_u32.into()]);
    let release = bus.bus_call("ReleaseName", &[SERVICE.into()]);
    rounds(bus, vec![(client, request), (client, release)])
}

fn connect_and_leave() -> Operation {
    let mut bus = CoreBus::new();
    let (handshake, hello) = (CoreBus::handshake(), bus.bus_call("Hello", &[]));
    Box::new(move || {
        let client = bus.accept();
        assert!(bus.round(client, &handshake) > 0, "the handshake was not answered");
        assert!(bus.round(client, &hello) > 0, "Hello was not answered");
        bus.disconnect(client);
    })
}

/// The steps of `Bus::handle_message` before it asks whom the message is for.
fn check_nested() -> Operation {
    let message = interfaces_added();
    let mut spans = ArgumentSpans::new();
    Box::new(move || check(black_box(&message), &mut spans).expect("a valid message"))
}

fn check(message: &[u8], spans: &mut ArgumentSpans) -> std::result::Result<(), MessageError> {
    let frame = frame(message, MESSAGE_SIZE_MAX)?.expect("a whole message");
    let header = ParsedHeader::parse(message, &frame)?.header;
    let body = message.get(frame.header_size..).unwrap_or_default();
    check_body(header.signature, body, header.endian, spans)
}

/// An `InterfacesAdded` of an object with three interfaces of four properties each.
fn interfaces_added() -> Vec<u8> {
    let interfaces = ["org.example.Device", "org.example.Battery", "org.example.Network"];
    let interfaces = interfaces.map(|name| Value::entry(name, properties()));
    Message::signal(PATH, "org.freedesktop.DBus.ObjectManager", "InterfacesAdded")
        .serial(7)
        .arg(Value::path("/org/example/object/0"))
        .arg(Value::Array("{sa{sv}}".to_owned(), interfaces.into()))
        .encode()
}

/// A dictionary of properties.
fn properties() -> Value {
    let properties = [
        Value::entry("Name", Value::variant("Laptop")),
        Value::entry("Level", Value::variant(42_u32)),
        Value::entry("Parent", Value::variant(Value::path("/org/example/object"))),
        Value::entry("Addresses", Value::variant(Value::strings(&["fe80::1", "192.0.2.1"]))),
    ];
    Value::Array("{sv}".to_owned(), properties.into())
}

fn add_match(bus: &mut CoreBus, client: ClientId, rule: &str) {
    bus.call(client, "AddMatch", &[rule.into()]);
}

/// A `PropertiesChanged` of one property of the object at `path`.
fn changed_properties(path: &str, interface: &str) -> Vec<u8> {
    let changed = vec![Value::entry("Level", Value::variant(42_u32))];
    Message::signal(path, PROPERTIES, "PropertiesChanged")
        .serial(7)
        .arg(interface)
        .arg(Value::Array("{sv}".to_owned(), changed))
        .arg(Value::strings(&[]))
        .encode()
}
