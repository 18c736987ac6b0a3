//! The message bus.

pub mod bus;
pub mod host;
