//! Clients that are sent more than they read.
//!
//! What waits for one client is bounded by `max_outgoing_bytes` (config.md B029). Before a flood of
//! messages for it alone comes to that, those who send them are slowed: when more than
//! [`slow_receiver_size_max`] bytes of such messages wait, or more than [`slow_receiver_fds_max`]
//! descriptors, an *episode* of congestion begins, and
//! who adds to them is *paused*, that is, not read from and given no turns, until less than half of
//! that waits or [`SENDER_PAUSE_MS`] have passed. Each sender is paused once in an episode and then
//! runs on until the limit, where calls get LimitsExceeded. Nobody is disconnected for being slow.
//!
//! Nobody is paused on account of broadcasts, of messages of the bus, of a single message, however
//! long, or of what it sends to itself. Who serves others must not be stalled by those who ask much and
//! read little: a sender is paused once in [`SENDER_PAUSE_GAP_MS`], on whose account ever, and one that
//! owns a well-known name never on account of another user. Since a pause ends by time, two clients that
//! flood each other wait for each other no longer than that.
//!
//! The log names who is paused, and for whom, at most once in [`PAUSE_LOG_GAP_MS`].
//!
//! Who is left out of broadcasts, because of its limit or because a user has sent it too much
//! (`backlog.rs`), is named in the log twice: when that begins, and when less than a quarter of the limit
//! waits or the client goes, with how many it missed.
//!
//! Invariants: a paused client stands in `pauses` once; its recipient's episode has not ended. A
//! client's `waited_for` lists no more episodes than there are.

use std::collections::VecDeque;

use bus_policy::Verdict;
use bus_policy::config::Limits;
use smallvec::SmallVec;

use super::backlog::{Backlog, Crowder, Overdrawn};
use super::client::{Client, ClientTable, Outgoing};
use super::id::{ClientId, Timestamp};
use super::limits::{
    PAUSE_LOG_GAP_MS, SENDER_PAUSE_GAP_MS, SENDER_PAUSE_MS, slow_receiver_fds_max,
    slow_receiver_size_max,
};
use super::log::{LogRecord, Severity};
use super::policing::{Gate, Watch};
use super::{Bus, Effect};

/// Everybody who is paused, and which episodes there were.
#[derive(Debug, Default)]
pub(super) struct SlowReceivers {
    /// In the order in which they end; perhaps with some that have ended early.
    pauses: VecDeque<Pause>,
    /// How many episodes there were: the number of the last one.
    episodes: u64,
    /// From when on a pause is told to the log.
    log_from: Timestamp,
    /// Nobody is paused any more, since the bus is about to end.
    is_off: bool,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    until: Timestamp,
    sender: ClientId,
    recipient: ClientId,
}

impl SlowReceivers {
    /// When the next pause ends.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.pauses.front().map(|pause| pause.until)
    }
}

/// What is kept of a client that sent too much, or was sent too much.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// The episode of congestion that it is in; 0 for none.
    episode: u64,
    /// For whom it is paused.
    paused_for: Option<ClientId>,
    /// Episodes in which it was paused, and of whom; perhaps some that have ended.
    waited_for: SmallVec<[(ClientId, u64); 1]>,
    /// From when on it may be paused again.
    pause_from: Timestamp,
    /// Broadcasts that left it out and that the log does not know of yet.
    left_out: u64,
    /// Whether the log knows that they do.
    is_told_left_out: bool,
    /// Whose messages wait for it.
    pub(super) backlog: Backlog,
}

impl Flow {
    /// How many broadcasts left it out, if the log was told that they begin to.
    fn take_missed(&mut self) -> u64 {
        let missed = std::mem::take(&mut self.left_out);
        if std::mem::take(&mut self.is_told_left_out) { missed } else { 0 }
    }
}

impl Client {
    /// Whether it is not to be read from and has no turns: for having sent somebody more than they
    /// read.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.flow.as_ref().is_some_and(|flow| flow.paused_for.is_some())
    }

    /// Whether so much waits for it that those who send more are paused.
    pub(super) fn is_congested(&self) -> bool {
        self.episode() != 0
    }

    /// For whom it is paused.
    pub(super) fn paused_for(&self) -> Option<ClientId> {
        self.flow.as_ref()?.paused_for
    }

    /// How many broadcasts have left it out since it began not to read.
    pub(super) fn left_out(&self) -> u64 {
        self.flow.as_ref().map_or(0, |flow| flow.left_out)
    }

    fn episode(&self) -> u64 {
        self.flow.as_ref().map_or(0, |flow| flow.episode)
    }

    /// Whether so many descriptors wait for it alone that those who send more are slowed.
    fn has_many_fds(&self, of_bus: &Limits) -> bool {
        self.outbox.unicast_fds() > slow_receiver_fds_max(self.limits(of_bus))
    }

    /// Whether so much has been read of what waited that a limit which was reached is far again.
    fn has_recovered(&self, limits: &Limits) -> bool {
        self.outbox.bytes() as u64 <= limits.outgoing_bytes_max / 4
            && self.outbox.fds() as u64 <= limits.outgoing_unix_fds_max / 4
    }
}

