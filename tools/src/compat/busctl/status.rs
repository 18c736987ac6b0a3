//! Who somebody is (tools.md D002): what the bus tells, and what `/proc` tells beside it.

use libbus::Error;
use libbus::blocking::Connection;
use rustix::io::Errno;

use super::super::c_numbers::{whole, words_of};
use super::bus::{connect, shown, text_of};
use super::colours::{Colours, Look};
use super::options::{Options, Transport};
use super::{Failed, Result, because, print};
use crate::options::{session_address, system_address};
use crate::process::{Process, Units, capability_names};
use crate::value::Value;

const BUS: &str = "org.freedesktop.DBus";
/// What is said where something is known not to be.
const NONE: &str = "n/a";
/// What the bus tells of somebody.
#[derive(Debug, Default)]
struct Credentials {
    pid: Option<u32>,
    uid: Option<u32>,
    label: Option<String>,
    unique_name: Option<String>,
}

/// The lines, as far as they are known.
#[derive(Default)]
struct Report(Vec<(&'static str, String)>);

impl Report {
    fn push(&mut self, key: &'static str, value: Option<impl ToString>) {
        self.0.extend(value.map(|value| (key, value.to_string())));
    }

    /// What is said to be none if it is not there.
    fn push_or_none(&mut self, key: &'static str, value: Option<impl ToString>) {
        self.0.push((key, value.map_or_else(|| NONE.to_owned(), |value| value.to_string())));
    }

    fn text(&self) -> String {
        let (colours, out) = (Colours::wanted(), std::io::stdout());
        let line = |(key, value): &(&str, String)| {
            let (start, end) = (colours.start(Look::Highlight), colours.end());
            let value = shown(value, &out);
            // Lists over several lines end with theirs.
            match key.ends_with("Capabilities") {
                true => format!("{key}={start}{value}\n{end}"),
                false => format!("{key}={start}{value}{end}\n"),
            }
        };
        self.0.iter().map(line).collect()
    }
}

/// `[SERVICE|PID]`
pub(super) fn status(options: &Options, words: &[String]) -> Result<()> {
    let connection = connect(options)?;
    let mut report = Report::default();
    let who = words.first().map(String::as_str).unwrap_or_default();
    let pid = whole(who).ok().filter(|pid: &u32| (1..=i32::MAX as u32).contains(pid));
    match (who, pid) {
        ("", _) => {
            add_bus(&mut report, options, &connection);
            let credentials = ask(&connection, BUS)?;
            add_all(&mut report, options.augments, &credentials);
        }
        (_, Some(pid)) if Process(pid).name().is_none() => return Err(unknown(Errno::SRCH)),
        (_, Some(pid)) => {
            let credentials = Credentials { pid: Some(pid), ..Credentials::default() };
            add_all(&mut report, true, &credentials);
        }
        (name, None) => {
            let credentials = ask(&connection, name)?;
            add_all(&mut report, options.augments, &credentials);
        }
    }
    print::output(options, &report.text())
}

fn unknown(errno: Errno) -> Failed {
    because(format!("Failed to get credentials: {}", words_of(errno)))
}

fn add_bus(report: &mut Report, options: &Options, connection: &Connection) {
    let scope = match (&options.address, &options.transport) {
        (Some(_), _) | (None, Transport::Capsule(_)) => None,
        (None, Transport::Local) if options.is_user => Some("user"),
        (None, _) => Some("system"),
    };
    let is_local = options.transport == Transport::Local;
    let local = || match options.is_user {
        _ if !is_local => None,
        true => session_address(),
        false => Some(system_address()),
    };
    report.push("BusAddress", options.address.clone().or_else(local));
    report.push("BusScope", scope);
    report.push("BusID", connection.server_guid());
}

/// # Errors
/// Nobody has the name, or the bus does not tell.
fn ask(connection: &Connection, name: &str) -> Result<Credentials> {
    let failed = |error: Error| match &error {
        Error::Method(method) => match method.name() {
            "org.freedesktop.DBus.Error.NameHasNoOwner" => unknown(Errno::NXIO),
            "org.freedesktop.DBus.Error.InvalidArgs" => unknown(Errno::INVAL),
            _ => because(format!("Failed to get credentials: {}", text_of(&error))),
        },
        error => because(format!("Failed to get credentials: {}", text_of(error))),
    };
    libbus::names::BusName::parse(name).map_err(|_| unknown(Errno::INVAL))?;
    let bus = connection.bus();
    let unique: String = bus.call("GetNameOwner", name).map_err(failed)?;
    let reply = bus.call_method("GetConnectionCredentials", name).map_err(failed)?;
    let values = Value::of_message(&reply);
    let number = |key| match values.first().and_then(|values| values.entry(key)) {
        Some(Value::Uint32(number)) => Some(*number),
        _ => None,
    };
    let label = values.first().and_then(|values| values.entry("LinuxSecurityLabel"));
    let label = label.and_then(|label| match label {
        Value::Bytes(bytes) => {
            Some(String::from_utf8_lossy(bytes.strip_suffix(&[0]).unwrap_or(bytes)).into_owned())
        }
        _ => None,
    });
    let (pid, uid) = (number("ProcessID"), number("UnixUserID"));
    let unique_name = Some(unique).filter(|name| name.starts_with(':'));
    Ok(Credentials { pid, uid, label, unique_name })
}

/// With what `/proc` tells, if it `augments` what the bus does.
fn add_all(report: &mut Report, augments: bool, credentials: &Credentials) {
    report.push("PID", credentials.pid);
    let process = credentials.pid.map(Process).filter(|_| augments);
    let Some(process) = process else {
        report.push("EUID", credentials.uid);
        report.push("Label", credentials.label.clone());
        report.push("UniqueName", credentials.unique_name.clone());
        return;
    };
    report.push_or_none("PPID", process.status("PPid").filter(|parent| parent != "0"));
    report.push_or_none("TTY", process.terminal());
    add_ids(report, process, credentials);
    report.push("Comm", process.name());
    report.push("Exe", process.executable());
    report.push("CommandLine", process.command_line().map(|words| words.join(" ")));
    report.push("Label", credentials.label.clone());
    add_units(report, process);
    report.push_or_none("AuditLoginUID", process.number("loginuid"));
    report.push_or_none("AuditSessionID", process.number("sessionid").filter(|id| *id > 0));
    report.push("UniqueName", credentials.unique_name.clone());
    for (key, line) in [
        ("EffectiveCapabilities", "CapEff"),
        ("PermittedCapabilities", "CapPrm"),
        ("InheritableCapabilities", "CapInh"),
        ("BoundingCapabilities", "CapBnd"),
    ] {
        report.push(key, process.status(line).as_deref().and_then(capabilities));
    }
}

/// Real, effective, saved and file-system ids.
fn add_ids(report: &mut Report, process: Process, credentials: &Credentials) {
    let kinds = [
        ("Uid", ["UID", "EUID", "SUID", "FSUID"], credentials.uid),
        ("Gid", ["GID", "EGID", "SGID", "FSGID"], None),
    ];
    for (line, keys, said) in kinds {
        let ids = process.status(line).unwrap_or_default();
        for (index, (key, id)) in keys.into_iter().zip(ids.split_whitespace()).enumerate() {
            // What the bus says is of when the client came.
            let said = said.filter(|_| index == 1).map(|id| id.to_string());
            report.push(key, said.or_else(|| Some(id.to_owned())));
        }
        if line == "Uid" {
            let owner = process.control_group().as_deref().and_then(Units::owner_of);
            report.push("OwnerUID", owner);
        }
    }
    let groups = process.status("Groups");
    let groups = groups.map(|groups| groups.split_whitespace().collect::<Vec<_>>().join(" "));
    report.push("SupplementaryGIDs", groups);
}

fn add_units(report: &mut Report, process: Process) {
    let group = process.control_group();
    let units = group.as_deref().map(Units::of).unwrap_or_default();
    let root = group.as_ref().map(|_| "-.slice".to_owned());
    report.push("CGroup", group);
    report.push_or_none("Unit", units.unit);
    report.push_or_none("Slice", units.slice.or(root));
    report.push_or_none("UserUnit", units.user_unit);
    report.push_or_none("UserSlice", units.user_slice);
    report.push_or_none("Session", units.session);
}

/// Their names, four on each line, of which the first one's place is where the key stands.
fn capabilities(hexadecimal: &str) -> Option<String> {
    const IN_LINE: usize = 4;
    let mut text = String::new();
    for (count, name) in capability_names(hexadecimal)?.into_iter().enumerate() {
        if count > 0 {
            text.push(' ');
        }
        if count % IN_LINE == IN_LINE - 1 {
            text.push('\n');
            text.push_str(print::STEP);
        }
        text += &name;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::capabilities;

    #[test]
    fn capabilities_have_names() {
        assert_eq!(capabilities("0"), Some(String::new()));
        let five = "cap_chown cap_dac_override cap_dac_read_search \n        cap_fowner cap_fsetid";
        assert_eq!(capabilities("000000000000001f").as_deref(), Some(five));
        assert_eq!(
            capabilities("8000010000000000").as_deref(),
            Some("cap_checkpoint_restore cap_63")
        );
        assert_eq!(capabilities("x"), None);
    }
}
