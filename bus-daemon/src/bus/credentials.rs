//! What the kernel says about the program at the other end of a socket.
//!
//! The values are read once, when the client is accepted, and describe the process that made the
//! connection, not whoever holds the socket now. Nothing a client sends can change them.

use std::cell::OnceCell;
use std::fmt;
use std::rc::Rc;

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
    pub groups: Option<Box<[u32]>>,
    /// The label of a Linux security module, without the trailing NUL.
    pub security_label: Option<Box<[u8]>>,
    /// A process descriptor of the peer: unlike `pid` it can not come to mean another process.
    pub process_fd: Option<ProcessFdSource>,
    /// What the process was called when that was first asked.
    pub process_name: OnceCell<Box<str>>,
}

/// Opens a process descriptor of a peer when somebody asks for one.
///
/// The kernel answers at any time for as long as the socket is open, so that no client costs a
/// second descriptor for its whole life. How it is asked is the host's matter.
#[derive(Clone)]
pub struct ProcessFdSource(Rc<dyn Fn() -> Option<MessageFds>>);

impl ProcessFdSource {
    /// A source that asks `open`, which returns nothing where the kernel does not say.
    #[must_use]
    pub fn new(open: impl Fn() -> Option<MessageFds> + 'static) -> Self {
        Self(Rc::new(open))
    }

    /// A descriptor of the peer's process, unless the kernel does not know it.
    #[must_use]
    pub fn open(&self) -> Option<MessageFds> {
        (self.0)()
    }
}

impl fmt::Debug for ProcessFdSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProcessFdSource")
    }
}
