//! A client whose calls are futures, under any executor: sockets and times are watched by async-io's own
//! thread.
//!
//! Whichever task waits reads for all, so that a reply mostly comes to the task that called, and no task has
//! to be spawned for the connection. A future that is dropped lets the next one read.

use std::io;

use async_io::{Async as Watched, Timer};
use event_listener::{Event, EventListener};
use futures_lite::future::{or, pending};
use futures_lite::stream::{self, Stream};

use super::api::api;
use super::link::{Link, Shared, Style};
use crate::transport::{Patience, Socket};

/// The style of [`Connection`]: functions are `async`.
#[derive(Debug)]
pub struct Async;

/// What somebody who waits does next.
enum Role {
    /// Nobody else reads.
    Read { is_blocked: bool },
    /// Somebody else does, or somebody must make room first.
    Listen { listener: EventListener, is_blocked: bool },
}

impl Style for Async {
    type Socket = Watched<Socket>;
    type Signal = Event;

    fn prepare(socket: Socket) -> io::Result<Watched<Socket>> {
        Watched::new(socket)
    }

    async fn wait<T: Send>(
        link: &Link<Self>,
        mut ready: impl FnMut(&mut Shared) -> Option<T> + Send,
        deadline: Deadline,
    ) -> Result<T> {
        loop {
            let (role, left) = {
                let mut shared = link.lock();
                if let Some(result) = shared.settle(&mut ready) {
                    return result;
                }
                let left = link.time_left(&shared, deadline)?;
                (Role::choose(link, &mut shared), left)
            };
            // What is there to be read does not let it wait.
            let left = left.filter(|left| !left.is_zero());
            within(left, role.enter(link).wait()).await?;
        }
    }

    fn wake(signal: &Event) {
        signal.notify(usize::MAX);
    }
}

impl Role {
    fn choose(link: &Link<Async>, shared: &mut Shared) -> Self {
        let is_blocked = shared.is_blocked();
        if !shared.is_read && shared.connection.may_read() {
            shared.is_read = true;
            Self::Read { is_blocked }
        } else {
            shared.waiting_count += 1;
            Self::Listen { listener: link.signal.listen(), is_blocked }
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
    async fn wait(mut self) -> Result<()> {
        let socket = self.link.watched_socket();
        let writable = async |is_blocked| match is_blocked {
            true => socket.writable().await,
            false => pending().await,
        };
        match &mut self.role {
            Role::Read { is_blocked } => {
                or(socket.readable(), writable(*is_blocked)).await?;
                self.read();
            }
            Role::Listen { listener, is_blocked } => {
                let told = async {
                    listener.await;
                    Ok(())
                };
                or(told, writable(*is_blocked)).await?;
                self.link.write_some(&mut self.link.lock());
            }
        }
        Ok(())
    }

    /// Reads what is there, which does not wait, and writes what there is room for.
    fn read(&self) {
        let mut shared = self.link.lock();
        let mut buffer = shared.connection.take_buffer();
        let mut fds = Vec::new();
        let result = self.link.socket().receive(buffer.space(), &mut fds, Patience::None);
        self.link.handle_read(&mut shared, buffer, &mut fds, result);
        self.link.write_some(&mut shared);
    }
}

impl Drop for InRole<'_> {
    fn drop(&mut self) {
        let mut shared = self.link.lock();
        match self.role {
            Role::Read { .. } => {
                shared.is_read = false;
                if shared.waiting_count > 0 {
                    Async::wake(&self.link.signal);
                }
            }
            Role::Listen { .. } => shared.waiting_count -= 1,
        }
    }
}

/// Waits for so long at most. That the time is over the next look at the deadline tells.
async fn within(time: Option<Duration>, future: impl Future<Output = Result<()>>) -> Result<()> {
    let Some(time) = time else { return future.await };
    let timer = async {
        Timer::after(time).await;
        Ok(())
    };
    or(future, timer).await
}

macro_rules! run {
    ($future:expr) => {
        $future.await
    };
}

api!(Async, [async], run);

impl SignalStream {
    /// The next signal; `None` after the error by which the connection ended.
    pub async fn next(&mut self) -> Option<Result<Message>> {
        if self.has_ended() {
            return None;
        }
        Some(self.next_signal().await)
    }

    /// All signals that follow, for what works on any stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Message>> + Send {
        stream::unfold(self, |mut stream| async {
            let signal = stream.next().await?;
            Some((signal, stream))
        })
    }
}
