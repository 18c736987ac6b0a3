//! Captured messages: files of them are read and written (tools.md D004, D050, D062).
//!
//! Three formats are known by their first bytes: classic pcap, pcapng, both with the link type of D-Bus (231), and
//! messages in a row without times, as `dbus-monitor --binary` writes them. A [`Reader`] is an iterator that holds one
//! record at a time, so that the size of a capture does not matter. Each message is checked as on a connection
//! ([`Message::from_bytes`]); one that breaks a rule is a [`Damage`] with the place where it is, and reading goes on
//! after it wherever the format tells where the next one begins. Where it does not, and where the file ends in the
//! middle of something, that damage is the last item.
//!
//! Bounds: nothing larger than a message can be is read into memory, and never more than what is really there,
//! whatever a length says; interfaces of a pcapng section are bounded too (`pcapng`).

mod input;
mod message;
mod pcap;
mod pcapng;
mod raw;
#[cfg(test)]
pub(crate) mod tests;
mod write;

use std::fmt;
use std::io::{self, Read};
use std::time::Duration;

use libbus::limits::MESSAGE_SIZE_MAX;
use libbus::message::Message;
use libbus::wire::MessageError;

use self::input::Input;
pub use self::write::{Section, Writer};

/// The link type of D-Bus messages in both kinds of pcap.
pub const LINK_TYPE: u32 = 231;

/// When a message was seen: since the beginning of 1970, UTC.
pub type Time = Duration;

/// A message of a capture.
#[derive(Clone, Debug)]
pub struct Captured {
    /// When it was seen; not known of formats without times.
    pub time: Option<Time>,
    /// Where its record begins in the capture, in bytes.
    pub offset: u64,
    /// Its bytes when it was sent.
    pub size: u64,
    /// The message itself; of one that was cut its header alone.
    pub message: Message,
    /// What is missing.
    pub cut: Option<Cut>,
}

/// Whoever captured a message kept only its first bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// How many bytes were kept.
    pub kept: u64,
    /// The types of the arguments, none of which is there.
    pub signature: String,
}

/// What a capture was written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Classic pcap.
    Pcap,
    /// Its successor, with blocks and sections.
    Pcapng,
    /// Messages in a row.
    Raw,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pcap => "pcap",
            Self::Pcapng => "pcapng",
            Self::Raw => "messages in a row",
        })
    }
}

