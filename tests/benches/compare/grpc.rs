//! The same calls without a bus: gRPC over a Unix socket.
//!
//! Client and server are one program, `grpc-peer`, a crate of its own (`tests/benches/grpc`). There
//! is no bus whose time could be measured; what stands in the table is the server's.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::failure::{Result, fail};
use crate::load::DEADLINE;
use crate::measure::{MEASURED, Sample, WARM_UP, cpu_time};
use crate::peers::{Peer, Running};
use crate::program::{Line, Lines, Program};
use crate::workloads::GrpcLoad;

/// Runs the client beside the server.
pub(crate) fn run(peer: &Peer, server: &Running, load: GrpcLoad) -> Result<Sample> {
    call(peer, server, load, [WARM_UP, MEASURED])
}

/// Makes some calls to find out whether this works.
pub(crate) fn greet(peer: &Peer, server: &Running) -> Result<()> {
    let load = GrpcLoad { pairs: 1, in_flight: 1, payload_size: 0 };
    call(peer, server, load, [Duration::ZERO, Duration::from_millis(10)]).map(drop)
}

/// Runs the client for those times: to warm up, and measured.
fn call(peer: &Peer, server: &Running, load: GrpcLoad, times: [Duration; 2]) -> Result<Sample> {
    let mut command = Command::new(&peer.program);
    command
        .arg("call")
        .arg(&server.socket)
        .args([load.pairs, load.in_flight, load.payload_size].map(|number| number.to_string()))
        .args(times.map(|time| time.as_millis().to_string()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(server.open_log()?);
    let mut client = Program::spawn(&mut command)?;
    let mut lines = client.lines()?;
    let line = next(&mut lines, "beginning")?;
    if line != "begin" {
        return fail(format!("the client begins with {line:?}"));
    }
    let before = cpu_time(server.pid())?;
    let line = next(&mut lines, "result")?;
    let spent = cpu_time(server.pid())? - before;
    parse(&line, spent.as_nanos() as f64)
}

/// The client's next line.
fn next(lines: &mut Lines<'_>, what: &str) -> Result<String> {
    match lines.next(Instant::now() + DEADLINE)? {
        Line::Text(text) => Ok(text),
        Line::End => fail(format!("the client ended without a {what}")),
        Line::Late => fail(format!("no {what} from the client in time")),
    }
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
