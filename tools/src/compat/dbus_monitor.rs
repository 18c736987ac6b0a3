//! `dbus-monitor` (tools.md D048–D050): what others send, as text, a line for each message, or bytes for other programs.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

use libbus::blocking::{Builder, Connection, Monitor};
use libbus::host::phrase;
use libbus::message::Message;
use libbus::wire::MessageType;
use libbus::{Error, Watching};

use super::libdbus::{connect_text, error_parts, shown};
use super::print_message::{Form, seconds};
use crate::capture::Writer;
use crate::clock::now;

const USAGE: &str = "\
Usage: dbus-monitor [--system | --session | --address ADDRESS] [--monitor | --profile | --pcap | --binary ] [watch expressions]";

const TWO_BUSES: &str = "I only support monitoring one bus at a time!";

/// What the columns of `--profile` are; a reply has one for the call that it answers, and none after it.
const PROFILE_HEAD: &str = "\
#type\ttimestamp\tserial\tsender\tdestination\tpath\tinterface\tmember
#\t\t\t\t\tin_reply_to
";

/// What the end of the connection looks like: the message of libdbus to its own program, which has no serial.
const LOCAL: [&str; 3] =
    ["/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local", "Disconnected"];

/// Which bus.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Bus {
    Session,
    System,
    Address(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Monitor,
    Profile,
    Pcap,
    Binary,
}

/// What is asked for.
struct Wanted {
    bus: Bus,
    mode: Mode,
    rules: Vec<String>,
}

/// Why it ends.
enum End {
    /// It was asked for its usage.
    Help,
    /// With what to say.
    Failed(String),
    /// Nobody reads what is written.
    NoReader,
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Self::NoReader,
            _ => Self::Failed(format!("dbus-monitor: {}", phrase(&error))),
        }
    }
}

