//! How a client comes, speaks and goes: the handshake, the stream of messages, deadlines, and what
//! is undone when a client leaves.
//!
//! A client is disconnected for breaking the protocol, for what the configuration says, or because
//! it went itself; [`Disconnection`] has a variant for each reason, and all of them end in
//! [`Bus::disconnect`], the one place that knows what a client holds.

use std::fmt;
use std::os::fd::OwnedFd;

use bus_policy::{RuleId, Subject, Verdict};
use libbus::auth::{
    CookieChallenge, HANDSHAKE_SIZE_MAX, Identity as AuthIdentity, ServerAuth, ServerAuthConfig,
    ServerAuthError, ServerProgress,
};
use libbus::wire::MessageError;

use super::client::Phase;
use super::credentials::PeerCredentials;
use super::driver::error_reply::Refusal;
use super::driver::{ReplyTo, Unique};
use super::id::{ClientId, Timestamp};
use super::limits::{GIVEN_BACK_COUNT_MIN, RELOAD_CALLER_COUNT_MAX, message_unix_fds_max};
use super::log::{LogRecord, Severity};
use super::name_registry::chain::shrink_table;
use super::policing::{describe_rule, gids_of};
use super::quota::Resource;
use super::{Bus, Effect, Scratch, Settings};

/// Why a client is disconnected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disconnection {
    /// It closed its socket, or the socket failed.
    ByClient,
    /// It is one too many of its user before Hello, which the log knows already.
    ByBus,
    /// More descriptors waiting for their message than its share.
    FdShareExceeded,
    /// A message is malformed (protocol.md A055).
    Malformed(MessageError),
    /// The handshake went wrong (protocol.md A068, A080, A081).
    Handshake(ServerAuthError),
    /// Authenticated as a user who may not connect, and the rule that says so, if one does
    /// (config.md B071).
    UserRefused(Option<RuleId>),
    /// Authenticated as nobody, which the configuration does not allow (config.md B016).
    AnonymousRefused,
    /// A message to someone else before Hello (protocol.md A121).
    SentBeforeHello,
    /// Fewer descriptors than UNIX_FDS says (protocol.md A057).
    FdsMissing,
    /// More descriptors than one message may have (config.md B032).
    TooManyFds,
    /// The kernel dropped descriptors (MSG_CTRUNC).
    FdsLost,
    /// More descriptors waiting for their message than allowed (config.md B028).
    TooManyIncomingFds,
    /// Handshake and Hello took too long (config.md B034).
    AuthTimeout,
    /// Descriptors waited too long for their message (config.md B035).
    PendingFdTimeout,
    /// A monitor sent something (protocol.md A203).
    MonitorSent,
}

impl Disconnection {
    const fn log_severity(self) -> Severity {
        match self {
            Self::UserRefused(_) | Self::AnonymousRefused => Severity::Security,
            _ => Severity::Warning,
        }
    }
}

impl fmt::Display for Disconnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByClient => f.write_str("it closed its connection"),
            Self::ByBus => f.write_str("its user has too many connections before Hello"),
            Self::FdShareExceeded => f.write_str(
                "file descriptors that wait for their message are more than its share; its user's \
                 other clients hold the rest",
            ),
            Self::Malformed(error) => write!(f, "it sent a malformed message: {error}"),
            Self::Handshake(error) => write!(f, "its handshake failed: {error}"),
            Self::UserRefused(_) => f.write_str(
                "its user may not connect to this bus; <allow user=…/> in the configuration decides",
            ),
            Self::AnonymousRefused => f.write_str(
                "it authenticated as nobody; <allow_anonymous/> in the configuration would allow it",
            ),
            Self::SentBeforeHello => f.write_str("it sent a message before it said Hello"),
            Self::FdsMissing => {
                f.write_str("a message announces more file descriptors than came with it")
            }
            Self::TooManyFds => {
                f.write_str("a message has more file descriptors than max_message_unix_fds")
            }
            Self::FdsLost => f.write_str("file descriptors it sent did not fit and were lost"),
            Self::TooManyIncomingFds => f.write_str(
                "more file descriptors than max_incoming_unix_fds wait for their message",
            ),
            Self::AuthTimeout => {
                f.write_str("it did not authenticate and say Hello within auth_timeout")
            }
            Self::PendingFdTimeout => {
                f.write_str("file descriptors waited longer than pending_fd_timeout for the message they belong to")
            }
            Self::MonitorSent => f.write_str("a monitor must not send messages"),
        }
    }
}

