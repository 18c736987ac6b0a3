//! `bus completions`: each shell completes what is on a bus, in a terminal where it needs one (tools.md D040).

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use bus_tests::harness::{bus_command, run, skip_without};

use crate::scene::Scene;

/// What is typed, and what the line is after the key for completion. A shell that has several ways puts in what they
/// have in common.
const CASES: &[(&str, &str)] = &[
    ("bus intros", "bus introspect "),
    ("bus --system intros", "bus --system introspect "),
    ("bus call --no-re", "bus call --no-reply "),
    ("bus --color=al", "bus --color=always "),
    ("bus --addr", "bus --address="),
    ("bus call org.example.K", "bus call org.example.Kettle "),
    (
        "bus call org.example.Kettle /org/example/K",
        "bus call org.example.Kettle /org/example/Kettle ",
    ),
    ("bus call org.example.Kettle /", "bus call org.example.Kettle /org/example/"),
    (
        "bus call org.example.Kettle /org/example/Kettle org.example.Kettle.Br",
        "bus call org.example.Kettle /org/example/Kettle org.example.Kettle.Brew ",
    ),
    (
        "bus call org.example.Kettle /org/example/Kettle Whis",
        "bus call org.example.Kettle /org/example/Kettle Whistle ",
    ),
    (
        "bus get org.example.Kettle /org/example/Kettle org.example.Kettle.Te",
        "bus get org.example.Kettle /org/example/Kettle org.example.Kettle.Temperature ",
    ),
    (
        "bus wait org.example.Kettle /org/example/Other org.example.Kettle.B",
        "bus wait org.example.Kettle /org/example/Other org.example.Kettle.Boiled ",
    ),
    (
        "bus codegen org.example.Kettle /org/example/Kettle org.example.K",
        "bus codegen org.example.Kettle /org/example/Kettle org.example.Kettle ",
    ),
    ("bus tree :1.", "bus tree :1.0 "),
    ("bus introspect :1.0 /org/example/K", "bus introspect :1.0 /org/example/Kettle "),
    (
        "bus introspect :1.0 /org/example/Kettle org.example.K",
        "bus introspect :1.0 /org/example/Kettle org.example.Kettle ",
    ),
    ("bus run -- mktem", "bus run -- mktemp "),
    ("bus codegen /bin/mktem", "bus codegen /bin/mktemp "),
    ("bus call org.example.Nobody /org", "bus call org.example.Nobody /org"),
    ("bus help intros", "bus help introspect "),
    ("bus help policy ex", "bus help policy explain "),
    ("bus nonsense org.exa", "bus nonsense org.exa"),
];

/// `command`, which finds our `bus` and the scene's.
fn on_stage(mut command: Command, scene: &Scene) -> Command {
    let own = bus_command();
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::iter::once(own.parent().unwrap().to_owned()).chain(std::env::split_paths(&folders));
    command
        .env("PATH", std::env::join_paths(folders).unwrap())
        .env("DBUS_SESSION_BUS_ADDRESS", scene.address())
        .env("HOME", &scene.bus.dir)
        .env("ZDOTDIR", &scene.bus.dir)
        .env("TERM", "dumb")
        .env("LC_ALL", "C.UTF-8");
    command
}

/// Whether a program is there; says so if not.
fn is_installed(program: &str) -> bool {
    let found = run(Command::new("sh").args(["-c", &format!("command -v {program}")]), &[]);
    if found.code != Some(0) {
        skip_without(program);
    }
    found.code == Some(0)
}

/// A shell in a terminal, that says what its line is when it is asked by Ctrl-T.
struct Shell {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Shell {
    fn start(command: &str, scene: &Scene) -> Self {
        let mut script = Command::new("timeout");
        script.args(["60", "script", "--quiet", "--return", "--command", command, "/dev/null"]);
        let mut child =
            on_stage(script, scene).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut shell = Self { child, input, output };
        shell.read_until("ready");
        shell
    }

    /// The line after the key for completion.
    fn complete(&mut self, line: &str) -> String {
        self.input.write_all(format!("{line}\t\u{14}").as_bytes()).unwrap();
        let text = self.read_until(">>");
        let (_, shown) = text.rsplit_once("<<").unwrap();
        shown.strip_suffix(">>").unwrap().to_owned()
    }

