macro_rules! connect {
    ($bus:expr, $how:expr) => {
        wait!(Builder::address(&address($bus)).unwrap().reconnect($how).build()).unwrap()
    };
}

/// Calls until that succeeds: the connection is there again then, and what was sent before is handled.
macro_rules! settle {
    ($connection:expr) => {
        loop {
            match wait!($connection.bus().call::<_, String>("GetId", &())) {
                Ok(id) => break id,
                Err(error) => assert!(matches!(error, Error::CallLost(_)), "{error}"),
            }
        }
    };
}

macro_rules! emit {
    ($connection:expr, $number:expr) => {
        let signal = $connection.emit_signal(None, PATH, INTERFACE, "Counted", &$number);
        wait!(signal).unwrap()
    };
}

struct Counter(u32);

#[interface(name = "org.example.Counter")]
impl Counter {
    #[zbus(property)]
    fn count(&self) -> u32 {
        self.0
    }

    fn add(&mut self, number: u32) {
        self.0 += number;
    }
}

/// It is not made at all, and nobody is asked anything.
#[test]
fn what_cannot_be_made_again_is_refused() {
    let (mut other, socket) = UnixStream::pair().unwrap();
    let nowhere = "unix:path=/nonexistent/bus";
    let server = |builder: Builder| builder.server(Guid::from_bytes([7; 16]));
    let rows = [
        (Builder::socket(socket), "a connection to no address"),
        (Builder::inherited(Some("nothing")), "a connection to no address"),
        (server(Builder::address(nowhere).unwrap()), "the server's end of a connection"),
    ];
    run!({
        for (builder, what) in rows {
            let error = wait!(builder.reconnect(Reconnect::default()).build()).unwrap_err();
            assert!(matches!(error, Error::CannotReconnect(_)), "{error}");
            assert_eq!(error.to_string(), format!("{what} cannot be made again"));
        }
    });
    assert_eq!(io::Read::read(&mut other, &mut [0]).unwrap(), 0, "nothing was said");
}

/// As often as the bus goes away.
#[test]
fn names_match_rules_and_owners_are_there_again() {
    on_each_bus(|bus| {
        run!({
            let listener = connect!(bus, Reconnect::default());
            let owner = connect!(bus, Reconnect::default());
            wait!(owner.request_name(NAME)).unwrap();
            let rule = format!("sender='{NAME}',interface='{INTERFACE}'");
            let mut stream = wait!(listener.receive_signals(&rule)).unwrap();
            for number in 0..3_u32 {
                emit!(owner, number);
                let signal = wait!(stream.next_signal()).unwrap();
                assert_eq!(signal.deserialize::<u32>().unwrap(), number);
                let id = settle!(listener);
                replace(bus);
                let stranger = wait!(Builder::address(&path_of(bus)).unwrap().build()).unwrap();
                assert!(matches!(wait!(stream.next_signal()), Err(Error::Interrupted)));
                assert_ne!(settle!(listener), id);
                // It may have the unique name that the owner had.
                emit!(stranger, 100_u32);
                settle!(stranger);
                settle!(owner);
                for connection in [&owner, &listener] {
                    let name = connection.unique_name().unwrap();
                    let known: String = wait!(stranger.bus().call("GetNameOwner", name)).unwrap();
                    assert_eq!(known, name);
                }
                let known: String = wait!(listener.bus().call("GetNameOwner", NAME)).unwrap();
                assert_eq!(Some(&*known), owner.unique_name());
            }
        });
    });
}

#[proxy(
    interface = "org.example.Counter",
    default_service = "org.example.Name",
    default_path = "/org/example"
)]
trait Counting {
    #[zbus(signal)]
    fn counted(&self, number: u32) -> libbus::Result<()>;
}

