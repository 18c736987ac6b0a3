//! The bus of a session, as `dbus-launch` and `dbus-run-session` start it, and what it tells of itself.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use crate::DAEMON;
use crate::commands::run::daemon_program;

/// Bytes of what a bus tells of itself.
const TOLD_SIZE_MAX: u64 = 64 << 10;

/// This program as a bus, or our own, with this configuration, or that of session buses. It tells its address first.
pub(super) fn command(program: Option<&OsStr>, config: Option<&OsStr>) -> Command {
    let mut daemon = match program {
        Some(program) => Command::new(program),
        None => {
            let mut daemon = Command::new(daemon_program());
            daemon.arg0(DAEMON);
            daemon
        }
    };
    match config {
        Some(file) => {
            let mut option = OsString::from("--config-file=");
            option.push(file);
            daemon.arg(option)
        }
        None => daemon.arg("--session"),
    };
    daemon.arg("--print-address=1").stdin(Stdio::null()).stdout(Stdio::piped());
    daemon
}

/// So many lines that it tells, or fewer, if it ends or goes on without an end of the line.
///
/// # Errors
/// They cannot be read, or are no text.
pub(super) fn told(daemon: &mut Child, count: usize) -> io::Result<Vec<String>> {
    let Some(out) = daemon.stdout.take() else { return Ok(Vec::new()) };
    let mut out = BufReader::new(out.take(TOLD_SIZE_MAX));
    let mut lines = Vec::new();
    while lines.len() < count {
        let mut line = String::new();
        out.read_line(&mut line)?;
        let Some(line) = line.strip_suffix('\n') else { break };
        lines.push(line.trim_end().to_owned());
    }
    Ok(lines)
}
