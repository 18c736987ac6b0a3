//! Bytes from the other end, until there are enough of them for a message.

use crate::wire::{self, Frame, MessageError};

/// Room for one read, in bytes: many small messages.
const READ_SIZE: usize = 16 * 1024;
/// Room that is made for a message of which little has come, in bytes, however much it announces; later
/// it grows with what comes.
const ANNOUNCED_SIZE_MAX: usize = 1 << 20;

/// What has been read and not been taken.
#[derive(Debug, Default)]
pub(crate) struct ReadBuffer {
    /// All of it may be read into.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl ReadBuffer {
    /// Where the next read puts its bytes; [`ReadBuffer::handle_read`] says how many came.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        let held = self.end - self.start;
        let wanted = match wire::frame(self.held(), u32::MAX) {
            Ok(Some(frame)) => {
                frame.message_size().min(held.saturating_mul(2) + ANNOUNCED_SIZE_MAX)
            }
            _ => 0,
        };
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, held);
        }
        let size = wanted.max(held + READ_SIZE);
        if held == 0 && self.bytes.len() > size {
            // A large message has been taken.
            self.bytes.truncate(size);
            self.bytes.shrink_to_fit();
        } else if self.bytes.len() < size {
            self.bytes.resize(size, 0);
        }
        self.bytes.get_mut(held..).unwrap_or_default()
    }

    /// Bytes of memory that it has.
    pub(super) const fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// So many bytes were read into [`ReadBuffer::space`].
    pub(super) fn handle_read(&mut self, size: usize) {
        self.end = self.bytes.len().min(self.end + size);
    }

    /// Puts bytes behind what is there that were read before and kept elsewhere.
    pub(super) fn extend(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let space = self.space();
            let size = space.len().min(bytes.len());
            let (now, later) = bytes.split_at(size);
            space.iter_mut().zip(now).for_each(|(place, byte)| *place = *byte);
            self.handle_read(size);
            bytes = later;
        }
    }

    /// What is there.
    pub(super) fn held(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Lets go of the first bytes.
    pub(super) fn skip(&mut self, size: usize) {
        self.start = self.end.min(self.start + size);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// The next message, if all of it is there.
    pub(super) fn next_message(
        &mut self,
        size_max: u32,
    ) -> Result<Option<(Vec<u8>, Frame)>, MessageError> {
        let Some(frame) = wire::frame(self.held(), size_max)? else { return Ok(None) };
        let size = frame.message_size();
        let Some(message) = self.held().get(..size) else { return Ok(None) };
        // A large one that is alone in the buffer is not copied.
        let message = if size > READ_SIZE && self.start == 0 && self.end == size {
            let mut whole = std::mem::take(&mut self.bytes);
            whole.truncate(size);
            (self.start, self.end) = (0, 0);
            whole
        } else {
            let message = message.to_vec();
            self.skip(size);
            message
        };
        Ok(Some((message, frame)))
    }
}
