//! One connection and its socket, shared by all who use it.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::error::{Error, Result};
use super::holding::holds_here;
use super::reconnecting::{Again, Route};
use super::server_role::find_client_cookie;
use crate::connection::{ConnectionError, ConnectionState, CookieWanted, ReadBuffer};
use crate::system_call::Process;
use crate::transport::{Interest, Socket};
use crate::typed::Body;

/// How long a call waits for its reply where nothing else is said, also not of the connection (tools.md D080).
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(25);

/// Of a program that ends with its connection.
const EXIT_STATUS: i32 = 1;

/// How a caller waits.
pub trait Style: Sized + Send + Sync + 'static {
    /// The socket as it needs it.
    type Socket: AsRef<Socket> + Send + Sync;
    /// By what those who wait are woken.
    type Signal: Default + Send + Sync;

    /// What wakes a stream that was polled.
    type Parked: Default + Send + Sync;

    /// # Errors
    /// The system has no room to watch one more.
    fn prepare(socket: Socket) -> io::Result<Self::Socket>;

    /// Waits until `ready` has something, reading for all meanwhile if nobody else does.
    ///
    /// # Errors
    /// The connection is over, or the time.
    fn wait<T: Send>(
        link: &Link<Self>,
        ready: impl FnMut(&mut Shared) -> Option<T> + Send,
        deadline: Deadline,
    ) -> impl Future<Output = Result<T>> + Send;

    /// Does nothing for so long.
    fn pause(time: Duration) -> impl Future<Output = ()> + Send;

    /// Waits until one of the sockets can be read, or written if that is wanted, or so much time has passed.
    fn wait_for_any(
        sockets: &[(&Self::Socket, Interest)],
        timeout: Option<Duration>,
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// Waits until a socket that is being connected is so, or has failed, for so long at most. Nothing: neither.
    ///
    /// # Errors
    /// The system has no room to watch one more.
    fn until_connected(
        socket: OwnedFd,
        time: Duration,
    ) -> impl Future<Output = io::Result<Option<OwnedFd>>> + Send;

    /// Does what may take long and waits for nothing that can be watched, such as looking up a host.
    ///
    /// # Errors
    /// The system has no room for a thread.
    fn unblock<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = io::Result<T>> + Send;

    /// The same, which goes on by itself if it takes longer than that.
    ///
    /// # Errors
    /// It does (`TimedOut`), or the system has no room for a thread.
    fn unblock_within<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
        time: Duration,
    ) -> impl Future<Output = io::Result<T>> + Send;

    /// There is no room for a message of somebody who does not await that there is: waits for it where it is called,
    /// if this style does so.
    ///
    /// # Errors
    /// It does not, there is none in time, or the connection is over.
    fn make_room(link: &Link<Self>, deadline: Deadline) -> Result<()>;

    /// What a connection needs to serve objects.
    type Tasks: Default + Send + Sync;

    /// The first object is served.
    ///
    /// # Errors
    /// The system has no room for what it needs.
    fn begin_serving(connection: &Connection<Self>) -> Result<()>;

    /// The program serves by itself.
    fn leave_serving(_: &Self::Tasks) {}

    /// The connection is used no more.
    fn end_serving(tasks: &Self::Tasks);

    /// A stream that was polled goes.
    fn unpark(_: &mut Self::Parked, _: &Link<Self>) {}

    /// Wakes all who wait: something has come, or the one who read does not any more.
    fn wake(signal: &Self::Signal);
}

/// Until when somebody waits.
#[derive(Clone, Copy, Debug)]
pub enum Deadline {
    /// For this long from that time on.
    After(Instant, Duration),
    Never,
}

impl Deadline {
    pub(crate) fn after(timeout: Option<Duration>) -> Self {
        timeout.map_or(Self::Never, |timeout| Self::After(Instant::now(), timeout))
    }

    /// How long from now.
    ///
    /// # Errors
    /// It is over.
    pub(crate) fn left(self) -> Result<Option<Duration>> {
        let Self::After(start, timeout) = self else { return Ok(None) };
        match timeout.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
            Some(left) => Ok(Some(left)),
            None => Err(Error::TimedOut(timeout)),
        }
    }
}

/// What somebody waits for who would read for all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitsFor {
    /// A reply, a signal, or that something is written.
    Own,
    /// Calls of others.
    Calls,
}

impl WaitsFor {
    /// Whether who waits for this may read, as nobody else does.
    pub(crate) fn may_read(self, shared: &Shared) -> bool {
        !shared.is_read
            && !shared.connection.is_lost()
            && shared.connection.may_read()
            && (self == Self::Own || shared.connection.wants_calls())
    }
}

