//! A bus under test, and clients that speak to it without our own library.

pub mod broker;
mod bus_process;
mod folder;
mod message;
mod namespaces;
mod program;
mod raw_client;
mod skip;
mod trial;

pub use bus_process::{Bus, Config, Daemon, Listen, bus_command};
pub use folder::Folder;
pub use message::{Encoder, Endian, Message, Value, Written, field, flag, kind};
pub use namespaces::{in_namespaces, may_make_namespaces};
pub use program::{Ended, Running, limited, run, words};
pub use raw_client::{
    Client, DEADLINE, RawClient, Received, borrow_all, identity_of, own_identity,
};
pub use skip::{skip, skip_without};
pub use trial::{is_installed, trial};

/// The name of the bus itself.
pub const BUS_NAME: &str = "org.freedesktop.DBus";
/// The canonical object path of the bus.
pub const BUS_PATH: &str = "/org/freedesktop/DBus";
/// The interface of the bus's own methods.
pub const BUS_INTERFACE: &str = "org.freedesktop.DBus";
