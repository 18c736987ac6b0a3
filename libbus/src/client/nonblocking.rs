//! A client whose calls are futures, under any executor: sockets and times are watched by async-io's own
//! thread.
//!
//! Whichever task waits reads for all, so that a reply mostly comes to the task that called, and no task has
//! to be spawned for the connection. A future that is dropped lets the next one read.

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use async_executor::Executor;
use async_io::{Async as Watched, Timer};
use event_listener::{Event, EventListener};
use futures_lite::future::{or, pending, yield_now};
use futures_lite::stream::Stream;

use super::api::api;
use super::block_on::{self, block_on};
use super::connection::WeakConnection;
use super::holding::Holding;
use super::link::{Link, Shared, Style, WaitsFor};
use super::poll::Parked;
use super::reach::late;
use super::reconnecting::TryTime;
use crate::connection::SendError;
use crate::server::dispatch;
use crate::transport::{Interest, Patience, Socket};

/// The style of [`Connection`]: functions are `async`.
#[derive(Debug)]
pub struct Async;

/// What somebody who waits does next.
enum Role {
    /// Nobody else reads.
    Read { is_blocked: bool },
    /// Nobody else does, and the connection is lost.
    Connect(TryTime),
    /// Somebody else does, or somebody must make room first.
    Listen { listener: EventListener, is_blocked: bool },
    /// In a copy of the process: none.
    Gone,
}

impl Style for Async {
    type Socket = Watched<Socket>;
    type Signal = Signal;
    type Parked = Parked;

    fn prepare(socket: Socket) -> io::Result<Watched<Socket>> {
        Watched::new(socket)
    }

    fn unpark(parked: &mut Parked, link: &Link<Self>) {
        parked.leave(link);
    }

    async fn wait<T: Send>(
        link: &Link<Self>,
        ready: impl FnMut(&mut Shared) -> Option<T> + Send,
        deadline: Deadline,
    ) -> Result<T> {
        wait_for(WaitsFor::Own, link, ready, deadline).await
    }

    async fn pause(time: Duration) {
        Timer::after(time).await;
    }

    async fn wait_for_any(
        sockets: &[(&Watched<Socket>, Interest)],
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        let ready = poll_fn(|context| {
            for (socket, interest) in sockets {
                let is_ready = socket.poll_readable(context)?.is_ready()
                    || (*interest == Interest::ReadingAndWriting
                        && socket.poll_writable(context)?.is_ready());
                if is_ready {
                    return Poll::Ready(Ok(()));
                }
            }
            Poll::Pending
        });
        let late = async {
            match timeout {
                Some(timeout) => drop(Timer::after(timeout).await),
                None => pending().await,
            }
            Ok(())
        };
        or(ready, late).await
    }

    async fn until_connected(socket: OwnedFd, time: Duration) -> io::Result<Option<OwnedFd>> {
        let socket = Watched::new_nonblocking(socket)?;
        let connected = async { socket.writable().await.map(|()| true) };
        let late = async {
            Timer::after(time).await;
            Ok(false)
        };
        let is_over = or(connected, late).await?;
        is_over.then(|| socket.into_inner()).transpose()
    }

    async fn unblock<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        super::unblock::unblock(work).await
    }

    async fn unblock_within<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
        time: Duration,
    ) -> io::Result<T> {
        let too_late = async {
            Timer::after(time).await;
            Err(late())
        };
        or(super::unblock::unblock(work), too_late).await
    }

    fn make_room(_: &Link<Self>, _: Deadline) -> Result<()> {
        Err(SendError::QueueFull.into())
    }

    type Tasks = Tasks;

    /// A thread that does nothing else serves, unless the program wants to do it itself.
    fn begin_serving(connection: &Connection) -> Result<()> {
        let tasks = Arc::clone(connection.tasks());
        if tasks.are_of_program.load(Ordering::Relaxed)
            || tasks.have_thread.swap(true, Ordering::Relaxed)
        {
            return Ok(());
        }
        let (weak, link) = (connection.downgrade(), Arc::clone(connection.link()));
        let serve = move || {
            // It ends with the connection, whichever way.
            let _ = block_on(tasks.executor.run(serve(&tasks, &weak, &link)));
        };
        std::thread::Builder::new().name("libbus".to_owned()).spawn(serve)?;
        Ok(())
    }

    fn leave_serving(tasks: &Tasks) {
        tasks.are_of_program.store(true, Ordering::Relaxed);
    }

    fn end_serving(tasks: &Tasks) {
        tasks.kick.notify(usize::MAX);
    }

    fn wake(signal: &Signal) {
        signal.event.notify(usize::MAX);
    }
}

/// By what those who wait are woken.
#[derive(Debug, Default)]
pub struct Signal {
    event: Event,
    /// A timer that somebody waited with and nobody does now, and when it goes off.
    spare_timer: Mutex<Option<(Timer, Instant)>>,
}

impl Signal {
    pub(super) fn listen(&self) -> EventListener {
        self.event.listen()
    }
}

