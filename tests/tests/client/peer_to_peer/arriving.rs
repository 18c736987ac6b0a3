//! Clients that connect to a listener.

use bus_tests::harness::{Folder, skip};
use std::ffi::OsStr;
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;

use futures_lite::future::{block_on, or, yield_now, zip};
use libbus::address::Address;
use libbus::auth::{Identity, Mechanism};

use super::{BlockingPeer, PATH, Peer, uid, use_peer, use_peer_asynchronously};

/// Addresses to listen at, and by what clients prove who they are.
fn places(directory: &Folder) -> Vec<(String, Mechanism)> {
    let path = directory.display();
    let unix = ["path", "dir", "tmpdir"].map(|key| {
        let name = if key == "path" { "/socket" } else { "" };
        (format!("unix:{key}={path}{name}"), Mechanism::External)
    });
    let abstract_name = format!("unix:abstract=libbus-places-{}", std::process::id());
    let tcp = ["tcp:host=localhost", "nonce-tcp:host=127.0.0.1", "tcp:bind=*,family=ipv4"]
        .map(|address| (address.to_owned(), Mechanism::Anonymous));
    unix.into_iter().chain([(abstract_name, Mechanism::External)]).chain(tcp).collect()
}

fn expected(mechanism: Mechanism) -> Identity {
    match mechanism {
        Mechanism::Anonymous => Identity::Anonymous,
        _ => Identity::Unix(uid()),
    }
}

#[test]
fn whoever_connects_is_served() {
    use libbus::blocking::{Builder, ListenerBuilder};

    let directory = Folder::new();
    for (place, mechanism) in places(&directory) {
        let listener = ListenerBuilder::address(&place).unwrap().mechanisms(&[mechanism]);
        let listener = listener.serve_at(PATH, || BlockingPeer).unwrap();
        let mut listener = listener.listen().unwrap();
        let address = listener.address();
        let guid = Address::parse(&address).unwrap().guid().unwrap();
        assert_eq!(guid, Some(listener.guid()), "{address}");
        let clients = [(); 2].map(|()| {
            let address = address.clone();
            thread::spawn(move || {
                let client = Builder::address(&address).unwrap().p2p().build().unwrap();
                assert_eq!(client.server_guid(), guid);
                assert_eq!(client.takes_fds(), address.starts_with("unix:"));
                use_peer(&client);
            })
        });
        let serving = [(); 2].map(|()| {
            let connection = listener.accept().unwrap();
            assert_eq!(connection.identity(), Some(expected(mechanism)), "{address}");
            thread::spawn(move || assert!(connection.serve().unwrap_err().is_disconnected()))
        });
        for thread in clients.into_iter().chain(serving) {
            thread.join().unwrap();
        }
    }
    assert_eq!(std::fs::read_dir(&*directory).unwrap().count(), 0, "nothing is left");
}

#[test]
fn whoever_connects_is_served_with_futures() {
    use libbus::{Builder, ListenerBuilder};

    let directory = Folder::new();
    for (place, mechanism) in places(&directory) {
        block_on(async {
            let place = place.replace("libbus-places", "libbus-places-async");
            let listener = ListenerBuilder::address(&place).unwrap().mechanisms(&[mechanism]);
            let listener = listener.serve_at(PATH, || Peer).unwrap();
            let mut listener = listener.listen().await.unwrap();
            let builder = Builder::address(&listener.address()).unwrap().p2p();
            let (connection, client) = zip(listener.accept(), builder.build()).await;
            let (connection, client) = (connection.unwrap(), client.unwrap());
            assert_eq!(connection.identity(), Some(expected(mechanism)), "{place}");
            use_peer_asynchronously(&client).await;
        });
    }
    assert_eq!(std::fs::read_dir(&*directory).unwrap().count(), 0, "nothing is left");
}

/// Who connects to `host` at the port of an address is let in.
fn lets_in(listener: &mut libbus::blocking::Listener, host: &str) {
    let mut address = Address::parse(&listener.address()).unwrap();
    for (key, value) in &mut address.keys {
        if key == "host" {
            *value = host.into();
        }
    }
    address.keys.retain(|(key, _)| key != "family");
    let address = address.to_string();
    thread::scope(|scope| {
        let client = scope.spawn(|| {
            libbus::blocking::Builder::address(&address).unwrap().p2p().build().unwrap();
        });
        drop(listener.accept().unwrap());
        client.join().unwrap();
    });
}

