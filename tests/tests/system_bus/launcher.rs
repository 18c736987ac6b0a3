//! Services that the bus starts as the users of their service files, by its own launcher and by a helper
//! that a configuration names (config.md B094, B099–B104).

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use bus_tests::harness::{Daemon, Ended, Message, Value, run};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::Case;
use crate::services::{ACCOUNTS, COLORD, POLKIT};
use crate::system_bus::{NOBODY, SystemBus, as_root, as_user, connect, connect_as, number_of};

/// Where packages put their service files (config.md B091).
const SERVICES: &str = "/usr/share/dbus-1/system-services";
const REFERENCE_HELPER: &str = "/usr/lib/dbus-1.0/dbus-daemon-launch-helper";
const NAME: &str = "org.example.Service";

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "polkitd, accounts-daemon and colord are started by name as their users",
        services: &[&POLKIT, &ACCOUNTS, &COLORD],
        run: real_services,
    },
    Case { name: "a service has nothing of the bus", services: &[], run: clean },
    Case { name: "only what root has written is started", services: &[], run: refused },
    Case { name: "the launcher keeps to itself", services: &[], run: alone },
    Case { name: "a configured helper starts services", services: &[], run: helper },
    Case { name: "the helper answers as the reference's does", services: &[], run: same_helper },
];

fn real_services() {
    let bus = SystemBus::start();
    // The first call starts what answers it, and what that calls is started for it.
    as_user("nobody", "pkaction").prints(&["org.freedesktop.policykit.exec"]);
    let find = "gdbus call --system -d org.freedesktop.Accounts -o /org/freedesktop/Accounts \
                -m org.freedesktop.Accounts.FindUserById 4001";
    as_user("nobody", find).prints(&["User4001"]);
    as_root("colormgr get-devices").prints(&[]);
    let mut client = connect();
    for (name, user) in [
        ("org.freedesktop.PolicyKit1", "polkitd"),
        ("org.freedesktop.Accounts", "root"),
        ("org.freedesktop.ColorManager", "colord"),
    ] {
        let owner = client.call("GetConnectionUnixUser", &[name.into()]).body[0].number();
        assert_eq!(owner, number_of("/etc/passwd", user), "who owns {name}");
        let started = bus.logs(&format!("Activating service name='{name}' requested by"));
        assert!(started.ends_with("(as the user of its service file)"), "{started}");
        bus.logs(&format!("Successfully activated service '{name}'"));
    }
}

fn clean() {
    let exec = "/bin/sh -c 'id -u; id -G; pwd; env; ls -l /proc/self/fd; exit 5'";
    write_service(NAME, &format!("User=colord\nExec={exec}\n"));
    // A shell would change these.
    let signals = "org.example.Signals";
    write_service(signals, "User=colord\nExec=/bin/cat /proc/self/status /nonexistent\n");
    let bus = SystemBus::start();
    let (error, text) = start(NAME);
    assert_eq!(error, "org.freedesktop.DBus.Error.Spawn.ChildExited", "{text}");
    assert!(text.contains("exited with status 5"), "{text}");
    let said = |line: &str| bus.logs(&format!("'{NAME}': {line}"));
    said(&number_of("/etc/passwd", "colord").to_string());
    let group = number_of("/etc/group", "colord").to_string();
    assert!(said(&group).ends_with(&format!("': {group}")), "its groups, and no others");
    said("/");
    // The two variables of the bus, and what the shell adds.
    let mut variables: Vec<String> = Vec::new();
    loop {
        let line = said("");
        let line = line.rsplit("': ").next().unwrap();
        if line.starts_with("total ") {
            break;
        }
        let name = line.split('=').next().unwrap().to_owned();
        if !["PWD", "OLDPWD", "SHLVL", "_"].contains(&name.as_str()) {
            variables.push(line.to_owned());
        }
    }
    variables.sort();
    let address = "DBUS_STARTER_ADDRESS=unix:path=/run/dbus/system_bus_socket,guid=";
    assert!(variables[0].starts_with(address), "{variables:?}");
    assert_eq!(variables[1..], ["DBUS_STARTER_BUS_TYPE=system"]);
    for fd in ["0 -> /dev/null", "1 -> pipe", "2 -> pipe", "3 -> /proc"] {
        assert!(said("").contains(fd), "{fd}");
    }
    start(signals);
    for set in ["SigBlk", "SigIgn"] {
        let line = bus.logs(&format!("'{signals}': {set}"));
        let blocked = line.rsplit(r"\t").next().map(|set| u64::from_str_radix(set, 16).unwrap());
        // Of those that programs use. The machine's C library has some more for itself.
        assert_eq!(blocked.unwrap() & 0x7fff_ffff, 0, "{line}");
    }
}

