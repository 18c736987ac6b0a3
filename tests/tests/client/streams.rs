//! Streams of `#[proxy]`: what they say of signals that nobody read in time.
//!
//! What programs do is written once for both styles, in `each_style.rs`: `wait!` waits as the style does.

use std::collections::HashMap;

use libbus::Error;
use libbus::connection::Overflow;
use libbus::wire_types::Variant;

use crate::{address, on_each_bus};

const NAME: &str = "org.example.Bell";
const PATH: &str = "/org/example/Bell";

/// What the object says of its pitch, whoever asks.
const PITCH: u32 = 440;
/// More than wait in a stream for which nothing else was said.
const MANY: u32 = 2000;

mod blocking {
    use super::*;
    use crate::styles::serve_blocking as serve;
    use libbus::blocking::{Builder, interface, proxy};

    include!("styles/blocking.rs");

    macro_rules! next {
        ($stream:expr) => {
            $stream.next()
        };
    }

    include!("streams/each_style.rs");
}

mod asynchronous {
    use super::*;

    use libbus::{Builder, Connection, interface, proxy};

    include!("styles/futures.rs");

    macro_rules! next {
        ($stream:expr) => {
            $stream.next().await
        };
    }

    include!("streams/each_style.rs");

    /// A thread of the connection does.
    fn serve(_: &Connection) {}
}

/// As streams of futures, which are polled.
mod polled {
    use super::*;
    use futures_lite::StreamExt;

    use libbus::{Builder, Connection, interface, proxy};

    include!("styles/futures.rs");

    macro_rules! next {
        ($stream:expr) => {
            StreamExt::next(&mut $stream).await
        };
    }

    include!("streams/each_style.rs");

    /// A thread of the connection does.
    fn serve(_: &Connection) {}
}
