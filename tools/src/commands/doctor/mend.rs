//! The commands that mend what is wrong, for this user on this machine.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::person::Person;
use super::report::Check;
use super::setting::{Scope, Setting, runtime_directory};
use super::{Case, bounded};
use crate::process::user_name;

/// Whether systemd manages this machine's services.
fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// A path as a word of a shell.
pub(super) fn quoted(path: &Path) -> String {
    word(&path.display().to_string())
}

fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/_-.=:,@%+".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// An address that leads nowhere.
pub(super) fn address(case: &Case) -> Vec<String> {
    case.scope.variable().map(|name| variable(name, &case.person)).unwrap_or_default()
}

/// A variable that does no good.
pub(super) fn variable(name: &str, person: &Person) -> Vec<String> {
    if Scope::System.variable() == Some(name) {
        return vec![format!("unset {name}")];
    }
    let directory = runtime_directory();
    if let Some(socket) = directory.map(|directory| directory.join("bus")).filter(|it| it.exists())
    {
        return vec![format!("unset {name}  # then it is {}", quoted(&socket))];
    }
    let own = Person::runtime_directory(person.uid);
    if own.join("bus").exists() {
        return vec![format!("unset {name}; export XDG_RUNTIME_DIR={}", own.display())];
    }
    no_session(person)
}

/// No variable leads to a session, as below cron, sudo and su (tools.md D072).
pub(super) fn no_session(person: &Person) -> Vec<String> {
    let own = Person::runtime_directory(person.uid);
    let mut mends = Vec::new();
    if own.join("bus").exists() {
        mends.push(format!("export XDG_RUNTIME_DIR={}", own.display()));
    } else if person.uid != 0 && has_systemd() {
        let name = user_name(person.uid);
        mends.push(format!(
            "sudo loginctl enable-linger {name}; export XDG_RUNTIME_DIR={}",
            own.display()
        ));
    }
    if let Some(before) = person.before_sudo {
        mends.extend(as_other(before));
    }
    if person.uid == 0 {
        mends.push("bus --system doctor  # root mostly means the system bus".to_owned());
    }
    mends.push("bus run -- COMMAND  # a bus for one command".to_owned());
    mends
}

/// The runtime folder is not known, or is none.
pub(super) fn runtime_directory_of(person: &Person) -> Vec<String> {
    let own = Person::runtime_directory(person.uid);
    if own.is_dir() {
        return vec![format!("export XDG_RUNTIME_DIR={}", own.display())];
    }
    no_session(person)
}

/// A command as the user whom something belongs to.
fn as_other(owner: u32) -> Vec<String> {
    let name = user_name(owner);
    let directory = Person::runtime_directory(owner);
    let mut mends =
        vec![format!("sudo -u {name} XDG_RUNTIME_DIR={} bus doctor", directory.display())];
    if has_systemd() {
        mends.push(format!("systemctl --user -M {name}@ COMMAND"));
    }
    mends
}

/// Something belongs to another user, who may be the one that is meant.
pub(super) fn other_user(person: &Person, owner: u32) -> Vec<String> {
    let mut mends = as_other(owner);
    let own = Person::runtime_directory(person.uid);
    mends.push(match own.join("bus").exists() {
        true => format!("unset DBUS_SESSION_BUS_ADDRESS; export XDG_RUNTIME_DIR={}", own.display()),
        false => "bus run -- COMMAND  # a bus for one command".to_owned(),
    });
    mends
}

pub(super) fn missing_folder(case: &Case, folder: &Path) -> Vec<String> {
    let mut mends = address(case);
    if folder.starts_with("/run/user")
        || folder.starts_with("/run/dbus")
        || folder.starts_with("/var/run/dbus")
    {
        mends.extend(start(case));
    }
    mends.dedup();
    mends
}

pub(super) fn closed_folder(case: &Case, folder: &Path, owner: u32) -> Vec<String> {
    let open = format!("sudo chmod a+x {}", quoted(folder));
    match case.scope {
        Scope::Session if owner != case.person.uid && owner != 0 => other_user(&case.person, owner),
        _ => vec![open],
    }
}

