//! Starts and stops the daemon under test.
//!
//! Each daemon has a directory of its own with its configuration, its socket and its log. The
//! configuration is the session bus's allow-all policy with the limits a test asks for, and no
//! service directories. The line that `--print-address` writes tells when the bus is ready.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use libbus::blocking::Connection;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::process::{Pid, Signal, Uid, kill_process};
use rustix::thread::set_thread_res_uid;

use super::broker;
use super::raw_client::{Client, DEADLINE, RawClient};

const BROKER: &str = "dbus-broker";

/// A daemon program to be tested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// What results call it.
    pub label: &'static str,
    /// The program.
    pub program: PathBuf,
}

impl Daemon {
    /// Our daemon: `$BUS_DAEMON`, or the one cargo builds beside this test.
    pub fn ours() -> Self {
        let program = std::env::var_os("BUS_DAEMON").map_or_else(built_program, PathBuf::from);
        Self { label: "bus-daemon", program }
    }

    /// The system's `dbus-daemon` (or `$REFERENCE_BUS_DAEMON`), if it is installed.
    pub fn reference() -> Option<Self> {
        let program = std::env::var_os("REFERENCE_BUS_DAEMON")
            .map_or_else(|| PathBuf::from("/usr/bin/dbus-daemon"), PathBuf::from);
        program.is_file().then_some(Self { label: "dbus-daemon", program })
    }

    /// The system's `dbus-broker` (or `$BROKER_BUS_DAEMON`), if it is installed. It reads no configuration:
    /// of a [`Config`] nothing counts.
    pub fn broker() -> Option<Self> {
        let program = std::env::var_os("BROKER_BUS_DAEMON")
            .map_or_else(|| PathBuf::from("/usr/bin/dbus-broker"), PathBuf::from);
        program.is_file().then_some(Self { label: BROKER, program })
    }
}

/// The daemon in cargo's target directory.
fn built_program() -> PathBuf {
    built("bus-daemon", "bus-daemon", &["libbus", "policy", "introspect", "bus-daemon"])
}

/// The command `bus` in cargo's target directory.
pub fn bus_command() -> PathBuf {
    built("bus", "bus-tools", &["libbus", "policy", "introspect", "bus-daemon", "tools"])
}

/// A program in cargo's target directory, built anew if it is missing or older than its sources.
fn built(name: &str, package: &str, sources: &[&str]) -> PathBuf {
    let executable = std::env::current_exe().expect("the path of this test");
    let profile_dir = executable.ancestors().nth(2).expect("target/<profile>/deps/<test>");
    let program = profile_dir.join(name);
    if is_stale(&program, sources) {
        build_program(profile_dir, package);
    }
    assert!(program.is_file(), "no {name} at {}", program.display());
    program
}

fn is_stale(program: &Path, sources: &[&str]) -> bool {
    let Ok(built) = fs::metadata(program).and_then(|metadata| metadata.modified()) else {
        return true;
    };
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    sources.iter().any(|name| has_file_after(&workspace.join(name), built))
}

fn has_file_after(dir: &Path, moment: std::time::SystemTime) -> bool {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| {
        if path.is_dir() {
            return has_file_after(&path, moment);
        }
        fs::metadata(&path).and_then(|metadata| metadata.modified()).is_ok_and(|at| at > moment)
    })
}

fn build_program(profile_dir: &Path, package: &str) {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--package", package, "--bins"]);
    if profile_dir.ends_with("release") {
        build.arg("--release");
    }
    let target_dir = profile_dir.parent().expect("the target directory");
    build.current_dir(env!("CARGO_MANIFEST_DIR")).env("CARGO_TARGET_DIR", target_dir);
    assert!(build.status().expect("cargo runs").success(), "cannot build {package}");
}

/// Where a bus listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A socket file in the bus's own directory.
    Path,
    /// Addresses as written; `{dir}` stands for the bus's own directory.
    Addresses(&'static [&'static str]),
    /// A socket in the bus's own directory, passed in as a service manager would.
    Systemd,
}

/// What a test needs of its bus.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// `<limit>` elements; those not named keep the program's built-in values.
    pub limits: &'static [(&'static str, u32)],
    /// `<auth>` elements.
    pub auth: &'static [&'static str],
    /// `<listen>` elements.
    pub listen: Listen,
    /// Further elements, as written.
    pub elements: &'static str,
    /// Further arguments.
    pub arguments: &'static [&'static str],
    /// Environment variables; `{dir}` stands for the bus's own directory.
    pub environment: &'static [(&'static str, &'static str)],
    /// Directories in the bus's own one that are there before it starts.
    pub directories: &'static [&'static str],
}

