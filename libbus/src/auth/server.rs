//! The server's side of the handshake (protocol.md A068–A082, A097).
//!
//! Calling order: give every byte that arrives to [`ServerAuth::handle_bytes`] and send what it
//! appended; answer [`ServerProgress::CookieNeeded`] with [`ServerAuth::handle_cookie`]; after
//! [`ServerProgress::Authenticated`] or an error the value is done. An error means: send what is
//! in the buffer, then disconnect.
//!
//! The states are the specification's, named for what they wait for; one method a state is the
//! table of protocol.md A077–A079, and returns the state that follows.

use std::fmt;

use super::command::{ClientCommand, LineBuffer, LineTooLong, write_data, write_line};
use super::cookie::{DEFAULT_CONTEXT, Secret};
use super::mechanism::{Conversation, Mechanism, Step};
use super::{HANDSHAKE_SIZE_MAX, Identity, REJECTION_COUNT_MAX, hex};
use crate::guid::Guid;

/// What a server knows about itself.
#[derive(Clone, Copy, Debug)]
pub struct ServerAuthConfig<'a> {
    /// The GUID of the address that the client connected to.
    pub guid: Guid,
    /// The mechanisms on offer, in any order. [`Mechanism::Anonymous`] belongs here only if
    /// strangers are welcome (protocol.md A096).
    pub mechanisms: &'a [Mechanism],
    /// The uid of the server's process.
    pub own_uid: u32,
    /// Its login name; empty if it has none.
    pub own_user_name: &'a str,
}

/// How far a handshake has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerProgress {
    /// More bytes are needed.
    InProgress,
    /// The current cookie of this keyring is needed: see [`ServerAuth::handle_cookie`].
    CookieNeeded {
        /// The keyring's name.
        context: &'static str,
    },
    /// The client sent BEGIN.
    Authenticated {
        /// The index in the bytes just given at which the message stream begins.
        consumed: usize,
        /// Who the client is.
        identity: Identity,
        /// Whether messages may carry descriptors.
        unix_fds: bool,
    },
}

/// Why a client must be disconnected: it broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerAuthError {
    /// The first byte was not NUL (protocol.md A068).
    FirstByteNotNul,
    /// BEGIN came before OK (protocol.md A077, A078).
    BeginTooEarly,
    /// The client was refused [`REJECTION_COUNT_MAX`] times (protocol.md A080).
    TooManyRejections,
    /// A line, or what came while a cookie was fetched, passed [`HANDSHAKE_SIZE_MAX`] (protocol.md
    /// A081).
    TooMuchInput,
    /// The answers that the client has not read passed [`HANDSHAKE_SIZE_MAX`] (protocol.md A081).
    TooMuchOutput,
}

impl fmt::Display for ServerAuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstByteNotNul => f.write_str("the first byte is not NUL"),
            Self::BeginTooEarly => f.write_str("BEGIN before the client was authenticated"),
            Self::TooManyRejections => {
                write!(f, "{REJECTION_COUNT_MAX} attempts to authenticate were rejected")
            }
            Self::TooMuchInput => {
                write!(f, "more than {HANDSHAKE_SIZE_MAX} bytes without the end of a line")
            }
            Self::TooMuchOutput => {
                write!(f, "more than {HANDSHAKE_SIZE_MAX} bytes of answers were not read")
            }
        }
    }
}

impl std::error::Error for ServerAuthError {}

impl From<LineTooLong> for ServerAuthError {
    fn from(LineTooLong: LineTooLong) -> Self {
        Self::TooMuchInput
    }
}

/// What the host brings for one attempt at DBUS_COOKIE_SHA1.
#[derive(Clone, PartialEq, Eq)]
pub struct CookieChallenge {
    /// The cookie's id.
    pub id: u32,
    /// The cookie's secret, in hex as its file has it.
    pub cookie: String,
    /// Random bytes, never used before.
    pub challenge: [u8; 16],
}

impl fmt::Debug for CookieChallenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieChallenge").field("id", &self.id).finish_non_exhaustive()
    }
}

