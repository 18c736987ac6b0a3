//! The `bus` command: run, see, call and explain a bus.

pub mod capture;
pub mod conversation;
pub mod trace;
