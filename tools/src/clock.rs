//! What time it is, as captures and what is printed of messages have it.

use std::time::{Duration, SystemTime};

/// The time since the beginning of 1970. A clock before that is one at its beginning.
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
