//! Methods, their arguments, results and errors, and signals.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::time::Duration;

use bus_tests::harness::{Message, Value, flag, kind};
use libbus::{Error, MethodCall};

use super::{COUNTER, METHODS, PATH, with_each_service};
use crate::connect;

#[test]
fn methods_answer_with_none_one_or_several_values() {
    with_each_service(|_, service, caller| {
        let methods = service.proxy(caller, METHODS);
        assert_eq!(methods.call::<_, String>("Echo", "text").unwrap(), "text");
        assert_eq!(methods.call::<_, i32>("Add", &(2, -5)).unwrap(), -3);
        methods.call::<_, ()>("Nothing", &()).unwrap();
        assert_eq!(methods.call::<_, (i32, i32)>("Divide", &(17, 5)).unwrap(), (3, 2));
        let reply = methods.call_method("Structure", &((7_u32, "seven"),)).unwrap();
        assert_eq!(reply.header().signature.as_str(), "(su)");
        assert_eq!(reply.deserialize::<((&str, u32),)>().unwrap().0, ("seven", 7));
        assert_eq!(methods.call::<_, u64>("Sum", &[200_u8, 100].as_slice()).unwrap(), 300);
        let map = HashMap::from([("a", vec![1_u32, 2]), ("b", vec![])]);
        let lengths: HashMap<String, u32> = methods.call("Lengths", &map).unwrap();
        assert_eq!(lengths, HashMap::from([("a".to_owned(), 2), ("b".to_owned(), 0)]));
        assert_eq!(methods.call::<_, String>("call_me_this", &()).unwrap(), "that");
        let long = "x".repeat(1 << 20);
        assert_eq!(methods.call::<_, String>("Echo", &*long).unwrap(), long);
    });
}

#[test]
fn methods_that_change_the_value_are_served_one_after_the_other() {
    with_each_service(|bus, service, caller| {
        let counter = service.proxy(caller, COUNTER);
        assert_eq!(counter.call::<_, u32>("Increase", &3_u32).unwrap(), 3);
        let call = counter.method_call("Increase").unwrap();
        let others = [(); 4].map(|()| connect(bus));
        let replies: Vec<_> = (0..400)
            .map(|index| others[index % others.len()].send(&call, &1_u32).unwrap())
            .collect();
        let mut counts: Vec<u32> =
            replies.into_iter().map(|reply| reply.wait().unwrap().deserialize().unwrap()).collect();
        counts.sort_unstable();
        assert!(counts.into_iter().eq(4..404));
        assert_eq!(counter.get_property::<u32>("Count").unwrap(), 403);
    });
}

#[test]
fn errors_have_their_names_and_texts() {
    with_each_service(|_, service, caller| {
        let methods = service.proxy(caller, METHODS);
        let refused = |member: &str| match methods.call_method(member, &()).unwrap_err() {
            Error::Method(error) => (error.name().to_owned(), error.text().to_owned()),
            error => panic!("{error}"),
        };
        let own = ("org.example.Error.Refused".to_owned(), "not today".to_owned());
        assert_eq!(refused("Refuse"), own);
        assert_eq!(refused("RefuseLater"), own);
        let error = methods.call_method("Divide", &(1, 0)).unwrap_err();
        assert!(error.is_method_error("org.freedesktop.DBus.Error.InvalidArgs"), "{error}");
        // Arguments of other types, too few and too many.
        for error in [
            methods.call_method("Echo", &5_u32).unwrap_err(),
            methods.call_method("Echo", &()).unwrap_err(),
            methods.call_method("Echo", &("a", "b")).unwrap_err(),
            methods.call_method("Nothing", "a").unwrap_err(),
            methods.call_method("Add", &("a", 1)).unwrap_err(),
        ] {
            assert!(error.is_method_error("org.freedesktop.DBus.Error.InvalidArgs"), "{error}");
        }
        // Nothing of that hurt anything.
        methods.call::<_, ()>("Nothing", &()).unwrap();
    });
}

#[test]
fn a_method_learns_who_calls_which_object() {
    with_each_service(|_, service, caller| {
        let methods = service.proxy(caller, METHODS);
        let known: Vec<String> = methods.call("Know", &()).unwrap();
        assert_eq!(known, [caller.unique_name().unwrap(), PATH, PATH, &service.name]);
    });
}

#[test]
fn signals_come_from_the_called_object() {
    with_each_service(|_, service, caller| {
        let methods = service.proxy(caller, METHODS);
        let mut signals = methods.receive_signal("Told").unwrap();
        methods.call::<_, ()>("Tell", "news").unwrap();
        let signal = signals.next_signal().unwrap();
        let header = signal.header();
        assert_eq!(header.sender.unwrap().as_str(), service.name);
        assert_eq!(header.path.unwrap().as_str(), PATH);
        assert_eq!(header.interface.unwrap().as_str(), METHODS);
        assert_eq!(signal.deserialize::<(&str, u32)>().unwrap(), ("news", 7));
    });
}

