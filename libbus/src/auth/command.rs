//! One line of the handshake: a word of capital letters, a blank, an argument (protocol.md
//! A069–A072).
//!
//! A line is split once, here; the state machines match on what came out. Words are compared as
//! they are, a word nobody knows is `Unknown` and never an error by itself, and what follows a
//! command that takes no argument is ignored, as the reference does.

use super::{HANDSHAKE_SIZE_MAX, hex};

const LINE_END: &[u8] = b"\r\n";

/// What a client may say (protocol.md A070).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientCommand<'a> {
    /// Starts a mechanism, or asks for the list when `mechanism` is empty.
    Auth {
        /// The mechanism's name.
        mechanism: &'a str,
        /// The initial response in hex; empty when there is none.
        response: &'a str,
    },
    /// Gives up the current exchange.
    Cancel,
    /// The message stream begins with the next byte.
    Begin,
    /// A mechanism's data in hex.
    Data(&'a str),
    /// The client did not understand.
    Error,
    /// Asks to send descriptors.
    NegotiateUnixFd,
    /// Any other word.
    Unknown,
}

impl<'a> ClientCommand<'a> {
    /// Splits a line without its ending; `None` when it holds a NUL or a byte beyond ASCII.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let (word, argument) = split_line(line)?;
        Some(match word {
            "AUTH" => {
                let (mechanism, response) = split_word(argument);
                Self::Auth { mechanism, response }
            }
            "CANCEL" => Self::Cancel,
            "BEGIN" => Self::Begin,
            "DATA" => Self::Data(argument),
            "ERROR" => Self::Error,
            "NEGOTIATE_UNIX_FD" => Self::NegotiateUnixFd,
            _ => Self::Unknown,
        })
    }
}

