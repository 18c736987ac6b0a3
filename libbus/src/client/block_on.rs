//! An executor for one future, which waits at the sockets by itself.
//!
//! Other executors know nothing of a connection's socket. Somebody watches it for them, another thread or
//! async-io's own executor, and tells them; that costs five system calls whenever a future waits. Here the thread
//! that runs the future waits in `poll(2)` for what the future waits for, so that a call is a `sendmsg`, a `poll`
//! and a `recvmsg`.
//!
//! A future knows that it is asked by this executor if it is given this executor's waker. Where something stands
//! between, as tasks of another executor do, or when it goes elsewhere, it waits in the usual way: this thread may
//! then wait for something else, and look at no socket.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{read, write};

/// So many sockets are waited for without asking for memory; one is usual.
const FEW: usize = 7;

/// Runs a future in this thread until it is done.
///
/// Any executor can run the futures of this crate. This one costs least: while the future waits for a connection,
/// the thread waits at its socket.
///
/// ```no_run
/// let names = libbus::block_on(async {
///     let connection = libbus::Connection::session().await?;
///     connection.bus().call::<_, Vec<String>>("ListNames", &()).await
/// })?;
/// # Ok::<(), libbus::Error>(())
/// ```
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let Some(here) = Here::enter() else { return futures_lite::future::block_on(future) };
    let mut context = Context::from_waker(&here.waker);
    let mut waits = Vec::new();
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        here.parker.park(&mut waits);
    }
}

/// Something that a future waits for.
#[derive(Debug)]
struct Wait {
    id: u64,
    socket: Arc<OwnedFd>,
    interest: PollFlags,
    deadline: Option<Instant>,
    is_over: bool,
}

/// What is waited for now: whose place it is, where, and for what.
struct Waited(u64, Arc<OwnedFd>, PollFlags);

#[derive(Debug, Default)]
struct Waits {
    all: Vec<Wait>,
    next_id: u64,
}

/// Where one thread waits.
#[derive(Debug)]
pub(crate) struct Parker {
    /// Somebody wants the future to be asked again.
    is_woken: AtomicBool,
    /// The thread waits, or is about to: an event is needed to wake it.
    is_parked: AtomicBool,
    event: OwnedFd,
    waits: Mutex<Waits>,
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        if self.is_parked.load(Ordering::SeqCst) {
            // It is full only if it is not read yet.
            let _ = write(&self.event, &1_u64.to_ne_bytes());
        }
    }
}

thread_local! {
    /// The executor that runs in this thread, the innermost.
    static HERE: RefCell<Option<(Arc<Parker>, Waker)>> = const { RefCell::new(None) };
    /// One that does not run now.
    static SPARE: RefCell<Option<Arc<Parker>>> = const { RefCell::new(None) };
}

/// While it is there, this thread runs a future.
struct Here {
    parker: Arc<Parker>,
    waker: Waker,
    before: Option<(Arc<Parker>, Waker)>,
}

impl Here {
    /// Nothing if the system has no descriptor for it.
    fn enter() -> Option<Self> {
        let parker = match SPARE.take() {
            Some(parker) => parker,
            None => Arc::new(Parker {
                is_woken: AtomicBool::new(false),
                is_parked: AtomicBool::new(false),
                event: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok()?,
                waits: Mutex::default(),
            }),
        };
        let waker = Waker::from(Arc::clone(&parker));
        let before = HERE.replace(Some((Arc::clone(&parker), waker.clone())));
        Some(Self { parker, waker, before })
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        HERE.set(self.before.take());
        self.parker.is_woken.store(false, Ordering::SeqCst);
        SPARE.set(Some(Arc::clone(&self.parker)));
    }
}

/// The executor that asks the future in which this is awaited, if it is this one.
pub(crate) async fn here() -> Option<Arc<Parker>> {
    poll_fn(|context| Poll::Ready(Parker::of(context))).await
}

impl Parker {
    fn of(context: &Context<'_>) -> Option<Arc<Self>> {
        HERE.with_borrow(|here| {
            let here = here.as_ref().filter(|(_, waker)| waker.will_wake(context.waker()));
            here.map(|(parker, _)| Arc::clone(parker))
        })
    }

