//! The same command line given to an old command and to ours, and what both printed, compared.
//!
//! What must differ between two runs is replaced by exact rules ([`normalised`]). What else differs must be in the
//! case itself, with its reason and with all that ours says ([`Case::differs`]), and must really differ.

use std::ffi::OsString;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bus_tests::harness::{Bus, bus_command, limited, skip_without};

/// One of the two.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// As it is called: some say it when they complain.
    name: &'static str,
    environment: Vec<(OsString, Option<OsString>)>,
    directory: PathBuf,
}

/// An old command and ours, on the same bus.
pub(crate) struct Tool {
    pub(crate) old: Option<Program>,
    pub(crate) ours: Program,
    name: &'static str,
}

/// A command line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Case {
    words: Vec<OsString>,
    environment: Vec<(OsString, Option<OsString>)>,
    input: Vec<u8>,
    differs: Option<(&'static str, String)>,
    is_unordered: bool,
}

impl Case {
    /// Words, split at spaces; quotes keep spaces.
    pub(crate) fn new(line: &str) -> Self {
        let words = shlex::split(line).expect("a command line");
        Self::of(words)
    }

    pub(crate) fn of(words: impl IntoIterator<Item: Into<OsString>>) -> Self {
        Self { words: words.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// These words instead.
    pub(crate) fn with<'w>(self, words: impl IntoIterator<Item = &'w str>) -> Self {
        Self { words: words.into_iter().map(Into::into).collect(), ..self }
    }

    /// One more word, of any bytes.
    pub(crate) fn word(mut self, word: &[u8]) -> Self {
        self.words.push(OsString::from_vec(word.to_vec()));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), Some(value.into())));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.environment.push((name.into(), None));
        self
    }

    pub(crate) fn input(self, input: &[u8]) -> Self {
        Self { input: input.to_vec(), ..self }
    }

    /// Several processes complain, in any order.
    pub(crate) fn unordered(self) -> Self {
        Self { is_unordered: true, ..self }
    }

    /// Ours is another transcript, this one, for this reason.
    pub(crate) fn differs(self, reason: &'static str, ours: &str) -> Self {
        Self { differs: Some((reason, ours.to_owned())), ..self }
    }
}

impl Tool {
    /// `name` on this bus as the bus of the session. The old one may not be installed.
    pub(crate) fn new(name: &'static str, bus: &Bus) -> Self {
        let links = bus.dir.join("links");
        fs::create_dir_all(&links).expect("a directory for links");
        let link = links.join(name);
        if !link.exists() {
            symlink(bus_command(), &link).expect("a link");
        }
        let old = PathBuf::from("/usr/bin").join(name);
        if !old.is_file() {
            skip_without(&format!("{name}, beside which ours is run,"));
        }
        let program = |path: PathBuf| Program::new(name, &path, bus);
        Self { old: old.is_file().then(|| program(old)), ours: program(link), name }
    }

    /// Gives both this command line. Answers what ours printed.
    pub(crate) fn check(&self, case: &Case) -> String {
        let ours = self.ours.run(case);
        let shown = format!("{} {:?} {:?}", self.name, case.words, case.environment);
        if let Some((_, wanted)) = &case.differs {
            assert_eq!(ours, *wanted, "{shown}");
        }
        let Some(old) = &self.old else { return ours };
        let old = old.run(case);
        match case.differs {
            None => assert_eq!(ours, old, "{shown}: left is ours, right the old one"),
            Some((reason, _)) => assert_ne!(ours, old, "{shown}: there is no difference: {reason}"),
        }
        ours
    }

    /// As [`Tool::check`] where what is printed is in our own words: the exit codes are the same, and on the same
    /// side something is printed.
    pub(crate) fn check_code(&self, case: &Case) {
        let seen: Vec<_> = self
            .programs()
            .map(|program| {
                let (code, out, errors) = program.run_raw(case);
                (code, out.is_empty(), errors.is_empty())
            })
            .collect();
        assert_eq!(seen.last(), seen.first(), "{} {:?}: left is ours", self.name, case.words);
        assert!(seen.iter().all(|(_, out, errors)| !out || !errors), "{case:?}: nothing is said");
    }

    pub(crate) fn check_all(&self, cases: impl IntoIterator<Item = Case>) {
        cases.into_iter().for_each(|case| drop(self.check(&case)));
    }

    /// Both, the old one first if there is one.
    pub(crate) fn programs(&self) -> impl Iterator<Item = &Program> {
        self.old.iter().chain([&self.ours])
    }
}

impl Program {
    fn new(name: &'static str, path: &Path, bus: &Bus) -> Self {
        let first = path.parent().expect("a directory").to_owned();
        let others = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(first).chain(std::env::split_paths(&others));
        let folders = std::env::join_paths(folders).expect("a search path");
        let variable = |name: &str, value: &str| (name.into(), Some(value.into()));
        let mut environment = vec![
            variable("DBUS_SESSION_BUS_ADDRESS", bus.addresses().next().expect("an address")),
            variable("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/no/where"),
            variable("LC_ALL", "C.UTF-8"),
            ("PATH".into(), Some(folders)),
        ];
        for name in ["DISPLAY", "XDG_RUNTIME_DIR", "DBUS_STARTER_ADDRESS", "DBUS_STARTER_BUS_TYPE"]
        {
            environment.push((name.into(), None));
        }
        Self { name, environment, directory: bus.dir.clone() }
    }

