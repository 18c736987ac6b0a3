//! `bus list`: who is on the bus (tools.md D001).

use clap::{Args, ValueEnum as _};
use serde_json::{Value as Json, json};

use crate::failure::{Failure, Result};
use crate::inventory::{Name, Owner, Standing, for_each_owner, names};
use crate::options::{JsonForm, Options};
use crate::output::escape::plain;
use crate::output::out::Out;
use crate::output::style::Look;
use crate::output::table::{Side, push_cell};
use crate::process::{Process, Units, user_name};

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

    /// No line of titles
    #[arg(long)]
    no_legend: bool,
}

const BUS: &str = "org.freedesktop.DBus";
const TITLES: [&str; 7] = ["NAME", "PID", "PROCESS", "USER", "CONNECTION", "UNIT", "SESSION"];
/// Widths of what is not known when the first line is printed.
const WIDTHS: [usize; 5] = [7, 15, 12, 0, 26];

impl List {
    pub(crate) fn run(self, options: &Options) -> Result<()> {
        options.bus.must_be_bus("list")?;
        let connection = options.connect()?;
        let names: Vec<Name> =
            names(&connection)?.into_iter().filter(|name| self.is_wanted(name)).collect();
        self.check_found(&names, options)?;
        let mut out = Out::paged(options);
        if let Some(form) = options.json() {
            let mut rows = Vec::new();
            for_each_owner(&connection, &names, |name, owner| {
                rows.push(to_json(name, owner));
                Ok(())
            })?;
            out.json(form, &Json::Array(rows))?;
            return out.finish();
        }
        let widths = widths(&names);
        if !self.no_legend && !options.quiet {
            let titles = TITLES.map(ToOwned::to_owned);
            out.line(&options.style().paint(Look::Bold, &line(&titles, &widths)))?;
        }
        // The first lines are seen at once, since widths do not wait for the last.
        for_each_owner(&connection, &names, |name, owner| {
            out.line(&line(&cells(name, owner), &widths))
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

fn widths(names: &[Name]) -> [usize; 7] {
    let longest = |is_wanted: fn(&&Name) -> bool| {
        names.iter().filter(is_wanted).map(|name| name.name.len()).max().unwrap_or_default()
    };
    let name = longest(|_| true).max(TITLES[0].len());
    // The bus's own name is its connection's.
    let connection = longest(|name| name.standing == Standing::Unique).max(BUS.len());
    let [pid, process, user, _, unit] = WIDTHS;
    [name, pid, process, user, connection, unit, 0]
}

fn line(cells: &[String; 7], widths: &[usize; 7]) -> String {
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

/// What is known of the process, on this machine.
struct Facts {
    process: Option<String>,
    unit: Option<String>,
    session: Option<String>,
}

impl Facts {
    fn of(owner: &Owner) -> Self {
        let process = owner.pid.map(Process);
        let group = process.and_then(Process::control_group);
        let units = group.map(|group| Units::of(&group)).unwrap_or_default();
        let unit = units.user_unit.or(units.unit);
        Self { process: process.and_then(Process::name), unit, session: units.session }
    }
}

fn cells(name: &Name, owner: &Owner) -> [String; 7] {
    let shown = |text: Option<String>| text.map_or_else(|| "-".to_owned(), |text| plain(&text));
    let facts = Facts::of(owner);
    let connection = match name.standing {
        Standing::Activatable => Some("(activatable)".to_owned()),
        _ => owner.unique_name.clone(),
    };
    [
        plain(&name.name),
        shown(owner.pid.map(|pid| pid.to_string())),
        shown(facts.process),
        shown(owner.uid.map(user_name)),
        shown(connection),
        shown(facts.unit),
        shown(facts.session),
    ]
}

fn to_json(name: &Name, owner: &Owner) -> Json {
    let facts = Facts::of(owner);
    json!({
        "name": name.name,
        "activatable": name.standing == Standing::Activatable,
        "pid": owner.pid,
        "process": facts.process,
        "uid": owner.uid,
        "user": owner.uid.map(user_name),
        "connection": owner.unique_name,
        "unit": facts.unit,
        "session": facts.session,
    })
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
