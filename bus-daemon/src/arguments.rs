//! The daemon's command line: the options of dbus-daemon, in every spelling it takes.
//!
//! An option with a value takes it after `=` or as the next argument. Section: dbus-daemon(1);
//! config.md B120-B123.

use std::ffi::OsString;
use std::fmt;
use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser};

/// The exit code for every wrong command line, as in dbus-daemon.
pub const USAGE_EXIT_CODE: u8 = 1;

/// Where the configuration comes from (config.md B120).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigFile {
    /// `--session`: the standard session bus's file.
    Session,
    /// `--system`: the standard system bus's file.
    System,
    /// `--config-file`.
    Path(PathBuf),
}

/// Whether to go to the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// If the configuration says `<fork/>`.
    AsConfigured,
    /// `--fork`.
    Always,
    /// `--nofork`.
    Never,
}

/// Where the log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogTargets {
    /// Standard error, and syslog too if the configuration says `<syslog/>`.
    AsConfigured,
    /// `--syslog`: standard error and syslog.
    Both,
    /// `--syslog-only`.
    SyslogOnly,
    /// `--nosyslog`: standard error only.
    StandardErrorOnly,
}

/// Whether to write the pid file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PidFileUse {
    /// If the configuration names one.
    AsConfigured,
    /// `--nopidfile`.
    Never,
}

/// How to run the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// The one configuration file.
    pub config_file: ConfigFile,
    /// `--address`: listen here in place of all `<listen>` elements; not checked yet.
    pub address: Option<String>,
    /// `--print-address`: the descriptor to print the bus's address to, never negative.
    pub print_address: Option<RawFd>,
    /// `--print-pid`: the descriptor to print the process id to, never negative.
    pub print_pid: Option<RawFd>,
    /// Background or not.
    pub fork: Fork,
    /// Log targets.
    pub log_targets: LogTargets,
    /// Pid file or not.
    pub pid_file: PidFileUse,
    /// `--systemd-activation`: leave starting services to systemd where they name a unit.
    pub systemd_activation: bool,
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Run a bus.
    Run(Arguments),
    /// `--introspect`: print the bus object's introspection data and exit with 0.
    Introspect,
    /// `--help` or `--version`: print this, which ends with a newline, and exit with 0.
    Print(String),
}

/// Why a command line is refused. Printed as one line; the exit code is [`USAGE_EXIT_CODE`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgumentsError {
    /// No configuration file; `usage` is for a second line.
    NoConfigFile {
        /// How the options are given.
        usage: String,
    },
    /// Two of `--session`, `--system`, `--config-file`.
    SecondConfigFile,
    /// An option that is given at most once.
    Repeated {
        /// The option.
        option: &'static str,
    },
    /// Not a descriptor number.
    InvalidDescriptor {
        /// The value given.
        value: String,
    },
    /// An option without its value.
    MissingValue {
        /// The option and what its value is.
        option: String,
    },
    /// An option or argument that the daemon does not know.
    Unknown {
        /// The argument.
        argument: String,
    },
    /// Anything else that the parser of options refuses.
    Other(String),
}

/// Reads a command line, the program's name first.
///
/// # Errors
/// See [`ArgumentsError`].
pub fn parse(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<Invocation, ArgumentsError> {
    let matches = match Options::command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return refusal_or_text(&error),
    };
    match Options::from_arg_matches(&matches) {
        Ok(options) if options.introspect => Ok(Invocation::Introspect),
        Ok(options) => options.into_arguments().map(Invocation::Run),
        Err(error) => refusal_or_text(&error),
    }
}

