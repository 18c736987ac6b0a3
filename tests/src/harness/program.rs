//! Programs that a test runs or leaves running, and what they print.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::raw_client::DEADLINE;

/// Seconds that one program may take.
const PROGRAM_DEADLINE_S: &str = "60";

/// A command line, split at spaces.
pub fn words(line: &str) -> Command {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    command
}

/// `command` under timeout(1), so that a program that hangs fails its test.
pub fn limited(command: &Command) -> Command {
    let mut limited = Command::new("timeout");
    limited.args(["--kill-after=5", PROGRAM_DEADLINE_S]).arg(command.get_program());
    limited.args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(key, value),
            None => limited.env_remove(key),
        };
    }
    limited
}

/// Runs `command` to its end, with `input` on stdin.
pub fn run(command: &Command, input: &[u8]) -> Ended {
    let mut child = limited(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("timeout(1) starts");
    // A program that does not read its input closes it early.
    let _ = child.stdin.take().expect("stdin").write_all(input);
    Ended::new(command, &child.wait_with_output().expect("the program's end"))
}

/// What a program left behind.
#[derive(Debug)]
pub struct Ended {
    line: String,
    /// Its exit code.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained.
    pub stderr: String,
}

impl Ended {
    /// The end of `command`.
    pub fn new(command: &Command, output: &Output) -> Self {
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
    pub fn succeeds(self) -> String {
        assert_eq!(self.code, Some(0), "{}: {}", self.line, self.stderr);
        self.stdout
    }

    /// It ended well and printed each of `parts`.
    pub fn prints(self, parts: &[&str]) {
        let line = self.line.clone();
        let stdout = self.succeeds();
        for part in parts {
            assert!(stdout.contains(part), "{line} printed no '{part}' in: {stdout}");
        }
    }

    /// It ended badly and complained of each of `parts`.
    pub fn fails_with(self, parts: &[&str]) {
        assert_eq!(self.code, Some(1), "{}: {}{}", self.line, self.stdout, self.stderr);
        for part in parts {
            let said = &self.stderr;
            assert!(said.contains(part), "{} complained not of '{part}' but: {said}", self.line);
        }
    }
}

/// A program that runs until it is dropped, and the lines it prints on stdout and stderr.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    /// Starts `command` with nothing on stdin.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (sender, lines) = channel();
        let outputs: [Box<dyn Read + Send>; 2] = [
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

    /// Waits for a line with `part` in it, and answers it.
    pub fn prints(&self, part: &str) -> String {
        let mut seen = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(DEADLINE) {
            if line.contains(part) {
                return line;
            }
            seen.push(line);
        }
        panic!("no line with '{part}', but: {}", seen.join("\n"));
    }

    /// The lines that were not waited for, up to the end of the program.
    pub fn last_lines(&self) -> Vec<String> {
        self.lines.iter().collect()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("the program's end")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The program may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
