//! The files of the machine that say how the bus shall be: its configuration, the machine's id, and
//! whether SELinux is there.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bus_policy::ShownPath;
use bus_policy::config::{ConfigFiles, FileError};
use bus_policy::subject::{gid_of, uid_of};
use libbus::guid::Guid;
use rustix::fs::{Mode, OFlags, open};

use super::accounts::SystemAccounts;
use super::phrase;

/// The real file system, as the configuration reader sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskFiles;

impl ConfigFiles for DiskFiles {
    fn read(&self, path: &Path, size_max: usize) -> Result<Vec<u8>, FileError> {
        content_of(File::open(path).map_err(|error| open_error(path, error))?, size_max)
    }

    fn read_listed(&self, path: &Path, size_max: usize) -> Result<Vec<u8>, FileError> {
        // A pipe is opened without waiting for whoever writes into it.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = open(path, flags, Mode::empty());
        let file = file.map_err(|error| open_error(path, error.into()))?;
        let file = File::from(file);
        if !file.metadata().map_err(file_error)?.is_file() {
            return Err(FileError::Other("it is no regular file".to_owned()));
        }
        content_of(file, size_max)
    }

    fn list(&self, directory: &Path) -> Result<Vec<PathBuf>, FileError> {
        let entries = fs::read_dir(directory).map_err(|error| open_error(directory, error))?;
        entries.map(|entry| entry.map(|entry| entry.path()).map_err(file_error)).collect()
    }

    fn selinux_enabled(&self) -> bool {
        selinux_enabled()
    }

    fn selinux_root(&self) -> PathBuf {
        selinux_root_under(Path::new("/"))
    }

    fn has_user(&self, name: &str) -> bool {
        uid_of(name, &SystemAccounts).is_some()
    }

    fn has_group(&self, name: &str) -> bool {
        gid_of(name, &SystemAccounts).is_some()
    }

    fn canonical(&self, path: &Path) -> PathBuf {
        fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
    }
}

fn file_error(error: io::Error) -> FileError {
    match error.kind() {
        io::ErrorKind::NotFound => FileError::NotFound,
        _ => FileError::Other(phrase(&error)),
    }
}

/// A file that is gone has no say; a link to one is a mistake.
fn open_error(path: &Path, error: io::Error) -> FileError {
    match file_error(error) {
        FileError::NotFound => fs::read_link(path).map_or(FileError::NotFound, |target| {
            let target = ShownPath(&target);
            FileError::LinkToNothing(format!("it is a link to {target}, which does not exist"))
        }),
        error => error,
    }
}

fn content_of(file: File, size_max: usize) -> Result<Vec<u8>, FileError> {
    let content = read_to_end(file, size_max).map_err(file_error)?;
    content.ok_or_else(|| FileError::Other(format!("it is longer than {size_max} bytes")))
}

/// The content of a file, pipes included; `None` when it is longer.
pub(super) fn read_at_most(path: &Path, size_max: usize) -> io::Result<Option<Vec<u8>>> {
    read_to_end(File::open(path)?, size_max)
}

fn read_to_end(file: File, size_max: usize) -> io::Result<Option<Vec<u8>>> {
    let mut content = Vec::new();
    let one_more = u64::try_from(size_max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(one_more).read_to_end(&mut content)?;
    Ok((content.len() <= size_max).then_some(content))
}

/// Where the policy of SELinux is: a directory with the name of the type that its configuration
/// chooses, whether or not SELinux is enabled.
fn selinux_root_under(root: &Path) -> PathBuf {
    /// The configuration is a few lines.
    const SIZE_MAX: usize = 64 * 1024;
    let directory = root.join("etc/selinux");
    let content = read_at_most(&directory.join("config"), SIZE_MAX).ok().flatten();
    let content = String::from_utf8_lossy(content.as_deref().unwrap_or_default()).into_owned();
    let chosen = content.lines().find_map(|line| line.trim().strip_prefix("SELINUXTYPE="));
    directory.join(chosen.map_or("targeted", str::trim))
}

/// Whether SELinux mediates on this machine (config.md B110).
#[must_use]
pub fn selinux_enabled() -> bool {
    selinux_enabled_under(Path::new("/"))
}

/// It is enabled where its file system is mounted.
fn selinux_enabled_under(root: &Path) -> bool {
    root.join("sys/fs/selinux/enforce").exists()
}

/// Where the machine's id stands, in the order looked at (protocol.md A119).
const MACHINE_ID_FILES: [&str; 2] = ["/var/lib/dbus/machine-id", "/etc/machine-id"];

/// Why the machine's id is not known. The three are FileNotFound, InvalidFileContent and IOError on
/// the bus (protocol.md A237).
#[derive(Debug)]
pub enum MachineIdError {
    /// None of the files exists.
    NotFound,
    /// A file is not 32 hex digits and a newline.
    Invalid(PathBuf),
    /// A file can not be read.
    Unreadable(PathBuf, io::Error),
}

impl fmt::Display for MachineIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => write!(
                f,
                "The machine has no id: neither {} exists; run dbus-uuidgen --ensure",
                MACHINE_ID_FILES.join(" nor ")
            ),
            Self::Invalid(path) => {
                write!(f, "\"{}\" does not hold 32 hex digits and a newline", path.display())
            }
            Self::Unreadable(path, error) => {
                write!(f, "Failed to read \"{}\": {}", path.display(), phrase(error))
            }
        }
    }
}