/// What serves the objects of a connection.
#[derive(Debug, Default)]
pub struct Tasks {
    /// Handlers that wait for something.
    executor: Executor<'static>,
    /// Tells who serves to look again whether there is a call, and whether anybody uses the connection.
    kick: Event,
    have_thread: AtomicBool,
    /// Whether the program serves by itself.
    are_of_program: AtomicBool,
}

/// Waits for calls and answers them, until the connection is over or used no more.
///
/// Methods that can go on do so before more calls are read: otherwise one who asks faster than it is answered
/// would have all places for calls that wait, and be refused. Those that wait for something stop nobody.
async fn serve(
    tasks: &Arc<Tasks>,
    weak: &WeakConnection<Async>,
    link: &Arc<Link<Async>>,
) -> Result<()> {
    link.lock_here()?.connection.serve();
    let mut holding = Holding::new(link);
    loop {
        let ready = link.lock_here()?.connection.next_call();
        let call = match ready {
            Some(call) => Some(call),
            None => {
                yield_now().await;
                read_once(tasks, weak, link).await?
            }
        };
        let Some(connection) = weak.upgrade() else { return Ok(()) };
        if let Some(call) = call {
            holding.serve(&call.clone(), || answer(tasks, &connection, call));
        }
    }
}

/// The next call, unless there is none after one read, or when somebody says that there may be.
async fn read_once(
    tasks: &Tasks,
    weak: &WeakConnection<Async>,
    link: &Link<Async>,
) -> Result<Option<Message>> {
    let kicked = tasks.kick.listen();
    if weak.upgrade().is_none() {
        return Ok(None);
    }
    let mut has_read = false;
    let next = |shared: &mut Shared| match shared.connection.next_call() {
        None if !std::mem::replace(&mut has_read, true) => None,
        call => Some(call),
    };
    let looked_again = async {
        kicked.await;
        Ok(None)
    };
    or(wait_for(WaitsFor::Calls, link, next, Deadline::Never), looked_again).await
}

/// Answers a call, or at least begins to: what need not wait for anything is no task of its own.
fn answer(tasks: &Arc<Tasks>, connection: &Connection, call: Message) {
    let busy =
        Busy { tasks: Arc::clone(tasks), link: Arc::clone(connection.link()), call: call.clone() };
    let Some(mut answering) = dispatch(connection, call) else { return };
    // Whoever waits is asked again at once by the executor, which is woken then.
    if Pin::new(&mut answering).poll(&mut Context::from_waker(Waker::noop())).is_ready() {
        return;
    }
    let busy = (!answering.is_concurrent).then_some(busy);
    let task = async move {
        answering.await;
        drop(busy);
    };
    tasks.executor.spawn(task).detach();
}

/// A call that is being served; the next one of its sender comes after it, whatever becomes of it.
struct Busy {
    tasks: Arc<Tasks>,
    link: Arc<Link<Async>>,
    call: Message,
}

impl Drop for Busy {
    fn drop(&mut self) {
        let Ok(mut shared) = self.link.lock_here() else { return };
        if shared.connection.finish_call(&self.call) {
            drop(shared);
            self.tasks.kick.notify(usize::MAX);
        }
    }
}

async fn wait_for<T: Send>(
    what: WaitsFor,
    link: &Link<Async>,
    mut ready: impl FnMut(&mut Shared) -> Option<T> + Send,
    deadline: Deadline,
) -> Result<T> {
    loop {
        link.check_process()?;
        let (role, left) = {
            let mut shared = link.lock();
            if let Some(result) = shared.settle(&mut ready) {
                return result;
            }
            link.write_held(&mut shared);
            let may_read = what.may_read(&shared);
            let left = link.time_left(may_read, deadline)?;
            let (time, left) = shared.begin_try(left);
            let role = match time {
                Some(time) => Role::Connect(time),
                None => Role::choose(may_read, link, &mut shared),
            };
            (role, left)
        };
        // What is there to be read does not let it wait.
        let left = left.filter(|left| !left.is_zero());
        role.enter(link).wait(left).await?;
    }
}

impl Role {
    fn choose(may_read: bool, link: &Link<Async>, shared: &mut Shared) -> Self {
        let is_blocked = shared.is_blocked();
        if may_read {
            shared.is_read = true;
            Self::Read { is_blocked }
        } else {
            shared.waiting_count += 1;
            Self::Listen { listener: link.signal.event.listen(), is_blocked }
        }
    }

    const fn enter(self, link: &Link<Async>) -> InRole<'_> {
        InRole { link, role: self }
    }
}

/// Somebody in a role, which is left however the waiting ends.
struct InRole<'l> {
    link: &'l Link<Async>,
    role: Role,
}

