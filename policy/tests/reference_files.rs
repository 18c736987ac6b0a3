//! The configuration files of the reference's own tests (Debian package dbus-tests): each of the
//! valid ones is read, each of the invalid ones refused, and it is known which allow everything.

use std::path::{Path, PathBuf};

use bus_policy::config::{
    ConfigFiles, FileError, Limits, Loaded, ServiceDirectory, Severity, load,
};
use bus_policy::policy_set::{AllowAll, Connect, Eavesdropping, Replies, allow_all};

const DATA: &str = "/usr/lib/dbus-1.0/installed-tests/dbus/data";

struct Disk;

impl ConfigFiles for Disk {
    fn read(&self, path: &Path, _size_max: usize) -> Result<Vec<u8>, FileError> {
        std::fs::read(path).map_err(|error| file_error(&error))
    }

    fn list(&self, directory: &Path) -> Result<Vec<PathBuf>, FileError> {
        let entries = std::fs::read_dir(directory).map_err(|error| file_error(&error))?;
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        paths.collect::<Result<_, _>>().map_err(|error| file_error(&error))
    }

    fn selinux_root(&self) -> Option<PathBuf> {
        None
    }

    fn canonical(&self, path: &Path) -> PathBuf {
        path.canonicalize().unwrap_or_else(|_| path.to_owned())
    }
}

fn file_error(error: &std::io::Error) -> FileError {
    match error.kind() {
        std::io::ErrorKind::NotFound => FileError::NotFound,
        _ => FileError::Other(error.to_string()),
    }
}

/// The `*.conf` files of a directory of the package, loaded; `None` without the package.
fn load_all(directory: &str) -> Option<Vec<(String, Loaded)>> {
    let directory = Path::new(DATA).join(directory);
    let Ok(mut paths) = Disk.list(&directory) else {
        println!("skipped: {} is missing (package dbus-tests)", directory.display());
        return None;
    };
    paths.sort();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Some(paths.iter().map(|path| (name(path), load(path, &Disk))).collect())
}

#[test]
fn reads_the_valid_ones() {
    for directory in ["valid-config-files", "valid-config-files-system"] {
        for (name, loaded) in load_all(directory).unwrap_or_default() {
            let fatal =
                loaded.problems.iter().find(|problem| problem.severity != Severity::Warning);
            // session.conf and system.conf also include what this machine has in /etc/dbus-1.
            assert!(fatal.is_none(), "{directory}/{name}: {}", fatal.unwrap());
            assert!(loaded.config.is_some(), "{directory}/{name}");
        }
    }
}

#[test]
fn refuses_the_invalid_ones() {
    let Some(files) = load_all("invalid-config-files") else { return };
    assert!(files.len() >= 26, "{}", files.len());
    for (name, loaded) in files {
        let [problem] = loaded.problems.as_slice() else { panic!("{name}: {:?}", loaded.problems) };
        assert_eq!(problem.severity, Severity::Fatal, "{name}");
        assert!(problem.location.line > 0, "{name}: {problem}");
        println!("{problem}");
    }
}

/// Including a file and being it means the same.
#[test]
fn reads_the_equivalent_ones_alike() {
    for directory in ["equiv-config-files/basic", "equiv-config-files/entities"] {
        let Some(files) = load_all(directory) else { return };
        let configs = files.into_iter().map(|(name, loaded)| {
            let mut config =
                loaded.config.unwrap_or_else(|| panic!("{name}: {:?}", loaded.problems));
            config.origin = Default::default();
            config.places = Default::default();
            config
        });
        let [left, right] = configs.collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(left, right, "{directory}");
    }
}

#[test]
fn knows_the_values_in_them() {
    let path = |name: &str| Path::new(DATA).join(name);
    let Some(basic) = load(&path("valid-config-files/basic.conf"), &Disk).config else {
        return println!("skipped: {DATA} is missing (package dbus-tests)");
    };
    assert_eq!(basic.user.as_deref(), Some("mybususer"));
    // Its own two, and two of basic.d/basic.conf.
    let listen = ["unix:path=/foo/bar", "tcp:port=1234"];
    assert_eq!(basic.listen, [listen, listen].concat());
    assert_eq!(basic.service_dirs, [ServiceDirectory::Path("/usr/share/foo".into())]);
    assert_eq!(basic.selinux_contexts.len(), 2);
    let limits = Limits {
        incoming_bytes_max: 5000,
        outgoing_bytes_max: 5000,
        message_size_max: 300,
        service_start_timeout_ms: 5000,
        auth_timeout_ms: 6000,
        completed_connections_max: 50,
        incomplete_connections_max: 80,
        connections_per_user_max: 64,
        pending_service_starts_max: 64,
        names_per_connection_max: 256,
        ..Limits::default()
    };
    assert_eq!(basic.limits, limits);
    let entities = load(&path("valid-config-files/entities.conf"), &Disk).config.unwrap();
    assert_eq!(entities.listen[0], "unix:path=/foo/<bar>");
    assert_eq!(entities.service_dirs[1], ServiceDirectory::Path("/usr/&share/foo".into()));
}

/// Which of them a bus without policies can run, and how.
#[test]
fn knows_which_allow_everything() {
    let session = AllowAll {
        connect: Connect::OwnUser,
        send_replies: Replies::Any,
        receive_replies: Replies::Any,
        eavesdropping: Eavesdropping::Allowed,
    };
    let wildcards = AllowAll {
        connect: Connect::EveryUser,
        send_replies: Replies::Requested,
        receive_replies: Replies::Requested,
        eavesdropping: Eavesdropping::Refused,
    };
    let expected = |name: &str| match name {
        "debug-allow-all.conf" | "debug-allow-all-sha1.conf" | "multi-user.conf" => Some(wildcards),
        "debug-allow-all-pass.conf" | "debug-allow-all-fail.conf" => Some(wildcards),
        "as-another-user.conf" | "basic.conf" | "check-own-rules.conf" | "count-fds.conf" => None,
        "entities.conf" | "forbidding.conf" | "many-rules.conf" | "minimal.conf" => None,
        "send-destination-prefix-rules.conf" | "standard-session-dirs.conf" => None,
        "systemd-activation.conf" | "system.conf" | "tmp-session-like-system.conf" => None,
        _ => Some(session),
    };
    for directory in ["valid-config-files", "valid-config-files-system"] {
        for (name, loaded) in load_all(directory).unwrap_or_default() {
            let config = loaded.config.unwrap();
            let answer = allow_all(&config);
            println!("{directory}/{name}: {answer:?}");
            // What the machine adds through /etc/dbus-1 is not known here.
            if !["session.conf", "system.conf"].contains(&name.as_str()) {
                assert_eq!(answer.ok(), expected(&name), "{directory}/{name}");
            }
        }
    }
}
