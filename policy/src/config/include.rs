//! Follows `<include>` and `<includedir>` from the top-level file (config.md B009, B010).
//!
//! Each file is read into a configuration of its own, which starts with the limits of the
//! including file and is taken over as a whole, or not at all.
//!
//! Bounds, for all files of one configuration: [`INCLUDE_DEPTH_MAX`], [`FILE_COUNT_MAX`],
//! [`CONFIG_SIZE_MAX`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::document::{Element, parse_document};
use super::{
    BusConfig, ConfigFiles, Fault, FileError, Limits, Loaded, Location, Problem, Severity,
};

/// Files including each other in a row, the top-level file counted.
pub const INCLUDE_DEPTH_MAX: usize = 16;
/// Files of one configuration, a file that is included twice counted twice.
pub const FILE_COUNT_MAX: usize = 4096;
/// Bytes of all files of one configuration.
pub const CONFIG_SIZE_MAX: usize = 16 * 1024 * 1024;

/// Problems that are told of besides the first one of each wrong file.
const FURTHER_COUNT_MAX: usize = 1000;

pub(super) fn load(path: &Path, files: &impl ConfigFiles) -> Loaded {
    let mut loader = Loader::new(files);
    let top_level = loader.read_file(path, &Location::whole(path), &Limits::default());
    let missing = || Problem::fatal(&Location::whole(path), Fault::NotFound(path.to_owned()));
    let top_level = top_level.and_then(|config| config.ok_or_else(missing));
    loader.finish(path, top_level)
}

pub(super) fn load_text(path: &Path, text: &[u8], files: &impl ConfigFiles) -> Loaded {
    let mut loader = Loader::new(files);
    let top_level = loader.read_text(path, text, &Location::whole(path), &Limits::default());
    loader.finish(path, top_level)
}

/// The reading of all files of one configuration.
pub(super) struct Loader<'a, F> {
    pub(super) files: &'a F,
    problems: Vec<Problem>,
    watched_directories: Vec<PathBuf>,
    /// What the top-level file says, if it is wrong.
    remains: Option<BusConfig>,
    /// What else is wrong in files that are wrong, behind the first thing.
    further: Vec<Problem>,
    /// How much of that is not told.
    untold_count: usize,
    /// The canonical paths of the files being read, each included by the one before.
    open_files: Vec<PathBuf>,
    file_count: usize,
    /// Bytes of all files up to now.
    size: usize,
}

/// One file while it is read.
pub(super) struct OpenFile {
    /// Where its relative paths start from.
    directory: PathBuf,
    pub(super) config: BusConfig,
}

impl OpenFile {
    /// The path that the text `path` in this file means.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.directory.join(path)
    }
}

impl<'a, F: ConfigFiles> Loader<'a, F> {
    fn new(files: &'a F) -> Self {
        Self {
            files,
            problems: Vec::new(),
            further: Vec::new(),
            untold_count: 0,
            watched_directories: Vec::new(),
            remains: None,
            open_files: Vec::new(),
            file_count: 0,
            size: 0,
        }
    }

    /// Ends with the top-level file: it must listen somewhere, whoever included says where
    /// (config.md B004).
    fn finish(mut self, path: &Path, top_level: Result<BusConfig, Problem>) -> Loaded {
        let mut fatal = std::mem::take(&mut self.further);
        let mut config = top_level.map_err(|problem| fatal.push(problem)).ok();
        if let Some(silent) = config.take_if(|config| config.listen.is_empty()) {
            fatal.push(Problem::fatal(&silent.origin, Fault::NoListen));
            self.remains = Some(silent);
        }
        sort_by_place(&mut fatal);
        fatal.extend(more_problems(path, self.untold_count));
        self.problems.extend(fatal);
        let Self { problems, remains, watched_directories, .. } = self;
        Loaded { config, remains, problems, watched_directories }
    }

    /// Reads the file `path`, which `included_at` names. `None` if there is no such file.
    fn read_file(
        &mut self,
        path: &Path,
        included_at: &Location,
        limits: &Limits,
    ) -> Result<Option<BusConfig>, Problem> {
        let text = self.files.read(path, CONFIG_SIZE_MAX);
        self.read_content(path, text, included_at, limits)
    }

    fn read_content(
        &mut self,
        path: &Path,
        text: Result<Vec<u8>, FileError>,
        included_at: &Location,
        limits: &Limits,
    ) -> Result<Option<BusConfig>, Problem> {
        match text {
            Ok(text) => self.read_text(path, &text, included_at, limits).map(Some),
            Err(FileError::NotFound) => Ok(None),
            // What it led to was removed, as files are; but that is told.
            Err(FileError::LinkToNothing(reason)) => {
                self.warn(included_at, Fault::Unreadable { path: path.to_owned(), reason });
                Ok(None)
            }
            Err(FileError::Other(reason)) => {
                let path = path.to_owned();
                Err(Problem::fatal(included_at, Fault::Unreadable { path, reason }))
            }
        }
    }

