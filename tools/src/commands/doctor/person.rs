//! Who asks: the user, and how they came to be it.

use std::path::PathBuf;

use super::report::Check;
use crate::process::{Process, user_name};

/// Who runs this program.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) uid: u32,
    /// Who was it before `sudo`.
    pub(super) before_sudo: Option<u32>,
    /// The number by which processes outside of this user namespace know the user, if it is another one, or nobody's.
    pub(super) outside: Outside,
    /// What runs the container that this is in.
    pub(super) container: Option<String>,
}

/// How a user namespace numbers this user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outside {
    /// As everywhere.
    Same,
    Other(u32),
    /// The user has no number outside.
    Nobody,
}

impl Person {
    pub(super) fn current() -> Self {
        let uid = rustix::process::geteuid().as_raw();
        let number = |name: &str| std::env::var(name).ok()?.parse().ok();
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        let before_sudo = number("SUDO_UID").or_else(|| number("PKEXEC_UID"));
        Self {
            uid,
            before_sudo: before_sudo.filter(|it| *it != uid),
            outside: outside(&map, uid),
            container: container(),
        }
    }

    pub(super) fn describe(uid: u32) -> String {
        let name = user_name(uid);
        if name == uid.to_string() { format!("uid {uid}") } else { format!("{name} (uid {uid})") }
    }

    /// Where a login of this user has its sockets.
    pub(super) fn runtime_directory(uid: u32) -> PathBuf {
        PathBuf::from(format!("/run/user/{uid}"))
    }

    pub(super) fn check(&self) -> Check {
        let mut saw = Self::describe(self.uid);
        if let Some(before) = self.before_sudo {
            saw.push_str(&format!(", by sudo from {}", Self::describe(before)));
        } else if let Some(parent) = changed_by() {
            saw.push_str(&format!(", below the process {parent}"));
        }
        match self.outside {
            Outside::Same => {}
            Outside::Other(uid) => {
                saw.push_str(&format!(", in a user namespace: outside it is uid {uid}"));
            }
            Outside::Nobody => {
                saw.push_str(", in a user namespace in which it has no number outside");
            }
        }
        if let Some(container) = &self.container {
            saw.push_str(&format!(", in a container ({container})"));
        }
        match self.outside {
            Outside::Nobody => Check::unknown("user", saw),
            Outside::Same | Outside::Other(_) => Check::ok("user", saw),
        }
    }
}

/// What an entry of `/proc/self/uid_map` makes of a number.
fn outside(map: &str, uid: u32) -> Outside {
    let mut lines = map.lines().peekable();
    if lines.peek().is_none() {
        return Outside::Same;
    }
    let entry = |line: &str| {
        let numbers: Vec<u32> = line.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        let [inside, outside, count] = *numbers.as_slice() else { return None };
        let offset = uid.checked_sub(inside).filter(|offset| *offset < count)?;
        outside.checked_add(offset)
    };
    match lines.find_map(entry) {
        Some(known) if known == uid => Outside::Same,
        Some(known) => Outside::Other(known),
        None => Outside::Nobody,
    }
}

/// A process above this one that is known for running others as somebody else, or at other times.
fn changed_by() -> Option<String> {
    const KNOWN: [&str; 8] = ["su", "sudo", "doas", "runuser", "pkexec", "cron", "crond", "atd"];
    let mut process = Process(std::process::id());
    // There are loops in no tree; who knows what /proc shows.
    for _ in 0..64 {
        process = Process(process.status("PPid")?.parse().ok().filter(|pid| *pid > 0)?);
        let name = process.name()?;
        if KNOWN.contains(&name.as_str()) {
            return Some(format!("{name} (pid {})", process.0));
        }
    }
    None
}

fn container() -> Option<String> {
    let named = std::env::var("container").ok().filter(|name| !name.is_empty());
    let by_file =
        |file: &str, name: &str| std::path::Path::new(file).exists().then(|| name.to_owned());
    named
        .or_else(|| by_file("/run/.containerenv", "podman"))
        .or_else(|| by_file("/.dockerenv", "docker"))
        .or_else(|| by_file("/.flatpak-info", "flatpak"))
}

#[cfg(test)]
mod tests {
    use super::{Outside, outside};

    #[test]
    fn a_namespace_may_number_users_otherwise() {
        assert_eq!(outside("         0          0 4294967295\n", 1000), Outside::Same);
        assert_eq!(outside("", 1000), Outside::Same);
        assert_eq!(outside("0 1000 1\n", 0), Outside::Other(1000));
        assert_eq!(outside("0 1000 1\n1 100000 65536\n", 5), Outside::Other(100_004));
        assert_eq!(outside("0 1000 1\n", 65534), Outside::Nobody);
        assert_eq!(outside("no numbers\n", 0), Outside::Nobody);
    }
}
