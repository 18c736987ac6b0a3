//! Tests that are written once for both styles: `styles/blocking.rs` and `styles/futures.rs` say how `wait!` waits and
//! how `run!` runs, and are included before the tests.

use std::thread;

/// Serves what the connection has, until it is over. With futures a thread of the connection does.
pub(crate) fn serve_blocking(connection: &libbus::blocking::Connection) {
    let connection = connection.clone();
    thread::spawn(move || connection.serve());
}
