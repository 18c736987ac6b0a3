//! The command `bus` as people use it: what it prints, where, and with which exit code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "all of this is test code: a broken expectation is a failed test"
)]

mod scene;
mod transcript;
mod verbs;
