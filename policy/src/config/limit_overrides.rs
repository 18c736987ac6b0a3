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

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::document::{Element, parse_document};
use super::include::{conf_files, sort_by_place};
use super::{CONFIG_SIZE_MAX, ConfigFiles, Fault, FileError, Limits, Location, Problem, Severity};
use crate::subject::{AccountNames, gid_of, uid_of};

/// Limits of users and groups in all files of one configuration.
pub const OVERRIDE_COUNT_MAX: usize = 4096;

/// Problems of one file that are told of.
pub const PROBLEM_COUNT_MAX: usize = 1000;

/// The limits that one client or one user runs into, whoever else is there: each is a name of
/// `<limit>` (config.md B028–B032, B038, B040–B042).
pub const OVERRIDABLE: &[&str] = &[
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
            Err(FileError::Other(reason)) => {
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
            Err(FileError::Other(reason)) => return Err(vec![unreadable(path, reason)]),
        };
        let root = parse_document(&Arc::from(path), &text).map_err(|problem| vec![problem])?;
        if root.name != "buslimits" {
            return Err(vec![Problem::fatal(&root.location, Fault::WrongLimitsRoot(root.name))]);
        }
        let mut wrong = Vec::new();
        wrong.extend(root.takes_attributes(&[]).err());
        wrong.extend(root.takes_no_text().err());
        let mut of_file = Vec::new();
        for element in &root.children {
            match read_override(element) {
                Ok(one) => of_file.push(one),
                Err(problem) if wrong.len() < PROBLEM_COUNT_MAX => wrong.push(problem),
                Err(_) => {}
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

    /// The largest limit of each kind that anybody has.
    #[must_use]
    pub fn largest(&self, base: &Limits) -> Limits {
        let mut largest = base.clone();
        for one in &self.0 {
            let mut raised = largest.clone();
            one.apply(&mut raised);
            largest.raise_to(&raised);
        }
        largest
    }

    /// Whether something of it stands in this file.
    #[must_use]
    pub fn has_file(&self, path: &Path) -> bool {
        self.0.iter().any(|one| *one.location.file == *path)
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
    if element.name != "limit" {
        return Err(element.unexpected("buslimits", &["limit"]));
    }
    element.takes_attributes(&["name", "user", "group"])?;
    let given = element
        .attribute("name")
        .ok_or_else(|| wrong(Fault::MissingAttribute { element: "limit", attribute: "name" }))?;
    let subject = match (element.attribute("user"), element.attribute("group")) {
        (Some(user), None) if !user.is_empty() => Named::User(user.to_owned()),
        (None, Some(group)) if !group.is_empty() => Named::Group(group.to_owned()),
        _ => return Err(wrong(Fault::LimitSubject)),
    };
    let text = element.text_alone()?.to_owned();
    let mut tried = Limits::default();
    let warning = tried.set(given, &text).map_err(|error| wrong(error.into()))?;
    if let Some(warning) = warning {
        return Err(wrong(warning.into()));
    }
    let Some(name) = OVERRIDABLE.iter().find(|name| **name == given) else {
        return Err(wrong(Fault::NotOverridable(given.to_owned())));
    };
    Ok(Override { subject, location: element.location.clone(), name, text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::MemoryFiles;
    use crate::tests::Accounts;

    /// Loads `/etc/a-limits.d` with these files, and what was wrong with them. One with the text
    /// "unreadable" is.
    fn load(files: &[(&str, &str)]) -> (LimitOverrides, Vec<String>) {
        let directory = limits_directory(Path::new("/etc/a.conf"));
        let mut in_memory = MemoryFiles::new(&[]);
        for (name, text) in files {
            let content = (*text != "unreadable").then(|| text.as_bytes().to_vec());
            in_memory.files.insert(directory.join(name), content);
        }
        let mut problems = Vec::new();
        let missing = PathBuf::from("/none");
        let named = load_overrides(&[missing, directory], &in_memory, &mut problems);
        let resolved = named.resolve(&Accounts, &mut problems);
        (resolved, problems.iter().map(ToString::to_string).collect())
    }

    fn rules_of(overrides: &LimitOverrides, uid: u32, groups: &[u32]) -> Option<u32> {
        let limits = overrides.limits_of(&Limits::default(), Some(uid), groups)?;
        Some(limits.match_rules_per_connection_max)
    }

    const RULES: &str = "max_match_rules_per_connection";

    #[test]
    fn a_user_goes_before_its_groups_and_the_later_entry_counts() {
        let (overrides, problems) = load(&[
            (
                "20.conf",
                "<buslimits><limit name='max_match_rules_per_connection' group='45'>7</limit>
                 <limit name='max_names_per_connection' user='alice'>8</limit></buslimits>",
            ),
            (
                "10.conf",
                "<buslimits><limit name='max_match_rules_per_connection' user='alice'>5</limit>
                 <limit name='max_match_rules_per_connection' group='audio'>6</limit></buslimits>",
            ),
            ("30.conf.rpmsave", "nonsense"),
        ]);
        assert_eq!(problems, [""; 0]);
        for (case, uid, groups, expected) in [
            ("nobody in particular", 1, &[1][..], None),
            ("one group", 1, &[29], Some(6)),
            ("two groups: the later file", 1, &[29, 45], Some(7)),
            ("the user itself", 1000, &[29, 45], Some(5)),
        ] {
            assert_eq!(rules_of(&overrides, uid, groups), expected, "{case}");
        }
        let limits = overrides.limits_of(&Limits::default(), Some(1000), &[]).unwrap();
        assert_eq!(limits.names_per_connection_max, 8);
        assert_eq!(limits.replies_per_connection_max, 128, "the others are as they were");
        assert_eq!(overrides.limits_of(&Limits::default(), None, &[]), None);
        let largest = overrides.largest(&Limits::default());
        assert_eq!(largest.match_rules_per_connection_max, 512, "none is lowered");
    }

    #[test]
    fn each_overridable_limit_can_be_raised() {
        for name in OVERRIDABLE {
            let mut raised = Limits::default();
            raised.set(name, "200000000").unwrap();
            let mut limits = Limits::default();
            limits.raise_to(&raised);
            assert_eq!(limits, raised, "{name}");
            assert_ne!(limits, Limits::default(), "{name}");
        }
    }

    #[test]
    fn a_wrong_file_is_left_out_whole_and_its_place_told() {
        let good = "<buslimits><limit name='max_match_rules_per_connection' user='alice'>5</limit></buslimits>";
        for (case, text, expected) in [
            ("not XML", "<buslimits>", "this is not well-formed XML"),
            ("root", "<busconfig/>", "/etc/a-limits.d/1.conf:1:1: the outermost element"),
            (
                "element",
                "<buslimits>\n <limits/></buslimits>",
                "1.conf:2:2: there is no element <limits> in <buslimits>; did you mean <limit>?",
            ),
            ("text", "<buslimits>words</buslimits>", "<buslimits> takes no text"),
            (
                "attribute",
                "<buslimits><limit name='max_message_size' usr='a'>1</limit></buslimits>",
                "did you mean \"user\"?",
            ),
            ("no name", "<buslimits><limit user='a'>1</limit></buslimits>", "the attribute name="),
            (
                "no subject",
                "<buslimits><limit name='max_message_size'>1</limit></buslimits>",
                "exactly one of the attributes user=",
            ),
            (
                "two subjects",
                "<buslimits><limit name='max_message_size' user='a' group='b'>1</limit></buslimits>",
                "exactly one of the attributes user=",
            ),
            (
                "no such limit",
                "<buslimits><limit name='max_mesage_size' user='a'>1</limit></buslimits>",
                "did you mean \"max_message_size\"?",
            ),
            (
                "everybody's limit",
                "<buslimits><limit name='auth_timeout' user='a'>1</limit></buslimits>",
                "is the same for everybody; write one of max_incoming_unix_fds",
            ),
            (
                "no number",
                "<buslimits><limit name='max_message_size' user='a'>many</limit></buslimits>",
                "write a whole number",
            ),
            (
                "more than a number",
                "<buslimits><limit name='max_message_size' user='a'>1k</limit></buslimits>",
                "write 1 alone",
            ),
            ("unreadable", "unreadable", "cannot be read: Permission denied"),
        ] {
            let (overrides, problems) = load(&[("1.conf", text), ("2.conf", good)]);
            assert_eq!(problems.len(), 1, "{case}: {problems:?}");
            assert!(problems[0].contains(expected), "{case}: {problems:?}");
            assert!(problems[0].ends_with("this file is left out"), "{case}: {problems:?}");
            assert_eq!(rules_of(&overrides, 1000, &[]), Some(5), "{case}: the other file stands");
        }
    }

    #[test]
    fn everything_that_is_wrong_with_a_file_is_told_in_its_order() {
        let text = "<buslimits a='b'>
            <limit name='max_mesage_size' user='a'>1</limit>
            <limit name='max_message_size' user='alice'>1</limit>words
            <limit name='max_message_size'>1</limit>
            <limits/>
            <limit name='max_message_size' user='a'>many</limit>
        </buslimits>";
        let (overrides, problems) = load(&[("1.conf", text), ("2.conf", "<busconfig/>")]);
        assert!(overrides.is_empty(), "also what is right");
        let expected = [
            "1.conf:1:1: <buslimits> has no attribute \"a\"",
            "1.conf:2:13: there is no limit \"max_mesage_size\"",
            "1.conf:3:13: <buslimits> takes no text such as \"words\"",
            "1.conf:4:13: <limit> needs exactly one",
            "1.conf:5:13: there is no element <limits>",
            "1.conf:6:13: the limit is \"many\"",
            "2.conf:1:1: the outermost element",
        ];
        assert_eq!(problems.len(), expected.len(), "{problems:?}");
        for (problem, expected) in problems.iter().zip(expected) {
            let begin = format!("/etc/a-limits.d/{expected}");
            assert!(problem.starts_with(&begin), "{problem}");
            assert!(problem.ends_with("this file is left out"), "{problem}");
        }
        let many = "<limits/>".repeat(PROBLEM_COUNT_MAX + 1);
        let (_, problems) = load(&[("1.conf", &format!("<buslimits>{many}</buslimits>"))]);
        assert_eq!(problems.len(), PROBLEM_COUNT_MAX);
    }

    #[test]
    fn an_entry_for_nobody_is_left_out_alone() {
        let (overrides, problems) = load(&[(
            "1.conf",
            "<buslimits><limit name='max_match_rules_per_connection' user='carol'>5</limit>
<limit name='max_match_rules_per_connection' group='carols'>5</limit>
<limit name='max_match_rules_per_connection' user='1001'>6</limit></buslimits>",
        )]);
        assert_eq!(problems.len(), 2);
        assert!(problems[0].starts_with("/etc/a-limits.d/1.conf:1:12: there is no user \"carol\""));
        assert!(
            problems[1].starts_with("/etc/a-limits.d/1.conf:2:1: there is no group \"carols\"")
        );
        assert_eq!(rules_of(&overrides, 1001, &[]), Some(6));
    }

    #[test]
    fn there_is_a_bound() {
        let one = format!("<limit name='{RULES}' user='1'>1</limit>");
        for (count, is_wrong) in [(OVERRIDE_COUNT_MAX, false), (OVERRIDE_COUNT_MAX + 1, true)] {
            let text = format!("<buslimits>{}</buslimits>", one.repeat(count));
            let (overrides, problems) = load(&[("1.conf", &text)]);
            assert_eq!((problems.len() == 1, overrides.is_empty()), (is_wrong, is_wrong));
        }
    }
}
