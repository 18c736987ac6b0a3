//! What a message and a client cost: heap allocations, system calls, bytes of memory
//! (ARCHITECTURE.md, "Bird's-eye view").
//!
//! Everything here is counted, nothing is timed: the figures are the same on every machine.
//!
//! - [`allocations`] and the first half of [`memory`] drive the core in this process, under an
//!   allocator that counts.
//! - [`client`] counts what a call costs the program that makes it.
//! - [`fairness`] counts what one client may cost the others.
//! - [`system_calls`] and the second half of [`memory`] look at the real daemon from outside, with
//!   `strace` and `/proc`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the whole crate is test code: a broken expectation is a failed test"
)]

mod allocations;
mod client;
mod core_bus;
mod counting_allocator;
mod fairness;
mod memory;
mod system_calls;
mod trace;
