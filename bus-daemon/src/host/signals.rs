//! Signals as something to read, so that the event loop has one waiting place.
//!
//! SIGPIPE needs nothing here: the Rust runtime ignores it before `main`, and sends are made with
//! `MSG_NOSIGNAL`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal as UnixSignal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::system_call;

/// What a signal asks of the daemon (config.md B124).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: end cleanly. SIGINT too, so that Ctrl-C removes the sockets.
    // deviation: the reference lets SIGINT kill it and leaves its socket and pid file behind.
    Terminate,
    /// SIGHUP: read the configuration again.
    Reload,
}

/// What is blocked now: before [`Signals::install`], what programs started from here begin with
/// (config.md B099).
#[must_use]
pub fn blocked_signals() -> SigSet {
    // INVARIANT: asking does not fail.
    SigSet::thread_get_mask().unwrap_or_else(|_| SigSet::empty())
}

/// Has this process, and those it starts, hear of the end of its children, whatever it was started with.
/// Call before there are any.
pub fn heed_children() {
    system_call::heed(UnixSignal::SIGCHLD);
}

/// The signals of this process as a non-blocking descriptor that is readable while one is pending.
#[derive(Debug)]
pub struct Signals {
    fd: SignalFd,
}

impl Signals {
    /// Blocks the signals named in [`Signal`] for the calling thread and those it starts later, and
    /// opens the descriptor that they are read from instead. Call before starting any thread.
    /// Programs started from here inherit the blocked signals unless they are unblocked for them.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub fn install() -> io::Result<Self> {
        let mut set = SigSet::empty();
        for signal in [UnixSignal::SIGTERM, UnixSignal::SIGINT, UnixSignal::SIGHUP] {
            set.add(signal);
        }
        set.thread_block()?;
        // nohup(1) has SIGHUP ignored. SIGINT stays so where it is: a shell does that to what it starts in
        // the background.
        for signal in [UnixSignal::SIGTERM, UnixSignal::SIGHUP] {
            system_call::heed(signal);
        }
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Self { fd })
    }

    /// The next pending signal, or `None` when there is none.
    ///
    /// # Errors
    /// When the descriptor can not be read, which does not happen in a sound system.
    pub fn next_signal(&mut self) -> io::Result<Option<Signal>> {
        let Some(info) = self.fd.read_signal()? else { return Ok(None) };
        let hangup = info.ssi_signo == UnixSignal::SIGHUP as u32;
        Ok(Some(if hangup { Signal::Reload } else { Signal::Terminate }))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::raise;

    use super::*;

    // config.md B124
    #[test]
    fn signals_are_read_and_not_delivered() {
        let mut signals = Signals::install().unwrap();
        assert_eq!(signals.next_signal().unwrap(), None);
        for (signal, expected) in [
            (UnixSignal::SIGTERM, Signal::Terminate),
            (UnixSignal::SIGINT, Signal::Terminate),
            (UnixSignal::SIGHUP, Signal::Reload),
        ] {
            raise(signal).unwrap();
            assert_eq!(signals.next_signal().unwrap(), Some(expected), "{signal}");
            assert_eq!(signals.next_signal().unwrap(), None);
        }
    }
}
