//! A message as a program has it: checked, owned, and cheap to pass on.

mod kept_header;

mod text;

use std::cmp::Ordering;
use std::fmt;
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use self::kept_header::KeptHeader;
use crate::limits::MESSAGE_SIZE_MAX;
use crate::names::{BusName, ErrorName, InterfaceName, MemberName, ObjectPath};
pub use crate::wire::Header;
use crate::wire::{
    ArgumentSpans, Arguments, BodyReader, Endian, Flags, Frame, MessageError, MessageType,
    ParsedHeader, Signature, check_body, frame,
};

/// A message that keeps every rule of the protocol (protocol.md A001–A060). A copy of it is the same
/// message: bytes and descriptors are held once, and descriptors are closed with the last of them.
///
/// ```
/// # #[cfg(not(feature = "blocking"))]
/// # fn main() {}
/// # #[cfg(feature = "blocking")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if libbus::TestBus::program().is_none() { return Ok(()) }
/// # let bus = libbus::TestBus::start()?;
/// # let connection = libbus::blocking::Builder::address(bus.address())?.build()?;
/// let reply = connection.bus().call_method("GetNameOwner", "org.freedesktop.DBus")?;
/// assert_eq!(reply.header().signature.as_str(), "s");
/// // What is read may borrow from the message.
/// assert_eq!(reply.deserialize::<&str>()?, "org.freedesktop.DBus");
/// assert_eq!(reply.reader().string()?, "org.freedesktop.DBus");
/// assert!(reply.fds().is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Message {
    content: Arc<Content>,
}

struct Content {
    bytes: Vec<u8>,
    header: KeptHeader,
    body_start: usize,
    fds: Vec<OwnedFd>,
    losses: u32,
}

impl Message {
    /// Checks a whole message. `frame` is what [`crate::wire::frame`] said of the same bytes, of which
    /// there must be as many as that, and `fds` came with it. Where its string arguments are, which match
    /// rules ask for, is noted in `spans`. `losses`: see [`Message::losses`].
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub(crate) fn check(
        bytes: Vec<u8>,
        frame: &Frame,
        take_fds: impl FnOnce(usize) -> Vec<OwnedFd>,
        spans: &mut ArgumentSpans,
        losses: u32,
    ) -> Result<Self, MessageError> {
        let parsed = ParsedHeader::parse(&bytes, frame)?;
        let fds = take_fds(parsed.header.unix_fds as usize);
        parsed.header.check_unix_fds(fds.len())?;
        let body_start = parsed.size;
        let body = bytes.get(body_start..).unwrap_or_default();
        check_body(parsed.header.signature, body, parsed.header.endian, spans)?;
        let header = KeptHeader::new(&parsed.header, &bytes);
        Ok(Self { content: Arc::new(Content { bytes, header, body_start, fds, losses }) })
    }

