//! What the daemon says about a configuration without running a bus: `--check-config` and
//! `--explain-policy`.

use std::path::Path;
use std::sync::Arc;

use bus_policy::config::{Location, Problem, Severity};
use bus_policy::{Anonymous, Answer, BusConfig, Door, Inquiry, PolicySet, lint};
use libbus::auth::Mechanism;

use crate::configuration::{ConfigSource, mechanisms_of};
use crate::host::accounts::{AccountError, SystemAccounts, find_user};
use crate::host::listener::check_addresses;
use crate::host::mediation::SecurityModule;
use crate::host::resource_limits::DropPrivilegesError;
use crate::host::runtime_directory::IfMissing;

/// The exit code of a configuration that cannot be used, or not all of it, and of a question that
/// makes no sense.
pub const UNUSABLE_EXIT_CODE: u8 = 1;
/// The exit code of a configuration that can be used and is suspicious.
pub const SUSPICIOUS_EXIT_CODE: u8 = 2;

/// Text for standard output, and the exit code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Whole lines.
    pub text: String,
    /// What keeps a configuration, or one of its files, from being used; each is a line of the text, too.
    pub errors: Vec<String>,
    /// What has no effect or is suspicious, likewise.
    pub warnings: Vec<String>,
    /// What else the administrator should know, for standard error.
    pub notes: Vec<String>,
    /// The exit code.
    pub code: u8,
}

/// Everything that is wrong with a configuration, one line each: `error` for what keeps it, or one
/// of its files, from being used, `warning` for what has no effect or is suspicious.
#[must_use]
pub fn check_config(source: &ConfigSource) -> Report {
    let loaded = source.load();
    let mut problems = loaded.problems;
    let (mut errors, mut warnings, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(config) = &loaded.config.or(loaded.remains) {
        let (set, unknown) = PolicySet::new(config, &SystemAccounts);
        problems.extend(unknown);
        errors.extend(reasons_not_to_start(config));
        let found = source.find_services(config, IfMissing::Leave);
        warnings.extend(found.problems);
        notes.extend(found.notes);
        warnings.extend(lint(&Arc::new(set), &config.limits).iter().map(ToString::to_string));
    }
    problems.extend(source.load_limit_overrides().1);
    let (unusable, harmless): (Vec<Problem>, Vec<Problem>) =
        problems.into_iter().partition(|problem| problem.severity != Severity::Warning);
    errors.splice(0..0, unusable.iter().map(ToString::to_string));
    warnings.splice(0..0, harmless.iter().map(ToString::to_string));
    let mut text = String::new();
    let mut line = |kind: &str, what: &str| text += &format!("{kind}: {what}\n");
    errors.iter().for_each(|error| line("error", error));
    warnings.iter().for_each(|warning| line("warning", warning));
    let count =
        |number: usize, what| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let (of_errors, of_warnings) = (count(errors.len(), "error"), count(warnings.len(), "warning"));
    text += &format!("{of_errors}, {of_warnings}\n");
    let code = match (errors.is_empty(), warnings.is_empty()) {
        (false, _) => UNUSABLE_EXIT_CODE,
        (true, false) => SUSPICIOUS_EXIT_CODE,
        (true, true) => 0,
    };
    Report { text, errors, warnings, notes, code }
}

/// Why a bus would not start with a configuration that is well written.
fn reasons_not_to_start(config: &BusConfig) -> Vec<String> {
    let mut reasons: Vec<String> = mechanisms_of(config).err().into_iter().collect();
    if let Some(user) = &config.user
        && find_user(user) == Err(AccountError::Unknown)
    {
        let error = DropPrivilegesError::UnknownUser(user.clone());
        reasons.push(located(config.places.user.as_ref(), &error));
    }
    reasons.extend(SecurityModule::find(Path::new("/"), config).err());
    for (number, addresses) in config.listen.iter().enumerate() {
        if let Err(error) = check_addresses(addresses) {
            reasons.push(located(config.places.listen.get(number), &error));
        }
    }
    reasons
}

/// A complaint about an element's value, with the place of the element.
#[must_use]
pub fn located(place: Option<&Location>, error: &dyn std::fmt::Display) -> String {
    place.map_or_else(|| error.to_string(), |place| format!("{place}: {error}"))
}

/// What the policies of a configuration answer to a question.
#[derive(Clone, Debug)]
pub struct Explained {
    /// With all rules considered; in words by `Display`, for programs by [`Answer::to_json`].
    pub answer: Answer,
    /// What else the administrator should know: the answer is about what is left.
    pub notes: Vec<String>,
}

/// Asks the policies of a configuration, which is read and compiled for it.
///
/// # Errors
/// The configuration cannot be used, or the question makes no sense.
pub fn explain_policy(source: &ConfigSource, question: &str) -> Result<Explained, String> {
    let loaded = source.load();
    let Some(config) = &loaded.config else {
        let problems = loaded.problems.iter().map(ToString::to_string);
        return Err(problems.collect::<Vec<_>>().join("\n"));
    };
    let inquiry = Inquiry::parse(question, &SystemAccounts)
        .map_err(|error| format!("{question:?}: {error}"))?;
    let (set, _) = PolicySet::new(config, &SystemAccounts);
    let answer = inquiry.answer(&Arc::new(set), door_of(config));
    let left_out = loaded.problems.iter().filter(|problem| problem.severity == Severity::Ignored);
    let notes = left_out.map(ToString::to_string).collect();
    Ok(Explained { answer, notes })
}

/// Who may connect to a bus with this configuration, besides what its rules say.
fn door_of(config: &BusConfig) -> Door {
    let mechanisms = mechanisms_of(config).unwrap_or_default();
    let has_mechanism = mechanisms.contains(&Mechanism::Anonymous);
    Door {
        own_uid: own_uid(config.user.as_deref()),
        anonymous: Anonymous::new(config.allow_anonymous, has_mechanism),
    }
}

/// The user that a bus with this configuration runs as (config.md B011).
fn own_uid(user: Option<&str>) -> u32 {
    let looked_up = user.and_then(|user| bus_policy::subject::uid_of(user, &SystemAccounts));
    looked_up.unwrap_or_else(|| rustix::process::getuid().as_raw())
}
