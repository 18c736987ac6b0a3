//! What the macros write.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a test")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use libbus::{Connection, ObjectServer, Result, SignalEmitter, fdo, interface};

struct Counter {
    count: AtomicU32,
}

/// Counts.
#[interface(name = "org.example.Counter")]
impl Counter {
    /// Adds to it.
    fn add(&self, amount: u32) -> u32 {
        self.count.fetch_add(amount, Ordering::Relaxed) + amount
    }

    #[zbus(out_args("first", "second"))]
    async fn split(&self, text: &str, by: &str) -> fdo::Result<(String, String)> {
        match text.split_once(by) {
            Some((first, second)) => Ok((first.to_owned(), second.to_owned())),
            None => Err(fdo::Error::InvalidArgs(format!("no {by}"))),
        }
    }

    fn keys(&self, of: &HashMap<String, u32>) -> Vec<String> {
        of.keys().cloned().collect()
    }

    #[zbus(property)]
    fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    #[zbus(property)]
    fn set_count(&self, count: u32) -> fdo::Result<()> {
        self.count.store(count, Ordering::Relaxed);
        Ok(())
    }

    #[zbus(signal)]
    async fn counted(emitter: &SignalEmitter<'_>, count: u32, text: &str) -> Result<()>;

    async fn tell(
        &self,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
        #[zbus(connection)] _connection: &Connection,
        #[zbus(object_server)] _server: &ObjectServer,
    ) -> fdo::Result<()> {
        emitter.counted(self.count(), "now").await?;
        Ok(())
    }
}

struct Locked {
    text: String,
}

#[interface(name = "org.example.Locked")]
impl Locked {
    fn append(&mut self, text: &str) -> String {
        self.text.push_str(text);
        self.text.clone()
    }

    #[zbus(property)]
    fn text(&self) -> &str {
        &self.text
    }

    #[zbus(property(emits_changed_signal = "invalidates"))]
    fn set_text(&mut self, text: String) {
        self.text = text;
    }
}

mod plain {
    use libbus::blocking::{SignalEmitter, interface};

    pub(super) struct Plain;

    #[interface(name = "org.example.Plain")]
    impl Plain {
        fn echo(
            &self,
            text: &str,
            #[zbus(signal_emitter)] emitter: &SignalEmitter<'_>,
        ) -> libbus::fdo::Result<String> {
            emitter.echoed(text)?;
            Ok(text.to_owned())
        }

        #[zbus(signal)]
        fn echoed(emitter: &SignalEmitter<'_>, text: &str) -> libbus::Result<()>;
    }
}

#[test]
fn it_compiles() {}
