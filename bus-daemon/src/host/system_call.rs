//! The few system calls that have no safe wrapper in a library we use, and the only unsafe code of
//! the project. Each function is safe to call: what it needs for that is checked inside or is part
//! of its documented promise.
#![allow(unsafe_code)] // the reason for this module

use std::ffi::{CString, c_char, c_int};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::unistd::ForkResult;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::write;
use rustix::process::{Pid, getpid, set_child_subreaper};

use super::accounts::Membership;
use super::resource_limits::{FdLimit, fd_limit};
use super::supervisor::supervise;

/// Reads a `SOL_SOCKET` option into `value`; returns the option's size, which is larger than
/// `value` when the error is `ERANGE` and the value did not fit.
pub(super) fn socket_option(
    socket: BorrowedFd<'_>,
    option: c_int,
    value: &mut [u8],
) -> (usize, io::Result<()>) {
    let mut size = libc::socklen_t::try_from(value.len()).unwrap_or(libc::socklen_t::MAX);
    // SAFETY: `value` is writable for at least `size` bytes during the call, and the kernel writes
    // no more than that; any bytes are a valid `[u8]`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            value.as_mut_ptr().cast(),
            &raw mut size,
        )
    };
    (size as usize, if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) })
}

/// Sets the `SOL_SOCKET` option of this number to zero.
pub(super) fn clear_socket_option(socket: BorrowedFd<'_>, option: c_int) -> io::Result<()> {
    let value: c_int = 0;
    // SAFETY: the pointer is to an int that lives through the call, and the size is its size.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const value).cast(),
            size_of::<c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Bytes, with what the kernel needs for them, that were written to a socket and not read (`SIOCOUTQ`).
pub(super) fn unread_size(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut size: c_int = 0;
    // SAFETY: the request writes one int, to which the pointer is.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut size) };
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(usize::try_from(size).unwrap_or(0))
    }
}

/// What a child executes: a file, its arguments from the first one on, which is what the program is called,
/// and its environment, `NAME=value` each.
pub(super) struct Program {
    path: CString,
    arguments: Texts,
    environment: Texts,
}

impl Program {
    /// # Errors
    /// One of the texts has a NUL.
    pub(super) fn new<T: Into<Vec<u8>>>(
        path: T,
        arguments: impl IntoIterator<Item = T>,
        environment: impl IntoIterator<Item = T>,
    ) -> io::Result<Self> {
        Ok(Self {
            path: CString::new(path)?,
            arguments: Texts::new(arguments)?,
            environment: Texts::new(environment)?,
        })
    }
}

