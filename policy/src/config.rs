//! One bus configuration: what all its files together say.
//!
//! [`load`] starts at the top-level file and follows `<include>` and `<includedir>`
//! (`include.rs`); each file is first read as XML (`document.rs`), then element by element
//! (`parse.rs`). A file that is wrong is wrong as a whole: nothing of it is taken over. If it was
//! found through `<includedir>`, it is left out and the rest stands; otherwise there is no
//! configuration (config.md B005).
//!
//! Bounds: the constants at the top of `include.rs` and `document.rs`.

mod document;
mod include;
mod language;
pub mod limit_overrides;
mod limits;
mod nearest;
mod parse;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use self::limits::leading_integer;
use crate::policy_set::PolicyBlock;
use crate::rule::RuleError;
use crate::shown::ShownPath;
pub use include::{CONFIG_SIZE_MAX, FILE_COUNT_MAX, INCLUDE_DEPTH_MAX};
pub use language::{ELEMENTS, ElementForm};
pub use limits::{LIMITS, LimitError, LimitForm, Limits, MESSAGE_SIZE_MAX, Unit, WITHOUT_EFFECT};

/// Where configuration files come from: the disk in the daemon, a map in tests.
pub trait ConfigFiles {
    /// The whole content of the file `path`.
    ///
    /// # Errors
    /// [`FileError::NotFound`] if there is no such file, [`FileError::Other`] if it cannot be read
    /// or is longer than `size_max` bytes.
    fn read(&self, path: &Path, size_max: usize) -> Result<Vec<u8>, FileError>;

    /// The same for a file that was found in a directory, where nobody asked for it by name: what is
    /// no regular file is not opened, since reading a pipe or a device might never end.
    ///
    /// # Errors
    /// As [`ConfigFiles::read`], and if it is no regular file.
    fn read_listed(&self, path: &Path, size_max: usize) -> Result<Vec<u8>, FileError> {
        self.read(path, size_max)
    }

    /// The paths of all files in the directory `directory`, in any order.
    ///
    /// # Errors
    /// [`FileError::NotFound`] if there is no such directory, [`FileError::Other`] if it cannot be
    /// read.
    fn list(&self, directory: &Path) -> Result<Vec<PathBuf>, FileError>;

    /// Whether SELinux mediates on this machine.
    fn selinux_enabled(&self) -> bool {
        false
    }

    /// Where the files of the SELinux policy are, or would be if it were enabled.
    fn selinux_root(&self) -> PathBuf {
        "/etc/selinux/targeted".into()
    }

    /// Whether there is this user, by name or number. Asked where it decides whether a file is wrong.
    fn has_user(&self, _name: &str) -> bool {
        true
    }

    /// The same for a group.
    fn has_group(&self, _name: &str) -> bool {
        true
    }

    /// One path for all the ways to name the file `path`, to recognise a file that includes
    /// itself. `path` itself if it cannot be resolved.
    fn canonical(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

/// No file at all, for a configuration that includes none.
#[derive(Clone, Copy, Debug)]
pub struct NoFiles;

impl ConfigFiles for NoFiles {
    fn read(&self, _path: &Path, _size_max: usize) -> Result<Vec<u8>, FileError> {
        Err(FileError::NotFound)
    }

    fn list(&self, _directory: &Path) -> Result<Vec<PathBuf>, FileError> {
        Err(FileError::NotFound)
    }
}

/// Why a file or directory gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileError {
    /// It does not exist.
    NotFound,
    /// It is a link to something that does not exist; the reason as a phrase.
    LinkToNothing(String),
    /// It exists, but cannot be used; the reason as a phrase ("Permission denied").
    Other(String),
}

/// What [`load`] returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The configuration; `None` if one of the problems is [`Severity::Fatal`].
    pub config: Option<BusConfig>,
    /// What is left of a configuration that cannot be used, to look for what else is wrong with it:
    /// without the elements that are wrong, and without the files that they include.
    pub remains: Option<BusConfig>,
    /// Everything that is wrong, in the order in which it was found.
    pub problems: Vec<Problem>,
    /// The `<includedir>` and `<servicedir>` directories, whose changes call for a reload
    /// (config.md B105). Filled as far as reading came, also without a configuration.
    pub watched_directories: Vec<PathBuf>,
}

