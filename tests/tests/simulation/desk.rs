//! A bus and a few clients that do what a test says, one thing after the other.

use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, MutexGuard, PoisonError};

use bus_daemon::bus::activation::StartId;
use bus_daemon::bus::credentials::PeerCredentials;
use bus_daemon::bus::id::{ClientId, Timestamp};
use bus_daemon::bus::outbox::WriteSlices;
use bus_daemon::bus::services::Starter;
use bus_daemon::bus::{Bus, Effect, Event, Settings};
use bus_policy::config::Limits;
use bus_policy::config::limit_overrides::LimitOverrides;
use bus_tests::policies::session_policies;
use libbus::names::ErrorName;
use libbus::wire::{BodyReader, Flags, MessageType, frame};

use crate::DESCRIPTORS;
use crate::actor::null_fds;
use crate::mail::{Mail, Value, hex_of};
use crate::message::Parsed;
use crate::world::{OWN_UID, empty_bus};

pub(crate) struct Desk {
    pub(crate) bus: Bus,
    now: u64,
    serial: u32,
    /// Disconnected since [`Desk::take_closed`] was last asked.
    closed: Vec<ClientId>,
    /// Who may be read from again, since it was last asked.
    pub(crate) read_again: Vec<ClientId>,
    /// What the administrator was told.
    pub(crate) log: Vec<String>,
    /// Cookies and configurations that the bus asked for.
    pub(crate) errands: usize,
    /// Services that it had started, that it had ended again, and of which it need not hear any more.
    pub(crate) starts: Vec<StartId>,
    pub(crate) stops: Vec<StartId>,
    pub(crate) releases: Vec<StartId>,
    /// Whether invariants are checked after each event.
    pub(crate) is_checked: bool,
    /// Somebody else may be counting descriptors.
    _descriptors: MutexGuard<'static, ()>,
}

/// A message that a client got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) message_type: MessageType,
    pub(crate) serial: u32,
    pub(crate) answered: Option<u32>,
    pub(crate) error: Option<String>,
    pub(crate) member: Option<String>,
    pub(crate) sender: String,
    /// The first argument, if it is a string.
    pub(crate) text: Option<String>,
    pub(crate) announced_fds: u32,
}

/// A client that said Hello.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    pub(crate) id: ClientId,
    pub(crate) name: String,
}

impl Desk {
    pub(crate) fn new(limits: Limits) -> Self {
        Self::around(empty_bus(settings(limits)))
    }