impl Bus {
    /// Takes in a new connection from listener number `listener`, and returns how to call it. One that
    /// its user has no share for is gone when this returns, and [`Effect::Close`] says so.
    pub fn handle_connected(
        &mut self,
        credentials: PeerCredentials,
        listener: u32,
        fds_possible: bool,
        now: Timestamp,
    ) -> ClientId {
        self.now = self.now.max(now);
        let auth = ServerAuth::new(credentials.uid, fds_possible);
        let is_privileged = self.is_privileged_user(credentials.uid);
        let id =
            self.clients.insert(credentials, listener, fds_possible, auth, self.now, is_privileged);
        self.incomplete_count += 1;
        self.auth_queue.push_back((self.now, id));
        if self.is_one_too_many(id) {
            self.disconnect(id, Disconnection::ByBus);
        }
        id
    }

    pub(super) fn handle_received(&mut self, id: ClientId, bytes: &[u8], fds: &mut Vec<OwnedFd>) {
        if let Err(reason) = self.receive(id, bytes, fds) {
            self.disconnect(id, reason);
        }
    }

    pub(super) fn handle_received_in_place(
        &mut self,
        id: ClientId,
        size: usize,
        fds: &mut Vec<OwnedFd>,
    ) {
        if let Some(client) = self.clients.get_mut(id) {
            client.incoming.handle_filled(size);
        }
        self.handle_received(id, &[], fds);
    }

    pub(super) fn handle_cookie(&mut self, id: ClientId, cookie: Option<CookieChallenge>) {
        if let Err(reason) = self.continue_handshake(id, cookie) {
            self.disconnect(id, reason);
        }
    }

    /// Begins to read the configuration again, or notes that it must be read once more when that is
    /// done (config.md B105).
    pub(super) fn request_reload(&mut self, caller: Option<ReplyTo>) -> Result<(), Refusal> {
        let reload = &mut self.reload;
        let waiting = reload.callers.len() + reload.next_callers.len();
        if caller.is_some() && waiting >= RELOAD_CALLER_COUNT_MAX {
            return Err(Refusal::TooManyReloads { max: RELOAD_CALLER_COUNT_MAX });
        }
        if reload.is_running {
            reload.is_due_again = true;
            reload.next_callers.extend(caller);
        } else {
            reload.is_running = true;
            reload.callers.extend(caller);
            self.effects.push_back(Effect::Reload);
        }
        Ok(())
    }

    pub(super) fn handle_reloaded(&mut self, result: Result<Settings, String>) {
        let refusal = match result {
            Ok(settings) => {
                self.settings = settings;
                self.reapply_policy();
                self.refresh_limits();
                None
            }
            Err(text) => Some(text),
        };
        if let Some(text) = &refusal {
            self.log(LogRecord::new(
                Severity::Error,
                &format_args!("Unable to reload configuration: {text}; the old one stays in force"),
            ));
        } else {
            self.log(LogRecord::new(Severity::Info, &format_args!("Reloaded configuration")));
        }
        for caller in std::mem::take(&mut self.reload.callers) {
            // Who has gone or become a monitor in the meantime takes part no longer.
            let client = self.clients.get(caller.client());
            if !client.is_some_and(|client| client.is_registered()) {
                continue;
            }
            match &refusal {
                None => self.reply_empty(&caller),
                Some(text) => self.reply_error(&caller, &Refusal::ReloadFailed(text.clone())),
            }
        }
        self.reload.is_running = std::mem::take(&mut self.reload.is_due_again);
        if self.reload.is_running {
            self.reload.callers = std::mem::take(&mut self.reload.next_callers);
            self.effects.push_back(Effect::Reload);
        }
    }

    pub(super) fn handle_time_passed(&mut self) {
        let auth_timeout = self.settings.limits.auth_timeout_ms.into();
        while let Some((at, id)) = self.auth_queue.front().copied() {
            let pending = self.clients.get(id).is_some_and(|client| client.is_incomplete());
            if pending && at.plus_ms(auth_timeout) > self.now {
                break;
            }
            self.auth_queue.pop_front();
            if pending {
                self.disconnect(id, Disconnection::AuthTimeout);
            }
        }
        let fd_timeout = self.settings.limits.pending_fd_timeout_ms.into();
        while let Some((at, id)) = self.fd_queue.front().copied() {
            let client = self.clients.get(id);
            let pending = client.is_some_and(|client| client.incoming.fds_since == Some(at));
            if pending && at.plus_ms(fd_timeout) > self.now {
                break;
            }
            self.fd_queue.pop_front();
            if pending {
                self.disconnect(id, Disconnection::PendingFdTimeout);
            }
        }
        self.expire_replies();
        self.expire_pauses();
        self.retry_stalled();
        self.expire_spare_buffers();
    }