    /// Waits until the socket can be read, or written if that is wanted too, or the time is over; or until there is
    /// another reason to look.
    pub(crate) async fn wait(
        &self,
        socket: &Arc<OwnedFd>,
        is_writing_wanted: bool,
        deadline: Option<Instant>,
    ) {
        let mut interest = PollFlags::IN;
        interest.set(PollFlags::OUT, is_writing_wanted);
        let mut place: Option<Place<'_>> = None;
        poll_fn(|context| match &place {
            None => {
                place = Some(self.begin(Arc::clone(socket), interest, deadline));
                Poll::Pending
            }
            Some(place) => {
                let is_elsewhere =
                    Self::of(context).is_none_or(|here| !std::ptr::eq(&raw const *here, self));
                if is_elsewhere || place.is_over() { Poll::Ready(()) } else { Poll::Pending }
            }
        })
        .await;
    }

    fn begin(
        &self,
        socket: Arc<OwnedFd>,
        interest: PollFlags,
        deadline: Option<Instant>,
    ) -> Place<'_> {
        let mut waits = self.lock();
        let id = waits.next_id;
        waits.next_id += 1;
        waits.all.push(Wait { id, socket, interest, deadline, is_over: false });
        Place { parker: self, id }
    }

    /// Nothing that is done with it can leave it half done.
    fn lock(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the future is to be asked again. `waits` is memory for what is waited for.
    fn park(&self, waits: &mut Vec<Waited>) {
        self.is_parked.store(true, Ordering::SeqCst);
        if !self.is_woken.swap(false, Ordering::SeqCst) {
            waits.clear();
            let mut deadline: Option<Instant> = None;
            for wait in &self.lock().all {
                waits.push(Waited(wait.id, Arc::clone(&wait.socket), wait.interest));
                deadline = [deadline, wait.deadline].into_iter().flatten().min();
            }
            self.wait_for_any(waits, deadline);
            waits.clear();
        }
        self.is_parked.store(false, Ordering::SeqCst);
        self.is_woken.store(false, Ordering::SeqCst);
    }

    fn wait_for_any(&self, waits: &[Waited], deadline: Option<Instant>) {
        let event = || PollFd::new(&self.event, PollFlags::IN);
        let of = |index: usize| match waits.get(index) {
            Some(Waited(_, socket, interest)) => PollFd::new(&**socket, *interest),
            None => event(),
        };
        let (mut few, mut many);
        let fds: &mut [PollFd<'_>] = if waits.len() <= FEW {
            few = std::array::from_fn::<_, { FEW + 1 }, _>(of);
            few.get_mut(..=waits.len()).unwrap_or_default()
        } else {
            many = (0..=waits.len()).map(of).collect::<Vec<_>>();
            &mut many
        };
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        // A signal's handler may want the program to go on; a wrong socket shows when it is read.
        let is_interrupted = poll(fds, left.as_ref()).is_err();
        if fds.last().is_some_and(|event| !event.revents().is_empty()) {
            let _ = read(&self.event, &mut [0; 8]);
        }
        let is_ready = |id: u64| {
            let index = waits.iter().position(|wait| wait.0 == id);
            let fd = index.and_then(|index| fds.get(index));
            is_interrupted || fd.is_some_and(|fd| !fd.revents().is_empty())
        };
        let now = deadline.map(|_| Instant::now());
        let is_late = |deadline: Option<Instant>| {
            deadline.zip(now).is_some_and(|(deadline, now)| deadline <= now)
        };
        for wait in &mut self.lock().all {
            wait.is_over |= is_ready(wait.id) || is_late(wait.deadline);
        }
    }
}

/// The place of a future among those that wait.
struct Place<'p> {
    parker: &'p Parker,
    id: u64,
}

impl Place<'_> {
    fn is_over(&self) -> bool {
        let waits = self.parker.lock();
        waits.all.iter().find(|wait| wait.id == self.id).is_none_or(|wait| wait.is_over)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.parker.lock().all.retain(|wait| wait.id != self.id);
    }
}
