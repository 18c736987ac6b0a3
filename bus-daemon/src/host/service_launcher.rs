//! Starting services by their command line (config.md B096, B099; protocol.md A218, A238).
//!
//! A started program has the environment of the bus, what was added to that, and where the bus is; no
//! descriptors but the three standard ones, of which what it writes is read and logged; and the
//! signals and limits that the bus itself was started with.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use libbus::standard_error as error;
use nix::sys::signal::SigSet;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::accounts::Membership;
use super::phrase;
use super::privileged_launcher::PrivilegedLauncher;
use super::resource_limits::FdLimit;
use super::service_output::{OutputPipe, OutputPipes};
use super::supervisor::Supervisor;
use super::system_call::{ChildSetup, Program, prepare_supervised_child};
use crate::bus::activation::ServiceEnd;
use crate::bus::driver::error_reply::StartFailure;
use crate::bus::services::Service;

/// What all services of a bus are started with.
#[derive(Clone, Debug)]
pub struct StartParameters {
    /// Where the bus is (protocol.md A218).
    pub address: String,
    /// `<type>`, if it is one that programs know.
    pub bus_type: Option<String>,
    /// The limit of open files that the bus was started with, if it raised that.
    pub fd_limit: Option<FdLimit>,
    /// The signals that were blocked when the bus was started; it blocks more.
    pub blocked_signals: SigSet,
}

/// Starts services.
#[derive(Debug)]
pub struct Launcher {
    /// What they are started with.
    pub parameters: StartParameters,
    /// Who starts those that run as other users, where this process may not.
    pub privileged: Option<PrivilegedLauncher>,
    pipes: OutputPipes,
}

/// A service that was started.
#[derive(Debug)]
pub struct RunningService {
    /// Its name.
    pub name: String,
    /// What it writes, and others of its name.
    pub output: Option<OwnedFd>,
    /// Who says how it ended, while that matters.
    supervisor: Option<Supervisor>,
    /// That process, if it is a child of this one.
    child: Option<SupervisorChild>,
    /// Whether it is the helper.
    is_helper: bool,
}

#[derive(Debug)]
pub(super) struct SupervisorChild {
    child: Child,
    /// Readable when it has ended.
    exit: OwnedFd,
}

impl Launcher {
    /// One that has not started anything.
    #[must_use]
    pub fn new(parameters: StartParameters, privileged: Option<PrivilegedLauncher>) -> Self {
        Self { parameters, privileged, pipes: OutputPipes::default() }
    }

    /// Starts a service, by its command line or by a helper that is given its name (config.md B022).
    ///
    /// # Errors
    /// What whoever waits for it is told.
    pub fn start(
        &self,
        service: &Service,
        environment: Vec<(String, String)>,
        helper: Option<&Path>,
    ) -> Result<RunningService, StartFailure> {
        let name = service.file.name.clone();
        let arguments = match (helper, &self.privileged) {
            (Some(helper), _) => vec![helper.to_string_lossy().into_owned(), name.clone()],
            (None, Some(privileged)) => {
                let Started { supervisor, output } = privileged.start(&name)?;
                return Ok(RunningService {
                    name,
                    output: Some(output),
                    supervisor: Some(supervisor),
                    child: None,
                    is_helper: false,
                });
            }
            (None, None) => split(service.file.exec.as_deref().unwrap_or_default())?,
        };
        let environment = self.parameters.environment(environment);
        let program =
            program(&arguments, environment).map_err(|error| cannot_spawn(&name, &error))?;
        let Spawned { child, started } =
            spawn(program, &name, &self.parameters, &self.pipes, None)?;
        Ok(RunningService {
            name,
            output: Some(started.output),
            supervisor: Some(started.supervisor),
            child: Some(child),
            is_helper: helper.is_some(),
        })
    }
}