    /// Forgets a client: gives up its names, ends its calls in both directions, drops its rules and
    /// tells everybody who watches (protocol.md A134, A147).
    pub(super) fn disconnect(&mut self, id: ClientId, reason: Disconnection) {
        let held = self.held_count();
        let Some(client) = self.clients.get_mut(id) else { return };
        self.held_peak = self.held_peak.max(held);
        client.leaving = true;
        let (is_incomplete, is_registered) = (client.is_incomplete(), client.is_registered());
        let last_words = if is_incomplete { client.outbox.to_vec() } else { Vec::new() };
        if !matches!(reason, Disconnection::ByClient | Disconnection::ByBus) {
            let who = self.describe(id);
            let rule = self.rule_behind(reason);
            self.log(LogRecord::new(
                reason.log_severity(),
                &format_args!("Disconnected client {who}: {reason}{rule}"),
            ));
        }
        if is_incomplete {
            self.incomplete_count -= 1;
        } else {
            self.completed_count -= 1;
        }
        self.forget_slow_receiver(id);
        self.monitors.remove_client(id);
        if is_registered {
            self.leave(id);
        }
        self.clients.remove(id);
        self.trim_queues();
        self.effects.push_back(Effect::Close { client: id, last_words });
        self.give_back_memory();
    }

    /// Where the configuration says that a client must go, for a log line.
    fn rule_behind(&self, reason: Disconnection) -> String {
        let Disconnection::UserRefused(rule) = reason else { return String::new() };
        let verdict = Verdict { rule, ..Verdict::NO_RULE };
        format!("; {}", describe_rule(&self.settings.policy, verdict))
    }

    /// Lets go of what all clients share, once half of what was held is gone: so each of the things
    /// that went bears a constant share of the work.
    fn give_back_memory(&mut self) {
        let held = self.held_count();
        if self.held_peak < GIVEN_BACK_COUNT_MIN || held > self.held_peak / 2 {
            return;
        }
        self.held_peak = held;
        self.clients.give_back();
        shrink_table(&mut self.unique_names);
        self.scratch = Scratch::default();
        self.effects.push_back(Effect::GiveBackMemory);
    }

    /// All things that tables grow with.
    fn held_count(&self) -> usize {
        let rules = self.matches.len() + self.eavesdroppers.len() + self.monitors.len();
        self.clients.len() + self.names.total_count() as usize + rules as usize + self.replies.len()
    }

    /// Everything that a registered client gives up, whether it goes or becomes a monitor. What it is
    /// charged for that is the caller's matter.
    pub(super) fn leave(&mut self, id: ClientId) {
        self.matches.remove_client(id);
        self.eavesdroppers.remove_client(id);
        while let Some(given_up) = self.names.release_next(id) {
            if let Some(change) = given_up.change {
                self.announce(&change);
            }
        }
        self.replies.remove_caller(id);
        if let Some(unique) = self.unique_name_of(id) {
            self.unique_names.remove(&unique.number());
            let mut losers = self.matches.handle_unique_name_gone(unique.as_str());
            losers.extend(self.eavesdroppers.handle_unique_name_gone(unique.as_str()));
            losers.into_iter().for_each(|loser| self.charge_counts(loser));
            self.announce_unique(id, unique.as_str(), Unique::Gone);
        }
        while let Some(pending) = self.replies.next_of_callee(id) {
            self.charge_replies(pending.caller);
            self.send_error_from_driver(
                pending.caller,
                Some(pending.serial),
                &Refusal::CalleeDisconnected,
            );
        }
    }

    fn receive(
        &mut self,
        id: ClientId,
        bytes: &[u8],
        fds: &mut Vec<OwnedFd>,
    ) -> Result<(), Disconnection> {
        let Some(client) = self.clients.get_mut(id) else { return Ok(()) };
        let stream = match &client.phase {
            Phase::Authenticating(_) => self.handle_handshake(id, bytes)?,
            _ => Some(bytes),
        };
        self.keep_fds(id, fds)?;
        if let Some(client) = self.clients.get_mut(id)
            && client.incoming.is_put_off()
        {
            client.incoming.put_off(bytes);
            self.settle_share(id);
            return Ok(());
        }
        stream.map_or(Ok(()), |stream| self.handle_read(id, stream))
    }

    /// Returns the part of `bytes` that begins the message stream, once BEGIN was seen.
    fn handle_handshake<'b>(
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

