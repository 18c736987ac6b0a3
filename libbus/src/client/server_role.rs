//! The server's end of a connection without a bus (tools.md D078).

use std::env;
use std::io;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use super::link::Style;
use crate::auth::{ClientCookie, CookieChallenge, Mechanism};
use crate::connection::{ConnectionError, ConnectionState, CookieWanted, ServerConfig};
use crate::guid::Guid;
use crate::host::keyring;
use crate::transport::Socket;

/// What a server offers unless it is told otherwise: strangers are nobody's guests.
const MECHANISMS: [Mechanism; 2] = [Mechanism::External, Mechanism::DbusCookieSha1];

/// Who may connect.
#[derive(Clone, Debug)]
pub(super) enum Users {
    /// Those of this program's own user, and these.
    Own(Vec<u32>),
    Any,
}

impl Users {
    pub(super) fn allow(&mut self, uid: u32) {
        if let Self::Own(others) = self {
            others.push(uid);
        }
    }

    fn include(&self, uid: u32, own_uid: u32) -> bool {
        match self {
            Self::Any => true,
            Self::Own(others) => uid == own_uid || others.contains(&uid),
        }
    }
}

/// How to be the server's end.
#[derive(Clone, Debug)]
pub(super) struct ServerRole {
    pub(super) guid: Guid,
    pub(super) users: Users,
    /// What is offered, if that was said.
    pub(super) mechanisms: Option<Vec<Mechanism>>,
    pub(super) message_size_max: u32,
}

impl ServerRole {
    pub(super) fn begin(&self, socket: &Socket) -> ConnectionState {
        let own_uid = own_uid();
        let peer = socket.peer().map(|peer| peer.uid);
        let config = ServerConfig {
            guid: self.guid,
            mechanisms: self.mechanisms.clone().unwrap_or_else(|| MECHANISMS.to_vec()),
            own_uid,
            peer_uid: peer.filter(|uid| self.users.include(*uid, own_uid)),
            unix_fds: socket.is_unix(),
        };
        ConnectionState::new_server(config, machine_id(), self.message_size_max)
    }
}

pub(super) fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Where the machine's id stands, in the order looked at (protocol.md A119).
const MACHINE_ID_FILES: [&str; 2] = ["/var/lib/dbus/machine-id", "/etc/machine-id"];

pub(super) fn machine_id() -> Option<Guid> {
    let read = |path: &&str| std::fs::read_to_string(path).ok();
    let text = MACHINE_ID_FILES.iter().find_map(read)?;
    Guid::parse(text.trim_end()).ok()
}

/// What became of the search for a cookie that a handshake waits for.
pub(super) enum Found {
    Cookie(Option<ClientCookie>),
    Challenge(Option<CookieChallenge>),
}

impl Found {
    /// That it cannot be had ends the attempt, and perhaps the connection.
    ///
    /// # Errors
    /// The connection is over.
    pub(super) fn tell(self, connection: &mut ConnectionState) -> Result<(), ConnectionError> {
        match self {
            Self::Cookie(cookie) => connection.handle_cookie(cookie),
            Self::Challenge(challenge) => connection.handle_challenge(challenge),
        }
    }
}

/// The cookie of a client, which waits for no lock.
pub(super) fn find_client_cookie(context: &str, id: u32) -> Option<ClientCookie> {
    keyring::client_cookie(&keyring_directory()?, context, id)
}

fn keyring_directory() -> Option<PathBuf> {
    let home = env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    home.map(|home| home.join(keyring::DIRECTORY))
}

/// Finds it. A server waits for the lock of a keyring, and makes a cookie if there is none.
pub(super) async fn find_cookie<S: Style>(wanted: CookieWanted) -> io::Result<Found> {
    let directory = keyring_directory();
    S::unblock(move || match wanted {
        CookieWanted::Named { context, id } => {
            Found::Cookie(directory.and_then(|it| keyring::client_cookie(&it, &context, id)))
        }
        CookieWanted::Current { context } => {
            let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let challenge =
                |it: PathBuf| keyring::server_challenge(&it, context, since_1970.as_secs()).ok();
            Found::Challenge(directory.and_then(challenge))
        }
    })
    .await
}
