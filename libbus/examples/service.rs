//! A service with futures: a counter that anybody may add to, with a property and a signal.
//!
//! `cargo run --example service`, and beside it `cargo run --example watch`.

use std::sync::atomic::{AtomicU32, Ordering};

use futures_lite::future::{block_on, pending};
use libbus::{Builder, Result, SignalEmitter, fdo, interface};

struct Counter {
    count: AtomicU32,
}

/// Counts what is added.
#[interface(name = "org.example.Counter")]
impl Counter {
    /// Adds to it, and answers what it has then.
    async fn add(
        &self,
        amount: u32,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> fdo::Result<u32> {
        let count = self.count.fetch_add(amount, Ordering::Relaxed).wrapping_add(amount);
        self.count_changed(&emitter).await?;
        if count >= 10 {
            emitter.full(count).await?;
        }
        Ok(count)
    }

    /// What it has.
    #[zbus(property)]
    fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// It has ten or more.
    #[zbus(signal)]
    async fn full(emitter: &SignalEmitter<'_>, count: u32) -> Result<()>;
}

fn main() -> Result<()> {
    block_on(async {
        let counter = Counter { count: AtomicU32::new(0) };
        let builder = Builder::session()?.serve_at("/org/example/Counter", counter)?;
        // Whoever finds the name finds the object, too.
        let _connection = builder.name("org.example.Counter")?.build().await?;
        pending().await
    })
}
