//! The buses that are compared, and how each is started fresh.
//!
//! Every bus gets a directory of its own with its socket, its configuration and its log, an
//! allow-all policy and limits that no workload reaches. It starts on the core for buses and
//! inherits that from the thread that starts it, because a program may count its cores first.

use std::cell::Cell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Instant;

use bus_tests::harness::broker;
use libbus::blocking::Connection;
use rustix::process::Uid;
use rustix::thread::set_thread_res_uid;

use crate::failure::{Failure, Result, fail};
use crate::load::{Client, DEADLINE};
use crate::measure::{BUS_CORE, LOAD_CORE, pin};
use crate::program::{Line, Program};
use crate::relay::{Passing, Role};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Ours,
    /// Another build of ours, say that of yesterday.
    OtherBuild,
    DbusBroker,
    DbusDaemon,
    Busd,
    NullRelay,
    Grpc,
}

impl Kind {
    /// All, in the order in which they take turns and stand in tables.
    pub(crate) const ALL: [Self; 7] = [
        Self::Ours,
        Self::OtherBuild,
        Self::DbusBroker,
        Self::DbusDaemon,
        Self::Busd,
        Self::NullRelay,
        Self::Grpc,
    ];

    /// What tables call it.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Ours => "bus-daemon",
            Self::OtherBuild => "other build",
            Self::DbusBroker => "dbus-broker",
            Self::DbusDaemon => "dbus-daemon",
            Self::Busd => "busd",
            Self::NullRelay => "null relay",
            Self::Grpc => "gRPC",
        }
    }

    /// Whether it speaks D-Bus.
    pub(crate) const fn is_bus(self) -> bool {
        !matches!(self, Self::NullRelay | Self::Grpc)
    }
}

/// A peer that is installed.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) kind: Kind,
    pub(crate) program: PathBuf,
    /// What it says of its version.
    pub(crate) version: String,
}

impl Peer {
    /// Finds the program of `kind`, builds it if it is ours; `other_build` is another build of it.
    pub(crate) fn find(kind: Kind, other_build: Option<&Path>) -> Result<Self> {
        let program = match kind {
            Kind::Ours => build_ours()?,
            Kind::OtherBuild => other_build.unwrap_or(Path::new("")).canonicalize()?,
            Kind::NullRelay => std::env::current_exe()?,
            Kind::DbusBroker | Kind::DbusDaemon | Kind::Busd => installed(kind.label())?,
            Kind::Grpc => installed("grpc-peer")?,
        };
        let version = match kind {
            Kind::NullRelay => String::new(),
            _ => version_of(&program)?,
        };
        Ok(Self { kind, program, version })
    }

    /// Starts it and waits until it can be connected to.
    pub(crate) fn start(&self) -> Result<Running> {
        self.start_with("")
    }

    /// The same with further elements in its configuration, for those that read one.
    pub(crate) fn start_with(&self, elements: &str) -> Result<Running> {
        self.start_under(&format!("{ALLOW_ALL}{elements}"))
    }

    /// Starts it under other policies, elements of its configuration; for those that read one.
    pub(crate) fn start_under(&self, policies: &str) -> Result<Running> {
        let dir = Directory::create()?;
        let socket = dir.0.join("bus");
        let mut command = Command::new(&self.program);
        match self.kind {
            Kind::Ours | Kind::OtherBuild | Kind::DbusDaemon => {
                let file = write_configuration(&dir, &socket, policies)?;
                command.arg(format!("--config-file={}", file.display()));
                command.args(["--nofork", "--nopidfile", "--print-address=1"]);
            }
            Kind::Busd => {
                let file = write_configuration(&dir, &socket, policies)?;
                command.arg("--config").arg(file).arg("--print-address");
            }
            Kind::NullRelay => {
                command.arg("--null-relay").arg(&socket);
            }
            Kind::Grpc => {
                command.arg("serve").arg(&socket);
            }
            Kind::DbusBroker => return start_broker(dir, socket, command),
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut running = Running::spawn(self.kind, dir, socket, command)?;
        running.wait_until_ready().map_err(|failure| running.explain(failure))?;
        Ok(running)
    }
}

fn start_broker(dir: Directory, socket: PathBuf, mut command: Command) -> Result<Running> {
    let ours = broker::prepare(&mut command)?;
    command.stdout(Stdio::null());
    let mut running = Running::spawn(Kind::DbusBroker, dir, socket, command)?;
    // The broker's end is inherited by now; the command would keep another.
    let controller = broker::control(ours, &running.socket);
    let failed = |error| running.explain(Failure::new(format!("refuses its controller: {error}")));
    running.controller = Some(controller.map_err(failed)?);
    Ok(running)
}

/// A process that was started for one measurement.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) kind: Kind,
    pub(crate) socket: PathBuf,
    program: Program,
    dir: Directory,
    /// What keeps a dbus-broker alive.
    controller: Option<Connection>,
    groups: Cell<u32>,
}

