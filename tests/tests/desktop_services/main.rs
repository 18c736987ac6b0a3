//! Our daemon as a session bus, with services of a desktop as Debian ships them: their own tools have
//! them started, by name, and talk to them.
//!
//! Each case runs in mount, pid and network namespaces of its own, made by `world.sh`: this program
//! starts itself there again, as an ordinary user with an empty home. What a case writes or leaves
//! running ends with it. Service files are read where packages put them; that they name a unit of
//! systemd, which is not there, must not matter.
//!
//! Needs root and `tests/peers/install-services`. What is not installed is printed and counted as
//! ignored; with `REQUIRE_STOCK_CLIENTS` set it fails instead.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the whole crate is test code: a broken expectation is a failed test"
)]

mod accessibility;
mod files;
mod notifications;
mod portal;
mod session;
mod settings;

use std::path::Path;
use std::process::ExitCode;

use bus_tests::harness::{in_namespaces, is_installed, may_make_namespaces, run, trial};
use libtest_mimic::{Arguments, Trial};

/// Names the case when this program is started again.
const CASE_VARIABLE: &str = "DESKTOP_SERVICES_CASE";
/// What every case needs.
const TOOLS: &[&str] =
    &["unshare", "mount", "ip", "setpriv", "dbus-daemon", "/usr/share/dbus-1/session.conf"];

/// A test, and which programs it needs, by their paths.
struct Case {
    name: &'static str,
    programs: &'static [&'static str],
    run: fn(),
}

fn cases() -> impl Iterator<Item = &'static Case> {
    [settings::CASES, notifications::CASES, accessibility::CASES, portal::CASES, files::CASES]
        .into_iter()
        .flatten()
}

fn main() -> ExitCode {
    if let Ok(name) = std::env::var(CASE_VARIABLE) {
        let case = cases().find(|case| case.name == name);
        (case.expect("a case").run)();
        return ExitCode::SUCCESS;
    }
    let nothing_works = missing_for_all();
    let trials = cases().map(|case| case.trial(nothing_works.clone())).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

impl Case {
    fn trial(&'static self, missing: Option<String>) -> Trial {
        let missing = missing.or_else(|| {
            let mut programs = self.programs.iter();
            programs.find(|path| !Path::new(path).exists()).map(|path| (*path).to_owned())
        });
        trial(self.name, missing.as_deref(), || self.run_in_its_world())
    }

    fn run_in_its_world(&self) {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = in_namespaces(&tests.join("tests/desktop_services/world.sh"));
        command
            .env(CASE_VARIABLE, self.name)
            .env("SESSION_CONF", tests.join("../bus-daemon/data/session.conf"));
        let ended = run(&command, &[]);
        assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    }
}

/// What no case can do without.
fn missing_for_all() -> Option<String> {
    if !rustix::process::getuid().is_root() {
        return Some("the right to be root".to_owned());
    }
    if let Some(tool) = TOOLS.iter().find(|tool| !is_installed(tool)) {
        return Some((*tool).to_owned());
    }
    (!may_make_namespaces()).then(|| "the right to make namespaces".to_owned())
}
