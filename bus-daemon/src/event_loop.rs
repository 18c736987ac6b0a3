//! Waits, reads, writes, fires timers: the one place where the daemon stops for something.
//!
//! A level-triggered epoll watches every socket. A round: wait, read each ready client, let the bus
//! handle it, fire what is due, write to each client that got something. The clock is read once a
//! round. A client's socket is registered once; interest in writing is added only when the socket
//! was full and taken away when it drained.
//!
//! Rounds are short, so that nobody waits long for a client that keeps the bus busy: what a client
//! sent is handled in turns ([`Bus::has_put_off`]), and of the copies of large broadcasts only so
//! many leave in a round; what is urgent leaves before them. A client is read again within a round
//! only if more is likely to be there: the rest of a large message, or the message after one with
//! descriptors, where the kernel ends every read.
//!
//! A client that may not be read from for a while is no longer watched once its socket turns out to
//! have something, until the bus says that it may be read from again.
//!
//! `Event` is closed: whatever can wake the daemon is a variant of it.
//!
//! Its parts: `accepting` lets clients in, `delays` has them wait that must be written to later,
//! `interest` says what epoll watches, `writing` gives them what they are owed, `reading_watch` tells
//! when somebody has read what must be read first, `errands` is what a worker's thread does meanwhile,
//! and `services` are the processes that the bus starts.

mod accepting;
mod delays;
mod errands;
mod interest;
mod reading_watch;
mod services;
mod writing;

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus_policy::config::BusConfig;
use libbus::host::tcp::NONCE_SIZE;
use rustix::event::{Timespec, epoll};
use smallvec::SmallVec;

use accepting::WatchedListener;
use delays::{Delays, Lag};
use errands::WorkResult;
use interest::Hearing;
use reading_watch::ReadingWatch;
use services::Services;

use crate::bus::id::{ClientId, Timestamp};
use crate::bus::{self, Bus, Effect};
use crate::configuration::ConfigSource;
use crate::host;
use crate::host::client_socket::{self, Errno};
use crate::host::config_watch::ConfigWatch;
use crate::host::file_stamps::FileStamps;
use crate::host::journal::Journal;
use crate::host::listener::Listener;
use crate::host::mediation::SecurityModule;
use crate::host::service_launcher::Launcher;
use crate::host::signals::{Signal, Signals};
use crate::host::worker::Worker;

/// Bytes read from a client at once; longer messages are read into buffers of their own.
const READ_BUFFER_SIZE: usize = 256 * 1024;
/// Ready descriptors that one wait returns.
const READY_COUNT_MAX: usize = 512;
/// Reads from one client in one round.
const READ_COUNT_MAX: usize = 16;

/// Whatever can wake the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Client {
        id: ClientId,
        readable: bool,
        writable: bool,
    },
    /// `failed`: the socket is out of order, which accepting alone may not tell.
    Listener {
        number: usize,
        failed: bool,
    },
    Signal,
    WorkDone,
    /// A service was launched, or could not be.
    Launched,
    /// The process of a service ended.
    ServiceEnded {
        number: u32,
    },
    /// A service wrote something for the log.
    ServiceWrote {
        number: u32,
    },
    /// The process that starts services as other users has ended.
    LauncherEnded,
    /// A directory with configuration files changed.
    ConfigChanged,
    /// The security module's policy or mode changed.
    SecurityChanged,
    /// Clients have read something on which others of their messages wait.
    SomethingRead,
}

/// One client's socket.
struct ClientSocket {
    /// Shared with the client's credentials, which ask the socket for its peer's process.
    fd: Rc<OwnedFd>,
    generation: u32,
    /// Whether its socket was full, so that writing waits for room.
    wants_write: bool,
    /// See [`Hearing`].
    hearing: Hearing,
    /// Whether the kernel may be asked to hold more for it, the first time that it is full. Then
    /// what is written is much, and half as many waits for room come of it.
    may_grow: bool,
    /// See [`Lag`]; nothing for most clients.
    lag: Option<Box<Lag>>,
    /// What a `nonce-tcp:` client still has to send before its first byte counts.
    nonce: Option<SmallVec<[u8; NONCE_SIZE]>>,
}