/// A loop over signals of a proxy does not end by a loss, which the stream tells whoever asks.
#[test]
fn streams_of_proxies_go_on() {
    on_each_bus(|bus| {
        run!({
            let listener = connect!(bus, Reconnect::default());
            let owner = connect!(bus, Reconnect::default());
            wait!(owner.request_name(NAME)).unwrap();
            let counting = wait!(CountingProxy::new(&listener)).unwrap();
            let mut stream = wait!(counting.receive_counted()).unwrap();
            for number in 0..2_u32 {
                emit!(owner, number);
                let signal = wait!(stream.next()).unwrap();
                assert_eq!(signal.args().unwrap().number, number);
                assert!(!stream.take_interrupted());
                for how in ["between two", "as an error"] {
                    replace(bus);
                    settle!(listener);
                    settle!(owner);
                    let later = 100 + number;
                    emit!(owner, later);
                    if how == "as an error" {
                        let told = wait!(stream.next_signal());
                        assert!(matches!(told, Err(Error::Interrupted)), "{told:?}");
                    }
                    let signal = wait!(stream.next()).unwrap();
                    assert_eq!(signal.args().unwrap().number, later);
                    assert!(stream.take_interrupted() && !stream.take_interrupted());
                }
            }
            listener.close();
            assert!(wait!(stream.next()).is_none() && wait!(stream.next()).is_none());
        });
    });
}

#[test]
fn calls_under_way_fail_and_say_whether_they_were_sent() {
    on_each_bus(|bus| {
        run!({
            let silent = bus.connect();
            let connection = connect!(bus, Reconnect::default());
            let proxy = Proxy::new(&connection, &*silent.name, "/", "org.example.I").unwrap();
            let call = proxy.method_call("Never").unwrap();
            let [sent, also] = [(); 2].map(|()| connection.send(&call, &()).unwrap());
            replace(bus);
            let not_sent = connection.send(&call, &()).unwrap();
            for (reply, expected) in [
                (sent, LostCall::PerhapsDone),
                (not_sent, LostCall::NotSent),
                (also, LostCall::PerhapsDone),
            ] {
                let error = wait!(reply.wait()).unwrap_err();
                assert!(!error.is_disconnected(), "{error}");
                assert!(matches!(error, Error::CallLost(lost) if lost == expected), "{error}");
            }
            wait!(connection.bus().call::<_, String>("GetId", &())).unwrap();
        });
    });
}

#[test]
fn what_is_served_and_what_is_kept_of_it_is_there_again() {
    on_each_bus(|bus| {
        run!({
            let builder = Builder::address(&address(bus)).unwrap();
            let builder = builder.serve_at(PATH, Counter(1)).unwrap().name(NAME).unwrap();
            let service = wait!(builder.reconnect(Reconnect::default()).build()).unwrap();
            serve(&service);
            let client = connect!(bus, Reconnect::default());
            let proxy = Proxy::new(&client, NAME, PATH, INTERFACE).unwrap();
            let proxy = wait!(proxy.cache_properties(CacheProperties::Yes)).unwrap();
            let mut changes = wait!(proxy.receive_property_changed::<u32>("Count")).unwrap();
            let mut watch = wait!(client.watch_name(NAME)).unwrap();
            assert!(wait!(watch.next_owner()).unwrap().is_some());
            let mut count = 1;
            for _ in 0..2 {
                assert_eq!(proxy.cached_property::<u32>("Count").unwrap(), Some(count));
                replace(bus);
                while wait!(watch.next_owner()).unwrap().is_none() {}
                // Another program changes it, and nothing tells of that.
                let other = wait!(Builder::address(&path_of(bus)).unwrap().build()).unwrap();
                let directly = Proxy::new(&other, NAME, PATH, INTERFACE).unwrap();
                wait!(directly.call::<_, ()>("Add", &5_u32)).unwrap();
                count += 5;
                assert_eq!(proxy.cached_property::<u32>("Count").unwrap(), None);
                assert_eq!(wait!(proxy.get_property::<u32>("Count")).unwrap(), count);
                let change = wait!(changes.next_change()).unwrap();
                assert_eq!(wait!(change.get()).unwrap(), count);
            }
            service.close();
        });
    });
}