impl StartParameters {
    /// All that a service gets: these variables, those of the bus that are no UTF-8 and that nobody can
    /// speak of on the bus therefore, and where that is (protocol.md A218).
    fn environment(&self, variables: Vec<(String, String)>) -> BTreeMap<OsString, OsString> {
        let mut all = unspeakable(std::env::vars_os());
        all.extend(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
        // deviation: the reference leaves that of another bus, which has started this one.
        all.remove(OsStr::new("DBUS_STARTER_BUS_TYPE"));
        let mut add = |name: &str, value: &str| drop(all.insert(name.into(), value.into()));
        add("DBUS_STARTER_ADDRESS", &self.address);
        if let Some(bus_type) = &self.bus_type {
            add("DBUS_STARTER_BUS_TYPE", bus_type);
            match bus_type.as_str() {
                "session" => add("DBUS_SESSION_BUS_ADDRESS", &self.address),
                "system" => add("DBUS_SYSTEM_BUS_ADDRESS", &self.address),
                _ => {}
            }
        }
        all
    }
}

/// What services inherit of the environment of the bus and can be told of.
#[must_use]
pub fn inherited_variables() -> Vec<(String, String)> {
    speakable(std::env::vars_os())
}

fn speakable(all: impl Iterator<Item = Variable>) -> Vec<(String, String)> {
    let texts = all.filter(is_inherited);
    texts
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// What they inherit besides.
fn unspeakable(all: impl Iterator<Item = Variable>) -> BTreeMap<OsString, OsString> {
    let is_text = |(name, value): &Variable| name.to_str().is_some() && value.to_str().is_some();
    all.filter(|variable| is_inherited(variable) && !is_text(variable)).collect()
}

type Variable = (OsString, OsString);

/// Not what the service manager said to the bus alone: whoever believes it writes to the log as the bus,
/// listens on what are not its sockets, or takes itself for the unit of the bus.
fn is_inherited((name, _): &Variable) -> bool {
    const OF_THE_BUS: [&str; 9] = [
        "INVOCATION_ID",
        "JOURNAL_STREAM",
        "LISTEN_FDNAMES",
        "LISTEN_FDS",
        "LISTEN_PID",
        "LISTEN_PIDFDID",
        "NOTIFY_SOCKET",
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
    ];
    !OF_THE_BUS.iter().any(|known| name == known)
}

/// What has become of a service.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    /// It runs, or what it left behind may still take its name.
    Open,
    /// It ended without.
    Ended(Result<ServiceEnd, StartFailure>),
    /// Nobody watches it any more.
    Released,
}

/// A service that was started.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) supervisor: Supervisor,
    /// What it writes, and others of its name.
    pub(super) output: OwnedFd,
}

/// A service that was started by this process.
pub(super) struct Spawned {
    pub(super) child: SupervisorChild,
    pub(super) started: Started,
}

/// Starts the program of a service, of which what it writes can be read.
pub(super) fn spawn(
    program: Program,
    name: &str,
    parameters: &StartParameters,
    pipes: &OutputPipes,
    user: Option<Membership>,
) -> Result<Spawned, StartFailure> {
    let failed = |text: &str, error: io::Error| {
        StartFailure::new(error::SPAWN_FAILED, format!("Failed to {text}: {}", phrase(&error)))
    };
    let OutputPipe { read_end: output, write_end } =
        pipes.open(name).map_err(|error| failed("create a pipe", error))?;
    let second = write_end.try_clone().map_err(|error| failed("share a pipe", error))?;
    // What it names is not what is executed.
    let mut command = Command::new(name);
    command.stdin(Stdio::null()).stdout(write_end).stderr(second);
    if user.is_some() {
        // Where the bus was started is nothing to somebody else.
        command.current_dir("/");
    }
    let setup = ChildSetup {
        blocked_signals: parameters.blocked_signals,
        fd_limit: parameters.fd_limit,
        is_spared: is_spared_by_oom(),
        user,
    };
    let (ours, theirs) = pair().map_err(|error| failed("create a pair of sockets", error))?;
    prepare_supervised_child(&mut command, setup, program, theirs);
    let mut child = command.spawn().map_err(|error| cannot_spawn(name, &error))?;
    // It has the other ends of pipe and pair.
    drop(command);
    let supervisor = Supervisor::new(ours);
    let exit = Pid::from_raw(child.id().cast_signed())
        .ok_or(rustix::io::Errno::SRCH)
        .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
    match exit {
        Ok(exit) => Ok(Spawned {
            child: SupervisorChild { child, exit },
            started: Started { supervisor, output },
        }),
        Err(error) => {
            // Nobody would ever hear of its end.
            supervisor.kill();
            let _ = child.wait();
            Err(failed("watch a process", error.into()))
        }
    }
}

