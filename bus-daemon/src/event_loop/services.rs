//! Services that the bus starts: they are launched by a thread, watched until they end, and what they
//! write is logged.
//!
//! A service that writes much does not fill the log, nor wait: of its lines at most
//! [`LOGGED_LINES_MAX`] within [`LOGGED_LINES_GAP_MS`] are logged, and the rest is read all the same. So is
//! what its former starts left behind, until the last of it has closed the pipe: nothing that a service
//! leaves behind is ended for writing as long as the bus is there.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use rustix::event::epoll;
use rustix::fs::fstat;
use rustix::io::{Errno, ioctl_fionbio, read};
use slab::Slab;

use super::{Event, EventLoop, token};
use crate::bus;
use crate::bus::activation::StartId;
use crate::bus::driver::error_reply::StartFailure;
use crate::bus::id::Timestamp;
use crate::bus::log::Severity;
use crate::bus::services::{Service, Starter};
use crate::host::phrase;
use crate::host::privileged_launcher::PrivilegedLauncher;
use crate::host::service_launcher::{Fate, Launcher, RunningService};
use crate::host::worker::Worker;

/// Services that are launched at the same time. One whose file system hangs keeps none of the others.
const LAUNCH_COUNT_MAX: usize = 32;
/// Lines of one service that are logged within [`LOGGED_LINES_GAP_MS`].
const LOGGED_LINES_MAX: u32 = 200;
const LOGGED_LINES_GAP_MS: u64 = 10_000;
/// Longest part of a line that is logged as one, in bytes.
const LINE_SIZE_MAX: usize = 2048;
/// Bytes read from one service in one round.
const READ_SIZE: usize = 16 * 1024;

/// What a launch brought.
pub(super) struct Launched {
    start: StartId,
    result: Result<RunningService, StartFailure>,
}

/// All services that were started and are not known to have ended.
pub(super) struct Services {
    launcher: Arc<Launcher>,
    pub(super) worker: Worker<Launched>,
    running: Slab<Entry>,
    /// Where they write, or what they left behind does: all starts of a name to the same pipe
    /// (`host/service_output.rs`).
    outputs: Slab<Output>,
    /// Starts that are being launched.
    launching: BTreeMap<StartId, Wish>,
    /// By the name of a service that runs, or was started within [`LOGGED_LINES_GAP_MS`].
    log_rooms: HashMap<String, Rc<RefCell<LogRoom>>>,
}

/// What is to become of a service that is being launched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// Its end is to be told.
    Watch,
    /// It took too long.
    Stop,
    /// Its name has an owner already.
    Release,
}

struct Entry {
    start: StartId,
    service: RunningService,
}

struct Output {
    name: String,
    pipe: OwnedFd,
    lines: Lines,
    /// That of its name.
    room: Rc<RefCell<LogRoom>>,
}

impl Services {
    pub(super) fn new(launcher: Launcher) -> io::Result<Self> {
        Ok(Self {
            launcher: Arc::new(launcher),
            worker: Worker::new(LAUNCH_COUNT_MAX)?,
            running: Slab::new(),
            outputs: Slab::new(),
            launching: BTreeMap::new(),
            log_rooms: HashMap::new(),
        })
    }

    /// How many lines of a service the log still takes, however often it is started.
    fn log_room(&mut self, name: &str, now: Timestamp) -> Rc<RefCell<LogRoom>> {
        if let Some(room) = self.log_rooms.get(name) {
            return Rc::clone(room);
        }
        self.log_rooms.retain(|_, room| Rc::strong_count(room) > 1 || !room.borrow().is_over(now));
        Rc::clone(self.log_rooms.entry(name.to_owned()).or_default())
    }

    fn find(&mut self, start: StartId) -> Option<(u32, &mut Entry)> {
        let (number, entry) = self.running.iter_mut().find(|(_, entry)| entry.start == start)?;
        Some((u32::try_from(number).unwrap_or(u32::MAX), entry))
    }

    /// Where a service writes that was started.
    fn outputs_of(&self, number: u32) -> Vec<u32> {
        let Some(entry) = self.running.get(number as usize) else { return Vec::new() };
        let own = self.outputs.iter().filter(|(_, output)| output.name == entry.service.name);
        own.filter_map(|(key, _)| u32::try_from(key).ok()).collect()
    }

    pub(super) fn privileged_launcher(&self) -> Option<&PrivilegedLauncher> {
        self.launcher.privileged.as_ref()
    }
}

impl EventLoop {
    pub(super) fn start_service(
        &mut self,
        start: StartId,
        service: Arc<Service>,
        environment: Vec<(String, String)>,
        now: Timestamp,
    ) {
        let launcher = Arc::clone(&self.services.launcher);
        let has_helper = self.source.starter(&self.config) == Starter::Helper;
        let helper = self.config.service_helper.clone().filter(|_| has_helper);
        let started = self.services.worker.start(move || {
            let result = launcher.start(&service, environment, helper.as_deref());
            Launched { start, result }
        });
        if started {
            self.services.launching.insert(start, Wish::Watch);
        } else {
            let text = "too many other services are being started".to_owned();
            let failure = StartFailure::new(libbus::standard_error::LIMITS_EXCEEDED, text);
            self.bus.handle_event(bus::Event::StartFailed { start, failure }, now);
        }
    }

