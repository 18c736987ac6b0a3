//! What clients do: seeded, and each to its temper.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;

use bus_daemon::bus::id::ClientId;
use libbus::names::BusName;
use libbus::wire::{Endian, Flags, MessageType};

use crate::mail::{Mail, Value, hex_of};
use crate::message::{Parsed, is_reply};
use crate::model::BUS;
use crate::random::Random;
use crate::reader::Reader;
use crate::stream::{Meaning, Stream};
use crate::world::{GUID, OWN_UID};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Temper {
    /// Keeps to the protocol, whatever it is refused, and may never be disconnected.
    WellBehaved,
    /// Also breaks the protocol.
    Rude,
    /// Sees everything and reads it at once: its log is the order of the bus.
    Witness,
    /// Reconstructs from NameOwnerChanged who owns what.
    Watcher,
}

pub(crate) struct Actor {
    pub(crate) id: ClientId,
    pub(crate) temper: Temper,
    pub(crate) uid: Option<u32>,
    fds_possible: bool,
    negotiates_fds: bool,
    /// How much it reads at a time, in percent of the times that it could read everything.
    pub(crate) reads_all: usize,
    pub(crate) stream: Stream,
    pub(crate) reader: Reader,
    pub(crate) unique: Option<String>,
    serial: u32,
    hello: Option<u32>,
    /// Calls that it has not answered: from whom, and their serials.
    inbox: VecDeque<(String, NonZeroU32)>,
    rules: Vec<String>,
    /// Calls that the bus handled and that expect a reply, and all other messages, by serial.
    pub(crate) calls: HashMap<NonZeroU32, usize>,
    pub(crate) others: HashMap<NonZeroU32, usize>,
    /// Replies and errors to it, by the serial they answer; and those to a name that it may own.
    pub(crate) answers: HashMap<NonZeroU32, usize>,
    pub(crate) answers_by_name: HashMap<NonZeroU32, usize>,
    /// Whether the bus may leave out something that it should get.
    pub(crate) was_full: bool,
    /// Whether it reads no more.
    pub(crate) is_deaf: bool,
}

/// The words of all clients, few enough that they meet.
pub(crate) struct Vocabulary {
    pub(crate) names: Vec<String>,
    pub(crate) rules: Vec<String>,
    pub(crate) uniques: Vec<String>,
    /// Whether bodies may be larger than what a client may be owed.
    pub(crate) large_bodies: bool,
}

const PATHS: &[&str] = &["/", "/a", "/a/b", "/a/bc", "/d"];
const INTERFACES: &[&str] = &["org.example.A", "org.example.B", "org.example.A.C"];
const MEMBERS: &[&str] = &["Ping", "Changed", "Get", "Set"];
const TEXTS: &[&str] =
    &["org.example.N1", "org.example.N1.Part", "/a/", "/a/b", "x", "org.example.N2"];
const TYPES: &[&str] = &["signal", "method_call", "method_return", "error"];
const MECHANISMS: &str = "REJECTED EXTERNAL DBUS_COOKIE_SHA1 ANONYMOUS ";

impl Vocabulary {
    pub(crate) fn new(random: &mut Random, name_count: usize, rule_count: usize) -> Self {
        let names = (0..name_count).map(|number| format!("org.example.N{number}")).collect();
        let mut vocabulary = Self {
            names,
            rules: Vec::new(),
            uniques: vec![":1.0".to_owned()],
            large_bodies: false,
        };
        vocabulary.rules = (0..rule_count).map(|_| vocabulary.make_rule(random)).collect();
        vocabulary
    }

    fn name(&self, random: &mut Random) -> String {
        match random.below(20) {
            0 => BUS.to_owned(),
            1..=9 => random.pick(&self.names).clone(),
            10 => format!(":1.{}", random.below(100_000)),
            _ => random.pick(&self.uniques).clone(),
        }
    }

    fn rule(&self, random: &mut Random) -> String {
        if random.chance(90) { random.pick(&self.rules).clone() } else { self.make_rule(random) }
    }

