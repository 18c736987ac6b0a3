//! The cookies of DBUS_COOKIE_SHA1 and the files that hold them (protocol.md A091–A094).
//!
//! A keyring is the text of one file, `~/.dbus-keyrings/CONTEXT`: lines of an id, the time of
//! creation in seconds since 1970 and a secret in hex. This module reads and prints that text and
//! decides by the clock's reading which cookie to use and which to drop. Opening, locking and
//! replacing the file is the host's part, as is refusing a directory that others can enter.
//!
//! Secrets stay out of `Debug` output and are compared in constant time.

use std::fmt;

use sha1::{Digest, Sha1};

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
    hex::encode(&hash.finalize())
}

/// Whether two texts are equal, in a time that tells nothing about where they differ.
pub(super) fn equal_in_constant_time(a: &[u8], b: &[u8]) -> bool {
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
mod tests {
    use super::*;

    const NOW_S: u64 = 1_000_000;

    /// A keyring with a cookie of each age in seconds; their ids count from 0.
    fn keyring(ages_s: &[i64]) -> Keyring {
        let created = |age: &i64| NOW_S.checked_add_signed(-age).unwrap();
        let lines =
            ages_s.iter().enumerate().map(|(id, age)| format!("{id} {} ab\n", created(age)));
        Keyring::parse(lines.collect::<String>().as_bytes())
    }

    fn ids(keyring: &Keyring) -> Vec<u32> {
        keyring.cookies.iter().map(Cookie::id).collect()
    }

    #[test]
    fn contexts_are_file_names() {
        // protocol.md A092
        let long = "x".repeat(255);
        for valid in [DEFAULT_CONTEXT, "a", "A-1", long.as_str()] {
            assert!(context_is_valid(valid), "{valid:?}");
        }
        let too_long = "x".repeat(256);
        let forbidden =
            ["", ".", "a.b", "/", "a/b", "a\\b", "a b", "a\nb", "a\rb", "a\tb", "a\0b", "ä"];
        for invalid in forbidden.into_iter().chain([too_long.as_str()]) {
            assert!(!context_is_valid(invalid), "{invalid:?}");
        }
    }

    #[test]
    fn reads_lines_and_leaves_out_others() {
        // protocol.md A092
        let check = |case: &str, line: &[u8], expected: bool| {
            let content = [b"1 10 aa\n", line, b"\n2 20 bb\n"].concat();
            let keyring = Keyring::parse(&content);
            let found = keyring.find(3).map(|cookie| (cookie.created_s(), cookie.secret()));
            assert_eq!(found, expected.then_some((30, "0fAB")), "{case}");
            assert_eq!(ids(&keyring).len(), 2 + usize::from(expected), "{case}");
        };
        check("a cookie", b"3 30 0fAB", true);
        check("empty", b"", false);
        check("two words", b"3 30", false);
        check("no secret", b"3 30 ", false);
        check("four words", b"3 30 0fAB x", false);
        check("two blanks", b"3  30 0fAB", false);
        check("blank in front", b" 3 30 0fAB", false);
        check("negative id", b"-3 30 0fAB", false);
        check("signed id", b"+3 30 0fAB", false);
        check("id too large", b"2147483648 30 0fAB", false);
        check("id beyond 64 bits", b"99999999999999999999 30 0fAB", false);
        check("no id", b" 30 0fAB", false);
        check("negative time", b"3 -30 0fAB", false);
        check("secret not hex", b"3 30 0fAg", false);
        check("DOS line end", b"3 30 0fAB\r", false);
        check("not text", b"3 30 \xff", false);
        check("id taken", b"1 30 0fAB", false);
    }

    #[test]
    fn bounds_what_it_reads() {
        let count_of = |count: usize| {
            let content: String = (0..count).map(|id| format!("{id} 1 ab\n")).collect();
            ids(&Keyring::parse(content.as_bytes())).len()
        };
        assert_eq!(count_of(COOKIE_COUNT_MAX), COOKIE_COUNT_MAX); // protocol.md A093
        assert_eq!(count_of(COOKIE_COUNT_MAX + 1), COOKIE_COUNT_MAX);
        let with_secret = |size: usize| {
            ids(&Keyring::parse(format!("1 1 {}", "a".repeat(size)).as_bytes())).len()
        };
        assert_eq!(with_secret(SECRET_SIZE_MAX), 1);
        assert_eq!(with_secret(SECRET_SIZE_MAX + 1), 0);
        assert_eq!(ids(&Keyring::parse(b"2147483647 1 ab")), [ID_MAX]);
    }

    #[test]
    fn prints_what_it_read() {
        let content = "7 1000 c0de\n2147483647 18446744073709551615 00ff\n";
        assert_eq!(Keyring::parse(content.as_bytes()).to_string(), content);
        assert_eq!(Keyring::default().to_string(), "");
    }

    #[test]
    fn current_is_the_newest_that_is_new_enough() {
        // protocol.md A093
        let check = |ages_s: &[i64], expected: Option<u32>| {
            let keyring = keyring(ages_s);
            assert_eq!(keyring.current(NOW_S).map(Cookie::id), expected, "{ages_s:?}");
        };
        check(&[], None);
        check(&[0], Some(0));
        check(&[300], Some(0));
        check(&[301], None);
        check(&[-300], Some(0));
        check(&[-301], None);
        check(&[200, 100, 400], Some(1));
        check(&[-400, 250], Some(1));
    }

    #[test]
    fn drops_what_is_out_of_time() {
        // protocol.md A093
        let check = |ages_s: &[i64], expected: &[u32]| {
            let mut keyring = keyring(ages_s);
            assert_eq!(keyring.remove_expired(NOW_S), expected.len() < ages_s.len(), "{ages_s:?}");
            assert_eq!(ids(&keyring), expected, "{ages_s:?}");
        };
        check(&[], &[]);
        check(&[420, 421], &[0]);
        check(&[-300, -301], &[0]);
        check(&[421, 0, -301, 5], &[1, 3]);
        check(&[0, 1], &[0, 1]);
    }

    #[test]
    fn adds_with_a_free_id() {
        let check = |taken: &[u32], wish: u32, expected: u32| {
            let lines: String = taken.iter().map(|id| format!("{id} 1 ab\n")).collect();
            let mut keyring = Keyring::parse(lines.as_bytes());
            let cookie = keyring.add(wish, [0x0f; NEW_SECRET_SIZE], NOW_S);
            assert_eq!((cookie.id(), cookie.created_s()), (expected, NOW_S), "{taken:?} {wish}");
            assert_eq!(cookie.secret(), "0f".repeat(NEW_SECRET_SIZE));
            assert_eq!(keyring.find(expected), Some(&cookie));
            assert_eq!(Keyring::parse(keyring.to_string().as_bytes()), keyring);
        };
        check(&[], 7, 7);
        check(&[7, 8], 7, 9);
        check(&[ID_MAX], ID_MAX, 0);
        check(&[], u32::MAX, ID_MAX);
        check(&[0, ID_MAX], u32::MAX, 1);
    }

    #[test]
    fn a_full_keyring_loses_its_oldest() {
        let ages_s: Vec<i64> = (0..COOKIE_COUNT_MAX as i64).collect();
        let mut keyring = keyring(&ages_s);
        keyring.add(1000, [0; NEW_SECRET_SIZE], NOW_S);
        assert_eq!(keyring.cookies.len(), COOKIE_COUNT_MAX);
        assert!(keyring.find(1000).is_some());
        assert!(keyring.find(COOKIE_COUNT_MAX as u32 - 1).is_none());
    }

    #[test]
    fn compares_whole_texts() {
        let check = |a: &[u8], b: &[u8], expected| {
            assert_eq!(equal_in_constant_time(a, b), expected, "{a:?} {b:?}");
        };
        check(b"", b"", true);
        check(b"abc", b"abc", true);
        check(b"abc", b"abd", false);
        check(b"abc", b"xbc", false);
        check(b"abc", b"ab", false);
        check(b"ab", b"abc", false);
    }

    #[test]
    fn secrets_are_not_shown() {
        assert!(!format!("{:?}", Keyring::parse(b"1 1 c0de")).contains("c0de"));
    }
}