/// What the daemon consists of while it runs.
pub struct EventLoop {
    epoll: OwnedFd,
    bus: Bus,
    listeners: Vec<WatchedListener>,
    sockets: Vec<Option<ClientSocket>>,
    signals: Signals,
    worker: Worker<WorkResult>,
    services: Services,
    /// Shared with the worker's thread, which sets the watches.
    config_watch: Option<Arc<ConfigWatch>>,
    /// How service files were when they were read; the bus asks whether they have changed.
    service_stamps: Rc<RefCell<FileStamps>>,
    security: SecurityModule,
    journal: Journal,
    source: ConfigSource,
    /// Shared with the worker's thread while it reads another one.
    config: Arc<BusConfig>,
    /// What was said last about service files, which is not said again when another one changes.
    service_notes: Vec<String>,
    started: Instant,
    delays: Delays,
    reading_watch: ReadingWatch,
    buffer: Box<[u8]>,
    fds: Vec<OwnedFd>,
    /// The first client in this round that was not read from, since its user had done enough.
    first_waiting: Option<ClientId>,
    /// Whether the bus let go of much memory in this round.
    memory_is_free: bool,
}

/// The parts that `main` has made.
pub struct Parts {
    /// An empty bus.
    pub bus: Bus,
    /// Where clients come in; their numbers are those of `Identity::listener_guids`.
    pub listeners: Vec<Listener>,
    /// Signals, already blocked.
    pub signals: Signals,
    /// The log.
    pub journal: Journal,
    /// Where to read the configuration again.
    pub source: ConfigSource,
    /// The configuration in force.
    pub config: BusConfig,
    /// What tells that its directories changed, unless the system cannot.
    pub config_watch: Option<Arc<ConfigWatch>>,
    /// How service files were when they were read.
    pub service_stamps: Rc<RefCell<FileStamps>>,
    /// What was said about them.
    pub service_notes: Vec<String>,
    /// The security module that the bus asks.
    pub security: SecurityModule,
    /// What starts services.
    pub launcher: Launcher,
}

impl EventLoop {
    /// Registers everything that can wake the daemon.
    ///
    /// # Errors
    /// When the system has no descriptor or memory left.
    pub fn new(parts: Parts) -> io::Result<Self> {
        let Parts {
            bus,
            listeners,
            signals,
            journal,
            source,
            config,
            config_watch,
            service_stamps,
            service_notes,
            security,
            launcher,
        } = parts;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let (worker, services) = (Worker::new(1)?, Services::new(launcher)?);
        epoll::add(&epoll, &services.worker, token(Event::Launched), epoll::EventFlags::IN)?;
        if let Some(privileged) = services.privileged_launcher() {
            // The end is told without being asked for.
            let event = token(Event::LauncherEnded);
            epoll::add(&epoll, privileged, event, epoll::EventFlags::empty())?;
        }
        epoll::add(&epoll, &signals, token(Event::Signal), epoll::EventFlags::IN)?;
        epoll::add(&epoll, &worker, token(Event::WorkDone), epoll::EventFlags::IN)?;
        if let Some(watch) = &config_watch {
            epoll::add(&epoll, &**watch, token(Event::ConfigChanged), epoll::EventFlags::IN)?;
        }
        if let Some(notices) = &security.notices {
            epoll::add(&epoll, notices, token(Event::SecurityChanged), epoll::EventFlags::IN)?;
        }
        for (number, listener) in listeners.iter().enumerate() {
            epoll::add(
                &epoll,
                listener,
                token(Event::Listener { number, failed: false }),
                epoll::EventFlags::IN,
            )?;
        }
        let reading_watch = ReadingWatch::new()?;
        epoll::add(&epoll, &reading_watch, token(Event::SomethingRead), epoll::EventFlags::IN)?;
        let watched =
            |listener| WatchedListener { listener, watched: true, again_at: None, trouble: None };
        Ok(Self {
            epoll,
            bus,
            listeners: listeners.into_iter().map(watched).collect(),
            sockets: Vec::new(),
            signals,
            worker,
            services,
            config_watch,
            service_stamps,
            security,
            journal,
            source,
            config: Arc::new(config),
            service_notes,
            started: Instant::now(),
            delays: Delays::new(),
            reading_watch,
            buffer: vec![0; READ_BUFFER_SIZE].into_boxed_slice(),
            fds: Vec::new(),
            first_waiting: None,
            memory_is_free: false,
        })
    }

