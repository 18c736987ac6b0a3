//! What the command prints: data to standard output, all else to standard error.

pub(crate) mod escape;
pub(crate) mod out;
pub(crate) mod style;
pub(crate) mod table;
