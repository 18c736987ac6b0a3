//! What both styles of client are made of: everything but how a caller waits.
//!
//! ```text
//! blocking ─┐            ┌→ call, names, signals, proxy → link → connection (state machine)
//! async ────┴─ a Style ──┘                                  └──→ transport (socket)
//! ```
//!
//! The functions are `async` and generic over a `Style`. That of `blocking` is never
//! pending: it blocks where another would have its caller come back, so that its futures are done when they
//! are asked for the first time and cost nothing.
//!
//! **Whoever waits reads for all.** There is no thread that reads. The first who waits reads from the socket
//! and hands what comes to the state machine, which sorts it; who waits meanwhile is woken when something
//! has come, and the next of them reads when the first has what it wants.

pub(crate) mod api;
pub(crate) mod blob;
#[cfg(feature = "async")]
pub(crate) mod block_on;
#[cfg(feature = "blocking")]
pub mod blocking;
pub(crate) mod builder;
pub(crate) mod call;
pub(crate) mod connection;
pub(crate) mod errno;
pub(crate) mod error;
pub mod fdo;
pub(crate) mod generated;
pub(crate) mod holding;
pub(crate) mod link;
pub(crate) mod listener;
pub(crate) mod managed_objects;
pub(crate) mod monitor;
pub(crate) mod names;
#[cfg(feature = "async")]
pub(crate) mod nonblocking;
mod pair;
pub(crate) mod peer_set;
pub(crate) mod peers;
#[cfg(feature = "async")]
mod poll;
pub(crate) mod properties;
pub(crate) mod proxy;
mod reach;
pub(crate) mod reconnecting;
mod sending;
mod server_role;
pub(crate) mod signals;
mod test_bus;
#[cfg(feature = "async")]
mod unblock;
mod unique_names;

pub use blob::{Blob, BlobError, BlobReader, BlobRef};
pub use builder::Builder;
pub use call::PendingReply;
pub use connection::Connection;
pub use generated::{PropertyValue, ProxyBuilder, ProxyDefaults};
pub use listener::{Listener, ListenerBuilder};
pub use managed_objects::{ManagedObjects, ObjectEvent};
pub use monitor::{Monitor, Watching};
pub use peer_set::PeerSet;
pub use peers::{Credentials, NameEvent, NameWatch, OwnedName};
pub use properties::{CacheProperties, PropertyChanged, PropertyStream};
pub use proxy::Proxy;
pub use reconnecting::Reconnect;
pub use signals::SignalStream;
pub use test_bus::TestBus;
