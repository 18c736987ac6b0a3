//! Whether service files have changed since they were read, without being told (config.md B097).
//!
//! Watches tell of most changes at once (`config_watch.rs`), but not of all: there may be none left, a
//! link may point somewhere else, a directory may have been renamed with all that is in it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rustix::fs::stat;

/// Files that were left out whose changes are seen without a watch.
const LEFT_OUT_COUNT_MAX: usize = 64;

/// What tells one state of a file or directory from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    modified: (i64, i64),
    /// Also when somebody has set the former back.
    changed: (i64, i64),
    size: i64,
}

/// How service files and their directories were when they were read.
#[derive(Clone, Debug, Default)]
pub struct FileStamps {
    /// Of the files of services.
    services: HashMap<PathBuf, Option<Stamp>>,
    directories: Vec<(PathBuf, Option<Stamp>)>,
    /// Of files that were left out: one that changes may promise a name. The first [`LEFT_OUT_COUNT_MAX`],
    /// since whoever asks for a name that nobody promises has all of them looked at.
    left_out: Vec<(PathBuf, Option<Stamp>)>,
}

impl FileStamps {
    /// Notes how a directory is. Call before it is read, so that no change falls in between.
    pub fn note_directory(&mut self, path: &Path) {
        self.directories.push((path.to_owned(), Stamp::of(path)));
    }

    /// Notes how a file is. Call before it is read.
    pub fn note_file(&mut self, path: &Path) {
        self.services.insert(path.to_owned(), Stamp::of(path));
    }

    /// A file is no service's.
    pub fn leave_out(&mut self, path: &Path) {
        let left_out = self.services.remove_entry(path);
        self.left_out.extend(left_out.filter(|_| self.left_out.len() < LEFT_OUT_COUNT_MAX));
    }

    /// Whether this file of a service has changed.
    #[must_use]
    pub fn has_service_changed(&self, path: &Path) -> bool {
        self.services.get(path).is_none_or(|stamp| *stamp != Stamp::of(path))
    }

    /// Whether another service may be promised now.
    #[must_use]
    pub fn may_promise_more(&self) -> bool {
        let mut others = self.directories.iter().chain(&self.left_out);
        others.any(|(path, stamp)| *stamp != Stamp::of(path))
    }
}

impl Stamp {
    /// `None`: it does not exist, or nobody may know.
    fn of(path: &Path) -> Option<Self> {
        let found = stat(path).ok()?;
        Some(Self {
            place: (found.st_dev, found.st_ino),
            modified: (found.st_mtime, found.st_mtime_nsec as i64),
            changed: (found.st_ctime, found.st_ctime_nsec as i64),
            size: found.st_size,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::host::tests_support::TemporaryDirectory;

    // config.md B097
    #[test]
    fn changes_are_seen_through_links_and_renamed_directories() {
        let root = TemporaryDirectory::new();
        let path = |name: &str| root.path().join(name);
        fs::create_dir(path("first")).unwrap();
        fs::create_dir(path("second")).unwrap();
        fs::write(path("target"), "one").unwrap();
        symlink(path("first"), path("current")).unwrap();
        symlink(path("target"), path("first/a.service")).unwrap();
        fs::write(path("first/b.service"), "bad").unwrap();
        let look = || {
            let mut stamps = FileStamps::default();
            stamps.note_directory(&path("current"));
            stamps.note_directory(&path("later"));
            stamps.note_file(&path("current/a.service"));
            stamps.note_file(&path("current/b.service"));
            stamps.leave_out(&path("current/b.service"));
            stamps
        };
        let check = |stamps: &FileStamps, case: &str, service: bool, others: bool| {
            let changed = stamps.has_service_changed(&path("current/a.service"));
            assert_eq!((changed, stamps.may_promise_more()), (service, others), "{case}");
        };
        let stamps = look();
        check(&stamps, "nothing", false, false);
        fs::write(path("target"), "longer").unwrap();
        check(&stamps, "the target of a link", true, false);
        fs::write(path("first/b.service"), "longer").unwrap();
        check(&look(), "looked again", false, false);
        check(&stamps, "a file that was left out", true, true);
        let stamps = look();
        fs::create_dir(path("later")).unwrap();
        check(&stamps, "a directory that was not there", false, true);
        let stamps = look();
        fs::remove_file(path("current")).unwrap();
        symlink(path("second"), path("current")).unwrap();
        check(&stamps, "a directory that is a link", true, true);
        assert!(FileStamps::default().has_service_changed(&path("target")), "what is not known");
        let mut stamps = FileStamps::default();
        for number in 0..2 * LEFT_OUT_COUNT_MAX {
            let path = path(&number.to_string());
            stamps.note_file(&path);
            stamps.leave_out(&path);
        }
        assert_eq!(stamps.left_out.len(), LEFT_OUT_COUNT_MAX);
    }
}
