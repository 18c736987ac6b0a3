//! Monitors: who looks at what others send.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_lite::future::block_on;
use libbus::blocking::{Builder, Monitor};
use libbus::connection::MONITORED_MAX;
use libbus::message::Message;
use libbus::wire::{Header, MessageType};
use libbus::{MethodCall, Watching};

use crate::{address, connect, on_each_bus};

const PEER: Option<&str> = Some("org.freedesktop.DBus.Peer");

fn monitor(bus: &bus_tests::harness::Bus, rules: &[&str], watching: Watching) -> Monitor {
    Builder::address(&address(bus)).unwrap().monitor(rules, watching).unwrap()
}

/// The next message that `is_wanted`; what the bus tells the monitor itself comes before.
fn next(monitor: &mut Monitor, is_wanted: impl Fn(&Message) -> bool) -> Message {
    loop {
        let message = monitor.next_within(Duration::from_secs(20)).unwrap();
        if is_wanted(&message) {
            return message;
        }
    }
}

fn is_member(name: &'static str) -> impl Fn(&Message) -> bool {
    move |message| message.member().is_some_and(|member| member.as_str() == name)
}

/// A call of one program to another is seen, and answered by whom it is for alone.
#[test]
fn a_monitor_sees_calls_and_replies_of_others_and_answers_none() {
    on_each_bus(|bus| {
        let mut monitor = monitor(bus, &[], Watching::AsMonitor);
        let (caller, callee) = (connect(bus), connect(bus));
        let callee_name = callee.unique_name().unwrap().to_owned();
        std::thread::scope(|scope| {
            let serving = scope.spawn(|| callee.serve_within(Duration::from_secs(20)));
            caller.call_method(Some(callee_name.as_str()), "/", PEER, "Ping", &()).unwrap();
            let call = next(&mut monitor, is_member("Ping"));
            assert_eq!(call.header().destination.unwrap().as_str(), callee_name);
            let reply = next(&mut monitor, |message| {
                message.reply_serial() == Some(call.serial())
                    && message.message_type() == MessageType::MethodReturn
                    && message.sender().is_some_and(|sender| sender.as_str() == callee_name)
            });
            assert_eq!(reply.header().destination.unwrap().as_str(), caller.unique_name().unwrap());
            callee.close();
            drop(serving.join().unwrap());
        });
    });
}

#[test]
fn a_monitor_sees_what_its_rules_are_about() {
    on_each_bus(|bus| {
        let mut monitor = monitor(bus, &["type='signal',member='Wanted'"], Watching::AsMonitor);
        let sender = connect(bus);
        for member in ["Other", "Wanted", "Other"] {
            sender.emit_signal(None, "/a", "org.example.A", member, &7u32).unwrap();
        }
        let of_sender = |message: &Message| {
            message.sender().map(|s| s.to_string()).as_deref() == sender.unique_name()
        };
        let seen = next(&mut monitor, of_sender);
        assert_eq!(seen.member().unwrap().as_str(), "Wanted");
        assert_eq!(seen.deserialize::<u32>().unwrap(), 7);
        sender.emit_signal(None, "/a", "org.example.A", "Wanted", &8u32).unwrap();
        assert_eq!(next(&mut monitor, of_sender).deserialize::<u32>().unwrap(), 8);
    });
}

#[test]
fn match_rules_show_signals_to_who_may_be_no_monitor() {
    on_each_bus(|bus| {
        let mut monitor = monitor(bus, &["type='signal',member='Wanted'"], Watching::ByMatchRules);
        connect(bus).emit_signal(None, "/a", "org.example.A", "Wanted", &7u32).unwrap();
        let seen = next(&mut monitor, is_member("Wanted"));
        assert_eq!(seen.deserialize::<u32>().unwrap(), 7);
    });
}

/// More than is kept at once: what is not read yet waits at the bus.
#[test]
fn a_monitor_that_reads_late_misses_nothing() {
    on_each_bus(|bus| {
        let mut monitor = monitor(bus, &["member='Wanted'"], Watching::AsMonitor);
        let sender = connect(bus);
        let count = MONITORED_MAX as u32 + 500;
        for number in 0..count {
            sender.emit_signal(None, "/a", "org.example.A", "Wanted", &number).unwrap();
        }
        for number in 0..count {
            let seen = next(&mut monitor, is_member("Wanted"));
            assert_eq!(seen.deserialize::<u32>().unwrap(), number);
        }
    });
}

#[test]
fn a_rule_that_is_none_and_a_connection_that_comes_back_are_refused() {
    on_each_bus(|bus| {
        let builder = || Builder::address(&address(bus)).unwrap();
        let refused = builder().monitor(&["member=';'"], Watching::AsMonitor);
        assert!(matches!(refused, Err(libbus::Error::MatchRule(_))), "{refused:?}");
        let again = builder().reconnect(libbus::Reconnect::default());
        let refused = again.monitor(&[], Watching::AsMonitor);
        let Err(refused @ libbus::Error::CannotReconnect(_)) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(refused.to_string(), "a monitor's connection cannot be made again");
    });
}

/// What the first rules match comes before the bus has answered to the others.
#[test]
fn many_rules_are_asked_for_on_a_busy_bus() {
    on_each_bus(|bus| {
        let rules: Vec<String> = (0..400)
            .map(|number| match number {
                0 => "interface='org.example.Busy'".to_owned(),
                _ => format!("interface='org.example.Quiet{number}'"),
            })
            .collect();
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let sender = connect(bus);
                    while !is_over.load(Ordering::Relaxed) {
                        for _ in 0..64 {
                            sender
                                .emit_signal(None, "/a", "org.example.Busy", "Wanted", &())
                                .unwrap();
                        }
                        sender.bus().call::<_, String>("GetId", &()).unwrap();
                    }
                });
            }
            let blocking =
                Builder::address(&address(bus)).unwrap().monitor(&rules, Watching::ByMatchRules);
            let blocking = blocking.map(|mut monitor| {
                next(&mut monitor, is_member("Wanted"));
            });
            let asynchronous = block_on(async {
                let builder = libbus::Builder::address(&address(bus)).unwrap();
                let mut monitor = builder.monitor(&rules, Watching::ByMatchRules).await?;
                while !is_member("Wanted")(&monitor.next_message().await?) {}
                libbus::Result::Ok(())
            });
            // Those who send end, whatever came of it.
            is_over.store(true, Ordering::Relaxed);
            blocking.unwrap();
            asynchronous.unwrap();
        });
    });
}

/// Nothing is answered for who sees by match rules; what it asks is answered to it, and it answers what it likes.
#[test]
fn what_is_seen_is_answered_by_the_program_itself() {
    on_each_bus(|bus| {
        let mut seeing = monitor(bus, &[], Watching::ByMatchRules);
        let name = seeing.unique_name().unwrap().to_owned();
        let owner: String = seeing.connection().bus().call("GetNameOwner", name.as_str()).unwrap();
        assert_eq!(owner, name);
        let caller = connect(bus);
        let call = MethodCall::new("/", "Any").unwrap().destination(name.as_str()).unwrap();
        let reply = caller.send(&call, "question").unwrap();
        let seen = next(&mut seeing, is_member("Any"));
        let mut header = Header::new(MessageType::MethodReturn, NonZeroU32::MIN);
        header.reply_serial = Some(seen.serial());
        header.destination = seen.sender();
        let serial = seeing.connection().send_message(&header, "answer").unwrap();
        let reply = reply.wait().unwrap();
        assert_eq!(reply.deserialize::<&str>().unwrap(), "answer");
        assert_eq!(reply.serial(), serial);
    });
}
