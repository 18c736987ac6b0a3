//! Connecting to who lets nobody in, or says nothing: it ends in the time that there is, and nobody else waits for it.
//!
//! What programs do is written once for both styles, in `each_style.rs`: `wait!` waits as the style does.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bus_tests::harness::{Bus, Config, Folder, Listen};
use libbus::auth::Mechanism;
use libbus::{Error, MethodCall, Reconnect};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, listen, socket_with,
};

use crate::reconnecting::{path_of, take_place};
use crate::{address, daemons, on_each_bus};

/// Enough for a try, and less than a try without another time has.
const SHORT: Duration = Duration::from_millis(120);

/// At `path`, and as many wait to be let in as may.
fn fill(listener: &UnixListener, path: &str) -> Vec<OwnedFd> {
    listen(listener, 0).unwrap();
    let address = SocketAddrUnix::new(path).unwrap();
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let mut waiting = Vec::new();
    loop {
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        match connect(&socket, &address) {
            Ok(()) => waiting.push(socket),
            Err(error) => {
                assert_eq!(error, Errno::AGAIN);
                return waiting;
            }
        }
    }
}

/// One waits to be let in, which is all that may; nobody else is answered.
fn fill_tcp(listener: &TcpListener) -> TcpStream {
    listen(listener, 0).unwrap();
    TcpStream::connect(listener.local_addr().unwrap()).unwrap()
}

/// A call that is answered at once, if at all.
fn get_id() -> MethodCall<'static> {
    let call = MethodCall::new("/org/freedesktop/DBus", "GetId").unwrap();
    call.destination("org.freedesktop.DBus").unwrap().timeout(Some(SHORT))
}

fn assert_is_late(error: &Error) {
    let Error::Connect { error, .. } = error else { panic!("{error}") };
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

fn given_up(error: Error) -> Error {
    match error {
        Error::GaveUp { error, .. } => (*error).clone(),
        other => panic!("{other}"),
    }
}

mod blocking {
    use super::*;
    use libbus::blocking::{Builder, ListenerBuilder};

    include!("styles/blocking.rs");

    include!("reaching/each_style.rs");
}

mod asynchronous {
    use super::*;
    use futures_lite::future::{block_on, poll_once};
    use libbus::{Builder, ListenerBuilder};

    include!("styles/futures.rs");

    include!("reaching/each_style.rs");

    /// The thread in which it is asked has others to ask.
    #[test]
    fn nobody_else_waits_while_a_listener_is_full() {
        let folder = Folder::new();
        let path = folder.join("bus").display().to_string();
        let listener = UnixListener::bind(&path).unwrap();
        let waiting = fill(&listener, &path);
        block_on(async {
            let build = Builder::address(&format!("unix:path={path}")).unwrap().p2p().build();
            let mut build = Box::pin(build);
            assert!(poll_once(&mut build).await.is_none());
        });
        drop(waiting);
    }
}
