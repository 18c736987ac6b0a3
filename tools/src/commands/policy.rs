//! `bus policy`: what the rules of a bus allow, and by which of them (needs.md E4).

use std::path::PathBuf;

use bus_daemon::arguments::ConfigFile;
use bus_daemon::configuration::ConfigSource;
use bus_daemon::host::accounts::SystemAccounts;
use bus_daemon::offline::{self, Explained, Report};
use bus_policy::inquiry::words_of;
use bus_policy::subject::{AccountNames as _, uid_of};
use clap::{Args, Subcommand};
use libbus::Error;
use libbus::blocking::Proxy;
use serde_json::json;

use crate::failure::{Failure, Result};
use crate::options::Options;
use crate::output::escape::plain;
use crate::output::out::Out;

const POLICY: &str = "org.libbus.Policy1";
/// What helps where neither the bus nor its files can be asked.
const NAME_THE_FILE: &str =
    "its configuration can be asked: bus policy explain --config=FILE …, or bus policy check FILE";

/// Check a bus's configuration, or explain what its policy allows
#[derive(Args, Debug)]
pub(crate) struct Policy {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Check(Check),
    Explain(Explain),
}

/// List what is wrong or suspicious in a configuration, with file, line and column
///
/// Without a file it is that of the session bus, with --system that of the system bus. Exit code 1: it cannot be
/// used, or not all of it.
#[derive(Args, Debug)]
struct Check {
    file: Option<PathBuf>,

    /// Also exit with 1 for what is only suspicious
    #[arg(long)]
    strict: bool,
}

/// Say whether something is allowed, and which rule decides
///
/// The running bus is asked; where it cannot be, or with --config, the files are. Exit code 1: it is not allowed.
#[derive(Args, Debug)]
#[command(after_help = "\
Questions:
  user=alice own=org.example.A
  user=alice send destination=org.example.A interface=org.example.I member=Frobnicate
  client=:1.42 receive sender=org.example.A type=signal     (of the running bus)
  user=bob connect")]
struct Explain {
    /// The question, as words or as one text
    #[arg(required = true, value_name = "KEY=VALUE")]
    question: Vec<String>,

    /// Ask this configuration, not the running bus
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Ask the configuration of the bus, not the running bus
    #[arg(long, conflicts_with = "config")]
    files: bool,
}

impl Policy {
    pub(crate) fn run(self, options: &Options) -> Result<()> {
        match self.task {
            Task::Check(check) => check.run(options),
            Task::Explain(explain) => explain.run(options),
        }
    }
}

/// The configuration that is meant: of another bus than the session's and the system's nobody knows it.
fn source(file: Option<PathBuf>, options: &Options) -> Result<ConfigSource> {
    let file = match (file, options.bus.system) {
        (Some(file), _) => ConfigFile::Path(file),
        (None, true) => ConfigFile::System,
        (None, false) if options.bus.is_named() => {
            let text = "which files that bus has is not known";
            return Err(Failure::usage(text).hint(NAME_THE_FILE));
        }
        (None, false) => ConfigFile::Session,
    };
    Ok(ConfigSource::new(&file, false))
}

fn print(report: &Report, options: &Options) -> Result<()> {
    report.notes.iter().for_each(|note| complain!("bus: {}", plain(note)));
    let mut out = Out::plain();
    match options.json() {
        Some(form) => {
            out.json(form, &json!({ "errors": report.errors, "warnings": report.warnings }))?
        }
        None => report.text.lines().try_for_each(|line| out.line(&plain(line)))?,
    }
    out.finish()
}

impl Check {
    fn run(self, options: &Options) -> Result<()> {
        let report = offline::check_config(&source(self.file, options)?);
        print(&report, options)?;
        let is_bad =
            report.code == offline::UNUSABLE_EXIT_CODE || (self.strict && report.code != 0);
        match is_bad {
            true => Err(Failure::refused("the configuration is not in order")),
            false => Ok(()),
        }
    }
}

