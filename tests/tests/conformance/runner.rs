//! Runs each case against each daemon once, compares, and sums up.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use bus_tests::harness::{Bus, Daemon};
use libtest_mimic::{Arguments, Failed, Trial};

use crate::case::Case;
use crate::differences::{AllowedDifferences, Observations};

/// The last item of the protocol checklist.
const LAST_ITEM: u32 = 241;

/// Runs what the command line selects; the exit code tells whether all of it passed.
pub(crate) fn run(sections: Vec<(&'static str, Vec<Case>)>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Cases wait more than they compute.
    arguments.test_threads.get_or_insert(4);
    let whole_suite = arguments.filter.is_none() && !arguments.exact && !arguments.list;
    let suite = Suite::new();
    let trials = suite.trials(&sections);
    let conclusion = libtest_mimic::run(&arguments, trials);
    if whole_suite {
        print_items(&sections);
    }
    suite.print_skipped();
    conclusion.exit_code()
}

/// The daemons under test and the differences they may have.
struct Suite {
    ours: Daemon,
    reference: Option<Daemon>,
    allowed: Arc<AllowedDifferences>,
    is_root: bool,
}

impl Suite {
    fn new() -> Self {
        Self {
            ours: Daemon::ours(),
            reference: Daemon::reference(),
            allowed: Arc::new(AllowedDifferences::load()),
            is_root: rustix::process::geteuid().is_root(),
        }
    }

    fn trials(&self, sections: &[(&'static str, Vec<Case>)]) -> Vec<Trial> {
        let mut trials = vec![self.stale_names_trial(sections)];
        for (section, cases) in sections {
            for case in cases {
                trials.extend(self.trials_of(section, *case));
            }
        }
        trials
    }

    /// One run for each daemon and one that compares them.
    fn trials_of(&self, section: &str, case: Case) -> Vec<Trial> {
        let skipped = case.needs_root && !self.is_root;
        let ours = Arc::new(Run::new(Some(&self.ours), case));
        let reference = Arc::new(Run::new(self.reference.as_ref(), case));
        let name = format!("{section}::{}", case.name);
        let mut trials: Vec<Trial> = [&ours, &reference]
            .map(|run| {
                let trial_run = Arc::clone(run);
                let skipped = skipped || run.daemon.is_none();
                Trial::test(name.clone(), move || trial_run.result().map(|_| ()))
                    .with_ignored_flag(skipped)
            })
            .into();
        let allowed = Arc::clone(&self.allowed);
        let skipped = skipped || self.reference.is_none();
        let compare = move || compare(&allowed, case, &ours, &reference);
        trials.push(Trial::test(name, compare).with_ignored_flag(skipped));
        let kinds = ["bus-daemon", "dbus-daemon", "same"];
        trials.into_iter().zip(kinds).map(|(trial, kind)| trial.with_kind(kind)).collect()
    }

    /// An entry for a case that does not exist can never be found stale by a comparison.
    fn stale_names_trial(&self, sections: &[(&'static str, Vec<Case>)]) -> Trial {
        let known: BTreeSet<&str> =
            sections.iter().flat_map(|(_, cases)| cases.iter().map(|case| case.name)).collect();
        let listed = self.allowed.cases();
        let unknown = format!("{:?}", listed.difference(&known).collect::<Vec<_>>());
        Trial::test("every listed difference names a case", move || {
            if unknown == "[]" { Ok(()) } else { Err(format!("no such cases: {unknown}").into()) }
        })
    }

    /// Says why runs were skipped; the counts are in the line `test result:`.
    fn print_skipped(&self) {
        if self.reference.is_none() {
            println!(
                "no reference dbus-daemon is installed: its runs and comparisons were skipped"
            );
        }
        if !self.is_root {
            println!("not run by root: cases that connect as another user were skipped");
        }
    }
}

/// One case on one daemon, run at most once and remembered.
struct Run {
    daemon: Option<Daemon>,
    case: Case,
    outcome: OnceLock<Result<Observations, String>>,
}

impl Run {
    fn new(daemon: Option<&Daemon>, case: Case) -> Self {
        Self { daemon: daemon.cloned(), case, outcome: OnceLock::new() }
    }

    fn result(&self) -> Result<&Observations, Failed> {
        self.outcome.get_or_init(|| self.execute()).as_ref().map_err(|text| text.clone().into())
    }

    fn execute(&self) -> Result<Observations, String> {
        let Some(daemon) = &self.daemon else { return Err("no such daemon".to_owned()) };
        let mut log = String::new();
        let run = AssertUnwindSafe(|| {
            let bus = Bus::start(daemon, &self.case.config);
            let script = catch_unwind(AssertUnwindSafe(|| (self.case.run)(&bus)));
            log = bus.log();
            script.map(|()| bus.take_observations())
        });
        catch_unwind(run).flatten().map_err(|panic| describe(&*panic, &log))
    }
}

fn describe(panic: &(dyn std::any::Any + Send), log: &str) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panic");
    if log.is_empty() { text.to_owned() } else { format!("{text}\nits log:\n{log}") }
}

fn compare(
    allowed: &AllowedDifferences,
    case: Case,
    ours: &Run,
    reference: &Run,
) -> Result<(), Failed> {
    let (Ok(ours), Ok(reference)) = (ours.result(), reference.result()) else {
        return Err("nothing to compare: a run failed".into());
    };
    let complaints = allowed.complaints(case.name, ours, reference);
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n").into()) }
}

/// Which items have cases, and which have none.
fn print_items(sections: &[(&'static str, Vec<Case>)]) {
    let mut by_item: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for case in sections.iter().flat_map(|(_, cases)| cases) {
        for item in case.items.split_whitespace() {
            by_item.entry(item).or_default().push(case.name);
        }
    }
    println!("checklist items and their cases:");
    for (item, names) in &by_item {
        println!("  {item}  {}", names.join("; "));
    }
    let missing: Vec<String> = (1..=LAST_ITEM)
        .map(|number| format!("A{number:03}"))
        .filter(|item| !by_item.contains_key(item.as_str()))
        .collect();
    println!(
        "{} of {LAST_ITEM} protocol items have a case; without one: {}",
        by_item.keys().filter(|item| item.starts_with('A')).count(),
        missing.join(" ")
    );
}
