//! Runs the original and ours side by side and compares what they say.

use std::fs;
use std::path::Path;
use std::process::Command;

use bus_tests::harness::{Bus, Config, Daemon, Ended, bus_command, run, skip_without};

use super::service::Service;

/// Something that ours says otherwise, on purpose.
pub(super) struct Difference<'c> {
    /// The words of the case.
    pub(super) case: &'c str,
    /// Why.
    pub(super) reason: &'static str,
    /// What ours says: its exit code, and a part of what it prints.
    pub(super) code: i32,
    pub(super) prints: &'static str,
}

/// Who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Original,
    Ours,
}

/// A bus of ours with the service on it.
pub(super) struct Scene {
    pub(super) program: &'static str,
    pub(super) bus: Bus,
    pub(super) service: Service,
}

impl Scene {
    /// Nothing, if the original is not installed.
    pub(super) fn new(program: &'static str) -> Option<Self> {
        if !Path::new("/usr/bin").join(program).is_file() {
            skip_without(program);
            return None;
        }
        Some(Self::start(program))
    }

    fn start(program: &'static str) -> Self {
        const CONFIG: Config = Config {
            elements: "<servicedir>services</servicedir>",
            directories: &["services"],
            ..Config::SESSION
        };
        // It may be built now, for longer than the service waits for anything.
        let ours = bus_command();
        let bus = Bus::start(&Daemon::ours(), &CONFIG);
        let service = Service::start(&bus);
        let link = bus.dir.join(program);
        std::os::unix::fs::symlink(ours, link).unwrap();
        Self { program, bus, service }
    }

    pub(super) fn command(&self, which: Which, words: &[&str]) -> Command {
        let program = match which {
            Which::Original => Path::new("/usr/bin").join(self.program),
            Which::Ours => self.bus.dir.join(self.program),
        };
        let mut command = Command::new(program);
        self.surround(command.args(words));
        command
    }

