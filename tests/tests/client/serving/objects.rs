//! Which objects there are, what they say of themselves, and how they come and go.

use std::collections::HashMap;

use bus_introspect::{Access, Annotation, Interface, Method, Node, Property, Signal, annotation};
use futures_lite::future::block_on;
use libbus::blocking::{Connection, Proxy};
use libbus::server::ObjectManager;
use zbus::wire::{OwnedObjectPath, OwnedVariant};

use super::{COUNTER, METHODS, PATH, PROPERTIES, Program, Service, with_each_service};
use super::{asynchronous, blocking};

const INTROSPECTABLE: &str = "org.freedesktop.DBus.Introspectable";
const OBJECT_MANAGER: &str = "org.freedesktop.DBus.ObjectManager";

fn introspect(service: &Service, caller: &Connection, path: &str) -> Node {
    let proxy = Proxy::new(caller, &*service.name, path, INTROSPECTABLE).unwrap();
    let xml: String = proxy.call("Introspect", &()).unwrap();
    let node = Node::from_xml(&xml).unwrap_or_else(|error| panic!("{error}\n{xml}"));
    assert_eq!(node.check(), [], "{xml}");
    node
}

fn documented(text: &str) -> Annotation {
    Annotation::new(annotation::DOC_STRING, text)
}

fn expected_counter() -> Interface {
    let method = |name: &str| Method::new(name);
    let mut hold = method("Hold").with_input("whom", "s").with_output("", "s");
    hold.annotations.push(documented("Asks another program while nobody else may use it."));
    Interface::new(COUNTER)
        .with_method(method("Increase").with_input("by", "u").with_output("", "u"))
        .with_method(method("Reset"))
        .with_method(hold)
        .with_property(Property::new("Count", "u", Access::Read))
}

fn expected_properties() -> Interface {
    let emits = |mut property: Property, value: &str| {
        property.annotations.push(Annotation::new(annotation::EMITS_CHANGED_SIGNAL, value));
        property
    };
    let mut volume = Property::new("Volume", "u", Access::ReadWrite);
    volume.annotations.push(documented("How loud it is."));
    Interface::new(PROPERTIES)
        .with_method(Method::new("Reveal").with_output("", "s"))
        .with_property(volume)
        .with_property(emits(Property::new("Label", "s", Access::ReadWrite), "invalidates"))
        .with_property(emits(Property::new("Made", "(qs)", Access::Read), "const"))
        .with_property(emits(Property::new("Quiet", "b", Access::ReadWrite), "false"))
        .with_property(Property::new("Secret", "s", Access::Write))
        .with_property(Property::new("Failing", "u", Access::Read))
}

#[test]
fn an_object_describes_itself() {
    with_each_service(|_, service, caller| {
        let node = introspect(service, caller, PATH);
        let names: Vec<_> = node.interfaces.iter().map(|interface| &*interface.name).collect();
        assert_eq!(
            names,
            [
                METHODS,
                COUNTER,
                PROPERTIES,
                INTROSPECTABLE,
                "org.freedesktop.DBus.Peer",
                super::STANDARD_PROPERTIES
            ]
        );
        assert_eq!(node.interfaces[1], expected_counter());
        assert_eq!(node.interfaces[2], expected_properties());
        let methods = &node.interfaces[0];
        assert_eq!(methods.annotations, [documented("What methods can be.")]);
        let method =
            |name: &str| methods.methods.iter().find(|method| method.name == name).unwrap();
        let divide = Method::new("Divide").with_input("dividend", "i").with_input("divisor", "i");
        let divide = divide.with_output("quotient", "i").with_output("rest", "i");
        assert_eq!(*method("Divide"), divide);
        let structure = Method::new("Structure").with_input("of", "(us)").with_output("", "(su)");
        assert_eq!(*method("Structure"), structure);
        let sum = Method::new("Sum").with_input("bytes", "ay").with_output("", "t");
        assert_eq!(*method("Sum"), sum);
        assert_eq!(method("Old").annotations[0].name, annotation::DEPRECATED);
        // What it learns by itself is no argument.
        assert_eq!((method("Know").inputs.len(), method("Tell").inputs.len()), (0, 1));
        assert_eq!(method("ReadFd").inputs[0].signature, "h");
        let mut told = Signal::new("Told").with_argument("text", "s").with_argument("number", "u");
        told.annotations.push(documented("Something was told."));
        assert_eq!(methods.signals, [told]);
    });
}

