//! A directory that goes with the test.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A directory of its own, which goes when it is dropped, with what is in it.
#[derive(Debug)]
pub struct Folder(TempDir);

impl Folder {
    /// An empty one that everybody may read: programs of other users look into it, too.
    ///
    /// # Panics
    /// None can be made.
    #[allow(clippy::new_without_default)] // it makes something
    pub fn new() -> Self {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        let made = tempfile::Builder::new().prefix("bus-tests-").permissions(mode).tempdir();
        Self(made.expect("a directory"))
    }

    /// Writes a file in it, and answers its path.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        std::fs::write(&path, content).expect("a file");
        path
    }
}

impl Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        self.0.path()
    }
}
