//! The verbs, a file each: its arguments, and what it does with them.

pub(crate) mod activate;
pub(crate) mod call;
pub(crate) mod capture;
pub(crate) mod codegen;
pub(crate) mod compat;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod emit;
pub(crate) mod env;
pub(crate) mod get;
pub(crate) mod help;
pub(crate) mod introspect;
pub(crate) mod list;
pub(crate) mod monitor;
pub(crate) mod policy;
pub(crate) mod replay;
pub(crate) mod run;
pub(crate) mod set;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod stdio_bridge;
pub(crate) mod top;
pub(crate) mod trace;
pub(crate) mod tree;
pub(crate) mod wait;

use std::process::ExitCode;

use crate::cli::{Cli, Verb};
use crate::failure::Result;

/// Runs the verb.
pub(crate) fn run(cli: Cli) -> Result<ExitCode> {
    let options = &cli.options;
    match cli.verb {
        Verb::List(list) => list.run(options),
        Verb::Status(status) => status.run(options),
        Verb::Tree(tree) => tree.run(options),
        Verb::Introspect(introspect) => introspect.run(options),
        Verb::Call(call) => call.run(options),
        Verb::Get(get) => get.run(options),
        Verb::Set(set) => set.run(options),
        Verb::Emit(emit) => emit.run(options),
        Verb::Wait(wait) => wait.run(options),
        Verb::Monitor(monitor) => monitor.run(options),
        Verb::Capture(capture) => capture.run(options),
        Verb::Policy(policy) => policy.run(options),
        Verb::StdioBridge(bridge) => bridge.run(options),
        Verb::Trace(trace) => trace.run(options),
        Verb::Replay(replay) => replay.run(options),
        Verb::Run(run) => return run.run(options),
        Verb::Compat(compat) => return compat.run(),
        Verb::Doctor(doctor) => return doctor.run(options),
        Verb::Codegen(codegen) => return codegen.run(options),
        Verb::Completions(completions) => completions.run(),
        Verb::CompleteWords(words) => words.run(),
        Verb::Help(help) => help.run(),
        Verb::Env(env) => env.run(options),
        Verb::Activate(activate) => activate.run(options),
        Verb::Stats(stats) => stats.run(options),
        Verb::Top(top) => top.run(options),
    }?;
    Ok(ExitCode::SUCCESS)
}
