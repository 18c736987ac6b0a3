//! Messages as they pass (tools.md D003, D004, D034), printed or written to a capture file.

use std::io::{BufWriter, IsTerminal as _, Read as _};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use libbus::Error;
use libbus::Watching;
use libbus::message::Message;
use libbus::names::BusName;
use libbus::wire::{Endian, MessageType};
use rustix::time::{ClockId, clock_gettime};

use super::bus::{builder, shown, text_of, unreachable};
use super::colours::{Colours, Look};
use super::json::Json;
use super::options::{JsonMode, Options};
use super::wait::left_until;
use super::{Failed, Result, because, print, say};
use crate::capture::{Section, Writer};
use crate::clock::now;
use crate::output::out::Out;
use crate::value::Value;

const LOCAL: &str = "org.freedesktop.DBus.Local";

/// Tells the service manager that started this program that it watches from now on.
pub(super) fn notify_ready() {
    // Who has not asked is not told.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
}

/// `[SERVICE...]`
pub(super) fn monitor(options: &Options, words: &[String]) -> Result<()> {
    let mut out = Out::plain();
    let end = watch(options, words, |message| {
        out.text(&text(options, message))?;
        Ok(out.flush()?)
    })?;
    if end == End::Closed && options.json.is_none() {
        out.text(&disconnected())?;
        out.flush()?;
    }
    if !options.is_quiet && options.json.is_none() {
        say(end.text());
    }
    Ok(out.finish()?)
}

/// `[SERVICE...]`
pub(super) fn capture(options: &Options, words: &[String]) -> Result<()> {
    if std::io::stdout().is_terminal() {
        let text = "Refusing to write message data to console, please redirect output to a file.";
        return Err(because(text));
    }
    let system = system_name();
    let application = concat!("bus ", env!("CARGO_PKG_VERSION"), " as busctl");
    let section = Section { system: system.as_deref(), application: Some(application) };
    let size_max = u32::try_from(options.size_max).unwrap_or(u32::MAX);
    let out = BufWriter::new(std::io::stdout());
    let mut writer = Writer::pcapng(out, section, Some(size_max)).map_err(unwritten)?;
    writer.flush().map_err(unwritten)?;
    let end = watch(options, words, |message| {
        writer.write(now(), message.bytes()).map_err(unwritten)?;
        writer.flush().map_err(unwritten)
    })?;
    if !options.is_quiet {
        say(end.text());
    }
    Ok(())
}

fn unwritten(error: std::io::Error) -> Failed {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => Failed::Silently,
        _ => because(format!("Couldn't write capture file: {}", libbus::host::phrase(&error))),
    }
}

/// What the system calls itself (os-release(5)).
fn system_name() -> Option<String> {
    const SIZE_MAX: u64 = 1 << 16;
    let files = ["/etc/os-release", "/usr/lib/os-release"];
    let file = files.iter().find_map(|file| std::fs::File::open(file).ok())?;
    let mut text = String::new();
    file.take(SIZE_MAX).read_to_string(&mut text).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(value.trim_matches(['"', '\'']).to_owned())
}

/// Why one watches no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Closed,
    Enough,
    TimedOut,
}

impl End {
    const fn text(self) -> &'static str {
        match self {
            Self::Closed => "Connection terminated, exiting.",
            Self::Enough => "Received requested maximum number of messages, exiting.",
            Self::TimedOut => "Timed out waiting for messages, exiting.",
        }
    }
}

/// Hands over each message that matches, until there is an end.
fn watch(
    options: &Options,
    words: &[String],
    mut handle: impl FnMut(&Message) -> Result<()>,
) -> Result<End> {
    let rules = rules(options, words)?;
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let deadline = options.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let monitor = builder(options)?.monitor(&rules, Watching::AsMonitor);
    let mut monitor = monitor.map_err(|error| match &error {
        Error::Method(_) | Error::MatchRule(_) | Error::TimedOut(_) => {
            let why = match &error {
                Error::MatchRule(error) => error.to_string(),
                error => text_of(error),
            };
            because(format!("Call to org.freedesktop.DBus.Monitoring.BecomeMonitor failed: {why}"))
        }
        error => unreachable(error),
    })?;
    say("Monitoring bus message stream.");
    notify_ready();
    let mut is_monitor = false;
    let mut left = options.limit.unwrap_or_default();
    loop {
        let message = match deadline {
            None => monitor.next_message(),
            Some(deadline) => monitor.next_within(left_until(deadline)),
        };
        let message = match message {
            Ok(message) => message,
            Err(Error::TimedOut(_)) => return Ok(End::TimedOut),
            Err(error) if error.is_disconnected() => return Ok(End::Closed),
            Err(error) => {
                return Err(because(format!("Failed to process bus: {}", text_of(&error))));
            }
        };
        // What comes before is for the client that it was.
        if !is_monitor {
            is_monitor = is_own_loss(&message, monitor.unique_name());
            continue;
        }
        handle(&message)?;
        if left > 0 {
            left -= 1;
            if left == 0 {
                return Ok(End::Enough);
            }
        }
    }
}

/// Whoever one of them matches is seen.
fn rules(options: &Options, words: &[String]) -> Result<Vec<String>> {
    let mut rules = Vec::new();
    for word in words {
        BusName::parse(word).map_err(|_| because(format!("Invalid service name '{word}'")))?;
        rules.extend([format!("sender='{word}'"), format!("destination='{word}'")]);
    }
    rules.extend(options.matches.iter().cloned());
    Ok(rules)
}

/// Whether the bus says that a monitor has no name any more.
fn is_own_loss(message: &Message, name: Option<&str>) -> bool {
    let is_loss = message.member().is_some_and(|member| member.as_str() == "NameLost")
        && message.sender().is_some_and(|sender| sender.as_str() == "org.freedesktop.DBus");
    is_loss && message.deserialize::<&str>().ok() == name
}

