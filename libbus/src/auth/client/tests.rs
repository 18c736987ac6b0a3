//! The tables of protocol.md A083–A087, row by row, and whole handshakes between both sides.

use super::*;
use crate::auth::cookie::{DEFAULT_CONTEXT, Keyring};
use crate::auth::{
    CookieChallenge, Identity, ServerAuth, ServerAuthConfig, ServerAuthError, ServerProgress,
};

const GUID: &str = "000102030405060708090a0b0c0d0e0f";
const OK: &str = "OK 000102030405060708090a0b0c0d0e0f\r\n";
const AUTH: &str = "AUTH EXTERNAL 31303030\r\n";

fn guid() -> Guid {
    Guid::parse(GUID).unwrap()
}

fn config(mechanisms: &[Mechanism]) -> ClientAuthConfig {
    ClientAuthConfig {
        mechanisms: mechanisms.to_vec(),
        uid: Some(1000),
        unix_fds: true,
        guid: Some(guid()),
    }
}

/// One handshake with what was said and not yet looked at.
struct Handshake {
    auth: ClientAuth,
    out: Vec<u8>,
}

type Outcome = (String, Result<ClientProgress, ClientAuthError>);

impl Handshake {
    fn new(config: ClientAuthConfig) -> Self {
        let mut handshake = Self { auth: ClientAuth::new(config), out: Vec::new() };
        handshake.auth.start(&mut handshake.out).unwrap();
        handshake
    }

    /// Started, and then told `lines`.
    fn after(config: ClientAuthConfig, lines: &str) -> Self {
        let mut handshake = Self::new(config);
        handshake.hear(lines).1.unwrap();
        handshake
    }

    fn hear(&mut self, text: &str) -> Outcome {
        self.receive(text.as_bytes())
    }

    fn receive(&mut self, bytes: &[u8]) -> Outcome {
        let result = self.auth.handle_bytes(bytes, &mut self.out);
        (self.said(), result)
    }

    fn said(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.out)).unwrap()
    }

    fn state(&self) -> &'static str {
        match &self.auth.state {
            State::NotStarted => "NotStarted",
            State::WaitingForData(_) => "WaitingForData",
            State::WaitingForOk => "WaitingForOk",
            State::WaitingForCookie { .. } => "WaitingForCookie",
            State::WaitingForReject => "WaitingForReject",
            State::WaitingForAgreeUnixFd(_) => "WaitingForAgreeUnixFd",
            State::Authenticated { .. } => "Authenticated",
            State::Failed(_) => "Failed",
        }
    }
}

const IN_PROGRESS: Result<ClientProgress, ClientAuthError> = Ok(ClientProgress::InProgress);

/// Every command of a server, once, as one line.
const COMMANDS: [&[u8]; 9] = [
    b"REJECTED EXTERNAL DBUS_COOKIE_SHA1 ANONYMOUS",
    b"REJECTED EXTERNAL",
    b"OK 000102030405060708090a0b0c0d0e0f",
    b"DATA",
    b"DATA 3x",
    b"ERROR \"why\"",
    b"AGREE_UNIX_FD",
    b"EXTENSION_ORG_EXAMPLE",
    b"OK \0\xff",
];

fn check_table(mechanism: Mechanism, preparation: &str, rows: [(&str, &str); COMMANDS.len()]) {
    for (command, (answer, state)) in COMMANDS.into_iter().zip(rows) {
        // ANONYMOUS comes last and shows that the next mechanism was tried.
        let uid = if mechanism == Mechanism::External { None } else { Some(1000) };
        let config = ClientAuthConfig { uid, ..config(&[mechanism, Mechanism::Anonymous]) };
        let mut handshake = Handshake::after(config, preparation);
        handshake.out.clear();
        let (said, _) = handshake.receive(&[command, b"\r\n"].concat());
        let word = if said.starts_with("ERROR") { "ERROR" } else { said.trim_end() };
        assert_eq!((word, handshake.state()), (answer, state), "{}", command.escape_ascii());
    }
}

#[test]
fn waiting_for_data_table() {
    // protocol.md A083
    let next = ("AUTH ANONYMOUS", "WaitingForOk");
    let accepted = ("NEGOTIATE_UNIX_FD", "WaitingForAgreeUnixFd");
    let error = ("ERROR", "WaitingForData");
    let cancel = ("CANCEL", "WaitingForReject");
    let data = ("DATA", "WaitingForOk");
    let failed = ("", "Failed");
    check_table(
        Mechanism::DbusCookieSha1,
        "",
        [next, failed, accepted, error, error, cancel, error, error, error],
    );
    check_table(
        Mechanism::External,
        "",
        [next, failed, accepted, data, data, cancel, error, error, error],
    );
}

