//! Messages in a row, as `dbus-monitor --binary` writes them (tools.md D050). Each says itself how long it is, so that
//! after one that is malformed there the next one cannot be found; there are no times.

use std::io::Read;

use libbus::limits::MESSAGE_SIZE_MAX;
use libbus::wire::{Endian, FIXED_HEADER_SIZE, MessageType, frame};

use super::input::Input;
use super::{Damage, Fault, Record};

/// Whether a message can begin so: a byte order, a type, any flags, and the protocol's one version.
pub(super) fn begins_message(first: &[u8]) -> bool {
    let is_begun =
        |byte: Option<&u8>, is_right: fn(u8) -> bool| byte.is_none_or(|byte| is_right(*byte));
    is_begun(first.first(), |byte| Endian::from_code(byte).is_some())
        && is_begun(first.get(1), |byte| MessageType::from_code(byte).is_some())
        && is_begun(first.get(3), |byte| byte == 1)
}

pub(super) fn next_record<R: Read>(input: &mut Input<R>) -> Result<Option<Record>, Damage> {
    let offset = input.position();
    let fixed: Option<[u8; FIXED_HEADER_SIZE]> = input.next(offset)?;
    let Some(fixed) = fixed else { return Ok(None) };
    // Where the length is wrong, all that follows is.
    let lost = |error| Damage { offset, fault: Fault::Unframed(error) };
    let size = match frame(&fixed, MESSAGE_SIZE_MAX).map_err(lost)? {
        Some(frame) => frame.message_size() as u64,
        None => return Err(input.cut_short(offset)),
    };
    let mut bytes = fixed.to_vec();
    input.append(size - FIXED_HEADER_SIZE as u64, &mut bytes, offset)?;
    match bytes.len() as u64 == size {
        true => Ok(Some(Record { offset, time: None, size, bytes })),
        false => Err(input.cut_short(offset)),
    }
}
