//! `bus list`: who is on the bus (tools.md D001).

use std::collections::HashMap;

use clap::{Args, ValueEnum as _};
use libbus::MethodCall;
use libbus::blocking::Connection;
use serde_json::{Value as Json, json};

use crate::failure::{Failure, Result};
use crate::inventory::{Name, Owner, Question, Standing, answers, for_each_owner, names};
use crate::options::{JsonForm, Options};
use crate::output::escape::plain;
use crate::output::out::Out;
use crate::output::style::Look;
use crate::output::table::{Side, push_cell};
use crate::process::{Descriptions, Process, Units, user_name};

/// Who is on the bus, and who can be started
///
/// With one of the choices those names alone; without any all of them.
#[derive(Args, Debug)]
pub(crate) struct List {
    /// Only unique names, which each client has
    #[arg(long)]
    unique: bool,

    /// Only well-known names that somebody has
    #[arg(long, visible_alias = "acquired")]
    owned: bool,

    /// Only names that nobody has and that can be started
    #[arg(long)]
    activatable: bool,

    /// Only names with this text in them
    #[arg(value_name = "TEXT")]
    filter: Option<String>,

    /// Also the id of the machine that each is on, as it tells it
    #[arg(long)]
    show_machine: bool,

    /// No line of titles
    #[arg(long)]
    no_legend: bool,
}

const BUS: &str = "org.freedesktop.DBus";
const TITLES: [&str; 9] =
    ["NAME", "PID", "PROCESS", "USER", "CONNECTION", "UNIT", "SESSION", "DESCRIPTION", "MACHINE"];
/// Widths of what is not known when the first line is printed; a column that is the last one needs none.
const WIDTHS: [usize; 9] = [0, 7, 15, 12, 0, 26, 7, 20, 0];

impl List {
    pub(crate) fn run(self, options: &Options) -> Result<()> {
        options.bus.must_be_bus("list")?;
        let connection = options.connect()?;
        let names: Vec<Name> =
            names(&connection)?.into_iter().filter(|name| self.is_wanted(name)).collect();
        self.check_found(&names, options)?;
        // What is on another machine /proc does not tell.
        let descriptions = options.bus.is_here().then(Descriptions::read);
        let machines = match self.show_machine {
            true => machines(&connection, &names)?,
            false => HashMap::new(),
        };
        let facts = |name: &Name, owner: &Owner| Facts {
            machine: machines.get(&name.name).cloned(),
            ..descriptions.as_ref().map(|it| Facts::of(owner, it)).unwrap_or_default()
        };
        let mut out = Out::paged(options);
        if let Some(form) = options.json() {
            let mut rows = Vec::new();
            for_each_owner(&connection, &names, |name, owner| {
                rows.push(self.to_json(name, owner, facts(name, owner)));
                Ok(())
            })?;
            out.json(form, &Json::Array(rows))?;
            return out.finish();
        }
        let widths = self.widths(&names);
        if !self.no_legend && !options.quiet {
            let titles: Vec<String> = TITLES.map(ToOwned::to_owned).into();
            out.line(&options.style().paint(Look::Bold, &line(&titles, &widths)))?;
        }
        // The first lines are seen at once, since widths do not wait for the last.
        for_each_owner(&connection, &names, |name, owner| {
            out.line(&line(&cells(name, owner, facts(name, owner)), &widths))
        })?;
        out.finish()
    }

    /// The form of JSON is a word of its own where its `=` was forgotten, and is in no name then.
    fn check_found(&self, names: &[Name], options: &Options) -> Result<()> {
        let text = self.filter.as_deref().unwrap_or_default();
        match names.is_empty() && options.json.is_some() && JsonForm::from_str(text, false).is_ok()
        {
            true => Err(Failure::usage(format!("{text:?} is in no name"))
                .hint(format!("for JSON of this form: --json={text}"))),
            false => Ok(()),
        }
    }

    /// Of the columns that are shown.
    fn widths(&self, names: &[Name]) -> Vec<usize> {
        let longest = |is_wanted: fn(&&Name) -> bool| {
            names.iter().filter(is_wanted).map(|name| name.name.len()).max().unwrap_or_default()
        };
        let name = longest(|_| true).max(TITLES[0].len());
        // The bus's own name is its connection's.
        let connection = longest(|name| name.standing == Standing::Unique).max(BUS.len());
        let [_, pid, process, user, _, unit, session, description, machine] = WIDTHS;
        let widths = [name, pid, process, user, connection, unit, session];
        let last = if self.show_machine { vec![description, machine] } else { vec![0] };
        widths.into_iter().chain(last).collect()
    }

