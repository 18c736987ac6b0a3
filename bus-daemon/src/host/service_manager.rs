//! What a service manager is told through `NOTIFY_SOCKET` (config.md B109, sd_notify(3)).
//!
//! Without such a variable nothing happens; that the service manager does not listen is its own
//! affair and changes nothing here.

use sd_notify::{NotifyState, notify};

/// What the daemon does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Clients are served, by this process.
    Ready,
    /// The configuration is being read again; `Ready` follows.
    Reloading,
    /// The end has begun.
    Stopping,
}

/// Tells the service manager. May wait for it to read: not for the event loop's thread while clients
/// are served.
pub fn tell(state: State) {
    let _ = match state {
        State::Ready => notify(&[NotifyState::Ready, NotifyState::MainPid(std::process::id())]),
        State::Reloading => {
            NotifyState::monotonic_usec_now().and_then(|now| notify(&[NotifyState::Reloading, now]))
        }
        State::Stopping => notify(&[NotifyState::Stopping]),
    };
}