/// Shows messages until the bus ends.
pub(super) fn run(words: &[OsString]) -> ExitCode {
    match parse(words).and_then(|wanted| watch(&wanted)) {
        Ok(()) | Err(End::NoReader) => ExitCode::SUCCESS,
        Err(End::Help) => {
            complain!("{USAGE}");
            ExitCode::SUCCESS
        }
        Err(End::Failed(text)) => {
            complain!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn parse(words: &[OsString]) -> Result<Wanted, End> {
    let usage = || End::Failed(USAGE.to_owned());
    let (mut bus, mut mode, mut rules) = (None, Mode::Monitor, Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let not_text = || End::Failed("dbus-monitor: an argument is not UTF-8".to_owned());
        match word.to_str().ok_or_else(not_text)? {
            "--system" => choose(&mut bus, Bus::System)?,
            "--session" => choose(&mut bus, Bus::Session)?,
            "--address" => {
                let address = words.next().and_then(|word| word.to_str()).ok_or_else(usage)?;
                choose(&mut bus, Bus::Address(address.to_owned()))?;
            }
            "--monitor" => mode = Mode::Monitor,
            "--profile" => mode = Mode::Profile,
            "--pcap" => mode = Mode::Pcap,
            "--binary" => mode = Mode::Binary,
            "--help" => return Err(End::Help),
            "--" => {}
            option if option.starts_with('-') => return Err(usage()),
            rule => rules.push(rule.to_owned()),
        }
    }
    Ok(Wanted { bus: bus.unwrap_or(Bus::Session), mode, rules })
}

/// There is one bus.
fn choose(bus: &mut Option<Bus>, chosen: Bus) -> Result<(), End> {
    match bus.replace(chosen) {
        None => Ok(()),
        Some(_) => Err(End::Failed(format!("{TWO_BUSES}\n{USAGE}"))),
    }
}

fn watch(wanted: &Wanted) -> Result<(), End> {
    let mut monitor = connect(&wanted.bus)?;
    begin(monitor.connection(), &wanted.rules).map_err(End::Failed)?;
    let out = io::stdout().lock();
    match wanted.mode {
        Mode::Monitor => {
            let form = Form::new(false);
            print(
                &mut monitor,
                out,
                |message, time| form.message(message, time),
                |time| {
                    let [path, interface, member] = LOCAL;
                    format!(
                        "signal time={} sender=(null sender) -> destination=(null destination) \
                     serial=0 path={path}; interface={interface}; member={member}\n",
                        seconds(time)
                    )
                },
            )
        }
        Mode::Profile => {
            let mut out = out;
            out.write_all(PROFILE_HEAD.as_bytes())?;
            print(&mut monitor, out, profile_line, |time| {
                format!("sig\t{}\t0\t<none>\t<none>\t{}\n", seconds(time), LOCAL.join("\t"))
            })
        }
        Mode::Pcap => capture(&mut monitor, Writer::pcap(out, None)?),
        Mode::Binary => capture(&mut monitor, Writer::raw(out)),
    }
}

fn connect(bus: &Bus) -> Result<Monitor, End> {
    let (name, builder) = match bus {
        Bus::Session => ("session bus", Builder::session()),
        Bus::System => ("system bus", Builder::system()),
        Bus::Address(address) => (address.as_str(), Builder::address(address)),
    };
    let made = builder.and_then(|builder| builder.monitor(&[], Watching::ByMatchRules));
    made.map_err(|error| {
        End::Failed(format!("Failed to open connection to {name}: {}", connect_text(&error)))
    })
}

/// As a monitor; where the bus does not let this be one, by rules that ask for what is for others; and where it does
/// not know of those, by plain ones.
fn begin(connection: &Connection, rules: &[String]) -> Result<(), String> {
    let (path, interface) = ("/org/freedesktop/DBus", "org.freedesktop.DBus.Monitoring");
    let destination = Some("org.freedesktop.DBus");
    let asked =
        connection.call_method(destination, path, Some(interface), "BecomeMonitor", &(rules, 0u32));
    let Err(error) = asked else { return Ok(()) };
    let (name, text) = error_parts(&error);
    complain!(
        "dbus-monitor: unable to enable new-style monitoring: {name}: \"{text}\". Falling back to eavesdropping.",
    );
    if rules.is_empty() {
        return add_match(connection, "eavesdrop=true", "");
    }
    rules.iter().try_for_each(|rule| add_match(connection, &format!("eavesdrop=true,{rule}"), rule))
}

fn add_match(connection: &Connection, eavesdropping: &str, plain: &str) -> Result<(), String> {
    let add = |rule: &str| connection.bus().call_method("AddMatch", rule).map(drop);
    add(eavesdropping).or_else(|error| add(plain).map_err(|_| error)).map_err(|error| {
        let (_, text) = error_parts(&error);
        format!("Failed to setup match \"{eavesdropping}\": {text}")
    })
}

/// Writes each message as text, and the end of the connection.
fn print(
    monitor: &mut Monitor,
    mut out: impl Write,
    line: impl Fn(&Message, Duration) -> String,
    end: impl Fn(Duration) -> String,
) -> Result<(), End> {
    let mut write = |text: String| {
        out.write_all(text.as_bytes())?;
        out.flush()
    };
    loop {
        match monitor.next_message() {
            Ok(message) => write(line(&message, now()))?,
            Err(error) => {
                write(end(now()))?;
                return ended(&error);
            }
        }
    }
}

/// Writes each message as it is.
fn capture<W: Write>(monitor: &mut Monitor, mut writer: Writer<W>) -> Result<(), End> {
    writer.flush()?;
    loop {
        match monitor.next_message() {
            Ok(message) => {
                writer.write(now(), message.bytes())?;
                writer.flush()?;
            }
            // deviation: dbus-monitor writes libdbus's own message of the end, whose serial 0 no reader accepts.
            Err(error) => return ended(&error),
        }
    }
}

/// That the bus goes is no failure.
fn ended(error: &Error) -> Result<(), End> {
    match error {
        Error::Closed | Error::Io(_) => Ok(()),
        other => Err(End::Failed(format!("dbus-monitor: {}", shown(&other.to_string())))),
    }
}

/// tools.md D049.
fn profile_line(message: &Message, time: Duration) -> String {
    let header = message.header();
    let kind = match header.message_type {
        MessageType::MethodCall => "mc",
        MessageType::MethodReturn => "mr",
        MessageType::Error => "err",
        MessageType::Signal => "sig",
        MessageType::Unknown(_) => "tun",
    };
    let or_none = |text: Option<&str>| text.unwrap_or("<none>").to_owned();
    let mut columns = vec![kind.to_owned(), seconds(time), header.serial.to_string()];
    columns.push(or_none(header.sender.map(|name| name.as_str())));
    columns.push(or_none(header.destination.map(|name| name.as_str())));
    match header.message_type {
        MessageType::MethodReturn | MessageType::Error => {
            columns.push(header.reply_serial.map_or(0, Into::into).to_string());
        }
        MessageType::Unknown(_) => {}
        MessageType::MethodCall | MessageType::Signal => columns.extend([
            or_none(header.path.map(|path| path.as_str())),
            or_none(header.interface.map(|name| name.as_str())),
            or_none(header.member.map(|name| name.as_str())),
        ]),
    }
    columns.join("\t") + "\n"
}
