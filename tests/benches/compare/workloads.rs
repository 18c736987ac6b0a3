//! What is measured: the table of all workloads. Each is one function in the module of its kind.

mod calls;
mod fairness;
mod membership;
mod memory;
pub(crate) mod policed;
mod signals;

use crate::failure::Result;
use crate::measure::Sample;
use crate::peers::{Kind, Running};

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Workload {
    /// What `--only` calls it.
    pub(crate) key: &'static str,
    /// What it is, in words.
    pub(crate) title: &'static str,
    pub(crate) unit: Unit,
    /// What our bus should cost at most.
    pub(crate) targets: &'static [Target],
    pub(crate) run: fn(&Running) -> Result<Sample>,
    /// The same calls without a bus between, if it is calls.
    pub(crate) grpc: Option<GrpcLoad>,
    /// Elements of the configuration for it, for peers that read one.
    pub(crate) elements: &'static str,
}

/// What a workload's cost is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Nanoseconds of the bus's processor time per operation.
    CpuTime,
    /// KiB of the bus's memory.
    Kib,
    /// What it is in the end by what it was in the beginning.
    Growth,
    /// Nanoseconds that 99 of 100 calls of a client take while another floods.
    Latency,
}

/// A call workload for the gRPC peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GrpcLoad {
    pub(crate) pairs: usize,
    pub(crate) in_flight: usize,
    pub(crate) payload_size: usize,
}

/// A bound of what our bus costs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// At most this many times what the other one costs.
    Times(f64, Kind),
    /// At most this, in the workload's unit.
    AtMost(f64),
    /// At most this many times what it is without the flood.
    Rise(f64),
    /// Less than every other bus.
    BelowAll,
}

use Kind::{Busd, DbusBroker, NullRelay};
use Target::{AtMost, BelowAll, Rise, Times};

const SMALL: usize = 16;
pub(crate) const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// All workloads, in the order of the table.
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        key: "serial-unique",
        title: "serial call and reply, by unique name",
        unit: Unit::CpuTime,
        targets: &[Times(0.95, DbusBroker), Times(1.15, NullRelay)],
        run: calls::serial_by_unique_name,
        grpc: Some(GrpcLoad { pairs: 1, in_flight: 1, payload_size: SMALL }),
        elements: "",
    },
    Workload {
        key: "serial-name",
        title: "serial call and reply, by well-known name",
        unit: Unit::CpuTime,
        targets: &[Times(0.95, DbusBroker), Times(1.15, NullRelay)],
        run: calls::serial_by_well_known_name,
        grpc: None,
        elements: "",
    },
    Workload {
        key: "pipelined",
        title: "pipelined calls, 4 pairs × 64 in flight",
        unit: Unit::CpuTime,
        targets: &[Times(0.25, DbusBroker), Times(0.7, Busd)],
        run: calls::pipelined,
        grpc: Some(GrpcLoad { pairs: 4, in_flight: 64, payload_size: SMALL }),
        elements: "",
    },
    Workload {
        key: "payload-64k",
        title: "call with 64 KiB",
        unit: Unit::CpuTime,
        targets: &[Times(1.0, DbusBroker)],
        run: |bus| calls::payload(bus, 64 * KIB),
        grpc: Some(GrpcLoad { pairs: 1, in_flight: 1, payload_size: 64 * KIB }),
        elements: "",
    },
    Workload {
        key: "payload-8m",
        title: "call with 8 MiB",
        unit: Unit::CpuTime,
        targets: &[Times(0.85, DbusBroker)],
        run: |bus| calls::payload(bus, 8 * MIB),
        grpc: Some(GrpcLoad { pairs: 1, in_flight: 1, payload_size: 8 * MIB }),
        elements: "",
    },
    Workload {
        key: "descriptor",
        title: "one descriptor per message, bursts of 8",
        unit: Unit::CpuTime,
        targets: &[Times(0.3, DbusBroker)],
        run: calls::descriptors,
        grpc: None,
        elements: "",
    },
    Workload {
        key: "broadcast-100",
        title: "broadcast to 100, bursts of 8",
        unit: Unit::CpuTime,
        targets: &[Times(0.22, DbusBroker)],
        run: |bus| signals::broadcast(bus, 100),
        grpc: None,
        elements: "",
    },
    Workload {
        key: "broadcast-1000",
        title: "broadcast to 1,000, bursts of 8",
        unit: Unit::CpuTime,
        targets: &[Times(0.3, DbusBroker)],
        run: |bus| signals::broadcast(bus, 1000),
        grpc: None,
        elements: "",
    },
    Workload {
        key: "rules-10000",
        title: "signal past 10,000 rules that do not match, bursts of 8",
        unit: Unit::CpuTime,
        targets: &[Times(0.35, DbusBroker)],
        run: signals::past_other_rules,
        grpc: None,
        elements: "",
    },
    Workload {
        key: "properties",
        title: "PropertiesChanged to 10 of 60 watchers with 12 rules each, bursts of 8",
        unit: Unit::CpuTime,
        targets: &[Times(0.35, DbusBroker)],
        run: signals::properties_changed,
        grpc: None,
        elements: "",
    },
    Workload {
        key: "connect",
        title: "connect, Hello, disconnect",
        unit: Unit::CpuTime,
        targets: &[Times(0.75, DbusBroker)],
        run: membership::connect_and_leave,
        grpc: None,
        elements: "",
    },
    Workload {
        key: "own-name",
        title: "RequestName and ReleaseName",
        unit: Unit::CpuTime,
        targets: &[Times(0.6, DbusBroker)],
        run: membership::request_and_release_name,
        grpc: None,
        elements: "",
    },
    Workload {
        key: "idle-client",
        title: "memory of an idle client with 1 name and 5 rules",
        unit: Unit::Kib,
        targets: &[AtMost(3.0)],
        run: memory::of_idle_client,
        grpc: None,
        elements: "",
    },
    Workload {
        key: "after-idle",
        title: "memory after 1,000 such clients have left, by that before",
        unit: Unit::Growth,
        targets: &[AtMost(2.0)],
        run: memory::after_idle_clients,
        grpc: None,
        elements: "",
    },
    Workload {
        key: "empty-bus",
        title: "memory of an empty bus",
        unit: Unit::Kib,
        targets: &[AtMost(1536.0)],
        run: memory::of_empty_bus,
        grpc: None,
        elements: "",
    },
    Workload {
        key: "fair-calls",
        title: "p99 of serial calls while another client keeps 256 calls in flight",
        unit: Unit::Latency,
        targets: &[Rise(3.0), BelowAll],
        run: fairness::beside_calls,
        grpc: None,
        elements: "",
    },
    Workload {
        key: "fair-broadcasts",
        title: "p99 of serial calls while another client broadcasts to 100",
        unit: Unit::Latency,
        targets: &[Rise(3.0), BelowAll],
        run: fairness::beside_broadcasts,
        grpc: None,
        elements: "",
    },
    Workload {
        key: "fair-greed",
        title: "p99 of serial calls while another user takes all it can get",
        unit: Unit::Latency,
        targets: &[Rise(3.0), BelowAll],
        run: fairness::beside_greed,
        grpc: None,
        elements: fairness::GREED_LIMITS,
    },
];

impl Workload {
    /// Whether a peer that is no bus can do it too.
    pub(crate) fn is_for(&self, kind: Kind) -> bool {
        match kind {
            Kind::NullRelay => self.unit == Unit::CpuTime,
            Kind::Grpc => self.grpc.is_some(),
            _ => true,
        }
    }
}
