//! Nothing that a verb asks is waited for longer than `--timeout` says (tools.md D024).

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;

use crate::scene::Scene;
use crate::transcript::shell;

/// A bus that hears no more after the first messages of each client.
struct Deaf {
    listener: UnixListener,
    address: String,
    /// Where the bus is that answers what is heard.
    bus: String,
}

impl Deaf {
    fn before(scene: &Scene, index: usize) -> Self {
        let path = scene.bus.dir.join(format!("deaf{index}"));
        let listener = UnixListener::bind(&path).unwrap();
        let of_scene = scene.address();
        let bus = of_scene.strip_prefix("unix:path=").unwrap().split(',').next().unwrap();
        let address = format!("unix:path={}", path.display());
        Self { listener, address, bus: bus.to_owned() }
    }

    /// Serves one client, of whom so many messages are heard, until it ends.
    fn serve(&self, heard_count: usize) {
        let (client, _) = self.listener.accept().unwrap();
        let bus = UnixStream::connect(&self.bus).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| io::copy(&mut &bus, &mut &client));
            pass_on(&client, &bus, heard_count).unwrap();
            io::copy(&mut &client, &mut io::sink()).unwrap();
            bus.shutdown(Shutdown::Both).unwrap();
        });
    }
}

/// A handshake, and messages after it.
fn pass_on(mut from: &UnixStream, mut to: &UnixStream, message_count: usize) -> io::Result<()> {
    let mut said = Vec::new();
    while !said.ends_with(b"BEGIN\r\n") {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        said.extend(byte);
        to.write_all(&byte)?;
    }
    for _ in 0..message_count {
        let mut head = [0; 16];
        from.read_exact(&mut head)?;
        let number = |at: usize| {
            let bytes = head[at..at + 4].try_into().unwrap();
            if head[0] == b'l' { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }
        };
        let mut rest = vec![0; (number(12).next_multiple_of(8) + number(4)) as usize];
        from.read_exact(&mut rest)?;
        to.write_all(&head)?;
        to.write_all(&rest)?;
    }
    Ok(())
}

/// What the bus that is left to itself makes of a command, after so many messages.
#[track_caller]
fn check(scene: &Scene, index: usize, (command, heard_count, wanted): (&str, usize, &str)) {
    let deaf = Deaf::before(scene, index);
    let at = &deaf.address;
    let output = thread::scope(|scope| {
        scope.spawn(|| deaf.serve(heard_count));
        shell(&format!("timeout 20 bus --address={at} --timeout=1 {command}"), scene)
    });
    let said = String::from_utf8(output.stderr).unwrap();
    let doctor = format!("hint: `bus --address={at} doctor` looks for the reason\n");
    let (code, wanted) = match command {
        // To watch is a part of connecting.
        "monitor" => (3, format!("{wanted}{doctor}")),
        _ => (1, wanted.to_owned()),
    };
    assert_eq!((output.status.code(), said), (Some(code), wanted), "{command}");
}

/// With the number of messages that are heard: Hello, and those before the one of which the answer does not come.
#[test]
fn a_bus_that_does_not_answer_is_waited_for_as_long_as_was_said() {
    let scene = Scene::new();
    let late = "bus: not done within 1000 ms\nhint: wait longer with --timeout=SECONDS\n";
    let in_time = "bus: it did not come in time\n";
    let cases = [
        ("list", 1, late),
        ("list", 2, late),
        ("status", 1, late),
        ("status org.example.Kettle", 1, late),
        ("stats", 1, late),
        ("tree", 2, late),
        ("tree org.example.Kettle", 1, late),
        ("introspect org.example.Kettle", 1, late),
        ("call org.example.Kettle / a.B.C", 1, late),
        ("get org.example.Kettle / a.B.C", 1, late),
        ("set -s s org.example.Kettle / a.B.C x", 1, late),
        ("emit /a a.B.C", 1, late),
        ("env", 1, late),
        ("activate a.B", 1, late),
        ("top -n1", 1, late),
        ("policy explain user=root own=a.B", 1, late),
        ("monitor", 1, late),
        ("wait a.B", 1, late),
        ("wait a.B", 2, in_time),
        ("wait --activate a.B", 2, in_time),
    ];
    let scene = &scene;
    thread::scope(|scope| {
        for (index, case) in cases.into_iter().enumerate() {
            scope.spawn(move || check(scene, index, case));
        }
    });
}

/// Who accepts a client and never answers its handshake, at the addresses of both kinds of sockets.
#[test]
fn a_handshake_that_is_not_answered_is_waited_for_as_long_as_was_said() {
    let scene = Scene::new();
    let path = scene.bus.dir.join("silent");
    let _silent = UnixListener::bind(&path).unwrap();
    let of_network = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = of_network.local_addr().unwrap().port();
    let addresses =
        [format!("unix:path={}", path.display()), format!("tcp:host=127.0.0.1,port={port}")];
    for (address, command) in addresses.iter().flat_map(|address| {
        ["list", "monitor", "call a.B / a.B.C"].map(|command| (address, command))
    }) {
        let line = format!("timeout 9 bus --address={address} --timeout=1 {command}");
        let output = shell(&line, &scene);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{line}: {said}");
        assert!(said.starts_with("bus: not done within 1000 ms\n"), "{line}: {said}");
    }
}
