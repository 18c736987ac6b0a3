/// Counts the calls.
struct Sink(Arc<AtomicUsize>);

#[interface(name = "org.example.Sink")]
impl Sink {
    fn take(&self, text: &str) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed);
        text.len() as u32
    }
}

macro_rules! serve_sink {
    ($server:expr) => {{
        let count = Arc::new(AtomicUsize::new(0));
        let server = $server.object_server();
        assert!(wait!(server.at(PATH, Sink(Arc::clone(&count)))).unwrap());
        serve(&$server);
        count
    }};
}

/// The first one has begun to leave, and goes on when the other end reads.
#[test]
fn calls_that_timed_out_before_they_left_do_not_leave() {
    run!({
        let (server, client) = Connection::pair().unwrap();
        let text = "x".repeat(LARGE);
        for _ in 0..2 * WRITE_SIZE_MAX / LARGE {
            let error = wait!(client.call(&call(SHORT), &*text)).unwrap_err();
            assert!(matches!(error, Error::TimedOut(SHORT)), "{error}");
            let error = wait!(client.call_no_reply(&call(SHORT), &*text)).unwrap_err();
            assert!(matches!(error, Error::TimedOut(SHORT)), "{error}");
        }
        // One of which somebody waits for the reply later.
        let sent = client.send(&call(LONG), "waited for").unwrap();
        let sink = serve_sink!(server);
        assert_eq!(wait!(sent.wait()).unwrap().deserialize::<u32>().unwrap(), 10);
        wait!(client.call(&call(LONG), "last")).unwrap();
        assert_eq!(sink.load(Ordering::Relaxed), 3);
    });
}

#[test]
fn what_waits_is_bounded_in_bytes() {
    run!({
        let (server, client) = Connection::pair().unwrap();
        let text = "x".repeat(LARGE);
        let count = WRITE_SIZE_MAX / LARGE + 1;
        let sent: Vec<_> =
            (0..count).map(|_| client.send(&call(LONG), &*text).unwrap()).collect();
        let full = client.send(&call(SHORT), "").unwrap_err();
        assert!(says_no_room(&full) && !full.is_disconnected(), "{full}");
        // Who waits for a reply waits for room, too.
        let error = wait!(client.call(&call(SHORT), "")).unwrap_err();
        assert!(matches!(error, Error::TimedOut(SHORT)), "{error}");
        let error = wait!(client.call_no_reply(&call(SHORT), "")).unwrap_err();
        assert!(matches!(error, Error::TimedOut(SHORT)), "{error}");
        // What is sent by its header waits for nothing.
        let header = Header::new(MessageType::MethodCall, NonZeroU32::MIN);
        let full = client.send_message(&header, "").unwrap_err();
        assert!(matches!(full, Error::Send(SendError::QueueFull)), "{full}");
        let sink = serve_sink!(server);
        let expected = sent.len() + 1;
        wait!(client.call(&call(LONG), "last")).unwrap();
        assert_eq!(sink.load(Ordering::Relaxed), expected);
        for reply in sent {
            assert_eq!(wait!(reply.wait()).unwrap().deserialize::<u32>().unwrap(), LARGE as u32);
        }
    });
}

/// Of signals that nobody reads the last ones are kept.
#[test]
fn a_stream_that_nobody_reads_holds_some_bytes_and_no_more() {
    on_each_bus(|bus| {
        run!({
            let builder = Builder::address(&address(bus)).unwrap();
            let (emitter, text) = (crate::connect(bus), "x".repeat(LARGE));
            let connection = wait!(builder.build()).unwrap();
            let rule = format!("interface='{INTERFACE}'");
            let mut stream = wait!(connection.receive_signals(&rule)).unwrap();
            let kept = STREAM_SIZE_MAX / LARGE;
            for number in 0..kept as u32 + 4 {
                emitter.emit_signal(None, PATH, INTERFACE, "Taken", &(number, &*text)).unwrap();
                // Then it has come.
                emitter.bus().call::<_, String>("GetId", &()).unwrap();
                wait!(connection.bus().call::<_, String>("GetId", &())).unwrap();
            }
            for expected in 4..kept as u32 + 4 {
                let signal = wait!(stream.next_signal()).unwrap();
                assert_eq!(signal.deserialize::<(u32, &str)>().unwrap().0, expected);
            }
            assert_eq!(stream.take_missed(), 4);
        });
    });
}

/// After the time that a signal has.
#[test]
fn a_signal_that_finds_no_room_is_not_waited_for_for_ever() {
    run!({
        let (server, client) = Connection::pair().unwrap();
        let text = "x".repeat(LARGE);
        let emitted = client.emit_signal(None, PATH, INTERFACE, "Taken", &*text);
        let error = wait!(emitted).unwrap_err();
        assert!(matches!(error, Error::TimedOut(_)), "{error}");
        drop(server);
    });
}
