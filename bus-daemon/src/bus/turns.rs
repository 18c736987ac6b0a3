//! Whose messages are handled when.
//!
//! What one read of a client brought may be hundreds of messages, and one message may go to thousands
//! of clients. So a client has a turn: its messages are handled until they have caused so much work
//! ([`WORK_PER_TURN_MAX`]); what is left is put off, and the client is not read from, until everybody
//! else who is ready has had a turn ([`Event::TurnsBegan`](super::Event)). Work is counted, not
//! timed, so that a simulation sees what the daemon does.
//!
//! The copies of large broadcasts are not urgent (`client.rs`). They leave in portions; a client that
//! causes more of them than leave has no turn and is not read from until all are written, so that
//! overload slows those who cause it and nobody else.
//!
//! Where there are several users, each has so much of a round ([`USER_WORK_PER_ROUND`]), however many
//! clients it has; who has done more has no turn for as many rounds as that is worth, unless nobody else
//! has anything to do.
//!
//! A client that is paused (`slow_receivers.rs`) has no turns until its pause ends.
//!
//! Invariant: a client of whom something is put off stands in `put_off_clients` once, or is paused.

use libbus::wire;

use super::Bus;
use super::id::ClientId;
use super::lifecycle::Disconnection;
use super::limits::{
    HELD_BROADCASTS_TURN_COUNT_MAX, READ_SIZE_PER_WORK, READ_WORK, USER_WORK_PER_ROUND,
    WORK_PER_TURN_MAX,
};
use super::quota::UserId;

/// The begin of what is done for a user.
#[derive(Clone, Copy)]
pub(super) struct Turn {
    user: UserId,
    work_before: u64,
    /// What the read was worth, if it was one.
    reading: u64,
}

impl Bus {
    /// A round begins: everybody who is ready may be read from again. When nobody had a turn in the one
    /// before, those go on who wait for the fewest rounds.
    ///
    /// A host that waits for reads calls it before those; else the round begins with
    /// [`Event::TurnsBegan`](super::Event).
    pub fn begin_round(&mut self) {
        self.round_began = true;
        let passed = match std::mem::take(&mut self.had_turns) {
            true => 1,
            false => {
                let least = self.clients.users().least_work_above(WORK_PER_TURN_MAX, self.rounds);
                let beyond = least.map_or(0, |work| work - WORK_PER_TURN_MAX);
                beyond.div_ceil(USER_WORK_PER_ROUND).max(1)
            }
        };
        self.rounds += passed;
    }

    /// Whether a client is not read from in this round, since its user has done enough.
    #[must_use]
    pub fn waits_its_turn(&self, id: ClientId) -> bool {
        self.has_worked(id, WORK_PER_TURN_MAX)
    }

    /// Whether more than so much was done for a client's user, beside others.
    fn has_worked(&self, id: ClientId, max: u64) -> bool {
        let users = self.clients.users();
        users.are_several()
            && self.clients.get(id).is_some_and(|client| users.work(client.user, self.rounds) > max)
    }

    /// `read`: how many bytes were. `None`: there is nobody beside its user.
    pub(super) fn begin_turn(&self, id: ClientId, read: usize) -> Option<Turn> {
        if !self.clients.users().are_several() {
            return None;
        }
        let user = self.clients.get(id)?.user;
        let reading = READ_WORK + (read / READ_SIZE_PER_WORK) as u64;
        Some(Turn { user, work_before: self.work_done(), reading })
    }

    pub(super) fn end_turn(&mut self, turn: Option<Turn>) {
        self.had_turns = true;
        if let Some(Turn { user, work_before, reading }) = turn {
            let work = self.work_done() - work_before + reading;
            self.clients.add_work(user, self.rounds, work);
        }
    }

