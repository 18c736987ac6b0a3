//! Messages from one client to one other.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::time::Instant;

use crate::failure::{Failure, Result};
use crate::load::Client;
use crate::measure::{Latencies, Sample, run};
use crate::peers::Running;
use crate::pipeline::Pipeline;
use crate::relay::Passing;
use crate::wire;

const SERVICE: &str = "org.example.Service";
const BURST: u32 = 8;

pub(super) fn serial_by_unique_name(bus: &Running) -> Result<Sample> {
    let (mut caller, mut callee) = bus.pair()?;
    let call = wire::small_call(&callee.name)?.message(1);
    serial(bus, &mut caller, &mut callee, &call)
}

pub(super) fn serial_by_well_known_name(bus: &Running) -> Result<Sample> {
    let (mut caller, mut callee) = bus.pair()?;
    callee.request_names([SERVICE.to_owned()])?;
    let call = wire::small_call(SERVICE)?.message(1);
    serial(bus, &mut caller, &mut callee, &call)
}

/// Serial calls with `size` bytes and small replies.
pub(super) fn payload(bus: &Running, size: usize) -> Result<Sample> {
    let (mut caller, mut callee) = bus.pair()?;
    let call = wire::payload_call(&callee.name, size)?.message(1);
    serial(bus, &mut caller, &mut callee, &call)
}

/// One call after the other. A serial may come again once its call has been answered.
pub(super) fn serial(
    bus: &Running,
    caller: &mut Client,
    callee: &mut Client,
    call: &[u8],
) -> Result<Sample> {
    let reply = wire::small_reply(&caller.name)?;
    let mut out = Vec::new();
    run(bus.pid(), &mut |latencies: &mut Latencies| {
        let begin = Instant::now();
        let serial = caller.send_to(call, callee)?;
        out.clear();
        reply.append(1, serial, &mut out);
        callee.send(&out)?;
        caller.wait_for(1)?;
        latencies.note_since(begin);
        Ok(1)
    })
}

pub(super) fn pipelined(bus: &Running) -> Result<Sample> {
    let mut pipeline = Pipeline::new(64)?;
    for _ in 0..4 {
        let (caller, callee) = bus.pair()?;
        let call = wire::small_call(&callee.name)?;
        pipeline.add(caller, callee, call)?;
    }
    run(bus.pid(), &mut pipeline)
}

/// Each message is sent by itself, because that is how its descriptor stays with it.
pub(super) fn descriptors(bus: &Running) -> Result<Sample> {
    let (mut sender, mut recipients) = bus.fan_out(1, Passing::BytesAndDescriptors)?;
    let recipient = recipients.first_mut().ok_or_else(|| Failure::new("no recipient"))?;
    let call = wire::descriptor_call(&recipient.name)?;
    send_descriptors(bus, &mut sender, recipient, &call)
}

pub(super) fn send_descriptors(
    bus: &Running,
    sender: &mut Client,
    recipient: &mut Client,
    call: &wire::Template,
) -> Result<Sample> {
    let passed = File::open("/dev/null")?;
    run(bus.pid(), &mut |latencies: &mut Latencies| {
        let begin = Instant::now();
        for _ in 0..BURST {
            let message = call.message(sender.next_serial());
            sender.send_with_fd(&message, passed.as_fd())?;
        }
        let mut arrived = 0;
        while arrived < BURST {
            recipient.read_with_fds(|_| arrived += 1)?;
        }
        latencies.note_since(begin);
        Ok(BURST.into())
    })
}
