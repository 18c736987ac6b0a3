//! Who takes a turn when, and what came of it.

use std::collections::BTreeMap;

use crate::failure::{Failure, Result, fail};
use crate::grpc;
use crate::measure::Sample;
use crate::peers::{Kind, Peer};
use crate::workloads::{WORKLOADS, Workload};

/// What is to be measured.
pub(crate) struct Plan {
    pub(crate) workloads: Vec<&'static Workload>,
    pub(crate) peers: Vec<Peer>,
    /// Peers that cannot take part, and why.
    pub(crate) missing: Vec<(Kind, Failure)>,
    pub(crate) rounds: usize,
}

/// What was measured.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// By workload and peer: one sample a round, `None` for a round without.
    samples: BTreeMap<(&'static str, Kind), Vec<Option<Sample>>>,
    /// The first failure of each peer at each workload.
    pub(crate) failures: BTreeMap<(&'static str, Kind), Failure>,
}

impl Plan {
    /// The workloads and peers of those names, all if there are no names.
    pub(crate) fn new(only: &[String], peers: &[String], rounds: usize) -> Result<Self> {
        let mut plan =
            Self { workloads: choose_workloads(only)?, peers: vec![], missing: vec![], rounds };
        for kind in choose_peers(peers)? {
            match Peer::find(kind) {
                Ok(peer) => plan.peers.push(peer),
                Err(failure) => plan.missing.push((kind, failure)),
            }
        }
        Ok(plan)
    }

    /// Round after round, workload after workload, one peer after the other.
    pub(crate) fn run(&self) -> Results {
        let mut results = Results::default();
        for round in 1..=self.rounds {
            for workload in &self.workloads {
                eprint!("\r\x1b[Kround {round} of {}: {}", self.rounds, workload.key);
                for peer in self.peers.iter().filter(|peer| workload.is_for(peer.kind)) {
                    results.take_turn(workload, peer);
                }
            }
        }
        eprint!("\r\x1b[K");
        results
    }
}

impl Results {
    /// A peer that failed at a workload once is not asked again.
    fn take_turn(&mut self, workload: &Workload, peer: &Peer) {
        let key = (workload.key, peer.kind);
        let sample = match self.failures.get(&key) {
            Some(_) => None,
            None => measure_one(workload, peer)
                .map_err(|failure| self.failures.insert(key, failure))
                .ok(),
        };
        self.samples.entry(key).or_default().push(sample);
    }

    pub(crate) fn has_no_failure_of(&self, kind: Kind) -> bool {
        self.failures.keys().all(|(_, failed)| *failed != kind)
    }

    /// The samples of the rounds that have one.
    pub(crate) fn samples(
        &self,
        workload: &Workload,
        kind: Kind,
    ) -> impl Iterator<Item = &Sample> + Clone {
        self.samples.get(&(workload.key, kind)).into_iter().flatten().flatten()
    }

    /// The median over the rounds of `figure`.
    pub(crate) fn median(
        &self,
        workload: &Workload,
        kind: Kind,
        figure: impl Fn(&Sample) -> f64,
    ) -> Option<f64> {
        median(self.samples(workload, kind).map(figure).collect())
    }

    /// The median of the ratios, each within its round, of the costs of one peer and of another.
    pub(crate) fn ratio(&self, workload: &Workload, kind: Kind, other: Kind) -> Option<f64> {
        let rounds = |kind| self.samples.get(&(workload.key, kind)).into_iter().flatten();
        let pairs = rounds(kind).zip(rounds(other));
        median(pairs.filter_map(|(one, other)| Some((*one)?.cost / (*other)?.cost)).collect())
    }
}

fn measure_one(workload: &Workload, peer: &Peer) -> Result<Sample> {
    let mut running = peer.start()?;
    let sample = match (peer.kind, workload.grpc) {
        (Kind::Grpc, Some(load)) => grpc::run(peer, &running, load),
        _ => (workload.run)(&running),
    };
    sample.map_err(|failure| running.explain(failure))
}

pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        size if size % 2 == 1 => values.get(middle).copied(),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

fn choose_workloads(only: &[String]) -> Result<Vec<&'static Workload>> {
    if let Some(name) = only.iter().find(|name| WORKLOADS.iter().all(|w| w.key != **name)) {
        let known: Vec<&str> = WORKLOADS.iter().map(|workload| workload.key).collect();
        return fail(format!("no workload {name}; there are: {}", known.join(", ")));
    }
    let is_chosen = |key: &str| only.is_empty() || only.iter().any(|name| name == key);
    Ok(WORKLOADS.iter().filter(|workload| is_chosen(workload.key)).collect())
}

fn choose_peers(labels: &[String]) -> Result<Vec<Kind>> {
    if let Some(label) = labels.iter().find(|label| Kind::ALL.iter().all(|k| k.label() != **label))
    {
        let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.label()).collect();
        return fail(format!("no peer {label}; there are: {}", known.join(", ")));
    }
    let is_chosen =
        |kind: &Kind| labels.is_empty() || labels.iter().any(|label| label == kind.label());
    Ok(Kind::ALL.into_iter().filter(is_chosen).collect())
}
