//! A connection with the other end played by the test.

mod bounds;
mod restoring;

use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};

use proptest::prelude::*;

use super::*;
use crate::auth::{Mechanism, ServerAuth, ServerAuthConfig, ServerProgress};
use crate::names::{BusName, MemberName, ObjectPath};
use crate::wire::write_message;

const GUID: Guid = Guid::from_bytes([7; 16]);
const A: InterfaceName<'static> = InterfaceName::from_static("org.example.A");

/// A connection and what the other end has of it.
struct Pair {
    state: ConnectionState,
    /// Messages that it sent, whole.
    sent: Vec<Message>,
    /// What it wrote and is not a whole message yet.
    written: Vec<u8>,
    fds: Vec<OwnedFd>,
    serial: u32,
}

fn config() -> ConnectionConfig {
    ConnectionConfig {
        auth: ClientAuthConfig {
            mechanisms: vec![Mechanism::External],
            uid: None,
            unix_fds: true,
            guid: None,
        },
        machine_id: Some(GUID),
        message_size_max: MESSAGE_SIZE_MAX,
    }
}

fn read(
    state: &mut ConnectionState,
    bytes: &[u8],
    fds: Vec<OwnedFd>,
) -> Result<(), ConnectionError> {
    let (mut rest, mut fds) = (bytes, fds);
    while !rest.is_empty() {
        let space = state.read_space();
        let (now, later) = rest.split_at(space.len().min(rest.len()));
        space[..now.len()].copy_from_slice(now);
        state.handle_read(now.len(), &mut fds)?;
        rest = later;
    }
    Ok(())
}

/// The other end's part of the handshake, in which bytes come in pieces of this size.
fn shake_hands(state: &mut ConnectionState, size: usize) {
    let mut server = ServerAuth::new(Some(1000), true);
    let server_config = ServerAuthConfig {
        guid: GUID,
        mechanisms: &[Mechanism::External],
        own_uid: 1000,
        own_user_name: "",
    };
    let mut answers = Vec::new();
    loop {
        let (bytes, _) = state.next_write();
        let bytes: Vec<u8> = bytes.iter().take(size).copied().collect();
        state.handle_written(bytes.len());
        let progress = server.handle_bytes(&bytes, &server_config, &mut answers).unwrap();
        if matches!(progress, ServerProgress::Authenticated { .. }) {
            break;
        }
        let now: Vec<u8> = answers.drain(..size.min(answers.len())).collect();
        read(state, &now, vec![]).unwrap();
    }
    assert!(state.is_authenticated() && state.takes_fds());
    assert_eq!(state.guid(), Some(GUID));
}

impl Pair {
    /// After a handshake in which bytes come in pieces of this size.
    fn in_pieces_of(size: usize) -> Self {
        let mut state = ConnectionState::new(config()).unwrap();
        shake_hands(&mut state, size);
        Self { state, sent: vec![], written: vec![], fds: vec![], serial: 0 }
    }

    fn new() -> Self {
        Self::in_pieces_of(usize::MAX)
    }

    /// The other end reads all that there is.
    fn flush(&mut self) {
        loop {
            let (bytes, fds) = self.state.next_write();
            if bytes.is_empty() {
                break;
            }
            self.fds.extend(fds.iter().map(|fd| fd.try_clone().unwrap()));
            self.written.extend_from_slice(bytes);
            let size = bytes.len();
            self.state.handle_written(size);
        }
        let written = std::mem::take(&mut self.written);
        let mut rest = written.as_slice();
        while let Some(frame) = crate::wire::frame(rest, u32::MAX).unwrap() {
            let (bytes, after) = rest.split_at(frame.message_size());
            let take_fds = |count: usize| self.fds.drain(..count).collect();
            let mut spans = ArgumentSpans::new();
            let message = Message::check(bytes.to_vec(), &frame, take_fds, &mut spans, 0);
            self.sent.push(message.unwrap());
            rest = after;
        }
        assert!(rest.is_empty());
    }

