//! Transcripts: commands and what they print.
//!
//! A file has a command after `$ `, its standard output, its standard error with `! ` before each line, and `= ` with
//! its exit code. What differs from run to run is replaced before it is compared: see [`Scrubbed`]. `UPDATE=1` writes
//! the files anew, to be read before they are committed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use bus_tests::harness::{bus_command, limited};

use crate::scene::Scene;

/// Runs what a transcript says, and compares.
#[track_caller]
pub(crate) fn check(name: &str, scene: &Scene) {
    let path = folder().join(format!("{name}.txt"));
    let wanted = std::fs::read_to_string(&path).unwrap();
    let scrubbed = Scrubbed::new(scene);
    let mut actual = String::new();
    for line in wanted.lines() {
        if line.starts_with('#') {
            actual += &format!("{line}\n");
        }
        if let Some(command) = line.strip_prefix("$ ") {
            run(command, scene, &scrubbed, &mut actual);
        }
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &actual).unwrap();
    }
    assert!(wanted == actual, "{name}: {}", first_difference(&wanted, &actual));
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/transcripts")
}

fn first_difference(wanted: &str, actual: &str) -> String {
    let lines = wanted.lines().map(Some).chain(std::iter::repeat(None));
    let mut command = "";
    for (wanted, actual) in lines.zip(actual.lines().map(Some).chain(std::iter::once(None))) {
        if let Some(line) = actual.filter(|line| line.starts_with("$ ")) {
            command = line;
        }
        if wanted != actual {
            return format!("{command}\nwanted: {wanted:?}\nactual: {actual:?}");
        }
    }
    "the transcript goes on".to_owned()
}

/// A shell runs the command, in which `bus` is ours.
pub(crate) fn shell(command: &str, scene: &Scene) -> Output {
    let own = bus_command();
    let path = std::env::join_paths(
        std::iter::once(own.parent().unwrap().to_owned())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).env("PATH", path.unwrap());
    shell.env("DBUS_SESSION_BUS_ADDRESS", scene.address()).env("TERM", "xterm");
    shell.env_remove("NO_COLOR").env_remove("XDG_RUNTIME_DIR");
    limited(&shell).current_dir(&scene.bus.dir).stdin(Stdio::null()).output().unwrap()
}

/// Runs a command, and adds what a transcript has of it.
fn run(command: &str, scene: &Scene, scrubbed: &Scrubbed, out: &mut String) {
    let output = shell(command, scene);
    let _ = writeln!(out, "$ {command}");
    let text = |bytes: &[u8]| scrubbed.scrub(std::str::from_utf8(bytes).unwrap());
    out.push_str(&text(&output.stdout));
    for line in text(&output.stderr).lines() {
        let _ = writeln!(out, "! {line}");
    }
    let _ = writeln!(out, "= {}\n", output.status.code().unwrap());
}

/// Who runs the tests.
pub(crate) fn user_name() -> String {
    let user = Command::new("id").arg("-un").output().unwrap().stdout;
    String::from_utf8(user).unwrap().trim_end().to_owned()
}

/// What differs from run to run, and what stands for it.
struct Scrubbed {
    texts: Vec<(String, &'static str)>,
}

impl Scrubbed {
    fn new(scene: &Scene) -> Self {
        let user = user_name();
        let process = std::fs::read_to_string("/proc/self/comm").unwrap();
        let process = process.trim_end();
        let texts = vec![
            (format!(" {process:<15} "), " TEST            "),
            (format!("\"pid\": {}", std::process::id()), "\"pid\": TEST"),
            (format!("\"process\": \"{process}\""), "\"process\": \"TEST\""),
            (format!("\"user\": \"{user}\""), "\"user\": \"USER\""),
            (scene.address(), "ADDRESS"),
            (scene.bus.dir.display().to_string(), "DIR"),
            (format!(" {:>7} ", std::process::id()), "   TEST "),
            (format!(" {:>7} ", scene.bus.pid()), "    BUS "),
            (format!(" {user:<12} "), " USER         "),
        ];
        Self { texts }
    }

    fn scrub(&self, text: &str) -> String {
        let mut scrubbed = text.to_owned();
        for (from, to) in &self.texts {
            scrubbed = scrubbed.replace(from.as_str(), to);
        }
        scrubbed.lines().map(|line| without_guid(line) + "\n").collect()
    }
}

/// A run of 32 hexadecimal digits is the id of a bus.
fn without_guid(line: &str) -> String {
    let is_digit = |c: char| c.is_ascii_hexdigit();
    let mut out = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(is_digit) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|c| !is_digit(c)).unwrap_or(from.len());
        let (digits, after) = from.split_at(end);
        out += before;
        out += if digits.len() == 32 { "GUID" } else { digits };
        rest = after;
    }
    out + rest
}