/// One client's handshake.
///
/// ```
/// use libbus::auth::{
///     ClientAuth, ClientAuthConfig, ClientProgress, Identity, Mechanism, ServerAuth, ServerAuthConfig,
///     ServerProgress,
/// };
/// use libbus::guid::Guid;
///
/// let guid = Guid::from_bytes([7; 16]);
/// let mechanisms = &[Mechanism::External];
/// let ours = ServerAuthConfig { guid, mechanisms, own_uid: 0, own_user_name: "root" };
/// // The socket says who is at its other end.
/// let mut server = ServerAuth::new(Some(1000), true);
/// let mut client = ClientAuth::new(ClientAuthConfig {
///     mechanisms: mechanisms.to_vec(),
///     uid: Some(1000),
///     unix_fds: true,
///     guid: Some(guid),
/// });
/// let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
/// client.start(&mut to_server)?;
/// let identity = loop {
///     let progress = server.handle_bytes(&to_server, &ours, &mut to_client)?;
///     to_server.clear();
///     if let ServerProgress::Authenticated { identity, .. } = progress {
///         break identity;
///     }
///     client.handle_bytes(&to_client, &mut to_server)?;
///     to_client.clear();
/// };
/// assert_eq!(identity, Identity::Unix(1000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ServerAuth {
    peer_uid: Option<u32>,
    fds_possible: bool,
    state: State,
    lines: LineBuffer,
    /// What came while a cookie was fetched, at most [`HANDSHAKE_SIZE_MAX`] bytes; at the end, the
    /// part of it that belongs to the message stream.
    held: Vec<u8>,
    rejection_count: u32,
    unix_fds: bool,
}

#[derive(Debug)]
enum State {
    WaitingForNul,
    WaitingForAuth,
    WaitingForData(Conversation),
    /// Like `WaitingForData`, but it is the host that must speak.
    WaitingForCookie,
    WaitingForBegin(Identity),
    Authenticated(Identity),
    Failed(ServerAuthError),
}

impl ServerAuth {
    /// Begins with a client that just connected. `peer_uid` is from the socket's credentials, and
    /// `None` where there are none; `fds_possible` says whether its transport can carry
    /// descriptors.
    pub fn new(peer_uid: Option<u32>, fds_possible: bool) -> Self {
        Self {
            // The kernel's way to say that there is no uid, for example on TCP.
            peer_uid: peer_uid.filter(|uid| *uid != u32::MAX),
            fds_possible,
            state: State::WaitingForNul,
            lines: LineBuffer::default(),
            held: Vec::new(),
            rejection_count: 0,
            unix_fds: false,
        }
    }

    /// Takes bytes as they come and appends the answers to `out`, which holds what this client was
    /// not sent yet and nothing else. Reading ends at BEGIN.
    pub fn handle_bytes(
        &mut self,
        bytes: &[u8],
        config: &ServerAuthConfig<'_>,
        out: &mut Vec<u8>,
    ) -> Result<ServerProgress, ServerAuthError> {
        let result = self.advance(bytes, config, out);
        self.remember_failure(result)
    }

    /// Answers [`ServerProgress::CookieNeeded`]: the cookie to use, or `None` if there is none, and
    /// goes on with the bytes that came meanwhile. If those held BEGIN, what follows it is in
    /// [`ServerAuth::take_rest`] and `consumed` is 0.
    pub fn handle_cookie(
        &mut self,
        cookie: Option<CookieChallenge>,
        config: &ServerAuthConfig<'_>,
        out: &mut Vec<u8>,
    ) -> Result<ServerProgress, ServerAuthError> {
        if !matches!(self.state, State::WaitingForCookie) {
            return self.handle_bytes(&[], config, out);
        }
        let next = match cookie {
            Some(cookie) => Ok(challenge(&cookie, out)),
            None => self.reject(config, out),
        };
        self.state = self.remember_failure(next)?;
        let held = std::mem::take(&mut self.held);
        let progress = self.handle_bytes(&held, config, out)?;
        let ServerProgress::Authenticated { consumed, identity, unix_fds } = progress else {
            return Ok(progress);
        };
        self.held = held.get(consumed..).unwrap_or_default().to_vec();
        Ok(ServerProgress::Authenticated { consumed: 0, identity, unix_fds })
    }