#[test]
fn waiting_for_ok_table() {
    // protocol.md A084
    let next = ("AUTH ANONYMOUS", "WaitingForOk");
    let accepted = ("NEGOTIATE_UNIX_FD", "WaitingForAgreeUnixFd");
    let error = ("ERROR", "WaitingForOk");
    let cancel = ("CANCEL", "WaitingForReject");
    check_table(
        Mechanism::External,
        "DATA\r\n",
        [next, ("", "Failed"), accepted, cancel, cancel, cancel, error, error, error],
    );
}

#[test]
fn waiting_for_reject_table() {
    // protocol.md A085
    let next = ("AUTH ANONYMOUS", "WaitingForOk");
    let failed = ("", "Failed");
    check_table(
        Mechanism::External,
        "ERROR\r\n",
        [next, failed, failed, failed, failed, failed, failed, failed, failed],
    );
}

#[test]
fn waiting_for_agree_unix_fd_table() {
    // protocol.md A086
    let begin = ("BEGIN", "Authenticated");
    let failed = ("", "Failed");
    check_table(
        Mechanism::External,
        OK,
        [failed, failed, failed, failed, failed, begin, begin, failed, failed],
    );
}

#[test]
fn says_nul_and_the_first_mechanism() {
    // protocol.md A068, A088, A090
    let check = |mechanism: Mechanism, uid: Option<u32>, expected: &str| {
        let mut handshake = Handshake::new(ClientAuthConfig { uid, ..config(&[mechanism]) });
        assert_eq!(handshake.said(), format!("\0{expected}\r\n"));
    };
    check(Mechanism::External, Some(1000), "AUTH EXTERNAL 31303030");
    check(Mechanism::External, Some(0), "AUTH EXTERNAL 30");
    check(Mechanism::External, None, "AUTH EXTERNAL");
    check(Mechanism::DbusCookieSha1, Some(1000), "AUTH DBUS_COOKIE_SHA1 31303030");
    check(Mechanism::Anonymous, Some(1000), "AUTH ANONYMOUS");
}

#[test]
fn tries_each_mechanism_once() {
    // protocol.md A087
    let check = |case: &str, mechanisms: &[Mechanism], list: &str, expected: &[&str]| {
        let mut handshake = Handshake::new(config(mechanisms));
        handshake.out.clear();
        for line in expected {
            let (said, _) = handshake.hear(&format!("REJECTED{list}\r\n"));
            assert_eq!(said.split(' ').nth(1).map(str::trim_end), Some(*line), "{case}");
        }
        let last = handshake.hear(&format!("REJECTED{list}\r\n"));
        assert_eq!(last, (String::new(), Err(ClientAuthError::NoMechanismLeft)), "{case}");
        let error = handshake.hear(OK).1;
        assert_eq!(error, Err(ClientAuthError::NoMechanismLeft), "{case}: an error is final");
    };
    use Mechanism::{Anonymous, DbusCookieSha1, External};
    let all = [External, DbusCookieSha1, Anonymous];
    check("no list", &all, "", &["DBUS_COOKIE_SHA1", "ANONYMOUS"]);
    check(
        "all listed",
        &all,
        " EXTERNAL DBUS_COOKIE_SHA1 ANONYMOUS",
        &["DBUS_COOKIE_SHA1", "ANONYMOUS"],
    );
    check("one listed", &all, " ANONYMOUS", &["ANONYMOUS"]);
    check("none left", &all, " EXTERNAL", &[]);
    check("own order", &[Anonymous, External], " EXTERNAL ANONYMOUS", &["EXTERNAL"]);
}

#[test]
fn needs_a_mechanism() {
    let check = |config: ClientAuthConfig| {
        let mut auth = ClientAuth::new(config);
        assert_eq!(auth.start(&mut Vec::new()), Err(ClientAuthError::NoMechanismLeft));
    };
    check(config(&[]));
    check(ClientAuthConfig { uid: None, ..config(&[Mechanism::DbusCookieSha1]) });
}