/// What all who use a connection share.
pub struct Shared {
    pub(crate) connection: ConnectionState,
    /// Whether somebody reads.
    pub(crate) is_read: bool,
    /// How many wait for the one who reads.
    pub(crate) waiting_count: usize,
    /// Whether answers wait to be written for which there may be room ([`super::holding`]).
    is_held: bool,
    /// Why it is over.
    pub(crate) failure: Option<Error>,
    /// How it is made again when it is lost, if it is.
    pub(crate) again: Option<Again>,
    /// Kept from message to message.
    pub(super) body: Option<Box<Body>>,
    /// Whether the other end is a bus.
    pub(crate) is_on_bus: bool,
    /// Whether the program ends with the connection.
    pub(crate) exits: bool,
}

/// Whether a message is a call whose reply somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expects {
    Reply,
    Nothing,
    /// It is what somebody else waits for, whose call came when the connection had been lost so often.
    Answers {
        losses: u32,
    },
}

/// One connection and its socket.
pub struct Link<S: Style> {
    /// Another one takes its place when it is lost.
    socket: Mutex<Arc<S::Socket>>,
    /// Where it is connected again, if it is.
    pub(crate) route: OnceLock<Route>,
    shared: Mutex<Shared>,
    pub(crate) signal: S::Signal,
    /// Whose connection it is.
    process: Process,
    /// How long its calls wait of which nothing else is said.
    call_timeout: Duration,
}

impl<S: Style> Link<S> {
    /// # Errors
    /// The system has no room to watch one more socket.
    pub(crate) fn new(socket: Socket, connection: ConnectionState) -> Result<Self> {
        Ok(Self::of_prepared(S::prepare(socket)?, connection))
    }

    pub(crate) fn of_prepared(socket: S::Socket, connection: ConnectionState) -> Self {
        let shared = Shared {
            connection,
            is_read: false,
            waiting_count: 0,
            is_held: false,
            failure: None,
            again: None,
            body: None,
            is_on_bus: false,
            exits: false,
        };
        let (signal, process) = (S::Signal::default(), Process::current());
        let (socket, shared) = (Mutex::new(Arc::new(socket)), Mutex::new(shared));
        let (route, call_timeout) = (OnceLock::new(), DEFAULT_TIMEOUT);
        Self { socket, route, shared, signal, process, call_timeout }
    }

    /// The same, whose calls have another time.
    pub(crate) fn with_call_timeout(self, call_timeout: Duration) -> Self {
        Self { call_timeout, ..self }
    }

    /// How long calls wait of which nothing else is said.
    pub(crate) const fn call_timeout(&self) -> Duration {
        self.call_timeout
    }

    /// Until when a call waits of which nothing else is said, if it is begun now.
    pub(crate) fn call_deadline(&self) -> Deadline {
        Deadline::after(Some(self.call_timeout))
    }