impl SupervisorChild {
    /// Waits for its end.
    pub(super) fn wait(mut self) {
        // It cannot fail: nobody else waits for it.
        let _ = self.child.wait();
    }
}

impl RunningService {
    /// What has become of it.
    pub fn fate(&mut self) -> Fate {
        if let Some(SupervisorChild { child, .. }) = &mut self.child {
            // The end of the supervisor comes after what it says; an error is that somebody else has
            // waited for it.
            if matches!(child.try_wait(), Ok(None)) {
                return Fate::Open;
            }
        }
        let Some(supervisor) = &self.supervisor else { return Fate::Released };
        let Some(end) = supervisor.end() else { return Fate::Open };
        let name = &self.name;
        Fate::Ended(match end {
            Some(ServiceEnd::Exited(code)) if self.is_helper && code != 0 => {
                Err(helper_failure(name, code))
            }
            Some(end) => Ok(end),
            None => Err(StartFailure::new(
                error::SPAWN_FAILED,
                format!("The process that watched how {name} starts was ended by somebody else"),
            )),
        })
    }

    /// Its name has an owner: how it ends does not matter any more. Answers whether there is nothing left
    /// to wait for.
    pub fn release(&mut self) -> bool {
        self.supervisor = None;
        self.child.is_none()
    }

    /// Ends it: it took too long.
    pub fn kill(&mut self) {
        self.supervisor.iter().for_each(Supervisor::kill);
    }

    /// What is readable when it has ended.
    pub fn exit(&self) -> Option<BorrowedFd<'_>> {
        let child = self.child.as_ref().map(|child| child.exit.as_fd());
        child.or(self.supervisor.as_ref().map(Supervisor::as_fd))
    }
}

/// A pair of connected sockets that keep datagrams apart.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

/// The words of a command line (config.md B096).
pub(super) fn split(line: &str) -> Result<Vec<String>, StartFailure> {
    let words = shlex::split(line).ok_or_else(|| {
        StartFailure::new(error::INVALID_ARGS, "Unclosed quotes in command line".to_owned())
    })?;
    if words.is_empty() {
        let text = "The command line of the service is empty".to_owned();
        return Err(StartFailure::new(error::INVALID_ARGS, text));
    }
    Ok(words)
}

/// There is no search in PATH: a word without a slash is a file here (config.md B096).
pub(super) fn program(
    arguments: &[String],
    environment: BTreeMap<OsString, OsString>,
) -> io::Result<Program> {
    let first = arguments.first().map_or("", String::as_str);
    let path = if first.contains('/') { first.to_owned() } else { format!("./{first}") };
    let environment = environment.into_iter().map(|(mut variable, value)| {
        variable.push("=");
        variable.push(value);
        variable.into_encoded_bytes()
    });
    Program::new(path.into(), arguments.iter().map(|text| text.clone().into()), environment)
}

/// protocol.md A238
pub(super) fn cannot_spawn(name: &str, error: &io::Error) -> StartFailure {
    let errno = rustix::io::Errno::from_io_error(error);
    match errno {
        Some(rustix::io::Errno::AGAIN) => {
            let text = format!("Failed to fork: {}", phrase(error));
            StartFailure::new(error::SPAWN_FORK_FAILED, text)
        }
        Some(rustix::io::Errno::NOMEM) => {
            StartFailure::new(error::SPAWN_NO_MEMORY, format!("No memory to start {name}"))
        }
        _ => StartFailure::new(
            error::SPAWN_EXEC_FAILED,
            format!("Failed to execute program {name}: {}", phrase(error)),
        ),
    }
}