#[test]
fn compares_the_guid() {
    // protocol.md A087
    let check = |case: &str, expected: Option<Guid>, line: &str, outcome: &str| {
        let config = ClientAuthConfig { guid: expected, ..config(&[Mechanism::External]) };
        let (_, result) = Handshake::after(config, "").hear(line);
        assert_eq!(format!("{result:?}"), outcome, "{case}");
    };
    check("right", Some(guid()), OK, "Ok(InProgress)");
    check("not known", None, OK, "Ok(InProgress)");
    check("wrong", Some(Guid::from_bytes([1; 16])), OK, "Err(WrongGuid)");
    check("none", None, "OK\r\n", "Err(InvalidGuid)");
    check("too short", None, "OK 00010203\r\n", "Err(InvalidGuid)");
    check("no hex", None, &OK.replace('f', "g"), "Err(InvalidGuid)");
}

#[test]
fn messages_begin_after_the_last_answer() {
    // protocol.md A074
    let check = |unix_fds: bool, text: &str, begin: usize, agreed: bool, said: &str| {
        let guid = guid();
        let config = ClientAuthConfig { unix_fds, ..config(&[Mechanism::External]) };
        for piece_size in 1..=text.len() {
            let mut handshake = Handshake::new(config.clone());
            let mut fed = 0;
            for piece in text.as_bytes().chunks(piece_size) {
                let result = handshake.auth.handle_bytes(piece, &mut handshake.out);
                if fed + piece.len() >= begin {
                    let consumed = begin - fed;
                    let expected =
                        ClientProgress::Authenticated { consumed, guid, unix_fds: agreed };
                    assert_eq!(result, Ok(expected), "by {piece_size}");
                    break;
                }
                assert_eq!(result, IN_PROGRESS, "by {piece_size}");
                fed += piece.len();
            }
            assert_eq!(handshake.said(), format!("\0{AUTH}{said}"), "by {piece_size}");
        }
    };
    let agree = format!("{OK}AGREE_UNIX_FD\r\n");
    let refuse = format!("{OK}ERROR no\r\n");
    check(false, &format!("{OK}l\u{4}"), OK.len(), false, "BEGIN\r\n");
    check(true, &format!("{agree}l\u{4}"), agree.len(), true, "NEGOTIATE_UNIX_FD\r\nBEGIN\r\n");
    check(true, &format!("{refuse}OK\r\n"), refuse.len(), false, "NEGOTIATE_UNIX_FD\r\nBEGIN\r\n");
}

#[test]
fn bounds_a_line_and_a_burst() {
    let check = |case: &str, text: &str, expected| {
        let mut handshake = Handshake::after(config(&[Mechanism::External]), "");
        assert_eq!(handshake.hear(text).1, expected, "{case}");
    };
    let line = |size: usize| format!("{}\r\n", "A".repeat(size - 2));
    check("at the bound", &line(HANDSHAKE_SIZE_MAX), IN_PROGRESS);
    check("one past", &line(HANDSHAKE_SIZE_MAX + 1), Err(ClientAuthError::TooMuchInput));
    check("burst", &"\r\n".repeat(HANDSHAKE_SIZE_MAX), Err(ClientAuthError::TooMuchInput));

    let mut handshake = Handshake::after(config(&[Mechanism::External]), "");
    handshake.hear(&line(HANDSHAKE_SIZE_MAX + 1)).1.unwrap_err();
    assert_eq!(handshake.hear(OK).1, Err(ClientAuthError::TooMuchInput), "an error is final");
}

#[test]
fn silent_until_started() {
    let mut auth = ClientAuth::new(config(&[Mechanism::External]));
    let mut out = Vec::new();
    assert_eq!(auth.handle_bytes(b"", &mut out), IN_PROGRESS);
    assert_eq!(auth.handle_bytes(b"O", &mut out), Err(ClientAuthError::UnexpectedCommand));
    assert_eq!(out, b"");
}

// ----- DBUS_COOKIE_SHA1 -----

fn asked_for_cookie(challenge: &str) -> (Handshake, Outcome) {
    let mut handshake = Handshake::new(config(&[Mechanism::DbusCookieSha1]));
    handshake.out.clear();
    let outcome = handshake.hear(&format!("DATA {}\r\n", hex::encode(challenge.as_bytes())));
    (handshake, outcome)
}

