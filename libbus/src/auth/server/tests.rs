//! The tables of protocol.md A068–A082 and A097, row by row.

use super::*;

const GUID: &str = "000102030405060708090a0b0c0d0e0f";
const OK: &str = "OK 000102030405060708090a0b0c0d0e0f\r\n";
const REJECTED: &str = "REJECTED EXTERNAL DBUS_COOKIE_SHA1 ANONYMOUS\r\n";
const OWN_UID: u32 = 1000;
/// AUTH EXTERNAL as [`OWN_UID`].
const AUTH: &str = "AUTH EXTERNAL 31303030\r\n";
/// AUTH DBUS_COOKIE_SHA1 as [`OWN_UID`].
const AUTH_COOKIE: &str = "AUTH DBUS_COOKIE_SHA1 31303030\r\n";

fn config() -> ServerAuthConfig<'static> {
    ServerAuthConfig {
        guid: Guid::parse(GUID).unwrap(),
        // Not in the order of the list, which must not matter.
        mechanisms: &[Mechanism::Anonymous, Mechanism::External, Mechanism::DbusCookieSha1],
        own_uid: OWN_UID,
        own_user_name: "bus",
    }
}

fn cookie() -> CookieChallenge {
    CookieChallenge { id: 7, cookie: "5ec2e7".into(), challenge: [0xab; 16] }
}

/// One client's handshake with the answers that it has got.
struct Handshake {
    auth: ServerAuth,
    out: Vec<u8>,
}

impl Handshake {
    fn new(peer_uid: Option<u32>, fds_possible: bool) -> Self {
        Self { auth: ServerAuth::new(peer_uid, fds_possible), out: Vec::new() }
    }

    /// A handshake in which `line`s were said after the first byte.
    fn after(lines: &str) -> Self {
        let mut handshake = Self::new(Some(OWN_UID), true);
        handshake.say(&format!("\0{lines}")).1.unwrap();
        handshake
    }

    /// Says something, and returns the answer and the outcome.
    fn say(&mut self, text: &str) -> (String, Result<ServerProgress, ServerAuthError>) {
        self.send(text.as_bytes())
    }

    fn send(&mut self, bytes: &[u8]) -> (String, Result<ServerProgress, ServerAuthError>) {
        let result = self.auth.handle_bytes(bytes, &config(), &mut self.out);
        (String::from_utf8(std::mem::take(&mut self.out)).unwrap(), result)
    }

    fn give_cookie(
        &mut self,
        cookie: Option<CookieChallenge>,
    ) -> (String, Result<ServerProgress, ServerAuthError>) {
        let result = self.auth.handle_cookie(cookie, &config(), &mut self.out);
        (String::from_utf8(std::mem::take(&mut self.out)).unwrap(), result)
    }

    fn state(&self) -> &'static str {
        match &self.auth.state {
            State::WaitingForNul => "WaitingForNul",
            State::WaitingForAuth => "WaitingForAuth",
            State::WaitingForData(_) => "WaitingForData",
            State::WaitingForCookie => "WaitingForCookie",
            State::WaitingForBegin(_) => "WaitingForBegin",
            State::Authenticated(_) => "Authenticated",
            State::Failed(_) => "Failed",
        }
    }
}

const IN_PROGRESS: Result<ServerProgress, ServerAuthError> = Ok(ServerProgress::InProgress);

fn authenticated(consumed: usize, unix_fds: bool) -> Result<ServerProgress, ServerAuthError> {
    let identity = Identity::Unix(OWN_UID);
    Ok(ServerProgress::Authenticated { consumed, identity, unix_fds })
}

/// The word that an answer begins with; "ERROR" stands for any explanation.
fn word(answer: &str) -> &str {
    answer.split([' ', '\r']).next().unwrap()
}

/// Every command, once, as one line.
const COMMANDS: [&str; 14] = [
    "AUTH",
    "AUTH EXTERNAL",
    "AUTH EXTERNAL 31303030",
    "AUTH EXTERNAL 30",
    "AUTH EXTERNAL 3x",
    "AUTH UNKNOWN",
    "CANCEL",
    "BEGIN",
    "DATA",
    "DATA 31303030",
    "DATA 3x",
    "ERROR \"why\"",
    "NEGOTIATE_UNIX_FD",
    "EXTENSION_ORG_EXAMPLE",
];

