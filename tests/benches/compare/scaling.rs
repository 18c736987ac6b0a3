//! How the cost of a message grows with what else the bus holds. It should not.
//!
//! One bus per peer, dimension and round grows from point to point, and the same small load is
//! measured at each. Beside it another one stays at the first point and is measured each time, too:
//! growing takes long, and the machine may be a slower one at its end.

use std::collections::BTreeMap;

use crate::crowd::Crowd;
use crate::failure::{Failure, Result};
use crate::load::Client;
use crate::measure::{Latencies, Sample, run};
use crate::peers::{Kind, Peer, Running};
use crate::pipeline::Pipeline;
use crate::relay::Passing;
use crate::rounds::median;
use crate::watchers;
use crate::wire;

/// Something of which a bus may hold more and more.
#[derive(Debug)]
pub(crate) struct Dimension {
    /// What `--only` calls it.
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    /// How many there are at each measurement, rising.
    pub(crate) points: &'static [usize],
    grow: fn(&Running) -> Result<Box<dyn Growing>>,
}

/// All dimensions.
pub(crate) const DIMENSIONS: &[Dimension] = &[
    Dimension {
        key: "scale-clients",
        title: "clients",
        points: &[10, 100, 1000, 10_000],
        grow: |bus| Ok(Box::new(Clients { pipeline: pipeline(bus)?, idle: Vec::new() })),
    },
    Dimension {
        key: "scale-rules",
        title: "match rules",
        points: &[10, 100, 1000, 10_000, 100_000],
        grow: |bus| Rules::new(bus).map(|rules| Box::new(rules) as Box<dyn Growing>),
    },
    Dimension {
        key: "scale-names",
        title: "names of the called client",
        points: &[1, 10, 100, 1000, 10_000],
        grow: |bus| Ok(Box::new(Names { pipeline: pipeline(bus)?, count: 0 })),
    },
    Dimension {
        key: "scale-replies",
        title: "replies outstanding",
        points: &[1, 10, 100, 1000, 10_000, 100_000],
        grow: |bus| Ok(Box::new(Replies { pipeline: pipeline(bus)?, count: 0 })),
    },
];

/// What our bus's cost may grow by from the first point to the last: the noise of a machine.
pub(crate) const GROWTH_MAX: f64 = 1.25;

/// The cost in nanoseconds of two buses, measured one after the other.
#[derive(Clone, Copy, Debug)]
struct Pair {
    /// Of the one that stays small.
    small: f64,
    /// Of the one that grows.
    grown: f64,
}

