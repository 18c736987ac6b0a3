//! The bus without an operating system.
//!
//! [`Bus`] is a state machine. The host tells it what happened with [`Bus::handle_event`] and asks
//! what to do with [`Bus::poll_effect`] (after each event) and [`Bus::poll_write`] (after all events
//! of a round, so that what a client got in one round leaves in one write). Between the two it reads
//! no clock, file or environment and waits for nothing: time, randomness and the answers of the
//! operating system arrive as arguments. The calling order:
//!
//! ```text
//! handle_connected ─┐
//! handle_event ─────┼─ poll_effect until None ─┐
//! ...               ┘   (once an event)        ├─ poll_write until None (once a round), each:
//!                                              │    write_batch → the host writes → Event::Written
//!                                              └─ next_deadline → how long the host may wait
//! ```
//!
//! Every message is handled in the order in which it was read, and each recipient gets its share of
//! that one order (protocol.md A144).
//!
//! Bounds: each table is limited by `bus_policy`'s limits, per connection and per user; what no
//! configuration limits is in [`limits`]. [`Bus::check_invariants`] says what must hold between the
//! tables after each event.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use bus_policy::config::Limits;
use bus_policy::config::limit_overrides::LimitOverrides;
use bus_policy::{Audience, PolicySet, UserPolicy};
use foldhash::fast::FixedState;
use libbus::auth::{CookieChallenge, Mechanism};
use libbus::guid::Guid;
use libbus::wire::ArgumentSpans;

pub mod activation;
pub mod client;
pub mod credentials;
pub mod driver;
pub mod id;
pub mod incoming;
pub mod limits;
pub mod log;
pub mod match_index;
pub mod mediation;
pub mod name_registry;
pub mod outbox;
pub mod pending_reply;
pub mod policing;
pub mod quota;
pub mod services;
pub mod spare_buffers;
pub mod unique_name;

mod backlog;
mod departures;
mod given;
mod half_messages;
mod handshake;
mod held_messages;
mod invariants;
mod lifecycle;
mod mediating;
mod newcomers;
mod own_limits;
mod passed;
mod refusal_log;
mod refusing;
mod reloading;
mod routing;
mod service_search;
mod shares;
mod slot_table;
mod slow_receivers;
mod start_places;
mod turns;

use activation::{Activation, ServiceEnd, StartId};
use client::{Client, ClientTable};
use credentials::PeerCredentials;
use driver::activation::ActivationEnvironment;
use driver::error_reply::StartFailure;
use given::Given;
use half_messages::HalfMessages;
use held_messages::Orphans;
use id::{ClientId, Timestamp};
use lifecycle::Disconnection;
use log::LogRecord;
use match_index::{MatchIndex, Recipients};
use mediation::Mediation;
use name_registry::NameRegistry;
use newcomers::Newcomers;
use outbox::{MessageFds, WriteSlices};
use pending_reply::PendingReplies;
use policing::Policies;
use quota::Pools;
use refusal_log::LoggedUsers;
use reloading::Reload;
use services::{Service, Services, Starter};
use slow_receivers::SlowReceivers;

/// Whether the file of this service has changed since it was read, or any, if none promises the name that
/// is wanted: then they are read again first (config.md B097).
pub type FilesChanged = Rc<dyn Fn(Option<&Service>) -> bool>;

/// What the bus is told once, at its start.
pub struct Identity {
    /// The bus-wide id that GetId returns (protocol.md A190).
    pub guid: Guid,
    /// The id of each address that is listened on, by the number that a client's connection brings.
    pub listener_guids: Vec<Guid>,
    /// The uid the bus runs as: it is privileged, as root is.
    pub own_uid: u32,
    /// How many descriptors the process may have.
    pub fds_max: u64,
    /// What the credential methods say about the bus itself.
    pub own_credentials: PeerCredentials,
    /// Whether SELinux mediates (protocol.md A188, A194).
    pub selinux_enabled: bool,
    /// That user's login name, for DBUS_COOKIE_SHA1.
    pub own_user_name: String,
    /// Mechanisms that clients may authenticate with, as configured (config.md B018).
    pub mechanisms: Vec<Mechanism>,
    /// Whether a client that authenticated as nobody may connect (config.md B016).
    pub allow_anonymous: bool,
    /// The machine's id, or why there is none: which error, and its text (protocol.md A237).
    pub machine_id: Result<Guid, MachineIdError>,
    /// Seeds the tables whose keys clients choose.
    pub hash_seed: u64,
    /// The security module of the kernel.
    pub mediation: Rc<dyn Mediation>,
    /// The name of a process, for log lines and refusals (protocol.md A241).
    pub process_name: fn(pid: i32) -> Option<String>,
    /// See [`FilesChanged`].
    pub files_changed: FilesChanged,
    /// Whether systemd starts the services that name a unit (config.md B098).
    pub systemd_activation: bool,
    /// The variables that the bus was started with and services inherit.
    pub environment: Vec<(String, String)>,
}