    /// A rule of one to four keys; now and then one that is not valid.
    fn make_rule(&self, random: &mut Random) -> String {
        let mut keys: Vec<String> = Vec::new();
        for _ in 0..random.between(1, 4) {
            let (text, path) = (random.word(TEXTS), random.word(PATHS));
            keys.push(match random.below(16) {
                0 | 1 => format!("type='{}'", random.word(TYPES)),
                2 => format!("sender='{}'", self.name(random)),
                3 | 4 => format!("interface='{}'", random.word(INTERFACES)),
                5 | 6 => format!("member='{}'", random.word(MEMBERS)),
                7 => format!("path='{path}'"),
                8 => format!("path_namespace='{path}'"),
                9 => format!("arg{}='{text}'", random.below(2)),
                10 => format!("arg{}path='{text}'", random.below(2)),
                11 => "arg0namespace='org.example.N1'".to_owned(),
                12 => format!("destination='{}'", self.name(random)),
                _ => "eavesdrop='true'".to_owned(),
            });
        }
        // Most keys may stand in a rule only once.
        keys.sort_unstable();
        keys.dedup_by_key(|key| key.split('=').next().map(str::to_owned));
        keys.join(",")
    }
}

impl Actor {
    pub(crate) fn new(id: ClientId, temper: Temper, uid: Option<u32>, random: &mut Random) -> Self {
        let reads_all = match temper {
            Temper::Witness | Temper::Watcher => 100,
            _ => *random.pick(&[100, 90, 50, 5]),
        };
        Self {
            id,
            temper,
            uid,
            fds_possible: false,
            negotiates_fds: false,
            reads_all,
            stream: Stream::default(),
            reader: Reader::default(),
            unique: None,
            serial: 0,
            hello: None,
            inbox: VecDeque::new(),
            rules: Vec::new(),
            calls: HashMap::new(),
            others: HashMap::new(),
            answers: HashMap::new(),
            answers_by_name: HashMap::new(),
            was_full: false,
            is_deaf: false,
        }
    }

    pub(crate) const fn is_prompt(&self) -> bool {
        matches!(self.temper, Temper::Witness | Temper::Watcher)
    }

    // --- the handshake --------------------------------------------------------------------------

    /// Writes a handshake and Hello: all at once, as many real clients do.
    pub(crate) fn introduce(&mut self, fds_possible: bool, random: &mut Random) {
        self.fds_possible = fds_possible;
        self.negotiates_fds = self.temper == Temper::Witness || random.chance(60);
        if self.temper == Temper::Rude && random.chance(8) {
            return self.botch_handshake(random);
        }
        self.stream.push(vec![0], vec![], Meaning::Line(""));
        if !self.is_prompt() {
            for _ in 0..random.weighted(&[80, 15, 5]) {
                self.stray(random);
            }
        }
        self.authenticate(random);
        if self.negotiates_fds {
            let answer = if fds_possible { "AGREE_UNIX_FD " } else { "ERROR" };
            self.line("NEGOTIATE_UNIX_FD", Meaning::Line(answer));
        }
        let unix_fds = self.negotiates_fds && fds_possible;
        self.line("BEGIN", Meaning::Begin { uid: self.uid, unix_fds });
        if !self.is_prompt() && random.chance(10) {
            self.speak_before_hello(random);
        }
        self.say_hello();
    }

    /// What is no Hello and yet forgiven: refused (protocol.md A121), answered (A139), dropped
    /// (A140).
    fn speak_before_hello(&mut self, random: &mut Random) {
        let mut mail = match random.below(3) {
            0 => return self.mail(Mail::call_bus(900, "ListNames", vec![]), vec![]),
            1 => Mail::call_bus(900, "Ping", vec![]),
            _ => Mail::reply(900, BUS, NonZeroU32::MIN),
        };
        mail.destination = None;
        self.mail(mail, vec![]);
    }

    pub(crate) fn say_hello(&mut self) {
        let serial = self.next_serial();
        self.hello = Some(serial);
        self.mail(Mail::call_bus(serial, "Hello", vec![]), vec![]);
    }

    /// Something that a handshake may hold besides what leads to its end.
    fn stray(&mut self, random: &mut Random) {
        match random.below(4) {
            0 => self.line("EXTENSION_ORG_EXAMPLE", Meaning::Line("ERROR")),
            1 => self.line("AUTH EXTERNAL 39393939", Meaning::Line(MECHANISMS)),
            2 => self.line("AUTH", Meaning::Line(MECHANISMS)),
            _ => {
                let user = hex_of(&OWN_UID.to_string());
                self.line(&format!("AUTH DBUS_COOKIE_SHA1 {user}"), Meaning::CookieLine);
                self.line("CANCEL", Meaning::CancelCookie);
            }
        }
    }

