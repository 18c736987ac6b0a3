//! A connection ends with the last that uses it, though objects are served on it.

use std::any::Any;

use bus_tests::harness::{Bus, Message};
use futures_lite::future::block_on;
use libbus::blocking::{Builder, Connection};

use super::{COUNTER, METHODS, PATH, asynchronous, blocking, serve};
use crate::{address, connect, on_each_bus};

/// Waits until nobody has the name `name` any more, once the handles are dropped one after the other.
fn ends_with(bus: &Bus, name: &str, handles: Vec<Box<dyn Any>>) {
    let watcher = connect(bus);
    let rule = format!("member='NameOwnerChanged',arg0='{name}'");
    let mut changes = watcher.receive_signals(&rule).unwrap();
    for handle in handles {
        assert!(watcher.bus().call::<_, bool>("NameHasOwner", name).unwrap());
        drop(handle);
    }
    let signal = changes.next_signal().unwrap();
    let (_, old, new) = signal.deserialize::<(&str, &str, &str)>().unwrap();
    assert_eq!((old, new), (name, ""));
}

#[test]
fn it_ends_with_the_last_handle() {
    on_each_bus(|bus| {
        let builder = libbus::Builder::address(&address(bus)).unwrap();
        let connection = block_on(asynchronous::serve_at(PATH, builder).build()).unwrap();
        let name = connection.unique_name().unwrap().to_owned();
        let server = connection.object_server();
        let served = block_on(server.interface::<_, asynchronous::Counter>(PATH)).unwrap();
        let proxy = connection.bus();
        ends_with(
            bus,
            &name,
            vec![
                Box::new(connection.clone()),
                Box::new(connection),
                Box::new(server),
                Box::new(served),
                Box::new(proxy),
            ],
        );

        let builder = Builder::address(&address(bus)).unwrap();
        let connection = blocking::serve_at(PATH, builder).build().unwrap();
        let name = connection.unique_name().unwrap().to_owned();
        let server = connection.object_server();
        let served = server.interface::<_, blocking::Counter>(PATH).unwrap();
        ends_with(bus, &name, vec![Box::new(connection), Box::new(served), Box::new(server)]);
    });
}

/// After calls were served, and while one is: that one has a handle of its own until it has answered.
#[test]
fn a_call_that_is_being_served_is_answered_before_the_end() {
    on_each_bus(|bus| {
        let builder = libbus::Builder::address(&address(bus)).unwrap();
        let connection = block_on(asynchronous::serve_at(PATH, builder).build()).unwrap();
        let name = connection.unique_name().unwrap().to_owned();
        let (caller, mut asked) = (connect(bus), bus.connect());
        let watcher = connect(bus);
        let rule = format!("member='NameOwnerChanged',arg0='{name}'");
        let mut changes = watcher.receive_signals(&rule).unwrap();
        let proxy = libbus::blocking::Proxy::new(&caller, &*name, PATH, METHODS).unwrap();
        assert_eq!(proxy.call::<_, String>("Echo", "text").unwrap(), "text");
        let ask = caller.send(&proxy.method_call("Ask").unwrap(), &*asked.name).unwrap();
        let question = std::iter::from_fn(|| asked.next_or_end())
            .find(|call| call.member() == "Answer")
            .unwrap();
        drop(connection);
        let other = libbus::blocking::Proxy::new(&watcher, &*name, PATH, METHODS).unwrap();
        assert_eq!(other.call::<_, String>("Echo", "still there").unwrap(), "still there");
        asked.send(&Message::method_return(&question).arg("answer"));
        assert_eq!(ask.wait().unwrap().deserialize::<&str>().unwrap(), "answer");
        let signal = changes.next_signal().unwrap();
        assert_eq!(signal.deserialize::<(&str, &str, &str)>().unwrap(), (&*name, &*name, ""));
    });
}

/// The program ends serving by closing.
#[test]
fn closing_ends_those_who_serve() {
    on_each_bus(|bus| {
        let builder = Builder::address(&address(bus)).unwrap();
        let connection: Connection = blocking::serve_at(PATH, builder).build().unwrap();
        let threads = [serve(&connection), serve(&connection)];
        let caller = connect(bus);
        let name = connection.unique_name().unwrap();
        let proxy = libbus::blocking::Proxy::new(&caller, name, PATH, COUNTER).unwrap();
        assert_eq!(proxy.call::<_, u32>("Increase", &1_u32).unwrap(), 1);
        connection.close();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}
