//! The client's side of the handshake (protocol.md A083–A087).
//!
//! Calling order: [`ClientAuth::start`] once and send what it appended; then give every byte that
//! arrives to [`ClientAuth::handle_bytes`] and send what that appended; answer
//! [`ClientProgress::CookieNeeded`] with [`ClientAuth::handle_cookie`]; after
//! [`ClientProgress::Authenticated`] or an error the value is done.
//!
//! Each mechanism is tried at most once, in the order given, and only if the server lists it.

use std::fmt;

use super::command::{LineBuffer, LineTooLong, ServerCommand, write_data, write_line};
use super::cookie::{Secret, context_is_valid, response_hash};
use super::{HANDSHAKE_SIZE_MAX, Mechanism, hex};
use crate::guid::Guid;

/// What a client wants.
#[derive(Clone, Debug)]
pub struct ClientAuthConfig {
    /// The mechanisms to try, in this order.
    pub mechanisms: Vec<Mechanism>,
    /// The uid to be known as; `None` leaves it to the socket's credentials, which is right where
    /// client and server number users differently, and leaves out DBUS_COOKIE_SHA1.
    pub uid: Option<u32>,
    /// Whether to ask for descriptors.
    pub unix_fds: bool,
    /// The GUID in the server's address, if it has one.
    pub guid: Option<Guid>,
}

/// How far a handshake has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientProgress {
    /// More bytes are needed.
    InProgress,
    /// A cookie of the own user is needed: see [`ClientAuth::handle_cookie`].
    CookieNeeded {
        /// The keyring's name, safe as a file name.
        context: String,
        /// The cookie's id.
        id: u32,
    },
    /// BEGIN was appended; messages may follow it at once.
    Authenticated {
        /// The index in the bytes just given at which the server's messages begin.
        consumed: usize,
        /// The server's GUID.
        guid: Guid,
        /// Whether messages may carry descriptors.
        unix_fds: bool,
    },
}

/// Why the client must close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientAuthError {
    /// The server refused every mechanism (protocol.md A087).
    NoMechanismLeft,
    /// The server is not the one that the address names (protocol.md A087).
    WrongGuid,
    /// OK came without a valid GUID.
    InvalidGuid,
    /// The server said something that its state does not allow (protocol.md A085, A086).
    UnexpectedCommand,
    /// A line, or the answers to a burst of lines, passed [`HANDSHAKE_SIZE_MAX`].
    TooMuchInput,
}

impl fmt::Display for ClientAuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoMechanismLeft => "the server accepts none of the authentication mechanisms",
            Self::WrongGuid => "the server's GUID is not the one in its address",
            Self::InvalidGuid => "the server's GUID is not valid",
            Self::UnexpectedCommand => "the server broke the authentication protocol",
            Self::TooMuchInput => "the server sent too much during authentication",
        })
    }
}

impl std::error::Error for ClientAuthError {}

impl From<LineTooLong> for ClientAuthError {
    fn from(LineTooLong: LineTooLong) -> Self {
        Self::TooMuchInput
    }
}

/// What the host brings for DBUS_COOKIE_SHA1.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCookie {
    /// The cookie's secret, in hex as its file has it.
    pub cookie: String,
    /// Random bytes, never used before.
    pub challenge: [u8; 16],
}

impl fmt::Debug for ClientCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCookie").finish_non_exhaustive()
    }
}

/// One handshake with a server.
#[derive(Debug)]
pub struct ClientAuth {
    /// What is left of the mechanisms to try, the next one last.
    untried: Vec<Mechanism>,
    uid: Option<u32>,
    wants_unix_fds: bool,
    expected_guid: Option<Guid>,
    state: State,
    lines: LineBuffer,
}

#[derive(Clone, Debug)]
enum State {
    NotStarted,
    WaitingForData(Mechanism),
    WaitingForOk,
    WaitingForCookie { context: String, id: u32, server_challenge: String },
    WaitingForReject,
    WaitingForAgreeUnixFd(Guid),
    Authenticated { guid: Guid, unix_fds: bool },
    Failed(ClientAuthError),
}

impl ClientAuth {
    /// A handshake that has not said anything yet.
    pub fn new(config: ClientAuthConfig) -> Self {
        let mut untried = config.mechanisms;
        untried.reverse();
        Self {
            untried,
            uid: config.uid,
            wants_unix_fds: config.unix_fds,
            expected_guid: config.guid,
            state: State::NotStarted,
            lines: LineBuffer::default(),
        }
    }

    /// Appends the NUL byte and the first command (protocol.md A068).
    pub fn start(&mut self, out: &mut Vec<u8>) -> Result<(), ClientAuthError> {
        out.push(0);
        let next = self.try_next(|_| true, out);
        self.enter(next)
    }

