//! What a server does with the data of each mechanism (protocol.md A088–A096).
//!
//! A [`Conversation`] is one attempt at one mechanism. It takes the client's data, decoded, and
//! answers with a [`Step`]; it ends with the attempt, so nothing that an earlier attempt said can
//! help a later one.

use super::Identity;
use super::cookie::{Secret, equal_in_constant_time, response_hash};
use super::server::ServerAuthConfig;

/// A way to prove who one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// By the credentials that the socket carries (protocol.md A089).
    External,
    /// By reading a cookie from a file of the user (protocol.md A091).
    DbusCookieSha1,
    /// Not at all (protocol.md A096).
    Anonymous,
}

impl Mechanism {
    /// All of them, in the order in which a server lists them.
    pub const ALL: [Self; 3] = [Self::External, Self::DbusCookieSha1, Self::Anonymous];

    /// The name that the protocol and configuration files use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::External => "EXTERNAL",
            Self::DbusCookieSha1 => "DBUS_COOKIE_SHA1",
            Self::Anonymous => "ANONYMOUS",
        }
    }

    /// The mechanism with this name; `None` for one that this crate does not know.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }
}

/// One attempt at one mechanism, named for the data it waits for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Conversation {
    /// EXTERNAL: whom the client wants to be.
    ExternalIdentity,
    /// EXTERNAL: the same, after it was asked with an empty challenge.
    ExternalIdentityAsked,
    /// DBUS_COOKIE_SHA1: whom the client wants to be.
    CookieIdentity,
    /// DBUS_COOKIE_SHA1: the client's challenge and its hash.
    CookieResponse {
        /// The server's challenge, as the client was told it.
        server_challenge: String,
        /// The cookie in the form that its file holds.
        cookie: Secret,
    },
    /// ANONYMOUS: anything that may help to find the client.
    AnonymousTrace,
}

/// What follows from the client's data.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The client is this.
    Accepted(Identity),
    /// The client must say more: an empty challenge, then its answer.
    Asked(Conversation),
    /// The host must fetch a cookie.
    CookieNeeded,
    /// The attempt failed.
    Rejected,
}

impl Conversation {
    /// The attempt's beginning.
    pub(super) const fn new(mechanism: Mechanism) -> Self {
        match mechanism {
            Mechanism::External => Self::ExternalIdentity,
            Mechanism::DbusCookieSha1 => Self::CookieIdentity,
            Mechanism::Anonymous => Self::AnonymousTrace,
        }
    }

    /// Takes the client's next data. `peer_uid` is from the socket's credentials.
    pub(super) fn handle_data(
        self,
        data: &[u8],
        peer_uid: Option<u32>,
        config: &ServerAuthConfig<'_>,
    ) -> Step {
        match self {
            // protocol.md A090: no identity yet, so the client is asked for one, once.
            Self::ExternalIdentity if data.is_empty() && peer_uid.is_some() => {
                Step::Asked(Self::ExternalIdentityAsked)
            }
            Self::ExternalIdentity | Self::ExternalIdentityAsked => {
                external(data, peer_uid, config)
            }
            Self::CookieIdentity => cookie_identity(data, config),
            Self::CookieResponse { server_challenge, cookie } => {
                cookie_response(data, &server_challenge, &cookie, config)
            }
            Self::AnonymousTrace => anonymous(data),
        }
    }
}

// protocol.md A089: the identity asked for must be the socket's; an empty one means the socket's.
fn external(data: &[u8], peer_uid: Option<u32>, config: &ServerAuthConfig<'_>) -> Step {
    match peer_uid {
        Some(uid) if data.is_empty() || requested_uid(data, config) == Some(uid) => {
            Step::Accepted(Identity::Unix(uid))
        }
        _ => Step::Rejected,
    }
}

// protocol.md A095: a cookie proves nothing but the identity of the server's own user.
fn cookie_identity(data: &[u8], config: &ServerAuthConfig<'_>) -> Step {
    match requested_uid(data, config) {
        Some(uid) if uid == config.own_uid => Step::CookieNeeded,
        _ => Step::Rejected,
    }
}

// protocol.md A091
fn cookie_response(
    data: &[u8],
    server_challenge: &str,
    cookie: &Secret,
    config: &ServerAuthConfig<'_>,
) -> Step {
    let mut words = data.split(|byte| *byte == b' ');
    let (Some(client_challenge), Some(hash), None) = (words.next(), words.next(), words.next())
    else {
        return Step::Rejected;
    };
    let expected = response_hash(server_challenge.as_bytes(), client_challenge, cookie);
    if client_challenge.is_empty() || !equal_in_constant_time(hash, expected.as_bytes()) {
        return Step::Rejected;
    }
    Step::Accepted(Identity::Unix(config.own_uid))
}

// protocol.md A096: whether strangers are welcome was decided when the mechanism was offered.
fn anonymous(trace: &[u8]) -> Step {
    match std::str::from_utf8(trace) {
        Ok(_) => Step::Accepted(Identity::Anonymous),
        Err(_) => Step::Rejected,
    }
}