#[test]
fn an_owned_name_is_lost_and_had_again_or_not() {
    on_each_bus(|bus| {
        run!({
            let owner = connect!(bus, Reconnect::default());
            let kept = RequestNameFlags { do_not_queue: true, ..Default::default() };
            let mut waiting =
                wait!(owner.own_name(NAME, RequestNameFlags::default())).unwrap();
            let mut other = wait!(owner.own_name("org.example.Other", kept)).unwrap();
            replace(bus);
            for name in [&mut waiting, &mut other] {
                assert_eq!(wait!(name.next_event()).unwrap(), NameEvent::Lost);
                assert_eq!(wait!(name.next_event()).unwrap(), NameEvent::Acquired);
                assert!(name.is_owner());
            }
            // Nobody waits on it, so that the other program comes first.
            replace(bus);
            let thief = wait!(Builder::address(&path_of(bus)).unwrap().build()).unwrap();
            for name in [NAME, "org.example.Other"] {
                wait!(thief.request_name(name)).unwrap();
            }
            for name in [&mut waiting, &mut other] {
                assert_eq!(wait!(name.next_event()).unwrap(), NameEvent::Lost);
            }
            assert!(matches!(wait!(other.next_event()), Err(Error::NameTaken)));
            wait!(thief.release_name(NAME)).unwrap();
            assert_eq!(wait!(waiting.next_event()).unwrap(), NameEvent::Acquired);
            // What is let go is not requested again.
            drop(waiting);
            settle!(owner);
            replace(bus);
            settle!(owner);
            let has = wait!(owner.bus().call::<_, bool>("NameHasOwner", NAME)).unwrap();
            assert!(!has);
        });
    });
}

#[test]
fn what_is_about_a_program_of_the_old_bus_ends() {
    on_each_bus(|bus| {
        run!({
            let listener = connect!(bus, Reconnect::default());
            let sender = bus.connect();
            let rule = format!("sender='{}'", sender.name);
            let mut stream = wait!(listener.receive_signals(&rule)).unwrap();
            let mut watch = wait!(listener.watch_name(&sender.name)).unwrap();
            assert!(wait!(watch.next_owner()).unwrap().is_some());
            replace(bus);
            for _ in 0..2 {
                assert!(matches!(wait!(stream.next_signal()), Err(Error::SenderGone)));
            }
            assert!(wait!(watch.next_owner()).unwrap().is_none());
            assert!(matches!(wait!(watch.next_owner()), Err(Error::SenderGone)));
        });
    });
}

/// Whoever listens where the bus was and lets go at once is a try that failed, and no other loss.
#[test]
fn a_loss_is_told_once_however_many_tries_fail_after_it() {
    on_each_bus(|bus| {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            run!({
                let connection = connect!(bus, Reconnect::within(Duration::MAX));
                let rule = format!("interface='{INTERFACE}'");
                let mut stream = wait!(connection.receive_signals(&rule)).unwrap();
                let listener = take_place(bus);
                let first = wait!(stream.next_signal());
                scope.spawn(|| {
                    for _ in 0..3 {
                        drop(listener.accept().unwrap());
                    }
                    drop(listener);
                    bus.restart();
                    emit_until(bus, &is_over);
                });
                let second = wait!(stream.next_signal());
                is_over.store(true, Ordering::Relaxed);
                assert!(matches!(first, Err(Error::Interrupted)), "{first:?}");
                assert!(second.is_ok(), "{second:?}");
            });
        });
    });
}

