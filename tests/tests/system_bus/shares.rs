//! What one user's clients take from each other, and not from others (config.md B027, B031, B037).

use std::fs;
use std::thread::{self, JoinHandle};

use bus_tests::harness::{BUS_INTERFACE, BUS_NAME, BUS_PATH, Client, Message, Value};

use crate::Case;
use crate::system_bus::{NOBODY, SystemBus, connect, connect_as, connect_raw_as};

pub(crate) const CASES: &[Case] = &[
    Case { name: "many clients of one user connect at once", services: &[], run: connecting },
    Case { name: "large messages beyond the share are sent", services: &[], run: sending },
    Case { name: "who dies with half a message", services: &[], run: dying },
];

/// More than a user's share of handshakes and less than it may have connections.
const CLIENT_COUNT: usize = 200;
const MIB: usize = 1 << 20;

fn connecting() {
    let _bus = SystemBus::start();
    let sockets: Vec<_> = (0..CLIENT_COUNT).map(|_| connect_raw_as(NOBODY)).collect();
    connect().call("GetId", &[]);
    let mut clients = Vec::new();
    for mut raw in sockets {
        raw.authenticate_as(NOBODY, true);
        clients.push(Client::register(raw));
    }
    for client in &mut clients {
        client.call("GetId", &[]);
    }
}

/// Limits with which three halves of a message leave their user room for no other.
fn tighten() {
    let limit = |(name, value)| format!("<limit name='{name}'>{value}</limit>");
    let limits =
        [("max_incoming_bytes", MIB), ("max_outgoing_bytes", MIB), ("max_message_size", 4 * MIB)];
    let limits: String = limits.into_iter().map(limit).collect();
    fs::write("/etc/dbus-1/system.d/limits.conf", format!("<busconfig>{limits}</busconfig>"))
        .unwrap();
}

/// A call of the bus that is large and has a small answer.
fn large_call(serial: u32) -> Vec<u8> {
    let call = Message::method_call(BUS_PATH, BUS_INTERFACE, "NameHasOwner").to(BUS_NAME);
    call.arg("a".repeat(3 * MIB).as_str()).serial(serial).encode()
}

struct Half {
    client: Client,
    rest: Vec<u8>,
}

impl Half {
    fn send() -> Self {
        let mut client = connect_as(NOBODY);
        let mut call = large_call(100);
        let rest = call.split_off(2 * MIB);
        client.raw.send(&call);
        Self { client, rest }
    }

    fn complete(mut self) {
        self.client.raw.send(&self.rest);
        self.client.reply_to(100);
    }
}

/// Clients that send a whole large message each, and end when it is answered.
fn begin_sending() -> Vec<JoinHandle<()>> {
    let send = || {
        let mut client = connect_as(NOBODY);
        client.raw.send(&large_call(100));
        client.reply_to(100);
    };
    (0..10).map(|_| thread::spawn(send)).collect()
}

fn end_sending(senders: Vec<JoinHandle<()>>) {
    for sender in senders {
        sender.join().unwrap();
    }
}

fn sending() {
    tighten();
    let _bus = SystemBus::start();
    let halves = [(), (), ()].map(|()| Half::send());
    let senders = begin_sending();
    // Meanwhile another user has room.
    let mut root = connect();
    root.raw.send(&large_call(100));
    root.reply_to(100);
    halves.into_iter().for_each(Half::complete);
    end_sending(senders);
}

fn dying() {
    tighten();
    let _bus = SystemBus::start();
    let halves = [(), (), ()].map(|()| Half::send());
    let name = halves[0].client.name.clone();
    let senders = begin_sending();
    drop(halves);
    end_sending(senders);
    let answer = connect().call("NameHasOwner", &[name.as_str().into()]);
    assert_eq!(answer.body[0], Value::Boolean(false), "{name} is not forgotten");
}
