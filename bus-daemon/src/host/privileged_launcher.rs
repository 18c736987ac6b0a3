//! The process that starts services as other users (config.md B099–B103).
//!
//! It is forked from the bus before that gives up the rights of root, and keeps them. It takes nothing
//! from the bus but the names of services: what is started, as whom and with what environment, it reads
//! itself in files that root alone can write ([`super::privileged_service`]), so that whoever gets hold
//! of the bus gets no further than starting what the administrator has installed anyway.
//!
//! Bus and launcher have a pair of sockets. A request is one datagram: the name, with a socket for this
//! answer alone. There the launcher answers, in one datagram: `STARTED` with two descriptors, one to read
//! what the service writes and one to its supervisor (`supervisor.rs`), or `FAILED`, an error name,
//! NUL and a text. When the bus is gone, so is the launcher; services stay. It removes the sockets and the
//! pid file, which are in directories of root and which the bus cannot remove any more.
//!
//! Each start has a thread of the launcher, so that one whose file system hangs keeps none of the others.
//! Bound: `STARTS_MAX` of them.

use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use libbus::names::{ErrorName, WellKnownName};
use libbus::standard_error as error;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{ForkResult, Pid};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, recvmsg, send, sendmsg, shutdown,
};
use rustix::process::{Pid as RustixPid, PidfdFlags, pidfd_open};
use rustix::thread::set_name;

use super::daemonize::leave_terminal;
use super::phrase;
use super::privileged_service::PrivilegedService;
use super::service_launcher::{Spawned, StartParameters, Started, cannot_spawn, pair, spawn};
use super::service_output::OutputPipes;
use super::supervisor::Supervisor;
use super::system_call::{close_all_but, fork_single_threaded};
use crate::bus::driver::error_reply::StartFailure;
use libbus::host::CreatedFile;

/// Services that are starting at a time.
const STARTS_MAX: usize = 4096;
/// Bytes of the stack of a start's thread; looking up users needs most of it.
const STACK_SIZE: usize = 512 * 1024;
/// Longest request, in bytes: one more than a name may have (protocol.md A078).
const REQUEST_SIZE_MAX: usize = 256;
/// Longest answer, in bytes.
const ANSWER_SIZE_MAX: usize = 4096;
/// Descriptors that come with one datagram at most.
const FDS_MAX: usize = 2;
/// The first byte of an answer, and what the launcher says when it is ready.
const STARTED: u8 = b'+';
const FAILED: u8 = b'-';
/// How long the end of the bus waits for that of the launcher.
const END_TIMEOUT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// What the launcher is called in lists of processes.
const PROCESS_NAME: &std::ffi::CStr = c"bus-launcher";

/// The bus's end.
#[derive(Debug)]
pub struct PrivilegedLauncher {
    socket: OwnedFd,
    process: Option<Pid>,
}

impl PrivilegedLauncher {
    /// Forks the launcher. Call as root, before there is another thread. `find` answers which file is that
    /// of a service; it is called in the launcher, which never returns from here. When the bus is gone, the `files` go, too.
    ///
    /// # Errors
    /// The process has other threads already, or the system has no process or descriptor left.
    pub fn fork(
        parameters: &StartParameters,
        files: &[&Path],
        find: impl Find,
    ) -> io::Result<Self> {
        let (ours, theirs) = pair()?;
        match fork_single_threaded()? {
            ForkResult::Parent { child } => {
                drop(theirs);
                // From then on no signal that is meant for the bus ends it.
                match receive(&ours, &mut [0; 8])? {
                    (1, ..) => Ok(Self { socket: ours, process: Some(child) }),
                    _ => Err(io::Error::other("it ended at once")),
                }
            }
            ForkResult::Child => {
                mem::forget(ours);
                let files: Vec<CreatedFile> =
                    files.iter().filter_map(|file| CreatedFile::new(file).ok()).collect();
                let result = close_all_but(theirs).and_then(|socket| {
                    // It works without, under the bus's name.
                    let _ = set_name(PROCESS_NAME);
                    // Whoever started the bus in the background waits for the end of its output.
                    leave_terminal()?;
                    // SIGHUP is for the bus. What is started does not inherit that it waits.
                    // The others are sent to all processes of a bus at once, and its end is ours.
                    let mut signals = SigSet::empty();
                    for signal in [Signal::SIGHUP, Signal::SIGTERM, Signal::SIGINT] {
                        signals.add(signal);
                    }
                    signals.thread_block()?;
                    send(&socket, &[STARTED], SendFlags::NOSIGNAL)?;
                    serve(socket, parameters, find)
                });
                match &result {
                    Ok(()) => drop(files),
                    // The bus goes on.
                    Err(_) => mem::forget(files),
                }
                // The other destructors are the bus's business.
                std::process::exit(i32::from(result.is_err()))
            }
        }
    }

