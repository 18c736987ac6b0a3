//! The daemon's command line: the options of dbus-daemon, in every spelling it takes.
//!
//! An option with a value takes it after `=` or as the next argument. Section: dbus-daemon(1);
//! config.md B120-B123.

use std::ffi::OsString;
use std::fmt;
use std::os::fd::RawFd;
use std::path::PathBuf;

use lexopt::Arg::{Long, Short};

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
    /// `--check-config`: say what is wrong with this configuration.
    CheckConfig(ConfigFile),
    /// `--explain-policy`: answer a question about this configuration's policies.
    ExplainPolicy {
        /// The configuration.
        config_file: ConfigFile,
        /// The question.
        question: String,
        /// `--json`: answer in JSON.
        json: bool,
    },
    /// `--help` or `--version`: print this, which ends with a newline, and exit with 0.
    Print(String),
}

/// Why a command line is refused. Printed as one line; the exit code is [`USAGE_EXIT_CODE`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgumentsError {
    /// No configuration file; how to name one is on a second line.
    NoConfigFile,
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
        option: &'static str,
    },
    /// `--check-config` and `--explain-policy`.
    CheckAndExplain,
    /// `--json` without what it is about.
    JsonOfNothing,
    /// A value for an option that takes none.
    UnexpectedValue {
        /// The option.
        option: String,
        /// The value given.
        value: String,
    },
    /// An option or argument that the daemon does not know.
    Unknown {
        /// The argument.
        argument: String,
    },
}

/// What `--help` prints after the usage line.
// deviation: the reference prints its usage to standard error and exits with 1.
const HELP: &str = "\
The D-Bus message bus.

Options:
      --session             Use the standard configuration of the session bus
      --system              Use the standard configuration of the system bus
      --config-file=FILE    Use this configuration file
      --address=ADDRESS     Listen on this address and on none of the
                            configuration; of several separated by ';', on the
                            first that works
      --print-address[=FD]  Print the address of the bus to standard output or to
                            this open descriptor
      --print-pid[=FD]      Print the process id to standard output or to this
                            open descriptor
      --fork                Go to the background
      --nofork              Stay in the foreground, whatever the configuration says
      --nopidfile           Write no pid file, whatever the configuration says
      --syslog              Log to syslog and to standard error
      --syslog-only         Log to syslog only
      --nosyslog            Log to standard error only, whatever the configuration
                            says
      --systemd-activation  Start services through systemd where they name a unit
      --check-config[=FILE] Say everything that is wrong or suspicious in the
                            configuration and exit: with 0 if nothing is, 1 if
                            it cannot be used as it is, 2 if it is suspicious
      --explain-policy=QUESTION
                            Answer a question such as \"user=alice own=org.example.A\"
                            or \"user=alice send destination=org.example.A
                            interface=org.example.I\" from the configuration's
                            policies, with every rule considered, and exit
      --json                Answer --explain-policy in JSON
      --introspect          Print the introspection data of the bus object and exit
      --version             Print the version and exit
  -h, --help                Print this help and exit
";

const USAGE: &str = "Usage: bus-daemon --session|--system|--config-file=FILE [OPTIONS]";

const VERSION: &str =
    concat!("bus-daemon ", env!("CARGO_PKG_VERSION"), " (D-Bus Message Bus Daemon)\n");