    fn authenticate(&mut self, random: &mut Random) {
        let Some(uid) = self.uid else {
            return self.line("AUTH ANONYMOUS", Meaning::Line(GUID));
        };
        if random.chance(30) {
            self.line("AUTH EXTERNAL", Meaning::Line("DATA "));
            return self.line("DATA", Meaning::Line(GUID));
        }
        let user = hex_of(&uid.to_string());
        self.line(&format!("AUTH EXTERNAL {user}"), Meaning::Line(GUID));
    }

    fn botch_handshake(&mut self, random: &mut Random) {
        let broken = |answer| Meaning::Broken { at: 1, answer };
        // Will not try again.
        self.hello = Some(0);
        match random.below(4) {
            0 => self.stream.push(b"AUTH".to_vec(), vec![], broken(Some(""))),
            1 => {
                self.stream.push(vec![0], vec![], Meaning::Line(""));
                let bytes = b"BEGIN\r\n".to_vec();
                let meaning = Meaning::Broken { at: bytes.len(), answer: Some("") };
                self.stream.push(bytes, vec![], meaning);
            }
            2 => {
                // protocol.md A080
                self.stream.push(vec![0], vec![], Meaning::Line(""));
                (0..5).for_each(|_| self.line("AUTH", Meaning::Line(MECHANISMS)));
                let bytes = b"AUTH\r\n".to_vec();
                let meaning = Meaning::Broken { at: bytes.len(), answer: Some(MECHANISMS) };
                self.stream.push(bytes, vec![], meaning);
            }
            // Never says a word: ended by auth_timeout.
            _ => self.stream.push(vec![0], vec![], Meaning::Line("")),
        }
    }

    fn line(&mut self, text: &str, meaning: Meaning) {
        self.stream.push(format!("{text}\r\n").into_bytes(), vec![], meaning);
    }

    // --- messages -------------------------------------------------------------------------------

    fn next_serial(&mut self) -> u32 {
        self.serial += 1;
        self.serial
    }

    pub(crate) fn mail(&mut self, mail: Mail, fds: Vec<OwnedFd>) {
        self.stream.push(mail.write(), fds, Meaning::Message);
    }

    pub(crate) fn call_bus(&mut self, member: &str, body: Vec<Value>) -> u32 {
        let serial = self.next_serial();
        self.mail(Mail::call_bus(serial, member, body), vec![]);
        serial
    }

    /// Takes note of a message it got.
    pub(crate) fn handle_message(&mut self, message: &Parsed<'_>) {
        let header = message.header();
        let sender = header.sender.map(|name| name.as_str().to_owned()).unwrap_or_default();
        if is_reply(&header) && self.hello.is_some() && self.unique.is_none() {
            let is_hello = header.reply_serial.map(NonZeroU32::get) == self.hello;
            if is_hello && header.message_type == MessageType::MethodReturn {
                self.unique = header.destination.map(|name| name.as_str().to_owned());
            } else if is_hello {
                self.hello = None;
            }
        }
        if let Some(serial) = header.reply_serial.filter(|_| is_reply(&header)) {
            let destination = header.destination.map(BusName::as_str);
            if destination.is_none() || destination == self.unique.as_deref() {
                *self.answers.entry(serial).or_default() += 1;
            } else if destination.is_some_and(|name| !name.starts_with(':')) {
                *self.answers_by_name.entry(serial).or_default() += 1;
            }
        }
        let wants_reply = header.message_type == MessageType::MethodCall
            && !header.flags.contains(Flags::NO_REPLY_EXPECTED)
            && header.destination.is_some();
        if wants_reply && sender.starts_with(':') && self.inbox.len() < 100 {
            self.inbox.push_back((sender, header.serial));
        }
    }

    /// Writes something into its socket.
    pub(crate) fn act(&mut self, words: &Vocabulary, random: &mut Random) {
        if self.unique.is_none() {
            // Refused for want of room (protocol.md A122): tries again.
            if self.hello.is_none() && self.stream.is_empty() && random.chance(20) {
                self.say_hello();
            }
            return;
        }
        match random.weighted(&[14, 5, 9, 5, 18, 22, 14, 5, 8, 2, 4]) {
            0 => self.request_name(words, random),
            1 => {
                let name = words.name(random);
                self.call_bus("ReleaseName", vec![Value::Text(name)]);
            }
            2 => self.add_match(words, random),
            3 => self.remove_match(words, random),
            4 => self.call(words, random),
            5 => self.answer(random),
            6 => self.emit(words, random),
            7 => self.answer_unasked(words, random),
            8 => self.ask_bus(words, random),
            9 => self.change_the_bus(words, random),
            _ => self.misbehave(words, random),
        }
    }