impl Program {
    /// Becomes the program. What comes back is why not. Allocates nothing.
    fn execute(&self) -> io::Error {
        let (arguments, environment) = (&self.arguments.pointers, &self.environment.pointers);
        // SAFETY: the path ends with NUL, and both arrays with null; all live as long as `self`.
        unsafe { libc::execve(self.path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
        io::Error::last_os_error()
    }
}

/// Texts as execve wants them.
struct Texts {
    /// What `pointers` point into, but for the last, which is null.
    _texts: Vec<CString>,
    pointers: Vec<*const c_char>,
}

// SAFETY: the pointers are to heap memory that the value itself owns and nobody changes.
unsafe impl Send for Texts {}
// SAFETY: as above.
unsafe impl Sync for Texts {}

impl Texts {
    fn new<T: Into<Vec<u8>>>(texts: impl IntoIterator<Item = T>) -> io::Result<Self> {
        let texts = texts.into_iter().map(CString::new).collect::<Result<Vec<_>, _>>()?;
        let pointers = texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect();
        Ok(Self { _texts: texts, pointers })
    }
}

/// What a child begins with.
pub(super) struct ChildSetup {
    /// The signals that are blocked, and no others.
    pub(super) blocked_signals: SigSet,
    /// Its limit of open files, if it is not that of its parent.
    pub(super) fd_limit: Option<FdLimit>,
    /// Whether its parent is spared when memory runs out: the child is not.
    pub(super) is_spared: bool,
    /// Whom it runs as, if not as its parent.
    pub(super) user: Option<Membership>,
}

/// Has a child begin so, or not at all if the signals or the user cannot be set, and execute `program`
/// instead of what `command` names. Unlike the standard library's way a file that is no program is not
/// taken for a script of the shell's (config.md B096).
pub(super) fn prepare_child(command: &mut Command, setup: ChildSetup, program: Program) {
    let prepare = move || Err(begin(&setup, &program));
    // SAFETY: the closure runs between fork and exec, and `begin` may.
    unsafe {
        command.pre_exec(prepare);
    }
}

/// The same with a supervisor in between, which is the child of this process and gets `socket`.
pub(super) fn prepare_supervised_child(
    command: &mut Command,
    setup: ChildSetup,
    program: Program,
    socket: OwnedFd,
) {
    let prepare = move || {
        let notices = ChildNotices::open()?;
        // SAFETY: this process has one thread and was forked, so that the C library's locks are free;
        // both go on with system calls alone.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => Err(begin(&setup, &program)),
            number => {
                let Some(service) = Pid::from_raw(number) else { end_at_once() };
                close_all_but_these([notices.0.as_raw_fd(), socket.as_raw_fd()]);
                supervise(service, &notices, socket.as_fd())
            }
        }
    };
    // SAFETY: the closure runs between fork and exec. Besides what `begin` does it calls prctl,
    // sigaction, pthread_sigmask, signalfd, fork, close_range or getrlimit and close, poll, read, recv,
    // send, waitpid, kill and _exit alone, which are safe there, and allocates nothing.
    unsafe {
        command.pre_exec(prepare);
    }
}

/// Becomes the program. What comes back is why not. Between fork and exec: it calls pthread_sigmask,
/// setrlimit, open, write, close, setgroups, setgid, setuid and execve alone, which are safe there, and
/// allocates nothing.
fn begin(setup: &ChildSetup, program: &Program) -> io::Error {
    let ChildSetup { blocked_signals, fd_limit, is_spared, user } = setup;
    if let Err(errno) = blocked_signals.thread_set_mask() {
        return errno.into();
    }
    if let Some(FdLimit { soft, hard }) = fd_limit {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, *soft, *hard);
    }
    if *is_spared {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        if let Ok(file) = open(c"/proc/self/oom_score_adj", flags, Mode::empty()) {
            let _ = write(file, b"0");
        }
    }
    if let Some(user) = user
        && let Err(errno) = user.take_on()
    {
        return errno.into();
    }
    program.execute()
}

/// Whoever started this process may have had it ignore a signal, which nobody would hear of then, nor the
/// programs that are started from here. SIGCHLD: children would be gone before anybody has waited for them.
pub(super) fn heed(heeded: Signal) {
    // SAFETY: this sets no handler, and the former action is not asked for. It fails for signals that
    // do not exist.
    let _ = unsafe { signal(heeded, SigHandler::SigDfl) };
}

/// Tells a process of the ends of its children, those that their parents left behind included.
pub(super) struct ChildNotices(OwnedFd);

impl ChildNotices {
    /// Bytes of one notice.
    pub(super) const SIZE: usize = size_of::<libc::signalfd_siginfo>();

    /// Whatever the process had to do with its children before.
    fn open() -> io::Result<Self> {
        set_child_subreaper(Some(getpid()))?;
        heed(Signal::SIGCHLD);
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGCHLD);
        signals.thread_block()?;
        // SAFETY: the mask lives through the call; the descriptor that comes back is nobody else's.
        unsafe {
            let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
            match libc::signalfd(-1, signals.as_ref(), flags) {
                -1 => Err(io::Error::last_os_error()),
                number => Ok(Self(OwnedFd::from_raw_fd(number))),
            }
        }
    }
}