/// The uid that an authorization identity means: a decimal number, or the login name of the
/// server's own user, the only one that can be mapped without asking a name service (protocol.md
/// A088).
// deviation: the reference reads a number as C does (`0x10`, `-1`), we only as the specification
// says it is written.
fn requested_uid(identity: &[u8], config: &ServerAuthConfig<'_>) -> Option<u32> {
    let identity = std::str::from_utf8(identity).ok().filter(|identity| !identity.is_empty())?;
    if identity.bytes().all(|byte| byte.is_ascii_digit()) {
        return identity.parse().ok();
    }
    (identity == config.own_user_name).then_some(config.own_uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guid::Guid;

    const CONFIG: ServerAuthConfig<'static> = ServerAuthConfig {
        guid: Guid::from_bytes([0; 16]),
        mechanisms: &Mechanism::ALL,
        own_uid: 1000,
        own_user_name: "bus",
    };
    const ACCEPTED: Step = Step::Accepted(Identity::Unix(1000));

    #[test]
    fn names_are_the_protocols() {
        for mechanism in Mechanism::ALL {
            assert_eq!(Mechanism::from_name(mechanism.name()), Some(mechanism));
        }
        for unknown in ["", "external", "EXTERNAL ", "SCRAM-SHA-1"] {
            assert_eq!(Mechanism::from_name(unknown), None, "{unknown:?}");
        }
    }

    #[test]
    fn external_compares_with_the_socket() {
        // protocol.md A088, A089, A090
        let check = |case: &str, start: Conversation, data: &str, uid, expected: Step| {
            assert_eq!(start.handle_data(data.as_bytes(), uid, &CONFIG), expected, "{case}");
        };
        let first = || Conversation::ExternalIdentity;
        let asked = || Conversation::ExternalIdentityAsked;
        check("own uid", first(), "1000", Some(1000), ACCEPTED);
        check("own uid, after the challenge", asked(), "1000", Some(1000), ACCEPTED);
        check("leading zeros", first(), "0001000", Some(1000), ACCEPTED);
        check("no identity", first(), "", Some(1000), Step::Asked(asked()));
        check("no identity, twice", asked(), "", Some(1000), ACCEPTED);
        check("login name of the server's user", first(), "bus", Some(1000), ACCEPTED);
        check("that name, other user", first(), "bus", Some(1001), Step::Rejected);
        check("other login name", first(), "root", Some(1000), Step::Rejected);
        check("other uid", first(), "0", Some(1000), Step::Rejected);
        check("no credentials", first(), "1000", None, Step::Rejected);
        check("no credentials, no identity", first(), "", None, Step::Rejected);
        check("no credentials, asked", asked(), "", None, Step::Rejected);
        check("largest number", first(), "4294967294", Some(4_294_967_294), {
            Step::Accepted(Identity::Unix(4_294_967_294))
        });
        check("one past 32 bits", first(), "4294968296", Some(1000), Step::Rejected);
        check("a sign", first(), "+1000", Some(1000), Step::Rejected);
        check("negative", first(), "-1", Some(1), Step::Rejected);
        check("C notation", first(), "0x3e8", Some(1000), Step::Rejected);
        check("a blank", first(), "1000 ", Some(1000), Step::Rejected);
        check("digits of another script", first(), "١٠٠٠", Some(1000), Step::Rejected);
    }

    #[test]
    fn an_unnamed_server_has_no_login_name() {
        let config = ServerAuthConfig { own_user_name: "", ..CONFIG };
        let step = Conversation::CookieIdentity.handle_data(b"", None, &config);
        assert_eq!(step, Step::Rejected);
    }

    #[test]
    fn cookies_are_for_the_servers_user_only() {
        // protocol.md A095
        let check = |case: &str, data: &[u8], expected: Step| {
            let step = Conversation::CookieIdentity.handle_data(data, Some(1001), &CONFIG);
            assert_eq!(step, expected, "{case}");
        };
        check("own uid", b"1000", Step::CookieNeeded);
        check("own login name", b"bus", Step::CookieNeeded);
        check("other uid", b"1001", Step::Rejected);
        check("other login name", b"root", Step::Rejected);
        check("nobody", b"", Step::Rejected);
        check("no text", b"\xff", Step::Rejected);
    }

    #[test]
    fn cookie_response_must_match() {
        // protocol.md A091; the hash is `printf 'c0de:feed:5ec2e7' | sha1sum`.
        const HASH: &str = "6099d11425468ec669ad28654c133fe8b20c75e3";
        let check = |case: &str, data: String, expected: Step| {
            let conversation = Conversation::CookieResponse {
                server_challenge: "c0de".into(),
                cookie: Secret::new("5ec2e7"),
            };
            assert_eq!(
                conversation.handle_data(data.as_bytes(), None, &CONFIG),
                expected,
                "{case}"
            );
        };
        check("right", format!("feed {HASH}"), ACCEPTED);
        check("capitals", format!("feed {}", HASH.to_uppercase()), Step::Rejected);
        check("other client challenge", format!("fee0 {HASH}"), Step::Rejected);
        check("hash too short", format!("feed {}", &HASH[1..]), Step::Rejected);
        check("hash too long", format!("feed {HASH}0"), Step::Rejected);
        check("no hash", "feed ".into(), Step::Rejected);
        check("one word", "feed".into(), Step::Rejected);
        check("three words", format!("feed {HASH} x"), Step::Rejected);
        check("two blanks", format!("feed  {HASH}"), Step::Rejected);
        check("nothing", String::new(), Step::Rejected);
    }

    #[test]
    fn empty_client_challenge_is_refused() {
        let cookie = Secret::new("5ec2e7");
        let data = format!(" {}", response_hash(b"c0de", b"", &cookie));
        let conversation = Conversation::CookieResponse { server_challenge: "c0de".into(), cookie };
        assert_eq!(conversation.handle_data(data.as_bytes(), None, &CONFIG), Step::Rejected);
    }

    #[test]
    fn anonymous_takes_any_text() {
        // protocol.md A096
        let check = |trace: &[u8], expected: Step| {
            let step = Conversation::AnonymousTrace.handle_data(trace, Some(0), &CONFIG);
            assert_eq!(step, expected, "{trace:?}");
        };
        check(b"", Step::Accepted(Identity::Anonymous));
        check("jürgen@example.org".as_bytes(), Step::Accepted(Identity::Anonymous));
        check(b"\xff", Step::Rejected);
    }
}
