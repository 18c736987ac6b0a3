//! A service that answers with values of all types, whatever it is called for, by the name of the method.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::thread;

use bus_tests::harness::Bus;
use libbus::blocking::{Builder, Connection};
use libbus::message::Message;
use libbus::names::ErrorName;
use libbus::wire::{Header, MessageType};
use libbus::wire_types::{DynamicType, Fd, ObjectPath, Signature, Variant};
use libbus::{Error, Watching};
use serde::Serialize;

pub(super) const NAME: &str = "org.example.Values";

/// Serves until the bus ends.
pub(super) fn start(bus: &Bus) {
    start_as(bus, NAME, false);
}

/// Serves under this name, and answers with values or with an error.
pub(super) fn start_as(bus: &Bus, name: &'static str, fails: bool) {
    let builder = Builder::address(bus.addresses().next().unwrap()).unwrap();
    let (ready, is_ready) = channel();
    thread::spawn(move || {
        let mut monitor = builder.monitor(&[], Watching::ByMatchRules).unwrap();
        monitor.connection().request_name(name).unwrap();
        ready.send(()).unwrap();
        while let Ok(message) = monitor.next_message() {
            if message.message_type() == MessageType::MethodCall {
                let answered = answer(monitor.connection(), &message, fails);
                answered.unwrap();
            }
        }
    });
    is_ready.recv().unwrap();
}

struct Answer<'a> {
    connection: &'a Connection,
    call: &'a Message,
}

impl Answer<'_> {
    fn send<T: Serialize + DynamicType + ?Sized>(
        &self,
        kind: MessageType,
        error: Option<ErrorName<'_>>,
        values: &T,
    ) -> Result<(), Error> {
        let mut header = Header::new(kind, NonZeroU32::MIN);
        header.reply_serial = Some(self.call.serial());
        header.destination = self.call.sender();
        header.error_name = error;
        self.connection.send_message(&header, values).map(drop)
    }

    fn values<T: Serialize + DynamicType + ?Sized>(&self, values: &T) -> Result<(), Error> {
        self.send(MessageType::MethodReturn, None, values)
    }
}

fn answer(connection: &Connection, call: &Message, fails: bool) -> Result<(), Error> {
    let answer = Answer { connection, call };
    let error = |text: &str| {
        let name = ErrorName::parse("org.example.Failed").unwrap();
        answer.send(MessageType::Error, Some(name), text)
    };
    if fails {
        return error("it always fails");
    }
    match call.member().unwrap().as_str() {
        "Basic" => answer.values(&(
            (7u8, true, -3i16, 3u16, -4i32, 4u32, -5i64, 5u64),
            0.1f64,
            "he\"l\\lo\nä\u{1}",
            ObjectPath::try_from("/a/b").unwrap(),
            Signature::try_from("a{sv}").unwrap(),
            Variant::from(5i32),
        )),
        "Doubles" => answer.values(&[
            1.0,
            1e300,
            1.5e-7,
            f64::NAN,
            -f64::NAN,
            f64::INFINITY,
            123_456_789.125,
        ]),
        "Bytes" => {
            let all: Vec<u8> = (0..64).collect();
            let some: [&[u8]; 6] = [b"", b"abc", b"abc\0", &all, b"a\nb", b"\0"];
            answer.values(&some.map(<[u8]>::to_vec).to_vec())
        }
        "Containers" => answer.values(&containers()),
        "Descriptors" => descriptors(&answer),
        "Fail" => error("several\nlines"),
        "FailSilently" => answer.send(
            MessageType::Error,
            Some(ErrorName::parse("org.example.Failed").unwrap()),
            &(),
        ),
        "Silence" => Ok(()),
        _ => answer.values(&()),
    }
}

fn containers() -> impl Serialize + DynamicType {
    let dictionary =
        BTreeMap::from([("k", Variant::from(vec!["x"])), ("m", Variant::from(b"zz".to_vec()))]);
    let nested = Variant::Variant(Box::new(Variant::from(1i32)));
    (
        (vec![vec![1i32, 2], vec![]], dictionary, (1i32, "s", (vec![nested],))),
        vec![ObjectPath::try_from("/a").unwrap()],
        Vec::<&str>::new(),
        BTreeMap::from([("p", (1i32, 2i32))]),
        BTreeMap::from([(1u8, b"ab".to_vec()), (2, b"\0\x01".to_vec())]),
    )
}

/// A descriptor of each kind.
fn descriptors(answer: &Answer<'_>) -> Result<(), Error> {
    let (one, _other) = UnixStream::pair().unwrap();
    let (reader, _writer) = std::io::pipe().unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap().port();
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let fds: [OwnedFd; 8] = [
        File::open("/dev/null").unwrap().into(),
        File::open("/etc/passwd").unwrap().into(),
        File::open("/").unwrap().into(),
        reader.into(),
        one.into(),
        listener().try_clone().unwrap().into(),
        stream.into(),
        tcp.into(),
    ];
    answer.values(&fds.iter().map(Fd::from).collect::<Vec<_>>())
}

/// At an abstract address. There is one for all tests: the descriptors of one call may be open longer than that.
fn listener() -> &'static UnixListener {
    use std::os::linux::net::SocketAddrExt as _;
    static LISTENER: OnceLock<UnixListener> = OnceLock::new();
    LISTENER.get_or_init(|| {
        let name = format!("bus-tests-{}", std::process::id());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
        UnixListener::bind_addr(&address).unwrap()
    })
}
