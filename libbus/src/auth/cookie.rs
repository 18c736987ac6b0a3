//! The cookies of DBUS_COOKIE_SHA1 and the files that hold them (protocol.md A091–A094).
//!
//! A keyring is the text of one file, `~/.dbus-keyrings/CONTEXT`: lines of an id, the time of
//! creation in seconds since 1970 and a secret in hex. This module reads and prints that text and
//! decides by the clock's reading which cookie to use and which to drop. Opening, locking and
//! replacing the file is the host's part, as is refusing a directory that others can enter.
//!
//! Secrets stay out of `Debug` output and are compared in constant time.

use std::fmt;

use sha1_smol::Sha1;

use super::hex;

/// The context that servers use unless told otherwise (protocol.md A092).
pub const DEFAULT_CONTEXT: &str = "org_freedesktop_general";

/// Cookies in one file (protocol.md A093).
pub const COOKIE_COUNT_MAX: usize = 256;

/// Longest secret in a file, in hex digits.
pub const SECRET_SIZE_MAX: usize = 256;

/// Longest keyring file worth reading, in bytes: every cookie with the longest secret.
pub const KEYRING_SIZE_MAX: usize = COOKIE_COUNT_MAX * (SECRET_SIZE_MAX + 32);

/// Random bytes in a new secret.
pub const NEW_SECRET_SIZE: usize = 24;

/// Largest id: others read it as a signed number.
const ID_MAX: u32 = i32::MAX as u32;

/// Age in seconds up to which a cookie is used for a new handshake (protocol.md A093).
const USED_FOR_S: u64 = 5 * 60;

/// Age in seconds beyond which a cookie is deleted; the difference lets a handshake finish.
const KEPT_FOR_S: u64 = 7 * 60;

/// Seconds that a creation time may lie ahead of the clock.
const AHEAD_MAX_S: u64 = 5 * 60;

/// Whether `context` can name a keyring file (protocol.md A092).
pub fn context_is_valid(context: &str) -> bool {
    const FORBIDDEN: [char; 7] = ['/', '\\', ' ', '\n', '\r', '\t', '.'];
    let is_allowed = |c: char| c.is_ascii() && c != '\0' && !FORBIDDEN.contains(&c);
    !context.is_empty() && context.len() <= 255 && context.chars().all(is_allowed)
}

/// A text that is never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// One line of a keyring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    id: u32,
    created_s: u64,
    secret: Secret,
}

impl Cookie {
    /// The number by which a server tells a client which cookie it means.
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// Seconds since 1970 at which the cookie was made.
    pub const fn created_s(&self) -> u64 {
        self.created_s
    }

    /// The secret in hex, as the hash of protocol.md A091 takes it.
    pub fn secret(&self) -> &str {
        &self.secret.0
    }

    fn parse(line: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(line).ok()?.split(' ');
        let id = parse_number(words.next()?).filter(|id| *id <= u64::from(ID_MAX))?;
        let created_s = parse_number(words.next()?)?;
        let secret = words.next().filter(|secret| is_secret(secret))?;
        let cookie = Self { id: u32::try_from(id).ok()?, created_s, secret: Secret::new(secret) };
        words.next().is_none().then_some(cookie)
    }

    const fn is_ahead(&self, now_s: u64) -> bool {
        self.created_s > now_s.saturating_add(AHEAD_MAX_S)
    }

    const fn is_older_than(&self, age_s: u64, now_s: u64) -> bool {
        now_s.saturating_sub(self.created_s) > age_s
    }
}

/// The cookies of one context, in the order of their file. Invariant: at most
/// [`COOKIE_COUNT_MAX`], each with an id of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keyring {
    cookies: Vec<Cookie>,
}

impl Keyring {
    /// Reads a file's content. Lines that are no cookie, repeat an id or pass the bound are left
    /// out: whoever wrote them, the other cookies still work.
    pub fn parse(content: &[u8]) -> Self {
        let mut keyring = Self::default();
        for cookie in content.split(|byte| *byte == b'\n').filter_map(Cookie::parse) {
            if keyring.cookies.len() < COOKIE_COUNT_MAX && keyring.find(cookie.id).is_none() {
                keyring.cookies.push(cookie);
            }
        }
        keyring
    }

    /// Adds a cookie made of the caller's random values and returns it. The id is `random_id`, or
    /// the next one free; the oldest cookie leaves a full keyring.
    pub fn add(
        &mut self,
        random_id: u32,
        random_secret: [u8; NEW_SECRET_SIZE],
        now_s: u64,
    ) -> Cookie {
        if self.cookies.len() >= COOKIE_COUNT_MAX {
            self.remove_oldest();
        }
        let secret = Secret(hex::encode(&random_secret));
        let cookie = Cookie { id: self.free_id(random_id), created_s: now_s, secret };
        self.cookies.push(cookie.clone());
        cookie
    }

    /// Drops cookies that are too old or too far ahead of the clock, and says whether there were
    /// any (protocol.md A093).
    pub fn remove_expired(&mut self, now_s: u64) -> bool {
        let count = self.cookies.len();
        self.cookies
            .retain(|cookie| !cookie.is_older_than(KEPT_FOR_S, now_s) && !cookie.is_ahead(now_s));
        self.cookies.len() != count
    }

    /// The cookie that a server should use now: the newest, if it is new enough. When there is
    /// none, a new one is due.
    pub fn current(&self, now_s: u64) -> Option<&Cookie> {
        let usable =
            |cookie: &&Cookie| !cookie.is_older_than(USED_FOR_S, now_s) && !cookie.is_ahead(now_s);
        self.cookies.iter().filter(usable).max_by_key(|cookie| cookie.created_s)
    }

    /// The cookie with this id, for a client that a server sent it to.
    pub fn find(&self, id: u32) -> Option<&Cookie> {
        self.cookies.iter().find(|cookie| cookie.id == id)
    }

    fn remove_oldest(&mut self) {
        let oldest = self.cookies.iter().enumerate().min_by_key(|(_, cookie)| cookie.created_s);
        if let Some((index, _)) = oldest {
            self.cookies.remove(index);
        }
    }

    fn free_id(&self, wish: u32) -> u32 {
        // Fewer cookies than candidates, so one of them is free.
        let candidates = (0..=COOKIE_COUNT_MAX as u32).map(|step| wish.wrapping_add(step) & ID_MAX);
        candidates.into_iter().find(|id| self.find(*id).is_none()).unwrap_or(wish & ID_MAX)
    }
}

/// The content to write to the file.
impl fmt::Display for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for cookie in &self.cookies {
            writeln!(f, "{} {} {}", cookie.id, cookie.created_s, cookie.secret.0)?;
        }
        Ok(())
    }
}

/// The hash by which a client shows that it knows the cookie (protocol.md A091).
pub(super) fn response_hash(
    server_challenge: &[u8],
    client_challenge: &[u8],
    cookie: &Secret,
) -> String {
    let mut hash = Sha1::new();
    for part in [server_challenge, b":", client_challenge, b":", cookie.0.as_bytes()] {
        hash.update(part);
    }
    hex::encode(&hash.digest().bytes())
}

/// Whether two texts are equal, in a time that tells nothing about where they differ.
pub(crate) fn equal_in_constant_time(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b));
    a.len() == b.len() && std::hint::black_box(difference) == 0
}

fn parse_number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn is_secret(text: &str) -> bool {
    (1..=SECRET_SIZE_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