/// Why the machine's id is not known (protocol.md A237).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineIdError {
    /// The D-Bus error that GetMachineId answers with.
    pub error: libbus::names::ErrorName<'static>,
    /// What was wrong with which file.
    pub text: String,
}

/// What a reload may change (config.md B106).
#[derive(Clone, Debug)]
pub struct Settings {
    /// The configured limits.
    pub limits: Limits,
    /// Limits of single users and groups.
    pub limit_overrides: LimitOverrides,
    /// Who starts services.
    pub starter: Starter,
    /// Who may connect, send, receive and own what.
    pub policy: Arc<PolicySet>,
    /// Which services can be started.
    pub services: Arc<Services>,
}

/// Something that happened outside.
#[derive(Debug)]
pub enum Event<'a> {
    /// Bytes and descriptors arrived in one read. The descriptors are taken out of `fds`.
    Received {
        /// Who sent them.
        client: ClientId,
        /// The bytes; their handling is complete when the call returns.
        bytes: &'a [u8],
        /// The descriptors.
        fds: &'a mut Vec<OwnedFd>,
    },
    /// Bytes were read into [`Bus::receive_space`].
    ReceivedInPlace {
        /// Who sent them.
        client: ClientId,
        /// How many.
        size: usize,
        /// Descriptors that came with them.
        fds: &'a mut Vec<OwnedFd>,
    },
    /// Bytes of [`Bus::write_batch`] were written.
    Written {
        /// To whom.
        client: ClientId,
        /// How many.
        size: usize,
    },
    /// The other end reads no more. What it sent before is still to come: a program may say
    /// something and end while the bus is telling it something.
    WriteClosed {
        /// Whose.
        client: ClientId,
    },
    /// The client has read all that was written to it, which it [must](Bus::awaits_reading).
    AllRead {
        /// Who.
        client: ClientId,
    },
    /// The other end is gone, or about to, and left unread something that was written to it, or
    /// perhaps did. What it sent before is still to come.
    LeftUnread {
        /// Whose.
        client: ClientId,
    },
    /// The other end is gone, or its socket failed.
    Closed {
        /// Whose.
        client: ClientId,
    },
    /// The kernel had no room for descriptors that a client sent: they are lost (MSG_CTRUNC).
    FdsLost {
        /// Whose.
        client: ClientId,
    },
    /// The kernel would not take the descriptors of the message that is next to be written
    /// (ETOOMANYREFS): that message cannot be delivered, and its recipient is not to blame.
    FdsRefused {
        /// The recipient.
        client: ClientId,
    },
    /// The host looked for the cookie that [`Effect::FindCookie`] asked for.
    CookieFound {
        /// For whom.
        client: ClientId,
        /// The cookie and a fresh challenge, or nothing if there is no usable cookie.
        cookie: Option<CookieChallenge>,
    },
    /// The administrator asked for the configuration to be read again (config.md B105).
    ReloadRequested,
    /// A file has changed in a directory of the configuration (config.md B097, B105).
    FilesChanged,
    /// Service files were read again although the configuration could not be.
    ServicesFound {
        /// What was found.
        services: Arc<Services>,
    },
    /// What the policy of the [`Settings`] that come next says about those who are connected, compiled,
    /// which takes a while with thousands of rules; what is missing the bus compiles itself.
    PoliciesCompiled(Vec<(Audience, UserPolicy)>),
    /// The configuration was read again (config.md B106, B108).
    Reloaded {
        /// The new settings, or what was wrong.
        result: Result<Settings, String>,
    },
    /// A service that [`Effect::StartService`] asked for could not be started.
    StartFailed {
        /// Which start.
        start: StartId,
        /// Why.
        failure: StartFailure,
    },
    /// A process that was started ended badly, or well, and nothing is left of it.
    ServiceEnded {
        /// For which start.
        start: StartId,
        /// How.
        end: ServiceEnd,
    },
    /// Everybody who was ready has had a turn, and it is that of those of whom something was put
    /// off ([`Bus::has_put_off`]) again.
    TurnsBegan,
    /// A deadline may have passed.
    TimePassed,
    /// The bus is about to end: what was read is handled now, and nobody is paused any more.
    Stopping,
}

