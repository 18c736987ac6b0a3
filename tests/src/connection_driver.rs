//! Drives the state machine of a client's connection: whatever the other end sends and whatever the program does,
//! in any order, it neither panics nor stalls, and what it holds has a bound.
//!
//! The input is a script, each byte of which chooses something, so that a fuzzer and a random generator can both
//! write one. The other end sends sound messages, sound ones with a few bytes changed, and any bytes, in pieces
//! and with descriptors; the program sends, calls, serves and has streams with each [`Overflow`].

use std::collections::VecDeque;
use std::fs::File;
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;

use libbus::auth::{ClientAuthConfig, Mechanism};
use libbus::connection::{
    CALLS_WAITING_MAX, CALLS_WAITING_SIZE_MAX, ConnectionConfig, ConnectionError, ConnectionState,
    FDS_WAITING_MAX, Overflow, STREAM_SIZE_MAX, StreamId, Streamed,
};
use libbus::guid::Guid;
use libbus::match_rule::MatchRule;
use libbus::message::Message;
use libbus::names::{BusName, ErrorName, InterfaceName, MemberName, ObjectPath, WellKnownName};
use libbus::wire::{
    ArgumentSpans, BodyWriter, Endian, Flags, Header, MessageType, ParsedHeader, Signature,
    check_body, frame, write_message,
};

const OWN: &str = ":1.1";
/// What a read may have beside the message that is being read, in bytes: the room for one read, and what is made
/// for a large message of which little has come.
const READ_ROOM: usize = (16 << 10) + (1 << 20);
/// Answers that the connection gives by itself, in bytes: it stops reading beyond, but answers what one read brought.
const ANSWERS_SIZE_MAX: usize = 1 << 20;
/// The last line of a handshake.
const BEGIN: &[u8] = b"\r\nBEGIN\r\n";
/// Descriptors that the other end sends in one script: what is tested is not how many a process may have.
const FDS_SENT_MAX: usize = 300;

/// The rest of a script; at its end every byte is 0.
struct Script<'i>(&'i [u8]);

impl<'i> Script<'i> {
    fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or_default()
    }

    fn number(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }

    fn bytes(&mut self, count: usize) -> &'i [u8] {
        self.0.split_off(..count.min(self.0.len())).unwrap_or_default()
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }
}

/// What came of a script.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Why the connection is over, if it is.
    pub failure: Option<ConnectionError>,
    /// Whether there was something to read when nothing might be read any more.
    pub has_stopped_reading: bool,
    /// The most calls that waited.
    pub call_count: usize,
    /// The most signals that waited.
    pub signal_count: usize,
}

/// A connection, the program that has it and the other end.
struct Driver {
    state: ConnectionState,
    message_size_max: usize,
    outcome: Outcome,
    streams: Vec<(StreamId, usize, Overflow)>,
    awaited: Vec<NonZeroU32>,
    followed: usize,
    served: VecDeque<Message>,
    is_serving: bool,
    /// What was written and is not a whole message yet.
    written: Vec<u8>,
    /// Whether the last line of the handshake was written.
    has_begun: bool,
    /// Bytes that the program sent and that were not written.
    sent_size: usize,
    last_read_size: usize,
    fds_sent: usize,
    serial: u32,
}

/// Carries out a script, and checks all along that nothing that is held passes its bound, and at the end that all
/// goes on.
///
/// # Panics
/// A bound is passed, something stands still, or what the connection writes is no message.
pub fn drive(script: &[u8]) -> Outcome {
    let mut script = Script(script);
    let how = script.byte();
    let message_size_max = if how & 1 == 0 { 4 << 10 } else { 1 << 20 };
    let mut driver = Driver::new(message_size_max);
    // Else the other end makes up its own handshake.
    if how & 2 == 0 {
        driver.receive(b"OK 07070707070707070707070707070707\r\nAGREE_UNIX_FD\r\n", 0, usize::MAX);
        driver.write(usize::MAX);
    }
    while !script.0.is_empty() && driver.outcome.failure.is_none() {
        driver.step(&mut script);
        driver.check_bounds();
    }
    driver.check_end();
    driver.outcome
}

