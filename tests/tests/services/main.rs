//! Services that a bus starts on demand: many of them, for many callers, and in each way in which a
//! start can fail (protocol.md A153, A215–A219, A234, A238).
//!
//! The services that work are this program, started again by the bus: it takes the name that it was
//! given and answers every call.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "all of this is test code: a broken expectation is a failed test"
)]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use bus_daemon::bus::limits::VAIN_STARTS_MAX;
use bus_tests::harness::{
    BUS_INTERFACE, BUS_NAME, BUS_PATH, Bus, Client, Config, Daemon, Folder, Message, RawClient,
    Value, field, flag, kind,
};
use libtest_mimic::{Arguments, Trial};

const CALLER_COUNT: usize = 1000;
const SERVICE_COUNT: usize = 50;
/// Every third service fails, in one of these ways after the other: its command line, and the error.
const FAILURES: &[(&str, &str)] = &[
    ("/bin/sh -c 'exit 3'", "Spawn.ChildExited"),
    ("/bin/sh -c 'kill -9 $$'", "Spawn.ChildSignaled"),
    ("/nonexistent/program", "Spawn.ExecFailed"),
    ("/etc/passwd", "Spawn.ExecFailed"),
    ("/tmp", "Spawn.ExecFailed"),
    ("true", "Spawn.ExecFailed"),
    ("/bin/sh -c 'exit", "InvalidArgs"),
    ("/bin/sh -c 'yes | head -c 3000000; exit 1'", "Spawn.ChildExited"),
    ("/bin/sh -c 'exec <&- >&- 2>&-; exit 4'", "Spawn.ChildExited"),
    ("/bin/sh -c '(exec sleep 1 >/dev/null 2>&1)& exit 0'", "Spawn.ChildExited"),
    ("/bin/sh -c '(exec sleep 10 >/dev/null 2>&1)& exit 0'", "TimedOut"),
    ("/bin/sleep 60", "TimedOut"),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, name] = arguments.as_slice()
        && flag == "--serve"
    {
        serve(name);
        return ExitCode::SUCCESS;
    }
    if let [_, flag, name] = arguments.as_slice()
        && flag == "--serve-two"
    {
        serve_two(name);
        return ExitCode::SUCCESS;
    }
    let trials: [(&str, fn()); 8] = [
        ("a_storm_of_callers_is_answered", storm),
        ("what_a_service_does_not_read_comes_to_the_next", unread),
        ("a_helper_starts_what_names_a_user", helper),
        ("services_get_variables_until_they_are_unset", variables),
        ("services_may_go_to_the_background", background),
        ("the_end_of_services_is_heard_of_whoever_started_the_bus", ignored_children),
        ("new_files_are_found", new_files),
        ("what_services_leave_behind_may_write_and_holds_few_descriptors", leftovers),
    ];
    let trials = trials.map(|(name, run)| {
        Trial::test(name, move || {
            run();
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit_code()
}

/// Says what it was told first and second, and ends, whatever else there is for it.
fn serve_two(name: &str) {
    let mut service = connect();
    // What it is told comes before the answer.
    let request = Message::method_call(BUS_PATH, BUS_INTERFACE, "RequestName").to(BUS_NAME);
    service.send(&request.arg(name).arg(0_u32));
    let messages = std::iter::from_fn(|| service.next_or_end());
    let told: Vec<Message> = messages.filter(|told| told.sender() != BUS_NAME).take(2).collect();
    for message in told {
        let mut echo = Message::signal("/", "org.example.Interface", "Told").to(&message.sender());
        echo.body = message.body;
        service.send(&echo);
    }
}

/// Answers every call with its own body until the bus is gone.
fn serve(name: &str) {
    let mut service = connect();
    println!("serving {name}");
    service.request_name(name, 0);
    while let Some(message) = service.next_or_end() {
        if message.kind == kind::METHOD_CALL {
            let mut reply = Message::method_return(&message);
            reply.body = message.body;
            service.send(&reply);
        }
    }
}

fn connect() -> Client {
    let address = std::env::var("DBUS_STARTER_ADDRESS").expect("where the bus is");
    let path = address.strip_prefix("unix:path=").and_then(|rest| rest.split(',').next());
    let mut raw = RawClient::new(UnixStream::connect(path.expect("a path")).unwrap());
    raw.authenticate(true);
    Client::register(raw)
}

fn name_of(service: usize) -> String {
    format!("org.example.Service{service}")
}

/// Which error a service ends in, if it does.
fn failure_of(service: usize) -> Option<(&'static str, &'static str)> {
    (service % 3 == 2).then(|| FAILURES[service / 3 % FAILURES.len()])
}

fn write_service(bus: &Bus, name: &str, exec: &str) {
    let text = format!("[D-BUS Service]\nName={name}\nExec={exec}\n");
    let directory = bus.dir.join("services");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(format!("{name}.service")), text).unwrap();
}

fn start() -> Bus {
    let config = Config {
        limits: &[
            ("service_start_timeout", 8_000),
            ("max_connections_per_user", 10_000),
            ("max_completed_connections", 10_000),
            ("max_pending_service_starts", 10_000),
        ],
        elements: "<servicedir>services</servicedir>",
        ..Config::SESSION
    };
    Bus::start(&Daemon::ours(), &config)
}

fn own_program() -> String {
    std::env::current_exe().unwrap().display().to_string()
}

fn call(name: &str, number: u32) -> Message {
    Message::method_call("/", "org.example.Interface", "Echo").to(name).arg(number)
}

// config.md B096
fn storm() {
    let bus = start();
    for service in 0..SERVICE_COUNT {
        let name = name_of(service);
        let exec = failure_of(service).map_or_else(
            || format!("{} --serve {name}", own_program()),
            |(exec, _)| exec.to_owned(),
        );
        write_service(&bus, &name, &exec);
    }
    bus.connect().call("ReloadConfig", &[]);
    let mut callers: Vec<Client> = (0..CALLER_COUNT).map(|_| bus.connect()).collect();
    let serials: Vec<[u32; 2]> = (0..)
        .zip(&mut callers)
        .map(|(number, caller)| {
            let name = name_of(number % SERVICE_COUNT);
            [1, 2].map(|number| caller.send(&call(&name, number)))
        })
        .collect();
    for (number, (caller, serials)) in callers.iter_mut().zip(serials).enumerate() {
        let failure = failure_of(number % SERVICE_COUNT);
        for (expected, serial) in [1, 2].into_iter().zip(serials) {
            let reply = caller.next();
            assert_eq!(reply.reply_serial(), serial, "caller {number}: {}", reply.describe());
            match failure {
                None => assert_eq!(reply.body, [expected.into()], "caller {number}"),
                Some((exec, error)) => {
                    let error = format!("org.freedesktop.DBus.Error.{error}");
                    assert_eq!(reply.error_name(), error, "{exec}: {}", reply.describe());
                }
            }
        }
    }
    // Each got exactly one answer.
    for caller in &mut callers {
        assert_eq!(caller.drain(), [], "{}", caller.name);
    }
    let log = bus.log();
    assert!(log.contains("'org.example.Service0': serving org.example.Service0"), "its output");
}

// config.md B022, B094, B095, B104
fn helper() {
    let start = |elements| {
        let limits = &[("service_start_timeout", 1_000)];
        let bus = Bus::start(&Daemon::ours(), &Config { limits, elements, ..Config::SESSION });
        write_service(&bus, "org.example.Named", "/bin/true\nUser=root");
        write_service(&bus, "org.example.Userless", "/bin/true");
        let misplaced = "[D-BUS Service]\nName=org.example.Misplaced\nExec=/bin/true\n";
        fs::write(bus.dir.join("services/other.service"), misplaced).unwrap();
        bus.connect().call("ReloadConfig", &[]);
        bus
    };
    let failing =
        start("<servicedir>services</servicedir><servicehelper>/bin/false</servicehelper>");
    let mut client = failing.connect();
    let reply = client.ask(&call("org.example.Named", 1));
    assert_eq!(reply.error_name(), "org.freedesktop.DBus.Error.Spawn.ChildExited");
    assert!(
        reply.body[0].text().contains("or the helper that starts it, ended with status 1"),
        "{}",
        reply.describe()
    );
    for name in ["org.example.Userless", "org.example.Misplaced"] {
        let reply = client.ask(&call(name, 1));
        assert_eq!(reply.error_name(), "org.freedesktop.DBus.Error.Spawn.FileInvalid", "{name}");
        let text = "Cannot do system-bus activation with no user";
        assert!(reply.body[0].text().starts_with(text), "{}", reply.describe());
    }
    failing.wait_for_log("org.example.Userless.service: [D-BUS Service] has no User=", 1);
    failing.wait_for_log("other.service: the <servicehelper> finds a file by its name", 1);
    // It gets the name of the service, and nobody may choose its environment.
    let echoing =
        start("<servicedir>services</servicedir><servicehelper>/bin/echo</servicehelper>");
    let mut client = echoing.connect();
    let error = client.ask(&call("org.example.Named", 1)).error_name();
    assert_eq!(error, "org.freedesktop.DBus.Error.Spawn.ChildExited", "nothing took the name");
    echoing.wait_for_log("'org.example.Named': org.example.Named", 1);
    let nothing = Value::Array("{ss}".to_owned(), Vec::new());
    let error = client.refused("UpdateActivationEnvironment", &[nothing]);
    assert_eq!(error, "org.freedesktop.DBus.Error.AccessDenied");
}

// protocol.md A177, A195, A218
fn variables() {
    let bus = start();
    let name = "org.example.Variable";
    write_service(&bus, name, "/bin/sh -c 'echo \"it is <$VARIABLE_OF_TEST>\"; exit 1'");
    let mut client = bus.connect();
    client.call("ReloadConfig", &[]);
    client.add_match("member='PropertiesChanged',arg0='org.libbus.Activation1'");
    let method = |interface, member| {
        Message::method_call("/org/freedesktop/DBus", interface, member).to("org.freedesktop.DBus")
    };
    let activation = |member| method("org.libbus.Activation1", member);
    let environment = method("org.freedesktop.DBus.Properties", "Get")
        .arg("org.libbus.Activation1")
        .arg("Environment");
    let pair = Value::Struct(vec!["VARIABLE_OF_TEST".into(), "one=1".into()]);
    let interfaces = method("org.freedesktop.DBus.Properties", "Get")
        .arg("org.freedesktop.DBus")
        .arg("Interfaces");
    assert_eq!(
        client.ask(&interfaces).body[0].texts(),
        [
            "org.freedesktop.DBus.Monitoring",
            "org.freedesktop.DBus.Debug.Stats",
            "org.libbus.Policy1",
            "org.libbus.Activation1",
            "org.libbus.Stats1"
        ]
    );
    let set = activation("Set").arg(Value::Array("{ss}".to_owned(), vec![pair]));
    let names = Value::Array("s".to_owned(), vec!["VARIABLE_OF_TEST".into(), "OTHER".into()]);
    let unset = activation("Unset").arg(names);
    let started = |client: &mut Client| {
        let error = client.ask(&call(name, 1)).error_name();
        assert_eq!(error, "org.freedesktop.DBus.Error.Spawn.ChildExited");
    };
    // Also what the bus was started with can be unset.
    let shown = activation("List");
    let path = |client: &mut Client| client.ask(&shown).body[0].lookup("PATH").is_some();
    assert!(path(&mut client));
    let names = Value::Array("s".to_owned(), vec!["PATH".into()]);
    assert_eq!(client.ask(&activation("Unset").arg(names)).error_name(), "");
    assert_eq!(client.next().member(), "PropertiesChanged");
    assert!(!path(&mut client));
    for (change, now, said) in
        [(set, &["VARIABLE_OF_TEST=one=1"][..], "it is <one=1>"), (unset, &[], "it is <>")]
    {
        assert_eq!(client.ask(&change).error_name(), "");
        // Who watches hears of it once.
        assert_eq!(client.ask(&change).error_name(), "");
        let signal = client.next();
        assert_eq!(signal.member(), "PropertiesChanged", "{}", signal.describe());
        assert_eq!(signal.body[2].texts(), ["Environment"]);
        assert_eq!(client.drain(), []);
        let environment = client.ask(&environment).body;
        let variable: Vec<&str> = environment[0].texts();
        let own = |text: &&str| text.starts_with("VARIABLE_OF_TEST=");
        assert_eq!(variable.into_iter().filter(own).collect::<Vec<_>>(), now);
        started(&mut client);
        bus.wait_for_log(&format!("'{name}': {said}"), 1);
    }
}

/// What a service leaves behind takes the name, as daemons do; so may what another manager starts for
/// it. Then the process that watched them is gone.
fn background() {
    let bus = start();
    let mut client = bus.connect();
    let pipe = bus.dir.join("pipe");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let name = "org.example.Daemon";
    let daemon = format!("read line < {}; exec {} --serve {name}", pipe.display(), own_program());
    write_service(&bus, name, &format!("/bin/sh -c '(setsid sh -c \"{daemon}\")& exit 0'"));
    client.call("ReloadConfig", &[]);
    let serial = client.send(&call(name, 7));
    // It opens when the daemon reads.
    fs::write(&pipe, "go\n").unwrap();
    assert_eq!(client.reply_to(serial).body, [7.into()]);
    let parent = |pid: u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("PPid:\t")).unwrap();
        line.parse::<u32>().unwrap()
    };
    let daemon = client.call("GetConnectionUnixProcessID", &[name.into()]).body[0].number();
    // The kernel hands it over when the supervisor ends.
    let comm = |pid: u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    while comm(parent(daemon)) == "bus-starter\n" {
        client.call("GetId", &[]);
    }
}