#[test]
fn objects_above_tell_the_way() {
    with_each_service(|_, service, caller| {
        let children = |path: &str| {
            let node = introspect(service, caller, path);
            assert_eq!(node.interfaces.len(), if path == PATH { 6 } else { 3 });
            node.children.into_iter().map(|child| child.name.unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(children("/"), ["org"]);
        assert_eq!(children("/org"), ["example"]);
        assert_eq!(children("/org/example"), ["Object"]);
        let methods = service.proxy(caller, METHODS);
        for path in ["/org/example/Object/b/c", "/org/example/Object/a", "/org/example/Object-2"] {
            if !path.contains('-') {
                assert!(methods.call::<_, bool>("Begin", path).unwrap());
            }
        }
        assert_eq!(children(PATH), ["a", "b"]);
        assert!(!methods.call::<_, bool>("Begin", "/org/example/Object/a").unwrap());
        assert!(methods.call::<_, bool>("End", "/org/example/Object/a").unwrap());
        assert!(!methods.call::<_, bool>("End", "/org/example/Object/a").unwrap());
        assert_eq!(children(PATH), ["b"]);
        let error = methods.call::<_, bool>("Begin", "no path").unwrap_err();
        assert!(matches!(error, libbus::Error::Method(_)), "{error}");
        // The root may be an object, too, and siblings with a common beginning are siblings.
        assert!(methods.call::<_, bool>("Begin", "/").unwrap());
        assert!(methods.call::<_, bool>("Begin", "/org/example/Object2").unwrap());
        let root = Proxy::new(caller, &*service.name, "/", COUNTER).unwrap();
        assert_eq!(root.call::<_, u32>("Increase", &1_u32).unwrap(), 1);
        assert_eq!(children(PATH), ["b"]);
    });
}

type Map = HashMap<String, OwnedVariant>;
type Interfaces = HashMap<String, Map>;

/// protocol.md A209.
#[test]
fn an_object_manager_tells_what_is_below_it() {
    with_each_service(|_, service, caller| {
        let is_new = match &service.program {
            Program::Asynchronous(connection) => {
                block_on(connection.object_server().at("/org/example", ObjectManager))
            }
            Program::Blocking(connection, _) => {
                connection.object_server().at("/org/example", ObjectManager)
            }
        };
        assert!(is_new.unwrap());
        let manager = Proxy::new(caller, &*service.name, "/org/example", OBJECT_MANAGER).unwrap();
        let mut signals = manager.receive_all_signals().unwrap();
        let managed = || -> HashMap<OwnedObjectPath, Interfaces> {
            manager.call("GetManagedObjects", &()).unwrap()
        };
        let objects = managed();
        assert_eq!(objects.keys().map(|path| path.as_str()).collect::<Vec<_>>(), [PATH]);
        let (_, interfaces) = objects.into_iter().next().unwrap();
        assert_eq!(interfaces.len(), 3);
        assert!(interfaces[METHODS].is_empty());
        assert_eq!(u32::try_from(&interfaces[COUNTER]["Count"]).unwrap(), 0);
        assert_eq!(interfaces[PROPERTIES].len(), 4);

        let methods = service.proxy(caller, METHODS);
        let below = "/org/example/Object/below";
        assert!(methods.call::<_, bool>("Begin", below).unwrap());
        let signal = signals.next_signal().unwrap();
        assert_eq!(signal.header().member.unwrap().as_str(), "InterfacesAdded");
        let (path, added): (OwnedObjectPath, Interfaces) = signal.deserialize().unwrap();
        assert_eq!((path.as_str(), added.len()), (below, 1));
        assert_eq!(u32::try_from(&added[COUNTER]["Count"]).unwrap(), 0);
        assert_eq!(managed().len(), 2);

        assert!(methods.call::<_, bool>("End", below).unwrap());
        let signal = signals.next_signal().unwrap();
        assert_eq!(signal.header().member.unwrap().as_str(), "InterfacesRemoved");
        let (path, removed): (OwnedObjectPath, Vec<String>) = signal.deserialize().unwrap();
        assert_eq!((path.as_str(), removed), (below, vec![COUNTER.to_owned()]));
        assert_eq!(managed().len(), 1);
        // It describes itself as one.
        let node = introspect(service, caller, "/org/example");
        assert_eq!(node.interfaces[0].name, OBJECT_MANAGER);
    });
}

/// An object for all paths below one, but where another is.
#[test]
fn a_subtree_is_served_as_one() {
    with_each_service(|_, service, caller| {
        let tree = "/org/example/tree";
        match &service.program {
            Program::Asynchronous(connection) => {
                let server = connection.object_server();
                block_on(server.at_subtree(tree, asynchronous::Everywhere)).unwrap();
            }
            Program::Blocking(connection, _) => {
                let server = connection.object_server();
                server.at_subtree(tree, blocking::Everywhere).unwrap();
            }
        }
        let proxy = |path: &str| {
            Proxy::new(caller, &*service.name, path, "org.example.Everywhere").unwrap()
        };
        for path in [tree, "/org/example/tree/a", "/org/example/tree/a/b/c"] {
            assert_eq!(proxy(path).call::<_, String>("WhereIsIt", &()).unwrap(), path);
            assert_eq!(proxy(path).get_property::<u32>("Depth").unwrap(), 1);
            let node = introspect(service, caller, path);
            assert_eq!(node.interfaces[0].name, "org.example.Everywhere");
        }
        for path in ["/org/example", "/org/example/tree2", PATH] {
            proxy(path).call::<_, String>("WhereIsIt", &()).unwrap_err();
        }
        // Another interface below has its own place, and this one is there, too.
        let below = "/org/example/tree/a";
        let methods = service.proxy(caller, METHODS);
        assert!(methods.call::<_, bool>("Begin", below).unwrap());
        assert_eq!(proxy(below).call::<_, String>("WhereIsIt", &()).unwrap(), below);
        let counter = Proxy::new(caller, &*service.name, below, COUNTER).unwrap();
        assert_eq!(counter.call::<_, u32>("Increase", &1_u32).unwrap(), 1);
        assert_eq!(introspect(service, caller, below).interfaces.len(), 5);
    });
}

/// The program sees and changes what it serves, and tells others of it.
#[test]
fn what_is_served_can_be_reached_from_outside_its_methods() {
    with_each_service(|_, service, caller| {
        let counter = service.proxy(caller, COUNTER);
        counter.call::<_, u32>("Increase", &3_u32).unwrap();
        let path = PATH;
        match &service.program {
            Program::Asynchronous(connection) => block_on(async {
                let server = connection.object_server();
                let served = server.interface::<_, asynchronous::Counter>(path).await.unwrap();
                assert_eq!(served.read().await.count, 3);
                let mut value = served.get_mut().await;
                value.count = 10;
                value.count_changed(served.signal_emitter()).await.unwrap();
                drop(value);
                let none = server.interface::<_, asynchronous::Counter>("/no").await;
                assert!(matches!(none, Err(libbus::Error::NotServed(_))));
            }),
            Program::Blocking(connection, _) => {
                let server = connection.object_server();
                let served = server.interface::<_, blocking::Counter>(path).unwrap();
                assert_eq!(served.read().count, 3);
                let mut value = served.get_mut();
                value.count = 10;
                value.count_changed(served.signal_emitter()).unwrap();
                drop(value);
                let none = server.interface::<_, blocking::Counter>("/no");
                assert!(matches!(none, Err(libbus::Error::NotServed(_))));
            }
        }
        assert_eq!(counter.call::<_, u32>("Increase", &1_u32).unwrap(), 11);
    });
}
