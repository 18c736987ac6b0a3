//! Figures: the processor time of a process, its memory, and how long the operations took.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};

use crate::failure::{Failure, Result};

/// Where the load runs.
pub(crate) const LOAD_CORE: usize = 0;
/// Where the bus runs.
pub(crate) const BUS_CORE: usize = 1;

/// How long a workload runs before it is measured, and while it is.
pub(crate) const WARM_UP: Duration = Duration::from_millis(30);
pub(crate) const MEASURED: Duration = Duration::from_millis(120);
/// Fewer operations than this are no measurement.
const OPERATIONS_MIN: u64 = 16;

static PINNED: AtomicBool = AtomicBool::new(true);

/// Moves this thread, and what it starts, to a core.
pub(crate) fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    if sched_setaffinity(None, &set).is_err() {
        PINNED.store(false, Ordering::Relaxed);
    }
}

/// Whether every wish to be pinned was granted.
pub(crate) fn is_pinned() -> bool {
    PINNED.load(Ordering::Relaxed)
}

/// What one run of a workload yields.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// What is compared: the bus's processor time in nanoseconds per operation, or what the
    /// workload's unit says.
    pub(crate) cost: f64,
    /// Median and 99th percentile of the time an operation took, in nanoseconds.
    pub(crate) p50_ns: f64,
    pub(crate) p99_ns: f64,
    /// Operations per second.
    pub(crate) throughput: f64,
    /// How many times what it is without another client's flood the 99th percentile is.
    pub(crate) rise: Option<f64>,
}

impl Sample {
    /// A figure without time.
    pub(crate) fn of(cost: f64) -> Self {
        Self { cost, ..Self::default() }
    }
}

/// The times that operations took.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<u64>);

impl Latencies {
    /// Notes that an operation that began at `begin` has ended.
    pub(crate) fn note_since(&mut self, begin: Instant) {
        self.0.push(u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }

    /// The time in nanoseconds that `part` of the operations did not exceed.
    pub(crate) fn percentile(&mut self, part: f64) -> f64 {
        self.0.sort_unstable();
        let last = self.0.len().saturating_sub(1);
        self.0.get((last as f64 * part) as usize).map_or(0.0, |value| *value as f64)
    }
}

/// Something that can be done again and again.
pub(crate) trait Load {
    /// Does some more and answers how many operations were completed.
    fn step(&mut self, latencies: &mut Latencies) -> Result<u64>;

    /// Completes what was begun; answers how many operations that were.
    fn drain(&mut self) -> Result<u64> {
        Ok(0)
    }
}

impl<F: FnMut(&mut Latencies) -> Result<u64>> Load for F {
    fn step(&mut self, latencies: &mut Latencies) -> Result<u64> {
        self(latencies)
    }
}

/// Runs a load for the set time and measures what it costs the process `pid`.
pub(crate) fn run(pid: u32, load: &mut impl Load) -> Result<Sample> {
    repeat(load, WARM_UP, &mut Latencies::default())?;
    let mut latencies = Latencies::default();
    let (before, begin) = (cpu_time(pid)?, Instant::now());
    let operations = repeat(load, MEASURED, &mut latencies)? as f64;
    let (elapsed, spent) = (begin.elapsed(), cpu_time(pid)? - before);
    Ok(Sample {
        cost: spent.as_nanos() as f64 / operations,
        p50_ns: latencies.percentile(0.5),
        p99_ns: latencies.percentile(0.99),
        throughput: operations / elapsed.as_secs_f64(),
        rise: None,
    })
}

/// Nothing is under way before or after.
fn repeat(load: &mut impl Load, time: Duration, latencies: &mut Latencies) -> Result<u64> {
    let (begin, mut operations) = (Instant::now(), 0);
    while begin.elapsed() < time || operations < OPERATIONS_MIN {
        operations += load.step(latencies)?;
    }
    Ok(operations + load.drain()?)
}

/// The time that all threads of a process have spent on a processor.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let mut total = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let statistics = fs::read_to_string(task?.path().join("schedstat"))?;
        let on_cpu = statistics.split_whitespace().next().and_then(|field| field.parse().ok());
        total += on_cpu.unwrap_or(0_u64);
    }
    Ok(Duration::from_nanos(total))
}

/// The memory of a process in KiB, what it shares divided by those that share it.
pub(crate) fn pss_kib(pid: u32) -> Result<f64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    rollup
        .lines()
        .find_map(|line| line.strip_prefix("Pss:")?.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| Failure::new("no Pss in smaps_rollup"))
}