/// A service that ends after two messages, over and over: calls without a reply and signals come to one of
/// its starts each, in order.
fn unread() {
    let bus = start();
    let name = "org.example.Two";
    write_service(&bus, name, &format!("{} --serve-two {name}", own_program()));
    let mut client = bus.connect();
    client.call("ReloadConfig", &[]);
    let count = 4 * u32::from(VAIN_STARTS_MAX);
    for number in 0..count {
        let mut call = call(name, number);
        call.flags = flag::NO_REPLY_EXPECTED;
        let signal = Message::signal("/", "org.example.Interface", "Echo").to(name).arg(number);
        client.send(if number % 2 == 0 { &call } else { &signal });
    }
    for number in 0..count {
        assert_eq!(client.next().body, [number.into()]);
    }
}

/// A service that fails and leaves a process behind, over and over: they share a descriptor of the bus, and
/// each of them may write later on.
fn leftovers() {
    let bus = start();
    let mut client = bus.connect();
    let gate = bus.dir.join("gate");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &gate, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let mut gate_end = fs::OpenOptions::new().read(true).write(true).open(&gate).unwrap();
    let name = "org.example.Leaving";
    let child = format!("read line < {}; echo first; echo second", gate.display());
    write_service(&bus, name, &format!("/bin/sh -c '({child})& exit 1'"));
    client.call("ReloadConfig", &[]);
    let count = || fs::read_dir(format!("/proc/{}/fd", bus.pid())).unwrap().count();
    let before = count();
    let starts = 30;
    for number in 0..starts {
        let error = client.ask(&call(name, number)).error_name();
        assert_eq!(error, "org.freedesktop.DBus.Error.Spawn.ChildExited");
    }
    let held = count() - before;
    assert!(held < 8, "{held} descriptors after {starts} starts");
    // An empty line for each.
    gate_end.write_all(&b"\n".repeat(starts as usize)).unwrap();
    for word in ["first", "second"] {
        bus.wait_for_log(&format!("'{name}': {word}"), starts as usize);
    }
}