/// Something that the host is to do.
#[derive(Debug)]
pub enum Effect {
    /// Close this client's socket; the bus has forgotten the client.
    Close {
        /// Whose.
        client: ClientId,
        /// What to try to write first: the end of a handshake that failed, so that the client
        /// learns of it. Mostly empty.
        last_words: Vec<u8>,
    },
    /// Tell the administrator.
    Log(LogRecord),
    /// Find a DBUS_COOKIE_SHA1 cookie for this client and answer with [`Event::CookieFound`].
    FindCookie {
        /// For whom.
        client: ClientId,
        /// The cookie context (protocol.md A092).
        context: &'static str,
    },
    /// This client may be read from again, after [`Bus::may_read`] said no.
    ReadAgain {
        /// Whom.
        client: ClientId,
    },
    /// Read the configuration again and answer with [`Event::Reloaded`].
    Reload,
    /// Start a service, and answer with [`Event::StartFailed`] or, when it ends, with
    /// [`Event::ServiceEnded`].
    StartService {
        /// Which start.
        start: StartId,
        /// What to start.
        service: Arc<Service>,
        /// Variables for it beside those of the bus, sorted.
        environment: Vec<(String, String)>,
    },
    /// End what was started for this, if it still runs: it took too long.
    StopService {
        /// Which start.
        start: StartId,
    },
    /// The name of a service that was started has an owner: how its process ends does not matter any
    /// more.
    ReleaseService {
        /// Which start.
        start: StartId,
    },
    /// These policies are in force no longer. Dropping them takes a while with thousands of rules, and may
    /// be done elsewhere.
    LetGo {
        /// All of the old configuration.
        policies: Vec<UserPolicy>,
    },
    /// Clients left that held much of what the bus holds: the allocator may give back what is free.
    GiveBackMemory,
}

/// The whole state of a message bus.
pub struct Bus {
    identity: Identity,
    settings: Settings,
    clients: ClientTable,
    unique_names: HashMap<u64, ClientId, FixedState>,
    names: NameRegistry,
    /// Rules that see what is broadcast.
    matches: MatchIndex,
    /// Rules with `eavesdrop='true'`, which see what is meant for others too.
    eavesdroppers: MatchIndex,
    /// Rules of monitors.
    monitors: MatchIndex,
    replies: PendingReplies,
    policies: Policies,
    /// How much of each resource users share.
    pools: Pools,
    half_messages: HalfMessages,
    logged_users: LoggedUsers,
    newcomers: Newcomers,
    /// Limits of clients that have some of their own, each once.
    own_limits: Vec<Rc<Limits>>,
    slow_receivers: SlowReceivers,
    activation: Activation,
    /// Who has been given messages that no other service must miss.
    given: HashMap<ClientId, Given, FixedState>,
    orphans: Orphans,
    activation_environment: ActivationEnvironment,
    next_unique: u64,
    serial: u32,
    incomplete_count: u32,
    completed_count: u32,
    /// The most that was held at once, as far as anybody noticed, since memory was last given back.
    held_peak: usize,
    /// The same of bytes of messages that wait, and how many did when that was last looked at.
    bytes_peak: u64,
    bytes_seen: u64,
    reload: Reload,
    /// Clients in the order of connecting, of whom the first may have to be let go.
    auth_queue: VecDeque<(Timestamp, ClientId)>,
    /// Clients in the order in which they began to owe the message that descriptors belong to.
    fd_queue: VecDeque<(Timestamp, ClientId)>,
    /// Clients of whom something was put off until their next turn.
    put_off_clients: Vec<ClientId>,
    /// Clients that go and have not given up everything yet.
    departures: VecDeque<ClientId>,
    /// How many rounds there were, those counted in that nobody needed, and whether anybody had a turn in
    /// the last one.
    rounds: u64,
    had_turns: bool,
    /// Whether the host has begun a round and not come to the turns in it.
    round_began: bool,
    /// How often [`Event::TurnsBegan`] came.
    turns: u64,
    /// Whether one of `put_off_clients` caused broadcasts that wait to be written.
    broadcasts_continue: bool,
    /// The run of such broadcasts that waits, and since which turn.
    held_since: (u32, u64),
    /// Until when the spare buffers may go unused, and how often they had been used before.
    spares_watched: Option<(Timestamp, u64)>,
    /// Messages handled so far, and their bytes.
    messages: u64,
    bytes: u64,
    /// Messages refused so far.
    refused: u64,
    /// Work done so far beside messages and recipients: long answers of the bus, and what those gave up
    /// who went.
    other_work: u64,
    effects: VecDeque<Effect>,
    now: Timestamp,
    /// Reused from message to message, so that none allocates.
    scratch: Scratch,
}

