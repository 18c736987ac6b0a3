//! Who listens, whether that is a bus, and whether it lets this user in.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use libbus::address::{Address, ConnectAddress};
use libbus::blocking::Builder;
use libbus::connection::ConnectionError;
use libbus::host::phrase;
use libbus::{Error, MethodCall};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::person::{Outside, Person};
use super::report::{Check, Report, Verdict};
use super::setting::Scope;
use super::{Case, bounded, mend};
use crate::process::Process;

/// Longest line of a handshake that is read.
const LINE_SIZE_MAX: usize = 16 << 10;

/// How the kernel numbers users who have no number in a user namespace.
const NOBODY: u32 = 65534;

/// Who listens, as far as the kernel knows.
#[derive(Clone, Debug, Default)]
struct Listener {
    pid: Option<u32>,
    uid: Option<u32>,
    command_line: Option<Vec<String>>,
}

/// A connected socket that has said nothing.
enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

pub(super) fn examine(
    case: &Case,
    address: &Address,
    target: &ConnectAddress,
    report: &mut Report,
) {
    let mut listener = Listener::default();
    let first = report.checks.len();
    if let Some(stream) = connect(case, target) {
        let stream = match stream {
            Ok(stream) => stream,
            Err(check) => return report.push(check),
        };
        report.push(Check::ok("connection", "somebody listens"));
        if let Stream::Unix(stream) = &stream {
            listener = Listener::of(stream);
            report.push(listener.check(case));
        }
        let check = authenticate(case, address, stream, &listener);
        let is_refused = check.verdict == Verdict::Wrong;
        report.push(check);
        if is_refused {
            return blame_owner(case, &listener, report, first);
        }
    }
    let greeting = greet(case, address);
    report.is_usable = matches!(greeting, Ok(Greeting { .. }));
    report.push(greeting_check(case, greeting, &listener));
    if !report.is_usable {
        blame_owner(case, &listener, report, first);
    }
}

/// That a session's bus is another user's is mostly why it refuses.
fn blame_owner(case: &Case, listener: &Listener, report: &mut Report, first: usize) {
    let Some(owner) = listener.uid.filter(|uid| *uid != case.person.uid) else { return };
    let is_unknown = case.person.outside != Outside::Same && owner == NOBODY;
    if case.scope != Scope::Session || is_unknown {
        return;
    }
    let checks = report.checks.iter_mut().skip(first);
    for check in checks.filter(|check| check.name == "listener") {
        check.verdict = Verdict::Wrong;
        check.saw.push_str(&format!(
            ": the bus of another user, you are {}",
            Person::describe(case.person.uid)
        ));
        check.mends.extend(mend::other_user(&case.person, owner));
    }
}

/// Nothing for what is started anew by each who connects.
fn connect(case: &Case, target: &ConnectAddress) -> Option<Result<Stream, Check>> {
    let patience = case.patience;
    let connected = match target.clone() {
        ConnectAddress::UnixPath(path) => {
            let path = std::path::PathBuf::from(os(&path));
            bounded(patience, move || UnixStream::connect(path).map(Stream::Unix))
        }
        ConnectAddress::UnixAbstract(name) => bounded(patience, move || {
            let address = SocketAddr::from_abstract_name(name)?;
            UnixStream::connect_addr(&address).map(Stream::Unix)
        }),
        ConnectAddress::Tcp { host, port, .. } => {
            bounded(patience, move || connect_tcp(&host, port.get(), patience))
        }
        _ => return None,
    };
    Some(match connected {
        Some(Ok(stream)) => Ok(stream),
        Some(Err(error)) => Err(not_connected(case, target, &error)),
        None => Err(Check::wrong(
            "connection",
            format!(
                "nobody accepts within {}: who listens is stopped or has too much to do",
                seconds(patience)
            ),
        )
        .mends(mend::restart(case, None))),
    })
}

fn os(bytes: &[u8]) -> std::ffi::OsString {
    use std::os::unix::ffi::OsStrExt as _;
    std::ffi::OsStr::from_bytes(bytes).to_owned()
}

