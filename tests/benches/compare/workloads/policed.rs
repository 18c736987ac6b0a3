//! Messages to and from clients whose names the rules of a policy are about.

use super::{calls, signals};
use crate::failure::{Failure, Result};
use crate::measure::{Sample, run};
use crate::peers::Running;
use crate::pipeline::Pipeline;
use crate::relay::Passing;
use crate::wire;

/// The names of those who are called: the services that Debian's packages have most rules about.
pub(crate) const SERVICES: [&str; 4] = [
    "org.freedesktop.NetworkManager",
    "org.freedesktop.systemd1",
    "org.freedesktop.login1",
    "org.freedesktop.ModemManager1",
];

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    /// Which names it has owners for.
    pub(crate) services: &'static [&'static str],
    pub(crate) run: fn(&Running) -> Result<Sample>,
}

const FIRST: &[&str] = SERVICES.split_at(1).0;

/// All of them, in the order of the table.
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        key: "serial-name",
        title: "serial call and reply, by well-known name",
        services: FIRST,
        run: serial,
    },
    Workload {
        key: "pipelined",
        title: "pipelined calls by well-known name, 4 pairs × 64 in flight",
        services: &SERVICES,
        run: pipelined,
    },
    Workload {
        key: "broadcast-100",
        title: "broadcast of a named service to 100, bursts of 8",
        services: FIRST,
        run: broadcast,
    },
    Workload {
        key: "descriptor",
        title: "one descriptor per message by well-known name, bursts of 8",
        services: FIRST,
        run: descriptors,
    },
];

fn serial(bus: &Running) -> Result<Sample> {
    let (mut caller, mut callee) = bus.pair()?;
    callee.request_names([SERVICES[0].to_owned()])?;
    let call = wire::small_call(SERVICES[0])?.message(1);
    calls::serial(bus, &mut caller, &mut callee, &call)
}

fn pipelined(bus: &Running) -> Result<Sample> {
    let mut pipeline = Pipeline::new(64)?;
    for service in SERVICES {
        let (caller, mut callee) = bus.pair()?;
        callee.request_names([service.to_owned()])?;
        pipeline.add(caller, callee, wire::small_call(service)?)?;
    }
    run(bus.pid(), &mut pipeline)
}

fn broadcast(bus: &Running) -> Result<Sample> {
    let (mut sender, mut recipients) = bus.fan_out(100, Passing::Bytes)?;
    sender.request_names([SERVICES[0].to_owned()])?;
    for recipient in &mut recipients {
        recipient.add_matches([wire::SIGNAL_RULE.to_owned()])?;
    }
    signals::bursts(bus, sender, recipients, &wire::signal())
}

fn descriptors(bus: &Running) -> Result<Sample> {
    let (mut sender, mut recipients) = bus.fan_out(1, Passing::BytesAndDescriptors)?;
    let recipient = recipients.first_mut().ok_or_else(|| Failure::new("no recipient"))?;
    recipient.request_names([SERVICES[0].to_owned()])?;
    let call = wire::descriptor_call(SERVICES[0])?;
    calls::send_descriptors(bus, &mut sender, recipient, &call)
}
