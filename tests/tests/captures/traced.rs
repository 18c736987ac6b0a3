//! `bus trace`, from captures and live.

use std::fs;
use std::process::Command;

use bus_tests::harness::{Folder, Running, bus_command};
use bus_tests::traffic::desktop;
use bus_tools::capture::Writer;
use libbus::MethodCall;

use crate::scene::{bus, connect, converse, serve, start_bus};

pub(crate) fn pcap(count: usize) -> Vec<u8> {
    let mut writer = Writer::pcap(Vec::new(), None).unwrap();
    desktop(count, 7).iter().for_each(|(time, bytes)| writer.write(*time, bytes).unwrap());
    writer.into_inner()
}

/// What the page knows.
fn data(page: &str) -> serde_json::Value {
    let (_, rest) = page.split_once("id=\"data\">").expect("the data");
    serde_json::from_str(rest.split_once("</script").unwrap().0).unwrap()
}

pub(crate) fn page_and_picture() {
    let folder = Folder::new();
    let capture = folder.write("desktop.pcap", pcap(800));
    let (capture, page) = (capture.to_str().unwrap(), folder.join("t.html"));
    let ended = bus(&["trace", capture, "-o", page.to_str().unwrap()], b"");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{ended:?}");
    assert!(ended.stderr.contains("800 messages"), "{}", ended.stderr);
    let data = data(&fs::read_to_string(&page).unwrap());
    assert_eq!(data["messages"]["kind"].as_array().unwrap().len(), 800);
    assert_eq!(data["title"], "desktop.pcap");
    // A progress bar is for terminals.
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);

    let ended = bus(&["trace", capture, "--format=svg", "-n", "20"], b"");
    let svg = ended.succeeds();
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
    assert!(svg.contains("the first 20 of 800 messages; 780 follow"));
    let picture = folder.join("t.svg");
    for (count, said) in [("5", "the first 5 of 800 messages"), ("800", "bus: 800 messages")] {
        let ended = bus(&["trace", capture, "-n", count, "-o", picture.to_str().unwrap()], b"");
        assert!(ended.stderr.contains(&format!("{said} are in ")), "{}", ended.stderr);
    }
    let ended = bus(&["trace", capture, "-o", picture.to_str().unwrap()], b"");
    assert!(ended.stderr.contains("the first 500 of 800 messages are in "), "{}", ended.stderr);
    bus(&["trace", capture, "-q", "-o", picture.to_str().unwrap()], b"").succeeds();
    assert!(fs::read_to_string(&picture).unwrap().contains("the first 500 of 800 messages"));
    let ended = bus(&["trace", capture, "-n", "30"], b"");
    assert!(ended.succeeds().contains("770 more messages follow the 30 that are shown."));
}

pub(crate) fn damaged() {
    let folder = Folder::new();
    let whole = pcap(50);
    let capture = folder.write("cut.pcap", &whole[..whole.len() - 10]);
    let ended = bus(&["trace", capture.to_str().unwrap()], b"");
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let data = data(&ended.stdout);
    assert_eq!(data["messages"]["kind"].as_array().unwrap().len(), 49, "all that is whole");
    let notice = data["notices"][0].as_str().unwrap();
    assert!(notice.starts_with("The capture is damaged at byte "), "{notice}");
    assert!(ended.stderr.contains(notice), "{}", ended.stderr);
}

pub(crate) fn refused() {
    let folder = Folder::new();
    let file = folder.write("\u{1b}[2Jletter.txt", b"Dear all");
    let ended = bus(&["trace", file.to_str().unwrap(), "-o", "/nonexistent/t.html"], b"");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert!(ended.stderr.contains("neither pcap nor pcapng"), "{}", ended.stderr);
    assert!(!ended.stderr.contains('\u{1b}'), "a name is escaped: {:?}", ended.stderr);
    assert_eq!(bus(&["trace", "/nonexistent/a.pcap"], b"").code, Some(1));
    assert_eq!(bus(&["trace", "-n", "0", "a.pcap"], b"").code, Some(2));
    let capture = folder.write("a.pcap", pcap(3));
    let ended = bus(&["trace", capture.to_str().unwrap(), "-o", "/nonexistent/t.html"], b"");
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("cannot write /nonexistent/t.html"), "{}", ended.stderr);
}

pub(crate) fn standard_input() {
    let page = bus(&["trace", "-"], &pcap(60)).succeeds();
    assert_eq!(data(&page)["messages"]["kind"].as_array().unwrap().len(), 60);
    assert_eq!(bus(&["trace", "-"], b"").code, Some(1), "an empty capture");
}

/// The bus is watched until a rule has seen so many messages; of replies those that belong to them.
pub(crate) fn live() {
    let scene = start_bus();
    let _kitchen = serve(&scene);
    let client = connect(&scene);
    let folder = Folder::new();
    let file = folder.join("live.html");
    let mut command = Command::new(bus_command());
    command.args(["trace", "--address", &scene.address, "-n", "6", "-o"]).arg(&file);
    command.args(["--match", "destination='org.example.Kitchen'"]);
    command.args(["--match", "interface='org.example.Kitchen'"]);
    let mut watching = Running::start(&mut command);
    scene.wait_until("the watching has an end", || {
        let call = MethodCall::new("/", "GetId").unwrap();
        let _ = client.call(&call.destination("org.freedesktop.DBus").unwrap(), &());
        converse(&client);
        file.exists()
    });
    assert!(watching.wait().success());
    let data = data(&fs::read_to_string(&file).unwrap());
    let kinds = data["messages"]["kind"].as_array().unwrap();
    assert_eq!(kinds.len(), 6);
    assert!(data["begin"].as_f64().unwrap() > 1.7e15);
    let strings = data["strings"].as_array().unwrap();
    assert!(!strings.contains(&"GetId".into()), "{strings:?}");
    assert!(strings.contains(&"Brew".into()), "{strings:?}");
}
