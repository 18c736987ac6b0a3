//! `dbus-launch` (tools.md D051): starts a session bus that goes on, and says where it is.
//!
//! Where there is an X11 display, the bus is written down there, too ([`display`]). What ends a bus with its session
//! ([`watch`]) is this program once more, in the background.

mod display;
mod watch;

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};

use libbus::host::phrase;

use self::display::Display;
use self::watch::Watched;
use super::dbus_uuidgen;
use super::libdbus::{say, version};
use super::session_bus;
use crate::output::complain;

const NAME: &str = "dbus-launch";

const HELP: &str = "\
dbus-launch [--version] [--help] [--sh-syntax] [--csh-syntax] [--auto-syntax] [--binary-syntax] [--close-stderr] [--exit-with-session|--exit-with-x11] [--autolaunch=MACHINEID] [--config-file=FILENAME] [PROGRAM] [ARGS...]";

/// Hexadecimal digits of a machine's id.
const MACHINE_ID_SIZE: usize = 32;

/// How it is said where the bus is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Syntax {
    Pairs,
    Sh,
    Csh,
    Binary,
}

#[derive(Debug, Default)]
struct Options<'w> {
    is_sh: bool,
    is_csh: bool,
    is_auto: bool,
    is_binary: bool,
    closes_stderr: bool,
    ends_with_session: bool,
    ends_with_display: bool,
    machine_id: Option<&'w OsStr>,
    config: Option<&'w OsStr>,
}

/// What the command line asks for.
enum Wanted<'w> {
    Help,
    Version,
    /// A bus, and a program that has it.
    Launch(&'w [OsString]),
    /// A step of watching, and of what.
    Watch(&'w OsStr, &'w [OsString]),
}

/// Where a bus is, which process it is, and the window by which the display has it, or 0.
#[derive(Clone, Debug)]
struct Launched {
    address: String,
    pid: i32,
    window: u32,
}

/// Starts a bus, and a program with it if there is one.
pub(super) fn run(words: &[OsString]) -> ExitCode {
    let mut options = Options::default();
    let done = options.read(words).and_then(|wanted| match wanted {
        Wanted::Help => {
            complain!("{HELP}");
            Ok(())
        }
        Wanted::Version => {
            say(&version(NAME));
            Ok(())
        }
        Wanted::Watch(step, words) => watch::run(step, words),
        Wanted::Launch(command) => options.launch(command),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            complain(&text);
            ExitCode::FAILURE
        }
    }
}

impl<'w> Options<'w> {
    fn read(&mut self, words: &'w [OsString]) -> Result<Wanted<'w>, String> {
        let mut rest = words;
        while let Some((word, mut after)) = rest.split_first() {
            let mut value = |name: &str| -> Option<Result<&'w OsStr, String>> {
                let tail = word.as_bytes().strip_prefix(name.as_bytes())?;
                match (tail, after.split_first()) {
                    ([b'=', value @ ..], _) => Some(Ok(OsStr::from_bytes(value))),
                    ([], Some((value, rest))) => {
                        after = rest;
                        Some(Ok(value))
                    }
                    ([], None) => Some(Err(format!("Option `{name}' requires an argument.\n"))),
                    _ => None,
                }
            };
            if let Some(file) = value("--config-file") {
                self.config = Some(file?);
            } else if let Some(id) = value("--autolaunch") {
                self.machine_id = Some(id?);
            } else if let Some(step) = value(watch::OPTION) {
                return step.map(|step| Wanted::Watch(step, after));
            } else {
                match word.to_str() {
                    Some("--help" | "-h") => return Ok(Wanted::Help),
                    Some("--version") => return Ok(Wanted::Version),
                    Some("--") => return Ok(Wanted::Launch(after)),
                    _ if !word.as_bytes().starts_with(b"-") => return Ok(Wanted::Launch(rest)),
                    option => self.set(option, word)?,
                }
            }
            rest = after;
        }
        Ok(Wanted::Launch(&[]))
    }

    fn set(&mut self, option: Option<&str>, word: &OsStr) -> Result<(), String> {
        let flag = match option {
            Some("--sh-syntax") => &mut self.is_sh,
            Some("--csh-syntax") => &mut self.is_csh,
            Some("--auto-syntax") => &mut self.is_auto,
            Some("--binary-syntax") => &mut self.is_binary,
            Some("--close-stderr") => &mut self.closes_stderr,
            Some("--exit-with-session") => &mut self.ends_with_session,
            Some("--exit-with-x11") => &mut self.ends_with_display,
            _ => return Err(format!("Option `{}' is unknown.\n", word.to_string_lossy())),
        };
        *flag = true;
        Ok(())
    }

    fn launch(&self, command: &[OsString]) -> Result<(), String> {
        let machine_id = self.machine_id()?;
        let display = machine_id.as_deref().and_then(Display::open);
        if display.is_none() && self.machine_id.is_some() {
            return Err("Autolaunch error: X11 initialization failed.\n".to_owned());
        }
        if display.is_none() && self.ends_with_display {
            let text = "Session lifetime based on X11 requested, but X11 initialization failed.\n";
            return Err(text.to_owned());
        }
        let present = display.as_ref().filter(|_| self.machine_id.is_some()).and_then(Display::bus);
        let launched = match present {
            Some(present) => present,
            None => self.start_session(machine_id, display.as_ref())?,
        };
        // The program has no business with it.
        drop(display);
        self.pass_on(&launched, command)
    }

