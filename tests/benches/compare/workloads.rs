//! What is measured: one function a workload, and the table of them all.

use std::time::Instant;

use crate::failure::Result;
use crate::load::Client;
use crate::measure::{Latencies, Sample, run};
use crate::peers::{Kind, Running};
use crate::pipeline::Pipeline;
use crate::wire;

/// One row of the table.
pub(crate) struct Workload {
    /// What `--only` calls it.
    pub(crate) key: &'static str,
    /// What it is, in words.
    pub(crate) title: &'static str,
    pub(crate) unit: Unit,
    /// How the gRPC peer does the same, if it can.
    pub(crate) grpc: Option<GrpcLoad>,
    /// What our bus should cost at most.
    pub(crate) targets: &'static [Target],
    pub(crate) run: fn(&Running) -> Result<Sample>,
}

/// What a workload's cost is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Nanoseconds of the bus's processor time per operation.
    CpuTime,
}

/// A call workload for the gRPC peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GrpcLoad {
    pub(crate) pairs: usize,
    pub(crate) in_flight: usize,
    pub(crate) payload_size: usize,
}

/// A bound of our bus's cost.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// At most this many times what the other one costs.
    Times(f64, Kind),
}

/// All workloads, in the order of the table.
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        key: "serial-unique",
        title: "serial call and reply, by unique name",
        unit: Unit::CpuTime,
        grpc: Some(GrpcLoad { pairs: 1, in_flight: 1, payload_size: 16 }),
        targets: &[Target::Times(0.95, Kind::DbusBroker), Target::Times(1.15, Kind::NullRelay)],
        run: serial_by_unique_name,
    },
    Workload {
        key: "serial-name",
        title: "serial call and reply, by well-known name",
        unit: Unit::CpuTime,
        grpc: None,
        targets: &[Target::Times(0.95, Kind::DbusBroker), Target::Times(1.15, Kind::NullRelay)],
        run: serial_by_well_known_name,
    },
    Workload {
        key: "pipelined",
        title: "pipelined calls, 4 pairs × 64 in flight",
        unit: Unit::CpuTime,
        grpc: Some(GrpcLoad { pairs: 4, in_flight: 64, payload_size: 16 }),
        targets: &[Target::Times(0.25, Kind::DbusBroker), Target::Times(0.7, Kind::Busd)],
        run: pipelined,
    },
];

const SERVICE: &str = "org.example.Service";

fn serial_by_unique_name(bus: &Running) -> Result<Sample> {
    let (mut caller, mut callee) = bus.pair()?;
    let call = wire::small_call(&callee.name)?.message(1);
    serial(bus, &mut caller, &mut callee, call)
}

fn serial_by_well_known_name(bus: &Running) -> Result<Sample> {
    let (mut caller, mut callee) = bus.pair()?;
    callee.request_names([SERVICE.to_owned()])?;
    let call = wire::small_call(SERVICE)?.message(1);
    serial(bus, &mut caller, &mut callee, call)
}

/// One call after the other.
fn serial(
    bus: &Running,
    caller: &mut Client,
    callee: &mut Client,
    call: Vec<u8>,
) -> Result<Sample> {
    let reply = wire::small_reply(&caller.name)?;
    let mut out = Vec::new();
    run(bus.pid(), &mut |latencies: &mut Latencies| {
        let begin = Instant::now();
        let serial = caller.send_to(&call, callee)?;
        out.clear();
        reply.append(1, serial, &mut out);
        callee.send(&out)?;
        caller.wait_for(1)?;
        latencies.note_since(begin);
        Ok(1)
    })
}

fn pipelined(bus: &Running) -> Result<Sample> {
    let mut pipeline = Pipeline::new(64)?;
    for _ in 0..4 {
        let (caller, callee) = bus.pair()?;
        let call = wire::small_call(&callee.name)?;
        pipeline.add(caller, callee, call)?;
    }
    run(bus.pid(), &mut pipeline)
}
