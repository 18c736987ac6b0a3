//! Where service files are, and which services they promise (config.md B085–B097).

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bus_policy::ShownPath;
use bus_policy::config::{ConfigFiles, FileError, ServiceDirectory};

use super::config_files::DiskFiles;
use super::file_stamps::FileStamps;
use super::runtime_directory::{RuntimeDirectories, services_below};
use crate::bus::services::{Service, Services, Starter};
use crate::service_file::{SERVICE_FILE_SIZE_MAX, ServiceFile};

const SESSION: &str = "dbus-1/services";
const SYSTEM: &str = "dbus-1/system-services";

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct FoundServices {
    /// The services.
    pub services: Services,
    /// What the administrator should know of files that are left out or whose services do not start, one
    /// sentence each.
    pub problems: Vec<String>,
    /// The same of directories that are left out because of this process's environment, which is not that
    /// of another process with the same configuration.
    pub notes: Vec<String>,
    /// The directories, whose changes call for another look.
    pub directories: Vec<PathBuf>,
    /// How all of it was.
    pub stamps: FileStamps,
}

/// One directory of the search path.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Directory {
    path: PathBuf,
    /// Whether a file must have the name of its service (config.md B085, B089, B090).
    is_strict: bool,
    /// The user's runtime directory that it is in (config.md B085).
    runtime: Option<PathBuf>,
}

/// How services are started, on which depends what a file must say and how it must be called
/// (config.md B094, B095).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// Who executes what a file says.
    pub starter: Starter,
    /// Whether the configuration names a `<servicehelper>`, be it there or not.
    pub has_helper: bool,
    /// Whether systemd starts those that name a unit.
    pub by_systemd: bool,
}

/// Reads all service files of a configuration.
#[must_use]
pub fn find_services(
    configured: &[ServiceDirectory],
    ways: Ways,
    runtime_directories: RuntimeDirectories,
) -> FoundServices {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let mut found = FoundServices::default();
    for directory in directories(configured, &variable) {
        let prepared = directory.runtime.as_deref().map(|path| runtime_directories.prepare(path));
        if let Some(Err(note)) = prepared {
            found.notes.push(note);
            continue;
        }
        found.read(&directory, ways);
        found.directories.push(directory.path);
    }
    found
}

/// The file that has the name of a service, as a program finds it that trusts no environment
/// (config.md B093, B102).
#[must_use]
pub fn find_by_file_name(configured: &[ServiceDirectory], name: &str) -> Option<PathBuf> {
    let file_name = format!("{name}.service");
    let directories = directories(configured, &|_| None);
    let mut paths = directories.into_iter().map(|directory| directory.path.join(&file_name));
    paths.find(|path| path.exists())
}

/// The search path: each directory once, at its first place (config.md B092).
fn directories(
    configured: &[ServiceDirectory],
    variable: &impl Fn(&str) -> Option<OsString>,
) -> Vec<Directory> {
    let mut all: Vec<Directory> = Vec::new();
    for entry in configured {
        let found = match entry {
            ServiceDirectory::Path(path) => vec![lax(path.clone())],
            ServiceDirectory::StandardSession => session_directories(variable),
            ServiceDirectory::StandardSystem => system_directories(),
        };
        for directory in found {
            if !all.iter().any(|known| known.path == directory.path) {
                all.push(directory);
            }
        }
    }
    all
}

fn lax(path: PathBuf) -> Directory {
    Directory { path, is_strict: false, runtime: None }
}

/// config.md B085–B088
fn session_directories(variable: &impl Fn(&str) -> Option<OsString>) -> Vec<Directory> {
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let runtime = absolute("XDG_RUNTIME_DIR").map(|runtime| Directory {
        path: services_below(&runtime),
        is_strict: true,
        runtime: Some(runtime),
    });
    let home = absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
    let shared = variable("XDG_DATA_DIRS").unwrap_or_else(|| "/usr/local/share:/usr/share".into());
    let shared = std::env::split_paths(&shared).filter(|path| path.is_absolute());
    let rest = home.into_iter().chain(shared.collect::<Vec<_>>()).chain(["/usr/share".into()]);
    runtime.into_iter().chain(rest.map(|path| lax(path.join(SESSION)))).collect()
}

/// config.md B089–B091, B093
fn system_directories() -> Vec<Directory> {
    let strict = ["/etc", "/run"]
        .map(|path| Directory { is_strict: true, ..lax(Path::new(path).join(SYSTEM)) });
    let lax =
        ["/usr/local/share", "/usr/share", "/lib"].map(|path| lax(Path::new(path).join(SYSTEM)));
    strict.into_iter().chain(lax).collect()
}

