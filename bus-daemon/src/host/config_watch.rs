//! Notices that a directory with configuration or service files changed (config.md B105).
//!
//! One inotify descriptor watches all directories and is readable when something changed.
//! [`ConfigWatch::take_changes`] reads all that came in and answers once, so that a package that
//! installs ten files causes one reload. [`ConfigWatch::replace`] sets the watches anew, after each
//! reload: a directory that was removed and made again is another one to the kernel, though its
//! path is the same. It may wait for a slow file system, so a worker's thread calls it.
//!
//! A directory that does not exist is not watched; that it appeared is noticed by the next reload.
//! So is a file that changes between the reading of its directory and the first watch of it.
//!
//! Bounds: [`DIRECTORY_COUNT_MAX`] watches, `READ_COUNT_MAX` reads at once.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bus_policy::ShownPath;
use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::phrase;

/// Directories that are watched at most (config.md B105).
pub const DIRECTORY_COUNT_MAX: usize = 128;
/// Reads of one call of [`ConfigWatch::take_changes`]; what is left wakes the reader again.
const READ_COUNT_MAX: usize = 16;
/// A name has up to 255 bytes, so that dozens of changes fit.
const BUFFER_SIZE: usize = 4096;
/// The files that are read from watched directories; others come and go unnoticed.
// deviation: the reference reloads for any file, such as an editor's copy.
const SUFFIXES: [&[u8]; 2] = [b".conf", b".service"];

/// Watches directories.
#[derive(Debug)]
pub struct ConfigWatch {
    inotify: OwnedFd,
    /// The kernel's numbers of the watches in force.
    watches: Mutex<Vec<i32>>,
}

impl ConfigWatch {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// When the system or the user has no descriptor or inotify instance left.
    pub fn new() -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self { inotify, watches: Mutex::new(Vec::new()) })
    }

    /// Watches these directories and no others. The answer is what the administrator should know,
    /// one sentence each.
    pub fn replace(&self, directories: &[PathBuf]) -> Vec<String> {
        let mut complaints = Vec::new();
        if directories.len() > DIRECTORY_COUNT_MAX {
            complaints.push(format!(
                "Too many directories to watch them all: only the first {DIRECTORY_COUNT_MAX} of \
                 {}; send SIGHUP after a change in one of the others",
                directories.len()
            ));
        }
        let mut fresh = Vec::new();
        for directory in directories.iter().take(DIRECTORY_COUNT_MAX) {
            match inotify::add_watch(&self.inotify, directory, watched_changes()) {
                Ok(watch) => fresh.push(watch),
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(error) => complaints.push(complaint(directory, error)),
            }
        }
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        for watch in watches.iter().filter(|watch| !fresh.contains(watch)) {
            // Fails if the directory is gone, and its watch with it.
            let _ = inotify::remove_watch(&self.inotify, *watch);
        }
        *watches = fresh;
        complaints
    }

    /// Whether anything changed since the last call.
    pub fn take_changes(&self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); BUFFER_SIZE];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        let mut changed = false;
        let mut read_count = 0;
        loop {
            if reader.is_buffer_empty() {
                read_count += 1;
            }
            if read_count > READ_COUNT_MAX {
                return changed;
            }
            match reader.next() {
                Ok(event) => changed |= matters(&event),
                Err(_) => return changed,
            }
        }
    }
}

impl AsFd for ConfigWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

/// A file that is being written is not read before its writer has closed it.
fn watched_changes() -> WatchFlags {
    WatchFlags::CLOSE_WRITE
        | WatchFlags::DELETE
        | WatchFlags::MOVED_TO
        | WatchFlags::MOVED_FROM
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR
}

/// Whether to reload for this. A change without a name is one of the directory itself, or says that
/// the kernel lost some.
fn matters(event: &inotify::Event<'_>) -> bool {
    // That a watch ended: [`ConfigWatch::replace`] ended it, or another change says why.
    if event.events().contains(inotify::ReadFlags::IGNORED) {
        return false;
    }
    event.file_name().is_none_or(|name| {
        let name = name.to_bytes();
        SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
    })
}