fn refused() {
    let sound = "User=nobody\nExec=/bin/true\n";
    let permissions = "Spawn.PermissionsInvalid";
    let names = ["Others", "Writable", "Linked"].map(|name| format!("org.example.{name}"));
    for name in &names {
        write_service(name, sound);
    }
    let [others, writable, linked] = names.each_ref().map(|name| path_of(name));
    chown(&others, Some(NOBODY), None).unwrap();
    fs::set_permissions(&writable, fs::Permissions::from_mode(0o666)).unwrap();
    fs::create_dir("/run/theirs").unwrap();
    chown("/run/theirs", Some(NOBODY), None).unwrap();
    fs::copy(&linked, "/run/theirs/file").unwrap();
    fs::remove_file(&linked).unwrap();
    std::os::unix::fs::symlink("/run/theirs/file", &linked).unwrap();
    write_service("org.example.Relative", "User=nobody\nExec=true\n");
    write_service("org.example.Nobody", "User=no-such-user\nExec=/bin/true\n");
    write_service("org.example.Missing", "User=nobody\nExec=/no/such/program\n");
    write_service("org.example.Userless", "Exec=/bin/true\n");
    // It is no program, and no shell is asked about it.
    fs::write("/run/script", "touch /run/ran\n").unwrap();
    fs::set_permissions("/run/script", fs::Permissions::from_mode(0o755)).unwrap();
    write_service("org.example.Script", "User=nobody\nExec=/run/script\n");
    let bus = SystemBus::start();
    for (name, error, part) in [
        ("Script", "Spawn.ExecFailed", "Exec format error"),
        ("Others", permissions, "does not belong to root"),
        ("Writable", permissions, "everybody can write it"),
        ("Linked", permissions, "/run/theirs: it does not belong to root"),
        ("Relative", "Spawn.ExecFailed", "with its whole path"),
        ("Nobody", "Spawn.FailedToSetup", "there is no user of this name"),
        ("Missing", "Spawn.ExecFailed", "No such file or directory"),
        ("Userless", "Spawn.FileInvalid", "with no user; write User= in the file of"),
    ] {
        let (found, text) = start(&format!("org.example.{name}"));
        assert_eq!(found, format!("org.freedesktop.DBus.Error.{error}"), "{name}: {text}");
        assert!(text.contains(part), "{name}: {text}");
    }
    drop(bus);
}

fn alone() {
    write_service(NAME, "User=nobody\nExec=/bin/false\n");
    let mut bus = SystemBus::start();
    let launcher = launcher_of(&bus);
    assert_eq!(fs::read_to_string(format!("/proc/{launcher}/comm")).unwrap(), "bus-launcher\n");
    assert_eq!(status(launcher, "Uid"), "0");
    let fds = fs::read_dir(format!("/proc/{launcher}/fd")).unwrap();
    let mut fds: Vec<String> =
        fds.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    fds.sort();
    assert_eq!(fds, ["0", "1", "2", "3"], "nothing of the bus is open there");
    for fd in 0..3 {
        let leads_to = fs::read_link(format!("/proc/{launcher}/fd/{fd}")).unwrap();
        assert_eq!(leads_to, Path::new("/dev/null"), "who started the bus waits for its end");
    }
    // What is sent to all processes of the bus at once.
    signal(launcher, Signal::TERM);
    signal(launcher, Signal::INT);
    signal(launcher, Signal::HUP);
    let exited = "org.freedesktop.DBus.Error.Spawn.ChildExited";
    assert_eq!(start(NAME).0, exited, "a hangup is the bus's business");
    // A configuration that was changed counts at once, one that is broken does not.
    fs::write("/etc/dbus-1/system-local.conf", "<busconfig").unwrap();
    assert_eq!(start(NAME).0, exited);
    fs::remove_file("/etc/dbus-1/system-local.conf").unwrap();
    // Without it the bus goes on, and says what is wrong.
    signal(launcher, Signal::KILL);
    bus.logs("The process that starts services as other users has ended");
    let (error, text) = start(NAME);
    assert_eq!(error, "org.freedesktop.DBus.Error.Spawn.Failed", "{text}");
    assert!(text.contains("restart the message bus"), "{text}");
    connect().call("GetId", &[]);
    assert_eq!(bus.terminate().0, Some(0));
    let bus = SystemBus::start();
    let launcher = launcher_of(&bus);
    signal(bus.pid(), Signal::KILL);
    wait_for_end(launcher);
}