/// One port of both versions of IP, or of the one that is said. protocol.md A111
#[test]
fn every_interface_is_that_of_both_versions_of_ip() {
    let listen = |place: &str| {
        let builder = libbus::blocking::ListenerBuilder::address(place).unwrap();
        builder.mechanisms(&[Mechanism::Anonymous]).listen()
    };
    if TcpListener::bind("[::1]:0").is_err() {
        return skip("this machine has no IPv6");
    }
    for (place, start) in [
        ("tcp:host=localhost,bind=*", "tcp:host=localhost,port="),
        ("nonce-tcp:host=localhost,bind=*", "nonce-tcp:host=localhost,port="),
    ] {
        let mut both = listen(place).unwrap();
        let address = both.address();
        assert!(address.starts_with(start), "{address}");
        assert!(!address.contains("family") && !address.contains(';'), "{address}");
        ["127.0.0.1", "::1"].iter().for_each(|host| lets_in(&mut both, host));
        let address = Address::parse(&address).unwrap();
        let nonce = address.get("noncefile").map(|path| Path::new(OsStr::from_bytes(path)));
        assert_eq!(nonce.is_some(), place.starts_with("nonce"));
        assert!(nonce.is_none_or(Path::exists));
        drop(both);
        assert!(nonce.is_none_or(|path| !path.exists()));
    }
    for (family, host, other) in [("ipv4", "127.0.0.1", "::1"), ("ipv6", "::1", "127.0.0.1")] {
        let mut one = listen(&format!("tcp:host=localhost,bind=*,family={family}")).unwrap();
        let address = Address::parse(&one.address()).unwrap();
        assert_eq!(address.get("family"), Some(family.as_bytes()));
        lets_in(&mut one, host);
        let port = std::str::from_utf8(address.get("port").unwrap()).unwrap().parse().unwrap();
        let refused = TcpStream::connect((other, port)).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        // The port is taken, and no other will do.
        let taken = listen(&format!("tcp:host=localhost,port={port},family={family}"));
        assert!(matches!(taken, Err(libbus::Error::Listen { .. })), "{taken:?}");
    }
}

/// More than there may be of those who say nothing; the oldest of them are let go.
#[test]
fn who_says_nothing_holds_up_nobody() {
    const SILENT_COUNT: usize = 80;

    let directory = Folder::new();
    let path = directory.join("socket");
    let address = format!("unix:path={}", path.display());
    let silent =
        || -> Vec<_> { (0..SILENT_COUNT).map(|_| UnixStream::connect(&path).unwrap()).collect() };
    {
        use libbus::blocking::{Builder, ListenerBuilder};
        let mut listener = ListenerBuilder::address(&address).unwrap().listen().unwrap();
        let mut waiting = silent();
        let builder = Builder::address(&listener.address()).unwrap().p2p();
        let client = thread::spawn(move || builder.build().unwrap());
        listener.accept().unwrap();
        client.join().unwrap();
        assert_eq!(waiting[0].read(&mut [0]).unwrap(), 0, "the oldest is let go");
        waiting[SILENT_COUNT - 1].set_nonblocking(true).unwrap();
        assert!(waiting[SILENT_COUNT - 1].read(&mut [0]).is_err(), "the last may still speak");
    }
    block_on(async {
        use libbus::{Builder, ListenerBuilder};
        let builder = ListenerBuilder::address(&address).unwrap();
        let mut listener = builder.listen().await.unwrap();
        let mut waiting = silent();
        let builder = Builder::address(&listener.address()).unwrap().p2p();
        let (connection, client) = zip(listener.accept(), builder.build()).await;
        connection.unwrap();
        client.unwrap();
        assert_eq!(waiting[0].read(&mut [0]).unwrap(), 0, "the oldest is let go");
    });
}

