//! Notices that a directory with configuration or service files changed (config.md B105).
//!
//! One inotify descriptor watches all directories and is readable when something changed.
//! [`ConfigWatch::take_changes`] reads all that came in and answers once, so that a package that
//! installs ten files causes one reload. [`ConfigWatch::replace`] sets the watches anew, after each
//! reload: a directory that was removed and made again is another one to the kernel, though its
//! path is the same. It may wait for a slow file system, so a worker's thread calls it.
//!
//! For a directory that does not exist the nearest one above it is watched, until the next part of the
//! way appears. Where the way leads over a link, the directory of the link is watched as well: the link
//! may come to lead elsewhere. What changes between the reading of a directory and the first watch of it
//! is not noticed: [`Replaced::has_more`] says that it is to be read again.
//!
//! Bounds: [`WATCH_COUNT_MAX`] watches, of which the directories that exist have the first;
//! `LINK_COUNT_MAX` links on one way, `READ_COUNT_MAX` reads at once.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bus_policy::ShownPath;
use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustix::fs::{CWD, readlinkat};
use rustix::io::Errno;

use super::phrase;

/// Directories that are watched at most (config.md B105), also those on the way to others.
pub const WATCH_COUNT_MAX: usize = 128;
/// Links that are followed from one directory's path; the kernel follows as many.
const LINK_COUNT_MAX: usize = 40;
/// Reads of one call of [`ConfigWatch::take_changes`]; what is left wakes the reader again.
const READ_COUNT_MAX: usize = 16;
/// A name has up to 255 bytes, so that dozens of changes fit.
const BUFFER_SIZE: usize = 4096;
/// The files that are read from watched directories; others come and go unnoticed.
// deviation: the reference reloads for any file, such as an editor's copy.
const SUFFIXES: [&[u8]; 2] = [b".conf", b".service"];

/// Watches directories.
#[derive(Debug)]
pub struct ConfigWatch {
    inotify: OwnedFd,
    /// By the kernel's number of the watch.
    watched: Mutex<BTreeMap<i32, Watched>>,
}

/// A directory that is watched.
#[derive(Debug, Default)]
struct Watched {
    path: PathBuf,
    /// Whether files are read from it.
    has_files: bool,
    /// What leads from here to directories that do not exist yet, or leads there as a link.
    awaited: BTreeSet<OsString>,
}

/// How a path leads to a directory.
#[derive(Debug, Default)]
struct Way {
    /// The directory without any link in its path, if it exists.
    end: Option<PathBuf>,
    /// Each link, and the part that is missing: the directory where it is, or would be, and its name.
    turns: Vec<(PathBuf, OsString)>,
}

/// What [`ConfigWatch::replace`] did.
#[derive(Debug, Default)]
pub struct Replaced {
    /// What the administrator should know, one sentence each.
    pub complaints: Vec<String>,
    /// Whether directories are watched now that were not before, and may have changed since they were
    /// read.
    pub has_more: bool,
}

