//! What nobody can guess.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

use crate::guid::Guid;

/// Bytes from the kernel's random source, for ids, nonces and names nobody can guess.
///
/// # Errors
/// Only on kernels without `getrandom(2)`.
pub fn random_bytes<const SIZE: usize>() -> io::Result<[u8; SIZE]> {
    let mut bytes = [0; SIZE];
    getrandom(&mut bytes, GetRandomFlags::empty())?;
    Ok(bytes)
}

/// A name for a file that nobody can guess: `dbus-` and ten letters or digits.
///
/// # Errors
/// As [`random_bytes`].
pub fn random_name() -> io::Result<String> {
    const SYMBOLS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let bytes: [u8; 10] = random_bytes()?;
    let symbols = bytes.iter().filter_map(|byte| SYMBOLS.get(usize::from(byte % 32)));
    Ok("dbus-".chars().chain(symbols.map(|symbol| char::from(*symbol))).collect())
}

impl Guid {
    /// A new one, of random bytes.
    ///
    /// # Errors
    /// The kernel gives none.
    ///
    /// ```
    /// use libbus::guid::Guid;
    ///
    /// assert_ne!(Guid::generate()?, Guid::generate()?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn generate() -> io::Result<Self> {
        random_bytes().map(Self::from_bytes)
    }
}
