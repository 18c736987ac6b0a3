//! What can go wrong for a program on a bus.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::blob::BlobError;
use crate::address::AddressError;
use crate::connection::{ConnectionError, LostCall, SendError};
use crate::match_rule::MatchRuleError;
use crate::message::Message;
use crate::names::NameError;
use crate::typed::TypeError;

/// As everywhere in this crate's client.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong for a program on a bus.
///
/// When a connection is over every call on it fails in the same way ([`Error::is_disconnected`]).
///
/// ```
/// # #[cfg(not(feature = "blocking"))]
/// # fn main() {}
/// # #[cfg(feature = "blocking")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if libbus::TestBus::program().is_none() { return Ok(()) }
/// # let bus = libbus::TestBus::start()?;
/// # let connection = libbus::blocking::Builder::address(bus.address())?.build()?;
/// use libbus::Error;
///
/// let answer = connection.bus().call::<_, String>("GetNameOwner", "org.example.Nobody");
/// match answer {
///     Err(Error::Method(error)) => {
///         assert_eq!(error.name(), "org.freedesktop.DBus.Error.NameHasNoOwner");
///     }
///     other => panic!("{other:?}"),
/// }
/// // By the name alone, and as one of the errors that have a type.
/// let answer = connection.bus().call::<_, String>("GetNameOwner", "org.example.Nobody");
/// let error = answer.unwrap_err();
/// assert!(error.is_method_error("org.freedesktop.DBus.Error.NameHasNoOwner"));
/// assert!(matches!(error.into(), libbus::fdo::Error::NameHasNoOwner(_)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The other side answered with an error: its reply.
    Method(MethodError),
    /// No reply within this time, which may still come, for nobody; or no room within this time to send what there is no
    /// reply to.
    TimedOut(Duration),
    /// Nothing that is tried can be reached.
    Connect {
        /// What was tried, as addresses are written.
        address: String,
        /// The last failure, but of those that waiting may mend, if one is such.
        error: Arc<io::Error>,
    },
    /// Nowhere that is tried can be listened.
    Listen {
        /// What was tried, as addresses are written.
        address: String,
        /// The last failure.
        error: Arc<io::Error>,
    },
    /// There is no address of a bus to connect to.
    NoAddress(String),
    /// This cannot be made again when it is lost, as [`Builder::reconnect`](super::Builder::reconnect) wants it.
    CannotReconnect(&'static str),
    /// An address is written wrong.
    Address(AddressError),
    /// The other end has closed the connection.
    Closed,
    /// The connection belongs to the process of which this one is a copy, made by `fork(2)`. Both would write to one
    /// stream; this one must connect by itself.
    Forked,
    /// The socket failed.
    Io(Arc<io::Error>),
    /// The connection was lost, and is made again ([`Builder::reconnect`](super::Builder::reconnect)), before the
    /// reply to this call came, or before all of it, or of this signal, was sent. It is not sent again by itself:
    /// on another bus its destination may be somebody else.
    CallLost(LostCall),
    /// The connection was lost and is made again: between the items of this stream some may have been missed. The
    /// stream goes on.
    Interrupted,
    /// What this stream is about was a program by its unique name, on a bus to which the connection was lost.
    /// The stream is over.
    SenderGone,
    /// A connection was tried to be made for so long, and is not tried any more.
    GaveUp {
        /// How often.
        tries: u32,
        /// For how long.
        time: Duration,
        /// Why the last try failed.
        error: Arc<Error>,
    },
    /// The other end broke the protocol, or the program missed what it must not miss.
    Connection(ConnectionError),
    /// A message cannot be sent.
    Send(SendError),
    /// A value is not of the type that is asked for.
    Type(Arc<TypeError>),
    /// The bytes of a blob cannot be had.
    Blob(BlobError),
    /// A name is none.
    Name(NameError),
    /// A match rule is none.
    MatchRule(MatchRuleError),
    /// Somebody else has the name that was requested, and keeps it.
    NameTaken,
    /// This program does not serve that object, or has not that interface there.
    NotServed(String),
    /// What a proxy is about was not said.
    MissingPart(String),
}

