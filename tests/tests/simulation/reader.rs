//! One client's receiving end: bytes in, each whole message compared with what must come next.

use std::collections::VecDeque;
use std::os::fd::RawFd;

use libbus::wire::{BodyReader, MessageType, frame};

use crate::message::{Body, Content, Expectation, Item, Outline, Parsed};
use crate::model::BUS;

#[derive(Default)]
pub(crate) struct Reader {
    bytes: Vec<u8>,
    /// How many bytes were taken out of `bytes` so far.
    offset: usize,
    /// Descriptors, and at which offset of the stream they came.
    fds: VecDeque<(usize, Vec<RawFd>)>,
    last_bus_serial: u32,
}

impl Reader {
    pub(crate) fn receive(&mut self, bytes: &[u8], fds: Vec<RawFd>) {
        if !fds.is_empty() {
            self.fds.push_back((self.offset + self.bytes.len(), fds));
        }
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn is_between_messages(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Compares whole lines with those that the handshake must have answered.
    pub(crate) fn read_lines(&mut self, lines: &mut VecDeque<&'static str>) {
        while let Some(expected) = lines.front()
            && let Some(end) = self.bytes.windows(2).position(|pair| pair == b"\r\n")
        {
            let line = String::from_utf8(self.take(end + 2)).expect("a line is text");
            let words = line.replace("\r\n", " ");
            assert!(words.starts_with(expected), "{line:?}, not {expected:?}");
            lines.pop_front();
        }
    }

    /// The next whole message, after it was found to be what must come next.
    pub(crate) fn read_message(&mut self, expected: &mut VecDeque<Expectation>) -> Option<Vec<u8>> {
        let frame = frame(&self.bytes, u32::MAX).expect("the bus sends valid messages")?;
        if self.bytes.len() < frame.message_size() {
            return None;
        }
        let offset = self.offset;
        let message = self.take(frame.message_size());
        let is_here = self.fds.front().is_some_and(|(at, _)| *at == offset);
        let fds = if is_here { self.fds.pop_front() } else { None }.map(|(_, fds)| fds);
        let parsed = Parsed::of(&message);
        self.check_order(&parsed);
        loop {
            let Some(next) = expected.pop_front() else {
                panic!("nothing was to come, but: {:?}", parsed.header())
            };
            match next.item.compare(&parsed, &message, fds.as_deref().unwrap_or_default()) {
                Ok(()) => break,
                Err(_) if !next.is_certain => {}
                Err(why) => panic!("{why}: {:?}, not {next:?}", parsed.header()),
            }
        }
        Some(message)
    }

    /// The bus numbers its own messages in the order of the whole bus (protocol.md A144).
    fn check_order(&mut self, message: &Parsed<'_>) {
        let header = message.header();
        if header.sender.is_some_and(|sender| sender.as_str() == BUS) {
            let serial = header.serial.get();
            assert!(self.last_bus_serial < serial, "{serial} after {}", self.last_bus_serial);
            self.last_bus_serial = serial;
        }
    }

    fn take(&mut self, size: usize) -> Vec<u8> {
        self.offset += size;
        let taken = self.bytes[..size].to_vec();
        self.bytes.drain(..size);
        taken
    }
}

impl Item {
    fn compare(
        &self,
        message: &Parsed<'_>,
        bytes: &[u8],
        fds: &[RawFd],
    ) -> Result<(), &'static str> {
        if fds != self.fds {
            return Err("other descriptors");
        }
        match (&self.content, self.seen.get()) {
            (Content::Passed(expected), _) if expected == bytes => Ok(()),
            (Content::FromBus(_), Some(seen)) if seen == bytes => Ok(()),
            (Content::FromBus(outline), None) => {
                outline.compare(message)?;
                self.seen.set(bytes.to_vec()).unwrap();
                Ok(())
            }
            _ => Err("another message"),
        }
    }
}

impl Outline {
    fn compare(&self, message: &Parsed<'_>) -> Result<(), &'static str> {
        let header = message.header();
        let check = |is_same, what| if is_same { Ok(()) } else { Err(what) };
        check(header.sender.is_some_and(|sender| sender.as_str() == BUS), "another sender")?;
        check(header.message_type == self.message_type, "another type")?;
        check(header.member.map(|member| member.as_str()) == self.member, "another member")?;
        check(header.error_name == self.error_name, "another error")?;
        check(header.reply_serial == self.reply_serial, "another reply serial")?;
        let destination = header.destination.map(|name| name.as_str().to_owned());
        check(destination == self.destination, "another destination")?;
        let mut body = BodyReader::new(message.body, header.endian);
        check(self.body.matches(header.signature.as_str(), &mut body), "another body")?;
        check(
            self.message_type != MessageType::Error || header.signature.as_str() == "s",
            "an error without text",
        )
    }
}

impl Body {
    fn matches(&self, signature: &str, body: &mut BodyReader<'_>) -> bool {
        let mut list = || body.strings().unwrap().map(|s| s.unwrap().to_owned());
        match self {
            Self::Whatever => true,
            Self::Strings(expected) => {
                signature == "s".repeat(expected.len())
                    && expected.iter().all(|text| body.string().unwrap() == text)
            }
            Self::Number(expected) => signature == "u" && body.uint32().unwrap() == *expected,
            Self::Boolean(expected) => signature == "b" && body.boolean().unwrap() == *expected,
            Self::Set(expected) => {
                let names: Vec<String> =
                    if signature == "as" { list().collect() } else { return false };
                names.len() == expected.len() && names.iter().all(|name| expected.contains(name))
            }
            Self::List(expected) => signature == "as" && list().eq(expected.iter().cloned()),
        }
    }
}
