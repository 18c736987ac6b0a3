//! The handshake of a connection, whichever end of it this is.

use crate::auth::{
    ClientAuth, ClientAuthConfig, ClientAuthError, ClientCookie, ClientProgress, CookieChallenge,
    Identity, Mechanism, ServerAuth, ServerAuthConfig, ServerAuthError, ServerProgress,
};
use crate::guid::Guid;

use super::{ConnectionError, CookieWanted};

/// What the server's end of a connection needs to know: see [`ConnectionState::new_server`].
///
/// [`ConnectionState::new_server`]: super::ConnectionState::new_server
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The GUID that the client is told (protocol.md A100).
    pub guid: Guid,
    /// The mechanisms on offer. [`Mechanism::Anonymous`] belongs here only if strangers are welcome
    /// (protocol.md A096).
    pub mechanisms: Vec<Mechanism>,
    /// The uid of this process.
    pub own_uid: u32,
    /// The uid that the socket knows of the client, if it may have this connection; `None` if it may not, or
    /// nothing is known. Then EXTERNAL is refused.
    pub peer_uid: Option<u32>,
    /// Whether the socket carries descriptors.
    pub unix_fds: bool,
}

/// One handshake.
#[derive(Debug)]
pub(super) enum Handshake {
    Client(ClientAuth),
    Server(Box<Server>),
}

#[derive(Debug)]
pub(super) struct Server {
    auth: ServerAuth,
    config: ServerConfig,
}

/// How far it has come.
pub(super) enum Progress {
    Unfinished,
    CookieWanted(CookieWanted),
    Authenticated(Authenticated),
}

/// What is known when it is over.
pub(super) struct Authenticated {
    /// How many of the bytes just given it took.
    pub(super) consumed: usize,
    /// The server's.
    pub(super) guid: Guid,
    pub(super) takes_fds: bool,
    /// Who the client is, if this is the server's end.
    pub(super) identity: Option<Identity>,
}

impl Handshake {
    /// # Errors
    /// No mechanism is to be tried.
    pub(super) fn client(
        config: ClientAuthConfig,
        out: &mut Vec<u8>,
    ) -> Result<Self, ClientAuthError> {
        let mut auth = ClientAuth::new(config);
        auth.start(out)?;
        Ok(Self::Client(auth))
    }

    pub(super) fn server(config: ServerConfig) -> Self {
        let auth = ServerAuth::new(config.peer_uid, config.unix_fds);
        Self::Server(Box::new(Server { auth, config }))
    }

    pub(super) fn handle_bytes(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Progress, ConnectionError> {
        match self {
            Self::Client(auth) => Ok(auth.handle_bytes(bytes, out)?.into()),
            Self::Server(server) => {
                let Server { auth, config } = &mut **server;
                let progress = auth.handle_bytes(bytes, &config.of_auth(), out)?;
                Ok(config.progress(progress))
            }
        }
    }

    /// The cookie of a client; nothing on a server's end.
    pub(super) fn handle_cookie(
        &mut self,
        cookie: Option<ClientCookie>,
        out: &mut Vec<u8>,
    ) -> Result<Progress, ConnectionError> {
        match self {
            Self::Client(auth) => Ok(auth.handle_cookie(cookie, out)?.into()),
            Self::Server(_) => Ok(Progress::Unfinished),
        }
    }

    /// The cookie of a server, and the messages that came while it was fetched; nothing on a client's end.
    pub(super) fn handle_challenge(
        &mut self,
        challenge: Option<CookieChallenge>,
        out: &mut Vec<u8>,
    ) -> Result<(Progress, Vec<u8>), ConnectionError> {
        match self {
            Self::Client(_) => Ok((Progress::Unfinished, Vec::new())),
            Self::Server(server) => {
                let Server { auth, config } = &mut **server;
                let progress = auth.handle_cookie(challenge, &config.of_auth(), out)?;
                Ok((config.progress(progress), auth.take_rest()))
            }
        }
    }
}

impl ServerConfig {
    fn of_auth(&self) -> ServerAuthConfig<'_> {
        let (guid, own_uid, mechanisms) = (self.guid, self.own_uid, &self.mechanisms);
        // Who names itself is told to use its number.
        ServerAuthConfig { guid, mechanisms, own_uid, own_user_name: "" }
    }

