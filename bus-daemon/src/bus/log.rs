//! What the administrator is told, as the core hands it out: how grave it is, and a sentence.

use std::fmt;

/// How grave a log record is (config.md B128).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The normal course: services started, monitors come and gone.
    Info,
    /// Something is not as it should be: a limit was reached, a client broke the protocol.
    Warning,
    /// A request was refused by policy.
    Security,
    /// The bus itself could not do what it was asked to.
    Error,
}

/// One line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// How grave it is.
    pub severity: Severity,
    /// The sentence, without prefix or line end. Parts of it may come from a client: whoever writes
    /// it makes one line of bounded length of it.
    pub text: String,
}

impl LogRecord {
    /// A record of `text`.
    #[must_use]
    pub fn new(severity: Severity, text: &fmt::Arguments<'_>) -> Self {
        Self { severity, text: text.to_string() }
    }
}
