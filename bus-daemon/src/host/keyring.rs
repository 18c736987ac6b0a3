//! Where the keyrings of DBUS_COOKIE_SHA1 are; what is done with them is [`libbus::host::keyring`]'s part.

use std::path::PathBuf;

use nix::unistd::{User, geteuid};

/// The keyrings' directory in this user's home directory: that of `HOME`, as clients have it, else of the
/// user database (protocol.md A092).
///
/// # Errors
/// There is no home directory.
pub fn keyring_directory() -> Result<PathBuf, String> {
    let variable = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let account = || User::from_uid(geteuid()).ok().flatten().map(|user| user.dir);
    let home = variable.or_else(account);
    let missing = || "This user has no home directory to keep a keyring in".to_owned();
    home.map(|home| home.join(libbus::host::keyring::DIRECTORY)).ok_or_else(missing)
}