    fn request_name(&mut self, words: &Vocabulary, random: &mut Random) {
        let name = match random.below(30) {
            0 => "not a name".to_owned(),
            1 => words.name(random),
            _ => random.pick(&words.names).clone(),
        };
        let flags = u32::try_from(random.below(9)).unwrap();
        self.call_bus("RequestName", vec![Value::Text(name), Value::Number(flags)]);
    }

    fn add_match(&mut self, words: &Vocabulary, random: &mut Random) {
        let rule = match random.below(40) {
            0 => "no rule".to_owned(),
            1 => "x".repeat(1025),
            2 if words.large_bodies => String::new(),
            _ => words.rule(random),
        };
        self.rules.push(rule.clone());
        self.call_bus("AddMatch", vec![Value::Text(rule)]);
    }

    fn remove_match(&mut self, words: &Vocabulary, random: &mut Random) {
        let rule = match self.rules.is_empty() || random.chance(10) {
            true => words.rule(random),
            false => self.rules.swap_remove(random.below(self.rules.len())),
        };
        self.call_bus("RemoveMatch", vec![Value::Text(rule)]);
    }

    fn call(&mut self, words: &Vocabulary, random: &mut Random) {
        // Now and then a serial that may be in flight (protocol.md A146).
        let serial = match random.chance(8) {
            true => self.serial.saturating_sub(random.below(3) as u32).max(1),
            false => self.next_serial(),
        };
        let name = words.name(random);
        let mut mail = Mail::call(serial, &name, random.word(INTERFACES), random.word(MEMBERS));
        if name == BUS {
            mail.interface = Some(BUS.to_owned());
            mail.member = Some("Frobnicate".to_owned());
        }
        mail.flags = Flags::from_bits_truncate(*random.pick(&[0, 0, 0, 1, 2, 3, 4]));
        self.send_with_extras(mail, words, random);
    }

    fn answer(&mut self, random: &mut Random) {
        if self.inbox.is_empty() {
            return;
        }
        // Not always the oldest first, and sometimes twice.
        let index = random.below(self.inbox.len());
        let (caller, serial) = match random.chance(95) {
            true => self.inbox.remove(index).unwrap(),
            false => self.inbox[index].clone(),
        };
        let own = self.next_serial();
        let mail = match random.chance(80) {
            true => Mail::reply(own, &caller, serial),
            false => Mail::error(own, &caller, serial).with(Value::Text("no".to_owned())),
        };
        self.mail(mail, vec![]);
    }

    fn emit(&mut self, words: &Vocabulary, random: &mut Random) {
        let serial = self.next_serial();
        let (interface, member) = (random.word(INTERFACES), random.word(MEMBERS));
        let mut mail = Mail::signal(serial, random.word(PATHS), interface, member);
        if random.chance(25) {
            mail.destination = Some(words.name(random));
        }
        self.send_with_extras(mail, words, random);
    }

    /// Arguments, byte order, descriptors, a forged sender.
    fn send_with_extras(&mut self, mut mail: Mail, words: &Vocabulary, random: &mut Random) {
        mail.endian = *random.pick(&[Endian::Little, Endian::Little, Endian::Big]);
        for _ in 0..random.below(4) {
            let text = random.word(TEXTS).to_owned();
            mail.body.push(match random.below(6) {
                0 => Value::Path(random.word(PATHS).to_owned()),
                1 => Value::Variant(Box::new(Value::Number(7))),
                2 => Value::Texts(vec![text; 2]),
                _ => Value::Text(text),
            });
        }
        let size = match random.below(if words.large_bodies { 1000 } else { 990 }) {
            0..40 => random.below(3000),
            // Past the size from which a body is shared among its recipients.
            40..50 => random.between(16_000, 20_000),
            // Past the size from which the rest is read in place.
            990.. => random.between(200_000, 300_000),
            _ => 0,
        };
        if size > 0 {
            mail.body.push(Value::Bytes(size));
        }
        if random.chance(3) {
            mail.sender = Some(words.name(random));
        }
        let may_send_fds = self.negotiates_fds && self.fds_possible;
        let fd_count = if may_send_fds && random.chance(10) { random.between(1, 2) } else { 0 };
        mail.unix_fds = fd_count as u32;
        self.mail(mail, null_fds(fd_count));
    }