    fn header(&mut self, message_type: MessageType) -> Header<'static> {
        self.serial += 1;
        let mut header = Header::new(message_type, NonZeroU32::new(self.serial).unwrap());
        header.sender = Some(BusName::from_static(":1.7"));
        header
    }

    fn call_text(&mut self, text: &str) -> NonZeroU32 {
        let header = call("Get");
        self.state.call(&header, vec![], |body| body.string(text)).unwrap()
    }

    fn reply(&mut self, serial: NonZeroU32, text: &str) -> Result<(), ConnectionError> {
        let mut header = self.header(MessageType::MethodReturn);
        (header.reply_serial, header.signature) = (Some(serial), STRING);
        read(&mut self.state, &bytes_of(&header, text), vec![])
    }

    fn signal(&mut self, member: &'static str, text: &str) -> Result<(), ConnectionError> {
        let mut header = self.header(MessageType::Signal);
        header.path = Some(ObjectPath::from_static("/a"));
        (header.interface, header.member) = (Some(A), Some(MemberName::from_static(member)));
        header.signature = STRING;
        read(&mut self.state, &bytes_of(&header, text), vec![])
    }

    /// Somebody calls the program; answers what it says.
    fn called(
        &mut self,
        interface: Option<InterfaceName<'static>>,
        member: &'static str,
    ) -> String {
        let mut header = self.header(MessageType::MethodCall);
        header.path = Some(ObjectPath::from_static("/a"));
        (header.interface, header.member) = (interface, Some(MemberName::from_static(member)));
        let mut bytes = Vec::new();
        write_message(&header, &mut bytes, |_| {});
        read(&mut self.state, &bytes, vec![]).unwrap();
        self.flush();
        let Some(answer) = self.sent.pop() else { return "nothing".to_owned() };
        assert_eq!(answer.header().reply_serial, Some(header.serial));
        assert_eq!(answer.header().destination, header.sender);
        match answer.error() {
            Some((name, _)) => name.as_str().to_owned(),
            None => answer.reader().string().unwrap_or_default().to_owned(),
        }
    }
}

