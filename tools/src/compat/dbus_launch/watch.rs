//! Ends a bus with the session that it was started in: with the X11 display, or with the terminal (`--exit-with-x11`,
//! `--exit-with-session`, `--autolaunch`).
//!
//! The watching process is a grandchild, so that the program which is run has no child that it does not know. Unlike
//! dbus-launch's it reads nothing of what is typed: it asks whether the terminal is there. The display's window that
//! says where the bus is is its own, and goes with it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use libbus::host::phrase;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};

use super::display::Display;

/// By which this program is told to watch: with a step, and then the words of what is watched.
pub(super) const OPTION: &str = "--watch-session";
/// Begin to watch, and end.
const BEGIN: &str = "begin";
const WATCH: &str = "watch";
/// Bytes of a window's number.
const WINDOW_SIZE_MAX: u64 = 16;

/// Whose session ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Watched {
    pub(super) pid: i32,
    pub(super) address: String,
    /// Of whose display; without one there is no display.
    pub(super) machine_id: Option<String>,
    /// Whether the terminal counts, too.
    pub(super) has_terminal: bool,
}

impl Watched {
    fn words(&self) -> [String; 4] {
        let terminal = if self.has_terminal { "terminal" } else { "" };
        let id = self.machine_id.clone().unwrap_or_default();
        [self.pid.to_string(), self.address.clone(), id, terminal.to_owned()]
    }

    fn of_words(words: &[OsString]) -> Option<Self> {
        let [pid, address, machine_id, terminal] = words else { return None };
        Some(Self {
            pid: pid.to_str()?.parse().ok()?,
            address: address.to_str()?.to_owned(),
            machine_id: Some(machine_id.to_str()?.to_owned()).filter(|id| !id.is_empty()),
            has_terminal: terminal == "terminal",
        })
    }
}

/// Sees to it that the bus ends with its session, and answers the window by which the display has it, or 0. Where
/// there is neither display nor terminal there is no session that this bus could be of, and it ends at once.
pub(super) fn begin(watched: &Watched) -> Result<u32, String> {
    let mut child = again(BEGIN, &watched.words(), Stdio::piped())?;
    let mut told = String::new();
    if let Some(out) = child.stdout.take() {
        out.take(WINDOW_SIZE_MAX).read_to_string(&mut told).map_err(|error| text(&error))?;
    }
    let status = child.wait().map_err(|error| text(&error))?;
    let window = told.trim_end().parse().ok().filter(|_| status.success());
    window.ok_or_else(|| "dbus-launch: cannot watch the session\n".to_owned())
}

/// What the process does that is told to watch.
pub(super) fn run(step: &OsStr, words: &[OsString]) -> Result<(), String> {
    let watched = Watched::of_words(words).ok_or("dbus-launch: no process to watch\n")?;
    if step == BEGIN {
        return again(WATCH, &watched.words(), Stdio::inherit()).map(drop);
    }
    let display = watched.machine_id.as_deref().and_then(Display::open);
    let has_terminal = watched.has_terminal && io::stdin().is_terminal();
    let window = display.as_ref().and_then(|it| it.publish(&watched.address, watched.pid));
    let told = tell(window.unwrap_or_default());
    if display.is_none() && !has_terminal {
        return end(watched.pid);
    }
    told.and_then(|()| watched.watch(display.as_ref(), has_terminal))
}

fn text(error: &io::Error) -> String {
    format!("dbus-launch: {}\n", phrase(error))
}

/// This program once more, at the same terminal.
fn again(step: &str, words: &[String], out: Stdio) -> Result<Child, String> {
    let own = std::env::current_exe().map_err(|error| text(&error))?;
    let mut command = Command::new(own);
    command.arg0("dbus-launch").arg(format!("{OPTION}={step}")).args(words);
    command.stdout(out).stderr(Stdio::null());
    command.spawn().map_err(|error| text(&error))
}

/// Tells the window, and leaves the output to others.
fn tell(window: u32) -> Result<(), String> {
    let mut out = io::stdout();
    writeln!(out, "{window}").and_then(|()| out.flush()).map_err(|error| text(&error))?;
    let null = File::options().write(true).open("/dev/null").map_err(|error| text(&error))?;
    rustix::stdio::dup2_stdout(null).map_err(|error| text(&error.into()))
}

impl Watched {
    fn watch(&self, display: Option<&Display>, has_terminal: bool) -> Result<(), String> {
        // The session's end may come as a signal, too.
        let signals = SigSet::from_iter([Signal::SIGHUP, Signal::SIGTERM, Signal::SIGINT]);
        let failed = |error: nix::errno::Errno| text(&error.into());
        signals.thread_block().map_err(failed)?;
        let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC).map_err(failed)?;
        let Ok(bus) = open(self.pid) else { return Ok(()) };
        let terminal = io::stdin();
        loop {
            // Of a terminal that is gone it is told without being asked for.
            let mut waited =
                vec![PollFd::new(&bus, PollFlags::IN), PollFd::new(&signals, PollFlags::IN)];
            if has_terminal {
                waited.push(PollFd::new(&terminal, PollFlags::empty()));
            }
            let of_display = waited.len();
            waited.extend(display.map(|it| PollFd::from_borrowed_fd(it.as_fd(), PollFlags::IN)));
            while poll(&mut waited, None) == Err(rustix::io::Errno::INTR) {}
            let is_ready = |waited: &PollFd<'_>| !waited.revents().is_empty();
            if waited.first().is_some_and(is_ready) {
                return Ok(());
            }
            let ended = waited.iter().take(of_display).any(is_ready);
            if ended || !display.is_none_or(Display::is_there) {
                return end(self.pid);
            }
        }
    }
}

fn open(pid: i32) -> Result<OwnedFd, String> {
    let pid = Pid::from_raw(pid).ok_or("dbus-launch: no process to watch\n")?;
    pidfd_open(pid, PidfdFlags::empty()).map_err(|error| text(&error.into()))
}

/// A bus that has ended is no failure.
pub(super) fn end(pid: i32) -> Result<(), String> {
    if let Ok(bus) = open(pid) {
        let _ = pidfd_send_signal(bus, rustix::process::Signal::TERM);
    }
    Ok(())
}

#[test]
fn what_is_watched_survives_the_command_line() {
    let watched = Watched {
        pid: 7,
        address: "unix:path=/a b".to_owned(),
        machine_id: None,
        has_terminal: true,
    };
    for watched in [
        watched.clone(),
        Watched { machine_id: Some("x".repeat(32)), has_terminal: false, ..watched },
    ] {
        let words = watched.words().map(OsString::from);
        assert_eq!(Watched::of_words(&words), Some(watched));
    }
    assert_eq!(Watched::of_words(&["x", "", "", ""].map(OsString::from)), None);
}
