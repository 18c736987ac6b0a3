//! The pages of the command `bus` name all that its definition has, and nothing else: verbs, options with their other
//! names and their values, and the names of other projects' commands.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Arg, Command};

use super::{Page, entries};
use crate::assert_none;

/// An entry, and below it those of the values that are possible.
type Entries = BTreeMap<String, BTreeSet<String>>;

/// What clap adds by itself, and what all verbs have: bus(1) tells of them.
fn is_common(argument: &Arg) -> bool {
    argument.is_global_set() || argument.get_id() == "help" || argument.get_id() == "version"
}

/// How the entry of an option begins, such as `Fl s , Fl -signature Ns = Ns Ar SIGNATURE`.
fn entry_of(option: &Arg) -> String {
    let mut names = Vec::new();
    names.extend(option.get_short().map(|short| format!("Fl {short}")));
    names.extend(option.get_long().map(|long| format!("Fl -{long}")));
    let others = option.get_visible_aliases().unwrap_or_default();
    names.extend(others.iter().map(|other| format!("Fl -{other}")));
    let mut entry = names.join(" , ");
    if option.get_action().takes_values() {
        let named = option.get_value_names().and_then(|names| names.first());
        let name =
            named.map_or_else(|| option.get_id().as_str().to_uppercase(), ToString::to_string);
        let may_miss = option.get_num_args().is_some_and(|count| count.min_values() == 0);
        entry += if may_miss { " Ns Op = Ns Ar " } else { " Ns = Ns Ar " };
        entry += &name;
    }
    entry
}

/// The values that an argument can have, if they are a list.
fn values_of(argument: &Arg) -> BTreeSet<String> {
    let values = argument.get_possible_values().into_iter();
    let is_shown = |value: &clap::builder::PossibleValue| !value.is_hide_set();
    let takes = argument.get_action().takes_values();
    values
        .filter(|value| takes && is_shown(value))
        .map(|value| value.get_name().to_owned())
        .collect()
}

/// What the page has to have of these arguments: all options, and words of which there is a list.
fn defined<'a>(arguments: impl Iterator<Item = &'a Arg>) -> Entries {
    let mut entries = Entries::new();
    for argument in arguments.filter(|argument| !argument.is_hide_set()) {
        let values = values_of(argument);
        match argument.is_positional() {
            false => drop(entries.insert(entry_of(argument), values)),
            true if values.is_empty() => {}
            true => {
                let name = argument.get_value_names().and_then(|names| names.first()).unwrap();
                entries.insert(format!("Ar {name}"), values);
            }
        }
    }
    entries
}

/// What a section has. Entries that are neither of options nor of values are of something else.
fn described(section: &str) -> Entries {
    let mut described = Entries::new();
    let mut last = None;
    for entry in entries(section) {
        if let Some(value) = entry.strip_prefix("Cm ") {
            let of: &String = last.as_ref().unwrap_or_else(|| panic!("{value} is of no option"));
            described.get_mut(of).unwrap().insert(value.to_owned());
        } else if entry.starts_with("Fl ") || entry.starts_with("Ar ") {
            described.insert(entry.to_owned(), BTreeSet::new());
            last = Some(entry.to_owned());
        }
    }
    described
}

/// What differs, as sentences.
fn differences(place: &str, defined: &Entries, described: &Entries) -> Vec<String> {
    let mut problems = Vec::new();
    for (entry, values) in defined {
        match described.get(entry) {
            None => problems.push(format!("{place}: no entry {entry:?}")),
            Some(found) => {
                let differing = values.symmetric_difference(found);
                problems.extend(differing.map(|value| format!("{place}: {entry}: {value}")));
            }
        }
    }
    // Words without a list have entries where there is something to tell.
    let stale =
        described.keys().filter(|entry| !entry.starts_with("Ar ") && !defined.contains_key(*entry));
    problems.extend(stale.map(|entry| format!("{place}: there is no {entry:?}")));
    problems
}

/// The verbs, as they are typed: of one that has verbs of its own only these.
fn verbs(command: &Command, before: &str) -> Vec<(String, Command)> {
    let mut found = Vec::new();
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let name = format!("{before} {}", verb.get_name());
        match verb.has_subcommands() {
            true => found.extend(verbs(verb, &name)),
            false => found.push((name, verb.clone())),
        }
    }
    found
}

fn definition() -> Command {
    let mut command = bus_tools::command();
    // What clap adds by itself is there after that.
    command.build();
    command
}

/// The pages that bus(1) names for its verbs.
fn pages_of_verbs() -> BTreeMap<String, String> {
    let index = Page::read("bus.1");
    let mut pages = BTreeMap::new();
    for entry in index.section("VERBS").split(".It Cm ").skip(1) {
        let (verb, text) = entry.split_once('\n').unwrap();
        let (_, page) = text.split_once(".Xr ").unwrap_or_else(|| panic!("{verb} has no page"));
        let mut words = page.split_whitespace();
        let page = format!("{}.{}", words.next().unwrap(), words.next().unwrap());
        pages.insert(verb.to_owned(), page);
    }
    pages
}

#[test]
fn every_verb_and_each_of_its_options_has_an_entry_in_the_manual() {
    let (definition, pages) = (definition(), pages_of_verbs());
    let known = verbs(&definition, "bus");
    assert!(known.len() > 20, "{known:?}");
    let mut problems = Vec::new();
    let mut named = BTreeSet::new();
    for (name, verb) in known {
        let first = name.split(' ').nth(1).unwrap().to_owned();
        let Some(page) = pages.get(&first) else {
            problems.push(format!("bus.1 has no entry of {first}"));
            continue;
        };
        let text = Page::read(page);
        if !text.has_section(&name) {
            problems.push(format!("{page} has no section {name:?}"));
        } else {
            let arguments = verb.get_arguments().filter(|argument| !is_common(argument));
            problems.extend(differences(
                &name,
                &defined(arguments),
                &described(text.section(&name)),
            ));
        }
        let whatis = format!(".Nm {}", page.trim_end_matches(".1"));
        assert!(text.0.contains(&whatis), "{page} has another name");
        named.insert(first);
    }
    let stale = pages.keys().filter(|verb| !named.contains(*verb));
    problems.extend(stale.map(|verb| format!("bus.1: there is no verb {verb}")));
    assert_none(&problems);
}

#[test]
fn every_option_of_all_verbs_has_an_entry_in_the_manual() {
    let definition = definition();
    let page = Page::read("bus.1");
    let arguments = definition.get_arguments();
    let found = differences("bus", &defined(arguments), &described(page.section("OPTIONS")));
    assert_none(&found);
}

#[test]
fn every_old_name_has_an_entry_in_the_manual() {
    let page = Page::read("bus-compat.1");
    let described: BTreeSet<&str> =
        entries(page.section("NAMES")).filter_map(|entry| entry.strip_prefix("Cm ")).collect();
    assert_eq!(described, bus_tools::old_names().collect());
}