    /// The beginning of the message stream that came while a cookie was fetched; usually empty.
    pub fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    fn remember_failure<T>(
        &mut self,
        result: Result<T, ServerAuthError>,
    ) -> Result<T, ServerAuthError> {
        if let Err(error) = result {
            self.state = State::Failed(error);
        }
        result
    }

    fn advance(
        &mut self,
        bytes: &[u8],
        config: &ServerAuthConfig<'_>,
        out: &mut Vec<u8>,
    ) -> Result<ServerProgress, ServerAuthError> {
        let mut input = bytes;
        if let State::WaitingForCookie = self.state {
            self.hold(input)?;
            return Ok(ServerProgress::InProgress);
        }
        if let State::WaitingForNul = self.state {
            self.take_nul(&mut input)?;
        }
        loop {
            match self.state {
                State::WaitingForCookie => {
                    self.hold(input)?;
                    return Ok(ServerProgress::CookieNeeded { context: DEFAULT_CONTEXT });
                }
                State::Authenticated(identity) => {
                    let consumed = bytes.len() - input.len();
                    let unix_fds = self.unix_fds;
                    return Ok(ServerProgress::Authenticated { consumed, identity, unix_fds });
                }
                State::Failed(error) => return Err(error),
                _ => {}
            }
            let Some(line) = self.lines.take_line(&mut input)? else {
                return Ok(ServerProgress::InProgress);
            };
            self.handle_line(&line, config, out)?;
            if out.len() > HANDSHAKE_SIZE_MAX {
                return Err(ServerAuthError::TooMuchOutput); // protocol.md A081
            }
        }
    }

    // protocol.md A068
    fn take_nul(&mut self, input: &mut &[u8]) -> Result<(), ServerAuthError> {
        let Some((byte, rest)) = input.split_first() else { return Ok(()) };
        if *byte != 0 {
            return Err(ServerAuthError::FirstByteNotNul);
        }
        *input = rest;
        self.state = State::WaitingForAuth;
        Ok(())
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), ServerAuthError> {
        if self.held.len() + bytes.len() > HANDSHAKE_SIZE_MAX {
            return Err(ServerAuthError::TooMuchInput);
        }
        self.held.extend_from_slice(bytes);
        Ok(())
    }

    fn handle_line(
        &mut self,
        line: &[u8],
        config: &ServerAuthConfig<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), ServerAuthError> {
        let Some(command) = ClientCommand::parse(line) else {
            write_error(out, "a line must be ASCII text");
            return Ok(());
        };
        self.state = match std::mem::replace(&mut self.state, State::WaitingForAuth) {
            State::WaitingForAuth => self.waiting_for_auth(command, config, out)?,
            State::WaitingForData(conversation) => {
                self.waiting_for_data(conversation, command, config, out)?
            }
            State::WaitingForBegin(identity) => {
                self.waiting_for_begin(identity, command, config, out)?
            }
            // INVARIANT: `advance` reads no line in these.
            state => state,
        };
        Ok(())
    }

    // protocol.md A077
    fn waiting_for_auth(
        &mut self,
        command: ClientCommand<'_>,
        config: &ServerAuthConfig<'_>,
        out: &mut Vec<u8>,
    ) -> Result<State, ServerAuthError> {
        match command {
            ClientCommand::Auth { mechanism, response } => {
                self.start(mechanism, response, config, out)
            }
            ClientCommand::Begin => Err(ServerAuthError::BeginTooEarly),
            ClientCommand::Error => self.reject(config, out),
            ClientCommand::Cancel
            | ClientCommand::Data(_)
            | ClientCommand::NegotiateUnixFd
            | ClientCommand::Unknown => {
                write_error(out, "expected AUTH");
                Ok(State::WaitingForAuth)
            }
        }
    }

    // protocol.md A075, A076: an initial response is the argument of a first DATA.
    fn start(
        &mut self,
        name: &str,
        response: &str,
        config: &ServerAuthConfig<'_>,
        out: &mut Vec<u8>,
    ) -> Result<State, ServerAuthError> {
        let offered = Mechanism::from_name(name).filter(|it| config.mechanisms.contains(it));
        let Some(mechanism) = offered else { return self.reject(config, out) };
        let Some(data) = hex::decode(response) else {
            write_error(out, "the initial response is not hex");
            return Ok(State::WaitingForAuth);
        };
        self.converse(Conversation::new(mechanism), &data, config, out)
    }

