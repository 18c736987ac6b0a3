//! `bus monitor`: what is said on the bus, as it is said (tools.md D003, D064, D066, D070).

mod line;
pub(crate) mod wanted;

use std::time::{Duration, Instant, SystemTime};

use clap::{Args, ValueEnum};
use libbus::Error;
use libbus::Watching;
use libbus::blocking::Monitor as Watcher;
use libbus::message::Message;
use libbus::wire::{Flags, MessageType};

use self::line::Printer;
use self::wanted::Wanted;
use crate::conversation::Conversation;
use crate::duration::parse_duration;
use crate::failure::{Failure, Result};
use crate::options::Options;
use crate::output::out::Out;

/// See messages as they are sent, each reply with its call
///
/// All conditions must hold. A reply is seen if its call is. A name is that of the sender or of the receiver.
#[derive(Args, Debug)]
pub(crate) struct Monitor {
    #[command(flatten)]
    wanted: Wanted,

    /// Only messages of this kind
    #[arg(long = "type", value_enum, value_name = "KIND")]
    kind: Option<MessageKind>,

    /// Only errors
    #[arg(long)]
    errors: bool,

    /// Only calls that took at least so long, when their replies come
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    slow: Option<Duration>,

    /// End after so many messages
    #[arg(short = 'n', long, value_name = "COUNT")]
    count: Option<u64>,

    /// Without what the messages carry
    #[arg(long)]
    no_body: bool,

    /// Long values in full length
    #[arg(short = 'l', long)]
    full: bool,
}

/// Kinds of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MessageKind {
    Call,
    Reply,
    Error,
    Signal,
}

impl MessageKind {
    fn of(message: &Message) -> Option<Self> {
        Some(match message.message_type() {
            MessageType::MethodCall => Self::Call,
            MessageType::MethodReturn => Self::Reply,
            MessageType::Error => Self::Error,
            MessageType::Signal => Self::Signal,
            MessageType::Unknown(_) => return None,
        })
    }
}

/// How a message was seen, beside itself.
struct Seen<'a> {
    time: Duration,
    message: &'a Message,
    /// Of a reply: its call.
    call: Option<&'a Call>,
    duration: Option<Duration>,
}

/// Calls that are remembered for their replies.
const CALLS_MAX: usize = 16_384;
/// Bytes of a path that are remembered; interfaces and members are no longer than the specification's 255 anyway.
const PATH_SIZE_MAX: usize = 1024;

/// What is remembered of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    path: String,
    interface: Option<String>,
    member: String,
}

impl Call {
    /// Nothing of what has no reply.
    fn of(message: &Message) -> Option<Self> {
        let is_answered = message.message_type() == MessageType::MethodCall
            && !message.flags().contains(Flags::NO_REPLY_EXPECTED);
        is_answered.then(|| Self {
            path: beginning(message.path().map(|path| path.as_str()).unwrap_or_default()),
            interface: message.interface().map(|name| name.as_str().to_owned()),
            member: message.member().map(|name| name.as_str().to_owned()).unwrap_or_default(),
        })
    }
}

/// As much of a path, which is ASCII, as is remembered.
fn beginning(path: &str) -> String {
    match path.get(..PATH_SIZE_MAX) {
        Some(beginning) if path.len() > PATH_SIZE_MAX => format!("{beginning}…"),
        _ => path.to_owned(),
    }
}

impl Monitor {
    pub(crate) fn run(self, options: &Options) -> Result<()> {
        let deadline = options.deadline();
        let mut watcher = watch(&self.wanted.rules()?, options)?;
        let mut printer = Printer::new(options, !self.no_body, self.full);
        let mut out = Out::plain();
        let mut calls = Calls::default();
        let mut left = self.count;
        while left != Some(0) {
            let message = match watcher.next(deadline) {
                Ok(message) => message,
                Err(Error::TimedOut(_)) => break,
                Err(Error::Closed) => {
                    out.flush()?;
                    return Err(Failure::unreachable("the bus has closed the connection"));
                }
                Err(error) => return Err(error.into()),
            };
            let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let seen = calls.see(time, message, self.wanted.is_narrow());
            let Some((message, call, duration)) = seen else { continue };
            let seen = Seen { time, message: &message, call: call.as_ref(), duration };
            if !self.is_shown(&seen) {
                continue;
            }
            printer.print(&mut out, &seen, calls.conversation.names())?;
            out.flush()?;
            left = left.map(|left| left - 1);
        }
        out.finish()
    }

    fn is_shown(&self, seen: &Seen<'_>) -> bool {
        let kind = MessageKind::of(seen.message);
        let is_kind = self.kind.is_none() || self.kind == kind;
        let is_kind = is_kind && (!self.errors || kind == Some(MessageKind::Error));
        let is_slow = self.slow.is_none_or(|slow| seen.duration.is_some_and(|time| time >= slow));
        is_kind && is_slow
    }
}

/// The calls that are wanted, by which their replies are found.
#[derive(Default)]
pub(crate) struct Calls {
    conversation: Conversation,
    number: u64,
    wanted: std::collections::BTreeMap<u64, Call>,
}

