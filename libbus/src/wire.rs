//! Bytes to messages and messages to bytes, in both byte orders.
//!
//! A message is checked where it lies in the reader's buffer, in one pass over its header and one
//! over its body, and nothing is allocated on the way. Checking is complete: every rule of
//! protocol.md A001–A060 that a bus can see is carried out here, so that what went through is safe
//! to hand to any client. The steps, in order:
//!
//! 1. [`frame`] reads the first 16 bytes and says how long the message is, before a buffer of that
//!    size is made;
//! 2. [`ParsedHeader::parse`] checks the header and yields its fields, borrowed from the message;
//! 3. [`check_body`] checks the body against the header's signature and notes where the string
//!    arguments are, which match rules ask for through [`Arguments`];
//! 4. [`ParsedHeader::write_stamped`] writes the header as the bus passes it on, with the true
//!    sender.
//!
//! Messages of our own are written by [`write_message`] and [`BodyWriter`], and the body of a
//! checked message is read by [`BodyReader`].
//!
//! Bounds: a message has at most 128 MiB, an array 64 MiB, a signature 255 bytes, and containers
//! nest at most 64 deep, which bounds the recursion here ([`crate::limits`]).

mod body;
mod header;
mod marshal;
mod message;
mod signature;
mod unmarshal;

pub use body::{Argument, ArgumentSpans, Arguments, check_body};
pub use header::{Header, ParsedHeader};
#[cfg(feature = "client")]
pub(crate) use marshal::ArrayStart;
pub use marshal::{BodyWriter, write_checked_message, write_message};
pub use message::{Endian, FIXED_HEADER_SIZE, Flags, Frame, MessageError, MessageType, frame};
pub use signature::{Signature, SignatureError, Types};
pub use unmarshal::{BodyReader, Strings};

#[cfg(test)]
mod tests;
