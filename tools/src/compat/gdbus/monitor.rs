//! The signals of a service as they come (tools.md D036), and waiting for somebody to have a name (D039).

use std::time::{Duration, Instant};

use libbus::blocking::{Connection, Monitor};
use libbus::message::Message;
use libbus::names::{BusName, WellKnownName};
use libbus::{Error, Watching};

use super::options::{Given, Options, Takes};
use super::{Failed, Result, because};
use crate::output::escape::plain;
use crate::output::out::Out;
use crate::value::{Value, gvariant};

const BUS: &str = "org.freedesktop.DBus";

pub(super) const MONITOR_OPTIONS: Options =
    Options(&[("dest", 'd', Takes::Text), ("object-path", 'o', Takes::Text)]);

pub(super) const MONITOR_USAGE: &str = "\
Usage:
  gdbus monitor [OPTION…]

Print the signals of a service, and who it is.

What is looked at:
  -d, --dest            Who
  -o, --object-path     Which object; all of them without it
";

pub(super) const WAIT_OPTIONS: Options =
    Options(&[("activate", 'a', Takes::Perhaps), ("timeout", 't', Takes::Number)]);

pub(super) const WAIT_USAGE: &str = "\
Usage:
  gdbus wait [OPTION…] NAME

Wait until somebody has a well-known name.

How:
  -a, --activate=[NAME] Start this service before, or the one that is waited for
  -t, --timeout=SECS    Fail after so many seconds; 0 is never
";

pub(super) fn monitor(given: &Given) -> Result<()> {
    let connection = given.connect(true)?;
    let Some(name) = given.destination(&connection)? else { return Ok(()) };
    let path = given.get("object-path").map(|_| given.path()).transpose()?;
    let mut rules = [
        format!("type='signal',sender='{name}'"),
        format!("type='signal',sender='{BUS}',member='NameOwnerChanged',arg0='{name}'"),
    ];
    if let (Some(path), Some(rule)) = (path, rules.first_mut()) {
        *rule += &format!(",path='{path}'");
    }
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let mut signals = given.builder(true)?.monitor(&rules, Watching::ByMatchRules)?;
    let mut out = Out::plain();
    out.line(&match path {
        Some(path) => format!("Monitoring signals on object {path} owned by {name}"),
        None => format!("Monitoring signals from all objects owned by {name}"),
    })?;
    start(&connection, name);
    let mut owner = owner_of(&connection, name)?;
    tell_owner(&mut out, name, owner.as_deref())?;
    let is_shared = !given.has("address");
    loop {
        out.flush()?;
        let signal = signals.next_message().map_err(|error| match error.is_disconnected() {
            // As whoever shares the bus of a session ends with it.
            true if is_shared => Failed::Ended(128 + 15),
            _ => error.into(),
        })?;
        if let Some(changed) = owner_change(&signal, name) {
            if changed != owner {
                owner = changed;
                tell_owner(&mut out, name, owner.as_deref())?;
            }
        } else if signal.sender().map(BusName::as_str) == owner.as_deref()
            && path.is_none_or(|path| signal.path().is_some_and(|its| its.as_str() == path))
        {
            out.line(&line_of(&signal))?;
        }
    }
}

/// Starts a service that does not run, if it can be started.
fn start(connection: &Connection, name: &str) {
    if WellKnownName::parse(name).is_ok() {
        // Who cannot be started has no owner, which is told then.
        let _ = connection.bus().call_method("StartServiceByName", &(name, 0u32));
    }
}

fn owner_of(connection: &Connection, name: &str) -> Result<Option<String>> {
    match connection.bus().call("GetNameOwner", name) {
        Ok(owner) => Ok(Some(owner)),
        Err(error) if error.is_disconnected() => Err(error.into()),
        Err(_) => Ok(None),
    }
}

fn tell_owner(out: &mut Out, name: &str, owner: Option<&str>) -> Result<()> {
    out.line(&match owner {
        Some(owner) => format!("The name {name} is owned by {}", plain(owner)),
        None => format!("The name {name} does not have an owner"),
    })?;
    Ok(())
}

/// The new owner, if the bus tells of one.
fn owner_change(signal: &Message, name: &str) -> Option<Option<String>> {
    let is_one = signal.sender().is_some_and(|sender| sender.as_str() == BUS)
        && signal.member().is_some_and(|member| member.as_str() == "NameOwnerChanged");
    let (changed, _, new): (&str, &str, &str) =
        is_one.then(|| signal.deserialize().ok()).flatten()?;
    (changed == name).then(|| Some(new.to_owned()).filter(|new| !new.is_empty()))
}

fn line_of(signal: &Message) -> String {
    let path = signal.path().map_or("", |path| path.as_str());
    let interface = signal.interface().map_or("", |interface| interface.as_str());
    let member = signal.member().map_or("", |member| member.as_str());
    let mut text = String::new();
    gvariant::print_tuple(&mut text, &Value::of_message(signal));
    plain(&format!("{path}: {interface}.{member} ")) + &text
}

pub(super) fn wait(given: &Given) -> Result<()> {
    let connection = given.connect(true)?;
    let (activated, name) = who(given)?;
    for name in activated.into_iter().chain([name]) {
        if WellKnownName::parse(name).is_err() {
            return Err(because(format!("Error: {name} is not a valid well-known bus name.")));
        }
    }
    let seconds = given.number("timeout").and_then(|seconds| u64::try_from(seconds).ok());
    let seconds = seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs);
    let deadline = seconds.and_then(|time| Instant::now().checked_add(time));
    let rule = format!("type='signal',sender='{BUS}',member='NameOwnerChanged',arg0='{name}'");
    let mut changes = given.builder(true)?.monitor(&[&rule], Watching::ByMatchRules)?;
    // Nobody waits for its answer.
    let _started = activated
        .map(|name| crate::inventory::ask(&connection, "StartServiceByName", &(name, 0u32)));
    if owner_of(&connection, name)?.is_some() {
        return Ok(());
    }
    loop {
        let change = next(&mut changes, deadline)?;
        if owner_change(&change, name).flatten().is_some() {
            return Ok(());
        }
    }
}

fn next(changes: &mut Monitor, deadline: Option<Instant>) -> Result<Message> {
    let left = |deadline: Instant| deadline.checked_duration_since(Instant::now());
    let message = match deadline {
        None => changes.next_message(),
        Some(deadline) => changes.next_within(left(deadline).unwrap_or_default()),
    };
    message.map_err(|error| match error {
        Error::TimedOut(_) => Failed::Silently,
        error => error.into(),
    })
}

/// Who is started, and who is waited for.
fn who(given: &Given) -> Result<(Option<&str>, &str)> {
    let words: Vec<&str> = given.words.iter().map(String::as_str).collect();
    match (given.has("activate"), given.get("activate"), words.as_slice()) {
        (true, None, [name]) => Ok((Some(name), name)),
        (true, activated, [name]) => Ok((activated, name)),
        (true, Some(name), []) => Ok((Some(name), name)),
        (false, _, [name]) => Ok((None, name)),
        (true, None, []) => Err(because("Error: A service to activate for must be specified.")),
        (false, _, []) => Err(because("Error: A service to wait for must be specified.")),
        _ => Err(because("Error: Too many arguments.")),
    }
}
