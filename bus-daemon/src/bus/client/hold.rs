//! Why a client is not read from, as far as that is decided by what its user may hold.

use super::Client;

/// Whether a client has to wait for others before it is read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::bus) enum Hold {
    /// It has not.
    #[default]
    None,
    /// It has connected and waits until its handshake may begin (`newcomers.rs`).
    Newcomer,
    /// Half a message of it is beyond its share, and it waits (`half_messages.rs`).
    Stalled,
    /// The same, but it need not wait.
    LetThrough,
}

impl Hold {
    /// Whether a client is not read from.
    pub(in crate::bus) const fn waits(self) -> bool {
        matches!(self, Self::Newcomer | Self::Stalled)
    }

    /// Whether half a message is the reason.
    pub(in crate::bus) const fn is_for_half_message(self) -> bool {
        matches!(self, Self::Stalled | Self::LetThrough)
    }
}

impl Client {
    /// Whether its handshake has begun and Hello is still to come, which counts against
    /// `max_incomplete_connections` (config.md B037).
    #[must_use]
    pub fn is_in_handshake(&self) -> bool {
        self.is_incomplete() && self.hold != Hold::Newcomer
    }
}