    fn read_text(
        &mut self,
        path: &Path,
        text: &[u8],
        included_at: &Location,
        limits: &Limits,
    ) -> Result<BusConfig, Problem> {
        self.count_file(path, text.len()).map_err(|fault| Problem::fatal(included_at, fault))?;
        self.open_files.push(self.files.canonical(path));
        let config = self.read_elements(path, text, limits);
        self.open_files.pop();
        config
    }

    fn read_elements(
        &mut self,
        path: &Path,
        text: &[u8],
        limits: &Limits,
    ) -> Result<BusConfig, Problem> {
        let root = parse_document(&Arc::from(path), text)?;
        let (origin, limits) = (root.location.clone(), limits.clone());
        let files = vec![path.to_owned()];
        let config = BusConfig { origin, limits, files, ..BusConfig::default() };
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        let mut file = OpenFile { directory, config };
        match self.read_root(&mut file, &root) {
            Ok(()) => Ok(file.config),
            Err(problem) => {
                let is_top_level = self.open_files.len() == 1;
                if is_top_level {
                    self.remains = Some(file.config);
                }
                Err(problem)
            }
        }
    }

    /// Charges one more file of `size` bytes against the bounds.
    fn count_file(&mut self, path: &Path, size: usize) -> Result<(), Fault> {
        if self.open_files.contains(&self.files.canonical(path)) {
            return Err(Fault::CircularInclude(path.to_owned()));
        }
        if self.open_files.len() == INCLUDE_DEPTH_MAX {
            return Err(Fault::IncludedTooDeeply);
        }
        if self.file_count == FILE_COUNT_MAX {
            return Err(Fault::TooManyFiles);
        }
        self.file_count += 1;
        self.size = self.size.saturating_add(size);
        if self.size > CONFIG_SIZE_MAX {
            return Err(Fault::TooLarge);
        }
        Ok(())
    }

    /// `<include>` (config.md B009).
    pub(super) fn include(
        &mut self,
        file: &mut OpenFile,
        element: &Element,
    ) -> Result<(), Problem> {
        let ignore_missing = element.yes_or_no("ignore_missing")?;
        let if_selinux_enabled = element.yes_or_no("if_selinux_enabled")?;
        let selinux_root_relative = element.yes_or_no("selinux_root_relative")?;
        let target = element.value()?;
        if if_selinux_enabled && !self.files.selinux_enabled() {
            return Ok(());
        }
        // (ref) that there is a root does not depend on SELinux.
        let path = match selinux_root_relative {
            true => self.files.selinux_root().join(target),
            false => file.resolve(target),
        };
        match self.read_file(&path, &element.location, &file.config.limits)? {
            Some(included) => file.config.absorb(included),
            None if ignore_missing => {}
            None => return Err(Problem::fatal(&element.location, Fault::MissingInclude(path))),
        }
        Ok(())
    }

    /// `<includedir>` (config.md B010): every `*.conf`, those that are wrong left out (B005).
    ///
    /// A directory that cannot be read is fatal, one that is not there is empty, and read when it comes.
    ///
    /// deviation: in the order of their names, as dbus-broker does; the order of the reference is
    /// that of the directory.
    pub(super) fn include_directory(
        &mut self,
        file: &mut OpenFile,
        element: &Element,
    ) -> Result<(), Problem> {
        let directory = file.resolve(element.value()?);
        self.watch(directory.clone());
        let paths = match conf_files(&directory, self.files) {
            Ok(paths) => paths,
            Err(FileError::NotFound) => return Ok(()),
            Err(FileError::LinkToNothing(reason)) => {
                self.warn(&element.location, Fault::Unreadable { path: directory, reason });
                return Ok(());
            }
            // What is in there may be what denies: without it more would be allowed.
            Err(FileError::Other(reason)) => {
                let fault = Fault::Unreadable { path: directory, reason };
                return Err(Problem::fatal(&element.location, fault));
            }
        };
        for path in paths {
            // config.md B009: it is in force once, and so nothing of it would be lost by a reload.
            if self.open_files.contains(&self.files.canonical(&path)) {
                self.warn(&element.location, Fault::CircularInclude(path));
                continue;
            }
            let (place, size) = (Location::whole(&path), self.size);
            let (further, untold) = (self.further.len(), self.untold_count);
            // The name is there, so that nobody has removed what it stands for.
            let text = match self.files.read_listed(&path, CONFIG_SIZE_MAX) {
                Err(FileError::LinkToNothing(reason)) => Err(FileError::Other(reason)),
                read => read,
            };
            match self.read_content(&path, text, &place, &file.config.limits) {
                Ok(Some(included)) => file.config.absorb(included),
                // It was removed since the directory was read.
                Ok(None) => {}
                Err(problem) => {
                    let mut problems = self.further.split_off(further);
                    problems.push(problem);
                    sort_by_place(&mut problems);
                    problems.extend(more_problems(&path, self.untold_count - untold));
                    self.untold_count = untold;
                    problems.into_iter().for_each(|problem| self.leave_out(problem));
                    // Or the files after a large one would be left out, too.
                    self.size = size;
                }
            }
        }
        Ok(())
    }

