//! The message bus.
//!
//! [`bus`] is the bus itself, without an operating system: events in, effects out. [`host`] is the
//! operating system, as thin wrappers that decide nothing. [`event_loop`] joins the two and is the
//! one place that waits. [`arguments`] and [`configuration`] say what the daemon is asked to be, and
//! [`daemon`] starts it in the right order. [`launch_helper`] is a program of its own.

pub mod arguments;
pub mod bus;
pub mod configuration;
pub mod daemon;
pub mod event_loop;
pub mod host;
pub mod launch_helper;
pub mod offline;
pub mod service_file;