/// Reads a command line, the program's name first.
///
/// # Errors
/// See [`ArgumentsError`].
pub fn parse(
    arguments: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<Invocation, ArgumentsError> {
    let mut parser = lexopt::Parser::from_iter(arguments);
    let mut given = Options::default();
    while let Some(argument) = parser.next().map_err(|error| refusal(&error))? {
        match argument {
            Long("session") => given.set_config_file(ConfigFile::Session)?,
            Long("system") => given.set_config_file(ConfigFile::System)?,
            Long("config-file") => {
                let path = value(&mut parser, "--config-file=FILE")?.into();
                given.set_config_file(ConfigFile::Path(path))?;
            }
            Long("address") => {
                let address = text(value(&mut parser, "--address=ADDRESS")?);
                once(&mut given.address, "--address", address)?;
            }
            Long("print-address") => {
                let number = descriptor(&mut parser)?;
                once(&mut given.print_address, "--print-address", number)?;
            }
            Long("print-pid") => {
                let number = descriptor(&mut parser)?;
                once(&mut given.print_pid, "--print-pid", number)?;
            }
            Long("fork") => given.fork = Some(Fork::Always),
            Long("nofork") => given.fork = Some(Fork::Never),
            Long("nopidfile") => given.no_pid_file = true,
            Long("syslog") => given.log_targets = Some(LogTargets::Both),
            Long("syslog-only") => given.log_targets = Some(LogTargets::SyslogOnly),
            Long("nosyslog") => given.log_targets = Some(LogTargets::StandardErrorOnly),
            Long("systemd-activation") => given.systemd_activation = true,
            Long("check-config") => {
                given.check_config = true;
                if let Some(file) = optional_value(&mut parser) {
                    given.set_config_file(ConfigFile::Path(file.into()))?;
                }
            }
            Long("explain-policy") => {
                let question = text(value(&mut parser, "--explain-policy=QUESTION")?);
                once(&mut given.question, "--explain-policy", question)?;
            }
            Long("json") => given.json = true,
            Long("introspect") => given.introspect = true,
            Long("version") => return Ok(Invocation::Print(VERSION.into())),
            Long("help") | Short('h' | '?') => {
                return Ok(Invocation::Print(format!("{USAGE}\n\n{HELP}")));
            }
            unknown => return Err(refusal(&unknown.unexpected())),
        }
    }
    given.into_invocation()
}

/// What was read so far.
#[derive(Default)]
struct Options {
    config_file: Option<ConfigFile>,
    address: Option<String>,
    print_address: Option<RawFd>,
    print_pid: Option<RawFd>,
    fork: Option<Fork>,
    log_targets: Option<LogTargets>,
    no_pid_file: bool,
    systemd_activation: bool,
    introspect: bool,
    check_config: bool,
    question: Option<String>,
    json: bool,
}

impl Options {
    fn set_config_file(&mut self, file: ConfigFile) -> Result<(), ArgumentsError> {
        match self.config_file.replace(file) {
            None => Ok(()),
            Some(_) => Err(ArgumentsError::SecondConfigFile),
        }
    }

    fn into_invocation(self) -> Result<Invocation, ArgumentsError> {
        if self.introspect {
            return Ok(Invocation::Introspect);
        }
        if self.check_config && self.question.is_some() {
            return Err(ArgumentsError::CheckAndExplain);
        }
        let config_file = self.config_file.ok_or(ArgumentsError::NoConfigFile)?;
        if let Some(question) = self.question {
            return Ok(Invocation::ExplainPolicy { config_file, question, json: self.json });
        }
        if self.json {
            return Err(ArgumentsError::JsonOfNothing);
        }
        if self.check_config {
            return Ok(Invocation::CheckConfig(config_file));
        }
        Ok(Invocation::Run(Arguments {
            config_file,
            address: self.address,
            print_address: self.print_address,
            print_pid: self.print_pid,
            fork: self.fork.unwrap_or(Fork::AsConfigured),
            log_targets: self.log_targets.unwrap_or(LogTargets::AsConfigured),
            pid_file: if self.no_pid_file { PidFileUse::Never } else { PidFileUse::AsConfigured },
            systemd_activation: self.systemd_activation,
        }))
    }
}

/// Keeps the value of an option that is given at most once.
fn once<T>(place: &mut Option<T>, option: &'static str, value: T) -> Result<(), ArgumentsError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(ArgumentsError::Repeated { option }),
    }
}

/// The value after `=` or in the next argument; another option is none, as a forgotten value is
/// likelier than one that begins with a dash.
fn value(parser: &mut lexopt::Parser, option: &'static str) -> Result<OsString, ArgumentsError> {
    optional_value(parser).ok_or(ArgumentsError::MissingValue { option })
}