impl Driver {
    fn new(message_size_max: usize) -> Self {
        let auth = ClientAuthConfig {
            mechanisms: Mechanism::ALL.to_vec(),
            uid: Some(1000),
            unix_fds: true,
            guid: None,
        };
        let machine_id = Some(Guid::from_bytes([7; 16]));
        let config =
            ConnectionConfig { auth, machine_id, message_size_max: message_size_max as u32 };
        let mut state = ConnectionState::new(config).unwrap();
        state.set_unique_name(OWN);
        Self {
            state,
            message_size_max,
            outcome: Outcome::default(),
            streams: vec![],
            awaited: vec![],
            followed: 0,
            served: VecDeque::new(),
            is_serving: false,
            written: vec![],
            has_begun: false,
            sent_size: 0,
            last_read_size: 0,
            fds_sent: 0,
            serial: 0,
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        match script.byte() % 19 {
            0 => {
                let count = usize::from(script.byte());
                let bytes = script.bytes(count);
                self.receive(bytes, usize::from(script.byte() % 3), usize::MAX);
            }
            1..=4 => {
                let message = self.message(script);
                self.receive_with_fds(&message, script);
            }
            5 => {
                let mut message = self.message(script);
                for _ in 0..=script.byte() % 3 {
                    let (place, change) = (script.number() % message.len(), script.byte());
                    message[place] ^= change;
                }
                self.receive_with_fds(&message, script);
            }
            6 => {
                // Many at once.
                let message = self.message(script);
                let many = message.repeat(1 + usize::from(script.byte()));
                self.receive(&many, 0, usize::MAX);
            }
            7 => self.write(script.number()),
            8 => self.write(usize::MAX),
            9 => self.send(script),
            10 => self.take_or_forget(script),
            11 => self.begin_stream(script),
            12 => self.read_stream(script),
            13 => {
                if !self.streams.is_empty() {
                    let index = usize::from(script.byte()) % self.streams.len();
                    self.state.end_stream(self.streams.swap_remove(index).0);
                }
            }
            14 => self.follow(script),
            15 => {
                self.state.serve();
                self.is_serving = true;
            }
            16 => {
                if let Some(call) = self.state.next_call() {
                    self.served.push_back(call);
                }
            }
            17 => {
                if let Some(call) = self.served.pop_front() {
                    self.state.finish_call(&call);
                }
            }
            _ => {
                // A cookie that there is not, whether it is asked for or not.
                if let Err(error) = self.state.handle_cookie(None) {
                    self.outcome.failure = Some(error);
                }
            }
        }
    }

    // --- the other end ------------------------------------------------------------------------------

    fn message(&mut self, script: &mut Script<'_>) -> Vec<u8> {
        use MessageType::{Error, MethodCall, MethodReturn, Signal, Unknown};

        self.serial = self.serial.wrapping_add(1).max(1);
        let kind = script.one_of(&[MethodCall, Signal, MethodReturn, Error, Unknown(9)]);
        let mut header = Header::new(kind, NonZeroU32::new(self.serial).unwrap());
        let how = script.byte();
        header.flags = Flags::from_bits_truncate(how);
        header.endian = if how & 8 == 0 { Endian::Little } else { Endian::Big };
        let senders = [":1.7", ":1.8", OWN, "org.freedesktop.DBus", "org.example.A"];
        header.sender = (how & 16 == 0).then(|| BusName::parse(script.one_of(&senders)).unwrap());
        header.path = Some(ObjectPath::parse(script.one_of(&["/", "/a"])).unwrap());
        let interfaces = ["org.example.A", "org.freedesktop.DBus", "org.freedesktop.DBus.Peer"];
        header.interface = (how & 32 == 0 || kind == Signal)
            .then(|| InterfaceName::parse(script.one_of(&interfaces)).unwrap());
        let members = ["M", "NameOwnerChanged", "Ping", "GetMachineId"];
        header.member = Some(MemberName::parse(script.one_of(&members)).unwrap());
        header.error_name = (kind == Error).then(|| ErrorName::parse("org.example.E").unwrap());
        if matches!(kind, MethodReturn | Error) {
            let number = script.number();
            let known = self.awaited.get(number % (self.awaited.len() + 2)).copied();
            header.reply_serial = known.or_else(|| NonZeroU32::new(number as u32 + 1));
        }
        let mut bytes = Vec::new();
        let mut write = |signature: &'static str, body: &dyn Fn(&mut BodyWriter<'_>)| {
            header.signature = Signature::parse(signature).unwrap();
            header.unix_fds = u32::from(signature == "h");
            write_message(&header, &mut bytes, |writer| body(writer));
        };
        match script.byte() % 5 {
            0 => write("", &|_| {}),
            1 => write("s", &|body| body.string("org.example.A")),
            2 => {
                let owner = script.one_of(&["", ":1.7", ":1.8"]);
                write("sss", &|body| {
                    ["org.example.A", ":1.7", owner].iter().for_each(|text| body.string(text));
                });
            }
            3 => {
                let size = script.number();
                write("ay", &|body| body.bytes(&vec![7; size]));
            }
            _ => write("h", &|body| body.unix_fd(0)),
        }
        bytes
    }