/// One that breaks the protocol or guesses the nonce is let go; the next one is served.
#[test]
fn who_is_wrong_is_let_go() {
    use std::io::Write as _;

    use libbus::blocking::{Builder, ListenerBuilder};

    let builder = ListenerBuilder::address("nonce-tcp:host=127.0.0.1").unwrap();
    let mut listener = builder.mechanisms(&[Mechanism::Anonymous]).listen().unwrap();
    let address = Address::parse(&listener.address()).unwrap();
    let port = str::from_utf8(address.get("port").unwrap()).unwrap().parse::<u16>().unwrap();
    let file = str::from_utf8(address.get("noncefile").unwrap()).unwrap().to_owned();
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let mut guessing = TcpStream::connect(("127.0.0.1", port)).unwrap();
    guessing.write_all(b"0123456789abcdef\0AUTH ANONYMOUS\r\n").unwrap();
    let mut breaking = TcpStream::connect(("127.0.0.1", port)).unwrap();
    breaking.write_all(&std::fs::read(&file).unwrap()).unwrap();
    breaking.write_all(b"\0BEGIN\r\n").unwrap();
    let builder = Builder::address(&listener.address()).unwrap().p2p();
    let client = thread::spawn(move || builder.build().unwrap());
    // They are let go while somebody waits for the next one.
    listener.accept().unwrap();
    client.join().unwrap();
    for stream in [&mut guessing, &mut breaking] {
        assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
    }
    drop(listener);
    assert!(!std::path::Path::new(&file).exists());
}

/// Only the own user, unless others are allowed.
#[test]
fn another_user_is_let_in_by_choice() {
    use libbus::blocking::ListenerBuilder;

    const NOBODY: u32 = 65534;
    if uid() != 0 {
        return skip("only root can be another user");
    }
    // Where that user can find it.
    let place = Folder::new();
    let program = place.join("client");
    std::fs::copy(super::handed_over::program(), &program).unwrap();
    // `None`: anybody.
    for (allowed, is_let_in) in [(Some(0), false), (Some(NOBODY), true), (None, true)] {
        let address = format!("unix:abstract=libbus-users-{}", std::process::id());
        let builder = ListenerBuilder::address(&address).unwrap();
        let builder = match allowed {
            Some(uid) => builder.allow_user(uid),
            None => builder.allow_any_user(),
        };
        let mut listener = builder.mechanisms(&[Mechanism::External]).listen().unwrap();
        let mut client = Command::new(&program);
        client.args(["peer", &listener.address()]).uid(NOBODY).current_dir("/");
        if is_let_in {
            let mut client = client.spawn().unwrap();
            let connection = listener.accept().unwrap();
            assert_eq!(connection.identity(), Some(Identity::Unix(NOBODY)));
            assert_eq!(connection.peer_credentials().pid, Some(client.id()));
            assert!(client.wait().unwrap().success());
        } else {
            let accepting = thread::spawn(move || listener.accept().map(drop));
            let output = client.output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(text.contains("none of the authentication mechanisms"), "{text}");
            assert!(!accepting.is_finished());
            // The socket is still there for who may come.
            let builder = libbus::blocking::Builder::address(&address).unwrap();
            builder.p2p().build().unwrap();
            accepting.join().unwrap().unwrap();
        }
    }
}

/// Nobody accepts, so that the connection is not made; the task beside it goes on all the same.
#[test]
fn to_reach_a_host_keeps_no_task_waiting() {
    use rustix::net::{
        AddressFamily, SocketAddrAny, SocketType, bind, getsockname, listen, socket,
    };

    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &std::net::SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    listen(&socket, 0).unwrap();
    let name: SocketAddrAny = getsockname(&socket).unwrap();
    let port = std::net::SocketAddr::try_from(name).unwrap().port();
    // The one place that there is.
    let _first = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let is_under_way = || {
        let (remote, state) = (format!("0100007F:{port:04X}"), "02");
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        table.lines().any(|line| {
            let mut words = line.split_whitespace().skip(2);
            words.next() == Some(&remote) && words.next() == Some(state)
        })
    };
    block_on(async {
        let address = format!("tcp:host=localhost,port={port},family=ipv4");
        let builder = libbus::Builder::address(&address).unwrap();
        let connect = async {
            panic!("{:?}", builder.build().await);
        };
        let beside = async {
            while !is_under_way() {
                yield_now().await;
            }
        };
        or(connect, beside).await;
    });
}
