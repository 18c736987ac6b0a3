//! `$XDG_RUNTIME_DIR/dbus-1/services`, where programs of a session promise services while they run (config.md
//! B085).
//!
//! Whoever can write there decides what the bus starts as its own user, and the variable outlives a change of
//! user (`su`, `sudo -E`). So what belongs to another user is neither read nor written, what is not there is
//! made below `$XDG_RUNTIME_DIR` alone, and only the two directories of the bus may be made: neither of them
//! may be a link to elsewhere.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use bus_policy::ShownPath;
use nix::unistd::{Uid, User, geteuid};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, mkdirat, openat};
use rustix::io::Errno;

use super::phrase;

/// The directories below it, from the outermost on.
const DIRECTORIES: [&str; 2] = ["dbus-1", "services"];

/// What becomes of a directory that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMissing {
    /// It is made: whoever comes later finds it, and it can be watched.
    Create,
    /// It stays so: somebody only looks.
    Leave,
}

/// Whose a runtime directory has to be.
#[derive(Clone, Copy, Debug)]
pub struct RuntimeDirectories {
    /// The user that the bus runs as.
    pub owner: u32,
    /// What becomes of those that are not there.
    pub if_missing: IfMissing,
}

impl RuntimeDirectories {
    /// Whether services may be looked for in `dbus-1/services` below a directory.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub(super) fn prepare(&self, runtime: &Path) -> Result<(), String> {
        // Where the variable leads may be a link; where it leads to counts.
        let runtime_fd = openat(CWD, runtime, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| left_out(runtime, &phrase(&error.into())))?;
        self.check(&runtime_fd, runtime)?;
        let (mut parent, mut path) = (runtime_fd, runtime.to_owned());
        for name in DIRECTORIES {
            path.push(name);
            match self.open(&parent, name, &path)? {
                Some(found) => parent = found,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// A directory in another one; `None` where there is none and none is made.
    fn open(&self, parent: &OwnedFd, name: &str, path: &Path) -> Result<Option<OwnedFd>, String> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let failed = |error: Errno| left_out(path, &phrase(&io::Error::from(error)));
        let found = match openat(parent, name, flags, Mode::empty()) {
            Err(Errno::NOENT) if !self.creates() => return Ok(None),
            Err(Errno::NOENT) => {
                match mkdirat(parent, name, Mode::RWXU) {
                    // Somebody was faster.
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => {
                        let text = format!("it cannot be made: {}", phrase(&error.into()));
                        return Err(left_out(path, &text));
                    }
                }
                openat(parent, name, flags, Mode::empty()).map_err(failed)?
            }
            other => other.map_err(failed)?,
        };
        self.check(&found, path)?;
        Ok(Some(found))
    }

    /// What is made by root before it becomes the user of the bus would be root's.
    fn creates(&self) -> bool {
        self.if_missing == IfMissing::Create && geteuid().as_raw() == self.owner
    }

    fn check(&self, directory: impl AsFd, path: &Path) -> Result<(), String> {
        let status =
            fstat(directory).map_err(|error| left_out(path, &phrase(&io::Error::from(error))))?;
        match FileType::from_raw_mode(status.st_mode) {
            FileType::Symlink => return Err(left_out(path, "it is a link")),
            FileType::Directory => {}
            _ => return Err(left_out(path, "it is no directory")),
        }
        if status.st_uid != self.owner {
            let text = format!(
                "it belongs to {}, and the bus is run by {}",
                shown_user(status.st_uid),
                shown_user(self.owner)
            );
            return Err(left_out(path, &text));
        }
        Ok(())
    }
}

/// The place of service files below a runtime directory.
pub(super) fn services_below(runtime: &Path) -> PathBuf {
    let mut path = runtime.to_owned();
    path.extend(DIRECTORIES);
    path
}

fn left_out(path: &Path, what: &str) -> String {
    format!(
        "{}: {what}; no services of $XDG_RUNTIME_DIR/{} can be started: set XDG_RUNTIME_DIR to the \
         directory of the user that runs the bus, or unset it",
        ShownPath(path),
        DIRECTORIES.join("/")
    )
}

fn shown_user(uid: u32) -> String {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => format!("{} (uid {uid})", user.name),
        _ => format!("uid {uid}"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;
    use crate::host::resource_limits::is_privileged;
    use crate::host::tests_support::TemporaryDirectory;

    fn prepare(runtime: &Path, if_missing: IfMissing) -> Result<(), String> {
        RuntimeDirectories { owner: geteuid().as_raw(), if_missing }.prepare(runtime)
    }

    #[track_caller]
    fn check_left_out(runtime: &Path, expected: &str) {
        for if_missing in [IfMissing::Create, IfMissing::Leave] {
            let error = prepare(runtime, if_missing).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    // config.md B085
    #[test]
    fn it_is_made_for_a_bus_and_not_for_who_looks() {
        let directory = TemporaryDirectory::new();
        let services = services_below(directory.path());
        prepare(directory.path(), IfMissing::Leave).unwrap();
        assert!(!directory.path().join("dbus-1").exists());
        let other = geteuid().as_raw() + 1;
        let refusal = RuntimeDirectories { owner: other, if_missing: IfMissing::Create };
        refusal.prepare(directory.path()).unwrap_err();
        assert!(!directory.path().join("dbus-1").exists());
        for _ in 0..2 {
            prepare(directory.path(), IfMissing::Create).unwrap();
            assert_eq!(fs::metadata(&services).unwrap().permissions().mode() & 0o777, 0o700);
        }
        prepare(directory.path(), IfMissing::Leave).unwrap();
    }

    // config.md B085
    #[test]
    fn nothing_is_made_above_it_or_through_links() {
        let directory = TemporaryDirectory::new();
        let missing = directory.path().join("missing");
        check_left_out(&missing.join("below"), "missing/below: No such file or directory");
        assert!(!missing.exists());
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        check_left_out(&file, "file: it is no directory");
        let elsewhere = directory.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        let runtime = directory.path().join("runtime");
        fs::create_dir(&runtime).unwrap();
        symlink(&elsewhere, runtime.join("dbus-1")).unwrap();
        check_left_out(&runtime, "runtime/dbus-1: it is a link");
        fs::remove_file(runtime.join("dbus-1")).unwrap();
        fs::create_dir(runtime.join("dbus-1")).unwrap();
        symlink(&elsewhere, runtime.join("dbus-1/services")).unwrap();
        check_left_out(&runtime, "runtime/dbus-1/services: it is a link");
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
        // The variable itself may lead through one.
        let link = directory.path().join("link");
        symlink(&elsewhere, &link).unwrap();
        prepare(&link, IfMissing::Create).unwrap();
        assert!(elsewhere.join("dbus-1/services").is_dir());
    }

    // config.md B085
    #[test]
    fn what_is_another_users_is_left_alone() {
        if !is_privileged() {
            return;
        }
        let directory = TemporaryDirectory::new();
        let inner = directory.path().join("dbus-1");
        let services = services_below(directory.path());
        chown(directory.path(), Some(1), None).unwrap();
        let expected = format!("belongs to {}, and the bus", shown_user(1));
        check_left_out(directory.path(), &expected);
        assert!(!inner.exists());
        chown(directory.path(), Some(0), None).unwrap();
        fs::create_dir_all(&services).unwrap();
        for path in [&inner, &services] {
            chown(path, Some(1), None).unwrap();
            check_left_out(directory.path(), &format!("{}: it {expected}", path.display()));
            chown(path, Some(0), None).unwrap();
        }
        prepare(directory.path(), IfMissing::Leave).unwrap();
        // Root, before it becomes the user of the bus, makes nothing in that user's name.
        let theirs = directory.path().join("theirs");
        fs::create_dir(&theirs).unwrap();
        chown(&theirs, Some(1), None).unwrap();
        let of_the_bus = RuntimeDirectories { owner: 1, if_missing: IfMissing::Create };
        of_the_bus.prepare(&theirs).unwrap();
        assert_eq!(fs::read_dir(&theirs).unwrap().count(), 0);
    }
}
