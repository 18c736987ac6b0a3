//! Why a peer has no figure.

use std::fmt;
use std::io;

use libbus::wire::MessageError;
use rustix::io::Errno;

/// What a peer, or the machine, did not do.
#[derive(Clone, Debug)]
pub(crate) struct Failure(String);

/// A result of anything that needs a running peer.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The same failure, with what was being done.
    pub(crate) fn during(self, what: impl fmt::Display) -> Self {
        Self(format!("{what}: {}", self.0))
    }
}

/// A failure as a result.
pub(crate) fn fail<T>(text: impl Into<String>) -> Result<T> {
    Err(Failure::new(text))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Errno> for Failure {
    fn from(error: Errno) -> Self {
        // What SO_RCVTIMEO and SO_SNDTIMEO end with.
        if error == Errno::AGAIN { Self::new("no answer in time") } else { Self(error.to_string()) }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<MessageError> for Failure {
    fn from(error: MessageError) -> Self {
        Self(format!("invalid message: {error}"))
    }
}
