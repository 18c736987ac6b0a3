//! The command line: one definition for parsing, help and completion.

use clap::{Parser, Subcommand};

use crate::commands::{
    activate, call, codegen, compat, completions, doctor, emit, env, get, introspect, list,
    monitor, run, set, stats, status, tree, wait,
};
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

/// See, call and explain a message bus.
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
    List(list::List),
    Status(status::Status),
    Tree(tree::Tree),
    Introspect(introspect::Introspect),
    Call(call::Call),
    Get(get::Get),
    Set(set::Set),
    Emit(emit::Emit),
    Wait(wait::Wait),
    Monitor(monitor::Monitor),
    Run(run::Run),
    Env(env::Env),
    Activate(activate::Activate),
    Stats(stats::Stats),
    Doctor(doctor::Doctor),
    Codegen(codegen::Codegen),
    Completions(completions::Completions),
    CompleteWords(completions::CompleteWords),
    Compat(compat::Compat),
}
