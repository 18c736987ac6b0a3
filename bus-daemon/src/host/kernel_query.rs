//! Questions to the kernel through its transaction files: the question is written to a fresh
//! descriptor and the answer read back from the same one.
//!
//! The kernel answers within the two calls and waits for nothing. A descriptor is kept in reserve,
//! so that clients who use up all others do not make every question fail, and every message with it.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, read, write};

/// Longest answer, in bytes; a real one has less than a hundred.
const ANSWER_SIZE_MAX: usize = 256;

/// Someone to ask: the kernel, or a stand-in in tests.
pub trait KernelQuery: fmt::Debug {
    /// The answer to one question.
    ///
    /// # Errors
    /// What the kernel says of a question that it does not understand or may not answer, or why it
    /// could not be asked.
    fn ask(&self, question: &[u8]) -> io::Result<Vec<u8>>;
}

/// A transaction file of the kernel.
#[derive(Debug)]
pub struct QueryFile {
    path: PathBuf,
    reserve: RefCell<Option<OwnedFd>>,
}

impl QueryFile {
    /// The file at `path`, opened for each question.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), reserve: RefCell::new(reserve()) }
    }

    fn open(&self) -> Result<OwnedFd, Errno> {
        let open = || open(&self.path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
        match open() {
            Err(Errno::MFILE | Errno::NFILE) if self.reserve.take().is_some() => open(),
            result => result,
        }
    }
}

impl KernelQuery for QueryFile {
    fn ask(&self, question: &[u8]) -> io::Result<Vec<u8>> {
        let answer = {
            let file = self.open()?;
            let written = write(&file, question)?;
            if written != question.len() {
                return Err(io::Error::other("the kernel took only a part of the question"));
            }
            let mut answer = [0; ANSWER_SIZE_MAX];
            let size = read(&file, &mut answer)?;
            answer.get(..size).unwrap_or_default().to_vec()
        };
        let mut spare = self.reserve.borrow_mut();
        if spare.is_none() {
            *spare = reserve();
        }
        Ok(answer)
    }
}

fn reserve() -> Option<OwnedFd> {
    open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests_support::TemporaryDirectory;

    /// A file that hands back what is behind the question: the nearest to a transaction that a
    /// plain file can come.
    #[test]
    fn the_answer_comes_from_the_descriptor_of_the_question() {
        let directory = TemporaryDirectory::new();
        let path = directory.path().join("access");
        std::fs::write(&path, "........answer").unwrap();
        let file = QueryFile::new(&path);
        for question in [&b"question"[..], b"Question"] {
            assert_eq!(file.ask(question).unwrap(), b"answer", "each opens the file anew");
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"Questionanswer");
    }

    #[test]
    fn the_reserve_is_used_and_renewed() {
        let directory = TemporaryDirectory::new();
        let path = directory.path().join("access");
        std::fs::write(&path, "abcd").unwrap();
        let file = QueryFile::new(&path);
        assert!(file.reserve.take().is_some());
        assert_eq!(file.ask(b"ab").unwrap(), b"cd");
        assert!(file.reserve.borrow().is_some(), "another one");
    }

    #[test]
    fn a_missing_file_is_an_error() {
        let file = QueryFile::new(Path::new("/nonexistent/access"));
        assert_eq!(file.ask(b"x").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
