//! What no single crate can prove: that the parts together are a message bus.
//!
//! This library is the harness the test targets share. It starts a bus daemon, ours or any
//! other that takes the reference's command line, and speaks to it byte by byte. Its encoder and
//! decoder are written from the specification and use nothing of `libbus`: a mistake in `libbus`
//! can not hide behind the same mistake in the tests.
//!
//! - [`harness::Bus`]: one daemon process with a configuration of its own, gone when dropped.
//! - [`harness::RawClient`]: a socket, handshake lines and frames, malformed ones included.
//! - [`harness::Client`]: a registered client that can tell what did *not* arrive.
//! - [`harness::Message`]: a message in either byte order, as written or as received.
//!
//! Beside it stands [`instruction_counts`], the judgement on what `benches/instructions` counts, where
//! `cargo test` tries it out, and [`policies`], for tests of the core alone.
//!
//! [`spread`] is what the benchmarks say of what they measured.
//!
//! [`traffic`] makes up what is said on a desktop's bus, for tests and measurements of what reads captures.
//!
//! [`connection_driver`] drives a client's connection by bytes, for `tests/client_state` and `fuzz/`.
//!
//! The test targets:
//!
//! - `conformance`: one file per section of the specification, run against our daemon and against
//!   the system's `dbus-daemon`. Whatever the two do differently must be listed, with its reason,
//!   in `allowed_differences.toml`.
//! - `captures`: captures of real programs, ours in theirs, and what is made of captures.
//! - `stock_clients`: the programs and libraries that people use, for real.
//! - `system_bus`: real services on our daemon as the system bus, in namespaces of its own.
//! - `desktop_services`: services of a desktop, started on our session bus by their own clients.
//! - `services`: services that are started on demand, in a storm and in each way of failing.
//! - `simulation`: thousands of seeded clients on the in-memory core, beside a naive model of it.
//! - `cost`: allocations, system calls and memory, counted.
//! - `regression`: one case for each defect that was found from outside.
//! - `architecture`: which crate may use which, and what must not appear where.
//! - `peers/`: other projects' own test suites, as scripts; `benches/compare` compares buses;
//!   `benches/instructions` counts what the core executes.
//!
//! Nothing here sleeps. A test waits for an event with a generous deadline; that something does
//! not arrive is proved by the bus's total order, with a marker sent after it.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the whole crate is test code: a broken expectation is a failed test"
)]

pub mod connection_driver;
pub mod harness;
pub mod instruction_counts;
pub mod policies;
pub mod spread;
pub mod traffic;
