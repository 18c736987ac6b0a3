//! The command line (tools.md D013–D027).

use std::time::Duration;

use super::super::c_numbers::{size, words_of};
use super::super::getopt::{self, Item, Takes};
use super::bus::shown;
use super::{Failed, Result, because};
use crate::duration::parse_duration;
use crate::value::flat::boolean;

pub(super) const HELP: &str = "\
busctl [OPTIONS...] COMMAND ...

See and use a D-Bus message bus.

Commands:
  list                     Who is on the bus, and who can be started
  status [SERVICE|PID]     Who somebody is; the bus itself if nobody is named
  monitor [SERVICE...]     Print messages as they pass
  capture [SERVICE...]     Write messages to a pcapng file on standard output
  tree [SERVICE...]        The objects of services
  introspect SERVICE OBJECT [INTERFACE]
                           What an object has
  call SERVICE OBJECT INTERFACE METHOD [SIGNATURE [ARGUMENT...]]
                           Call a method
  emit OBJECT INTERFACE SIGNAL [SIGNATURE [ARGUMENT...]]
                           Emit a signal
  wait [SERVICE] OBJECT INTERFACE SIGNAL
                           Wait for a signal
  get-property SERVICE OBJECT INTERFACE PROPERTY...
                           Print the values of properties
  set-property SERVICE OBJECT INTERFACE PROPERTY SIGNATURE ARGUMENT...
                           Change a property
  help                     Print this text

Options:
  -h --help                Print this text
     --version             Print which program this is
     --no-pager            Do not page long output
     --no-legend           No line of titles
  -l --full                Do not shorten values
     --system              The system bus, as without any of these
     --user                The bus of your session
  -H --host=[USER@]HOST    The system bus of another machine, by ssh
  -M --machine=[USER@]CONTAINER
                           The bus of a container
  -C --capsule=NAME        The bus of a capsule
     --address=ADDRESS     The bus at this address
     --show-machine        list: also the machine of each name
     --unique              list: unique names
     --acquired            list: well-known names that somebody has
     --activatable         list: names that can be started
     --match=RULE          monitor, capture: messages that match
     --size=SIZE           capture: most bytes of a message that are written
     --list                tree: one path on each line
  -q --quiet               Do not print replies
     --verbose             Values over several lines, with their types
     --json=MODE           JSON: pretty, short or off
  -j                       JSON: pretty on a terminal, else short
     --xml-interface       introspect: the XML as the object sent it
     --expect-reply=BOOL   call: wait for the reply
     --auto-start=BOOL     call, emit: start the service if it does not run
     --allow-interactive-authorization=BOOL
                           call: the service may ask the user
     --timeout=SECS        Wait at most so long
  -N --limit-messages=NUMBER
                           monitor, wait: end after so many messages
     --augment-creds=BOOL  list, status: also what /proc/PID tells
     --watch-bind=BOOL     Wait for a bus that is not there yet
     --destination=SERVICE emit: to one receiver alone
";

/// Where the bus is, if no address is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Transport {
    #[default]
    Local,
    Remote(String),
    Machine(String),
    Capsule(String),
}

/// How JSON looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JsonMode {
    Short,
    Pretty,
    /// As it suits where it goes.
    Auto,
}

#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) has_pager: bool,
    pub(super) has_legend: bool,
    pub(super) is_full: bool,
    pub(super) is_user: bool,
    pub(super) transport: Transport,
    pub(super) address: Option<String>,
    pub(super) show_machine: bool,
    pub(super) unique: bool,
    pub(super) acquired: bool,
    pub(super) activatable: bool,
    pub(super) matches: Vec<String>,
    pub(super) size_max: u64,
    pub(super) is_list: bool,
    pub(super) is_quiet: bool,
    pub(super) is_verbose: bool,
    pub(super) json: Option<JsonMode>,
    pub(super) is_xml: bool,
    pub(super) expects_reply: bool,
    pub(super) may_start: bool,
    pub(super) may_ask: bool,
    /// `None` is what is usual for the verb.
    pub(super) timeout: Option<Duration>,
    /// `None` is what is usual for the verb, 0 is without end.
    pub(super) limit: Option<u64>,
    pub(super) augments: bool,
    pub(super) waits_for_bus: bool,
    pub(super) destination: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            has_pager: true,
            has_legend: true,
            is_full: false,
            is_user: false,
            transport: Transport::Local,
            address: None,
            show_machine: false,
            unique: false,
            acquired: false,
            activatable: false,
            matches: Vec::new(),
            size_max: 4096,
            is_list: false,
            is_quiet: false,
            is_verbose: false,
            json: None,
            is_xml: false,
            expects_reply: true,
            may_start: true,
            may_ask: true,
            timeout: None,
            limit: None,
            augments: true,
            waits_for_bus: false,
            destination: None,
        }
    }
}

