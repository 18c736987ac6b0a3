//! What may be started as another user: what a service file says that nobody but root can have written
//! (config.md B094, B102, B103).
//!
//! Both who start services with the rights of root ask here, the bus's launcher and the helper. Neither
//! trusts who asks them: all they take from there is a name.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use bus_policy::ShownPath;
use libbus::names::ErrorName;
use libbus::standard_error as error;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

use super::accounts::{AccountError, Membership, find_login};
use super::phrase;
use super::service_launcher::{cannot_spawn, program, split};
use super::signals::blocked_signals;
use super::system_call::{ChildSetup, Program, prepare_child};
use crate::bus::driver::error_reply::StartFailure;
use crate::service_file::{Fault, SERVICE_FILE_SIZE_MAX, ServiceFile};

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
        let failure =
            |name, text: &str| StartFailure::new(name, format!("{}{text}", ShownPath(path)));
        let file = ServiceFile::parse(&content)
            .map_err(|error| failure(error_name(error.fault), &error.to_string()))?;
        if file.name != name {
            let text = format!(": it is the file of {}, not of {name}", file.name);
            return Err(failure(error::SPAWN_FILE_INVALID, &text));
        }
        let Some(user) = file.user else {
            let text = ": [D-BUS Service] has no User=; write as whom it runs";
            return Err(failure(error_name(Fault::MissingKey), text));
        };
        let Some(exec) = file.exec else {
            let text = ": [D-BUS Service] has no Exec=; only systemd can start it";
            return Err(failure(error_name(Fault::MissingKey), text));
        };
        let arguments = split(&exec)?;
        // Where this process happens to be decides nothing.
        if !arguments.first().is_some_and(|program| program.starts_with('/')) {
            let text = ": what runs as another user is named with its whole path; write Exec=/...";
            return Err(failure(error::SPAWN_EXEC_FAILED, text));
        }
        let no_user = |text: String| {
            let text = format!(": cannot become \"{user}\": {text}");
            failure(error::SPAWN_FAILED_TO_SETUP, &text)
        };
        // As in the reference a number is no user: one that is free now may be somebody's tomorrow.
        let user = find_login(&user).map_err(|error| {
            no_user(match error {
                AccountError::Unknown => "there is no user of this name; change User=".to_owned(),
                AccountError::Database(errno) => phrase(&errno.into()),
            })
        })?;
        let user = Membership::of(&user).map_err(|errno| no_user(phrase(&errno.into())))?;
        Ok(Self { arguments, user })
    }

    /// Turns this process into the service. What comes back is why not.
    pub fn become_it(self, address: &str) -> StartFailure {
        let name = self.arguments.first().cloned().unwrap_or_default();
        let (program, user) = match self.into_program(address, Some("system")) {
            Ok(program) => program,
            Err(error) => return cannot_spawn(&name, &error),
        };
        let setup = ChildSetup {
            blocked_signals: blocked_signals(),
            fd_limit: None,
            is_spared: false,
            user: Some(user),
        };
        let mut command = Command::new(&name);
        command.current_dir("/");
        prepare_child(&mut command, setup, program);
        cannot_spawn(&name, &command.exec())
    }

    /// Its command line, with nothing in the environment but where the bus is (config.md B101), and whom
    /// it runs as.
    pub(super) fn into_program(
        self,
        address: &str,
        bus_type: Option<&str>,
    ) -> io::Result<(Program, Membership)> {
        let mut environment = BTreeMap::from([("DBUS_STARTER_ADDRESS".into(), address.into())]);
        if let Some(bus_type) = bus_type {
            environment.insert("DBUS_STARTER_BUS_TYPE".into(), bus_type.into());
        }
        Ok((program(&self.arguments, environment)?, self.user))
    }
}

/// The errors by which the reference's helper tells wrong files apart (config.md B104). To the reference one
/// that it cannot read is not there.
fn error_name(fault: Fault) -> ErrorName<'static> {
    match fault {
        Fault::Syntax => error::SPAWN_SERVICE_NOT_FOUND,
        Fault::MissingKey => error::FAILED,
        Fault::WrongName => error::SPAWN_FILE_INVALID,
        Fault::EmptyExec => error::SPAWN_EXEC_FAILED,
    }
}

/// How many links there may be on the way to a file.
const LINK_COUNT_MAX: usize = 40;

/// The content of a regular file that root alone can write and nobody else can replace: on the way to it
/// there are directories and links of which the same is true.
fn read_what_is_roots(path: &Path) -> Result<Vec<u8>, StartFailure> {
    let real = resolve(path)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file =
        open(&real, flags, Mode::empty()).map_err(|error| unreadable(&real, error.into()))?;
    let file = File::from(file);
    let metadata = file.metadata().map_err(|error| unreadable(&real, error))?;
    if !metadata.is_file() {
        let text = format!("{}: it is not a regular file", ShownPath(&real));
        return Err(StartFailure::new(error_name(Fault::Syntax), text));
    }
    check_that_it_is_roots(&real, &metadata)?;
    let mut content = Vec::new();
    let limit = SERVICE_FILE_SIZE_MAX as u64 + 1;
    file.take(limit).read_to_end(&mut content).map_err(|error| unreadable(&real, error))?;
    if content.len() > SERVICE_FILE_SIZE_MAX {
        let text = format!("{}: larger than {SERVICE_FILE_SIZE_MAX} bytes", ShownPath(&real));
        return Err(StartFailure::new(error_name(Fault::Syntax), text));
    }
    Ok(content)
}