    pub(super) fn stop_service(&mut self, start: StartId) {
        if let Some(wish) = self.services.launching.get_mut(&start) {
            *wish = Wish::Stop;
        } else if let Some((_, entry)) = self.services.find(start) {
            entry.service.kill();
        }
    }

    /// The name of a service that was started has an owner.
    pub(super) fn release_service(&mut self, start: StartId) {
        if let Some(wish) = self.services.launching.get_mut(&start) {
            *wish = Wish::Release;
        } else if let Some((number, entry)) = self.services.find(start)
            && entry.service.release()
        {
            self.services.running.remove(number as usize);
        }
    }

    pub(super) fn handle_launches(&mut self, now: Timestamp) {
        while let Some(Launched { start, result }) = self.services.worker.next_result() {
            let wish = self.services.launching.remove(&start);
            match result {
                Ok(mut service) => {
                    if wish == Some(Wish::Stop) {
                        service.kill();
                    }
                    self.watch_service(start, service, now);
                    if wish == Some(Wish::Release) {
                        self.release_service(start);
                    }
                }
                Err(failure) => {
                    self.bus.handle_event(bus::Event::StartFailed { start, failure }, now);
                }
            }
            self.carry_out(now);
        }
    }

    fn watch_service(&mut self, start: StartId, mut service: RunningService, now: Timestamp) {
        if let Some(pipe) = service.output.take() {
            self.listen_to(&service.name, pipe, now);
        }
        let entry = self.services.running.vacant_entry();
        let number = u32::try_from(entry.key()).unwrap_or(u32::MAX);
        let flags = epoll::EventFlags::IN;
        let event = token(Event::ServiceEnded { number });
        let exit = service.exit().map(|exit| epoll::add(&self.epoll, exit, event, flags));
        let exit = exit.unwrap_or(Err(Errno::BADF));
        if exit.is_err() {
            service.kill();
        }
        entry.insert(Entry { start, service });
        if let Err(error) = exit {
            self.journal
                .log(Severity::Error, format!("Cannot watch a service: {}", phrase(&error.into())));
            self.handle_service_end(number, now);
        }
    }

    /// Reads what services of this name write from now on. A pipe that is read already is not read twice.
    fn listen_to(&mut self, name: &str, pipe: OwnedFd, now: Timestamp) {
        let place = place_of(&pipe);
        let is_known = |output: &Output| output.name == name && place_of(&output.pipe) == place;
        if place.is_none() || self.services.outputs.iter().any(|(_, output)| is_known(output)) {
            return;
        }
        let room = self.services.log_room(name, now);
        let entry = self.services.outputs.vacant_entry();
        let number = u32::try_from(entry.key()).unwrap_or(u32::MAX);
        let event = token(Event::ServiceWrote { number });
        let heard = ioctl_fionbio(&pipe, true)
            .and_then(|()| epoll::add(&self.epoll, &pipe, event, epoll::EventFlags::IN));
        match heard {
            Ok(()) => {
                let (name, lines) = (name.to_owned(), Lines::default());
                entry.insert(Output { name, pipe, lines, room });
            }
            Err(error) => {
                let text = format!("Cannot read what '{name}' writes: {}", phrase(&error.into()));
                self.journal.log(Severity::Error, text);
            }
        }
    }

    /// Nobody can start another one: the rights for that are gone.
    pub(super) fn handle_launcher_end(&mut self) {
        let Some(privileged) = self.services.privileged_launcher() else { return };
        // It would be told for ever.
        let _ = epoll::delete(&self.epoll, privileged);
        privileged.bury();
        let text = "The process that starts services as other users has ended: no service can be \
                    started as its user until the message bus is restarted";
        self.journal.log(Severity::Error, text.to_owned());
    }

    /// A process has ended.
    pub(super) fn handle_service_end(&mut self, number: u32, now: Timestamp) {
        // What it wrote last comes before what is said about its end.
        for output in self.services.outputs_of(number) {
            self.handle_service_output(output, now);
        }
        let Some(entry) = self.services.running.get_mut(number as usize) else { return };
        let start = entry.start;
        let event = match entry.service.fate() {
            Fate::Open => return,
            Fate::Released => None,
            Fate::Ended(Ok(end)) => Some(bus::Event::ServiceEnded { start, end }),
            Fate::Ended(Err(failure)) => Some(bus::Event::StartFailed { start, failure }),
        };
        self.services.running.remove(number as usize);
        if let Some(event) = event {
            self.bus.handle_event(event, now);
        }
    }

