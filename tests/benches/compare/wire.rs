//! The bytes that the load is made of: templates of messages, and frames counted as they come.

use std::num::NonZeroU32;

use libbus::limits::MESSAGE_SIZE_MAX;
use libbus::names::{BusName, InterfaceName, MemberName, ObjectPath};
use libbus::wire::{
    BodyWriter, FIXED_HEADER_SIZE, Flags, Header, MessageType, Signature, frame, write_message,
};

use crate::failure::{Failure, Result};

/// The object that is called and that emits.
pub(crate) const PATH: &str = "/org/example/Object";
const INTERFACE: InterfaceName<'static> = InterfaceName::from_static("org.example.Interface");
const METHOD: MemberName<'static> = MemberName::from_static("Method");
const DRIVER: &str = "org.freedesktop.DBus";
const DRIVER_PATH: ObjectPath<'static> = ObjectPath::from_static("/org/freedesktop/DBus");

const SERIAL: NonZeroU32 = NonZeroU32::MAX;
const SERIAL_AT: usize = 8;
/// Stands where a reply's REPLY_SERIAL will stand.
const REPLY_SERIAL: u32 = 0x7a5a_3c1e;

/// A message of which only the serials change.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    reply_serial_at: Option<usize>,
}

impl Template {
    fn new(header: &Header<'_>, body: impl FnOnce(&mut BodyWriter<'_>)) -> Self {
        let mut bytes = Vec::new();
        write_message(header, &mut bytes, body);
        let sought = REPLY_SERIAL.to_ne_bytes();
        let reply_serial_at =
            header.reply_serial.and_then(|_| bytes.windows(4).position(|window| window == sought));
        Self { bytes, reply_serial_at }
    }

    /// Appends the message under `serial`; a reply answers the call `reply_serial`.
    pub(crate) fn append(&self, serial: u32, reply_serial: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        patch(out, start + SERIAL_AT, serial);
        if let Some(at) = self.reply_serial_at {
            patch(out, start + at, reply_serial);
        }
    }

    /// The message under `serial`, alone.
    pub(crate) fn message(&self, serial: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len());
        self.append(serial, 0, &mut out);
        out
    }
}

fn patch(out: &mut [u8], at: usize, value: u32) {
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&value.to_ne_bytes());
    }
}

fn bus_name(name: &str) -> Result<BusName<'_>> {
    BusName::parse(name).map_err(|error| Failure::new(format!("{name:?}: {error}")))
}

/// A small call: one short string.
pub(crate) fn small_call(destination: &str) -> Result<Template> {
    let mut header = call_header();
    header.destination = Some(bus_name(destination)?);
    header.signature = Signature::from_static("s");
    Ok(Template::new(&header, |body| body.string("Hello, bus!")))
}

/// A call with an array of `size` bytes.
pub(crate) fn payload_call(destination: &str, size: usize) -> Result<Template> {
    let mut header = call_header();
    header.destination = Some(bus_name(destination)?);
    header.signature = Signature::from_static("ay");
    Ok(Template::new(&header, |body| body.bytes(&vec![0x55; size])))
}

/// A message with one descriptor, to which no reply is expected.
pub(crate) fn descriptor_call(destination: &str) -> Result<Template> {
    let mut header = call_header();
    header.destination = Some(bus_name(destination)?);
    header.flags = Flags::NO_REPLY_EXPECTED;
    header.signature = Signature::from_static("h");
    header.unix_fds = 1;
    Ok(Template::new(&header, |body| body.unix_fd(0)))
}

/// A small reply to `destination`.
pub(crate) fn small_reply(destination: &str) -> Result<Template> {
    let mut header = Header::new(MessageType::MethodReturn, SERIAL);
    header.reply_serial = NonZeroU32::new(REPLY_SERIAL);
    header.destination = Some(bus_name(destination)?);
    header.signature = Signature::from_static("s");
    Ok(Template::new(&header, |body| body.string("Hello, caller!")))
}

/// A broadcast of the object's own interface, with one short string.
pub(crate) fn signal() -> Template {
    let mut header = Header::new(MessageType::Signal, SERIAL);
    header.path = Some(const { ObjectPath::from_static(PATH) });
    header.interface = Some(INTERFACE);
    header.member = Some(MemberName::from_static("Signal"));
    header.signature = Signature::from_static("s");
    Template::new(&header, |body| body.string("Hello, everyone!"))
}