/// What the command line wants.
#[derive(Debug)]
pub(super) enum Asked {
    Help,
    /// Only this text.
    Text(String),
    /// A verb and its arguments.
    Verb(Box<Options>, Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Help,
    Version,
    NoPager,
    NoLegend,
    Full,
    System,
    User,
    Host,
    Machine,
    Capsule,
    Address,
    ShowMachine,
    Unique,
    Acquired,
    Activatable,
    Match,
    Size,
    List,
    Quiet,
    Verbose,
    Xml,
    ExpectReply,
    AutoStart,
    Interactive,
    Timeout,
    Limit,
    Augment,
    WatchBind,
    Destination,
    Json,
    JsonAuto,
}

use Takes::{Nothing, Value};

const OPTIONS: getopt::Options<Key> = getopt::Options {
    program: "busctl",
    short: &[
        ('h', Nothing, Key::Help),
        ('H', Value, Key::Host),
        ('M', Value, Key::Machine),
        ('C', Value, Key::Capsule),
        ('q', Nothing, Key::Quiet),
        ('j', Nothing, Key::JsonAuto),
        ('l', Nothing, Key::Full),
        ('N', Value, Key::Limit),
    ],
    long: &[
        ("help", Nothing, Key::Help),
        ("version", Nothing, Key::Version),
        ("no-pager", Nothing, Key::NoPager),
        ("no-legend", Nothing, Key::NoLegend),
        ("full", Nothing, Key::Full),
        ("system", Nothing, Key::System),
        ("user", Nothing, Key::User),
        ("address", Value, Key::Address),
        ("show-machine", Nothing, Key::ShowMachine),
        ("unique", Nothing, Key::Unique),
        ("acquired", Nothing, Key::Acquired),
        ("activatable", Nothing, Key::Activatable),
        ("match", Value, Key::Match),
        ("host", Value, Key::Host),
        ("machine", Value, Key::Machine),
        ("capsule", Value, Key::Capsule),
        ("size", Value, Key::Size),
        ("list", Nothing, Key::List),
        ("quiet", Nothing, Key::Quiet),
        ("verbose", Nothing, Key::Verbose),
        ("xml-interface", Nothing, Key::Xml),
        ("expect-reply", Value, Key::ExpectReply),
        ("auto-start", Value, Key::AutoStart),
        ("allow-interactive-authorization", Value, Key::Interactive),
        ("timeout", Value, Key::Timeout),
        ("augment-creds", Value, Key::Augment),
        ("watch-bind", Value, Key::WatchBind),
        ("json", Value, Key::Json),
        ("destination", Value, Key::Destination),
        ("limit-messages", Value, Key::Limit),
    ],
};

/// # Errors
/// An option is none, or its value.
pub(super) fn parse(arguments: &[String]) -> Result<Asked> {
    let mut options = Options::default();
    let mut words = Vec::new();
    for item in OPTIONS.read(arguments) {
        match item.map_err(misread)? {
            Item::Word(word) => words.push(word),
            Item::Option(Key::Help, _) => return Ok(Asked::Help),
            Item::Option(Key::Version, _) => {
                let version = env!("CARGO_PKG_VERSION");
                return Ok(Asked::Text(format!("bus {version} as busctl\n")));
            }
            Item::Option(Key::Json, mode) if mode == "help" => {
                return Ok(Asked::Text("pretty\nshort\noff\n".to_owned()));
            }
            Item::Option(key, value) => options.set(key, value)?,
        }
    }
    Ok(Asked::Verb(Box::new(options), words))
}

/// What the C library says of options, it says by itself.
fn misread(text: String) -> Failed {
    complain!("{}", shown(&text, &std::io::stderr()));
    Failed::Silently
}

impl Options {
    fn set(&mut self, key: Key, value: String) -> Result<()> {
        match key {
            Key::NoPager => self.has_pager = false,
            Key::NoLegend => self.has_legend = false,
            Key::Full => self.is_full = true,
            Key::System => self.is_user = false,
            Key::User => self.is_user = true,
            Key::Host => self.transport = Transport::Remote(value),
            Key::Machine => self.transport = Transport::Machine(value),
            Key::Capsule => self.transport = Transport::Capsule(capsule(value)?),
            Key::Address => self.address = Some(value),
            Key::ShowMachine => self.show_machine = true,
            Key::Unique => self.unique = true,
            Key::Acquired => self.acquired = true,
            Key::Activatable => self.activatable = true,
            Key::Match => self.matches.push(value),
            Key::Size => self.size_max = parse_size(&value)?,
            Key::List => self.is_list = true,
            Key::Quiet => self.is_quiet = true,
            Key::Verbose => self.is_verbose = true,
            Key::Xml => self.is_xml = true,
            Key::ExpectReply => self.expects_reply = parse_boolean("expect-reply", &value)?,
            Key::AutoStart => self.may_start = parse_boolean("auto-start", &value)?,
            Key::Interactive => {
                self.may_ask = parse_boolean("allow-interactive-authorization", &value)?;
            }
            Key::Timeout => self.timeout = parse_timeout(&value)?,
            Key::Limit => self.limit = Some(parse_limit(&value)?),
            Key::Augment => self.augments = parse_boolean("augment-creds", &value)?,
            Key::WatchBind => self.waits_for_bus = parse_boolean("watch-bind", &value)?,
            Key::Destination => self.destination = Some(value),
            Key::Json => self.json = parse_json(&value)?,
            Key::JsonAuto => self.json = Some(JsonMode::Auto),
            Key::Help | Key::Version => {}
        }
        Ok(())
    }
}

fn parse_boolean(option: &str, value: &str) -> Result<bool> {
    let wrong = || because(format!("Failed to parse boolean argument to --{option}=: {value}."));
    boolean(value).ok_or_else(wrong)
}

fn parse_size(value: &str) -> Result<u64> {
    size(value)
        .map_err(|errno| because(format!("Failed to parse size '{value}': {}", words_of(errno))))
}

/// 0 means what is usual.
fn parse_timeout(value: &str) -> Result<Option<Duration>> {
    timeout(value)
        .map_err(|why| because(format!("Failed to parse --timeout= parameter '{value}': {why}")))
}

/// A time as systemd reads it; nothing if it is 0.
pub(super) fn timeout(value: &str) -> std::result::Result<Option<Duration>, &'static str> {
    let value = value.trim();
    if value == "infinity" {
        return Ok(Some(Duration::MAX));
    }
    if value.starts_with('-') {
        return Err("Numerical result out of range");
    }
    let time = parse_duration(value).map_err(|_| "Invalid argument")?;
    Ok((!time.is_zero()).then_some(time))
}

fn parse_limit(value: &str) -> Result<u64> {
    let limit = match value {
        "infinity" => Some(0),
        value => value.parse().ok().filter(|limit| *limit > 0),
    };
    let wrong = || because(format!("Failed to parse --limit-messages= parameter: {value}"));
    limit.ok_or_else(wrong)
}

fn parse_json(value: &str) -> Result<Option<JsonMode>> {
    match value {
        "pretty" => Ok(Some(JsonMode::Pretty)),
        "short" => Ok(Some(JsonMode::Short)),
        "off" => Ok(None),
        _ => Err(because(format!("Unknown argument to --json= switch: {value}"))),
    }
}

/// Its user is called `c-NAME`, which no name of a user is longer than 31 bytes.
fn capsule(name: String) -> Result<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match !name.is_empty() && name.len() <= 29 && name.chars().all(is_part) {
        true => Ok(name),
        false => Err(because(format!("Invalid capsule name: {name}"))),
    }
}