fn call(member: &'static str) -> Header<'static> {
    let mut header = Header::new(MessageType::MethodCall, NonZeroU32::MIN);
    header.path = Some(ObjectPath::from_static("/a"));
    (header.interface, header.member) = (Some(A), Some(MemberName::from_static(member)));
    header.signature = STRING;
    header
}

fn bytes_of(header: &Header<'_>, text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_message(header, &mut bytes, |body| body.string(text));
    bytes
}

fn text_of(message: &Message) -> String {
    message.reader().string().unwrap().to_owned()
}

fn everything() -> MatchRule {
    MatchRule::parse("type='signal'").unwrap()
}

#[test]
fn a_handshake_and_messages_come_in_pieces_of_any_size() {
    for size in [1, 2, 7, usize::MAX] {
        let mut pair = Pair::in_pieces_of(size);
        let serial = pair.call_text("hello");
        pair.flush();
        assert_eq!(pair.sent.iter().map(text_of).collect::<Vec<_>>(), ["hello"]);
        let mut header = pair.header(MessageType::MethodReturn);
        (header.reply_serial, header.signature) = (Some(serial), STRING);
        let bytes = bytes_of(&header, "world");
        for piece in bytes.chunks(size.min(bytes.len())) {
            assert!(pair.state.take_reply(serial).is_none());
            read(&mut pair.state, piece, vec![]).unwrap();
        }
        assert_eq!(text_of(&pair.state.take_reply(serial).unwrap()), "world");
    }
}

#[test]
fn messages_wait_for_the_handshake() {
    let mut state = ConnectionState::new(config()).unwrap();
    state.send(&call("Early"), vec![], |body| body.string("")).unwrap();
    let (bytes, _) = state.next_write();
    assert!(bytes.starts_with(b"\0AUTH") && bytes.ends_with(b"\r\n"), "{bytes:?}");
    let size = bytes.len();
    state.handle_written(size);
    assert_eq!(state.next_write().0, b"");
    let null = OwnedFd::from(File::open("/dev/null").unwrap());
    let refused = state.send(&call("Early"), vec![null], |body| body.string(""));
    assert_eq!(refused, Err(SendError::HandshakePending));
    let wrong = read(&mut state, b"ERROR\r\nREJECTED\r\n", vec![]);
    assert!(matches!(wrong, Err(ConnectionError::Handshake(_))), "{wrong:?}");
    assert_eq!(state.handle_read(0, &mut vec![]), wrong, "and it stays over");
}

// protocol.md A145: one reply each, in any order
#[test]
fn replies_find_their_calls() {
    let mut pair = Pair::new();
    let serials: Vec<NonZeroU32> = (0..200).map(|n| pair.call_text(&n.to_string())).collect();
    for serial in serials.iter().rev() {
        pair.reply(*serial, &serial.to_string()).unwrap();
    }
    pair.state.forget_reply(serials[3]);
    for (n, serial) in serials.iter().enumerate() {
        // One that nobody waits for any more, and one that comes twice.
        pair.reply(*serial, "again").unwrap();
        let reply = pair.state.take_reply(*serial);
        let expected = (n != 3).then(|| serial.to_string());
        assert_eq!(reply.as_ref().map(text_of), expected);
        assert!(pair.state.take_reply(*serial).is_none());
    }
    // The oldest is never answered; what came after it leaves nothing behind.
    let oldest = pair.call_text("oldest");
    for _ in 0..1000 {
        let serial = pair.call_text("");
        pair.reply(serial, "").unwrap();
        assert!(pair.state.take_reply(serial).is_some());
    }
    pair.reply(oldest, "late").unwrap();
    assert_eq!(pair.state.take_reply(oldest).as_ref().map(text_of), Some("late".to_owned()));
}

/// Others number their calls as this program does: only the reply to its own is taken out of what a monitor sees.
#[test]
fn a_monitor_sees_replies_whose_serials_are_its_own() {
    let mut pair = Pair::new();
    pair.state.set_unique_name(":1.5");
    pair.state.begin_monitoring();
    let serial = pair.call_text("become a monitor");
    let to_others = |pair: &mut Pair, text: &str| {
        let mut header = pair.header(MessageType::MethodReturn);
        (header.reply_serial, header.signature) = (Some(serial), STRING);
        header.destination = Some(BusName::parse(":1.6").unwrap());
        read(&mut pair.state, &bytes_of(&header, text), vec![]).unwrap();
    };
    to_others(&mut pair, "before");
    pair.reply(serial, "you are one").unwrap();
    to_others(&mut pair, "between");
    assert_eq!(text_of(&pair.state.take_reply(serial).unwrap()), "you are one");
    to_others(&mut pair, "after");
    let seen = std::iter::from_fn(|| pair.state.next_monitored()).map(|message| text_of(&message));
    assert_eq!(seen.collect::<Vec<_>>(), ["before", "between", "after"]);
}

#[test]
fn serials_begin_again_and_leave_out_what_is_in_use() {
    let mut pair = Pair::new();
    let first = pair.call_text("first");
    pair.state.serial = u32::MAX - 1;
    let last = pair.call_text("last");
    let next = pair.call_text("next");
    assert_eq!([first, last, next].map(NonZeroU32::get), [1, u32::MAX, 2]);
    for serial in [next, first, last] {
        pair.reply(serial, &serial.to_string()).unwrap();
        assert_eq!(text_of(&pair.state.take_reply(serial).unwrap()), serial.to_string());
    }
}

/// One that is not read delays neither replies nor others, and says how much was lost.
#[test]
fn an_unread_stream_holds_up_nobody() {
    let mut pair = Pair::new();
    let drops = pair.state.begin_stream(everything(), 3, Overflow::DropOldest);
    let rule = MatchRule::parse("type='signal',arg0='7'").unwrap();
    let other = pair.state.begin_stream(rule, 3, Overflow::DropOldest);
    let serial = pair.call_text("");
    for n in 0..10_000 {
        pair.signal("Changed", &n.to_string()).unwrap();
        assert!(pair.state.may_read());
    }
    pair.reply(serial, "prompt").unwrap();
    assert!(pair.state.take_reply(serial).is_some());
    let next = |pair: &mut Pair, id| match pair.state.next_of(id) {
        Some(Streamed::Signal(signal)) => text_of(&signal),
        Some(Streamed::Missed(count)) => format!("missed {count}"),
        None => "nothing".to_owned(),
        other => panic!("{other:?}"),
    };
    let seen = [(); 5].map(|()| next(&mut pair, drops));
    assert_eq!(seen, ["missed 9997", "9997", "9998", "9999", "nothing"]);
    assert_eq!([(); 2].map(|()| next(&mut pair, other)), ["7", "nothing"]);
    pair.state.end_stream(drops);
    pair.signal("Changed", "7").unwrap();
    assert_eq!([drops, other].map(|id| next(&mut pair, id)), ["nothing", "7"]);
}

#[test]
fn a_stream_that_must_miss_nothing_has_the_others_wait_or_ends_the_connection() {
    let mut pair = Pair::new();
    let waits = pair.state.begin_stream(everything(), 2, Overflow::Wait);
    for n in 0..3 {
        assert_eq!(pair.state.may_read(), n < 2);
        // What was read already comes all the same.
        pair.signal("Changed", &n.to_string()).unwrap();
    }
    for left in [2, 1, 0] {
        assert!(!pair.state.may_read() || left < 2);
        assert!(matches!(pair.state.next_of(waits), Some(Streamed::Signal(_))));
    }
    assert!(pair.state.may_read() && pair.state.next_of(waits).is_none());
    for n in 0..2 {
        pair.signal("Changed", &n.to_string()).unwrap();
    }
    assert!(!pair.state.may_read());
    pair.state.end_stream(waits);
    assert!(pair.state.may_read());

    let ends = pair.state.begin_stream(everything(), 1, Overflow::Disconnect);
    pair.signal("Changed", "1").unwrap();
    assert_eq!(pair.signal("Changed", "2"), Err(ConnectionError::StreamFull));
    assert!(pair.state.next_of(ends).is_some(), "what came before can be read");
}

// The class of CVE-2024-34397: whoever follows who owns a name says whose signals are meant.
#[test]
fn a_rule_with_a_well_known_sender_takes_nobodys_word_for_it() {
    let mut pair = Pair::new();
    let stream = |pair: &mut Pair, sender: &str| {
        let rule = MatchRule::parse(&format!("type='signal',sender='{sender}'")).unwrap();
        pair.state.begin_stream(rule, 1, Overflow::DropOldest)
    };
    let streams = ["org.example.Owner", ":1.8", ":1.7"].map(|sender| stream(&mut pair, sender));
    pair.signal("Changed", "").unwrap();
    assert_eq!(streams.map(|id| pair.state.next_of(id).is_some()), [false, false, true]);
}

fn null_fds(count: usize) -> Vec<OwnedFd> {
    (0..count).map(|_| File::open("/dev/null").unwrap().into()).collect()
}

fn raw(fds: &[OwnedFd]) -> Vec<RawFd> {
    fds.iter().map(AsRawFd::as_raw_fd).collect()
}

/// It would end the connection; whoever wrote it is told instead.
#[test]
fn what_the_other_end_would_refuse_is_not_sent() {
    let mut pair = Pair::new();
    let nul = pair.state.send(&call("Put"), vec![], |body| body.string("a\0b"));
    assert_eq!(nul, Err(SendError::Malformed(MessageError::NulInString)));
    let other = pair.state.send(&call("Put"), null_fds(1), |body| body.uint32(7));
    assert!(matches!(other, Err(SendError::Malformed(_))), "{other:?}");
    pair.call_text("sound");
    pair.flush();
    assert_eq!(pair.sent.iter().map(text_of).collect::<Vec<_>>(), ["sound"]);
    assert!(pair.fds.is_empty());
}

// protocol.md A057, A096
#[test]
fn descriptors_begin_the_write_of_their_message_and_come_with_it() {
    let mut pair = Pair::new();
    let [first, second] = [null_fds(2), null_fds(1)];
    let numbers = [raw(&first), raw(&second)];
    let mut send = |fds| pair.state.send(&call("Put"), fds, |body| body.string("")).unwrap();
    send(vec![]);
    send(first);
    send(vec![]);
    send(second);
    let mut writes = Vec::new();
    loop {
        let (bytes, fds) = pair.state.next_write();
        if bytes.is_empty() {
            break;
        }
        writes.push(raw(fds));
        // A write that takes a part: the descriptors are gone with its first byte.
        let size = bytes.len();
        pair.state.handle_written(1);
        let (rest, fds) = pair.state.next_write();
        assert_eq!((rest.len(), fds.len()), (size - 1, 0));
        pair.state.handle_written(size - 1);
    }
    assert_eq!(writes, [vec![], numbers[0].clone(), numbers[1].clone()]);

    let mut header = pair.header(MessageType::MethodReturn);
    let serial = pair.call_text("");
    (header.reply_serial, header.signature, header.unix_fds) = (Some(serial), STRING, 2);
    let fds = null_fds(3);
    let numbers = raw(&fds);
    read(&mut pair.state, &bytes_of(&header, ""), fds).unwrap();
    let reply = pair.state.take_reply(serial).unwrap();
    assert_eq!(raw(reply.fds()), numbers[..2]);
    assert_eq!(pair.state.fds.len(), 0, "the third belongs to no message");
    header.unix_fds = 1;
    let missing = read(&mut pair.state, &bytes_of(&header, ""), vec![]);
    assert_eq!(missing, Err(ConnectionError::Malformed(MessageError::MissingUnixFds)));
}

#[test]
fn too_many_descriptors_are_refused_both_ways() {
    let mut pair = Pair::new();
    let most = FDS_WAITING_MAX / 2;
    for (count, expected) in [(most, true), (most + 1, false)] {
        let sent = pair.state.send(&call("Put"), null_fds(count), |body| body.string(""));
        assert_eq!(sent.is_ok(), expected, "{count}: {sent:?}");
    }
    pair.flush();
    assert_eq!(pair.sent.len(), 1);
    // Half a message, and with it more than any two can have.
    let mut header = pair.header(MessageType::MethodReturn);
    (header.reply_serial, header.signature) = (NonZeroU32::new(1), STRING);
    let half = &bytes_of(&header, "")[..20];
    read(&mut pair.state, half, null_fds(FDS_WAITING_MAX)).unwrap();
    let result = pair.state.handle_read(0, &mut null_fds(1));
    assert_eq!(result, Err(ConnectionError::TooManyFds));
}

#[test]
fn a_message_may_be_as_long_as_it_may_and_no_longer() {
    let mut config = config();
    config.message_size_max = 1 << 20;
    let mut pair = Pair::new();
    pair.state.message_size_max = config.message_size_max;
    let serial = pair.call_text("");
    let long = "x".repeat(900_000);
    pair.reply(serial, &long).unwrap();
    assert_eq!(text_of(&pair.state.take_reply(serial).unwrap()), long);
    let longer = pair.reply(serial, &"x".repeat(1 << 20));
    assert_eq!(longer, Err(ConnectionError::Malformed(MessageError::MessageTooLong)));
    let mut header = call("Put");
    header.signature = Signature::from_static("ayay");
    let half = vec![0; (MESSAGE_SIZE_MAX / 2) as usize];
    let sent = pair.state.send(&header, vec![], |body| {
        body.bytes(&half);
        body.bytes(&half);
    });
    assert!(matches!(sent, Err(SendError::TooLong(size)) if size > MESSAGE_SIZE_MAX as usize));
    pair.flush();
    assert_eq!(pair.sent.len(), 1, "nothing of it is sent");
}

#[test]
fn a_message_of_which_little_has_come_has_little_room() {
    let mut state = Pair::new().state;
    let mut header = Header::new(MessageType::MethodReturn, NonZeroU32::MIN);
    (header.reply_serial, header.signature) = (NonZeroU32::new(1), STRING);
    let mut bytes = bytes_of(&header, "");
    bytes[4..8].copy_from_slice(&(100_u32 << 20).to_ne_bytes());
    read(&mut state, &bytes, vec![]).unwrap();
    assert!(state.read_space().len() <= 2 << 20, "{}", state.read_space().len());
}

// protocol.md A210, A213, A214, A226
#[test]
fn calls_are_answered_whoever_serves() {
    let mut pair = Pair::new();
    let peer = Some(PEER);
    assert_eq!(pair.called(peer, "Ping"), "");
    assert_eq!(pair.called(peer, "GetMachineId"), GUID.to_string());
    assert_eq!(pair.called(peer, "Pong"), standard_error::UNKNOWN_METHOD.as_str());
    assert_eq!(pair.called(Some(A), "Get"), standard_error::UNKNOWN_OBJECT.as_str());
    pair.state.serve();
    assert_eq!(pair.called(Some(A), "Get"), "nothing");
    assert_eq!(pair.called(None, "Get"), "nothing");
    assert_eq!(pair.called(peer, "Ping"), "", "always");
    for _ in 2..CALLS_WAITING_MAX {
        assert_eq!(pair.called(Some(A), "Get"), "nothing");
    }
    assert_eq!(pair.called(Some(A), "Get"), standard_error::LIMITS_EXCEEDED.as_str());
    let mut next = || {
        let call = pair.state.next_call()?;
        assert!(pair.state.next_call().is_none(), "one of a sender at a time");
        pair.state.finish_call(&call);
        Some(call)
    };
    assert_eq!(std::iter::from_fn(&mut next).count(), CALLS_WAITING_MAX);
}

/// Who asks and does not read its answers is not read from.
#[test]
fn answers_that_nobody_reads_are_bounded() {
    let mut pair = Pair::new();
    let mut header = pair.header(MessageType::MethodCall);
    header.path = Some(ObjectPath::from_static("/a"));
    (header.interface, header.member) = (Some(PEER), Some(MemberName::from_static("Ping")));
    let mut bytes = Vec::new();
    write_message(&header, &mut bytes, |_| {});
    let mut count = 0;
    while pair.state.may_read() {
        read(&mut pair.state, &bytes, vec![]).unwrap();
        count += 1;
        assert!(count < 100_000);
    }
    pair.flush();
    assert!(pair.state.may_read());
    assert_eq!(pair.sent.len(), count);
}

#[test]
fn what_no_rule_allows_ends_the_connection() {
    let mut pair = Pair::new();
    let serial = pair.call_text("");
    pair.reply(serial, "before").unwrap();
    let wrong = read(&mut pair.state, b"this is no message", vec![]);
    assert_eq!(wrong, Err(ConnectionError::Malformed(MessageError::UnknownByteOrder)));
    assert_eq!(text_of(&pair.state.take_reply(serial).unwrap()), "before", "what came is there");
    let mut fds = null_fds(1);
    assert_eq!(pair.state.handle_read(0, &mut fds), wrong);
    assert!(fds.is_empty());
}

proptest! {
    /// Whatever comes, in whatever pieces: an error or messages, the same ones however it was cut.
    #[test]
    fn nothing_that_comes_is_a_panic(
        texts in prop::collection::vec("[a-z\u{e4}\u{2603}]{0,40}", 1..8),
        damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        cuts in prop::collection::vec(1_usize..200, 1..40),
    ) {
        let mut header = Header::new(MessageType::Signal, NonZeroU32::MIN);
        header.path = Some(ObjectPath::from_static("/a"));
        (header.interface, header.member) = (Some(A), Some(MemberName::from_static("Changed")));
        header.signature = STRING;
        let mut bytes: Vec<u8> = texts.iter().flat_map(|text| bytes_of(&header, text)).collect();
        if let Some((place, byte)) = &damage {
            let place = place.index(bytes.len());
            bytes[place] = *byte;
        }
        let run = |pieces: &mut dyn Iterator<Item = usize>| {
            let mut state = Pair::new().state;
            let stream = state.begin_stream(everything(), 100, Overflow::DropOldest);
            let (mut rest, mut result) = (bytes.as_slice(), Ok(()));
            while !rest.is_empty() && result.is_ok() {
                let (now, later) = rest.split_at(pieces.next().unwrap_or(1).min(rest.len()));
                result = read(&mut state, now, vec![]);
                rest = later;
            }
            let mut signals = Vec::new();
            while let Some(Streamed::Signal(signal)) = state.next_of(stream) {
                signals.push(signal.body().to_vec());
            }
            (signals, result)
        };
        let whole = run(&mut std::iter::once(bytes.len()));
        let cut = run(&mut cuts.iter().copied().cycle());
        prop_assert_eq!(&whole.0, &cut.0);
        prop_assert_eq!(whole.1, cut.1);
        if damage.is_none() {
            prop_assert_eq!(whole.0.len(), texts.len());
        }
    }
}
