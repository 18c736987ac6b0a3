//! A client without a library, which calls and emits as fast as the bus takes it.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use bus_tests::harness::{
    BUS_INTERFACE, BUS_NAME, BUS_PATH, Bus, DEADLINE, Message, kind, own_identity,
};
use libbus::limits::MESSAGE_SIZE_MAX;
use libbus::wire::frame;

/// Calls that are sent in one write; two of these are under way.
const BATCH: usize = 64;

const NAME: &str = "org.example.Echo";
const PATH: &str = "/org/example/Echo";
const TEXT: &str = "a string each way";
const RULE_COUNT: u32 = 20;

/// Its connection.
pub(crate) struct Load {
    socket: UnixStream,
    received: Vec<u8>,
}

impl Load {
    pub(crate) fn connect(bus: &Bus) -> Self {
        let path = bus.address_value(0, "path").expect("a socket file");
        let socket = UnixStream::connect(path).expect("a bus");
        socket.set_read_timeout(Some(DEADLINE)).expect("a deadline");
        let mut load = Self { socket, received: Vec::new() };
        load.send(format!("\0AUTH EXTERNAL {}\r\nBEGIN\r\n", own_identity()).as_bytes());
        let mut line = [0; 64];
        let size = load.socket.read(&mut line).expect("an answer");
        assert!(line.starts_with(b"OK ") && line[..size].ends_with(b"\r\n"), "refused");
        load.ask_bus("Hello");
        load
    }

    fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("a bus that reads");
    }

    fn ask_bus(&mut self, member: &str) {
        let call = Message::method_call(BUS_PATH, BUS_INTERFACE, member).to(BUS_NAME).serial(1);
        self.send(&call.encode());
        self.take_replies(1);
    }

    /// Calls so often, with more than one batch under way.
    pub(crate) fn call(&mut self, count: usize) {
        // A serial is used again when its call is answered.
        let batch = |first| -> Vec<u8> { (first..first + BATCH as u32).flat_map(echo).collect() };
        let batches = [batch(1000), batch(2000)];
        self.send(&batches[0]);
        for index in 1..count / BATCH {
            self.send(&batches[index % 2]);
            self.take_replies(BATCH);
        }
        self.take_replies(BATCH);
    }

    /// Emits [`signals`].
    pub(crate) fn emit(&mut self, signals: &[u8]) {
        self.send(signals);
        self.ask_bus("GetId");
    }

    fn take_replies(&mut self, count: usize) {
        let mut seen = 0;
        loop {
            let mut at = 0;
            while seen < count
                && let Ok(Some(frame)) = frame(&self.received[at..], MESSAGE_SIZE_MAX)
                && at + frame.message_size() <= self.received.len()
            {
                assert_ne!(self.received[at + 1], kind::ERROR, "a call is refused");
                seen += usize::from(self.received[at + 1] == kind::METHOD_RETURN);
                at += frame.message_size();
            }
            self.received.drain(..at);
            if seen == count {
                return;
            }
            let mut bytes = [0; 65536];
            let size = self.socket.read(&mut bytes).expect("an answer in time");
            assert!(size > 0, "the bus is gone");
            self.received.extend_from_slice(&bytes[..size]);
        }
    }
}

fn echo(serial: u32) -> Vec<u8> {
    Message::method_call(PATH, NAME, "Echo").to(NAME).arg(TEXT).serial(serial).encode()
}

/// So many signals, numbered from 0, with members one after the other.
pub(crate) fn signals(count: u32) -> Vec<u8> {
    (0..count).flat_map(signal).collect()
}

fn signal(number: u32) -> Vec<u8> {
    let member = format!("M{}", number % RULE_COUNT);
    Message::signal(PATH, NAME, &member).arg(TEXT).arg(number).serial(number + 2).encode()
}
