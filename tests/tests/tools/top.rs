//! `bus top`: the picture on a terminal, which tmux is, and what scripts get (needs.md E3).

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Instant;

use bus_tests::harness::{
    Bus, Client, Config, DEADLINE, Daemon, Ended, Message, Value, bus_command, run, skip_without,
};
use serde_json::Value as Json;

/// A bus with a service that does not answer the two calls of its caller.
struct Scene {
    bus: Bus,
    service: Client,
    caller: Client,
}

impl Scene {
    fn new(daemon: &Daemon) -> Self {
        let bus = Bus::start(daemon, &Config::SESSION);
        let (mut service, mut caller) = (bus.connect(), bus.connect());
        service.request_name("org.example.Service", 0);
        assert_eq!(service.next().member(), "NameAcquired");
        service.add_match("interface='org.example.I'");
        let call = Message::method_call("/a", "org.example.I", "M").to("org.example.Service");
        for _ in 0..2 {
            caller.send(&call);
            assert_eq!(service.next().member(), "M");
        }
        Self { bus, service, caller }
    }

    fn address(&self) -> String {
        self.bus.addresses().next().unwrap().to_owned()
    }

    fn top(&self, arguments: &[&str]) -> Ended {
        let mut command = Command::new(bus_command());
        command.args(["--address", &self.address(), "top", "--interval=100ms"]).args(arguments);
        command.env("TERM", "xterm");
        run(&command, &[])
    }

    fn json(&self) -> Json {
        serde_json::from_str(&self.top(&["--json"]).succeeds()).unwrap()
    }
}

fn client<'a>(json: &'a Json, unique: &str) -> &'a Json {
    let clients = json["clients"].as_array().unwrap();
    clients.iter().find(|client| client["unique_name"] == unique).unwrap()
}

#[test]
fn scripts_get_json() {
    let scene = Scene::new(&Daemon::ours());
    let json = scene.json();
    assert_eq!(json["untold"], Json::Array(Vec::new()));
    assert_eq!((&json["bus"]["clients"], &json["bus"]["names"]), (&3.into(), &4.into()));
    assert_eq!(json["bus"]["calls_waiting"], 2);
    assert!(json["bus"]["memory_bytes"].as_u64().unwrap() > 1 << 20, "{json}");
    // It asks twice itself.
    assert!(json["bus"]["messages_per_second"].as_f64().unwrap() > 0.0, "{json}");
    assert!(json["seconds"].as_f64().unwrap() >= 0.1, "{json}");
    let service = client(&json, &scene.service.name);
    assert_eq!(service["names"], serde_json::json!(["org.example.Service"]));
    assert_eq!(service["calls_not_answered"], 2);
    assert_eq!(service["calls_waiting"], 0);
    assert_eq!(service["match_rules"], 1);
    assert_eq!(service["pid"], std::process::id());
    assert_eq!((&service["slow"], &service["sent_messages"]), (&Json::Bool(false), &3.into()));
    assert_eq!(client(&json, &scene.caller.name)["calls_waiting"], 2);
    let all = scene.top(&["--json", "--count=3"]).succeeds();
    let lines: Vec<Json> = all.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "one line each");
}

#[test]
fn where_there_is_no_terminal_tables_are_printed() {
    let scene = Scene::new(&Daemon::ours());
    let ended = scene.top(&["--sort=owes", "--count=2"]);
    assert_eq!(ended.stderr, "");
    let text = ended.succeeds();
    let tables: Vec<&str> = text.split("\n\n").collect();
    assert_eq!(tables.len(), 2, "{text}");
    for table in tables {
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].starts_with("3 clients  4 names  "), "{text}");
        let titles: Vec<&str> = lines[1].split_whitespace().collect();
        let expected =
            "CLIENT SENT/s GOT/s BYTES/s QUEUE QUOTA WAITS OWES OLDEST STATE USER PROCESS NAME";
        assert_eq!(titles.join(" "), expected);
        assert!(lines[2].starts_with(&scene.service.name), "most calls are owed by it: {text}");
        assert!(lines[2].ends_with("org.example.Service"), "{text}");
        assert_eq!(lines.len(), 5);
    }
    let filtered = scene.top(&["--filter=ORG.example"]).succeeds();
    assert_eq!(filtered.lines().count(), 3, "{filtered}");
    for wrong in [&["--count=0"][..], &["--interval=1ms"], &["--interval=2d"], &["--sort=colour"]] {
        assert_eq!(scene.top(wrong).code, Some(2), "{wrong:?}");
    }
}