impl std::error::Error for MachineIdError {}

/// The id of this machine: the first file that holds one.
///
/// # Errors
/// What is wrong with the first file that exists.
pub fn read_machine_id() -> Result<Guid, MachineIdError> {
    machine_id_from(&MACHINE_ID_FILES.map(Path::new))
}

fn machine_id_from(paths: &[&Path]) -> Result<Guid, MachineIdError> {
    let mut worst = MachineIdError::NotFound;
    for path in paths {
        match machine_id_in(path) {
            Ok(id) => return Ok(id),
            Err(error) if matches!(worst, MachineIdError::NotFound) => worst = error,
            Err(_) => {}
        }
    }
    Err(worst)
}

fn machine_id_in(path: &Path) -> Result<Guid, MachineIdError> {
    const SIZE: usize = 32;
    let invalid = || MachineIdError::Invalid(path.to_owned());
    let content = match read_at_most(path, SIZE + 1) {
        Ok(content) => content.ok_or_else(invalid)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(MachineIdError::NotFound);
        }
        Err(error) => return Err(MachineIdError::Unreadable(path.to_owned(), error)),
    };
    let digits = content.strip_suffix(b"\n").unwrap_or(&content);
    let text = std::str::from_utf8(digits).map_err(|_| invalid())?;
    Guid::parse(text).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;

    use super::*;
    use crate::host::tests_support::TemporaryDirectory;

    fn written(directory: &TemporaryDirectory, name: &str, content: &str) -> PathBuf {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    #[test]
    fn files_are_read_up_to_their_bound() {
        let directory = TemporaryDirectory::new();
        let path = written(&directory, "a.conf", "12345");
        assert_eq!(DiskFiles.read(&path, 5), Ok(b"12345".to_vec()));
        assert!(matches!(DiskFiles.read(&path, 4), Err(FileError::Other(_))));
        let missing = directory.path().join("missing");
        assert_eq!(DiskFiles.read(&missing, 5), Err(FileError::NotFound));
        let expected = Err(FileError::Other("Is a directory".to_owned()));
        assert_eq!(DiskFiles.read(directory.path(), 5), expected);
    }

    /// As with `--config-file=/proc/self/fd/N`.
    #[test]
    fn a_pipe_is_read_to_its_end() {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"<busconfig/>").unwrap();
        drop(writer);
        let path = PathBuf::from(format!("/proc/self/fd/{}", reader.as_raw_fd()));
        assert_eq!(DiskFiles.read(&path, 100), Ok(b"<busconfig/>".to_vec()));
    }

    /// A pipe in a directory of configuration files, into which nobody writes.
    #[test]
    fn only_regular_files_of_a_directory_are_read() {
        let directory = TemporaryDirectory::new();
        let path = written(&directory, "a.conf", "12345");
        assert_eq!(DiskFiles.read_listed(&path, 5), Ok(b"12345".to_vec()));
        assert!(matches!(DiskFiles.read_listed(&path, 4), Err(FileError::Other(_))));
        let pipe = directory.path().join("pipe.conf");
        assert_eq!(DiskFiles.read_listed(&pipe, 5), Err(FileError::NotFound));
        let made = rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, Mode::RUSR | Mode::WUSR);
        assert_eq!(made, Ok(()));
        for special in [&pipe, directory.path()] {
            let expected = Err(FileError::Other("it is no regular file".to_owned()));
            assert_eq!(DiskFiles.read_listed(special, 5), expected);
        }
    }

    #[test]
    fn directories_are_listed_with_full_paths() {
        let directory = TemporaryDirectory::new();
        let expected = written(&directory, "a.conf", "");
        assert_eq!(DiskFiles.list(directory.path()), Ok(vec![expected.clone()]));
        assert_eq!(DiskFiles.list(&directory.path().join("no")), Err(FileError::NotFound));
        assert!(matches!(DiskFiles.list(&expected), Err(FileError::Other(_))));
    }

    #[test]
    fn one_file_has_one_canonical_path() {
        let directory = TemporaryDirectory::new();
        let path = written(&directory, "a.conf", "");
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(DiskFiles.canonical(&link), DiskFiles.canonical(&path));
        let missing = directory.path().join("missing");
        assert_eq!(DiskFiles.canonical(&missing), missing);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_told_from_a_file_that_is_not_there() {
        let directory = TemporaryDirectory::new();
        let link = directory.path().join("link.conf");
        assert_eq!(DiskFiles.read_listed(&link, 10), Err(FileError::NotFound));
        std::os::unix::fs::symlink("missing", &link).unwrap();
        let reason = "it is a link to missing, which does not exist".to_owned();
        assert_eq!(DiskFiles.read_listed(&link, 10), Err(FileError::LinkToNothing(reason.clone())));
        assert_eq!(DiskFiles.list(&link), Err(FileError::LinkToNothing(reason)));
    }

    #[test]
    fn accounts_have_names_and_numbers() {
        for name in ["root", "0", "4000000000"] {
            assert!(DiskFiles.has_user(name) && DiskFiles.has_group(name), "{name}");
        }
        assert!(!DiskFiles.has_user("no-such-user") && !DiskFiles.has_group("no-such-group"));
    }

    // config.md B009, B114
    #[test]
    fn selinux_is_found_by_its_file_system_and_type() {
        let root = TemporaryDirectory::new();
        let config = "# SELINUXTYPE=wrong\nSELINUX=enforcing\nSELINUXTYPE=mls \n";
        written(&root, "etc/selinux/config", config);
        let of_type = |name: &str| root.path().join("etc/selinux").join(name);
        assert_eq!(selinux_root_under(root.path()), of_type("mls"));
        assert!(!selinux_enabled_under(root.path()));
        written(&root, "sys/fs/selinux/enforce", "1");
        assert_eq!(selinux_root_under(root.path()), of_type("mls"));
        assert!(selinux_enabled_under(root.path()));
        fs::remove_file(of_type("config")).unwrap();
        assert_eq!(selinux_root_under(root.path()), of_type("targeted"));
    }

    // protocol.md A119, A237
    #[test]
    fn the_machine_id_is_the_first_that_is_sound() {
        const ID: &str = "0123456789abcdef0123456789abcdef";
        let directory = TemporaryDirectory::new();
        let check = |case: &str, contents: [Option<&str>; 2], expected: &str| {
            let paths = [0, 1].map(|index| {
                let path = directory.path().join(format!("{case} {index}"));
                contents[index].into_iter().for_each(|content| fs::write(&path, content).unwrap());
                path
            });
            let result = match machine_id_from(&[&paths[0], &paths[1]]) {
                Ok(id) => id.to_string(),
                Err(MachineIdError::NotFound) => "not found".to_owned(),
                Err(MachineIdError::Invalid(path)) if path == paths[0] => "first".to_owned(),
                Err(error) => error.to_string(),
            };
            assert_eq!(result, expected, "{case}");
        };
        let (other, line) = ("f".repeat(32), format!("{ID}\n"));
        check("both", [Some(&line), Some(&other)], ID);
        check("first missing", [None, Some(ID)], ID);
        check("first bad", [Some("uninitialized\n"), Some(ID)], ID);
        check("none", [None, None], "not found");
        check("bad and missing", [Some(""), None], "first");
        check("too short and bad", [Some(&line[1..]), Some("x")], "first");
        check("too long", [Some(&format!("{ID}0")), None], "first");
        check("longer than it may be", [Some(&format!("{line}\n")), None], "first");
        check("not text", [Some("\u{e9}"), None], "first");
        let error = machine_id_from(&[directory.path()]).unwrap_err();
        assert!(matches!(&error, MachineIdError::Unreadable(..)), "{error}");
    }
}
