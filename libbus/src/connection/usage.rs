//! How much a connection holds, for who watches over it and for tests of its bounds.

use super::ConnectionState;

/// What a connection holds at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Bytes of memory for what is read, whether anything is in it or not.
    pub read_size: usize,
    /// Bytes that wait to be written, or are and share their buffer with others that wait.
    pub write_size: usize,
    /// Descriptors that have come and that no complete message has taken.
    pub fd_count: usize,
    /// Calls of others that wait to be served.
    pub call_count: usize,
    /// Their bytes.
    pub call_size: usize,
    /// Calls of this program whose replies somebody waits for or has not taken, and some that are over.
    pub reply_count: usize,
    /// Signals that wait in all streams.
    pub signal_count: usize,
    /// Their bytes, of those that wait in several streams as often.
    pub signal_size: usize,
    /// Bytes of messages that wait for who monitors.
    pub monitored_size: usize,
}

impl ConnectionState {
    /// What it holds at the moment.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage {
            read_size: self.incoming.capacity(),
            write_size: self.lines.capacity() + self.messages.capacity(),
            fd_count: self.fds.len(),
            call_count: self.calls.count(),
            call_size: self.calls.size(),
            reply_count: self.replies.count(),
            signal_count: self.streams.signal_count(),
            signal_size: self.streams.signal_size(),
            monitored_size: self.monitored.size(),
        }
    }
}