    // protocol.md A078
    fn waiting_for_data(
        &mut self,
        conversation: Conversation,
        command: ClientCommand<'_>,
        config: &ServerAuthConfig<'_>,
        out: &mut Vec<u8>,
    ) -> Result<State, ServerAuthError> {
        match command {
            ClientCommand::Data(digits) => match hex::decode(digits) {
                Some(data) => self.converse(conversation, &data, config, out),
                None => {
                    write_error(out, "the data is not hex");
                    Ok(State::WaitingForData(conversation))
                }
            },
            ClientCommand::Begin => Err(ServerAuthError::BeginTooEarly),
            ClientCommand::Cancel | ClientCommand::Error => self.reject(config, out),
            ClientCommand::Auth { .. }
            | ClientCommand::NegotiateUnixFd
            | ClientCommand::Unknown => {
                write_error(out, "expected DATA");
                Ok(State::WaitingForData(conversation))
            }
        }
    }

    fn converse(
        &mut self,
        conversation: Conversation,
        data: &[u8],
        config: &ServerAuthConfig<'_>,
        out: &mut Vec<u8>,
    ) -> Result<State, ServerAuthError> {
        match conversation.handle_data(data, self.peer_uid, config) {
            Step::Accepted(identity) => {
                write_line(out, "OK", &config.guid.to_string());
                Ok(State::WaitingForBegin(identity))
            }
            Step::Asked(conversation) => {
                write_data(out, b"");
                Ok(State::WaitingForData(conversation))
            }
            Step::CookieNeeded => Ok(State::WaitingForCookie),
            Step::Rejected => self.reject(config, out),
        }
    }

    // protocol.md A079
    fn waiting_for_begin(
        &mut self,
        identity: Identity,
        command: ClientCommand<'_>,
        config: &ServerAuthConfig<'_>,
        out: &mut Vec<u8>,
    ) -> Result<State, ServerAuthError> {
        match command {
            ClientCommand::Begin => return Ok(State::Authenticated(identity)),
            ClientCommand::NegotiateUnixFd => self.negotiate_unix_fd(out),
            ClientCommand::Cancel | ClientCommand::Error => return self.reject(config, out),
            ClientCommand::Auth { .. } | ClientCommand::Data(_) | ClientCommand::Unknown => {
                write_error(out, "expected BEGIN or NEGOTIATE_UNIX_FD");
            }
        }
        Ok(State::WaitingForBegin(identity))
    }

    // protocol.md A097
    fn negotiate_unix_fd(&mut self, out: &mut Vec<u8>) {
        self.unix_fds = self.fds_possible;
        if self.fds_possible {
            write_line(out, "AGREE_UNIX_FD", "");
        } else {
            write_error(out, "this transport carries no file descriptors");
        }
    }

    // protocol.md A075, A080: the same list each time, and an end to guessing.
    fn reject(
        &mut self,
        config: &ServerAuthConfig<'_>,
        out: &mut Vec<u8>,
    ) -> Result<State, ServerAuthError> {
        let offered = Mechanism::ALL.into_iter().filter(|it| config.mechanisms.contains(it));
        let names: Vec<&str> = offered.map(Mechanism::name).collect();
        write_line(out, "REJECTED", &names.join(" "));
        // What was agreed belongs to the attempt that ended.
        self.unix_fds = false;
        self.rejection_count += 1;
        if self.rejection_count >= REJECTION_COUNT_MAX {
            return Err(ServerAuthError::TooManyRejections);
        }
        Ok(State::WaitingForAuth)
    }
}

// protocol.md A091: DATA hex("context cookie-id server-challenge")
fn challenge(cookie: &CookieChallenge, out: &mut Vec<u8>) -> State {
    let server_challenge = hex::encode(&cookie.challenge);
    write_data(out, format!("{DEFAULT_CONTEXT} {} {server_challenge}", cookie.id).as_bytes());
    let cookie = Secret::new(&cookie.cookie);
    State::WaitingForData(Conversation::CookieResponse { server_challenge, cookie })
}

fn write_error(out: &mut Vec<u8>, explanation: &str) {
    write_line(out, "ERROR", explanation);
}

#[cfg(test)]
mod tests;
