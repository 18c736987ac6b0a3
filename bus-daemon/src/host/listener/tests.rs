use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram, UnixListener, UnixStream};
use std::process::Command;

use libbus::address::ConnectAddress;
use rustix::fs::OFlags;
use rustix::io::{FdFlags, fcntl_getfd};

use super::*;
use crate::host::tests_support::TemporaryDirectory;

fn context(directory: &TemporaryDirectory) -> ListenContext {
    ListenContext {
        runtime_directory: Some(directory.path().to_owned()),
        temporary_directory: directory.path().to_owned(),
        inherited: Vec::new(),
    }
}

fn one(addresses: &str, context: &mut ListenContext) -> Listener {
    let mut listeners = listen(addresses, context).unwrap();
    assert_eq!(listeners.len(), 1);
    listeners.remove(0)
}

fn failures(addresses: &str, context: &mut ListenContext) -> Vec<ListenFailure> {
    match listen(addresses, context) {
        Err(ListenError::Failed(failures)) => failures,
        other => panic!("{other:?}"),
    }
}

/// What a client understands of the connectable address.
fn target(listener: &Listener) -> ConnectAddress {
    let address = Address::parse(listener.connectable()).unwrap();
    assert_eq!(address.guid(), Ok(Some(listener.guid())));
    address.connect().unwrap()
}

fn socket_path(listener: &Listener) -> PathBuf {
    match target(listener) {
        ConnectAddress::UnixPath(path) => path_from(&path),
        other => panic!("{other:?}"),
    }
}

/// Connects as a client would, and accepts; the accepted socket is as promised.
fn check_connects(listener: &Listener) {
    assert_eq!(accept(listener).unwrap_err(), Errno::AGAIN, "non-blocking");
    let client: OwnedFd = match target(listener) {
        ConnectAddress::UnixPath(path) => UnixStream::connect(path_from(&path)).unwrap().into(),
        ConnectAddress::UnixAbstract(name) => {
            let name = UnixAddr::from_abstract_name(name).unwrap();
            UnixStream::connect_addr(&name).unwrap().into()
        }
        ConnectAddress::Tcp { host, port, .. } | ConnectAddress::NonceTcp { host, port, .. } => {
            TcpStream::connect((host, port.get())).unwrap().into()
        }
        other => panic!("{other:?}"),
    };
    let accepted = accept(listener).unwrap();
    assert!(fcntl_getfd(&accepted).unwrap().contains(FdFlags::CLOEXEC));
    assert!(fcntl_getfd(listener).unwrap().contains(FdFlags::CLOEXEC));
    assert!(rustix::fs::fcntl_getfl(&accepted).unwrap().contains(OFlags::NONBLOCK));
    let tcp = listener.kind() != ListenerKind::Unix;
    assert_eq!(sockopt::tcp_nodelay(&accepted).unwrap_or(false), tcp);
    drop(client);
}

// protocol.md A101, A102
#[test]
fn a_path_is_everybodys_and_removed_at_the_end() {
    let directory = TemporaryDirectory::new();
    let path = directory.path().join("a bus");
    let escaped = Address::new("unix").with("path", path.as_os_str().as_bytes()).to_string();
    let listener = one(&escaped, &mut context(&directory));
    assert_eq!(listener.connectable(), format!("{escaped},guid={}", listener.guid()));
    assert_eq!(listener.kind(), ListenerKind::Unix);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, SOCKET_MODE);
    check_connects(&listener);
    drop(listener);
    assert!(!path.exists());
}

// protocol.md A102
#[test]
fn an_old_socket_gives_way_and_anything_else_stays() {
    let directory = TemporaryDirectory::new();
    let path = directory.path().join("bus");
    let address = format!("unix:path={}", path.display());
    drop(UnixListener::bind(&path).unwrap());
    let first = one(&address, &mut context(&directory));
    let second = one(&address, &mut context(&directory));
    drop(first);
    check_connects(&second);
    drop(second);
    fs::write(&path, "kept").unwrap();
    let failures = failures(&address, &mut context(&directory));
    assert!(matches!(failures[..], [ListenFailure::UnixSocket(..)]), "{failures:?}");
    assert_eq!(fs::read(&path).unwrap(), b"kept");
}

// protocol.md A108: at the bound of sun_path and one past
#[test]
fn a_path_has_the_room_of_a_socket_address() {
    let directory = TemporaryDirectory::new();
    let room = PATH_SIZE_MAX - directory.path().as_os_str().len() - 1;
    let address = |size| format!("unix:path={}/{}", directory.path().display(), "x".repeat(size));
    check_connects(&one(&address(room), &mut context(&directory)));
    let failures = failures(&address(room + 1), &mut context(&directory));
    assert!(matches!(failures[..], [ListenFailure::UnixSocket(..)]), "{failures:?}");
}

