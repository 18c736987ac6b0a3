//! `bus monitor`: what is said on the bus, as it is said (tools.md D003, D064, D066, D070).

mod calls;
mod judge;
mod line;
pub(crate) mod wanted;

use std::time::{Duration, Instant, SystemTime};

use clap::{Args, ValueEnum};
use libbus::Error;
use libbus::Watching;
use libbus::blocking::{Connection, Monitor as Watcher};
use libbus::message::Message;
use libbus::wire::MessageType;

pub(crate) use self::calls::{Call, Calls};
use self::line::Printer;
use self::wanted::Wanted;
use crate::duration::parse_duration;
use crate::failure::{Failure, Result};
use crate::options::Options;
use crate::output::out::Out;

/// See messages as they are sent, each reply with its call
///
/// All conditions must hold. A reply is seen if its call is, or if a rule is about the reply itself. A name is that of the sender or of the receiver.
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
    pub(crate) const ALL: [Self; 4] = [Self::Call, Self::Reply, Self::Error, Self::Signal];

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

impl Monitor {
    pub(crate) fn run(self, options: &Options) -> Result<()> {
        options.bus.must_be_bus("monitor")?;
        let deadline = options.deadline();
        let (mut watcher, mut calls) = begin(&self.wanted, &self.kinds()?, options)?;
        let mut printer = Printer::new(options, !self.no_body, self.full);
        let mut out = Out::plain();
        let mut left = self.count;
        while left != Some(0) {
            let message = match watcher.next(deadline) {
                Ok(message) => message,
                Err(Error::TimedOut(_)) => break,
                Err(Error::Closed) => {
                    out.flush()?;
                    return Err(Failure::closed());
                }
                Err(error) => return Err(error.into()),
            };
            let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let Some((message, call, duration)) = calls.see(time, message) else { continue };
            let seen = Seen { time, message: &message, call: call.as_ref(), duration };
            if !self.is_shown(&seen) {
                continue;
            }
            printer.print(&mut out, &seen, calls.names())?;
            out.flush()?;
            left = left.map(|left| left - 1);
        }
        out.finish()
    }

    fn is_shown(&self, seen: &Seen<'_>) -> bool {
        let is_slow = self.slow.is_none_or(|slow| seen.duration.is_some_and(|time| time >= slow));
        self.is_of_kind(MessageKind::of(seen.message)) && is_slow
    }

    fn is_of_kind(&self, kind: Option<MessageKind>) -> bool {
        let is_kind = self.kind.is_none() || self.kind == kind;
        is_kind && (!self.errors || kind == Some(MessageKind::Error))
    }

    /// What may be shown, which is something.
    fn kinds(&self) -> Result<Vec<MessageKind>> {
        // Only replies have taken time.
        let may_be_slow = |kind| matches!(kind, MessageKind::Reply | MessageKind::Error);
        let is_shown = |kind: &MessageKind| {
            self.is_of_kind(Some(*kind)) && (self.slow.is_none() || may_be_slow(*kind))
        };
        let kinds: Vec<MessageKind> = MessageKind::ALL.into_iter().filter(is_shown).collect();
        match kinds.is_empty() {
            true => Err(Failure::usage("--type, --errors and --slow exclude each other").hint(
                "an error is of the kind error, and only replies and errors have taken time",
            )),
            false => Ok(kinds),
        }
    }
}

/// Messages of others.
pub(crate) struct Watch {
    watcher: Watcher,
    /// By which names were looked up: its end would be one more thing to see.
    _asking: Option<Connection>,
}

impl Watch {
    /// The next message; what the bus tells this program itself is left out.
    ///
    /// # Errors
    /// The time is over, or the connection.
    pub(crate) fn next(&mut self, deadline: Option<Instant>) -> libbus::Result<Message> {
        loop {
            let message = match deadline {
                None => self.watcher.next_message(),
                Some(deadline) => {
                    let left = deadline.checked_duration_since(Instant::now()).unwrap_or_default();
                    self.watcher.next_within(left)
                }
            }?;
            let destination = message.header().destination.map(|name| name.as_str());
            if destination.is_none() || destination != self.watcher.unique_name() {
                return Ok(message);
            }
        }
    }
}

/// Begins to watch for what is wanted, with who judges it.
pub(crate) fn begin(
    wanted: &Wanted,
    kinds: &[MessageKind],
    options: &Options,
) -> Result<(Watch, Calls)> {
    let (rules, judge) = wanted.rules(kinds)?;
    let mut calls = Calls::new(judge);
    let asking = calls.needs_owners().then(|| options.connect()).transpose()?;
    if let Some(connection) = &asking {
        calls.learn_owners(connection)?;
    }
    Ok((Watch { watcher: watch(&rules, options)?, _asking: asking }, calls))
}

/// As a monitor; where the bus does not allow that, by match rules, and then it is said what is not seen and why.
fn watch(rules: &[String], options: &Options) -> Result<Watcher> {
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let explain = |error| options.bus.explain(error);
    match options.builder()?.monitor(&rules, Watching::AsMonitor) {
        Ok(watcher) => return Ok(watcher),
        Err(Error::Method(error)) => {
            complain!(
                "bus: not all can be seen: {}",
                crate::output::escape::plain(&error.to_string())
            );
            complain!(
                "bus: shown are signals for everybody; calls, replies, and signals for one receiver are not"
            );
            complain!("hint: {}", crate::hints::see_all(&options.bus));
        }
        Err(error) => return Err(explain(error)),
    }
    let rules: Vec<&str> = if rules.is_empty() { vec!["type='signal'"] } else { rules };
    let watcher = options.builder()?.monitor(&rules, Watching::ByMatchRules);
    watcher.map_err(explain)
}