#[test]
fn cookie_challenge_is_checked() {
    // protocol.md A091, A092
    let check = |challenge: &str, expected: Option<(&str, u32)>| {
        let (handshake, (said, result)) = asked_for_cookie(challenge);
        if let Some((context, id)) = expected {
            let needed = ClientProgress::CookieNeeded { context: context.into(), id };
            assert_eq!((said.as_str(), result), ("", Ok(needed)), "{challenge:?}");
        } else {
            assert!(said.starts_with("ERROR "), "{challenge:?}");
            assert_eq!(
                (handshake.state(), result),
                ("WaitingForData", IN_PROGRESS),
                "{challenge:?}"
            );
        }
    };
    check("org_freedesktop_general 7 c0de", Some(("org_freedesktop_general", 7)));
    check("x 0 !", Some(("x", 0)));
    check("x 7", None);
    check("x 7 ", None);
    check("x 7 c0de more", None);
    check("x -7 c0de", None);
    check("x 4294967296 c0de", None);
    check("x y c0de", None);
    check(" 7 c0de", None);
    check("../secret 7 c0de", None);
    check("a/b 7 c0de", None);
    check("a\\b 7 c0de", None);
    check("a.b 7 c0de", None);
    check("a\nb 7 c0de", None);
    check("a\rb 7 c0de", None);
    check("a\tb 7 c0de", None);
    check("ä 7 c0de", None);
    check("", None);
}

#[test]
fn cookie_is_answered_with_its_hash() {
    // protocol.md A091; the hash is `printf 'c0de:CHALLENGE:5ec2e7' | sha1sum`.
    const CHALLENGE: &str = "abababababababababababababababab";
    const HASH: &str = "cca90ff118e5df086086cbb38642fc6ea4078ad4";
    let (mut handshake, _) = asked_for_cookie("x 7 c0de");
    let cookie = ClientCookie { cookie: "5ec2e7".into(), challenge: [0xab; 16] };
    assert!(!format!("{cookie:?}").contains("5ec2e7"));
    let progress = handshake.auth.handle_cookie(Some(cookie), &mut handshake.out);
    let data = hex::encode(format!("{CHALLENGE} {HASH}").as_bytes());
    assert_eq!((handshake.said(), progress), (format!("DATA {data}\r\n"), IN_PROGRESS));
    assert_eq!(handshake.state(), "WaitingForOk");
}

#[test]
fn no_cookie_cancels() {
    let (mut handshake, _) = asked_for_cookie("x 7 c0de");
    let progress = handshake.auth.handle_cookie(None, &mut handshake.out);
    assert_eq!((handshake.said(), progress), ("CANCEL\r\n".into(), IN_PROGRESS));
    assert_eq!(handshake.state(), "WaitingForReject");
}

#[test]
fn server_must_wait_for_the_cookie() {
    // protocol.md A073
    let (mut handshake, _) = asked_for_cookie("x 7 c0de");
    let needed = ClientProgress::CookieNeeded { context: "x".into(), id: 7 };
    assert_eq!(handshake.hear(""), (String::new(), Ok(needed)));
    assert_eq!(handshake.hear("D").1, Err(ClientAuthError::UnexpectedCommand));
}

#[test]
fn a_cookie_nobody_asked_for_changes_nothing() {
    let mut handshake = Handshake::after(config(&[Mechanism::External]), "");
    handshake.out.clear();
    let progress = handshake.auth.handle_cookie(None, &mut handshake.out);
    assert_eq!((handshake.said(), progress), (String::new(), IN_PROGRESS));
}

// ----- both sides -----

/// What a whole handshake came to.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Authenticated { identity: Identity, unix_fds: bool },
    ServerLeft(ServerAuthError),
    ClientLeft(ClientAuthError),
}

/// The host's part of a handshake between both sides.
struct Host {
    peer_uid: Option<u32>,
    fds_possible: bool,
    /// The keyrings that each side reads; the same file, unless something is wrong.
    server_keyring: Keyring,
    client_keyring: Keyring,
}

impl Host {
    /// Lets both sides talk, in pieces of `piece_size` bytes, until one of them ends it.
    fn run(&self, client: ClientAuthConfig, mechanisms: &[Mechanism], piece_size: usize) -> End {
        let server_config =
            ServerAuthConfig { guid: guid(), mechanisms, own_uid: 1000, own_user_name: "bus" };
        let mut client = ClientAuth::new(client);
        let mut server = ServerAuth::new(self.peer_uid, self.fds_possible);
        let mut to_server = Vec::new();
        client.start(&mut to_server).unwrap();
        let mut client_end = None;
        loop {
            let mut to_client = Vec::new();
            for piece in std::mem::take(&mut to_server).chunks(piece_size) {
                match self.serve(&mut server, piece, &server_config, &mut to_client) {
                    Ok(ServerProgress::Authenticated { identity, unix_fds, .. }) => {
                        assert_eq!(client_end, Some(unix_fds), "both sides agree");
                        return End::Authenticated { identity, unix_fds };
                    }
                    Ok(_) => {}
                    Err(error) => return End::ServerLeft(error),
                }
            }
            assert_ne!(to_client, b"", "the server answers");
            for piece in to_client.chunks(piece_size) {
                match self.ask(&mut client, piece, &mut to_server) {
                    Ok(ClientProgress::Authenticated { unix_fds, .. }) => {
                        client_end = Some(unix_fds)
                    }
                    Ok(_) => {}
                    Err(error) => return End::ClientLeft(error),
                }
            }
        }
    }

