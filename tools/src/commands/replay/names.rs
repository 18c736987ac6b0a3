//! What the clients of a capture are known as, learned before anything is sent where that is possible.

use std::path::Path;

use crate::capture::Captured;
use crate::captured_file::CapturedFile;
use crate::conversation::Conversation;
use crate::failure::Result;

/// Names of a whole capture; of standard input, which can be read only once, those so far.
#[derive(Debug, Default)]
pub(super) struct KnownNames {
    conversation: Conversation,
    count: u64,
    is_complete: bool,
}

impl KnownNames {
    /// Reads a file through for the names in it; damages are told when it is sent.
    ///
    /// # Errors
    /// It cannot be opened, or is no capture.
    pub(super) fn of(capture: &Path, shows_progress: bool) -> Result<Self> {
        let mut names = Self::default();
        // What is no plain file cannot be read twice.
        if !capture.is_file() {
            return Ok(names);
        }
        let file = CapturedFile::open(capture, "learning names", shows_progress)?;
        file.reader.filter_map(std::result::Result::ok).for_each(|captured| names.add(&captured));
        names.is_complete = true;
        Ok(names)
    }

    /// Learns from what comes, unless all is known.
    pub(super) fn handle_message(&mut self, captured: &Captured) {
        if !self.is_complete {
            self.add(captured);
        }
    }

    fn add(&mut self, captured: &Captured) {
        self.conversation.handle_message(self.count, captured.time, &captured.message);
        self.count += 1;
    }

    /// The first well-known name that a client had.
    pub(super) fn well_known(&self, unique: &str) -> Option<&str> {
        self.conversation.names().names_of(unique).first().map(String::as_str)
    }
}
