//! Counting: this program again, under valgrind's callgrind, for one scenario.
//!
//! Callgrind collects only while [`counted_operations`] runs, which it knows by its name. Where
//! things lie in memory decides how a copy is cut into pieces, and with it a few instructions; so
//! the process has no environment but what is said here, nor a program name that depends on where
//! this was built.

use std::ffi::OsString;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use crate::failure::{Failure, Result, fail};
use crate::scenarios::Scenario;

/// The function as callgrind names it: [`counted_operations`], whatever surrounds its name in the
/// symbol.
const COUNTED: &str = "--toggle-collect=*counted_operations*";

/// Has the C library copy and compare with what every x86-64 has, whatever this processor has.
const TUNABLES: &str =
    "glibc.cpu.hwcaps=-AVX2,-AVX_Fast_Unaligned_Load,-ERMS,-SSSE3,-SSE4_1,-SSE4_2";

/// Runs operations. Everything that they do is counted, and nothing else of the process.
///
/// The name must not appear in that of another function, as it would in that of a closure in here:
/// callgrind would stop collecting where that one begins.
#[inline(never)]
pub(crate) fn counted_operations(operation: &mut dyn FnMut(), count: u64) {
    for _ in 0..black_box(count) {
        operation();
    }
    // The last call must not become a jump, after which callgrind would not see this function end.
    black_box(());
}

/// Callgrind, ready to count.
pub(crate) struct Callgrind {
    valgrind: PathBuf,
    own_folder: PathBuf,
    /// From there.
    own_program: PathBuf,
}

impl Callgrind {
    pub(crate) fn find() -> Result<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let mut candidates = env::split_paths(&path).map(|folder| folder.join("valgrind"));
        let Some(valgrind) = candidates.find(|candidate| candidate.is_file()) else {
            return fail("valgrind is not installed; on Debian it is the package valgrind");
        };
        let own = env::current_exe()?;
        let own_folder = own.parent().expect("a program is in a folder").to_owned();
        let own_program = Path::new(".").join(own.file_name().expect("a program has a name"));
        Ok(Self { valgrind, own_folder, own_program })
    }

    /// The instructions of one operation, rounded.
    pub(crate) fn count(&self, scenario: &Scenario) -> Result<u64> {
        let report = format!("{}.callgrind", scenario.key);
        let report = Path::new(env!("CARGO_TARGET_TMPDIR")).join(report);
        let total = self.total(scenario, &report);
        let total = total.map_err(|failure| failure.during(scenario.key))?;
        Ok((total + scenario.count / 2) / scenario.count)
    }

    /// Leaves the report where it is, for callgrind_annotate.
    fn total(&self, scenario: &Scenario, report: &Path) -> Result<u64> {
        if report.exists() {
            fs::remove_file(report)?;
        }
        check(&self.command(scenario, report).output()?)?;
        total_of(&fs::read_to_string(report)?)
    }

    fn command(&self, scenario: &Scenario, report: &Path) -> Command {
        let mut out_file = OsString::from("--callgrind-out-file=");
        out_file.push(report);
        let mut command = Command::new(&self.valgrind);
        command.env_clear().env("GLIBC_TUNABLES", TUNABLES).current_dir(&self.own_folder);
        // No options from a .valgrindrc.
        command.args(["--command-line-only=yes", "--quiet", "--tool=callgrind", COUNTED]);
        command.arg(out_file).arg(&self.own_program).args(["--scenario", scenario.key]);
        command
    }
}

fn check(output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    fail(format!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
}

/// The number of instructions in callgrind's report.
fn total_of(report: &str) -> Result<u64> {
    let total = report.lines().find_map(|line| line.strip_prefix("totals: "));
    match total.and_then(|total| total.trim().parse().ok()) {
        Some(0) => fail("callgrind counted nothing: has the program no symbols?"),
        Some(total) => Ok(total),
        None => Err(Failure::new("callgrind reported no total")),
    }
}
