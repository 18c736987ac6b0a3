//! `bus monitor`: what is said on the bus, as it is said (tools.md D003, D064, D066, D070).

mod line;
pub(crate) mod wanted;

use std::time::{Duration, Instant, SystemTime};

use clap::{Args, ValueEnum};
use libbus::Error;
use libbus::Watching;
use libbus::blocking::Monitor as Watcher;
use libbus::message::Message;
use libbus::wire::MessageType;

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
    call: Option<&'a Message>,
    duration: Option<Duration>,
}

/// Calls that are remembered for their replies.
const CALLS_MAX: usize = 16_384;

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
    wanted: std::collections::BTreeMap<u64, Message>,
}

impl Calls {
    /// Takes in a message. Nothing, if it is a reply that the bus sent along because of others (`is_narrow`): the bus
    /// tells of the calls and signals that are wanted, but of all replies, since those do not say what they are for.
    pub(crate) fn see(
        &mut self,
        time: Duration,
        message: Message,
        is_narrow: bool,
    ) -> Option<(Message, Option<Message>, Option<Duration>)> {
        self.number += 1;
        let pair = self.conversation.handle_message(self.number, Some(time), &message);
        if message.reply_serial().is_some() {
            let call = pair.and_then(|pair| self.wanted.remove(&pair.call));
            let duration = pair.and_then(|pair| pair.duration);
            return (call.is_some() || !is_narrow).then_some((message, call, duration));
        }
        self.wanted.insert(self.number, message.clone());
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
    match options.bus.builder()?.monitor(&rules, Watching::AsMonitor) {
        Ok(watcher) => return Ok(Watch(watcher)),
        Err(Error::Method(error)) => {
            eprintln!(
                "bus: not all can be seen: {}",
                crate::output::escape::plain(&error.to_string())
            );
            eprintln!(
                "bus: shown are signals for everybody; calls, replies, and signals for one receiver are not"
            );
            eprintln!("hint: a system bus lets root see all: sudo bus --system monitor");
        }
        Err(error) => return Err(explain(error)),
    }
    let rules: Vec<&str> = if rules.is_empty() { vec!["type='signal'"] } else { rules };
    let watcher = options.bus.builder()?.monitor(&rules, Watching::ByMatchRules);
    watcher.map(Watch).map_err(explain)
}