    fn receive_with_fds(&mut self, message: &[u8], script: &mut Script<'_>) {
        let announced = frame(message, u32::MAX).ok().flatten().and_then(|frame| {
            ParsedHeader::parse(message, &frame).ok().map(|parsed| parsed.header.unix_fds)
        });
        let how = script.byte();
        // As many as are announced, or not.
        let count = match how & 7 {
            0 => usize::from(how >> 3),
            _ => announced.unwrap_or_default() as usize,
        };
        let piece = if how & 64 == 0 { usize::MAX } else { usize::from(script.byte()) + 1 };
        self.receive(message, count, piece);
    }

    /// What the other end writes is read in pieces of this size, the descriptors with the first, as long as the
    /// connection reads.
    fn receive(&mut self, bytes: &[u8], fd_count: usize, piece: usize) {
        let fd_count = fd_count.min(FDS_SENT_MAX - self.fds_sent);
        self.fds_sent += fd_count;
        let null = File::open("/dev/null").unwrap();
        let mut fds: Vec<OwnedFd> =
            (0..fd_count).map(|_| null.try_clone().unwrap().into()).collect();
        let mut rest = bytes;
        while !rest.is_empty() && self.outcome.failure.is_none() {
            if !self.state.may_read() {
                self.outcome.has_stopped_reading = true;
                return;
            }
            let space = self.state.read_space();
            assert!(!space.is_empty(), "there is room to read into");
            let (now, later) = rest.split_at(space.len().min(rest.len()).min(piece));
            space[..now.len()].copy_from_slice(now);
            self.last_read_size = now.len();
            rest = later;
            if let Err(error) = self.state.handle_read(now.len(), &mut fds) {
                self.outcome.failure = Some(error);
            }
            assert!(fds.is_empty(), "descriptors are taken or closed");
            self.check_bounds();
        }
    }

    /// The other end reads so many bytes.
    fn write(&mut self, size: usize) {
        let mut left = size;
        while left > 0 {
            let (bytes, _) = self.state.next_write();
            if bytes.is_empty() {
                break;
            }
            let now = bytes.len().min(left);
            self.written.extend_from_slice(&bytes[..now]);
            self.state.handle_written(now);
            left -= now;
        }
        self.check_written();
        if self.state.next_write().0.is_empty() {
            self.sent_size = 0;
        }
    }