    /// Has the system forget a launcher that has ended.
    pub fn bury(&self) {
        // It has not ended yet, or nobody waits for it.
        let _ = self.process.map(|process| waitpid(process, Some(WaitPidFlag::WNOHANG)));
    }

    /// The bus ends: waits a moment until the launcher has removed what the next bus would find.
    pub fn end(&self) {
        let _ = shutdown(&self.socket, Shutdown::Both);
        let process = self.process.and_then(|process| RustixPid::from_raw(process.as_raw()));
        let Some(Ok(process)) = process.map(|it| pidfd_open(it, PidfdFlags::empty())) else {
            return;
        };
        let ended = &mut [PollFd::new(&process, PollFlags::IN)];
        // One that hangs ends later.
        let _ = retry_on_intr(|| poll(ended, Some(&END_TIMEOUT)));
    }

    /// Has a service started.
    ///
    /// # Errors
    /// What whoever waits for it is told.
    pub(super) fn start(&self, name: &str) -> Result<Started, StartFailure> {
        let gone = |error: io::Error| {
            let text = format!(
                "the process that starts services as other users cannot be reached: {}; restart the \
                 message bus",
                phrase(&error)
            );
            StartFailure::new(error::SPAWN_FAILED, text)
        };
        let (socket, theirs) = pair().map_err(gone)?;
        send_with_fds(&self.socket, name.as_bytes(), &[theirs.as_fd()]).map_err(gone)?;
        drop(theirs);
        let mut buffer = [0; ANSWER_SIZE_MAX];
        let (size, fds) = receive(&socket, &mut buffer).map_err(gone)?;
        let [output, supervisor] = fds;
        match (buffer.get(..size), output, supervisor) {
            (Some([STARTED]), Some(output), Some(supervisor)) => {
                Ok(Started { supervisor: Supervisor::new(supervisor), output })
            }
            // It started, and nothing is heard of it: there was no room for a descriptor.
            (Some([STARTED]), ..) => Err(gone(Errno::MFILE.into())),
            (Some([FAILED, rest @ ..]), ..) => Err(parse_failure(rest)),
            _ => Err(gone(Errno::CONNRESET.into())),
        }
    }
}

/// Readable when the launcher has ended.
impl AsFd for PrivilegedLauncher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Answers which file is that of a service, in any of the launcher's threads.
pub trait Find: Fn(&str) -> Result<PathBuf, StartFailure> + Send + Sync + 'static {}

impl<F: Fn(&str) -> Result<PathBuf, StartFailure> + Send + Sync + 'static> Find for F {}

/// The launcher's whole life.
fn serve(socket: OwnedFd, parameters: &StartParameters, find: impl Find) -> io::Result<()> {
    let (parameters, find) = (Arc::new(parameters.clone()), Arc::new(find));
    let pipes = Arc::new(OutputPipes::default());
    let count = Arc::new(AtomicUsize::new(0));
    loop {
        let mut buffer = [0; REQUEST_SIZE_MAX];
        let (size, [service_socket, _]) = receive(&socket, &mut buffer)?;
        let Some(request) = buffer.get(..size).filter(|request| !request.is_empty()) else {
            return Ok(());
        };
        // Whoever gives no socket gets no answer.
        let Some(service_socket) = service_socket else { continue };
        let (request, parameters, find) =
            (request.to_vec(), Arc::clone(&parameters), Arc::clone(&find));
        let refused = |what: &str| {
            let failure = StartFailure::new(error::LIMITS_EXCEEDED, what.to_owned());
            answer_failure(&service_socket, &failure);
        };
        if count.load(Ordering::Relaxed) >= STARTS_MAX {
            refused(&format!("{STARTS_MAX} services are starting, which is the most"));
            continue;
        }
        count.fetch_add(1, Ordering::Relaxed);
        let (in_thread, pipes) = (Arc::clone(&count), Arc::clone(&pipes));
        let thread_socket = match service_socket.try_clone() {
            Ok(socket) => socket,
            Err(error) => {
                count.fetch_sub(1, Ordering::Relaxed);
                refused(&format!("no descriptor is left for another service: {}", phrase(&error)));
                continue;
            }
        };
        let thread = thread::Builder::new().stack_size(STACK_SIZE).spawn(move || {
            match start(&request, &parameters, &pipes, &*find) {
                Ok(spawned) => accompany(&thread_socket, spawned),
                Err(failure) => answer_failure(&thread_socket, &failure),
            }
            in_thread.fetch_sub(1, Ordering::Relaxed);
        });
        if let Err(error) = thread {
            count.fetch_sub(1, Ordering::Relaxed);
            refused(&format!("no thread is left for another service: {}", phrase(&error)));
        }
    }
}