#[test]
fn a_signal_may_be_for_one_recipient() {
    with_each_service(|bus, service, caller| {
        let methods = service.proxy(caller, METHODS);
        let (mut recipient, stranger) = (bus.connect(), connect(bus));
        let mut strangers = service.proxy(&stranger, METHODS).receive_signal("Told").unwrap();
        methods.call::<_, ()>("TellOne", &*recipient.name).unwrap();
        let signal = recipient.next();
        assert_eq!((signal.member().as_str(), signal.destination()), ("Told", recipient.name));
        stranger.bus().call::<_, String>("GetId", &()).unwrap();
        assert!(strangers.next_within(Duration::ZERO).is_err());
    });
}

#[test]
fn descriptors_come_and_go() {
    with_each_service(|_, service, caller| {
        let methods = service.proxy(caller, METHODS);
        for round in 0..300 {
            let text = format!("round {round}");
            let (reader, mut writer) = std::io::pipe().unwrap();
            writer.write_all(text.as_bytes()).unwrap();
            drop(writer);
            let reader = OwnedFd::from(reader);
            let read: String = methods.call("ReadFd", &zbus::Fd::from(&reader)).unwrap();
            assert_eq!(read, text);
            let fd: zbus::OwnedFd = methods.call("OpenFd", &*text).unwrap();
            let mut read = String::new();
            File::from(OwnedFd::from(fd)).read_to_string(&mut read).unwrap();
            assert_eq!(read, text);
        }
    });
}

/// Neither an answer nor an error.
#[test]
fn who_wants_no_reply_has_none() {
    with_each_service(|bus, service, caller| {
        let mut silent = bus.connect();
        let call = |member: &str| Message::method_call(PATH, METHODS, member).to(&service.name);
        let unanswered = |member: &str| call(member).flags(flag::NO_REPLY_EXPECTED);
        silent.send(&unanswered("Note").arg("heard"));
        for member in ["Nothing", "Refuse", "RefuseLater", "NoSuchMethod", "Echo"] {
            silent.send(&unanswered(member));
        }
        silent.send(&call("Echo").arg("last"));
        let reply = silent.next();
        assert_eq!((reply.kind, reply.body), (kind::METHOD_RETURN, vec![Value::from("last")]));
        let methods = service.proxy(caller, METHODS);
        assert_eq!(methods.call::<_, Vec<String>>("Notes", &()).unwrap(), ["heard"]);
        let note = methods.method_call("Note").unwrap();
        caller.call_no_reply(&note, "too").unwrap();
        assert_eq!(methods.call::<_, Vec<String>>("Notes", &()).unwrap(), ["heard", "too"]);
    });
}

/// protocol.md A051: a method call may leave out its interface.
#[test]
fn a_call_without_an_interface_finds_the_method() {
    with_each_service(|_, service, caller| {
        let call = |member: &'static str| {
            MethodCall::new(PATH, member).unwrap().destination(&*service.name).unwrap()
        };
        let reply = caller.call(&call("Echo"), "text").unwrap();
        assert_eq!(reply.deserialize::<&str>().unwrap(), "text");
        let reply = caller.call(&call("Increase"), &2_u32).unwrap();
        assert_eq!(reply.deserialize::<u32>().unwrap(), 2);
        let reply = caller.call(&call("Get"), &("", "Volume")).unwrap();
        assert_eq!(reply.header().signature.as_str(), "v");
        let xml = caller.call(&call("Introspect"), &()).unwrap();
        assert!(xml.deserialize::<&str>().unwrap().contains(METHODS));
        caller.call(&call("Ping"), &()).unwrap();
        let error = caller.call(&call("NoSuchMethod"), &()).unwrap_err();
        assert!(error.is_method_error("org.freedesktop.DBus.Error.UnknownMethod"), "{error}");
    });
}

#[test]
fn what_is_not_there_is_named() {
    with_each_service(|_, service, caller| {
        let own = Some(&*service.name);
        let unknown = |path: &'static str, interface: &'static str, member: &'static str| {
            let error = caller.call_method(own, path, Some(interface), member, &()).unwrap_err();
            let Error::Method(error) = &error else { panic!("{error}") };
            error.name().rsplit('.').next().unwrap().to_owned()
        };
        assert_eq!(unknown("/nowhere", METHODS, "Echo"), "UnknownObject");
        assert_eq!(unknown("/org/example/Object/below", METHODS, "Echo"), "UnknownObject");
        assert_eq!(unknown("/org/example", METHODS, "Echo"), "UnknownInterface");
        assert_eq!(unknown(PATH, "org.example.No", "Echo"), "UnknownInterface");
        assert_eq!(unknown(PATH, METHODS, "No"), "UnknownMethod");
        assert_eq!(unknown(PATH, super::STANDARD_PROPERTIES, "No"), "UnknownMethod");
        let methods = service.proxy(caller, METHODS);
        let error = methods.get_property::<u32>("No").unwrap_err();
        assert!(error.is_method_error("org.freedesktop.DBus.Error.UnknownProperty"), "{error}");
        let error = methods.set_property("No", &1_u32).unwrap_err();
        assert!(error.is_method_error("org.freedesktop.DBus.Error.UnknownProperty"), "{error}");
        let nowhere = service.proxy(caller, "org.example.No");
        let error = nowhere.get_property::<u32>("Volume").unwrap_err();
        assert!(error.is_method_error("org.freedesktop.DBus.Error.UnknownInterface"), "{error}");
    });
}