/// The match rule of whoever wants [`signal`].
pub(crate) const SIGNAL_RULE: &str =
    "type='signal',interface='org.example.Interface',member='Signal'";

/// A `PropertiesChanged` of one property of the object at `path`.
pub(crate) fn properties_changed(path: &str, interface: &str) -> Result<Template> {
    let mut header = Header::new(MessageType::Signal, SERIAL);
    let path = ObjectPath::parse(path).map_err(|error| Failure::new(error.to_string()))?;
    header.path = Some(path);
    header.interface = Some(InterfaceName::from_static("org.freedesktop.DBus.Properties"));
    header.member = Some(MemberName::from_static("PropertiesChanged"));
    header.signature = Signature::from_static("sa{sv}as");
    Ok(Template::new(&header, |body| {
        body.string(interface);
        body.dict(|entries| {
            entries.dict_entry(|entry| {
                entry.string("Level");
                entry.variant(Signature::from_static("u"), |value| value.uint32(42));
            });
        });
        body.strings([]);
    }))
}

/// A call of the bus itself with one string, and a number after it.
pub(crate) fn driver_call(
    member: &'static str,
    text: Option<&str>,
    flags: Option<u32>,
) -> Template {
    let mut header = Header::new(MessageType::MethodCall, SERIAL);
    header.path = Some(DRIVER_PATH);
    header.interface = Some(InterfaceName::from_static(DRIVER));
    header.member = Some(MemberName::from_static(member));
    header.destination = Some(BusName::from_static(DRIVER));
    header.signature = Signature::from_static(match (text, flags) {
        (Some(_), Some(_)) => "su",
        (Some(_), None) => "s",
        _ => "",
    });
    Template::new(&header, |body| {
        if let Some(text) = text {
            body.string(text);
        }
        if let Some(flags) = flags {
            body.uint32(flags);
        }
    })
}

fn call_header() -> Header<'static> {
    let mut header = Header::new(MessageType::MethodCall, SERIAL);
    header.path = Some(const { ObjectPath::from_static(PATH) });
    header.interface = Some(INTERFACE);
    header.member = Some(METHOD);
    header
}

/// What the first bytes of a message say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) kind: MessageType,
    pub(crate) serial: u32,
    /// Size in bytes of the whole message.
    pub(crate) size: usize,
}

impl Start {
    /// Reads the first bytes of a message; all peers answer in our byte order.
    pub(crate) fn parse(bytes: &[u8; FIXED_HEADER_SIZE]) -> Result<Self> {
        let kind = MessageType::from_code(bytes[1]).ok_or_else(|| Failure::new("type 0"))?;
        let serial = [bytes[8], bytes[9], bytes[10], bytes[11]];
        let size = frame(bytes, MESSAGE_SIZE_MAX)?.map_or(0, |frame| frame.message_size());
        Ok(Self { kind, serial: u32::from_ne_bytes(serial), size })
    }
}

/// Counts the messages of a stream without keeping them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frames {
    head: Vec<u8>,
    /// The message whose bytes are coming, and how many of them are still to come.
    current: Option<(Start, usize)>,
}

impl Frames {
    /// Takes bytes and calls `on_message` with every message that they complete.
    pub(crate) fn take(
        &mut self,
        mut bytes: &[u8],
        mut on_message: impl FnMut(Start),
    ) -> Result<()> {
        loop {
            if let Some((start, rest)) = self.current {
                let size = rest.min(bytes.len());
                bytes = &bytes[size..];
                self.current = Some((start, rest - size));
                if rest > size {
                    return Ok(());
                }
                self.current = None;
                on_message(start);
            }
            if bytes.is_empty() {
                return Ok(());
            }
            bytes = self.take_head(bytes)?;
        }
    }

    /// Completes the first 16 bytes and answers what comes after them.
    fn take_head<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8]> {
        let size = (FIXED_HEADER_SIZE - self.head.len()).min(bytes.len());
        let (head, rest) = bytes.split_at(size);
        self.head.extend_from_slice(head);
        if let Some(fixed) = self.head.first_chunk() {
            let start = Start::parse(fixed)?;
            self.current = Some((start, start.size - FIXED_HEADER_SIZE));
            self.head.clear();
        }
        Ok(rest)
    }
}
