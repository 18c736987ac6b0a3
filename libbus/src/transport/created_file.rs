//! A file that goes with a value.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A file that goes with this value, if the one at its path is still the same.
#[derive(Debug)]
pub(super) struct CreatedFile {
    /// Absolute: a program may change its working directory.
    path: PathBuf,
    /// The device and the number there.
    identity: (u64, u64),
}

impl CreatedFile {
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        Ok(Self { identity: identity_of(&path)?, path })
    }
}

impl Drop for CreatedFile {
    fn drop(&mut self) {
        if identity_of(&self.path).is_ok_and(|found| found == self.identity) {
            // Who removed it meanwhile did what was to be done.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity_of(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}
