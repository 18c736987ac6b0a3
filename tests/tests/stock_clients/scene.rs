//! A bus with the service on it, and programs run there as a user would.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use bus_tests::harness::{Bus, Config, DEADLINE, Daemon, Value};

use crate::peer::NAME;
use crate::roles;

/// Seconds that one program may take.
const PROGRAM_DEADLINE_S: &str = "60";

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
        let mut child = self
            .on_this_bus(&limited(&command))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("timeout(1) starts");
        // A program that does not read its input closes it early.
        let _ = child.stdin.take().expect("stdin").write_all(input);
        Ended::new(&command, child.wait_with_output().expect("the program's end"))
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
            Ended::new(&words(line), output).succeeds();
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
        let mut command = self.on_this_bus(&command);
        Running::new(command.stdin(Stdio::null()))
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

fn words(line: &str) -> Command {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    command
}

/// `command` under timeout(1), so that a program that hangs fails its test.
fn limited(command: &Command) -> Command {
    let mut limited = Command::new("timeout");
    limited.args(["--kill-after=5", PROGRAM_DEADLINE_S]).arg(command.get_program());
    limited
        .args(command.get_args())
        .envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    limited
}

/// What a program left behind.
pub(crate) struct Ended {
    line: String,
    /// Its exit code.
    pub(crate) code: Option<i32>,
    /// What it printed.
    pub(crate) stdout: String,
    /// What it complained.
    pub(crate) stderr: String,
}

impl Ended {
    fn new(command: &Command, output: Output) -> Self {
        let words: Vec<&OsStr> =
            std::iter::once(command.get_program()).chain(command.get_args()).collect();
        Self {
            line: words.join(OsStr::new(" ")).to_string_lossy().into_owned(),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Its output, if it ended well.
    pub(crate) fn succeeds(self) -> String {
        assert_eq!(self.code, Some(0), "{}: {}", self.line, self.stderr);
        self.stdout
    }

    /// It ended well and printed each of `parts`.
    pub(crate) fn prints(self, parts: &[&str]) {
        let line = self.line.clone();
        let stdout = self.succeeds();
        for part in parts {
            assert!(stdout.contains(part), "{line} printed no '{part}' in: {stdout}");
        }
    }

    /// It ended badly and complained of each of `parts`.
    pub(crate) fn fails_with(self, parts: &[&str]) {
        assert_eq!(self.code, Some(1), "{}: {}{}", self.line, self.stdout, self.stderr);
        for part in parts {
            let said = &self.stderr;
            assert!(said.contains(part), "{} complained not of '{part}' but: {said}", self.line);
        }
    }
}

/// A program that runs until it is dropped, and the lines it prints on stdout and stderr.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    fn new(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (sender, lines) = channel();
        let outputs: [Box<dyn std::io::Read + Send>; 2] = [
            Box::new(child.stdout.take().expect("stdout")),
            Box::new(child.stderr.take().expect("stderr")),
        ];
        for output in outputs {
            let sender = sender.clone();
            thread::spawn(move || {
                let mut lines = BufReader::new(output).lines().map_while(Result::ok);
                // nobody listens any more: the test is over
                lines.try_for_each(|line| sender.send(line))
            });
        }
        Self { child, lines }
    }

    /// Waits for a line with `part` in it.
    pub(crate) fn prints(&self, part: &str) {
        let mut seen = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(DEADLINE) {
            if line.contains(part) {
                return;
            }
            seen.push(line);
        }
        panic!("no line with '{part}', but: {}", seen.join("\n"));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The program may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
