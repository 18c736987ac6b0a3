//! What the command prints: data to standard output, all else to standard error.

pub(crate) mod escape;
pub(crate) mod out;
pub(crate) mod style;
pub(crate) mod table;

use std::io::{self, Write as _};

/// Says something on standard error, in one piece: others write there, too. If it cannot be written there is nobody to
/// tell.
pub(crate) fn complain(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
