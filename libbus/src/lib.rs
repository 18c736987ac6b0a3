//! The D-Bus protocol, and a client for it.
//!
//! The protocol knows no operating system. Bytes and lines go in, messages and replies come out: it
//! parses and checks what the D-Bus specification defines and never opens a file, reads a clock or
//! waits. Each kind of name is parsed once and then trusted ([`names`]); a message is checked where
//! it lies in the reader's buffer, in one pass and without allocating ([`wire`]); the authentication
//! handshake is a state machine for each side ([`auth`]), and so is a whole connection as a program
//! at its end has it ([`connection`]); server addresses ([`address`]) and match rules
//! ([`match_rule`]) are plain values that print as they parse.
//!
//! The client comes in two styles with the same functions: those of `libbus::Connection` are futures,
//! for any executor; those of `libbus::blocking::Connection` wait where they are called. Only reaching
//! a TCP address and looking up its host wait in both.
#![cfg_attr(
    feature = "async",
    doc = r#"
```no_run
# async fn example() -> libbus::Result<()> {
let connection = libbus::Connection::session().await?;
let names: Vec<String> = connection.bus().call("ListNames", &()).await?;
# Ok(())
# }
```
"#
)]
//! Features, all default: `async` and `blocking`. Without any there is the protocol alone.
#![deny(unsafe_code)]

pub mod address;
pub mod auth;
#[cfg(feature = "client")]
pub mod client;
pub mod connection;
pub mod guid;
pub mod limits;
pub mod match_rule;
pub mod message;
pub mod names;
#[cfg(feature = "client")]
pub mod server;
pub mod standard_error;
#[cfg(feature = "client")]
mod transport;
#[cfg(feature = "client")]
pub mod typed;
pub mod wire;

#[cfg(feature = "blocking")]
pub use client::blocking;
#[cfg(feature = "client")]
pub use libbus_macros::{DBusError, DeserializeDict, OwnedVariant, SerializeDict, Type, Variant};
#[cfg(feature = "async")]
pub use libbus_macros::{interface, proxy};
/// The types of values, which those of zbus are: [`ObjectPath`](wire_types::ObjectPath), variants, signatures.
#[cfg(feature = "client")]
pub use zbus::wire as wire_types;
/// The traits beside their derives.
#[cfg(feature = "client")]
mod traits {
    pub use crate::server::DBusError;
    pub use zbus::wire::{OwnedVariant, Type, Variant};
}
#[cfg(feature = "async")]
pub use client::nonblocking::{
    Async, Builder, Connection, InterfaceRef, ObjectServer, PendingReply, PropertyChanged,
    PropertyStream, Proxy, ProxyBuilder, SignalEmitter, SignalStream,
};
#[cfg(feature = "client")]
pub use client::{
    CacheProperties,
    call::MethodCall,
    error::{Error, MethodError, Result},
    fdo,
    names::{ReleaseNameReply, RequestNameFlags, RequestNameReply},
};
#[cfg(feature = "client")]
pub use traits::*;
