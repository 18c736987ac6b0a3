//! The keyring files of DBUS_COOKIE_SHA1 on disk: reading, locking and replacing them.
//!
//! What stands in them, and which cookie to use when, is [`auth::cookie`](crate::auth::cookie)'s part. What a
//! server does here blocks, for up to eight seconds when somebody died holding the lock, and so belongs on a
//! thread of its own. Section: auth-mechanisms-sha; protocol.md A091-A094.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::process::geteuid;

use crate::auth::cookie::{Cookie, KEYRING_SIZE_MAX, Keyring, context_is_valid};
use crate::auth::{ClientCookie, CookieChallenge};
use crate::host::{phrase, random_bytes};

/// Its name in a user's home directory (protocol.md A092).
pub const DIRECTORY: &str = ".dbus-keyrings";

/// How long to wait for somebody else's lock (protocol.md A094).
const LOCK_WAIT: LockWait = LockWait { attempts: 32, pause: Duration::from_millis(250) };

#[derive(Clone, Copy)]
struct LockWait {
    attempts: usize,
    pause: Duration,
}

/// Why there is no cookie; the mechanism then fails for this client.
#[derive(Debug)]
pub enum KeyringError {
    /// Not a name for a keyring.
    InvalidContext,
    /// The directory is another user's, or others can read or write it.
    InsecureDirectory(PathBuf),
    /// The file is longer than any keyring is.
    TooLong(PathBuf),
    /// A file or the directory could not be read or written.
    Io(PathBuf, io::Error),
    /// The kernel gave no random bytes.
    Random(io::Error),
}

impl fmt::Display for KeyringError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidContext => f.write_str("Not a name for a keyring"),
            Self::InsecureDirectory(path) => write!(
                f,
                "The keyring directory \"{0}\" must be this user's alone; run chmod 700 \"{0}\"",
                path.display()
            ),
            Self::TooLong(path) => {
                write!(f, "The keyring \"{}\" is too long; remove it", path.display())
            }
            Self::Io(path, error) => {
                write!(f, "Failed to use the keyring \"{}\": {}", path.display(), phrase(error))
            }
            Self::Random(error) => write!(f, "Failed to read random bytes: {}", phrase(error)),
        }
    }
}

impl std::error::Error for KeyringError {}

/// The cookie that a server means, for a client, with a challenge of its own; nothing if there is none that may
/// be used: that others can enter the directory, too, is reason enough.
#[must_use]
pub fn client_cookie(directory: &Path, context: &str, id: u32) -> Option<ClientCookie> {
    const OTHERS: u32 = 0o077;
    let found = fs::metadata(directory).ok()?;
    let is_private =
        found.is_dir() && found.mode() & OTHERS == 0 && found.uid() == geteuid().as_raw();
    if !is_private || !context_is_valid(context) {
        return None;
    }
    let keyring = read_keyring(&directory.join(context)).ok()?;
    let cookie = keyring.find(id)?.secret().to_owned();
    Some(ClientCookie { cookie, challenge: random_bytes().ok()? })
}

/// The server's challenge to one client, from the current cookie of the keyring `context`; makes the
/// directory, the file and a new cookie when due. `now_s`: seconds since 1970.
///
/// # Errors
/// See [`KeyringError`].
pub fn server_challenge(
    directory: &Path,
    context: &str,
    now_s: u64,
) -> Result<CookieChallenge, KeyringError> {
    let cookie = current_cookie(directory, context, now_s, LOCK_WAIT)?;
    let challenge = random_bytes().map_err(KeyringError::Random)?;
    Ok(CookieChallenge { id: cookie.id(), cookie: cookie.secret().to_owned(), challenge })
}