/// The D-Bus message bus.
#[derive(Parser)]
#[command(
    name = "bus-daemon",
    version = concat!(env!("CARGO_PKG_VERSION"), " (D-Bus Message Bus Daemon)"),
    disable_help_flag = true,
    disable_version_flag = true,
    args_override_self = false
)]
struct Options {
    /// Use the standard configuration of the session bus
    #[arg(long, action = ArgAction::Count)]
    session: u8,
    /// Use the standard configuration of the system bus
    #[arg(long, action = ArgAction::Count)]
    system: u8,
    /// Use this configuration file
    #[arg(long, value_name = "FILE", action = ArgAction::Append)]
    config_file: Vec<PathBuf>,
    /// Listen on this address and on none of the configuration; of several separated by ';', on the
    /// first that works
    #[arg(long, value_name = "ADDRESS", action = ArgAction::Append)]
    address: Vec<String>,
    /// Print the address of the bus to standard output or to this open descriptor
    #[arg(long, value_name = "FD", num_args = 0..=1, default_missing_value = "1", action = ArgAction::Append)]
    print_address: Vec<String>,
    /// Print the process id to standard output or to this open descriptor
    #[arg(long, value_name = "FD", num_args = 0..=1, default_missing_value = "1", action = ArgAction::Append)]
    print_pid: Vec<String>,
    /// Go to the background
    #[arg(long, overrides_with_all = ["fork", "nofork"])]
    fork: bool,
    /// Stay in the foreground, whatever the configuration says
    #[arg(long, overrides_with_all = ["fork", "nofork"])]
    nofork: bool,
    /// Write no pid file, whatever the configuration says
    #[arg(long, overrides_with = "nopidfile")]
    nopidfile: bool,
    /// Log to syslog and to standard error
    #[arg(long, overrides_with_all = ["syslog", "syslog_only", "nosyslog"])]
    syslog: bool,
    /// Log to syslog only
    #[arg(long, overrides_with_all = ["syslog", "syslog_only", "nosyslog"])]
    syslog_only: bool,
    /// Log to standard error only, whatever the configuration says
    #[arg(long, overrides_with_all = ["syslog", "syslog_only", "nosyslog"])]
    nosyslog: bool,
    /// Start services through systemd where they name a unit
    #[arg(long, overrides_with = "systemd_activation")]
    systemd_activation: bool,
    /// Print the introspection data of the bus object and exit
    #[arg(long, overrides_with = "introspect")]
    introspect: bool,
    /// Print the version and exit
    #[arg(long, action = ArgAction::Version)]
    version: Option<bool>,
    /// Print this help and exit
    // deviation: the reference prints its usage to standard error and exits with 1.
    #[arg(long, short = 'h', short_alias = '?', action = ArgAction::HelpShort)]
    help: Option<bool>,
}

impl Options {
    fn into_arguments(self) -> Result<Arguments, ArgumentsError> {
        Ok(Arguments {
            fork: self.fork(),
            log_targets: self.log_targets(),
            pid_file: if self.nopidfile { PidFileUse::Never } else { PidFileUse::AsConfigured },
            systemd_activation: self.systemd_activation,
            address: at_most_one("--address", self.address)?,
            print_address: descriptor("--print-address", self.print_address)?,
            print_pid: descriptor("--print-pid", self.print_pid)?,
            config_file: config_file(self.session, self.system, self.config_file)?,
        })
    }

    const fn fork(&self) -> Fork {
        match (self.fork, self.nofork) {
            (true, _) => Fork::Always,
            (_, true) => Fork::Never,
            _ => Fork::AsConfigured,
        }
    }

    const fn log_targets(&self) -> LogTargets {
        match (self.syslog, self.syslog_only, self.nosyslog) {
            (true, ..) => LogTargets::Both,
            (_, true, _) => LogTargets::SyslogOnly,
            (.., true) => LogTargets::StandardErrorOnly,
            _ => LogTargets::AsConfigured,
        }
    }
}

/// Exactly one of the three ways to name the file.
fn config_file(session: u8, system: u8, paths: Vec<PathBuf>) -> Result<ConfigFile, ArgumentsError> {
    let mut files = std::iter::repeat_n(ConfigFile::Session, session.into())
        .chain(std::iter::repeat_n(ConfigFile::System, system.into()))
        .chain(paths.into_iter().map(ConfigFile::Path));
    match (files.next(), files.next()) {
        (Some(file), None) => Ok(file),
        (Some(_), Some(_)) => Err(ArgumentsError::SecondConfigFile),
        (None, _) => Err(ArgumentsError::NoConfigFile { usage: usage() }),
    }
}

