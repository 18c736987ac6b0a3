//! What a test leaves out, and says so. Not by `eprintln!`, which the test runner keeps to itself when a test passes.

use std::io::Write as _;

/// Something cannot be tested here, and why: the kernel or the user does not permit it, or a peer has no such thing.
pub fn skip(why: &str) {
    // Nobody is there to be told.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// A program is not installed that a test needs, which is no reason where `REQUIRE_STOCK_CLIENTS` is set:
/// `tests/peers/install` installs all of them.
///
/// # Panics
/// It is set.
pub fn skip_without(program: &str) {
    let is_required = std::env::var_os("REQUIRE_STOCK_CLIENTS").is_some();
    assert!(!is_required, "{program} is not installed; tests/peers/install does that");
    skip(&format!("{program} is not installed"));
}