/// Reads the configuration file `path` and all that it includes.
pub fn load(path: &Path, files: &impl ConfigFiles) -> Loaded {
    include::load(path, files)
}

/// As [`load`], for a top-level file whose text is at hand. `path` stands in messages and is what
/// relative paths in the text start from.
pub fn load_text(path: &Path, text: &[u8], files: &impl ConfigFiles) -> Loaded {
    include::load_text(path, text, files)
}

/// What all files of a configuration say together (config.md B.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BusConfig {
    /// The root element of the top-level file.
    pub origin: Location,
    /// Where what can turn out wrong only later was said.
    pub places: Places,
    /// The files that this was read from, those left out not among them.
    pub files: Vec<PathBuf>,
    /// `<type>`: `system`, `session` or another word; the last one counts (B008).
    pub bus_type: Option<String>,
    /// `<user>`: the user name or uid to change to; the last one counts (B011).
    pub user: Option<String>,
    /// `<fork/>`: become a daemon (B012).
    pub fork: bool,
    /// `<keep_umask/>`: leave the umask alone when forking (B013).
    pub keep_umask: bool,
    /// `<syslog/>`: log to syslog as well (B014).
    pub syslog: bool,
    /// `<pidfile>`: the last one counts; as written, not relative to the file (B015).
    pub pidfile: Option<PathBuf>,
    /// `<allow_anonymous/>`: clients that authenticated by ANONYMOUS may connect (B016).
    pub allow_anonymous: bool,
    /// `<listen>`: addresses in file order; clients are told the last one first (B017).
    pub listen: Vec<String>,
    /// `<auth>`: permitted mechanisms; empty means all (B018).
    pub auth: Vec<String>,
    /// Where service files are searched, the first directory first (B019–B021). None twice.
    pub service_dirs: Vec<ServiceDirectory>,
    /// `<servicehelper>`: the last one counts; its presence makes this a system bus (B022).
    pub service_helper: Option<PathBuf>,
    /// `<limit>` (B023).
    pub limits: Limits,
    /// `<policy>` blocks in file order (B024).
    pub policies: Vec<PolicyBlock>,
    /// `<selinux><associate>`: bus name to security context; the later one counts (B025).
    pub selinux_contexts: BTreeMap<String, String>,
    /// `<apparmor>`: `None` means [`AppArmorMode::Enabled`] (B026).
    pub apparmor_mode: Option<AppArmorMode>,
}

/// One entry of the search path for service files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceDirectory {
    /// `<servicedir>` (config.md B019).
    Path(PathBuf),
    /// `<standard_session_servicedirs/>`: config.md B085–B088.
    StandardSession,
    /// `<standard_system_servicedirs/>`: config.md B089–B091.
    StandardSystem,
}

/// How AppArmor mediation is wanted (config.md B026).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AppArmorMode {
    /// Mediate if the kernel supports it.
    #[default]
    Enabled,
    /// Never mediate.
    Disabled,
    /// Refuse to start if the kernel does not support it.
    Required,
}

/// Where elements stand whose values are tried out only when the bus starts, so that a complaint
/// can name the place then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Of each [`BusConfig::listen`], in the same order.
    pub listen: Vec<Location>,
    /// Of the `<user>` that counts.
    pub user: Option<Location>,
    /// Of the `<pidfile>` that counts.
    pub pidfile: Option<Location>,
    /// Of the last `<auth>`.
    pub auth: Option<Location>,
    /// Of the `<apparmor>` that counts.
    pub apparmor: Option<Location>,
}

/// What comes of reading the configuration again while the bus runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reload {
    /// The configuration to go on with.
    pub config: BusConfig,
    /// The elements that changed in the files but count only from the next start on.
    pub postponed: Vec<&'static str>,
}

impl Loaded {
    /// Files that `running` was read from and that are left out now, since something is wrong with
    /// them: what they said would be lost. One that was removed is not among them.
    pub fn lost_files(&self, running: &BusConfig) -> Vec<&Problem> {
        let left_out = self.problems.iter().filter(|one| one.severity == Severity::Ignored);
        left_out
            .filter(|one| running.files.iter().any(|file| **file == *one.location.file))
            .collect()
    }
}

