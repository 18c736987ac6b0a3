//! Programs that end when they are dropped, and the lines that they print, each with a deadline.
//!
//! Nothing here waits for a program's goodwill: one that hangs is late, and is ended.

use std::io::Read as _;
use std::process::{Child, ChildStdout, Command, ExitStatus};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::failure::{Failure, Result, fail};

/// Bytes that a line may have.
const LINE_SIZE_MAX: usize = 64 * 1024;

/// A process; ended when dropped.
#[derive(Debug)]
pub(crate) struct Program(Child);

impl Program {
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        Ok(Self(command.spawn()?))
    }

    /// What it prints from now on, if its standard output is a pipe.
    pub(crate) fn lines(&mut self) -> Result<Lines<'_>> {
        let stdout = self.0.stdout.as_mut().ok_or_else(|| Failure::new("no output"))?;
        Ok(Lines { stdout, unread: Vec::new() })
    }

    /// How it ended, if it did.
    pub(crate) fn status(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().ok().flatten()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself; that has been told by then.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What came while a line was awaited.
#[derive(Debug)]
pub(crate) enum Line {
    Text(String),
    /// The end of all output.
    End,
    /// Neither, until the deadline.
    Late,
}

/// The lines on a program's standard output.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    stdout: &'a mut ChildStdout,
    unread: Vec<u8>,
}

impl Lines<'_> {
    /// Waits for the next line until `deadline`. What stands behind the last line's end is one too.
    pub(crate) fn next(&mut self, deadline: Instant) -> Result<Line> {
        loop {
            if let Some(size) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line = self.unread.drain(..=size).as_slice()[..size].to_vec();
                return Ok(text(&line));
            }
            if self.unread.len() > LINE_SIZE_MAX {
                return fail("prints a line without end");
            }
            if !self.is_ready_until(deadline)? {
                return Ok(Line::Late);
            }
            let mut bytes = [0; 1024];
            match self.stdout.read(&mut bytes)? {
                0 if self.unread.is_empty() => return Ok(Line::End),
                0 => return Ok(text(&std::mem::take(&mut self.unread))),
                size => self.unread.extend_from_slice(&bytes[..size]),
            }
        }
    }

    /// Waits for bytes or the end of them. Whoever never stops to print is late too.
    fn is_ready_until(&self, deadline: Instant) -> Result<bool> {
        let rest = deadline.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Ok(false);
        }
        let rest = Timespec::try_from(rest).map_err(|_| Failure::new("a deadline too far away"))?;
        Ok(poll(&mut [PollFd::new(&*self.stdout, PollFlags::IN)], Some(&rest))? > 0)
    }
}

fn text(line: &[u8]) -> Line {
    Line::Text(String::from_utf8_lossy(line).into_owned())
}
