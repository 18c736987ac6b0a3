//! What the words before the cursor say: the verb, the options, and what else there is.

use std::time::Instant;

use clap::{Arg, Command, Id};

use super::words::{self, About, Kind};
use crate::options::BusOptions;

/// A command line up to the word at the cursor.
#[derive(Debug)]
pub(super) struct Line<'c> {
    /// The verb, or the whole program as long as there is none.
    pub(super) command: &'c Command,
    options: Vec<(&'c Id, String)>,
    /// How many words there are.
    count: usize,
    /// Words that are no options, with their places on the line.
    positionals: Vec<(usize, String)>,
    /// An option that waits for its value.
    pending: Option<&'c Arg>,
    /// Whether `--` was there.
    is_escaped: bool,
    /// Until when the bus may be asked.
    pub(super) deadline: Instant,
}

/// Where the word at the cursor stands.
#[derive(Debug)]
pub(super) enum Place<'c, 'w> {
    Options,
    /// It is an option's value, or `start`, such as `--color=`, and the value.
    ValueOf {
        argument: &'c Arg,
        start: &'w str,
    },
    Positional,
}

impl<'c> Line<'c> {
    pub(super) fn read(command: &'c Command, words: &[String], deadline: Instant) -> Self {
        let mut line = Self {
            command,
            deadline,
            options: Vec::new(),
            count: words.len(),
            positionals: Vec::new(),
            pending: None,
            is_escaped: false,
        };
        for (index, word) in words.iter().enumerate() {
            line.take(index, word);
        }
        line
    }

    fn take(&mut self, index: usize, word: &str) {
        if let Some(option) = self.pending.take() {
            self.options.push((option.get_id(), word.to_owned()));
        } else if self.is_escaped || self.is_in_command() {
            self.positionals.push((index, word.to_owned()));
        } else if word == "--" {
            self.is_escaped = true;
        } else if let Some(long) = word.strip_prefix("--") {
            self.take_long(long);
        } else if let Some(short) = word.strip_prefix('-').filter(|short| !short.is_empty()) {
            self.take_short(short);
        } else if let Some(verb) = self.command.find_subcommand(word) {
            self.command = verb;
            self.positionals.clear();
        } else {
            self.positionals.push((index, word.to_owned()));
        }
    }

    fn take_long(&mut self, long: &str) {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (long, None),
        };
        let Some(option) = self.long(name) else { return };
        match value {
            None if waits_for_value(option) => self.pending = Some(option),
            value => self.options.push((option.get_id(), value.unwrap_or_default().to_owned())),
        }
    }

    fn take_short(&mut self, letters: &str) {
        let mut rest = letters.chars();
        while let Some(letter) = rest.next() {
            let Some(option) = self.short(letter) else { return };
            if !waits_for_value(option) {
                self.options.push((option.get_id(), String::new()));
                continue;
            }
            match rest.as_str() {
                "" => self.pending = Some(option),
                value => self.options.push((option.get_id(), value.to_owned())),
            }
            return;
        }
    }

    fn long(&self, name: &str) -> Option<&'c Arg> {
        let has_alias =
            |option: &Arg| option.get_all_aliases().is_some_and(|aliases| aliases.contains(&name));
        let mut options = self.command.get_arguments();
        options.find(|option| option.get_long() == Some(name) || has_alias(option))
    }

    fn short(&self, letter: char) -> Option<&'c Arg> {
        self.command.get_arguments().find(|option| option.get_short() == Some(letter))
    }

    pub(super) fn place<'w>(&self, word: &'w str) -> Place<'c, 'w> {
        if let Some(argument) = self.pending {
            return Place::ValueOf { argument, start: "" };
        }
        if self.is_escaped || !word.starts_with('-') || self.is_in_command() {
            return Place::Positional;
        }
        let value = word.strip_prefix("--").and_then(|long| {
            let (name, _) = long.split_once('=')?;
            Some((self.long(name)?, word.get(..name.len() + 3)?))
        });
        match value {
            Some((argument, start)) => Place::ValueOf { argument, start },
            None => Place::Options,
        }
    }

    /// An option's value, or nothing but that it is there.
    pub(super) fn value(&self, id: &Id) -> Option<&str> {
        self.named(id.as_str())
    }

    fn named(&self, id: &str) -> Option<&str> {
        let given = self.options.iter().rev().find(|(option, _)| *option == id);
        given.map(|(_, value)| value.as_str())
    }

    /// The argument that the next word belongs to; the last one may take many.
    pub(super) fn next_positional(&self) -> Option<&'c Arg> {
        let positionals: Vec<&Arg> = self.command.get_positionals().collect();
        positionals.get(self.positionals.len()).or(positionals.last()).copied()
    }

    /// Whether the next word is one of the names that this program can have instead.
    pub(super) fn wants_old_name(&self) -> bool {
        self.command.get_name() == "compat" && self.positionals.is_empty()
    }

    /// Where another program's command begins, of which the next word is.
    pub(super) fn foreign_command(&self) -> Option<usize> {
        let first = self.positionals.first().map_or(self.count, |(first, _)| *first);
        self.takes_command().then_some(first)
    }

    fn is_in_command(&self) -> bool {
        self.takes_command() && !self.positionals.is_empty()
    }

    fn takes_command(&self) -> bool {
        self.command.get_positionals().any(Arg::is_trailing_var_arg_set)
    }

    /// What the next word can be.
    pub(super) fn next_kinds(&self) -> Vec<Kind> {
        words::next(&self.usage(), &self.words(), self.is_peer())
    }

    /// The service and the object that the words before name, or options do.
    pub(super) fn about(&self) -> About {
        let mut about = words::about(&self.usage(), &self.words(), self.is_peer());
        let text = |id| self.named(id).map(ToOwned::to_owned);
        about.path = about.path.or_else(|| text("path")).or_else(|| text("below"));
        about.interface = text("interface");
        about
    }

    /// How the verb is written, in one line or several.
    fn usage(&self) -> String {
        self.command.clone().render_usage().to_string()
    }

    pub(super) fn words(&self) -> Vec<&str> {
        self.positionals.iter().map(|(_, word)| word.as_str()).collect()
    }

    fn is_peer(&self) -> bool {
        self.named("peer").is_some()
    }

    /// Which bus the line means.
    pub(super) fn bus(&self) -> BusOptions {
        let text = |id| self.named(id).map(ToOwned::to_owned);
        BusOptions {
            system: self.named("system").is_some(),
            user: self.named("user").is_some(),
            address: text("address"),
            peer: text("peer"),
            host: text("host"),
            machine: text("machine"),
        }
    }
}

/// Whether the word after it is its value.
fn waits_for_value(option: &Arg) -> bool {
    option.get_action().takes_values() && !option.is_require_equals_set()
}
