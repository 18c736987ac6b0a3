//! Tables.

use crate::peers::Kind;
use crate::rounds::{Plan, Results};

/// Prints the table for people.
pub(crate) fn print(plan: &Plan, results: &Results) {
    for (kind, failure) in &plan.missing {
        println!("{}: {failure}; left out", kind.label());
    }
    for workload in &plan.workloads {
        println!("{}", workload.title);
        for peer in &plan.peers {
            let median = |figure: fn(&crate::measure::Sample) -> f64| {
                results.median(workload, peer.kind, figure).unwrap_or(f64::NAN)
            };
            let ratio = |other| results.ratio(workload, peer.kind, other).unwrap_or(f64::NAN);
            println!(
                "  {:12} {:10.0} ns  {:6.2} {:6.2}  p50 {:8.1} us p99 {:8.1} us {:10.0}/s",
                peer.kind.label(),
                median(|sample| sample.cost),
                ratio(Kind::DbusBroker),
                ratio(Kind::NullRelay),
                median(|sample| sample.p50_ns) / 1e3,
                median(|sample| sample.p99_ns) / 1e3,
                median(|sample| sample.throughput),
            );
        }
    }
    for ((workload, kind), failure) in &results.failures {
        println!("{} failed at {workload}: {failure}", kind.label());
    }
}
