//! `dbus-uuidgen` (tools.md D053): new ids, and that of the machine.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libbus::guid::Guid;
use libbus::host::{phrase, random_name};

use super::libdbus::{say, shown, version};

const USAGE: &str = "Usage: dbus-uuidgen [--ensure[=FILENAME]] [--get[=FILENAME]]";

/// Where the machine's id is, and where it is if it is not there.
const OWN_FILE: &str = "/var/lib/dbus/machine-id";
const SYSTEM_FILE: &str = "/etc/machine-id";

/// Characters of an id, and how many of a file are read to find out that it has more.
const ID_SIZE: usize = 32;
const FILE_SIZE_MAX: u64 = 128;

/// Why a file has no id.
enum Fault {
    /// It cannot be read.
    Missing(String),
    /// It has something else.
    Wrong(String),
}

/// Prints an id, or sees to it that there is one.
pub(super) fn run(words: &[OsString]) -> ExitCode {
    let (mut get, mut ensure) = (None, None);
    for word in words {
        match (word.to_str(), word.as_bytes()) {
            (Some("--help"), _) => return helped(USAGE),
            (Some("--version"), _) => return told(&version("dbus-uuidgen")),
            (Some("--get"), _) => get = Some(OsStr::new("")),
            (Some("--ensure"), _) => ensure = Some(OsStr::new("")),
            (_, [b'-', b'-', b'g', b'e', b't', b'=', file @ ..]) => {
                get = Some(OsStr::from_bytes(file));
            }
            (_, [b'-', b'-', b'e', b'n', b's', b'u', b'r', b'e', b'=', file @ ..]) => {
                ensure = Some(OsStr::from_bytes(file));
            }
            _ => return failed(USAGE),
        }
    }
    let done = match (get, ensure) {
        (Some(_), Some(_)) => Err("Can't specify both --get and --ensure".to_owned()),
        (None, None) => Guid::generate().map(Some).map_err(|error| phrase(&error)),
        (Some(file), None) => find(file).map(Some).map_err(Fault::text),
        (None, Some(file)) => ensure_file(file).map(|()| None),
    };
    match done {
        Ok(Some(id)) => told(&id.to_string()),
        Ok(None) => ExitCode::SUCCESS,
        Err(text) => failed(&shown(&text)),
    }
}

/// Help is said beside what is printed, and is what was asked for.
fn helped(text: &str) -> ExitCode {
    complain!("{text}");
    ExitCode::SUCCESS
}

fn told(text: &str) -> ExitCode {
    say(text);
    ExitCode::SUCCESS
}

fn failed(text: &str) -> ExitCode {
    complain!("{text}");
    ExitCode::FAILURE
}

impl Fault {
    fn text(self) -> String {
        match self {
            Self::Missing(text) | Self::Wrong(text) => text,
        }
    }
}

/// The machine's id, if it has one.
pub(super) fn of_machine() -> Option<Guid> {
    find(OsStr::new("")).ok()
}

/// The id in a file; without one that of the machine.
fn find(file: &OsStr) -> Result<Guid, Fault> {
    if !file.is_empty() {
        return read(Path::new(file));
    }
    read(Path::new(OWN_FILE)).or_else(|fault| read(Path::new(SYSTEM_FILE)).map_err(|_| fault))
}

fn read(path: &Path) -> Result<Guid, Fault> {
    let name = path.to_string_lossy();
    let missing =
        |error: io::Error| Fault::Missing(format!("Failed to open \"{name}\": {}", phrase(&error)));
    let file = File::open(path).map_err(missing)?;
    if !file.metadata().map_err(missing)?.is_file() {
        return Err(Fault::Missing(format!("\"{name}\" is not a regular file")));
    }
    let mut bytes = Vec::new();
    file.take(FILE_SIZE_MAX).read_to_end(&mut bytes).map_err(missing)?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
    // deviation: dbus-uuidgen takes the digits up to the first that is none.
    let id =
        (text.len() == ID_SIZE).then(|| Guid::parse(&text.to_ascii_lowercase()).ok()).flatten();
    id.ok_or_else(|| {
        let digits = text.chars().take_while(char::is_ascii_hexdigit).count();
        let length = if text.len() == ID_SIZE { digits } else { text.len() };
        Fault::Wrong(format!(
            "UUID file '{name}' should contain a hex string of length {ID_SIZE}, not length \
             {length}, with no other text"
        ))
    })
}

/// Sees to it that there is a file with an id: that of the machine, if it is another file that has it.
fn ensure_file(file: &OsStr) -> Result<(), String> {
    let path = if file.is_empty() { PathBuf::from(OWN_FILE) } else { PathBuf::from(file) };
    match read(&path) {
        Ok(_) => return Ok(()),
        Err(Fault::Wrong(text)) => return Err(text),
        Err(Fault::Missing(_)) => {}
    }
    let of_machine = file.is_empty().then(|| read(Path::new(SYSTEM_FILE)).ok()).flatten();
    let id = match of_machine {
        Some(id) => id,
        None => Guid::generate().map_err(|error| phrase(&error))?,
    };
    create(&path, id)
}

/// Whole or not at all.
fn create(path: &Path, id: Guid) -> Result<(), String> {
    let mut beside = path.as_os_str().to_owned();
    let name = random_name().map_err(|error| phrase(&error))?;
    beside.push(format!(".{}", name.trim_start_matches("dbus-")));
    let beside = PathBuf::from(beside);
    let shown = beside.to_string_lossy();
    write(&beside, id).map_err(|error| format!("Could not create {shown}: {}", phrase(&error)))?;
    fs::rename(&beside, path).map_err(|error| {
        // It may lie there if it cannot be removed either.
        let _ = fs::remove_file(&beside);
        format!("Could not rename {shown} to {}: {}", path.display(), phrase(&error))
    })
}

fn write(path: &Path, id: Guid) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
    file.write_all(format!("{id}\n").as_bytes()).and_then(|()| file.sync_all()).inspect_err(|_| {
        // It may lie there if it cannot be removed either.
        let _ = fs::remove_file(path);
    })
}