fn usage() -> String {
    Options::command().render_usage().to_string()
}

fn descriptor(option: &'static str, values: Vec<String>) -> Result<Option<RawFd>, ArgumentsError> {
    let Some(value) = at_most_one(option, values)? else { return Ok(None) };
    match value.parse::<RawFd>() {
        Ok(number) if number >= 0 => Ok(Some(number)),
        _ => Err(ArgumentsError::InvalidDescriptor { value }),
    }
}

fn at_most_one<T>(option: &'static str, values: Vec<T>) -> Result<Option<T>, ArgumentsError> {
    let mut values = values.into_iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(ArgumentsError::Repeated { option }),
        (value, None) => Ok(value),
    }
}

/// The option parser reports help and version as errors too.
fn refusal_or_text(error: &clap::Error) -> Result<Invocation, ArgumentsError> {
    let argument = || match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.clone(),
        _ => String::new(),
    };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            Ok(Invocation::Print(error.render().to_string()))
        }
        ErrorKind::UnknownArgument => Err(ArgumentsError::Unknown { argument: argument() }),
        ErrorKind::InvalidValue | ErrorKind::WrongNumberOfValues | ErrorKind::TooFewValues => {
            Err(ArgumentsError::MissingValue { option: argument() })
        }
        _ => Err(ArgumentsError::Other(first_line(error))),
    }
}

fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

impl fmt::Display for ArgumentsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoConfigFile { usage } => {
                write!(f, "No configuration file specified.\n{usage}")
            }
            Self::SecondConfigFile => f.write_str(
                "A second configuration file is requested; \
                 give one of --session, --system, --config-file=FILE",
            ),
            Self::Repeated { option } => {
                write!(f, "{option} is given twice; give it once")
            }
            Self::InvalidDescriptor { value } => write!(
                f,
                "Invalid file descriptor: \"{value}\"; give the number of an open descriptor"
            ),
            Self::MissingValue { option } => write!(f, "{option} needs a value; see --help"),
            Self::Unknown { argument } => {
                write!(f, "Unknown option \"{argument}\"; see --help for those there are")
            }
            Self::Other(text) => write!(f, "{text}; see --help"),
        }
    }
}

