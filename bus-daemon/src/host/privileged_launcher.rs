//! The process that starts services as other users (config.md B099–B103).
//!
//! It is forked from the bus before that gives up the rights of root, and keeps them. It takes nothing
//! from the bus but the names of services: what is started, as whom and with what environment, it reads
//! itself in files that root alone can write ([`super::privileged_service`]), so that whoever gets hold
//! of the bus gets no further than starting what the administrator has installed anyway.
//!
//! Bus and launcher have a pair of sockets. A request is one datagram: the name, with a socket for this
//! service alone. There the launcher answers, in one datagram: `STARTED` with the descriptor of what the
//! service writes, or `FAILED`, an error name, NUL and a text; then it says how the service ended, and
//! the bus may say that it is to end. When the bus is gone, so is the launcher; services stay.
//!
//! Each service has a thread of the launcher, so that one whose file system hangs keeps none of the others.
//! Bound: `SERVICES_MAX` of them.

use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use libbus::names::{ErrorName, WellKnownName};
use libbus::standard_error as error;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{ForkResult, Pid};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg, send, sendmsg,
    socketpair,
};
use rustix::thread::set_name;

use super::daemonize::leave_terminal;
use super::phrase;
use super::privileged_service::PrivilegedService;
use super::service_launcher::{Spawned, StartParameters, cannot_spawn, spawn};
use super::system_call::{close_all_but, fork_single_threaded};
use crate::bus::activation::ServiceEnd;
use crate::bus::driver::error_reply::StartFailure;

/// Services of one launcher that run at a time.
const SERVICES_MAX: usize = 4096;
/// Bytes of the stack of a service's thread; looking up users needs most of it.
const STACK_SIZE: usize = 512 * 1024;
/// Longest request, in bytes: one more than a name may have (protocol.md A078).
const REQUEST_SIZE_MAX: usize = 256;
/// Longest answer, in bytes.
const ANSWER_SIZE_MAX: usize = 4096;
/// The first byte of an answer, and what the launcher says when it is ready.
const STARTED: u8 = b'+';
const FAILED: u8 = b'-';
/// What the bus says to have a service end.
const KILL: u8 = b'k';
/// The first byte of what the launcher says about an end; the status or signal comes behind it.
const EXITED: u8 = b'e';
const SIGNALLED: u8 = b's';

/// What the launcher is called in lists of processes.
const PROCESS_NAME: &std::ffi::CStr = c"bus-launcher";

/// The bus's end.
#[derive(Debug)]
pub struct PrivilegedLauncher {
    socket: OwnedFd,
    process: Pid,
}

/// How the bus hears of a service that the launcher has started.
#[derive(Debug)]
pub(super) struct RemoteService {
    socket: OwnedFd,
}

impl PrivilegedLauncher {
    /// Forks the launcher. Call as root, before there is another thread. `find` answers which file is that
    /// of a service; it is called in the launcher, which never returns from here.
    ///
    /// # Errors
    /// The process has other threads already, or the system has no process or descriptor left.
    pub fn fork(parameters: &StartParameters, find: impl Find) -> io::Result<Self> {
        let (ours, theirs) = pair()?;
        match fork_single_threaded()? {
            ForkResult::Parent { child } => {
                drop(theirs);
                // From then on no signal that is meant for the bus ends it.
                match receive(&ours, &mut [0; 8])? {
                    (1, _) => Ok(Self { socket: ours, process: child }),
                    _ => Err(io::Error::other("it ended at once")),
                }
            }
            ForkResult::Child => {
                mem::forget(ours);
                let result = close_all_but(theirs).and_then(|socket| {
                    // It works without, under the bus's name.
                    let _ = set_name(PROCESS_NAME);
                    // Whoever started the bus in the background waits for the end of its output.
                    leave_terminal()?;
                    // SIGHUP is for the bus. What is started does not inherit that it waits.
                    let mut hang_up = SigSet::empty();
                    hang_up.add(Signal::SIGHUP);
                    hang_up.thread_block()?;
                    send(&socket, &[STARTED], SendFlags::NOSIGNAL)?;
                    serve(socket, parameters, find)
                });
                // The destructors are the bus's business.
                std::process::exit(i32::from(result.is_err()))
            }
        }
    }

