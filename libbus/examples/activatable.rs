//! A service that the bus starts when somebody calls it, and that ends when nobody has for a while.
//!
//! `activatable.service` beside this file tells the bus which program to start for which name. For the buses of all users
//! it goes to `/usr/share/dbus-1/services`, for those of one to `~/.local/share/dbus-1/services`; `Exec` is where the
//! program is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_io::Timer;
use event_listener::Event;
use futures_lite::future::{block_on, or};
use libbus::{Builder, Result, interface};

const NAME: &str = "org.example.Stopwatch";
/// How long it waits for the next call if nothing is said.
const IDLE_MS: u64 = 10_000;

struct Stopwatch {
    start: Instant,
    called: Arc<Event>,
}

#[interface(name = "org.example.Stopwatch")]
impl Stopwatch {
    /// How long it runs, in milliseconds.
    async fn elapsed(&self) -> u64 {
        self.called.notify(usize::MAX);
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn main() -> Result<()> {
    let said = std::env::args().find_map(|word| word.strip_prefix("--idle-ms=")?.parse().ok());
    let idle = Duration::from_millis(said.unwrap_or(IDLE_MS));
    let called = Arc::new(Event::new());
    let stopwatch = Stopwatch { start: Instant::now(), called: Arc::clone(&called) };
    block_on(async {
        // The bus that started it, which need not be that of a session.
        let builder = Builder::starter()?.serve_at("/org/example/Stopwatch", stopwatch)?;
        let connection = builder.name(NAME)?.build().await?;
        let is_called = || async {
            called.listen().await;
            true
        };
        let is_idle = || async {
            Timer::after(idle).await;
            false
        };
        while or(is_called(), is_idle()).await {}
        // From here on the bus starts another one for who calls; who called before gets an answer.
        connection.release_name(NAME).await?;
        connection.flush().await
    })
}