impl std::error::Error for ArgumentsError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Invocation, ArgumentsError> {
        let words = line.split(' ').filter(|word| !word.is_empty());
        parse(std::iter::once("bus-daemon").chain(words))
    }

    fn session() -> Arguments {
        Arguments {
            config_file: ConfigFile::Session,
            address: None,
            print_address: None,
            print_pid: None,
            fork: Fork::AsConfigured,
            log_targets: LogTargets::AsConfigured,
            pid_file: PidFileUse::AsConfigured,
            systemd_activation: false,
        }
    }

    fn check(line: &str, expected: Arguments) {
        assert_eq!(parsed(line), Ok(Invocation::Run(expected)), "{line}");
    }

    fn refused(line: &str, expected: &ArgumentsError, says: &str) {
        let error = parsed(line).unwrap_err();
        assert_eq!(&error, expected, "{line}");
        let text = error.to_string();
        assert!(text.contains(says), "{line}: {text}");
    }

    // config.md B120
    #[test]
    fn the_configuration_file_is_named_once() {
        let path =
            |text: &str| Arguments { config_file: ConfigFile::Path(text.into()), ..session() };
        check("--session", session());
        check("--system", Arguments { config_file: ConfigFile::System, ..session() });
        check("--config-file=/proc/self/fd/3", path("/proc/self/fd/3"));
        check("--config-file a.conf", path("a.conf"));
        let two = ArgumentsError::SecondConfigFile;
        for line in
            ["--session --session", "--session --config-file=x", "--config-file x --config-file y"]
        {
            refused(line, &two, "second configuration file");
        }
        let none = ArgumentsError::NoConfigFile { usage: usage() };
        refused("", &none, "No configuration file specified.\n");
        refused("--nofork", &none, "Usage: ");
    }

    // config.md B121, B122
    #[test]
    fn values_follow_directly_or_as_the_next_argument() {
        let address = |text: &str| Arguments { address: Some(text.into()), ..session() };
        check("--session --address=unix:path=/x", address("unix:path=/x"));
        check("--address unix:path=/x --session", address("unix:path=/x"));
        let print = |fd| Arguments { print_address: Some(fd), ..session() };
        check("--session --print-address", print(1));
        check("--print-address --session", print(1));
        check("--session --print-address=3", print(3));
        check("--session --print-address 3", print(3));
        let pid = |fd| Arguments { print_pid: Some(fd), ..session() };
        check("--session --print-pid", pid(1));
        check("--print-pid=4 --session", pid(4));
        check("--print-pid 4 --session", pid(4));
        check(
            "--session --print-address --print-pid 5",
            Arguments { print_address: Some(1), print_pid: Some(5), ..session() },
        );
    }

    // config.md B123
    #[test]
    fn the_last_of_contradicting_flags_counts() {
        check("--session --fork", Arguments { fork: Fork::Always, ..session() });
        check("--session --fork --nofork", Arguments { fork: Fork::Never, ..session() });
        check("--session --nofork --fork --fork", Arguments { fork: Fork::Always, ..session() });
        let log = |log_targets| Arguments { log_targets, ..session() };
        check("--session --syslog", log(LogTargets::Both));
        check("--session --syslog --syslog-only", log(LogTargets::SyslogOnly));
        check("--session --syslog-only --nosyslog", log(LogTargets::StandardErrorOnly));
        check("--session --nosyslog --syslog", log(LogTargets::Both));
        check(
            "--session --nopidfile --nopidfile --systemd-activation",
            Arguments { pid_file: PidFileUse::Never, systemd_activation: true, ..session() },
        );
    }

    #[test]
    fn help_version_and_introspection_need_no_configuration() {
        assert_eq!(parsed("--introspect"), Ok(Invocation::Introspect));
        for line in ["--help", "-h", "-?", "--session --help --bogus"] {
            let Ok(Invocation::Print(text)) = parsed(line) else { panic!("{line}") };
            assert!(text.contains("--print-address") && text.contains("Usage: "), "{text}");
        }
        let Ok(Invocation::Print(text)) = parsed("--version") else { panic!() };
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(text, format!("bus-daemon {version} (D-Bus Message Bus Daemon)\n"));
    }

    #[test]
    fn a_wrong_command_line_is_refused_in_one_line() {
        let descriptor = |value: &str| ArgumentsError::InvalidDescriptor { value: value.into() };
        refused("--session --print-address=x", &descriptor("x"), "Invalid file descriptor: \"x\"");
        refused("--session --print-pid=-1", &descriptor("-1"), "\"-1\"");
        refused("--session --print-pid=4294967296", &descriptor("4294967296"), "number");
        for option in ["--address", "--print-address", "--print-pid"] {
            let line = format!("--session {option}=1 {option}=2");
            refused(&line, &ArgumentsError::Repeated { option }, "twice");
        }
        for argument in ["--bogus", "foo", "-x"] {
            let unknown = ArgumentsError::Unknown { argument: argument.into() };
            refused(&format!("--session {argument}"), &unknown, argument);
        }
        for option in ["--address <ADDRESS>", "--config-file <FILE>"] {
            let line = option.split(' ').next().unwrap();
            let missing = ArgumentsError::MissingValue { option: option.into() };
            refused(line, &missing, "needs a value");
        }
        let error = parsed("--session --fork=yes").unwrap_err();
        assert!(matches!(error, ArgumentsError::Other(_)), "{error:?}");
        assert_eq!(error.to_string().lines().count(), 1);
    }
}