fn complaint(directory: &Path, error: Errno) -> String {
    let (reason, remedy) = match error {
        Errno::NOSPC => (
            "this user may watch no more files".to_owned(),
            "raise fs.inotify.max_user_watches, or ",
        ),
        error => (phrase(&error.into()), ""),
    };
    format!(
        "Cannot watch directory {}: {reason}; {remedy}send SIGHUP after a change in it",
        ShownPath(directory)
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;
    use crate::host::tests_support::TemporaryDirectory;

    fn is_readable(watch: &ConfigWatch) -> bool {
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(watch, PollFlags::IN)], Some(&none)).unwrap() == 1
    }

    fn watching(directories: &[&Path]) -> ConfigWatch {
        let watch = ConfigWatch::new().unwrap();
        let directories: Vec<PathBuf> = directories.iter().map(|path| path.into()).collect();
        assert_eq!(watch.replace(&directories), [""; 0]);
        watch
    }

    // config.md B105. The kernel reports a change before the call that made it returns.
    #[test]
    fn each_kind_of_change_is_noticed_once() {
        let directory = TemporaryDirectory::new();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("d")).unwrap();
        fs::write(path("away.conf"), "").unwrap();
        fs::write(path("d/gone.conf"), "").unwrap();
        let watch = watching(&[&path("d")]);
        let check = |case: &str, expected: bool, change: &dyn Fn()| {
            change();
            assert_eq!(watch.take_changes(), expected, "{case}");
            assert!(!watch.take_changes() && !is_readable(&watch), "{case}: more than once");
        };
        check("nothing", false, &|| {});
        check("written", true, &|| fs::write(path("d/a.conf"), "").unwrap());
        check("two files", true, &|| {
            fs::write(path("d/b.conf"), "x").unwrap();
            fs::write(path("d/c.service"), "x").unwrap();
        });
        check("deleted", true, &|| fs::remove_file(path("d/gone.conf")).unwrap());
        check("moved here", true, &|| fs::rename(path("away.conf"), path("d/new.conf")).unwrap());
        check("moved away", true, &|| fs::rename(path("d/new.conf"), path("away.conf")).unwrap());
        check("read", false, &|| drop(fs::read(path("d/a.conf")).unwrap()));
        check("neither configuration nor service", false, &|| {
            fs::write(path("d/a.conf~"), "").unwrap();
        });
        check("still open", false, &|| {
            // Its end is not seen: the change counts when the file is closed.
            std::mem::forget(fs::File::create(path("d/open.conf")).unwrap());
        });
        check("directory moved", true, &|| fs::rename(path("d"), path("e")).unwrap());
        check("directory gone", true, &|| fs::remove_dir_all(path("e")).unwrap());
    }

    #[test]
    fn more_changes_than_one_read_takes_are_one() {
        let directory = TemporaryDirectory::new();
        let watch = watching(&[directory.path()]);
        for number in 0..300 {
            fs::write(directory.path().join(format!("{number:0>200}.conf")), "").unwrap();
        }
        assert!(watch.take_changes());
        while is_readable(&watch) {
            watch.take_changes();
        }
        assert!(!watch.take_changes());
    }

    #[test]
    fn the_watches_are_replaced() {
        let directory = TemporaryDirectory::new();
        let [old, kept, later] = ["old", "kept", "later"].map(|name| directory.path().join(name));
        fs::create_dir(&old).unwrap();
        fs::create_dir(&kept).unwrap();
        let watch = watching(&[&old, &kept, &later]);
        let check = |case: &str, path: &Path, expected: bool| {
            fs::write(path.join("a.conf"), "").unwrap();
            assert_eq!(watch.take_changes(), expected, "{case}");
        };
        check("first", &old, true);
        assert_eq!(watch.replace(&[kept.clone(), later.clone()]), [""; 0]);
        check("no longer", &old, false);
        check("kept", &kept, true);
        fs::create_dir(&later).unwrap();
        check("appeared", &later, false);
        assert_eq!(watch.replace(&[kept.clone(), later.clone()]), [""; 0]);
        check("appeared, after a reload", &later, true);
        // Another directory at the same path.
        fs::remove_dir_all(&kept).unwrap();
        assert!(watch.take_changes());
        fs::create_dir(&kept).unwrap();
        assert_eq!(watch.replace(&[kept.clone(), later.clone()]), [""; 0]);
        check("made again", &kept, true);
    }

    #[test]
    fn what_cannot_be_watched_is_said() {
        let directory = TemporaryDirectory::new();
        let paths: Vec<PathBuf> = (0..=DIRECTORY_COUNT_MAX)
            .map(|number| directory.path().join(number.to_string()))
            .collect();
        paths.iter().for_each(|path| fs::create_dir(path).unwrap());
        let watch = ConfigWatch::new().unwrap();
        assert_eq!(watch.replace(&paths[1..]), [""; 0], "at the bound");
        let complaints = watch.replace(&paths);
        assert!(complaints[0].contains("only the first 128 of 129;"), "{complaints:?}");
        assert_eq!(complaints.len(), 1);
        fs::write(paths[DIRECTORY_COUNT_MAX].join("a.conf"), "").unwrap();
        assert!(!watch.take_changes(), "one past the bound");
        let text = complaint(Path::new("/d"), Errno::NOSPC);
        assert!(text.contains("/d: ") && text.contains("fs.inotify.max_user_watches"), "{text}");
        let text = complaint(Path::new("/d"), Errno::ACCESS);
        assert_eq!(
            text,
            "Cannot watch directory /d: Permission denied; send SIGHUP after a change in it"
        );
    }
}
