//! `bus replay`: the calls and signals of a capture, sent again (tools.md, function "replay").
//!
//! Sent are calls and signals of programs. Unique names of a capture are nobody's, or somebody else's, on another bus:
//! what went to one goes to the well-known name that the client had in the capture. What cannot be sent is counted by
//! its reason. Bound: [`UNDER_WAY_MAX`] calls wait for their replies.

mod names;
mod summary;

use std::collections::VecDeque;
use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use libbus::blocking::{Connection, PendingReply};
use libbus::message::Message;
use libbus::names::BusName;
use libbus::wire::{Flags, MessageType};
use libbus::{Error, MethodCall};

use self::names::KnownNames;
use self::summary::{LeftOut, Summary};
use crate::capture::{Captured, Reader, Time};
use crate::captured_file::{CapturedFile, Damages};
use crate::conversation::BUS;
use crate::failure::{Failure, Result};
use crate::options::Options;
use crate::output::out::Out;
use crate::value::{Arguments, Value};

/// Calls that wait for their replies at once.
const UNDER_WAY_MAX: usize = 512;

/// Send the calls and signals of a capture again
///
/// What went to a unique name goes to the well-known name that the client had in the capture. Calls of the bus itself,
/// messages with file descriptors and messages that were cut are left out.
#[derive(Args, Debug)]
pub(crate) struct Replay {
    /// A capture (pcap, pcapng, dbus-monitor --binary), - for standard input
    #[arg(value_name = "CAPTURE")]
    capture: PathBuf,

    /// So many times as fast as it was
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = parse_speed)]
    speed: f64,

    /// Without pauses
    #[arg(long, conflicts_with = "speed")]
    as_fast: bool,

    /// Leave out the others
    #[arg(long, value_enum, value_name = "KIND")]
    only: Option<Only>,

    /// Also onto a system bus, where real services do what they are told
    #[arg(long)]
    yes: bool,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Only {
    /// Method calls
    Calls,
    /// Signals
    Signals,
}

impl Replay {
    pub(crate) fn run(self, options: &Options) -> Result<()> {
        if options.bus.is_peer() {
            return Err(Failure::usage("a capture is sent to a bus, not to a peer"));
        }
        if options.bus.may_be_system() && !self.yes {
            let failure = Failure::usage("real services would do all that the capture says");
            return Err(failure
                .hint("--yes if that is wanted; `bus run --system-like` is a bus to try it on"));
        }
        let names = KnownNames::of(&self.capture, !options.quiet)?;
        let connection = options.connect()?;
        let file = CapturedFile::open(&self.capture, "replaying", !options.quiet)?;
        let mut player = Player::new(&connection, &self, names);
        let damages = player.play(file.reader)?;
        let summary = player.finish();
        let mut out = Out::plain();
        match options.json() {
            Some(form) => out.json(form, &summary.to_json())?,
            None => out.text(&summary.to_string())?,
        }
        out.finish()?;
        damages.finish(&file.title)
    }

    /// How long after the first message one is sent.
    fn pause(&self, since_first: Duration) -> Duration {
        match self.as_fast {
            true => Duration::ZERO,
            false => Duration::try_from_secs_f64(since_first.as_secs_f64() / self.speed)
                .unwrap_or(Duration::MAX),
        }
    }

    fn sends(&self, message_type: MessageType) -> bool {
        match message_type {
            MessageType::MethodCall => self.only != Some(Only::Signals),
            MessageType::Signal => self.only != Some(Only::Calls),
            _ => false,
        }
    }
}

/// Sends, and counts what comes of it.
struct Player<'p> {
    connection: &'p Connection,
    replay: &'p Replay,
    names: KnownNames,
    begin: Instant,
    first: Option<Time>,
    under_way: VecDeque<PendingReply>,
    summary: Summary,
}

impl<'p> Player<'p> {
    fn new(connection: &'p Connection, replay: &'p Replay, names: KnownNames) -> Self {
        let (under_way, summary) = (VecDeque::new(), Summary::default());
        let begin = Instant::now();
        Self { connection, replay, names, begin, first: None, under_way, summary }
    }

    /// # Errors
    /// The bus is gone.
    fn play(&mut self, reader: Reader<impl Read>) -> Result<Damages> {
        let mut damages = Damages::default();
        for item in reader {
            match item {
                Ok(captured) => self.send(&captured)?,
                Err(damage) => damages.handle(damage),
            }
        }
        while let Some(call) = self.under_way.pop_front() {
            self.await_reply(call)?;
        }
        Ok(damages)
    }