impl Error {
    /// Whether the connection is over, and with it everything that is tried on it.
    #[must_use]
    pub const fn is_disconnected(&self) -> bool {
        matches!(
            self,
            Self::Closed | Self::Forked | Self::Io(_) | Self::Connection(_) | Self::GaveUp { .. }
        )
    }

    /// Whether the other side answered with the error of this name, such as
    /// `org.freedesktop.DBus.Error.ServiceUnknown`.
    #[must_use]
    pub fn is_method_error(&self, name: &str) -> bool {
        matches!(self, Self::Method(error) if error.name() == name)
    }
}

/// An error as the other side answered it (protocol.md A046).
#[derive(Clone, Debug)]
pub struct MethodError {
    reply: Message,
}

impl MethodError {
    /// `None` if that is no error.
    #[must_use]
    pub fn new(reply: Message) -> Option<Self> {
        reply.error().is_some().then_some(Self { reply })
    }

    /// Which error it is: `org.freedesktop.DBus.Error.AccessDenied`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.reply.error().map_or("", |(name, _)| name.as_str())
    }

    /// What it says to people; nothing if it says nothing.
    #[must_use]
    pub fn text(&self) -> &str {
        self.reply.error().map_or("", |(_, text)| text)
    }

    /// The whole message, for those that carry more.
    #[must_use]
    pub const fn message(&self) -> &Message {
        &self.reply
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method(error) => error.fmt(f),
            Self::TimedOut(time) => write!(f, "not done within {} ms", time.as_millis()),
            Self::Connect { address, error } => write!(f, "cannot connect to {address}: {error}"),
            Self::Listen { address, error } => write!(f, "cannot listen at {address}: {error}"),
            Self::NoAddress(why) => write!(f, "no bus is known: {why}"),
            Self::CannotReconnect(what) => write!(f, "{what} cannot be made again"),
            Self::Address(error) => write!(f, "the bus's address is wrong: {error}"),
            Self::Closed => f.write_str("the other end has closed the connection"),
            Self::Forked => f.write_str("the connection belongs to another process, which forked"),
            Self::CallLost(LostCall::NotSent) => {
                f.write_str("the connection was lost before the message was sent")
            }
            Self::CallLost(LostCall::PerhapsDone) => f.write_str(
                "the connection was lost after the call was sent: it may have been carried out",
            ),
            Self::Interrupted => {
                f.write_str("the connection was lost meanwhile: something may have been missed")
            }
            Self::SenderGone => f.write_str("the bus is lost on which the sender had this name"),
            Self::GaveUp { tries, time, error } => {
                write!(f, "given up after {tries} tries within {} ms: {error}", time.as_millis())
            }
            Self::Io(error) => write!(f, "the connection failed: {error}"),
            Self::Connection(error) => write!(f, "the connection is over: {error}"),
            Self::Send(error) => write!(f, "{error}"),
            Self::Type(error) => write!(f, "{error}"),
            Self::Blob(error) => write!(f, "{error}"),
            Self::Name(error) => write!(f, "a name is wrong: {error}"),
            Self::MatchRule(error) => write!(f, "a match rule is wrong: {error}"),
            Self::NameTaken => f.write_str("somebody else has the name"),
            Self::MissingPart(what) => write!(f, "a proxy cannot be made: {what}"),
            Self::NotServed(what) => write!(f, "this program does not serve {what}"),
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for MethodError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            "" => f.write_str(self.name()),
            text => write!(f, "{}: {text}", self.name()),
        }
    }
}

impl std::error::Error for MethodError {}

macro_rules! from {
    ($($variant:ident $type:ty,)*) => { $(
        impl From<$type> for Error {
            fn from(error: $type) -> Self {
                Self::$variant(error.into())
            }
        }
    )* };
}

from! {
    Address AddressError,
    Io io::Error,
    Connection ConnectionError,
    Type TypeError,
    Blob BlobError,
    Name NameError,
    MatchRule MatchRuleError,
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Lost => Self::CallLost(LostCall::NotSent),
            error => Self::Send(error),
        }
    }
}

impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