impl Config {
    /// A session bus: EXTERNAL, a socket file, everything allowed, built-in limits.
    pub const SESSION: Self = Self {
        limits: &[],
        auth: &["EXTERNAL"],
        listen: Listen::Path,
        elements: "",
        arguments: &[],
        environment: &[],
        directories: &[],
    };

    fn to_xml(self, dir: &Path) -> String {
        let listens: String = self
            .listen_addresses(dir)
            .iter()
            .map(|address| format!("  <listen>{address}</listen>\n"))
            .collect();
        let auths: String =
            self.auth.iter().map(|name| format!("  <auth>{name}</auth>\n")).collect();
        let limits: String = self
            .limits
            .iter()
            .map(|(name, value)| format!("  <limit name=\"{name}\">{value}</limit>\n"))
            .collect();
        format!(
            "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\"\n \
             \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n\
             <busconfig>\n  <type>session</type>\n  <keep_umask/>\n{listens}{auths}\
             \x20 <policy context=\"default\">\n\
             \x20   <allow send_destination=\"*\" eavesdrop=\"true\"/>\n\
             \x20   <allow eavesdrop=\"true\"/>\n    <allow own=\"*\"/>\n  </policy>\n\
             {}{limits}</busconfig>\n",
            self.elements
        )
    }

    fn listen_addresses(self, dir: &Path) -> Vec<String> {
        let dir = dir.to_str().expect("a temporary directory in UTF-8");
        match self.listen {
            Listen::Path => vec![format!("unix:path={dir}/bus")],
            Listen::Systemd => vec!["systemd:".to_owned()],
            Listen::Addresses(addresses) => {
                addresses.iter().map(|address| address.replace("{dir}", dir)).collect()
            }
        }
    }
}

/// A running daemon, and what a test saw of it.
#[derive(Debug)]
pub struct Bus {
    /// The address list as the daemon printed it.
    pub address: String,
    /// The directory with its socket, configuration and log.
    pub dir: PathBuf,
    daemon: Daemon,
    config: Config,
    child: Mutex<Child>,
    observations: Mutex<Vec<(String, String)>>,
    /// What keeps a broker alive.
    controller: Mutex<Option<Connection>>,
}

static STARTED: AtomicU32 = AtomicU32::new(0);

impl Bus {
    /// Starts `daemon` and waits until it listens.
    pub fn start(daemon: &Daemon, config: &Config) -> Self {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("bus-tests-{}-{number}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory for the bus");
        for name in config.directories {
            fs::create_dir(dir.join(name)).expect("a directory in it");
        }
        if daemon.label == BROKER {
            return Self::start_broker(daemon, config, dir);
        }
        let config_file = dir.join("bus.conf");
        fs::write(&config_file, config.to_xml(&dir)).expect("the configuration");
        let (child, address) = spawn(daemon, config, &dir);
        let bus = Self {
            address: address.trim_end().to_owned(),
            dir,
            daemon: daemon.clone(),
            config: *config,
            child: Mutex::new(child),
            observations: Mutex::new(Vec::new()),
            controller: Mutex::default(),
        };
        assert!(address.ends_with('\n'), "no address printed; log: {}", bus.log());
        bus
    }

    fn start_broker(daemon: &Daemon, config: &Config, dir: PathBuf) -> Self {
        let (child, controller) = spawn_broker(daemon, &dir);
        Self {
            address: format!("unix:path={}", dir.join("bus").display()),
            dir,
            daemon: daemon.clone(),
            config: *config,
            child: Mutex::new(child),
            observations: Mutex::new(Vec::new()),
            controller: Mutex::new(Some(controller)),
        }
    }

