//! The process that starts services as other users (config.md B099–B103).
//!
//! It is forked from the bus before that gives up the rights of root, and keeps them. It takes nothing
//! from the bus but the names of services: what is started, as whom and with what environment, it reads
//! itself in files that root alone can write ([`super::privileged_service`]), so that whoever gets hold
//! of the bus gets no further than starting what the administrator has installed anyway.
//!
//! Bus and launcher have a pair of sockets. A request is one datagram, the name. The answer is one
//! datagram: [`STARTED`] with two descriptors, what the service writes and its own socket, or
//! [`FAILED`], an error name, NUL and a text. On the socket of a service the launcher says how it ended,
//! and the bus may say that it is to end. When the bus is gone, so is the launcher; services stay.
//!
//! Bound: [`SERVICES_MAX`] services run at a time.

use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::sync::{Mutex, PoisonError};

use libbus::names::{ErrorName, WellKnownName};
use libbus::standard_error as error;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::ForkResult;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg, send, sendmsg,
    socketpair,
};
use rustix::thread::set_name;

use super::phrase;
use super::privileged_service::PrivilegedService;
use super::service_launcher::{Spawned, StartParameters, cannot_spawn, spawn};
use super::system_call::{close_all_but, fork_single_threaded};
use crate::bus::activation::ServiceEnd;
use crate::bus::driver::error_reply::StartFailure;