impl Running {
    fn spawn(kind: Kind, dir: Directory, socket: PathBuf, mut command: Command) -> Result<Self> {
        command.stderr(dir.open_log()?);
        // Buses should speak of their failures in one language.
        command.env("LC_ALL", "C");
        pin(BUS_CORE);
        let program = Program::spawn(&mut command);
        pin(LOAD_CORE);
        Ok(Self { kind, socket, program: program?, dir, controller: None, groups: Cell::new(0) })
    }

    /// Waits for the line on standard output that every peer but dbus-broker writes.
    fn wait_until_ready(&mut self) -> Result<()> {
        match self.program.lines()?.next(Instant::now() + DEADLINE)? {
            Line::Text(_) => Ok(()),
            Line::End => fail("ended before it was ready"),
            Line::Late => fail("does not say that it is ready"),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Two clients that know each other: one calls, the other is called.
    pub(crate) fn pair(&self) -> Result<(Client, Client)> {
        let (caller, mut callees) = self.fan_out(1, Passing::Bytes)?;
        let callee = callees.pop().ok_or_else(|| Failure::new("no callee"))?;
        Ok((caller, callee))
    }

    /// One client, and those that will get what it sends.
    pub(crate) fn fan_out(&self, count: usize, passing: Passing) -> Result<(Client, Vec<Client>)> {
        let group = self.groups.get();
        self.groups.set(group + 1);
        let sender = self.admit(group, Role::Sender(passing))?;
        let recipients =
            (0..count).map(|_| self.admit(group, Role::Receiver)).collect::<Result<_>>()?;
        Ok((sender, recipients))
    }

    /// A client that talks to the bus alone.
    pub(crate) fn single(&self) -> Result<Client> {
        self.admit(0, Role::Echo)
    }

    /// A client that has authenticated and not said Hello.
    pub(crate) fn connect_unregistered(&self) -> Result<Client> {
        let client = match self.kind {
            Kind::NullRelay => self.single()?,
            _ => Client::connect(&self.socket)?,
        };
        client.authenticate()?;
        Ok(client)
    }

    /// As [`Running::single`], for a client of this user; only root can ask for another one.
    pub(crate) fn single_of(&self, uid: u32) -> Result<Client> {
        let mut client = self.connect_of(uid)?;
        client.register_as(uid)?;
        Ok(client)
    }

    /// A connection of this user on which nothing has been said.
    pub(crate) fn connect_of(&self, uid: u32) -> Result<Client> {
        if uid == rustix::process::geteuid().as_raw() {
            return Client::connect(&self.socket);
        }
        // The kernel notes who connects when it happens: a thread of its own takes on the user's id.
        let path = &self.socket;
        let connect = || {
            let user = Uid::from_raw(uid);
            set_thread_res_uid(user, user, user)?;
            Client::connect(path)
        };
        let connected = thread::scope(|scope| scope.spawn(connect).join());
        connected.unwrap_or_else(|_| fail("cannot connect as another user"))
    }

    /// Clients that belong to no group.
    pub(crate) fn singles(&self, count: usize) -> Result<Vec<Client>> {
        (0..count).map(|_| self.single()).collect()
    }

    fn admit(&self, group: u32, role: Role) -> Result<Client> {
        match self.kind {
            Kind::NullRelay => Client::join(&self.socket, group, role),
            _ => Client::register(&self.socket),
        }
    }

    /// The failure with the end of the log, and with how the process ended if it did.
    pub(crate) fn explain(&mut self, failure: Failure) -> Failure {
        let mut text = failure.to_string();
        if let Some(status) = self.program.status() {
            text.push_str(&format!(" ({status})"));
        }
        for line in self.log_end() {
            text.push_str(&format!("\n    | {line}"));
        }
        Failure::new(text)
    }

    /// The log, for whoever else has something to say while this runs.
    pub(crate) fn open_log(&self) -> Result<File> {
        self.dir.open_log()
    }

    fn log_end(&self) -> Vec<String> {
        let log = fs::read(self.dir.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(LOG_LINES_MAX);
        lines[from..].iter().map(|line| line.chars().take(LOG_LINE_MAX).collect()).collect()
    }
}

const LOG_LINES_MAX: usize = 5;
const LOG_LINE_MAX: usize = 300;

/// A directory that is removed when dropped.
#[derive(Debug)]
struct Directory(PathBuf);

static DIRECTORIES: AtomicU32 = AtomicU32::new(0);

impl Directory {
    fn create() -> Result<Self> {
        let number = DIRECTORIES.fetch_add(1, Ordering::Relaxed);
        let name = format!("bus-compare-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    fn open_log(&self) -> Result<File> {
        Ok(File::options().create(true).append(true).open(self.log())?)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Limits above everything that a workload holds; the rest are the reference's for sessions.
const LIMITS: &[(&str, u32)] = &[
    ("max_incoming_bytes", 1_000_000_000),
    ("max_incoming_unix_fds", 250_000_000),
    ("max_outgoing_bytes", 1_000_000_000),
    ("max_outgoing_unix_fds", 250_000_000),
    ("max_message_size", 134_217_728),
    ("max_completed_connections", 100_000),
    ("max_incomplete_connections", 10_000),
    ("max_connections_per_user", 100_000),
    ("max_names_per_connection", 1_000_000),
    ("max_match_rules_per_connection", 1_000_000),
    ("max_replies_per_connection", 1_000_000),
];

/// The policy that costs least.
pub(crate) const ALLOW_ALL: &str = "  <policy context=\"default\">
    <allow user=\"*\"/>
    <allow send_destination=\"*\" eavesdrop=\"true\"/>
    <allow eavesdrop=\"true\"/>
    <allow own=\"*\"/>
  </policy>
";

fn write_configuration(dir: &Directory, socket: &Path, policies: &str) -> Result<PathBuf> {
    let limits: String = LIMITS
        .iter()
        .map(|(name, value)| format!("  <limit name=\"{name}\">{value}</limit>\n"))
        .collect();
    let text = format!(
        "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\"\n \
         \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n\
         <busconfig>\n  <type>session</type>\n  <keep_umask/>\n\
         \x20 <listen>unix:path={}</listen>\n  <auth>EXTERNAL</auth>\n\
         {limits}{policies}</busconfig>\n",
        socket.display()
    );
    let file = dir.0.join("bus.conf");
    fs::write(&file, text)?;
    Ok(file)
}

/// Builds our daemon as it is released.
fn build_ours() -> Result<PathBuf> {
    let executable = std::env::current_exe()?;
    let target =
        executable.ancestors().nth(3).ok_or_else(|| Failure::new("no target directory"))?;
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--package", "bus-daemon", "--bin", "bus-daemon"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", target)
        .status()?;
    if built.success() { Ok(target.join("release/bus-daemon")) } else { fail("does not build") }
}

/// Where the scripts beside this put what they fetch.
pub(crate) fn cache() -> PathBuf {
    std::env::var_os("PEER_CACHE").unwrap_or_else(|| "/var/cache/peer-suites".into()).into()
}

/// Finds a program in PATH or where `install-peers` puts it.
fn installed(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([cache().join("cargo/bin")])
        .map(|dir| dir.join(name))
        .find(|program| program.is_file())
        .ok_or_else(|| Failure::new("not installed (see tests/benches/compare/install-peers)"))
}

/// The first word of `--version` that is a number; empty if there is none.
fn version_of(program: &Path) -> Result<String> {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut program = Program::spawn(&mut command)?;
    let (mut lines, deadline) = (program.lines()?, Instant::now() + DEADLINE);
    let is_number = |word: &&str| word.starts_with(|first: char| first.is_ascii_digit());
    loop {
        match lines.next(deadline)? {
            Line::Text(text) => {
                if let Some(number) = text.split_whitespace().find(is_number) {
                    return Ok(number.to_owned());
                }
            }
            Line::End => return Ok(String::new()),
            Line::Late => return fail("does not answer --version in time"),
        }
    }
}
