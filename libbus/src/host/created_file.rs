//! A file that goes with a value.
//!
//! Whether the one at its path is still the same is told by more than its inode: many file systems give the
//! number of a file that is gone to the next one, which may be that of a successor.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

/// A file that goes with this value, if the one at its path is still the same.
#[derive(Debug)]
pub struct CreatedFile {
    /// Absolute: a program may change its working directory.
    path: PathBuf,
    identity: Identity,
}

#[derive(Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    /// When it was made, in seconds and nanoseconds, where the file system keeps that. When it was changed
    /// would not do: an administrator may give it other rights.
    birth: Option<(i64, u32)>,
}

impl CreatedFile {
    /// For the file at `path`, which this program has made.
    ///
    /// # Errors
    /// It is not there.
    pub fn new(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        Ok(Self { identity: Identity::of(&path)?, path })
    }

    /// Where it is: an absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for CreatedFile {
    fn drop(&mut self) {
        if Identity::of(&self.path).is_ok_and(|found| found == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Identity {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        let birth = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BTIME).ok();
        let birth = birth.filter(|found| found.stx_mask & StatxFlags::BTIME.bits() != 0);
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            birth: birth.map(|found| (found.stx_btime.tv_sec, found.stx_btime.tv_nsec)),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::host::tests_support::TemporaryDirectory;

    #[test]
    fn it_goes_and_another_one_in_its_place_stays() {
        let directory = TemporaryDirectory::new();
        let path = directory.path().join("file");
        fs::write(&path, "").unwrap();
        let created = CreatedFile::new(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        drop(created);
        assert!(!path.exists());
        fs::write(&path, "").unwrap();
        let created = CreatedFile::new(&path).unwrap();
        // A file system's clock has steps of milliseconds, and not every one reuses numbers.
        for _ in 0..20_000 {
            fs::remove_file(&path).unwrap();
            fs::write(&path, "").unwrap();
            let found = Identity::of(&path).unwrap();
            if found.inode == created.identity.inode && found != created.identity {
                break;
            }
        }
        drop(created);
        assert!(path.exists());
    }
}
