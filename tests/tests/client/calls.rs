//! Calls and their replies.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::thread;
use std::time::Duration;

use bus_tests::harness::{Bus, Message, field, flag, kind};
use libbus::blocking::{Connection, Proxy};
use libbus::{Error, MethodCall};

use crate::{connect, on_each_bus};

/// A service in a thread that answers each call with its own arguments, until its caller calls `Quit`; to
/// `Never` it has no answer.
fn with_echo(bus: &Bus, test: impl FnOnce(&str)) {
    let mut service = bus.connect();
    let name = service.name.clone();
    thread::scope(|scope| {
        scope.spawn(move || {
            while let Some(call) = service.next_or_end() {
                if call.kind != kind::METHOD_CALL || call.flags & flag::NO_REPLY_EXPECTED != 0 {
                    continue;
                }
                match call.member().as_str() {
                    "Never" => {}
                    "Quit" => {
                        service.send(&Message::method_return(&call));
                        return;
                    }
                    _ => {
                        let mut reply = Message::method_return(&call);
                        let fds = std::mem::take(&mut service.fds);
                        reply.body = call.body;
                        if !fds.is_empty() {
                            reply = reply.with(field::UNIX_FDS, fds.len() as u32);
                        }
                        let fds: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
                        service.send_with_fds(&reply, &fds);
                    }
                }
            }
        });
        test(&name);
        proxy(&connect(bus), &name).call::<_, ()>("Quit", &()).unwrap();
    });
}

fn proxy(connection: &Connection, destination: &str) -> Proxy {
    Proxy::new(connection, destination, "/org/example", "org.example.Echo").unwrap()
}

#[test]
fn values_of_all_kinds_go_there_and_back() {
    on_each_bus(|bus| {
        with_echo(bus, |name| {
            let connection = connect(bus);
            let echo = proxy(&connection, name);
            assert_eq!(echo.call::<_, String>("Echo", "text").unwrap(), "text");
            echo.call::<_, ()>("Echo", &()).unwrap();
            let several = (1_u8, -2_i64, true, "s".to_owned(), vec![1.5, 2.5]);
            assert_eq!(
                echo.call::<_, (u8, i64, bool, String, Vec<f64>)>("Echo", &several).unwrap(),
                several
            );
            let map = HashMap::from([("a".to_owned(), vec![1_u32]), ("b".to_owned(), vec![])]);
            assert_eq!(echo.call::<_, HashMap<String, Vec<u32>>>("Echo", &map).unwrap(), map);
            let reply = echo.call_method("Echo", &("borrowed", 5_u16)).unwrap();
            assert_eq!(reply.deserialize::<(&str, u16)>().unwrap(), ("borrowed", 5));
            let large = "x".repeat(1 << 20);
            assert_eq!(echo.call::<_, String>("Echo", &large).unwrap(), large);
        });
    });
}

#[test]
fn descriptors_go_there_and_back() {
    on_each_bus(|bus| {
        with_echo(bus, |name| {
            let connection = connect(bus);
            assert!(connection.takes_fds());
            let (reader, writer) = std::io::pipe().unwrap();
            let writer = std::os::fd::OwnedFd::from(writer);
            let echo = proxy(&connection, name);
            let (number, fd): (u8, zbus::OwnedFd) =
                echo.call("Echo", &(7_u8, zbus::Fd::from(&writer))).unwrap();
            assert_eq!(number, 7);
            drop(writer);
            let mut back = File::from(std::os::fd::OwnedFd::from(fd));
            std::io::Write::write_all(&mut back, b"through").unwrap();
            drop(back);
            let mut text = String::new();
            // The end comes when nobody holds a copy any more.
            File::from(std::os::fd::OwnedFd::from(reader)).read_to_string(&mut text).unwrap();
            assert_eq!(text, "through");
        });
    });
}

#[test]
fn an_error_names_itself_and_what_is_wrong() {
    on_each_bus(|bus| {
        let connection = connect(bus);
        let error = connection.bus().call::<_, String>("GetNameOwner", "org.example.Nobody");
        let error = error.unwrap_err();
        assert!(error.is_method_error("org.freedesktop.DBus.Error.NameHasNoOwner"), "{error}");
        let Error::Method(method_error) = &error else { panic!("{error}") };
        assert_eq!(error.to_string(), format!("{}: {}", method_error.name(), method_error.text()));
        let wrong = connection.bus().call::<_, u32>("GetId", &()).unwrap_err();
        assert_eq!(wrong.to_string(), "the message has the signature 's', not 'u'");
        let invalid = MethodCall::new("no/path", "Member").unwrap_err();
        assert!(matches!(invalid, Error::Name(_)), "{invalid}");
        assert!(connection.bus().call::<_, ()>("not a member", &()).is_err());
        let nul = connection.bus().call::<_, ()>("GetNameOwner", "a\0b").unwrap_err();
        assert!(matches!(nul, Error::Send(_)), "{nul}");
        // Nothing of that hurt the connection.
        connection.bus().call::<_, String>("GetId", &()).unwrap();
    });
}