    /// Takes bytes as they come and appends what to say to `out`.
    pub fn handle_bytes(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<ClientProgress, ClientAuthError> {
        let mut input = bytes;
        loop {
            match &self.state {
                State::Authenticated { guid, unix_fds } => {
                    let consumed = bytes.len() - input.len();
                    let (guid, unix_fds) = (*guid, *unix_fds);
                    return Ok(ClientProgress::Authenticated { consumed, guid, unix_fds });
                }
                // It is our turn to speak, so the server must be silent (protocol.md A073).
                State::NotStarted | State::WaitingForCookie { .. } if !input.is_empty() => {
                    self.enter(Err(ClientAuthError::UnexpectedCommand))?;
                }
                State::WaitingForCookie { context, id, .. } => {
                    return Ok(ClientProgress::CookieNeeded { context: context.clone(), id: *id });
                }
                State::Failed(error) => return Err(*error),
                _ => {}
            }
            match self.take_line(&mut input)? {
                Some(line) => self.handle_line(&line, out)?,
                None => return Ok(ClientProgress::InProgress),
            }
        }
    }

    /// Answers [`ClientProgress::CookieNeeded`]: the cookie, or `None` if it cannot be had.
    pub fn handle_cookie(
        &mut self,
        cookie: Option<ClientCookie>,
        out: &mut Vec<u8>,
    ) -> Result<ClientProgress, ClientAuthError> {
        if let State::WaitingForCookie { server_challenge, .. } = &self.state {
            self.state = match cookie {
                Some(cookie) => respond(server_challenge, &cookie, out),
                None => cancel(out),
            };
        }
        self.handle_bytes(&[], out)
    }

    fn enter(&mut self, next: Result<State, ClientAuthError>) -> Result<(), ClientAuthError> {
        let result = next.as_ref().map(|_| ()).map_err(|error| *error);
        self.state = next.unwrap_or_else(State::Failed);
        result
    }

    fn take_line(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, ClientAuthError> {
        let line = self.lines.take_line(input);
        if line.is_err() {
            self.state = State::Failed(ClientAuthError::TooMuchInput);
        }
        Ok(line?)
    }

    fn handle_line(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<(), ClientAuthError> {
        let command = ServerCommand::parse(line).unwrap_or(ServerCommand::Unknown);
        let next = match self.state.clone() {
            State::WaitingForData(mechanism) => self.waiting_for_data(mechanism, command, out),
            State::WaitingForOk => self.waiting_for_ok(command, out),
            State::WaitingForReject => self.waiting_for_reject(command, out),
            State::WaitingForAgreeUnixFd(guid) => waiting_for_agree_unix_fd(guid, command, out),
            // INVARIANT: `handle_bytes` reads no line in these.
            state => Ok(state),
        };
        let is_bounded = out.len() <= HANDSHAKE_SIZE_MAX;
        self.enter(
            next.and_then(|state| is_bounded.then_some(state).ok_or(ClientAuthError::TooMuchInput)),
        )
    }

    // protocol.md A083
    fn waiting_for_data(
        &mut self,
        mechanism: Mechanism,
        command: ServerCommand<'_>,
        out: &mut Vec<u8>,
    ) -> Result<State, ClientAuthError> {
        match command {
            ServerCommand::Data(digits) => Ok(handle_data(mechanism, digits, out)),
            ServerCommand::Rejected(list) => self.try_listed(list, out),
            ServerCommand::Error => Ok(cancel(out)),
            ServerCommand::Ok(guid) => self.accept(guid, out),
            ServerCommand::AgreeUnixFd | ServerCommand::Unknown => {
                write_line(out, "ERROR", "expected DATA, OK or REJECTED");
                Ok(State::WaitingForData(mechanism))
            }
        }
    }

    // protocol.md A084
    fn waiting_for_ok(
        &mut self,
        command: ServerCommand<'_>,
        out: &mut Vec<u8>,
    ) -> Result<State, ClientAuthError> {
        match command {
            ServerCommand::Ok(guid) => self.accept(guid, out),
            ServerCommand::Rejected(list) => self.try_listed(list, out),
            ServerCommand::Data(_) | ServerCommand::Error => Ok(cancel(out)),
            ServerCommand::AgreeUnixFd | ServerCommand::Unknown => {
                write_line(out, "ERROR", "expected OK or REJECTED");
                Ok(State::WaitingForOk)
            }
        }
    }

    // protocol.md A085
    fn waiting_for_reject(
        &mut self,
        command: ServerCommand<'_>,
        out: &mut Vec<u8>,
    ) -> Result<State, ClientAuthError> {
        match command {
            ServerCommand::Rejected(list) => self.try_listed(list, out),
            _ => Err(ClientAuthError::UnexpectedCommand),
        }
    }

    // protocol.md A087
    fn accept(&self, guid: &str, out: &mut Vec<u8>) -> Result<State, ClientAuthError> {
        let guid = Guid::parse(guid).map_err(|_| ClientAuthError::InvalidGuid)?;
        if self.expected_guid.is_some_and(|expected| expected != guid) {
            return Err(ClientAuthError::WrongGuid);
        }
        if self.wants_unix_fds {
            write_line(out, "NEGOTIATE_UNIX_FD", "");
            return Ok(State::WaitingForAgreeUnixFd(guid));
        }
        Ok(begin(guid, false, out))
    }

    fn try_listed(&mut self, list: &str, out: &mut Vec<u8>) -> Result<State, ClientAuthError> {
        let is_listed = |it: Mechanism| list.is_empty() || list.split(' ').any(|n| n == it.name());
        self.try_next(is_listed, out)
    }

    // protocol.md A087: each mechanism once.
    fn try_next(
        &mut self,
        is_offered: impl Fn(Mechanism) -> bool,
        out: &mut Vec<u8>,
    ) -> Result<State, ClientAuthError> {
        while let Some(mechanism) = self.untried.pop() {
            if is_offered(mechanism)
                && let Some(state) = propose(mechanism, self.uid, out)
            {
                return Ok(state);
            }
        }
        Err(ClientAuthError::NoMechanismLeft)
    }
}

/// Appends AUTH; `None` if the mechanism needs a uid and there is none.
fn propose(mechanism: Mechanism, uid: Option<u32>, out: &mut Vec<u8>) -> Option<State> {
    let identity = uid.map(|uid| hex::encode(uid.to_string().as_bytes())); // protocol.md A088
    let (response, state) = match (mechanism, identity) {
        (Mechanism::External, Some(identity)) => (identity, State::WaitingForOk),
        (Mechanism::External, None) => (String::new(), State::WaitingForData(mechanism)),
        (Mechanism::DbusCookieSha1, identity) => (identity?, State::WaitingForData(mechanism)),
        (Mechanism::Anonymous, _) => (String::new(), State::WaitingForOk),
    };
    let blank = if response.is_empty() { "" } else { " " };
    write_line(out, "AUTH", &format!("{}{blank}{response}", mechanism.name()));
    Some(state)
}

fn handle_data(mechanism: Mechanism, digits: &str, out: &mut Vec<u8>) -> State {
    if mechanism == Mechanism::External {
        write_data(out, b""); // protocol.md A090: the socket says who we are
        return State::WaitingForOk;
    }
    parse_challenge(digits).unwrap_or_else(|| {
        write_line(out, "ERROR", "expected a cookie's context, its id and a challenge");
        State::WaitingForData(mechanism)
    })
}

// protocol.md A091, A092: the context becomes a file name, so it must be one.
fn parse_challenge(digits: &str) -> Option<State> {
    let data = String::from_utf8(hex::decode(digits)?).ok()?;
    let mut words = data.split(' ');
    let context = words.next().filter(|context| context_is_valid(context))?.to_owned();
    let id = words.next()?.parse().ok()?;
    let server_challenge = words.next().filter(|challenge| !challenge.is_empty())?.to_owned();
    let state = State::WaitingForCookie { context, id, server_challenge };
    words.next().is_none().then_some(state)
}

fn respond(server_challenge: &str, cookie: &ClientCookie, out: &mut Vec<u8>) -> State {
    let client_challenge = hex::encode(&cookie.challenge);
    let secret = Secret::new(&cookie.cookie);
    let hash = response_hash(server_challenge.as_bytes(), client_challenge.as_bytes(), &secret);
    write_data(out, format!("{client_challenge} {hash}").as_bytes());
    State::WaitingForOk
}

fn cancel(out: &mut Vec<u8>) -> State {
    write_line(out, "CANCEL", "");
    State::WaitingForReject
}

// protocol.md A086
fn waiting_for_agree_unix_fd(
    guid: Guid,
    command: ServerCommand<'_>,
    out: &mut Vec<u8>,
) -> Result<State, ClientAuthError> {
    match command {
        ServerCommand::AgreeUnixFd => Ok(begin(guid, true, out)),
        ServerCommand::Error => Ok(begin(guid, false, out)),
        _ => Err(ClientAuthError::UnexpectedCommand),
    }
}

fn begin(guid: Guid, unix_fds: bool, out: &mut Vec<u8>) -> State {
    write_line(out, "BEGIN", "");
    State::Authenticated { guid, unix_fds }
}

#[cfg(test)]
mod tests;
