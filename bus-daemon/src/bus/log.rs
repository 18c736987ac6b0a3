//! What the administrator is told, as the core hands it out: how grave it is, and a sentence.

use std::fmt;

use super::limits::LOG_TEXT_SIZE_MAX;

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
    /// The sentence, without prefix or line end, at most [`LOG_TEXT_SIZE_MAX`] bytes.
    pub text: String,
}

impl LogRecord {
    /// A record of `text`; control characters in it are escaped, since parts of it may come from a
    /// client that would like to forge a line.
    #[must_use]
    pub fn new(severity: Severity, text: &fmt::Arguments<'_>) -> Self {
        let mut clean = String::new();
        for character in text.to_string().chars() {
            if clean.len() >= LOG_TEXT_SIZE_MAX {
                clean.push('…');
                break;
            }
            if character.is_control() {
                clean.extend(character.escape_default());
            } else {
                clean.push(character);
            }
        }
        Self { severity, text: clean }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_of_bounded_length() {
        let record = LogRecord::new(Severity::Info, &format_args!("a\nb\u{1b}[1m"));
        assert_eq!(record.text, "a\\nb\\u{1b}[1m");
        let long = "x".repeat(LOG_TEXT_SIZE_MAX * 2);
        let record = LogRecord::new(Severity::Info, &format_args!("{long}"));
        assert_eq!(record.text.chars().count(), LOG_TEXT_SIZE_MAX + 1);
    }
}
