//! A client that waits where it calls: no thread, no executor. A call is one `sendmsg` and one `recvmsg`.
//!
//! ```no_run
//! use libbus::blocking::Connection;
//!
//! # fn main() -> libbus::Result<()> {
//! let bus = Connection::session()?;
//! let names: Vec<String> = bus.bus().call("ListNames", &())?;
//! println!("{names:?}");
//! # Ok(())
//! # }
//! ```
//!
//! A [`Connection`] may be used by several threads at once: whichever waits reads for all. Nothing is read
//! while nobody waits: the kernel and the bus keep what comes until somebody does.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Condvar, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

use super::api::api;
use super::holding::Holding;
use super::link::{Link, Shared, Style, WaitsFor};
use super::reach::late;
use super::reconnecting::TryTime;
use crate::server::{dispatch, must_wait};
use crate::transport::{Interest, Patience, READ_TIMEOUT, Socket};

/// A deadline that is nearer is waited for by `poll(2)`.
const DIRECT_READ_MIN: Duration = READ_TIMEOUT.saturating_sub(Duration::from_secs(1));

/// See the module.
#[derive(Debug)]
pub struct Blocking;

impl Style for Blocking {
    type Socket = Socket;
    type Signal = Condvar;
    type Parked = ();

    fn prepare(socket: Socket) -> io::Result<Socket> {
        Ok(socket)
    }

    async fn wait<T: Send>(
        link: &Link<Self>,
        ready: impl FnMut(&mut Shared) -> Option<T> + Send,
        deadline: Deadline,
    ) -> Result<T> {
        wait_for(WaitsFor::Own, link, ready, deadline)
    }

    async fn pause(time: Duration) {
        thread::sleep(time);
    }

    async fn wait_for_any(
        sockets: &[(&Socket, Interest)],
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        Socket::wait_for_any(sockets, timeout)
    }

    async fn until_connected(socket: OwnedFd, time: Duration) -> io::Result<Option<OwnedFd>> {
        Ok(Socket::wait_until_connected(&socket, time)?.then_some(socket))
    }

    async fn unblock<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        Ok(work())
    }

    /// In a thread: nothing else ends what waits for a name server.
    async fn unblock_within<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
        time: Duration,
    ) -> io::Result<T> {
        let (sender, receiver) = sync_channel(1);
        let wait = move || drop(sender.send(work()));
        thread::Builder::new().name("libbus-wait".to_owned()).spawn(wait)?;
        receiver.recv_timeout(time).map_err(|error| match error {
            RecvTimeoutError::Timeout => late(),
            RecvTimeoutError::Disconnected => io::Error::other("what was waited for panicked"),
        })
    }

    fn make_room(link: &Link<Self>, deadline: Deadline) -> Result<()> {
        block(link.room(deadline))
    }

    type Tasks = ();

    /// Calls are served by whoever asks for that: [`Connection::serve`].
    fn begin_serving(_: &Connection) -> Result<()> {
        Ok(())
    }

    fn end_serving((): &()) {}

    fn wake(signal: &Condvar) {
        signal.notify_all();
    }
}

macro_rules! run {
    ($future:expr) => {
        block($future)
    };
}

api!(Blocking, [], run);

/// As `libbus::interface`, of plain functions that wait where they call. Calls are answered by whoever serves
/// ([`Connection::serve`]).
///
/// ```no_run
/// use libbus::blocking::{Builder, interface};
///
/// struct Greeter;
///
/// #[interface(name = "org.example.Greeter")]
/// impl Greeter {
///     fn greet(&self, name: &str) -> String {
///         format!("Hello, {name}!")
///     }
/// }
///
/// # fn main() -> libbus::Result<()> {
/// let builder = Builder::session()?.serve_at("/org/example/Greeter", Greeter)?;
/// builder.name("org.example.Greeter")?.build()?.serve()
/// # }
/// ```
pub use libbus_macros::blocking_interface as interface;
/// As `libbus::proxy`, whose functions wait where they are called.
///
/// ```no_run
/// use libbus::blocking::{Connection, proxy};
///
/// #[proxy(interface = "org.example.Greeter", assume_defaults = true)]
/// trait Greeter {
///     fn greet(&self, name: &str) -> libbus::Result<String>;
/// }
///
/// # fn main() -> libbus::Result<()> {
/// let greeter = GreeterProxy::new(&Connection::session()?)?;
/// println!("{}", greeter.greet("you")?);
/// # Ok(())
/// # }
/// ```
pub use libbus_macros::blocking_proxy as proxy;