fn check_table(preparation: &str, rows: [(&str, &str); COMMANDS.len()]) {
    for (command, (answer, state)) in COMMANDS.into_iter().zip(rows) {
        let mut handshake = Handshake::after(preparation);
        let (said, _) = handshake.say(&format!("{command}\r\n"));
        assert_eq!((word(&said), handshake.state()), (answer, state), "{command:?}");
        let lines = usize::from(!answer.is_empty());
        assert_eq!(said.matches("\r\n").count(), lines, "{command:?}: one answer (A073)");
    }
}

#[test]
fn waiting_for_auth_table() {
    // protocol.md A072, A075, A077
    check_table(
        "",
        [
            ("REJECTED", "WaitingForAuth"),
            ("DATA", "WaitingForData"),
            ("OK", "WaitingForBegin"),
            ("REJECTED", "WaitingForAuth"),
            ("ERROR", "WaitingForAuth"),
            ("REJECTED", "WaitingForAuth"),
            ("ERROR", "WaitingForAuth"),
            ("", "Failed"),
            ("ERROR", "WaitingForAuth"),
            ("ERROR", "WaitingForAuth"),
            ("ERROR", "WaitingForAuth"),
            ("REJECTED", "WaitingForAuth"),
            ("ERROR", "WaitingForAuth"),
            ("ERROR", "WaitingForAuth"),
        ],
    );
}

#[test]
fn waiting_for_data_table() {
    // protocol.md A078
    check_table(
        "AUTH EXTERNAL\r\n",
        [
            ("ERROR", "WaitingForData"),
            ("ERROR", "WaitingForData"),
            ("ERROR", "WaitingForData"),
            ("ERROR", "WaitingForData"),
            ("ERROR", "WaitingForData"),
            ("ERROR", "WaitingForData"),
            ("REJECTED", "WaitingForAuth"),
            ("", "Failed"),
            ("OK", "WaitingForBegin"),
            ("OK", "WaitingForBegin"),
            ("ERROR", "WaitingForData"),
            ("REJECTED", "WaitingForAuth"),
            ("ERROR", "WaitingForData"),
            ("ERROR", "WaitingForData"),
        ],
    );
}

#[test]
fn waiting_for_begin_table() {
    // protocol.md A079, A097
    check_table(
        AUTH,
        [
            ("ERROR", "WaitingForBegin"),
            ("ERROR", "WaitingForBegin"),
            ("ERROR", "WaitingForBegin"),
            ("ERROR", "WaitingForBegin"),
            ("ERROR", "WaitingForBegin"),
            ("ERROR", "WaitingForBegin"),
            ("REJECTED", "WaitingForAuth"),
            ("", "Authenticated"),
            ("ERROR", "WaitingForBegin"),
            ("ERROR", "WaitingForBegin"),
            ("ERROR", "WaitingForBegin"),
            ("REJECTED", "WaitingForAuth"),
            ("AGREE_UNIX_FD", "WaitingForBegin"),
            ("ERROR", "WaitingForBegin"),
        ],
    );
}

#[test]
fn first_byte_is_nul() {
    // protocol.md A068
    let check = |bytes: &[u8], expected| {
        let mut handshake = Handshake::new(Some(OWN_UID), true);
        assert_eq!(handshake.send(bytes), (String::new(), expected), "{bytes:?}");
    };
    check(b"", IN_PROGRESS);
    check(b"\0", IN_PROGRESS);
    check(b"AUTH\r\n", Err(ServerAuthError::FirstByteNotNul));
    check(b"\r\n", Err(ServerAuthError::FirstByteNotNul));
    check(b"\x01", Err(ServerAuthError::FirstByteNotNul));
}