impl ConfigWatch {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// When the system or the user has no descriptor or inotify instance left.
    pub fn new() -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self { inotify, watched: Mutex::default() })
    }

    /// Watches these directories and no others.
    pub fn replace(&self, directories: &[PathBuf]) -> Replaced {
        let mut replaced = Replaced::default();
        let (mut seen, mut ways) = (BTreeSet::new(), Vec::new());
        for directory in directories.iter().filter(|directory| seen.insert(*directory)) {
            match Way::to(directory) {
                Ok(way) => ways.push((directory.as_path(), way)),
                Err(error) => replaced.complaints.push(complaint(directory, error)),
            }
        }
        let (planned, left_out) = plan(&ways);
        replaced.complaints.extend(too_many(&left_out, ways.len()));
        let mut fresh: BTreeMap<i32, Watched> = BTreeMap::new();
        for one in planned {
            match self.watch(&one) {
                Ok(watch) => fresh.entry(watch).or_default().join(one),
                // It went while the ways were looked for.
                Err(Errno::NOENT) => replaced.has_more = true,
                // It is no directory, and nothing can come below it.
                Err(Errno::NOTDIR) => {}
                Err(error) => replaced.complaints.push(complaint(&one.path, error)),
            }
        }
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        replaced.has_more |= fresh.iter().any(|(watch, one)| {
            let before = watched.get(watch);
            let had_files = before.is_some_and(|before| before.has_files);
            let awaits = |name| before.is_some_and(|before| before.awaited.contains(name));
            one.has_files && !had_files || !one.awaited.iter().all(awaits)
        });
        for watch in watched.keys().filter(|watch| !fresh.contains_key(watch)) {
            // Fails if the directory is gone, and its watch with it.
            let _ = inotify::remove_watch(&self.inotify, *watch);
        }
        *watched = fresh;
        replaced
    }

    fn watch(&self, one: &Watched) -> Result<i32, Errno> {
        let of_files = if one.has_files { changes_of_files() } else { WatchFlags::empty() };
        let awaited = !one.awaited.is_empty();
        let on_the_way = if awaited { changes_on_the_way() } else { WatchFlags::empty() };
        // Two paths may be one directory to the kernel.
        let flags = of_files | on_the_way | WatchFlags::MASK_ADD;
        inotify::add_watch(&self.inotify, &one.path, flags)
    }

    /// Whether anything changed since the last call.
    pub fn take_changes(&self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); BUFFER_SIZE];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = false;
        let mut read_count = 0;
        loop {
            if reader.is_buffer_empty() {
                read_count += 1;
            }
            if read_count > READ_COUNT_MAX {
                return changed;
            }
            match reader.next() {
                Ok(event) => changed |= matters(&event, watched.get(&event.wd())),
                Err(_) => return changed,
            }
        }
    }
}

impl AsFd for ConfigWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

impl Way {
    /// Goes from part to part and from link to link, as the kernel does.
    fn to(directory: &Path) -> Result<Self, Errno> {
        let mut way = Self::default();
        let (mut at, mut rest) = (PathBuf::new(), directory.to_owned());
        loop {
            let mut parts = rest.components();
            let Some(part) = parts.next() else { break };
            let behind = parts.as_path().to_owned();
            let next = at.join(part);
            let link = match part {
                Component::Normal(_) => readlinkat(CWD, &next, Vec::new()),
                _ => Err(Errno::INVAL),
            };
            let turn = (at.clone(), part.as_os_str().to_owned());
            match link {
                Ok(_) if way.turns.len() == LINK_COUNT_MAX => return Err(Errno::LOOP),
                Ok(target) => {
                    way.turns.push(turn);
                    rest = Path::new(OsStr::from_bytes(target.to_bytes())).join(behind);
                }
                // It is no link.
                Err(Errno::INVAL) => (at, rest) = (next, behind),
                Err(Errno::NOENT) => {
                    way.turns.push(turn);
                    return Ok(way);
                }
                // Above it is no directory, and nothing can come below that.
                Err(Errno::NOTDIR) => return Ok(way),
                Err(error) => return Err(error),
            }
        }
        way.end = Some(at);
        Ok(way)
    }
}

impl Watched {
    fn join(&mut self, other: Self) {
        self.path = other.path;
        self.has_files |= other.has_files;
        self.awaited.extend(other.awaited);
    }
}

/// What to watch, at most [`WATCH_COUNT_MAX`] directories, and for whose directories that is not all.
/// What exists comes before what may come.
fn plan<'a>(ways: &[(&'a Path, Way)]) -> (Vec<Watched>, BTreeSet<&'a Path>) {
    let mut planned: BTreeMap<&Path, Watched> = BTreeMap::new();
    let mut left_out = BTreeSet::new();
    let ends = ways.iter().filter_map(|(path, way)| Some((*path, way.end.as_deref()?, None)));
    let turns = ways.iter().flat_map(|(path, way)| {
        way.turns.iter().map(|(at, name)| (*path, at.as_path(), Some(name.clone())))
    });
    for (path, at, name) in ends.chain(turns) {
        if planned.len() == WATCH_COUNT_MAX && !planned.contains_key(at) {
            left_out.insert(path);
            continue;
        }
        let one = planned.entry(at).or_default();
        one.path = at.to_owned();
        one.has_files |= name.is_none();
        one.awaited.extend(name);
    }
    (planned.into_values().collect(), left_out)
}

fn too_many(left_out: &BTreeSet<&Path>, count: usize) -> Option<String> {
    let example = ShownPath(left_out.first()?);
    Some(format!(
        "Too many directories to watch them all: not every change in {} of {count}, such as \
         {example}, is noticed; send SIGHUP after one",
        left_out.len()
    ))
}