impl FoundServices {
    fn read(&mut self, directory: &Directory, ways: Ways) {
        self.stamps.note_directory(&directory.path);
        let mut paths = match DiskFiles.list(&directory.path) {
            Ok(paths) => paths,
            Err(FileError::NotFound | FileError::LinkToNothing(_)) => return,
            Err(FileError::Other(reason)) => {
                let text = format!(
                    "{}: no services of it can be started: {reason}; check its permissions",
                    ShownPath(&directory.path)
                );
                return self.problems.push(text);
            }
        };
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "service"));
        paths.sort();
        for path in paths {
            self.stamps.note_file(&path);
            match read_file(&path, directory, ways) {
                Ok(file) => {
                    self.problems.extend(why_not_started(&file, &path, ways));
                    self.services.add(Service { file, path: Arc::from(path) });
                }
                Err(problem) => {
                    self.stamps.leave_out(&path);
                    // None if it was removed since the directory was read.
                    self.problems.extend(problem);
                }
            }
        }
    }
}

/// A sound file, or what is wrong with it.
fn read_file(
    path: &Path,
    directory: &Directory,
    ways: Ways,
) -> Result<ServiceFile, Option<String>> {
    let content = match DiskFiles.read_listed(path, SERVICE_FILE_SIZE_MAX) {
        Ok(content) => content,
        Err(FileError::NotFound) => return Err(None),
        Err(FileError::LinkToNothing(reason) | FileError::Other(reason)) => {
            return Err(Some(format!(
                "{}: this service cannot be started: {reason}",
                ShownPath(path)
            )));
        }
    };
    let file = ServiceFile::parse(&content)
        .map_err(|error| Some(format!("{}{error}; this file is left out", ShownPath(path))))?;
    if directory.is_strict
        && let Some(expected) = other_name(&file, path)
    {
        return Err(Some(format!(
            "{}: in this directory a file has the name of its service; name it {expected}; this \
             file is left out",
            ShownPath(path)
        )));
    }
    if !ways.by_systemd && file.exec.is_none() {
        return Err(Some(format!(
            "{}: [D-BUS Service] has no Exec=, and the bus was not told to ask systemd \
             (--systemd-activation); this file is left out",
            ShownPath(path)
        )));
    }
    Ok(file)
}

/// What a file should be called that is not called so.
fn other_name(file: &ServiceFile, path: &Path) -> Option<String> {
    let expected = format!("{}.service", file.name);
    (path.file_name() != Some(expected.as_ref())).then_some(expected)
}

