//! `bus run`: one command on a bus of its own (tools.md D052, needs.md E8).

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io::{self, Read as _};
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};

use bus_daemon::configuration::BUILT_IN_SYSTEM;
use clap::Args;
use libbus::address::Address;
use libbus::host::{phrase, random_name};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use signal_hook::SigId;
use signal_hook::consts::{SIGALRM, SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithRawSiginfo;
use signal_hook::low_level::{pipe, unregister};

use crate::DAEMON;
use crate::failure::{Failure, Result};
use crate::options::Options;

/// Run a command on a private bus, which ends with it
///
/// The exit code is the command's, or 128 and the signal's number. The folder of this program is first in the
/// command's PATH, unless this program is found by it as it is.
#[derive(Args, Debug)]
pub(crate) struct Run {
    /// The bus's configuration, instead of that of a session bus
    #[arg(long, value_name = "FILE", conflicts_with = "system_like")]
    config: Option<PathBuf>,

    /// As a system bus: with the policies of this system; its address is told by DBUS_SYSTEM_BUS_ADDRESS
    #[arg(long)]
    system_like: bool,

    /// The bus to start, instead of the bus-daemon beside this program
    #[arg(long, value_name = "PROGRAM")]
    daemon: Option<PathBuf>,

    /// What to run; your shell if there is nothing
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// Options of all verbs that would be about another bus, or about an answer, of which there is none.
fn refuse_meaningless(options: &Options) -> Result<()> {
    let bus = &options.bus;
    let given = [
        ("--system", bus.system),
        ("--user", bus.user),
        ("--address", bus.address.is_some()),
        ("--peer", bus.peer.is_some()),
        ("--host", bus.host.is_some()),
        ("--machine", bus.machine.is_some()),
        ("--json", options.json.is_some()),
        ("--timeout", options.timeout.is_some()),
    ];
    let Some((option, _)) = given.into_iter().find(|(_, is_given)| *is_given) else {
        return Ok(());
    };
    let hint = match option {
        "--system" => "a bus like the system's: bus run --system-like".to_owned(),
        option => format!("what is for the command stands behind it: bus run -- bus list {option}"),
    };
    Err(Failure::usage(format!("{option} means nothing to `bus run`, whose bus is a new one"))
        .hint(hint))
}

/// Variables that belong to another bus.
pub(crate) const FOREIGN: [&str; 4] = [
    "DBUS_SESSION_BUS_PID",
    "DBUS_SESSION_BUS_WINDOWID",
    "DBUS_STARTER_ADDRESS",
    "DBUS_STARTER_BUS_TYPE",
];

impl Run {
    pub(crate) fn run(self, options: &Options) -> Result<ExitCode> {
        refuse_meaningless(options)?;
        // Before any process is started: what comes meanwhile is not lost.
        let signals = signals()?;
        let directory = Directory::new()?;
        let (bus, address) = self.start_bus(&directory)?;
        let mut command = self.command(&address);
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().map_err(|error| Failure::not_run(&program, &error))?;
        let status = wait_for(child, signals);
        drop(bus);
        Ok(exit_code(status?))
    }

    fn start_bus(&self, directory: &Directory) -> Result<(Bus, String)> {
        let program = self.daemon.clone().unwrap_or_else(daemon_program);
        let socket = directory.0.join("bus");
        let socket = socket
            .to_str()
            .ok_or_else(|| Failure::refused("the temporary directory's name is no text"))?;
        let listen = Address::new("unix").with("path", socket).to_string();
        let mut daemon = Command::new(&program);
        if self.daemon.is_none() {
            daemon.arg0(DAEMON);
        }
        match (&self.config, self.system_like) {
            (Some(file), _) => daemon.arg(os("--config-file=", file)),
            (None, true) => {
                daemon.arg(os("--config-file=", &directory.write_system_config(&listen)?))
            }
            (None, false) => daemon.arg("--session"),
        };
        daemon
            .args(["--nofork", "--nopidfile", "--print-address=1"])
            .arg(format!("--address={listen}"))
            .env_remove("DBUS_VERBOSE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // What a terminal sends is for the command.
            .process_group(0);
        let interruption = Interruption::new()?;
        let daemon = daemon.spawn().map_err(|error| {
            Failure::unreachable(format!("cannot start {}: {}", program.display(), phrase(&error)))
        })?;
        let mut bus = Bus(daemon);
        let address = bus.told_address(&interruption)?;
        Ok((bus, address))
    }

    fn command(&self, address: &str) -> Command {
        let shell = || std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
        let mut command = match self.command.split_first() {
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments);
                command
            }
            None => Command::new(shell()),
        };
        for name in FOREIGN {
            command.env_remove(name);
        }
        let variable = match self.system_like {
            true => "DBUS_SYSTEM_BUS_ADDRESS",
            false => "DBUS_SESSION_BUS_ADDRESS",
        };
        command.env(variable, address);
        if let Some(path) = path_with_own_folder() {
            command.env("PATH", path);
        }
        command
    }
}

fn os(option: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(option);
    argument.push(path);
    argument
}

/// The daemon beside this program, or this program, which is one, too.
pub(crate) fn daemon_program() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
    let beside = own.with_file_name(DAEMON);
    if beside.is_file() { beside } else { own }
}