/// A place where a capture is not what its format says.
#[derive(Debug)]
pub struct Damage {
    /// Where the record, block or message begins that is damaged, in bytes.
    pub offset: u64,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong at one place of a capture.
#[derive(Debug)]
pub enum Fault {
    /// The file ends in the middle.
    CutShort {
        /// How many bytes there are from the damage on.
        there: u64,
    },
    /// It claims to have more bytes than any message.
    TooLong {
        /// How many.
        size: u64,
    },
    /// The message breaks a rule of the protocol.
    Message(MessageError),
    /// The first bytes of the message do not say how long it is.
    Unframed(MessageError),
    /// So few of a message's bytes were kept that not even its header is whole.
    HeaderCut {
        /// How many were kept.
        kept: u64,
    },
    /// A block or file header that contradicts itself.
    Block(&'static str),
    /// The file can be read no further.
    Read(io::Error),
}

impl Damage {
    /// Whether nothing that comes after it can be found.
    #[must_use]
    pub const fn is_end(&self) -> bool {
        !matches!(self.fault, Fault::Message(_) | Fault::HeaderCut { .. })
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.offset, self.fault)?;
        if self.is_end() { f.write_str("; what comes after it is lost") } else { Ok(()) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutShort { there } => {
                write!(f, "the capture ends {there} bytes after the beginning of this record")
            }
            Self::TooLong { size } => {
                write!(
                    f,
                    "a record of {size} bytes, and no message has more than {MESSAGE_SIZE_MAX}"
                )
            }
            Self::Message(error) | Self::Unframed(error) => {
                write!(f, "not a valid message: {error}")
            }
            Self::HeaderCut { kept } => {
                write!(f, "only {kept} bytes of a message were kept, not even its whole header")
            }
            Self::Block(what) => f.write_str(what),
            Self::Read(error) => write!(f, "cannot be read: {}", libbus::host::phrase(error)),
        }
    }
}

impl std::error::Error for Damage {}

/// Why something is not taken for a capture.
#[derive(Debug)]
pub enum OpenError {
    /// There are no bytes.
    Empty,
    /// The first bytes are those of none of the formats.
    UnknownFormat,
    /// It is a capture of something else than D-Bus.
    LinkType(u32),
    /// Its own header is damaged.
    Damage(Damage),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the capture is empty"),
            Self::UnknownFormat => f.write_str(
                "this is neither pcap nor pcapng nor a row of D-Bus messages, by its first bytes",
            ),
            Self::LinkType(found) => {
                write!(f, "a capture of link type {found}; D-Bus has {LINK_TYPE}")
            }
            Self::Damage(damage) => damage.fault.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<Damage> for OpenError {
    fn from(damage: Damage) -> Self {
        Self::Damage(damage)
    }
}

/// A record of a capture, before anybody has looked at the message in it.
struct Record {
    offset: u64,
    time: Option<Time>,
    /// Of the message when it was sent.
    size: u64,
    /// As many of them as were kept.
    bytes: Vec<u8>,
}

enum Container {
    Pcap(pcap::Pcap),
    Pcapng(pcapng::Pcapng),
    Raw,
}

/// Reads a capture, message by message.
///
/// Calling order: [`Reader::open`], then [`Iterator::next`] until it is `None`. An item is a message or a damage;
/// after a damage that [is the end](Damage::is_end) there are no more.
pub struct Reader<R> {
    input: Input<R>,
    container: Container,
    has_ended: bool,
}

impl<R: Read> Reader<R> {
    /// Finds out by the first bytes what it is.
    ///
    /// # Errors
    /// It is no capture of D-Bus messages, or cannot be read.
    pub fn open(source: R) -> Result<Self, OpenError> {
        let (mut input, first) = Input::begin(source)?;
        let container = match first.as_slice() {
            [] => return Err(OpenError::Empty),
            &[a, b, c, d] if pcap::Layout::of([a, b, c, d]).is_some() => {
                Container::Pcap(pcap::Pcap::open(&mut input)?)
            }
            first if first == pcapng::SECTION_HEADER.to_be_bytes() => {
                Container::Pcapng(pcapng::Pcapng::default())
            }
            first if raw::begins_message(first) => Container::Raw,
            _ => return Err(OpenError::UnknownFormat),
        };
        Ok(Self { input, container, has_ended: false })
    }

    /// What it is.
    #[must_use]
    pub const fn format(&self) -> Format {
        match self.container {
            Container::Pcap(_) => Format::Pcap,
            Container::Pcapng(_) => Format::Pcapng,
            Container::Raw => Format::Raw,
        }
    }

    /// How many of its bytes have been read.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.input.position()
    }

    /// How many packets were passed over that are of other link types.
    #[must_use]
    pub const fn foreign_count(&self) -> u64 {
        match &self.container {
            Container::Pcapng(pcapng) => pcapng.foreign_count(),
            Container::Pcap(_) | Container::Raw => 0,
        }
    }

    fn next_record(&mut self) -> Result<Option<Record>, Damage> {
        match &mut self.container {
            Container::Pcap(pcap) => pcap.next_record(&mut self.input),
            Container::Pcapng(pcapng) => pcapng.next_record(&mut self.input),
            Container::Raw => raw::next_record(&mut self.input),
        }
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Captured, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let item = match self.next_record() {
            Ok(Some(record)) => Some(message::captured(record)),
            Ok(None) => None,
            Err(damage) => Some(Err(damage)),
        };
        self.has_ended = match &item {
            None => true,
            Some(Err(damage)) => damage.is_end(),
            Some(Ok(_)) => false,
        };
        item
    }
}

impl<R: Read> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("position", &self.input.position()).finish_non_exhaustive()
    }
}
