//! Where services write what the log is to show.
//!
//! All starts of one name write to the same pipe as long as anything of them has it open. So what former
//! starts left behind takes no descriptor each, however often a service is started, and no pipe is closed
//! for reading before the last writer has closed it: a program whose pipe has no reader is ended by
//! SIGPIPE at its next line. Closing the oldest of several pipes, or giving each start its own up to some
//! bound, would do that to programs that are in nobody's way.
//!
//! Whoever starts services keeps the end for reading and opens the one for writing anew for each start
//! (`/proc/self/fd`), since who keeps an end for writing never hears that the others are gone.
//!
//! deviation: services of the reference have its own standard output and error, so that they outlive it
//! without harm; of ours those that go on writing then are ended, which bus-daemon(1) says. Giving them
//! that, too, would put lines without a name and without a bound into the log; a process that reads on would
//! have to stay for as long as the longest of them.
//!
//! Bound: one pipe, of the kernel's 64 KiB, for each name, and names are those of service files. A pipe
//! that nobody writes to any more goes at the next start of whatever service.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};

/// The pipes of the services that one process starts.
#[derive(Debug, Default)]
pub(super) struct OutputPipes(Mutex<HashMap<String, OwnedFd>>);

/// Where one start writes.
#[derive(Debug)]
pub(super) struct OutputPipe {
    pub(super) read_end: OwnedFd,
    pub(super) write_end: OwnedFd,
}

impl OutputPipes {
    /// Where a service of this name is to write that is started now.
    ///
    /// # Errors
    /// No descriptor is left.
    pub(super) fn open(&self, name: &str) -> io::Result<OutputPipe> {
        let mut pipes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pipes.retain(|_, read_end| has_writer(read_end));
        if let Some(read_end) = pipes.get(name) {
            return Ok(OutputPipe {
                read_end: read_end.try_clone()?,
                write_end: reopen(read_end)?,
            });
        }
        let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC)?;
        pipes.insert(name.to_owned(), read_end.try_clone()?);
        Ok(OutputPipe { read_end, write_end })
    }
}

/// Another end for writing.
fn reopen(read_end: &OwnedFd) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", read_end.as_raw_fd());
    let open = |path: &Path| OpenOptions::new().write(true).open(path);
    // Without /proc what this start writes is lost, which is better than its end.
    open(path.as_ref()).or_else(|_| open("/dev/null".as_ref())).map(File::into)
}

fn has_writer(read_end: &OwnedFd) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(read_end.as_fd(), PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    // One that cannot be asked now is asked at the next start.
    poll(&mut fds, Some(&now)).is_err() || !fds[0].revents().contains(PollFlags::HUP)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use rustix::fs::fstat;

    use super::*;

    #[test]
    fn starts_of_a_name_share_a_pipe_while_anybody_writes() {
        let pipes = OutputPipes::default();
        let place = |fd: &OwnedFd| fstat(fd).unwrap().st_ino;
        let write = |fd: OwnedFd, text: &str| File::from(fd).write_all(text.as_bytes()).unwrap();
        let first = pipes.open("a.b").unwrap();
        let second = pipes.open("a.b").unwrap();
        let other = pipes.open("a.c").unwrap();
        assert_eq!(place(&first.read_end), place(&second.read_end));
        assert_ne!(place(&first.read_end), place(&other.read_end));
        drop(first.write_end);
        write(second.write_end, "still heard\n");
        drop(second.read_end);
        let mut text = String::new();
        File::from(first.read_end).read_to_string(&mut text).unwrap();
        assert_eq!(text, "still heard\n", "the end comes with the last writer");
        // Nobody wrote to it any more, so that its reader has gone.
        let third = pipes.open("a.b").unwrap();
        write(third.write_end, "anew");
        let mut text = String::new();
        File::from(third.read_end).read_to_string(&mut text).unwrap();
        assert_eq!(text, "anew");
        drop(other.write_end);
        let last = pipes.open("a.d").unwrap();
        assert_eq!(pipes.0.lock().unwrap().len(), 1, "what ended is not kept");
        drop(last);
    }
}
