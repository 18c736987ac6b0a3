//! The bytes of a capture, counted, and never more of them in memory than there are.

use std::io::{self, BufReader, Chain, Cursor, Read};

use super::{Damage, Fault};

/// Read at once.
const BUFFER_SIZE: usize = 256 * 1024;

/// The bytes of a capture, one after the other.
pub(super) struct Input<R> {
    source: Chain<Cursor<Vec<u8>>, BufReader<R>>,
    position: u64,
}

impl<R: Read> Input<R> {
    /// Also tells the first bytes, at most 4, which are read again.
    pub(super) fn begin(source: R) -> Result<(Self, Vec<u8>), Damage> {
        let mut source = BufReader::with_capacity(BUFFER_SIZE, source);
        let mut first = Vec::new();
        let read = source.by_ref().take(4).read_to_end(&mut first);
        read.map_err(|error| Damage { offset: 0, fault: Fault::Read(error) })?;
        let source = Cursor::new(first.clone()).chain(source);
        Ok((Self { source, position: 0 }, first))
    }

    /// Where the next byte is.
    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// The next `N` bytes of what began at `start`; `None` where the capture ends before the first of what began.
    pub(super) fn next<const N: usize>(&mut self, start: u64) -> Result<Option<[u8; N]>, Damage> {
        let mut bytes = Vec::with_capacity(N);
        self.append(N as u64, &mut bytes, start)?;
        match bytes.first_chunk() {
            Some(bytes) => Ok(Some(*bytes)),
            None if self.position == start => Ok(None),
            None => Err(self.cut_short(start)),
        }
    }

    /// The next `size` bytes, which are all there.
    pub(super) fn take(&mut self, size: u64, start: u64) -> Result<Vec<u8>, Damage> {
        let mut bytes = Vec::new();
        match self.append(size, &mut bytes, start)? {
            read if read == size => Ok(bytes),
            _ => Err(self.cut_short(start)),
        }
    }

    /// Passes over `size` bytes.
    pub(super) fn skip(&mut self, size: u64, start: u64) -> Result<(), Damage> {
        let copied = io::copy(&mut self.source.by_ref().take(size), &mut io::sink());
        let copied = copied.map_err(|error| Damage { offset: start, fault: Fault::Read(error) })?;
        self.position += copied;
        if copied == size { Ok(()) } else { Err(self.cut_short(start)) }
    }

    /// Appends at most `size` bytes; there are fewer only at the end.
    pub(super) fn append(
        &mut self,
        size: u64,
        bytes: &mut Vec<u8>,
        start: u64,
    ) -> Result<u64, Damage> {
        let read = self.source.by_ref().take(size).read_to_end(bytes);
        let read = read.map_err(|error| Damage { offset: start, fault: Fault::Read(error) })?;
        self.position += read as u64;
        Ok(read as u64)
    }

    /// What began at `start` ends here.
    pub(super) const fn cut_short(&self, start: u64) -> Damage {
        Damage { offset: start, fault: Fault::CutShort { there: self.position - start } }
    }
}

/// The order of the bytes of a capture's own numbers; that of a message is its own affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Big,
    Little,
}

impl Order {
    pub(super) const fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Big => u16::from_be_bytes(bytes),
            Self::Little => u16::from_le_bytes(bytes),
        }
    }

    pub(super) const fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Big => u32::from_be_bytes(bytes),
            Self::Little => u32::from_le_bytes(bytes),
        }
    }
}

/// The numbers at the beginning of some bytes.
pub(super) struct Fields<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) order: Order,
}

impl<'a> Fields<'a> {
    pub(super) fn u16(&mut self) -> Option<u16> {
        self.chunk().map(|bytes| self.order.u16(bytes))
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.chunk().map(|bytes| self.order.u32(bytes))
    }

    /// The next `size` bytes.
    pub(super) fn take(&mut self, size: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(size)?;
        self.bytes = rest;
        Some(taken)
    }

    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (chunk, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(*chunk)
    }
}