fn start(
    request: &[u8],
    parameters: &StartParameters,
    pipes: &OutputPipes,
    find: &impl Find,
) -> Result<Spawned, StartFailure> {
    let name = std::str::from_utf8(request).ok().filter(|name| WellKnownName::parse(name).is_ok());
    let Some(name) = name else {
        let text = "what was asked for is no well-known bus name".to_owned();
        return Err(StartFailure::new(error::SPAWN_SERVICE_NOT_VALID, text));
    };
    let service = PrivilegedService::read(&find(name)?, name)?;
    let program = service.into_program(&parameters.address, parameters.bus_type.as_deref());
    let (program, user) = program.map_err(|error| cannot_spawn(name, &error))?;
    spawn(program, name, parameters, pipes, Some(user))
}

/// Tells the bus of a service that was started, and stays while its supervisor does.
fn accompany(socket: &OwnedFd, spawned: Spawned) {
    let Spawned { child, started: Started { supervisor, output } } = spawned;
    let fds = [output.as_fd(), supervisor.as_fd()];
    if send_with_fds(socket, &[STARTED], &fds).is_err() {
        // Nobody would ever hear of its end.
        supervisor.kill();
    }
    drop((output, supervisor));
    child.wait();
}

fn answer_failure(socket: &OwnedFd, failure: &StartFailure) {
    let mut answer = vec![FAILED];
    answer.extend(failure.error_name().as_str().bytes());
    answer.push(0);
    answer.extend(failure.to_string().bytes());
    answer.truncate(ANSWER_SIZE_MAX);
    // Who does not wait for it any more is not told.
    let _ = retry_on_intr(|| send(socket, &answer, SendFlags::NOSIGNAL));
}

/// What [`answer_failure`] said.
fn parse_failure(answer: &[u8]) -> StartFailure {
    let text = String::from_utf8_lossy(answer);
    let (name, text) = text.split_once('\0').unwrap_or(("", &text));
    StartFailure::new(ErrorName::parse(name).unwrap_or(error::SPAWN_FAILED), text.to_owned())
}