/// Services of one launcher that run at a time.
const SERVICES_MAX: usize = 4096;
/// Longest request, in bytes: one more than a name may have (protocol.md A078).
const REQUEST_SIZE_MAX: usize = 256;
/// Longest answer, in bytes.
const ANSWER_SIZE_MAX: usize = 4096;
/// The first byte of an answer, and what the launcher says of itself.
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
    socket: Mutex<OwnedFd>,
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
    pub fn fork(
        parameters: &StartParameters,
        find: impl FnMut(&str) -> Result<PathBuf, StartFailure>,
    ) -> io::Result<Self> {
        let (ours, theirs) = pair()?;
        match fork_single_threaded()? {
            ForkResult::Parent { .. } => {
                drop(theirs);
                // From then on no signal that is meant for the bus ends it.
                match receive(&ours, &mut [0; 8])? {
                    (1, _) => Ok(Self { socket: Mutex::new(ours) }),
                    _ => Err(io::Error::other("it ended at once")),
                }
            }
            ForkResult::Child => {
                mem::forget(ours);
                let result = close_all_but(theirs).and_then(|socket| {
                    // It works without, under the bus's name.
                    let _ = set_name(PROCESS_NAME);
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
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        retry_on_intr(|| send(&*socket, name.as_bytes(), SendFlags::NOSIGNAL))
            .map_err(|error| gone(error.into()))?;
        let mut buffer = [0; ANSWER_SIZE_MAX];
        let (size, fds) = receive(&socket, &mut buffer).map_err(|error| gone(error.into()))?;
        let mut fds = fds.into_iter();
        match buffer.get(..size) {
            Some([STARTED]) => match (fds.next(), fds.next()) {
                (Some(output), Some(socket)) => Ok((RemoteService { socket }, output)),
                // It started, and nobody will hear of its end: there was no room for descriptors.
                _ => Err(gone(Errno::MFILE.into())),
            },
            Some([FAILED, rest @ ..]) => Err(parse_failure(rest)),
            _ => Err(gone(Errno::CONNRESET.into())),
        }
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

/// A service that this launcher has started.
struct Service {
    child: Child,
    exit: OwnedFd,
    /// `None` when the bus does not care any more.
    socket: Option<OwnedFd>,
}

/// The launcher's whole life.
fn serve(
    socket: OwnedFd,
    parameters: &StartParameters,
    mut find: impl FnMut(&str) -> Result<PathBuf, StartFailure>,
) -> io::Result<()> {
    let mut services: Vec<Service> = Vec::new();
    loop {
        let is_asked = wait(&socket, &services)?;
        services.retain_mut(|service| service.go_on());
        if !is_asked {
            continue;
        }
        let mut buffer = [0; REQUEST_SIZE_MAX];
        let (size, _) = receive(&socket, &mut buffer)?;
        let Some(request) = buffer.get(..size).filter(|request| !request.is_empty()) else {
            return Ok(());
        };
        let has_room = services.len() < SERVICES_MAX;
        match start(request, has_room, parameters, &mut find) {
            Ok(spawned) => services.extend(hand_over(&socket, spawned)?),
            Err(failure) => answer_failure(&socket, &failure)?,
        }
    }
}

/// Waits until something happens; answers whether the bus has asked for something, or is gone.
fn wait(socket: &OwnedFd, services: &[Service]) -> io::Result<bool> {
    let mut fds = vec![PollFd::new(socket, PollFlags::IN)];
    for service in services {
        fds.push(PollFd::new(&service.exit, PollFlags::IN));
        fds.extend(service.socket.as_ref().map(|socket| PollFd::new(socket, PollFlags::IN)));
    }
    retry_on_intr(|| poll(&mut fds, None))?;
    Ok(fds.first().is_some_and(|fd| !fd.revents().is_empty()))
}

fn start(
    request: &[u8],
    has_room: bool,
    parameters: &StartParameters,
    find: &mut impl FnMut(&str) -> Result<PathBuf, StartFailure>,
) -> Result<Spawned, StartFailure> {
    let name = std::str::from_utf8(request).ok().filter(|name| WellKnownName::parse(name).is_ok());
    let Some(name) = name else {
        let text = "what was asked for is no well-known bus name".to_owned();
        return Err(StartFailure::new(error::SPAWN_SERVICE_NOT_VALID, text));
    };
    if !has_room {
        let text = format!("{SERVICES_MAX} services are running, which is the most");
        return Err(StartFailure::new(error::LIMITS_EXCEEDED, text));
    }
    let service = PrivilegedService::read(&find(name)?, name)?;
    let mut command = service.command(&parameters.address, parameters.bus_type.as_deref());
    spawn(&mut command, name, parameters, Some(service.user))
}

/// Tells the bus of a service that runs. `None` if the bus cannot be told, and it was ended again.
fn hand_over(socket: &OwnedFd, spawned: Spawned) -> io::Result<Option<Service>> {
    let Spawned { mut child, exit, output } = spawned;
    let told = pair().and_then(|(ours, theirs)| {
        let fds = [output.as_fd(), theirs.as_fd()];
        let mut space = [mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&fds));
        let text = [io::IoSlice::new(&[STARTED])];
        retry_on_intr(|| sendmsg(socket, &text, &mut control, SendFlags::NOSIGNAL))?;
        Ok(ours)
    });
    match told {
        Ok(ours) => Ok(Some(Service { child, exit, socket: Some(ours) })),
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            answer_failure(socket, &cannot_spawn("a service", &error))?;
            Ok(None)
        }
    }
}

fn answer_failure(socket: &OwnedFd, failure: &StartFailure) -> io::Result<()> {
    let mut answer = vec![FAILED];
    answer.extend(failure.error_name().as_str().bytes());
    answer.push(0);
    answer.extend(failure.to_string().bytes());
    answer.truncate(ANSWER_SIZE_MAX);
    retry_on_intr(|| send(socket, &answer, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// What [`answer_failure`] said.
fn parse_failure(answer: &[u8]) -> StartFailure {
    let text = String::from_utf8_lossy(answer);
    let (name, text) = text.split_once('\0').unwrap_or(("", &text));
    StartFailure::new(ErrorName::parse(name).unwrap_or(error::SPAWN_FAILED), text.to_owned())
}

impl Service {
    /// Does what the bus says, and tells it of the end. `false` when there is nothing left to be done.
    fn go_on(&mut self) -> bool {
        if let Some(socket) = &self.socket {
            match recv(socket, &mut [0; 8], RecvFlags::DONTWAIT) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                Ok((1.., _)) => drop(self.child.kill()),
                Ok(_) | Err(_) => self.socket = None,
            }
        }
        let status = match self.child.try_wait() {
            Ok(None) => return true,
            Ok(Some(status)) => status,
            // It was this process's child, so this does not happen.
            Err(_) => return false,
        };
        if let Some(socket) = &self.socket {
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            // The socket is empty, or nobody reads it.
            let _ = send(socket, &notice(status), flags);
        }
        false
    }
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

/// One datagram, as far as it fits, and the descriptors that came with it.
fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), Errno> {
    let mut space = [mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = retry_on_intr(|| {
        let parts = &mut [io::IoSliceMut::new(buffer)];
        recvmsg(socket, parts, &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let rights = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    Ok((message.bytes, rights.flatten().collect()))
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
                serve(theirs, &parameters, |name| Ok(path.join(format!("{name}.service"))))
            });
            Self { bus: PrivilegedLauncher { socket: Mutex::new(ours) }, thread, directory }
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
        // Bytes that are no text, and descriptors beside a request, are no more than a refusal.
        let socket = launcher.bus.socket.lock().unwrap();
        let fds = [socket.as_fd()];
        let mut space = [mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&fds));
        let parts = [io::IoSlice::new(&[0xff, 0xfe])];
        sendmsg(&*socket, &parts, &mut control, SendFlags::empty()).unwrap();
        let mut buffer = [0; ANSWER_SIZE_MAX];
        let (size, fds) = receive(&socket, &mut buffer).unwrap();
        assert!(fds.is_empty());
        let failure = parse_failure(&buffer[1..size]);
        assert_eq!(failure.error_name(), error::SPAWN_SERVICE_NOT_VALID, "{failure}");
        drop(socket);
        launcher.end();
    }

    #[test]
    fn a_launcher_that_is_gone_is_told_of() {
        let (ours, theirs) = pair().unwrap();
        drop(theirs);
        let bus = PrivilegedLauncher { socket: Mutex::new(ours) };
        let failure = bus.start("a.b").unwrap_err();
        assert_eq!(failure.error_name(), error::SPAWN_FAILED);
        assert!(failure.to_string().contains("restart the message bus"), "{failure}");
        let (ours, theirs) = pair().unwrap();
        drop(theirs);
        let failure = RemoteService { socket: ours }.end().unwrap().unwrap_err();
        assert!(failure.to_string().contains("restart the message bus"), "{failure}");
    }
}
