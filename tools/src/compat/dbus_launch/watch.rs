//! Ends a bus with the terminal that it was started from (`--exit-with-session` without a display).
//!
//! The watching process is a grandchild, so that the program which is run has no child that it does not know. Unlike
//! dbus-launch's it reads nothing of what is typed: it asks whether the terminal is there.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use libbus::host::phrase;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};

/// By which this program is told to watch: with the number of the bus's process, and after `begin:` to begin to.
pub(super) const OPTION: &str = "--watch-session-of";
const BEGIN: &str = "begin:";

/// Sees to it that the bus ends with the terminal; at once, where there is none.
pub(super) fn begin(pid: i32) -> Result<(), String> {
    if !std::io::stdin().is_terminal() {
        // As dbus-launch does: there is no session that this bus could be of.
        return end(pid);
    }
    let status = again(&format!("{BEGIN}{pid}"))?.wait().map_err(|error| text(&phrase(&error)))?;
    if status.success() { Ok(()) } else { Err(text("cannot watch the terminal")) }
}

/// What the process does that is told to watch.
pub(super) fn run(word: &OsStr) -> Result<(), String> {
    let word = word.to_str().unwrap_or_default();
    match word.strip_prefix(BEGIN) {
        Some(pid) => again(pid).map(drop),
        None => watch(word.parse().map_err(|_| text("no process to watch"))?),
    }
}

fn text(what: &str) -> String {
    format!("dbus-launch: {what}\n")
}

/// This program once more, at the same terminal.
fn again(word: &str) -> Result<std::process::Child, String> {
    let own = std::env::current_exe().map_err(|error| text(&phrase(&error)))?;
    let mut command = Command::new(own);
    command.arg0("dbus-launch").arg(OsString::from(format!("{OPTION}={word}")));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map_err(|error| text(&phrase(&error)))
}

fn watch(pid: i32) -> Result<(), String> {
    // The session's end may come as a signal, too.
    let signals = SigSet::from_iter([Signal::SIGHUP, Signal::SIGTERM, Signal::SIGINT]);
    let failed = |error: nix::errno::Errno| text(&phrase(&error.into()));
    signals.thread_block().map_err(failed)?;
    let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC).map_err(failed)?;
    let bus = open(pid)?;
    let terminal = std::io::stdin();
    let mut waited = [
        // Of a terminal that is gone it is told without being asked for.
        PollFd::new(&terminal, PollFlags::empty()),
        PollFd::new(&signals, PollFlags::IN),
        PollFd::new(&bus, PollFlags::IN),
    ];
    while poll(&mut waited, None) == Err(rustix::io::Errno::INTR) {}
    match waited.get(2).is_some_and(|bus| !bus.revents().is_empty()) {
        true => Ok(()),
        false => end(pid),
    }
}

fn open(pid: i32) -> Result<std::os::fd::OwnedFd, String> {
    let pid = Pid::from_raw(pid).ok_or_else(|| text("no process to watch"))?;
    pidfd_open(pid, PidfdFlags::empty()).map_err(|error| text(&phrase(&error.into())))
}

/// A bus that has ended is no failure.
fn end(pid: i32) -> Result<(), String> {
    if let Ok(bus) = open(pid) {
        let _ = pidfd_send_signal(bus, rustix::process::Signal::TERM);
    }
    Ok(())
}
