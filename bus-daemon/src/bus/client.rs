//! One connected client, and the table of all of them.
//!
//! A client lives in a slot of the table; its [`ClientId`] names the slot and its generation, so
//! that an id which outlived its client finds nothing. The table also owns what all outboxes share
//! (the pool of buffers) and the queues of clients that got something and are to be written to:
//! whoever queues bytes does it through [`ClientTable::push`], and nobody is forgotten or written to
//! twice.
//!
//! There are two such queues, so that a flood of broadcasts does not delay a call and its reply:
//! what goes to few is urgent and leaves first; the many copies of a broadcast wait for it, and for
//! further broadcasts of the same read, since a write costs much the same for one message and for
//! twenty. The order of what one client gets does not depend on its queue.

mod charges;
mod hold;

use std::collections::VecDeque;
use std::rc::Rc;

use bus_policy::config::Limits;
use libbus::auth::ServerAuth;
use libbus::wire::MessageError;

use super::credentials::PeerCredentials;
use super::held_messages::Held;
use super::id::{ClientId, Timestamp};
use super::incoming::Incoming;
use super::limits::{
    BUS_MESSAGES_BEYOND_LIMIT_SIZE_MAX, QUEUED_SIZE_PER_WORK, UNCOUNTED_SIZE_MAX,
    UNWRITTEN_BROADCASTS_SIZE_MAX,
};
use super::outbox::{BufferPool, MessageFds, Outbox, OutgoingBody};
use super::passed::Passed;
use super::policing::Standing;
use super::quota::{ClientAmounts, UserId, UserTable};
use super::refusal_log::Refusals;
use super::slow_receivers::Flow;
use super::spare_buffers::SpareBuffers;
use super::unique_name::UniqueNameText;

pub(super) use hold::Hold;

/// What a client is allowed to do next, named for what the bus waits for.
#[derive(Debug)]
pub enum Phase {
    /// The handshake runs (protocol.md A068–A097).
    Authenticating(Box<ServerAuth>),
    /// Authenticated; only Hello is answered (protocol.md A120).
    WaitingForHello,
    /// Has a unique name and takes part.
    Registered,
    /// Sees what others send and may send nothing (protocol.md A203).
    Monitor,
}

/// What came from a client.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent {
    /// Messages that were handled.
    pub messages: u64,
    /// Bytes of those, and of the one that has not come to its end.
    pub bytes: u64,
}

/// One client.
#[derive(Debug)]
pub struct Client {
    /// Its own id.
    pub id: ClientId,
    /// Who is at the other end, from the kernel at the time of connecting.
    pub credentials: PeerCredentials,
    /// Which listener it came through.
    pub listener: u32,
    /// Whether its transport can carry descriptors.
    pub fds_possible: bool,
    /// Whether it negotiated descriptors.
    pub unix_fds: bool,
    /// See [`Phase`].
    pub phase: Phase,
    /// The uid that authentication proved; None for an anonymous client.
    pub uid: Option<u32>,
    /// Its unique name, from Hello on; a monitor keeps it here for the log only.
    pub unique: Option<UniqueNameText>,
    /// What the policy says about it, from Hello on.
    pub standing: Option<Standing>,
    /// What the policy let pass of what it sent, where that had to be asked.
    pub(super) passed: Option<Box<Passed>>,
    /// When it connected.
    pub connected_at: Timestamp,
    /// What it has sent, for statistics.
    pub sent: Sent,
    /// What it has sent of an incomplete message.
    pub incoming: Incoming,
    /// What it is owed.
    pub outbox: Outbox,
    /// Set when it reads no more and while it is being disconnected: nothing is queued for it any
    /// more.
    pub leaving: bool,
    /// Whose it is, for what it holds: by the kernel's word until it has authenticated.
    pub(super) user: UserId,
    /// Limits of its user or groups, where the configuration has some.
    pub(super) own_limits: Option<Rc<Limits>>,
    /// What its user is charged for it.
    charged: ClientAmounts,
    /// What is held of its messages until services have been started.
    pub(super) held: Option<Box<Held>>,
    /// Whether it has to wait for others before it is read from.
    pub(super) hold: Hold,
    /// How many of its messages were refused lately, if any were.
    pub(super) refusals: Option<Box<Refusals>>,
    /// How it stands with those whom it sends more than they read, or who send it more than it reads;
    /// nothing for a client with which that never happened.
    pub(super) flow: Option<Box<Flow>>,
    /// Whether it stands in the table's queue of clients to write to soon, and in that of the others.
    in_urgent: bool,
    in_bulk: bool,
    /// The last run of the table's `bulk` to which this client's messages added.
    bulk_run: u32,
}

impl Client {
    /// Whether it said Hello and is no monitor.
    #[must_use]
    pub const fn is_registered(&self) -> bool {
        matches!(self.phase, Phase::Registered)
    }