/// A file that is being written is not read before its writer has closed it; a link is there at once.
fn changes_of_files() -> WatchFlags {
    WatchFlags::CREATE
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::DELETE
        | WatchFlags::MOVED_TO
        | WatchFlags::MOVED_FROM
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR
}

/// A part of the way comes, or a link goes; and the directory where that would be seen may go itself.
fn changes_on_the_way() -> WatchFlags {
    WatchFlags::CREATE
        | WatchFlags::MOVED_TO
        | WatchFlags::DELETE
        | WatchFlags::MOVED_FROM
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR
}

/// Whether to reload for this. A change without a name is one of the directory itself, or says that
/// the kernel lost some.
fn matters(event: &inotify::Event<'_>, watched: Option<&Watched>) -> bool {
    let what = event.events();
    // That a watch ended: [`ConfigWatch::replace`] ended it, or another change says why.
    if what.contains(inotify::ReadFlags::IGNORED) {
        return false;
    }
    let Some(name) = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes())) else {
        return true;
    };
    let is_awaited = watched.is_none_or(|watched| watched.awaited.contains(name));
    let is_file = watched.is_some_and(|watched| {
        let is_new = what.contains(inotify::ReadFlags::CREATE);
        watched.has_files
            && SUFFIXES.iter().any(|suffix| name.as_bytes().ends_with(suffix))
            && (!is_new || watched.path.join(name).is_symlink())
    });
    let is_written = what.contains(inotify::ReadFlags::CLOSE_WRITE);
    is_file || is_awaited && !is_written
}

