//! Writes captures: one record for each message, and all before the first when the writer is made.

use std::io::{self, Write};

use super::pcapng::{
    BLOCK_FRAME_SIZE, BYTE_ORDER, ENHANCED_PACKET, INTERFACE_DESCRIPTION, SECTION_HEADER,
    TIME_RESOLUTION,
};
use super::{Format, LINK_TYPE, Time, pcap};

/// The options of a section header that say who wrote it.
const SYSTEM: u16 = 3;
const APPLICATION: u16 = 4;
/// Times of pcapng are written in nanoseconds: 10^-9.
const NANOSECONDS: u8 = 9;
/// What is written where nobody bounds what is kept of a message, as other programs do.
const SIZE_MAX_PCAP: u32 = 0x0800_0000;
const ZEROS: [u8; 4] = [0; 4];

/// What a pcapng file says about itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Section<'a> {
    /// The operating system, if it is told.
    pub system: Option<&'a str>,
    /// The program that wrote it, if it is told.
    pub application: Option<&'a str>,
}

/// Writes a capture. What is written is complete after each [`Writer::write`], but for what `out` itself keeps back.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    format: Format,
    /// How many bytes of a message are kept; `None` is all.
    size_max: Option<u32>,
}

impl<W: Write> Writer<W> {
    /// Begins a classic pcap file, with microseconds, which all programs can read. Of each message at most `size_max`
    /// bytes are kept.
    ///
    /// # Errors
    /// `out` does not take it.
    pub fn pcap(mut out: W, size_max: Option<u32>) -> io::Result<Self> {
        let mut header = pcap::MICROSECONDS.to_ne_bytes().to_vec();
        // Version 2.4, and two fields for time zones that nobody uses.
        header.extend([2u16.to_ne_bytes(), 4u16.to_ne_bytes()].as_flattened());
        header.extend([0; 8]);
        header.extend(size_max.unwrap_or(SIZE_MAX_PCAP).to_ne_bytes());
        header.extend(LINK_TYPE.to_ne_bytes());
        out.write_all(&header)?;
        Ok(Self { out, format: Format::Pcap, size_max })
    }

    /// Begins a pcapng file of one section and one interface, with nanoseconds.
    ///
    /// # Errors
    /// `out` does not take it.
    pub fn pcapng(out: W, section: Section<'_>, size_max: Option<u32>) -> io::Result<Self> {
        let mut writer = Self { out, format: Format::Pcapng, size_max };
        let mut header = BYTE_ORDER.to_ne_bytes().to_vec();
        // Version 1.0 of a section whose length is not known.
        header.extend([1u16.to_ne_bytes(), 0u16.to_ne_bytes()].as_flattened());
        header.extend((-1i64).to_ne_bytes());
        for (code, text) in [(SYSTEM, section.system), (APPLICATION, section.application)] {
            text.into_iter().for_each(|text| append_option(&mut header, code, text.as_bytes()));
        }
        append_option(&mut header, 0, &[]);
        writer.write_block(SECTION_HEADER, &[&header])?;
        // The link type takes two bytes, two more are reserved.
        let mut interface = (LINK_TYPE as u16).to_ne_bytes().to_vec();
        interface.extend([0; 2]);
        interface.extend(size_max.unwrap_or(0).to_ne_bytes());
        append_option(&mut interface, TIME_RESOLUTION, &[NANOSECONDS]);
        append_option(&mut interface, 0, &[]);
        writer.write_block(INTERFACE_DESCRIPTION, &[&interface])?;
        Ok(writer)
    }

    /// Writes messages in a row: there are no times, and all bytes are kept.
    pub const fn raw(out: W) -> Self {
        Self { out, format: Format::Raw, size_max: None }
    }

    /// Appends a message that was seen at `time`.
    ///
    /// # Errors
    /// `out` does not take it.
    pub fn write(&mut self, time: Time, message: &[u8]) -> io::Result<()> {
        let kept = self.size_max.map_or(message.len(), |size| message.len().min(size as usize));
        let kept = message.get(..kept).unwrap_or(message);
        match self.format {
            Format::Raw => self.out.write_all(message),
            Format::Pcap => self.write_record(time, kept, message.len()),
            Format::Pcapng => self.write_packet(time, kept, message.len()),
        }
    }

    /// Hands on what is kept back.
    ///
    /// # Errors
    /// `out` does not take it.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// What it is written to.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn write_record(&mut self, time: Time, kept: &[u8], size: usize) -> io::Result<()> {
        // The format's seconds end in 2106; sizes are those of a message.
        let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        let fields = [seconds, time.subsec_micros(), kept.len() as u32, size as u32];
        self.out.write_all(fields.map(u32::to_ne_bytes).as_flattened())?;
        self.out.write_all(kept)
    }

    fn write_packet(&mut self, time: Time, kept: &[u8], size: usize) -> io::Result<()> {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let (high, low) = ((time >> 32) as u32, time as u32);
        let fields = [0, high, low, kept.len() as u32, size as u32].map(u32::to_ne_bytes);
        let padding = ZEROS.get(..padding_of(kept.len())).unwrap_or_default();
        self.write_block(ENHANCED_PACKET, &[fields.as_flattened(), kept, padding])
    }

    fn write_block(&mut self, kind: u32, parts: &[&[u8]]) -> io::Result<()> {
        let size: usize = parts.iter().map(|part| part.len()).sum();
        let size = (size as u32).saturating_add(BLOCK_FRAME_SIZE).to_ne_bytes();
        self.out.write_all([kind.to_ne_bytes(), size].as_flattened())?;
        parts.iter().try_for_each(|part| self.out.write_all(part))?;
        self.out.write_all(&size)
    }
}

/// Appends an option, which is cut where it would be too long.
fn append_option(block: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..u16::MAX.into()).unwrap_or(value);
    block.extend([code.to_ne_bytes(), (value.len() as u16).to_ne_bytes()].as_flattened());
    block.extend(value);
    block.extend(std::iter::repeat_n(0, padding_of(value.len())));
}

/// All in pcapng is aligned to 4 bytes.
const fn padding_of(size: usize) -> usize {
    size.next_multiple_of(4) - size
}
