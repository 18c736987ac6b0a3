//! What policies cost: our bus under policies that take turns, as buses do otherwise.
//!
//! Whoever is called, or broadcasts, owns a name that most of the rules are about, so that each
//! message is decided by them. All is allowed in the end, under each policy.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use crate::failure::{Failure, Result, fail};
use crate::measure::Sample;
use crate::peers::{ALLOW_ALL, Kind, Peer, cache};
use crate::rounds::{median, show_progress};
use crate::workloads::policed::{SERVICES, WORKLOADS, Workload};

/// What the policies of a bus may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Policy {
    /// As little as possible.
    AllowAll,
    /// What the system bus says and the services of Debian's packages add.
    Debian,
    /// Very many rules.
    Generated,
}

/// How many rules are generated.
const RULES: usize = 10_000;

/// What a policy may cost, by what it costs to allow all.
pub(crate) const RATIO_MAX: f64 = 1.05;

impl Policy {
    pub(crate) const ALL: [Self; 3] = [Self::AllowAll, Self::Debian, Self::Generated];

    /// What tables call it.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::AllowAll => "allow all",
            Self::Debian => "Debian's policies",
            Self::Generated => "10,000 rules",
        }
    }

    /// Elements of a configuration, for a workload in which these names have owners.
    fn to_xml(self, services: &[&str]) -> Result<String> {
        match self {
            Self::AllowAll => Ok(ALLOW_ALL.to_owned()),
            Self::Debian => debian_policies(),
            Self::Generated => Ok(generated_policy(services)),
        }
    }
}

/// Where `install-policies` puts the files of packages.
fn installed() -> [PathBuf; 2] {
    ["share", "etc"].map(|dir| cache().join("policies").join(dir))
}

/// How many files of packages there are.
pub(crate) fn installed_count() -> usize {
    installed().into_iter().filter_map(|dir| Some(fs::read_dir(dir).ok()?.count())).sum()
}

/// The system bus's own policies, those of packages, and what this benchmark's clients need:
/// to own these names and to call each other by them.
fn debian_policies() -> Result<String> {
    if installed_count() == 0 {
        return fail("not installed (see tests/benches/compare/install-policies)");
    }
    let mut text = system_policies()?.to_owned();
    for dir in installed() {
        let _ = writeln!(text, "\n  <includedir>{}</includedir>", dir.display());
    }
    text.push_str("  <policy context=\"default\">\n");
    for name in SERVICES {
        let _ = writeln!(text, "    <allow own=\"{name}\"/>");
        let _ = writeln!(text, "    <allow send_destination=\"{name}\"/>");
    }
    text.push_str("  </policy>\n");
    Ok(text)
}

/// The `<policy>` blocks of the configuration that the system bus is installed with.
fn system_policies() -> Result<&'static str> {
    const CONFIGURATION: &str = include_str!("../../../bus-daemon/data/system.conf");
    const END: &str = "</policy>";
    let begin = CONFIGURATION.find("<policy");
    let end = CONFIGURATION.rfind(END).map(|at| at + END.len());
    let blocks = begin.zip(end).and_then(|(begin, end)| CONFIGURATION.get(begin..end));
    blocks.ok_or_else(|| Failure::new("system.conf has no policy"))
}

/// Everything is allowed, but for messages that nobody here sends: half of the rules are about
/// names that nobody owns, half about `services`, what is sent to them and what is received from
/// them.
fn generated_policy(services: &[&str]) -> String {
    let mut text = ALLOW_ALL.replace("  </policy>\n", "");
    for (number, service) in (0..RULES / 4).zip(services.iter().cycle()) {
        for turn in ["A", "B"] {
            let _ = writeln!(
                text,
                "    <deny send_destination=\"org.example.Other{turn}{number}\" \
                 send_interface=\"org.example.Interface\" send_member=\"Method\"/>"
            );
        }
        for verb in ["send_destination", "receive_sender"] {
            let direction = verb.split('_').next().unwrap_or_default();
            let _ = writeln!(
                text,
                "    <deny {verb}=\"{service}\" {direction}_interface=\"org.example.Other{number}\" \
                 {direction}_member=\"Member{number}\"/>"
            );
        }
    }
    text.push_str("  </policy>\n");
    text
}

/// What is to be measured.
pub(crate) struct Plan {
    pub(crate) peer: Peer,
    pub(crate) policies: Vec<Policy>,
    /// Policies that cannot take part, and why.
    pub(crate) missing: Vec<(Policy, Failure)>,
    pub(crate) rounds: usize,
}

impl Plan {
    pub(crate) fn new(rounds: usize) -> Result<Self> {
        let peer = Peer::find(Kind::Ours, None)?;
        let mut plan = Self { peer, policies: Vec::new(), missing: Vec::new(), rounds };
        for policy in Policy::ALL {
            match policy.to_xml(&SERVICES) {
                Ok(_) => plan.policies.push(policy),
                Err(failure) => plan.missing.push((policy, failure)),
            }
        }
        Ok(plan)
    }

    /// Round after round, workload after workload, one policy after the other.
    pub(crate) fn run(&self) -> Results {
        let mut results = Results::default();
        for round in 1..=self.rounds {
            for workload in WORKLOADS {
                show_progress(&format!("round {round} of {}: {}", self.rounds, workload.key));
                for policy in &self.policies {
                    results.take_turn(workload, *policy, &self.peer);
                }
            }
        }
        show_progress("");
        results
    }
}

/// What was measured.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// By workload and policy: one cost a round, `None` for a round without.
    costs: BTreeMap<(&'static str, Policy), Vec<Option<f64>>>,
    /// The first failure of each workload under each policy.
    failures: BTreeMap<(&'static str, Policy), Failure>,
}

impl Results {
    /// What failed once is not tried again.
    fn take_turn(&mut self, workload: &Workload, policy: Policy, peer: &Peer) {
        let key = (workload.key, policy);
        let cost = match self.failures.get(&key) {
            Some(_) => None,
            None => measure(workload, policy, peer)
                .map(|sample| sample.cost)
                .map_err(|failure| self.failures.insert(key, failure))
                .ok(),
        };
        self.costs.entry(key).or_default().push(cost);
    }

    /// Everything that failed: the workload, the policy, why.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&'static str, Policy, &Failure)> {
        self.failures.iter().map(|((key, policy), failure)| (*key, *policy, failure))
    }

    /// The median cost.
    pub(crate) fn cost(&self, workload: &Workload, policy: Policy) -> Option<f64> {
        let costs = self.costs.get(&(workload.key, policy))?;
        median(costs.iter().copied().flatten())
    }

    /// The ratios, each within its round, of the costs under a policy and of allowing all.
    pub(crate) fn ratios(&self, workload: &Workload, policy: Policy) -> Vec<f64> {
        let rounds = |policy| self.costs.get(&(workload.key, policy)).into_iter().flatten();
        let pairs = rounds(policy).zip(rounds(Policy::AllowAll));
        pairs.filter_map(|(one, other)| Some((*one)? / (*other)?)).collect()
    }
}

fn measure(workload: &Workload, policy: Policy, peer: &Peer) -> Result<Sample> {
    let mut running = peer.start_under(&policy.to_xml(workload.services)?)?;
    (workload.run)(&running).map_err(|failure| running.explain(failure))
}