impl Explain {
    fn run(self, options: &Options) -> Result<()> {
        options.bus.must_be_bus("policy explain")?;
        let question = self.question.join(" ");
        let asks_bus = self.config.is_none() && !self.files;
        if asks_bus && let Some(answer) = ask(&question, options)? {
            return answer.show(options);
        }
        let source = source(self.config, options)?;
        if asks_bus {
            complain!("bus: the answer is that of {}", plain(&source.path().to_string_lossy()));
        }
        let explained = offline::explain_policy(&source, &question);
        let Explained { answer, notes } = explained.map_err(|error| {
            Failure::usage(plain(&error))
                .hint("for example: bus policy explain user=alice own=org.example.A")
        })?;
        notes.iter().for_each(|note| complain!("bus: {}", plain(note)));
        Answer::new(answer.to_string(), &answer.to_json())?.show(options)
    }
}

struct Answer {
    is_allowed: bool,
    text: String,
    json: serde_json::Value,
}

impl Answer {
    fn new(text: String, json: &str) -> Result<Self> {
        let json: serde_json::Value = serde_json::from_str(json)
            .map_err(|error| Failure::refused(format!("the answer makes no sense: {error}")))?;
        let is_allowed = json.get("allowed").and_then(serde_json::Value::as_bool).unwrap_or(false);
        Ok(Self { is_allowed, text, json })
    }

    fn show(&self, options: &Options) -> Result<()> {
        let mut out = Out::plain();
        match options.json() {
            Some(form) => out.json(form, &self.json)?,
            None => {
                self.text.lines().try_for_each(|line| out.line(&plain(line)))?;
            }
        }
        out.finish()?;
        match self.is_allowed {
            true => Ok(()),
            false => Err(Failure::refused("the policy does not allow it")),
        }
    }
}

/// Asks the running bus; nothing, if it cannot be asked, which is said, and its files may have the answer.
fn ask(question: &str, options: &Options) -> Result<Option<Answer>> {
    let is_about_client = words_of(question).any(|word| word.starts_with("client="));
    let has_files = !is_about_client && !options.bus.is_named();
    let connection = match options.connect() {
        Ok(connection) => connection,
        Err(failure) if has_files => {
            complain!("bus: {}", failure.text);
            return Ok(None);
        }
        Err(failure) => return Err(failure),
    };
    let bus = Proxy::new(&connection, "org.freedesktop.DBus", "/org/freedesktop/DBus", POLICY)?;
    match bus.call::<_, (bool, String, String)>("Explain", &*with_numbers(question)?) {
        Ok((_, text, json)) => Answer::new(text, &json).map(Some),
        Err(Error::Method(error)) if error.name().ends_with(".InvalidArgs") => {
            Err(Failure::usage(plain(error.text())))
        }
        Err(error @ Error::Method(_)) if has_files => {
            complain!("bus: the bus does not answer: {}", plain(&error.to_string()));
            Ok(None)
        }
        Err(error @ Error::Method(_)) if !is_about_client => {
            Err(Failure::refused(plain(&error.to_string())).hint(NAME_THE_FILE))
        }
        Err(error) => Err(error.into()),
    }
}

/// A bus looks nobody up: user and groups become numbers here.
fn with_numbers(question: &str) -> Result<String> {
    let has_groups = words_of(question).any(|word| word.starts_with("groups="));
    let words = words_of(question).map(|word| {
        let Some(name) = word.strip_prefix("user=") else { return Ok(word.to_owned()) };
        let uid = uid_of(name, &SystemAccounts)
            .ok_or_else(|| Failure::usage(format!("there is no user {name:?}")))?;
        if has_groups {
            return Ok(format!("uid={uid}"));
        }
        let gids = SystemAccounts.gids_of(uid).unwrap_or_default();
        let gids: Vec<String> = gids.iter().map(u32::to_string).collect();
        Ok(format!("uid={uid} groups={}", gids.join("+")))
    });
    Ok(words.collect::<Result<Vec<String>>>()?.join(" "))
}