impl Calls {
    /// Takes in a message. Nothing, if it is a reply that the bus sent along because of others (`is_narrow`): the bus
    /// tells of the calls and signals that are wanted, but of all replies, since those do not say what they are for.
    pub(crate) fn see(
        &mut self,
        time: Duration,
        message: Message,
        is_narrow: bool,
    ) -> Option<(Message, Option<Call>, Option<Duration>)> {
        self.number += 1;
        let pair = self.conversation.handle_message(self.number, Some(time), &message);
        if message.reply_serial().is_some() {
            let call = pair.and_then(|pair| self.wanted.remove(&pair.call));
            let duration = pair.and_then(|pair| pair.duration);
            return (call.is_some() || !is_narrow).then_some((message, call, duration));
        }
        if let Some(call) = Call::of(&message) {
            self.wanted.insert(self.number, call);
        }
        if self.wanted.len() > CALLS_MAX {
            self.wanted.pop_first();
        }
        Some((message, None, None))
    }
}

/// Messages of others.
pub(crate) struct Watch(Watcher);

impl Watch {
    /// The next message; what the bus tells this program itself is left out.
    ///
    /// # Errors
    /// The time is over, or the connection.
    pub(crate) fn next(&mut self, deadline: Option<Instant>) -> libbus::Result<Message> {
        loop {
            let message = match deadline {
                None => self.0.next_message(),
                Some(deadline) => {
                    let left = deadline.checked_duration_since(Instant::now()).unwrap_or_default();
                    self.0.next_within(left)
                }
            }?;
            let destination = message.header().destination.map(|name| name.as_str());
            if destination.is_none() || destination != self.0.unique_name() {
                return Ok(message);
            }
        }
    }
}

/// As a monitor; where the bus does not allow that, by match rules, and then it is said what is not seen and why.
pub(crate) fn watch(rules: &[String], options: &Options) -> Result<Watch> {
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let explain = |error| options.bus.explain(error);
    match options.builder()?.monitor(&rules, Watching::AsMonitor) {
        Ok(watcher) => return Ok(Watch(watcher)),
        Err(Error::Method(error)) => {
            eprintln!(
                "bus: not all can be seen: {}",
                crate::output::escape::plain(&error.to_string())
            );
            eprintln!(
                "bus: shown are signals for everybody; calls, replies, and signals for one receiver are not"
            );
            eprintln!("hint: {}", crate::hints::see_all(&options.bus));
        }
        Err(error) => return Err(explain(error)),
    }
    let rules: Vec<&str> = if rules.is_empty() { vec!["type='signal'"] } else { rules };
    let watcher = options.builder()?.monitor(&rules, Watching::ByMatchRules);
    watcher.map(Watch).map_err(explain)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use libbus::message::Message;
    use libbus::names::{BusName, ObjectPath};
    use libbus::wire::{Flags, Header, MessageType, Signature};

    use super::{CALLS_MAX, Call, Calls, PATH_SIZE_MAX};
    use crate::capture::tests::message;

    fn call(serial: usize, change: impl FnOnce(&mut Header<'static>)) -> Message {
        let serial = u32::try_from(serial).unwrap();
        let bytes = message(MessageType::MethodCall, serial, change, |_| {});
        Message::from_bytes(bytes).unwrap()
    }

    fn signal() -> Message {
        let change = |header: &mut Header<'static>| header.signature = Signature::from_static("s");
        let body = "x".repeat(4096);
        let bytes = message(MessageType::Signal, 1, change, |writer| writer.string(&body));
        Message::from_bytes(bytes).unwrap()
    }

    fn reply(to: u32) -> Message {
        let change = |header: &mut Header<'static>| {
            (header.path, header.interface, header.member) = (None, None, None);
            header.sender = Some(BusName::from_static(":1.9"));
            header.destination = Some(BusName::from_static(":1.5"));
            header.reply_serial = NonZeroU32::new(to);
        };
        Message::from_bytes(message(MessageType::MethodReturn, 9, change, |_| {})).unwrap()
    }

    #[test]
    fn only_what_has_a_reply_is_remembered_and_no_more_than_its_head() {
        let mut calls = Calls::default();
        let mut see = |message| calls.see(Duration::ZERO, message, true).map(|(_, call, _)| call);
        assert_eq!(see(signal()), Some(None));
        let unanswered = call(2, |header| header.flags = Flags::NO_REPLY_EXPECTED);
        assert_eq!(see(unanswered), Some(None));
        let long: &'static str = "/a".repeat(PATH_SIZE_MAX).leak();
        let change = |header: &mut Header<'static>| header.path = ObjectPath::parse(long).ok();
        assert_eq!(see(call(3, change)), Some(None));
        assert_eq!(calls.wanted.len(), 1);
        let (_, known, _) = calls.see(Duration::ZERO, reply(3), true).unwrap();
        let path = format!("{}…", "/a".repeat(PATH_SIZE_MAX / 2));
        let (interface, member) = (Some("org.example.Clock".into()), "Ring".into());
        assert_eq!(known, Some(Call { path, interface, member }));
        assert!(calls.wanted.is_empty());
    }

    #[test]
    fn the_oldest_call_is_forgotten_for_a_new_one() {
        let mut calls = Calls::default();
        for number in 1..=CALLS_MAX + 1 {
            calls.see(Duration::ZERO, call(number, |_| {}), false);
        }
        assert_eq!(calls.wanted.len(), CALLS_MAX);
        assert_eq!(calls.wanted.keys().next(), Some(&2));
    }
}
