//! What `/proc` tells of a process.

mod capabilities;
mod descriptions;

use std::fs;
use std::path::PathBuf;

pub(crate) use self::capabilities::capability_names;
pub(crate) use self::descriptions::Descriptions;

/// Bytes of a file of `/proc` that are read.
const FILE_SIZE_MAX: u64 = 1 << 20;

/// A process of this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process(pub(crate) u32);

impl Process {
    fn path(self, file: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{file}", self.0))
    }

    fn read(self, file: &str) -> Option<String> {
        use std::io::Read as _;
        let mut bytes = Vec::new();
        let file = fs::File::open(self.path(file)).ok()?;
        file.take(FILE_SIZE_MAX).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Its name: of 15 bytes at most.
    pub(crate) fn name(self) -> Option<String> {
        self.read("comm").map(|name| name.trim_end_matches('\n').to_owned())
    }

    /// The words of its command line.
    pub(crate) fn command_line(self) -> Option<Vec<String>> {
        let text = self.read("cmdline").filter(|text| !text.is_empty())?;
        Some(text.trim_end_matches('\0').split('\0').map(ToOwned::to_owned).collect())
    }

    pub(crate) fn executable(self) -> Option<String> {
        fs::read_link(self.path("exe")).ok()?.into_os_string().into_string().ok()
    }

    /// A line of `status`, such as `PPid`.
    pub(crate) fn status(self, key: &str) -> Option<String> {
        let status = self.read("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.map(|value| value.trim().to_owned())
    }

    /// The terminal that it is controlled by.
    pub(crate) fn terminal(self) -> Option<String> {
        let stat = self.read("stat")?;
        // The program's name stands in brackets, and may have any in it.
        let (_, fields) = stat.rsplit_once(')')?;
        let number: u64 = fields.split_whitespace().nth(4)?.parse().ok().filter(|tty| *tty != 0)?;
        let (major, minor) = (number >> 8 & 0xfff, number & 0xff | number >> 12 & 0xfff00);
        let link = fs::read_link(format!("/dev/char/{major}:{minor}")).ok();
        let link = link.and_then(|link| Some(format!("/dev/{}", link.file_name()?.to_str()?)));
        match major {
            136..144 => Some(format!("/dev/pts/{}", ((major - 136) << 20) + minor)),
            _ => link,
        }
    }

    /// A number that is a file of its own; `None` also if it means that there is none.
    pub(crate) fn number(self, file: &str) -> Option<u32> {
        let number = self.read(file)?.trim().parse().ok()?;
        (number != u32::MAX).then_some(number)
    }

    /// Its place in the tree of control groups: that of systemd, or of the second version.
    pub(crate) fn control_group(self) -> Option<String> {
        let groups = self.read("cgroup")?;
        let of = |start: &str| groups.lines().find_map(|line| line.strip_prefix(start));
        let named = || groups.lines().find_map(|line| Some(line.split_once(":name=systemd:")?.1));
        of("0::").or_else(named).map(ToOwned::to_owned)
    }
}

/// What systemd has at a place in the tree of control groups.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Units {
    /// The unit of the system.
    pub(crate) unit: Option<String>,
    pub(crate) slice: Option<String>,
    /// The unit of the user's manager.
    pub(crate) user_unit: Option<String>,
    pub(crate) user_slice: Option<String>,
    pub(crate) session: Option<String>,
}

impl Units {
    pub(crate) fn of(control_group: &str) -> Self {
        let mut units = Self::default();
        let mut is_users = false;
        for part in control_group.split('/').filter(|part| !part.is_empty()) {
            let (unit, slice) = match is_users {
                true => (&mut units.user_unit, &mut units.user_slice),
                false => (&mut units.unit, &mut units.slice),
            };
            match part.rsplit_once('.') {
                Some((_, "slice")) => *slice = Some(part.to_owned()),
                Some((name, "service" | "scope" | "socket" | "mount" | "swap"))
                    if unit.is_none() =>
                {
                    *unit = Some(part.to_owned());
                    let session =
                        name.strip_prefix("session-").filter(|_| part.ends_with(".scope"));
                    if let (false, Some(session)) = (is_users, session) {
                        units.session = Some(session.to_owned());
                    }
                    is_users |= name.starts_with("user@");
                }
                _ => {}
            }
        }
        units
    }

    /// Whose session or manager a control group is of.
    pub(crate) fn owner_of(control_group: &str) -> Option<u32> {
        let mut parts = control_group.split('/');
        let slice = parts.find_map(|part| part.strip_prefix("user-")?.strip_suffix(".slice"));
        slice?.parse().ok()
    }
}

/// The name of a user, or its number where there is none.
pub(crate) fn user_name(uid: u32) -> String {
    let user = nix::unistd::User::from_uid(uid.into()).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

/// The name of a group, or its number where there is none.
pub(crate) fn group_name(gid: u32) -> String {
    let group = nix::unistd::Group::from_gid(gid.into()).ok().flatten();
    group.map_or_else(|| gid.to_string(), |group| group.name)
}

#[cfg(test)]
mod tests {
    use super::Units;

    #[test]
    fn control_groups_tell_units_and_sessions() {
        let some = |text: &str| Some(text.to_owned());
        let system = Units::of("/system.slice/dbus.service");
        assert_eq!((system.unit, system.slice), (some("dbus.service"), some("system.slice")));
        let session = Units::of("/user.slice/user-1000.slice/session-2.scope");
        assert_eq!((session.unit, session.session), (some("session-2.scope"), some("2")));
        let user = "/user.slice/user-1000.slice/user@1000.service/app.slice/a.service";
        let user = Units::of(user);
        assert_eq!((user.unit, user.user_unit), (some("user@1000.service"), some("a.service")));
        assert_eq!((user.slice, user.user_slice), (some("user-1000.slice"), some("app.slice")));
        assert_eq!(Units::of("/"), Units::default());
    }

    #[test]
    fn sessions_are_somebodys() {
        assert_eq!(Units::owner_of("/user.slice/user-1000.slice/session-1.scope"), Some(1000));
        assert_eq!(Units::owner_of("/system.slice/dbus.service"), None);
    }
}