pub(super) fn closed_socket(case: &Case, path: &Path, owner: u32) -> Vec<String> {
    let sudo = if owner == case.person.uid { "" } else { "sudo " };
    match case.scope {
        Scope::Session if owner != case.person.uid => other_user(&case.person, owner),
        Scope::Session => vec![format!("chmod 666 {}", quoted(path))],
        _ => vec![format!("{sudo}chmod 666 {}", quoted(path))],
    }
}

/// Nobody listens: who begins to.
pub(super) fn start(case: &Case) -> Vec<String> {
    let command = match (case.scope, has_systemd()) {
        (Scope::Session, true) => "systemctl --user start dbus.socket",
        (Scope::Session, false) => "bus run -- COMMAND  # a bus for one command",
        (Scope::System, true) => "sudo systemctl start dbus.socket",
        (Scope::System, false) => "sudo service dbus start",
        (Scope::Address | Scope::Peer, _) => return Vec::new(),
    };
    vec![command.to_owned()]
}

/// A bus is there and does nothing.
pub(super) fn restart(case: &Case, pid: Option<u32>) -> Vec<String> {
    let look = pid.map(|pid| format!("cat /proc/{pid}/status  # what the bus is doing"));
    let command = match (case.scope, has_systemd()) {
        (Scope::Session, true) => Some("systemctl --user restart dbus.service  # ends the session"),
        (Scope::System, true) => Some("sudo systemctl restart dbus.service  # ends all sessions"),
        _ => None,
    };
    look.into_iter().chain(command.map(ToOwned::to_owned)).collect()
}

/// A socket's file is left over.
pub(super) fn stale(case: &Case, path: Option<&Path>) -> Vec<String> {
    let mut mends = address(case);
    mends.retain(|mend| mend.starts_with("unset"));
    mends.extend(start(case));
    mends.extend(path.map(|path| format!("rm {}  # it is of no use any more", quoted(path))));
    mends
}

/// The policy does not let the user in.
pub(super) fn policy(case: &Case, command_line: Option<&[String]>) -> Vec<String> {
    let option = |word: &&String| {
        word.starts_with("--config-file=") || *word == "--session" || *word == "--system"
    };
    let known = command_line.and_then(|words| words.iter().find(option)).cloned();
    let config = known.or_else(|| (case.scope == Scope::System).then(|| "--system".to_owned()));
    let Some(config) = config else { return Vec::new() };
    let question = format!("user={} connect", case.person.name());
    vec![format!(
        "bus-daemon {} --explain-policy={}  # which rule says so",
        word(&config),
        word(&question)
    )]
}

/// The user's number is another one outside of a user namespace.
pub(super) fn namespace(case: &Case) -> Vec<String> {
    let uid = case.person.uid;
    vec![
        format!("podman run --userns=keep-id:uid={uid} …  # numbers users as outside"),
        "unshare --user --map-user=$(id -u) …  # instead of --map-root-user".to_owned(),
    ]
}

/// Buses that are there beside the one that is meant.
pub(super) fn other_ways(case: &Case, setting: &Setting) -> Check {
    const NAME: &str = "other buses";
    let known = [
        runtime_directory(),
        Some(Person::runtime_directory(case.person.uid)),
        case.person.before_sudo.map(Person::runtime_directory),
    ];
    let tried: Vec<&[u8]> = setting.addresses.iter().filter_map(|it| it.get("path")).collect();
    let mut sockets: Vec<PathBuf> = known.into_iter().flatten().map(|it| it.join("bus")).collect();
    sockets.dedup();
    sockets.retain(|socket| !tried.contains(&socket.as_os_str().as_encoded_bytes()));
    if case.scope != Scope::Session {
        sockets.clear();
    }
    let is_alive = |socket: &PathBuf| {
        let socket = socket.clone();
        bounded(case.patience, move || UnixStream::connect(socket).is_ok()) == Some(true)
    };
    match sockets.iter().find(|socket| is_alive(socket)) {
        Some(socket) => {
            let address = libbus::address::Address::new("unix")
                .with("path", socket.as_os_str().as_encoded_bytes());
            let command = format!("export DBUS_SESSION_BUS_ADDRESS={}", word(&address.to_string()));
            Check::ok(NAME, format!("somebody listens at {}", socket.display())).mends([command])
        }
        None => Check::unknown(NAME, "none is seen where they usually are"),
    }
}