    /// Gives a command the bus, and the rest of what both have around them.
    pub(super) fn surround(&self, command: &mut Command) {
        command
            .env("DBUS_SESSION_BUS_ADDRESS", &self.bus.address)
            .env("XDG_RUNTIME_DIR", &self.bus.dir)
            .env("HOME", &self.bus.dir)
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "Asia/Kolkata")
            .env_remove("SYSTEMD_BUS_TIMEOUT")
            .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/no/such/bus");
    }

    pub(super) fn run(&self, which: Which, words: &[&str]) -> Ended {
        run(&self.command(which, words), b"")
    }

    /// What a command prints on a terminal, of a kind, and with variables of which an empty one is not there.
    pub(super) fn on_terminal(
        &self,
        which: Which,
        words: &[&str],
        variables: &[(&str, Option<&str>)],
    ) -> String {
        let command = self.command(which, words);
        let program = command.get_program().to_str().unwrap();
        let line = shlex::try_join([program].into_iter().chain(words.iter().copied())).unwrap();
        let mut script = Command::new("script");
        self.surround(script.args(["-q", "-e", "-c", &line, "/dev/null"]));
        script.env("TERM", "xterm").env("SHELL", "/bin/sh").env("SYSTEMD_PAGER", "cat");
        for name in ["NO_COLOR", "SYSTEMD_COLORS", "COLUMNS", "PAGER", "COLORTERM"] {
            script.env_remove(name);
        }
        for (name, value) in variables {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        self.told(&run(&script, b""))
    }

    /// Runs each case by both and compares; what differs stands in `differences`.
    pub(super) fn compare(&self, cases: &[&[&str]], differences: &[Difference<'_>]) {
        let mut problems = Vec::new();
        for words in cases {
            let case = words.join(" ");
            let [original, ours] =
                [Which::Original, Which::Ours].map(|which| self.run(which, words));
            if std::env::var_os("SHOW_TRANSCRIPTS").is_some() {
                eprintln!("--- {case}\n{}", self.told(&ours));
            }
            let [theirs_told, ours_told] = [&original, &ours].map(|ended| self.told(ended));
            let difference = differences.iter().find(|difference| difference.case == case);
            match difference {
                None if theirs_told != ours_told => problems.push(format!(
                    "--- {case}\n=== the original says\n{theirs_told}=== ours says\n{ours_told}"
                )),
                None => {}
                Some(difference) if theirs_told == ours_told => problems.push(format!(
                    "--- {case}\nsays the same, though it should not: {}\n{ours_told}",
                    difference.reason
                )),
                Some(difference) => {
                    let printed = format!("{}{}", ours.stdout, ours.stderr);
                    if ours.code != Some(difference.code) || !printed.contains(difference.prints) {
                        problems.push(format!(
                            "--- {case}\nshould print {:?} ({})\n{ours_told}",
                            difference.prints, difference.reason
                        ));
                    }
                }
            }
        }
        for difference in differences {
            let is_tried = cases.iter().any(|words| words.join(" ") == difference.case);
            assert!(is_tried, "no case for the difference {:?}", difference.case);
        }
        assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    }

    /// All that was said, without what must differ.
    pub(super) fn told(&self, ended: &Ended) -> String {
        format!(
            "{}{}[{:?}]\n",
            self.alike(&ended.stdout, ""),
            self.alike(&ended.stderr, "stderr: "),
            ended.code
        )
    }

    /// Line by line, each after `mark`.
    pub(super) fn alike(&self, text: &str, mark: &str) -> String {
        let lines = text.split_inclusive('\n').map(|line| match line.strip_suffix('\n') {
            Some(line) => format!("{mark}{}\n", alike(line, &self.service.unique_name)),
            None => format!("{mark}{}(no line end)\n", alike(line, &self.service.unique_name)),
        });
        lines.collect()
    }

    /// A service that can be started, and ends at once.
    pub(super) fn add_startable(&self) {
        let file = self.bus.dir.join("services/org.example.Startable.service");
        let text = "[D-BUS Service]\nName=org.example.Startable\nExec=/bin/false\n";
        fs::write(file, text).unwrap();
        self.bus.hang_up();
        let mut client = self.bus.connect();
        self.bus.wait_until("the service is known", || {
            let names = client.call("ListActivatableNames", &[]);
            names.body[0].texts().contains(&"org.example.Startable")
        });
    }
}

/// A line in which all unique names but the service's are `:1.N`, with as many blanks less after it as it is shorter,
/// and in which serials and times are not told.
fn alike(line: &str, service: &str) -> String {
    // The C library names a program as it was called.
    let mut line = line.replace("/usr/bin/", "");
    for key in [
        "Cookie=",
        "ReplyCookie=",
        "Monotonic=",
        "Realtime=",
        "\"cookie\":",
        "\"reply_cookie\":",
        "\"timestamp-realtime\":",
        "\"cookie\" : ",
        "\"reply_cookie\" : ",
        "\"timestamp-realtime\" : ",
    ] {
        line = without_number(&line, key);
    }
    if let Some((before, rest)) = line.split_once("Timestamp=\"")
        && let Some((time, after)) = rest.split_once('"')
    {
        line = format!("{before}Timestamp=\"{}\"{after}", shape(time));
    }
    without_names(&line, service)
}

/// Each digit as a nine.
fn shape(time: &str) -> String {
    time.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect()
}

fn without_number(line: &str, key: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once(key) {
        let number = after.trim_start_matches(|c: char| c == '-' || c.is_ascii_digit());
        out += &format!("{before}{key}{}", if number.len() < after.len() { "N" } else { "" });
        rest = number;
    }
    out + rest
}

fn without_names(line: &str, service: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once(":1.") {
        let tail = after.trim_start_matches(|c: char| c.is_ascii_digit());
        let number = &after[..after.len() - tail.len()];
        let is_service = format!(":1.{number}") == service;
        out += before;
        match number {
            "" => out += ":1.",
            _ if is_service => out += ":SERVICE",
            _ => out += ":1.N",
        }
        // Columns are as wide as the longest name.
        let blanks = tail.len() - tail.trim_start_matches(' ').len();
        rest = if blanks > 1 { &tail[blanks - 1..] } else { tail };
    }
    out + rest
}