#[test]
fn every_answer_is_exact() {
    // protocol.md A071, A073, A075
    let check = |text: &str, expected: &str| {
        assert_eq!(Handshake::after("").say(text).0, expected, "{text:?}");
    };
    check("AUTH\r\n", REJECTED);
    check("AUTH NOBODY_KNOWS\r\n", REJECTED);
    check("AUTH EXTERNAL\r\n", "DATA\r\n");
    check("AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n", &format!("DATA\r\n{OK}"));
    check(AUTH, OK);
    check("AUTH ANONYMOUS\r\n", OK);
    check("AUTH EXTERNAL 627573\r\n", OK);
    check(&format!("{AUTH}NEGOTIATE_UNIX_FD\r\n"), &format!("{OK}AGREE_UNIX_FD\r\n"));
    check(&format!("{AUTH}CANCEL\r\n{AUTH}"), &format!("{OK}{REJECTED}{OK}"));
    check("what\r\n", "ERROR expected AUTH\r\n");
    check("\r\n", "ERROR expected AUTH\r\n");
}

#[test]
fn bytes_beyond_ascii_are_an_error_and_not_fatal() {
    // protocol.md A069
    for preparation in ["", "AUTH EXTERNAL\r\n", AUTH] {
        for line in
            [&b"AU\0TH\r\n"[..], b"DATA \xc3\xa9\r\n", b"\0\r\n", b"\xff\r\n", b"BEGIN\0\r\n"]
        {
            let mut handshake = Handshake::after(preparation);
            let state = handshake.state();
            let (answer, result) = handshake.send(line);
            assert_eq!(
                (answer.as_str(), result),
                ("ERROR a line must be ASCII text\r\n", IN_PROGRESS)
            );
            assert_eq!(handshake.state(), state, "{line:?}");
        }
    }
}

