//! Another end that does not read: who sends to it waits no longer than it said, and no more is kept for it than may be.
//!
//! What programs do is written once for both styles, in `each_style.rs`: `wait!` waits as the style does.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use libbus::connection::{STREAM_SIZE_MAX, SendError, WRITE_SIZE_MAX};
use libbus::wire::{Header, MessageType};
use libbus::{Error, MethodCall};

use crate::{address, on_each_bus};

const PATH: &str = "/org/example";
const INTERFACE: &str = "org.example.Sink";
/// More than a socket takes.
const LARGE: usize = 8 << 20;

fn call(timeout: Duration) -> MethodCall<'static> {
    let call = MethodCall::new(PATH, "Take").unwrap().interface(INTERFACE).unwrap();
    call.timeout(Some(timeout))
}

const SHORT: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_secs(3600);

mod blocking {
    use super::*;
    use crate::styles::serve_blocking as serve;
    use libbus::blocking::{Builder, Connection, interface};

    include!("styles/blocking.rs");

    include!("unread/each_style.rs");

    /// It waits for room where it is called.
    fn says_no_room(error: &Error) -> bool {
        matches!(error, Error::TimedOut(SHORT))
    }
}

mod asynchronous {
    use super::*;
    use futures_lite::future::{block_on, poll_once};
    use libbus::{Builder, Connection, interface};

    include!("styles/futures.rs");

    include!("unread/each_style.rs");

    fn says_no_room(error: &Error) -> bool {
        matches!(error, Error::Send(SendError::QueueFull))
    }

    /// A thread of the connection does.
    fn serve(_: &Connection) {}

    /// Who drops a call does not want it any more.
    #[test]
    fn a_call_that_is_dropped_before_it_leaves_does_not_leave() {
        block_on(async {
            let (server, client) = Connection::pair().unwrap();
            let text = "x".repeat(LARGE);
            let begun = client.send(&call(LONG), &*text).unwrap();
            let call = call(LONG);
            for _ in 0..2 * WRITE_SIZE_MAX / LARGE {
                let mut dropped = Box::pin(client.call(&call, &*text));
                assert!(poll_once(&mut dropped).await.is_none());
            }
            let sink = serve_sink!(server);
            begun.wait().await.unwrap();
            client.call(&call, "last").await.unwrap();
            assert_eq!(sink.load(Ordering::Relaxed), 2);
        });
    }
}
