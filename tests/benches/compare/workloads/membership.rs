//! Clients and names that come and go.

use std::time::Instant;

use crate::failure::Result;
use crate::measure::{Latencies, Sample, run};
use crate::peers::Running;
use crate::wire::driver_call;

pub(super) fn connect_and_leave(bus: &Running) -> Result<Sample> {
    let hello = driver_call("Hello", None, None).message(1);
    run(bus.pid(), &mut |latencies: &mut Latencies| {
        let begin = Instant::now();
        let mut client = bus.connect_unregistered()?;
        client.send(&hello)?;
        client.wait_for(1)?;
        drop(client);
        latencies.note_since(begin);
        Ok(1)
    })
}

pub(super) fn request_and_release_name(bus: &Running) -> Result<Sample> {
    let mut client = bus.single()?;
    let name = Some("org.example.Service");
    let request = driver_call("RequestName", name, Some(0));
    let release = driver_call("ReleaseName", name, None);
    run(bus.pid(), &mut |latencies: &mut Latencies| {
        let begin = Instant::now();
        for call in [&request, &release] {
            let serial = client.next_serial();
            client.send(&call.message(serial))?;
            client.wait_for(1)?;
        }
        latencies.note_since(begin);
        Ok(1)
    })
}
