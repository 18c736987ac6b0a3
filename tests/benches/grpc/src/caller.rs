//! The client.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic_prost::ProstCodec;

use crate::{MESSAGE_SIZE_MAX, METHOD, Request, Response, Result};

/// How calls are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) pairs: usize,
    /// Calls that each pair keeps in flight.
    pub(crate) in_flight: usize,
    pub(crate) payload_size: usize,
    pub(crate) warm_up_ms: u64,
    pub(crate) measured_ms: u64,
}

/// The times that calls took, in nanoseconds.
type Latencies = Rc<RefCell<Vec<u64>>>;

/// Makes calls for the set time and prints how that went.
pub(crate) async fn call(socket: &str, load: Load) -> Result<()> {
    let mut channels = Vec::new();
    for _ in 0..load.pairs {
        channels.push(connect(socket.to_owned()).await?);
    }
    run(&channels, load, load.warm_up_ms).await?;
    println!("begin");
    let begin = Instant::now();
    let mut latencies = run(&channels, load, load.measured_ms).await?;
    let elapsed = begin.elapsed();
    latencies.sort_unstable();
    let percentile = |percent: usize| latencies.get(latencies.len() * percent / 100);
    let [p50, p99] = [50, 99].map(|percent| percentile(percent).copied().unwrap_or(0));
    println!("{} {} {p50} {p99}", latencies.len(), elapsed.as_nanos());
    Ok(())
}

async fn connect(socket: String) -> Result<Channel> {
    let endpoint = Endpoint::try_from("http://localhost")?;
    let connector = tower::service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    Ok(endpoint.connect_with_connector(connector).await?)
}

/// Calls through all channels until the time is over.
async fn run(channels: &[Channel], load: Load, time_ms: u64) -> Result<Vec<u64>> {
    let end = Instant::now() + Duration::from_millis(time_ms);
    let latencies = Latencies::default();
    let mut tasks = Vec::new();
    for channel in channels {
        for _ in 0..load.in_flight {
            let task = call_until(end, channel.clone(), load.payload_size, latencies.clone());
            tasks.push(tokio::task::spawn_local(task));
        }
    }
    for task in tasks {
        task.await??;
    }
    Ok(latencies.take())
}

/// One call after the other.
async fn call_until(
    end: Instant,
    channel: Channel,
    payload_size: usize,
    latencies: Latencies,
) -> Result<()> {
    let mut grpc = Grpc::new(channel).max_encoding_message_size(MESSAGE_SIZE_MAX);
    let request = Request { payload: vec![0x55; payload_size] };
    while Instant::now() < end {
        let begin = Instant::now();
        grpc.ready().await?;
        let request = tonic::Request::new(request.clone());
        let codec = ProstCodec::<Request, Response>::default();
        grpc.unary(request, PathAndQuery::from_static(METHOD), codec).await?;
        let elapsed = u64::try_from(begin.elapsed().as_nanos())?;
        latencies.borrow_mut().push(elapsed);
    }
    Ok(())
}
