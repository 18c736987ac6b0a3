//! The same calls without a bus: gRPC over a Unix socket.
//!
//! Client and server are one program, `grpc-peer`, a crate of its own (`tests/benches/grpc`). There
//! is no bus whose time could be measured; what stands in the table is the server's.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::failure::{Failure, Result, fail};
use crate::measure::{MEASURED, Sample, WARM_UP, cpu_time};
use crate::peers::{Peer, Running};
use crate::workloads::GrpcLoad;

/// Runs the client beside the server.
pub(crate) fn run(peer: &Peer, server: &Running, load: GrpcLoad) -> Result<Sample> {
    let mut client = Client(
        Command::new(&peer.program)
            .arg("call")
            .arg(&server.socket)
            .args([load.pairs, load.in_flight, load.payload_size].map(|number| number.to_string()))
            .args([WARM_UP, MEASURED].map(|time| time.as_millis().to_string()))
            .stdout(Stdio::piped())
            .spawn()?,
    );
    let stdout = client.0.stdout.take().ok_or_else(|| Failure::new("no output"))?;
    let mut lines = BufReader::new(stdout).lines();
    if lines.next().transpose()?.as_deref() != Some("begin") {
        return fail("the client does not begin");
    }
    let before = cpu_time(server.pid())?;
    let line = lines.next().transpose()?.ok_or_else(|| Failure::new("the client has no result"))?;
    let spent = cpu_time(server.pid())? - before;
    parse(&line, spent.as_nanos() as f64)
}

/// Operations, nanoseconds that they took in all, median and 99th percentile.
fn parse(line: &str, spent_ns: f64) -> Result<Sample> {
    let fields: Vec<f64> = line.split(' ').filter_map(|field| field.parse().ok()).collect();
    let [operations, elapsed_ns, p50_ns, p99_ns] = fields[..] else {
        return fail(format!("the client says {line:?}"));
    };
    let throughput = operations / (elapsed_ns / 1e9);
    Ok(Sample { cost: spent_ns / operations, p50_ns, p99_ns, throughput, rise: None })
}

/// Ended when dropped.
struct Client(Child);

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
