//! The bus, its services and its clients, in the world that `world.sh` made.

use std::fs;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread;

use bus_tests::harness::{Client, Daemon, Ended, RawClient, Running, Value, run, words};
use rustix::process::{Gid, Pid, Signal, Uid, kill_process};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::services::Service;

const SOCKET: &str = "/run/dbus/system_bus_socket";
/// Where the bus writes its process id.
pub(crate) const PID_FILE: &str = "/run/dbus/pid";
/// The configuration that the bus is started with.
pub(crate) const SYSTEM_CONF: &str = "/usr/share/dbus-1/system.conf";
/// A user without rights.
pub(crate) const NOBODY: u32 = 65534;
/// The user that `world.sh` adds.
pub(crate) const ANN: u32 = 4001;

/// The running system bus.
pub(crate) struct SystemBus {
    // the services before the bus: dropped in this order
    services: Vec<Running>,
    daemon: Running,
}

impl SystemBus {
    /// Starts `bus-daemon --system` and waits until it is ready.
    pub(crate) fn start() -> Self {
        let daemon = Running::start(&mut daemon_command(&["--print-address"]));
        daemon.prints(&format!("unix:path={SOCKET},guid="));
        Self { services: Vec::new(), daemon }
    }

    /// The same, with these services on it.
    pub(crate) fn with(services: &[&Service]) -> Self {
        let mut bus = Self::start();
        for service in services {
            bus.start_service(service);
        }
        bus
    }

    /// Starts a service and waits until it owns its name and has said that it is ready.
    pub(crate) fn start_service(&mut self, service: &Service) {
        let mut client = connect();
        client.add_match(&name_owner_changed(service.name));
        let running = Running::start(&mut service.command());
        while client.next().member() != "NameOwnerChanged" {}
        if let Some(line) = service.ready {
            running.prints(line);
        }
        self.services.push(running);
    }

    /// Ends the service that was started last and waits until its name has no owner.
    pub(crate) fn end_service(&mut self, service: &Service) {
        let mut client = connect();
        client.add_match(&name_owner_changed(service.name));
        drop(self.services.pop());
        let change = loop {
            let message = client.next();
            if message.member() == "NameOwnerChanged" {
                break message;
            }
        };
        assert_eq!(change.body[2], Value::from(""), "{}", change.describe());
    }

    /// The daemon's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.daemon.pid()
    }

    /// Waits for a line of the log with `part` in it.
    pub(crate) fn logs(&self, part: &str) -> String {
        self.daemon.prints(part)
    }

    /// Has the bus read its configuration again.
    pub(crate) fn hang_up(&self) {
        self.signal(Signal::HUP);
        self.logs("Reloaded configuration");
    }

    /// Ends the bus as a service manager does; answers its exit code and the rest of its log.
    pub(crate) fn terminate(&mut self) -> (Option<i32>, Vec<String>) {
        self.signal(Signal::TERM);
        let code = self.daemon.wait().code();
        (code, self.daemon.last_lines())
    }

    /// Ends the bus without its knowing.
    pub(crate) fn kill(self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}

fn name_owner_changed(name: &str) -> String {
    format!("type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{name}'")
}

/// The daemon as the system bus that logs to standard error.
pub(crate) fn daemon_command(arguments: &[&str]) -> Command {
    let mut command = Command::new(Daemon::ours().program);
    command.args(["--system", "--nofork", "--nosyslog"]).args(arguments);
    command
}

/// Asks the daemon about its configuration, without a bus.
pub(crate) fn ask_daemon(argument: &str) -> Ended {
    let mut command = Command::new(Daemon::ours().program);
    run(command.args(["--system", argument]), &[])
}

/// A registered client of root.
pub(crate) fn connect() -> Client {
    let mut raw = RawClient::new(UnixStream::connect(SOCKET).unwrap());
    raw.authenticate(true);
    Client::register(raw)
}

/// A registered client of an ordinary user with a group of the same number and no others.
pub(crate) fn connect_as(id: u32) -> Client {
    let mut raw = connect_raw_as(id);
    raw.authenticate_as(id, true);
    Client::register(raw)
}

/// The same, before it has said anything. The kernel notes who connects when it happens, so one thread
/// takes on the user's ids, connects and ends.
pub(crate) fn connect_raw_as(id: u32) -> RawClient {
    let connect_as_user = move || {
        let (user, group) = (Uid::from_raw(id), Gid::from_raw(id));
        set_thread_groups(&[]).unwrap();
        set_thread_res_gid(group, group, group).unwrap();
        set_thread_res_uid(user, user, user).unwrap();
        UnixStream::connect(SOCKET).unwrap()
    };
    RawClient::new(thread::spawn(connect_as_user).join().unwrap())
}

/// Runs a command line as root to its end.
pub(crate) fn as_root(line: &str) -> Ended {
    run(&words(line), &[])
}

/// Runs a command line as an ordinary user, in all groups of the user, to its end.
pub(crate) fn as_user(user: &str, line: &str) -> Ended {
    let group = if user == "nobody" { "nogroup" } else { user };
    as_root(&format!("setpriv --reuid={user} --regid={group} --init-groups {line}"))
}

/// Where `element` stands in `file` as a refusal names it.
pub(crate) fn place_of(element: &str, file: &str) -> String {
    let text = fs::read_to_string(file).unwrap();
    let start = text.find(element).unwrap_or_else(|| panic!("no {element} in {file}"));
    let before = &text[..start];
    let line = before.matches('\n').count() + 1;
    let column = before.len() - before.rfind('\n').map_or(0, |end| end + 1) + 1;
    format!("{file}:{line}:{column}")
}

/// The number in a field of a user's or group's line.
pub(crate) fn number_of(file: &str, name: &str) -> u32 {
    let text = fs::read_to_string(file).unwrap();
    let line = text.lines().find(|line| line.split(':').next() == Some(name));
    line.and_then(|line| line.split(':').nth(2)).unwrap().parse().unwrap()
}