    /// Another program, which finds this one by its name.
    pub(crate) fn called(&self, name: &'static str) -> Self {
        Self { name, ..self.clone() }
    }

    pub(crate) fn command(&self, case: &Case) -> Command {
        let mut command = Command::new(self.name);
        command.args(&case.words).current_dir(&self.directory);
        for (name, value) in self.environment.iter().chain(&case.environment) {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// Runs it to its end: its exit code, and what it printed.
    pub(crate) fn run(&self, case: &Case) -> String {
        let (code, out, error) = self.run_raw(case);
        let shown = |bytes: &[u8]| normalised(&String::from_utf8_lossy(bytes));
        let errors = shown(&error);
        let lines = errors.split_inclusive('\n').map(|line| format!("! {line}"));
        let mut lines: Vec<String> = lines.collect();
        if case.is_unordered {
            lines.sort();
        }
        let errors = lines.concat();
        format!("{}{errors}= {code}", shown(&out))
    }

    pub(crate) fn run_raw(&self, case: &Case) -> (i32, Vec<u8>, Vec<u8>) {
        let mut command = limited(&self.command(case));
        command.current_dir(&self.directory);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("timeout(1) starts");
        // A program that does not read its input closes it early.
        let _ = child.stdin.take().expect("stdin").write_all(&case.input);
        let ended = child.wait_with_output().expect("its end");
        (ended.status.code().unwrap_or(-1), ended.stdout, ended.stderr)
    }

    /// Leaves it running.
    pub(crate) fn start(&self, case: &Case) -> Started {
        let mut command = limited(&self.command(case));
        command.current_dir(&self.directory).stdin(Stdio::null());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Started { child: child.expect("timeout(1) starts"), out: Vec::new() }
    }
}

/// One that runs until it is dropped.
pub(crate) struct Started {
    child: Child,
    /// What it has printed.
    pub(crate) out: Vec<u8>,
}

impl Started {
    /// Reads what it prints until `marker` is in it.
    pub(crate) fn read_until(&mut self, marker: &str) {
        let out = self.child.stdout.as_mut().expect("stdout");
        let mut buffer = [0; 4096];
        while !self.out.windows(marker.len()).any(|part| part == marker.as_bytes()) {
            let size = out.read(&mut buffer).expect("its output");
            let seen = String::from_utf8_lossy(&self.out);
            assert!(size > 0, "it ended without '{marker}': {seen}");
            self.out.extend_from_slice(&buffer[..size]);
        }
    }

    /// Waits for its end: its exit code, the rest of its output, and its complaints.
    pub(crate) fn wait(mut self) -> (Option<i32>, Vec<u8>, String) {
        let mut errors = Vec::new();
        self.child.stdout.take().expect("stdout").read_to_end(&mut self.out).expect("its output");
        self.child.stderr.take().expect("stderr").read_to_end(&mut errors).expect("its errors");
        let code = self.child.wait().expect("its end").code();
        (code, std::mem::take(&mut self.out), String::from_utf8_lossy(&errors).into_owned())
    }

    /// The timeout(1) around it passes the signal on.
    pub(crate) fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended.
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::TERM,
        );
        let _ = self.child.wait();
    }
}

/// Times, numbers of messages, unique names, process ids, inodes and GUIDs are those of one run.
pub(crate) fn normalised(text: &str) -> String {
    let text = replaced(text, " time=", |c| c.is_ascii_digit() || c == '.', " time=T");
    let text = replaced(&text, " serial=", |c| c.is_ascii_digit(), " serial=N");
    let text = replaced(&text, ":1.", |c| c.is_ascii_digit(), ":1.N");
    let text = replaced(&text, "daemon[", |c| c.is_ascii_digit(), "daemon[P");
    let text = replaced(&text, "pid=", |c| c.is_ascii_digit(), "pid=P");
    let text = replaced(&text, "inode: ", |c| c.is_ascii_digit(), "inode: I");
    guids_replaced(&text)
}

/// What follows `prefix`, as long as it `is_part`.
pub(crate) fn replaced(
    text: &str,
    prefix: &str,
    is_part: impl Fn(char) -> bool,
    with: &str,
) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(prefix) {
        out.push_str(before);
        let part = after.trim_start_matches(&is_part);
        out.push_str(if part.len() < after.len() { with } else { prefix });
        rest = part;
    }
    out + rest
}

fn guids_replaced(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let (before, word) = rest.split_at(start);
        let end = word.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(word.len());
        out.push_str(before);
        out.push_str(if end == 32 { "GUID" } else { &word[..end] });
        rest = &word[end..];
    }
    out + rest
}

#[test]
fn what_belongs_to_one_run_is_replaced() {
    let line = "method return time=1.5 sender=:1.20 -> x serial=7 reply_serial=2 pid=33 \
                0123456789abcdef0123456789abcdef abc :1.x";
    let wanted =
        "method return time=T sender=:1.N -> x serial=N reply_serial=2 pid=P GUID abc :1.x";
    assert_eq!(normalised(line), wanted);
}