    fn finish(mut self) -> Summary {
        self.summary.took = self.begin.elapsed();
        self.summary
    }

    fn send(&mut self, captured: &Captured) -> Result<()> {
        let message = &captured.message;
        self.names.handle_message(captured);
        if !self.replay.sends(message.message_type()) {
            return Ok(());
        }
        self.wait_until_due(captured.time);
        let destination = match self.recipient(captured) {
            Ok(destination) => destination,
            Err(reason) => {
                self.summary.leave_out(reason);
                return Ok(());
            }
        };
        let arguments = Arguments { values: Value::of_message(message), fds: Vec::new() };
        match message.message_type() {
            MessageType::Signal => self.send_signal(message, destination.as_deref(), &arguments),
            _ => self.send_call(message, destination.as_deref(), &arguments),
        }
    }

    fn wait_until_due(&mut self, time: Option<Time>) {
        let Some(time) = time else { return };
        let first = *self.first.get_or_insert(time);
        let due = self.replay.pause(time.saturating_sub(first));
        if let Some(left) = due.checked_sub(self.begin.elapsed()) {
            std::thread::sleep(left);
        }
    }

    /// Who is to get it now, or why nobody is.
    fn recipient(&self, captured: &Captured) -> std::result::Result<Option<String>, LeftOut> {
        let header = captured.message.header();
        let destination = header.destination.map(BusName::as_str);
        match destination {
            _ if captured.cut.is_some() => Err(LeftOut::Cut),
            _ if header.unix_fds > 0 => Err(LeftOut::Descriptors),
            _ if header.sender.map(BusName::as_str) == Some(BUS) => Err(LeftOut::OfTheBus),
            Some(BUS) => Err(LeftOut::OfTheBus),
            None if header.message_type == MessageType::MethodCall => Err(LeftOut::OfTheBus),
            Some(unique) if unique.starts_with(':') => {
                let name = self.names.well_known(unique).ok_or(LeftOut::UnknownName)?;
                Ok(Some(name.to_owned()))
            }
            other => Ok(other.map(ToOwned::to_owned)),
        }
    }

    fn send_signal(
        &mut self,
        message: &Message,
        destination: Option<&str>,
        arguments: &Arguments,
    ) -> Result<()> {
        let header = message.header();
        let (Some(path), Some(interface), Some(member)) =
            (header.path, header.interface, header.member)
        else {
            return Ok(());
        };
        let destination = destination.map(BusName::parse).transpose().map_err(Error::from)?;
        self.connection.emit_signal(destination, path, interface, member, arguments)?;
        self.summary.signals += 1;
        Ok(())
    }

    fn send_call(
        &mut self,
        message: &Message,
        destination: Option<&str>,
        arguments: &Arguments,
    ) -> Result<()> {
        let header = message.header();
        let (Some(path), Some(member)) = (header.path, header.member) else { return Ok(()) };
        let mut call =
            MethodCall::new(path, member)?.auto_start(!header.flags.contains(Flags::NO_AUTO_START));
        if let Some(destination) = destination {
            call = call.destination(destination)?;
        }
        if let Some(interface) = header.interface {
            call = call.interface(interface)?;
        }
        self.summary.calls += 1;
        if header.flags.contains(Flags::NO_REPLY_EXPECTED) {
            return Ok(self.connection.call_no_reply(&call, arguments)?);
        }
        let pending = self.connection.send(&call, arguments)?;
        self.under_way.push_back(pending);
        match self.under_way.len() > UNDER_WAY_MAX {
            true => self.under_way.pop_front().map_or(Ok(()), |oldest| self.await_reply(oldest)),
            false => Ok(()),
        }
    }

    fn await_reply(&mut self, call: PendingReply) -> Result<()> {
        match call.wait() {
            Ok(_) => self.summary.replies += 1,
            Err(Error::Method(error)) => self.summary.note_error(error.name()),
            Err(Error::TimedOut(_)) => self.summary.unanswered += 1,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

fn parse_speed(text: &str) -> std::result::Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "this is no number".to_owned())?;
    match speed.is_finite() && speed > 0.0 {
        true => Ok(speed),
        false => Err("a speed is more than 0".to_owned()),
    }
}
