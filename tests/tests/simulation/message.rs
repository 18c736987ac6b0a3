//! Messages as clients get them: taken apart, and foretold.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::os::fd::RawFd;
use std::rc::Rc;

use libbus::names::{BusName, ErrorName, MemberName};
use libbus::wire::{
    ArgumentSpans, Header, MessageType, ParsedHeader, Signature, check_body, frame, write_message,
};

use crate::model::{BUS, BUS_PATH, Who};

/// One message on its way to all of its recipients.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) content: Content,
    /// The client that sent it, unless the bus did.
    pub(crate) sender: Option<Who>,
    /// The numbers of its descriptors in this process.
    pub(crate) fds: Vec<RawFd>,
    /// What the first recipient got; all others must get the same.
    pub(crate) seen: OnceCell<Vec<u8>>,
}

#[derive(Debug)]
pub(crate) enum Content {
    /// What a client sent, with its true sender.
    Passed(Vec<u8>),
    FromBus(Outline),
}

/// A message of the bus, as far as it is foretold.
#[derive(Debug)]
pub(crate) struct Outline {
    pub(crate) message_type: MessageType,
    pub(crate) member: Option<&'static str>,
    pub(crate) error_name: Option<ErrorName<'static>>,
    pub(crate) reply_serial: Option<NonZeroU32>,
    pub(crate) destination: Option<String>,
    pub(crate) body: Body,
}

#[derive(Debug)]
pub(crate) enum Body {
    Strings(Vec<String>),
    Number(u32),
    Boolean(bool),
    /// An array of strings in any order.
    Set(BTreeSet<String>),
    /// An array of strings in this order.
    List(Vec<String>),
    Whatever,
}

#[derive(Clone, Debug)]
pub(crate) struct Expectation {
    pub(crate) item: Rc<Item>,
    /// What the bus itself says to this client: it may go beyond the limit.
    pub(crate) is_from_bus: bool,
    /// Otherwise the client's queue became full in the same event, and the message may be missing.
    pub(crate) is_certain: bool,
}

impl Outline {
    /// The message with as much of its body as is known, for match rules.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut header = Header::new(self.message_type, NonZeroU32::MIN);
        header.sender = BusName::parse(BUS).ok();
        header.destination = self.destination.as_deref().map(|name| BusName::parse(name).unwrap());
        header.error_name = self.error_name;
        header.reply_serial = self.reply_serial;
        if let Some(member) = self.member {
            header.path = libbus::names::ObjectPath::parse(BUS_PATH).ok();
            header.interface = libbus::names::InterfaceName::parse(BUS).ok();
            header.member = MemberName::parse(member).ok();
        }
        let strings = match &self.body {
            Body::Strings(strings) => strings.as_slice(),
            _ => &[],
        };
        let signature = "s".repeat(strings.len());
        header.signature = Signature::parse(&signature).unwrap();
        let mut bytes = Vec::new();
        write_message(&header, &mut bytes, |body| {
            strings.iter().for_each(|text| body.string(text));
        });
        bytes
    }
}

/// A valid message, taken apart.
pub(crate) struct Parsed<'a> {
    parsed: ParsedHeader<'a>,
    bytes: &'a [u8],
    pub(crate) body: &'a [u8],
    pub(crate) spans: ArgumentSpans,
}

impl<'a> Parsed<'a> {
    /// # Panics
    /// If the message is malformed: whoever sends one on purpose says so.
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        let frame = frame(bytes, u32::MAX).expect("a valid message").expect("a whole header");
        assert_eq!(frame.message_size(), bytes.len(), "a whole message");
        let parsed = ParsedHeader::parse(bytes, &frame).expect("a valid header");
        let body = &bytes[frame.header_size..];
        let mut spans = ArgumentSpans::new();
        let Header { signature, endian, .. } = parsed.header;
        check_body(signature, body, endian, &mut spans).expect("a valid body");
        Self { parsed, bytes, body, spans }
    }

    pub(crate) fn header(&self) -> Header<'a> {
        self.parsed.header
    }

    pub(crate) fn stamped(&self, sender: &str) -> Vec<u8> {
        let mut stamped = Vec::new();
        self.parsed.write_stamped(self.bytes, sender, &mut stamped);
        stamped.extend_from_slice(self.body);
        stamped
    }
}

pub(crate) fn is_reply(header: &Header<'_>) -> bool {
    matches!(header.message_type, MessageType::MethodReturn | MessageType::Error)
}