    fn to_json(&self, name: &Name, owner: &Owner, facts: Facts) -> Json {
        let mut json = json!({
            "name": name.name,
            "activatable": name.standing == Standing::Activatable,
            "pid": owner.pid,
            "process": facts.process,
            "uid": owner.uid,
            "user": facts.user,
            "connection": owner.unique_name,
            "unit": facts.unit,
            "session": facts.session,
            "description": facts.description,
        });
        if let (true, Some(object)) = (self.show_machine, json.as_object_mut()) {
            object.insert("machine".to_owned(), facts.machine.into());
        }
        json
    }

    fn is_wanted(&self, name: &Name) -> bool {
        let is_all = !self.unique && !self.owned && !self.activatable;
        let is_chosen = match name.standing {
            Standing::Unique => self.unique,
            Standing::Owned => self.owned,
            Standing::Activatable => self.activatable,
        };
        let has_text = self.filter.as_ref().is_none_or(|text| name.name.contains(text.as_str()));
        (is_all || is_chosen) && has_text
    }
}

/// As many cells as there are widths.
fn line(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        if index > 0 {
            line.push(' ');
        }
        // A number stands at the right.
        let side = if index == 1 { Side::Right } else { Side::Left };
        push_cell(&mut line, cell, *width, side);
    }
    line.truncate(line.trim_end().len());
    line
}

/// The machine of each name, as far as its owner tells it in time. This program itself does not answer meanwhile.
fn machines(connection: &Connection, names: &[Name]) -> Result<HashMap<String, String>> {
    let is_asked = |name: &&Name| {
        name.standing != Standing::Activatable
            && Some(name.name.as_str()) != connection.unique_name()
    };
    let mut machines = HashMap::new();
    for (name, answer) in
        answers(names.iter().filter(is_asked), |name| ask_machine(connection, &name.name))
    {
        match answer.map(|reply| reply.deserialize::<String>()) {
            Err(error) if error.is_disconnected() => return Err(error.into()),
            Ok(Ok(machine)) => drop(machines.insert(name.name.clone(), machine)),
            // It has gone, or does not tell.
            _ => {}
        }
    }
    Ok(machines)
}

fn ask_machine(connection: &Connection, name: &str) -> Question {
    let call = MethodCall::new("/", "GetMachineId")?.interface("org.freedesktop.DBus.Peer")?;
    connection.send(&call.destination(name)?.auto_start(false), &())
}

/// What is known of the process, on this machine, and what it tells.
#[derive(Default)]
struct Facts {
    process: Option<String>,
    user: Option<String>,
    unit: Option<String>,
    session: Option<String>,
    description: Option<String>,
    machine: Option<String>,
}

impl Facts {
    fn of(owner: &Owner, descriptions: &Descriptions) -> Self {
        let process = owner.pid.map(Process);
        let group = process.and_then(Process::control_group);
        let units = group.map(|group| Units::of(&group)).unwrap_or_default();
        let unit = units.user_unit.or(units.unit);
        Self {
            process: process.and_then(Process::name),
            user: owner.uid.map(user_name),
            unit,
            session: units.session,
            description: process.and_then(|process| descriptions.of(process)),
            machine: None,
        }
    }
}

fn cells(name: &Name, owner: &Owner, facts: Facts) -> [String; 9] {
    let shown = |text: Option<String>| text.map_or_else(|| "-".to_owned(), |text| plain(&text));
    let connection = match name.standing {
        Standing::Activatable => Some("(activatable)".to_owned()),
        _ => owner.unique_name.clone(),
    };
    [
        plain(&name.name),
        shown(owner.pid.map(|pid| pid.to_string())),
        shown(facts.process),
        shown(facts.user.or_else(|| owner.uid.map(|uid| uid.to_string()))),
        shown(connection),
        shown(facts.unit),
        shown(facts.session),
        shown(facts.description),
        shown(facts.machine),
    ]
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_name_may_be_longer_than_std_pads() {
        let cells = ["a", "1", "p", "u", "c", "n", "s"].map(ToOwned::to_owned);
        let wanted = format!("a{} 1 p u c n s", " ".repeat(65_536));
        assert_eq!(line(&cells, &[65_537, 1, 1, 1, 1, 1, 1]), wanted);
        assert_eq!(line(&cells, &[1, 3, 2, 1, 1, 1, 9]), "a   1 p  u c n s");
    }
}