fn current_cookie(
    directory: &Path,
    context: &str,
    now_s: u64,
    wait: LockWait,
) -> Result<Cookie, KeyringError> {
    if !context_is_valid(context) {
        return Err(KeyringError::InvalidContext);
    }
    ensure_private_directory(directory)?;
    let path = directory.join(context);
    if let Some(cookie) = read_keyring(&path)?.current(now_s) {
        return Ok(cookie.clone());
    }
    let _lock = Lock::take(&path, wait)?;
    // Somebody else may have made one while we waited.
    let mut keyring = read_keyring(&path)?;
    keyring.remove_expired(now_s);
    if let Some(cookie) = keyring.current(now_s) {
        return Ok(cookie.clone());
    }
    let id = random_bytes().map_err(KeyringError::Random)?;
    let secret = random_bytes().map_err(KeyringError::Random)?;
    let cookie = keyring.add(u32::from_ne_bytes(id), secret, now_s);
    replace(&path, &keyring)?;
    Ok(cookie)
}

/// protocol.md A092: a directory that others can look into or change is not used.
fn ensure_private_directory(directory: &Path) -> Result<(), KeyringError> {
    const OTHERS_READ_OR_WRITE: u32 = 0o066;
    let failed = |error| KeyringError::Io(directory.to_owned(), error);
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    let found = fs::metadata(directory).map_err(failed)?;
    if found.mode() & OTHERS_READ_OR_WRITE != 0 || found.uid() != geteuid().as_raw() {
        return Err(KeyringError::InsecureDirectory(directory.to_owned()));
    }
    Ok(())
}

