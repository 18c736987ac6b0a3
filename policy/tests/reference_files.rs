//! The configuration files of the reference's own tests (Debian package dbus-tests): each of the
//! valid ones is read, each of the invalid ones refused, and the rules that its tests of policies
//! are about decide as those tests expect.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bus_policy::config::{
    ConfigFiles, FileError, Limits, Loaded, ServiceDirectory, Severity, load,
};
use bus_policy::rule::MessageType;
use bus_policy::subject::NumbersOnly;
use bus_policy::{
    Circumstances, MatchedPatterns, Message, PolicySet, Question, Subject, UserPolicy,
};

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
            config.files = Default::default();
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

/// What an ordinary user may do by the rules of a file; `None` without the package.
fn policy_in(name: &str) -> Option<UserPolicy> {
    let path = Path::new(DATA).join("valid-config-files").join(name);
    let Some(config) = load(&path, &Disk).config else {
        println!("skipped: {} is missing (package dbus-tests)", path.display());
        return None;
    };
    let set = Arc::new(PolicySet::new(&config, &NumbersOnly).0);
    Some(set.for_audience(&set.audience(Subject { uid: Some(1000), gids: &[] })))
}

// config.md B070
#[test]
fn decides_about_names_as_the_reference_expects() {
    let Some(policy) = policy_in("check-own-rules.conf") else { return };
    let check = |name: &str, expected| {
        assert_eq!(policy.may_own(name).is_allowed(), expected, "{name}");
    };
    check("org.freedesktop", false);
    check("org.freedesktop.ManySystem", false);
    check("org.freedesktop.ManySystems", true);
    check("org.freedesktop.ManySystems.foo", true);
    check("org.freedesktop.ManySystems.foo.bar", true);
    check("org.freedesktop.ManySystems2", false);
    check("org.freedesktop.ManySystems2.foo", false);
}

// config.md B059
#[test]
fn decides_about_prefixes_of_destinations_as_the_reference_expects() {
    let Some(policy) = policy_in("send-destination-prefix-rules.conf") else { return };
    let check = |names: &[&str], interface, member, expected| {
        let message = Message {
            message_type: MessageType::MethodCall,
            path: Some("/"),
            interface: Some(interface),
            member: Some(member),
            error_name: None,
            fds: 0,
            is_broadcast: false,
            is_reply: false,
        };
        let mut destination = MatchedPatterns::default();
        for name in names {
            destination.add(policy.set(), &format!("foo.bar.test.dest_prefix{name}"));
        }
        let verdict = policy.may_send(
            &Question::new(policy.set(), message),
            Circumstances::default(),
            &destination,
        );
        assert_eq!(verdict.is_allowed(), expected, "{names:?} {interface}.{member}");
    };
    let (other, call) = ("foo.bar.o", "Call");
    for (name, expected) in [
        ("", false),
        (".ap", true),
        (".ao", true),
        (".ao.f", false),
        (".ao.ao", true),
        (".ap.f1.d", false),
        (".ap.f1.dp.f", false),
        (".ap.f1.d.ap.f", true),
        (".ap.f1.dp.a", true),
        (".ap.f1.dp.a.f", false),
        (".ap.f2.apxdp.dp.ap", false),
        (".ap.f2.apxdp.dp.ap.f.a", true),
        (".ap.f2.apxdp.f.f.f.ap.x", true),
        (".ap.f3.dpxap.ap.dp", true),
        (".dp.f1.a", true),
        (".dp.f1.a.f", false),
        (".dp.f1.ap.d", false),
        (".dp.f2.dpxap.ap.dp.a", true),
        (".dp.f2.dpxap.ap.dp.f.d", false),
        (".dp.f3.apxdp.dp.ap", false),
    ] {
        check(&[name], other, call, expected);
    }
    check(&[".ap.m"], "foo.bar.a", "CallDeny", false);
    check(&[".ap.m"], "foo.bar.a", call, true);
    check(&[".ap.m"], "foo.bar.d", call, false);
    check(&[".ap.m"], "foo.bar.d", "CallAllow", true);
    check(&[".dp.m"], "foo.bar.a", call, true);
    check(&[".dp.m"], "foo.bar.a", "CallDeny", false);
    // Of all names that the recipient has, the last rule about any of them counts.
    check(&[".ap", ".dp"], other, call, false);
}