/// The search path with this program's folder first; nothing, where this program is found as it is: who has put other
/// folders before it wants these.
fn path_with_own_folder() -> Option<OsString> {
    let own = std::env::current_exe().ok()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut files = std::env::split_paths(&path).filter_map(|it| Some(it.join(own.file_name()?)));
    let found = files.find(|file| file.is_file()).and_then(|file| file.canonicalize().ok());
    if found.is_some() && found == own.canonicalize().ok() {
        return None;
    }
    let own = own.parent()?.to_owned();
    std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&path))).ok()
}

/// Signals that end a program which does not heed them.
const ENDING: [i32; 7] = [SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGALRM, SIGUSR1, SIGUSR2];

/// Signals, and whether the kernel sent them.
pub(crate) type Received = SignalsInfo<WithRawSiginfo>;

/// What ends the command, or tells that it has ended. Programs that are started have these signals as usual.
pub(crate) fn signals() -> Result<Received> {
    let signals = Received::new([SIGCHLD].iter().chain(&ENDING));
    signals
        .map_err(|error| Failure::refused(format!("cannot wait for signals: {}", phrase(&error))))
}

/// Waits until the command has ended, which gets what this program is told.
pub(crate) fn wait_for(mut child: Child, mut signals: Received) -> Result<ExitStatus> {
    let failed = |error: std::io::Error| {
        Failure::refused(format!("cannot wait for the command: {}", phrase(&error)))
    };
    loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Ok(status);
        }
        let received = signals.wait().map(|info| (info.si_signo, info.si_code));
        for signal in received.filter_map(passed_on) {
            send(&child, signal);
        }
    }
}

/// What the command gets of a signal. A terminal sends SIGINT and SIGQUIT to the command, too, by the kernel, whose
/// codes are above 0; by `kill` it is only this program that is told.
const fn passed_on((number, code): (i32, i32)) -> Option<Signal> {
    match number {
        SIGTERM => Some(Signal::SIGTERM),
        SIGHUP => Some(Signal::SIGHUP),
        SIGALRM => Some(Signal::SIGALRM),
        SIGUSR1 => Some(Signal::SIGUSR1),
        SIGUSR2 => Some(Signal::SIGUSR2),
        SIGINT if code <= 0 => Some(Signal::SIGINT),
        SIGQUIT if code <= 0 => Some(Signal::SIGQUIT),
        _ => None,
    }
}

/// It may have ended just now, which is no failure.
fn send(child: &Child, signal: Signal) {
    if let Ok(pid) = i32::try_from(child.id()) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

pub(crate) fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

/// A private bus, which ends with this.
pub(crate) struct Bus(pub(crate) Child);

/// Bytes of the address that a bus tells.
const ADDRESS_SIZE_MAX: usize = 16 << 10;

impl Bus {
    /// The first line that it writes.
    ///
    /// # Errors
    /// It writes none, or this program is told to end before.
    fn told_address(&mut self, interruption: &Interruption) -> Result<String> {
        // It has said why.
        let untold = || Failure::unreachable("the bus did not start");
        let mut out = self.0.stdout.take().ok_or_else(untold)?;
        let mut told = Vec::new();
        let mut piece = [0; 512];
        while told.len() < ADDRESS_SIZE_MAX {
            if interruption.comes_before(&out) {
                return Err(Failure::unreachable("the bus had not started when the end came"));
            }
            let size = out.read(&mut piece).ok().filter(|size| *size > 0).ok_or_else(untold)?;
            told.extend(piece.iter().take(size));
            if let Some(end) = told.iter().position(|byte| *byte == b'\n') {
                told.truncate(end);
                let address = String::from_utf8(told).map_err(|_| untold())?;
                let address = address.trim().to_owned();
                return Some(address).filter(|address| !address.is_empty()).ok_or_else(untold);
            }
        }
        Err(Failure::unreachable("what the bus tells is longer than an address"))
    }

    /// Whoever has ended by itself gets no signal: its number may be another's by now.
    pub(crate) fn end(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            send(&self.0, Signal::SIGTERM);
            let _ = self.0.wait();
        }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.end();
    }
}