/// Our helper, and that of the reference where it is installed (config.md B022, B080).
fn helper() {
    let ours = install_helper(0o4750);
    write_service(NAME, "User=nobody\nExec=/bin/sh -c 'id -un; exit 1'\n");
    let text_of = |helper: &dyn AsRef<Path>| {
        let helper = helper.as_ref().display();
        format!("<busconfig><servicehelper>{helper}</servicehelper></busconfig>")
    };
    let mut helpers = vec![ours];
    helpers.extend(Some(PathBuf::from(REFERENCE_HELPER)).filter(|path| path.exists()));
    // The last one is not there: the bus starts the service itself.
    helpers.push(PathBuf::from("/no/such/helper"));
    for helper in helpers {
        fs::write("/etc/dbus-1/system-local.conf", text_of(&helper)).unwrap();
        let mut bus = SystemBus::start();
        let (error, text) = start(NAME);
        assert_eq!(error, "org.freedesktop.DBus.Error.Spawn.ChildExited", "{helper:?}: {text}");
        bus.logs(&format!("Activating service name='{NAME}'"));
        assert!(bus.logs(&format!("'{NAME}': ")).ends_with("': nobody"), "{helper:?}");
        let environment = Value::Array("{ss}".into(), vec![]);
        let call = Message::method_call(
            "/org/freedesktop/DBus",
            "org.freedesktop.DBus",
            "UpdateActivationEnvironment",
        );
        let call = call.to("org.freedesktop.DBus").arg(environment);
        let error = connect().ask(&call).error_name().to_owned();
        assert_eq!(error, "org.freedesktop.DBus.Error.AccessDenied");
        assert_eq!(bus.terminate().0, Some(0));
    }
    // What a configuration leaves to nobody, the launcher does not do.
    fs::write("/etc/dbus-1/system-local.conf", text_of(&"/bin/false")).unwrap();
    let bus = SystemBus::start();
    let (error, text) = start(NAME);
    assert_eq!(error, "org.freedesktop.DBus.Error.Spawn.ChildExited");
    assert!(text.contains("helper") && text.contains("ended with status 1"), "{text}");
    drop(bus);
    // A bus that began without one has locked itself in and goes on without.
    fs::remove_file("/etc/dbus-1/system-local.conf").unwrap();
    let bus = SystemBus::start();
    fs::write("/etc/dbus-1/system-local.conf", text_of(&"/bin/false")).unwrap();
    connect().call("ReloadConfig", &[]);
    let (_, text) = start(NAME);
    assert!(text.contains("exited with status 1") && !text.contains("helper"), "{text}");
    assert!(bus.logs(&format!("'{NAME}': ")).ends_with("': nobody"));
}