impl ClientTable {
    /// Queues one message that is for this client alone. Answers whether too many such messages wait
    /// for it.
    pub(super) fn push_unicast(
        &mut self,
        recipient: ClientId,
        outgoing: &Outgoing<'_>,
        limits: &Limits,
    ) -> bool {
        let Some(client) = self.push(recipient, outgoing) else { return false };
        let max = slow_receiver_size_max(client.limits(limits));
        let waiting = client.outbox.unicast_bytes();
        client.outbox.note_unicast(outgoing.size(), outgoing.fds.is_some());
        let is_too_much = client.outbox.unicast_bytes() > max
            || outgoing.fds.is_some() && client.has_many_fds(limits);
        waiting > 0 && is_too_much
    }
}

impl Bus {
    /// When somebody who waits for others may go on.
    pub(super) fn next_retry(&self) -> Option<Timestamp> {
        let pause = self.slow_receivers.next_deadline();
        match self.half_messages.next_deadline() {
            None => pause,
            Some(retry) => Some(pause.map_or(retry, |pause| pause.min(retry))),
        }
    }

    /// Whether this client has no turns at the moment.
    pub(super) fn is_paused(&self, id: ClientId) -> bool {
        !self.slow_receivers.pauses.is_empty()
            && self.clients.get(id).is_some_and(Client::is_paused)
    }

    /// Whether this client is not to be read from until [`Effect::ReadAgain`].
    #[must_use]
    pub fn waits_for_others(&self, id: ClientId) -> bool {
        self.clients.get(id).is_some_and(|client| client.is_paused() || client.hold.waits())
    }

    /// Gives one message of a client, or of the bus, to all of `scratch.recipients` that can take it and
    /// that the policy does not deny it, but not to `addressee` and those `refused`. Nobody else is told
    /// about those left out, but the log. Returns whether a rule asks for a log line, and who was denied
    /// it, if that is to be noted.
    pub(super) fn push_copies(
        &mut self,
        sender: Option<ClientId>,
        outgoing: &Outgoing<'_>,
        addressee: Option<ClientId>,
        refused: &[ClientId],
        watch: Option<&Watch<'_>>,
    ) -> (Option<Verdict>, Vec<ClientId>) {
        let mut newly_left_out = SmallVec::<[(ClientId, Option<Overdrawn>); 4]>::new();
        let Self { clients, scratch, settings, policies, pools, .. } = self;
        let crowder = sender.and_then(|sender| Crowder::of(clients, sender));
        let pushes = clients.pushes();
        let mut gate = watch.map(|watch| Gate::new(policies, watch));
        let others = scratch.recipients.iter().filter(|one| Some(*one) != addressee);
        for recipient in others.filter(|one| !refused.contains(one)) {
            let (mut is_left_out, mut is_behind) = (false, false);
            let mut overdrawn = None;
            let pushed = clients.push_if(recipient, outgoing, |client, users| {
                if gate.as_mut().is_some_and(|gate| !gate.is_open_for(client)) {
                    return false;
                }
                let with_fds = outgoing.fds.is_some();
                let is_able = !with_fds || client.unix_fds;
                is_behind = client.has_charged_queues() && client.has_shared_backlog();
                if let Some(crowder) = &crowder
                    && (is_behind || with_fds)
                {
                    overdrawn = crowder.overdrawn(client, &settings.limits, with_fds);
                }
                is_left_out = is_able
                    && (overdrawn.is_some()
                        || !client.takes_copy(users, pools, &settings.limits, with_fds));
                is_able && !is_left_out
            });
            if is_behind && let (Some(client), Some(crowder)) = (pushed, &crowder) {
                client.note_backlog(crowder.uid, outgoing.size());
            }
            if is_left_out && let Some(client) = clients.get_mut(recipient) {
                let flow = client.flow.get_or_insert_default();
                flow.left_out += 1;
                if flow.left_out == 1 {
                    newly_left_out.push((recipient, overdrawn));
                }
            }
        }
        let pushes = clients.pushes() - pushes;
        clients.weigh(outgoing, pushes);
        let noted = gate.map_or((None, Vec::new()), |gate| (gate.log, gate.denied));
        for (client, overdrawn) in newly_left_out {
            let is_told = self.may_log_left_out(client);
            if is_told {
                self.log_left_out(client, overdrawn);
            }
            let flow = self.clients.get_mut(client).and_then(|client| client.flow.as_mut());
            flow.into_iter().for_each(|flow| flow.is_told_left_out = is_told);
        }
        noted
    }

