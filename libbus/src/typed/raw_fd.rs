//! Descriptors by number: all that serde can pass on of one.
#![allow(unsafe_code)] // the reason for this module

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

/// A copy of the descriptor that a value of type `h` names, close-on-exec.
pub(super) fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{fd} is no file descriptor"),
        ));
    }
    // SAFETY: it is not -1. The value that is being serialized holds it open meanwhile, as its type
    // promises by the signature `h`; and if it breaks that promise, all that happens is a call of the
    // kernel, which refuses numbers that are no descriptors.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    borrowed.try_clone_to_owned()
}
