//! Who is on the bus (tools.md D001, D016).

use libbus::blocking::Connection;
use libbus::wire_types::DynamicType;
use libbus::{Error, MethodCall};
use serde::Serialize;

use super::super::dbus_uuidgen;
use super::bus::{connect, text_of};
use super::colours::{Colours, columns, is_dumb};
use super::json::Json;
use super::options::{JsonMode, Options};
use super::table::{self, Table};
use super::{Result, because, print};
use crate::inventory::{Name, Owner, Standing, answers, for_each_owner};
use crate::output::escape;
use crate::process::{Process, Units, user_name};

const TITLES: [&str; 9] =
    ["NAME", "PID", "PROCESS", "USER", "CONNECTION", "UNIT", "SESSION", "DESCRIPTION", "MACHINE"];
/// The column of numbers, which stand at the right.
const PID: usize = 1;
const CONNECTION: usize = 4;
const ACTIVATABLE: &str = "(activatable)";

/// What a cell says; nothing is known of an empty one.
type Cell = Option<String>;

pub(super) fn list(options: &Options, _: &[String]) -> Result<()> {
    let connection = connect(options)?;
    let names = names(options, &connection)
        .map_err(|error| because(format!("Failed to list names: {}", text_of(&error))))?;
    let mut rows: Vec<[Cell; 9]> = Vec::new();
    for_each_owner(&connection, &names, |name, owner| {
        rows.push(cells(options, name, owner));
        Ok(())
    })?;
    if options.show_machine {
        add_machines(&connection, &names, &mut rows);
    }
    let count = if options.show_machine { 9 } else { 8 };
    if let Some(mode) = options.json {
        return print::output(options, &json(mode, rows, count));
    }
    let mut out = print::open(options);
    let table = table(options, rows, count, out.has_pager());
    table.lines().iter().try_for_each(|line| out.line(line))?;
    Ok(out.finish()?)
}

/// The names that are wanted, in the order of their letters.
fn names(options: &Options, connection: &Connection) -> libbus::Result<Vec<Name>> {
    let is_all = !options.unique && !options.acquired && !options.activatable;
    let mut names = Vec::new();
    if is_all || options.unique || options.acquired {
        let owned: Vec<String> = ask(connection, "ListNames", &())?;
        names.extend(owned.into_iter().map(|name| match name.starts_with(':') {
            true => Name { name, standing: Standing::Unique },
            false => Name { name, standing: Standing::Owned },
        }));
    }
    if is_all || options.activatable {
        let startable: Vec<String> = ask(connection, "ListActivatableNames", &())?;
        let is_missing = |name: &String| names.iter().all(|known: &Name| known.name != *name);
        let missing: Vec<String> = startable.into_iter().filter(is_missing).collect();
        let standing = Standing::Activatable;
        names.extend(missing.into_iter().map(|name| Name { name, standing }));
    }
    names.retain(|name| match name.standing {
        Standing::Unique => is_all || options.unique,
        Standing::Owned => is_all || options.acquired,
        Standing::Activatable => true,
    });
    names.sort_by(|one, other| one.name.cmp(&other.name));
    names.dedup_by(|one, other| one.name == other.name);
    Ok(names)
}

fn ask<T>(connection: &Connection, member: &str, arguments: &T) -> libbus::Result<Vec<String>>
where
    T: Serialize + DynamicType + ?Sized,
{
    connection.bus().call(member, arguments)
}

fn cells(options: &Options, name: &Name, owner: &Owner) -> [Cell; 9] {
    let unknown = || std::array::from_fn(|_| None);
    let mut cells: [Cell; 9] = unknown();
    cells[0] = Some(name.name.clone());
    if name.standing == Standing::Activatable {
        cells[CONNECTION] = Some(ACTIVATABLE.to_owned());
        return cells;
    }
    let process = owner.pid.map(Process);
    let known = process.filter(|_| options.augments);
    cells[PID] = owner.pid.map(|pid| pid.to_string());
    let program = known.and_then(Process::name);
    cells[2] = process.map(|_| program.unwrap_or_else(|| "n/a".to_owned()));
    cells[3] = owner.uid.map(user_name);
    // The bus itself has no unique name.
    cells[CONNECTION] = owner.unique_name.clone().filter(|name| name.starts_with(':'));
    let group = known.and_then(Process::control_group);
    let units = group.map(|group| Units::of(&group)).unwrap_or_default();
    (cells[5], cells[6]) = (units.unit, units.session);
    cells
}

/// The machine of each, as far as it answers.
fn add_machines(connection: &Connection, names: &[Name], rows: &mut [[Cell; 9]]) {
    let rows = names.iter().zip(rows).filter_map(|(name, row)| {
        // Nobody answers for this program while it waits.
        if Some(name.name.as_str()) == connection.unique_name() {
            row[8] = own_machine();
            return None;
        }
        (name.standing != Standing::Activatable).then_some((name, row))
    });
    for ((_, row), answer) in answers(rows, |(name, _)| ask_machine(connection, &name.name)) {
        row[8] = answer.ok().and_then(|reply| reply.deserialize().ok());
    }
}

fn ask_machine(
    connection: &Connection,
    name: &str,
) -> std::result::Result<libbus::blocking::PendingReply, Error> {
    let call = MethodCall::new("/", "GetMachineId")?.interface("org.freedesktop.DBus.Peer")?;
    connection.send(&call.destination(name)?.auto_start(false), &())
}

/// As every program of libdbus tells it.
fn own_machine() -> Option<String> {
    dbus_uuidgen::of_machine().map(|id| id.to_string())
}

fn table(options: &Options, rows: Vec<[Cell; 9]>, count: usize, has_pager: bool) -> Table<'static> {
    let cell = |(index, cell): (usize, Cell)| table::Cell {
        is_grey: cell.is_none() || (index == CONNECTION && cell.as_deref() == Some(ACTIVATABLE)),
        text: cell.map_or_else(|| "-".to_owned(), |text| escape::plain(&text)),
    };
    let row = |row: [Cell; 9]| row.into_iter().enumerate().take(count).map(cell).collect();
    // A pager shows long lines as well, unless it is said how long they may be.
    let is_free = has_pager && std::env::var_os("COLUMNS").is_none();
    let is_bounded = !options.is_full && !is_dumb() && !is_free;
    Table {
        titles: TITLES.get(..count).unwrap_or(&TITLES),
        rows: rows.into_iter().map(row).collect(),
        right: PID,
        has_titles: options.has_legend,
        width_max: is_bounded.then(columns),
        colours: Colours::wanted(),
    }
}

fn json(mode: JsonMode, rows: Vec<[Cell; 9]>, count: usize) -> String {
    let object = |row: [Cell; 9]| {
        let entries = TITLES.iter().zip(row).enumerate().take(count);
        let entries = entries.map(|(index, (title, cell))| {
            let value = match cell {
                None => Json::Null,
                Some(number) if index == PID => Json::Number(number),
                Some(text) => Json::Text(text),
            };
            (title.to_ascii_lowercase(), value)
        });
        Json::Object(entries.collect())
    };
    print::json_text(mode, &Json::Array(rows.into_iter().map(object).collect()))
}
