//! `bus replay`: a conversation that was captured on one bus, on another.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bus_tests::harness::{Bus, Folder};
use bus_tools::capture::Writer;
use libbus::blocking::Builder;
use libbus::{MethodCall, Watching};
use serde_json::{Value as Json, json};

use crate::scene::{NAME, PATH, bus, connect, converse, serve, start_bus};

/// A conversation on a bus of its own, a pause of half a second between each two messages of it, and something that
/// cannot be sent again: a call to a client that has only its unique name.
fn captured(folder: &Folder) -> PathBuf {
    let scene = start_bus();
    let builder = Builder::address(&scene.address).unwrap();
    let mut monitor = builder.monitor(&[], Watching::AsMonitor).unwrap();
    let kitchen = serve(&scene);
    let client = connect(&scene);
    converse(&client);
    for name in [kitchen.unique_name(), client.unique_name().unwrap()] {
        let call = MethodCall::new(PATH, "Brew").unwrap().destination(name).unwrap();
        let call = call.interface("org.example.Kitchen").unwrap();
        client.call_no_reply(&call, "coffee").unwrap();
    }
    let call = MethodCall::new("/", "Over").unwrap().destination("org.freedesktop.DBus").unwrap();
    client.call(&call, &()).unwrap_err();
    let mut writer = Writer::pcap(Vec::new(), None).unwrap();
    for half_seconds in 0.. {
        let message = monitor.next_message().unwrap();
        writer
            .write(Duration::from_millis(1_000_000 + 500 * half_seconds), message.bytes())
            .unwrap();
        if message.member().is_some_and(|member| member.as_str() == "Over") {
            break;
        }
    }
    folder.write("kitchen.pcap", writer.into_inner())
}

fn replay(scene: &Bus, capture: &Path, arguments: &[&str]) -> Json {
    let capture = capture.to_str().unwrap();
    let all = ["replay", "--address", &scene.address, "--json", capture];
    let ended = bus(&[&all, arguments].concat(), b"");
    serde_json::from_str(&ended.succeeds()).unwrap()
}

pub(crate) fn all_is_counted() {
    let folder = Folder::new();
    let capture = captured(&folder);
    let scene = start_bus();
    let _kitchen = serve(&scene);
    let mut signals =
        connect(&scene).receive_signals("interface='org.example.Kitchen',member='Drunk'").unwrap();
    let mut summary = replay(&scene, &capture, &["--as-fast"]);
    assert!(summary["seconds"].take().as_f64().unwrap() > 0.0);
    // What clients ask the bus itself is more than this test knows of.
    assert!(summary["left_out"]["bus"].take().as_u64().unwrap() > 3);
    let expected = json!({
        "calls": 3, "signals": 1, "replies": 1, "unanswered": 0, "seconds": null,
        "errors": { "org.example.Kitchen.Error.Empty": 1 },
        "left_out": { "bus": null, "unknown_name": 1 },
    });
    assert_eq!(summary, expected);
    let signal = signals.next_signal().unwrap();
    assert_eq!(signal.deserialize::<(String, u32)>().unwrap(), ("tea".to_owned(), 2));
    // In words, and where nobody is.
    let scene = start_bus();
    let capture = capture.to_str().unwrap();
    let ended = bus(&["replay", "--address", &scene.address, "--as-fast", capture], b"");
    ended.prints(&[
        "sent      3 calls, 1 signals in",
        "answered  0 replies, 2 errors, 0 without an answer in time",
        "2 org.freedesktop.DBus.Error.ServiceUnknown",
        "1 to a client of which no well-known name is known",
    ]);
}

pub(crate) fn only_some() {
    let folder = Folder::new();
    let capture = captured(&folder);
    let scene = start_bus();
    let kitchen = serve(&scene);
    let calls = replay(&scene, &capture, &["--as-fast", "--only=calls"]);
    assert_eq!((&calls["calls"], &calls["signals"]), (&json!(3), &json!(0)));
    let signals = replay(&scene, &capture, &["--as-fast", "--only=signals"]);
    assert_eq!((&signals["calls"], &signals["signals"]), (&json!(0), &json!(1)));
    // What a client of the capture asked the bus for, its name, was not asked for again.
    let owner: String = connect(&scene).bus().call("GetNameOwner", NAME).unwrap();
    assert_eq!(owner, kitchen.unique_name());
}

/// At a speed it takes at least as long as it says.
pub(crate) fn paced() {
    let folder = Folder::new();
    let capture = captured(&folder);
    let scene = start_bus();
    let _kitchen = serve(&scene);
    let begin = Instant::now();
    let summary = replay(&scene, &capture, &["--speed=100"]);
    assert_eq!(summary["calls"], json!(3));
    let seconds = summary["seconds"].as_f64().unwrap();
    // Between its first call and its last there are at least five messages of half a second.
    assert!(seconds >= 5.0 * 0.5 / 100.0 && begin.elapsed().as_secs_f64() >= seconds, "{seconds}");
    let capture = capture.to_str().unwrap();
    for arguments in [["--speed=0"], ["--speed=-1"], ["--speed=x"]] {
        assert_eq!(bus(&[&["replay", capture], &arguments[..]].concat(), b"").code, Some(2));
    }
    assert_eq!(bus(&["replay", capture, "--speed=2", "--as-fast"], b"").code, Some(2));
}

pub(crate) fn system_bus() {
    let folder = Folder::new();
    let capture = captured(&folder);
    let capture = capture.to_str().unwrap();
    let address = "--address=unix:path=/run/dbus/system_bus_socket";
    for arguments in [["replay", "--system", capture], ["replay", address, capture]] {
        let ended = bus(&arguments, b"");
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains("--yes"), "{}", ended.stderr);
    }
    let ended = bus(&["replay", "--peer=unix:path=/nonexistent", capture], b"");
    assert_eq!(ended.code, Some(2));
}
