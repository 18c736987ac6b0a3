//! The command `bus` under the names of other projects' commands, beside those commands themselves.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "all of this is test code: a broken expectation is a failed test"
)]

mod dbus_bin;