impl Iterator for SignalStream {
    type Item = Result<Message>;

    fn next(&mut self) -> Option<Result<Message>> {
        if self.has_ended() {
            return None;
        }
        Some(self.next_signal())
    }
}

/// The changes, until the connection is over.
impl<T> Iterator for PropertyStream<T>
where
    T: Type + for<'de> Deserialize<'de>,
{
    type Item = PropertyChanged<T>;

    fn next(&mut self) -> Option<PropertyChanged<T>> {
        // The function of the type itself, which is there in both styles.
        Self::next(self)
    }
}

/// The owners, the present one at first; after the error by which the connection ended there are none.
impl Iterator for NameWatch {
    type Item = Result<Option<String>>;

    fn next(&mut self) -> Option<Result<Option<String>>> {
        if self.has_ended() {
            return None;
        }
        Some(self.next_owner())
    }
}

impl Connection {
    /// Serves the objects of this program: waits for calls and answers them, one after the other, until the
    /// connection is over. Several threads may serve at once; calls of one sender keep their order then.
    ///
    /// # Errors
    /// The connection is over.
    pub fn serve(&self) -> Result<()> {
        let mut holding = Holding::new(self.link());
        loop {
            let call = self.wait_for_call(Deadline::Never)?;
            holding.serve(&call.clone(), || self.answer(call));
        }
    }

    /// Waits for one call for so long, and answers it.
    ///
    /// # Errors
    /// There was none ([`Error::TimedOut`]), or the connection is over.
    pub fn serve_within(&self, timeout: Duration) -> Result<()> {
        self.answer(self.wait_for_call(Deadline::after(Some(timeout)))?);
        Ok(())
    }

    fn wait_for_call(&self, deadline: Deadline) -> Result<Message> {
        let next = |shared: &mut Shared| {
            shared.connection.serve();
            let was_full = !shared.connection.wants_calls();
            let call = shared.connection.next_call();
            // Those who stopped reading may go on.
            if was_full && shared.connection.wants_calls() && shared.waiting_count > 0 {
                Blocking::wake(&self.link().signal);
            }
            call
        };
        wait_for(WaitsFor::Calls, self.link(), next, deadline)
    }

    fn answer(&self, call: Message) {
        if must_wait(self, &call) {
            let later = Later { connection: self.clone(), call };
            return LATER.with_borrow_mut(|calls| calls.push(later));
        }
        self.answer_now(call);
        // Its value may have been what another call needs.
        while let Some(Later { connection, call }) = Later::take() {
            connection.answer_now(call);
        }
    }

    fn answer_now(&self, call: Message) {
        let _busy = Busy { connection: self, call: call.clone() };
        let _nested = Nested::enter(self);
        if let Some(answering) = dispatch(self, call) {
            block(answering);
        }
    }
}

/// A call whose value a method uses which waits in this thread. Its sender is busy, so there are no more than
/// senders, and what the program itself asks.
struct Later {
    connection: Connection,
    call: Message,
}

thread_local! {
    static LATER: RefCell<Vec<Later>> = const { RefCell::new(Vec::new()) };
}

impl Later {
    /// The first that need not wait any more.
    fn take() -> Option<Self> {
        LATER.with_borrow_mut(|calls| {
            let may_be_answered = |later: &Self| !must_wait(&later.connection, &later.call);
            let index = calls.iter().position(may_be_answered)?;
            Some(calls.remove(index))
        })
    }
}

/// A call that is being served; the next one of its sender comes after it, whatever becomes of it.
struct Busy<'c> {
    connection: &'c Connection,
    call: Message,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let link = self.connection.link();
        let Ok(mut shared) = link.lock_here() else { return };
        if shared.connection.finish_call(&self.call) && shared.waiting_count > 0 {
            Blocking::wake(&link.signal);
        }
    }
}

/// How many handlers of one thread may wait for something within each other.
const NESTED_MAX: usize = 16;

thread_local! {
    /// The connections whose calls this thread serves, the innermost last.
    static SERVED: RefCell<Vec<Served>> = const { RefCell::new(Vec::new()) };
}

/// A connection, and by what its calls are answered: a program that serves nothing has no code for that.
#[derive(Clone)]
struct Served {
    connection: Connection,
    answer: fn(&Connection, Message),
}

/// While it is there, this thread serves a call; when its handler waits, it serves others meanwhile.
struct Nested;

impl Nested {
    fn enter(connection: &Connection) -> Self {
        let served = Served { connection: connection.clone(), answer: Connection::answer };
        SERVED.with_borrow_mut(|all| all.push(served));
        Self
    }

