//! The options of `dbus-send`: up to the object path and the name of the message, after which all is content.

use std::ffi::OsString;
use std::time::Duration;

use libbus::names::BusName;

use super::super::lenient_number::signed;
use super::super::print_message::Form;

/// What is said when the command is typed wrong, and by `--help`.
pub(super) const USAGE: &str = "\
Usage: dbus-send [--help] [--system | --session | --bus=ADDRESS | --peer=ADDRESS] [--sender=NAME] [--dest=NAME] [--type=TYPE] [--print-reply[=literal]] [--reply-timeout=MSEC] <destination object path> <message name> [contents ...]";

/// Where to send.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bus<'w> {
    Session,
    System,
    Address(&'w str),
    /// Whoever listens there is no bus.
    Peer(&'w str),
}

/// What to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    MethodCall,
    Signal,
}

/// One message.
#[derive(Debug)]
pub(super) struct Request<'w> {
    pub(super) bus: Bus<'w>,
    pub(super) sender: Option<&'w str>,
    pub(super) destination: Option<&'w str>,
    pub(super) kind: Kind,
    /// How to print the reply, if it is waited for.
    pub(super) reply: Option<Form>,
    pub(super) timeout: Option<Duration>,
    pub(super) path: &'w str,
    /// Interface and member.
    pub(super) name: &'w str,
    pub(super) contents: Vec<&'w str>,
}

#[derive(Debug)]
pub(super) enum Parsed<'w> {
    Help,
    Request(Request<'w>),
}

/// What is said so far.
#[derive(Debug, Default)]
struct Options<'w> {
    address: Option<&'w str>,
    is_peer: bool,
    is_system: bool,
    /// `--system` or `--session` was said.
    names_bus: bool,
    sender: Option<&'w str>,
    destination: Option<&'w str>,
    kind: Option<&'w str>,
    reply: Option<Form>,
    timeout: Option<Duration>,
}

/// Reads the command line.
///
/// # Errors
/// It is typed wrong: what to say.
pub(super) fn parse(words: &[OsString]) -> Result<Parsed<'_>, String> {
    let words: Option<Vec<&str>> = words.iter().map(|word| word.to_str()).collect();
    let words = words.ok_or("dbus-send: an argument is not UTF-8")?;
    if words.len() < 2 {
        return Err(USAGE.to_owned());
    }
    let mut options = Options::default();
    let mut names = Vec::new();
    let mut words = words.into_iter();
    while names.len() < 2 {
        match words.next() {
            None => return Err(USAGE.to_owned()),
            Some("--help") => return Ok(Parsed::Help),
            Some(word) if word.starts_with('-') => options.read(word)?,
            Some(word) => names.push(word),
        }
    }
    let [path, name] = names[..] else { return Err(USAGE.to_owned()) };
    options.request(path, name, words.collect()).map(Parsed::Request)
}

impl<'w> Options<'w> {
    fn read(&mut self, word: &'w str) -> Result<(), String> {
        let (option, value) = match word.split_once('=') {
            Some((option, value)) => (option, Some(value)),
            None => (word, None),
        };
        match (option, value) {
            ("--system" | "--session", None) => {
                (self.is_system, self.names_bus) = (option == "--system", true);
            }
            ("--bus" | "--peer" | "--address", Some(address)) => {
                let missing = "\"--peer=\" and \"--bus=\" require an ADDRESS";
                self.address = Some(required(address, missing)?);
                self.is_peer = option != "--bus";
            }
            ("--sender", Some(name)) => {
                self.sender = Some(bus_name(option, name, "\"--sender=\" requires a NAME")?);
            }
            ("--dest", Some(name)) => {
                self.destination = Some(bus_name(option, name, "\"--dest=\" requires an NAME")?);
            }
            ("--type", Some(kind)) => self.kind = Some(kind),
            ("--reply-timeout", Some(text)) => self.timeout = Some(timeout(text)?),
            _ => match word.strip_prefix("--print-reply") {
                Some("") => {
                    self.reply = Some(Form::new(self.reply.is_some_and(|form| form.is_literal)))
                }
                Some("=literal") => self.reply = Some(Form::new(true)),
                Some(other) => return Err(invalid("--print-reply", other)),
                None => return Err(USAGE.to_owned()),
            },
        }
        Ok(())
    }

    fn request(
        self,
        path: &'w str,
        name: &'w str,
        contents: Vec<&'w str>,
    ) -> Result<Request<'w>, String> {
        let bus = match (self.address, self.is_peer, self.is_system) {
            (Some(_), ..) if self.names_bus => {
                let text =
                    "\"--peer\" and \"--bus\" may not be used with \"--system\" or \"--session\"";
                return Err(with_usage(text));
            }
            (Some(_), true, _) if self.sender.is_some() => {
                return Err("\"--peer\" may not be used with \"--sender\"".to_owned());
            }
            (Some(address), true, _) => Bus::Peer(address),
            (Some(address), false, _) => Bus::Address(address),
            (None, _, true) => Bus::System,
            (None, _, false) => Bus::Session,
        };
        let kind = match (self.kind, self.reply) {
            (Some("method_call"), _) | (None, Some(_)) => Kind::MethodCall,
            (Some("signal"), _) | (None, None) => Kind::Signal,
            (Some(other), _) => return Err(format!("Message type \"{other}\" is not supported")),
        };
        let Self { sender, destination, reply, timeout, .. } = self;
        Ok(Request { bus, sender, destination, kind, reply, timeout, path, name, contents })
    }
}

fn with_usage(text: &str) -> String {
    format!("{text}\n{USAGE}")
}

fn invalid(option: &str, value: &str) -> String {
    with_usage(&format!("invalid value ({value}) of \"{option}\""))
}

fn required<'w>(value: &'w str, missing: &str) -> Result<&'w str, String> {
    if value.is_empty() { Err(with_usage(missing)) } else { Ok(value) }
}

fn bus_name<'w>(option: &str, value: &'w str, missing: &str) -> Result<&'w str, String> {
    let name = required(value, missing)?;
    BusName::parse(name).map(|_| name).map_err(|_| invalid(option, name))
}

/// Milliseconds; more than 32 bits hold are as many as they hold.
fn timeout(text: &str) -> Result<Duration, String> {
    let text = required(text, "\"--reply-timeout=\" requires an MSEC")?;
    match u64::try_from(signed(text)) {
        Ok(0) | Err(_) => Err(invalid("--reply-timeout", text)),
        Ok(milliseconds) => Ok(Duration::from_millis(milliseconds.min(i32::MAX as u64))),
    }
}
