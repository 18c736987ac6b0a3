//! What a service manager is told through `NOTIFY_SOCKET` (config.md B109, sd_notify(3)).
//!
//! Without such a variable nothing happens; that the service manager does not listen is its own
//! affair and changes nothing here: a thread tells it, and nobody waits for that but the end, for
//! a second at most.

use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use sd_notify::{NotifyState, notify};

/// What may wait to be told; more is not told.
const QUEUE_LENGTH_MAX: usize = 16;
/// How long the end of the bus waits for its being told.
const LAST_WORD_TIME: Duration = Duration::from_secs(1);

/// What the daemon does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Clients are served, by this process.
    Ready,
    /// The configuration is being read again; `Ready` follows.
    Reloading,
    /// The end has begun.
    Stopping,
}

/// What is told, and who hears when it is.
struct Notice {
    states: Vec<NotifyState<'static>>,
    told: SyncSender<()>,
}

/// The way to the thread that tells; nothing where nobody wants to be told.
static TELLER: OnceLock<Option<SyncSender<Notice>>> = OnceLock::new();

/// Tells the service manager, in the order of the calls. Call it in the process that serves, first when it
/// is ready.
pub fn tell(state: State) {
    let Some(teller) = TELLER.get_or_init(begin) else { return };
    let states = match state {
        State::Ready => vec![NotifyState::Ready, NotifyState::MainPid(std::process::id())],
        State::Reloading => match NotifyState::monotonic_usec_now() {
            Ok(now) => vec![NotifyState::Reloading, now],
            Err(_) => return,
        },
        State::Stopping => vec![NotifyState::Stopping],
    };
    let (told, hear) = sync_channel(1);
    if teller.try_send(Notice { states, told }).is_ok() && state == State::Stopping {
        let _ = hear.recv_timeout(LAST_WORD_TIME);
    }
}

fn begin() -> Option<SyncSender<Notice>> {
    std::env::var_os("NOTIFY_SOCKET")?;
    let (teller, notices) = sync_channel::<Notice>(QUEUE_LENGTH_MAX);
    let tell_all = move || {
        for Notice { states, told } in notices {
            let _ = notify(&states);
            let _ = told.try_send(());
        }
    };
    let builder = thread::Builder::new().name("notify".to_owned()).stack_size(64 * 1024);
    builder.spawn(tell_all).ok().map(|_| teller)
}
