//! The bus core without an operating system, and clients that hand it bytes.

use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use bus_daemon::bus::credentials::PeerCredentials;
use bus_daemon::bus::id::{ClientId, Timestamp};
use bus_daemon::bus::mediation::NoMediation;
use bus_daemon::bus::outbox::WriteSlices;
use bus_daemon::bus::services::Starter;
use bus_daemon::bus::{Bus, Effect, Event, Identity, Settings};
use bus_policy::PolicySet;
use bus_policy::config::Limits;
use bus_policy::config::limit_overrides::LimitOverrides;
use bus_tests::harness::{BUS_INTERFACE, BUS_NAME, BUS_PATH, Message, Value, identity_of};
use bus_tests::policies::session_policies;
use libbus::auth::Mechanism;
use libbus::guid::Guid;

const GUID: Guid = Guid::from_bytes([7; 16]);
/// Whose bus it is and who its clients are, whoever runs this.
const UID: u32 = 1000;

/// An in-memory bus. Whatever it writes is counted and thrown away.
pub(crate) struct CoreBus {
    bus: Bus,
    fds: Vec<OwnedFd>,
    last_serial: u32,
}

impl CoreBus {
    /// A session bus without clients.
    pub(crate) fn new() -> Self {
        Self::with_policy(session_policies())
    }

    /// A bus without clients on which these policies are in force.
    pub(crate) fn with_policy(policy: Arc<PolicySet>) -> Self {
        let identity = Identity {
            guid: GUID,
            listener_guids: vec![GUID],
            own_uid: UID,
            fds_max: 1 << 20,
            own_credentials: PeerCredentials::default(),
            selinux_enabled: false,
            own_user_name: "nobody".to_owned(),
            mechanisms: vec![Mechanism::External],
            allow_anonymous: false,
            machine_id: Ok(GUID),
            hash_seed: 7,
            mediation: Rc::new(NoMediation),
            files_changed: Rc::new(|_| false),
            environment: Vec::new(),
            process_name: |_| None,
            systemd_activation: false,
        };
        Self { bus: Bus::new(identity, settings(policy)), fds: Vec::new(), last_serial: 0 }
    }

    /// A client that has said Hello; its unique name is known from [`Self::name`].
    pub(crate) fn connect(&mut self) -> ClientId {
        let id = self.accept();
        self.receive(id, &Self::handshake());
        self.call(id, "Hello", &[]);
        id
    }

    /// A client that has said nothing yet.
    pub(crate) fn accept(&mut self) -> ClientId {
        let credentials = PeerCredentials {
            uid: Some(UID),
            gid: Some(0),
            pid: Some(1),
            groups: Some([0].into()),
            ..PeerCredentials::default()
        };
        self.bus.handle_connected(credentials, 0, true, Timestamp::default())
    }

    /// All that a client says before its first message.
    pub(crate) fn handshake() -> Vec<u8> {
        let identity = identity_of(UID);
        format!("\0AUTH EXTERNAL {identity}\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n").into_bytes()
    }

    pub(crate) fn disconnect(&mut self, id: ClientId) {
        self.handle(Event::Closed { client: id });
        self.write_all();
    }

    pub(crate) fn name(&self, id: ClientId) -> String {
        self.bus.client(id).unwrap().name().to_owned()
    }

    /// Calls a method of the bus; whatever it answers is thrown away.
    pub(crate) fn call(&mut self, id: ClientId, member: &str, arguments: &[Value]) {
        let call = self.bus_call(member, arguments);
        self.receive(id, &call);
        assert!(self.write_all() > 0, "{member} was not answered");
    }

    /// The bytes of a call of the bus.
    pub(crate) fn bus_call(&mut self, member: &str, arguments: &[Value]) -> Vec<u8> {
        let mut call = Message::method_call(BUS_PATH, BUS_INTERFACE, member).to(BUS_NAME);
        call.body = arguments.to_vec();
        call.serial(self.next_serial().get()).encode()
    }

    /// A serial that was not used before.
    pub(crate) fn next_serial(&mut self) -> NonZeroU32 {
        self.last_serial += 1;
        NonZeroU32::new(self.last_serial).unwrap()
    }

    /// One round: a client's bytes in, everybody's bytes out. Answers how many bytes went out.
    pub(crate) fn round(&mut self, id: ClientId, bytes: &[u8]) -> usize {
        self.receive(id, bytes);
        self.write_all()
    }

    /// Whether messages that have arrived wait for the next round.
    pub(crate) fn has_put_off(&self) -> bool {
        self.bus.has_put_off()
    }

    /// The next round begins: what was put off is handled. Answers how many bytes went out.
    pub(crate) fn begin_round(&mut self) -> usize {
        self.handle(Event::TurnsBegan);
        self.write_all()
    }

    /// Bytes arrive from a client.
    fn receive(&mut self, id: ClientId, bytes: &[u8]) {
        let mut fds = std::mem::take(&mut self.fds);
        self.handle(Event::Received { client: id, bytes, fds: &mut fds });
        self.fds = fds;
    }

    fn handle(&mut self, event: Event<'_>) {
        self.bus.handle_event(event, Timestamp::default());
        while let Some(effect) = self.bus.poll_effect() {
            let expected = matches!(effect, Effect::Close { .. } | Effect::GiveBackMemory);
            assert!(expected, "{effect:?}");
        }
    }

    /// Writes to each client that got something; answers how many bytes.
    fn write_all(&mut self) -> usize {
        let mut total = 0;
        while let Some(id) = self.bus.poll_write() {
            let mut slices = WriteSlices::new();
            self.bus.write_batch(id, &mut slices);
            let size = slices.iter().map(|slice| slice.len()).sum();
            drop(slices);
            self.handle(Event::Written { client: id, size });
            total += size;
        }
        total
    }
}

/// What session.conf says.
fn settings(policy: Arc<PolicySet>) -> Settings {
    let limits = Limits {
        completed_connections_max: 100_000,
        connections_per_user_max: 100_000,
        replies_per_connection_max: 50_000,
        ..Limits::default()
    };
    let limit_overrides = LimitOverrides::default();
    Settings { limits, limit_overrides, starter: Starter::Bus, policy, services: Arc::default() }
}
