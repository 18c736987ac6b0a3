//! The service that all clients here use and some of them offer: `org.example.Peer`.
//!
//! `Echo`, `Fail`, `EchoBytes`, `ReadFd`, `OpenFd`, `Notify` (a signal to all) and `NotifyCaller`
//! (the same signal to the caller alone). The zbus services also have `Pad` and the property
//! `Colour`, which the command-line clients use.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

/// The name the service owns.
pub(crate) const NAME: &str = "org.example.Peer";
/// The path of its object.
pub(crate) const PATH: &str = "/org/example/Peer";
/// Its interface.
pub(crate) const INTERFACE: &str = "org.example.Peer";
/// The error that `Fail` answers with.
pub(crate) const ERROR: &str = "org.example.Error.Refused";
/// How many bytes the large payload has.
pub(crate) const PAYLOAD_SIZE: usize = 8 << 20;

/// Polls all `futures` side by side and answers with their outputs in order.
pub(crate) async fn all_at_once<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<Pin<Box<F>>> = futures.map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, output) in waiting.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let Poll::Ready(value) = future.as_mut().poll(context)
            {
                *output = Some(value);
            }
        }
        if outputs.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