    /// Something of what waited for this client is gone: perhaps its senders may go on, or it gets
    /// broadcasts again.
    #[cold]
    pub(super) fn handle_drained(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let limits = client.limits(&self.settings.limits);
        let is_eased = client.outbox.unicast_bytes() <= slow_receiver_size_max(limits) / 2
            && client.outbox.unicast_fds() <= slow_receiver_fds_max(limits) / 2;
        let has_recovered = client.has_recovered(limits);
        let written = client.outbox.written();
        let Some(flow) = &mut client.flow else { return };
        flow.backlog.forget(written);
        let missed = if has_recovered { flow.take_missed() } else { 0 };
        if flow.episode != 0 && is_eased {
            flow.episode = 0;
            self.end_pauses_for(id);
        }
        self.log_missed(id, missed);
    }

    /// This client goes, and with it what others wait for.
    pub(super) fn forget_slow_receiver(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let Some(mut flow) = client.flow.take() else { return };
        if flow.paused_for.is_some() {
            self.slow_receivers.pauses.retain(|pause| pause.sender != id);
        }
        if flow.episode != 0 {
            self.end_pauses_for(id);
        }
        self.log_missed(id, flow.take_missed());
    }

    /// Lets those go on who were paused long enough.
    pub(super) fn expire_pauses(&mut self) {
        while let Some(pause) = self.slow_receivers.pauses.front().copied()
            && pause.until <= self.now
        {
            self.slow_receivers.pauses.pop_front();
            self.end_pause(&pause);
        }
    }

    /// Lets everybody go on, for good.
    pub(super) fn end_all_pauses(&mut self) {
        self.slow_receivers.is_off = true;
        for pause in std::mem::take(&mut self.slow_receivers.pauses) {
            self.end_pause(&pause);
        }
    }

    /// Pauses a sender that added to too much, unless it has waited for that already.
    #[cold]
    pub(super) fn slow_down(&mut self, sender: ClientId, recipient: ClientId) {
        if sender == recipient || self.slow_receivers.is_off {
            return;
        }
        let episode = self.episode_of(recipient);
        let until = self.now.plus_ms(SENDER_PAUSE_MS);
        let flow = self.clients.get(sender).and_then(|client| client.flow.as_deref());
        let has_waited = flow.is_some_and(|flow| {
            self.now < flow.pause_from || flow.waited_for.contains(&(recipient, episode))
        });
        if !has_waited && !self.serves_others(sender, recipient) {
            self.pause(Pause { until, sender, recipient }, episode);
            self.log_pause(sender, recipient);
        }
    }

    /// Whether the sender is a service, and the recipient belongs to somebody else.
    fn serves_others(&self, sender: ClientId, recipient: ClientId) -> bool {
        let user_of = |id: ClientId| self.clients.get(id).map(|client| client.user);
        user_of(sender) != user_of(recipient) && self.names.owned_count(sender) > 1
    }

    fn log_pause(&mut self, sender: ClientId, recipient: ClientId) {
        if self.now < self.slow_receivers.log_from {
            return;
        }
        self.slow_receivers.log_from = self.now.plus_ms(PAUSE_LOG_GAP_MS);
        let outbox = self.clients.get(recipient).map(|client| &client.outbox);
        let (bytes, fds) =
            outbox.map_or((0, 0), |outbox| (outbox.unicast_bytes(), outbox.unicast_fds()));
        let (sender, recipient) = (self.describe(sender), self.describe(recipient));
        let text = format_args!(
            "{sender} is not read from for up to {SENDER_PAUSE_MS} ms: {bytes} bytes and {fds} file \
             descriptors of messages for {recipient} alone wait, which reads too slowly"
        );
        self.log(LogRecord::new(Severity::Info, &text));
    }

