//! Pcapng: blocks in sections (draft-ietf-opsawg-pcapng). A section header says the order of the bytes, interface
//! descriptions say what the packets after them are and what their times count, packets are enhanced (with a time)
//! or simple. Other blocks are passed over.
//!
//! Bounds: [`INTERFACES_MAX`] interfaces in a section, [`BLOCK_SIZE_MAX`] bytes of a block that is read.

use std::io::Read;
use std::time::Duration;

use libbus::limits::MESSAGE_SIZE_MAX;

use super::input::{Fields, Input, Order};
use super::{Damage, Fault, LINK_TYPE, Record, Time};

/// The type of a section header, the same in both byte orders.
pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
pub(super) const INTERFACE_DESCRIPTION: u32 = 1;
const SIMPLE_PACKET: u32 = 3;
pub(super) const ENHANCED_PACKET: u32 = 6;
/// What tells a section's byte order.
pub(super) const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// Type, length, and the length again.
pub(super) const BLOCK_FRAME_SIZE: u32 = 12;
/// How the option is numbered that says what times count, and the one that is added to them.
pub(super) const TIME_RESOLUTION: u16 = 9;
const TIME_OFFSET: u16 = 14;
/// The interfaces of one section that are remembered.
const INTERFACES_MAX: usize = 4096;
/// A packet block has a message and, beside it, its options.
const BLOCK_SIZE_MAX: u32 = MESSAGE_SIZE_MAX + (1 << 20);
const NANOSECONDS: u128 = 1_000_000_000;

/// Where in a file one is.
#[derive(Debug, Default)]
pub(super) struct Pcapng {
    /// Of the present section; none before the first.
    order: Option<Order>,
    interfaces: Vec<Interface>,
    foreign_count: u64,
}

/// Where packets come from.
#[derive(Clone, Copy, Debug)]
struct Interface {
    link_type: u16,
    size_max: u32,
    units_per_second: u128,
    offset_seconds: i64,
}

struct Block {
    offset: u64,
    kind: u32,
    order: Order,
    /// Without type and lengths.
    content: Vec<u8>,
}

impl Block {
    fn fields(&self) -> Fields<'_> {
        Fields { bytes: &self.content, order: self.order }
    }

    const fn damage(&self, what: &'static str) -> Damage {
        Damage { offset: self.offset, fault: Fault::Block(what) }
    }
}

impl Pcapng {
    /// Packets of other link types that were passed over.
    pub(super) const fn foreign_count(&self) -> u64 {
        self.foreign_count
    }

    pub(super) fn next_record<R: Read>(
        &mut self,
        input: &mut Input<R>,
    ) -> Result<Option<Record>, Damage> {
        loop {
            let Some(block) = self.next_block(input)? else { return Ok(None) };
            let record = match block.kind {
                SECTION_HEADER => self.handle_section(&block)?,
                INTERFACE_DESCRIPTION => self.handle_interface(&block)?,
                ENHANCED_PACKET => self.enhanced_packet(&block)?,
                SIMPLE_PACKET => self.simple_packet(&block)?,
                _ => None,
            };
            if record.is_some() {
                return Ok(record);
            }
        }
    }

    fn next_block<R: Read>(&self, input: &mut Input<R>) -> Result<Option<Block>, Damage> {
        let offset = input.position();
        let damage = |what| Damage { offset, fault: Fault::Block(what) };
        let Some(kind) = input.next::<4>(offset)? else { return Ok(None) };
        let size = input.take(4, offset)?;
        let is_section = kind == SECTION_HEADER.to_be_bytes();
        let mut content = if is_section { input.take(4, offset)? } else { Vec::new() };
        let order = match is_section {
            true => section_order(&content).ok_or(damage("a section of an unknown byte order")),
            false => self.order.ok_or(damage("a block before the first section")),
        }?;
        let kind = order.u32(kind);
        let size = size.first_chunk().map_or(0, |size| order.u32(*size));
        let rest = size.checked_sub(BLOCK_FRAME_SIZE + content.len() as u32);
        let Some(rest) = rest.filter(|_| size.is_multiple_of(4)) else {
            return Err(damage("a block whose length cannot be"));
        };
        read_content(input, (offset, kind, size), rest, &mut content)?;
        let repeated = input.take(4, offset)?;
        match repeated.first_chunk().map(|size| order.u32(*size)) == Some(size) {
            true => Ok(Some(Block { offset, kind, order, content })),
            false => Err(damage("a block whose two lengths differ")),
        }
    }

    fn handle_section(&mut self, block: &Block) -> Result<Option<Record>, Damage> {
        let mut fields = block.fields();
        let version = fields.take(4).and_then(|_| fields.u16());
        if version != Some(1) {
            return Err(block.damage("a section of an unknown version"));
        }
        self.order = Some(block.order);
        self.interfaces.clear();
        Ok(None)
    }

    fn handle_interface(&mut self, block: &Block) -> Result<Option<Record>, Damage> {
        if self.interfaces.len() == INTERFACES_MAX {
            return Err(block.damage("more interfaces than are remembered"));
        }
        let interface = Interface::parse(block.fields());
        let interface = interface.ok_or(block.damage("a cut interface description"))?;
        self.interfaces.push(interface);
        Ok(None)
    }