    /// What kind of daemon it is, as results call it.
    pub const fn label(&self) -> &'static str {
        self.daemon.label
    }

    /// A connected socket that has sent nothing.
    pub fn connect_raw(&self) -> RawClient {
        self.connect_raw_to(0)
    }

    /// The same, to the address number `index` of the list.
    pub fn connect_raw_to(&self, index: usize) -> RawClient {
        let address = self.addresses().nth(index).expect("an address");
        RawClient::new(connect(address))
    }

    /// An authenticated connection that can pass descriptors and has not said Hello.
    pub fn connect_unregistered(&self) -> Client {
        let mut raw = self.connect_raw();
        raw.authenticate(true);
        Client::unregistered(raw)
    }

    /// A registered client that can pass descriptors.
    pub fn connect(&self) -> Client {
        let mut raw = self.connect_raw();
        raw.authenticate(true);
        Client::register(raw)
    }

    /// A registered client that has not negotiated descriptor passing.
    pub fn connect_without_fds(&self) -> Client {
        let mut raw = self.connect_raw();
        raw.authenticate(false);
        Client::register(raw)
    }

    /// An authenticated connection of another user; needs root.
    ///
    /// The kernel notes who connects when it happens, so one thread takes on the user's id, connects
    /// and ends.
    pub fn connect_as(&self, uid: u32) -> RawClient {
        // The user must be able to reach the socket.
        for path in [self.dir.clone(), self.dir.join("bus")] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("permissions");
        }
        let address = self.addresses().next().expect("an address").to_owned();
        let connect_as_user = move || {
            let user = Uid::from_raw(uid);
            set_thread_res_uid(None::<Uid>, user, None::<Uid>).expect("root");
            connect(&address)
        };
        let socket = std::thread::spawn(connect_as_user).join().expect("a connection");
        let mut raw = RawClient::new(socket);
        raw.authenticate_as(uid, true);
        raw
    }

    /// The addresses the daemon printed, one by one.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.address.split(';')
    }

    /// The value of `key` in the address number `index`.
    pub fn address_value(&self, index: usize, key: &str) -> Option<&str> {
        let (_, pairs) = self.addresses().nth(index)?.split_once(':')?;
        pairs
            .split(',')
            .filter_map(|pair| pair.split_once('='))
            .find(|pair| pair.0 == key)
            .map(|pair| pair.1)
    }

    /// Starts another bus with the same daemon.
    pub fn start_another(&self, config: &Config) -> Self {
        Self::start(&self.daemon, config)
    }

    /// Starts the daemon again, with the same addresses, after [`Bus::terminate`].
    pub fn restart(&self) {
        if self.daemon.label == BROKER {
            fs::remove_file(self.dir.join("bus")).expect("the last one's socket");
            let (child, controller) = spawn_broker(&self.daemon, &self.dir);
            *self.child.lock().expect("the child") = child;
            *self.controller.lock().expect("the controller") = Some(controller);
            return;
        }
        let (child, address) = spawn(&self.daemon, &self.config, &self.dir);
        assert!(address.ends_with('\n'), "no address printed; log: {}", self.log());
        *self.child.lock().expect("the child") = child;
    }

    /// The daemon's process id.
    pub fn pid(&self) -> u32 {
        self.child.lock().expect("the child").id()
    }

    /// What the daemon wrote to stderr so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Waits until `count` lines of the log contain `text`.
    pub fn wait_for_log(&self, text: &str, count: usize) {
        let inotify = inotify::init(inotify::CreateFlags::CLOEXEC).expect("an inotify instance");
        inotify::add_watch(&inotify, self.dir.join("log"), inotify::WatchFlags::MODIFY)
            .expect("a watch");
        let deadline = Timespec::try_from(DEADLINE).expect("a short time");
        loop {
            let log = self.log();
            if log.lines().filter(|line| line.contains(text)).count() >= count {
                return;
            }
            let ready = poll(&mut [PollFd::new(&inotify, PollFlags::IN)], Some(&deadline));
            assert_eq!(ready, Ok(1), "{text:?} is not {count} times in the log:\n{log}");
            rustix::io::read(&inotify, &mut [0; 4096]).expect("an event");
        }
    }

    /// Asks the bus again and again until `is_so` says yes.
    pub fn wait_until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !is_so() {
            assert!(Instant::now() < deadline, "{what}: never; log:\n{}", self.log());
        }
    }

    /// Notes what this daemon does, to be compared with what the other one does. A line end after a
    /// text is no difference.
    pub fn observe(&self, key: impl Into<String>, value: impl Into<String>) {
        let mut observations = self.observations.lock().expect("observations");
        let (key, value) = (key.into(), value.into().trim_end().to_owned());
        assert!(observations.iter().all(|(known, _)| *known != key), "{key} observed twice");
        observations.push((key, value));
    }

    /// All that was observed, in order.
    pub fn take_observations(&self) -> Vec<(String, String)> {
        std::mem::take(&mut *self.observations.lock().expect("observations"))
    }

    /// Asks the daemon to end and waits until it has; answers whether it ended well.
    pub fn terminate(&self) -> bool {
        self.signal(Signal::TERM);
        self.child.lock().expect("the child").wait().expect("the daemon's end").success()
    }

    /// Sends SIGHUP to the daemon.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child.lock().expect("the child"));
        kill_process(pid, signal).expect("a running daemon");
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        // The process may be gone already; that is the test's finding, not this one's.
        if let Ok(child) = self.child.get_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Starts the broker in its directory, and what keeps it alive.
