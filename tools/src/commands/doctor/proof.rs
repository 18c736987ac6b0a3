//! Whether the other end believes who this is: the first words of a handshake (protocol.md A088–A090), which is then
//! left. The whole of it, with all other ways, is in `greeting.rs`.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use libbus::address::Address;

use super::listener::Listener;
use super::person::{Outside, Person};
use super::report::Check;
use super::setting::Scope;
use super::talk::{Stream, connect, seconds};
use super::{Case, mend};

/// Longest line of a handshake that is read.
const LINE_SIZE_MAX: usize = 16 << 10;

/// What the other end says to a proof of who this is.
#[derive(Debug)]
enum Answer {
    Accepted(String),
    Rejected(String),
    Closed,
    Silent,
    Foreign(String),
}

pub(super) fn check(case: &Case, address: &Address, stream: Stream, listener: &Listener) -> Check {
    const NAME: &str = "authentication";
    let who = Person::describe(case.person.uid);
    let hex: String =
        case.person.uid.to_string().bytes().map(|byte| format!("{byte:02x}")).collect();
    match ask(stream, &format!("\0AUTH EXTERNAL {hex}\r\n"), case.patience()) {
        Answer::Accepted(guid) => match address.guid() {
            Ok(Some(expected)) if expected.to_string() != guid => other_guid(case, address, &guid),
            _ => Check::ok(NAME, format!("accepted as {who}")),
        },
        Answer::Rejected(offered) if offered.split(' ').any(|one| one == "EXTERNAL") => {
            rejected(case, address, &who, listener)
        }
        // The handshake that follows tries these.
        Answer::Rejected(offered) => Check::unknown(NAME, format!("it takes no EXTERNAL, but: {offered}")),
        Answer::Closed => Check::wrong(
            NAME,
            "it closed the connection at once: no bus, or one that has as many connections as it may have",
        )
        .mends(mend::restart(case, listener.pid)),
        Answer::Silent => Check::wrong(NAME, format!("no answer within {}: it hangs, or is no bus", seconds(case.patience())))
            .mends(mend::restart(case, listener.pid)),
        Answer::Foreign(line) => {
            Check::wrong(NAME, format!("it is no bus: it says {line:?}")).mends(mend::address(case))
        }
    }
}

fn other_guid(case: &Case, address: &Address, guid: &str) -> Check {
    let saw =
        format!("the address is that of a bus that has ended: its guid is another one than {guid}");
    let mut plain = address.clone();
    plain.keys.retain(|(key, _)| key != "guid");
    let check = Check::wrong("authentication", saw);
    match case.scope.variable() {
        Some(name) => check.mends([format!("export {name}={plain}")]),
        None => check.mends([format!("bus --address={plain} doctor")]),
    }
}

/// Asked once more without a number, the other end takes that of the socket: if it does, it knows this user by another.
fn rejected(case: &Case, address: &Address, who: &str, listener: &Listener) -> Check {
    const NAME: &str = "authentication";
    let again =
        address.connect().ok().and_then(|target| connect(case, &target)).and_then(Result::ok);
    let unnumbered =
        again.map(|stream| ask(stream, "\0AUTH EXTERNAL\r\nDATA\r\n", case.patience()));
    let is_numbered_otherwise = matches!(unnumbered, Some(Answer::Accepted(_)));
    match (is_numbered_otherwise, case.person.outside) {
        (true, Outside::Other(uid)) => Check::wrong(
            NAME,
            format!("refused as {who}: the bus is outside of this user namespace, where you are uid {uid}"),
        )
        .mends(mend::namespace(case)),
        (true, _) => Check::wrong(
            NAME,
            format!("refused as {who}: the bus knows you by another number, since it is in another user namespace"),
        )
        .mends(mend::namespace(case)),
        (false, _) => {
            let check = Check::wrong(NAME, format!("refused as {who}"));
            match listener.uid.filter(|uid| *uid != case.person.uid) {
                // The listener's own line says how to become its user.
                Some(_) if case.scope == Scope::Session => check,
                _ => check.mends(mend::policy(case, listener.command_line.as_deref())),
            }
        }
    }
}

fn ask(stream: Stream, words: &str, patience: Duration) -> Answer {
    let answer = match stream {
        Stream::Unix(mut stream) => stream
            .set_read_timeout(Some(patience))
            .and_then(|()| stream.set_write_timeout(Some(patience)))
            .and_then(|()| converse(&mut stream, words, patience)),
        Stream::Tcp(mut stream) => stream
            .set_read_timeout(Some(patience))
            .and_then(|()| stream.set_write_timeout(Some(patience)))
            .and_then(|()| converse(&mut stream, words, patience)),
    };
    match answer {
        Ok(answer) => answer,
        Err(error)
            if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
        {
            Answer::Silent
        }
        Err(_) => Answer::Closed,
    }
}

fn converse(
    stream: &mut (impl Read + Write),
    words: &str,
    patience: Duration,
) -> io::Result<Answer> {
    let deadline = Instant::now() + patience;
    stream.write_all(words.as_bytes())?;
    let mut line = Vec::new();
    loop {
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            return Ok(Answer::Closed);
        }
        match byte {
            [b'\n'] => {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                line.clear();
                // The answer to a proof without a number is the question for it.
                if text != "DATA" {
                    return Ok(understood(text));
                }
            }
            [byte] => line.push(byte),
        }
        if line.len() > LINE_SIZE_MAX {
            return Ok(Answer::Foreign(String::from_utf8_lossy(&line).chars().take(60).collect()));
        }
        if Instant::now() > deadline {
            return Ok(Answer::Silent);
        }
    }
}

fn understood(line: String) -> Answer {
    match line.split_once(' ') {
        Some(("OK", guid)) => Answer::Accepted(guid.trim().to_owned()),
        Some(("REJECTED", offered)) => Answer::Rejected(offered.to_owned()),
        None if line == "REJECTED" => Answer::Rejected(String::new()),
        _ => Answer::Foreign(line.chars().take(60).collect()),
    }
}