/// What the exit codes of a helper mean (config.md B104). It becomes the service, whose own status cannot be
/// told from them.
fn helper_failure(name: &str, code: i32) -> StartFailure {
    let (error, meaning) = match code {
        2 => (error::NO_MEMORY, Some("there is no memory left")),
        3 => (error::SPAWN_CONFIG_INVALID, Some("its configuration is wrong")),
        4 => (error::SPAWN_FAILED_TO_SETUP, Some("it could not set up the process")),
        5 => (error::SPAWN_SERVICE_NOT_VALID, Some("the name is not valid")),
        6 => (
            error::SPAWN_SERVICE_NOT_FOUND,
            Some("it finds no such service, or cannot read its file"),
        ),
        // (ref) both are told as one.
        7 | 8 => (
            error::SPAWN_PERMISSIONS_INVALID,
            Some("its permissions or the service file are wrong"),
        ),
        9 => (error::SPAWN_EXEC_FAILED, Some("the program could not be executed")),
        10 => (error::INVALID_ARGS, Some("it was called in a wrong way")),
        11 => (error::SPAWN_CHILD_SIGNALED, Some("the program was ended by a signal")),
        _ => (error::SPAWN_CHILD_EXITED, None),
    };
    let text = format!("{name}, or the helper that starts it, ended with status {code}");
    let text = match meaning {
        Some(meaning) => format!("{text}; of the helper that means: {meaning}"),
        None => text,
    };
    StartFailure::new(error, text)
}

/// Whether the kernel spares this process when memory runs out: services are not to inherit that
/// (config.md B099).
fn is_spared_by_oom() -> bool {
    let path = Path::new("/proc/self/oom_score_adj");
    let text = super::config_files::read_at_most(path, 16).ok().flatten().unwrap_or_default();
    text.first() == Some(&b'-')
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    // protocol.md A218
    #[test]
    fn a_service_hears_of_no_other_bus() {
        let environment = |bus_type: Option<&str>| {
            let parameters = StartParameters {
                address: "unix:path=/x".to_owned(),
                bus_type: bus_type.map(str::to_owned),
                fd_limit: None,
                blocked_signals: SigSet::empty(),
            };
            let stale = ["DBUS_STARTER_BUS_TYPE", "DBUS_STARTER_ADDRESS"];
            let stale = stale.map(|name| (name.to_owned(), "stale".to_owned()));
            let all = parameters.environment(stale.to_vec());
            let variable = |name: &str| {
                all.get(OsStr::new(name)).map(|value| value.to_str().unwrap().to_owned())
            };
            [variable("DBUS_STARTER_ADDRESS"), variable("DBUS_STARTER_BUS_TYPE")]
        };
        let address = Some("unix:path=/x".to_owned());
        assert_eq!(environment(None), [address.clone(), None]);
        assert_eq!(environment(Some("session")), [address, Some("session".to_owned())]);
    }

    // config.md B099
    #[test]
    fn what_the_service_manager_says_to_the_bus_stays_there() {
        let latin = |text: &str| OsString::from_vec([text.as_bytes(), b"\xe9"].concat());
        let all = [
            ("HOME".into(), "/".into()),
            ("INVOCATION_ID".into(), "1".into()),
            ("JOURNAL_STREAM".into(), "8:1".into()),
            ("LISTEN_FDNAMES".into(), latin("a")),
            ("LISTEN_FDS".into(), "1".into()),
            ("LISTEN_PID".into(), "1".into()),
            ("NOTIFY_SOCKET".into(), latin("/run/")),
            ("WATCHDOG_USEC".into(), "1".into()),
            ("PWD".into(), latin("/")),
            (latin("X"), "1".into()),
        ];
        let expected = [("HOME".to_owned(), "/".to_owned())];
        assert_eq!(speakable(all.iter().cloned()), expected);
        let expected = BTreeMap::from([("PWD".into(), latin("/")), (latin("X"), "1".into())]);
        assert_eq!(unspeakable(all.into_iter()), expected);
    }

    // config.md B104
    #[test]
    fn a_status_is_the_helpers_or_the_services() {
        for (code, error, text) in [
            (1, "Spawn.ChildExited", "a.b, or the helper that starts it, ended with status 1"),
            (2, "NoMemory", "ended with status 2; of the helper that means: there is no memory"),
            (6, "Spawn.ServiceNotFound", "ended with status 6; of the helper"),
            (8, "Spawn.PermissionsInvalid", "ended with status 8; of the helper"),
            (70, "Spawn.ChildExited", "a.b, or the helper that starts it, ended with status 70"),
        ] {
            let failure = helper_failure("a.b", code);
            let error = format!("org.freedesktop.DBus.Error.{error}");
            assert_eq!(failure.error_name().as_str(), error);
            assert!(failure.to_string().contains(text), "{failure}");
        }
    }
}
