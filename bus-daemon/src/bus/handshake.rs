//! The handshake of a client, up to whether its user may connect (protocol.md A068–A097,
//! config.md B071).
//!
//! `libbus::auth` knows the conversation; here are its two edges, the bytes that come and go and the
//! cookie that the host must find.

use bus_policy::Subject;
use libbus::auth::{
    CookieChallenge, HANDSHAKE_SIZE_MAX, Identity as AuthIdentity, ServerAuth, ServerAuthConfig,
    ServerAuthError, ServerProgress,
};

use super::client::Phase;
use super::id::ClientId;
use super::lifecycle::Disconnection;
use super::policing::gids_of;
use super::{Bus, Effect};

impl Bus {
    pub(super) fn handle_cookie(&mut self, id: ClientId, cookie: Option<CookieChallenge>) {
        if let Err(reason) = self.continue_handshake(id, cookie) {
            self.disconnect(id, reason);
        }
    }

    /// Returns the part of `bytes` that begins the message stream, once BEGIN was seen.
    pub(super) fn handle_handshake<'b>(
        &mut self,
        id: ClientId,
        bytes: &'b [u8],
    ) -> Result<Option<&'b [u8]>, Disconnection> {
        let mut lines = std::mem::take(&mut self.scratch.handshake);
        lines.clear();
        let progress =
            self.with_auth(id, |auth, config| auth.handle_bytes(bytes, config, &mut lines));
        self.clients.push_bytes(id, &lines);
        self.scratch.handshake = lines;
        // What earlier reads were answered with counts too (protocol.md A081).
        let owed = self.clients.get(id).map_or(0, |client| client.outbox.bytes());
        if owed > HANDSHAKE_SIZE_MAX {
            return Err(Disconnection::Handshake(ServerAuthError::TooMuchOutput));
        }
        let Some(progress) = progress.transpose().map_err(Disconnection::Handshake)? else {
            return Ok(None);
        };
        match progress {
            ServerProgress::InProgress => Ok(None),
            ServerProgress::CookieNeeded { context } => {
                self.effects.push_back(Effect::FindCookie { client: id, context });
                Ok(None)
            }
            ServerProgress::Authenticated { consumed, identity, unix_fds } => {
                self.handle_authenticated(id, identity, unix_fds)?;
                Ok(Some(bytes.get(consumed..).unwrap_or_default()))
            }
        }
    }

    fn continue_handshake(
        &mut self,
        id: ClientId,
        cookie: Option<CookieChallenge>,
    ) -> Result<(), Disconnection> {
        let mut lines = Vec::new();
        let progress =
            self.with_auth(id, |auth, config| auth.handle_cookie(cookie, config, &mut lines));
        self.clients.push_bytes(id, &lines);
        match progress.transpose().map_err(Disconnection::Handshake)? {
            None | Some(ServerProgress::InProgress) => Ok(()),
            Some(ServerProgress::CookieNeeded { context }) => {
                self.effects.push_back(Effect::FindCookie { client: id, context });
                Ok(())
            }
            Some(ServerProgress::Authenticated { identity, unix_fds, .. }) => {
                let rest = self.clients.get_mut(id).map(|client| match &mut client.phase {
                    Phase::Authenticating(auth) => auth.take_rest(),
                    _ => Vec::new(),
                });
                self.handle_authenticated(id, identity, unix_fds)?;
                self.handle_read(id, &rest.unwrap_or_default())
            }
        }
    }

    fn with_auth<R>(
        &mut self,
        id: ClientId,
        step: impl FnOnce(&mut ServerAuth, &ServerAuthConfig<'_>) -> R,
    ) -> Option<R> {
        let client = self.clients.get_mut(id)?;
        let Phase::Authenticating(auth) = &mut client.phase else { return None };
        let guid = self.identity.listener_guids.get(client.listener as usize);
        let config = ServerAuthConfig {
            guid: *guid.unwrap_or(&self.identity.guid),
            mechanisms: &self.identity.mechanisms,
            own_uid: self.identity.own_uid,
            own_user_name: &self.identity.own_user_name,
        };
        Some(step(auth, &config))
    }

    fn handle_authenticated(
        &mut self,
        id: ClientId,
        identity: AuthIdentity,
        unix_fds: bool,
    ) -> Result<(), Disconnection> {
        let uid = match identity {
            AuthIdentity::Unix(uid) => Some(uid),
            AuthIdentity::Anonymous => None,
        };
        if uid.is_none() && !self.identity.allow_anonymous {
            return Err(Disconnection::AnonymousRefused);
        }
        self.clients.change_user(id, uid, self.is_privileged_user(uid));
        if let Some(client) = self.clients.get_mut(id) {
            client.uid = uid;
            client.unix_fds = unix_fds;
            client.phase = Phase::WaitingForHello;
        }
        self.set_own_limits(id);
        self.begin_handshakes();
        self.may_connect(id)
    }

    /// config.md B071. Who is nobody was let in by `<allow_anonymous/>`.
    fn may_connect(&self, id: ClientId) -> Result<(), Disconnection> {
        let Some(client) = self.clients.get(id).filter(|client| client.uid.is_some()) else {
            return Ok(());
        };
        let gids = gids_of(client, &self.identity.own_credentials);
        let subject = Subject { uid: client.uid, gids };
        let verdict = self.settings.policy.may_connect(subject, self.identity.own_uid);
        match verdict.is_allowed() {
            true => Ok(()),
            false => Err(Disconnection::UserRefused(verdict.rule)),
        }
    }
}
