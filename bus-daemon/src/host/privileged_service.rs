//! What may be started as another user: what a service file says that nobody but root can have written
//! (config.md B094, B102, B103).
//!
//! Both who start services with the rights of root ask here, the bus's launcher and the helper. Neither
//! trusts who asks them: all they take from there is a name.

use std::fs::{self, File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use bus_policy::ShownPath;
use libbus::standard_error as error;
use rustix::fs::{Mode, OFlags, open};

use super::accounts::{AccountError, Membership, find_user};
use super::phrase;
use super::service_launcher::{cannot_spawn, command, split};
use super::signals::blocked_signals;
use super::system_call::{ChildSetup, prepare_child};
use crate::bus::driver::error_reply::StartFailure;
use crate::service_file::{SERVICE_FILE_SIZE_MAX, ServiceFile};

/// A service that may be started, and as whom.
#[derive(Clone, Debug)]
pub struct PrivilegedService {
    arguments: Vec<String>,
    /// Whom it becomes.
    pub(super) user: Membership,
}

impl PrivilegedService {
    /// Reads the file of the service of this name.
    ///
    /// # Errors
    /// Someone else than root could have written the file; it is not the file of that service; it does
    /// not say what is started as whom, or there is no such user.
    pub fn read(path: &Path, name: &str) -> Result<Self, StartFailure> {
        let content = read_what_is_roots(path)?;
        let invalid = |text: String| {
            StartFailure::new(error::SPAWN_FILE_INVALID, format!("{}{text}", ShownPath(path)))
        };
        let file = ServiceFile::parse(&content).map_err(|error| invalid(error.to_string()))?;
        if file.name != name {
            return Err(invalid(format!(": it is the file of {}, not of {name}", file.name)));
        }
        let Some(user) = file.user.filter(|user| !user.is_empty()) else {
            let text = ": [D-BUS Service] has no User=; write as whom it runs";
            return Err(invalid(text.to_owned()));
        };
        let Some(exec) = file.exec else {
            return Err(invalid(
                ": [D-BUS Service] has no Exec=; only systemd can start it".to_owned(),
            ));
        };
        let arguments = split(&exec)?;
        // Where this process happens to be decides nothing.
        if !arguments.first().is_some_and(|program| program.starts_with('/')) {
            let text = ": what runs as another user is named with its whole path; write Exec=/...";
            return Err(invalid(text.to_owned()));
        }
        let no_user = |text: String| {
            let text = format!("{}: cannot become \"{user}\": {text}", ShownPath(path));
            StartFailure::new(error::SPAWN_FAILED_TO_SETUP, text)
        };
        let user = find_user(&user).map_err(|error| {
            no_user(match error {
                AccountError::Unknown => "there is no such user; change User=".to_owned(),
                AccountError::Database(errno) => errno.desc().to_owned(),
            })
        })?;
        let user = Membership::of(&user).map_err(|errno| no_user(errno.desc().to_owned()))?;
        Ok(Self { arguments, user })
    }

    /// Turns this process into the service. What comes back is why not.
    pub fn become_it(self, address: &str) -> StartFailure {
        let name = self.arguments.first().cloned().unwrap_or_default();
        let mut command = self.command(address, Some("system"));
        let setup = ChildSetup {
            blocked_signals: blocked_signals(),
            fd_limit: None,
            is_spared: false,
            user: Some(self.user),
        };
        prepare_child(&mut command, setup);
        cannot_spawn(&name, &command.exec())
    }

    /// Its command line, with nothing in the environment but where the bus is (config.md B101).
    pub(super) fn command(&self, address: &str, bus_type: Option<&str>) -> Command {
        let mut command = command(&self.arguments);
        command.env_clear().env("DBUS_STARTER_ADDRESS", address).current_dir("/");
        if let Some(bus_type) = bus_type {
            command.env("DBUS_STARTER_BUS_TYPE", bus_type);
        }
        command
    }
}

/// A regular file that root alone can write, in directories of which the same is true.
fn read_what_is_roots(path: &Path) -> Result<Vec<u8>, StartFailure> {
    let failed = |at: &Path, error: std::io::Error| {
        let name = match error.kind() {
            std::io::ErrorKind::NotFound => error::SPAWN_SERVICE_NOT_FOUND,
            _ => error::SPAWN_PERMISSIONS_INVALID,
        };
        StartFailure::new(name, format!("{}: {}", ShownPath(at), phrase(&error)))
    };
    let denied = |at: &Path, what: &str| {
        let text = format!(
            "{}: {what}, so that it does not decide what is started with the rights of another \
             user; chown it to root and chmod it go-w",
            ShownPath(at)
        );
        StartFailure::new(error::SPAWN_PERMISSIONS_INVALID, text)
    };
    // Where links lead. From there on no part of the path is a link.
    let real = fs::canonicalize(path).map_err(|error| failed(path, error))?;
    for directory in real.ancestors().skip(1) {
        let metadata = fs::symlink_metadata(directory).map_err(|error| failed(directory, error))?;
        if let Some(what) = others_rights(&metadata) {
            return Err(denied(directory, what));
        }
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = open(&real, flags, Mode::empty()).map_err(|error| failed(&real, error.into()))?;
    let file = File::from(file);
    let metadata = file.metadata().map_err(|error| failed(&real, error))?;
    if !metadata.is_file() {
        let text = format!("{}: it is not a regular file", ShownPath(&real));
        return Err(StartFailure::new(error::SPAWN_FILE_INVALID, text));
    }
    if let Some(what) = others_rights(&metadata) {
        return Err(denied(&real, what));
    }
    let mut content = Vec::new();
    let limit = SERVICE_FILE_SIZE_MAX as u64 + 1;
    file.take(limit).read_to_end(&mut content).map_err(|error| failed(&real, error))?;
    if content.len() > SERVICE_FILE_SIZE_MAX {
        let text = format!("{}: larger than {SERVICE_FILE_SIZE_MAX} bytes", ShownPath(&real));
        return Err(StartFailure::new(error::SPAWN_FILE_INVALID, text));
    }
    Ok(content)
}

/// Why somebody else than root decides about it. In a directory with the sticky bit nobody can replace
/// what is root's.
fn others_rights(metadata: &Metadata) -> Option<&'static str> {
    let mode = Mode::from_raw_mode(metadata.mode());
    let is_sticky_directory = metadata.is_dir() && mode.contains(Mode::SVTX);
    if metadata.uid() != 0 {
        return Some("it does not belong to root");
    }
    if is_sticky_directory {
        return None;
    }
    if mode.contains(Mode::WOTH) {
        return Some("everybody can write it");
    }
    (mode.contains(Mode::WGRP) && metadata.gid() != 0).then_some("its group can write it")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;
    use crate::host::resource_limits::is_privileged;
    use crate::host::tests_support::TemporaryDirectory;

    const NAME: &str = "a.b";
    const SOUND: &str = "[D-BUS Service]\nName=a.b\nExec=/bin/echo 'one word'\nUser=nobody\n";

    fn read(path: &Path) -> Result<PrivilegedService, String> {
        PrivilegedService::read(path, NAME)
            .map_err(|failure| format!("{}: {failure}", failure.error_name().as_str()))
    }

    #[track_caller]
    fn check_refused(path: &Path, error: &str, text: &str) {
        let refusal = read(path).unwrap_err();
        assert!(refusal.starts_with(&format!("org.freedesktop.DBus.Error.{error}: ")), "{refusal}");
        assert!(refusal.contains(text), "{refusal}");
    }

    // config.md B094, B102
    #[test]
    fn what_a_file_must_say() {
        if !is_privileged() {
            return;
        }
        let directory = TemporaryDirectory::new();
        let path = directory.path().join("a.b.service");
        fs::write(&path, SOUND).unwrap();
        let service = read(&path).unwrap();
        assert_eq!(service.arguments, ["/bin/echo", "one word"]);
        for (change, to, error, text) in [
            ("Name=a.b", "Name=a.c", "Spawn.FileInvalid", "the file of a.c, not of a.b"),
            ("Name=a.b", "Nonsense", "Spawn.FileInvalid", "a.b.service:2: this is no group"),
            ("User=nobody", "", "Spawn.FileInvalid", "has no User="),
            ("User=nobody", "User=", "Spawn.FileInvalid", "has no User="),
            ("User=nobody", "User=no-such-user", "Spawn.FailedToSetup", "no such user"),
            (
                "Exec=/bin/echo 'one word'",
                "SystemdService=x.y",
                "Spawn.FileInvalid",
                "has no Exec=",
            ),
            ("/bin/echo", "echo", "Spawn.FileInvalid", "with its whole path"),
            ("/bin/echo", "../echo", "Spawn.FileInvalid", "with its whole path"),
            ("word'", "word", "InvalidArgs", "Unclosed quotes"),
        ] {
            fs::write(&path, SOUND.replace(change, to)).unwrap();
            check_refused(&path, error, text);
        }
        fs::write(&path, vec![b'#'; SERVICE_FILE_SIZE_MAX + 1]).unwrap();
        check_refused(&path, "Spawn.FileInvalid", "larger than");
    }

    #[test]
    fn who_could_have_written_it() {
        if !is_privileged() {
            return;
        }
        let directory = TemporaryDirectory::new();
        let inner = directory.path().join("services");
        fs::create_dir(&inner).unwrap();
        let path = inner.join("a.b.service");
        fs::write(&path, SOUND).unwrap();
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let denied = "Spawn.PermissionsInvalid";
        for (place, right) in [(&path, 0o644), (&inner, 0o755)] {
            mode(place, right | 0o002);
            check_refused(&path, denied, "everybody can write it");
            mode(place, right | 0o020);
            read(&path).unwrap();
            chown(place, None, Some(65534)).unwrap();
            check_refused(&path, denied, "its group can write it");
            mode(place, right);
            read(&path).unwrap();
            chown(place, Some(65534), Some(0)).unwrap();
            check_refused(&path, denied, "it does not belong to root");
            chown(place, Some(0), Some(0)).unwrap();
            read(&path).unwrap();
        }
        // Where a link leads is what counts, and the way there.
        let link = directory.path().join("link.service");
        symlink(&path, &link).unwrap();
        read(&link).unwrap();
        mode(&inner, 0o777);
        check_refused(&link, denied, "everybody can write it");
        mode(&inner, 0o1777);
        read(&link).unwrap();
        check_refused(&inner, "Spawn.FileInvalid", "not a regular file");
        check_refused(&inner.join("a.c.service"), "Spawn.ServiceNotFound", "No such file");
        check_refused(&path.join("below"), denied, "Not a directory");
    }
}
