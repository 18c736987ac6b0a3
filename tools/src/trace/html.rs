//! The page: one file with style, script and data, which loads nothing.
//!
//! Two things keep what a message says from being run. The data is JSON with `<`, `>`, `&` and the two line separators
//! written as escapes of JSON, so that nothing in it can end its block. And the page's policy allows exactly the one
//! script and the one style whose hashes it names, and no connection to anywhere.

use std::io::{self, Write};

use sha2::{Digest, Sha256};

use super::Trace;

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
/// One script of several files, which share what they define.
const SCRIPT: &str = concat!(
    "\"use strict\";\n",
    include_str!("page/data.js"),
    include_str!("page/filter.js"),
    include_str!("page/drawing.js"),
    include_str!("page/sequence.js"),
    include_str!("page/timeline.js"),
    include_str!("page/overview.js"),
    include_str!("page/talkers.js"),
    include_str!("page/table.js"),
    include_str!("page/details.js"),
    include_str!("page/main.js"),
);

/// Writes the page.
///
/// # Errors
/// `out` does not take it.
pub fn write_html(trace: &Trace, mut out: impl Write) -> io::Result<()> {
    let mut rest = PAGE;
    while let Some((before, marked)) = rest.split_once("{{") {
        out.write_all(before.as_bytes())?;
        let (marker, after) = marked.split_once("}}").unwrap_or((marked, ""));
        match marker {
            "policy" => out.write_all(policy().as_bytes())?,
            "style" => out.write_all(STYLE.as_bytes())?,
            "script" => out.write_all(SCRIPT.as_bytes())?,
            "data" => serde_json::to_writer(ScriptSafe(&mut out), trace)?,
            _ => {}
        }
        rest = after;
    }
    out.write_all(rest.as_bytes())?;
    out.flush()
}

fn policy() -> String {
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash_of(SCRIPT),
        hash_of(STYLE)
    )
}

/// As a Content-Security-Policy names it: SHA-256 in base 64.
fn hash_of(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let hash = Sha256::digest(text);
    let mut encoded = String::new();
    for chunk in hash.chunks(3) {
        let bytes = [0, 1, 2].map(|index| chunk.get(index).copied().unwrap_or_default());
        let bits = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
        for (index, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = DIGITS.get((bits >> shift & 63) as usize).copied().unwrap_or_default();
            encoded.push(if index <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    encoded
}

/// Writes JSON so that it can stand in a script block. What is escaped stands only within texts there.
struct ScriptSafe<W>(W);

impl<W: Write> Write for ScriptSafe<W> {
    /// A line separator's three bytes come in one piece, since texts are written whole or up to what JSON escapes.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while let Some(index) =
            rest.iter().position(|byte| matches!(byte, b'<' | b'>' | b'&' | 0xe2))
        {
            let (before, found) = rest.split_at(index);
            self.0.write_all(before)?;
            let (escape, size): (&[u8], usize) = match found {
                [b'<', ..] => (b"\\u003c", 1),
                [b'>', ..] => (b"\\u003e", 1),
                [b'&', ..] => (b"\\u0026", 1),
                [0xe2, 0x80, 0xa8, ..] => (b"\\u2028", 3),
                [0xe2, 0x80, 0xa9, ..] => (b"\\u2029", 3),
                _ => (b"\xe2", 1),
            };
            self.0.write_all(escape)?;
            rest = found.get(size..).unwrap_or_default();
        }
        self.0.write_all(rest)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
