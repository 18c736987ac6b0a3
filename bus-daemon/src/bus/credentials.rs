//! What the kernel says about the program at the other end of a socket.
//!
//! The values are read once, when the client is accepted, and describe the process that made the
//! connection, not whoever holds the socket now. Nothing a client sends can change them.

use super::outbox::MessageFds;

/// The identity of a peer as the socket reports it; `None` stands for "the kernel does not say".
///
/// A client over TCP has none of these (protocol.md A192: unknown credentials are omitted).
#[derive(Clone, Debug, Default)]
pub struct PeerCredentials {
    /// The effective user when the peer connected.
    pub uid: Option<u32>,
    /// The effective primary group when the peer connected.
    pub gid: Option<u32>,
    /// The process that connected, in our own process-id namespace; never 0.
    pub pid: Option<i32>,
    /// Every group of the peer, primary and supplementary, sorted and without repetition; complete
    /// or absent.
    pub groups: Option<Vec<u32>>,
    /// The label of a Linux security module, without the trailing NUL.
    pub security_label: Option<Vec<u8>>,
    /// A process descriptor of the peer: unlike `pid` it can not come to mean another process.
    pub process_fd: Option<MessageFds>,
}