    /// Has the system forget a launcher that has ended.
    pub fn bury(&self) {
        // It has not ended yet, or nobody waits for it.
        let _ = waitpid(self.process, Some(WaitPidFlag::WNOHANG));
    }

    /// Has a service started: what it writes, and where to hear of its end.
    ///
    /// # Errors
    /// What whoever waits for it is told.
    pub(super) fn start(&self, name: &str) -> Result<(RemoteService, OwnedFd), StartFailure> {
        let gone = |error: io::Error| {
            let text = format!(
                "the process that starts services as other users cannot be reached: {}; restart the \
                 message bus",
                phrase(&error)
            );
            StartFailure::new(error::SPAWN_FAILED, text)
        };
        let (socket, theirs) = pair().map_err(gone)?;
        send_with_fd(&self.socket, name.as_bytes(), &theirs).map_err(gone)?;
        drop(theirs);
        let mut buffer = [0; ANSWER_SIZE_MAX];
        let (size, output) = receive(&socket, &mut buffer).map_err(gone)?;
        match (buffer.get(..size), output) {
            (Some([STARTED]), Some(output)) => Ok((RemoteService { socket }, output)),
            // It started, and what it writes cannot be read: there was no room for a descriptor.
            (Some([STARTED]), None) => Err(gone(Errno::MFILE.into())),
            (Some([FAILED, rest @ ..]), _) => Err(parse_failure(rest)),
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

impl RemoteService {
    /// How it ended, if it has.
    pub(super) fn end(&self) -> Option<Result<ServiceEnd, StartFailure>> {
        let mut buffer = [0; 8];
        let (size, _) = match recv(&self.socket, &mut buffer, RecvFlags::DONTWAIT) {
            Err(Errno::AGAIN | Errno::INTR) => return None,
            Err(_) => (0, 0),
            Ok(received) => received,
        };
        Some(match buffer.get(..size) {
            Some(&[EXITED, a, b, c, d]) => Ok(ServiceEnd::Exited(i32::from_le_bytes([a, b, c, d]))),
            Some(&[SIGNALLED, a, b, c, d]) => {
                Ok(ServiceEnd::Signalled(i32::from_le_bytes([a, b, c, d])))
            }
            _ => {
                let text = "the process that starts services as other users has ended; restart the \
                            message bus";
                Err(StartFailure::new(error::SPAWN_FAILED, text.to_owned()))
            }
        })
    }

    /// Ends it.
    pub(super) fn kill(&self) {
        // It may have ended by itself.
        let _ = send(&self.socket, &[KILL], SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
    }
}

/// Readable when the process has ended.
impl AsFd for RemoteService {
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
    let count = Arc::new(AtomicUsize::new(0));
    loop {
        let mut buffer = [0; REQUEST_SIZE_MAX];
        let (size, service_socket) = receive(&socket, &mut buffer)?;
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
        if count.load(Ordering::Relaxed) >= SERVICES_MAX {
            refused(&format!("{SERVICES_MAX} services are running, which is the most"));
            continue;
        }
        count.fetch_add(1, Ordering::Relaxed);
        let in_thread = Arc::clone(&count);
        let thread_socket = service_socket.try_clone()?;
        let thread = thread::Builder::new().stack_size(STACK_SIZE).spawn(move || {
            match start(&request, &parameters, &*find) {
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
    spawn(program, name, parameters, Some(user))
}

/// Tells the bus of a service that runs, and stays with it to its end.
fn accompany(socket: &OwnedFd, spawned: Spawned) {
    let Spawned { mut child, exit, output } = spawned;
    let mut is_heard = send_with_fd(socket, &[STARTED], &output).is_ok();
    drop(output);
    if !is_heard {
        // Nobody would ever hear of its end.
        let _ = child.kill();
    }
    let status = loop {
        let mut fds = vec![PollFd::new(&exit, PollFlags::IN)];
        if is_heard {
            fds.push(PollFd::new(socket, PollFlags::IN));
        }
        // It does not fail but for lack of memory; then the next line waits.
        let _ = retry_on_intr(|| poll(&mut fds, None));
        if fds.first().is_none_or(|exit| !exit.revents().is_empty()) {
            break child.wait();
        }
        match recv(socket, &mut [0; 8], RecvFlags::DONTWAIT) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Ok((1.., _)) => drop(child.kill()),
            // The bus does not care any more.
            Ok(_) | Err(_) => is_heard = false,
        }
    };
    if let Ok(status) = status {
        // Nobody may hear it.
        let _ = send(socket, &notice(status), SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
    }
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

fn notice(status: ExitStatus) -> [u8; 5] {
    let (kind, number) = match status.code() {
        Some(code) => (EXITED, code),
        None => (SIGNALLED, status.signal().unwrap_or_default()),
    };
    let [a, b, c, d] = number.to_le_bytes();
    [kind, a, b, c, d]
}

fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

fn send_with_fd(socket: &OwnedFd, bytes: &[u8], fd: &OwnedFd) -> io::Result<()> {
    let fds = [fd.as_fd()];
    let mut space = [mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&fds));
    let parts = [io::IoSlice::new(bytes)];
    retry_on_intr(|| sendmsg(socket, &parts, &mut control, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// One datagram, as far as it fits, and the descriptor that came with it.
fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = retry_on_intr(|| {
        let parts = &mut [io::IoSliceMut::new(buffer)];
        recvmsg(socket, parts, &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let rights = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    Ok((message.bytes, rights))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read as _;
    use std::thread::{self, JoinHandle};

    use super::*;
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
            Self {
                bus: PrivilegedLauncher { socket: ours, process: Pid::this() },
                thread,
                directory,
            }
        }

        fn start(&self, exec: &str) -> (RemoteService, fs::File) {
            let text =
                format!("[D-BUS Service]\nName=a.b\nUser=nobody\nExec=/bin/sh -c '{exec}'\n");
            fs::write(self.directory.path().join("a.b.service"), text).unwrap();
            let (service, output) = self.bus.start("a.b").unwrap();
            (service, fs::File::from(output))
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

    fn end_of(service: &RemoteService) -> Result<ServiceEnd, StartFailure> {
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
        assert_eq!(end_of(&service), Ok(ServiceEnd::Exited(0)));
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
        assert_eq!(end_of(&second), Ok(ServiceEnd::Exited(7)));
        assert_eq!(end_of(&third), Ok(ServiceEnd::Signalled(15)));
        assert_eq!(first.end(), None);
        first.kill();
        assert_eq!(end_of(&first), Ok(ServiceEnd::Signalled(9)));
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
        send_with_fd(&launcher.bus.socket, &[0xff, 0xfe], &theirs).unwrap();
        let mut buffer = [0; ANSWER_SIZE_MAX];
        let (size, fd) = receive(&ours, &mut buffer).unwrap();
        assert!(fd.is_none());
        let failure = parse_failure(&buffer[1..size]);
        assert_eq!(failure.error_name(), error::SPAWN_SERVICE_NOT_VALID, "{failure}");
        launcher.end();
    }

    #[test]
    fn a_launcher_that_is_gone_is_told_of() {
        let (ours, theirs) = pair().unwrap();
        drop(theirs);
        let bus = PrivilegedLauncher { socket: ours, process: Pid::this() };
        let failure = bus.start("a.b").unwrap_err();
        assert_eq!(failure.error_name(), error::SPAWN_FAILED);
        assert!(failure.to_string().contains("restart the message bus"), "{failure}");
        let (ours, theirs) = pair().unwrap();
        drop(theirs);
        let failure = RemoteService { socket: ours }.end().unwrap().unwrap_err();
        assert!(failure.to_string().contains("restart the message bus"), "{failure}");
    }
}
