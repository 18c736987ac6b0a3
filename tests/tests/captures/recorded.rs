//! What dbus-monitor and busctl record of a conversation is read by us, and what we write by tcpdump.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use bus_tests::harness::{DEADLINE, Folder, run};
use bus_tests::traffic::desktop;
use bus_tools::capture::{Captured, Damage, Format, Reader, Section, Writer};
use bus_tools::conversation::Conversation;
use libbus::MethodCall;
use libbus::wire::MessageType;

use crate::scene::{NAME, connect, converse, serve, start_bus};

type Item = Result<Captured, Damage>;

/// A program that records on standard output; what it records is read as it comes.
struct Recording {
    program: Child,
    items: Receiver<Item>,
}

impl Recording {
    fn start(command: &mut Command, format: Format) -> Self {
        let mut program = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let output = program.stdout.take().expect("stdout");
        let (sender, items) = channel();
        thread::spawn(move || {
            let reader = Reader::open(Box::new(output) as Box<dyn Read>).expect("a capture");
            assert_eq!(reader.format(), format);
            reader.for_each(|item| drop(sender.send(item)));
        });
        Self { program, items }
    }

    /// All up to the first message with that member.
    fn until(&self, member: &str) -> Vec<Captured> {
        let mut seen = Vec::new();
        loop {
            let item = self.items.recv_timeout(DEADLINE).expect("a message");
            let captured = item.unwrap_or_else(|damage| panic!("{damage}"));
            let is_it = captured.message.member().is_some_and(|name| name.as_str() == member);
            seen.push(captured);
            if is_it {
                return seen;
            }
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        // It may have ended with its bus.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

fn record(program: &str, arguments: &[&str], format: Format) {
    let bus = start_bus();
    let kitchen = serve(&bus);
    let client = connect(&bus);
    let address = format!("--address={}", bus.address);
    let mut command = Command::new(program);
    // dbus-monitor takes the address as a word of its own.
    match program {
        "dbus-monitor" => command.args(["--address", &bus.address]),
        _ => command.arg(address),
    };
    let recording = Recording::start(command.args(arguments), format);
    // Nobody tells when it records; what it has recorded does.
    bus.wait_until("the recording begins", || {
        let call = MethodCall::new("/", "AreYouThere").unwrap();
        let _ = client.call(&call.destination("org.freedesktop.DBus").unwrap(), &());
        recording.items.try_iter().any(|item| item.is_ok())
    });
    converse(&client);
    let call = MethodCall::new("/", "Over").unwrap().destination("org.freedesktop.DBus").unwrap();
    client.call(&call, &()).unwrap_err();
    let captured = recording.until("Over");
    check(&captured, client.unique_name().unwrap(), kitchen.unique_name(), format);
}

/// A call with its reply, a call with its error, and a signal, and whose name is whose.
fn check(captured: &[Captured], client: &str, kitchen: &str, format: Format) {
    let mut conversation = Conversation::default();
    let mut answered = Vec::new();
    for (number, captured) in captured.iter().enumerate() {
        let message = &captured.message;
        assert_eq!((captured.size, &captured.cut), (message.size() as u64, &None));
        assert_eq!(captured.time.is_some(), format != Format::Raw);
        let pair = conversation.handle_message(number as u64, captured.time, message);
        let is_of_kitchen = message.sender().is_some_and(|sender| sender.as_str() == kitchen);
        if let Some(pair) = pair.filter(|_| is_of_kitchen) {
            assert_eq!(pair.duration.is_some(), format != Format::Raw);
            answered.push(message.message_type());
        }
    }
    assert_eq!(answered, [MessageType::MethodReturn, MessageType::Error]);
    assert_eq!(conversation.names().names_of(kitchen), [NAME], "learned from its answer");
    let signal = captured
        .iter()
        .find(|item| item.message.member().is_some_and(|name| name.as_str() == "Drunk"));
    let signal = signal.expect("the signal");
    assert_eq!(signal.message.sender().map(|name| name.to_string()), Some(client.to_owned()));
    let times: Vec<_> = captured.iter().filter_map(|captured| captured.time).collect();
    assert!(times.is_sorted());
    // Some time after this was written, and not in units that are mistaken.
    let is_now = |seconds: u64| (1_750_000_000..4_000_000_000).contains(&seconds);
    assert!(times.iter().all(|time| is_now(time.as_secs())), "{times:?}");
}

pub(crate) fn dbus_monitor_pcap() {
    record("dbus-monitor", &["--pcap"], Format::Pcap);
}

pub(crate) fn dbus_monitor_binary() {
    record("dbus-monitor", &["--binary"], Format::Raw);
}

pub(crate) fn busctl_capture() {
    record("busctl", &["capture"], Format::Pcapng);
}

pub(crate) fn tcpdump_reads_ours() {
    let folder = Folder::new();
    let section = Section { system: Some("Linux"), application: Some("bus") };
    let pcap = Writer::pcap(Vec::new(), None).unwrap();
    let pcapng = Writer::pcapng(Vec::new(), section, Some(200)).unwrap();
    for (name, mut writer) in [("a.pcap", pcap), ("a.pcapng", pcapng)] {
        for (time, bytes) in desktop(300, 1) {
            writer.write(time, &bytes).unwrap();
        }
        let file = folder.write(name, writer.into_inner());
        let mut tcpdump = Command::new("tcpdump");
        tcpdump.args(["--count", "-r"]).arg(file);
        let ended = run(&tcpdump, b"");
        assert!(ended.stderr.contains("link-type DBUS (D-Bus)"), "{ended:?}");
        ended.prints(&["300 packets"]);
    }
}