    pub(crate) fn around(bus: Bus) -> Self {
        Self {
            bus,
            now: 1_000,
            serial: 1_000_000,
            closed: Vec::new(),
            read_again: Vec::new(),
            log: Vec::new(),
            errands: 0,
            starts: Vec::new(),
            stops: Vec::new(),
            releases: Vec::new(),
            is_checked: true,
            _descriptors: DESCRIPTORS.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    // --- clients --------------------------------------------------------------------------------

    pub(crate) fn connect(&mut self, credentials: PeerCredentials) -> ClientId {
        self.bus.handle_connected(credentials, 0, true, Timestamp(self.now))
    }

    /// A client of this user that authenticated and did not say Hello.
    pub(crate) fn authenticated(&mut self, uid: u32, unix_fds: bool) -> ClientId {
        let id = self.connect(PeerCredentials { uid: Some(uid), ..Default::default() });
        self.authenticate(id, uid, unix_fds);
        id
    }

    pub(crate) fn authenticate(&mut self, id: ClientId, uid: u32, unix_fds: bool) {
        let user = hex_of(&uid.to_string());
        let negotiate = if unix_fds { "NEGOTIATE_UNIX_FD\r\n" } else { "" };
        let lines = format!("\0AUTH EXTERNAL {user}\r\n{negotiate}BEGIN\r\n");
        self.send_bytes(id, lines.as_bytes(), 0);
        self.read_bytes(id);
    }

    /// Says Hello: the name, or the error.
    pub(crate) fn hello(&mut self, id: ClientId) -> Result<Guest, String> {
        match self.call_bus(id, "Hello", vec![]) {
            Got { error: Some(error), .. } => Err(error),
            Got { text, .. } => Ok(Guest { id, name: text.unwrap() }),
        }
    }

    pub(crate) fn guest(&mut self) -> Guest {
        self.guest_with(OWN_UID, true)
    }

    pub(crate) fn guest_with(&mut self, uid: u32, unix_fds: bool) -> Guest {
        let id = self.authenticated(uid, unix_fds);
        self.hello(id).unwrap()
    }

    // --- what clients do ------------------------------------------------------------------------

    pub(crate) fn send_bytes(&mut self, client: ClientId, bytes: &[u8], fd_count: usize) {
        let mut fds: Vec<OwnedFd> = null_fds(fd_count);
        self.event(Event::Received { client, bytes, fds: &mut fds });
    }

    pub(crate) fn send(&mut self, client: ClientId, mail: &Mail) {
        self.send_bytes(client, &mail.write(), mail.unix_fds as usize);
    }

    pub(crate) fn next_serial(&mut self) -> u32 {
        self.serial += 1;
        self.serial
    }

    /// Calls a method of the bus and returns the answer, reading whatever came before.
    pub(crate) fn call_bus(&mut self, id: ClientId, member: &str, body: Vec<Value>) -> Got {
        let serial = self.next_serial();
        self.send(id, &Mail::call_bus(serial, member, body));
        let answer = self.read(id).into_iter().find(|got| got.answered == Some(serial));
        answer.unwrap_or_else(|| panic!("{member} is not answered"))
    }

    /// The error that a call of the bus got, if any.
    pub(crate) fn error_of(
        &mut self,
        id: ClientId,
        member: &str,
        body: Vec<Value>,
    ) -> Option<String> {
        self.call_bus(id, member, body).error
    }

    // --- what the host does ---------------------------------------------------------------------

    pub(crate) fn event(&mut self, event: Event<'_>) {
        self.bus.handle_event(event, Timestamp(self.now));
        while let Some(effect) = self.bus.poll_effect() {
            match effect {
                Effect::Close { client, .. } => self.closed.push(client),
                Effect::FindCookie { .. } | Effect::Reload => self.errands += 1,
                Effect::ReadAgain { client } => self.read_again.push(client),
                Effect::Log(record) => self.log.push(record.text),
                Effect::GiveBackMemory | Effect::LetGo { .. } => {}
                Effect::StartService { start, .. } => self.starts.push(start),
                Effect::StopService { start } => self.stops.push(start),
                Effect::ReleaseService { start } => self.releases.push(start),
            }
        }
        if self.is_checked {
            self.bus.check_invariants();
        }
    }

    pub(crate) fn pass_time(&mut self, ms: u64) {
        self.now += ms;
        self.event(Event::TimePassed);
    }

    /// How long until the host must tell the time.
    pub(crate) fn sleeps_ms(&self) -> Option<u64> {
        self.bus.next_deadline().map(|deadline| deadline.0 - self.now)
    }

    pub(crate) fn take_closed(&mut self) -> Vec<ClientId> {
        std::mem::take(&mut self.closed)
    }

    /// What waits for a client, and the descriptors that come first. It reads all of that.
    pub(crate) fn read_batch(&mut self, client: ClientId) -> (Vec<u8>, Vec<RawFd>) {
        let batch = self.write_batch(client);
        if self.bus.awaits_reading(client) {
            self.event(Event::AllRead { client });
        }
        batch
    }

    /// What waits for a client goes into its socket; whether it reads that is its own affair.
    pub(crate) fn write_batch(&mut self, client: ClientId) -> (Vec<u8>, Vec<RawFd>) {
        let mut slices = WriteSlices::new();
        let fds = self.bus.write_batch(client, &mut slices);
        let fds = fds.map(|fds| fds.iter().map(AsRawFd::as_raw_fd).collect()).unwrap_or_default();
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        drop(slices);
        self.event(Event::Written { client, size: bytes.len() });
        (bytes, fds)
    }

    pub(crate) fn read_bytes(&mut self, client: ClientId) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let (bytes, _) = self.read_batch(client);
            if bytes.is_empty() {
                return all;
            }
            all.extend(bytes);
        }
    }

    /// All messages that wait for a client.
    pub(crate) fn read(&mut self, client: ClientId) -> Vec<Got> {
        Got::all(&self.read_bytes(client))
    }

    /// What waits for a client, without its being read.
    pub(crate) fn owed(&self, client: ClientId) -> usize {
        self.bus.client(client).unwrap().outbox.bytes()
    }
}

impl Got {
    /// What these whole messages are.
    pub(crate) fn all(mut bytes: &[u8]) -> Vec<Self> {
        let mut got = Vec::new();
        while let Some(frame) = frame(bytes, u32::MAX).unwrap() {
            let (message, after) = bytes.split_at(frame.message_size());
            got.push(Self::of(&Parsed::of(message)));
            bytes = after;
        }
        got
    }

    fn of(message: &Parsed<'_>) -> Self {
        let header = message.header();
        let first = header.signature.as_str().starts_with('s');
        let text = first.then(|| BodyReader::new(message.body, header.endian).string().unwrap());
        Self {
            message_type: header.message_type,
            serial: header.serial.get(),
            answered: header.reply_serial.map(NonZeroU32::get),
            error: header.error_name.map(|name| name.as_str().to_owned()),
            member: header.member.map(|name| name.as_str().to_owned()),
            sender: header.sender.map(|name| name.as_str().to_owned()).unwrap_or_default(),
            text: text.map(str::to_owned),
            announced_fds: header.unix_fds,
        }
    }

    /// Whether this is such an error in answer to call number `serial`.
    pub(crate) fn is_error(&self, serial: u32, name: ErrorName<'_>) -> bool {
        self.answered == Some(serial) && self.error.as_deref() == Some(name.as_str())
    }
}

/// A call of `Get` that wants no reply, to one client.
pub(crate) fn one_way(serial: u32, destination: &str) -> Mail {
    let mut mail = Mail::call(serial, destination, "org.example.A", "Get");
    mail.flags = Flags::NO_REPLY_EXPECTED;
    mail
}

/// These limits, and all else as with session.conf.
pub(crate) fn settings(limits: Limits) -> Settings {
    let limit_overrides = LimitOverrides::default();
    Settings {
        limits,
        limit_overrides,
        policy: session_policies(),
        starter: Starter::Bus,
        services: Arc::default(),
    }
}