    /// The number of the recipient's episode, which begins now unless it has.
    fn episode_of(&mut self, recipient: ClientId) -> u64 {
        let Some(client) = self.clients.get_mut(recipient) else { return 0 };
        let flow = client.flow.get_or_insert_default();
        if flow.episode == 0 {
            self.slow_receivers.episodes += 1;
            flow.episode = self.slow_receivers.episodes;
        }
        flow.episode
    }

    fn pause(&mut self, pause: Pause, episode: u64) {
        let Some(client) = self.clients.get_mut(pause.sender) else { return };
        let mut flow = client.flow.take().unwrap_or_default();
        flow.waited_for.retain(|(recipient, number)| {
            self.clients.get(*recipient).is_some_and(|client| client.episode() == *number)
        });
        flow.waited_for.push((pause.recipient, episode));
        flow.paused_for = Some(pause.recipient);
        flow.pause_from = self.now.plus_ms(SENDER_PAUSE_GAP_MS);
        if let Some(client) = self.clients.get_mut(pause.sender) {
            client.flow = Some(flow);
        }
        self.slow_receivers.pauses.push_back(pause);
    }

    /// Lets those go on who wait for this client.
    fn end_pauses_for(&mut self, recipient: ClientId) {
        let mut ended = SmallVec::<[Pause; 4]>::new();
        self.slow_receivers.pauses.retain(|pause| {
            let is_over = pause.recipient == recipient;
            if is_over {
                ended.push(*pause);
            }
            !is_over
        });
        for pause in ended {
            self.end_pause(&pause);
        }
    }

    fn end_pause(&mut self, pause: &Pause) {
        let Some(client) = self.clients.get_mut(pause.sender) else { return };
        if let Some(flow) = &mut client.flow {
            flow.paused_for = None;
        }
        if client.incoming.is_put_off() {
            self.note_put_off(pause.sender);
        }
        self.effects.push_back(Effect::ReadAgain { client: pause.sender });
    }

    fn log_left_out(&mut self, id: ClientId, overdrawn: Option<Overdrawn>) {
        let Some(client) = self.clients.get(id) else { return };
        let (bytes, fds) = (client.outbox.bytes(), client.outbox.fds());
        let (limits, who) = (self.limits_of(id), self.describe(id));
        let Limits { outgoing_bytes_max, outgoing_unix_fds_max, .. } = limits;
        let text = match overdrawn {
            None => format!(
                "Broadcasts leave out {who} from now on: {bytes} bytes and {fds} file descriptors \
                 wait for it (max_outgoing_bytes={outgoing_bytes_max}, \
                 max_outgoing_unix_fds={outgoing_unix_fds_max}){}; find out why it does not read, or \
                 raise the limit",
                self.describe_backlog(id)
            ),
            Some(overdrawn) => format!(
                "Broadcasts of one user leave out {who} from now on: \
                 {overdrawn}; find out why it does not read, or who sends so many"
            ),
        };
        self.log(LogRecord::new(Severity::Warning, &format_args!("{text}")));
    }

    fn log_missed(&mut self, id: ClientId, missed: u64) {
        if missed > 0 {
            let who = self.describe(id);
            let text = format_args!("Broadcasts left out {who} {missed} times; that is over");
            self.log(LogRecord::new(Severity::Warning, &text));
        }
    }

    /// For [`Bus::check_invariants`].
    pub(super) fn check_slow_receivers(&self) {
        let pauses = &self.slow_receivers.pauses;
        for client in self.clients.iter() {
            let own = pauses.iter().filter(|pause| pause.sender == client.id).count();
            assert_eq!(own, usize::from(client.is_paused()), "{:?} in `pauses`", client.id);
            let turns = self.put_off_clients.iter().filter(|id| **id == client.id).count();
            let waits = client.incoming.is_put_off() && !client.is_paused();
            assert_eq!(turns, usize::from(waits), "{:?} among `put_off_clients`", client.id);
            assert!(client.outbox.unicast_bytes() <= client.outbox.bytes());
            client.check_backlog();
            let Some(flow) = &client.flow else { continue };
            let recipient = flow.paused_for.map(|id| self.clients.get(id).map(Client::episode));
            assert!(recipient.is_none_or(|episode| episode.is_some_and(|number| number > 0)));
            assert!(flow.waited_for.len() as u64 <= self.slow_receivers.episodes);
        }
        assert!(pauses.iter().is_sorted_by_key(|pause| pause.until), "in the order of ending");
    }
}
