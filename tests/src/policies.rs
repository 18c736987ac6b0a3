//! Policies for a bus without configuration files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bus_policy::{AccountNames, ConfigFiles, FileError, PolicySet, load_text};

/// No file but the one at hand.
struct NoFiles;

impl ConfigFiles for NoFiles {
    fn read(&self, _path: &Path, _size_max: usize) -> Result<Vec<u8>, FileError> {
        Err(FileError::NotFound)
    }

    fn list(&self, _directory: &Path) -> Result<Vec<PathBuf>, FileError> {
        Err(FileError::NotFound)
    }

    fn selinux_root(&self) -> Option<PathBuf> {
        None
    }

    fn canonical(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

/// Accounts go by their numbers.
struct NoNames;

impl AccountNames for NoNames {
    fn uid(&self, _name: &str) -> Option<u32> {
        None
    }

    fn gid(&self, _name: &str) -> Option<u32> {
        None
    }

    fn gids_of(&self, _uid: u32) -> Vec<u32> {
        Vec::new()
    }
}

/// What a configuration with these `<policy>` elements permits.
pub fn policies(elements: &str) -> Arc<PolicySet> {
    let text = format!("<busconfig><listen>unix:path=/x</listen>{elements}</busconfig>");
    let loaded = load_text(Path::new("bus.conf"), text.as_bytes(), &NoFiles);
    assert_eq!(loaded.problems, [], "{elements}");
    let config = loaded.config.expect("no fatal problem");
    let (set, problems) = PolicySet::new(&config, &NoNames);
    assert_eq!(problems, [], "{elements}");
    Arc::new(set)
}

/// What session.conf permits, to every user.
pub fn session_policies() -> Arc<PolicySet> {
    policies(
        "<policy context='default'><allow user='*'/>\
         <allow send_destination='*' eavesdrop='true'/><allow eavesdrop='true'/>\
         <allow own='*'/></policy>",
    )
}