    /// What the connection wrote is messages that keep every rule.
    fn check_written(&mut self) {
        let mut written = std::mem::take(&mut self.written);
        if !self.has_begun {
            // The lines of the handshake.
            let end = written.windows(BEGIN.len()).position(|line| line == BEGIN);
            let Some(end) = end else {
                self.written = written;
                return;
            };
            written.drain(..end + BEGIN.len());
            self.has_begun = true;
        }
        let mut rest = written.as_slice();
        while let Ok(Some(frame)) = frame(rest, u32::MAX) {
            let Some((message, after)) = rest.split_at_checked(frame.message_size()) else { break };
            let parsed = ParsedHeader::parse(message, &frame).unwrap();
            let (signature, endian) = (parsed.header.signature, parsed.header.endian);
            let body = &message[parsed.size..];
            check_body(signature, body, endian, &mut ArgumentSpans::new()).unwrap();
            rest = after;
        }
        self.written = rest.to_vec();
    }

    // --- the program --------------------------------------------------------------------------------

    fn send(&mut self, script: &mut Script<'_>) {
        let how = script.byte();
        let is_call = how & 1 == 0;
        let kind = if is_call { MessageType::MethodCall } else { MessageType::Signal };
        let mut header = Header::new(kind, NonZeroU32::MIN);
        header.path = Some(ObjectPath::parse("/a").unwrap());
        header.interface = Some(InterfaceName::parse("org.example.A").unwrap());
        header.member = Some(MemberName::parse("M").unwrap());
        header.signature = Signature::parse("ay").unwrap();
        // Now and then of a type that the header does not name.
        let is_wrong = how & 6 == 6;
        let content = vec![7; script.number() % 1000];
        let body = |writer: &mut BodyWriter<'_>| match is_wrong {
            true => writer.uint64(u64::MAX),
            false => writer.bytes(&content),
        };
        let fds = match how & 24 {
            24 => vec![OwnedFd::from(File::open("/dev/null").unwrap())],
            _ => vec![],
        };
        let before = self.state.usage().write_size;
        let sent = match is_call {
            true => self.state.call(&header, fds, body),
            false => self.state.send(&header, fds, body),
        };
        let added = self.state.usage().write_size - before;
        self.sent_size += added;
        match sent {
            Ok(serial) if is_call => self.awaited.push(serial),
            Ok(_) => {}
            Err(_) => assert_eq!(added, 0, "nothing is queued of what cannot be sent"),
        }
    }

    fn take_or_forget(&mut self, script: &mut Script<'_>) {
        let how = script.byte();
        if self.awaited.is_empty() {
            return;
        }
        let index = usize::from(how >> 1) % self.awaited.len();
        let serial = self.awaited[index];
        let is_over = match how & 1 {
            0 => self.state.take_reply(serial).is_some(),
            _ => {
                if how & 128 == 0 && self.state.take_back(serial) {
                    assert!(!self.state.take_back(serial), "it is gone");
                }
                self.state.forget_reply(serial);
                true
            }
        };
        if is_over {
            self.awaited.swap_remove(index);
            assert!(self.state.take_reply(serial).is_none(), "a reply is taken once");
        }
    }

    fn begin_stream(&mut self, script: &mut Script<'_>) {
        const RULES: [&str; 4] =
            ["type='signal'", "sender='org.example.A'", "arg0='org.example.A'", "path='/a'"];
        if self.streams.len() < 16 {
            let rule = MatchRule::parse(script.one_of(&RULES)).unwrap();
            let how = script.byte();
            let length_max = usize::from(how >> 4);
            let overflow =
                [Overflow::DropOldest, Overflow::Disconnect, Overflow::Wait][usize::from(how) % 3];
            let id = self.state.begin_stream(rule, length_max, overflow);
            self.streams.push((id, length_max.max(1), overflow));
        }
    }

    fn read_stream(&mut self, script: &mut Script<'_>) {
        let index = usize::from(script.byte()) % self.streams.len().max(1);
        if let Some((id, ..)) = self.streams.get(index)
            && let Some(Streamed::Missed(count)) = self.state.next_of(*id)
        {
            assert!(count > 0);
        }
    }

    fn follow(&mut self, script: &mut Script<'_>) {
        let name = WellKnownName::parse("org.example.A").unwrap();
        let before = self.state.usage().write_size;
        match script.byte() % 2 {
            0 if self.followed < 100 => {
                self.state.follow_owner(name).unwrap();
                self.followed += 1;
            }
            _ => {
                self.state.forget_owner(name);
                self.followed = self.followed.saturating_sub(1);
            }
        }
        self.sent_size += self.state.usage().write_size - before;
    }

    // --- what must hold -----------------------------------------------------------------------------

    fn check_bounds(&mut self) {
        let usage = self.state.usage();
        let Outcome { call_count, signal_count, .. } = &mut self.outcome;
        *call_count = usage.call_count.max(*call_count);
        *signal_count = usage.signal_count.max(*signal_count);
        let read_max = 2 * (self.message_size_max + READ_ROOM);
        assert!(usage.read_size <= read_max, "{usage:?}");
        assert!(usage.fd_count <= FDS_WAITING_MAX || self.outcome.failure.is_some(), "{usage:?}");
        assert!(usage.call_count <= CALLS_WAITING_MAX, "{usage:?}");
        assert!(usage.call_size <= CALLS_WAITING_SIZE_MAX + self.message_size_max, "{usage:?}");
        assert!(self.is_serving || usage.call_count == 0, "{usage:?}");
        assert!(usage.reply_count <= 64 + 2 * self.awaited.len() + 1, "{usage:?}");
        // A message has 16 bytes at least, an answer less than 512.
        let one_read = self.last_read_size / 16 + 1;
        let answers_max = ANSWERS_SIZE_MAX + 512 * one_read;
        // The handshake says little, and what the program sends is its own affair.
        let write_max = self.sent_size + answers_max + 4096;
        assert!(usage.write_size <= write_max, "{usage:?}, {} sent", self.sent_size);
        let waiting = |(_, length_max, overflow): &(StreamId, usize, Overflow)| match overflow {
            Overflow::Wait => length_max + one_read,
            Overflow::DropOldest | Overflow::Disconnect => *length_max,
        };
        let signals_max: usize = self.streams.iter().map(waiting).sum();
        assert!(usage.signal_count <= signals_max, "{usage:?}");
        let stream_size_max = STREAM_SIZE_MAX + (self.message_size_max + READ_ROOM);
        assert!(usage.signal_size <= self.streams.len() * stream_size_max, "{usage:?}");
    }

    /// Once all is read and written, nothing is left, and more may come.
    fn check_end(&mut self) {
        if let Some(failure) = self.outcome.failure {
            let again = self.state.handle_read(0, &mut Vec::new());
            assert_eq!(again, Err(failure), "it is over once and for all");
        }
        for (id, ..) in std::mem::take(&mut self.streams) {
            while self.state.next_of(id).is_some() {}
            self.state.end_stream(id);
        }
        while self.state.cookie_wanted().is_some() {
            let _ = self.state.handle_cookie(None);
        }
        self.write(usize::MAX);
        assert!(self.state.may_read(), "all was read and written");
        while let Some(call) = self.served.pop_front() {
            self.state.finish_call(&call);
        }
        while let Some(call) = self.state.next_call() {
            self.state.finish_call(&call);
        }
        let served: Vec<_> = self.awaited.drain(..).collect();
        served.iter().for_each(|serial| self.state.forget_reply(*serial));
        let usage = self.state.usage();
        assert_eq!((usage.call_count, usage.call_size, usage.signal_count), (0, 0, 0));
        assert!(usage.reply_count <= 64, "{usage:?}");
        assert!(self.written.is_empty() || !self.has_begun, "half a message");
    }
}
