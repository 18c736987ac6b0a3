//! The examples of the manual are run: a block that begins with a configuration is written to a file, and the
//! commands behind it have to print what the page shows. A page says `/tmp/NAME.conf`; here it is in a directory
//! of its own. Lines that a page folds are one line in truth, so that white space does not count.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use bus_tests::harness::{
    BUS_NAME, BUS_PATH, Client, Daemon, Folder, Message, RawClient, Running, Value,
};

use super::Page;

/// Where the pages say that files are.
const SHOWN_DIRECTORY: &str = "/tmp/";

/// A directory with the files of a page.
struct Directory(Folder);

impl Directory {
    fn new() -> Self {
        Self(Folder::new())
    }

    /// A text of a page with this directory in place of the shown one.
    fn localized(&self, text: &str) -> String {
        text.replace(SHOWN_DIRECTORY, &format!("{}/", self.0.display()))
    }

    /// A text with the shown directory in place of this one, without white space.
    fn shown(&self, text: &str) -> String {
        dense(&text.replace(&format!("{}/", self.0.display()), SHOWN_DIRECTORY))
    }

    /// Writes what a page shows for this configuration.
    fn write(&self, file: &str, config: &str, limits: Option<&str>) {
        fs::write(self.0.join(file), self.localized(config)).unwrap();
        let of_users = self.0.join(file.replace(".conf", "-limits.d"));
        if let Some(limits) = limits {
            fs::create_dir_all(&of_users).unwrap();
            fs::write(of_users.join("limits.conf"), limits).unwrap();
        }
    }
}

fn dense(text: &str) -> String {
    text.split_whitespace().collect()
}

/// The command of a block and what it prints: it goes on while its line ends with a backslash or within
/// quotes.
fn command_and_output(block: &str) -> (String, &str) {
    let mut end = 0;
    for line in block.split_inclusive('\n') {
        end += line.len();
        let is_open = block[..end].matches('\'').count() % 2 == 1;
        if !is_open && !line.ends_with("\\\n") {
            break;
        }
    }
    let (command, output) = block.split_at(end);
    (command.trim_start_matches("$ ").to_owned(), output)
}

/// Runs all commands of a page; how many there were.
fn run_examples(name: &str) -> usize {
    let (page, directory) = (Page::read(name), Directory::new());
    let (mut config, mut limits, mut count) = (None, None, 0);
    for block in page.blocks() {
        if block.starts_with("<busconfig>") {
            (config, limits) = (Some(block), None);
        } else if block.starts_with("<buslimits>") {
            limits = Some(block);
        } else if block.starts_with("$ bus-daemon ") {
            let (command, expected) = command_and_output(&block);
            let (_, file) = command.split_once(SHOWN_DIRECTORY).unwrap();
            let file = file.split(char::is_whitespace).next().unwrap();
            directory.write(file, config.as_deref().unwrap(), limits.as_deref());
            let words = directory.localized(&command.replacen("bus-daemon", "\"$DAEMON\"", 1));
            let mut shell = Command::new("sh");
            shell.args(["-c", &words]).env("DAEMON", Daemon::ours().program);
            let output = shell.output().unwrap();
            let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert_eq!(directory.shown(&printed), dense(expected), "{name}: {command}");
            count += 1;
        }
    }
    count
}

#[test]
fn configurations_of_the_manual_are_judged_as_it_shows() {
    assert_eq!(run_examples("bus.conf.5"), 2);
}

#[test]
fn policies_of_the_manual_answer_as_it_shows() {
    assert_eq!(run_examples("bus-policy.7"), 7);
}

/// Processes are others than in the page.
fn without_processes(text: &str) -> String {
    let mut parts = text.split("(uid=");
    let mut rest = parts.next().unwrap().to_owned();
    for part in parts {
        rest += part.split_once(')').unwrap().1;
    }
    rest
}

#[test]
fn refusals_of_a_running_bus_are_as_the_manual_shows() {
    if !rustix::process::getuid().is_root() {
        eprintln!("skipped: the clock of the example belongs to root");
        return;
    }
    let (page, directory) = (Page::read("bus-policy.7"), Directory::new());
    let block = |begin: &str| page.blocks().find(|block| block.starts_with(begin)).unwrap();
    directory.write("clock.conf", &block("<busconfig>"), None);
    let config = directory.0.join("clock.conf");
    let mut command = Command::new(Daemon::ours().program);
    command.args(["--nofork", "--print-address", "--config-file"]).arg(config);
    let daemon = Running::start(&mut command);
    daemon.prints("unix:path=");
    let connect = || {
        let socket = UnixStream::connect(directory.0.join("clock-bus")).unwrap();
        let mut raw = RawClient::new(socket);
        raw.authenticate(true);
        Client::register(raw)
    };
    let (mut clock, mut tool) = (connect(), connect());
    assert_eq!(clock.request_name("org.example.Clock", 0), 1);
    let is_shown = |refused: &Message, begin: &str| {
        assert_eq!(refused.error_name(), "org.freedesktop.DBus.Error.AccessDenied");
        let said = directory.shown(&without_processes(refused.body[0].text()));
        assert_eq!(said, dense(&without_processes(&block(begin))));
    };
    let refused = tool.try_call("RequestName", &["org.example.Bell".into(), 0_u32.into()]);
    is_shown(&refused, "Connection ");
    let set = Message::method_call("/org/example/Clock", "org.example.Clock", "Set");
    let refused = tool.ask(&set.to("org.example.Clock"));
    is_shown(&refused, "Rejected send message");

    let asked = block("# busctl ");
    let question = asked.split('\'').nth(1).unwrap();
    let call = Message::method_call(BUS_PATH, "org.libbus.Policy1", "Explain").to(BUS_NAME);
    let answer = tool.ask(&call.arg(question));
    assert_eq!(answer.body[0], Value::Boolean(false));
    let offline = explained(&directory.0.join("clock.conf"), question);
    assert_eq!(answer.body[1].text(), offline);
}

fn explained(config: &Path, question: &str) -> String {
    let mut command = Command::new(Daemon::ours().program);
    command.arg("--explain-policy").arg(question).arg("--config-file").arg(config);
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}
