//! `bus doctor`: why the bus cannot be reached, and what mends it (needs.md E17, tools.md D072).
//!
//! It goes the way that every program goes: which address (`setting.rs`), the folders and the socket there
//! (`socket_file.rs`), who listens (`talk.rs`, `listener.rs`), whether that one believes who this is (`proof.rs`), and
//! whether it is a bus and lets this user in (`greeting.rs`). It says of each step what it saw, also of those that are
//! in order. Nothing is changed, and nothing is started but what an address names to be started. A step that does not
//! come to its end is given up (`bounded.rs`): a bus that hangs does not hang the doctor.

mod bounded;
mod greeting;
mod listener;
mod machine_id;
mod mend;
mod person;
mod proof;
mod report;
mod setting;
mod socket_file;
mod talk;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use libbus::address::{Address, ConnectAddress};

use self::bounded::bounded;
use self::person::Person;
use self::report::{Check, Report};
use self::setting::{Scope, Setting};
use crate::failure::Result;
use crate::options::Options;

/// How long one step may take if nothing else is said.
const STEP_MAX: Duration = Duration::from_secs(3);

/// Find out why the bus cannot be reached, and how to mend it
///
/// Each step on the way to the bus is checked: it is ok, wrong, or not known. Exit code 0 if the bus can be used, 3 if
/// not.
#[derive(Args, Debug)]
pub(crate) struct Doctor {}

impl Doctor {
    #[allow(clippy::unused_self, reason = "all verbs are run the same way")]
    pub(crate) fn run(self, options: &Options) -> Result<ExitCode> {
        let report = examine(options)?;
        report.print(options)?;
        Ok(ExitCode::from(if report.is_usable { 0 } else { 3 }))
    }
}

/// What all steps know.
#[derive(Clone, Debug)]
struct Case {
    person: Person,
    scope: Scope,
    /// How long one step may take, if that was said.
    timeout: Option<Duration>,
}

impl Case {
    /// How long one step may take.
    fn patience(&self) -> Duration {
        self.timeout.unwrap_or(STEP_MAX)
    }
}

fn examine(options: &Options) -> Result<Report> {
    let case = Case {
        person: Person::current(),
        scope: Scope::of(&options.bus),
        timeout: options.timeout,
    };
    let setting = Setting::of(&options.bus, &case.person)?;
    let mut report = Report::new(case.scope);
    report.push(case.person.check());
    report.extend(setting.checks(&case));
    let count = setting.addresses.len();
    for (index, address) in setting.addresses.iter().enumerate() {
        if report.is_usable {
            report.push(Check::ok(
                "address",
                format!("{address}: not tried, since the one before works"),
            ));
            continue;
        }
        if count > 1 {
            report.push(Check::ok("address", format!("{} of {count}: {address}", index + 1)));
        }
        examine_address(&case, address, &mut report);
    }
    if !report.is_usable {
        report.extend(mend::other_ways(&case, &setting));
    }
    machine_id::check(&case, &mut report);
    report.tell_once();
    Ok(report)
}

fn examine_address(case: &Case, address: &Address, report: &mut Report) {
    let target = match address.connect() {
        Ok(target) => target,
        Err(error) => {
            let check = Check::wrong("address", format!("{address}: {error}"));
            return report.push(check.mends(mend::address(case)));
        }
    };
    if let ConnectAddress::UnixPath(path) = &target {
        let (path, looked_by) = (path.clone(), case.clone());
        let looked = bounded(case.patience(), move || socket_file::look(&looked_by, &path));
        let Some((checks, is_reachable)) = looked else {
            let saw = "a file system on the way does not answer";
            return report.push(Check::unknown("folders", saw));
        };
        report.extend(checks);
        if !is_reachable {
            return;
        }
    }
    talk::examine(case, address, &target, report);
}
