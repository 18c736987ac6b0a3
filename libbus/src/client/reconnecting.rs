//! Waiting for a bus that is not there yet, and coming back to one that went away.
//!
//! There is no thread that does it: whoever waits for something on a connection that is lost connects again, in
//! its place in the role of the one who reads for all, and the others wait for it. What the new bus is asked is
//! decided by the state machine (`connection/restoring.rs`); here are the sockets, the pauses and the bounds.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::{Error, Result};
use super::link::{DEFAULT_TIMEOUT, Deadline, Link, Shared, Style};
use super::reach::{self, connect_to_one};
use crate::connection::{ConnectionConfig, ConnectionError, ConnectionState};
use crate::guid::Guid;
use crate::transport::Socket;

/// The first pause between two tries; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// How long a try may take at least, however little time is left for all of them: without any it would be none.
const TRY_TIME_MIN: Duration = Duration::from_millis(100);
/// No pause is longer while a bus is waited for that is not there yet.
const WAITING_PAUSE_MAX: Duration = Duration::from_millis(500);

/// For how long a connection that was lost is tried to be made again, and how often:
/// [`Builder::reconnect`](super::Builder::reconnect).
///
/// ```
/// use std::time::Duration;
/// use libbus::Reconnect;
///
/// let patient = Reconnect::within(Duration::from_secs(3600)).pause_max(Duration::from_secs(10));
/// let restless = Reconnect::within(Duration::from_secs(5)).tries_max(3);
/// # let _ = (patient, restless);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconnect {
    time_max: Duration,
    tries_max: u32,
    pause_max: Duration,
}

impl Reconnect {
    /// For so long after the first try, and as often as there is time for; pauses are 1 s at most.
    /// [`Duration::MAX`] is for ever. A try to which nobody answers is over after 25 s, or when all are.
    #[must_use]
    pub const fn within(time_max: Duration) -> Self {
        Self { time_max, tries_max: u32::MAX, pause_max: Duration::from_secs(1) }
    }

    /// No more tries than this for each loss; one is made at least. One that whoever waits for it ends since its own
    /// time is over does not count.
    #[must_use]
    pub const fn tries_max(self, tries_max: u32) -> Self {
        Self { tries_max, ..self }
    }

    /// No pause between two tries is longer. The first is 10 ms, each further one twice as long.
    #[must_use]
    pub const fn pause_max(self, pause_max: Duration) -> Self {
        Self { pause_max, ..self }
    }
}

/// For one minute.
impl Default for Reconnect {
    fn default() -> Self {
        Self::within(Duration::from_secs(60))
    }
}

/// Tries that fail, with growing pauses between them, until they are given up.
#[derive(Debug)]
pub(crate) struct Tries {
    policy: Reconnect,
    count: u32,
    began: Instant,
    pause: Duration,
}

impl Tries {
    /// Those for a bus that is not there yet.
    pub(super) fn waiting(time_max: Duration) -> Self {
        Self::begin(Reconnect::within(time_max).pause_max(WAITING_PAUSE_MAX))
    }

    pub(crate) fn begin(policy: Reconnect) -> Self {
        Self { policy, count: 0, began: Instant::now(), pause: PAUSE_MIN }
    }

    /// How long the next one may take, or the next part of it.
    pub(super) fn time_of_next(&self) -> Duration {
        let left = self.policy.time_max.saturating_sub(self.began.elapsed());
        left.clamp(TRY_TIME_MIN, DEFAULT_TIMEOUT)
    }

    /// One has failed. Answers how long to wait for the next one.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn note_failure(&mut self, error: Error) -> Result<Duration> {
        self.count = self.count.saturating_add(1);
        if !can_be_mended(&error) {
            return Err(error);
        }
        let time = self.began.elapsed();
        let left = self.policy.time_max.saturating_sub(time);
        if left.is_zero() || self.count >= self.policy.tries_max {
            return Err(Error::GaveUp { tries: self.count, time, error: Arc::new(error) });
        }
        let pause = self.pause.min(self.policy.pause_max);
        self.pause = pause.saturating_mul(2);
        Ok(pause.min(left))
    }
}

/// Whether another try may go better.
fn can_be_mended(error: &Error) -> bool {
    match error {
        Error::Connect { error, .. } => reach::can_be_mended(error),
        Error::Closed | Error::Io(_) | Error::TimedOut(_) => true,
        Error::Connection(error) => *error == ConnectionError::NotRestored,
        _ => false,
    }
}

