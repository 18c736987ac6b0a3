//! The objects of another program, as its object manager tells of them.

use std::collections::HashMap;

use bus_tests::harness::Bus;
use futures_lite::future::block_on;
use libbus::server::ObjectManager;
use libbus::wire_types::{ObjectPath, OwnedVariant};
use libbus::{Error, ObjectEvent, RequestNameFlags, Result, SignalEmitter, blocking, interface};

use crate::{address, connect, on_each_bus};

const NAME: &str = "org.example.Disks";
const ROOT: &str = "/org/example/Disks";
const DISK: &str = "org.example.Disk";
const LABEL: &str = "org.example.Label";

struct Disk {
    size: u32,
}

#[interface(name = "org.example.Disk")]
impl Disk {
    #[zbus(property)]
    fn size(&self) -> u32 {
        self.size
    }

    #[zbus(property)]
    fn set_size(&mut self, size: u32) {
        self.size = size;
    }

    #[zbus(property(emits_changed_signal = "invalidates"))]
    fn state(&self) -> &str {
        "new"
    }

    /// What is neither the manager's nor a property's.
    #[zbus(signal)]
    async fn spun(emitter: &SignalEmitter<'_>, speed: u32) -> Result<()>;
}

struct Label(&'static str);

#[interface(name = "org.example.Label")]
impl Label {
    #[zbus(property(emits_changed_signal = "const"))]
    fn text(&self) -> &str {
        self.0
    }
}

async fn serve(bus: &Bus, disks: &[(&str, u32)]) -> libbus::Connection {
    let builder = libbus::Builder::address(&address(bus)).unwrap();
    let mut builder = builder.serve_at(ROOT, ObjectManager).unwrap();
    for (name, size) in disks {
        builder = builder.serve_at(&*format!("{ROOT}/{name}"), Disk { size: *size }).unwrap();
    }
    builder.build().await.unwrap()
}

fn added(path: &str, interfaces: &[&str]) -> ObjectEvent {
    let interfaces = interfaces.iter().map(|name| (*name).to_owned()).collect();
    ObjectEvent::InterfacesAdded { path: path.to_owned(), interfaces }
}

fn removed(path: &str, interfaces: &[&str]) -> ObjectEvent {
    let interfaces = interfaces.iter().map(|name| (*name).to_owned()).collect();
    ObjectEvent::InterfacesRemoved { path: path.to_owned(), interfaces }
}

fn changed(path: &str, properties: &[&str]) -> ObjectEvent {
    ObjectEvent::PropertiesChanged {
        path: path.to_owned(),
        interface: DISK.to_owned(),
        properties: properties.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// Written once for both styles.
macro_rules! follow {
    ($client:expr, $service:expr, [$($wait:tt)*]) => {{
        let (a, b) = (format!("{ROOT}/a"), format!("{ROOT}/b"));
        let mut disks = $client.managed_objects(NAME, ROOT)$($wait)*.unwrap();
        assert_eq!(disks.paths().collect::<Vec<_>>(), [&*a]);
        assert_eq!(disks.interfaces(&a).collect::<Vec<_>>(), [DISK]);
        assert_eq!(disks.properties(&a, DISK).collect::<Vec<_>>(), ["Size", "State"]);
        assert_eq!(disks.property(&a, DISK, "Size").unwrap(), Some(1u32));
        assert!(matches!(disks.property::<String>(&a, DISK, "Size"), Err(Error::Type(_))));
        assert_eq!(disks.property::<u32>(&a, DISK, "None").unwrap(), None);
        assert_eq!(disks.property::<u32>("/none", DISK, "Size").unwrap(), None);
        assert_eq!(disks.owner(), $service.unique_name());

        let server = $service.object_server();
        block_on(server.at(&*b, Disk { size: 2 })).unwrap();
        block_on(server.at(&*b, Label("two"))).unwrap();
        assert_eq!(disks.next_event()$($wait)*.unwrap(), added(&b, &[DISK]));
        assert_eq!(disks.next_event()$($wait)*.unwrap(), added(&b, &[LABEL]));
        assert_eq!(disks.property(&b, LABEL, "Text").unwrap(), Some("two".to_owned()));
        assert_eq!(disks.paths_with(LABEL).collect::<Vec<_>>(), [&*b]);
        assert_eq!(disks.paths().count(), 2);

        let served = block_on(server.interface::<_, Disk>(&*a)).unwrap();
        block_on(async {
            let emitter = served.signal_emitter();
            emitter.spun(7).await.unwrap();
            served.get_mut().await.size = 5;
            served.get_mut().await.size_changed(emitter).await.unwrap();
            served.get_mut().await.state_invalidated(emitter).await.unwrap();
        });
        assert_eq!(disks.next_event()$($wait)*.unwrap(), changed(&a, &["Size"]));
        assert_eq!(disks.property(&a, DISK, "Size").unwrap(), Some(5u32));
        assert_eq!(disks.next_event()$($wait)*.unwrap(), changed(&a, &["State"]));
        assert_eq!(disks.property::<String>(&a, DISK, "State").unwrap(), None);

        block_on(server.remove::<Disk, _>(&*b)).unwrap();
        block_on(server.remove::<Label, _>(&*b)).unwrap();
        assert_eq!(disks.next_event()$($wait)*.unwrap(), removed(&b, &[DISK]));
        assert_eq!(disks.interfaces(&b).collect::<Vec<_>>(), [LABEL]);
        assert_eq!(disks.next_event()$($wait)*.unwrap(), removed(&b, &[LABEL]));
        assert_eq!(disks.paths().collect::<Vec<_>>(), [&*a]);
    }};
}

#[test]
fn what_comes_changes_and_goes_is_told_in_its_order() {
    on_each_bus(|bus| {
        let service = block_on(serve(bus, &[("a", 1)]));
        let own = block_on(service.own_name(NAME, RequestNameFlags::default())).unwrap();
        follow!(connect(bus), service, []);
        drop((own, service));
        let service = block_on(serve(bus, &[("a", 1)]));
        block_on(async {
            let _own = service.own_name(NAME, RequestNameFlags::default()).await.unwrap();
            let builder = libbus::Builder::address(&address(bus)).unwrap();
            let client = builder.build().await.unwrap();
            let mut disks = client.managed_objects(NAME, ROOT).await.unwrap();
            let path = format!("{ROOT}/b");
            service.object_server().at(&*path, Disk { size: 3 }).await.unwrap();
            assert_eq!(disks.next_event().await.unwrap(), added(&path, &[DISK]));
            assert_eq!(disks.property(&path, DISK, "Size").unwrap(), Some(3u32));
        });
    });
}

#[test]
fn another_owner_has_other_objects() {
    on_each_bus(|bus| {
        let (a, b, c) = (format!("{ROOT}/a"), format!("{ROOT}/b"), format!("{ROOT}/c"));
        let client = connect(bus);
        // Nobody at first.
        let mut disks = client.managed_objects(NAME, ROOT).unwrap();
        assert_eq!((disks.owner(), disks.paths().count()), (None, 0));
        let first = block_on(serve(bus, &[("a", 1), ("b", 2)]));
        let own = block_on(first.own_name(NAME, RequestNameFlags::default())).unwrap();
        assert_eq!(disks.next_event().unwrap(), added(&a, &[DISK]));
        assert_eq!(disks.next_event().unwrap(), added(&b, &[DISK]));

        let second = block_on(serve(bus, &[("b", 3), ("c", 4)]));
        let other = block_on(second.own_name(NAME, RequestNameFlags::default())).unwrap();
        // What the first one says after that is nobody's.
        drop(own);
        let server = first.object_server();
        block_on(server.at(&*format!("{ROOT}/d"), Disk { size: 9 })).unwrap();
        assert_eq!(disks.next_event().unwrap(), removed(&a, &[DISK]));
        assert_eq!(disks.next_event().unwrap(), changed(&b, &["Size", "State"]));
        assert_eq!(disks.property(&b, DISK, "Size").unwrap(), Some(3u32));
        assert_eq!(disks.next_event().unwrap(), added(&c, &[DISK]));
        assert_eq!(disks.owner(), second.unique_name());

        drop((other, second));
        assert_eq!(disks.next_event().unwrap(), removed(&b, &[DISK]));
        assert_eq!(disks.next_event().unwrap(), removed(&c, &[DISK]));
        assert_eq!((disks.owner(), disks.paths().count()), (None, 0));

        // One without a manager has none, until it has.
        let third = blocking::Builder::address(&address(bus)).unwrap().name(NAME).unwrap();
        let third = third.build().unwrap();
        let manager = block_on(serve(bus, &[("a", 6)]));
        drop(third);
        let _own = block_on(manager.own_name(NAME, RequestNameFlags::default())).unwrap();
        assert_eq!(disks.next_event().unwrap(), added(&a, &[DISK]));
    });
}

/// More signals than wait: all is asked for again.
#[test]
fn missed_signals_lose_nothing() {
    on_each_bus(|bus| {
        let service = block_on(serve(bus, &[("a", 1)]));
        let _own = block_on(service.own_name(NAME, RequestNameFlags::default())).unwrap();
        let client = connect(bus);
        let mut disks = client.managed_objects(NAME, ROOT).unwrap();
        let (a, b) = (format!("{ROOT}/a"), format!("{ROOT}/b"));
        block_on(async {
            service.object_server().at(&*b, Disk { size: 2 }).await.unwrap();
            let served = service.object_server().interface::<_, Disk>(&*a).await.unwrap();
            for speed in 0..5000 {
                served.signal_emitter().spun(speed).await.unwrap();
                if speed % 500 == 0 {
                    // What has come is read meanwhile, by a call.
                    client.bus().call::<_, String>("GetId", &()).unwrap();
                }
            }
            service.bus().call::<_, String>("GetId", &()).await.unwrap();
        });
        client.bus().call::<_, String>("GetId", &()).unwrap();
        assert_eq!(disks.next_event().unwrap(), changed(&a, &["Size", "State"]));
        assert_eq!(disks.next_event().unwrap(), added(&b, &[DISK]));
        assert_eq!(disks.property(&b, DISK, "Size").unwrap(), Some(2u32));
    });
}

/// One that says it has more than anybody keeps up with.
struct Boundless;

#[interface(name = "org.freedesktop.DBus.ObjectManager")]
impl Boundless {
    fn get_managed_objects(&self) -> HashMap<ObjectPath<'static>, Interfaces> {
        let object = |number: u32| {
            let path = ObjectPath::try_from(format!("{ROOT}/n{number}")).unwrap();
            (path, Interfaces::from([(DISK, HashMap::new())]))
        };
        (0..=1 << 16).map(object).collect()
    }
}

type Interfaces = HashMap<&'static str, HashMap<&'static str, OwnedVariant>>;

#[test]
fn there_is_a_bound() {
    on_each_bus(|bus| {
        block_on(async {
            let builder = libbus::Builder::address(&address(bus)).unwrap();
            let service = builder.serve_at(ROOT, Boundless).unwrap().build().await.unwrap();
            let client = libbus::Builder::address(&address(bus)).unwrap().build().await.unwrap();
            let name = service.unique_name().unwrap();
            let error = client.managed_objects(name, ROOT).await.unwrap_err();
            assert!(error.to_string().contains("more than 65536 interfaces"), "{error}");
        });
    });
}

#[test]
fn a_program_without_a_manager_is_an_error() {
    on_each_bus(|bus| {
        let client = connect(bus);
        let error = client.managed_objects("org.freedesktop.DBus", "/").unwrap_err();
        assert!(matches!(error, Error::Method(_)), "{error}");
        assert!(matches!(client.managed_objects("none", "/"), Err(Error::Name(_))));
    });
}
