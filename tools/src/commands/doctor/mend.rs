//! The commands that mend what is wrong, for this user on this machine.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use libbus::address::Address;

use super::person::Person;
use super::report::Check;
use super::setting::{Scope, Setting, runtime_directory};
use super::{Case, bounded};
use crate::output::escape::shell_word as word;
use crate::process::user_name;

/// Whether systemd manages this machine's services.
fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// A command that only root may run.
fn as_root(person: &Person, command: &str) -> String {
    if person.uid == 0 { command.to_owned() } else { format!("sudo {command}") }
}

/// A path as a word of a shell.
pub(super) fn quoted(path: &Path) -> String {
    word(&path.display().to_string())
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
    if let Some(container @ ("docker" | "podman")) = person.container.as_deref() {
        mends.push(into_container(container));
    }
    if person.uid == 0 {
        mends.push("bus --system doctor  # root mostly means the system bus".to_owned());
    }
    mends.push("bus run -- COMMAND  # a bus for one command".to_owned());
    mends
}

/// Lets the bus of the session into a container that is started so.
fn into_container(program: &str) -> String {
    let user = match program {
        "podman" => "--userns=keep-id",
        _ => "--user $(id -u)",
    };
    format!(
        "{program} run {user} -v $XDG_RUNTIME_DIR/bus:/bus -e DBUS_SESSION_BUS_ADDRESS=unix:path=/bus …  \
         # instead of how this container was started"
    )
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
    let is_nameless = name == owner.to_string();
    let user = if is_nameless { format!("'#{owner}'") } else { name.clone() };
    let mut mends = vec![format!("sudo -u {user} {} bus doctor", leading_to(owner))];
    if has_systemd() && !is_nameless {
        mends.push(format!("systemctl --user -M {name}@ COMMAND"));
    }
    mends
}

/// The variable by which a user finds the bus: of a session, or as here.
fn leading_to(owner: u32) -> String {
    let own = Person::runtime_directory(owner);
    let here = |name: &str| {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
        Some(format!("{name}={}", word(&value)))
    };
    let known = own.is_dir().then(|| format!("XDG_RUNTIME_DIR={}", own.display()));
    known
        .or_else(|| here("DBUS_SESSION_BUS_ADDRESS"))
        .or_else(|| here("XDG_RUNTIME_DIR"))
        .unwrap_or_else(|| format!("XDG_RUNTIME_DIR={}", own.display()))
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
    let open = as_root(&case.person, &format!("chmod a+x {}", quoted(folder)));
    match case.scope {
        Scope::Session if owner != case.person.uid && owner != 0 => other_user(&case.person, owner),
        _ => vec![open],
    }
}

pub(super) fn closed_socket(case: &Case, path: &Path, owner: u32) -> Vec<String> {
    let open = format!("chmod 666 {}", quoted(path));
    match case.scope {
        Scope::Session if owner != case.person.uid => other_user(&case.person, owner),
        _ if owner == case.person.uid => vec![open],
        _ => vec![as_root(&case.person, &open)],
    }
}

/// Nobody listens: who begins to.
pub(super) fn start(case: &Case) -> Vec<String> {
    let command = match (case.scope, has_systemd()) {
        (Scope::Session, true) => "systemctl --user start dbus.socket".to_owned(),
        (Scope::Session, false) => "bus run -- COMMAND  # a bus for one command".to_owned(),
        (Scope::System, true) => as_root(&case.person, "systemctl start dbus.socket"),
        (Scope::System, false) => as_root(&case.person, "service dbus start"),
        (Scope::Address | Scope::Peer, _) => return Vec::new(),
    };
    vec![command]
}

/// A bus is there and does nothing.
pub(super) fn restart(case: &Case, pid: Option<u32>) -> Vec<String> {
    let look = pid.map(|pid| format!("cat /proc/{pid}/status  # what the bus is doing"));
    let command = match (case.scope, has_systemd()) {
        (Scope::Session, true) => {
            Some("systemctl --user restart dbus.service  # ends the session".to_owned())
        }
        (Scope::System, true) => {
            let command = "systemctl restart dbus.service  # ends all sessions";
            Some(as_root(&case.person, command))
        }
        _ => None,
    };
    look.into_iter().chain(command).collect()
}

