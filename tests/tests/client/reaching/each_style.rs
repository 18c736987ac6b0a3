macro_rules! give_up {
    ($address:expr) => {{
        let builder = Builder::address($address).unwrap().wait_for_bus(SHORT);
        given_up(wait!(builder.build()).unwrap_err())
    }};
}

#[test]
fn who_lets_nobody_in_is_not_waited_for_longer_than_was_said() {
    run!({
        let folder = Folder::new();
        let path = folder.join("bus").display().to_string();
        let listener = UnixListener::bind(&path).unwrap();
        let waiting = fill(&listener, &path);
        assert_is_late(&give_up!(&format!("unix:path={path}")));
        drop(waiting);

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let waiting = fill_tcp(&listener);
        assert_is_late(&give_up!(&format!("tcp:host=127.0.0.1,port={port}")));
        // A name, which is looked up.
        assert_is_late(&give_up!(&format!("tcp:host=localhost,port={port},family=ipv4")));
        drop(waiting);
    });
}

/// Who listens keeps its place, also while it lets nobody in; and who asks for the place is told at once.
#[test]
fn a_listener_that_is_full_keeps_its_place() {
    let folder = Folder::new();
    let path = folder.join("bus").display().to_string();
    let listener = UnixListener::bind(&path).unwrap();
    let waiting = fill(&listener, &path);
    let listen = || {
        let (tell, told) = mpsc::channel();
        let address = format!("unix:path={path}");
        thread::spawn(move || {
            run!({
                let builder = ListenerBuilder::address(&address).unwrap();
                tell.send(wait!(builder.listen())).unwrap();
            });
        });
        told.recv_timeout(Duration::from_secs(20)).expect("it waits for nobody")
    };
    let Err(Error::Listen { error, .. }) = listen() else { panic!("somebody listens there") };
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    drop(waiting);
    assert!(listener.accept().is_ok());
    fill(&listener, &path);
    drop(listener);
    // What is left of a program that ended is in nobody's way.
    listen().unwrap();
}

/// Before the handshake, and after it.
#[test]
fn who_says_nothing_is_not_waited_for_longer_than_was_said() {
    run!({
        let folder = Folder::new();
        let path = folder.join("bus").display().to_string();
        let silent = UnixListener::bind(&path).unwrap();
        let error = give_up!(&format!("unix:path={path}"));
        assert!(matches!(error, Error::TimedOut(_)), "{error}");
        drop(silent);

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = give_up!(&format!("tcp:host=127.0.0.1,port={port}"));
        assert!(matches!(error, Error::TimedOut(_)), "{error}");

        std::fs::remove_file(&path).unwrap();
        let address = format!("unix:path={path}");
        let builder = libbus::blocking::ListenerBuilder::address(&address).unwrap();
        // What it serves it would answer if anybody asked it to.
        let builder = builder.serve_at("/", || libbus::server::ObjectManager).unwrap();
        let mut polite = builder.listen().unwrap();
        thread::scope(|scope| {
            // It is kept, and reads no Hello.
            let client = scope.spawn(|| polite.accept().unwrap());
            run!({
                let error = give_up!(&address);
                assert!(matches!(error, Error::TimedOut(_)), "{error}");
            });
            drop(client.join().unwrap());
        });
    });
}

/// Connecting, what the library itself asks, and calls, each of which nothing else is said.
#[test]
fn what_nothing_else_is_said_of_has_the_time_of_the_connections_calls() {
    let assert_is_short = |error: Error| {
        assert!(matches!(error, Error::TimedOut(SHORT)), "{error}");
    };
    run!({
        let folder = Folder::new();
        let place = folder.join("bus").display().to_string();
        let address = format!("unix:path={place}");
        let builder = || Builder::address(&address).unwrap().call_timeout(SHORT);
        let listener = UnixListener::bind(&place).unwrap();
        let waiting = fill(&listener, &place);
        assert_is_late(&wait!(builder().build()).unwrap_err());
        drop((waiting, listener));
        std::fs::remove_file(&place).unwrap();

        let silent = UnixListener::bind(&place).unwrap();
        assert_is_short(wait!(builder().build()).unwrap_err());
        drop(silent);

        let listener = libbus::blocking::ListenerBuilder::address(&address).unwrap();
        // What it serves it would answer if anybody asked it to; of what it does not serve it says so by itself.
        let listener = listener.serve_at("/", || libbus::server::ObjectManager).unwrap();
        let mut polite = listener.listen().unwrap();
        thread::scope(|scope| {
            // They are kept, and nobody reads what they say, Hello at first.
            let clients = scope.spawn(|| [(); 2].map(|()| polite.accept().unwrap()));
            run!({
                assert_is_short(wait!(builder().build()).unwrap_err());
                let connection = wait!(builder().p2p().build()).unwrap();
                assert_is_short(wait!(connection.request_name("org.example.A")).unwrap_err());
                assert_is_short(wait!(connection.release_name("org.example.A")).unwrap_err());
                assert_is_short(wait!(connection.credentials(":1.0")).unwrap_err());
                let bus = connection.bus();
                assert_is_short(wait!(bus.call::<_, String>("GetId", &())).unwrap_err());
                let call = MethodCall::new("/", "Any").unwrap();
                assert_is_short(wait!(connection.call(&call, &())).unwrap_err());
                let pending = connection.send(&call, &()).unwrap();
                assert_is_short(wait!(pending.wait()).unwrap_err());
                // What is said of one call is said of it alone.
                let other = Duration::from_millis(1);
                let error = wait!(connection.call(&call.timeout(Some(other)), &())).unwrap_err();
                assert!(matches!(error, Error::TimedOut(time) if time == other), "{error}");
                let error = wait!(bus.timeout(Some(other)).call::<_, String>("GetId", &()));
                assert!(matches!(error, Err(Error::TimedOut(time)) if time == other));
            });
            drop(clients.join().unwrap());
        });
    });
}

