//! Sending: a message is queued and leaves, in time where there is a time.
//!
//! What waits to be written is bounded in bytes ([`WRITE_SIZE_MAX`](crate::connection::WRITE_SIZE_MAX)). Where so much
//! waits, since the other end does not read, whoever has time waits for room.

use std::num::NonZeroU32;

use serde::Serialize;
use zbus::wire::DynamicType;

use super::error::{Error, Result};
use super::link::{Deadline, Expects, Link, Shared, Style};
use crate::connection::{LostCall, SendError};
use crate::typed::Body;
use crate::wire::{BodyWriter, Header};

impl<S: Style> Link<S> {
    /// As [`Link::send`], once there is a connection, and room for one more message to wait.
    ///
    /// # Errors
    /// It cannot be sent, there is none in time, or the connection is over.
    pub(crate) async fn send_in_time<T>(
        &self,
        header: &Header<'_>,
        value: &T,
        expects: Expects,
        deadline: Deadline,
    ) -> Result<NonZeroU32>
    where
        T: Serialize + DynamicType + ?Sized,
    {
        loop {
            self.connected(deadline).await?;
            match self.send(header, value, expects) {
                Err(Error::Send(SendError::QueueFull)) => self.room(deadline).await?,
                result => return result,
            }
        }
    }

    /// Waits until there is room for one more message to wait.
    ///
    /// # Errors
    /// There is none in time, or the connection is over.
    pub(crate) async fn room(&self, deadline: Deadline) -> Result<()> {
        S::wait(self, |shared| shared.connection.has_room().then_some(()), deadline).await
    }

    /// Queues a message and writes what there is room for. `header` says all but the serial and the
    /// signature, which are those of `value`.
    ///
    /// # Errors
    /// It cannot be sent, or the connection is over.
    pub(crate) fn send<T>(
        &self,
        header: &Header<'_>,
        value: &T,
        expects: Expects,
    ) -> Result<NonZeroU32>
    where
        T: Serialize + DynamicType + ?Sized,
    {
        self.check_process()?;
        // Not under the lock: the value's own code may use the connection.
        let mut body = {
            let mut shared = self.lock();
            shared.check_room(expects)?;
            let mut body = shared.body.take().unwrap_or_default();
            body.has_blobs_inline = !shared.connection.takes_fds();
            body
        };
        match body.write(value) {
            Ok(()) => self.send_body(header, body, expects),
            Err(error) => {
                body.trim();
                self.lock().body = Some(body);
                Err(error.into())
            }
        }
    }

    /// As [`Link::send`], for what is written already.
    ///
    /// # Errors
    /// It cannot be sent, or the connection is over.
    pub(crate) fn send_body(
        &self,
        header: &Header<'_>,
        mut body: Box<Body>,
        expects: Expects,
    ) -> Result<NonZeroU32> {
        self.check_process()?;
        let mut shared = self.lock();
        let result = shared.queue(header, &mut body, expects);
        body.trim();
        shared.body = Some(body);
        match (&result, expects) {
            (Ok(_), Expects::Answers { .. }) => self.write_answer(&mut shared),
            (Ok(_), _) => self.write_some(&mut shared),
            _ => {}
        }
        result
    }

    /// Waits until everything that was sent so far is written.
    ///
    /// # Errors
    /// The connection is over.
    pub(crate) async fn flush(&self) -> Result<()> {
        let last = self.lock_here()?.connection.last_unwritten();
        match last {
            Some(last) => self.until_written(last, Deadline::Never).await,
            None => Ok(()),
        }
    }

    /// Waits until this message is written, and all before it. If none of it is in time it does not leave at all.
    ///
    /// # Errors
    /// The time is over, or the connection.
    pub(crate) async fn leave(&self, serial: NonZeroU32, deadline: Deadline) -> Result<()> {
        let result = self.until_written(serial, deadline).await;
        if matches!(result, Err(Error::TimedOut(_))) {
            self.lock().connection.take_back(serial);
        }
        result
    }

    async fn until_written(&self, serial: NonZeroU32, deadline: Deadline) -> Result<()> {
        let losses = self.lock_here()?.connection.losses();
        let is_written = |shared: &mut Shared| match shared.connection.losses() == losses {
            true => shared.connection.has_left(serial).then_some(Ok(())),
            false => Some(Err(Error::CallLost(LostCall::PerhapsDone))),
        };
        S::wait(self, is_written, deadline).await?
    }
}

impl Shared {
    fn queue(
        &mut self,
        header: &Header<'_>,
        body: &mut Body,
        expects: Expects,
    ) -> Result<NonZeroU32> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if let Err(error) = self.check_room(expects) {
            body.fds.clear();
            return Err(error);
        }
        let is_late = match expects {
            Expects::Answers { losses } => losses != self.connection.losses(),
            Expects::Reply | Expects::Nothing => false,
        };
        if is_late || self.connection.is_lost() {
            body.fds.clear();
            return Err(Error::CallLost(LostCall::NotSent));
        }
        let fds = std::mem::take(&mut body.fds);
        let header = Header { signature: body.signature()?, ..*header };
        let copy = |writer: &mut BodyWriter<'_>| writer.encoded(&body.bytes);
        Ok(match expects {
            Expects::Reply => self.connection.call(&header, fds, copy)?,
            Expects::Nothing | Expects::Answers { .. } => {
                self.connection.send(&header, fds, copy)?
            }
        })
    }

    /// Answers need no room: no call is served while many wait.
    fn check_room(&self, expects: Expects) -> Result<()> {
        let is_full = self.failure.is_none() && !self.connection.has_room();
        match expects {
            Expects::Reply | Expects::Nothing if is_full => Err(SendError::QueueFull.into()),
            _ => Ok(()),
        }
    }
}