    /// Handles each whole message of the stream and keeps what is left of the last. Returns what
    /// there was no time for: the client's turn is over when it has caused enough work.
    fn handle_stream<'b>(
        &mut self,
        id: ClientId,
        bytes: &'b [u8],
    ) -> Result<&'b [u8], Disconnection> {
        let Some(client) = self.clients.get(id) else { return Ok(&[]) };
        let size_max = client.limits(&self.settings.limits).message_size_max;
        if client.is_paused() {
            return Ok(bytes);
        }
        let mut rest = bytes;
        if client.incoming.is_partial() {
            rest = self.clients.fill(id, rest, size_max).map_err(Disconnection::Malformed)?;
            let Some(message) = self.clients.take_complete(id) else { return Ok(&[]) };
            self.handle_message(id, &message, Some(&message))?;
            self.clients.spares().give_back_shared(message);
        }
        let turn_ends = self.work_done() + WORK_PER_TURN_MAX;
        while let Some(frame) = wire::frame(rest, size_max).map_err(Disconnection::Malformed)? {
            let Some((message, after)) = rest.split_at_checked(frame.message_size()) else { break };
            if self.work_done() >= turn_ends || self.is_paused(id) {
                return Ok(rest);
            }
            self.handle_message(id, message, None)?;
            rest = after;
        }
        if !rest.is_empty() {
            self.clients.fill(id, rest, size_max).map_err(Disconnection::Malformed)?;
        }
        Ok(&[])
    }

    /// Handles what came in one read, and leaves the rest for later when the client's turn is over
    /// (the class of CVE-2014-3638).
    pub(super) fn handle_read(&mut self, id: ClientId, bytes: &[u8]) -> Result<(), Disconnection> {
        let messages = self.messages;
        let rest = self.handle_stream(id, bytes)?;
        self.note_sent(id, self.messages - messages, bytes.len() - rest.len());
        if !rest.is_empty()
            && let Some(client) = self.clients.get_mut(id)
        {
            client.incoming.put_off(rest);
            self.note_put_off(id);
        }
        self.settle_fds(id)
    }

    /// For statistics: a client's turn is over, in which so much of what it sent was handled.
    pub(super) fn note_sent(&mut self, id: ClientId, messages: u64, size: usize) {
        self.bytes += size as u64;
        if let Some(client) = self.clients.get_mut(id) {
            client.sent.messages += messages;
            client.sent.bytes += size as u64;
        }
    }

    /// Goes on with each client of whom something was put off, for one turn; but not with those
    /// whose broadcasts must be written first, or whose user has done enough.
    pub(super) fn handle_put_off(&mut self) {
        if !std::mem::take(&mut self.round_began) {
            self.begin_round();
            self.round_began = false;
        }
        self.turns += 1;
        self.broadcasts_continue = false;
        let mut waiting = Vec::new();
        for id in std::mem::take(&mut self.put_off_clients) {
            if self.must_wait_for_writes(id) {
                self.note_put_off(id);
                continue;
            }
            if self.has_worked(id, USER_WORK_PER_ROUND) {
                waiting.push(id);
                continue;
            }
            let turn = self.begin_turn(id, 0);
            if let Err(reason) = self.continue_put_off(id) {
                self.disconnect(id, reason);
            }
            self.end_turn(turn);
        }
        if !waiting.is_empty() {
            self.put_off_first(waiting);
        }
        self.continue_departures();
    }

    /// Those who had no turn have theirs before those who had one.
    #[cold]
    fn put_off_first(&mut self, waiting: Vec<ClientId>) {
        let others = std::mem::take(&mut self.put_off_clients);
        for id in waiting.into_iter().chain(others) {
            self.note_put_off(id);
        }
    }

    /// Whether a client has caused broadcasts, and so much of them is unwritten that it must not
    /// cause more. Who gets them has no part in this: a recipient that does not read is not waited
    /// for.
    pub(super) fn must_wait_for_writes(&self, id: ClientId) -> bool {
        self.clients.bulk_writes_are_due() && self.clients.has_bulk_under_way(id)
    }

    /// Whether broadcasts are not written yet, because those who caused them are not done and each
    /// recipient will get more. They wait for a bounded number of turns and of bytes.
    pub(super) fn holds_broadcasts(&mut self) -> bool {
        let run = self.clients.bulk_run();
        if self.held_since.0 != run {
            self.held_since = (run, self.turns);
        }
        let held_for = self.turns - self.held_since.1;
        self.broadcasts_continue
            && self.has_put_off()
            && held_for < HELD_BROADCASTS_TURN_COUNT_MAX
            && !self.clients.bulk_writes_are_due()
    }

    /// Notes that this client waits for a turn; not if it is paused, since that turn comes later.
    pub(super) fn note_put_off(&mut self, id: ClientId) {
        if self.is_paused(id) {
            return;
        }
        self.put_off_clients.push(id);
        self.broadcasts_continue |= self.clients.has_bulk_under_way(id);
    }

    fn continue_put_off(&mut self, id: ClientId) -> Result<(), Disconnection> {
        let Some(client) = self.clients.get_mut(id) else { return Ok(()) };
        let (bytes, done) = client.incoming.take_put_off();
        let stream = bytes.get(done..).unwrap_or_default();
        let messages = self.messages;
        let rest = self.handle_stream(id, stream)?.len();
        self.note_sent(id, self.messages - messages, stream.len() - rest);
        if rest > 0
            && let Some(client) = self.clients.get_mut(id)
        {
            client.incoming.put_off_rest(bytes, rest);
            self.note_put_off(id);
        }
        self.settle_fds(id)
    }

    /// What was done so far, in units of about a tenth of a small message.
    pub(super) fn work_done(&self) -> u64 {
        let rules = self.matches.work() + self.eavesdroppers.work() + self.monitors.work();
        // A refusal is explained, which takes as long as several messages that pass.
        10 * self.messages + 60 * self.refused + 2 * rules + self.clients.pushes() + self.other_work
    }
}
