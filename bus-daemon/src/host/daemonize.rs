//! Becoming a daemon: the fork, the pid file, and the lines that tell others the bus is there.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{IntoRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, setsid};
use rustix::fs::{Mode, OFlags, fcntl_getfl};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{chdir, umask};

use super::phrase;
use super::system_call::{adopt_inherited_fd, fork_single_threaded, set_close_on_exec_from};

/// The umask of a daemon (config.md B013): what it creates, others may not write.
const DAEMON_UMASK: Mode = Mode::from_raw_mode(0o022);

/// Keeps descriptors that the daemon was started with from reaching the services it starts
/// (config.md B126). Call first of all.
///
/// That the descriptors 0 to 2 are open, with `/dev/null` if need be, the Rust runtime has seen to
/// before `main`.
///
/// # Errors
/// On kernels before Linux 5.11; the bus works without it.
pub fn close_on_exec_beyond_stdio() -> io::Result<()> {
    set_close_on_exec_from(3)
}

/// What becomes of the umask when the daemon goes to the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Umask {
    /// `<keep_umask/>`: as inherited.
    Keep,
    /// 022.
    Daemon,
}

/// The background process's duty to tell the process it was forked from that it works now.
///
/// Until [`report_ready`](Self::report_ready) the parent waits, standard input, output and error
/// are still the parent's, and an end of this process becomes the parent's exit code.
#[derive(Debug)]
pub struct Background {
    ready: OwnedFd,
}

/// Goes on in a new background process: own session, root directory, umask as asked. The parent
/// never returns from here: it ends with code 0 once the child is ready, else with the child's code.
/// No destructor runs in the parent, so that its copies of sockets and files stay in place.
///
/// # Errors
/// When the process has other threads already, or the system has no process left.
pub fn fork_to_background(mask: Umask) -> io::Result<Background> {
    fork_to_background_by(fork_single_threaded, mask)
}

fn fork_to_background_by(
    fork: fn() -> io::Result<ForkResult>,
    mask: Umask,
) -> io::Result<Background> {
    let (reader, ready) = pipe_with(PipeFlags::CLOEXEC)?;
    match fork()? {
        ForkResult::Parent { child } => {
            drop(ready);
            std::process::exit(exit_code_when_settled(reader, child))
        }
        ForkResult::Child => {
            setsid()?;
            chdir("/")?;
            if mask == Umask::Daemon {
                umask(DAEMON_UMASK);
            }
            Ok(Background { ready })
        }
    }
}

impl Background {
    /// Lets the parent end with success and leaves its terminal: standard input, output and error
    /// become `/dev/null`. Call when sockets, pid file and printed lines are done.
    ///
    /// # Errors
    /// When `/dev/null` can not be opened.
    pub fn report_ready(self) -> io::Result<()> {
        leave_terminal()?;
        File::from(self.ready).write_all(b"\n")
    }
}

/// Makes `/dev/null` of standard input, output and error, so that nobody waits for their end.
pub(super) fn leave_terminal() -> io::Result<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}

/// Waits until the child wrote its byte, or ended without.
fn exit_code_when_settled(reader: OwnedFd, child: Pid) -> i32 {
    if matches!(File::from(reader).read(&mut [0]), Ok(1)) {
        return 0;
    }
    match waitpid(child, None) {
        Ok(WaitStatus::Exited(_, code)) => code,
        _ => 1,
    }
}

/// The file that names the daemon's process; removed when this value goes (config.md B015).
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    /// Whose file it is: a forked copy of this value must not remove it.
    pid: u32,
}

/// Why a pid file was not made; fatal at start.
#[derive(Debug)]
pub enum PidFileError {
    /// There is one already: another daemon runs, or one ended without removing it.
    Exists(PathBuf),
    /// The file system refused.
    Io(PathBuf, io::Error),
}

impl fmt::Display for PidFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists(path) => write!(
                f,
                "The pid file \"{}\" exists; if the message bus is not running, remove this file",
                path.display()
            ),
            Self::Io(path, error) => {
                let (path, phrase) = (path.display(), phrase(error));
                write!(
                    f,
                    "Failed to write the pid file \"{path}\": {phrase}; create its directory or \
                     change the <pidfile> element"
                )
            }
        }
    }
}

impl std::error::Error for PidFileError {}

impl PidFile {
    /// Answers whether there is none at `path` yet. Ask before listening: a second daemon must not
    /// take the sockets of the first away.
    ///
    /// # Errors
    /// [`PidFileError::Exists`].
    pub fn check_absent(path: &Path) -> Result<(), PidFileError> {
        if path.exists() { Err(PidFileError::Exists(path.to_owned())) } else { Ok(()) }
    }

