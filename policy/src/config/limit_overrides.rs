//! Limits of single users and groups: files of ours, which dbus-daemon never sees.
//!
//! ```xml
//! <buslimits>
//!   <limit name="max_match_rules_per_connection" user="alice">4096</limit>
//!   <limit name="max_outgoing_bytes" group="video">268435456</limit>
//! </buslimits>
//! ```
//!
//! For a configuration file `NAME.conf` every `*.conf` in the directory `NAME-limits.d` beside it is
//! read, in the order of their names. A file that is wrong is left out as a whole, and everything that
//! is wrong with it is told. Names of users and
//! groups are looked up by whoever loads the files, once; an entry for one that does not exist is
//! left out. What is said for a user goes before what is said for its groups, and of two of the same
//! kind the later one counts.
//!
//! Bounds: [`OVERRIDE_COUNT_MAX`], [`PROBLEM_COUNT_MAX`] and those of a configuration.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::document::{Element, parse_document};
use super::include::{conf_files, more_problems, sort_by_place};
use super::language::attributes_in;
use super::limits::WITHOUT_EFFECT;
use super::{CONFIG_SIZE_MAX, ConfigFiles, Fault, FileError, Limits, Location, Problem, Severity};
use crate::subject::{AccountNames, gid_of, uid_of};

/// Limits of users and groups in all files of one configuration.
pub const OVERRIDE_COUNT_MAX: usize = 4096;

/// Problems of one file that are told of.
pub const PROBLEM_COUNT_MAX: usize = 1000;

/// The limits that one client or one user runs into, whoever else is there: each is a name of
/// `<limit>` (config.md B027–B032, B038, B040–B042). Each of them counts for whoever has its own:
/// `tests/tests/simulation/own_limits.rs` fails when one has no test there.
pub const OVERRIDABLE: &[&str] = &[
    "max_incoming_bytes",
    "max_incoming_unix_fds",
    "max_outgoing_bytes",
    "max_outgoing_unix_fds",
    "max_message_size",
    "max_message_unix_fds",
    "max_connections_per_user",
    "max_names_per_connection",
    "max_match_rules_per_connection",
    "max_replies_per_connection",
];

/// Whom a limit is for, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Named {
    User(String),
    Group(String),
}

/// Whom a limit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    User(u32),
    Group(u32),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Override<S> {
    subject: S,
    location: Location,
    name: &'static str,
    text: String,
}

/// What the files say, before anybody has looked names up.
#[derive(Clone, Debug, Default)]
pub struct NamedOverrides(Vec<Override<Named>>);

/// The limits of users and groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitOverrides(Vec<Override<Subject>>);

/// The directory of such files that belongs to the configuration file `path`.
#[must_use]
pub fn limits_directory(path: &Path) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push("-limits.d");
    path.with_file_name(name)
}

/// Reads every `*.conf` of these directories, as far as they exist. What is wrong is added to
/// `problems`.
pub fn load_overrides(
    directories: &[PathBuf],
    files: &impl ConfigFiles,
    problems: &mut Vec<Problem>,
) -> NamedOverrides {
    let mut overrides = NamedOverrides::default();
    let mut leave_out =
        |problem: Problem| problems.push(Problem { severity: Severity::Ignored, ..problem });
    for directory in directories {
        let paths = match conf_files(directory, files) {
            Ok(paths) => paths,
            Err(FileError::NotFound) => continue,
            Err(FileError::LinkToNothing(reason) | FileError::Other(reason)) => {
                leave_out(unreadable(directory, reason));
                continue;
            }
        };
        for path in paths {
            if let Err(wrong) = overrides.read_file(&path, files) {
                wrong.into_iter().for_each(&mut leave_out);
            }
        }
    }
    overrides
}

fn unreadable(path: &Path, reason: String) -> Problem {
    let fault = Fault::Unreadable { path: path.to_owned(), reason };
    Problem::fatal(&Location::whole(path), fault)
}