/// What a server may say (protocol.md A071).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerCommand<'a> {
    /// The exchange failed; the names of the mechanisms on offer, separated by blanks.
    Rejected(&'a str),
    /// The client is who it says; the server's GUID.
    Ok(&'a str),
    /// A mechanism's data in hex.
    Data(&'a str),
    /// The server did not understand.
    Error,
    /// Descriptors may be sent.
    AgreeUnixFd,
    /// Any other word.
    Unknown,
}

impl<'a> ServerCommand<'a> {
    /// Splits a line without its ending; `None` when it holds a NUL or a byte beyond ASCII.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let (word, argument) = split_line(line)?;
        Some(match word {
            "REJECTED" => Self::Rejected(argument),
            "OK" => Self::Ok(argument),
            "DATA" => Self::Data(argument),
            "ERROR" => Self::Error,
            "AGREE_UNIX_FD" => Self::AgreeUnixFd,
            _ => Self::Unknown,
        })
    }
}

/// Appends `word`, a blank and `argument` if there is one, and the line's ending.
pub(super) fn write_line(out: &mut Vec<u8>, word: &str, argument: &str) {
    out.extend_from_slice(word.as_bytes());
    if !argument.is_empty() {
        out.push(b' ');
        out.extend_from_slice(argument.as_bytes());
    }
    out.extend_from_slice(LINE_END);
}

/// Appends a DATA line.
pub(super) fn write_data(out: &mut Vec<u8>, data: &[u8]) {
    write_line(out, "DATA", &hex::encode(data));
}

/// Gathers bytes until a line is whole.
#[derive(Debug, Default)]
pub(super) struct LineBuffer {
    /// The unfinished line, shorter than [`HANDSHAKE_SIZE_MAX`].
    bytes: Vec<u8>,
}

/// A line and its ending would pass [`HANDSHAKE_SIZE_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LineTooLong;

impl LineBuffer {
    /// Takes bytes off the front of `input` up to the end of a line and returns that line without
    /// its ending; `None` when `input` is used up first.
    pub(super) fn take_line(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, LineTooLong> {
        while let Some((byte, rest)) = input.split_first() {
            *input = rest;
            self.bytes.push(*byte);
            if let Some(line_size) = self.bytes.strip_suffix(LINE_END).map(<[u8]>::len) {
                let mut line = std::mem::take(&mut self.bytes);
                line.truncate(line_size);
                return Ok(Some(line));
            }
            if self.bytes.len() >= HANDSHAKE_SIZE_MAX {
                return Err(LineTooLong); // protocol.md A081
            }
        }
        Ok(None)
    }
}

fn split_line(line: &[u8]) -> Option<(&str, &str)> {
    // protocol.md A069
    if line.contains(&0) || !line.is_ascii() {
        return None;
    }
    std::str::from_utf8(line).ok().map(split_word)
}

/// The text up to the first blank, and what follows the blanks.
fn split_word(text: &str) -> (&str, &str) {
    const BLANKS: [char; 2] = [' ', '\t'];
    match text.split_once(BLANKS) {
        Some((word, rest)) => (word, rest.trim_start_matches(BLANKS)),
        None => (text, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_client_lines() {
        // protocol.md A069, A070, A072
        use ClientCommand::{Auth, Begin, Cancel, Data, Error, NegotiateUnixFd, Unknown};
        let check = |line: &str, expected: ClientCommand<'_>| {
            assert_eq!(ClientCommand::parse(line.as_bytes()), Some(expected), "{line:?}");
        };
        check("AUTH", Auth { mechanism: "", response: "" });
        check("AUTH ", Auth { mechanism: "", response: "" });
        check("AUTH EXTERNAL", Auth { mechanism: "EXTERNAL", response: "" });
        check("AUTH EXTERNAL 30", Auth { mechanism: "EXTERNAL", response: "30" });
        check("AUTH \t EXTERNAL\t 30 ", Auth { mechanism: "EXTERNAL", response: "30 " });
        check("CANCEL", Cancel);
        check("CANCEL now", Cancel);
        check("BEGIN", Begin);
        check("DATA", Data(""));
        check("DATA ", Data(""));
        check("DATA 3031", Data("3031"));
        check("ERROR", Error);
        check("ERROR \"why\"", Error);
        check("NEGOTIATE_UNIX_FD", NegotiateUnixFd);
        check("EXTENSION_ORG_EXAMPLE", Unknown);
        check("REJECTED EXTERNAL", Unknown);
        check("begin", Unknown);
        check(" BEGIN", Unknown);
        check("BEGIN\n", Unknown);
        check("", Unknown);
    }

    #[test]
    fn splits_server_lines() {
        // protocol.md A071
        let check = |line: &str, expected: ServerCommand<'_>| {
            assert_eq!(ServerCommand::parse(line.as_bytes()), Some(expected), "{line:?}");
        };
        check("REJECTED", ServerCommand::Rejected(""));
        check("REJECTED EXTERNAL ANONYMOUS", ServerCommand::Rejected("EXTERNAL ANONYMOUS"));
        check("OK 1234", ServerCommand::Ok("1234"));
        check("DATA", ServerCommand::Data(""));
        check("DATA 3031", ServerCommand::Data("3031"));
        check("ERROR", ServerCommand::Error);
        check("AGREE_UNIX_FD", ServerCommand::AgreeUnixFd);
        check("BEGIN", ServerCommand::Unknown);
    }

    #[test]
    fn refuses_bytes_that_are_not_text() {
        // protocol.md A069
        let check = |case: &str, line: &[u8]| {
            assert_eq!(ClientCommand::parse(line), None, "{case}");
            assert_eq!(ServerCommand::parse(line), None, "{case}");
        };
        check("NUL in the word", b"AU\0TH");
        check("NUL in the argument", b"DATA 30\0");
        check("NUL alone", b"\0");
        check("UTF-8", "ERROR é".as_bytes());
        check("no UTF-8", b"ERROR \xff");
        check("first byte beyond ASCII", b"\x80");
    }

    #[test]
    fn gathers_lines_from_any_pieces() {
        let stream = b"AUTH\r\n\r\nA\rB\nC\r\r\nrest";
        let lines: [&[u8]; 4] = [b"AUTH", b"", b"A\rB\nC\r", b"rest"];
        for piece_size in 1..=stream.len() {
            let mut buffer = LineBuffer::default();
            let mut found = Vec::new();
            for mut piece in stream.chunks(piece_size) {
                while let Some(line) = buffer.take_line(&mut piece).unwrap() {
                    found.push(line);
                }
                assert!(piece.is_empty());
            }
            found.push(buffer.bytes);
            assert_eq!(found, lines, "pieces of {piece_size}");
        }
    }

    #[test]
    fn bounds_a_line() {
        // protocol.md A081
        let take = |size: usize| {
            let mut line = vec![b'A'; size - LINE_END.len()];
            line.extend_from_slice(LINE_END);
            LineBuffer::default().take_line(&mut &line[..]).map(|line| line.unwrap().len())
        };
        assert_eq!(take(HANDSHAKE_SIZE_MAX), Ok(HANDSHAKE_SIZE_MAX - 2));
        assert_eq!(take(HANDSHAKE_SIZE_MAX + 1), Err(LineTooLong));
    }
}
