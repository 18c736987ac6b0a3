//! Completion of a command line of `bus`: of verbs, options and their values, and of what is on the bus that the
//! line means.
//!
//! The definition of the command line (`cli.rs`) says all there is to say: which words are options, and by the names
//! in the usage (`NAME PATH INTERFACE.METHOD`) what the others are. `line.rs` reads the words before, `words.rs` knows
//! what may stand next, `live.rs` asks the bus. The scripts of the shells call this as `bus complete-words`; there
//! is no state. Whoever presses a key waits: the bus has [`TIME_MAX`], and nothing is started on it.
//!
//! clap_complete's engine is not used: it hands a completer neither the words before nor options before the verb,
//! takes the word after `--json` for its value, and its script for bash loses unique names at their colon.

mod line;
mod live;
mod words;

use std::time::{Duration, Instant};

use clap::{Arg, Command, ValueHint};

use self::line::{Line, Place};
use self::live::Live;
use crate::cli::command;
use crate::compat;

/// How long the bus may take for all that is asked.
pub(crate) const TIME_MAX: Duration = Duration::from_millis(500);

/// What may stand at the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Candidate {
    /// A whole word, after which the next begins.
    Word { value: String, help: String },
    /// The beginning of one.
    Part { value: String, help: String },
    /// Names of files.
    Files,
    /// A command with its arguments, which begins at this word.
    Command { first: usize },
}

impl Candidate {
    fn word(value: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Word { value: value.into(), help: help.into() }
    }

    fn part(value: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Part { value: value.into(), help: help.into() }
    }

    fn begins_with(&self, start: &str) -> bool {
        match self {
            Self::Word { value, .. } | Self::Part { value, .. } => value.starts_with(start),
            Self::Files | Self::Command { .. } => true,
        }
    }
}

/// What may stand in place of the last of the words, which may be empty.
pub(crate) fn candidates(words: &[String]) -> Vec<Candidate> {
    let mut command = command();
    command.build();
    let (word, before) = match words.split_last() {
        Some((word, before)) => (word.as_str(), before),
        None => ("", words),
    };
    let line = Line::read(&command, before, Instant::now() + TIME_MAX);
    let mut found = match line.place(word) {
        Place::Options => options(&line),
        Place::ValueOf { argument, start } => values(&line, argument, word, start),
        Place::Positional if line.command.get_name() == "help" => verbs_of_help(&command, &line),
        Place::Positional => positional(&line, word),
    };
    found.retain(|candidate| candidate.begins_with(word));
    found
}

/// The options that are not given yet.
fn options(line: &Line<'_>) -> Vec<Candidate> {
    let shown = line.command.get_arguments().filter(|option| !option.is_hide_set());
    let left =
        shown.filter(|option| is_repeatable(option) || line.value(option.get_id()).is_none());
    left.filter_map(option).collect()
}

fn is_repeatable(option: &Arg) -> bool {
    matches!(option.get_action(), clap::ArgAction::Append | clap::ArgAction::Count)
}

fn option(option: &Arg) -> Option<Candidate> {
    let long = option.get_long()?;
    let help = help(option.get_help());
    Some(match option.get_action().takes_values() && !is_optional(option) {
        true => Candidate::part(format!("--{long}="), help),
        false => Candidate::word(format!("--{long}"), help),
    })
}

/// Whether an option may stand without its value.
fn is_optional(option: &Arg) -> bool {
    option.get_num_args().is_some_and(|count| count.min_values() == 0)
}

/// The values of an option, each after `start`, which the word begins with.
fn values(line: &Line<'_>, option: &Arg, word: &str, start: &str) -> Vec<Candidate> {
    let value = word.strip_prefix(start).unwrap_or_default();
    let found = match option.get_possible_values() {
        possible if possible.is_empty() => {
            let name = option.get_value_names().and_then(|names| names.first());
            match words::of_option(name.map_or("", |name| name.as_str())) {
                Some(kind) => line.complete(kind, value),
                None => by_hint(option),
            }
        }
        possible => possible
            .iter()
            .filter(|value| !value.is_hide_set())
            .map(|value| Candidate::word(value.get_name(), help(value.get_help())))
            .collect(),
    };
    let after_start = |candidate| match candidate {
        Candidate::Word { value, help } => Candidate::word(format!("{start}{value}"), help),
        Candidate::Part { value, help } => Candidate::part(format!("{start}{value}"), help),
        other => other,
    };
    found.into_iter().map(after_start).collect()
}

fn by_hint(argument: &Arg) -> Vec<Candidate> {
    match argument.get_value_hint() {
        ValueHint::AnyPath
        | ValueHint::FilePath
        | ValueHint::DirPath
        | ValueHint::ExecutablePath => {
            vec![Candidate::Files]
        }
        _ => Vec::new(),
    }
}

/// A verb, or what it is about.
fn positional(line: &Line<'_>, word: &str) -> Vec<Candidate> {
    if line.command.has_subcommands() {
        return verbs(line.command);
    }
    if line.wants_old_name() {
        return compat::names().map(|name| Candidate::word(name, "")).collect();
    }
    if let Some(first) = line.foreign_command() {
        return vec![Candidate::Command { first }];
    }
    let possible = line.next_positional().map(Arg::get_possible_values).unwrap_or_default();
    if !possible.is_empty() {
        let names = possible.iter().filter(|value| !value.is_hide_set());
        return names
            .map(|value| Candidate::word(value.get_name(), help(value.get_help())))
            .collect();
    }
    let kinds = line.next_kinds();
    let mut found = match (kinds.as_slice(), line.next_positional()) {
        ([], Some(argument)) => by_hint(argument),
        _ => Vec::new(),
    };
    for kind in kinds {
        for candidate in line.complete(kind, word) {
            if !found.contains(&candidate) {
                found.push(candidate);
            }
        }
    }
    found
}

/// Those of which help can be shown: a verb, and after one that has verbs of its own these.
fn verbs_of_help(command: &Command, line: &Line<'_>) -> Vec<Candidate> {
    let words = line.words();
    let verb = words.iter().try_fold(command, |command, word| command.find_subcommand(word));
    verb.map(verbs).unwrap_or_default()
}

fn verbs(command: &Command) -> Vec<Candidate> {
    let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    shown.map(|verb| Candidate::word(verb.get_name(), help(verb.get_about()))).collect()
}

/// The first line of a help text.
fn help(text: Option<&clap::builder::StyledStr>) -> String {
    let text = text.map(ToString::to_string).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

impl Line<'_> {
    /// What a word of a kind can be.
    fn complete(&self, kind: words::Kind, word: &str) -> Vec<Candidate> {
        use words::Kind;
        match kind {
            Kind::File => vec![Candidate::Files],
            Kind::Variable => variables(),
            kind => match Live::of(self) {
                Some(live) => live.complete(kind, word, &self.about()),
                None => Vec::new(),
            },
        }
    }
}

fn variables() -> Vec<Candidate> {
    let mut names: Vec<String> =
        std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    names.sort();
    let names = names.into_iter().filter(|name| live::is_plain_word(name));
    names.map(|name| Candidate::word(name, "")).collect()
}

#[cfg(test)]
mod tests;