/// Takes from `fresh` what a running bus can change: limits, policies, service directories,
/// service helper, SELinux associations (config.md B106). The rest stays as `running` has it
/// (B107).
pub fn reload(running: &BusConfig, fresh: BusConfig) -> Reload {
    let unchanged = [
        ("type", running.bus_type == fresh.bus_type),
        ("user", running.user == fresh.user),
        ("fork", running.fork == fresh.fork),
        ("keep_umask", running.keep_umask == fresh.keep_umask),
        ("syslog", running.syslog == fresh.syslog),
        ("pidfile", running.pidfile == fresh.pidfile),
        ("allow_anonymous", running.allow_anonymous == fresh.allow_anonymous),
        ("listen", running.listen == fresh.listen),
        ("auth", running.auth == fresh.auth),
        ("apparmor", running.apparmor_mode == fresh.apparmor_mode),
    ];
    let postponed = unchanged.iter().filter(|(_, same)| !same).map(|(name, _)| *name).collect();
    let config = BusConfig {
        origin: fresh.origin,
        files: fresh.files,
        service_dirs: fresh.service_dirs,
        service_helper: fresh.service_helper,
        limits: fresh.limits,
        policies: fresh.policies,
        selinux_contexts: fresh.selinux_contexts,
        ..running.clone()
    };
    Reload { config, postponed }
}

/// A place in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file, as it was named by the command line or the including file.
    pub file: Arc<Path>,
    /// Counted from 1; 0 if the whole file is meant.
    pub line: u64,
    /// In characters, counted from 1; 0 if the whole file is meant.
    pub column: u64,
}

impl Location {
    /// The whole of `file`.
    pub(crate) fn whole(file: &Path) -> Self {
        Self { file: file.into(), line: 0, column: 0 }
    }
}

impl Default for Location {
    fn default() -> Self {
        Self::whole(Path::new(""))
    }
}

/// `FILE:LINE:COLUMN`, or `FILE` alone.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = ShownPath(&self.file);
        if self.line == 0 {
            return write!(f, "{file}");
        }
        write!(f, "{file}:{}:{}", self.line, self.column)
    }
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it was found.
    pub location: Location,
    /// What follows from it.
    pub severity: Severity,
    /// What it is.
    pub fault: Fault,
}

/// What follows from a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// There is no configuration: refuse to start, or keep the old one (config.md B005).
    Fatal,
    /// A file or directory found through `<includedir>` is left out.
    Ignored,
    /// The configuration stands, but says something that has no effect.
    Warning,
}

impl Problem {
    /// The problem in words, without its place.
    pub fn message(&self) -> String {
        match self.severity {
            Severity::Ignored => format!("{}; this file is left out", self.fault),
            Severity::Fatal | Severity::Warning => self.fault.to_string(),
        }
    }

    pub(crate) fn fatal(location: &Location, fault: impl Into<Fault>) -> Self {
        Self { location: location.clone(), severity: Severity::Fatal, fault: fault.into() }
    }

    pub(crate) fn warning(location: &Location, fault: impl Into<Fault>) -> Self {
        Self { location: location.clone(), severity: Severity::Warning, fault: fault.into() }
    }
}

/// `FILE:LINE:COLUMN: text`, one line.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.message())
    }
}

