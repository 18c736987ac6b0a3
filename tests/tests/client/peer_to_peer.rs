//! Without a bus: both ends of it, in both styles, and with other people's libraries at the other end.

mod arriving;
mod handed_over;
mod others;

use std::fs;
use std::os::unix::net::UnixStream;
use std::thread;

use bus_tests::harness::Folder;
use futures_lite::future::{block_on, zip};
use libbus::Error;
use libbus::auth::{Identity, Mechanism};
use libbus::guid::Guid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

const PATH: &str = "/org/example/Peer";
const INTERFACE: &str = "org.example.Peer";
const GUID: Guid = Guid::from_bytes([0x5a; 16]);

/// What a peer serves.
mod served {
    use std::os::fd::OwnedFd;

    use libbus::SignalEmitter;

    pub(crate) struct Peer;

    #[libbus::interface(name = "org.example.Peer")]
    impl Peer {
        async fn echo(&self, text: &str) -> String {
            text.to_owned()
        }

        /// How many bytes a file has.
        async fn size(&self, file: zbus::wire::Fd<'_>) -> libbus::fdo::Result<u64> {
            let file = std::fs::File::from(OwnedFd::try_from(file).unwrap());
            Ok(file.metadata().unwrap().len())
        }

        async fn shout(&self, #[zbus(signal_emitter)] emitter: SignalEmitter<'_>, text: &str) {
            emitter.shouted(text).await.unwrap();
        }

        #[zbus(signal)]
        async fn shouted(emitter: &SignalEmitter<'_>, text: &str) -> libbus::Result<()>;
    }

    pub(crate) struct BlockingPeer;

    #[libbus::blocking::interface(name = "org.example.Peer")]
    impl BlockingPeer {
        fn echo(&self, text: &str) -> String {
            text.to_owned()
        }

        fn size(&self, file: zbus::wire::Fd<'_>) -> libbus::fdo::Result<u64> {
            let file = std::fs::File::from(OwnedFd::try_from(file).unwrap());
            Ok(file.metadata().unwrap().len())
        }

        fn shout(
            &self,
            #[zbus(signal_emitter)] emitter: libbus::blocking::SignalEmitter<'_>,
            text: &str,
        ) {
            emitter.shouted(text).unwrap();
        }