/// Why a service that a sound file promises is not started, by this bus or where its configuration is used
/// as well. As in the reference its name is listed all the same, and who wants it is told.
fn why_not_started(file: &ServiceFile, path: &Path, ways: Ways) -> Vec<String> {
    let has_unit = ways.by_systemd && file.systemd_service.is_some();
    let has_no_user = file.user.as_ref().is_none_or(String::is_empty);
    let mut reasons = Vec::new();
    if ways.starter.changes_user() && !has_unit && has_no_user {
        reasons.push(
            "[D-BUS Service] has no User=, so that it is not started; write as whom it runs"
                .to_owned(),
        );
    }
    if ways.has_helper
        && let Some(expected) = other_name(file, path)
    {
        // (ref) also where systemd starts it.
        reasons.push(match ways.starter {
            Starter::Helper => format!(
                "the <servicehelper> finds a file by its name and does not start this service; \
                 name it {expected}"
            ),
            Starter::PrivilegedLauncher | Starter::Bus => format!(
                "a <servicehelper> would find a file by its name and not start this service, as \
                 this bus does; name it {expected}"
            ),
        });
    }
    reasons.into_iter().map(|reason| format!("{}: {reason}", ShownPath(path))).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::host::runtime_directory::IfMissing;
    use crate::host::tests_support::TemporaryDirectory;

    const BY_SYSTEMD: Ways = Ways { starter: Starter::Bus, has_helper: false, by_systemd: true };

    fn looking() -> RuntimeDirectories {
        RuntimeDirectories { owner: 0, if_missing: IfMissing::Leave }
    }

    fn paths(configured: &[ServiceDirectory], variables: &[(&str, &str)]) -> Vec<String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let all = directories(configured, &variable);
        let mark = |is_strict: bool| if is_strict { " strict" } else { "" };
        all.iter().map(|one| format!("{}{}", one.path.display(), mark(one.is_strict))).collect()
    }

    // config.md B085–B089, B090–B093
    #[test]
    fn directories_come_in_the_order_of_the_reference_and_once() {
        let session = [ServiceDirectory::Path("/x".into()), ServiceDirectory::StandardSession];
        let variables = [
            ("XDG_RUNTIME_DIR", "/run/user/1"),
            ("HOME", "/home/a"),
            ("XDG_DATA_DIRS", "/opt/share:/usr/share:relative"),
        ];
        let expected = [
            "/x",
            "/run/user/1/dbus-1/services strict",
            "/home/a/.local/share/dbus-1/services",
            "/opt/share/dbus-1/services",
            "/usr/share/dbus-1/services",
        ];
        assert_eq!(paths(&session, &variables), expected);
        let bare = ["/usr/local/share/dbus-1/services", "/usr/share/dbus-1/services"];
        assert_eq!(paths(&session[1..], &[]), bare);
        let expected = [
            "/etc/dbus-1/system-services strict",
            "/run/dbus-1/system-services strict",
            "/usr/local/share/dbus-1/system-services",
            "/usr/share/dbus-1/system-services",
            "/lib/dbus-1/system-services",
        ];
        assert_eq!(paths(&[ServiceDirectory::StandardSystem], &variables), expected);
    }

    // config.md B094, B095
    #[test]
    fn a_wrong_file_is_left_out_alone() {
        let directory = TemporaryDirectory::new();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        let service = |name: &str| format!("[D-BUS Service]\nName={name}\nExec=/bin/x\n");
        write("a.b.service", &service("a.b"));
        write("other.service", &service("a.c"));
        write("third.service", &(service("a.b") + "User=later\n"));
        write("bad\n.service", "nonsense");
        write("a.d.conf", &service("a.d"));
        fs::create_dir(directory.path().join("dir.service")).unwrap();
        let configured = [ServiceDirectory::Path(directory.path().to_owned())];
        let find = |ways| find_services(&configured, ways, looking());
        let found = find(BY_SYSTEMD);
        assert_eq!(found.services.names().collect::<Vec<_>>(), ["a.b", "a.c"]);
        assert_eq!(found.services.get("a.b").unwrap().file.user, None, "the first one counts");
        assert_eq!(found.problems.len(), 2, "{:?}", found.problems);
        assert!(found.problems[0].contains("bad\\n.service:1: this is no group"));
        assert!(
            found.problems[1].contains("dir.service: ") && found.problems[1].contains("regular")
        );
        assert_eq!(found.directories, [directory.path()]);
        let mut found = FoundServices::default();
        found.read(&Directory { is_strict: true, ..lax(directory.path().to_owned()) }, BY_SYSTEMD);
        assert_eq!(found.services.names().collect::<Vec<_>>(), ["a.b"]);
        assert!(found.problems.iter().any(|text| text.contains("name it a.c.service")));
    }

    // config.md B094, B095
    #[test]
    fn what_does_not_start_is_listed_and_told() {
        let directory = TemporaryDirectory::new();
        let write = |name: &str, text: &str| {
            let text = format!("[D-BUS Service]\nExec=/bin/x\n{text}");
            fs::write(directory.path().join(name), text).unwrap();
        };
        write("a.b.service", "Name=a.b\nUser=me\n");
        write("a.c.service", "Name=a.c\nSystemdService=c.service\n");
        write("other.service", "Name=a.d\nUser=me\nSystemdService=d.service\n");
        let configured = [ServiceDirectory::Path(directory.path().to_owned())];
        let no_user = "a.c.service: [D-BUS Service] has no User=";
        let not_found = "other.service: the <servicehelper> finds a file by its name";
        let not_elsewhere = "other.service: a <servicehelper> would find";
        let ways = |starter, has_helper, by_systemd| Ways { starter, has_helper, by_systemd };
        for (ways, expected) in [
            (ways(Starter::Bus, false, false), vec![]),
            (ways(Starter::Bus, false, true), vec![]),
            (ways(Starter::Helper, true, false), vec![no_user, not_found]),
            (ways(Starter::Helper, true, true), vec![not_found]),
            (ways(Starter::PrivilegedLauncher, false, false), vec![no_user]),
            (ways(Starter::PrivilegedLauncher, true, true), vec![not_elsewhere]),
        ] {
            let found = find_services(&configured, ways, looking());
            assert_eq!(found.services.names().collect::<Vec<_>>(), ["a.b", "a.c", "a.d"]);
            let problems = &found.problems;
            assert_eq!(problems.len(), expected.len(), "{ways:?}: {problems:?}");
            for (problem, expected) in problems.iter().zip(expected) {
                assert!(problem.contains(expected), "{ways:?}: {problem}");
            }
        }
    }

    /// They were passed over without a word: both look like a service to whoever lists the directory.
    #[test]
    fn a_link_to_nothing_and_an_empty_user_are_told() {
        let directory = TemporaryDirectory::new();
        let path = |name: &str| directory.path().join(name);
        symlink("gone\n", path("a.b.service")).unwrap();
        fs::write(path("a.c.service"), "[D-BUS Service]\nName=a.c\nExec=/bin/x\nUser=\n").unwrap();
        let configured = [ServiceDirectory::Path(directory.path().to_owned())];
        let found = find_services(&configured, Ways::default(), looking());
        assert_eq!(found.services.names().collect::<Vec<_>>(), ["a.c"]);
        let expected =
            "a.b.service: this service cannot be started: it is a link to gone\\n, which";
        assert!(found.problems[0].contains(expected), "{:?}", found.problems);
        // config.md B094: a bus that starts services as their users has to know them.
        let ways = Ways { starter: Starter::PrivilegedLauncher, ..Ways::default() };
        let found = find_services(&configured, ways, looking());
        let expected = "a.c.service: [D-BUS Service] has no User=";
        assert!(found.problems[1].contains(expected), "{:?}", found.problems);
    }
}