    /// A reply that nobody waits for (protocol.md A145), or a reply to nobody (A140).
    fn answer_unasked(&mut self, words: &Vocabulary, random: &mut Random) {
        let serial = self.next_serial();
        let asked = NonZeroU32::new(random.between(1, 50) as u32).unwrap();
        let mut mail = Mail::reply(serial, &words.name(random), asked);
        if random.chance(20) {
            mail.destination = None;
        }
        self.mail(mail, vec![]);
    }

    fn ask_bus(&mut self, words: &Vocabulary, random: &mut Random) {
        let name = Value::Text(words.name(random));
        let members = ["NameHasOwner", "GetNameOwner", "ListQueuedOwners", "GetConnectionUnixUser"];
        match random.below(10) {
            0..5 => self.call_bus(random.word(&members), vec![name]),
            5 => self.call_bus("GetConnectionCredentials", vec![name]),
            6 => self.call_bus("StartServiceByName", vec![name, Value::Number(0)]),
            7 => self.call_bus(random.word(&["ListNames", "GetId", "Hello"]), vec![]),
            8 => {
                self.call_bus(random.word(&["Introspect", "GetStats", "GetAllMatchRules"]), vec![])
            }
            // Wrong arguments.
            _ => self.call_bus("RequestName", vec![name]),
        };
        if random.chance(10) {
            let serial = self.next_serial();
            let mut mail = Mail::call_bus(serial, random.word(&["Ping", "ListNames"]), vec![]);
            mail.destination = None;
            mail.flags = Flags::from_bits_truncate(random.below(2) as u8);
            self.mail(mail, vec![]);
        }
    }

    fn change_the_bus(&mut self, words: &Vocabulary, random: &mut Random) {
        if random.chance(70) {
            self.call_bus("ReloadConfig", vec![]);
        } else if self.temper == Temper::Rude {
            let rules = (0..random.below(3)).map(|_| words.rule(random)).collect();
            let flags = u32::from(random.chance(10));
            self.call_bus("BecomeMonitor", vec![Value::Texts(rules), Value::Number(flags)]);
        }
    }

    // --- what nobody should do ------------------------------------------------------------------

    fn misbehave(&mut self, words: &Vocabulary, random: &mut Random) {
        let serial = self.next_serial();
        let mut mail = Mail::signal(serial, "/a", "org.example.A", "Changed")
            .with(Value::Text("text".to_owned()));
        match random.below(4) {
            // An unknown type is refused, and no more (protocol.md A033).
            0 => {
                mail.message_type = MessageType::Unknown(random.between(5, 255) as u8);
                mail.destination = random.chance(50).then(|| words.name(random));
                self.mail(mail, vec![]);
            }
            _ if self.temper != Temper::Rude => {}
            1 => {
                // Descriptors that no message asks for.
                let count = if self.fds_possible { random.between(1, 6) } else { 0 };
                self.mail(mail, null_fds(count));
            }
            2 => {
                // Fewer descriptors than announced, or more than a message may have (A057).
                mail.unix_fds = random.between(1, 5) as u32;
                self.mail(mail, vec![]);
            }
            _ => {
                let (bytes, at) = malform(mail.write(), random);
                self.stream.push(bytes, vec![], Meaning::Broken { at, answer: None });
            }
        }
    }
}

/// Breaks one rule of a message; also says after how many bytes the bus must see it.
fn malform(mut bytes: Vec<u8>, random: &mut Random) -> (Vec<u8>, usize) {
    let whole = bytes.len();
    match random.below(8) {
        0 => bytes[0] = b'x',
        1 => bytes[1] = 0,
        2 => bytes[3] = 2,
        3 => bytes[8..12].fill(0),
        4 => bytes[12..16].fill(0x7f),
        5 => bytes[4..8].fill(0x7f),
        6 => {
            // The NUL after the body's one string.
            bytes[whole - 1] = b'x';
            return (bytes, whole);
        }
        _ => {
            // The code of the first field becomes that of no field.
            bytes[16] = 0;
            return (bytes, whole);
        }
    }
    (bytes, 16)
}

pub(crate) fn null_fds(count: usize) -> Vec<OwnedFd> {
    (0..count).map(|_| std::fs::File::open("/dev/null").unwrap().into()).collect()
}
