//! Whose messages are handled when.
//!
//! What one read of a client brought may be hundreds of messages, and one message may go to thousands
//! of clients. So a client has a turn: its messages are handled until they have caused so much work
//! ([`WORK_PER_TURN_MAX`]); what is left is put off, and the client is not read from, until everybody
//! else who is ready has had a turn ([`Event::TurnsBegan`](super::Event)). Work is counted, not
//! timed, so that a simulation sees what the daemon does.
//!
//! Invariant: a client of whom something is put off stands in `put_off_clients` once.

use libbus::wire;

use super::Bus;
use super::id::ClientId;
use super::lifecycle::Disconnection;
use super::limits::WORK_PER_TURN_MAX;

impl Bus {
    /// Handles each whole message of the stream and keeps what is left of the last. Returns what
    /// there was no time for: the client's turn is over when it has caused enough work.
    fn handle_stream<'b>(
        &mut self,
        id: ClientId,
        bytes: &'b [u8],
    ) -> Result<&'b [u8], Disconnection> {
        let size_max = self.settings.limits.message_size_max;
        let Some(client) = self.clients.get(id) else { return Ok(&[]) };
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
            if self.work_done() >= turn_ends {
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
        let rest = self.handle_stream(id, bytes)?;
        if !rest.is_empty()
            && let Some(client) = self.clients.get_mut(id)
        {
            client.incoming.put_off(rest);
            self.put_off_clients.push(id);
        }
        self.settle_fds(id)
    }

    /// Goes on with each client of whom something was put off, for one turn; but not while the
    /// broadcasts that were caused before must be written first.
    pub(super) fn handle_put_off(&mut self) {
        if self.clients.bulk_writes_are_due() {
            return;
        }
        for id in std::mem::take(&mut self.put_off_clients) {
            if let Err(reason) = self.continue_put_off(id) {
                self.disconnect(id, reason);
            }
        }
    }

    fn continue_put_off(&mut self, id: ClientId) -> Result<(), Disconnection> {
        let Some(client) = self.clients.get_mut(id) else { return Ok(()) };
        let (bytes, done) = client.incoming.take_put_off();
        let rest = self.handle_stream(id, bytes.get(done..).unwrap_or_default())?.len();
        if rest > 0
            && let Some(client) = self.clients.get_mut(id)
        {
            client.incoming.put_off_rest(bytes, rest);
            self.put_off_clients.push(id);
        }
        self.settle_fds(id)
    }

    /// What was done so far, in units of about a tenth of a small message.
    fn work_done(&self) -> u64 {
        let rules = self.matches.work() + self.eavesdroppers.work() + self.monitors.work();
        10 * self.messages + 2 * rules + self.clients.pushes() + self.listed
    }
}
