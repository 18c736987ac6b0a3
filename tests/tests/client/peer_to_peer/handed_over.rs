//! Connections that come with the process, or go with it: sockets that a service manager hands over, programs that
//! are the way to a bus, `ssh`, `fork(2)`, and the end of the program with its connection.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use bus_tests::harness::{self, Ended, Folder, skip_without};
use libbus::blocking::{Builder, ListenerBuilder};

use super::use_peer;
use crate::{address, on_each_bus};

const BRIDGE: &str = "/usr/bin/systemd-stdio-bridge";

/// The program that does what cannot be done in a test's own process.
pub(super) fn program() -> &'static str {
    env!("CARGO_BIN_EXE_connecting-client")
}

fn run(arguments: &[&str], set: impl FnOnce(&mut Command)) -> Ended {
    let mut command = Command::new(program());
    command.args(arguments);
    set(&mut command);
    harness::run(&command, b"")
}

/// The program with a socket as its descriptor 3, as a service manager starts it.
fn with_socket(socket: OwnedFd, pid: &str, arguments: &[&str]) -> Command {
    let script = format!(
        "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID={pid} LISTEN_FDNAMES=peer exec \"$@\""
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh", program()]).args(arguments).stdin(Stdio::from(socket));
    command
}

#[test]
fn a_listening_socket_is_handed_over() {
    for arguments in [["listen-fd", "peer"], ["listen-fd", ""], ["listen", "systemd:"]] {
        let directory = Folder::new();
        let path = directory.join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let mut command = with_socket(listener.into(), "$$", &arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut service = command.spawn().unwrap();
        // Who connects before it accepts waits.
        let address = format!("unix:path={}", path.display());
        let client = Builder::address(&address).unwrap().p2p().build().unwrap();
        use_peer(&client);
        drop(client);
        let status = service.wait().unwrap();
        assert!(status.success(), "{arguments:?}");
        // It was not the program's to remove.
        assert!(path.exists());
    }
}

/// It is dropped there, which the other end sees though the descriptor itself stays open.
#[test]
fn a_connected_socket_is_handed_over() {
    for name in ["peer", ""] {
        let (one, other) = UnixStream::pair().unwrap();
        let mut command = with_socket(one.into(), "$$", &["connection-fd", name]);
        let mut service = command.spawn().unwrap();
        drop(command);
        let client = Builder::socket(other).p2p().build().unwrap();
        assert!(client.closed().is_disconnected());
        assert_eq!(service.try_wait().unwrap(), None, "the program goes on");
        service.kill().unwrap();
        service.wait().unwrap();
    }
}

#[test]
fn what_is_for_another_process_or_name_is_left_alone() {
    let directory = Folder::new();
    let listener = || UnixListener::bind(directory.join("socket")).unwrap().into();
    let mut commands = vec![with_socket(listener(), "1", &["listen-fd", "peer"])];
    fs::remove_file(directory.join("socket")).unwrap();
    commands.push(with_socket(listener(), "$$", &["listen-fd", "other"]));
    let (one, _other) = UnixStream::pair().unwrap();
    commands.push(with_socket(one.into(), "$$", &["listen-fd", "peer"]));
    for mut command in commands {
        let output = command.output().unwrap();
        Ended::new(&command, &output).fails_with(&["hands no socket", "that listens"]);
    }
}

/// A program first in `$PATH` that is called as `ssh` is, and says how.
fn fake_ssh(directory: &Path) {
    let script =
        "#!/bin/sh\nprintf '%s\\n' \"$@\" >\"$SSH_SAID\"\nexec \"$SSH_BRIDGE\" \"-p$SSH_BUS\"\n";
    let path = directory.join("ssh");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_bus_of_another_machine_is_reached() {
    if !Path::new(BRIDGE).exists() {
        return skip_without("systemd-stdio-bridge");
    }
    let directory = Folder::new();
    fake_ssh(&directory);
    let said = directory.join("said");
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    on_each_bus(|bus| {
        let ended = run(&["ssh", "me@example.org:2222/box"], |command| {
            command.env("PATH", &path).env("SSH_SAID", &said);
            command.env("SSH_BRIDGE", BRIDGE).env("SSH_BUS", address(bus));
        });
        let id: String = crate::connect(bus).bus().call("GetId", &()).unwrap();
        ended.prints(&[&id]);
        let expected = "-xT\n-p\n2222\n--\nme@example.org\nsystemd-stdio-bridge\n--machine=box\n";
        assert_eq!(fs::read_to_string(&said).unwrap(), expected);
        fs::remove_file(&said).unwrap();
        let ended = run(&["ssh", "-oProxyCommand=x"], |command| {
            command.env("PATH", &path).env("SSH_SAID", &said);
        });
        ended.fails_with(&["a host is written"]);
        assert!(!said.exists());
    });
}

/// A program that was started for a connection goes with it, and leaves nothing behind; so does one that ends by
/// itself while the connection is still there.
#[test]
fn a_started_program_leaves_nothing_behind() {
    if !Path::new(BRIDGE).exists() {
        return skip_without("systemd-stdio-bridge");
    }
    on_each_bus(|bus| {
        let ended = run(&["children", BRIDGE, &address(bus)], |_| {});
        ended.prints(&["none after the connection", "none after its own end"]);
    });
}

#[test]
fn a_copy_of_the_process_is_told() {
    on_each_bus(|bus| {
        let ended = run(&["fork", &address(bus)], |_| {});
        let forked = "the connection belongs to another process, which forked";
        let text = ended.succeeds();
        assert_eq!(text.matches(forked).count(), 4, "{text}");
        assert!(text.ends_with("the first process goes on\n"), "{text}");
    });
}

/// A lock that another thread of the first process held stays held in the copy for ever.
#[test]
fn a_copy_of_the_process_waits_for_nobody_who_is_not_in_it() {
    on_each_bus(|bus| {
        let ended = run(&["fork-locked", &address(bus)], |_| {});
        let forked = "the connection belongs to another process, which forked";
        let text = ended.succeeds();
        assert_eq!(text.matches(forked).count(), 4, "{text}");
        assert!(text.ends_with("None false\nthe first process goes on\n"), "{text}");
        let ended = run(&["fork-busy", &address(bus)], |_| {});
        ended.prints(&["the first process goes on"]);
    });
}

#[test]
fn a_program_ends_with_its_connection() {
    for style in ["exit", "exit-async"] {
        let builder = ListenerBuilder::address("unix:tmpdir=/tmp").unwrap();
        let mut listener = builder.listen().unwrap();
        let mut command = Command::new(program());
        let command = command.args([style, &listener.address()]);
        let program = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let connection = listener.accept().unwrap();
        drop(connection);
        let output = program.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{style}");
        assert!(output.stderr.is_empty() && output.stdout.is_empty(), "{output:?}");
    }
}