/// That this program is told to end while the bus starts: signals are caught by then, and nobody waits for them yet.
struct Interruption {
    told: UnixStream,
    watched: Vec<SigId>,
}

impl Interruption {
    fn new() -> Result<Self> {
        let watch = || {
            let (told, tells) = UnixStream::pair()?;
            let watched = ENDING.map(|signal| pipe::register(signal, tells.try_clone()?));
            Ok(Self { told, watched: watched.into_iter().collect::<io::Result<_>>()? })
        };
        watch().map_err(|error: io::Error| {
            Failure::refused(format!("cannot wait for signals: {}", phrase(&error)))
        })
    }

    /// Waits until there is something to read. True, if this program is to end.
    fn comes_before(&self, other: &impl AsFd) -> bool {
        let mut both = [PollFd::new(&self.told, PollFlags::IN), PollFd::new(other, PollFlags::IN)];
        while poll(&mut both, None) == Err(Errno::INTR) {}
        let [told, _] = both;
        !told.revents().is_empty()
    }
}

impl Drop for Interruption {
    fn drop(&mut self) {
        for watched in self.watched.drain(..) {
            unregister(watched);
        }
    }
}

/// Where the bus's socket is; goes with this.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Result<Self> {
        let places =
            [std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from), Some(std::env::temp_dir())];
        let mut failed = None;
        for place in places.into_iter().flatten() {
            let made = random_name().and_then(|name| {
                let path = place.join(format!("bus-run-{name}"));
                DirBuilder::new().mode(0o700).create(&path).map(|()| path)
            });
            match made {
                Ok(path) => return Ok(Self(path)),
                Err(error) => failed = Some(error),
            }
        }
        let why = failed.map_or_else(|| "there is none".to_owned(), |error| phrase(&error));
        Err(Failure::unreachable(format!("there is no room for a temporary directory: {why}")))
    }

    fn write_system_config(&self, listen: &str) -> Result<PathBuf> {
        let path = self.0.join("system.conf");
        let written = fs::write(&path, system_config(listen));
        written.map_err(|error| Failure::refused(phrase(&error)))?;
        Ok(path)
    }
}

/// What the system bus's configuration says, but for what belongs to the one system bus that there is.
fn system_config(listen: &str) -> String {
    let listen = listen.replace('&', "&amp;").replace('<', "&lt;");
    let is_its_own = |line: &&str| {
        let elements = ["<user>", "<fork/>", "<pidfile>", "<syslog/>"];
        !elements.iter().any(|element| line.trim_start().starts_with(element))
    };
    let lines = BUILT_IN_SYSTEM.lines().filter(is_its_own);
    let place = |line: &str| match line.trim_start().starts_with("<listen>") {
        true => format!("  <listen>{listen}</listen>\n"),
        false => format!("{line}\n"),
    };
    lines.map(place).collect()
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed lies in the directory for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::Signal;
    use signal_hook::consts::{SIGCHLD, SIGINT, SIGQUIT, SIGTERM};

    use super::{ENDING, passed_on, system_config};

    /// Codes of a signal's origin: `kill`, and the kernel.
    const KILLED: i32 = 0;
    const BY_KERNEL: i32 = 0x80;

    #[test]
    fn a_command_gets_a_signal_once() {
        for number in ENDING {
            let signal = Signal::try_from(number).unwrap();
            assert_eq!(passed_on((number, KILLED)), Some(signal));
        }
        let signals = [SIGTERM, SIGINT, SIGQUIT, SIGCHLD];
        let killed = signals.map(|number| passed_on((number, KILLED)));
        let passed = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT].map(Some);
        assert_eq!(killed, [passed[0], passed[1], passed[2], None]);
        let typed = signals.map(|number| passed_on((number, BY_KERNEL)));
        assert_eq!(typed, [passed[0], None, None, None]);
    }

    #[test]
    fn a_bus_like_the_systems_is_no_other_user_and_has_its_own_place() {
        let config = system_config("unix:path=/a&b");
        for element in ["<user>", "<fork/>", "<pidfile>", "/run/dbus"] {
            assert!(!config.contains(element), "{element}");
        }
        assert!(config.contains("<listen>unix:path=/a&amp;b</listen>"));
        assert!(config.contains("<deny own=\"*\"/>"));
    }
}
