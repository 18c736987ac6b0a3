//! The cookies by which a user proves who it is to a server that cannot see it (protocol.md A091–A094).

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use rustix::rand::{GetRandomFlags, getrandom};

use crate::auth::ClientCookie;
use crate::auth::cookie::{KEYRING_SIZE_MAX, Keyring};
use crate::connection::CookieWanted;

/// What others may do to a directory of secrets: nothing.
const OTHERS_BITS: u32 = 0o077;

/// The cookie that a server means, with a challenge of our own; nothing if there is none that may be used.
pub(crate) fn find_cookie(wanted: &CookieWanted) -> Option<ClientCookie> {
    let directory = PathBuf::from(env::var_os("HOME")?).join(".dbus-keyrings");
    let is_private = fs::metadata(&directory).ok().is_some_and(|found| {
        found.is_dir()
            && found.mode() & OTHERS_BITS == 0
            && found.uid() == rustix::process::geteuid().as_raw()
    });
    let path = directory.join(&wanted.context);
    let is_small = fs::metadata(&path).ok()?.len() <= KEYRING_SIZE_MAX as u64;
    if !is_private || !is_small {
        return None;
    }
    let keyring = Keyring::parse(&fs::read(&path).ok()?);
    let cookie = keyring.find(wanted.id)?.secret().to_owned();
    let mut challenge = [0; 16];
    getrandom(&mut challenge, GetRandomFlags::empty()).ok()?;
    Some(ClientCookie { cookie, challenge })
}