    /// The present socket. Nobody replaces it but who reads for all.
    pub(crate) fn socket(&self) -> Arc<S::Socket> {
        Arc::clone(&self.socket.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn replace_socket(&self, socket: S::Socket) {
        *self.socket.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(socket);
    }

    /// This is the process that connected. Before the lock is taken: in a copy of a process its holder may be missing.
    ///
    /// # Errors
    /// It is a copy of it.
    pub(crate) fn check_process(&self) -> Result<()> {
        self.process.is_current().then_some(()).ok_or(Error::Forked)
    }

    /// Nothing comes and goes any more, for ever. A copy of the process that connected leaves it its connection.
    pub(crate) fn close(&self) {
        if self.check_process().is_err() {
            return;
        }
        let mut shared = self.lock();
        shared.exits = false;
        shared.fail(Error::Closed);
        S::Socket::as_ref(&self.socket()).shut_down();
        if shared.waiting_count > 0 {
            S::wake(&self.signal);
        }
    }

    /// Waits until the connection is over, and answers why.
    pub(crate) async fn closed(&self) -> Error {
        let never = |_: &mut Shared| None::<Infallible>;
        match S::wait(self, never, Deadline::Never).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    /// Something was taken out of a queue for which nothing more may have been read
    /// ([`Overflow::Wait`](crate::connection::Overflow::Wait), or that of a monitor): whoever waits may read again.
    pub(crate) fn wake_reader(&self) {
        let Ok(shared) = self.lock_here() else { return };
        if shared.waiting_count > 0 && shared.connection.may_read() {
            S::wake(&self.signal);
        }
    }

    /// How long somebody may still wait: no time at all to read what is there, since what came in time is
    /// read, however late.
    ///
    /// # Errors
    /// The time is over, and there is nothing to read that nobody else reads.
    pub(crate) fn time_left(&self, may_read: bool, deadline: Deadline) -> Result<Option<Duration>> {
        deadline.left().or_else(|error| {
            let has_input = || {
                let socket = self.socket();
                S::Socket::as_ref(&socket).wait(Interest::Reading, Some(Duration::ZERO))
            };
            match may_read && has_input().unwrap_or(false) {
                true => Ok(Some(Duration::ZERO)),
                false => Err(error),
            }
        })
    }

    /// As [`Link::lock`], unless this is a copy of the process that connected.
    ///
    /// # Errors
    /// It is.
    pub(crate) fn lock_here(&self) -> Result<MutexGuard<'_, Shared>> {
        self.check_process()?;
        Ok(self.lock())
    }

    /// Nothing that is done with it can leave it half done: what a panic of another thread left is sound.
    /// Where the process may be a copy of the one that connected: [`Link::lock_here`].
    pub(crate) fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the state machine say something, and writes what there is room for.
    ///
    /// # Errors
    /// The connection is over.
    pub(crate) fn with_state<T>(&self, say: impl FnOnce(&mut ConnectionState) -> T) -> Result<T> {
        self.check_process()?;
        let mut shared = self.lock();
        if let Some(failure) = &shared.failure {
            return Err(failure.clone());
        }
        let said = say(&mut shared.connection);
        self.write_some(&mut shared);
        Ok(said)
    }

    /// Writes an answer that was queued, unless it is to leave with the next ones.
    pub(crate) fn write_answer(&self, shared: &mut Shared) {
        shared.is_held = holds_here(self) && !shared.connection.has_many_answers();
        if !shared.is_held {
            self.write_some(shared);
        }
    }

    /// Writes what is held, since somebody will wait.
    pub(crate) fn write_held(&self, shared: &mut Shared) {
        if shared.is_held {
            self.write_some(shared);
        }
    }

    /// Writes what there is room for. That the connection is over shows when it is read.
    pub(crate) fn write_some(&self, shared: &mut Shared) {
        shared.is_held = false;
        if !shared.is_blocked() {
            return;
        }
        let socket = self.socket();
        loop {
            let (bytes, fds) = shared.connection.next_write();
            if bytes.is_empty() {
                return;
            }
            match S::Socket::as_ref(&socket).send(bytes, fds) {
                Ok(0) => return,
                Ok(size) => shared.connection.handle_written(size),
                Err(error) => {
                    shared.handle_write_error(error);
                    return;
                }
            }
        }
    }

    /// Takes in what a read brought for which the buffer was taken out.
    pub(crate) fn handle_read(
        &self,
        shared: &mut Shared,
        buffer: ReadBuffer,
        fds: &mut Vec<OwnedFd>,
        result: io::Result<Option<usize>>,
    ) {
        shared.connection.put_back(buffer);
        match result {
            Ok(None) => {}
            Ok(Some(0)) => shared.lose(Error::Closed),
            Err(error) => shared.lose(error.into()),
            Ok(Some(size)) => {
                match shared.connection.handle_read(size, fds) {
                    Ok(()) => shared.note_restored(),
                    Err(error @ ConnectionError::NotRestored) => shared.lose(error.into()),
                    Err(error) => shared.fail(error.into()),
                }
                if !shared.is_whole() {
                    shared.find_cookie();
                }
                // Answers to what nobody serves.
                self.write_some(shared);
            }
        }
        if shared.failure.is_some() || shared.connection.is_lost() {
            S::Socket::as_ref(&self.socket()).shut_down();
        }
    }
}

impl Shared {
    /// Whether somebody who waits has what it waits for, or can have it no more.
    pub(crate) fn settle<T>(
        &mut self,
        ready: &mut impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Result<T>> {
        self.end_slow_try();
        match ready(self) {
            Some(value) => Some(Ok(value)),
            None => self.failure.clone().map(Err),
        }
    }

    /// It is over; the first reason stands.
    pub(crate) fn fail(&mut self, error: Error) {
        if self.exits {
            std::process::exit(EXIT_STATUS);
        }
        self.failure.get_or_insert(error);
    }

    /// What the other end said before it went is still to be read, and then that it went.
    fn handle_write_error(&mut self, error: io::Error) {
        let is_end =
            matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
        // Who reads then sees that it is over.
        if is_end || self.again.is_some() {
            self.connection.close_writing();
        } else {
            self.fail(error.into());
        }
    }

    /// Looks for a cookie that the handshake with another bus waits for. It is refused without one.
    fn find_cookie(&mut self) {
        if let Some(CookieWanted::Named { context, id }) = self.connection.cookie_wanted() {
            let cookie = find_client_cookie(context, *id);
            if let Err(error) = self.connection.handle_cookie(cookie) {
                self.fail(error.into());
            }
        }
    }

    /// Whether something waits to be written for which there is no room.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.connection.next_write().0.is_empty()
    }
}