fn complaint(directory: &Path, error: Errno) -> String {
    let (reason, remedy) = match error {
        Errno::NOSPC => (
            "this user may watch no more files".to_owned(),
            "raise fs.inotify.max_user_watches, or ",
        ),
        error => (phrase(&error.into()), ""),
    };
    format!(
        "Cannot watch directory {}: {reason}; {remedy}send SIGHUP after a change in it",
        ShownPath(directory)
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;
    use crate::host::tests_support::TemporaryDirectory;

    fn is_readable(watch: &ConfigWatch) -> bool {
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(watch, PollFlags::IN)], Some(&none)).unwrap() == 1
    }

    fn watching(directories: &[&Path]) -> ConfigWatch {
        let watch = ConfigWatch::new().unwrap();
        let directories: Vec<PathBuf> = directories.iter().map(|path| path.into()).collect();
        assert_eq!(watch.replace(&directories).complaints, [""; 0]);
        watch
    }

    // config.md B105. The kernel reports a change before the call that made it returns.
    #[test]
    fn each_kind_of_change_is_noticed_once() {
        let directory = TemporaryDirectory::new();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("d")).unwrap();
        fs::write(path("away.conf"), "").unwrap();
        fs::write(path("d/gone.conf"), "").unwrap();
        let watch = watching(&[&path("d")]);
        let check = |case: &str, expected: bool, change: &dyn Fn()| {
            change();
            assert_eq!(watch.take_changes(), expected, "{case}");
            assert!(!watch.take_changes() && !is_readable(&watch), "{case}: more than once");
        };
        check("nothing", false, &|| {});
        check("written", true, &|| fs::write(path("d/a.conf"), "").unwrap());
        check("two files", true, &|| {
            fs::write(path("d/b.conf"), "x").unwrap();
            fs::write(path("d/c.service"), "x").unwrap();
        });
        check("deleted", true, &|| fs::remove_file(path("d/gone.conf")).unwrap());
        check("moved here", true, &|| fs::rename(path("away.conf"), path("d/new.conf")).unwrap());
        check("moved away", true, &|| fs::rename(path("d/new.conf"), path("away.conf")).unwrap());
        check("read", false, &|| drop(fs::read(path("d/a.conf")).unwrap()));
        check("neither configuration nor service", false, &|| {
            fs::write(path("d/a.conf~"), "").unwrap();
        });
        check("still open", false, &|| {
            // Its end is not seen: the change counts when the file is closed.
            std::mem::forget(fs::File::create(path("d/open.conf")).unwrap());
        });
        check("directory moved", true, &|| fs::rename(path("d"), path("e")).unwrap());
        check("directory gone", true, &|| fs::remove_dir_all(path("e")).unwrap());
    }

    #[test]
    fn more_changes_than_one_read_takes_are_one() {
        let directory = TemporaryDirectory::new();
        let watch = watching(&[directory.path()]);
        for number in 0..300 {
            fs::write(directory.path().join(format!("{number:0>200}.conf")), "").unwrap();
        }
        assert!(watch.take_changes());
        while is_readable(&watch) {
            watch.take_changes();
        }
        assert!(!watch.take_changes());
    }

    #[test]
    fn the_watches_are_replaced() {
        let directory = TemporaryDirectory::new();
        let [old, kept, later] = ["old", "kept", "later"].map(|name| directory.path().join(name));
        fs::create_dir(&old).unwrap();
        fs::create_dir(&kept).unwrap();
        let watch = watching(&[&old, &kept, &later]);
        let check = |case: &str, path: &Path, expected: bool| {
            fs::write(path.join("a.conf"), "").unwrap();
            assert_eq!(watch.take_changes(), expected, "{case}");
        };
        check("first", &old, true);
        let replaced = watch.replace(&[kept.clone(), later.clone()]);
        assert!(replaced.complaints.is_empty() && !replaced.has_more, "{replaced:?}");
        check("no longer", &old, false);
        check("kept", &kept, true);
        fs::create_dir(&later).unwrap();
        check("appeared", &later, true);
        let replaced = watch.replace(&[kept.clone(), later.clone()]);
        assert!(replaced.complaints.is_empty() && replaced.has_more, "{replaced:?}");
        check("appeared, after a reload", &later, true);
        // Another directory at the same path.
        fs::remove_dir_all(&kept).unwrap();
        assert!(watch.take_changes());
        fs::create_dir(&kept).unwrap();
        assert!(watch.replace(&[kept.clone(), later.clone()]).has_more);
        check("made again", &kept, true);
    }

    // config.md B086, B097
    #[test]
    fn a_way_that_appears_is_followed() {
        let directory = TemporaryDirectory::new();
        let all = [directory.path().join("a/b/services"), directory.path().join("a/conf.d")];
        let watch = ConfigWatch::new().unwrap();
        let replace = || watch.replace(&all);
        assert!(replace().has_more);
        fs::create_dir(directory.path().join("other")).unwrap();
        assert!(!watch.take_changes(), "not on the way");
        for part in ["a", "a/b", "a/b/services"] {
            fs::create_dir(directory.path().join(part)).unwrap();
            assert!(watch.take_changes(), "{part}");
            assert!(replace().has_more && !replace().has_more, "{part}");
        }
        fs::write(directory.path().join("a/x.service"), "").unwrap();
        assert!(!watch.take_changes(), "no files are read from there");
        fs::write(all[0].join("x.service"), "").unwrap();
        assert!(watch.take_changes());
        symlink("x.service", all[0].join("y.service")).unwrap();
        assert!(watch.take_changes(), "a link is there at once");
        fs::create_dir(&all[1]).unwrap();
        assert!(watch.take_changes(), "the other way goes on");
    }

    // config.md B105
    #[test]
    fn links_on_the_way_are_followed() {
        let directory = TemporaryDirectory::new();
        let path = |name: &str| directory.path().join(name);
        let link = |target: &str, name: &str| symlink(target, path(name)).unwrap();
        for name in ["there", "there/conf.d", "other"] {
            fs::create_dir(path(name)).unwrap();
        }
        link("current/conf.d", "link");
        link("there", "current");
        let watch = watching(&[&path("link")]);
        let check = |case: &str, change: &dyn Fn()| {
            change();
            assert!(watch.take_changes(), "{case}");
            watch.replace(&[path("link")]);
            assert!(!watch.replace(&[path("link")]).has_more, "{case}");
            assert!(!watch.take_changes(), "{case}: more than once");
        };
        let write = |name: &str| fs::write(path(name), "").unwrap();
        check("a file behind links", &|| write("there/conf.d/a.conf"));
        check("what they lead to goes", &|| fs::remove_dir_all(path("there/conf.d")).unwrap());
        check("and all above it", &|| fs::remove_dir_all(path("there")).unwrap());
        check("it comes back in part", &|| fs::create_dir(path("there")).unwrap());
        check("it comes back", &|| fs::create_dir(path("there/conf.d")).unwrap());
        check("a file in it", &|| write("there/conf.d/a.conf"));
        check("a link leads elsewhere", &|| {
            symlink("other", path("new")).unwrap();
            fs::rename(path("new"), path("current")).unwrap();
        });
        check("what it leads to now comes", &|| fs::create_dir(path("other/conf.d")).unwrap());
        check("a file there", &|| write("other/conf.d/a.conf"));
        check("a link goes", &|| fs::remove_file(path("link")).unwrap());
        check("and comes back", &|| link("other/../there/conf.d", "link"));
        check("a file behind it", &|| write("there/conf.d/a.conf"));
        write("other/conf.d/a.conf");
        assert!(!watch.take_changes(), "nothing leads there");
    }

    #[test]
    fn links_that_lead_to_each_other_are_said() {
        let directory = TemporaryDirectory::new();
        let [one, other] = ["one", "other"].map(|name| directory.path().join(name));
        symlink(&one, &other).unwrap();
        symlink(&other, &one).unwrap();
        let complaints = ConfigWatch::new().unwrap().replace(&[one]).complaints;
        assert!(complaints[0].contains("Too many"), "{complaints:?}");
    }

    #[test]
    fn directories_that_exist_come_before_those_that_may() {
        let directory = TemporaryDirectory::new();
        let path = |name: String| directory.path().join(name);
        let there = path("there".to_owned());
        fs::create_dir(&there).unwrap();
        // All are awaited in one directory.
        let missing = (0..=WATCH_COUNT_MAX).map(|number| path(format!("missing {number}")));
        let mut all: Vec<PathBuf> = missing.collect();
        all.extend([there.clone(), there.clone()]);
        let watch = ConfigWatch::new().unwrap();
        assert_eq!(watch.replace(&all).complaints, [""; 0], "two directories are watched");
        // Each of these is awaited in one of its own.
        let far: Vec<PathBuf> = (1..WATCH_COUNT_MAX)
            .map(|number| path(format!("{number}/missing")))
            .inspect(|path| fs::create_dir(path.parent().unwrap()).unwrap())
            .chain([there.clone()])
            .collect();
        assert_eq!(watch.replace(&far).complaints, [""; 0], "at the bound");
        fs::create_dir(path("0".to_owned())).unwrap();
        let complaints =
            watch.replace(&[&[path("0/missing".to_owned())], &far[..]].concat()).complaints;
        let last = ShownPath(&far[WATCH_COUNT_MAX - 2]).to_string();
        assert!(
            complaints[0].contains(" 1 of 129,") && complaints[0].contains(&last),
            "{complaints:?}"
        );
        watch.take_changes();
        fs::create_dir(&far[WATCH_COUNT_MAX - 2]).unwrap();
        assert!(!watch.take_changes(), "one past the bound");
        fs::create_dir(&far[WATCH_COUNT_MAX - 3]).unwrap();
        assert!(watch.take_changes(), "the last but one");
        fs::write(there.join("a.conf"), "").unwrap();
        assert!(watch.take_changes(), "what exists");
    }

    #[test]
    fn what_cannot_be_watched_is_said() {
        let directory = TemporaryDirectory::new();
        let paths: Vec<PathBuf> =
            (0..=WATCH_COUNT_MAX).map(|number| directory.path().join(number.to_string())).collect();
        paths.iter().for_each(|path| fs::create_dir(path).unwrap());
        let watch = ConfigWatch::new().unwrap();
        assert_eq!(watch.replace(&paths[1..]).complaints, [""; 0], "at the bound");
        let complaints = watch.replace(&paths).complaints;
        assert!(complaints[0].contains(" 1 of 129, such as"), "{complaints:?}");
        assert_eq!(complaints.len(), 1);
        fs::write(paths[WATCH_COUNT_MAX].join("a.conf"), "").unwrap();
        assert!(!watch.take_changes(), "one past the bound");
        let text = complaint(Path::new("/d"), Errno::NOSPC);
        assert!(text.contains("/d: ") && text.contains("fs.inotify.max_user_watches"), "{text}");
        let text = complaint(Path::new("/d"), Errno::ACCESS);
        assert_eq!(
            text,
            "Cannot watch directory /d: Permission denied; send SIGHUP after a change in it"
        );
    }
}
