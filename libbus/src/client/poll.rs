//! Streams of the style with futures as [`Stream`]s.
//!
//! A future that waits may be the one that reads for all, since who drops it lets the next one read. A stream may
//! be asked once and then lie in a drawer, though, and all others would wait for it to read. So it never
//! is that one: it is woken when there is something to read or somebody has read, and reads then if nobody
//! else does. That is dearer where many are polled at once; `next` of each type is the same without that.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use async_io::{Async as Watched, ReadableOwned, Timer, WritableOwned};
use event_listener::EventListener;
use futures_lite::stream::Stream;
use serde::Deserialize;
use zbus::wire::Type;

use super::error::{Error, Result};
use super::link::{Link, Shared, Style as _, WaitsFor};
use super::nonblocking::{
    Async, NameWatch, PropertyChanged, PropertyStream, SignalStream, read_some,
};
use crate::message::Message;
use crate::transport::Socket;

/// By what a stream is woken that was polled and has nothing.
#[derive(Default)]
pub struct Parked {
    /// Counted among those who wait.
    listener: Option<EventListener>,
    readable: Option<ReadableOwned<Socket>>,
    writable: Option<WritableOwned<Socket>>,
    /// When a connection that is lost is tried to be made again.
    timer: Option<Timer>,
    /// How often the connection had been lost when these were made.
    losses: u32,
    connecting: Mutex<Option<Connecting>>,
}

/// Another socket for a connection that is lost.
type Connecting = Pin<Box<dyn Future<Output = Option<Result<Watched<Socket>>>> + Send>>;

impl Parked {
    /// What `ready` has, once it has something.
    fn poll<T>(
        &mut self,
        link: &Arc<Link<Async>>,
        mut ready: impl FnMut(&mut Shared) -> Option<T>,
        context: &mut Context<'_>,
    ) -> Poll<Result<T>> {
        loop {
            let mut shared = match link.lock_here() {
                Ok(shared) => shared,
                Err(error) => return Poll::Ready(Err(error)),
            };
            // Before the look, so that nothing is told between both.
            let listener = self.listener.get_or_insert_with(|| {
                shared.waiting_count += 1;
                link.signal.listen()
            });
            if let Some(result) = shared.settle(&mut ready) {
                drop(shared);
                self.leave(link);
                return Poll::Ready(result);
            }
            let losses = shared.connection.losses();
            if std::mem::replace(&mut self.losses, losses) != losses {
                (self.readable, self.writable) = (None, None);
            }
            let may_read = WaitsFor::Own.may_read(&shared);
            let connecting = self.connecting.get_mut().unwrap_or_else(PoisonError::into_inner);
            let mut left = None;
            if connecting.is_none() {
                let time;
                (time, left) = shared.begin_try(None);
                if let Some(time) = time {
                    // Others may do so, too, since this may never be polled again.
                    shared.is_read = false;
                    let link = Arc::clone(link);
                    *connecting = Some(Box::pin(async move { link.connect_again(time).await }));
                    left = None;
                }
            }
            let is_blocked = shared.is_blocked();
            drop(shared);
            if Pin::new(listener).poll(context).is_ready() {
                // The next round has another, after which it looks.
                self.listener = Some(link.signal.listen());
                continue;
            }
            if let Some(future) = connecting
                && let Poll::Ready(socket) = future.as_mut().poll(context)
            {
                *connecting = None;
                let mut shared = link.lock();
                if shared.connection.is_lost() && !shared.is_read {
                    link.handle_connected(&mut shared, socket);
                    Async::wake(&link.signal);
                }
                continue;
            }
            // It has gone off once the time is over.
            self.timer = left.map(Timer::after);
            if let Some(timer) = &mut self.timer
                && Pin::new(timer).poll(context).is_ready()
            {
                continue;
            }
            let readable = may_read
                .then(|| self.readable.get_or_insert_with(|| link.socket().readable_owned()));
            if let Some(readable) = readable
                && let Poll::Ready(result) = Pin::new(readable).poll(context)
            {
                self.readable = None;
                result?;
                read_some(link);
                continue;
            }
            let writable = is_blocked
                .then(|| self.writable.get_or_insert_with(|| link.socket().writable_owned()));
            if let Some(writable) = writable
                && let Poll::Ready(result) = Pin::new(writable).poll(context)
            {
                self.writable = None;
                result?;
                link.write_some(&mut link.lock());
                continue;
            }
            return Poll::Pending;
        }
    }

    /// Waits no more.
    pub(crate) fn leave(&mut self, link: &Link<Async>) {
        if self.listener.take().is_some() {
            link.lock().waiting_count -= 1;
        }
        (self.readable, self.writable, self.timer) = (None, None, None);
        *self.connecting.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl SignalStream {
    /// The next signal, or nothing where some were let go.
    fn poll_next_or_missed(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Option<Message>>>> {
        if self.has_ended() {
            return Poll::Ready(None);
        }
        let id = self.id();
        let (parked, link) = self.parked();
        let next = |shared: &mut Shared| shared.connection.next_of(id);
        parked.poll(link, next, context).map(|told| {
            let told = told.inspect_err(|error| self.note_failure(error));
            Some(told.and_then(|told| self.take_told(told)))
        })
    }

    /// As [`SignalStream::next_or_end`], for streams that are made of this one.
    pub fn poll_next_or_end(&mut self, context: &mut Context<'_>) -> Poll<Option<Message>> {
        loop {
            match Pin::new(&mut *self).poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(signal))) => return Poll::Ready(Some(signal)),
                Poll::Ready(Some(Err(Error::Interrupted))) => {}
                Poll::Ready(None | Some(Err(_))) => return Poll::Ready(None),
            }
        }
    }
}

/// Without end, but for the error by which the connection ended.
impl Stream for SignalStream {
    type Item = Result<Message>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            match this.poll_next_or_missed(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(None))) => {}
                Poll::Ready(item) => return Poll::Ready(item.and_then(Result::transpose)),
            }
        }
    }
}

/// Until the connection is over.
impl<T> Stream for PropertyStream<T>
where
    T: Type + for<'de> Deserialize<'de>,
{
    type Item = PropertyChanged<T>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            let Some(signals) = this.signals() else { return Poll::Ready(None) };
            match signals.poll_next_or_missed(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(told)) => match this.change_told(told) {
                    Ok(None) => {}
                    Ok(change) => return Poll::Ready(change),
                    Err(_) => return Poll::Ready(None),
                },
            }
        }
    }
}

/// The owners, the present one at first; after the error by which the connection ended there are none.
impl Stream for NameWatch {
    type Item = Result<Option<String>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(owner) = this.take_first() {
            return Poll::Ready(Some(Ok(owner)));
        }
        loop {
            match this.poll_asking(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(owner)) => return Poll::Ready(Some(owner)),
                Poll::Ready(None) if this.is_gone() => return Poll::Ready(None),
                Poll::Ready(None) => {}
            }
            match Pin::new(this.signals()).poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(Error::Interrupted))) => {
                    if let Some(owner) = this.note_interruption() {
                        return Poll::Ready(Some(Ok(owner)));
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(Some(Ok(change))) => {
                    if let Some(owner) = super::peers::owner_in(&change) {
                        return Poll::Ready(Some(Ok(owner)));
                    }
                }
            }
        }
    }
}