/// A missing file is an empty keyring.
fn read_keyring(path: &Path) -> Result<Keyring, KeyringError> {
    let mut content = Vec::new();
    let one_more = KEYRING_SIZE_MAX as u64 + 1;
    let read = File::open(path).and_then(|file| file.take(one_more).read_to_end(&mut content));
    match read {
        Ok(size) if size <= KEYRING_SIZE_MAX => Ok(Keyring::parse(&content)),
        Ok(_) => Err(KeyringError::TooLong(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Keyring::default()),
        Err(error) => Err(KeyringError::Io(path.to_owned(), error)),
    }
}

/// Readers see the old file or the new one (protocol.md A094).
fn replace(path: &Path, keyring: &Keyring) -> Result<(), KeyringError> {
    let new = with_suffix(path, ".new");
    let write = || {
        // What a crash left behind here is nobody's: the lock is ours.
        remove_if_there(&new)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(keyring.to_string().as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(|error| KeyringError::Io(path.to_owned(), error))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The right to replace a keyring, as long as this value lives.
struct Lock {
    path: PathBuf,
}

impl Lock {
    /// Waits for the lock; one that is still held after that was left by a crash and is removed.
    fn take(keyring: &Path, wait: LockWait) -> Result<Self, KeyringError> {
        let path = with_suffix(keyring, ".lock");
        for _ in 0..wait.attempts {
            match try_lock(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    thread::sleep(wait.pause);
                }
                Err(error) => return Err(KeyringError::Io(path, error)),
            }
        }
        match remove_if_there(&path).and_then(|()| try_lock(&path)) {
            Ok(()) => Ok(Self { path }),
            Err(error) => Err(KeyringError::Io(path, error)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn try_lock(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map(drop)
}
#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::host::tests_support::TemporaryDirectory;

    const CONTEXT: &str = "org_freedesktop_general";
    const NO_PAUSE: LockWait = LockWait { attempts: 2, pause: Duration::ZERO };

    fn keyrings(home: &TemporaryDirectory) -> PathBuf {
        home.path().join(".dbus-keyrings")
    }

    fn cookie_at(directory: &Path, now_s: u64) -> Result<Cookie, KeyringError> {
        current_cookie(directory, CONTEXT, now_s, NO_PAUSE)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    // protocol.md A092, A093
    #[test]
    fn a_cookie_is_made_used_again_and_replaced() {
        let home = TemporaryDirectory::new();
        let directory = keyrings(&home);
        let first = cookie_at(&directory, 10_000).unwrap();
        let file = directory.join(CONTEXT);
        assert_eq!((mode(&directory), mode(&file)), (0o700, 0o600));
        let line = format!("{} 10000 {}\n", first.id(), first.secret());
        assert_eq!(fs::read_to_string(&file).unwrap(), line);
        assert_eq!(cookie_at(&directory, 10_300).unwrap(), first, "five minutes old");
        let second = cookie_at(&directory, 10_301).unwrap();
        assert_ne!(second.secret(), first.secret());
        assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 2);
        cookie_at(&directory, 10_602).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.lines().count() == 2 && !text.contains(first.secret()), "{text}");
        let names: Vec<_> = fs::read_dir(&directory).unwrap().collect();
        assert_eq!(names.len(), 1, "no lock, no temporary file: {names:?}");
    }

    #[test]
    fn each_challenge_is_new() {
        let home = TemporaryDirectory::new();
        let one = server_challenge(&keyrings(&home), CONTEXT, 1).unwrap();
        let other = server_challenge(&keyrings(&home), CONTEXT, 1).unwrap();
        assert_eq!((one.id, &one.cookie), (other.id, &other.cookie));
        assert_ne!(one.challenge, other.challenge);
    }

    // protocol.md A091, A092
    #[test]
    fn a_client_finds_what_a_server_means() {
        let home = TemporaryDirectory::new();
        let directory = keyrings(&home);
        let cookie = cookie_at(&directory, 1).unwrap();
        let find = |id| client_cookie(&directory, CONTEXT, id);
        assert_eq!(find(cookie.id()).unwrap().cookie, cookie.secret());
        assert_ne!(find(cookie.id()).unwrap().challenge, find(cookie.id()).unwrap().challenge);
        assert!(find(cookie.id() ^ 1).is_none());
        assert!(client_cookie(&directory, "../x", cookie.id()).is_none());
        fs::set_permissions(&directory, Permissions::from_mode(0o711)).unwrap();
        assert!(find(cookie.id()).is_none());
    }

    // protocol.md A092
    #[test]
    fn a_directory_open_to_others_is_not_used() {
        let home = TemporaryDirectory::new();
        let directory = keyrings(&home);
        fs::create_dir(&directory).unwrap();
        for (bits, usable) in
            [(0o711, true), (0o740, false), (0o720, false), (0o704, false), (0o702, false)]
        {
            fs::set_permissions(&directory, Permissions::from_mode(bits)).unwrap();
            let result = cookie_at(&directory, 1);
            assert_eq!(result.is_ok(), usable, "{bits:o}");
            assert!(result.is_ok() || matches!(result, Err(KeyringError::InsecureDirectory(_))));
        }
    }

    // protocol.md A094
    #[test]
    fn a_stale_lock_and_temporary_file_are_removed() {
        let home = TemporaryDirectory::new();
        let directory = keyrings(&home);
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, Permissions::from_mode(0o700)).unwrap();
        fs::write(directory.join(format!("{CONTEXT}.lock")), "").unwrap();
        fs::write(directory.join(format!("{CONTEXT}.new")), "left behind").unwrap();
        cookie_at(&directory, 1).unwrap();
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    }

    #[test]
    fn what_can_not_work_is_refused() {
        let home = TemporaryDirectory::new();
        let directory = keyrings(&home);
        for context in ["", "..", "a/b", "a b"] {
            let result = current_cookie(&directory, context, 1, NO_PAUSE);
            assert!(matches!(result, Err(KeyringError::InvalidContext)), "{context}");
        }
        let missing = home.path().join("missing/.dbus-keyrings");
        assert!(matches!(cookie_at(&missing, 1), Err(KeyringError::Io(..))));
        cookie_at(&directory, 1).unwrap();
        let file = directory.join(CONTEXT);
        fs::write(&file, "\n".repeat(KEYRING_SIZE_MAX)).unwrap();
        cookie_at(&directory, 1).unwrap();
        fs::write(&file, "\n".repeat(KEYRING_SIZE_MAX + 1)).unwrap();
        assert!(matches!(cookie_at(&directory, 1), Err(KeyringError::TooLong(_))));
    }
}