    /// Keeps what came with the bytes in hand until a message takes it. A client that did not
    /// negotiate descriptors, or not yet, has none to send (protocol.md A097): nothing would bound
    /// how many of them wait while a handshake lasts (the class of CVE-2014-3636), and a message
    /// that announces some lacks them.
    fn keep_fds(&mut self, id: ClientId, fds: &mut Vec<OwnedFd>) -> Result<(), Disconnection> {
        if fds.is_empty() {
            return Ok(());
        }
        let fds_max = fds_waiting_max(self.limits_of(id));
        let Some(client) = self.clients.get_mut(id).filter(|client| client.unix_fds) else {
            fds.clear();
            return Ok(());
        };
        if client.incoming.fds.len() + fds.len() > fds_max {
            return Err(Disconnection::TooManyIncomingFds);
        }
        if self.check_share(id, Resource::Fds, fds.len() as u64).is_err() {
            return Err(Disconnection::FdShareExceeded);
        }
        let Some(client) = self.clients.get_mut(id) else { return Ok(()) };
        client.incoming.fds.extend(fds.drain(..));
        client.incoming.fds_peak = client.incoming.fds_peak.max(client.incoming.fds.len());
        if client.incoming.fds_since.is_none() {
            client.incoming.fds_since = Some(self.now);
            self.fd_queue.push_back((self.now, id));
        }
        Ok(())
    }

    /// After a read: descriptors that no message asked for are closed, unless the message that is
    /// still coming may be theirs. That one may have no more than any message (config.md B032),
    /// however much `max_incoming_unix_fds` would allow, and as much time as if it were the
    /// client's first.
    // deviation: the reference keeps surplus descriptors for later messages (protocol.md A057);
    // closing them is what the specification's "one set per message" asks for and leaks nothing.
    pub(super) fn settle_fds(&mut self, id: ClientId) -> Result<(), Disconnection> {
        let Some(client) = self.clients.get_mut(id) else { return Ok(()) };
        let incoming = &mut client.incoming;
        if self.fd_queue.is_empty() && incoming.fds.is_empty() {
            if !client.has_small_queues() {
                self.settle_share(id);
            }
            return Ok(());
        }
        let own_limits = client.own_limits.as_deref();
        let fds_max = message_unix_fds_max(own_limits.unwrap_or(&self.settings.limits));
        if !incoming.is_partial() && !incoming.is_put_off() {
            incoming.fds.clear();
        }
        if !incoming.is_put_off() && incoming.fds.len() as u64 > fds_max {
            return Err(Disconnection::TooManyFds);
        }
        if incoming.fds.is_empty() {
            incoming.fds_since = None;
        } else if incoming.fds_since.is_none() {
            incoming.fds_since = Some(self.now);
            self.fd_queue.push_back((self.now, id));
        }
        self.trim_queues();
        self.settle_share(id);
        Ok(())
    }

    /// Keeps the two queues of deadlines from growing with clients whose deadline no longer counts.
    pub(super) fn trim_queues(&mut self) {
        let Self { clients, auth_queue, fd_queue, incomplete_count, .. } = self;
        let incomplete = |id: ClientId| clients.get(id).is_some_and(|c| c.is_incomplete());
        let owes = |at, id: ClientId| {
            clients.get(id).is_some_and(|client| client.incoming.fds_since == Some(at))
        };
        while auth_queue.front().is_some_and(|(_, id)| !incomplete(*id)) {
            auth_queue.pop_front();
        }
        if auth_queue.len() > 2 * *incomplete_count as usize + 64 {
            auth_queue.retain(|(_, id)| incomplete(*id));
        }
        while fd_queue.front().is_some_and(|(at, id)| !owes(*at, *id)) {
            fd_queue.pop_front();
        }
        if fd_queue.len() > 2 * clients.len() + 64 {
            fd_queue.retain(|(at, id)| owes(*at, *id));
        }
    }

    /// Who a client is, for a log line or a refusal: its name and its process (protocol.md A241).
    pub(super) fn describe(&self, id: ClientId) -> String {
        let Some(client) = self.clients.get(id) else { return "(gone)".to_owned() };
        let nobody =
            if client.uid.is_none() && !client.is_incomplete() { "anonymous, " } else { "" };
        format!("{} ({nobody}{})", client.name(), self.describe_process(&client.credentials))
    }

    pub(super) fn describe_process(&self, credentials: &PeerCredentials) -> String {
        let mut parts = Vec::new();
        if let Some(uid) = credentials.uid {
            parts.push(format!("uid={uid}"));
        }
        if let Some(pid) = credentials.pid {
            let name = (self.identity.process_name)(pid).unwrap_or_default();
            parts.push(format!("pid={pid} comm=\"{name}\""));
        }
        if let Some(label) = &credentials.security_label {
            parts.push(format!("label=\"{}\"", String::from_utf8_lossy(label)));
        }
        parts.join(" ")
    }
}

/// Descriptors that may wait for their message: at least those of a message that is half read and
/// of the next one, which may begin in the read that ends the first.
fn fds_waiting_max(limits: &bus_policy::config::Limits) -> usize {
    let two_messages = limits.message_unix_fds_max.saturating_mul(2);
    usize::try_from(limits.incoming_unix_fds_max.max(two_messages)).unwrap_or(usize::MAX)
}
