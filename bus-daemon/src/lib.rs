//! The message bus.

pub mod bus;
