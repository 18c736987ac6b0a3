//! zbus 5.

use ::zbus5 as bus;
// The service attribute names `zbus` here and there, whatever crate it is told.
use ::zbus5 as zbus;
use bus::zvariant::OwnedFd;

include!("zbus_client.rs");
peer_service!("zbus5");
