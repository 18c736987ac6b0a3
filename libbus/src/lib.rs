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
#![cfg_attr(
    feature = "blocking",
    doc = "The client is [`blocking`]; values of Rust types become arguments by [`typed`]."
)]
//!
//! Features: `blocking` (default) is the client; without features there is the protocol alone.
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
pub mod standard_error;
#[cfg(feature = "client")]
mod transport;
#[cfg(feature = "client")]
pub mod typed;
pub mod wire;

#[cfg(feature = "blocking")]
pub use client::blocking;
#[cfg(feature = "client")]
pub use client::{
    call::MethodCall,
    error::{Error, MethodError, Result},
    names::{ReleaseNameReply, RequestNameFlags, RequestNameReply},
};