fn send_with_fds(socket: &OwnedFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(fds));
    let parts = [io::IoSlice::new(bytes)];
    retry_on_intr(|| sendmsg(socket, &parts, &mut control, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// One datagram, as far as it fits, and the descriptors that came with it.
fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<(usize, [Option<OwnedFd>; FDS_MAX])> {
    let mut space = [mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = retry_on_intr(|| {
        let parts = &mut [io::IoSliceMut::new(buffer)];
        recvmsg(socket, parts, &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let mut rights = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let mut fds = rights.next().into_iter().flatten();
    Ok((message.bytes, std::array::from_fn(|_| fds.next())))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read as _;
    use std::thread::{self, JoinHandle};

    use super::*;
    use crate::bus::activation::ServiceEnd;
    use crate::host::resource_limits::is_privileged;
    use crate::host::tests_support::TemporaryDirectory;

    /// A launcher as a thread, with the files of one folder.
    struct Launcher {
        bus: PrivilegedLauncher,
        thread: JoinHandle<io::Result<()>>,
        directory: TemporaryDirectory,
    }

    impl Launcher {
        fn new() -> Self {
            let directory = TemporaryDirectory::new();
            let path = directory.path().to_owned();
            let (ours, theirs) = pair().unwrap();
            let thread = thread::spawn(move || {
                let parameters = StartParameters {
                    address: "unix:path=/x".to_owned(),
                    bus_type: Some("system".to_owned()),
                    fd_limit: None,
                    blocked_signals: SigSet::empty(),
                };
                serve(theirs, &parameters, move |name| Ok(path.join(format!("{name}.service"))))
            });
            Self { bus: PrivilegedLauncher { socket: ours, process: None }, thread, directory }
        }

        fn start(&self, exec: &str) -> (Supervisor, fs::File) {
            let text =
                format!("[D-BUS Service]\nName=a.b\nUser=nobody\nExec=/bin/sh -c '{exec}'\n");
            fs::write(self.directory.path().join("a.b.service"), text).unwrap();
            let Started { supervisor, output } = self.bus.start("a.b").unwrap();
            (supervisor, fs::File::from(output))
        }

        fn end(self) {
            drop(self.bus);
            self.thread.join().unwrap().unwrap();
        }
    }

    fn text(mut output: fs::File) -> String {
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        text
    }

    fn end_of(service: &Supervisor) -> Option<ServiceEnd> {
        poll(&mut [PollFd::new(service, PollFlags::IN)], None).unwrap();
        service.end().unwrap()
    }

    // config.md B101, B103
    #[test]
    fn a_service_runs_as_its_user_and_knows_where_the_bus_is() {
        if !is_privileged() {
            return;
        }
        let launcher = Launcher::new();
        let (service, output) = launcher.start("id -un; id -Gn; pwd; env");
        let text = text(output);
        let mut lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..3], ["nobody", "nogroup", "/"], "{text}");
        // A shell adds these itself.
        let own = |line: &&str| {
            !["PWD=", "_=", "OLDPWD=", "SHLVL="].iter().any(|own| line.starts_with(own))
        };
        let mut environment: Vec<&str> = lines.drain(3..).filter(own).collect();
        environment.sort_unstable();
        assert_eq!(
            environment,
            ["DBUS_STARTER_ADDRESS=unix:path=/x", "DBUS_STARTER_BUS_TYPE=system"]
        );
        assert_eq!(end_of(&service), Some(ServiceEnd::Exited(0)));
        launcher.end();
    }

    #[test]
    fn the_bus_hears_of_each_end_and_can_bring_it() {
        if !is_privileged() {
            return;
        }
        let launcher = Launcher::new();
        let (first, first_output) = launcher.start("exec sleep 1000");
        let (second, _) = launcher.start("exit 7");
        let (third, _) = launcher.start("kill -TERM $$");
        assert_eq!(end_of(&second), Some(ServiceEnd::Exited(7)));
        assert_eq!(end_of(&third), Some(ServiceEnd::Signalled(15)));
        assert_eq!(first.end(), None);
        first.kill();
        assert_eq!(end_of(&first), Some(ServiceEnd::Signalled(9)));
        assert_eq!(text(first_output), "");
        // What nobody asks about any more goes on.
        let (fourth, output) = launcher.start("read line < /dev/null; echo more");
        drop(fourth);
        assert_eq!(text(output), "more\n");
        launcher.end();
    }

    #[test]
    fn nothing_but_a_name_is_taken() {
        let launcher = Launcher::new();
        let long = format!("a.{}", "b".repeat(300));
        for request in ["ab", "a b.c", "../a.b", "/etc/passwd", ":1.5", "a.b\0", "\u{e9}.b", &long]
        {
            let failure = launcher.bus.start(request).unwrap_err();
            assert_eq!(
                failure.error_name(),
                error::SPAWN_SERVICE_NOT_VALID,
                "{request:?}: {failure}"
            );
        }
        let failure = launcher.bus.start("a.b").unwrap_err();
        assert_eq!(failure.error_name(), error::SPAWN_SERVICE_NOT_FOUND, "{failure}");
        // Bytes that are no text are no more than a refusal, and what comes without a socket is nothing.
        send(&launcher.bus.socket, b"a.b", SendFlags::empty()).unwrap();
        let (ours, theirs) = pair().unwrap();
        send_with_fds(&launcher.bus.socket, &[0xff, 0xfe], &[theirs.as_fd()]).unwrap();
        let mut buffer = [0; ANSWER_SIZE_MAX];
        let (size, fds) = receive(&ours, &mut buffer).unwrap();
        assert!(fds.iter().all(Option::is_none));
        let failure = parse_failure(&buffer[1..size]);
        assert_eq!(failure.error_name(), error::SPAWN_SERVICE_NOT_VALID, "{failure}");
        launcher.end();
    }

    #[test]
    fn a_launcher_that_is_gone_is_told_of() {
        let (ours, theirs) = pair().unwrap();
        drop(theirs);
        let bus = PrivilegedLauncher { socket: ours, process: None };
        let failure = bus.start("a.b").unwrap_err();
        assert_eq!(failure.error_name(), error::SPAWN_FAILED);
        assert!(failure.to_string().contains("restart the message bus"), "{failure}");
    }
}
