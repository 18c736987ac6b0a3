//! Source as programs for zbus 6 have it, in both styles: proxies that come with what is served, other names for
//! proxies of objects, signals with given arguments, and changes of properties as plain streams.
//!
//! What programs do is written once, in `each_style.rs`: `wait!` waits as the style does.

use std::thread;

use libbus::wire_types::{ObjectPath, OwnedObjectPath};
use libbus::{Error, fdo};

use crate::{address, on_each_bus};

const PATH: &str = "/org/example/Shelf";

fn path(text: &str) -> OwnedObjectPath {
    ObjectPath::try_from(text).unwrap().into()
}

mod blocking {
    use super::*;
    use libbus::blocking::{Builder, Connection, SignalEmitter, interface, proxy};

    macro_rules! wait {
        ($what:expr) => {
            $what
        };
    }

    macro_rules! run {
        ($what:block) => {
            $what
        };
    }

    include!("ports/each_style.rs");

    struct Mover;

    #[interface(name = "org.example.Mover", proxy(visibility = ""))]
    impl Mover {
        /// A book was moved.
        #[zbus(signal)]
        fn moved(
            emitter: &SignalEmitter<'_>,
            title: &str,
            number: u32,
            place: &str,
        ) -> libbus::Result<()>;
    }

    fn serve(connection: &Connection) {
        let connection = connection.clone();
        thread::spawn(move || connection.serve());
    }
}

mod asynchronous {
    use super::*;
    use futures_lite::future::block_on;
    use libbus::{Builder, Connection, SignalEmitter, interface, proxy};

    macro_rules! wait {
        ($what:expr) => {
            $what.await
        };
    }

    macro_rules! run {
        ($what:block) => {
            block_on(async { $what })
        };
    }

    include!("ports/each_style.rs");

    struct Mover;

    #[interface(name = "org.example.Mover", proxy(visibility = ""))]
    impl Mover {
        /// A book was moved.
        #[zbus(signal)]
        async fn moved(
            emitter: &SignalEmitter<'_>,
            title: &str,
            number: u32,
            place: &str,
        ) -> libbus::Result<()>;
    }

    /// A thread of the connection does.
    fn serve(_: &Connection) {}
}
