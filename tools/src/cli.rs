//! The command line: one definition for parsing, help and completion.

use std::ffi::OsString;

use clap::error::{ContextKind, ErrorKind};
use clap::{ArgMatches, Command, CommandFactory as _, Parser, Subcommand};

use crate::commands;
use crate::examples;
use crate::options::Options;

const AFTER_HELP: &str = "\
Exit codes: 0 success, 1 the bus or the one who was called said no, 2 wrong usage, 3 no bus.

Examples:
  bus list                              who is on the bus
  bus tree org.freedesktop.Notifications
  bus call org.freedesktop.Notifications /org/freedesktop/Notifications \\
      org.freedesktop.Notifications.GetCapabilities
  bus --system monitor org.freedesktop.login1
  bus run -- make test                  a private bus for one command";

/// See, call, capture and explain a message bus.
#[derive(Debug, Parser)]
#[command(name = "bus", version, after_help = AFTER_HELP, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) options: Options,

    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    List(commands::list::List),
    Status(commands::status::Status),
    Tree(commands::tree::Tree),
    Introspect(commands::introspect::Introspect),
    Call(commands::call::Call),
    Get(commands::get::Get),
    Set(commands::set::Set),
    Emit(commands::emit::Emit),
    Wait(commands::wait::Wait),
    Monitor(commands::monitor::Monitor),
    Capture(commands::capture::Capture),
    Trace(commands::trace::Trace),
    Replay(commands::replay::Replay),
    Run(commands::run::Run),
    Env(commands::env::Env),
    Activate(commands::activate::Activate),
    Stats(commands::stats::Stats),
    Top(commands::top::Top),
    Policy(commands::policy::Policy),
    StdioBridge(commands::stdio_bridge::StdioBridge),
    Doctor(commands::doctor::Doctor),
    Codegen(commands::codegen::Codegen),
    Completions(commands::completions::Completions),
    CompleteWords(commands::completions::CompleteWords),
    Compat(commands::compat::Compat),
    Help(commands::help::Help),
}

/// The definition, with an example of each verb.
pub(crate) fn command() -> Command {
    examples::added_to(Cli::command())
}

/// Which verb was typed: `list`, `policy explain`.
pub(crate) fn verb(matches: &ArgMatches) -> String {
    let mut words = Vec::new();
    let mut at = matches;
    while let Some((name, inner)) = at.subcommand() {
        words.push(name);
        at = inner;
    }
    words.join(" ")
}

/// The same, where the rest is wrong; what clap cannot read may still have the name of a verb in it.
pub(crate) fn verb_of_wrong(arguments: &[OsString]) -> String {
    let command = command();
    let read = command.clone().ignore_errors(true).try_get_matches_from(arguments);
    let read = read.map(|matches| verb(&matches)).unwrap_or_default();
    let named = || arguments.iter().skip(1).find_map(|word| command.find_subcommand(word));
    match read.is_empty() {
        true => named().map(|verb| verb.get_name().to_owned()).unwrap_or_default(),
        false => read,
    }
}

/// An error of the words of a verb, of which clap knows no more than their number: which words are wanted.
pub(crate) fn about_words(error: &clap::Error, verb: &str) -> Option<clap::Error> {
    let is_number = matches!(
        error.kind(),
        ErrorKind::MissingRequiredArgument
            | ErrorKind::TooFewValues
            | ErrorKind::TooManyValues
            | ErrorKind::WrongNumberOfValues
    );
    let argument = error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
    if !is_number || !argument.contains("WORD") {
        return None;
    }
    let mut command = command();
    command.build();
    let command = command.find_subcommand_mut(verb)?;
    let usage = command.render_usage().to_string();
    let ways = usage.lines().filter_map(|way| way.split_once("[OPTIONS] "));
    let ways: Vec<&str> = ways.map(|(_, words)| words).collect();
    Some(command.error(error.kind(), format!("expected {}", ways.join(", or "))))
}