/// config.md B100–B104
fn same_helper() {
    let ours = install_helper(0o4750);
    let reference = Path::new(REFERENCE_HELPER);
    write_service(
        "org.example.Sound",
        "User=nobody\nExec=/bin/sh -c 'id; env -u _ -u PWD -u SHLVL -u OLDPWD | sort'\n",
    );
    write_service("org.example.Userless", "Exec=/bin/true\n");
    write_service("org.example.Execless", "User=nobody\n");
    write_service("org.example.Nobody", "User=no-such-user\nExec=/bin/true\n");
    write_service("org.example.EmptyUser", "User=\nExec=/bin/true\n");
    write_service("org.example.Number", "User=1\nExec=/bin/true\n");
    write_service("org.example.EmptyExec", "User=nobody\nExec=\n");
    write_service("org.example.Relative", "User=nobody\nExec=true\n");
    write_service("org.example.Unclosed", "User=nobody\nExec=/bin/true 'x\n");
    write_service("org.example.Nonsense", "nonsense\nUser=nobody\nExec=/bin/true\n");
    fs::write(path_of("org.example.Nothing"), "").unwrap();
    fs::write(path_of("org.example.Latin"), b"[D-BUS Service]\nName=\xe9\n").unwrap();
    fs::write(path_of("org.example.Nameless"), "[D-BUS Service]\nExec=/bin/true\n").unwrap();
    fs::create_dir(path_of("org.example.Directory")).unwrap();
    write_service("org.example.Missing", "User=nobody\nExec=/no/such/program\n");
    write_service("org.example.Another", "User=nobody\nExec=/bin/true\n");
    fs::rename(path_of("org.example.Another"), path_of("org.example.Renamed")).unwrap();
    let mut is_compared = false;
    for (arguments, code) in [
        (&["org.example.Sound"][..], 0),
        (&[], 10),
        (&["org.example.Sound", "org.example.Sound"], 10),
        (&["nonsense"], 5),
        (&["../org.example.Sound"], 5),
        (&["org.example.Unknown"], 6),
        (&[":1.1"], 6),
        (&["org.example.Userless"], 1),
        (&["org.example.Execless"], 1),
        (&["org.example.Nameless"], 1),
        (&["org.example.Nothing"], 1),
        (&["org.example.Renamed"], 8),
        (&["org.example.Nobody"], 4),
        (&["org.example.EmptyUser"], 4),
        (&["org.example.Number"], 4),
        (&["org.example.EmptyExec"], 9),
        (&["org.example.Relative"], 9),
        (&["org.example.Unclosed"], 10),
        (&["org.example.Nonsense"], 6),
        (&["org.example.Latin"], 6),
        (&["org.example.Directory"], 6),
        (&["org.example.Missing"], 9),
    ] {
        let mine = as_bus(&ours, arguments);
        assert_eq!(mine.code, Some(code), "{arguments:?}: {}", mine.stderr);
        // deviation: the reference answers a wrong number of arguments with its usage and the exit code 0.
        let is_as_there = arguments.len() == 1;
        if reference.exists() && is_as_there {
            is_compared = true;
            let theirs = as_bus(reference, arguments);
            assert_eq!(mine.code, theirs.code, "{arguments:?}: {} {}", mine.stderr, theirs.stderr);
            assert_eq!(mine.stdout, theirs.stdout);
        }
        if code == 0 {
            let user = number_of("/etc/passwd", "nobody").to_string();
            let environment = "DBUS_STARTER_ADDRESS=unix:path=/run/dbus/system_bus_socket\n\
                               DBUS_STARTER_BUS_TYPE=system\n";
            assert!(mine.stdout.starts_with(&format!("uid={user}(nobody)")), "{}", mine.stdout);
            assert!(mine.stdout.ends_with(environment), "{}", mine.stdout);
        }
    }
    println!("compared with the reference: {is_compared}");
    // Whoever is not the bus may not use it, whatever its mode; without the mode it cannot work.
    fs::set_permissions(&ours, fs::Permissions::from_mode(0o4755)).unwrap();
    let ended = as_user("nobody", &format!("{} org.example.Sound", ours.display()));
    assert_eq!(ended.code, Some(7), "{}", ended.stderr);
    fs::set_permissions(&ours, fs::Permissions::from_mode(0o755)).unwrap();
    let ended = as_bus(&ours, &["org.example.Sound"]);
    assert_eq!(ended.code, Some(7));
    assert!(ended.stderr.contains("chmod it 4750"), "{}", ended.stderr);
    fs::write("/usr/share/dbus-1/system.conf", "<busconfig").unwrap();
    assert_eq!(as_bus(&ours, &["org.example.Sound"]).code, Some(3));
}

fn path_of(name: &str) -> PathBuf {
    Path::new(SERVICES).join(format!("{name}.service"))
}

fn write_service(name: &str, keys: &str) {
    fs::write(path_of(name), format!("[D-BUS Service]\nName={name}\n{keys}")).unwrap();
}

/// What comes of a start that fails.
fn start(name: &str) -> (String, String) {
    let reply = connect_as(NOBODY).try_call("StartServiceByName", &[name.into(), 0_u32.into()]);
    let text = reply.body.first().map(|text| text.text().to_owned()).unwrap_or_default();
    (reply.error_name().to_owned(), text)
}

/// The process that the bus has forked.
pub(crate) fn launcher_of(bus: &SystemBus) -> u32 {
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", bus.pid())).unwrap();
    children.split_whitespace().next().expect("a launcher").parse().unwrap()
}

/// The first word of a line in a process's status.
pub(crate) fn status(pid: u32, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap().split_whitespace().next().unwrap().to_owned()
}

fn to_pid(pid: u32) -> Pid {
    Pid::from_raw(pid.cast_signed()).unwrap()
}

fn signal(pid: u32, signal: Signal) {
    kill_process(to_pid(pid), signal).unwrap();
}

fn wait_for_end(pid: u32) {
    if let Ok(process) = pidfd_open(to_pid(pid), PidfdFlags::empty()) {
        poll(&mut [PollFd::new(&process, PollFlags::IN)], None).unwrap();
    }
}

/// A copy of our helper that the bus may run.
fn install_helper(mode: u32) -> PathBuf {
    let built = Daemon::ours().program.with_file_name("bus-daemon-launch-helper");
    let path = PathBuf::from("/run/world/helper");
    fs::copy(built, &path).unwrap();
    chown(&path, Some(0), Some(number_of("/etc/group", "messagebus"))).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

/// Runs a helper as the bus does.
fn as_bus(helper: &Path, arguments: &[&str]) -> Ended {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=messagebus", "--regid=messagebus", "--clear-groups"]);
    run(command.arg(helper).args(arguments).env("LD_PRELOAD", "").env("EXTRA", "1"), &[])
}