impl AsFd for ChildNotices {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Closes all other descriptors of a process that has just been forked and never returns to what owns them.
fn close_all_but_these(mut kept: [RawFd; 2]) {
    /// How many are closed one by one, on kernels before Linux 5.9.
    const COUNT_MAX: u32 = 65_536;
    kept.sort_unstable();
    let [first, second] = kept.map(i32::cast_unsigned);
    for (from, to) in [(0, first), (first + 1, second), (second + 1, u32::MAX)] {
        if from >= to {
            continue;
        }
        // SAFETY: the call takes numbers only; what it closes is not used again, as promised.
        let result = unsafe { libc::syscall(libc::SYS_close_range, from, to - 1, 0) };
        if result == -1 {
            let limit = u32::try_from(fd_limit()).unwrap_or(COUNT_MAX).min(COUNT_MAX);
            for number in from..to.min(limit) {
                // SAFETY: as above.
                unsafe { libc::close(number.cast_signed()) };
            }
        }
    }
}

/// Ends this process without any of what it would do at its end.
pub(super) fn end_at_once() -> ! {
    // SAFETY: the call takes a number only.
    unsafe { libc::_exit(0) }
}

/// A new descriptor for the process that connected the peer of `socket` (Linux 6.5).
pub(super) fn peer_process_fd(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut value = [0; size_of::<RawFd>()];
    let (size, result) = socket_option(socket, libc::SO_PEERPIDFD, &mut value);
    result?;
    let number = RawFd::from_ne_bytes(value);
    if size != value.len() || number < 0 {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    // SAFETY: the kernel has just opened this descriptor for us, so nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Takes over a descriptor that this process was started with and knows by its number only, from
/// its command line or environment. Fails with `EBADF` when no such descriptor is open.
///
/// The caller promises to take each number once, and before it opens any descriptor of its own that
/// could have got that number.
pub(super) fn adopt_inherited_fd(number: RawFd) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: F_GETFD takes no pointer and changes nothing.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open, and was handed to this process by number: by the caller's
    // promise no other value here owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Marks every open descriptor from `first` on close-on-exec.
pub(super) fn set_close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: the call takes numbers only, and with CLOSE_RANGE_CLOEXEC closes nothing.
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Closes every descriptor from 3 on but `kept`, which has the number 3 from then on. For a process that
/// has just been forked and shall have nothing of what its parent holds.
///
/// The caller promises that the process uses nothing that owned one of the others any more: it ends
/// without running their destructors.
pub(super) fn close_all_but(kept: OwnedFd) -> io::Result<OwnedFd> {
    const KEPT: RawFd = 3;
    if kept.as_raw_fd() != KEPT {
        // SAFETY: both are numbers; whatever had the number 3 is not used again, as promised.
        let result = unsafe { libc::dup3(kept.as_raw_fd(), KEPT, libc::O_CLOEXEC) };
        if result == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    std::mem::forget(kept);
    // SAFETY: the call takes numbers only; what it closes is not used again, as promised.
    let result = unsafe { libc::syscall(libc::SYS_close_range, KEPT + 1, u32::MAX, 0) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open, and its former owner was forgotten, or is not used again.
    Ok(unsafe { OwnedFd::from_raw_fd(KEPT) })
}

/// Gives whole pages that the allocator holds without need back to the system.
pub(super) fn trim_heap() {
    // SAFETY: the call takes a number only, and leaves every block in use as it is.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
}

// Where the linker says that the program's headers begin and its code ends.
unsafe extern "C" {
    safe static __executable_start: u8;
    safe static etext: u8;
}

/// Has the kernel forget which of the program's constants and code this process has used. What is used
/// again is found in the file, or rather in the kernel's cache of it.
pub(super) fn unmap_unused_code() {
    let page = rustix::param::page_size();
    let start = (&raw const __executable_start).addr();
    let size = (&raw const etext).addr().saturating_sub(start) / page * page;
    // SAFETY: the range is in the segments of headers, constants and code, which are mapped from the
    // program's file and never written: the linker sets the relocated ones apart, behind them.
    let _ = unsafe { libc::madvise(start as *mut libc::c_void, size, libc::MADV_DONTNEED) };
}

/// Removes a variable from this process's environment, and so from that of programs it starts, if
/// no other thread could be reading it; returns whether it did.
pub(super) fn remove_environment_variable(name: &str) -> bool {
    if !matches!(is_single_threaded(), Ok(true)) {
        return false;
    }
    // SAFETY: no other thread reads or writes the environment, there is none.
    unsafe { std::env::remove_var(name) };
    true
}

fn is_single_threaded() -> io::Result<bool> {
    Ok(std::fs::read_dir("/proc/self/task")?.count() == 1)
}

/// Splits the process in two. Refuses with `EBUSY` when this process has more than one thread: the
/// child would inherit whatever locks the others hold.
pub(super) fn fork_single_threaded() -> io::Result<ForkResult> {
    if !is_single_threaded()? {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    // SAFETY: the only thread is this one, so nobody can hold a lock across the fork and no thread
    // can start in between; both processes may go on with any code.
    Ok(unsafe { nix::unistd::fork() }?)
}

/// As [`fork_single_threaded`], for a test in a process of its own: the test harness's one other
/// thread waits for the test to end, holding nothing.
#[cfg(test)]
pub(super) fn fork_beside_waiting_threads() -> io::Result<ForkResult> {
    // SAFETY: the only other thread sleeps and holds no lock.
    Ok(unsafe { nix::unistd::fork() }?)
}