    fn serve(
        &self,
        server: &mut ServerAuth,
        bytes: &[u8],
        config: &ServerAuthConfig<'_>,
        out: &mut Vec<u8>,
    ) -> Result<ServerProgress, ServerAuthError> {
        match server.handle_bytes(bytes, config, out)? {
            ServerProgress::CookieNeeded { context } => {
                assert_eq!(context, DEFAULT_CONTEXT);
                let cookie = self.server_keyring.current(NOW_S).map(|cookie| CookieChallenge {
                    id: cookie.id(),
                    cookie: cookie.secret().to_owned(),
                    challenge: [0xcd; 16],
                });
                server.handle_cookie(cookie, config, out)
            }
            progress => Ok(progress),
        }
    }

    fn ask(
        &self,
        client: &mut ClientAuth,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<ClientProgress, ClientAuthError> {
        match client.handle_bytes(bytes, out)? {
            ClientProgress::CookieNeeded { context, id } => {
                assert_eq!(context, DEFAULT_CONTEXT);
                let cookie = self.client_keyring.find(id).map(|cookie| ClientCookie {
                    cookie: cookie.secret().to_owned(),
                    challenge: [0xab; 16],
                });
                client.handle_cookie(cookie, out)
            }
            progress => Ok(progress),
        }
    }
}

const NOW_S: u64 = 1_000_000;

fn host() -> Host {
    let mut keyring = Keyring::default();
    keyring.add(7, [0x5e; 24], NOW_S);
    Host {
        peer_uid: Some(1000),
        fds_possible: true,
        server_keyring: keyring.clone(),
        client_keyring: keyring,
    }
}

#[test]
fn both_sides_come_to_the_same_end() {
    // protocol.md A068-A097
    use Mechanism::{Anonymous, DbusCookieSha1, External};
    let check =
        |case: &str, host: &Host, client: ClientAuthConfig, offered: &[Mechanism], expected| {
            for piece_size in [1, 2, 7, 4096] {
                let end = host.run(client.clone(), offered, piece_size);
                assert_eq!(end, expected, "{case}, by {piece_size}");
            }
        };
    let unix = |uid, unix_fds| End::Authenticated { identity: Identity::Unix(uid), unix_fds };
    let anonymous = || End::Authenticated { identity: Identity::Anonymous, unix_fds: true };
    let all = Mechanism::ALL;
    let cookie = [DbusCookieSha1];

    check("EXTERNAL", &host(), config(&all), &all, unix(1000, true));
    let no_uid = ClientAuthConfig { uid: None, ..config(&all) };
    check("EXTERNAL, socket's credentials", &host(), no_uid.clone(), &all, unix(1000, true));
    let no_fds = ClientAuthConfig { unix_fds: false, ..config(&all) };
    check("no descriptors wanted", &host(), no_fds, &all, unix(1000, false));
    let tcp = || Host { peer_uid: None, fds_possible: false, ..host() };
    check("TCP", &tcp(), config(&all), &all, unix(1000, false));
    check("TCP without uid", &tcp(), no_uid, &[External, Anonymous], {
        End::Authenticated { identity: Identity::Anonymous, unix_fds: false }
    });
    check("COOKIE", &host(), config(&cookie), &all, unix(1000, true));
    check("ANONYMOUS", &host(), config(&[Anonymous]), &all, anonymous());
    check("only ANONYMOUS offered", &host(), config(&all), &[Anonymous], anonymous());

    let none = || End::ClientLeft(ClientAuthError::NoMechanismLeft);
    let lost = Host { client_keyring: Keyring::default(), ..host() };
    check("client has no such cookie", &lost, config(&all[1..]), &all, anonymous());
    let empty = Host { server_keyring: Keyring::default(), ..host() };
    check("server has no cookie", &empty, config(&cookie), &all, none());
    let mut forged = host();
    forged.client_keyring = Keyring::parse(b"7 1000000 bad");
    check("wrong cookie", &forged, config(&cookie), &all, none());
    let other = ClientAuthConfig { uid: Some(1001), ..config(&all[..2]) };
    check("another user", &host(), other, &all, none());
}
