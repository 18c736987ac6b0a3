//! In which order calls are served, and who waits for whom.

use std::os::fd::AsFd as _;
use std::thread;

use bus_tests::harness::{Bus, Client, Message};
use libbus::blocking::{Connection, Proxy};

use super::{COUNTER, METHODS, Service, with_each_service};
use crate::{connect, on_each_bus};

fn notes(methods: &Proxy) -> Vec<String> {
    methods.call("Notes", &()).unwrap()
}

/// The call that a method waits for, whose answer ends the waiting.
fn question(client: &mut Client) -> Message {
    let call = std::iter::from_fn(|| client.next_or_end()).find(|call| call.member() == "Answer");
    call.expect("a question")
}

/// Though the first of them waits; what others ask is answered meanwhile.
#[test]
fn calls_of_one_sender_are_served_in_order_and_others_do_not_wait() {
    with_each_service(|bus, service, caller| {
        let methods = service.proxy(caller, METHODS);
        let other = connect(bus);
        let others = service.proxy(&other, METHODS);
        let mut asked = bus.connect();
        let ask = caller.send(&methods.method_call("Ask").unwrap(), &*asked.name).unwrap();
        let note = caller.send(&methods.method_call("Note").unwrap(), "second").unwrap();
        let question = question(&mut asked);
        others.call::<_, ()>("Note", "other").unwrap();
        assert_eq!(notes(&others), ["asks", "other"]);
        asked.send(&Message::method_return(&question).arg("answer"));
        assert_eq!(ask.wait().unwrap().deserialize::<&str>().unwrap(), "answer");
        note.wait().unwrap();
        assert_eq!(notes(&methods), ["asks", "other", "has asked", "second"]);
    });
}

/// Quick answers may leave together, but not with what takes long.
#[test]
fn an_answer_does_not_wait_for_a_slow_method() {
    with_each_service(|_, service, caller| {
        let methods = service.proxy(caller, METHODS);
        let echo = methods.method_call("Echo").unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        let mut quick: Vec<_> = (0..20).map(|_| caller.send(&echo, "quick").unwrap()).collect();
        let fd = zbus::Fd::from(reader.as_fd());
        let slow = caller.send(&methods.method_call("ReadFd").unwrap(), &fd).unwrap();
        quick.drain(..).for_each(|answer| drop(answer.wait().unwrap()));
        drop(writer);
        slow.wait().unwrap();
    });
}

/// Several wait at once, and each goes on when it is its turn: not in the order in which they began.
#[test]
fn several_senders_wait_at_once() {
    with_each_service(|bus, service, caller| {
        let callers: Vec<Connection> = (0..8).map(|_| connect(bus)).collect();
        let mut asked: Vec<Client> = (0..8).map(|_| bus.connect()).collect();
        let mut waiting = Vec::new();
        for (caller, asked) in callers.iter().zip(&mut asked) {
            let call = service.proxy(caller, METHODS);
            let call = call.method_call("Ask").unwrap();
            let reply = caller.send(&call, &*asked.name).unwrap();
            waiting.push((reply, question(asked)));
        }
        assert_eq!(notes(&service.proxy(caller, METHODS)).len(), 8);
        // In blocking style the last one goes on first; the others' answers wait for that.
        for (asked, (_, question)) in asked.iter_mut().zip(&waiting) {
            asked.send(&Message::method_return(question).arg(&*asked.name.clone()));
        }
        for ((reply, _), asked) in waiting.into_iter().zip(&asked) {
            assert_eq!(reply.wait().unwrap().deserialize::<&str>().unwrap(), asked.name);
        }
    });
}

/// The order of each sender, when several threads serve.
#[test]
fn several_threads_serve_and_keep_each_senders_order() {
    on_each_bus(|bus| {
        let service = Service::blocking(bus, 3);
        let service = &service;
        thread::scope(|scope| {
            for sender in 0..3 {
                scope.spawn(move || {
                    let caller = connect(bus);
                    let methods = service.proxy(&caller, METHODS);
                    let call = methods.method_call("Note").unwrap();
                    let send = |number| caller.send(&call, &*format!("{sender} {number:03}"));
                    let replies: Vec<_> = (0..300).map(|number| send(number).unwrap()).collect();
                    replies.into_iter().for_each(|reply| drop(reply.wait().unwrap()));
                });
            }
        });
        let caller = connect(bus);
        let notes = notes(&service.proxy(&caller, METHODS));
        assert_eq!(notes.len(), 900);
        for sender in ["0 ", "1 ", "2 "] {
            assert!(notes.iter().filter(|note| note.starts_with(sender)).is_sorted());
        }
    });
}

#[test]
fn a_method_calls_an_object_of_its_own_program() {
    with_each_service(|_, service, caller| {
        let methods = service.proxy(caller, METHODS);
        let relay = |text: &str| methods.call::<_, String>("Relay", &(&*service.name, text));
        assert_eq!(relay("to itself").unwrap(), "to itself");
        let back = methods.call::<_, String>("RelayBack", &(&*service.name, "twice"));
        assert_eq!(back.unwrap(), "twice");
    });
}

/// One calls the other, which calls back before it answers: of the same style and of the other one.
#[test]
fn who_is_called_may_call_back() {
    on_each_bus(|bus| {
        let caller = connect(bus);
        for (one, other) in pairs(bus) {
            let methods = one.proxy(&caller, METHODS);
            for text in ["here and back", "again"] {
                let back = methods.call::<_, String>("RelayBack", &(&*other.name, text));
                assert_eq!(back.unwrap(), text);
            }
        }
    });
}

fn pairs(bus: &Bus) -> [(Service, Service); 4] {
    let asynchronous = || Service::asynchronous(bus);
    let blocking = || Service::blocking(bus, 1);
    [
        (asynchronous(), asynchronous()),
        (asynchronous(), blocking()),
        (blocking(), asynchronous()),
        (blocking(), blocking()),
    ]
}

/// Who calls a value that a method has for itself alone waits for the method's end, and the program goes on.
#[test]
fn a_value_that_is_in_use_is_waited_for() {
    with_each_service(|bus, service, caller| {
        let other = connect(bus);
        let mut asked = bus.connect();
        let hold = service.proxy(caller, COUNTER);
        let hold = caller.send(&hold.method_call("Hold").unwrap(), &*asked.name).unwrap();
        let question = question(&mut asked);
        let increase = service.proxy(&other, COUNTER);
        let increase = other.send(&increase.method_call("Increase").unwrap(), &2_u32).unwrap();
        // What needs nothing of it is answered meanwhile.
        let third = connect(bus);
        third_is_served(service, &third);
        asked.send(&Message::method_return(&question).arg("answer"));
        assert_eq!(hold.wait().unwrap().deserialize::<&str>().unwrap(), "answer");
        assert_eq!(increase.wait().unwrap().deserialize::<u32>().unwrap(), 2);
    });
}

fn third_is_served(service: &Service, third: &Connection) {
    let echo: String = service.proxy(third, METHODS).call("Echo", "meanwhile").unwrap();
    assert_eq!(echo, "meanwhile");
}
