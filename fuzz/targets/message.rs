//! Messages as they lie in a buffer: the checker, and what reads a checked one.
#![no_main]

use libbus::wire::{ArgumentSpans, ParsedHeader, check_body, frame};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(Some(frame)) = frame(bytes, 1 << 20) else { return };
    let Some(message) = bytes.get(..frame.message_size()) else { return };
    let Ok(parsed) = ParsedHeader::parse(message, &frame) else { return };
    let body = &message[parsed.size..];
    let mut spans = ArgumentSpans::new();
    let header = parsed.header;
    let _ = check_body(header.signature, body, header.endian, &mut spans);
});
