//! `bus wait` (tools.md D009, D039, D065): for a signal, or for a name.

use std::time::{Duration, Instant};

use clap::Args;
use libbus::Error;
use libbus::blocking::Connection;
use libbus::match_rule::{ArgumentMatch, MatchRule, PathMatch};
use libbus::names::{BusName, InterfaceName, MemberName, ObjectPath};
use libbus::wire::MessageType;

use crate::commands::call::{body_text, named, split_member};
use crate::failure::{Failure, Result};
use crate::options::Options;
use crate::output::out::Out;
use crate::value::{Value, json};

/// Wait until somebody has a name, or for a signal
///
/// Signals are seen as every program sees them: no privilege is needed. What they carry is shown.
#[derive(Args, Debug)]
#[command(
    override_usage = "bus wait [OPTIONS] NAME\n       bus wait [OPTIONS] [NAME] PATH INTERFACE.SIGNAL"
)]
pub(crate) struct Wait {
    /// NAME, for somebody to have it; or [NAME] PATH INTERFACE.SIGNAL
    #[arg(value_name = "WORD", num_args = 1..=3, required = true)]
    words: Vec<String>,

    /// End after so many signals; 0 is without end
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 1)]
    count: u64,

    /// Start the service that has the name, if it can be started
    #[arg(long)]
    activate: bool,

    /// Until nobody has the name
    #[arg(long, conflicts_with = "activate")]
    gone: bool,
}

impl Wait {
    pub(crate) fn run(self, options: &Options) -> Result<()> {
        let deadline = options.deadline();
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        match words.as_slice() {
            [name] if !name.starts_with('/') => {
                options.bus.must_be_bus("wait NAME")?;
                let name = named("bus name", name, BusName::parse)?;
                self.wait_for_name(&options.connect()?, name, deadline)
            }
            [path, member] => self.wait_for_signal((None, path, member), deadline, options),
            [_, _, _] if options.bus.is_peer() => {
                let text = "with --peer there is no NAME";
                Err(Failure::usage(text)
                    .hint("for example: bus wait --peer=ADDRESS PATH INTERFACE.SIGNAL"))
            }
            [name, path, member] => {
                self.wait_for_signal((Some(name), path, member), deadline, options)
            }
            _ => Err(Failure::usage("expected NAME, or [NAME] PATH INTERFACE.SIGNAL")),
        }
    }

    fn wait_for_name(
        &self,
        connection: &Connection,
        name: BusName<'_>,
        deadline: Option<Instant>,
    ) -> Result<()> {
        let rule = MatchRule {
            message_type: Some(MessageType::Signal),
            sender: Some("org.freedesktop.DBus".into()),
            member: Some("NameOwnerChanged".into()),
            arguments: Box::new([(0, ArgumentMatch::Equal(name.as_str().into()))]),
            ..MatchRule::default()
        };
        let mut changes = connection.receive_signals(&rule.to_string())?;
        let bus = || connection.bus().timeout(left(deadline));
        if self.activate {
            bus().call_method("StartServiceByName", &(name.as_str(), 0u32)).map_err(late)?;
        }
        loop {
            let is_there: bool = bus().call("NameHasOwner", name.as_str()).map_err(late)?;
            if is_there != self.gone {
                return Ok(());
            }
            next(&mut changes, deadline)?;
        }
    }

    fn wait_for_signal(
        &self,
        (sender, path, member): (Option<&str>, &str, &str),
        deadline: Option<Instant>,
        options: &Options,
    ) -> Result<()> {
        let (Some(interface), member) = split_member(member) else {
            return Err(Failure::usage("a signal has an interface: INTERFACE.SIGNAL"));
        };
        let rule = rule_of_signal(sender, path, interface, member)?;
        let connection = options.connect()?;
        let mut signals = connection.receive_signals(&rule.to_string())?;
        if !options.quiet {
            complain!("bus: waiting for {interface}.{member}");
        }
        let mut out = Out::plain();
        let mut left = self.count;
        loop {
            let signal = next(&mut signals, deadline)?;
            debug_assert_eq!(signal.message_type(), MessageType::Signal);
            let values = Value::of_message(&signal);
            match options.json() {
                Some(form) => out.json(form, &json::body_to_json(&values))?,
                None => out.text(&body_text(&values, false))?,
            }
            out.flush()?;
            left = left.saturating_sub(u64::from(self.count > 0));
            if self.count > 0 && left == 0 {
                return out.finish();
            }
        }
    }
}

fn rule_of_signal(
    sender: Option<&str>,
    path: &str,
    interface: &str,
    member: &str,
) -> Result<MatchRule> {
    let sender = sender.map(|name| named("bus name", name, BusName::parse)).transpose()?;
    let path = named("object path", path, ObjectPath::parse)?;
    let interface = named("interface", interface, InterfaceName::parse)?;
    let member = named("signal", member, MemberName::parse)?;
    Ok(MatchRule {
        message_type: Some(MessageType::Signal),
        sender: sender.map(|name| name.as_str().into()),
        path: Some(PathMatch::Exact(path.as_str().into())),
        interface: Some(interface.as_str().into()),
        member: Some(member.as_str().into()),
        ..MatchRule::default()
    })
}

/// The time until then; for ever, if there is no end.
fn left(deadline: Option<Instant>) -> Option<Duration> {
    deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
}

fn late(error: Error) -> Failure {
    match error {
        Error::TimedOut(_) => Failure::refused("it did not come in time"),
        error => error.into(),
    }
}

/// # Errors
/// The time is over, or the connection.
fn next(
    signals: &mut libbus::blocking::SignalStream,
    deadline: Option<Instant>,
) -> Result<libbus::message::Message> {
    let next = match left(deadline) {
        None => signals.next_signal(),
        Some(left) => signals.next_within(left),
    };
    next.map_err(late)
}