/// What can be wrong with a configuration file, one variant a rule. As text: what is wrong and
/// what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not XML; what the XML reader says.
    NotWellFormed(String),
    /// The doctype declares an entity by means of another one.
    EntityInEntity,
    /// The doctype declares attributes of elements.
    DeclaredAttributes,
    /// The root element is not `<busconfig>` (B002).
    WrongRoot(String),
    /// An element that does not exist or does not belong there (B003).
    UnexpectedElement {
        /// The element.
        element: String,
        /// The element it stands in.
        parent: String,
        /// A permitted element with nearly the same name.
        meant: Option<&'static str>,
    },
    /// An attribute that does not exist or does not belong there (B003).
    UnexpectedAttribute {
        /// The element that has it.
        element: String,
        /// The attribute.
        attribute: String,
        /// A permitted attribute with nearly the same name.
        meant: Option<&'static str>,
    },
    /// Text in an element that takes none (B003).
    UnexpectedText {
        /// The element.
        element: String,
        /// How the text starts.
        text: String,
    },
    /// No text in an element that needs it.
    MissingText(String),
    /// An element lacks an attribute that it needs.
    MissingAttribute {
        /// The element.
        element: &'static str,
        /// The attribute.
        attribute: &'static str,
    },
    /// An attribute's value is none of those it can have.
    BadValue {
        /// The attribute.
        attribute: &'static str,
        /// What it is set to.
        value: String,
        /// The values it can have, as a phrase.
        expected: &'static str,
    },
    /// A `<policy>` has not exactly one attribute (B047).
    PolicySubject,
    /// An `<allow>` or `<deny>` is wrong (B055–B073).
    Rule(RuleError),
    /// A `<limit>` is wrong (B045).
    Limit(LimitError),
    /// The root element of a file of limits of users is not `<buslimits>`.
    WrongLimitsRoot(String),
    /// A `<limit>` in such a file has not exactly one of the attributes user and group.
    LimitSubject,
    /// A limit that no single user or client runs into.
    NotOverridable(String),
    /// A limit that bounds nothing, in such a file (B044).
    LimitWithoutEffect(String),
    /// More such limits than [`limit_overrides::OVERRIDE_COUNT_MAX`].
    TooManyOverrides {
        /// The bound.
        max: usize,
    },
    /// There are more problems in a file than are told of.
    MoreProblems {
        /// How many more.
        count: usize,
    },
    /// No `<listen>` in any of the files (B004).
    NoListen,
    /// The top-level file is missing.
    NotFound(PathBuf),
    /// A file named by an `<include>` is missing (B009).
    MissingInclude(PathBuf),
    /// A file or directory cannot be read.
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// Why, as a phrase.
        reason: String,
    },
    /// A file includes itself, directly or through others (B009).
    CircularInclude(PathBuf),
    /// More than [`INCLUDE_DEPTH_MAX`] files inside each other.
    IncludedTooDeeply,
    /// More than [`FILE_COUNT_MAX`] files.
    TooManyFiles,
    /// All files together have more than [`CONFIG_SIZE_MAX`] bytes.
    TooLarge,
    /// More elements inside each other than any configuration has.
    NestedTooDeeply,
    /// Warning: an unknown `<auth>` mechanism, which no client can use.
    UnknownMechanism(String),
    /// Warning: `<associate own="*">` has no effect (B025).
    AssociateAny,
    /// Warning: likewise, with what no client can ever own.
    AssociateNoName(String),
    /// Warning: a `<policy>`, a connect rule or a limit for a user that does not exist (B048, B071).
    UnknownUser(String),
    /// Warning: likewise for a group (B048, B071).
    UnknownGroup(String),
}

impl From<RuleError> for Fault {
    fn from(error: RuleError) -> Self {
        Self::Rule(error)
    }
}

impl From<LimitError> for Fault {
    fn from(error: LimitError) -> Self {
        Self::Limit(error)
    }
}