#[test]
fn a_call_ends_when_its_time_is_over_and_what_comes_later_is_for_nobody() {
    on_each_bus(|bus| {
        with_echo(bus, |name| {
            let connection = connect(bus);
            let patient = proxy(&connection, name);
            let timeout = Some(Duration::from_millis(20));
            let error = patient.clone().timeout(timeout).call::<_, ()>("Never", &()).unwrap_err();
            assert_eq!(error.to_string(), "not done within 20 ms");
            assert_eq!(patient.call::<_, u8>("Echo", &1_u8).unwrap(), 1);
            let call = patient.method_call("Echo").unwrap();
            drop(connection.send(&call, &2_u8).unwrap());
            assert_eq!(patient.call::<_, u8>("Echo", &3_u8).unwrap(), 3);
            connection.call_no_reply(&call, &4_u8).unwrap();
            assert_eq!(patient.call::<_, u8>("Echo", &5_u8).unwrap(), 5);
        });
    });
}

/// Who looks late finds what came in time.
#[test]
fn a_reply_that_is_there_is_taken_however_late() {
    on_each_bus(|bus| {
        let (connection, other) = (connect(bus), connect(bus));
        let proxy = connection.bus().timeout(Some(Duration::ZERO));
        let call = proxy.method_call("GetId").unwrap();
        let pending = [(); 3].map(|()| connection.send(&call, &()).unwrap());
        // Then the bus has answered all, in whatever order it writes to clients.
        for _ in 0..2 {
            other.bus().call::<_, String>("GetId", &()).unwrap();
        }
        pending.into_iter().for_each(|reply| drop(reply.wait().unwrap()));
        // Nothing is there any more, and there is no time.
        let silent = bus.connect();
        let never = self::proxy(&connection, &silent.name).timeout(Some(Duration::ZERO));
        let error = never.call::<_, ()>("Never", &()).unwrap_err();
        assert!(matches!(error, Error::TimedOut(_)), "{error}");
    });
}

#[test]
fn calls_that_are_sent_together_are_answered_each() {
    on_each_bus(|bus| {
        with_echo(bus, |name| {
            let connection = connect(bus);
            let echo = proxy(&connection, name);
            let call = echo.method_call("Echo").unwrap();
            let mut pending: Vec<_> =
                (0..100_u32).map(|number| connection.send(&call, &number).unwrap()).collect();
            // In any order.
            pending.reverse();
            let numbers = pending.into_iter().map(|reply| reply.wait().unwrap());
            let numbers: Vec<u32> = numbers.map(|reply| reply.deserialize().unwrap()).collect();
            assert!(numbers.into_iter().eq((0..100).rev()));
        });
    });
}

/// More than the sockets between hold, and nobody reads until all is written.
#[test]
fn what_there_is_no_room_for_is_written_while_others_are_waited_for() {
    on_each_bus(|bus| {
        with_echo(bus, |name| {
            let connection = connect(bus);
            let echo = proxy(&connection, name);
            let call = echo.method_call("Echo").unwrap();
            let text = "x".repeat(100_000);
            let pending: Vec<_> =
                (0..100).map(|_| connection.send(&call, &text).unwrap()).collect();
            for reply in pending {
                assert_eq!(reply.wait().unwrap().deserialize::<&str>().unwrap().len(), text.len());
            }
        });
    });
}

#[test]
fn threads_share_a_connection() {
    on_each_bus(|bus| {
        with_echo(bus, |name| {
            let connection = connect(bus);
            thread::scope(|scope| {
                for thread in 0..8_u32 {
                    let echo = proxy(&connection, name);
                    scope.spawn(move || {
                        for number in 0..200 {
                            let value = (thread, number);
                            assert_eq!(echo.call::<_, (u32, u32)>("Echo", &value).unwrap(), value);
                        }
                    });
                }
            });
        });
    });
}

/// All who wait hear of it, and so does whoever comes later.
#[test]
fn the_end_of_the_bus_is_told_to_all_who_wait() {
    on_each_bus(|bus| {
        let connection = connect(bus);
        let mut silent = bus.connect();
        thread::scope(|scope| {
            for _ in 0..4 {
                let proxy = proxy(&connection, &silent.name);
                scope.spawn(move || {
                    let error = proxy.timeout(None).call::<_, ()>("Never", &()).unwrap_err();
                    assert!(error.is_disconnected(), "{error}");
                });
            }
            // All have called.
            let calls = std::iter::from_fn(|| silent.next_or_end());
            assert_eq!(calls.filter(|call| call.member() == "Never").take(4).count(), 4);
            bus.terminate();
        });
        let error = connection.bus().call::<_, String>("GetId", &()).unwrap_err();
        assert!(error.is_disconnected(), "{error}");
    });
}

#[test]
fn a_peer_is_answered_that_asks_whether_somebody_is_there() {
    on_each_bus(|bus| {
        let one = connect(bus);
        let other = connect(bus);
        let name = one.unique_name().unwrap();
        let peer = Proxy::new(&other, name, "/", "org.freedesktop.DBus.Peer").unwrap();
        let pending = other.send(&peer.method_call("Ping").unwrap(), &()).unwrap();
        // Then the bus has it, and after that the other end has read it.
        other.bus().call::<_, String>("GetId", &()).unwrap();
        one.bus().call::<_, String>("GetId", &()).unwrap();
        pending.wait().unwrap();
    });
}
