//! How a message looks: a line that says who, what and when, and lines with what it carries.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use libbus::message::Message;
use libbus::wire::{Flags, MessageType};
use serde_json::{Value as Json, json};

use super::{Call, Seen};
use crate::conversation::Names;
use crate::failure::Result;
use crate::options::{JsonForm, Options};
use crate::output::escape::plain;
use crate::output::out::Out;
use crate::output::style::{Look, Style};
use crate::value::{Value, flat, json as value_json};

/// Characters of a value that are shown if nothing else is asked for.
const VALUE_WIDTH_MAX: usize = 400;

/// Prints messages one after the other.
pub(crate) struct Printer {
    style: Style,
    json: Option<JsonForm>,
    has_body: bool,
    is_full: bool,
    zone: TimeZone,
}

impl Printer {
    pub(crate) fn new(options: &Options, has_body: bool, is_full: bool) -> Self {
        let (style, json) = (options.style(), options.json());
        Self { style, json, has_body, is_full, zone: TimeZone::system() }
    }

    pub(crate) fn print(&mut self, out: &mut Out, seen: &Seen<'_>, names: &Names) -> Result<()> {
        if let Some(form) = self.json {
            return out.json(form, &to_json(seen));
        }
        out.line(&self.head(seen, names))?;
        if !self.has_body {
            return Ok(());
        }
        for value in Value::of_message(seen.message) {
            let mut text = value.signature() + " ";
            flat::write(&mut text, &value);
            let text = if self.is_full { text } else { shortened(text) };
            out.line(&format!("    {text}"))?;
        }
        Ok(())
    }

    fn head(&self, seen: &Seen<'_>, names: &Names) -> String {
        let header = seen.message.header();
        let time = self.style.paint(Look::Dim, &self.clock(seen.time));
        let who =
            |name: Option<&str>| name.map_or_else(|| "?".to_owned(), |name| called(name, names));
        let sender = who(header.sender.map(|name| name.as_str()));
        let receiver = header.destination.map(|name| called(name.as_str(), names));
        let way = match receiver {
            Some(receiver) => format!("{sender} → {receiver}"),
            None => format!("{sender} → all"),
        };
        let (word, look) = kind(seen.message);
        format!("{time} {} {way}  {}", self.style.paint(look, word), self.what(seen))
    }

    /// The object and its member, or what a reply is for.
    fn what(&self, seen: &Seen<'_>) -> String {
        let Some(call) = seen.message.reply_serial() else {
            let no_reply = seen.message.flags().contains(Flags::NO_REPLY_EXPECTED)
                && seen.message.message_type() == MessageType::MethodCall;
            let serial =
                format!("#{}{}", seen.message.serial(), if no_reply { " no reply" } else { "" });
            return format!("{} {}", member(seen.message), self.style.paint(Look::Dim, &serial));
        };
        let to = match seen.call {
            Some(Call { path, interface, member }) => what_of(path, interface.as_deref(), member),
            None => format!("#{call}"),
        };
        let time = seen.duration.map(|time| format!(", {}", length(time))).unwrap_or_default();
        match seen.message.error() {
            Some((name, _)) => {
                format!("{} for {to}{time}", self.style.paint(Look::Red, name.as_str()))
            }
            None => format!("for {to}{time}"),
        }
    }

    /// Of the day, where this program runs.
    fn clock(&self, time: Duration) -> String {
        let nanoseconds = i128::try_from(time.as_nanos()).unwrap_or_default();
        let timestamp = Timestamp::from_nanosecond(nanoseconds).unwrap_or_default();
        timestamp.to_zoned(self.zone.clone()).strftime("%H:%M:%S%.6f").to_string()
    }
}

fn kind(message: &Message) -> (&'static str, Look) {
    match message.message_type() {
        MessageType::MethodCall => ("call  ", Look::Blue),
        MessageType::MethodReturn => ("reply ", Look::Green),
        MessageType::Error => ("error ", Look::Red),
        MessageType::Signal => ("signal", Look::Yellow),
        MessageType::Unknown(_) => ("?     ", Look::Red),
    }
}

/// A client, with a well-known name of it.
fn called(name: &str, names: &Names) -> String {
    match names.names_of(name) {
        [known, ..] => plain(&format!("{known}({name})")),
        [] => plain(name),
    }
}

fn member(message: &Message) -> String {
    let path = message.path().map(|path| path.as_str()).unwrap_or_default();
    let member = message.member().map(|name| name.as_str()).unwrap_or_default();
    what_of(path, message.interface().map(|name| name.as_str()), member)
}

fn what_of(path: &str, interface: Option<&str>, member: &str) -> String {
    match interface {
        Some(interface) => plain(&format!("{path} {interface}.{member}")),
        None => plain(&format!("{path} {member}")),
    }
}

fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(VALUE_WIDTH_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// In the unit that suits it.
pub(crate) fn length(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        ..1e-3 => format!("{:.0} µs", seconds * 1e6),
        ..1.0 => format!("{:.1} ms", seconds * 1e3),
        _ => format!("{seconds:.2} s"),
    }
}

fn to_json(seen: &Seen<'_>) -> Json {
    let message = seen.message;
    let header = message.header();
    let kind = match message.message_type() {
        MessageType::MethodCall => "method_call",
        MessageType::MethodReturn => "method_return",
        MessageType::Error => "error",
        MessageType::Signal => "signal",
        MessageType::Unknown(_) => "unknown",
    };
    let call = seen.call.map(
        |Call { path, interface, member }| json!({ "path": path, "interface": interface, "member": member }),
    );
    json!({
        "time": seen.time.as_secs_f64(),
        "type": kind,
        "flags": message.flags().bits(),
        "serial": message.serial(),
        "reply_serial": message.reply_serial(),
        "sender": header.sender.map(|name| name.as_str().to_owned()),
        "destination": header.destination.map(|name| name.as_str().to_owned()),
        "path": header.path.map(|path| path.as_str().to_owned()),
        "interface": header.interface.map(|name| name.as_str().to_owned()),
        "member": header.member.map(|name| name.as_str().to_owned()),
        "error_name": header.error_name.map(|name| name.as_str().to_owned()),
        "call": call,
        "duration": seen.duration.map(|time| time.as_secs_f64()),
        "payload": value_json::body_to_json(&Value::of_message(message)),
    })
}
