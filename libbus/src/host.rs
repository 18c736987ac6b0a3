//! What clients and servers need of the operating system beside sockets.
//!
//! The client of this crate uses it, and so may a server that has no use for the client.

mod created_file;
pub mod keyring;
mod random;
pub mod tcp;
#[cfg(test)]
mod tests_support;

use std::io;

#[cfg(feature = "client")]
pub use crate::system_call::inherited as inherited_fd;
pub use created_file::CreatedFile;
pub use random::{random_bytes, random_name};

/// What an error of the system says, in the words of the C library as everywhere else, without its number
/// (protocol.md A238).
///
/// ```
/// use libbus::host::phrase;
///
/// let error = std::fs::read("/no/such/file").unwrap_err();
/// assert_eq!(phrase(&error), "No such file or directory");
/// ```
#[must_use]
pub fn phrase(error: &io::Error) -> String {
    let text = error.to_string();
    let number = error.raw_os_error().map(|code| format!(" (os error {code})"));
    match number.and_then(|number| text.strip_suffix(&number)) {
        Some(words) => words.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    // protocol.md A238
    #[test]
    fn errors_have_the_words_of_the_c_library() {
        for (errno, words) in [
            (Errno::AGAIN, "Resource temporarily unavailable"),
            (Errno::LOOP, "Too many levels of symbolic links"),
            (Errno::NOENT, "No such file or directory"),
        ] {
            assert_eq!(super::phrase(&errno.into()), words);
        }
    }
}