/// Where an absolute path leads, without links in it.
fn resolve(path: &Path) -> Result<PathBuf, StartFailure> {
    let mut real = PathBuf::from("/");
    let mut rest: Vec<OsString> = Vec::new();
    let push = |rest: &mut Vec<OsString>, path: &Path| {
        rest.extend(path.components().rev().map(|part| part.as_os_str().to_owned()));
    };
    push(&mut rest, path);
    let mut link_count = 0;
    while let Some(part) = rest.pop() {
        match part.as_encoded_bytes() {
            b"/" => real = PathBuf::from("/"),
            b"." => continue,
            b".." => drop(real.pop()),
            _ => real.push(&part),
        }
        let metadata = fs::symlink_metadata(&real).map_err(|error| unreadable(&real, error))?;
        // The file itself is asked when it is open.
        if metadata.is_dir() || metadata.is_symlink() {
            check_that_it_is_roots(&real, &metadata)?;
        }
        if metadata.is_symlink() {
            link_count += 1;
            if link_count > LINK_COUNT_MAX {
                return Err(unreadable(path, Errno::LOOP.into()));
            }
            let target = fs::read_link(&real).map_err(|error| unreadable(&real, error))?;
            real.pop();
            push(&mut rest, &target);
        }
    }
    Ok(real)
}

fn unreadable(at: &Path, error: io::Error) -> StartFailure {
    let name = match error.kind() {
        io::ErrorKind::NotFound => error::SPAWN_SERVICE_NOT_FOUND,
        _ => error::SPAWN_PERMISSIONS_INVALID,
    };
    StartFailure::new(name, format!("{}: {}", ShownPath(at), phrase(&error)))
}

/// Whether nobody but root decides about it. In a directory with the sticky bit nobody can replace what is
/// root's. What an access control list permits to write shows as the group's right.
fn check_that_it_is_roots(at: &Path, metadata: &Metadata) -> Result<(), StartFailure> {
    let mode = Mode::from_raw_mode(metadata.mode());
    let is_link_or_sticky = metadata.is_symlink() || metadata.is_dir() && mode.contains(Mode::SVTX);
    let what = if metadata.uid() != 0 {
        "it does not belong to root"
    } else if is_link_or_sticky {
        return Ok(());
    } else if mode.contains(Mode::WOTH) {
        "everybody can write it"
    } else if mode.contains(Mode::WGRP) {
        "its group, or somebody in its access control list, can write it"
    } else {
        return Ok(());
    };
    let text = format!(
        "{}: {what}, so that it does not decide what is started with the rights of another user; \
         chown it to root and chmod it go-w",
        ShownPath(at)
    );
    Err(StartFailure::new(error::SPAWN_PERMISSIONS_INVALID, text))
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
            ("Name=a.b", "Name=", "Spawn.FileInvalid", "a.b.service:2: Name= is empty"),
            ("Name=a.b", "", "Failed", "has no Name="),
            ("D-BUS", "D-Bus", "Failed", "a.b.service:1: there is no group [D-BUS Service]"),
            ("Name=a.b", "Nonsense", "Spawn.ServiceNotFound", "a.b.service:2: this is no group"),
            ("User=nobody", "", "Failed", "has no User="),
            ("User=nobody", "User=", "Spawn.FailedToSetup", "cannot become \"\": there is no user"),
            ("User=nobody", "User=no-such-user", "Spawn.FailedToSetup", "no user of this name"),
            ("User=nobody", "User=1", "Spawn.FailedToSetup", "no user of this name"),
            ("Exec=/bin/echo 'one word'", "SystemdService=x.y", "Failed", "has no Exec="),
            ("/bin/echo 'one word'", "", "Spawn.ExecFailed", "Exec= is empty"),
            ("/bin/echo", "echo", "Spawn.ExecFailed", "with its whole path"),
            ("/bin/echo", "../echo", "Spawn.ExecFailed", "with its whole path"),
            ("word'", "word", "InvalidArgs", "Unclosed quotes"),
        ] {
            fs::write(&path, SOUND.replace(change, to)).unwrap();
            check_refused(&path, error, text);
        }
        fs::write(&path, vec![b'#'; SERVICE_FILE_SIZE_MAX + 1]).unwrap();
        check_refused(&path, "Spawn.ServiceNotFound", "larger than");
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
            check_refused(&path, denied, "its group, or somebody in its access control list");
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
        // Whoever can place a link decides where it leads.
        let theirs = directory.path().join("theirs");
        fs::create_dir(&theirs).unwrap();
        symlink(&path, theirs.join("a.b.service")).unwrap();
        symlink("services", directory.path().join("relative")).unwrap();
        read(&theirs.join("a.b.service")).unwrap();
        read(&directory.path().join("relative/../relative/a.b.service")).unwrap();
        std::os::unix::fs::lchown(theirs.join("a.b.service"), Some(65534), None).unwrap();
        check_refused(&theirs.join("a.b.service"), denied, "it does not belong to root");
        chown(&theirs, Some(65534), None).unwrap();
        check_refused(&theirs.join("a.b.service"), denied, "theirs: it does not belong to root");
        symlink("loop.service", directory.path().join("loop.service")).unwrap();
        check_refused(&directory.path().join("loop.service"), denied, "symbolic links");
        check_refused(&inner, "Spawn.ServiceNotFound", "not a regular file");
        check_refused(&inner.join("a.c.service"), "Spawn.ServiceNotFound", "No such file");
        check_refused(&path.join("below"), denied, "Not a directory");
    }
}