fn connect_tcp(host: &str, port: u16, patience: Duration) -> io::Result<Stream> {
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => return Ok(Stream::Tcp(stream)),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn not_connected(case: &Case, target: &ConnectAddress, error: &io::Error) -> Check {
    const NAME: &str = "connection";
    let why = phrase(error);
    match (error.kind(), target) {
        (io::ErrorKind::ConnectionRefused, ConnectAddress::UnixPath(path)) => {
            let saw = format!(
                "{why}: nobody listens any more, the bus has ended and its socket is left over"
            );
            Check::wrong(NAME, saw).mends(mend::stale(case, Some(Path::new(&os(path)))))
        }
        (io::ErrorKind::ConnectionRefused, ConnectAddress::UnixAbstract(_)) => {
            let saw = format!(
                "{why}: nobody listens, the bus has ended or is in another network namespace"
            );
            Check::wrong(NAME, saw).mends(mend::stale(case, None))
        }
        (io::ErrorKind::ConnectionRefused, _) => {
            Check::wrong(NAME, format!("{why}: nobody listens there")).mends(mend::start(case))
        }
        _ => Check::wrong(NAME, why).mends(mend::address(case)),
    }
}

impl Listener {
    fn of(stream: &UnixStream) -> Self {
        let Ok(peer) = getsockopt(&stream.as_fd(), PeerCredentials) else { return Self::default() };
        let pid = u32::try_from(peer.pid()).ok().filter(|pid| *pid > 0);
        let command_line = pid.and_then(|pid| Process(pid).command_line());
        Self { pid, uid: Some(peer.uid()).filter(|uid| *uid != u32::MAX), command_line }
    }

    fn check(&self, case: &Case) -> Check {
        const NAME: &str = "listener";
        let whose = self.uid.map_or_else(|| "nobody known".to_owned(), Person::describe);
        let Some(pid) = self.pid else {
            return Check::ok(NAME, format!("a process of {whose}, outside of this pid namespace"));
        };
        match Process(pid).name() {
            Some(name) => Check::ok(NAME, format!("pid {pid}, {name}, of {whose}")),
            None => Check::unknown(
                NAME,
                format!("pid {pid} of {whose} opened the socket and has ended: another process has it now"),
            )
            .mends(mend::restart(case, None)),
        }
    }
}

/// What the other end says to a proof of who this is.
#[derive(Debug)]
enum Answer {
    Accepted(String),
    Rejected(String),
    Closed,
    Silent,
    Foreign(String),
}

fn authenticate(case: &Case, address: &Address, stream: Stream, listener: &Listener) -> Check {
    const NAME: &str = "authentication";
    let who = Person::describe(case.person.uid);
    let hex: String =
        case.person.uid.to_string().bytes().map(|byte| format!("{byte:02x}")).collect();
    match ask(stream, &format!("\0AUTH EXTERNAL {hex}\r\n"), case.patience) {
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
        Answer::Silent => Check::wrong(NAME, format!("no answer within {}: it hangs, or is no bus", seconds(case.patience)))
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
    let unnumbered = again.map(|stream| ask(stream, "\0AUTH EXTERNAL\r\nDATA\r\n", case.patience));
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

/// How a bus answered.
struct Greeting {
    unique_name: Option<String>,
    hello: Duration,
    call: Duration,
}

/// Why it did not.
enum NoGreeting {
    Failed(Error),
    Silent,
}

/// The whole way that programs go; it ends with the connection.
fn greet(case: &Case, address: &Address) -> Result<Greeting, NoGreeting> {
    let (address, scope, patience) = (address.to_string(), case.scope, case.patience);
    let greeted = bounded(patience, move || -> libbus::Result<Greeting> {
        let connection = Builder::address(&address)?.p2p().build()?;
        let timed = |call: MethodCall<'_>| {
            let start = Instant::now();
            connection
                .call(&call.timeout(Some(patience)), &())
                .map(|reply| (reply, start.elapsed()))
        };
        if scope == Scope::Peer {
            let ping = MethodCall::new("/", "Ping")?.interface("org.freedesktop.DBus.Peer")?;
            let (_, hello) = timed(ping.clone())?;
            let (_, call) = timed(ping)?;
            return Ok(Greeting { unique_name: None, hello, call });
        }
        let of_bus = |member| {
            let call = MethodCall::new("/org/freedesktop/DBus", member)?;
            call.destination("org.freedesktop.DBus")?.interface("org.freedesktop.DBus")
        };
        let (reply, hello) = timed(of_bus("Hello")?)?;
        let (_, call) = timed(of_bus("GetId")?)?;
        Ok(Greeting { unique_name: Some(reply.deserialize()?), hello, call })
    });
    match greeted {
        Some(Ok(greeting)) => Ok(greeting),
        Some(Err(error)) => Err(NoGreeting::Failed(error)),
        None => Err(NoGreeting::Silent),
    }
}

fn greeting_check(
    case: &Case,
    greeting: Result<Greeting, NoGreeting>,
    listener: &Listener,
) -> Check {
    let name = if case.scope == Scope::Peer { "ping" } else { "hello" };
    let error = match greeting {
        Ok(Greeting { unique_name, hello, call }) => {
            let (hello, call) = (milliseconds(hello), milliseconds(call));
            let named = unique_name.map(|name| format!("you are {name}; ")).unwrap_or_default();
            return Check::ok(
                name,
                format!("{named}answered within {hello}, the next call within {call}"),
            );
        }
        Err(NoGreeting::Silent) => {
            return Check::wrong(name, format!("no answer within {}", seconds(case.patience)))
                .mends(mend::restart(case, listener.pid));
        }
        Err(NoGreeting::Failed(error)) => error,
    };
    if let Error::Method(method) = &error {
        return refusal(case, name, method.name(), &error, listener);
    }
    match &error {
        Error::Closed | Error::Io(_) if case.scope != Scope::Peer => {
            let who = Person::describe(case.person.uid);
            let saw = format!(
                "closed before an answer: the policy of the bus does not let {who} connect"
            );
            Check::wrong(name, saw).mends(mend::policy(case, listener.command_line.as_deref()))
        }
        Error::Connection(ConnectionError::Handshake(_)) => Check::wrong(name, error.to_string())
            .mends(mend::policy(case, listener.command_line.as_deref())),
        Error::Connect { .. } => Check::wrong(name, error.to_string()).mends(mend::address(case)),
        _ => Check::wrong(name, error.to_string()),
    }
}

/// It answers, and says no.
fn refusal(
    case: &Case,
    name: &'static str,
    error_name: &str,
    error: &Error,
    listener: &Listener,
) -> Check {
    let check = Check::wrong(name, error.to_string());
    match error_name.strip_prefix("org.freedesktop.DBus.Error.") {
        Some("AccessDenied") => check.mends(mend::policy(case, listener.command_line.as_deref())),
        Some("LimitsExceeded") => {
            check.mends(["bus top  # as another user: who holds how many connections".to_owned()])
        }
        Some("UnknownMethod" | "UnknownInterface" | "UnknownObject" | "ServiceUnknown") => {
            let saw = format!("it is no bus, but a program: {error}");
            Check::wrong(name, saw)
                .mends(["bus --peer=ADDRESS …  # speaks to a program that is no bus".to_owned()])
        }
        _ => check,
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}
