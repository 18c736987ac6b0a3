//! The handshake before the first message: SASL lines in, SASL lines out (protocol.md A068–A097).
//!
//! Each side is a state machine without a socket. [`ServerAuth`] takes the bytes that a client
//! sent and appends its answers to a buffer; [`ClientAuth`] is the other half. Both keep at most
//! one unfinished line, take their bytes in pieces of any size, and say where the message stream
//! begins, so that a client which sends its whole handshake and its first messages in one write
//! loses nothing.
//!
//! ```text
//! client                                      server
//! \0AUTH EXTERNAL 31303030\r\n          ->    is 1000 the uid of the socket's credentials?
//!                                       <-    OK 1234deadbeef1234deadbeef1234dead\r\n
//! NEGOTIATE_UNIX_FD\r\n                 ->    can this socket carry descriptors?
//!                                       <-    AGREE_UNIX_FD\r\n
//! BEGIN\r\n                             ->    (no answer; messages from the next byte on)
//! ```
//!
//! The parts: `command` splits and prints lines, `mechanism` is what the server does with a
//! mechanism's data, [`cookie`] knows the keyring files of DBUS_COOKIE_SHA1, `server` and `client`
//! are the tables of states and commands. Whoever owns the sockets also supplies the peer's uid,
//! the cookies, the random bytes and the clock's reading.
//!
//! Bounds: a line and the answers not yet sent are at most [`HANDSHAKE_SIZE_MAX`] bytes,
//! [`REJECTION_COUNT_MAX`] refusals end the handshake; the time it may take is the caller's to
//! limit (protocol.md A082).

mod client;
mod command;
pub mod cookie;
mod hex;
mod mechanism;
mod server;

pub use client::{ClientAuth, ClientAuthConfig, ClientAuthError, ClientCookie, ClientProgress};
pub use mechanism::Mechanism;
pub use server::{CookieChallenge, ServerAuth, ServerAuthConfig, ServerAuthError, ServerProgress};

/// Bytes of one handshake line with its ending, and of answers waiting to be sent: the reference's
/// bound (protocol.md A081).
pub const HANDSHAKE_SIZE_MAX: usize = 16 * 1024;

/// Refusals after which the server ends the handshake (protocol.md A080).
pub const REJECTION_COUNT_MAX: u32 = 6;

/// Who a client proved to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The user with this uid.
    Unix(u32),
    /// Nobody in particular: the client chose ANONYMOUS (protocol.md A096).
    Anonymous,
}
