//! Limits at their bounds.

use bus_tests::harness::{Bus, Config, Daemon, Message};

/// config.md B029: the limit is passed by more than it, not by as much.
#[test]
fn an_empty_queue_takes_a_message_whatever_the_limit() {
    let limits = &[("max_outgoing_bytes", 0)];
    let bus = Bus::start(&Daemon::ours(), &Config { limits, ..Config::SESSION });
    assert_eq!(bus.connect().name, ":1.0");
}

/// config.md B043: 0 is never, as with the reference, and not at once.
#[test]
fn a_reply_timeout_of_0_never_passes() {
    let limits = &[("reply_timeout", 0)];
    let bus = Bus::start(&Daemon::ours(), &Config { limits, ..Config::SESSION });
    let mut callee = bus.connect();
    let mut caller = bus.connect();
    let call = Message::method_call("/a", "org.example.A", "Ask").to(&callee.name);
    let serial = caller.send(&call);
    let received = callee.next();
    callee.send(&Message::method_return(&received));
    assert_eq!(caller.reply_to(serial).error_name(), "");
}