        #[zbus(signal)]
        fn shouted(emitter: &libbus::blocking::SignalEmitter<'_>, text: &str)
        -> libbus::Result<()>;
    }
}

pub(crate) use served::{BlockingPeer, Peer};

/// Uses a peer that serves that, in either style.
macro_rules! use_peer {
    ($style:ident, $connection:expr, [$($wait:tt)*]) => {{
        let connection = $connection;
        let call = libbus::MethodCall::new(PATH, "Echo").unwrap().interface(INTERFACE).unwrap();
        let reply = connection.call(&call, "hello")$($wait)*.unwrap();
        assert_eq!(reply.deserialize::<&str>().unwrap(), "hello");
        let rule = format!("interface='{INTERFACE}'");
        let mut shouts = connection.receive_signals(&rule)$($wait)*.unwrap();
        let shout = libbus::MethodCall::new(PATH, "Shout").unwrap().interface(INTERFACE).unwrap();
        connection.call(&shout, "loud")$($wait)*.unwrap();
        let signal = shouts.next_signal()$($wait)*.unwrap();
        assert_eq!(signal.deserialize::<&str>().unwrap(), "loud");
        let ping = libbus::MethodCall::new("/", "Ping").unwrap();
        let ping = ping.interface("org.freedesktop.DBus.Peer").unwrap();
        connection.call(&ping, &())$($wait)*.unwrap();
    }};
}

fn use_peer(connection: &libbus::blocking::Connection) {
    use_peer!(blocking, connection, []);
}

async fn use_peer_asynchronously(connection: &libbus::Connection) {
    use_peer!(libbus, connection, [.await]);
}

/// The handshake needs both ends, and the program that waits in it is in a thread.
#[test]
fn a_socket_has_two_ends() {
    use libbus::blocking::Builder;

    let (one, other) = UnixStream::pair().unwrap();
    let server = Builder::socket(one).server(GUID).serve_at(PATH, BlockingPeer).unwrap();
    let server = thread::spawn(move || {
        let server = server.build().unwrap();
        assert_eq!(server.identity(), Some(Identity::Unix(uid())));
        let peer = server.peer_credentials();
        assert_eq!((peer.uid, peer.pid), (Some(uid()), Some(std::process::id())));
        assert!(server.takes_fds() && server.unique_name().is_none());
        assert!(server.serve().unwrap_err().is_disconnected());
    });
    let client = Builder::socket(other).p2p().build().unwrap();
    assert_eq!((client.server_guid(), client.identity()), (Some(GUID), None));
    use_peer(&client);
    drop(client);
    server.join().unwrap();
}

#[test]
fn a_socket_has_two_ends_with_futures() {
    use libbus::Builder;

    block_on(async {
        let (one, other) = UnixStream::pair().unwrap();
        let server = Builder::socket(one).server(GUID).serve_at(PATH, Peer).unwrap();
        let client = Builder::socket(other).p2p();
        let (server, client) = zip(server.build(), client.build()).await;
        let (server, client) = (server.unwrap(), client.unwrap());
        use_peer_asynchronously(&client).await;
        drop(client);
        assert!(server.closed().await.is_disconnected());
    });
}

/// A client that was told another GUID refuses, and so does a server whom nobody may use.
#[test]
fn each_end_may_refuse_the_other() {
    use libbus::blocking::Builder;

    let (one, other) = UnixStream::pair().unwrap();
    let anonymous = Builder::socket(one).server(GUID).mechanisms(&[Mechanism::Anonymous]);
    let server = thread::spawn(move || anonymous.build().map(|server| server.identity()));
    let client = Builder::socket(other).p2p().mechanisms(&[Mechanism::External]);
    let error = client.build().unwrap_err();
    assert!(error.is_disconnected(), "{error}");
    assert!(server.join().unwrap().unwrap_err().is_disconnected());

    let (one, other) = UnixStream::pair().unwrap();
    let anonymous = Builder::socket(one).server(GUID).mechanisms(&[Mechanism::Anonymous]);
    let server = thread::spawn(move || anonymous.build().unwrap().identity());
    Builder::socket(other).p2p().build().unwrap();
    assert_eq!(server.join().unwrap(), Some(Identity::Anonymous));
}

#[test]
fn a_pair_is_connected() {
    let (server, client) = libbus::blocking::Connection::pair().unwrap();
    server.object_server().at(PATH, BlockingPeer).unwrap();
    let serving = thread::spawn(move || server.serve());
    use_peer(&client);
    let folder = Folder::new();
    let path = folder.join("file");
    fs::write(&path, "twelve bytes").unwrap();
    let fd = std::os::fd::OwnedFd::from(fs::File::open(&path).unwrap());
    let call = libbus::MethodCall::new(PATH, "Size").unwrap();
    let reply = client.call(&call, &zbus::wire::Fd::from(fd)).unwrap();
    assert_eq!(reply.deserialize::<u64>().unwrap(), 12);
    client.flush().unwrap();
    client.close();
    assert!(client.closed().is_disconnected());
    assert!(serving.join().unwrap().unwrap_err().is_disconnected());

    let (server, client) = libbus::Connection::pair().unwrap();
    block_on(async {
        // Either end may serve.
        client.object_server().at(PATH, Peer).await.unwrap();
        use_peer_asynchronously(&server).await;
        client.flush().await.unwrap();
    });
}

/// What a call brought is gone when it is answered, though nobody calls again.
#[test]
fn a_service_that_is_idle_holds_nothing_of_the_last_call() {
    let give_away = |client: &libbus::blocking::Connection| {
        let call = libbus::MethodCall::new(PATH, "Size").unwrap();
        // More than one, since what was quick once is served otherwise.
        for _ in 0..20 {
            let (reader, writer) = std::io::pipe().unwrap();
            let writer = std::os::fd::OwnedFd::from(writer);
            client.call(&call, &zbus::wire::Fd::from(writer)).unwrap();
            let mut hung_up = [PollFd::new(&reader, PollFlags::empty())];
            let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
            assert_eq!(poll(&mut hung_up, Some(&patience)), Ok(1), "nobody else can write");
            assert!(hung_up[0].revents().contains(PollFlags::HUP));
        }
    };
    let (server, client) = libbus::blocking::Connection::pair().unwrap();
    server.object_server().at(PATH, BlockingPeer).unwrap();
    let serving = thread::spawn(move || server.serve());
    give_away(&client);
    drop(client);
    assert!(serving.join().unwrap().unwrap_err().is_disconnected());

    let (one, other) = UnixStream::pair().unwrap();
    let server = libbus::Builder::socket(one).server(GUID).serve_at(PATH, Peer).unwrap();
    let server = thread::spawn(move || block_on(server.build()).unwrap());
    let client = libbus::blocking::Builder::socket(other).p2p().build().unwrap();
    let _server = server.join().unwrap();
    give_away(&client);
}

#[test]
fn nobody_listens_twice_and_nowhere() {
    use libbus::blocking::ListenerBuilder;

    let directory = Folder::new();
    let address = format!("unix:path={}", directory.join("socket").display());
    let listener = ListenerBuilder::address(&address).unwrap().listen().unwrap();
    let error = ListenerBuilder::address(&address).unwrap().listen().unwrap_err();
    assert!(matches!(error, Error::Listen { .. }), "{error}");
    assert!(error.to_string().starts_with(&format!("cannot listen at {address}: ")), "{error}");
    // What works is taken.
    let list = format!("{address};unix:abstract=libbus-twice");
    let other = ListenerBuilder::address(&list).unwrap().listen().unwrap();
    let place = format!("unix:abstract=libbus-twice,guid={}", other.guid());
    assert_eq!(other.address(), place);
    drop(listener);
    assert!(!directory.join("socket").exists());
    // A socket that a program left which ended otherwise is in nobody's way, and nobody else's file goes.
    drop(std::os::unix::net::UnixListener::bind(directory.join("socket")).unwrap());
    let listener = ListenerBuilder::address(&address).unwrap().listen().unwrap();
    fs::remove_file(directory.join("socket")).unwrap();
    fs::write(directory.join("socket"), "a file").unwrap();
    drop(listener);
    assert!(directory.join("socket").exists());
    assert!(ListenerBuilder::address(&address).unwrap().listen().is_err());
    assert!(matches!(ListenerBuilder::address("unixexec:path=x"), Err(Error::Address(_))));
    assert!(ListenerBuilder::inherited(None).listen().is_err());
}

fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}
