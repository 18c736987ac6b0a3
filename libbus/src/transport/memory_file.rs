//! Files in memory whose content nobody can change any more: `memfd_create(2)` and its seals.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    FileType, MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, memfd_create,
};
use rustix::io::{Errno, pread, retry_on_intr, write};

/// With these the content and its size stay as they are.
const FINAL: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::WRITE);
/// How they are called, for who lacks one.
const SEALS: [(SealFlags, &str); 3] = [
    (SealFlags::SHRINK, "F_SEAL_SHRINK"),
    (SealFlags::GROW, "F_SEAL_GROW"),
    (SealFlags::WRITE, "F_SEAL_WRITE"),
];

/// What a descriptor is, as far as its content can be relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing that has a content and a size, but this.
    NoFile(&'static str),
    /// A file that no seals can be put on, of so many bytes.
    Unsealable(u64),
    /// A file of so many bytes that lacks these seals.
    Unsealed(u64, String),
    /// A file that stays as it is, of so many bytes.
    Sealed(u64),
}

/// A sealed file with this content.
///
/// # Errors
/// The kernel has no memory or no descriptor for it.
pub(crate) fn create(content: &[u8]) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let made = match memfd_create(c"libbus-blob", flags | MemfdFlags::NOEXEC_SEAL) {
        // A kernel before 6.3 does not know that flag; one that insists on it refuses the other.
        Err(Errno::INVAL) => memfd_create(c"libbus-blob", flags),
        result => result,
    };
    let file = made?;
    let mut rest = content;
    while !rest.is_empty() {
        let size = retry_on_intr(|| write(&file, rest))?;
        rest = rest.get(size..).unwrap_or_default();
    }
    fcntl_add_seals(&file, FINAL | SealFlags::SEAL)?;
    Ok(file)
}

/// What this descriptor is. Nothing is read of it, so that nobody can let that wait.
///
/// # Errors
/// It is none of which that can be told.
pub(crate) fn kind(fd: impl AsFd) -> io::Result<Kind> {
    let status = fstat(&fd)?;
    match FileType::from_raw_mode(status.st_mode) {
        FileType::RegularFile => {}
        other => return Ok(Kind::NoFile(name_of(other))),
    }
    let size = u64::try_from(status.st_size).unwrap_or_default();
    let seals = match fcntl_get_seals(&fd) {
        Err(Errno::INVAL) => return Ok(Kind::Unsealable(size)),
        result => result?,
    };
    let missing: Vec<&str> =
        SEALS.iter().filter(|(seal, _)| !seals.contains(*seal)).map(|(_, name)| *name).collect();
    if !missing.is_empty() {
        return Ok(Kind::Unsealed(size, missing.join(", ")));
    }
    // It may have been another before the seals were there.
    let size = u64::try_from(fstat(&fd)?.st_size).unwrap_or_default();
    Ok(Kind::Sealed(size))
}

const fn name_of(kind: FileType) -> &'static str {
    match kind {
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice => "a character device",
        FileType::BlockDevice => "a block device",
        _ => "something without a content",
    }
}

/// Reads into `buffer` what stands at `position`, without a look at where others read. 0: it ends there.
///
/// # Errors
/// Those of `pread(2)`.
pub(crate) fn read_at(fd: BorrowedFd<'_>, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    Ok(retry_on_intr(|| pread(fd, &mut *buffer, position))?)
}

/// The first bytes of a file, at most `size` of them.
///
/// # Errors
/// It cannot be read, or there is no memory for so many.
pub(crate) fn read(fd: BorrowedFd<'_>, size: u64) -> io::Result<Vec<u8>> {
    let size = usize::try_from(size).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size).map_err(|_| io::ErrorKind::OutOfMemory)?;
    bytes.resize(size, 0);
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match read_at(fd, rest, read as u64)? {
            0 => break,
            more => read += more,
        }
    }
    bytes.truncate(read);
    Ok(bytes)
}