    fn read_until(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        let mut byte = [0];
        while !text.ends_with(end.as_bytes()) {
            assert_eq!(
                self.output.read(&mut byte).unwrap(),
                1,
                "no {end:?} in {:?}",
                String::from_utf8_lossy(&text)
            );
            text.push(byte[0]);
        }
        String::from_utf8(text).unwrap()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn check_all(shell: &mut Shell, scene: &Scene, cases: &[(&str, &str)]) {
    for (typed, expected) in cases {
        assert_eq!(shell.complete(typed), *expected, "{typed}");
    }
    // The bus that the line means is asked, wherever the option stands.
    let address = format!("unix:path={}/bus", scene.bus.dir.display());
    let typed = format!("bus --address={address} call org.example.K");
    assert_eq!(shell.complete(&typed), format!("{typed}ettle "));
    assert_eq!(
        shell.complete("bus --system call org.example.K"),
        "bus --system call org.example.K"
    );
}

#[test]
fn bash_completes() {
    if !is_installed("bash") || !is_installed("script") {
        return;
    }
    let scene = Scene::new();
    let rc = "source <(bus completions bash)\n\
              bind 'set completion-query-items 0' 'set bell-style none' 'set enable-bracketed-paste off'\n\
              show() { printf '<<%s>>\\n' \"$READLINE_LINE\"; READLINE_LINE=; READLINE_POINT=0; }\n\
              bind -x '\"\\C-t\": show'\n\
              PS1=\necho rea''dy\n";
    std::fs::write(scene.bus.dir.join("rc"), rc).unwrap();
    let command = format!("bash --noprofile --rcfile {}/rc -i", scene.bus.dir.display());
    check_all(&mut Shell::start(&command, &scene), &scene, CASES);
}

#[test]
fn zsh_completes() {
    if !is_installed("zsh") || !is_installed("script") {
        return;
    }
    let scene = Scene::new();
    let rc = "PS1=\nunset zle_bracketed_paste\nsetopt no_beep no_list_ambiguous\nLISTMAX=10000\n\
              autoload -U compinit; compinit -u -D\n\
              source <(bus completions zsh)\n\
              show() { print -r -- \"<<$BUFFER>>\"; BUFFER= }\n\
              zle -N show; bindkey '^T' show\n\
              print rea''dy\n";
    std::fs::write(scene.bus.dir.join(".zshrc"), rc).unwrap();
    let mut shell = Shell::start("zsh --no-globalrcs -i", &scene);
    check_all(&mut shell, &scene, CASES);
}

#[test]
fn zsh_finds_it_as_a_function_of_its_own() {
    if !is_installed("zsh") || !is_installed("script") {
        return;
    }
    let scene = Scene::new();
    let rc = "PS1=\nunset zle_bracketed_paste\nsetopt no_beep\n\
              bus completions zsh > $ZDOTDIR/_bus; fpath=($ZDOTDIR $fpath)\n\
              autoload -U compinit; compinit -u -D\n\
              show() { print -r -- \"<<$BUFFER>>\"; BUFFER= }\n\
              zle -N show; bindkey '^T' show\n\
              print rea''dy\n";
    std::fs::write(scene.bus.dir.join(".zshrc"), rc).unwrap();
    let mut shell = Shell::start("zsh --no-globalrcs -i", &scene);
    check_all(&mut shell, &scene, CASES.get(..6).unwrap());
}

#[test]
fn fish_completes() {
    if !is_installed("fish") {
        return;
    }
    let scene = Scene::new();
    // fish says by itself what it would complete: each candidate in its line, with a description after a tab.
    let complete = |line: &str| {
        let script = "bus completions fish | source; complete --do-complete $argv[1]";
        let mut fish = Command::new("fish");
        fish.args(["--no-config", "-c", script]).arg(line);
        let said = run(&on_stage(fish, &scene), &[]).succeeds();
        said.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let is_several = |line: &str| line.ends_with("Kettle /");
    for (typed, expected) in CASES.iter().filter(|(typed, _)| !is_several(typed)) {
        let (_, word) = expected.trim_end().rsplit_once(' ').unwrap();
        let expected = if typed == expected { Vec::new() } else { vec![word.to_owned()] };
        assert_eq!(complete(typed), expected, "{typed}");
    }
    let paths = ["/org/example/Kettle", "/org/example/Other"];
    assert_eq!(complete("bus call org.example.Kettle /"), paths);
    assert_eq!(complete("bus call --json-in=/bin/mktem"), ["--json-in=/bin/mktemp"]);
}

fn words(scene: Option<&Scene>, line: &str) -> Vec<String> {
    let mut command = Command::new(bus_command());
    command.args(["complete-words", "--"]).args(line.split(' '));
    command.env_remove("XDG_RUNTIME_DIR");
    match scene {
        Some(scene) => command.env("DBUS_SESSION_BUS_ADDRESS", scene.address()),
        None => command.env_remove("DBUS_SESSION_BUS_ADDRESS"),
    };
    let ended = run(&command, &[]);
    assert_eq!(ended.stderr, "");
    ended.succeeds().lines().map(ToOwned::to_owned).collect()
}

#[test]
fn words_come_with_their_kind_and_what_they_are() {
    let scene = Scene::new();
    let words = |line: &str| words(Some(&scene), line);
    assert_eq!(words("tree org.example."), ["word\torg.example.Kettle\t"]);
    let brew = "word\torg.example.Kettle.Brew\tsu → s";
    assert_eq!(words("call org.example.Kettle /org/example/Kettle org.example.Kettle.B"), [brew]);
    assert_eq!(words("call org.example.Kettle /org/example/Kettle B"), ["word\tBrew\tsu → s"]);
    let temperature = "word\torg.example.Kettle.Temperature\ti";
    assert_eq!(
        words("set org.example.Kettle /org/example/Kettle org.example.Kettle.T"),
        [temperature]
    );
    assert_eq!(
        words("tree org.example.Kettle --at=/org/example/K"),
        ["word\t--at=/org/example/Kettle\t"]
    );
    // What messages are about, where options say which object is meant.
    let kettle = "monitor org.example.Kettle --path=/org/example/Kettle";
    assert_eq!(
        words(&format!("{kettle} --interface=org.ex")),
        ["word\t--interface=org.example.Kettle\t"]
    );
    assert_eq!(words(&format!("{kettle} --member=Br")), ["word\t--member=Brew\tsu → s"]);
    assert_eq!(
        words(&format!("{kettle} --interface=org.example.Kettle --member=B")),
        ["word\t--member=Brew\tsu → s", "word\t--member=Boiled\ti"]
    );
    let others = format!("{kettle} --interface=org.freedesktop.DBus.Peer --member=");
    assert_eq!(words(&others).len(), 2, "Ping and GetMachineId");
    assert_eq!(words("compat bus"), ["word\tbusctl\t"]);
    assert_eq!(words("compat dbus-send "), ["command\t1\t"]);
    assert_eq!(words("-q --address"), ["part\t--address=\tThe bus at this address"]);
    assert_eq!(words("-a"), Vec::<String>::new());
    assert_eq!(
        words("policy ex"),
        ["word\texplain\tSay whether something is allowed, and which rule decides"]
    );
    assert_eq!(words("completions "), ["word\tbash\t", "word\tzsh\t", "word\tfish\t"]);
    // Methods are no properties.
    assert_eq!(
        words("get org.example.Kettle /org/example/Kettle org.example.Kettle.Br"),
        ["word\torg.example.Kettle.Broken\ts"]
    );
}

#[test]
fn a_peer_has_no_names() {
    let scene = Scene::new();
    let line = format!("--peer={} call ", scene.address());
    // It is a bus, which lets nobody speak to it before Hello: no answer is no complaint.
    assert_eq!(words(None, &line), Vec::<String>::new());
}

#[test]
fn without_a_bus_there_is_nothing_and_no_word_about_it() {
    assert_eq!(words(None, "call org."), Vec::<String>::new());
    assert_eq!(words(None, "--address=nonsense call org."), Vec::<String>::new());
    assert_eq!(words(None, "--address=unix:path=/nonexistent call org."), Vec::<String>::new());
    // Another machine is not asked: a password would be wanted.
    assert_eq!(words(None, "--host=example.org call org."), Vec::<String>::new());
}

#[test]
fn a_bus_that_hangs_is_not_waited_for() {
    let scene = Scene::new();
    let socket = scene.bus.dir.join("silent");
    let _silent = UnixListener::bind(&socket).unwrap();
    let line = |path: &Path| format!("--address=unix:path={} call org.", path.display());
    let start = Instant::now();
    assert_eq!(words(None, &line(&socket)), Vec::<String>::new());
    // Half a second, and what a busy machine needs to start a program: not the 25 seconds of a call.
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn each_shell_has_a_script_and_others_are_named() {
    let of = |shell: &str| run(Command::new(bus_command()).args(["completions", shell]), &[]);
    of("bash").prints(&["complete -F _bus_complete bus"]);
    of("zsh").prints(&["#compdef bus\n"]);
    of("fish").prints(&["complete --command bus"]);
    let ended = of("tcsh");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    assert!(ended.stderr.contains("bash, zsh, fish"), "{}", ended.stderr);
}
