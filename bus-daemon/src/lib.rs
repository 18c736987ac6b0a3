//! The message bus.

pub mod arguments;
pub mod bus;
pub mod host;