    /// Writes this process's id and a newline to a new file at `path`.
    ///
    /// # Errors
    /// See [`PidFileError`]; nothing is left behind.
    pub fn create(path: &Path) -> Result<Self, PidFileError> {
        let pid = std::process::id();
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => PidFileError::Exists(path.to_owned()),
            _ => PidFileError::Io(path.to_owned(), error),
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(path)
            .map_err(failed)?;
        let pid_file = Self { path: path.to_owned(), pid };
        file.write_all(format!("{pid}\n").as_bytes()).map_err(failed)?;
        Ok(pid_file)
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if self.pid == std::process::id() {
            // After dropping privileges the directory may be out of reach: nothing more can be done.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A descriptor that the daemon was started with, to print a line to (config.md B122).
#[derive(Debug)]
pub struct PrintFd {
    /// Always there until the end.
    file: Option<File>,
    /// Standard input, output and error stay open: a closed one would be given to the next socket,
    /// and stray output with it.
    stays_open: bool,
}

impl PrintFd {
    /// Takes the descriptor over. Call before any descriptor is opened: one that nobody handed over
    /// could be our own by then.
    ///
    /// # Errors
    /// When it is not open for writing.
    pub fn take(fd: RawFd) -> io::Result<Self> {
        let file = File::from(adopt_inherited_fd(fd)?);
        let access = fcntl_getfl(&file)? & OFlags::RWMODE;
        let taken = Self { file: Some(file), stays_open: fd <= 2 };
        if access == OFlags::RDONLY { Err(Errno::BADF.into()) } else { Ok(taken) }
    }

    /// Writes `text` and a newline in one write and closes the descriptor, so that the reader sees
    /// the end. For the address and the pid on one descriptor, pass both lines together.
    ///
    /// # Errors
    /// When its reader is gone.
    pub fn print_line(mut self, text: &str) -> io::Result<()> {
        self.file.iter_mut().try_for_each(|file| file.write_all(format!("{text}\n").as_bytes()))
    }
}

impl Drop for PrintFd {
    fn drop(&mut self) {
        if let Some(file) = self.file.take_if(|_| self.stays_open) {
            let _still_open = file.into_raw_fd();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::pipe;
    use std::process::Command;

    use super::*;
    use crate::host::tests_support::TemporaryDirectory;

    // config.md B126
    #[test]
    fn inherited_descriptors_stay_with_the_daemon() {
        use rustix::io::{FdFlags, fcntl_getfd};
        let (reader, _writer) = pipe_with(PipeFlags::empty()).unwrap();
        assert!(!fcntl_getfd(&reader).unwrap().contains(FdFlags::CLOEXEC));
        close_on_exec_beyond_stdio().unwrap();
        assert!(fcntl_getfd(&reader).unwrap().contains(FdFlags::CLOEXEC));
        assert!(!fcntl_getfd(io::stdout()).unwrap().contains(FdFlags::CLOEXEC));
    }

    // config.md B015
    #[test]
    fn a_pid_file_is_written_once_and_removed() {
        let directory = TemporaryDirectory::new();
        let path = directory.path().join("pid");
        PidFile::check_absent(&path).unwrap();
        let pid_file = PidFile::create(&path).unwrap();
        assert!(matches!(PidFile::check_absent(&path), Err(PidFileError::Exists(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        let error = PidFile::create(&path).unwrap_err();
        assert!(matches!(&error, PidFileError::Exists(at) if *at == path), "{error}");
        drop(pid_file);
        assert!(!path.exists());
        let error = PidFile::create(&path.join("in a missing directory")).unwrap_err();
        assert!(matches!(error, PidFileError::Io(..)), "{error}");
    }

    #[test]
    fn a_forked_copy_leaves_the_pid_file() {
        let directory = TemporaryDirectory::new();
        let path = directory.path().join("pid");
        let mut pid_file = PidFile::create(&path).unwrap();
        pid_file.pid += 1;
        drop(pid_file);
        assert!(path.exists());
    }

    // config.md B122
    #[test]
    fn a_printed_line_ends_with_the_descriptor() {
        let (mut reader, writer) = pipe().unwrap();
        PrintFd::take(writer.into_raw_fd()).unwrap().print_line("unix:path=/x,guid=1").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "unix:path=/x,guid=1\n");
    }

    #[test]
    fn printing_to_a_closed_or_negative_descriptor_is_an_error() {
        for fd in [-1, 1_000_000] {
            let error = PrintFd::take(fd).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EBADF));
        }
    }

    #[test]
    fn forking_is_refused_beside_other_threads() {
        let (hold, wait) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || wait.recv());
        let error = fork_to_background(Umask::Keep).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBUSY));
        drop(hold);
        other.join().unwrap().unwrap_err();
    }

    /// Runs `in_background` below in a fresh process, where a fork is possible.
    fn background(outcome: &str, pid_file: &Path) -> std::process::Output {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "host::daemonize::tests::in_background"])
            .args(["--ignored", "--nocapture", "--test-threads=1"])
            .env("TEST_OUTCOME", outcome)
            .env("TEST_PID_FILE", pid_file)
            .output()
            .unwrap()
    }

    #[test]
    #[ignore = "run by the test below in a process of its own"]
    fn in_background() {
        let Some(outcome) = std::env::var_os("TEST_OUTCOME") else { return };
        let path = PathBuf::from(std::env::var_os("TEST_PID_FILE").unwrap());
        let fork = crate::host::system_call::fork_beside_waiting_threads;
        let background = fork_to_background_by(fork, Umask::Daemon).unwrap();
        if outcome == "fails" {
            std::process::exit(7);
        }
        let file = PidFile::create(&path).unwrap();
        std::mem::forget(file);
        let facts = format!(
            "{:o} {} {}",
            umask(DAEMON_UMASK).as_raw_mode(),
            std::env::current_dir().unwrap().display(),
            nix::unistd::getsid(None).unwrap() == nix::unistd::getpid(),
        );
        fs::write(path.with_extension("facts"), facts).unwrap();
        background.report_ready().unwrap();
        std::process::exit(0);
    }

    // config.md B012, B013
    #[test]
    fn the_parent_ends_when_the_child_is_ready_or_failed() {
        let directory = TemporaryDirectory::new();
        let path = directory.path().join("pid");
        assert_eq!(background("fails", &path).status.code(), Some(7));
        assert!(!path.exists());
        assert_eq!(background("is ready", &path).status.code(), Some(0));
        assert!(path.exists(), "written before the parent ended");
        let facts = fs::read_to_string(path.with_extension("facts")).unwrap();
        assert_eq!(facts, "22 / true");
    }
}
