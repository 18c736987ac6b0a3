//! What a bus makes of one message of a client: the common ground of the tables of bad and good
//! messages.

use bus_tests::harness::{Bus, Client, Encoder, Endian, Message, Value, Written, field, kind};

/// What happened to a message, and to the client that sent it.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// The bus closed the sender's connection and delivered nothing.
    Disconnected,
    /// The recipient got it.
    Delivered(Box<Message>),
    /// The sender got an error of this name.
    Refused(String),
    /// Nobody heard of it.
    Ignored,
}

impl Verdict {
    /// The same without the message.
    pub(crate) fn summary(&self) -> String {
        match self {
            Self::Disconnected => "disconnected".to_owned(),
            Self::Delivered(_) => "delivered".to_owned(),
            Self::Refused(name) => format!("refused: {name}"),
            Self::Ignored => "ignored".to_owned(),
        }
    }
}

/// A signal to `recipient`, the carrier of what is to be judged.
pub(crate) fn carrier(recipient: &Client) -> Message {
    Message::signal("/carrier", "org.example.Carrier", "Carried").to(&recipient.name).serial(77)
}

/// Sends `bytes` from a new client and tells what became of them.
pub(crate) fn judge(bus: &Bus, recipient: &mut Client, bytes: &[u8]) -> Verdict {
    let mut sender = bus.connect();
    sender.raw.send(bytes);
    judge_after_send(&mut sender, recipient)
}

/// Tells what became of what `sender` has just sent.
pub(crate) fn judge_after_send(sender: &mut Client, recipient: &mut Client) -> Verdict {
    let connected = sender.is_connected();
    let delivered = recipient.drain().into_iter().find(|message| message.kind != kind::ERROR);
    if !connected {
        assert_eq!(delivered, None, "a malformed message reached a recipient");
        return Verdict::Disconnected;
    }
    let answer = sender.drain().into_iter().find(|message| message.kind == kind::ERROR);
    match (delivered, answer) {
        (Some(message), _) => Verdict::Delivered(Box::new(message)),
        (None, Some(error)) => Verdict::Refused(error.error_name()),
        (None, None) => Verdict::Ignored,
    }
}

/// A body written by hand: what it is, its signature, its bytes.
pub(crate) type BodyRow = (&'static str, &'static str, fn(&mut Encoder));

/// Judges each body in both byte orders; `expected` is what must become of all of them.
pub(crate) fn check_bodies(bus: &Bus, rows: &[BodyRow], expected: &str) {
    let mut recipient = bus.connect();
    for (name, signature, write) in rows {
        for endian in Endian::BOTH {
            let written = Written { signature, write: *write };
            let message = carrier(&recipient)
                .endian(endian)
                .with(field::SIGNATURE, Value::Signature((*signature).to_owned()))
                .arg(Value::Written(written));
            let verdict = judge(bus, &mut recipient, &message.encode());
            assert_eq!(verdict.summary(), expected, "{name}, {endian:?}");
        }
    }
}

/// A header made by hand: what it is, and its bytes for a given carrier.
pub(crate) type HeaderRow = (&'static str, fn(Message) -> Vec<u8>);

/// Judges each header in both byte orders.
pub(crate) fn check_headers(bus: &Bus, rows: &[HeaderRow], expected: &str) {
    let mut recipient = bus.connect();
    for (name, build) in rows {
        for endian in Endian::BOTH {
            let bytes = build(carrier(&recipient).endian(endian));
            let verdict = judge(bus, &mut recipient, &bytes);
            assert_eq!(verdict.summary(), expected, "{name}, {endian:?}");
        }
    }
}