/// Where to connect again, and as what.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) addresses: String,
    pub(crate) config: ConnectionConfig,
    pub(crate) is_bus: bool,
}

/// From when the connection is lost until the next one has all that the last one had.
#[derive(Debug)]
struct Loss {
    tries: Option<Tries>,
    /// When to try next.
    next: Instant,
    /// When the try that is under way had its socket, and how long the rest of it may take.
    opened: Option<(Instant, Duration)>,
}

/// How long somebody may try to connect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TryTime {
    time: Duration,
    /// Whether that is the time of whoever waits, so that nothing is known of the other end when it is over.
    is_of_waiter: bool,
}

/// How a connection that is lost is made again.
#[derive(Debug)]
pub(crate) struct Again {
    policy: Reconnect,
    loss: Option<Loss>,
}

impl Shared {
    /// The socket is over: so is the connection, unless it is made again. To be called by the one who reads.
    pub(crate) fn lose(&mut self, error: Error) {
        let Some(again) = &mut self.again else { return self.fail(error) };
        if self.failure.is_some() || self.connection.is_lost() {
            return;
        }
        self.connection.lose();
        let is_try = again.loss.is_some();
        let now = Instant::now();
        let loss = again.loss.get_or_insert(Loss { tries: None, next: now, opened: None });
        loss.opened = None;
        if is_try {
            self.note_failed_try(error);
        }
    }

    fn note_failed_try(&mut self, error: Error) {
        let Some(Again { policy, loss: Some(loss) }) = &mut self.again else { return };
        let tries = loss.tries.get_or_insert_with(|| Tries::begin(*policy));
        match tries.note_failure(error) {
            Ok(pause) => loss.next = Instant::now() + pause,
            Err(error) => self.fail(error),
        }
    }

    /// Whether all that was lost is there again, or nothing was.
    pub(crate) fn is_whole(&self) -> bool {
        self.again.as_ref().is_none_or(|again| again.loss.is_none())
    }

    /// Looks whether a new connection has all that the last one had.
    pub(crate) fn note_restored(&mut self) {
        if let Some(again) = &mut self.again
            && again.loss.is_some()
            && self.connection.is_restored()
        {
            again.loss = None;
        }
    }

    /// Whoever listens where the bus was may say nothing: such a try has failed.
    pub(crate) fn end_slow_try(&mut self) {
        let Some(Again { loss: Some(Loss { opened: Some(opened), .. }), .. }) = &self.again else {
            return;
        };
        let (opened, time) = *opened;
        if !self.is_read && opened.elapsed() >= time {
            self.lose(Error::TimedOut(time));
        }
    }

    /// For how long whoever waits is to connect now, if it is to, which `is_read` then says that somebody does; and for
    /// how long it may do something else, if it would do so for `left`.
    pub(crate) fn begin_try(
        &mut self,
        left: Option<Duration>,
    ) -> (Option<TryTime>, Option<Duration>) {
        let Some(Again { policy, loss: Some(loss) }) = &mut self.again else {
            return (None, left);
        };
        if self.is_read || self.failure.is_some() {
            return (None, left);
        }
        let until = match loss.opened {
            Some((opened, time)) => time.saturating_sub(opened.elapsed()),
            None => loss.next.saturating_duration_since(Instant::now()),
        };
        if loss.opened.is_some() || !until.is_zero() {
            return (None, Some(left.map_or(until, |left| left.min(until))));
        }
        self.is_read = true;
        let time = loss.tries.get_or_insert_with(|| Tries::begin(*policy)).time_of_next();
        let of_waiter = left.filter(|left| *left < time);
        let is_of_waiter = of_waiter.is_some();
        (Some(TryTime { time: of_waiter.unwrap_or(time), is_of_waiter }), left)
    }
}

impl<S: Style> Link<S> {
    /// From now on it is connected again when it is lost.
    pub(crate) fn reconnect(&self, route: Route, policy: Reconnect) {
        if self.route.set(route).is_ok() {
            self.lock().again = Some(Again { policy, loss: None });
        }
    }

    /// Connects again, for [`Link::handle_connected`]. Nothing: the time of whoever waits is over before.
    pub(crate) async fn connect_again(&self, time: TryTime) -> Option<Result<S::Socket>> {
        let connect = async || {
            let route = self.route.get().ok_or(Error::Closed)?;
            let (socket, _) = connect_to_one::<S>(&route.addresses, time.time).await?;
            Ok(S::prepare(socket)?)
        };
        let result = connect().await;
        let is_late = matches!(
            &result,
            Err(Error::Connect { error, .. }) if error.kind() == io::ErrorKind::TimedOut
        );
        (!is_late || !time.is_of_waiter).then_some(result)
    }

