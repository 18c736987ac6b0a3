//! The socket's file, and the folders on the way to it.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use libbus::host::phrase;
use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::person::Person;
use super::report::Check;
use super::{Case, mend};

/// What is on the way to a socket; whether it is there and may be used.
pub(super) fn look(case: &Case, path: &[u8]) -> (Vec<Check>, bool) {
    let path = Path::new(OsStr::from_bytes(path));
    let folders = folders(case, path);
    let is_reachable = folders.verdict == super::report::Verdict::Ok;
    if !is_reachable {
        return (vec![folders], false);
    }
    let (socket, is_usable) = socket(case, path);
    (vec![folders, socket], is_usable)
}

fn folders(case: &Case, path: &Path) -> Check {
    const NAME: &str = "folders";
    if !path.is_absolute() {
        let saw = format!(
            "{} does not begin with a slash: it depends on where a program is",
            path.display()
        );
        return Check::wrong(NAME, saw).mends(mend::address(case));
    }
    let mut seen = Vec::new();
    let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
    above.reverse();
    for folder in above {
        let shown = folder.display();
        let found = match fs::metadata(folder) {
            Ok(found) => found,
            Err(error) => {
                let saw = format!("{shown}: {}", missing(folder, &error));
                return Check::wrong(NAME, saw).mends(mend::missing_folder(case, folder));
            }
        };
        let mode = mode(&found);
        if !found.is_dir() {
            return Check::wrong(NAME, format!("{shown} is no folder")).mends(mend::address(case));
        }
        if !may(folder, Access::EXEC_OK) {
            let saw = format!(
                "{shown}, {mode}: {} may not go into it",
                Person::describe(case.person.uid)
            );
            return Check::wrong(NAME, saw).mends(mend::closed_folder(case, folder, found.uid()));
        }
        seen.push(format!("{shown} ({mode})"));
    }
    Check::ok(NAME, seen.join(", "))
}

/// Why a file is not there, a link that leads nowhere included.
fn missing(path: &Path, error: &io::Error) -> String {
    match fs::read_link(path) {
        Ok(target) => format!("it is a link to {}: {}", target.display(), phrase(error)),
        Err(_) => phrase(error),
    }
}

fn mode(found: &Metadata) -> String {
    format!("{:04o} {}", found.mode() & 0o7777, crate::process::user_name(found.uid()))
}

/// Whether the effective user may.
fn may(path: &Path, access: Access) -> bool {
    accessat(CWD, path, access, AtFlags::EACCESS).is_ok()
}

fn socket(case: &Case, path: &Path) -> (Check, bool) {
    const NAME: &str = "socket";
    let shown = path.display();
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) => {
            let saw = format!("{shown}: {}", missing(path, &error));
            return (Check::wrong(NAME, saw).mends(mend::start(case)), false);
        }
    };
    let saw = format!(
        "{shown}, of {}, mode {:04o}",
        Person::describe(found.uid()),
        found.mode() & 0o7777
    );
    if !found.file_type().is_socket() {
        let check = Check::wrong(NAME, format!("{saw}: it is no socket"));
        return (check.mends(mend::address(case)), false);
    }
    if !may(path, Access::WRITE_OK) {
        let check = Check::wrong(
            NAME,
            format!("{saw}: {} may not write to it", Person::describe(case.person.uid)),
        );
        return (check.mends(mend::closed_socket(case, path, found.uid())), false);
    }
    (Check::ok(NAME, saw), true)
}