/// Whoever starts the bus may ignore the end of its children, which is inherited: then the bus ended at the
/// first program that was missing.
fn ignored_children() {
    let ours = Daemon::ours();
    let folder = Folder::new();
    let program_path = ours.program.display();
    let script = format!("#!/bin/sh\nexec env --ignore-signal=CHLD {program_path} \"$@\"\n");
    let program = folder.write("bus-daemon", script);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let config = Config { elements: "<servicedir>services</servicedir>", ..Config::SESSION };
    let bus = Bus::start(&Daemon { label: ours.label, program }, &config);
    let mut client = bus.connect();
    for (number, (exec, error)) in (0..).zip(FAILURES.iter().take(4)) {
        let name = format!("org.example.Failing{number}");
        write_service(&bus, &name, exec);
        let expected = format!("org.freedesktop.DBus.Error.{error}");
        assert_eq!(client.ask(&call(&name, 1)).error_name(), expected, "{exec}");
    }
}

// config.md B097
fn new_files() {
    let bus = start();
    let mut client = bus.connect();
    client.add_match("member='ActivatableServicesChanged'");
    let name = "org.example.Later";
    let error = client.ask(&call(name, 1)).error_name();
    assert_eq!(error, "org.freedesktop.DBus.Error.ServiceUnknown");
    write_service(&bus, name, &format!("{} --serve {name}", own_program()));
    // The directory came later than the bus.
    assert_eq!(client.ask(&call(name, 2)).body, [2.into()]);
    while client.next().member() != "ActivatableServicesChanged" {}
    let names = client.call("ListActivatableNames", &[]);
    assert!(names.body[0].texts().contains(&name));
    // Who calls at once finds what was written.
    for number in 0..20 {
        let name = format!("org.example.Latest{number}");
        write_service(&bus, &name, &format!("{} --serve {name}", own_program()));
        let reply = client.ask(&call(&name, number));
        assert_eq!(reply.body, [number.into()], "{}", reply.describe());
    }
    // A file that was changed counts as it is now.
    write_service(&bus, "org.example.Fixed", "/bin/false");
    let error = client.ask(&call("org.example.Fixed", 1)).error_name();
    assert_eq!(error, "org.freedesktop.DBus.Error.Spawn.ChildExited");
    let name = "org.example.Fixed";
    write_service(&bus, name, &format!("{} --serve {name}", own_program()));
    assert_eq!(client.ask(&call(name, 2)).body, [2.into()]);
    let error = client.ask(&call("org.example.Never", 1)).error_name();
    assert_eq!(error, "org.freedesktop.DBus.Error.ServiceUnknown");
    // Descriptors go with a message that waits, too.
    let name = "org.example.WithFd";
    write_service(&bus, name, &format!("{} --serve {name}", own_program()));
    while client.next().member() != "ActivatableServicesChanged" {}
    let fd = fs::File::open("/dev/null").unwrap();
    let mut message = call(name, 3);
    message.fields.push((field::UNIX_FDS, 1_u32.into()));
    let serial = client.send_with_fds(&message, &[std::os::fd::AsFd::as_fd(&fd)]);
    assert_eq!(client.reply_to(serial).body, [3.into()]);
}