    /// Who listened there went before the handshake was over: begins with another one.
    pub(super) fn begin_anew(&self, socket: S::Socket, connection: ConnectionState) {
        let mut shared = self.lock();
        (shared.connection, shared.failure) = (connection, None);
        self.replace_socket(socket);
    }

    /// There is another socket, or none, or nobody waited long enough.
    pub(crate) fn handle_connected(&self, shared: &mut Shared, result: Option<Result<S::Socket>>) {
        let Some(result) = result else { return };
        if shared.failure.is_some() {
            return;
        }
        let (socket, route) = match (result, self.route.get()) {
            (Ok(socket), Some(route)) => (socket, route),
            (result, _) => {
                return shared.note_failed_try(result.err().unwrap_or(Error::Closed));
            }
        };
        if let Err(error) = shared.connection.restart(route.config.clone(), route.is_bus) {
            return shared.fail(error.into());
        }
        self.replace_socket(socket);
        if let Some(Again { loss: Some(loss), .. }) = &mut shared.again {
            let time = loss.tries.as_ref().map_or(DEFAULT_TIMEOUT, Tries::time_of_next);
            loss.opened = Some((Instant::now(), time));
        }
        self.write_some(shared);
    }

    /// Waits until there is a connection that has all that it had before it was lost. That is so at once where no
    /// connection is made again.
    ///
    /// # Errors
    /// It is over, or the time.
    pub(crate) async fn connected(&self, deadline: Deadline) -> Result<()> {
        if self.route.get().is_none() {
            return Ok(());
        }
        self.check_process()?;
        if self.lock().is_whole() {
            return Ok(());
        }
        S::wait(self, |shared| shared.is_whole().then_some(()), deadline).await
    }
}

/// Connects to the first address that can be reached; if none can and it is waited for, tries again, if what is
/// missing may still come.
pub(super) async fn wait_for_one<S: Style>(
    addresses: &str,
    tries: &mut Option<Tries>,
    time_max: Duration,
) -> Result<(Socket, Option<Guid>)> {
    loop {
        let time = time_of(tries.as_ref(), time_max);
        match (connect_to_one::<S>(addresses, time).await, &mut *tries) {
            (Err(error), Some(tries)) => S::pause(tries.note_failure(error)?).await,
            (result, _) => return result,
        }
    }
}

/// How long the next part of connecting may take, whether or not it is waited for a bus: no longer than a call.
pub(super) fn time_of(tries: Option<&Tries>, time_max: Duration) -> Duration {
    tries.map_or(time_max, |tries| tries.time_of_next().min(time_max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_try_has_the_time_that_is_left_for_all_and_25_s_at_most() {
        let time = |time_max| Tries::begin(Reconnect::within(time_max)).time_of_next();
        assert_eq!(time(Duration::MAX), DEFAULT_TIMEOUT);
        assert_eq!(time(Duration::ZERO), TRY_TIME_MIN, "one is made at least");
        let some = time(Duration::from_secs(20));
        assert!(some <= Duration::from_secs(20) && some > TRY_TIME_MIN, "{some:?}");
        let tries = Tries::waiting(Duration::MAX);
        assert_eq!(time_of(None, Duration::MAX), Duration::MAX);
        assert_eq!(time_of(Some(&tries), Duration::MAX), DEFAULT_TIMEOUT);
        assert_eq!(time_of(Some(&tries), PAUSE_MIN), PAUSE_MIN, "as long as a call");
    }

    #[test]
    fn who_says_nothing_is_tried_again_while_there_is_time() {
        let silent = || Error::TimedOut(DEFAULT_TIMEOUT);
        let full = || Error::Connect {
            address: String::new(),
            error: Arc::new(io::ErrorKind::TimedOut.into()),
        };
        let mut tries = Tries::waiting(Duration::MAX);
        assert_eq!(tries.note_failure(silent()).unwrap(), PAUSE_MIN);
        assert_eq!(tries.note_failure(full()).unwrap(), 2 * PAUSE_MIN);
        let error = Tries::waiting(Duration::ZERO).note_failure(silent()).unwrap_err();
        assert!(matches!(error, Error::GaveUp { tries: 1, .. }), "{error}");
    }
}