impl fmt::Display for Fault {
    // One row a variant: a flat table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWellFormed(reason) => {
                write!(f, "this is not well-formed XML: {reason}")
            }
            Self::EntityInEntity => f.write_str(
                "this entity is made of another one, which would not be read where it is used; write the \
                 whole text here",
            ),
            Self::DeclaredAttributes => f.write_str(
                "values of attributes that a doctype declares are not read; write them at their elements",
            ),
            Self::WrongRoot(element) => write!(
                f,
                "the outermost element is <{element}>; a bus configuration starts with <busconfig>"
            ),
            Self::UnexpectedElement { element, parent, meant } => {
                write!(f, "there is no element <{element}> in <{parent}>")?;
                match meant {
                    Some(name) => write!(f, "; did you mean <{name}>?"),
                    None => write!(f, "; remove it"),
                }
            }
            Self::UnexpectedAttribute { element, attribute, meant } => {
                write!(f, "<{element}> has no attribute {attribute:?}")?;
                match meant {
                    Some(name) => write!(f, "; did you mean {name:?}?"),
                    None => write!(f, "; remove it"),
                }
            }
            Self::UnexpectedText { element, text } => write!(
                f,
                "<{element}> takes no text such as {text:?}; remove it or put it in a comment"
            ),
            Self::MissingText(element) => {
                write!(
                    f,
                    "<{element}> is empty; write its value between <{element}> and </{element}>"
                )
            }
            Self::MissingAttribute { element, attribute } => {
                write!(f, "<{element}> needs the attribute {attribute}=\"…\"")
            }
            Self::BadValue { attribute, value, expected } => {
                write!(f, "{attribute}={value:?} is not possible; write {expected}")
            }
            Self::PolicySubject => f.write_str(
                "<policy> needs exactly one of the attributes context=\"default|mandatory\", \
                 user, group, at_console=\"true|false\"",
            ),
            Self::Rule(error) => error.fmt(f),
            Self::Limit(error) => error.fmt(f),
            Self::WrongLimitsRoot(element) => write!(
                f,
                "the outermost element is <{element}>; a file of limits of users starts with \
                 <buslimits>"
            ),
            Self::LimitSubject => f.write_str(
                "<limit> needs exactly one of the attributes user=\"NAME|UID\" and \
                 group=\"NAME|GID\"",
            ),
            Self::NotOverridable(name) => write!(
                f,
                "the limit {name:?} is the same for everybody; write one of {}, or set it in the \
                 bus configuration",
                limit_overrides::OVERRIDABLE.join(", ")
            ),
            Self::LimitWithoutEffect(name) => write!(
                f,
                "the limit {name:?} bounds nothing, whoever it is for; remove it, or write one of {}",
                limit_overrides::OVERRIDABLE.join(", ")
            ),
            Self::TooManyOverrides { max } => {
                write!(f, "there are more than {max} limits of users and groups; remove some")
            }
            Self::MoreProblems { count } => write!(
                f,
                "{count} more {} wrong here and in what this includes; correct the others first",
                if *count == 1 { "thing is" } else { "things are" }
            ),
            Self::NoListen => f.write_str(
                "Configuration file needs one or more <listen> elements giving addresses; \
                 add one such as <listen>unix:tmpdir=/tmp</listen>",
            ),
            Self::NotFound(path) => {
                write!(f, "there is no file {}; create it, or correct its name", ShownPath(path))
            }
            Self::MissingInclude(path) => write!(
                f,
                "there is no file {}; create it, correct its name, or add ignore_missing=\"yes\"",
                ShownPath(path)
            ),
            Self::Unreadable { path, reason } => {
                write!(
                    f,
                    "{} cannot be read: {reason}; check what it is and its permissions",
                    ShownPath(path)
                )
            }
            Self::CircularInclude(path) => write!(
                f,
                "{} includes itself, directly or through others; remove this element",
                ShownPath(path)
            ),
            Self::IncludedTooDeeply => write!(
                f,
                "more than {INCLUDE_DEPTH_MAX} files include each other in a row; include this \
                 file from one further up"
            ),
            Self::TooManyFiles => write!(
                f,
                "the configuration has more than {FILE_COUNT_MAX} files; join some of them"
            ),
            Self::TooLarge => write!(
                f,
                "the files of the configuration have more than {CONFIG_SIZE_MAX} bytes together; \
                 shorten them"
            ),
            Self::NestedTooDeeply => {
                f.write_str("too many elements inside each other; close the outer ones first")
            }
            Self::UnknownMechanism(name) => write!(
                f,
                "no client can use the mechanism {name:?}; write EXTERNAL, DBUS_COOKIE_SHA1 or \
                 ANONYMOUS"
            ),
            Self::AssociateAny => {
                f.write_str("own=\"*\" stands for no name here; write an <associate> for each name")
            }
            Self::AssociateNoName(name) => write!(
                f,
                "own={name:?} is no well-known bus name, so that this has no effect; write one such \
                 as \"org.example.A\""
            ),
            Self::UnknownUser(name) => write!(
                f,
                "there is no user {name:?}, so that this has no effect; correct the name or remove it"
            ),
            Self::UnknownGroup(name) => write!(
                f,
                "there is no group {name:?}, so that this has no effect; correct the name or \
                 remove it"
            ),
        }
    }
}