    /// Serves clients until SIGTERM.
    ///
    /// # Errors
    /// Only when waiting itself fails, which does not happen in a sound system.
    pub fn run(&mut self) -> io::Result<()> {
        let mut ready = Vec::with_capacity(READY_COUNT_MAX);
        let mut now = self.now();
        host::unmap_unused_code();
        loop {
            let timeout = self.timeout(now);
            match epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut ready),
                timeout.as_ref(),
            ) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            now = self.now();
            self.begin_round(&mut ready);
            self.write_delayed(now);
            // Signals come last: what clients said before they were sent may be behind them.
            let mut signalled = false;
            for event in ready.drain(..) {
                match event_of(event) {
                    Event::Signal => signalled = true,
                    event => self.handle(event, now),
                }
            }
            if signalled && self.handle_signals(now) == Next::Stop {
                // What was read still leaves, as far as sockets have room.
                self.finish(now);
                if let Some(launcher) = self.services.privileged_launcher() {
                    launcher.end();
                }
                return Ok(());
            }
            self.handle_time(now);
            self.write_urgent(now);
            if self.bus.has_put_off() {
                self.bus.handle_event(bus::Event::TurnsBegan, now);
                self.carry_out(now);
            }
            self.write_round(now);
            // What was written may have been what others waited for.
            self.carry_out(now);
            self.give_back_memory();
            self.pause_or_resume_accepting(now);
        }
    }

    /// Who had no turn in the last round, since its user had done enough, is the first in this one.
    fn begin_round(&mut self, ready: &mut [epoll::Event]) {
        self.bus.begin_round();
        if let Some(first) = self.first_waiting.take() {
            let is_first = |event: &epoll::Event| matches!(event_of(*event), Event::Client { id, .. } if id == first);
            let position = ready.iter().position(is_first);
            ready.rotate_left(position.unwrap_or_default());
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// How long to wait: until the next deadline, rounded up, or for ever. `now` is when the round
    /// began that is about to end, so that a deadline may be met late by as long as that took.
    fn timeout(&self, now: Timestamp) -> Option<Timespec> {
        if self.bus.has_put_off() || self.bus.has_writes() {
            return Some(Timespec { tv_sec: 0, tv_nsec: 0 });
        }
        let listeners = self.listeners.iter().filter_map(|listener| listener.again_at);
        let delayed = self.next_delayed_write();
        let next = self.bus.next_deadline().into_iter().chain(listeners).chain(delayed).min()?;
        let wait = Duration::from_millis(next.0.saturating_sub(now.0).saturating_add(1));
        Timespec::try_from(wait).ok()
    }

    fn handle(&mut self, event: Event, now: Timestamp) {
        match event {
            Event::Client { id, readable, writable } => {
                if writable {
                    self.write_to(id, now);
                }
                if readable && self.bus.waits_for_others(id) {
                    self.turn_deaf(id, now);
                } else if readable && self.bus.waits_its_turn(id) {
                    self.first_waiting.get_or_insert(id);
                } else if readable {
                    self.read_from(id, now);
                }
            }
            Event::Listener { number, failed } => self.accept_from(number, failed, now),
            Event::WorkDone => self.handle_results(now),
            Event::Launched => self.handle_launches(now),
            Event::ServiceEnded { number } => self.handle_service_end(number, now),
            Event::ServiceWrote { number } => self.handle_service_output(number, now),
            // Whoever waits sees to them, after everything else.
            Event::Signal => {}
            Event::ConfigChanged => self.handle_config_change(now),
            Event::SecurityChanged => self.handle_security_change(now),
            Event::LauncherEnded => self.handle_launcher_end(),
            Event::SomethingRead => self.write_to_readers(now),
        }
        self.carry_out(now);
    }

    fn handle_signals(&mut self, now: Timestamp) -> Next {
        while let Ok(Some(signal)) = self.signals.next_signal() {
            match signal {
                Signal::Terminate => return Next::Stop,
                Signal::Reload => {
                    // Whoever asks is told everything.
                    self.service_notes.clear();
                    self.bus.handle_event(bus::Event::ReloadRequested, now);
                }
            }
        }
        self.carry_out(now);
        Next::Wait
    }

    fn handle_time(&mut self, now: Timestamp) {
        if self.bus.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.bus.handle_event(bus::Event::TimePassed, now);
            self.carry_out(now);
        }
    }

    /// Does what the bus asks for.
    fn carry_out(&mut self, now: Timestamp) {
        while let Some(effect) = self.bus.poll_effect() {
            match effect {
                Effect::Close { client, last_words } => self.close(client, &last_words, now),
                Effect::Log(record) => self.journal.log_record(record),
                Effect::FindCookie { client, context } => self.find_cookie(client, context, now),
                Effect::Reload => self.start_reload(now),
                Effect::StartService { start, service, environment } => {
                    self.start_service(start, service, environment, now);
                }
                Effect::StopService { start } => self.stop_service(start),
                Effect::ReleaseService { start } => self.release_service(start),
                Effect::ReadAgain { client } => self.listen_again(client, now),
                Effect::LetGo { policies } => self.let_go(policies),
                Effect::GiveBackMemory => self.memory_is_free = true,
            }
        }
    }

    /// After the writes, when the buffers of this round are free, too.
    fn give_back_memory(&mut self) {
        if std::mem::take(&mut self.memory_is_free) {
            host::give_back_free_memory();
        }
    }

    fn close(&mut self, id: ClientId, last_words: &[u8], now: Timestamp) {
        let Some(slot) = self.sockets.get_mut(id.index as usize) else { return };
        // Dropping the descriptor takes it out of the epoll.
        let Some(mut socket) = slot.take_if(|socket| socket.generation == id.generation) else {
            return;
        };
        socket.end_delay(&self.reading_watch);
        if !last_words.is_empty() {
            // Whether the client reads them is its own affair.
            let _ = client_socket::send(&socket.fd, &[IoSlice::new(last_words)], &[]);
        }
        self.forget_unread(&socket, now);
        for listener in &mut self.listeners {
            listener.again_at = None;
        }
    }

    fn read_from(&mut self, id: ClientId, now: Timestamp) {
        for _ in 0..READ_COUNT_MAX {
            if !self.bus.may_read(id) || self.read_once(id, now) == Read::All {
                return;
            }
        }
    }

    fn read_once(&mut self, id: ClientId, now: Timestamp) -> Read {
        let Some(socket) = socket_mut(&mut self.sockets, id) else { return Read::All };
        if socket.nonce.is_some() {
            self.read_nonce(id, now);
            return Read::All;
        }
        let space = self.bus.receive_space(id);
        let in_place = space.is_some();
        let buffer = space.unwrap_or(&mut self.buffer);
        let received = match client_socket::receive(&socket.fd, buffer, &mut self.fds) {
            Ok(received) => received,
            Err(Errno::AGAIN) => return Read::All,
            Err(_) => {
                self.bus.handle_event(bus::Event::LeftUnread { client: id }, now);
                self.bus.handle_event(bus::Event::Closed { client: id }, now);
                return Read::All;
            }
        };
        let size = received.bytes;
        if self.bus.may_leave_unread(id) {
            self.note_reading(id, size == 0, now);
        }
        let had_fds = !self.fds.is_empty();
        let event = if size == 0 {
            bus::Event::Closed { client: id }
        } else if received.truncated_control {
            bus::Event::FdsLost { client: id }
        } else if in_place {
            bus::Event::ReceivedInPlace { client: id, size, fds: &mut self.fds }
        } else {
            let bytes = self.buffer.get(..size).unwrap_or_default();
            bus::Event::Received { client: id, bytes, fds: &mut self.fds }
        };
        self.bus.handle_event(event, now);
        self.fds.clear();
        if had_fds || self.bus.awaits_much(id) { Read::PerhapsMore } else { Read::All }
    }

    /// Reads no further than the nonce, so that the client's first byte is the next one to come
    /// (protocol.md A112).
    fn read_nonce(&mut self, id: ClientId, now: Timestamp) {
        let Some(socket) = socket_mut(&mut self.sockets, id) else { return };
        let Some(expected) = &mut socket.nonce else { return };
        let Some(space) = self.buffer.get_mut(..expected.len()) else { return };
        let size = match client_socket::receive(&socket.fd, space, &mut self.fds) {
            Ok(received) => received.bytes,
            Err(Errno::AGAIN) => return,
            Err(_) => 0,
        };
        self.fds.clear();
        let sent = self.buffer.get(..size).unwrap_or_default();
        if size == 0 || !expected.starts_with(sent) {
            return self.bus.handle_event(bus::Event::Closed { client: id }, now);
        }
        expected.drain(..size);
        if expected.is_empty() {
            socket.nonce = None;
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Wait,
    Stop,
}

/// What one read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    /// All that was there, as far as one read tells.
    All,
    /// More may be there already.
    PerhapsMore,
}

fn socket_mut(sockets: &mut [Option<ClientSocket>], id: ClientId) -> Option<&mut ClientSocket> {
    let socket = sockets.get_mut(id.index as usize)?.as_mut()?;
    (socket.generation == id.generation).then_some(socket)
}

/// Slots of the client table end below this; what is above stands for the daemon's own descriptors.
const OWN_TOKENS: u32 = 0xffff_0000;
const SIGNAL_TOKEN: u32 = u32::MAX;
const WORK_TOKEN: u32 = u32::MAX - 1;
const CONFIG_TOKEN: u32 = u32::MAX - 2;
const SECURITY_TOKEN: u32 = u32::MAX - 3;
const LAUNCH_TOKEN: u32 = u32::MAX - 4;
const SERVICE_END_TOKEN: u32 = u32::MAX - 5;
const SERVICE_OUTPUT_TOKEN: u32 = u32::MAX - 6;
const LAUNCHER_END_TOKEN: u32 = u32::MAX - 7;
const READ_TOKEN: u32 = u32::MAX - 8;

/// The 64 bits that the kernel hands back with an event.
fn token(event: Event) -> epoll::EventData {
    let (high, low) = match event {
        Event::Client { id, .. } => (id.generation, id.index),
        Event::Listener { number, .. } => (0, OWN_TOKENS + u32::try_from(number).unwrap_or(0)),
        Event::Signal => (0, SIGNAL_TOKEN),
        Event::WorkDone => (0, WORK_TOKEN),
        Event::Launched => (0, LAUNCH_TOKEN),
        Event::ServiceEnded { number } => (number, SERVICE_END_TOKEN),
        Event::ServiceWrote { number } => (number, SERVICE_OUTPUT_TOKEN),
        Event::ConfigChanged => (0, CONFIG_TOKEN),
        Event::SecurityChanged => (0, SECURITY_TOKEN),
        Event::SomethingRead => (0, READ_TOKEN),
        Event::LauncherEnded => (0, LAUNCHER_END_TOKEN),
    };
    epoll::EventData::new_u64(u64::from(high) << 32 | u64::from(low))
}

fn event_of(event: epoll::Event) -> Event {
    let data = event.data.u64();
    let (high, low) = ((data >> 32) as u32, data as u32);
    let flags = event.flags;
    match low {
        SIGNAL_TOKEN => Event::Signal,
        WORK_TOKEN => Event::WorkDone,
        LAUNCH_TOKEN => Event::Launched,
        SERVICE_END_TOKEN => Event::ServiceEnded { number: high },
        SERVICE_OUTPUT_TOKEN => Event::ServiceWrote { number: high },
        CONFIG_TOKEN => Event::ConfigChanged,
        SECURITY_TOKEN => Event::SecurityChanged,
        LAUNCHER_END_TOKEN => Event::LauncherEnded,
        READ_TOKEN => Event::SomethingRead,
        OWN_TOKENS.. => Event::Listener {
            number: (low - OWN_TOKENS) as usize,
            failed: flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP),
        },
        index => {
            let writable = epoll::EventFlags::OUT;
            Event::Client {
                id: ClientId { index, generation: high },
                readable: flags.intersects(writable.complement()),
                writable: flags.contains(writable),
            }
        }
    }
}
