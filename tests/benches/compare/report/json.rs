//! Results for programs.

use serde_json::{Map, Value, json};

use super::{BASELINE, Verdict, buses, growth_verdict, setting, verdicts};
use crate::measure::{Sample, is_pinned};
use crate::peers::Kind;
use crate::rounds::{Plan, Results};
use crate::scaling::Dimension;
use crate::workloads::{Unit, Workload};

/// Everything that was measured, as medians.
pub(crate) fn to_json(plan: &Plan, results: &Results) -> Value {
    let versions: Map<String, Value> =
        plan.peers.iter().map(|peer| (peer.kind.label().to_owned(), json!(peer.version))).collect();
    let missing = plan
        .missing
        .iter()
        .map(|(kind, failure)| json!({ "peer": kind.label(), "reason": failure.to_string() }));
    let failures = results.failures().map(|(key, kind, failure)| {
        json!({ "workload": key, "peer": kind.label(), "reason": failure.to_string() })
    });
    json!({
        "setting": setting(plan),
        "pinned": is_pinned(),
        "rounds": plan.rounds,
        "versions": versions,
        "workloads": plan.workloads.iter().map(|w| workload(w, plan, results)).collect::<Vec<_>>(),
        "scaling": plan.dimensions.iter().map(|d| dimension(d, plan, results)).collect::<Vec<_>>(),
        "missing": missing.collect::<Vec<_>>(),
        "failures": failures.collect::<Vec<_>>(),
    })
}

fn workload(workload: &Workload, plan: &Plan, results: &Results) -> Value {
    let peers: Map<String, Value> = plan
        .peers
        .iter()
        .filter(|peer| results.cost(workload, peer.kind).is_some())
        .map(|peer| (peer.kind.label().to_owned(), figures(workload, peer.kind, results)))
        .collect();
    json!({
        "key": workload.key,
        "title": workload.title,
        "unit": match workload.unit {
            Unit::CpuTime => "ns of processor time per operation",
            Unit::Kib => "KiB",
            Unit::Growth => "ratio",
            Unit::Latency => "ns",
        },
        "peers": peers,
        "targets": verdicts(workload, plan, results).iter().map(verdict).collect::<Vec<_>>(),
    })
}

fn figures(workload: &Workload, kind: Kind, results: &Results) -> Value {
    let median =
        |figure: fn(&Sample) -> f64| results.median(workload, kind, |sample| Some(figure(sample)));
    let time = |figure| median(figure).filter(|figure| *figure > 0.0);
    json!({
        "cost": median(|sample| sample.cost),
        "by_dbus_broker": results.ratio(workload, kind, BASELINE),
        "by_null_relay": results.ratio(workload, kind, Kind::NullRelay),
        "p50_ns": time(|sample| sample.p50_ns),
        "p99_ns": time(|sample| sample.p99_ns),
        "operations_per_second": time(|sample| sample.throughput),
        "rise": results.median(workload, kind, |sample| sample.rise),
    })
}

fn verdict(verdict: &Verdict) -> Value {
    json!({ "bound": verdict.bound, "value": verdict.value, "met": verdict.is_met })
}

fn dimension(dimension: &Dimension, plan: &Plan, results: &Results) -> Value {
    let costs: Map<String, Value> = buses(plan)
        .map(|kind| {
            let cost = |point: &usize| results.growth.cost(dimension, kind, *point);
            let costs: Vec<Option<f64>> = dimension.points.iter().map(cost).collect();
            (kind.label().to_owned(), json!(costs))
        })
        .collect();
    json!({
        "key": dimension.key,
        "title": dimension.title,
        "points": dimension.points,
        "cost_ns": costs,
        "target": verdict(&growth_verdict(dimension, results)),
    })
}
