//! Who calls: `spam`. All replies are looked at as they come, so that as many calls are under way as is said.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::Read as _;
use std::num::NonZeroU32;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use libbus::Error;
use libbus::blocking::Monitor;
use libbus::connection::SendError;
use libbus::host::{phrase, random_bytes};
use libbus::limits::MESSAGE_SIZE_MAX;
use libbus::message::Message;
use libbus::names::{BusName, InterfaceName, MemberName, ObjectPath};
use libbus::wire::{Flags, Header, MessageType};

use super::super::lenient_number::{signed, unsigned};
use super::super::libdbus::shown;
use super::{End, connect, ended};
use crate::value::{Arguments, Value};

const HELP: &str = "\
Usage: dbus-test-tool spam [OPTIONS]

Calls com.example.Spam again and again.

Options:

    --session     on the session bus (default)
    --system      on the system bus

    --ignore-errors    say nothing of errors
    --dest=NAME   call NAME (default org.freedesktop.DBus)

    --count=N     call N times (default 1)
    --queue=N     with N calls under way (default 1)
    --flood       all at once
    --no-reply    want no reply (and all at once)
    --messages-per-conn=N   connect anew after N calls and their replies

    --string      send a string (default)
    --bytes       send an array of bytes
    --empty       send nothing

    --payload=S   send S (default \"hello, world!\")
    --stdin       send what is on standard input
    --message-stdin   send the message that is on standard input
    --random-size     send text as long as one of the numbers on standard
                  input, a random one each time

    --seed=SEED   how the random ones are chosen";

const ONE_PAYLOAD: &str =
    "At most one of --payload, --stdin, --message-stdin and --random-size may be specified";

const DEFAULT_PAYLOAD: &[u8] = b"hello, world!";
/// Calls that are queued before replies are looked at.
const BURST: usize = 64;
/// How long replies are looked for where no more can be queued.
const PAUSE: Duration = Duration::from_millis(10);
/// Sizes to choose from.
const SIZES_MAX: usize = 1 << 20;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    String,
    Bytes,
    Empty,
}

/// Where what is sent comes from.
enum Source<'w> {
    Default,
    Argument(&'w [u8]),
    Input,
    Message,
    RandomSize,
}

struct Options<'w> {
    is_system: bool,
    ignores_errors: bool,
    destination: &'w str,
    count: u64,
    queue: u64,
    is_flood: bool,
    wants_no_reply: bool,
    per_connection: Option<u64>,
    kind: Kind,
    source: Source<'w>,
    seed: Option<u64>,
}

/// What is sent.
enum Content {
    /// The same each time.
    Same(Arguments),
    /// As long as one of these.
    RandomSize(Vec<usize>),
    Template(Message, Arguments),
}

pub(super) fn run(words: &[OsString]) -> Result<(), End> {
    let options = Options::read(words)?;
    let content = options.content().map_err(End::Failed)?;
    let mut spammer = Spammer {
        monitor: connect(options.is_system)?,
        random: Random::new(options.seed),
        under_way: HashSet::new(),
        replies: 0,
        options: &options,
    };
    for number in 0..options.count {
        let is_full = options.per_connection.is_some_and(|most| number > 0 && number % most == 0);
        if is_full {
            spammer.wait_until(0)?;
            spammer.monitor = connect(options.is_system)?;
        }
        spammer.send(&content)?;
        if !options.is_flood {
            spammer.wait_until(options.queue - 1)?;
        } else if number % BURST as u64 == 0 {
            spammer.look(Duration::ZERO)?;
        }
    }
    spammer.wait_until(0)
}

impl<'w> Options<'w> {
    fn read(words: &'w [OsString]) -> Result<Self, End> {
        let mut options = Self {
            is_system: false,
            ignores_errors: false,
            destination: "org.freedesktop.DBus",
            count: 1,
            queue: 1,
            is_flood: false,
            wants_no_reply: false,
            per_connection: None,
            kind: Kind::String,
            source: Source::Default,
            seed: None,
        };
        for word in words {
            options.read_word(word)?;
        }
        Ok(options)
    }