    fn progress(&self, progress: ServerProgress) -> Progress {
        match progress {
            ServerProgress::InProgress => Progress::Unfinished,
            ServerProgress::CookieNeeded { context } => {
                Progress::CookieWanted(CookieWanted::Current { context })
            }
            ServerProgress::Authenticated { consumed, identity, unix_fds } => {
                let (guid, identity) = (self.guid, Some(identity));
                Progress::Authenticated(Authenticated {
                    consumed,
                    guid,
                    takes_fds: unix_fds,
                    identity,
                })
            }
        }
    }
}

impl From<ClientProgress> for Progress {
    fn from(progress: ClientProgress) -> Self {
        match progress {
            ClientProgress::InProgress => Self::Unfinished,
            ClientProgress::CookieNeeded { context, id } => {
                Self::CookieWanted(CookieWanted::Named { context, id })
            }
            ClientProgress::Authenticated { consumed, guid, unix_fds } => {
                let (takes_fds, identity) = (unix_fds, None);
                Self::Authenticated(Authenticated { consumed, guid, takes_fds, identity })
            }
        }
    }
}

impl From<ClientAuthError> for ConnectionError {
    fn from(error: ClientAuthError) -> Self {
        Self::Handshake(error)
    }
}

impl From<ServerAuthError> for ConnectionError {
    fn from(error: ServerAuthError) -> Self {
        Self::ServerHandshake(error)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::connection::{ConnectionConfig, ConnectionState};
    use crate::limits::MESSAGE_SIZE_MAX;
    use crate::names::{MemberName, ObjectPath};
    use crate::wire::{Header, MessageType};

    const GUID: Guid = Guid::from_bytes([7; 16]);

    fn client(mechanism: Mechanism, guid: Guid) -> ConnectionState {
        let auth = ClientAuthConfig {
            mechanisms: vec![mechanism],
            uid: Some(1000),
            unix_fds: true,
            guid: Some(guid),
        };
        let message_size_max = MESSAGE_SIZE_MAX;
        ConnectionState::new(ConnectionConfig { auth, machine_id: None, message_size_max }).unwrap()
    }

    fn server(peer_uid: Option<u32>, mechanism: Mechanism, unix_fds: bool) -> ConnectionState {
        let (guid, mechanisms, own_uid) = (GUID, vec![mechanism], 1000);
        let config = ServerConfig { guid, mechanisms, own_uid, peer_uid, unix_fds };
        ConnectionState::new_server(config, None, MESSAGE_SIZE_MAX)
    }

    /// Passes bytes until neither has anything to say.
    fn talk(one: &mut ConnectionState, other: &mut ConnectionState) -> Result<(), ConnectionError> {
        while pass(one, other)? || pass(other, one)? {}
        Ok(())
    }

    fn pass(from: &mut ConnectionState, to: &mut ConnectionState) -> Result<bool, ConnectionError> {
        let bytes = from.next_write().0.to_vec();
        from.handle_written(bytes.len());
        to.read_space()[..bytes.len()].copy_from_slice(&bytes);
        to.handle_read(bytes.len(), &mut Vec::new())?;
        Ok(!bytes.is_empty())
    }

    fn call(connection: &mut ConnectionState) {
        let mut header = Header::new(MessageType::MethodCall, NonZeroU32::MIN);
        header.path = Some(ObjectPath::parse("/").unwrap());
        header.member = Some(MemberName::parse("Ask").unwrap());
        connection.call(&header, Vec::new(), |_| {}).unwrap();
    }

    // protocol.md A089, A097, A100
    #[test]
    fn a_user_is_let_in() {
        for unix_fds in [true, false] {
            let mut server = server(Some(1000), Mechanism::External, unix_fds);
            let mut client = client(Mechanism::External, GUID);
            server.serve();
            // What is sent before the handshake is over comes after it.
            call(&mut client);
            talk(&mut client, &mut server).unwrap();
            assert!(server.is_authenticated() && client.is_authenticated());
            assert_eq!(server.identity(), Some(Identity::Unix(1000)));
            assert_eq!((client.identity(), client.guid()), (None, Some(GUID)));
            assert_eq!((server.takes_fds(), client.takes_fds()), (unix_fds, unix_fds));
            assert!(server.next_call().is_some());
        }
    }

    #[test]
    fn another_user_is_not() {
        for peer_uid in [None, Some(1001)] {
            let mut server = server(peer_uid, Mechanism::External, true);
            let error = talk(&mut client(Mechanism::External, GUID), &mut server).unwrap_err();
            assert_eq!(error, ConnectionError::Handshake(ClientAuthError::NoMechanismLeft));
            assert!(!server.is_authenticated());
        }
        let mut client = client(Mechanism::External, Guid::from_bytes([8; 16]));
        let mut server = server(Some(1000), Mechanism::External, true);
        let error = talk(&mut client, &mut server).unwrap_err();
        assert_eq!(error, ConnectionError::Handshake(ClientAuthError::WrongGuid));
    }

    #[test]
    fn a_stranger_is_let_in_by_choice() {
        let mut server = server(None, Mechanism::Anonymous, true);
        talk(&mut client(Mechanism::Anonymous, GUID), &mut server).unwrap();
        assert_eq!(server.identity(), Some(Identity::Anonymous));
    }

    // protocol.md A091, A092
    #[test]
    fn a_cookie_is_asked_of_the_host_at_both_ends() {
        let mut server = server(None, Mechanism::DbusCookieSha1, false);
        let mut client = client(Mechanism::DbusCookieSha1, GUID);
        talk(&mut client, &mut server).unwrap();
        let context = "org_freedesktop_general";
        assert_eq!(server.cookie_wanted(), Some(&CookieWanted::Current { context }));
        let (id, cookie, challenge) = (5, "5ec2e7".to_owned(), [1; 16]);
        let asked = CookieChallenge { id, cookie: cookie.clone(), challenge };
        server.handle_challenge(Some(asked)).unwrap();
        talk(&mut client, &mut server).unwrap();
        let named = CookieWanted::Named { context: context.to_owned(), id };
        assert_eq!(client.cookie_wanted(), Some(&named));
        client.handle_cookie(Some(ClientCookie { cookie, challenge })).unwrap();
        talk(&mut client, &mut server).unwrap();
        assert_eq!(server.identity(), Some(Identity::Unix(1000)));
    }

    /// A client that does not wait for answers: everything comes while the host looks for the cookie.
    #[test]
    fn what_comes_meanwhile_is_kept() {
        let mechanisms = vec![Mechanism::DbusCookieSha1, Mechanism::Anonymous];
        let (guid, own_uid, peer_uid) = (GUID, 1000, None);
        let config = ServerConfig { guid, mechanisms, own_uid, peer_uid, unix_fds: false };
        let mut server = ConnectionState::new_server(config, None, MESSAGE_SIZE_MAX);
        server.serve();
        let mut other = client(Mechanism::Anonymous, GUID);
        let mut peer = self::server(None, Mechanism::Anonymous, false);
        call(&mut other);
        talk(&mut other, &mut peer).unwrap();
        call(&mut other);
        let mut bytes = b"\0AUTH DBUS_COOKIE_SHA1 31303030\r\nAUTH ANONYMOUS\r\nBEGIN\r\n".to_vec();
        bytes.extend_from_slice(other.next_write().0);
        server.read_space()[..bytes.len()].copy_from_slice(&bytes);
        server.handle_read(bytes.len(), &mut Vec::new()).unwrap();
        assert!(server.cookie_wanted().is_some() && !server.is_authenticated());
        server.handle_challenge(None).unwrap();
        assert_eq!(server.identity(), Some(Identity::Anonymous));
        assert!(server.next_call().is_some());
    }
}