#[test]
fn what_other_buses_do_not_tell_is_said() {
    let check = |daemon: Option<Daemon>, name: &str, untold: &[&str]| {
        let Some(daemon) = daemon else {
            return skip_without(name);
        };
        let scene = Scene::new(&daemon);
        let json = scene.json();
        let said: Vec<&str> =
            json["untold"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
        assert_eq!(said, untold, "{name}: {json}");
        let service = client(&json, &scene.service.name);
        assert_eq!(service["names"], serde_json::json!(["org.example.Service"]), "{name}: {json}");
        assert_eq!((&service["match_rules"], &service["queued_bytes"]), (&1.into(), &0.into()));
        assert!(service.get("sent_messages").is_none(), "{name}: {json}");
        let ended = scene.top(&[]);
        assert!(ended.stderr.contains("this bus does not tell: messages and bytes"), "{ended:?}");
        assert!(ended.stdout.contains("org.example.Service"), "{ended:?}");
    };
    let calls = ["calls not answered", "how long calls wait", "slow receivers"];
    let untold = [&["messages and bytes", "quotas", "calls that wait"][..], &calls].concat();
    check(Daemon::reference(), "dbus-daemon", &untold);
    let untold = [&["messages and bytes", "quotas"][..], &calls].concat();
    check(Daemon::broker(), "dbus-broker", &untold);
}

#[test]
fn who_may_not_read_the_statistics_is_told_so() {
    let policies = "<policy context='mandatory'><deny send_destination='org.freedesktop.DBus' \
                    send_interface='org.freedesktop.DBus.Debug.Stats'/></policy>";
    let bus = Bus::start(&Daemon::ours(), &Config { elements: policies, ..Config::SESSION });
    let (service, caller) = (bus.connect(), bus.connect());
    let scene = Scene { bus, service, caller };
    let ended = scene.top(&[]);
    assert!(ended.stderr.contains("the bus's policy keeps its statistics from you"), "{ended:?}");
    let text = ended.succeeds();
    assert!(text.contains(&scene.service.name) && text.contains(" - "), "{text}");
}

/// To ask is work for the bus.
#[test]
fn where_clients_are_asked_one_by_one_the_bus_is_asked_once_what_it_counts() {
    let policies = "<policy context='mandatory'><deny send_destination='org.freedesktop.DBus' \
                    send_interface='org.libbus.Stats1'/></policy>";
    let bus = Bus::start(&Daemon::ours(), &Config { elements: policies, ..Config::SESSION });
    let (service, caller, mut monitor) = (bus.connect(), bus.connect(), bus.connect());
    let rules = Value::strings(&["member='GetStats'"]);
    let monitoring = "org.freedesktop.DBus.Monitoring";
    let call = Message::method_call("/org/freedesktop/DBus", monitoring, "BecomeMonitor");
    monitor.ask(&call.to("org.freedesktop.DBus").arg(rules).arg(0));
    let scene = Scene { bus, service, caller };
    scene.json();
    // What was said before this is seen before it.
    let mut last = scene.bus.connect();
    let stats = "org.freedesktop.DBus.Debug.Stats";
    let call = Message::method_call("/org/freedesktop/DBus", stats, "GetStats");
    last.ask(&call.to("org.freedesktop.DBus"));
    let seen = std::iter::from_fn(|| Some(monitor.next()));
    let is_call = |message: &Message| message.member() == "GetStats";
    let callers = seen.filter(is_call).map(|call| call.sender());
    let before = callers.take_while(|name| *name != last.name).collect::<Vec<_>>();
    // Rates are of two samples.
    assert_eq!(before.len(), 2, "{before:?}");
}

/// Lines of the terminal.
const HEIGHT: usize = 40;

/// A terminal with a shell that runs `bus top` and says how it ended.
struct Screen {
    socket: PathBuf,
}

impl Screen {
    fn new(scene: &Scene) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            skip_without("tmux");
            return None;
        }
        let screen = Self { socket: scene.bus.dir.join("tmux") };
        let command = format!(
            "'{}' --address '{}' top --interval=200ms; echo ended with $?; cat",
            bus_command().display(),
            scene.address()
        );
        let height = HEIGHT.to_string();
        let size = ["-x", "130", "-y", &height];
        let started = screen
            .tmux(&[&["-f", "/dev/null", "new-session", "-d"][..], &size, &[&command]].concat());
        assert!(started.status.success(), "{started:?}");
        Some(screen)
    }

    fn tmux(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("tmux");
        command.arg("-u").arg("-S").arg(&self.socket).args(arguments);
        command.env("SHELL", "/bin/sh").env("LC_ALL", "C.UTF-8").env_remove("TMUX");
        command.env_remove("NO_COLOR").output().unwrap()
    }

    fn press(&self, keys: &[&str]) {
        let sent = self.tmux(&[&["send-keys"], keys].concat());
        assert!(sent.status.success(), "{sent:?}");
    }

    fn lines(&self) -> Vec<String> {
        let captured = self.tmux(&["capture-pane", "-p"]);
        let text = String::from_utf8(captured.stdout).unwrap();
        text.lines().map(normalized).collect()
    }

    /// Looks again and again until the screen is as wanted: it may be looked at while it is drawn.
    fn shows(&self, what: &str, is_so: impl Fn(&[String]) -> bool) -> Vec<String> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let lines = self.lines();
            if lines.len() == HEIGHT && is_so(&lines) {
                return lines;
            }
            assert!(Instant::now() < deadline, "not {what}:\n{}", lines.join("\n"));
        }
    }

    fn shows_line(&self, line: &str) -> Vec<String> {
        self.shows(line, |lines| lines.iter().any(|other| other == line))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

/// A line in which numbers with their units are `N`, and columns are separated by one space.
fn normalized(line: &str) -> String {
    let process = std::fs::read_to_string("/proc/self/comm").unwrap();
    let user = Command::new("id").arg("-un").output().unwrap().stdout;
    let user = String::from_utf8(user).unwrap();
    let word = |word: &str| match word {
        "KiB/s" | "MiB/s" => "B/s".to_owned(),
        "KiB" | "MiB" => "B".to_owned(),
        word if word == process.trim_end() => "TEST".to_owned(),
        word if word == user.trim_end() => "USER".to_owned(),
        word if word.starts_with(|c: char| c.is_ascii_digit() || c == '<') => "N".to_owned(),
        word => word.replace(|c: char| c.is_ascii_digit(), "N"),
    };
    line.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

const FOOT: &str = "? keys / filter Enter details ← → sort r reverse space pause q quit";

#[test]
fn the_picture_goes_on_and_obeys_keys() {
    let scene = Scene::new(&Daemon::ours());
    let Some(screen) = Screen::new(&scene) else { return };
    // What is typed before it is there would be echoed.
    screen.shows_line(FOOT);
    screen.press(&["1"]);
    let totals = "N messages/s N B/s N B queued N calls wait N B of memory";
    screen.shows_line(totals);
    let row = |process: &str, oldest: &str, name: &str| {
        format!(":N.N N N N N N N N {oldest} USER {process} {name}")
    };
    let expected = [
        "the bus at an address N clients N names".to_owned(),
        totals.to_owned(),
        String::new(),
        "CLIENT↓ SENT/s GOT/s BYTES/s QUEUE QUOTA WAITS OWES OLDEST STATE USER PROCESS NAME"
            .to_owned(),
        row("TEST", "N", "org.example.Service"),
        row("TEST", "N", "-"),
        row("bus", "-", "-"),
    ];
    let is_so = |lines: &[String]| lines.starts_with(&expected) && lines[HEIGHT - 1] == FOOT;
    screen.shows("sorted by name", is_so);

    screen.press(&["/", "Service"]);
    screen.shows_line("/Service_");
    screen.press(&["Enter"]);
    screen.shows("one client alone", |lines| {
        lines[4..6] == [expected[4].as_str(), ""]
            && lines.iter().any(|line| line == "only with \"Service\": N of N")
    });
    screen.press(&["Enter"]);
    let wanted = [
        "Calls that wait",
        ":N.N org.example.Service",
        "process N",
        "user USER",
        "connected for N",
        "sent N messages/s; N messages, N bytes in all",
        "match rules N",
        "owes N the oldest for N",
        "max_outgoing_bytes ····",
        "share of bytes ····",
        "call N of :N.N waits for N",
    ];
    screen.shows("its details", |lines| {
        wanted.iter().all(|start| lines.iter().any(|line| line.starts_with(start)))
    });
    screen.press(&["Escape"]);
    screen.shows_line(FOOT);
    screen.press(&["Escape"]);
    screen.shows("without the filter", |lines| lines.starts_with(&expected));
    screen.press(&["Space"]);
    screen.shows("paused", |lines| lines[0].ends_with("paused"));
    screen.press(&["?"]);
    screen
        .shows("its keys", |lines| lines.iter().any(|line| line.starts_with("Enter its details")));
    screen.press(&["Enter"]);
    screen.shows_line(FOOT);
    screen.press(&["q"]);
    // The terminal is as it was.
    let shown = screen.shows_line("ended with N");
    assert!(shown.iter().all(|line| line != FOOT), "{}", shown.join("\n"));
}

#[test]
fn when_the_bus_goes_the_terminal_is_given_back() {
    let scene = Scene::new(&Daemon::ours());
    let Some(screen) = Screen::new(&scene) else { return };
    screen.shows_line(FOOT);
    assert!(scene.bus.terminate());
    let shown = screen.shows_line("ended with N");
    assert!(shown.iter().any(|line| line.starts_with("bus: ")), "{}", shown.join("\n"));
}
