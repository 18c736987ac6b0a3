//! A record's bytes as a message: whole, or its header where whoever captured it kept no more.

use libbus::limits::MESSAGE_SIZE_MAX;
use libbus::message::Message;
use libbus::wire::{Header, MessageError, ParsedHeader, Signature, frame, write_checked_message};

use super::{Captured, Cut, Damage, Fault, Record};

/// What is in a record.
pub(super) fn captured(record: Record) -> Result<Captured, Damage> {
    let Record { offset, time, size, bytes } = record;
    let kept = bytes.len() as u64;
    let read = if kept < size { read_cut(&bytes) } else { read_whole(bytes) };
    match read {
        Ok((message, cut)) => Ok(Captured { time, offset, size, message, cut }),
        Err(fault) => Err(Damage { offset, fault }),
    }
}

fn read_whole(bytes: Vec<u8>) -> Result<(Message, Option<Cut>), Fault> {
    Ok((Message::from_bytes(bytes).map_err(Fault::Message)?, None))
}

/// The header of a message whose body is not all there, as a message without a body. So nobody who looks at captured
/// messages has to know of two kinds.
fn read_cut(bytes: &[u8]) -> Result<(Message, Option<Cut>), Fault> {
    let kept = bytes.len() as u64;
    let whole = frame(bytes, MESSAGE_SIZE_MAX).map_err(Fault::Message)?;
    let Some(whole) = whole.filter(|whole| whole.header_size <= bytes.len()) else {
        return Err(Fault::HeaderCut { kept });
    };
    let parsed = ParsedHeader::parse(bytes, &whole).map_err(Fault::Message)?;
    let signature = parsed.header.signature.as_str().to_owned();
    let message = without_body(&parsed.header).map_err(Fault::Message)?;
    Ok((message, Some(Cut { kept, signature })))
}

fn without_body(header: &Header<'_>) -> Result<Message, MessageError> {
    let header = Header { signature: Signature::EMPTY, ..*header };
    let mut bytes = Vec::new();
    write_checked_message(&header, &mut bytes, |_| {})?;
    Message::from_bytes(bytes)
}