    /// The connection of this link, if a handler of this thread may serve another call of it.
    fn of(link: &Link<Blocking>) -> Option<Served> {
        SERVED.with_borrow(|served| {
            let is_it =
                |served: &&Served| std::ptr::eq(&raw const **served.connection.link(), link);
            let innermost = served.last().filter(is_it);
            innermost.filter(|_| served.len() < NESTED_MAX).cloned()
        })
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        SERVED.with_borrow_mut(Vec::pop);
    }
}

/// What a future of this style is done with: it never waits for anybody to ask again.
fn block<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}

fn wait_for<T>(
    what: WaitsFor,
    link: &Link<Blocking>,
    mut ready: impl FnMut(&mut Shared) -> Option<T>,
    deadline: Deadline,
) -> Result<T> {
    let mut shared = link.lock_here()?;
    loop {
        if let Some(result) = shared.settle(&mut ready) {
            return result;
        }
        // Whom a handler asks may call back before it answers.
        if let Some(Served { connection, answer }) = Nested::of(link)
            && let Some(call) = shared.connection.next_call()
        {
            drop(shared);
            answer(&connection, call);
            shared = link.lock_here()?;
            continue;
        }
        link.write_held(&mut shared);
        let may_read = what.may_read(&shared);
        let left = link.time_left(may_read, deadline)?;
        let (time, left) = shared.begin_try(left);
        if let Some(time) = time {
            shared = connect_again(link, shared, time);
            continue;
        }
        shared = match () {
            () if may_read => read(link, shared, left)?,
            () if shared.is_blocked() => write(link, shared, left)?,
            () => wait_for_reader(link, shared, left),
        };
    }
}

/// Connects again for all.
fn connect_again<'l>(
    link: &'l Link<Blocking>,
    shared: MutexGuard<'l, Shared>,
    time: TryTime,
) -> MutexGuard<'l, Shared> {
    drop(shared);
    let result = block(link.connect_again(time));
    let mut shared = link.lock();
    shared.is_read = false;
    link.handle_connected(&mut shared, result);
    if shared.waiting_count > 0 {
        Blocking::wake(&link.signal);
    }
    shared
}

/// Reads for all.
fn read<'l>(
    link: &'l Link<Blocking>,
    mut shared: MutexGuard<'l, Shared>,
    left: Option<Duration>,
) -> Result<MutexGuard<'l, Shared>> {
    let is_blocked = shared.is_blocked();
    let mut buffer = shared.connection.take_buffer();
    shared.is_read = true;
    drop(shared);
    let socket = link.socket();
    let mut fds = Vec::new();
    let is_direct = !is_blocked && left.is_none_or(|left| left >= DIRECT_READ_MIN);
    let result = match is_direct {
        true => socket.receive(buffer.space(), &mut fds, Patience::Waits),
        false => {
            let interest = if is_blocked { Interest::ReadingAndWriting } else { Interest::Reading };
            socket.wait(interest, left).and_then(|is_ready| match is_ready {
                true => socket.receive(buffer.space(), &mut fds, Patience::None),
                false => Ok(None),
            })
        }
    };
    let mut shared = link.lock();
    shared.is_read = false;
    link.handle_read(&mut shared, buffer, &mut fds, result);
    if is_blocked {
        link.write_some(&mut shared);
    }
    if shared.waiting_count > 0 {
        Blocking::wake(&link.signal);
    }
    Ok(shared)
}

/// Somebody else reads, or nobody may: writes what there was no room for.
fn write<'l>(
    link: &'l Link<Blocking>,
    shared: MutexGuard<'l, Shared>,
    left: Option<Duration>,
) -> Result<MutexGuard<'l, Shared>> {
    drop(shared);
    link.socket().wait(Interest::Writing, left)?;
    let mut shared = link.lock();
    link.write_some(&mut shared);
    Ok(shared)
}

/// Somebody else reads for all, or somebody must make room first.
fn wait_for_reader<'l>(
    link: &'l Link<Blocking>,
    mut shared: MutexGuard<'l, Shared>,
    left: Option<Duration>,
) -> MutexGuard<'l, Shared> {
    shared.waiting_count += 1;
    let mut shared = match left {
        None => link.signal.wait(shared).unwrap_or_else(PoisonError::into_inner),
        Some(left) => {
            let woken = link.signal.wait_timeout(shared, left);
            woken.unwrap_or_else(PoisonError::into_inner).0
        }
    };
    shared.waiting_count -= 1;
    shared
}
