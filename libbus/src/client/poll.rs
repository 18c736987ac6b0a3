//! Streams of the style with futures as [`Stream`]s.
//!
//! A future that waits may be the one that reads for all, since who drops it lets the next one read. A stream may
//! be asked once and then lie in a drawer, though, and all others would wait for it to read. So it never
//! is that one: it is woken when there is something to read or somebody has read, and reads then if nobody
//! else does. That is dearer where many are polled at once; `next` of each type is the same without that.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_io::{ReadableOwned, WritableOwned};
use event_listener::EventListener;
use futures_lite::stream::Stream;
use serde::Deserialize;
use zbus::wire::Type;

use super::error::Result;
use super::link::{Link, Shared};
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
}

impl Parked {
    /// What `ready` has, once it has something.
    fn poll<T>(
        &mut self,
        link: &Link<Async>,
        mut ready: impl FnMut(&mut Shared) -> Option<T>,
        context: &mut Context<'_>,
    ) -> Poll<Result<T>> {
        loop {
            let mut shared = link.lock();
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
            let may_read = !shared.is_read && shared.connection.may_read();
            let is_blocked = shared.is_blocked();
            drop(shared);
            if Pin::new(listener).poll(context).is_ready() {
                // The next round has another, after which it looks.
                self.listener = Some(link.signal.listen());
                continue;
            }
            let socket = || Arc::clone(link.watched_socket().shared());
            let readable =
                may_read.then(|| self.readable.get_or_insert_with(|| socket().readable_owned()));
            if let Some(readable) = readable
                && let Poll::Ready(result) = Pin::new(readable).poll(context)
            {
                self.readable = None;
                result?;
                read_some(link);
                continue;
            }
            let writable =
                is_blocked.then(|| self.writable.get_or_insert_with(|| socket().writable_owned()));
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
        (self.readable, self.writable) = (None, None);
    }
}

/// Without end, but for the error by which the connection ended.
impl Stream for SignalStream {
    type Item = Result<Message>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.has_ended() {
            return Poll::Ready(None);
        }
        loop {
            let id = this.id();
            let (parked, link) = this.parked();
            let next = |shared: &mut Shared| shared.connection.next_of(id);
            let told = match parked.poll(link, next, context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(told) => told,
            };
            match told {
                Ok(told) => {
                    if let Some(signal) = this.take_told(told) {
                        return Poll::Ready(Some(Ok(signal)));
                    }
                }
                Err(error) => {
                    this.note_failure(&error);
                    return Poll::Ready(Some(Err(error)));
                }
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
            match Pin::new(this.signals()).poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(signal))) => {
                    if let Some(change) = this.change_in(&signal) {
                        return Poll::Ready(Some(change));
                    }
                }
                Poll::Ready(None | Some(Err(_))) => return Poll::Ready(None),
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
            match Pin::new(this.signals()).poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
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
