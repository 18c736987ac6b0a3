//! zbus 6.

use ::zbus as bus;
use bus::OwnedFd;

include!("zbus_client.rs");
peer_service!("zbus");