/// The costs at a point of a dimension, once a round.
type Costs = BTreeMap<(&'static str, Kind, usize), Vec<Pair>>;

/// What was measured.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    costs: Costs,
    /// The first failure of each peer in each dimension.
    pub(crate) failures: BTreeMap<(&'static str, Kind), Failure>,
}

impl Growth {
    /// Measures a peer at all points of a dimension.
    pub(crate) fn take_turn(&mut self, dimension: &Dimension, peer: &Peer) {
        let key = (dimension.key, peer.kind);
        if !self.failures.contains_key(&key)
            && let Err(failure) = measure(dimension, peer, &mut self.costs)
        {
            self.failures.insert(key, failure);
        }
    }

    /// The cost at a point, as if the machine had been the same at all of them.
    pub(crate) fn cost(&self, dimension: &Dimension, kind: Kind, point: usize) -> Option<f64> {
        let at = |point: &usize| self.costs.get(&(dimension.key, kind, *point));
        let all = dimension.points.iter().filter_map(at).flatten();
        let small = median(all.map(|pair| pair.small))?;
        Some(small * self.factor_at(dimension, kind, point)?)
    }

    /// The median of the rounds' ratios of the cost at the last point to that at the first.
    pub(crate) fn factor(&self, dimension: &Dimension, kind: Kind) -> Option<f64> {
        self.factor_at(dimension, kind, *dimension.points.last()?)
    }

    fn factor_at(&self, dimension: &Dimension, kind: Kind, point: usize) -> Option<f64> {
        let pairs = self.costs.get(&(dimension.key, kind, point))?;
        median(pairs.iter().map(|pair| pair.grown / pair.small))
    }
}

fn measure(dimension: &Dimension, peer: &Peer, costs: &mut Costs) -> Result<()> {
    let (mut small, mut growing) = (peer.start()?, peer.start()?);
    measure_points(dimension, &small, &growing, costs)
        .map_err(|failure| growing.explain(small.explain(failure)))
}

fn measure_points(
    dimension: &Dimension,
    small: &Running,
    growing: &Running,
    costs: &mut Costs,
) -> Result<()> {
    let first = dimension.points.first().copied().unwrap_or_default();
    let (mut beside, mut load) = ((dimension.grow)(small)?, (dimension.grow)(growing)?);
    beside.grow_to(small, first)?;
    for point in dimension.points {
        let at_point = |failure: Failure| failure.during(format!("at {point}"));
        load.grow_to(growing, *point).map_err(at_point)?;
        let small = beside.measure(small)?.cost;
        let grown = load.measure(growing).map_err(at_point)?.cost;
        costs.entry((dimension.key, growing.kind, *point)).or_default().push(Pair { small, grown });
    }
    Ok(())
}

/// A load, and what the bus holds beside it.
trait Growing {
    fn grow_to(&mut self, bus: &Running, count: usize) -> Result<()>;
    fn measure(&mut self, bus: &Running) -> Result<Sample>;
}

/// One pair of clients with 64 calls in flight.
fn pipeline(bus: &Running) -> Result<Pipeline> {
    let mut pipeline = Pipeline::new(64)?;
    let (caller, callee) = bus.pair()?;
    let call = wire::small_call(&callee.name)?;
    pipeline.add(caller, callee, call)?;
    Ok(pipeline)
}

/// Calls beside clients that do nothing.
struct Clients {
    pipeline: Pipeline,
    idle: Vec<Client>,
}

impl Growing for Clients {
    fn grow_to(&mut self, bus: &Running, count: usize) -> Result<()> {
        self.idle.extend(bus.singles(count.saturating_sub(self.idle.len() + 2))?);
        Ok(())
    }

    fn measure(&mut self, bus: &Running) -> Result<Sample> {
        run(bus.pid(), &mut self.pipeline)
    }
}

/// Signals to one client beside rules of ten others that do not match.
struct Rules {
    sender: Client,
    crowd: Crowd,
    others: Vec<Client>,
    count: usize,
}

impl Rules {
    fn new(bus: &Running) -> Result<Self> {
        let (sender, mut recipients) = bus.fan_out(1, Passing::Bytes)?;
        for recipient in &mut recipients {
            recipient.add_matches([watchers::properties_rule(wire::PATH)])?;
        }
        Ok(Self { sender, crowd: Crowd::new(recipients)?, others: bus.singles(10)?, count: 0 })
    }
}

impl Growing for Rules {
    fn grow_to(&mut self, _bus: &Running, count: usize) -> Result<()> {
        let each = (count - self.count) / self.others.len();
        for other in &mut self.others {
            let objects = self.count..self.count + each;
            other
                .add_matches(objects.map(|number| {
                    watchers::properties_rule(&format!("/org/example/o/{number}"))
                }))?;
            self.count += each;
        }
        Ok(())
    }

    fn measure(&mut self, bus: &Running) -> Result<Sample> {
        const BURST: u64 = 64;
        let changed = wire::properties_changed(wire::PATH, "org.example.Interface")?;
        let Self { sender, crowd, .. } = self;
        let mut out = Vec::new();
        run(bus.pid(), &mut |_: &mut Latencies| {
            out.clear();
            (0..BURST).for_each(|_| changed.append(sender.next_serial(), 0, &mut out));
            sender.send(&out)?;
            crowd.take_all(BURST)?;
            Ok(BURST)
        })
    }
}

/// Calls by one of the many names of the callee.
struct Names {
    pipeline: Pipeline,
    count: usize,
}

impl Growing for Names {
    fn grow_to(&mut self, _bus: &Running, count: usize) -> Result<()> {
        let name = |number: usize| format!("org.example.Name{number}");
        self.pipeline.callee()?.request_names((self.count..count).map(name))?;
        self.count = count;
        self.pipeline.set_call(wire::small_call(&name(count / 2))?)
    }

    fn measure(&mut self, bus: &Running) -> Result<Sample> {
        run(bus.pid(), &mut self.pipeline)
    }
}

/// Calls between two clients, of whose earlier calls many were never answered.
struct Replies {
    pipeline: Pipeline,
    count: usize,
}

impl Growing for Replies {
    fn grow_to(&mut self, _bus: &Running, count: usize) -> Result<()> {
        self.pipeline.leave_unanswered(count - self.count)?;
        self.count = count;
        Ok(())
    }

    fn measure(&mut self, bus: &Running) -> Result<Sample> {
        run(bus.pid(), &mut self.pipeline)
    }
}