    fn read_word(&mut self, word: &'w OsString) -> Result<(), End> {
        let usage = || End::Usage(HELP.to_owned());
        let positive = |text: &str| u64::try_from(signed(text)).ok().filter(|count| *count > 0);
        if let Some(payload) = word.as_bytes().strip_prefix(b"--payload=") {
            return self.take_from(Source::Argument(payload));
        }
        let word = word.to_str().ok_or_else(usage)?;
        match word.split_once('=').unwrap_or((word, "")) {
            _ if word == "--session" => self.is_system = false,
            _ if word == "--system" => self.is_system = true,
            _ if word == "--ignore-errors" => self.ignores_errors = true,
            _ if word == "--flood" => self.is_flood = true,
            _ if word == "--no-reply" => (self.is_flood, self.wants_no_reply) = (true, true),
            _ if word == "--string" => self.kind = Kind::String,
            _ if word == "--bytes" => self.kind = Kind::Bytes,
            _ if word == "--empty" => self.kind = Kind::Empty,
            _ if word == "--stdin" => self.take_from(Source::Input)?,
            _ if word == "--message-stdin" => self.take_from(Source::Message)?,
            _ if word == "--random-size" => self.take_from(Source::RandomSize)?,
            _ if !word.contains('=') => return Err(usage()),
            ("--dest", name) => self.destination = name,
            ("--count", text) => self.count = positive(text).ok_or_else(usage)?,
            ("--queue", text) => self.queue = positive(text).ok_or_else(usage)?,
            ("--messages-per-conn", text) => self.per_connection = positive(text),
            ("--seed", text) => self.seed = Some(unsigned(text)),
            _ => return Err(usage()),
        }
        Ok(())
    }

    fn take_from(&mut self, source: Source<'w>) -> Result<(), End> {
        match std::mem::replace(&mut self.source, source) {
            Source::Default => Ok(()),
            _ => Err(End::Usage(format!("{ONE_PAYLOAD}\n\n{HELP}"))),
        }
    }

    fn content(&self) -> Result<Content, String> {
        match self.source {
            Source::Default => self.of_bytes(DEFAULT_PAYLOAD).map(Content::Same),
            Source::Argument(bytes) => self.of_bytes(bytes).map(Content::Same),
            Source::Input => self.of_bytes(&read_input()?).map(Content::Same),
            Source::RandomSize => {
                let text = String::from_utf8_lossy(&read_input()?).into_owned();
                sizes(&text).map(Content::RandomSize)
            }
            Source::Message => {
                let message = Message::from_bytes(read_input()?);
                let template = message.map_err(|error| not_a_call(&error.to_string()))?;
                if template.message_type() != MessageType::MethodCall {
                    return Err(not_a_call("this is no method call"));
                }
                let arguments = arguments(Value::of_message(&template));
                Ok(Content::Template(template, arguments))
            }
        }
    }

    fn of_bytes(&self, bytes: &[u8]) -> Result<Arguments, String> {
        let value = match self.kind {
            Kind::Empty => return Ok(arguments(Vec::new())),
            Kind::Bytes => Value::Bytes(bytes.to_vec()),
            // deviation: dbus-test-tool crashes.
            Kind::String => match std::str::from_utf8(bytes) {
                Ok(text) if !text.contains('\0') => Value::String(text.to_owned()),
                _ => return Err("what is sent as a string must be UTF-8 without NUL".to_owned()),
            },
        };
        Ok(arguments(vec![value]))
    }

    fn header(&self) -> Result<Header<'_>, Error> {
        let mut header = Header::new(MessageType::MethodCall, NonZeroU32::MIN);
        header.destination = Some(BusName::parse(self.destination)?);
        header.path = Some(ObjectPath::from_static("/"));
        header.interface = Some(InterfaceName::from_static("com.example"));
        header.member = Some(MemberName::from_static("Spam"));
        Ok(header)
    }
}

const fn arguments(values: Vec<Value>) -> Arguments {
    Arguments { values, fds: Vec::new() }
}

fn not_a_call(why: &str) -> String {
    format!("Unable to demarshal template message: org.freedesktop.DBus.Error.InvalidArgs: {why}")
}

