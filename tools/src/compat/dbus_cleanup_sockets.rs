//! `dbus-cleanup-sockets` (tools.md D055): removes sockets of buses that are gone.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libbus::host::phrase;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::libdbus::{say, shown, version};

const NAME: &str = "dbus-cleanup-sockets";
const USAGE: &str = "dbus-cleanup-sockets [--version] [--help] <socketdir>";

/// What became of the sockets.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    removed: usize,
    in_use: usize,
    unknown: usize,
}

/// Cleans a directory: the one that is named, else that of temporary files.
pub(super) fn run(words: &[OsString]) -> ExitCode {
    // deviation: Debian's dbus-cleanup-sockets looks into /tmp whatever is named.
    let mut directory = std::env::temp_dir();
    for word in words {
        match word.to_str() {
            Some("--help" | "-h") => {
                complain!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            Some("--version") => return told(&version(NAME)),
            _ if word.as_bytes().starts_with(b"-") => {
                complain!("{USAGE}");
                return ExitCode::FAILURE;
            }
            // Nothing is named by it.
            Some("") => {}
            _ => directory = PathBuf::from(word),
        }
    }
    match clean(&directory) {
        Ok(Counts { removed, in_use, unknown }) => {
            let directory = directory.to_string_lossy();
            told(&format!(
                "Cleaned up {removed} sockets in {directory}; {in_use} sockets are still in use; \
                 {unknown} in unknown state"
            ))
        }
        Err(error) => {
            let directory = directory.to_string_lossy();
            complain!("Failed to open directory {}: {}", shown(&directory), phrase(&error));
            ExitCode::FAILURE
        }
    }
}

fn told(text: &str) -> ExitCode {
    say(text);
    ExitCode::SUCCESS
}

fn clean(directory: &Path) -> std::io::Result<Counts> {
    let mut counts = Counts::default();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let is_socket = entry.file_type().is_ok_and(|kind| kind.is_socket());
        if !is_socket || !is_of_bus(&entry.file_name()) {
            continue;
        }
        let path = entry.path();
        match try_to_connect(&path) {
            Err(Errno::CONNREFUSED) if fs::remove_file(&path).is_ok() => counts.removed += 1,
            // One that has no room for another client at the moment has a server.
            Ok(()) | Err(Errno::AGAIN | Errno::INPROGRESS) => counts.in_use += 1,
            Err(_) => counts.unknown += 1,
        }
    }
    Ok(counts)
}

fn is_of_bus(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b"dbus-")
}

/// Without waiting for a server that is busy.
fn try_to_connect(path: &Path) -> Result<(), Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)
}
