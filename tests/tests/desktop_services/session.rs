//! The session bus, its display, and its clients, in the world that `world.sh` made.

use std::fs;
use std::os::unix::net::UnixStream;
use std::process::Command;

use bus_tests::harness::{
    BUS_NAME, BUS_PATH, Client, DEADLINE, Ended, Message, RawClient, Running, Value, kind, run,
    words,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// Where packages put the files of their services.
const SERVICE_DIRECTORY: &str = "/usr/share/dbus-1/services";

/// The running session.
pub(crate) struct Session {
    // the display after the bus: dropped in this order
    bus: Running,
    display: Option<Running>,
    address: String,
}

/// A service that the bus has started.
pub(crate) struct Service {
    name: &'static str,
    /// Its process id.
    pub(crate) pid: u32,
}

impl Session {
    /// Starts `dbus-daemon --session`, which is ours here, and waits until it is ready.
    pub(crate) fn start() -> Self {
        let mut command = words("dbus-daemon --session --nofork --nosyslog --print-address");
        let bus = Running::start(&mut command);
        let address = bus.prints("unix:path=/tmp/dbus-");
        Self { bus, display: None, address }
    }

    /// The same, with a display that services are told of.
    pub(crate) fn with_display() -> Self {
        let mut session = Self::start();
        session.show_display();
        session
    }

    /// Starts a display, and has the bus tell it to services that it starts from now on.
    pub(crate) fn show_display(&mut self) {
        let server = "exec Xvfb :0 -screen 0 640x480x24 -nolisten tcp -displayfd 1 2>/dev/null";
        let mut command = Command::new("sh");
        let display = Running::start(command.args(["-c", server]));
        display.prints("0");
        self.display = Some(display);
        self.run("dbus-update-activation-environment DISPLAY=:0").succeeds();
    }

    /// A registered client.
    pub(crate) fn connect(&self) -> Client {
        connect_to(&self.address)
    }

    /// A client that hears the signals that `rule` is about.
    pub(crate) fn listen(&self, rule: &str) -> Client {
        let mut client = self.connect();
        client.add_match(&format!("type='signal',{rule}"));
        client
    }

    /// A client that sees the messages that `rules` are about, whoever gets them.
    pub(crate) fn monitor(&self, rules: &[&str]) -> Client {
        let mut monitor = self.connect();
        let interface = "org.freedesktop.DBus.Monitoring";
        let call = Message::method_call(BUS_PATH, interface, "BecomeMonitor").to(BUS_NAME);
        let reply = monitor.ask(&call.arg(Value::strings(rules)).arg(0_u32));
        assert_eq!(reply.kind, kind::METHOD_RETURN, "{}", reply.describe());
        monitor
    }

    /// Runs a command line to its end.
    pub(crate) fn run(&self, line: &str) -> Ended {
        self.run_with_input(line, "")
    }

    /// The same, with `input` on stdin.
    pub(crate) fn run_with_input(&self, line: &str, input: &str) -> Ended {
        run(&self.on_this_bus(words(line)), input.as_bytes())
    }

    /// Starts a command line and lets it run.
    pub(crate) fn leave_running(&self, line: &str) -> Running {
        Running::start(&mut self.on_this_bus(words(line)))
    }

    /// `command` as a program of this session.
    pub(crate) fn on_this_bus(&self, mut command: Command) -> Command {
        command.env("DBUS_SESSION_BUS_ADDRESS", &self.address);
        if self.display.is_some() {
            command.env("DISPLAY", ":0");
        }
        command
    }

    /// The owner of `name`, which the bus itself has started as the service's file says.
    pub(crate) fn started(&self, name: &'static str) -> Service {
        let pid = pid_of(&mut self.connect(), name);
        let starter = starter_of(pid).unwrap_or_default();
        assert!(starter.starts_with(&self.address), "{name} was started by {starter:?}");
        assert_eq!(command_line_of(pid), exec_of(name), "{name}");
        Service { name, pid }
    }

    /// Whether `name` has an owner.
    pub(crate) fn is_running(&self, name: &str) -> bool {
        self.connect().call("NameHasOwner", &[name.into()]).body == [Value::Boolean(true)]
    }

    /// Where the bus is.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Ends the bus and waits for the end of `services`; answers what is left of the bus's log.
    pub(crate) fn end_with(mut self, services: &[Service]) -> Vec<String> {
        let processes: Vec<_> = services
            .iter()
            .map(|service| pidfd_open(pid(service.pid), PidfdFlags::empty()).unwrap())
            .collect();
        kill_process(pid(self.bus.pid()), Signal::TERM).unwrap();
        assert_eq!(self.bus.wait().code(), Some(0));
        let deadline = Timespec::try_from(DEADLINE).unwrap();
        for (service, process) in services.iter().zip(&processes) {
            let ended = poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&deadline));
            assert_eq!(ended, Ok(1), "{} lives on", service.name);
        }
        self.bus.last_lines()
    }
}

/// A registered client of the bus at `address`.
pub(crate) fn connect_to(address: &str) -> Client {
    let path = address.strip_prefix("unix:path=").and_then(|rest| rest.split(',').next());
    let mut raw = RawClient::new(UnixStream::connect(path.unwrap()).unwrap());
    raw.authenticate(true);
    Client::register(raw)
}

/// Who owns `name`.
pub(crate) fn pid_of(client: &mut Client, name: &str) -> u32 {
    client.call("GetConnectionUnixProcessID", &[name.into()]).body[0].number()
}

/// Who has started the process `pid`.
pub(crate) fn parent_of(pid: u32) -> u32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    parent.unwrap().trim().parse().unwrap()
}

/// A process's arguments, with spaces between them.
pub(crate) fn command_line_of(pid: u32) -> String {
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    line.trim_end_matches('\0').replace('\0', " ")
}

/// A process's environment, as it was at its start.
pub(crate) fn environment_of(pid: u32) -> Vec<String> {
    let environment = fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    environment.split_terminator('\0').map(ToOwned::to_owned).collect()
}

/// The address of the bus that has started the process `pid`.
pub(crate) fn starter_of(pid: u32) -> Option<String> {
    let environment = environment_of(pid);
    let mut starters = environment.iter().filter_map(|v| v.strip_prefix("DBUS_STARTER_ADDRESS="));
    starters.next().map(str::to_owned)
}

/// What the file of a service says under `Exec`.
fn exec_of(name: &str) -> String {
    let files = fs::read_dir(SERVICE_DIRECTORY).unwrap();
    let mut texts = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let own_name = format!("Name={name}");
    let text = texts.find(|text| text.lines().any(|line| line == own_name));
    let text = text.unwrap_or_else(|| panic!("no service file for {name}"));
    let exec = text.lines().find_map(|line| line.strip_prefix("Exec="));
    exec.unwrap().to_owned()
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).unwrap()).unwrap()
}