impl InRole<'_> {
    /// For so long at most. That the time is over the next look at the deadline tells, and so does it that it is
    /// not over yet: a timer of somebody before may go off earlier.
    async fn wait(mut self, left: Option<Duration>) -> Result<()> {
        let link = self.link;
        let socket = link.socket();
        let writable = async |is_blocked| match is_blocked {
            true => socket.writable().await,
            false => pending().await,
        };
        match &mut self.role {
            Role::Read { is_blocked } => {
                if let Some(parker) = block_on::here().await {
                    let deadline = left.and_then(|left| Instant::now().checked_add(left));
                    parker.wait(socket.get_ref().fd(), *is_blocked, deadline).await;
                } else {
                    within(link, left, or(socket.readable(), writable(*is_blocked))).await?;
                }
                self.read();
            }
            Role::Gone => {}
            Role::Connect(time) => {
                let result = self.link.connect_again(*time).await;
                self.link.handle_connected(&mut self.link.lock(), result);
            }
            Role::Listen { listener, is_blocked } => {
                let told = async {
                    listener.await;
                    Ok(())
                };
                within(link, left, or(told, writable(*is_blocked))).await?;
                link.write_some(&mut link.lock());
            }
        }
        Ok(())
    }

    /// Reads what is there, which does not wait, and writes what there is room for.
    fn read(&self) {
        read_what_is_there(self.link, &mut self.link.lock());
    }
}

fn read_what_is_there(link: &Link<Async>, shared: &mut Shared) {
    let mut buffer = shared.connection.take_buffer();
    let mut fds = Vec::new();
    let result = link.socket().get_ref().receive(buffer.space(), &mut fds, Patience::None);
    link.handle_read(shared, buffer, &mut fds, result);
    link.write_some(shared);
}

/// Reads what is there for all, if nobody else does: whoever has said that it reads waits for the socket and not
/// to be told.
pub(super) fn read_some(link: &Link<Async>) {
    let mut shared = link.lock();
    if !WaitsFor::Own.may_read(&shared) {
        return;
    }
    read_what_is_there(link, &mut shared);
    if shared.waiting_count > 0 {
        Async::wake(&link.signal);
    }
}

impl Drop for InRole<'_> {
    fn drop(&mut self) {
        let Ok(mut shared) = self.link.lock_here() else {
            // What it listens to has a lock, too, whose holder may be missing.
            return std::mem::forget(std::mem::replace(&mut self.role, Role::Gone));
        };
        match self.role {
            Role::Gone => {}
            Role::Read { .. } | Role::Connect(_) => {
                shared.is_read = false;
                if shared.waiting_count > 0 {
                    Async::wake(&self.link.signal);
                }
            }
            Role::Listen { .. } => shared.waiting_count -= 1,
        }
    }
}

/// Waits for so long at most.
async fn within(
    link: &Link<Async>,
    time: Option<Duration>,
    future: impl Future<Output = io::Result<()>>,
) -> io::Result<()> {
    // What no clock can tell is for ever.
    let due = time.and_then(|time| Instant::now().checked_add(time));
    let Some(due) = due else { return future.await };
    let mut timer = SpareTimer::take(&link.signal.spare_timer, due);
    let timer = async {
        if let Some((timer, _)) = &mut timer.timer {
            timer.await;
        }
        Ok(())
    };
    or(future, timer).await
}

/// A timer that is kept for the next one who waits. To set one costs several system calls, and calls wait for
/// their replies for as long as the ones before, of which hardly any comes late.
struct SpareTimer<'l> {
    place: &'l Mutex<Option<(Timer, Instant)>>,
    timer: Option<(Timer, Instant)>,
}

impl<'l> SpareTimer<'l> {
    /// One that goes off at `due`, or earlier, but not yet.
    fn take(place: &'l Mutex<Option<(Timer, Instant)>>, due: Instant) -> Self {
        let now = Instant::now();
        let spare = place.lock().unwrap_or_else(PoisonError::into_inner).take();
        let spare = spare.filter(|(_, other)| *other > now && *other <= due);
        Self { place, timer: Some(spare.unwrap_or_else(|| (Timer::at(due), due))) }
    }
}

impl Drop for SpareTimer<'_> {
    fn drop(&mut self) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = self.timer.take();
    }
}

macro_rules! run {
    ($future:expr) => {
        $future.await
    };
}

api!(Async, [async], run);

impl Builder {
    /// Whether a thread of the connection serves its objects, as is so if nothing is said. If not, the program
    /// awaits [`Connection::serve`], and whoever does runs the methods.
    #[must_use]
    pub fn internal_executor(self, is_wanted: bool) -> Self {
        self.serve_by_program(!is_wanted)
    }
}

impl Connection {
    /// Serves the objects of this program: waits for calls and answers them, until the connection is over.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn serve(&self) -> Result<()> {
        let (tasks, link) = (self.tasks(), self.link());
        tasks.executor.run(serve(tasks, &self.downgrade(), link)).await
    }
}

impl SignalStream {
    /// The next signal; `None` after the error by which the connection ended.
    pub async fn next(&mut self) -> Option<Result<Message>> {
        if self.has_ended() {
            return None;
        }
        Some(self.next_signal().await)
    }

    /// All signals that follow, for what works on any stream: this is one itself.
    pub fn into_stream(self) -> impl Stream<Item = Result<Message>> + Send {
        self
    }
}
