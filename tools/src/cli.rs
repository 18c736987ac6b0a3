//! The command line: one definition for parsing, help and completion.

use clap::{Parser, Subcommand};

use crate::commands;
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
}