    /// Goes on in a file after a problem, so that all of them are told at once. Answers the first.
    pub(super) fn note_further(
        &mut self,
        first: Result<(), Problem>,
        next: Result<(), Problem>,
    ) -> Result<(), Problem> {
        match (first, next) {
            (Ok(()), next) => next,
            (first, Ok(())) => first,
            (first, Err(problem)) => {
                match self.further.len() < FURTHER_COUNT_MAX {
                    true => self.further.push(problem),
                    false => self.untold_count += 1,
                }
                first
            }
        }
    }

    fn leave_out(&mut self, problem: Problem) {
        self.problems.push(Problem { severity: Severity::Ignored, ..problem });
    }

    /// Notes a directory whose changes call for a reload (config.md B105).
    pub(super) fn watch(&mut self, directory: PathBuf) {
        if !self.watched_directories.contains(&directory) {
            self.watched_directories.push(directory);
        }
    }

    pub(super) fn warn(&mut self, location: &Location, fault: impl Into<Fault>) {
        self.problems.push(Problem::warning(location, fault));
    }
}

/// The `*.conf` files of a directory, in the order of their names (config.md B010).
///
/// # Errors
/// As [`ConfigFiles::list`].
pub(super) fn conf_files(
    directory: &Path,
    files: &impl ConfigFiles,
) -> Result<Vec<PathBuf>, FileError> {
    let mut paths = files.list(directory)?;
    paths.retain(|path| path.as_os_str().as_encoded_bytes().ends_with(b".conf"));
    paths.sort();
    Ok(paths)
}

/// What there is besides the problems of a file that are told of.
pub(super) fn more_problems(path: &Path, count: usize) -> Option<Problem> {
    let fault = Fault::MoreProblems { count };
    (count > 0).then(|| Problem::fatal(&Location::whole(path), fault))
}

/// As they stand in the files.
pub(super) fn sort_by_place(problems: &mut [Problem]) {
    problems.sort_by(|one, other| {
        let place = |problem: &Problem| (problem.location.line, problem.location.column);
        let files = one.location.file.cmp(&other.location.file);
        files.then_with(|| place(one).cmp(&place(other)))
    });
}

impl super::Places {
    fn absorb(&mut self, included: Self) {
        self.listen.extend(included.listen);
        self.user = included.user.or(self.user.take());
        self.pidfile = included.pidfile.or(self.pidfile.take());
        self.auth = included.auth.or(self.auth.take());
        self.apparmor = included.apparmor.or(self.apparmor.take());
    }
}

impl BusConfig {
    /// Takes over what an included file says, at the place where it is included.
    ///
    /// deviation: `<syslog/>` of an included file counts; the reference forgets it.
    fn absorb(&mut self, included: Self) {
        self.bus_type = included.bus_type.or(self.bus_type.take());
        self.user = included.user.or(self.user.take());
        self.places.absorb(included.places);
        self.files.extend(included.files);
        self.fork |= included.fork;
        self.keep_umask |= included.keep_umask;
        self.syslog |= included.syslog;
        self.pidfile = included.pidfile.or(self.pidfile.take());
        self.allow_anonymous |= included.allow_anonymous;
        self.listen.extend(included.listen);
        self.auth.extend(included.auth);
        for directory in included.service_dirs {
            self.add_service_directory(directory);
        }
        self.service_helper = included.service_helper.or(self.service_helper.take());
        self.limits = included.limits;
        self.policies.extend(included.policies);
        self.selinux_contexts.extend(included.selinux_contexts);
        self.apparmor_mode = included.apparmor_mode.or(self.apparmor_mode);
    }

    /// Adds a directory unless it is there already: the first place counts (config.md B092).
    pub(super) fn add_service_directory(&mut self, directory: super::ServiceDirectory) {
        if !self.service_dirs.contains(&directory) {
            self.service_dirs.push(directory);
        }
    }
}