    /// Whose displays are meant: of this machine, if it is not said.
    fn machine_id(&self) -> Result<Option<String>, String> {
        let Some(id) = self.machine_id else {
            return Ok(dbus_uuidgen::of_machine().map(|id| id.to_string()));
        };
        let id = id.to_string_lossy();
        match id.len() == MACHINE_ID_SIZE {
            true => Ok(Some(id.into_owned())),
            false => Err(format!(
                "machine ID '{id}' looks like it's the wrong length, should be 32 hex digits"
            )),
        }
    }

    /// Starts a bus that ends with its session, if that is wanted, and that the display has, if it has no other.
    fn start_session(
        &self,
        machine_id: Option<String>,
        display: Option<&Display>,
    ) -> Result<Launched, String> {
        let mut launched = self.start_bus()?;
        let is_automatic = self.machine_id.is_some();
        if is_automatic || self.ends_with_session || self.ends_with_display {
            launched.window = watch::begin(&Watched {
                pid: launched.pid,
                address: launched.address.clone(),
                machine_id,
                has_terminal: !self.ends_with_display,
            })?;
        } else if let Some(display) = display {
            launched.window = display.publish(&launched.address, launched.pid).unwrap_or_default();
        }
        if !is_automatic || launched.window != 0 {
            return Ok(launched);
        }
        // Somebody was quicker, whose bus is for all.
        watch::end(launched.pid)?;
        let other = display.and_then(Display::bus);
        other.ok_or_else(|| "Autolaunch error: the display takes no bus.\n".to_owned())
    }

    /// Becomes the program, or prints where the bus is.
    fn pass_on(&self, launched: &Launched, command: &[OsString]) -> Result<(), String> {
        match command.split_first() {
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).env("DBUS_SESSION_BUS_ADDRESS", &launched.address);
                let error = command.exec();
                let program = program.to_string_lossy();
                Err(format!("Couldn't exec {program}: {}\n", phrase(&error)))
            }
            None => {
                let told = launched.told(self.syntax());
                let mut out = io::stdout().lock();
                let written = out.write_all(&told).and_then(|()| out.flush());
                written.map_err(|error| format!("{NAME}: {}\n", phrase(&error)))
            }
        }
    }

    fn start_bus(&self) -> Result<Launched, String> {
        let mut daemon = session_bus::command(None, self.config);
        daemon.args(["--fork", "--print-pid=1"]);
        daemon.arg(if self.closes_stderr { "--syslog-only" } else { "--syslog" });
        if self.closes_stderr {
            daemon.stderr(Stdio::null());
        }
        let failed =
            |error: io::Error| format!("{NAME}: cannot start the bus: {}\n", phrase(&error));
        let mut daemon = daemon.spawn().map_err(failed)?;
        let told = session_bus::told(&mut daemon, 2);
        // It leaves the bus behind, and ends.
        daemon.wait().map_err(failed)?;
        let launched = match told.map_err(failed)?.as_slice() {
            [address, pid] if !address.is_empty() => {
                let launched = |pid| Launched { address: address.clone(), pid, window: 0 };
                pid.parse().ok().map(launched)
            }
            _ => None,
        };
        launched.ok_or_else(|| format!("EOF in {NAME} reading address from bus daemon\n"))
    }

    fn syntax(&self) -> Syntax {
        let is_csh =
            std::env::var_os("SHELL").is_some_and(|shell| shell.as_bytes().ends_with(b"csh"));
        match self {
            Self { is_binary: true, .. } => Syntax::Binary,
            Self { is_csh: true, .. } => Syntax::Csh,
            Self { is_sh: true, .. } => Syntax::Sh,
            Self { is_auto: true, .. } if is_csh => Syntax::Csh,
            Self { is_auto: true, .. } => Syntax::Sh,
            _ => Syntax::Pairs,
        }
    }
}

impl Launched {
    fn told(&self, syntax: Syntax) -> Vec<u8> {
        let Self { address, pid, window } = self;
        let (mut text, of_window) = match syntax {
            Syntax::Pairs => (
                format!("DBUS_SESSION_BUS_ADDRESS={address}\nDBUS_SESSION_BUS_PID={pid}\n"),
                format!("DBUS_SESSION_BUS_WINDOWID={window}\n"),
            ),
            Syntax::Sh => (
                format!(
                    "DBUS_SESSION_BUS_ADDRESS='{address}';\nexport DBUS_SESSION_BUS_ADDRESS;\n\
                     DBUS_SESSION_BUS_PID={pid};\n"
                ),
                format!("DBUS_SESSION_BUS_WINDOWID={window};\n"),
            ),
            Syntax::Csh => (
                format!(
                    "setenv DBUS_SESSION_BUS_ADDRESS '{address}';\n\
                     set DBUS_SESSION_BUS_PID={pid};\n"
                ),
                format!("set DBUS_SESSION_BUS_WINDOWID={window};\n"),
            ),
            Syntax::Binary => return self.in_binary(),
        };
        if *window != 0 {
            text.push_str(&of_window);
        }
        text.into_bytes()
    }

    /// The address and a NUL, the process id, and the window, as C has them.
    fn in_binary(&self) -> Vec<u8> {
        let window = libc_long(self.window);
        let mut bytes = self.address.clone().into_bytes();
        bytes.push(0);
        bytes.extend(self.pid.to_ne_bytes());
        bytes.extend(window.to_ne_bytes());
        bytes
    }
}

/// A `long`, which is as wide as a pointer on every Linux.
fn libc_long(window: u32) -> isize {
    isize::try_from(window).unwrap_or_default()
}
