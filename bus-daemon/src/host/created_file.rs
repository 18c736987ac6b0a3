//! A file that goes with a value.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file that goes with this value, if the one at its path is still the same.
#[derive(Debug)]
pub(super) struct CreatedFile {
    /// Absolute: a daemon changes its working directory.
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl CreatedFile {
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let metadata = fs::symlink_metadata(&path)?;
        Ok(Self { device: metadata.dev(), inode: metadata.ino(), path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for CreatedFile {
    fn drop(&mut self) {
        let same = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode));
        if same {
            let _ = fs::remove_file(&self.path);
        }
    }
}
