//! The calls of the bus benchmark without a bus: gRPC over a Unix socket, with tonic.
//!
//! `grpc-peer serve SOCKET` answers calls. `grpc-peer call SOCKET PAIRS IN_FLIGHT PAYLOAD_SIZE
//! WARM_UP_MS MEASURED_MS` makes them, prints `begin` when it has warmed up, and at the end how
//! many calls there were, how many nanoseconds they took in all, and the median and the 99th
//! percentile of one. Both run on one thread, as the buses' load generator and most buses do.
//!
//! The service is written by hand in the shape that tonic's generator gives one, so that no
//! protobuf compiler is needed.

mod caller;
mod service;

use std::error::Error;

/// Any failure ends the program.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Bytes that a message may have; the default would be 4 MiB.
const MESSAGE_SIZE_MAX: usize = 64 * 1024 * 1024;
/// The tonic that Cargo.lock pins.
const TONIC_VERSION: &str = "0.14.9";
/// The one method.
const METHOD: &str = "/org.example.Interface/Method";

/// What is asked.
#[derive(Clone, PartialEq, prost::Message)]
struct Request {
    /// Bytes that the service does not look at.
    #[prost(bytes = "vec", tag = "1")]
    payload: Vec<u8>,
}

/// What is answered.
#[derive(Clone, PartialEq, prost::Message)]
struct Response {
    /// A short text.
    #[prost(string, tag = "1")]
    text: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--version"] => println!("grpc-peer with tonic {TONIC_VERSION}"),
        ["serve", socket] => service::serve(socket).await?,
        ["call", socket, pairs, in_flight, payload_size, warm_up_ms, measured_ms] => {
            let load = caller::Load {
                pairs: pairs.parse()?,
                in_flight: in_flight.parse()?,
                payload_size: payload_size.parse()?,
                warm_up_ms: warm_up_ms.parse()?,
                measured_ms: measured_ms.parse()?,
            };
            // Tasks of one thread need not be sendable.
            tokio::task::LocalSet::new().run_until(caller::call(socket, load)).await?;
        }
        _ => return Err("usage: grpc-peer serve SOCKET | call SOCKET PAIRS …".into()),
    }
    Ok(())
}