#[derive(Default)]
struct Scratch {
    /// The header of the message in hand as recipients get it.
    stamped: Vec<u8>,
    /// A message of the driver.
    driver_message: Vec<u8>,
    /// Where the arguments are of the client's message in hand.
    spans: ArgumentSpans,
    /// The same for a message of the driver, which may be sent while that one is handled.
    driver_spans: ArgumentSpans,
    recipients: Recipients,
    handshake: Vec<u8>,
}

impl Bus {
    /// An empty bus.
    #[must_use]
    pub fn new(identity: Identity, settings: Settings) -> Self {
        let seed = identity.hash_seed;
        let mut bus = Self {
            clients: ClientTable::default(),
            unique_names: HashMap::default(),
            names: NameRegistry::new(seed),
            matches: MatchIndex::new(seed),
            eavesdroppers: MatchIndex::new(seed),
            monitors: MatchIndex::new(seed),
            replies: PendingReplies::new(seed),
            policies: Policies::new(&settings.policy),
            pools: Pools::default(),
            half_messages: HalfMessages::default(),
            logged_users: LoggedUsers::default(),
            newcomers: Newcomers::default(),
            own_limits: Vec::new(),
            slow_receivers: SlowReceivers::default(),
            activation: Activation::default(),
            given: HashMap::default(),
            orphans: Orphans::default(),
            activation_environment: ActivationEnvironment::new(identity.environment.clone()),
            next_unique: 0,
            serial: 0,
            incomplete_count: 0,
            completed_count: 0,
            held_peak: 0,
            bytes_peak: 0,
            bytes_seen: 0,
            reload: Reload::default(),
            auth_queue: VecDeque::new(),
            fd_queue: VecDeque::new(),
            put_off_clients: Vec::new(),
            rounds: 0,
            had_turns: false,
            round_began: false,
            turns: 0,
            broadcasts_continue: false,
            held_since: (0, 0),
            spares_watched: None,
            messages: 0,
            bytes: 0,
            refused: 0,
            other_work: 0,
            departures: VecDeque::new(),
            effects: VecDeque::new(),
            now: Timestamp::default(),
            scratch: Scratch::default(),
            settings,
            identity,
        };
        bus.refresh_limits();
        bus
    }

    /// Takes in what happened at `now`, which never goes back.
    pub fn handle_event(&mut self, event: Event<'_>, now: Timestamp) {
        self.now = self.now.max(now);
        match event {
            Event::Received { client, bytes, fds } => {
                let turn = self.begin_turn(client, bytes.len());
                self.handle_received(client, bytes, fds);
                self.end_turn(turn);
            }
            Event::ReceivedInPlace { client, size, fds } => {
                let turn = self.begin_turn(client, size);
                self.handle_received_in_place(client, size, fds);
                self.end_turn(turn);
            }
            Event::Written { client, size } => {
                if self.clients.handle_written(client, size) {
                    self.handle_drained(client);
                }
            }
            Event::AllRead { client } => self.forget_given(client),
            Event::LeftUnread { client } => self.note_unread(client),
            Event::WriteClosed { client } => {
                self.note_unwritten(client);
                self.clients.close_writing(client);
                self.handle_drained(client);
            }
            Event::Closed { client } => self.disconnect(client, Disconnection::ByClient),
            Event::FdsLost { client } => self.disconnect(client, Disconnection::FdsLost),
            Event::FdsRefused { client } => self.handle_fds_refused(client),
            Event::CookieFound { client, cookie } => self.handle_cookie(client, cookie),
            // Whoever sent the signal is not told: the log is.
            Event::ReloadRequested => drop(self.request_reload(None)),
            Event::FilesChanged => self.handle_files_changed(),
            Event::ServicesFound { services } => self.take_over_services(services),
            Event::PoliciesCompiled(compiled) => self.policies.prepare(compiled),
            Event::Reloaded { result } => self.handle_reloaded(result),
            Event::StartFailed { start, failure } => self.handle_start_failed(start, failure),
            Event::ServiceEnded { start, end } => self.handle_service_ended(start, end),
            Event::TurnsBegan => self.handle_put_off(),
            Event::TimePassed => self.handle_time_passed(),
            Event::Stopping => self.end_all_pauses(),
        }
        self.watch_spare_buffers();
        if self.clients.users().bytes() != self.bytes_seen {
            self.watch_waiting_bytes();
        }
    }

