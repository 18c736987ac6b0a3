//! Who runs methods that wait, and which calls of one sender may be under way at once.

use std::sync::Mutex;

use event_listener::Event;
use futures_lite::future::{block_on, or};
use libbus::{Builder, Connection, interface};

use crate::{address, connect, on_each_bus};

/// Waits until it is let go.
#[derive(Default)]
struct Gate {
    opened: Event,
    passed: Mutex<Vec<u32>>,
}

impl Gate {
    async fn pass(&self, number: u32) {
        let opened = self.opened.listen();
        if number == 1 {
            opened.await;
        }
        self.passed.lock().unwrap().push(number);
        self.opened.notify(usize::MAX);
    }
}

struct Ordered(Gate);

#[interface(name = "org.example.Gate")]
impl Ordered {
    async fn pass(&self, number: u32) {
        self.0.pass(number).await;
    }
}

struct Concurrent(Gate);

#[interface(name = "org.example.Gate", spawn = true)]
impl Concurrent {
    async fn pass(&self, number: u32) {
        self.0.pass(number).await;
    }

    fn passed(&self) -> Vec<u32> {
        self.0.passed.lock().unwrap().clone()
    }
}

/// The first waits for the second, which would come after it.
#[test]
fn calls_of_one_sender_run_at_once_where_that_was_said() {
    on_each_bus(|bus| {
        let builder = Builder::address(&address(bus)).unwrap();
        let builder = builder.serve_at("/gate", Concurrent(Gate::default())).unwrap();
        let service = block_on(builder.build()).unwrap();
        let caller = connect(bus);
        let gate = libbus::blocking::Proxy::new(
            &caller,
            service.unique_name().unwrap(),
            "/gate",
            "org.example.Gate",
        )
        .unwrap();
        let pass = gate.method_call("Pass").unwrap();
        let replies: Vec<_> = [1, 2].map(|number: u32| caller.send(&pass, &number).unwrap()).into();
        replies.into_iter().for_each(|reply| drop(reply.wait().unwrap()));
        assert_eq!(gate.call::<_, Vec<u32>>("Passed", &()).unwrap(), [2, 1]);
    });
}

/// Nobody serves until the program does, and then the program's own thread runs the methods.
#[test]
fn a_program_may_serve_by_itself() {
    on_each_bus(|bus| {
        let builder = Builder::address(&address(bus)).unwrap().internal_executor(false);
        let builder = builder.serve_at("/gate", Ordered(Gate::default())).unwrap();
        let service: Connection = block_on(builder.build()).unwrap();
        let caller = connect(bus);
        let gate = libbus::blocking::Proxy::new(
            &caller,
            service.unique_name().unwrap(),
            "/gate",
            "org.example.Gate",
        )
        .unwrap();
        let reply = caller.send(&gate.method_call("Pass").unwrap(), &2_u32).unwrap();
        // It has read the call by the time that the bus has answered it, and serves it not.
        let in_between = block_on(service.bus().call::<_, String>("GetId", &()));
        in_between.unwrap();
        let served = service.object_server();
        let served = block_on(served.interface::<_, Ordered>("/gate")).unwrap();
        let passed = || served.get().0.passed.lock().unwrap().clone();
        assert!(passed().is_empty());
        let listener = served.get().0.opened.listen();
        let until_passed = async {
            listener.await;
            Ok(())
        };
        block_on(or(service.serve(), until_passed)).unwrap();
        assert_eq!(passed(), [2]);
        reply.wait().unwrap();
    });
}