fn read_input() -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let limit = u64::from(MESSAGE_SIZE_MAX) + 1;
    let read = std::io::stdin().lock().take(limit).read_to_end(&mut bytes);
    read.map_err(|error| format!("failed to read from stdin: {}", phrase(&error)))?;
    match bytes.len() as u64 >= limit {
        true => Err("standard input is longer than a message may be".to_owned()),
        false => Ok(bytes),
    }
}

fn sizes(text: &str) -> Result<Vec<usize>, String> {
    let size = |word: &str| {
        let size = usize::try_from(signed(word)).ok();
        size.filter(|size| *size < MESSAGE_SIZE_MAX as usize)
            .ok_or_else(|| format!("no string is as long as {word:?} says"))
    };
    let sizes: Vec<usize> =
        text.split_whitespace().take(SIZES_MAX).map(size).collect::<Result<_, _>>()?;
    if sizes.is_empty() {
        Err("there are no sizes on standard input".to_owned())
    } else {
        Ok(sizes)
    }
}

/// SplitMix64: quick, and good enough to choose by.
struct Random(u64);

impl Random {
    fn new(seed: Option<u64>) -> Self {
        let random = || random_bytes().map(u64::from_ne_bytes).unwrap_or_default();
        Self(seed.unwrap_or_else(random))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn choose(&mut self, sizes: &[usize]) -> usize {
        let index = (self.next() % sizes.len().max(1) as u64) as usize;
        sizes.get(index).copied().unwrap_or_default()
    }
}

struct Spammer<'o> {
    monitor: Monitor,
    random: Random,
    under_way: HashSet<NonZeroU32>,
    /// Replies that have come.
    replies: u64,
    options: &'o Options<'o>,
}

impl Spammer<'_> {
    fn send(&mut self, content: &Content) -> Result<(), End> {
        let failed = |error: Error| match error.is_disconnected() {
            true => ended(error),
            false => End::Failed(format!("dbus-test-tool: {}", shown(&error.to_string()))),
        };
        let made;
        let (mut header, body) = match content {
            Content::Same(body) => (self.options.header().map_err(failed)?, body),
            Content::RandomSize(sizes) => {
                let text = vec![b'X'; self.random.choose(sizes)];
                made = self.options.of_bytes(&text).map_err(End::Failed)?;
                (self.options.header().map_err(failed)?, &made)
            }
            Content::Template(template, body) => (template.header(), body),
        };
        if self.options.wants_no_reply {
            header.flags = header.flags.union(Flags::NO_REPLY_EXPECTED);
        }
        let wants_reply = !header.flags.contains(Flags::NO_REPLY_EXPECTED);
        let serial = loop {
            match self.monitor.connection().send_message(&header, body) {
                Err(Error::Send(SendError::QueueFull)) => self.look(PAUSE)?,
                sent => break sent.map_err(failed)?,
            }
        };
        if wants_reply {
            self.under_way.insert(serial);
        }
        Ok(())
    }

    /// Looks at the replies that are there, or come in this time; what is queued leaves meanwhile.
    fn look(&mut self, time: Duration) -> Result<(), End> {
        loop {
            match self.monitor.next_within(time) {
                Ok(message) => self.take(&message),
                Err(Error::TimedOut(_)) => return Ok(()),
                Err(error) => return Err(ended(error)),
            }
        }
    }

    /// Waits until no more calls than these are under way.
    fn wait_until(&mut self, under_way_max: u64) -> Result<(), End> {
        while self.under_way.len() as u64 > under_way_max {
            let message = self.monitor.next_message().map_err(ended)?;
            self.take(&message);
        }
        self.monitor.connection().flush().map_err(ended)
    }

    fn take(&mut self, message: &Message) {
        if !message.reply_serial().is_some_and(|serial| self.under_way.remove(&serial)) {
            return;
        }
        let number = self.replies;
        self.replies += 1;
        let Some((name, text)) = message.error() else { return };
        if !self.options.ignores_errors {
            let (name, text) = (name.as_str(), shown(text));
            complain!("Failed to receive reply #{number}: {name}: {text}");
        }
    }
}
