//! How a client comes, speaks and goes: its reads, its descriptors, its deadlines, and what is undone
//! when it leaves.
//!
//! A client is disconnected for breaking the protocol, for what the configuration says, or because
//! it went itself; [`Disconnection`] has a variant for each reason, and all of them end in
//! [`Bus::disconnect`], the one place that knows what a client holds.

use std::fmt;
use std::os::fd::OwnedFd;

use bus_policy::{RuleId, Verdict};
use libbus::auth::{ServerAuth, ServerAuthError};
use libbus::wire::MessageError;

use super::client::Phase;
use super::credentials::PeerCredentials;
use super::id::{ClientId, Timestamp};
use super::limits::{
    GIVEN_BACK_COUNT_MIN, GIVEN_BACK_SIZE_MIN, LET_THROUGH_MS, message_unix_fds_max,
};
use super::log::{LogRecord, Severity};
use super::name_registry::chain::shrink_table;
use super::policing::describe_rule;
use super::{Bus, Effect, Scratch};

/// Why a client is disconnected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disconnection {
    /// It closed its socket, or the socket failed.
    ByClient,
    /// It is one too many of its user before Hello, which the log knows already.
    ByBus,
    /// Half a message beyond its share, whose rest it does not send while others wait.
    HoldsUpOthers,
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
            Self::HoldsUpOthers => write!(
                f,
                "its user's share of bytes of messages is used up, so that one of them at a time may \
                 send a large message, and it did not send all of its message within {} s while \
                 others waited",
                LET_THROUGH_MS / 1000
            ),
            Self::Malformed(MessageError::MessageTooLong) => {
                f.write_str("it began a message larger than max_message_size")
            }
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
    /// Takes in a new connection from listener number `listener`, and returns how to call it. It may
    /// have to wait before it is read from ([`Bus::may_read`]). When too many of its user wait, it is
    /// gone when this returns, and [`Effect::Close`] says so.
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
        self.receive_newcomer(id);
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
        // The message is counted when its end is there.
        self.note_sent(id, 0, size);
        self.handle_received(id, &[], fds);
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
        self.expire_starts();
        self.expire_pauses();
        self.retry_stalled();
        self.expire_spare_buffers();
        self.begin_reload();
    }

    /// Forgets a client: gives up its names, ends its calls in both directions, drops its rules and
    /// tells everybody who watches (protocol.md A134, A147). Who holds much of that takes a while to
    /// go (`departures.rs`).
    pub(super) fn disconnect(&mut self, id: ClientId, reason: Disconnection) {
        if self.departures.contains(&id) {
            return;
        }
        let held = self.held_count();
        let Some(client) = self.clients.get_mut(id) else { return };
        self.held_peak = self.held_peak.max(held);
        client.leaving = true;
        let was_in_handshake = client.is_in_handshake();
        let last_words = if was_in_handshake { client.outbox.to_vec() } else { Vec::new() };
        let is_told = !matches!(reason, Disconnection::ByClient | Disconnection::ByBus);
        if is_told && self.may_log_disconnection(id) {
            let who = self.describe(id);
            let rule = self.rule_behind(reason);
            self.log(LogRecord::new(
                reason.log_severity(),
                &format_args!("Disconnected client {who}: {reason}{rule}"),
            ));
        }
        self.incomplete_count -= u32::from(was_in_handshake);
        self.forget_refusals(id);
        self.forget_newcomer(id);
        self.drop_held_of(id);
        self.forget_slow_receiver(id);
        self.forget_half_message(id);
        self.monitors.remove_client(id);
        self.effects.push_back(Effect::Close { client: id, last_words });
        if reason != Disconnection::ByClient {
            // Nobody knows what it has read since the host looked last.
            self.note_unread(id);
        }
        self.depart(id);
    }

    /// The end of a client that has given up everything.
    pub(super) fn forget(&mut self, id: ClientId) {
        self.clients.remove(id);
        self.trim_queues();
        self.begin_handshakes();
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

    /// Lets go of memory once most of the messages have left that waited for slow clients: what is free lies
    /// between what is in use, where the allocator keeps it.
    #[cold]
    pub(super) fn watch_waiting_bytes(&mut self) {
        let waiting = self.clients.users().bytes();
        self.bytes_seen = waiting;
        if waiting >= self.bytes_peak / 4 {
            self.bytes_peak = self.bytes_peak.max(waiting);
        } else {
            if self.bytes_peak >= GIVEN_BACK_SIZE_MIN {
                self.effects.push_back(Effect::GiveBackMemory);
            }
            self.bytes_peak = waiting;
        }
    }

    /// All things that tables grow with.
    fn held_count(&self) -> usize {
        let rules = self.matches.len() + self.eavesdroppers.len() + self.monitors.len();
        self.clients.len() + self.names.total_count() as usize + rules as usize + self.replies.len()
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
        client.incoming.fds.extend(fds.drain(..));
        // INVARIANT: a process has fewer descriptors than 2^32.
        let waiting = client.incoming.fds.len() as u32;
        client.incoming.fds_peak = client.incoming.fds_peak.max(waiting);
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
        if self.fd_queue.is_empty() && incoming.fds.is_empty() && incoming.fds_refused == 0 {
            if !client.has_small_queues() {
                self.settle_share(id);
            }
            return Ok(());
        }
        let own_limits = client.own_limits.as_deref();
        let fds_max = message_unix_fds_max(own_limits.unwrap_or(&self.settings.limits));
        if !incoming.is_partial() && !incoming.is_put_off() {
            incoming.fds.clear();
            incoming.fds_refused = 0;
        }
        let fd_count = incoming.fds.len() as u64 + u64::from(incoming.fds_refused);
        if !incoming.is_put_off() && fd_count > fds_max {
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
        self.settle_fd_share(id);
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
}

/// Descriptors that may wait for their message: at least those of a message that is half read and
/// of the next one, which may begin in the read that ends the first.
fn fds_waiting_max(limits: &bus_policy::config::Limits) -> usize {
    let two_messages = limits.message_unix_fds_max.saturating_mul(2);
    usize::try_from(limits.incoming_unix_fds_max.max(two_messages)).unwrap_or(usize::MAX)
}
