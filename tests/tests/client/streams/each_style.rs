struct Tower;

#[interface(name = "org.example.Bell")]
impl Tower {
    #[zbus(property)]
    fn pitch(&self) -> u32 {
        PITCH
    }
}

#[proxy(
    interface = "org.example.Bell",
    default_service = "org.example.Bell",
    default_path = "/org/example/Bell"
)]
trait Bell {
    #[zbus(signal)]
    fn rang(&self, number: u32) -> libbus::Result<()>;
    #[zbus(property)]
    fn pitch(&self) -> libbus::Result<u32>;
    #[zbus(property)]
    fn volume(&self) -> libbus::Result<u32>;
}

macro_rules! connect {
    ($bus:expr) => {
        wait!(Builder::address(&address($bus)).unwrap().build()).unwrap()
    };
}

macro_rules! serve {
    ($bus:expr) => {{
        let builder = Builder::address(&address($bus)).unwrap();
        let builder = builder.serve_at(PATH, Tower).unwrap().name(NAME).unwrap();
        let service = wait!(builder.build()).unwrap();
        serve(&service);
        service
    }};
}

/// When this is over the bus has handled all that was sent before, and the program has read what is for it.
macro_rules! settle {
    ($connection:expr) => {
        wait!($connection.bus().call::<_, String>("GetId", &())).unwrap()
    };
}

macro_rules! ring {
    ($service:expr, $number:expr) => {
        wait!($service.emit_signal(None, PATH, NAME, "Rang", &$number)).unwrap()
    };
}

macro_rules! tell_changed {
    ($service:expr, $property:expr, $value:expr) => {{
        let changed = HashMap::from([($property, Variant::from($value))]);
        let (interface, invalidated) = ("org.freedesktop.DBus.Properties", Vec::<&str>::new());
        let arguments = (NAME, changed, invalidated);
        let signal =
            $service.emit_signal(None, PATH, interface, "PropertiesChanged", &arguments);
        wait!(signal).unwrap()
    }};
}

/// Of a property whose change was let go among those of another, one is told, and its value asked for.
#[test]
fn a_change_that_was_let_go_is_told_and_asked_for() {
    on_each_bus(|bus| {
        run!({
            let (service, client) = (serve!(bus), connect!(bus));
            let bell = wait!(BellProxy::new(&client)).unwrap();
            let mut pitches = wait!(bell.receive_pitch_changed());
            let mut volumes = wait!(bell.receive_volume_changed());
            for round in 0..2 {
                tell_changed!(service, "Pitch", 1_u32);
                for volume in 0..MANY {
                    tell_changed!(service, "Volume", volume);
                }
                settle!(service);
                settle!(client);
                let change = next!(pitches).unwrap();
                assert_eq!(wait!(change.get()).unwrap(), PITCH, "round {round}");
                // Nothing more is told than has changed since.
                tell_changed!(service, "Pitch", 2_u32);
                let change = next!(pitches).unwrap();
                assert_eq!(wait!(change.get()).unwrap(), 2, "round {round}");
            }
            // All is told that was not let go.
            loop {
                match next!(volumes) {
                    Some(change) => match wait!(change.get()) {
                        Ok(volume) if volume == MANY - 1 => break,
                        Ok(_) => {}
                        // The object has no such property to ask for.
                        Err(error) => assert!(matches!(error, Error::Method(_)), "{error}"),
                    },
                    None => panic!("it is over"),
                }
            }
            service.close();
        });
    });
}

#[test]
fn a_stream_says_how_much_was_let_go_and_is_as_long_as_it_was_said() {
    on_each_bus(|bus| {
        run!({
            let (service, client) = (serve!(bus), connect!(bus));
            let builder = || BellProxy::builder(&client);
            let bell = wait!(BellProxy::new(&client)).unwrap();
            let short = builder().stream_bound(10, Overflow::DropOldest);
            let short = wait!(short.build()).unwrap();
            let mut streams =
                [wait!(bell.receive_rang()).unwrap(), wait!(short.receive_rang()).unwrap()];
            for number in 0..MANY {
                ring!(service, number);
            }
            settle!(service);
            settle!(client);
            for (stream, length) in streams.iter_mut().zip([1024, 10]) {
                let first = next!(*stream).unwrap();
                assert_eq!(first.args().unwrap().number, MANY - length);
                assert_eq!((stream.take_missed(), stream.take_missed()), (u64::from(MANY - length), 0));
                for number in MANY - length + 1..MANY {
                    assert_eq!(next!(*stream).unwrap().args().unwrap().number, number);
                }
                assert_eq!(stream.take_missed(), 0);
                assert!(!stream.take_interrupted());
            }
            service.close();
        });
    });
}

#[test]
fn a_stream_may_wait_or_end_the_connection_where_it_is_full() {
    on_each_bus(|bus| {
        run!({
            let (service, client, other) = (serve!(bus), connect!(bus), connect!(bus));
            let patient = BellProxy::builder(&client).stream_bound(10, Overflow::Wait);
            let mut all = wait!(wait!(patient.build()).unwrap().receive_rang()).unwrap();
            let strict = BellProxy::builder(&other).stream_bound(10, Overflow::Disconnect);
            let mut strict = wait!(wait!(strict.build()).unwrap().receive_rang()).unwrap();
            for number in 0..MANY {
                ring!(service, number);
            }
            for number in 0..MANY {
                assert_eq!(next!(all).unwrap().args().unwrap().number, number);
            }
            assert_eq!(all.take_missed(), 0);
            settle!(service);
            assert!(wait!(other.bus().call::<_, String>("GetId", &())).unwrap_err().is_disconnected());
            while next!(strict).is_some() {}
            service.close();
        });
    });
}
