//! Our daemon as the system bus: with its `system.conf`, the policy files of Debian's packages, real
//! services on it and their own clients.
//!
//! Each case runs in mount, pid and network namespaces of its own, made by `world.sh`: this program
//! starts itself there again, as the first process. What a case leaves behind ends with it; the
//! machine's own `/run` and `/etc` are out of reach. Services are started by the test or, in `launcher`,
//! by the bus; none of them needs systemd or hardware.
//!
//! Needs root and `tests/peers/install-services`. What is not installed is printed and counted as
//! ignored; with `REQUIRE_STOCK_CLIENTS` set it fails instead.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the whole crate is test code: a broken expectation is a failed test"
)]

mod configuration;
mod launcher;
mod policies;
mod privileges;
mod services;
mod shares;
mod system_bus;

use std::path::Path;
use std::process::ExitCode;

use bus_tests::harness::{in_namespaces, is_installed, may_make_namespaces, run, trial};
use libtest_mimic::{Arguments, Trial};

/// Names the case when this program is started again.
const CASE_VARIABLE: &str = "SYSTEM_BUS_CASE";
/// What every case needs.
const TOOLS: &[&str] = &["unshare", "mount", "ip", "setpriv", "gdbus", "busctl", "dbus-send"];

/// A test, and which services it starts.
struct Case {
    name: &'static str,
    services: &'static [&'static services::Service],
    run: fn(),
}

fn cases() -> impl Iterator<Item = &'static Case> {
    [
        services::CASES,
        launcher::CASES,
        policies::CASES,
        configuration::CASES,
        privileges::CASES,
        shares::CASES,
    ]
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
            let mut services = self.services.iter();
            services.find_map(|service| service.missing()).map(ToOwned::to_owned)
        });
        trial(self.name, missing.as_deref(), || self.run_in_its_world())
    }

    fn run_in_its_world(&self) {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = in_namespaces(&tests.join("tests/system_bus/world.sh"));
        command
            .env(CASE_VARIABLE, self.name)
            .env("SYSTEM_CONF", tests.join("../bus-daemon/data/system.conf"));
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
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    if !users.lines().any(|line| line.starts_with("messagebus:")) {
        return Some("the user messagebus".to_owned());
    }
    (!may_make_namespaces()).then(|| "the right to make namespaces".to_owned())
}