/// A socket's file is left over.
pub(super) fn stale(case: &Case, path: Option<&Path>) -> Vec<String> {
    let mut mends = address(case);
    mends.retain(|mend| mend.starts_with("unset"));
    mends.extend(start(case));
    mends.extend(path.map(|path| format!("rm {}  # it is of no use any more", quoted(path))));
    mends
}

/// The policy does not let the user in: which rule says so.
pub(super) fn policy(case: &Case, command_line: Option<&[String]>) -> Vec<String> {
    let file = command_line.and_then(config_file);
    let bus = match (case.scope, &file) {
        (_, Some(file)) => format!("--config={} ", word(file)),
        (Scope::System, None) => "--system ".to_owned(),
        _ => String::new(),
    };
    let user = case.person.uid;
    vec![format!("bus policy explain {bus}user={user} connect  # which rule says so")]
}

/// What a bus was told to read.
fn config_file(words: &[String]) -> Option<String> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--config-file" {
            return words.next().cloned();
        }
        if let Some(file) = word.strip_prefix("--config-file=") {
            return Some(file.to_owned());
        }
    }
    None
}

/// What is started for an address, to be tried without a bus.
pub(super) fn by_hand(address: &Address) -> String {
    let argument = |(key, value): &(String, Vec<u8>)| {
        let value = word(&String::from_utf8_lossy(value));
        (key == "path" || key.starts_with("argv") && key != "argv0").then_some(value)
    };
    let words: Vec<String> = address.keys.iter().filter_map(argument).collect();
    format!("{}  # says why", words.join(" "))
}

pub(super) fn security_module() -> Vec<String> {
    vec!["sudo dmesg | grep -i denied  # what AppArmor or SELinux say".to_owned()]
}

/// The user's number is another one outside of a user namespace.
pub(super) fn namespace(case: &Case) -> Vec<String> {
    let uid = case.person.uid;
    vec![
        format!("podman run --userns=keep-id:uid={uid} …  # numbers users as outside"),
        "unshare --user --map-user=$(id -u) …  # instead of --map-root-user".to_owned(),
    ]
}

/// Buses of sessions that are there beside the one that is meant.
pub(super) fn other_ways(case: &Case, setting: &Setting) -> Option<Check> {
    const NAME: &str = "other buses";
    if case.scope != Scope::Session {
        return None;
    }
    let known = [
        runtime_directory(),
        Some(Person::runtime_directory(case.person.uid)),
        case.person.before_sudo.map(Person::runtime_directory),
    ];
    let tried: Vec<&[u8]> = setting.addresses.iter().filter_map(|it| it.get("path")).collect();
    let mut sockets: Vec<PathBuf> = known.into_iter().flatten().map(|it| it.join("bus")).collect();
    sockets.dedup();
    sockets.retain(|socket| !tried.contains(&socket.as_os_str().as_encoded_bytes()));
    let is_alive = |socket: &PathBuf| {
        let socket = socket.clone();
        bounded(case.patience(), move || UnixStream::connect(socket).is_ok()) == Some(true)
    };
    let Some(socket) = sockets.iter().find(|socket| is_alive(socket)) else {
        return Some(Check::unknown(NAME, "none is seen where they usually are"));
    };
    let address =
        Address::new("unix").with("path", socket.as_os_str().as_encoded_bytes()).to_string();
    let command = format!("export DBUS_SESSION_BUS_ADDRESS={}", word(&address));
    let saw = format!("somebody listens at {}", socket.display());
    Some(Check::ok(NAME, saw).mends([command]))
}

#[cfg(test)]
mod tests {
    use super::{config_file, word};

    #[test]
    fn words_of_a_shell() {
        assert_eq!(word("/run/user/1000/bus"), "/run/user/1000/bus");
        assert_eq!(word("it's"), r"'it'\''s'");
        assert_eq!(word(""), "''");
    }

    #[test]
    fn a_bus_tells_what_it_was_told_to_read() {
        let of = |line: &str| {
            let words: Vec<String> = line.split(' ').map(ToOwned::to_owned).collect();
            config_file(&words)
        };
        assert_eq!(of("dbus-daemon --config-file=/a.conf --nofork"), Some("/a.conf".to_owned()));
        assert_eq!(of("dbus-daemon --config-file /a.conf"), Some("/a.conf".to_owned()));
        assert_eq!(of("dbus-daemon --session"), None);
        assert_eq!(of("dbus-daemon --config-file"), None);
    }
}