    /// Whether it has not proved yet who it is.
    #[must_use]
    pub const fn is_authenticating(&self) -> bool {
        matches!(self.phase, Phase::Authenticating(_))
    }

    /// Whether Hello is still to come.
    #[must_use]
    pub const fn is_incomplete(&self) -> bool {
        matches!(self.phase, Phase::Authenticating(_) | Phase::WaitingForHello)
    }

    /// Whether its queue is too full for another message, with descriptors or without (protocol.md
    /// A151): the limit is asked before a message is queued, so that one message may exceed it.
    // deviation: the reference takes nothing more for a client for whom too many descriptors wait;
    // here a message without descriptors is not refused on account of others that have some.
    #[must_use]
    pub fn is_full(&self, limits: &Limits, with_fds: bool) -> bool {
        let limits = self.limits(limits);
        self.outbox.bytes() as u64 > limits.outgoing_bytes_max
            || (with_fds && self.outbox.fds() as u64 > limits.outgoing_unix_fds_max)
    }

    /// Whether even the bus's own answers and signals to it no longer fit: they may go beyond the
    /// limit by a fixed amount, so that a client whose queue others filled still hears what became
    /// of its own calls.
    #[must_use]
    pub fn is_full_for_the_bus(&self, limits: &Limits) -> bool {
        let limits = self.limits(limits);
        let max = limits.outgoing_bytes_max.saturating_add(BUS_MESSAGES_BEYOND_LIMIT_SIZE_MAX);
        self.outbox.bytes() as u64 > max
    }

    /// The unique name, or what stands for it in a log line before there is one.
    #[must_use]
    pub fn name(&self) -> &str {
        self.unique.as_ref().map_or("(inactive)", UniqueNameText::as_str)
    }
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    client: Option<Box<Client>>,
}

/// All clients, and what their outboxes share.
#[derive(Debug, Default)]
pub struct ClientTable {
    slots: Vec<Slot>,
    free: Vec<u32>,
    users: UserTable,
    pool: BufferPool,
    /// Clients to write to. Each stands in each queue once at most.
    urgent: VecDeque<ClientId>,
    bulk: VecDeque<ClientId>,
    /// How often `bulk` had been empty and got a client.
    bulk_run: u32,
    /// Bytes that were queued without urgency since then.
    bulk_bytes: usize,
    pushes: u64,
    bulk_pushes: u64,
}

/// One message as its recipients get it.
#[derive(Clone, Debug)]
pub struct Outgoing<'a> {
    /// The header, or all of it if there is nothing in `body`.
    pub head: &'a [u8],
    /// The body.
    pub body: OutgoingBody<'a>,
    /// Its descriptors.
    pub fds: Option<&'a MessageFds>,
    /// The user who sent them.
    pub uid: Option<u32>,
    /// How soon it is to be written.
    pub urgency: Urgency,
}

impl<'a> Outgoing<'a> {
    /// A message in one piece.
    #[must_use]
    pub const fn whole(bytes: &'a [u8], fds: Option<&'a MessageFds>, urgency: Urgency) -> Self {
        Self { head: bytes, body: OutgoingBody::Copied(&[]), fds, uid: None, urgency }
    }

    /// All bytes of it.
    #[must_use]
    pub fn size(&self) -> usize {
        self.head.len() + self.body.bytes().len()
    }
}

/// How soon a message is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// With the first that are: somebody may wait for it.
    Urgent,
    /// After those: it is one of many copies, which together may take long.
    Bulk,
}

