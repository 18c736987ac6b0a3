//! Classic pcap: a file header, then records, each with a time and two sizes. Its first bytes say in which order the
//! numbers are and what the second part of a time counts.

use std::io::Read;
use std::time::Duration;

use libbus::limits::MESSAGE_SIZE_MAX;

use super::input::{Fields, Input, Order};
use super::{Damage, Fault, LINK_TYPE, OpenError, Record};

/// The first four bytes, as a number, where times have microseconds.
pub(super) const MICROSECONDS: u32 = 0xa1b2_c3d4;
/// The same where they have nanoseconds.
const NANOSECONDS: u32 = 0xa1b2_3c4d;
/// Bytes before the first record.
const FILE_HEADER_SIZE: usize = 24;
const RECORD_HEADER_SIZE: usize = 16;
/// The other bits of the link type's field tell of checksums.
const LINK_TYPE_BITS: u32 = 0x0fff_ffff;

/// How the numbers of one file are to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    order: Order,
    /// What the second part of a time counts.
    unit_ns: u32,
}

impl Layout {
    /// What a file's first bytes say, if they are those of a pcap file.
    pub(super) fn of(first: [u8; 4]) -> Option<Self> {
        [Order::Big, Order::Little].into_iter().find_map(|order| match order.u32(first) {
            MICROSECONDS => Some(Self { order, unit_ns: 1000 }),
            NANOSECONDS => Some(Self { order, unit_ns: 1 }),
            _ => None,
        })
    }
}

/// A file whose header has been read.
#[derive(Debug)]
pub(super) struct Pcap {
    layout: Layout,
}

impl Pcap {
    /// Reads the file header.
    pub(super) fn open<R: Read>(input: &mut Input<R>) -> Result<Self, OpenError> {
        let header: Option<[u8; FILE_HEADER_SIZE]> = input.next(0)?;
        let header = header.ok_or_else(|| input.cut_short(0))?;
        let layout = header.first_chunk().and_then(|first| Layout::of(*first));
        let layout = layout.ok_or(OpenError::UnknownFormat)?;
        // Versions, time zone and the rest before it mean nothing to us.
        let link_type = header.last_chunk().map_or(0, |last| layout.order.u32(*last));
        match link_type & LINK_TYPE_BITS {
            LINK_TYPE => Ok(Self { layout }),
            other => Err(OpenError::LinkType(other)),
        }
    }

    pub(super) fn next_record<R: Read>(
        &mut self,
        input: &mut Input<R>,
    ) -> Result<Option<Record>, Damage> {
        let offset = input.position();
        let header: Option<[u8; RECORD_HEADER_SIZE]> = input.next(offset)?;
        let Some(header) = header else { return Ok(None) };
        let mut fields = Fields { bytes: &header, order: self.layout.order };
        let mut next = || fields.u32().unwrap_or_default();
        let [seconds, fraction, kept, size] = [next(), next(), next(), next()];
        if kept > MESSAGE_SIZE_MAX {
            return Err(Damage { offset, fault: Fault::TooLong { size: kept.into() } });
        }
        let fraction = Duration::from_nanos(u64::from(fraction) * u64::from(self.layout.unit_ns));
        let time = Some(Duration::from_secs(seconds.into()) + fraction);
        let bytes = input.take(kept.into(), offset)?;
        Ok(Some(Record { offset, time, size: size.max(kept).into(), bytes }))
    }
}