impl NamedOverrides {
    /// Reads a file as a whole, or says everything that is wrong with it, in the order of the file.
    fn read_file(&mut self, path: &Path, files: &impl ConfigFiles) -> Result<(), Vec<Problem>> {
        let text = match files.read_listed(path, CONFIG_SIZE_MAX) {
            Ok(text) => text,
            // It was removed since the directory was read.
            Err(FileError::NotFound) => return Ok(()),
            Err(FileError::LinkToNothing(reason) | FileError::Other(reason)) => {
                return Err(vec![unreadable(path, reason)]);
            }
        };
        let root = parse_document(&Arc::from(path), &text).map_err(|problem| vec![problem])?;
        if root.name != "buslimits" {
            return Err(vec![Problem::fatal(&root.location, Fault::WrongLimitsRoot(root.name))]);
        }
        let mut wrong = Vec::new();
        wrong.extend(root.unexpected_attributes(&[]));
        wrong.extend(root.takes_no_text().err());
        let (mut of_file, mut untold_count) = (Vec::new(), 0);
        for element in &root.children {
            match read_override(element) {
                Ok(one) => of_file.push(one),
                Err(problem) if wrong.len() < PROBLEM_COUNT_MAX => wrong.push(problem),
                Err(_) => untold_count += 1,
            }
        }
        if self.0.len() + of_file.len() > OVERRIDE_COUNT_MAX {
            let fault = Fault::TooManyOverrides { max: OVERRIDE_COUNT_MAX };
            wrong.push(Problem::fatal(&root.location, fault));
        }
        if wrong.is_empty() {
            self.0.extend(of_file);
            return Ok(());
        }
        sort_by_place(&mut wrong);
        wrong.extend(more_problems(path, untold_count));
        Err(wrong)
    }

    /// Looks the names of users and groups up, each of which may be a number as well. An entry for one
    /// that does not exist is added to `problems` and left out.
    #[must_use]
    pub fn resolve(
        self,
        accounts: &impl AccountNames,
        problems: &mut Vec<Problem>,
    ) -> LimitOverrides {
        let mut resolved = Vec::new();
        for Override { subject, location, name, text } in self.0 {
            let found = match subject {
                Named::User(user) => {
                    uid_of(&user, accounts).map(Subject::User).ok_or(Fault::UnknownUser(user))
                }
                Named::Group(group) => {
                    gid_of(&group, accounts).map(Subject::Group).ok_or(Fault::UnknownGroup(group))
                }
            };
            match found {
                Ok(subject) => resolved.push(Override { subject, location, name, text }),
                Err(fault) => problems.push(Problem::warning(&location, fault)),
            }
        }
        LimitOverrides(resolved)
    }
}

impl LimitOverrides {
    /// The limits of a user who is in these groups: `None` if nothing is said about either.
    #[must_use]
    pub fn limits_of(&self, base: &Limits, uid: Option<u32>, groups: &[u32]) -> Option<Limits> {
        let of_group = |one: &&Override<Subject>| matches!(one.subject, Subject::Group(gid) if groups.contains(&gid));
        let of_user = |one: &&Override<Subject>| matches!(one.subject, Subject::User(user) if Some(user) == uid);
        let of_groups = self.0.iter().filter(of_group);
        let mut applied = of_groups.chain(self.0.iter().filter(of_user)).peekable();
        applied.peek()?;
        let mut limits = base.clone();
        for one in applied {
            one.apply(&mut limits);
        }
        Some(limits)
    }

    /// Whether something of it stands in this file, or in one of this directory.
    #[must_use]
    pub fn has_file(&self, path: &Path) -> bool {
        self.0.iter().any(|one| one.location.file.starts_with(path))
    }

    /// Whether nothing is said about anybody.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Override<Subject> {
    /// The text was tried when it was read.
    fn apply(&self, limits: &mut Limits) {
        let _ = limits.set(self.name, &self.text);
    }
}

/// `<limit name="…" user="…">N</limit>`, or with `group`.
fn read_override(element: &Element) -> Result<Override<Named>, Problem> {
    let wrong = |fault: Fault| Problem::fatal(&element.location, fault);
    let attributes = attributes_in("buslimits", &element.name);
    let attributes = attributes.ok_or_else(|| element.unexpected("buslimits"))?;
    if let Some(unexpected) = element.unexpected_attributes(attributes).next() {
        return Err(unexpected);
    }
    let given = element
        .attribute("name")
        .ok_or_else(|| wrong(Fault::MissingAttribute { element: "limit", attribute: "name" }))?;
    let subject = match (element.attribute("user"), element.attribute("group")) {
        (Some(user), None) if !user.is_empty() => Named::User(user.to_owned()),
        (None, Some(group)) if !group.is_empty() => Named::Group(group.to_owned()),
        _ => return Err(wrong(Fault::LimitSubject)),
    };
    let text = element.value()?.to_owned();
    let mut tried = Limits::default();
    let warning = tried.set(given, &text).map_err(|error| wrong(error.into()))?;
    if let Some(warning) = warning {
        return Err(wrong(warning.into()));
    }
    let Some(name) = OVERRIDABLE.iter().find(|name| **name == given) else {
        let given = given.to_owned();
        return Err(wrong(match WITHOUT_EFFECT.contains(&given.as_str()) {
            true => Fault::LimitWithoutEffect(given),
            false => Fault::NotOverridable(given),
        }));
    };
    Ok(Override { subject, location: element.location.clone(), name, text })
}