fn spawn_broker(daemon: &Daemon, dir: &Path) -> (Child, Connection) {
    let mut command = Command::new(&daemon.program);
    let socket = broker::prepare(&mut command).expect("a pair of sockets");
    command.stdout(Stdio::null()).stderr(File::create(dir.join("log")).expect("the log"));
    let child = command.spawn().expect("the broker starts");
    // It would keep the broker's end.
    drop(command);
    let controller = broker::control(socket, &dir.join("bus")).expect("a broker of version 33");
    (child, controller)
}

/// Starts the daemon in its directory; answers with what it prints as its address.
fn spawn(daemon: &Daemon, config: &Config, dir: &Path) -> (Child, String) {
    let mut command = command_for(daemon, config, dir);
    for (key, value) in config.environment {
        command.env(key, value.replace("{dir}", dir.to_str().expect("UTF-8")));
    }
    let mut child = command
        .arg(format!("--config-file={}", dir.join("bus.conf").display()))
        .args(["--nofork", "--nopidfile", "--print-address=1"])
        .args(config.arguments)
        .stdout(Stdio::piped())
        .stderr(File::create(dir.join("log")).expect("the log"))
        .spawn()
        .expect("the daemon starts");
    let mut address = String::new();
    BufReader::new(child.stdout.take().expect("stdout"))
        .read_line(&mut address)
        .expect("the address");
    (child, address)
}

/// The daemon itself, or a shell that hands it its listening socket as descriptor 3.
fn command_for(daemon: &Daemon, config: &Config, dir: &Path) -> Command {
    if config.listen != Listen::Systemd {
        let mut command = Command::new(&daemon.program);
        command.stdin(Stdio::null());
        return command;
    }
    let listener = UnixListener::bind(dir.join("bus")).expect("a listening socket");
    let mut command = Command::new("/bin/sh");
    let script = r#"LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@" 3<&0 </dev/null"#;
    command.args(["-c", script]).arg(&daemon.program).stdin(OwnedFd::from(listener));
    command
}

fn connect(address: &str) -> OwnedFd {
    let (transport, pairs) = address.split_once(':').expect("an address");
    let value = |key: &str| {
        pairs
            .split(',')
            .filter_map(|pair| pair.split_once('='))
            .find(|pair| pair.0 == key)
            .map(|pair| pair.1)
    };
    match (transport, value("path"), value("abstract")) {
        ("unix", Some(path), _) => UnixStream::connect(unescape(path)).expect("connect").into(),
        ("unix", None, Some(name)) => connect_abstract(&unescape(name)),
        ("tcp" | "nonce-tcp", ..) => {
            let host = value("host").expect("a host");
            let port: u16 = value("port").and_then(|port| port.parse().ok()).expect("a port");
            TcpStream::connect((host, port)).expect("connect").into()
        }
        _ => panic!("cannot connect to {address}"),
    }
}

fn connect_abstract(name: &str) -> OwnedFd {
    use std::os::linux::net::SocketAddrExt as _;
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name).expect("a name");
    UnixStream::connect_addr(&address).expect("connect").into()
}

/// Undoes the `%XX` of an address value.
fn unescape(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits: Vec<u8> = rest.by_ref().take(2).collect();
            let digits = String::from_utf8(digits).expect("hex digits");
            bytes.push(u8::from_str_radix(&digits, 16).expect("hex digits"));
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).expect("a path in UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_values_are_unescaped() {
        assert_eq!(unescape("/tmp/a%20b%2fc"), "/tmp/a b/c");
    }
}
