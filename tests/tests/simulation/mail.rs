//! Messages as clients write them.

use std::num::NonZeroU32;

use libbus::names::{BusName, ErrorName, InterfaceName, MemberName, ObjectPath};
use libbus::wire::{BodyWriter, Endian, Flags, Header, MessageType, Signature, write_message};

use crate::model::{BUS, BUS_PATH};

/// One argument.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Path(String),
    Number(u32),
    Bytes(usize),
    Texts(Vec<String>),
    Variant(Box<Value>),
}

impl Value {
    fn signature(&self) -> &'static str {
        match self {
            Self::Text(_) => "s",
            Self::Path(_) => "o",
            Self::Number(_) => "u",
            Self::Bytes(_) => "ay",
            Self::Texts(_) => "as",
            Self::Variant(_) => "v",
        }
    }

    fn write(&self, body: &mut BodyWriter<'_>) {
        match self {
            Self::Text(text) => body.string(text),
            Self::Path(text) => body.object_path(ObjectPath::parse(text).unwrap()),
            Self::Number(number) => body.uint32(*number),
            Self::Bytes(size) => body.bytes(&vec![0x5a; *size]),
            Self::Texts(texts) => body.strings(texts.iter().map(String::as_str)),
            Self::Variant(value) => {
                let signature = Signature::parse(value.signature()).unwrap();
                body.variant(signature, |body| value.write(body));
            }
        }
    }
}

/// A message to be written.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    pub(crate) endian: Endian,
    pub(crate) message_type: MessageType,
    pub(crate) flags: Flags,
    pub(crate) serial: u32,
    pub(crate) destination: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) interface: Option<String>,
    pub(crate) member: Option<String>,
    pub(crate) error_name: Option<&'static str>,
    pub(crate) reply_serial: Option<NonZeroU32>,
    /// A sender that the client claims to be.
    pub(crate) sender: Option<String>,
    pub(crate) unix_fds: u32,
    pub(crate) body: Vec<Value>,
}

impl Mail {
    fn new(message_type: MessageType, serial: u32) -> Self {
        Self {
            endian: Endian::NATIVE,
            message_type,
            flags: Flags::empty(),
            serial,
            destination: None,
            path: None,
            interface: None,
            member: None,
            error_name: None,
            reply_serial: None,
            sender: None,
            unix_fds: 0,
            body: Vec::new(),
        }
    }

    pub(crate) fn call(serial: u32, destination: &str, interface: &str, member: &str) -> Self {
        let mut mail = Self::new(MessageType::MethodCall, serial).at("/", interface, member);
        mail.destination = Some(destination.to_owned());
        mail
    }

    /// A call of a method of the bus, in the interface that has it.
    pub(crate) fn call_bus(serial: u32, member: &str, body: Vec<Value>) -> Self {
        let interface = match member {
            "Ping" => "org.freedesktop.DBus.Peer",
            "Introspect" => "org.freedesktop.DBus.Introspectable",
            "BecomeMonitor" => "org.freedesktop.DBus.Monitoring",
            "GetStats" | "GetAllMatchRules" => "org.freedesktop.DBus.Debug.Stats",
            _ => BUS,
        };
        let mut mail = Self::call(serial, BUS, interface, member).at(BUS_PATH, interface, member);
        mail.body = body;
        mail
    }

    pub(crate) fn signal(serial: u32, path: &str, interface: &str, member: &str) -> Self {
        Self::new(MessageType::Signal, serial).at(path, interface, member)
    }

    pub(crate) fn reply(serial: u32, destination: &str, reply_serial: NonZeroU32) -> Self {
        let mut mail = Self::new(MessageType::MethodReturn, serial);
        mail.destination = Some(destination.to_owned());
        mail.reply_serial = Some(reply_serial);
        mail
    }

    pub(crate) fn error(serial: u32, destination: &str, reply_serial: NonZeroU32) -> Self {
        let mut mail = Self::reply(serial, destination, reply_serial);
        mail.message_type = MessageType::Error;
        mail.error_name = Some("org.example.Error.Refused");
        mail
    }

    pub(crate) fn with(mut self, value: Value) -> Self {
        self.body.push(value);
        self
    }

    fn at(mut self, path: &str, interface: &str, member: &str) -> Self {
        self.path = Some(path.to_owned());
        self.interface = Some(interface.to_owned());
        self.member = Some(member.to_owned());
        self
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let serial = NonZeroU32::new(self.serial).unwrap();
        let signature: String = self.body.iter().map(Value::signature).collect();
        let header = Header {
            endian: self.endian,
            flags: self.flags,
            path: self.path.as_deref().map(|text| ObjectPath::parse(text).unwrap()),
            interface: self.interface.as_deref().map(|text| InterfaceName::parse(text).unwrap()),
            member: self.member.as_deref().map(|text| MemberName::parse(text).unwrap()),
            error_name: self.error_name.map(|text| ErrorName::parse(text).unwrap()),
            reply_serial: self.reply_serial,
            destination: self.destination.as_deref().map(|text| BusName::parse(text).unwrap()),
            sender: self.sender.as_deref().map(|text| BusName::parse(text).unwrap()),
            signature: Signature::parse(&signature).unwrap(),
            unix_fds: self.unix_fds,
            ..Header::new(self.message_type, serial)
        };
        let mut bytes = Vec::new();
        write_message(&header, &mut bytes, |body| {
            self.body.iter().for_each(|value| value.write(body));
        });
        bytes
    }
}

/// A number as hex text, as AUTH EXTERNAL wants it.
pub(crate) fn hex_of(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}