#[test]
fn it_ends_when_it_is_closed_or_given_up() {
    on_each_bus(|bus| {
        run!({
            let closed = connect!(bus, Reconnect::within(Duration::MAX));
            let lost = connect!(bus, Reconnect::within(Duration::MAX).tries_max(3));
            let mut stream = wait!(lost.receive_signals("interface='org.example.I'")).unwrap();
            bus.terminate();
            assert!(matches!(wait!(stream.next_signal()), Err(Error::Interrupted)));
            let error = wait!(stream.next_signal()).unwrap_err();
            assert!(error.is_disconnected(), "{error}");
            let Error::GaveUp { tries: 3, error: last, .. } = &error else { panic!("{error}") };
            assert!(matches!(&**last, Error::Connect { .. }), "{last}");
            assert!(error.to_string().contains(bus.address_value(0, "path").unwrap()), "{error}");
            let again = wait!(lost.bus().call::<_, String>("GetId", &())).unwrap_err();
            assert!(matches!(again, Error::GaveUp { .. }), "{again}");
            bus.restart();
            closed.close();
            let error = wait!(closed.bus().call::<_, String>("GetId", &())).unwrap_err();
            assert!(matches!(error, Error::Closed), "{error}");
        });
    });
}

#[test]
fn what_waiting_cannot_mend_is_told_at_once() {
    on_each_bus(|bus| {
        run!({
            let builder = Builder::address(&address(bus)).unwrap().wait_for_bus(Duration::MAX);
            let error = wait!(builder.mechanisms(&[Mechanism::Anonymous]).build()).unwrap_err();
            assert!(error.is_disconnected(), "{error}");
            let elsewhere = Builder::address("launchd:env=DBUS").unwrap();
            let error = wait!(elsewhere.wait_for_bus(Duration::MAX).build()).unwrap_err();
            let Error::Connect { error, .. } = error else { panic!("{error}") };
            assert_eq!(error.kind(), io::ErrorKind::Unsupported);
            let nowhere = Builder::address("unix:path=/nonexistent/socket").unwrap();
            let error = wait!(nowhere.wait_for_bus(Duration::from_millis(30)).build()).unwrap_err();
            let Error::GaveUp { tries, error: last, .. } = &error else { panic!("{error}") };
            assert!(*tries > 1 && matches!(&**last, Error::Connect { .. }), "{error}");
            assert!(error.to_string().contains("unix:path=/nonexistent/socket: "), "{error}");
        });
    });
}

/// Peers of the old bus are gone; objects are those that the program has on the new one.
#[test]
fn peers_are_gone_and_objects_are_asked_for_anew() {
    on_each_bus(|bus| {
        run!({
            let builder = Builder::address(&address(bus)).unwrap();
            let builder = builder.serve_at("/", libbus::server::ObjectManager).unwrap();
            let builder = builder.serve_at(PATH, Counter(1)).unwrap().name(NAME).unwrap();
            let service = wait!(builder.reconnect(Reconnect::default()).build()).unwrap();
            serve(&service);
            let client = connect!(bus, Reconnect::default());
            let unique = service.unique_name().unwrap();
            let mut peers = client.peer_set();
            assert!(wait!(peers.add(unique)).unwrap());
            let mut objects = wait!(client.managed_objects(NAME, "/")).unwrap();
            let mut of_one = wait!(client.managed_objects(unique, "/")).unwrap();
            assert_eq!(objects.property::<u32>(PATH, INTERFACE, "Count").unwrap(), Some(1));
            replace(bus);
            assert_eq!(wait!(peers.next_gone()).unwrap().as_deref(), Some(unique));
            // Another program changes a value, and nothing tells of that.
            let other = wait!(Builder::address(&path_of(bus)).unwrap().build()).unwrap();
            let mut watch = wait!(other.watch_name(NAME)).unwrap();
            while wait!(watch.next_owner()).unwrap().is_none() {}
            let directly = Proxy::new(&other, NAME, PATH, INTERFACE).unwrap();
            wait!(directly.call::<_, ()>("Add", &5_u32)).unwrap();
            while objects.property::<u32>(PATH, INTERFACE, "Count").unwrap() != Some(6) {
                wait!(objects.next_event()).unwrap();
            }
            assert!(matches!(
                wait!(of_one.next_event()),
                Ok(libbus::ObjectEvent::InterfacesRemoved { .. })
            ));
            assert_eq!(of_one.paths().count(), 0);
            assert!(matches!(wait!(of_one.next_event()), Err(Error::SenderGone)));
            service.close();
        });
    });
}