    /// What the host is to do next, in order.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// A client that got something since it was last returned here: first all those to whom
    /// something urgent goes, then the recipients of large broadcasts. Those wait for a few turns
    /// while there may be more broadcasts for them.
    pub fn poll_write(&mut self) -> Option<ClientId> {
        let urgent = self.clients.poll_urgent_write();
        if urgent.is_some() || self.holds_broadcasts() {
            return urgent;
        }
        self.clients.poll_bulk_write()
    }

    /// The host writes no more to the client at hand: closes the descriptors that it was sent, if
    /// [`Event::Written`] has not done that.
    pub fn close_sent_fds(&mut self) {
        self.clients.close_sent_fds();
    }

    /// Whether [`Bus::poll_write`] has something urgent.
    #[must_use]
    pub fn has_urgent_writes(&self) -> bool {
        self.clients.has_urgent_writes()
    }

    /// Whether there is something to write, perhaps not now.
    #[must_use]
    pub fn has_writes(&self) -> bool {
        self.clients.has_urgent_writes() || self.clients.has_bulk_writes()
    }

    /// What to write to a client next: slices in order, and the descriptors that go with their first
    /// byte. No slices: nothing is owed to it, it [must read first](Bus::awaits_reading), or it is gone.
    pub fn write_batch<'a>(
        &'a self,
        client: ClientId,
        slices: &mut WriteSlices<'a>,
    ) -> Option<&'a MessageFds> {
        self.clients.get(client)?.outbox.batch(self.write_room(client), slices)
    }

    /// How many descriptors go with what is written to a client next.
    #[must_use]
    pub fn next_fd_count(&self, client: ClientId) -> usize {
        self.clients.get(client).map_or(0, |client| client.outbox.next_fd_count())
    }

    /// Where to read into instead of the shared buffer, if a large message is on its way.
    pub fn receive_space(&mut self, client: ClientId) -> Option<&mut [u8]> {
        self.clients.receive_space(client)
    }

    /// Whether much of a large message of this client is still to come, which may be there already.
    #[must_use]
    pub fn awaits_much(&self, client: ClientId) -> bool {
        self.clients.get(client).is_some_and(|client| client.incoming.awaits_much())
    }

    /// Whether messages that have arrived, or clients that go, wait for [`Event::TurnsBegan`], which is
    /// due at once then.
    #[must_use]
    pub fn has_put_off(&self) -> bool {
        !self.put_off_clients.is_empty() || !self.departures.is_empty()
    }

    /// Whether a client may be read from: not while what it sent before is put off, or must be
    /// written first, nor while it is paused for sending somebody more than they read, has sent half a message beyond
    /// its share, or waits for its handshake to begin.
    #[must_use]
    pub fn may_read(&self, client: ClientId) -> bool {
        self.clients.get(client).is_some_and(|client| {
            !client.incoming.is_put_off() && !client.is_paused() && !client.hold.waits()
        }) && !self.must_wait_for_writes(client)
    }

    /// When [`Event::TimePassed`] is due at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let limits = &self.settings.limits;
        let auth = self.auth_queue.front().map(|(at, _)| at.plus_ms(limits.auth_timeout_ms.into()));
        let fds =
            self.fd_queue.front().map(|(at, _)| at.plus_ms(limits.pending_fd_timeout_ms.into()));
        let reply =
            limits.reply_timeout_ms.and_then(|timeout| self.replies.next_deadline(timeout.into()));
        let spares = self.spares_watched.map(|(due, _)| due);
        let (waiting, start) = (self.next_retry(), self.activation.next_deadline());
        [auth, fds, reply, spares, waiting, start, self.next_reload()].into_iter().flatten().min()
    }

    /// Whether another connection may be accepted (config.md B037): not while so many broadcasts wait
    /// to be written that clients who come and go, which is broadcast, should wait for them.
    #[must_use]
    pub fn accepts_connections(&self) -> bool {
        self.incomplete_count < self.settings.limits.incomplete_connections_max
            && !self.clients.bulk_writes_are_due()
    }

    /// How many clients are connected, whatever their phase.
    #[must_use]
    pub fn client_count(&self) -> usize {
        self.clients.len()
    }

    /// The client, unless it is gone.
    #[must_use]
    pub fn client(&self, client: ClientId) -> Option<&Client> {
        self.clients.get(client)
    }

    fn log(&mut self, record: LogRecord) {
        self.effects.push_back(Effect::Log(record));
    }
}

/// The descriptors of one message, in the form in which all its recipients share them.
fn share_fds(fds: Vec<OwnedFd>) -> Option<MessageFds> {
    if fds.is_empty() { None } else { Some(Rc::from(fds)) }
}
