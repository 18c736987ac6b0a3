//! What a client has written into its socket and the bus has not read yet.
//!
//! The stream is cut at any byte, as the kernel does it: a read may end in mid-line or mid-message
//! and take several of them, but it never joins the descriptors of two messages.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;

/// What the bytes of a segment mean to the bus once all of them have arrived.
pub(crate) enum Meaning {
    /// A line of the handshake, and the line that answers it: its beginning, or nothing.
    Line(&'static str),
    /// The line after which the bus needs a cookie.
    CookieLine,
    /// CANCEL after that line: refused again if there was a cookie, senseless otherwise.
    CancelCookie,
    /// BEGIN, by a client with this uid.
    Begin { uid: Option<u32>, unix_fds: bool },
    /// A message, valid in itself.
    Message,
    /// Against the protocol as soon as `at` bytes are there; the bus says `answer` before it closes.
    Broken { at: usize, answer: Option<&'static str> },
}

pub(crate) struct Segment {
    pub(crate) bytes: Vec<u8>,
    pub(crate) fds: Vec<OwnedFd>,
    pub(crate) meaning: Meaning,
}

/// What a read completed, in the order of the stream.
pub(crate) enum Piece {
    Line(&'static str),
    CookieLine,
    CancelCookie,
    Begin { uid: Option<u32>, unix_fds: bool },
    Message(Rc<Vec<u8>>),
    Broken(Option<&'static str>),
}

/// One read.
pub(crate) struct Chunk {
    pub(crate) bytes: Vec<u8>,
    pub(crate) fds: Vec<OwnedFd>,
    pub(crate) pieces: Vec<Piece>,
    /// Whether it ends in mid-message.
    pub(crate) is_partial: bool,
}

impl Chunk {
    pub(crate) fn fd_numbers(&self) -> Vec<RawFd> {
        self.fds.iter().map(AsRawFd::as_raw_fd).collect()
    }

    pub(crate) fn message_count(&self) -> usize {
        self.pieces.iter().filter(|piece| matches!(piece, Piece::Message(_))).count()
    }
}

#[derive(Default)]
pub(crate) struct Stream {
    segments: VecDeque<Segment>,
    /// How many bytes of the first segment were read.
    position: usize,
}

impl Stream {
    pub(crate) fn push(&mut self, bytes: Vec<u8>, fds: Vec<OwnedFd>, meaning: Meaning) {
        assert!(!bytes.is_empty());
        self.segments.push_back(Segment { bytes, fds, meaning });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// How many lines and messages wait to be read.
    pub(crate) fn len(&self) -> usize {
        self.segments.len()
    }

    /// Bytes of the first segment, read or not.
    pub(crate) fn size_of_first(&self) -> usize {
        self.segments.front().map_or(0, |first| first.bytes.len())
    }

    /// Bytes of the first segment that are still to be read.
    pub(crate) fn left_of_first(&self) -> usize {
        self.segments.front().map_or(0, |first| first.bytes.len() - self.position)
    }

    /// A read of at most `size` bytes that completes at most `message_count` messages.
    pub(crate) fn read(&mut self, size: usize, message_count: usize) -> Chunk {
        let mut chunk =
            Chunk { bytes: Vec::new(), fds: Vec::new(), pieces: Vec::new(), is_partial: false };
        while chunk.bytes.len() < size
            && chunk.message_count() < message_count
            && self.read_first(size, &mut chunk)
        {}
        let first = self.segments.front().filter(|_| self.position > 0);
        chunk.is_partial = first.is_some_and(|first| match first.meaning {
            Meaning::Message => true,
            Meaning::Broken { answer, .. } => answer.is_none(),
            _ => false,
        });
        chunk
    }

    /// Reads what fits of the first segment; false if the read ends before or in it.
    fn read_first(&mut self, size: usize, chunk: &mut Chunk) -> bool {
        let Some(first) = self.segments.front_mut() else { return false };
        if self.position == 0 && !first.fds.is_empty() {
            if !chunk.fds.is_empty() {
                return false;
            }
            chunk.fds.append(&mut first.fds);
        }
        let begin = self.position;
        let end = first.bytes.len().min(begin + size - chunk.bytes.len());
        chunk.bytes.extend_from_slice(&first.bytes[begin..end]);
        self.position = end;
        if let Meaning::Broken { at, answer } = first.meaning
            && (begin..end).contains(&(at - 1))
        {
            chunk.pieces.push(Piece::Broken(answer));
            return false;
        }
        if end < first.bytes.len() {
            return false;
        }
        self.position = 0;
        let first = self.segments.pop_front().unwrap();
        chunk.pieces.push(match first.meaning {
            Meaning::Line(answer) => Piece::Line(answer),
            Meaning::CookieLine => Piece::CookieLine,
            Meaning::CancelCookie => Piece::CancelCookie,
            Meaning::Begin { uid, unix_fds } => Piece::Begin { uid, unix_fds },
            Meaning::Message => Piece::Message(Rc::new(first.bytes)),
            Meaning::Broken { .. } => unreachable!("a broken segment breaks within its bytes"),
        });
        true
    }
}