    /// Checks a message that somebody recorded: by every rule but that its descriptors must be there, since no
    /// recording has them. `bytes` are the whole message and nothing else; how long one may be is bounded as it is
    /// on a connection ([`MESSAGE_SIZE_MAX`]).
    ///
    /// ```
    /// # use std::num::NonZeroU32;
    /// use libbus::message::Message;
    /// use libbus::names::{MemberName, ObjectPath};
    /// use libbus::wire::{Header, MessageError, MessageType, write_message};
    ///
    /// let mut header = Header::new(MessageType::MethodCall, NonZeroU32::MIN);
    /// header.path = Some(ObjectPath::from_static("/clock"));
    /// header.member = Some(MemberName::from_static("Ring"));
    /// let mut bytes = Vec::new();
    /// write_message(&header, &mut bytes, |_| {});
    ///
    /// let cut = bytes[..bytes.len() - 1].to_vec();
    /// assert!(matches!(Message::from_bytes(cut), Err(MessageError::NotEnoughData)));
    /// let message = Message::from_bytes(bytes)?;
    /// assert_eq!(message.header().member, header.member);
    /// # Ok::<(), MessageError>(())
    /// ```
    ///
    /// # Errors
    /// The first rule that it breaks; [`MessageError::NotEnoughData`] and [`MessageError::TooMuchData`] where it is
    /// longer or shorter than it says.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, MessageError> {
        let frame = frame(&bytes, MESSAGE_SIZE_MAX)?.ok_or(MessageError::NotEnoughData)?;
        match bytes.len().cmp(&frame.message_size()) {
            Ordering::Less => return Err(MessageError::NotEnoughData),
            Ordering::Greater => return Err(MessageError::TooMuchData),
            Ordering::Equal => {}
        }
        let parsed = ParsedHeader::parse(&bytes, &frame)?;
        let body_start = parsed.size;
        let body = bytes.get(body_start..).unwrap_or_default();
        check_body(parsed.header.signature, body, parsed.header.endian, &mut ArgumentSpans::new())?;
        let header = KeptHeader::new(&parsed.header, &bytes);
        let content = Content { bytes, header, body_start, fds: Vec::new(), losses: 0 };
        Ok(Self { content: Arc::new(content) })
    }

    /// What it says about itself.
    #[must_use]
    pub fn header(&self) -> Header<'_> {
        self.content.header.of(&self.content.bytes)
    }

    /// What it is for.
    #[must_use]
    pub fn message_type(&self) -> MessageType {
        self.content.header.message_type
    }

    /// What its sender wants of those who handle it (protocol.md A034).
    #[must_use]
    pub fn flags(&self) -> Flags {
        self.content.header.flags
    }

    /// The sender's number for it (protocol.md A033).
    #[must_use]
    pub fn serial(&self) -> NonZeroU32 {
        self.content.header.serial
    }

    /// The serial of the call that it answers (protocol.md A045).
    #[must_use]
    pub fn reply_serial(&self) -> Option<NonZeroU32> {
        self.content.header.reply_serial
    }

    /// The object that is called or that emits (protocol.md A041).
    #[must_use]
    pub fn path(&self) -> Option<ObjectPath<'_>> {
        self.content.header.path(&self.content.bytes)
    }

    /// The interface that the member is of (protocol.md A042).
    #[must_use]
    pub fn interface(&self) -> Option<InterfaceName<'_>> {
        self.content.header.interface(&self.content.bytes)
    }

    /// The method or signal (protocol.md A043).
    #[must_use]
    pub fn member(&self) -> Option<MemberName<'_>> {
        self.content.header.member(&self.content.bytes)
    }

    /// Who sent it, as the bus says (protocol.md A047); nobody without a bus.
    #[must_use]
    pub fn sender(&self) -> Option<BusName<'_>> {
        self.content.header.sender(&self.content.bytes)
    }

    /// The types of its arguments (protocol.md A048).
    #[must_use]
    pub fn signature(&self) -> Signature<'_> {
        self.content.header.signature(&self.content.bytes)
    }

    /// How often the connection had been lost when it came. A message of another number is of another bus, on
    /// which its sender's name and its serial may be those of somebody else.
    pub(crate) fn losses(&self) -> u32 {
        self.content.losses
    }

    /// Its bytes, header and body.
    #[must_use]
    pub fn size(&self) -> usize {
        self.content.bytes.len()
    }

    /// Header and body as they came.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.content.bytes
    }

    /// The bytes of its body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.content.bytes.get(self.content.body_start..).unwrap_or_default()
    }

    /// The arguments, one after the other.
    #[must_use]
    pub fn reader(&self) -> BodyReader<'_> {
        BodyReader::new(self.body(), self.endian())
    }

    /// The byte order of header and body.
    #[must_use]
    pub fn endian(&self) -> Endian {
        self.content.header.endian
    }

    /// The descriptors that came with it; a value of type `h` is an index among them.
    #[must_use]
    pub fn fds(&self) -> &[OwnedFd] {
        &self.content.fds
    }

    /// Which error it is, and what it says, if it is one (protocol.md A046).
    #[must_use]
    pub fn error(&self) -> Option<(ErrorName<'_>, &str)> {
        if self.message_type() != MessageType::Error {
            return None;
        }
        let header = self.header();
        let name = header.error_name?;
        let has_text = header.signature.as_str().starts_with('s');
        let text = if has_text { self.reader().string().unwrap_or_default() } else { "" };
        Some((name, text))
    }

    /// Its string arguments, which `spans` were noted from.
    pub(crate) fn arguments<'a>(&'a self, spans: &'a ArgumentSpans) -> Arguments<'a> {
        Arguments::new(spans, self.body())
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("header", &self.header())
            .field("body_size", &self.body().len())
            .field("fds", &self.fds())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::write_message;

    fn call(unix_fds: u32) -> Vec<u8> {
        let mut header = Header::new(MessageType::MethodCall, NonZeroU32::MIN);
        header.path = Some(ObjectPath::from_static("/a"));
        header.member = Some(MemberName::from_static("M"));
        header.signature = Signature::from_static("sh");
        header.unix_fds = unix_fds;
        let mut bytes = Vec::new();
        write_message(&header, &mut bytes, |body| {
            body.string("text");
            body.unix_fd(0);
        });
        bytes
    }

    /// A recording has no descriptors, and all that a message says of them is kept.
    #[test]
    fn a_recorded_message_is_checked_whole() {
        let bytes = call(1);
        let message = Message::from_bytes(bytes.clone()).unwrap();
        assert_eq!((message.bytes(), message.header().unix_fds), (bytes.as_slice(), 1));
        assert!(message.fds().is_empty());
        for size in 0..bytes.len() {
            let error = Message::from_bytes(bytes[..size].to_vec()).unwrap_err();
            assert_eq!(error, MessageError::NotEnoughData, "{size} bytes");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(Message::from_bytes(longer).unwrap_err(), MessageError::TooMuchData);
        let mut broken = bytes;
        let end_of_text = broken.len() - 5;
        broken[end_of_text] = 1;
        assert!(Message::from_bytes(broken).is_err());
    }

    /// What a message claims to have is bounded before anything else is asked of it.
    #[test]
    fn a_recorded_message_is_no_longer_than_others() {
        let mut bytes = call(0);
        bytes[4..8].copy_from_slice(&MESSAGE_SIZE_MAX.to_ne_bytes());
        assert_eq!(Message::from_bytes(bytes).unwrap_err(), MessageError::MessageTooLong);
    }
}