// protocol.md A103, A104
#[test]
fn a_directory_gets_a_random_name() {
    let directory = TemporaryDirectory::new();
    let mut paths = Vec::new();
    let mut listeners = Vec::new();
    for key in ["dir", "tmpdir", "dir"] {
        let address = format!("unix:{key}={}", directory.path().display());
        let listener = one(&address, &mut context(&directory));
        let path = socket_path(&listener);
        assert_eq!(path.parent(), Some(directory.path()));
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("dbus-") && name.len() == 15, "{name}");
        check_connects(&listener);
        assert!(!paths.contains(&path));
        paths.push(path);
        listeners.push(listener);
    }
    drop(listeners);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

// protocol.md A105
#[test]
fn an_abstract_name_leaves_no_file() {
    let directory = TemporaryDirectory::new();
    let name = directory.path().join("no file").display().to_string();
    let address = Address::new("unix").with("abstract", name.as_bytes()).to_string();
    let listener = one(&address, &mut context(&directory));
    check_connects(&listener);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    let failures = failures(&address, &mut context(&directory));
    assert!(matches!(&failures[..], [ListenFailure::UnixSocket(_, error)]
        if error.kind() == io::ErrorKind::AddrInUse));
}

// protocol.md A106
#[test]
fn the_runtime_directory_or_the_next_address() {
    let directory = TemporaryDirectory::new();
    let list = format!("unix:runtime=yes;unix:tmpdir={}", directory.path().display());
    let mut context = context(&directory);
    let listener = one(&list, &mut context);
    assert_eq!(socket_path(&listener), directory.path().join("bus"));
    check_connects(&listener);
    context.runtime_directory = None;
    let listener = one(&list, &mut context);
    assert_ne!(socket_path(&listener), directory.path().join("bus"));
    let all = failures("unix:runtime=yes;unix:path=/nonexistent/bus;systemd:", &mut context);
    assert!(matches!(
        all[..],
        [
            ListenFailure::NoRuntimeDirectory,
            ListenFailure::UnixSocket(..),
            ListenFailure::NoSocketReceived
        ]
    ));
    let text = ListenError::Failed(all).to_string();
    assert!(text.contains("XDG_RUNTIME_DIR") && text.contains("\"/nonexistent/bus\""), "{text}");
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn a_wrong_address_is_not_passed_over() {
    let directory = TemporaryDirectory::new();
    let good = format!("unix:tmpdir={}", directory.path().display());
    for wrong in ["", "unix", "unixexec:path=/bin/cat", "nonsense:", "unix:path=/a,dir=/b"] {
        let list = format!("{wrong};{good}");
        let error = listen(&list, &mut context(&directory)).unwrap_err();
        assert!(matches!(error, ListenError::Address(_)), "{wrong}: {error}");
    }
}

// protocol.md A111
#[test]
fn tcp_picks_a_port_and_says_it() {
    let directory = TemporaryDirectory::new();
    let mut context = context(&directory);
    for address in
        ["tcp:host=127.0.0.1", "tcp:host=127.0.0.1,port=0", "tcp:host=localhost,family=ipv4"]
    {
        let listener = one(address, &mut context);
        assert_eq!(listener.kind(), ListenerKind::Tcp);
        let text = listener.connectable();
        assert!(text.contains(",port=") && text.contains(",family=ipv4,"), "{text}");
        check_connects(&listener);
        let ConnectAddress::Tcp { port, .. } = target(&listener) else { panic!("{text}") };
        let failures = failures(&format!("tcp:host=127.0.0.1,port={port}"), &mut context);
        assert!(matches!(&failures[..], [ListenFailure::TcpSocket(place, error)]
            if place.ends_with(&port.to_string()) && error.kind() == io::ErrorKind::AddrInUse));
    }
}

// protocol.md A111: '*' stands for both versions of IP, on one port
#[test]
fn tcp_binds_every_interface() {
    let directory = TemporaryDirectory::new();
    let mut context = context(&directory);
    let ipv6_here = TcpListener::bind("[::]:0").is_ok();
    let listeners = listen("tcp:host=localhost,bind=*", &mut context).unwrap();
    assert_eq!(listeners.len(), if ipv6_here { 2 } else { 1 });
    check_connects(&listeners[0]);
    let first = &listeners[0];
    assert!(listeners.iter().all(|other| other.connectable() == first.connectable()));
    assert!(listeners.iter().all(|other| other.guid() == first.guid()));
    let text = first.connectable();
    assert!(text.starts_with("tcp:host=localhost,port="), "{text}");
    assert_eq!(text.contains("family"), !ipv6_here);
    assert_eq!(connectable_addresses(std::slice::from_ref(&listeners)), text);
    let listeners = listen("tcp:host=localhost,bind=*,family=ipv4", &mut context).unwrap();
    assert_eq!(listeners.len(), 1);
}

#[test]
fn a_host_without_an_address_is_named() {
    let directory = TemporaryDirectory::new();
    let failures = failures("tcp:host=127.0.0.1,family=ipv6", &mut context(&directory));
    assert!(matches!(&failures[..], [ListenFailure::Resolve(host, _)] if host == "127.0.0.1"));
}

// protocol.md A112
#[test]
fn a_nonce_is_private_and_removed_at_the_end() {
    let directory = TemporaryDirectory::new();
    let listener = one("nonce-tcp:host=127.0.0.1", &mut context(&directory));
    check_connects(&listener);
    let ConnectAddress::NonceTcp { nonce_file, .. } = target(&listener) else { panic!() };
    let path = path_from(&nonce_file);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    let mut content = Vec::new();
    fs::File::open(&path).unwrap().read_to_end(&mut content).unwrap();
    let nonce = content.try_into().unwrap();
    assert_eq!(listener.kind(), ListenerKind::NonceTcp { nonce });
    let other = one("nonce-tcp:host=127.0.0.1", &mut context(&directory));
    assert_ne!(other.kind(), listener.kind());
    drop((listener, other));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    let mut missing = context(&directory);
    missing.temporary_directory.push("missing");
    let failures = failures("nonce-tcp:host=127.0.0.1", &mut missing);
    assert!(matches!(failures[..], [ListenFailure::NonceFile(..)]));
}

// protocol.md A109
#[test]
fn inherited_sockets_become_listeners_once() {
    let directory = TemporaryDirectory::new();
    let path = directory.path().join("inherited");
    let abstract_name = UnixAddr::from_abstract_name(path.as_os_str().as_bytes()).unwrap();
    let mut context = context(&directory);
    context.inherited = vec![
        UnixListener::bind(&path).unwrap().into(),
        UnixListener::bind_addr(&abstract_name).unwrap().into(),
        TcpListener::bind("127.0.0.1:0").unwrap().into(),
    ];
    let listeners = listen("systemd:", &mut context).unwrap();
    assert_eq!(listeners.len(), 3);
    listeners.iter().for_each(check_connects);
    assert_eq!(socket_path(&listeners[0]), path);
    assert_eq!(listeners[2].kind(), ListenerKind::Tcp);
    assert_ne!(listeners[0].guid(), listeners[1].guid());
    drop(listeners);
    assert!(path.exists(), "the service manager's file");
    assert!(matches!(failures("systemd:", &mut context)[..], [ListenFailure::NoSocketReceived]));
}

#[test]
#[ignore = "run by the test below in a process of its own"]
fn with_a_service_manager() {
    if std::env::var_os("TEST_SOCKET").is_none() {
        return;
    }
    let mut context = ListenContext::from_process();
    assert_eq!(context.inherited.len(), 1, "the second descriptor is not open");
    check_connects(&one("systemd:", &mut context));
}

// protocol.md A109: the variables and descriptors of sd_listen_fds(3)
#[test]
fn a_service_manager_is_believed_when_it_means_this_process() {
    let directory = TemporaryDirectory::new();
    let run = |pid: &str| {
        let path = directory.path().join(pid.len().to_string());
        let script = format!("LISTEN_PID={pid} LISTEN_FDS=2 exec \"$0\" \"$@\" 3<&0 4<&-");
        Command::new("sh")
            .args(["-c", &script])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "host::listener::tests::with_a_service_manager"])
            .args(["--ignored", "--test-threads=1"])
            .env("TEST_SOCKET", "3")
            .stdin(OwnedFd::from(UnixListener::bind(path).unwrap()))
            .output()
            .unwrap()
    };
    let output = run("$$");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(!run("1").status.success());
}

#[test]
fn what_is_no_listening_socket_is_refused() {
    let directory = TemporaryDirectory::new();
    let (connected, _peer) = UnixStream::pair().unwrap();
    let unusable: [OwnedFd; 3] = [
        connected.into(),
        UnixDatagram::unbound().unwrap().into(),
        fs::File::open("/dev/null").unwrap().into(),
    ];
    for fd in unusable {
        let mut context = context(&directory);
        context.inherited.push(fd);
        let failures = failures("systemd:", &mut context);
        assert!(matches!(failures[..], [ListenFailure::UnusableSocket(_)]), "{failures:?}");
    }
}

// config.md B017
#[test]
fn the_last_listen_is_exported_first() {
    let directory = TemporaryDirectory::new();
    let mut context = context(&directory);
    let listens = ["a", "b", "c"].map(|name| {
        let address = format!("unix:path={}", directory.path().join(name).display());
        listen(&address, &mut context).unwrap()
    });
    let expected = [&listens[2][0], &listens[1][0], &listens[0][0]].map(Listener::connectable);
    assert_eq!(connectable_addresses(&listens), expected.join(";"));
    assert_eq!(connectable_addresses(&[]), "");
}