#[test]
fn offers_only_what_is_configured() {
    // protocol.md A075, A096
    let check = |mechanisms: &[Mechanism], line: &str, expected: &str| {
        let config = ServerAuthConfig { mechanisms, ..config() };
        let mut out = Vec::new();
        let mut auth = ServerAuth::new(Some(OWN_UID), true);
        auth.handle_bytes(format!("\0{line}").as_bytes(), &config, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{mechanisms:?} {line:?}");
    };
    let external = [Mechanism::External];
    check(&external, AUTH, OK);
    check(&external, "AUTH ANONYMOUS\r\n", "REJECTED EXTERNAL\r\n");
    check(&external, AUTH_COOKIE, "REJECTED EXTERNAL\r\n");
    check(&[Mechanism::Anonymous], AUTH, "REJECTED ANONYMOUS\r\n");
    check(&[], AUTH, "REJECTED\r\n");
}

#[test]
fn external_needs_credentials() {
    // protocol.md A089; the kernel says -1 where a socket has none.
    for peer_uid in [None, Some(u32::MAX)] {
        for line in ["AUTH EXTERNAL\r\n", AUTH, "AUTH EXTERNAL 34323934393637323935\r\n"] {
            let mut handshake = Handshake::new(peer_uid, false);
            assert_eq!(handshake.say(&format!("\0{line}")).0, REJECTED, "{peer_uid:?} {line:?}");
        }
    }
}

#[test]
fn descriptors_are_agreed_on_and_only_where_possible() {
    // protocol.md A097
    let check = |case: &str, fds_possible: bool, lines: &str, expected: bool| {
        let text = format!("\0{lines}");
        let (_, result) = Handshake::new(Some(OWN_UID), fds_possible).say(&text);
        assert_eq!(result, authenticated(text.len(), expected), "{case}");
    };
    let negotiated = format!("{AUTH}NEGOTIATE_UNIX_FD\r\nBEGIN\r\n");
    let lost = format!("{AUTH}NEGOTIATE_UNIX_FD\r\nCANCEL\r\n{AUTH}BEGIN\r\n");
    let twice = format!("{AUTH}NEGOTIATE_UNIX_FD\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n");
    check("asked", true, &negotiated, true);
    check("asked twice", true, &twice, true);
    check("not asked", true, &format!("{AUTH}BEGIN\r\n"), false);
    check("not possible", false, &negotiated, false);
    check("asked in an attempt given up", true, &lost, false);
    check("asked too early", true, &format!("NEGOTIATE_UNIX_FD\r\n{AUTH}BEGIN\r\n"), false);

    let (answer, _) = Handshake::new(Some(OWN_UID), false).say(&format!("\0{negotiated}"));
    assert_eq!(answer, format!("{OK}ERROR this transport carries no file descriptors\r\n"));
}

#[test]
fn pipelined_handshake() {
    // protocol.md A074
    let check = |case: &str, handshake: &str, answer: &str, unix_fds: bool| {
        for messages in ["", "l\u{1}\0\u{1}", "BEGIN\r\nAUTH\r\n", "\0"] {
            let stream = format!("{handshake}{messages}");
            let mut whole = Handshake::new(Some(OWN_UID), true);
            let (said, result) = whole.say(&stream);
            assert_eq!((said.as_str(), result), (answer, authenticated(handshake.len(), unix_fds)));
            for piece_size in 1..stream.len() {
                check_in_pieces(case, &stream, piece_size, answer, handshake.len(), unix_fds);
            }
        }
    };
    check(
        "no identity",
        "\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n",
        &format!("DATA\r\n{OK}AGREE_UNIX_FD\r\n"),
        true,
    );
    check(
        "identity",
        &format!("\0{AUTH}NEGOTIATE_UNIX_FD\r\nBEGIN\r\n"),
        &format!("{OK}AGREE_UNIX_FD\r\n"),
        true,
    );
    check("no descriptors", &format!("\0{AUTH}BEGIN\r\n"), OK, false);
    check(
        "second attempt",
        &format!("\0AUTH\r\n{AUTH}BEGIN\r\n"),
        &format!("{REJECTED}{OK}"),
        false,
    );
}

/// Feeds `stream` in pieces and expects the message stream to begin at `begin`.
fn check_in_pieces(
    case: &str,
    stream: &str,
    piece_size: usize,
    answer: &str,
    begin: usize,
    unix_fds: bool,
) {
    let mut handshake = Handshake::new(Some(OWN_UID), true);
    let mut said = String::new();
    let mut fed = 0;
    for piece in stream.as_bytes().chunks(piece_size) {
        let (part, result) = handshake.send(piece);
        said += &part;
        if fed + piece.len() >= begin {
            assert_eq!(result, authenticated(begin - fed, unix_fds), "{case}, by {piece_size}");
            break;
        }
        assert_eq!(result, IN_PROGRESS, "{case}, by {piece_size}");
        fed += piece.len();
    }
    assert_eq!(said, answer, "{case}, by {piece_size}");
}

#[test]
fn begin_ends_the_handshake_for_good() {
    // protocol.md A074: what follows is never read as a line.
    let mut handshake = Handshake::after(&format!("{AUTH}BEGIN\r\n"));
    assert_eq!(handshake.say("CANCEL\r\n"), (String::new(), authenticated(0, false)));
}

#[test]
fn begin_too_early_is_fatal() {
    // protocol.md A077, A078
    for preparation in ["", "AUTH EXTERNAL\r\n", "AUTH\r\n"] {
        let mut handshake = Handshake::after(preparation);
        let error = (String::new(), Err(ServerAuthError::BeginTooEarly));
        assert_eq!(handshake.say("BEGIN\r\n"), error, "{preparation:?}");
        assert_eq!(handshake.say(AUTH), error, "{preparation:?}: an error is final");
    }
}

#[test]
fn six_rejections_are_enough() {
    // protocol.md A080
    let lines = ["AUTH\r\n", "AUTH EXTERNAL 30\r\n", "ERROR\r\n", "AUTH UNKNOWN\r\n", "AUTH\r\n"];
    let mut handshake = Handshake::after("");
    for line in lines {
        assert_eq!(handshake.say(line), (REJECTED.into(), IN_PROGRESS), "{line:?}");
    }
    let mut other = Handshake::after(&lines.concat());
    assert_eq!(other.say(AUTH), (OK.into(), IN_PROGRESS), "five are not");

    let last = handshake.say("AUTH\r\n");
    assert_eq!(last, (REJECTED.into(), Err(ServerAuthError::TooManyRejections)));
    assert_eq!(handshake.say(AUTH), (String::new(), Err(ServerAuthError::TooManyRejections)));
}

#[test]
fn errors_do_not_count_as_rejections() {
    let mut handshake = Handshake::after(&"CANCEL\r\n".repeat(100));
    assert_eq!(handshake.say(AUTH), (OK.into(), IN_PROGRESS));
}

#[test]
fn bounds_a_line() {
    // protocol.md A081
    let check = |case: &str, size: usize, expected| {
        let mut handshake = Handshake::after("");
        let line = format!("{}\r\n", "A".repeat(size - 2));
        assert_eq!(handshake.say(&line).1, expected, "{case}");
        let mut handshake = Handshake::after("");
        let pieces = line.as_bytes().chunks(1000);
        let result = pieces.map(|piece| handshake.send(piece).1).find(Result::is_err);
        assert_eq!(result.unwrap_or(IN_PROGRESS), expected, "{case}, in pieces");
    };
    check("at the bound", HANDSHAKE_SIZE_MAX, IN_PROGRESS);
    check("one past", HANDSHAKE_SIZE_MAX + 1, Err(ServerAuthError::TooMuchInput));
}

#[test]
fn the_bound_is_not_on_what_follows_begin() {
    let handshake = format!("\0{AUTH}BEGIN\r\n");
    let stream = handshake.clone() + &"x".repeat(HANDSHAKE_SIZE_MAX * 4);
    let (_, result) = Handshake::new(Some(OWN_UID), true).say(&stream);
    assert_eq!(result, authenticated(handshake.len(), false));
}

#[test]
fn bounds_unread_answers() {
    // protocol.md A081
    let check = |case: &str, unread: usize, expected| {
        let mut auth = ServerAuth::new(Some(OWN_UID), true);
        let mut out = vec![b'x'; unread];
        let bytes = format!("\0{AUTH}");
        assert_eq!(auth.handle_bytes(bytes.as_bytes(), &config(), &mut out), expected, "{case}");
    };
    check("at the bound", HANDSHAKE_SIZE_MAX - OK.len(), IN_PROGRESS);
    let one_past = HANDSHAKE_SIZE_MAX - OK.len() + 1;
    check("one past", one_past, Err(ServerAuthError::TooMuchOutput));

    let mut handshake = Handshake::after("");
    let flood = "\r\n".repeat(HANDSHAKE_SIZE_MAX);
    let (answers, result) = handshake.say(&flood);
    assert_eq!(result, Err(ServerAuthError::TooMuchOutput));
    assert!(answers.len() < HANDSHAKE_SIZE_MAX + 64);
}

// ----- DBUS_COOKIE_SHA1 -----

const COOKIE_NEEDED: Result<ServerProgress, ServerAuthError> =
    Ok(ServerProgress::CookieNeeded { context: DEFAULT_CONTEXT });

/// A client's answer to the challenge of [`cookie`].
fn response(hash: &str) -> String {
    format!("DATA {}\r\n", hex::encode(format!("feed {hash}").as_bytes()))
}

/// `printf 'abababababababababababababababab:feed:5ec2e7' | sha1sum`
const HASH: &str = "e49d8cd5ae995fcb86859f450aae10808a845df0";

fn challenged() -> Handshake {
    let mut handshake = Handshake::after("");
    assert_eq!(handshake.say(AUTH_COOKIE), (String::new(), COOKIE_NEEDED));
    let text = "org_freedesktop_general 7 abababababababababababababababab";
    let challenge = format!("DATA {}\r\n", hex::encode(text.as_bytes()));
    assert_eq!(handshake.give_cookie(Some(cookie())), (challenge, IN_PROGRESS));
    handshake
}

#[test]
fn cookie_proves_the_servers_user() {
    // protocol.md A091
    let mut handshake = challenged();
    assert_eq!(handshake.say(&response(HASH)), (OK.into(), IN_PROGRESS));
    assert_eq!(handshake.say("BEGIN\r\n").1, authenticated(7, false));
}

#[test]
fn cookie_needs_no_credentials() {
    let mut handshake = Handshake::new(None, false);
    assert_eq!(handshake.say(&format!("\0{AUTH_COOKIE}")).1, COOKIE_NEEDED);
    handshake.give_cookie(Some(cookie())).1.unwrap();
    assert_eq!(handshake.say(&response(HASH)), (OK.into(), IN_PROGRESS));
}

#[test]
fn cookie_attempts_that_fail() {
    // protocol.md A078, A091, A095
    let check = |case: &str, line: &str, answer: &str, state: &str| {
        let mut handshake = challenged();
        let (said, _) = handshake.say(line);
        assert_eq!((word(&said), handshake.state()), (answer, state), "{case}");
    };
    check("wrong hash", &response(&HASH.replace('a', "b")), "REJECTED", "WaitingForAuth");
    check("empty", "DATA\r\n", "REJECTED", "WaitingForAuth");
    check("not hex", "DATA x\r\n", "ERROR", "WaitingForData");
    check("given up", "CANCEL\r\n", "REJECTED", "WaitingForAuth");
    check("not understood", "ERROR\r\n", "REJECTED", "WaitingForAuth");
    check("other mechanism", AUTH, "ERROR", "WaitingForData");
    check("too early", "BEGIN\r\n", "", "Failed");

    let mut handshake = Handshake::after("");
    assert_eq!(handshake.say("AUTH DBUS_COOKIE_SHA1 30\r\n").0, REJECTED, "other user");
    assert_eq!(handshake.say("AUTH DBUS_COOKIE_SHA1\r\n").0, REJECTED, "no identity");
}

#[test]
fn a_challenge_is_good_for_one_answer() {
    let mut handshake = challenged();
    assert_eq!(handshake.say("DATA\r\n").0, REJECTED);
    assert_eq!(word(&handshake.say(&response(HASH)).0), "ERROR");
}

#[test]
fn no_cookie_means_rejected() {
    let mut handshake = Handshake::after("");
    handshake.say(AUTH_COOKIE).1.unwrap();
    assert_eq!(handshake.give_cookie(None), (REJECTED.into(), IN_PROGRESS));
    assert_eq!(handshake.say(AUTH), (OK.into(), IN_PROGRESS));

    let mut handshake = Handshake::after(&"AUTH\r\n".repeat(5));
    handshake.say(AUTH_COOKIE).1.unwrap();
    let last = (REJECTED.into(), Err(ServerAuthError::TooManyRejections));
    assert_eq!(handshake.give_cookie(None), last);
    assert_eq!(handshake.say(AUTH).1, Err(ServerAuthError::TooManyRejections));
}

#[test]
fn bytes_wait_while_a_cookie_is_fetched() {
    let mut handshake = Handshake::after("");
    let first = format!("{AUTH_COOKIE}CANCEL\r\nAUTH EXT");
    assert_eq!(handshake.say(&first), (String::new(), COOKIE_NEEDED));
    assert_eq!(handshake.say("ERNAL\r\nDATA\r\nBEGIN\r\nmess"), (String::new(), IN_PROGRESS));
    assert_eq!(handshake.say("ages"), (String::new(), IN_PROGRESS));
    let (answer, result) = handshake.give_cookie(None);
    let error = "ERROR expected AUTH\r\n";
    assert_eq!(
        (answer, result),
        (format!("{REJECTED}{error}DATA\r\n{OK}"), authenticated(0, false))
    );
    assert_eq!(handshake.auth.take_rest(), b"messages");
    assert_eq!(handshake.auth.take_rest(), b"");
}

#[test]
fn bounds_what_waits_for_a_cookie() {
    // protocol.md A081
    let check = |case: &str, size: usize, expected| {
        let mut handshake = Handshake::after("");
        handshake.say(&format!("{AUTH_COOKIE}x")).1.unwrap();
        assert_eq!(handshake.say(&"x".repeat(size - 1)).1, expected, "{case}");
    };
    check("at the bound", HANDSHAKE_SIZE_MAX, IN_PROGRESS);
    check("one past", HANDSHAKE_SIZE_MAX + 1, Err(ServerAuthError::TooMuchInput));

    let mut handshake = Handshake::after("");
    let burst = format!("{AUTH_COOKIE}{}", "x".repeat(HANDSHAKE_SIZE_MAX + 1));
    assert_eq!(handshake.say(&burst).1, Err(ServerAuthError::TooMuchInput), "with the command");
}

#[test]
fn a_cookie_nobody_asked_for_changes_nothing() {
    let mut handshake = Handshake::after("");
    assert_eq!(handshake.give_cookie(Some(cookie())), (String::new(), IN_PROGRESS));
    assert_eq!(handshake.state(), "WaitingForAuth");
}

#[test]
fn secrets_are_not_shown() {
    assert!(!format!("{:?}", cookie()).contains("5ec2e7"));
    assert!(!format!("{:?}", challenged().auth).contains("5ec2e7"));
}
