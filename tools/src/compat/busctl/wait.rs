//! Waiting for a signal (tools.md D009), as version 257 does, and for several of them (D027).

use std::time::{Duration, Instant};

use libbus::Error;

use super::bus::{connect, text_of};
use super::call::{check_interface, check_member, check_path, check_service};
use super::options::Options;
use super::{Result, because, print, say};

/// `[SERVICE] OBJECT INTERFACE SIGNAL`
pub(super) fn wait(options: &Options, words: &[String]) -> Result<()> {
    let (sender, rest) = match words {
        [sender, rest @ ..] if rest.len() == 3 => (Some(sender), rest),
        _ => (None, words),
    };
    let [path, interface, member] = rest else { return Ok(()) };
    sender.map_or(Ok(()), |sender| check_service(sender))?;
    check_path(path)?;
    check_interface(interface)?;
    check_member(member)?;
    let connection = connect(options)?;
    let mut rule = format!("type='signal',path='{path}',interface='{interface}',member='{member}'");
    if let Some(sender) = sender {
        rule += &format!(",sender='{sender}'");
    }
    let mut signals = connection.receive_signals(&rule).map_err(|error| {
        let why = text_of(&error);
        because(format!("Failed to match signal {member} on interface {interface}: {why}"))
    })?;
    super::monitor::notify_ready();
    let deadline = options.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut left = options.limit.unwrap_or(1);
    loop {
        let signal = match deadline {
            None => signals.next_signal(),
            Some(deadline) => signals.next_within(left_until(deadline)),
        };
        match signal {
            Ok(signal) => print::body(options, &signal)?,
            // The time that one wants to wait is over, and that was wanted.
            Err(Error::TimedOut(_)) => return Ok(()),
            Err(error) => {
                return Err(because(format!("Failed to wait for bus: {}", text_of(&error))));
            }
        }
        left = left.saturating_sub(1);
        if left == 0 && options.limit != Some(0) {
            if options.limit.is_some() && !options.is_quiet && options.json.is_none() {
                say("Received requested maximum number of signals, exiting.");
            }
            return Ok(());
        }
    }
}

pub(super) fn left_until(deadline: Instant) -> Duration {
    deadline.checked_duration_since(Instant::now()).unwrap_or(Duration::ZERO)
}