#[test]
fn addresses_after_one_that_does_not_answer_have_their_time() {
    on_each_bus(|bus| {
        run!({
            let folder = Folder::new();
            let path = folder.join("bus").display().to_string();
            let listener = UnixListener::bind(&path).unwrap();
            let waiting = fill(&listener, &path);
            let both = format!("unix:path={path};{}", address(bus));
            let builder = Builder::address(&both).unwrap().wait_for_bus(SHORT);
            assert!(wait!(builder.build()).unwrap().unique_name().is_some());
            drop(waiting);
        });
    });
}

/// A socket may come where there is none; what waiting does not mend is said of alone where there is nothing else.
#[test]
fn one_address_that_waiting_may_mend_is_waited_for() {
    run!({
        let folder = Folder::new();
        let place = folder.join("bus").display().to_string();
        let path = format!("unix:path={place}");
        for both in [format!("{path};autolaunch:"), format!("autolaunch:;{path};launchd:env=X")] {
            let builder = Builder::address(&both).unwrap().wait_for_bus(SHORT);
            let error = wait!(builder.build()).unwrap_err();
            assert!(matches!(error, Error::GaveUp { tries: 2.., .. }), "{error}");
            let Error::Connect { address, error } = given_up(error) else { panic!("{both}") };
            assert_eq!((address, error.kind()), (path.clone(), io::ErrorKind::NotFound));
        }
        let builder = Builder::address("autolaunch:").unwrap().wait_for_bus(SHORT);
        let error = wait!(builder.build()).unwrap_err();
        let Error::Connect { error, .. } = error else { panic!("{error}") };
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    });
}

/// What a call on a lost connection fails with at last.
macro_rules! fail {
    ($connection:expr) => {
        loop {
            match wait!($connection.call(&get_id(), &())).unwrap_err() {
                Error::CallLost(_) => {}
                error => break error,
            }
        }
    };
}

macro_rules! settle {
    ($connection:expr) => {
        while let Err(error) = wait!($connection.bus().call::<_, String>("GetId", &())) {
            assert!(matches!(error, Error::CallLost(_)), "{error}");
        }
    };
}

#[test]
fn calls_on_a_lost_connection_wait_no_longer_than_they_said() {
    on_each_bus(|bus| {
        for is_full in [true, false] {
            run!({
                let builder = Builder::address(&path_of(bus)).unwrap();
                let connection =
                    wait!(builder.reconnect(Reconnect::within(Duration::MAX)).build()).unwrap();
                let listener = take_place(bus);
                let path = bus.address_value(0, "path").unwrap();
                let waiting = is_full.then(|| fill(&listener, path));
                for _ in 0..3 {
                    let error = fail!(connection);
                    assert!(matches!(error, Error::TimedOut(SHORT)), "{error}");
                }
                drop((waiting, listener));
                bus.restart();
                settle!(connection);
            });
        }
    });
}

#[test]
fn a_lost_connection_is_given_up_in_time() {
    on_each_bus(|bus| {
        for is_full in [true, false] {
            run!({
                let builder = Builder::address(&path_of(bus)).unwrap();
                let connection = wait!(builder.reconnect(Reconnect::within(SHORT)).build()).unwrap();
                let listener = take_place(bus);
                let path = bus.address_value(0, "path").unwrap();
                let waiting = is_full.then(|| fill(&listener, path));
                let error = given_up(wait!(connection.closed()));
                match is_full {
                    true => assert_is_late(&error),
                    false => assert!(matches!(error, Error::TimedOut(_)), "{error}"),
                }
                drop((waiting, listener));
                bus.restart();
            });
        }
    });
}

#[test]
fn calls_on_a_connection_by_tcp_wait_no_longer_than_they_said() {
    let config = Config {
        listen: Listen::Addresses(&["tcp:host=127.0.0.1,port=0"]),
        auth: &["ANONYMOUS"],
        elements: "<allow_anonymous/>",
        ..Config::SESSION
    };
    for daemon in daemons() {
        let bus = Bus::start(&daemon, &config);
        run!({
            let builder = Builder::address(&address(&bus)).unwrap();
            let builder = builder.mechanisms(&[Mechanism::Anonymous]);
            let connection =
                wait!(builder.reconnect(Reconnect::within(Duration::MAX)).build()).unwrap();
            let port = bus.address_value(0, "port").unwrap();
            bus.terminate();
            let listener = TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
            let waiting = fill_tcp(&listener);
            for _ in 0..2 {
                let error = fail!(connection);
                assert!(matches!(error, Error::TimedOut(SHORT)), "{error}");
            }
            drop(waiting);
        });
    }
}

/// Who waits does not give up since nobody is let in for now.
#[test]
fn a_listener_that_is_full_is_waited_for() {
    on_each_bus(|bus| {
        let listener = take_place(bus);
        let path = bus.address_value(0, "path").unwrap();
        let waiting = fill(&listener, path);
        thread::scope(|scope| {
            let build = scope.spawn(|| {
                run!({
                    let builder = Builder::address(&path_of(bus)).unwrap();
                    wait!(builder.wait_for_bus(Duration::MAX).build())
                })
            });
            drop(waiting);
            // Those of before are let in first, and say nothing.
            loop {
                let (mut client, _) = listener.accept().unwrap();
                if io::Read::read(&mut client, &mut [0]).unwrap() == 1 {
                    break;
                }
            }
            drop(listener);
            bus.restart();
            assert!(build.join().unwrap().unwrap().unique_name().is_some());
        });
    });
}
