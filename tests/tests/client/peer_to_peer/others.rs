//! Other people's libraries at the other end, without a bus. What is not installed is said and left out; with
//! `REQUIRE_STOCK_CLIENTS` set it fails instead.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::thread;

use bus_tests::harness::{Running, run, skip_without};
use futures_lite::future::{block_on, zip};

use super::{BlockingPeer, GUID, INTERFACE, PATH, Peer, use_peer, use_peer_asynchronously};
use crate::interop::{PYTHON, has_dbus_python};

fn script(arguments: &[&str]) -> Command {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/client/peer_to_peer/peers.py");
    let mut command = Command::new(PYTHON);
    command.arg(place).args(arguments);
    command
}

/// Our listener in either style, while `client` is run with its address; each of its clients is served until it goes.
fn serve_to(client: impl Fn(&str)) {
    let place = "unix:tmpdir=/tmp";
    {
        let builder = libbus::blocking::ListenerBuilder::address(place).unwrap();
        let mut listener = builder.serve_at(PATH, || BlockingPeer).unwrap().listen().unwrap();
        let address = listener.address();
        let serving = thread::spawn(move || listener.accept().unwrap().serve());
        client(&address);
        assert!(serving.join().unwrap().unwrap_err().is_disconnected());
    }
    let builder = libbus::ListenerBuilder::address(place).unwrap().serve_at(PATH, || Peer).unwrap();
    let mut listener = block_on(builder.listen()).unwrap();
    let address = listener.address();
    let serving =
        thread::spawn(move || block_on(async { listener.accept().await.unwrap().closed().await }));
    client(&address);
    assert!(serving.join().unwrap().is_disconnected());
}

/// Our client in either style, at somebody else's address.
fn use_at(address: &str) {
    use_peer(&libbus::blocking::Builder::address(address).unwrap().p2p().build().unwrap());
    block_on(async {
        let builder = libbus::Builder::address(address).unwrap().p2p();
        use_peer_asynchronously(&builder.build().await.unwrap()).await;
    });
}

fn both_ways_with(library: &str) {
    if !has_dbus_python() {
        return skip_without("dbus-python or PyGObject");
    }
    serve_to(|address| drop(run(&script(&[library, "call", address]), b"").succeeds()));
    let server = Running::start(&mut script(&[library, "serve"]));
    let line = server.prints("serving ");
    use_at(line.strip_prefix("serving ").unwrap());
}

#[test]
fn gdbus_is_a_peer() {
    both_ways_with("gdbus");
}

#[test]
fn libdbus_is_a_peer() {
    both_ways_with("dbus");
}

struct ZbusPeer;

#[zbus::interface(name = "org.example.Peer")]
impl ZbusPeer {
    async fn echo(&self, text: String) -> String {
        text
    }

    async fn shout(
        &self,
        #[zbus(signal_emitter)] emitter: zbus::object_server::SignalEmitter<'_>,
        text: String,
    ) {
        emitter.shouted(&text).await.unwrap();
    }

    #[zbus(signal)]
    async fn shouted(
        emitter: &zbus::object_server::SignalEmitter<'_>,
        text: &str,
    ) -> zbus::Result<()>;
}

#[test]
fn zbus_is_a_peer() {
    use zbus::connection::Builder;

    serve_to(|address| {
        block_on(async {
            let builder = Builder::address(address).p2p();
            let client = builder.build().await.unwrap();
            let call = client.call_method(None::<&str>, PATH, Some(INTERFACE), "Echo", &"hello");
            let reply = call.await.unwrap();
            assert_eq!(reply.body().deserialize::<&str>().unwrap(), "hello");
        });
    });
    block_on(async {
        let (one, other) = UnixStream::pair().unwrap();
        let guid = zbus::Guid::try_from(GUID.to_string()).unwrap();
        let server = Builder::unix_stream(one).server(guid).p2p();
        let server = server.serve_at(PATH, ZbusPeer);
        let client = libbus::Builder::socket(other).p2p();
        let (server, client) = zip(server.build(), client.build()).await;
        let (_server, client) = (server.unwrap(), client.unwrap());
        assert_eq!(client.server_guid(), Some(GUID));
        use_peer_asynchronously(&client).await;
    });
}
