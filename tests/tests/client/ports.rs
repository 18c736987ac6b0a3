//! Source as programs for zbus 6 have it, in both styles: proxies that come with what is served, other names for
//! proxies of objects, signals with given arguments, and changes of properties as plain streams.
//!
//! What programs do is written once, in `each_style.rs`: `wait!` waits as the style does.

use libbus::wire_types::{ObjectPath, OwnedObjectPath};
use libbus::{Error, fdo};

use crate::{address, on_each_bus};

const PATH: &str = "/org/example/Shelf";

fn path(text: &str) -> OwnedObjectPath {
    ObjectPath::try_from(text).unwrap().into()
}

mod blocking {
    use super::*;
    use crate::styles::serve_blocking as serve;
    use libbus::blocking::{Builder, SignalEmitter, interface, proxy};

    include!("styles/blocking.rs");

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
}

mod asynchronous {
    use super::*;

    use libbus::{Builder, Connection, SignalEmitter, interface, proxy};

    include!("styles/futures.rs");

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