fn text(options: &Options, message: &Message) -> String {
    let now = now();
    match options.json {
        Some(mode) => json(mode, message, now),
        None => {
            let values = print::values_of(message);
            let body = print::verbose_body(message, &values, "  ");
            let colours = Colours::wanted();
            format!("{}{}{body}\n", head(colours, message, now), names(colours, message))
        }
    }
}

const fn type_name(message_type: MessageType) -> &'static str {
    match message_type {
        MessageType::MethodCall => "method_call",
        MessageType::MethodReturn => "method_return",
        MessageType::Error => "error",
        MessageType::Signal => "signal",
        MessageType::Unknown(_) => "n/a",
    }
}

fn endian(message: &Message) -> char {
    match message.endian() {
        Endian::Little => 'l',
        Endian::Big => 'B',
    }
}

fn head(colours: Colours, message: &Message, now: Duration) -> String {
    let reply = message.reply_serial().map(|serial| format!("  ReplyCookie={serial}"));
    let look = match message.message_type() {
        MessageType::Error => Look::BoldRed,
        MessageType::MethodReturn => Look::BoldGreen,
        _ => Look::Highlight,
    };
    let start = match message.message_type() {
        MessageType::Signal => "",
        _ => colours.start(look),
    };
    format!(
        "{start}‣{} Type={}  Endian={}  Flags={}  Version=1 Cookie={}{}  Timestamp=\"{}\"\n",
        colours.end(),
        colours.paint(Look::Highlight, type_name(message.message_type())),
        endian(message),
        message.flags().bits(),
        message.serial(),
        reply.unwrap_or_default(),
        utc(now),
    )
}

/// As `Sun 2026-11-29 21:39:46.268921 UTC`.
fn utc(time: Duration) -> String {
    let time = i64::try_from(time.as_micros()).ok();
    let time = time.and_then(|time| Timestamp::from_microsecond(time).ok()).unwrap_or_default();
    time.strftime("%a %Y-%m-%d %H:%M:%S%.6f UTC").to_string()
}

fn names(colours: Colours, message: &Message) -> String {
    let out = std::io::stdout();
    let header = message.header();
    let sender = header.sender.map(BusName::as_str);
    let row = [
        ("Sender", sender),
        ("Destination", header.destination.map(BusName::as_str)),
        ("Path", header.path.map(|path| path.as_str())),
        ("Interface", header.interface.map(|name| name.as_str())),
        ("Member", header.member.map(|name| name.as_str())),
    ];
    let painted = |look, text: &str| colours.paint(look, &shown(text, &out));
    let row = row.iter().filter_map(|(key, value)| {
        Some(format!("  {key}={}", painted(Look::Highlight, (*value)?)))
    });
    let mut text: String = row.collect();
    if !text.is_empty() {
        text.push('\n');
    }
    if let Some((name, says)) = message.error() {
        let has_text = message.signature().as_str().starts_with('s');
        let says = if has_text { says } else { "n/a" };
        let name = painted(Look::BoldRed, name.as_str());
        let says = painted(Look::BoldRed, &format!("\"{says}\""));
        text += &format!("  ErrorName={name}  ErrorMessage={says}\n");
    }
    if let Some(sender) = sender.filter(|sender| sender.starts_with(':')) {
        text += &format!("  UniqueName={sender}\n");
    }
    text
}

fn json(mode: JsonMode, message: &Message, now: Duration) -> String {
    let values: Vec<Value> = print::values_of(message);
    let header = message.header();
    let text = |text: Option<&str>| text.map(Json::text);
    let entries = [
        ("type", Some(Json::text(type_name(message.message_type())))),
        ("endian", Some(Json::text(endian(message)))),
        ("flags", Some(Json::number(message.flags().bits()))),
        ("version", Some(Json::number(1))),
        ("cookie", Some(Json::number(message.serial()))),
        ("reply_cookie", message.reply_serial().map(Json::number)),
        ("timestamp-realtime", Some(Json::number(now.as_micros()))),
        ("sender", text(header.sender.map(BusName::as_str))),
        ("destination", text(header.destination.map(BusName::as_str))),
        ("path", text(header.path.map(|path| path.as_str()))),
        ("interface", text(header.interface.map(|name| name.as_str()))),
        ("member", text(header.member.map(|name| name.as_str()))),
        ("error_name", text(header.error_name.map(|name| name.as_str()))),
        ("payload", Some(Json::body(message, &values))),
    ];
    let entries = entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    print::json_text(mode, &Json::Object(entries.collect()))
}

/// The message that systemd's library makes for itself when the bus has gone.
fn disconnected() -> String {
    let now = now();
    let monotonic = clock_gettime(ClockId::Monotonic);
    let monotonic = i128::from(monotonic.tv_sec) * 1_000_000 + i128::from(monotonic.tv_nsec) / 1000;
    let colours = Colours::wanted();
    let [kind, local, path, member] =
        ["signal", LOCAL, "/org/freedesktop/DBus/Local", "Disconnected"]
            .map(|text| colours.paint(Look::Highlight, text));
    format!(
        "‣{} Type={kind}  Endian=l  Flags=1  Version=1 Cookie=-1  Timestamp=\"{}\"\n  \
         Sender={local}  Path={path}  Interface={local}  Member={member}\n  \
         Monotonic={monotonic}  Realtime={}\n  UniqueName={LOCAL}  WellKnownNames={LOCAL}\n  \
         MESSAGE \"\" {{\n  }};\n\n",
        colours.end(),
        utc(now),
        now.as_micros(),
    )
}
