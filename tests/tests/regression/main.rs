//! One test for each defect that was found and fixed: what a client did, and what the bus must do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "all of this is test code: a broken expectation is a failed test"
)]

mod credentials;
mod descriptors;
mod handshake;
mod hello;
mod last_words;
mod limits;
mod listeners;
mod reload;
mod replies;
mod services;
mod slow_receivers;
mod starting;