fn optional_value(parser: &mut lexopt::Parser) -> Option<OsString> {
    parser.optional_value().or_else(|| {
        let mut rest = parser.try_raw_args()?;
        rest.next_if(|next| !next.as_encoded_bytes().starts_with(b"-"))
    })
}

fn descriptor(parser: &mut lexopt::Parser) -> Result<RawFd, ArgumentsError> {
    let Some(value) = optional_value(parser).map(text) else { return Ok(libc::STDOUT_FILENO) };
    match value.parse::<RawFd>() {
        Ok(number) if number >= 0 => Ok(number),
        _ => Err(ArgumentsError::InvalidDescriptor { value }),
    }
}

/// An argument as text. What is not UTF-8 is neither a valid address nor a number, and its
/// replacement characters show where.
fn text(argument: OsString) -> String {
    argument.to_string_lossy().into_owned()
}

fn refusal(error: &lexopt::Error) -> ArgumentsError {
    match error {
        lexopt::Error::UnexpectedOption(argument) => {
            ArgumentsError::Unknown { argument: argument.clone() }
        }
        lexopt::Error::UnexpectedArgument(argument) => {
            ArgumentsError::Unknown { argument: text(argument.clone()) }
        }
        lexopt::Error::UnexpectedValue { option, value } => {
            ArgumentsError::UnexpectedValue { option: option.clone(), value: text(value.clone()) }
        }
        other => ArgumentsError::Unknown { argument: other.to_string() },
    }
}

impl fmt::Display for ArgumentsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoConfigFile => {
                write!(f, "No configuration file specified.\n{USAGE}")
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
            Self::CheckAndExplain => f.write_str(
                "--check-config and --explain-policy exclude each other; ask one after the other",
            ),
            Self::JsonOfNothing => {
                f.write_str("--json is how --explain-policy answers; give a question, too")
            }
            Self::MissingValue { option } => write!(f, "{option} needs a value; see --help"),
            Self::Unknown { argument } => {
                write!(f, "Unknown option \"{argument}\"; see --help for those there are")
            }
            Self::UnexpectedValue { option, value } => {
                write!(f, "{option} takes no value, and \"{value}\" is given; see --help")
            }
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

    #[test]
    fn questions_about_a_configuration_run_no_bus() {
        let path = || ConfigFile::Path("a.conf".into());
        for line in [
            "--check-config a.conf",
            "--check-config=a.conf",
            "--config-file a.conf --check-config",
        ] {
            assert_eq!(parsed(line), Ok(Invocation::CheckConfig(path())), "{line}");
        }
        refused("--check-config", &ArgumentsError::NoConfigFile, "No configuration file");
        let explain = |question: &str, json| {
            let config_file = ConfigFile::System;
            Ok(Invocation::ExplainPolicy { config_file, question: question.into(), json })
        };
        assert_eq!(
            parsed("--system --explain-policy=own=a.b,uid=1"),
            explain("own=a.b,uid=1", false)
        );
        assert_eq!(parsed("--system --json --explain-policy connect"), explain("connect", true));
        let both = ArgumentsError::CheckAndExplain;
        for line in [
            "--system --check-config --explain-policy=connect",
            "--check-config=a.conf --json --explain-policy=connect",
            "--explain-policy=connect --check-config",
        ] {
            refused(line, &both, "--check-config and --explain-policy exclude each other");
        }
        refused("--system --json", &ArgumentsError::JsonOfNothing, "give a question");
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
        let none = ArgumentsError::NoConfigFile;
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
        for option in ["--address=ADDRESS", "--config-file=FILE"] {
            let (name, _) = option.split_once('=').unwrap();
            let missing = ArgumentsError::MissingValue { option };
            refused(name, &missing, "needs a value");
            refused(&format!("{name} --fork"), &missing, option);
        }
        let value =
            ArgumentsError::UnexpectedValue { option: "--fork".into(), value: "yes".into() };
        refused("--session --fork=yes", &value, "--fork takes no value, and \"yes\"");
    }
}
