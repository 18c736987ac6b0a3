//! `bus status`: who somebody is (tools.md D002).

use clap::Args;
use libbus::blocking::Connection;
use libbus::names::BusName;
use serde_json::{Map, Value as Json, json};

use crate::commands::call::named;
use crate::failure::{Failure, Result};
use crate::inventory::owners;
use crate::options::Options;
use crate::output::escape::plain;
use crate::output::out::Out;
use crate::output::style::Look;
use crate::process::{Process, Units, capability_names, group_name, user_name};
use crate::value::Value;

/// Who has a name, or what a process is: user, groups, program, unit, label
///
/// Without a name: the bus itself.
#[derive(Args, Debug)]
pub(crate) struct Status {
    /// A bus name, or the number of a process
    #[arg(value_name = "NAME|PID")]
    who: Option<String>,
}

/// What is known, in its order.
#[derive(Default)]
struct Report(Vec<(&'static str, Json)>);

impl Report {
    fn push(&mut self, key: &'static str, value: Option<impl Into<Json>>) {
        if let Some(value) = value {
            self.0.push((key, value.into()));
        }
    }

    fn print(&self, options: &Options) -> Result<()> {
        let mut out = Out::plain();
        if let Some(form) = options.json() {
            let entries = self.0.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
            out.json(form, &Json::Object(entries.collect::<Map<_, _>>()))?;
            return out.finish();
        }
        for (key, value) in &self.0 {
            let key = options.style().paint(Look::Bold, key);
            out.line(&format!("{key}={}", plain(&shown(value))))?;
        }
        out.finish()
    }
}

fn shown(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(parts) => parts.iter().map(shown).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

impl Status {
    pub(crate) fn run(self, options: &Options) -> Result<()> {
        let mut report = Report::default();
        match &self.who {
            Some(who) if !who.is_empty() && who.bytes().all(|byte| byte.is_ascii_digit()) => {
                let pid = who.parse().map_err(|_| no_process(who))?;
                if Process(pid).name().is_none() {
                    return Err(no_process(who));
                }
                add_process(&mut report, pid);
            }
            Some(name) => {
                options.bus.must_be_bus("status")?;
                named("bus name", name, BusName::parse)?;
                add_name(&mut report, &options.connect()?, name, options)?;
            }
            None => {
                options.bus.must_be_bus("status")?;
                let connection = options.connect()?;
                add_bus(&mut report, &connection, options)?;
                add_name(&mut report, &connection, "org.freedesktop.DBus", options)?;
            }
        }
        report.print(options)
    }
}

fn no_process(who: &str) -> Failure {
    Failure::refused(format!("there is no process {who}"))
        .hint("`bus list` shows processes and their names")
}

fn add_bus(report: &mut Report, connection: &Connection, options: &Options) -> Result<()> {
    let scope = match &options.bus {
        bus if bus.system => "system",
        bus if bus.host.is_some() || bus.machine.is_some() => "system of another machine",
        bus if bus.address.is_some() => "address",
        _ => "session",
    };
    report.push("BusScope", Some(scope));
    report.push("BusID", Some(connection.bus().call::<_, String>("GetId", &())?));
    let features = connection.bus().get_property::<Vec<String>>("Features");
    report.push("Features", features.ok());
    Ok(())
}

fn add_name(
    report: &mut Report,
    connection: &Connection,
    name: &str,
    options: &Options,
) -> Result<()> {
    let bus = connection.bus();
    let unique: String = bus.call("GetNameOwner", name)?;
    report.push("UniqueName", Some(unique.as_str()));
    report.push("WellKnownNames", well_known_names(connection, &unique)?);
    let reply = bus.call_method("GetConnectionCredentials", name)?;
    let values = Value::of_message(&reply);
    let Some(credentials) = values.first() else { return Ok(()) };
    add_credentials(report, credentials, options.bus.is_here());
    match credentials.entry("ProcessID") {
        Some(Value::Uint32(pid)) if options.bus.is_here() => add_process(report, *pid),
        // Of a process of another machine no more is known.
        Some(Value::Uint32(pid)) => report.push("PID", Some(*pid)),
        _ => {}
    }
    Ok(())
}

/// All that the same client has.
fn well_known_names(connection: &Connection, unique: &str) -> Result<Option<Json>> {
    let of_all = owners(connection)?.into_iter();
    let mut its: Vec<String> =
        of_all.filter(|(_, owner)| owner == unique).map(|(name, _)| name).collect();
    its.sort();
    Ok((!its.is_empty()).then(|| json!(its)))
}

/// Names of users and groups are those of this machine.
fn add_credentials(report: &mut Report, credentials: &Value, has_names: bool) {
    if let Some(Value::Uint32(uid)) = credentials.entry("UnixUserID") {
        report.push("UID", Some(*uid));
        report.push("User", has_names.then(|| user_name(*uid)));
    }
    if let Some(Value::Array { elements, .. }) = credentials.entry("UnixGroupIDs") {
        let gids = elements.iter().filter_map(|gid| match gid {
            Value::Uint32(gid) => Some(*gid),
            _ => None,
        });
        let (gids, names): (Vec<u32>, Vec<String>) = gids.map(|gid| (gid, group_name(gid))).unzip();
        report.push("GIDs", Some(gids));
        report.push("Groups", has_names.then_some(names));
    }
    if let Some(Value::Bytes(label)) = credentials.entry("LinuxSecurityLabel") {
        let label = label.strip_suffix(&[0]).unwrap_or(label);
        report.push("Label", Some(String::from_utf8_lossy(label).into_owned()));
    }
    report.push("HasPidFD", credentials.entry("ProcessFD").map(|_| true));
}

fn add_process(report: &mut Report, pid: u32) {
    let process = Process(pid);
    report.push("PID", Some(pid));
    report.push("PPID", process.status("PPid").and_then(|pid| pid.parse::<u32>().ok()));
    report.push("TTY", process.terminal());
    report.push("Comm", process.name());
    report.push("Exe", process.executable());
    report.push("CommandLine", process.command_line());
    add_ids(report, process);
    for (key, line) in [
        ("EffectiveCapabilities", "CapEff"),
        ("PermittedCapabilities", "CapPrm"),
        ("InheritableCapabilities", "CapInh"),
        ("BoundingCapabilities", "CapBnd"),
        ("AmbientCapabilities", "CapAmb"),
    ] {
        report.push(key, process.status(line).as_deref().and_then(capability_names));
    }
    report.push("AuditLoginUID", process.number("loginuid"));
    report.push("AuditSessionID", process.number("sessionid"));
    let group = process.control_group();
    let units = group.as_deref().map(Units::of).unwrap_or_default();
    report.push("OwnerUID", group.as_deref().and_then(Units::owner_of));
    report.push("CGroup", group);
    report.push("Unit", units.unit);
    report.push("Slice", units.slice);
    report.push("UserUnit", units.user_unit);
    report.push("UserSlice", units.user_slice);
    report.push("Session", units.session);
}

/// Real, effective, saved and file-system ids.
fn add_ids(report: &mut Report, process: Process) {
    let kinds = [
        ("Uid", ["ProcessUID", "EUID", "SUID", "FSUID"]),
        ("Gid", ["ProcessGID", "EGID", "SGID", "FSGID"]),
    ];
    for (line, keys) in kinds {
        let ids = process.status(line).unwrap_or_default();
        for (key, id) in keys.iter().zip(ids.split_whitespace()) {
            report.push(key, id.parse::<u32>().ok());
        }
    }
}