    /// A service, or what its starts left behind, has written something.
    pub(super) fn handle_service_output(&mut self, number: u32, now: Timestamp) {
        let outputs = &mut self.services.outputs;
        let Some(output) = outputs.get_mut(number as usize) else { return };
        let mut buffer = [0; READ_SIZE];
        let size = match read(&output.pipe, &mut buffer) {
            Err(Errno::AGAIN | Errno::INTR) => return,
            Err(_) => 0,
            Ok(size) => size,
        };
        let is_end = size == 0;
        let text = buffer.get(..size).unwrap_or_default();
        for line in output.lines.take(text, is_end, &mut output.room.borrow_mut(), now) {
            self.journal.log(Severity::Info, format!("'{}': {line}", output.name));
        }
        if is_end {
            let output = outputs.remove(number as usize);
            // Who starts services may have the same pipe open still, and it would be told for ever.
            let _ = epoll::delete(&self.epoll, &output.pipe);
        }
    }
}

/// Which pipe it is.
fn place_of(pipe: &OwnedFd) -> Option<(u64, u64)> {
    fstat(pipe).ok().map(|found| (found.st_dev, found.st_ino))
}

/// What a service writes, as lines.
#[derive(Debug, Default)]
struct Lines {
    partial: Vec<u8>,
}

/// How many lines of a service there were lately.
#[derive(Debug, Default)]
struct LogRoom {
    since: Timestamp,
    logged: u32,
    skipped: u64,
    /// Whether the log knows that lines are skipped.
    has_told: bool,
}

impl Lines {
    /// The lines that are complete now and are to be logged.
    fn take(
        &mut self,
        text: &[u8],
        is_end: bool,
        room: &mut LogRoom,
        now: Timestamp,
    ) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in text.split_inclusive(|byte| *byte == b'\n') {
            let whole = piece.strip_suffix(b"\n");
            for part in whole.unwrap_or(piece).chunks(LINE_SIZE_MAX) {
                self.partial.extend_from_slice(part);
                if self.partial.len() >= LINE_SIZE_MAX {
                    self.end_line(&mut lines, room, now);
                }
            }
            if whole.is_some() {
                self.end_line(&mut lines, room, now);
            }
        }
        if is_end {
            self.end_line(&mut lines, room, now);
            room.tell_skipped(&mut lines);
        }
        lines
    }

    fn end_line(&mut self, lines: &mut Vec<String>, room: &mut LogRoom, now: Timestamp) {
        let partial = std::mem::take(&mut self.partial);
        let line = partial.trim_ascii_end();
        if line.is_empty() {
            return;
        }
        if room.is_over(now) {
            room.has_told = false;
            room.tell_skipped(lines);
            *room = LogRoom { since: now, ..LogRoom::default() };
        }
        if room.logged < LOGGED_LINES_MAX {
            room.logged += 1;
            lines.push(String::from_utf8_lossy(line).into_owned());
        } else {
            room.skipped += 1;
        }
    }
}

impl LogRoom {
    fn is_over(&self, now: Timestamp) -> bool {
        self.since.plus_ms(LOGGED_LINES_GAP_MS) <= now
    }

    /// Once while it lasts: a service that ends is perhaps started again at once.
    fn tell_skipped(&mut self, lines: &mut Vec<String>) {
        if self.skipped > 0 && !std::mem::replace(&mut self.has_told, true) {
            let skipped = std::mem::take(&mut self.skipped);
            lines.push(format!("({skipped} more lines, which are too many to log)"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_and_bounded() {
        let (mut lines, mut room, now) = (Lines::default(), LogRoom::default(), Timestamp(1));
        let mut take = |text: &[u8], is_end, now| lines.take(text, is_end, &mut room, now);
        assert_eq!(take(b"one\ntw", false, now), ["one"]);
        assert_eq!(take(b"o\r\n\nthree", false, now), ["two"]);
        assert_eq!(take(b"", true, now), ["three"]);
        // What one read brought ends anywhere in a line.
        for piece in ["a ", " ", "\t b"] {
            assert!(take(piece.as_bytes(), false, now).is_empty());
        }
        assert_eq!(take(b" \r\n", false, now), ["a  \t b"]);
        let long = take(&[b'x'; 5000], false, now);
        assert_eq!(long.iter().map(String::len).collect::<Vec<_>>(), [2048, 2048]);
        assert_eq!(take(b"\n", false, now).len(), 1);
        let many = "y\n".repeat(1000);
        let logged = take(many.as_bytes(), false, now).len();
        assert_eq!(logged, LOGGED_LINES_MAX as usize - 7);
        let later = take(b"z\n", false, Timestamp(1 + LOGGED_LINES_GAP_MS));
        let skipped = 1000 - logged;
        let told = format!("({skipped} more lines, which are too many to log)");
        assert_eq!(later, [told, "z".to_owned()]);
    }

    #[test]
    fn a_service_that_is_started_again_and_again_has_no_more_lines() {
        let (mut room, now) = (LogRoom::default(), Timestamp(1));
        let text = "y\n".repeat(150);
        let mut start =
            |now| Lines::default().take(text.as_bytes(), true, &mut room, now).len() as u32;
        assert_eq!([start(now), start(now)], [150, LOGGED_LINES_MAX - 150 + 1]);
        assert_eq!([start(now), start(now)], [0, 0], "that some were skipped was told");
        let later = Timestamp(1 + LOGGED_LINES_GAP_MS);
        assert_eq!(start(later), 151, "and how many more, when there is room again");
    }
}
