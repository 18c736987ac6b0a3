//! A bus with the service on it, and programs run there as a user would.

use std::process::{Child, Command, Stdio};

use bus_tests::harness::{Bus, Config, Daemon, Ended, Running, Value, limited, run, words};

use crate::peer::NAME;
use crate::roles;

/// A session bus of our daemon.
pub(crate) struct Scene {
    // the service before the bus: dropped in this order
    _service: Option<Running>,
    bus: Bus,
}

impl Scene {
    /// A bus with the `org.example.Peer` of zbus 6 on it.
    pub(crate) fn new() -> Self {
        Self::with_service(&roles::ZBUS_6)
    }

    /// A bus with the `org.example.Peer` of `client` on it.
    pub(crate) fn with_service(client: &roles::Client) -> Self {
        let mut scene = Self::empty();
        let mut command = client.command();
        command.arg("serve");
        scene._service = Some(scene.start(command));
        scene.wait_for_name(NAME);
        scene
    }

    /// A bus with nobody on it.
    pub(crate) fn empty() -> Self {
        Self { _service: None, bus: Bus::start(&Daemon::ours(), &Config::SESSION) }
    }

    /// Where the bus listens.
    pub(crate) fn address(&self) -> &str {
        &self.bus.address
    }

    /// Runs a command line, split at spaces, to its end.
    pub(crate) fn run(&self, line: &str) -> Ended {
        self.run_command(words(line), &[])
    }

    /// As [`Self::run`], with `input` on stdin.
    pub(crate) fn run_with_input(&self, line: &str, input: &[u8]) -> Ended {
        self.run_command(words(line), input)
    }

    /// Runs `command` to its end.
    pub(crate) fn run_command(&self, command: Command, input: &[u8]) -> Ended {
        run(&self.on_this_bus(&command), input)
    }

    /// Starts a command line, split at spaces, and lets it run.
    pub(crate) fn start_line(&self, line: &str) -> Running {
        self.start(words(line))
    }

    /// Runs `line` as `count` processes at the same time; all must succeed.
    pub(crate) fn crowd(&self, count: usize, line: &str) {
        let start = || {
            let mut command = self.on_this_bus(&limited(&words(line)));
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
            command.spawn().expect("timeout(1) starts")
        };
        let all: Vec<Child> = (0..count).map(|_| start()).collect();
        for child in all {
            let output = child.wait_with_output().expect("the program's end");
            Ended::new(&words(line), &output).succeeds();
        }
    }

    /// Waits until somebody owns `name`.
    pub(crate) fn wait_for_name(&self, name: &str) {
        let mut client = self.bus.connect();
        client.add_match(&format!("type='signal',member='NameOwnerChanged',arg0='{name}'"));
        let owned = client.call("NameHasOwner", &[name.into()]).body == [Value::Boolean(true)];
        while !owned && client.next().member() != "NameOwnerChanged" {}
    }

    /// The unique name of the client that owns `name`.
    pub(crate) fn owner_of(&self, name: &str) -> String {
        let reply = self.bus.connect().call("GetNameOwner", &[name.into()]);
        reply.body[0].text().to_owned()
    }

    fn start(&self, command: Command) -> Running {
        Running::start(&mut self.on_this_bus(&command))
    }

    fn on_this_bus(&self, command: &Command) -> Command {
        let mut on_bus = Command::new(command.get_program());
        on_bus
            .args(command.get_args())
            .envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))))
            .env("DBUS_SESSION_BUS_ADDRESS", self.address())
            .env("XDG_RUNTIME_DIR", &self.bus.dir)
            .env("HOME", &self.bus.dir)
            .env("LC_ALL", "C.UTF-8")
            .env_remove("DBUS_SYSTEM_BUS_ADDRESS");
        on_bus
    }
}
