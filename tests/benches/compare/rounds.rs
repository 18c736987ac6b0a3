//! Who takes a turn when, and what came of it.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::Path;

use bus_tests::spread::Spread;

use crate::failure::{Failure, Result, fail};
use crate::grpc;
use crate::measure::Sample;
use crate::peers::{Kind, Peer};
use crate::scaling::{DIMENSIONS, Dimension, Growth};
use crate::workloads::{WORKLOADS, Workload};

/// Rounds for each one in which the growth of costs is measured too, which takes longer than all
/// the rest.
const ROUNDS_PER_GROWTH: usize = 3;

/// What is to be measured.
pub(crate) struct Plan {
    pub(crate) workloads: Vec<&'static Workload>,
    pub(crate) dimensions: Vec<&'static Dimension>,
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
    failures: BTreeMap<(&'static str, Kind), Failure>,
    pub(crate) growth: Growth,
}

impl Plan {
    /// The workloads and peers of those names, all if there are no names.
    pub(crate) fn new(
        only: &[String],
        peers: &[String],
        other_build: Option<&Path>,
        rounds: usize,
    ) -> Result<Self> {
        let workload_keys = WORKLOADS.iter().map(|workload| workload.key);
        let keys = workload_keys.chain(DIMENSIONS.iter().map(|dimension| dimension.key));
        check_names("workload", only, &keys.collect::<Vec<_>>())?;
        check_names("peer", peers, &Kind::ALL.map(Kind::label))?;
        let mut plan = Self {
            workloads: WORKLOADS.iter().filter(|w| is_chosen(w.key, only)).collect(),
            dimensions: DIMENSIONS.iter().filter(|d| is_chosen(d.key, only)).collect(),
            peers: vec![],
            missing: vec![],
            rounds,
        };
        let is_wanted = |kind: &Kind| match kind {
            Kind::OtherBuild => other_build.is_some(),
            _ => is_chosen(kind.label(), peers),
        };
        for kind in Kind::ALL.into_iter().filter(is_wanted) {
            match Peer::find(kind, other_build) {
                Ok(peer) => plan.peers.push(peer),
                Err(failure) if kind == Kind::OtherBuild => return Err(failure.during("--against")),
                Err(failure) => plan.missing.push((kind, failure)),
            }
        }
        Ok(plan)
    }

    /// Round after round, workload after workload, one peer after the other.
    pub(crate) fn run(&self) -> Results {
        let mut results = Results::default();
        let peers: Vec<&Peer> = self.peers.iter().filter(|peer| results.try_out(peer)).collect();
        for round in 1..=self.rounds {
            for workload in &self.workloads {
                show_progress(&format!("round {round} of {}: {}", self.rounds, workload.key));
                for peer in peers.iter().filter(|peer| workload.is_for(peer.kind)) {
                    results.take_turn(workload, peer);
                }
            }
            let with_growth = round % ROUNDS_PER_GROWTH == 1 || self.workloads.is_empty();
            for dimension in self.dimensions.iter().filter(|_| with_growth) {
                show_progress(&format!("round {round} of {}: {}", self.rounds, dimension.key));
                for peer in peers.iter().filter(|peer| peer.kind.is_bus()) {
                    results.growth.take_turn(dimension, peer);
                }
            }
        }
        show_progress("");
        results
    }

    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.peers.iter().any(|peer| peer.kind == kind)
    }
}

/// Tells whoever sits at the terminal what is going on.
pub(crate) fn show_progress(text: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{text}");
    }
}

fn check_names(what: &str, names: &[String], known: &[&str]) -> Result<()> {
    match names.iter().find(|name| !known.contains(&name.as_str())) {
        Some(name) => fail(format!("no {what} {name}; there are: {}", known.join(", "))),
        None => Ok(()),
    }
}

fn is_chosen(name: &str, chosen: &[String]) -> bool {
    chosen.is_empty() || chosen.iter().any(|other| other == name)
}

impl Results {
    /// Whether a peer starts and takes a client; one that does not takes no turns.
    fn try_out(&mut self, peer: &Peer) -> bool {
        let tried = try_out(peer);
        tried.map_err(|failure| self.failures.insert(("start", peer.kind), failure)).is_ok()
    }

    /// A peer that failed at a workload once is not asked again.
    fn take_turn(&mut self, workload: &Workload, peer: &Peer) {
        let key = (workload.key, peer.kind);
        let sample = match self.failures.get(&key) {
            Some(_) => None,
            None => {
                measure(workload, peer).map_err(|failure| self.failures.insert(key, failure)).ok()
            }
        };
        self.samples.entry(key).or_default().push(sample);
    }

    /// Everything that failed: the workload, the peer, why.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&'static str, Kind, &Failure)> {
        let all = self.failures.iter().chain(&self.growth.failures);
        all.map(|((key, kind), failure)| (*key, *kind, failure))
    }

    /// The workloads and dimensions at which a peer failed or has no figure.
    pub(crate) fn gaps(&self, plan: &Plan, kind: Kind) -> Vec<&'static str> {
        let failed = |key| self.failures().any(|(at, whose, _)| (at, whose) == (key, kind));
        let workloads = plan
            .workloads
            .iter()
            .filter(|workload| failed(workload.key) || self.cost(workload, kind).is_none())
            .map(|workload| workload.key);
        let has_all = |dimension: &Dimension| {
            let cost = |point: &usize| self.growth.cost(dimension, kind, *point);
            dimension.points.iter().all(|point| cost(point).is_some())
        };
        let dimensions = plan
            .dimensions
            .iter()
            .filter(|dimension| failed(dimension.key) || !has_all(dimension))
            .map(|dimension| dimension.key);
        workloads.chain(dimensions).collect()
    }

    /// The median over the rounds of a figure.
    pub(crate) fn median(
        &self,
        workload: &Workload,
        kind: Kind,
        figure: impl Fn(&Sample) -> Option<f64>,
    ) -> Option<f64> {
        let samples = self.samples.get(&(workload.key, kind))?;
        median(samples.iter().flatten().filter_map(figure))
    }

    /// The median cost.
    pub(crate) fn cost(&self, workload: &Workload, kind: Kind) -> Option<f64> {
        self.median(workload, kind, |sample| Some(sample.cost))
    }

    /// The median of the ratios, each within its round, of the costs of one peer and of another.
    pub(crate) fn ratio(&self, workload: &Workload, kind: Kind, other: Kind) -> Option<f64> {
        let rounds = |kind| self.samples.get(&(workload.key, kind));
        let pairs = rounds(kind)?.iter().zip(rounds(other)?);
        median(pairs.filter_map(|(one, other)| Some((*one)?.cost / (*other)?.cost)))
    }
}

fn try_out(peer: &Peer) -> Result<()> {
    let mut running = peer.start()?;
    let greeted = match peer.kind {
        Kind::Grpc => grpc::greet(peer, &running),
        _ => running.single().map(drop),
    };
    greeted.map_err(|failure| running.explain(failure))
}

fn measure(workload: &Workload, peer: &Peer) -> Result<Sample> {
    let mut running = peer.start_with(workload.elements)?;
    let sample = match (peer.kind, workload.grpc) {
        (Kind::Grpc, Some(load)) => grpc::run(peer, &running, load),
        _ => (workload.run)(&running),
    };
    sample.map_err(|failure| running.explain(failure))
}

/// The middle of the values.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    Some(Spread::of(values)?.median)
}