impl ClientTable {
    /// Takes in a client that has just connected.
    pub fn insert(
        &mut self,
        credentials: PeerCredentials,
        listener: u32,
        fds_possible: bool,
        auth: ServerAuth,
        now: Timestamp,
        is_privileged: bool,
    ) -> ClientId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            // INVARIANT: the host has far fewer descriptors than 2^32.
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let Some(slot) = self.slots.get_mut(index as usize) else {
            return ClientId { index, generation: u32::MAX };
        };
        let id = ClientId { index, generation: slot.generation };
        let user = self.users.enter(credentials.uid, is_privileged);
        slot.client = Some(Box::new(Client {
            id,
            credentials,
            listener,
            fds_possible,
            unix_fds: false,
            phase: Phase::Authenticating(Box::new(auth)),
            uid: None,
            unique: None,
            standing: None,
            passed: None,
            connected_at: now,
            sent: Sent::default(),
            incoming: Incoming::default(),
            outbox: Outbox::default(),
            leaving: false,
            user,
            own_limits: None,
            charged: ClientAmounts::default(),
            held: None,
            hold: Hold::None,
            refusals: None,
            flow: None,
            in_urgent: false,
            in_bulk: false,
            bulk_run: 0,
        }));
        id
    }

    /// Lets a client go; its slot is free for the next one.
    pub fn remove(&mut self, id: ClientId) -> Option<Box<Client>> {
        let slot = self.slots.get_mut(id.index as usize)?;
        if slot.generation != id.generation {
            return None;
        }
        let mut client = slot.client.take()?;
        client.incoming.end_loan(&mut self.pool.spares);
        self.users.leave(client.user, &client.charged.to_amounts());
        self.pool.close_sent_fds();
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.index);
        Some(client)
    }

    /// Queues one message for one client and notes that it is to be written to. Returns the client
    /// that got it.
    pub fn push(&mut self, id: ClientId, message: &Outgoing<'_>) -> Option<&mut Client> {
        self.weigh(message, 1);
        self.push_if(id, message, |_, _| true)
    }

    /// So many clients got a message: what its size costs beside the number.
    pub fn weigh(&mut self, message: &Outgoing<'_>, count: u64) {
        self.pushes += count * (message.size() / QUEUED_SIZE_PER_WORK) as u64;
    }

    /// Queues one message for one client that `can_take` it.
    pub fn push_if(
        &mut self,
        id: ClientId,
        message: &Outgoing<'_>,
        can_take: impl FnOnce(&Client, &UserTable) -> bool,
    ) -> Option<&mut Client> {
        let Self {
            slots,
            users,
            pool,
            urgent,
            bulk,
            bulk_run,
            bulk_bytes,
            pushes,
            bulk_pushes,
            ..
        } = self;
        let slot = slots.get_mut(id.index as usize).filter(|s| s.generation == id.generation);
        let client = slot?.client.as_deref_mut()?;
        if client.leaving || !can_take(client, users) {
            return None;
        }
        let fds = message.fds.map(|fds| (fds, message.uid));
        client.outbox.push(pool, message.head, &message.body, fds);
        if client.outbox.bytes() > UNCOUNTED_SIZE_MAX || message.fds.is_some() {
            client.charge_queues(users);
        }
        *pushes += 1;
        match message.urgency {
            Urgency::Urgent if !client.in_urgent => {
                client.in_urgent = true;
                urgent.push_back(id);
            }
            Urgency::Urgent => {}
            Urgency::Bulk => {
                if bulk.is_empty() {
                    (*bulk_run, *bulk_bytes) = (bulk_run.wrapping_add(1), 0);
                }
                *bulk_bytes += message.size();
                *bulk_pushes += 1;
                if !client.in_bulk && !client.in_urgent {
                    client.in_bulk = true;
                    bulk.push_back(id);
                }
            }
        }
        Some(client)
    }

    /// How many messages were queued so far, for all clients together.
    #[must_use]
    pub const fn pushes(&self) -> u64 {
        self.pushes
    }

    /// Queues lines of the handshake.
    pub fn push_bytes(&mut self, id: ClientId, bytes: &[u8]) {
        if !bytes.is_empty()
            && let Some(client) = self.push(id, &Outgoing::whole(bytes, None, Urgency::Urgent))
        {
            client.outbox.note_lines();
        }
    }

    /// The next client that got something urgent since it was last returned here.
    pub fn poll_urgent_write(&mut self) -> Option<ClientId> {
        loop {
            let id = self.urgent.pop_front()?;
            if let Some(client) = self.get_mut(id) {
                client.in_urgent = false;
                return Some(id);
            }
        }
    }

    /// The next client that got something else since it was last written to.
    pub fn poll_bulk_write(&mut self) -> Option<ClientId> {
        loop {
            let id = self.bulk.pop_front()?;
            if let Some(client) = self.get_mut(id) {
                client.in_bulk = false;
                if !client.outbox.is_empty() {
                    return Some(id);
                }
            }
        }
    }

    /// Whether somebody got something urgent.
    #[must_use]
    pub fn has_urgent_writes(&self) -> bool {
        !self.urgent.is_empty()
    }

    /// Whether somebody got something that is not urgent.
    #[must_use]
    pub fn has_bulk_writes(&self) -> bool {
        !self.bulk.is_empty()
    }

    /// How many messages were queued without urgency so far.
    #[must_use]
    pub const fn bulk_pushes(&self) -> u64 {
        self.bulk_pushes
    }

    /// Which run this is of clients that wait for what is not urgent; a run ends when none waits.
    #[must_use]
    pub const fn bulk_run(&self) -> u32 {
        self.bulk_run
    }

    /// Notes that a message of this client added to the present run.
    pub fn note_bulk(&mut self, id: ClientId) {
        let run = self.bulk_run;
        if let Some(client) = self.get_mut(id) {
            client.bulk_run = run;
        }
    }

    /// Whether this client added to the present run.
    #[must_use]
    pub fn has_bulk_under_way(&self, id: ClientId) -> bool {
        self.has_bulk_writes() && self.get(id).is_some_and(|one| one.bulk_run == self.bulk_run)
    }

    /// Whether so much waits without urgency that those who added it must wait, too.
    #[must_use]
    pub fn bulk_writes_are_due(&self) -> bool {
        self.has_bulk_writes() && self.bulk_bytes >= UNWRITTEN_BROADCASTS_SIZE_MAX
    }

    /// Keeps the beginning of a message: see [`Incoming::fill`].
    ///
    /// # Errors
    /// As there.
    pub fn fill<'b>(
        &mut self,
        id: ClientId,
        bytes: &'b [u8],
        message_size_max: u32,
    ) -> Result<&'b [u8], MessageError> {
        let Some((client, spares)) = self.with_spares(id) else { return Ok(&[]) };
        client.incoming.fill(bytes, message_size_max, spares)
    }

    /// The message that is half read, if all of it has arrived.
    pub fn take_complete(&mut self, id: ClientId) -> Option<Rc<Vec<u8>>> {
        let (client, spares) = self.with_spares(id)?;
        let message = client.incoming.take_complete(spares)?;
        if client.has_charged_queues() {
            self.charge_queues(id);
        }
        Some(message)
    }

    /// Where the rest of a large message is to be read into: see [`Incoming::space`].
    pub fn receive_space(&mut self, id: ClientId) -> Option<&mut [u8]> {
        let (client, spares) = self.with_spares(id)?;
        client.incoming.space(spares)
    }

    /// Buffers of large messages.
    pub const fn spares(&mut self) -> &mut SpareBuffers {
        &mut self.pool.spares
    }

    fn with_spares(&mut self, id: ClientId) -> Option<(&mut Client, &mut SpareBuffers)> {
        let slot =
            self.slots.get_mut(id.index as usize).filter(|s| s.generation == id.generation)?;
        Some((slot.client.as_deref_mut()?, &mut self.pool.spares))
    }

    /// `size` bytes were written to this client. Answers whether somebody may have waited for that.
    pub fn handle_written(&mut self, id: ClientId, size: usize) -> bool {
        let Self { slots, users, pool, .. } = self;
        let slot = slots.get_mut(id.index as usize).filter(|s| s.generation == id.generation);
        let Some(client) = slot.and_then(|slot| slot.client.as_deref_mut()) else { return false };
        client.outbox.handle_written(pool, size);
        if client.has_charged_queues() {
            client.charge_queues(users);
        }
        if client.outbox.is_empty() {
            pool.close_sent_fds();
        }
        client.flow.is_some()
    }

    /// Closes descriptors that have left.
    pub fn close_sent_fds(&mut self) {
        self.pool.close_sent_fds();
    }

    /// Lets go of what this client is owed, and of all it would be owed later: it reads no more.
    pub fn close_writing(&mut self, id: ClientId) {
        if let Some(client) = self.get_mut(id) {
            client.leaving = true;
            client.outbox = Outbox::default();
        }
        self.charge_queues(id);
    }

    /// Lets go of what this client is owed and of what of it was not handled: it has no socket any more.
    pub fn close(&mut self, id: ClientId) {
        let Self { slots, pool, .. } = self;
        let slot = slots.get_mut(id.index as usize).filter(|s| s.generation == id.generation);
        if let Some(client) = slot.and_then(|slot| slot.client.as_deref_mut()) {
            client.incoming.end_loan(&mut pool.spares);
            client.incoming = Incoming::default();
        }
        self.close_writing(id);
    }

    /// Takes the next message out of this client's outbox: see [`Outbox::drop_next_message`].
    pub fn drop_next_message(&mut self, id: ClientId) -> Option<Vec<u8>> {
        let Self { slots, pool, .. } = self;
        let slot = slots.get_mut(id.index as usize).filter(|s| s.generation == id.generation)?;
        let dropped = slot.client.as_deref_mut()?.outbox.drop_next_message(pool);
        self.charge_queues(id);
        dropped
    }

    /// Lets go of buffers that wait for reuse.
    pub fn give_back(&mut self) {
        self.pool.clear();
        self.urgent.shrink_to_fit();
        self.bulk.shrink_to_fit();
    }

    /// The client, unless it is gone.
    #[must_use]
    pub fn get(&self, id: ClientId) -> Option<&Client> {
        let slot = self.slots.get(id.index as usize)?;
        slot.client.as_deref().filter(|_| slot.generation == id.generation)
    }

    /// The client, unless it is gone.
    pub fn get_mut(&mut self, id: ClientId) -> Option<&mut Client> {
        let slot = self.slots.get_mut(id.index as usize)?;
        let generation = slot.generation;
        slot.client.as_deref_mut().filter(|_| generation == id.generation)
    }

    /// All clients, in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = &Client> {
        self.slots.iter().filter_map(|slot| slot.client.as_deref())
    }

    /// How many clients there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether there is no client.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