    fn enhanced_packet(&mut self, block: &Block) -> Result<Option<Record>, Damage> {
        let mut fields = block.fields();
        let mut next = || fields.u32().ok_or(block.damage("a cut packet block"));
        let [interface, high, low, kept, size] = [next()?, next()?, next()?, next()?, next()?];
        let Some(interface) = self.interface(interface, block)? else { return Ok(None) };
        let bytes = fields.take(kept as usize);
        let bytes = bytes.ok_or(block.damage("a packet longer than its block"))?.to_vec();
        let time = Some(interface.time(u64::from(high) << 32 | u64::from(low)));
        Ok(Some(Record { offset: block.offset, time, size: size.max(kept).into(), bytes }))
    }

    /// It is of the first interface, has no time, and its kept size has to be worked out.
    fn simple_packet(&mut self, block: &Block) -> Result<Option<Record>, Damage> {
        let mut fields = block.fields();
        let size = fields.u32().ok_or(block.damage("a cut packet block"))?;
        let Some(interface) = self.interface(0, block)? else { return Ok(None) };
        let kept = size.min(interface.size_max) as usize;
        let bytes = fields.take(kept);
        let bytes = bytes.ok_or(block.damage("a packet longer than its block"))?.to_vec();
        Ok(Some(Record { offset: block.offset, time: None, size: size.into(), bytes }))
    }

    /// The interface of that number, if it is one of D-Bus.
    fn interface(&mut self, index: u32, block: &Block) -> Result<Option<Interface>, Damage> {
        let interface = self.interfaces.get(index as usize).copied();
        let interface = interface.ok_or(block.damage("a packet of an unknown interface"))?;
        let is_ours = u32::from(interface.link_type) == LINK_TYPE;
        self.foreign_count += u64::from(!is_ours);
        Ok(is_ours.then_some(interface))
    }
}

/// Reads the content of blocks that mean something, and passes over others.
fn read_content<R: Read>(
    input: &mut Input<R>,
    (offset, kind, size): (u64, u32, u32),
    rest: u32,
    content: &mut Vec<u8>,
) -> Result<(), Damage> {
    if !matches!(kind, SECTION_HEADER | INTERFACE_DESCRIPTION | SIMPLE_PACKET | ENHANCED_PACKET) {
        return input.skip(rest.into(), offset);
    }
    if size > BLOCK_SIZE_MAX {
        return Err(Damage { offset, fault: Fault::TooLong { size: size.into() } });
    }
    let read = input.append(rest.into(), content, offset)?;
    if read == u64::from(rest) { Ok(()) } else { Err(input.cut_short(offset)) }
}

fn section_order(content: &[u8]) -> Option<Order> {
    let magic = content.first_chunk()?;
    [Order::Big, Order::Little].into_iter().find(|order| order.u32(*magic) == BYTE_ORDER)
}

impl Interface {
    fn parse(mut fields: Fields<'_>) -> Option<Self> {
        let link_type = fields.u16()?;
        let _reserved = fields.u16()?;
        // 0 is no bound.
        let size_max = Some(fields.u32()?).filter(|size| *size != 0).unwrap_or(u32::MAX);
        let mut interface =
            Self { link_type, size_max, units_per_second: 1_000_000, offset_seconds: 0 };
        while let Some((code, value)) = next_option(&mut fields) {
            match (code, value) {
                (TIME_RESOLUTION, [resolution, ..]) => {
                    interface.units_per_second = units_per_second(*resolution);
                }
                (TIME_OFFSET, value) => {
                    let offset = value.first_chunk().copied().unwrap_or_default();
                    interface.offset_seconds = match fields.order {
                        Order::Big => i64::from_be_bytes(offset),
                        Order::Little => i64::from_le_bytes(offset),
                    };
                }
                _ => {}
            }
        }
        Some(interface)
    }

    /// What so many units are; times before 1970 are 1970.
    fn time(&self, units: u64) -> Time {
        // INVARIANT: 2^64 times 10^9 is less than 2^94, and the offset adds less than 2^93.
        let since = (u128::from(units) * NANOSECONDS / self.units_per_second).cast_signed();
        let since = since + i128::from(self.offset_seconds) * NANOSECONDS.cast_signed();
        let since = since.max(0).cast_unsigned();
        let seconds = u64::try_from(since / NANOSECONDS).unwrap_or(u64::MAX);
        Duration::new(seconds, (since % NANOSECONDS) as u32)
    }
}

/// A power of 10, or of 2 if the highest bit says so. One too large to be is the largest.
fn units_per_second(resolution: u8) -> u128 {
    let (base, exponent) = match resolution & 0x80 {
        0 => (10u128, resolution),
        _ => (2, resolution & 0x7f),
    };
    base.checked_pow(exponent.into()).unwrap_or(u128::MAX)
}

/// The next option of a block, its padding passed over; none at the mark of their end.
fn next_option<'a>(fields: &mut Fields<'a>) -> Option<(u16, &'a [u8])> {
    let (code, size) = (fields.u16()?, usize::from(fields.u16()?));
    let value = fields.take(size)?;
    let padding = size.next_multiple_of(4) - size;
    fields.take(padding.min(fields.bytes.len()))?;
    (code != 0).then_some((code, value))
}
